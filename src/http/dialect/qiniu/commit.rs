//! What happens when a file is complete, however it came: the policy's checks, its key and type, then, in this order, the file
//! is stored, its job submitted, its owner told, its uploader answered.
//!
//! A failure keeps what was done before: where the job cannot be submitted (599) or the callback fails (579), the file
//! stays.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use http::StatusCode;
use http::header::{self, HeaderValue};
use serde_json::json;

use super::failure::Failure;
use super::mime::{self, Hints};
use super::pfop::Pfop;
use super::values::Values;
use super::variables::Template;
use super::{Qiniu, callback};
use crate::auth::upload::{MAX_KEY_BYTES, PutPolicy, UploadGrant};
use crate::store::facts::{Facts, expiry, put_time};
use crate::store::parts::seconds;
use crate::store::spool::{self, Spooled};
use crate::store::{self, Bucket};

/// A file that has arrived.
#[derive(Debug)]
pub struct Incoming {
    /// What was signed.
    pub grant: UploadGrant,
    /// The key that the client asks for.
    pub key: Option<String>,
    /// The file's name on the client's side.
    pub file_name: Option<String>,
    /// The media type that the client names.
    pub client_type: Option<String>,
    /// Custom variables, by name with `x:`.
    pub custom: BTreeMap<String, String>,
    /// The object's own facts, by name with `x-qn-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// `accept`: the answer's media type.
    pub accept: Option<String>,
    /// The bytes.
    pub content: Content,
    /// The request that completed it.
    pub request_id: String,
}

/// The bytes of a file that has arrived; they are on this machine, in one piece or several.
#[derive(Debug)]
pub struct Content {
    /// Where, in order.
    pub files: Vec<PathBuf>,
    /// How many.
    pub bytes: u64,
    /// The vendor's hash.
    pub hash: String,
    /// The first ones.
    pub head: Vec<u8>,
    /// The file that is gone once this is, where it is one.
    pub spooled: Option<Spooled>,
}

/// What became of a file.
struct Stored<'a> {
    key: &'a str,
    hash: &'a str,
    persistent_id: Option<&'a str>,
}

impl Qiniu {
    /// Commits a file and answers its uploader. It goes on to its end even when the caller goes away: a file that is stored
    /// has its job submitted.
    pub async fn commit(self: &Arc<Self>, incoming: Incoming, now: SystemTime) -> Result<Response, Failure> {
        let qiniu = Arc::clone(self);
        let accept = incoming.accept.clone();
        let committed = tokio::spawn(async move { qiniu.committed(&incoming, now).await });
        let mut response = committed.await.map_err(|error| Failure::internal(&error))??;
        let plain = accept.as_deref().map(str::trim).is_some_and(|accept| accept.starts_with("text/plain"));
        if plain && response.status() == StatusCode::OK {
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
        }
        Ok(response)
    }

    async fn committed(&self, incoming: &Incoming, now: SystemTime) -> Result<Response, Failure> {
        let policy = &incoming.grant.policy;
        check(incoming, now)?;
        let bucket = Arc::clone(self.bucket(&policy.bucket)?);
        let hints = Hints {
            client: incoming.client_type.as_deref(),
            file_name: incoming.file_name.as_deref(),
            key: incoming.key.as_deref().unwrap_or_default(),
            head: &incoming.content.head,
        };
        check_media_type(policy, &hints)?;
        let media_type = hints.media_type(policy.detect_mime);
        let mut values = Values::new(incoming, &media_type, now);
        if let Some(callback) = policy.callback.as_ref().filter(|callback| callback.fetches_key) {
            let reply = callback::send(self, callback, &incoming.grant.access_key, &values).await?;
            let (key, payload) = callback::fetched_key(&reply)?;
            check_key(policy, &key)?;
            self.store(&bucket, &key, incoming, &media_type, now).await?;
            self.submit(&key, incoming).await?;
            return Ok(answer(payload.to_string()));
        }
        let key = final_key(incoming, &values)?;
        check_key(policy, &key)?;
        self.store(&bucket, &key, incoming, &media_type, now).await?;
        let persistent_id = self.submit(&key, incoming).await?;
        values.set_key(&key);
        values.set("persistentId", persistent_id.clone());
        self.look_at_content((&bucket, &key), &incoming.content, policy, &mut values).await;
        if let Some(callback) = &policy.callback {
            let told = callback::send(self, callback, &incoming.grant.access_key, &values).await;
            return Ok(answer(told.map_err(|failure| kept(failure, &key, &incoming.content.hash))?));
        }
        let stored = Stored { key: &key, hash: &incoming.content.hash, persistent_id: persistent_id.as_deref() };
        returned(policy, &stored, &values)
    }

    /// Stores a file. Where nothing may be replaced, the same file once more is a success (spec 6.1).
    async fn store(
        &self,
        bucket: &Bucket,
        key: &str,
        incoming: &Incoming,
        media_type: &str,
        now: SystemTime,
    ) -> Result<(), Failure> {
        let (policy, content) = (&incoming.grant.policy, &incoming.content);
        let facts = Facts {
            hash: content.hash.clone(),
            media_type: media_type.to_owned(),
            put_time: put_time(now),
            end_user: policy.end_user.clone(),
            metadata: incoming.metadata.clone(),
            expires: policy.delete_after_days.map(|days| expiry(now, days)),
            class: policy.class,
            ..Facts::default()
        };
        let body = spool::stream(content.files.clone());
        match bucket.put_stream(key, body, content.bytes, facts.clone(), policy.may_replace()).await {
            Err(store::Error::Exists { .. }) if bucket.adopt(key, facts).await? => Ok(()),
            result => Ok(result?),
        }
    }

    async fn submit(&self, key: &str, incoming: &Incoming) -> Result<Option<String>, Failure> {
        let policy = &incoming.grant.policy;
        let Some(persistent) = &policy.persistent else { return Ok(None) };
        let Some(pfops) = &self.pfops else { return Err(no_jobs()) };
        let pfop = Pfop::of_upload(&policy.bucket, key, persistent);
        let submitted = pfops.submit(&incoming.grant.access_key, &pfop, &incoming.request_id).await;
        let submitted = submitted.map_err(|failure| {
            tracing::warn!(bucket = policy.bucket, key, problem = failure.message, "an upload's job was not accepted");
            let message = format!("the file is stored, but its job was not accepted: {}", failure.message);
            kept(Failure::new(599, message), key, &incoming.content.hash)
        });
        submitted.map(Some)
    }
}

/// Refuses a policy that cannot be carried out, before anything is stored.
pub fn check_policy(qiniu: &Qiniu, grant: &UploadGrant) -> Result<(), Failure> {
    let policy = &grant.policy;
    qiniu.bucket(&policy.bucket)?;
    let Some(persistent) = &policy.persistent else { return Ok(()) };
    let Some(pfops) = &qiniu.pfops else { return Err(no_jobs()) };
    // Any key: the file's own is not known yet.
    let pfop = Pfop::of_upload(&policy.bucket, "file", persistent);
    pfops.check(&grant.access_key, &pfop).map_err(|mut failure| {
        failure.message = format!("invalid put policy: persistentOps: {}", failure.message);
        failure
    })
}

fn no_jobs() -> Failure {
    Failure::invalid("invalid put policy: persistentOps is set, and this server takes no jobs")
}

/// The deadline and the size.
fn check(incoming: &Incoming, now: SystemTime) -> Result<(), Failure> {
    let (policy, bytes) = (&incoming.grant.policy, incoming.content.bytes);
    policy.check_deadline(seconds(now))?;
    if bytes < policy.min_bytes {
        return Err(Failure::new(403, format!("file size {bytes} is below fsizeMin {}", policy.min_bytes)));
    }
    check_most(policy, bytes)
}

/// 413 where a file has more bytes than its policy allows; also asked while it arrives.
pub fn check_most(policy: &PutPolicy, bytes: u64) -> Result<(), Failure> {
    match policy.max_bytes.filter(|limit| bytes > *limit) {
        Some(_) => Err(Failure::new(413, "exceed FsizeLimit")),
        None => Ok(()),
    }
}

fn check_media_type(policy: &PutPolicy, hints: &Hints<'_>) -> Result<(), Failure> {
    let Some(limit) = &policy.mime_limit else { return Ok(()) };
    let detected = hints.detected();
    match mime::passes(limit, &detected) {
        true => Ok(()),
        false => {
            Err(Failure::new(403, format!("limited mimeType: this file type ({detected}) is forbidden to upload")))
        }
    }
}

/// The key: the client's, else the template's, else the hash (spec 6.1).
fn final_key(incoming: &Incoming, values: &Values) -> Result<String, Failure> {
    let policy = &incoming.grant.policy;
    let named = policy.save_key.as_ref().map(|template| values.key(template));
    let key = match (&incoming.key, named) {
        (Some(key), named) => if policy.force_save_key { named } else { None }.unwrap_or_else(|| key.clone()),
        (None, Some(named)) => named,
        (None, None) => incoming.content.hash.clone(),
    };
    Ok(key)
}

fn check_key(policy: &PutPolicy, key: &str) -> Result<(), Failure> {
    if key.len() > MAX_KEY_BYTES {
        return Err(Failure::invalid(format!("key has {} bytes; expected at most {MAX_KEY_BYTES}", key.len())));
    }
    if policy.allows_key(key) { Ok(()) } else { Err(Failure::new(403, "key doesn't match scope")) }
}

/// A failure of what came after the file was stored.
fn kept(failure: Failure, key: &str, hash: &str) -> Failure {
    failure.with("key", key).with("hash", hash)
}

/// What the uploader is answered, or where a browser goes.
fn returned(policy: &PutPolicy, stored: &Stored<'_>, values: &Values) -> Result<Response, Failure> {
    let body = match &policy.return_body {
        Some(template) => Template::parse(template).json(|name| values.get(name)),
        None => {
            let mut body = json!({ "hash": stored.hash, "key": stored.key });
            if let Some(id) = stored.persistent_id {
                body["persistentId"] = id.into();
            }
            body.to_string()
        }
    };
    match &policy.return_url {
        Some(url) => redirect(url, &body),
        None => Ok(answer(body)),
    }
}

fn redirect(url: &str, body: &str) -> Result<Response, Failure> {
    let separator = if url.contains('?') { '&' } else { '?' };
    let target = format!("{url}{separator}upload_ret={}", URL_SAFE.encode(body));
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    let location = HeaderValue::from_str(&target).ok().filter(|_| is_web);
    let location = location.ok_or_else(|| Failure::invalid("invalid put policy: returnUrl is no URL"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// 200 with JSON that is text already.
fn answer(body: String) -> Response {
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    ([json, no_store], body).into_response()
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::super::pfop::Pfops;
    use super::super::prefop::persistent_id;
    use super::super::testing::qiniu;
    use super::*;
    use crate::auth::upload;
    use crate::jobs::model::{Filter, Source};
    use crate::jobs::queue::{Queue, Settings};

    /// Jobs of the bucket in `folder`, of which so many may wait.
    async fn pfops(folder: &std::path::Path, max_waiting: i64) -> Pfops {
        let bare = qiniu(folder, Duration::from_secs(60), None);
        let settings = Settings { max_waiting, ..Settings::default() };
        Pfops {
            queue: Queue::open("sqlite::memory:", settings).await.unwrap(),
            transformer: bare.delivery.transformer.clone(),
            keys: Arc::new(bare.delivery.keys.clone()),
        }
    }

    async fn commit(folder: &std::path::Path, pfops: Pfops, more: &str) -> Result<(u16, Value), Failure> {
        let qiniu = qiniu(folder, Duration::from_secs(60), Some(pfops));
        let policy = format!(r#"{{"scope":"default:a","deadline":100,"persistentOps":"imageInfo"{more}}}"#);
        let keys = &qiniu.delivery.keys;
        let grant = upload::verify(&upload::sign(&policy, "AK", keys).unwrap(), keys).unwrap();
        let mut writer = qiniu.spool.create(10).await.unwrap();
        writer.write(b"hello").await.unwrap();
        let spooled = writer.finish().await.unwrap();
        let files = vec![spooled.path().to_owned()];
        let (bytes, hash) = (spooled.bytes, spooled.hash.clone());
        let content = Content { files, bytes, hash, head: b"hello".to_vec(), spooled: Some(spooled) };
        let incoming = Incoming {
            grant,
            key: Some("a".to_owned()),
            file_name: None,
            client_type: None,
            custom: BTreeMap::new(),
            metadata: BTreeMap::new(),
            accept: None,
            content,
            request_id: "r".to_owned(),
        };
        let answer = qiniu.commit(incoming, SystemTime::UNIX_EPOCH + Duration::from_secs(100)).await?;
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        Ok((status, serde_json::from_slice(&body).unwrap()))
    }

    #[tokio::test]
    async fn jobs_follow_files() {
        let folder = tempfile::tempdir().unwrap();
        let pfops = pfops(folder.path(), 10).await;
        let newest = async || pfops.queue.list(&Filter::default(), 1).await.unwrap().remove(0);
        let hash = "Fqr0xh3cxeii2r7eDztILNmuqUNN";
        let answer = commit(folder.path(), pfops.clone(), "").await.unwrap();
        let job = newest().await;
        assert_eq!(answer, (200, json!({ "hash": hash, "key": "a", "persistentId": persistent_id(&job.id) })));
        let source = Source::Object { bucket: "default".to_owned(), key: "a".to_owned() };
        assert_eq!((job.spec.source, job.owner.as_str(), job.spec.request_id.as_str()), (source, "AK", "r"));
        let template = r#","returnBody":"{\"id\":$(persistentId)}""#;
        let answer = commit(folder.path(), pfops.clone(), template).await.unwrap();
        assert!(answer.1["id"].as_str().unwrap().starts_with("z0."), "{answer:?}");
    }

    #[tokio::test]
    async fn a_job_that_is_not_accepted_fails_the_upload_and_keeps_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let failure = commit(folder.path(), pfops(folder.path(), 0).await, "").await.unwrap_err();
        assert_eq!((failure.status, &failure.details["key"]), (599, &json!("a")));
        assert_eq!(
            failure.message,
            r#"the file is stored, but its job was not accepted: queue "default" is full: 0 jobs wait, the limit is 0"#
        );
        assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"hello");
    }
}
