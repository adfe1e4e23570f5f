//! Objects on COS hosts: stored, served with and without a rule, deleted (Tencent spec 6 and 7).

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;
use super::spelling::{SOURCE_FACTS, image_info, upload_object, upload_original, upload_result};
use super::xml::Element;
use super::{Call, Tencent, check_md5, reply};
use crate::auth::cos;
use crate::engine::decode;
use crate::http::target::Target;
use crate::jobs::model::Stored;
use crate::plan::{Plan, tencent};
use crate::store::facts::{Facts, put_time};
use crate::store::qetag::qetag;
use crate::store::spool::{self, Spooled};

const MAX_KEY_BYTES: usize = 850;
const MAX_RULES: usize = 5;

/// `Pic-Operations`.
#[derive(Debug, Deserialize)]
pub(super) struct Operations {
    #[serde(default)]
    is_pic_info: Value,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    #[serde(default)]
    bucket: Option<String>,
    fileid: String,
    rule: String,
}

/// A rule that can be done.
pub(super) struct Wanted {
    plan: Plan,
    bucket: std::sync::Arc<crate::store::Bucket>,
    label: String,
    key: String,
}

impl Tencent {
    pub(super) async fn object(&self, call: &Call, parts: Parts, body: Body) -> Result<Response, Failure> {
        let has = |name: &str| call.query.iter().any(|(found, _)| found == name);
        if call.path.is_empty() {
            if parts.method == Method::GET && has("uploads") {
                return self.list_uploads(call).await;
            }
            return Err(Failure::not_done("buckets are neither listed nor changed; expected the key of an object"));
        }
        match parts.method {
            Method::GET if has("uploadId") => self.list_parts(call).await,
            Method::PUT if has("uploadId") => self.put_part(call, &parts, body).await,
            Method::POST if has("uploads") => self.begin_upload(call, &parts).await,
            Method::POST if has("uploadId") => self.complete_upload(call, &parts, body).await,
            Method::DELETE if has("uploadId") => self.abort_upload(call).await,
            Method::GET | Method::HEAD => self.get(call, parts).await,
            Method::PUT if !has("acl") && !has("tagging") => self.put(call, &parts, body).await,
            Method::POST if has("image_process") => {
                let (operations, wanted) =
                    self.operations(call, &parts).await?.ok_or_else(|| bad_operations("it is missing"))?;
                let processed = self.process(call, &operations, &wanted).await?;
                self.tagged(call, reply(&processed)).await
            }
            Method::DELETE => match call.bucket.delete(&call.path).await {
                Ok(()) | Err(crate::store::Error::NotFound { .. }) => Ok(StatusCode::NO_CONTENT.into_response()),
                Err(error) => Err(error.into()),
            },
            ref method => Err(Failure::not_done(format!("{method} with these parameters is not done"))),
        }
    }

    /// An object, or what a rule makes of it. The signature is the right to it.
    async fn get(&self, call: &Call, parts: Parts) -> Result<Response, Failure> {
        let plan = match rule_of(call) {
            Some(rule) => Some(self.plan_or_style(&rule, call).await?),
            None => None,
        };
        let expires = None;
        let target = Target {
            bucket: call.bucket.clone(),
            key: call.path.clone(),
            plan,
            attname: None,
            expires,
            read_by: None,
            link: None,
        };
        let request = http::Request::from_parts(parts, ());
        let mut response = self.delivery.deliver(&request, target).await?;
        // What a signature opened is nobody else's.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        Ok(response.map(Body::new))
    }

    async fn put(&self, call: &Call, parts: &Parts, body: Body) -> Result<Response, Failure> {
        if parts.headers.contains_key("x-cos-copy-source") {
            return Err(Failure::not_done("x-cos-copy-source: objects are not copied"));
        }
        check_key(&call.path)?;
        // What is wrong with it is told before anything is stored.
        let operations = self.operations(call, parts).await?;
        let (spooled, _) = self.receive(parts, body).await?;
        let media_type = media_type(parts).unwrap_or_else(|| guess(&call.path, &spooled.head));
        let facts = Facts { hash: spooled.hash.clone(), media_type, put_time: put_time(call.now), ..Facts::default() };
        let stream = spool::stream(vec![spooled.path().to_owned()]);
        call.bucket.put_stream(&call.path, stream, spooled.bytes, facts, true).await?;
        let uploaded = match operations {
            Some((operations, wanted)) => Some(self.process(call, &operations, &wanted).await?),
            None => None,
        };
        self.tagged(call, uploaded.map_or_else(|| StatusCode::OK.into_response(), |uploaded| reply(&uploaded))).await
    }

    /// The response, with the tag of the object.
    async fn tagged(&self, call: &Call, mut response: Response) -> Result<Response, Failure> {
        if let Ok(value) = HeaderValue::from_str(&self.etag(call).await?) {
            response.headers_mut().insert(header::ETAG, value);
        }
        Ok(response)
    }

    pub(super) async fn etag(&self, call: &Call) -> Result<String, Failure> {
        Ok(format!("\"{}\"", call.bucket.head(&call.path).await?.version.trim_matches('"')))
    }

    /// Refuses more bytes than an object may have.
    pub(super) fn check_most(&self, bytes: u64) -> Result<(), Failure> {
        if bytes <= self.upload_bytes {
            return Ok(());
        }
        Err(Failure::new(400, "EntityTooLarge", format!("the object has more than {} bytes", self.upload_bytes)))
    }

    /// A body, in a file of this machine, and its MD5 in hexadecimal digits.
    pub(super) async fn receive(&self, parts: &Parts, body: Body) -> Result<(Spooled, String), Failure> {
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        self.check_most(declared.unwrap_or_default())?;
        let disk = |error: std::io::Error| Failure::from(spool::failure(&error));
        let (mut writer, mut md5) = (self.spool.create(64).await.map_err(disk)?, Md5::new());
        let mut pieces = body.into_data_stream();
        while let Some(piece) = next(&mut pieces, self.patience).await? {
            self.check_most(writer.bytes() + piece.len() as u64)?;
            md5.update(&piece);
            writer.write(&piece).await.map_err(disk)?;
        }
        let md5 = md5.finalize();
        check_md5(parts, &md5)?;
        let digits = md5.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((writer.finish().await.map_err(disk)?, digits))
    }

    /// What `Pic-Operations` asks for, checked.
    pub(super) async fn operations(
        &self,
        call: &Call,
        parts: &Parts,
    ) -> Result<Option<(Operations, Vec<Wanted>)>, Failure> {
        let Some(value) = parts.headers.get("pic-operations") else { return Ok(None) };
        let read = serde_json::from_slice::<Operations>(value.as_bytes());
        let operations = read.map_err(|error| bad_operations(&error.to_string()))?;
        if !(1..=MAX_RULES).contains(&operations.rules.len()) {
            let problem = format!("it has {} rules; expected 1 to {MAX_RULES}", operations.rules.len());
            return Err(bad_operations(&problem));
        }
        let mut wanted = Vec::new();
        for rule in &operations.rules {
            wanted.push(self.wanted(call, rule).await?);
        }
        Ok(Some((operations, wanted)))
    }

    async fn wanted(&self, call: &Call, rule: &Rule) -> Result<Wanted, Failure> {
        let folder = call.path.rfind('/').map_or("", |end| &call.path[..=end]);
        let key = match rule.fileid.strip_prefix('/') {
            Some(key) => key.to_owned(),
            None => format!("{folder}{}", rule.fileid),
        };
        if key.is_empty() || key.ends_with('/') || key.len() > MAX_KEY_BYTES {
            return Err(bad_operations(&format!("fileid is {:?}; expected the key of an object", rule.fileid)));
        }
        let label = rule.bucket.as_deref().filter(|label| !label.is_empty()).unwrap_or(call.label()).to_owned();
        let plan = self.plan_or_style(&rule.rule, call).await?;
        Ok(Wanted { plan, bucket: self.bucket(&label, &call.owner)?, label, key })
    }

    /// Makes and stores every result at once, each of the original; tells of all (`UploadResult`).
    pub(super) async fn process(
        &self,
        call: &Call,
        operations: &Operations,
        wanted: &[Wanted],
    ) -> Result<Element, Failure> {
        let is_described = matches!(&operations.is_pic_info, Value::Number(one) if one.as_i64() == Some(1))
            || operations.is_pic_info == "1";
        let mut plans: Vec<Plan> = wanted.iter().map(|wanted| wanted.plan.clone()).collect();
        if is_described {
            for facts in SOURCE_FACTS {
                plans.push(Plan::parse(facts)?);
            }
        }
        let transformer = &self.delivery.transformer;
        let mut made = Vec::with_capacity(plans.len());
        for rendered in transformer.render_all(&call.bucket, &call.path, &plans).await {
            made.push(rendered?);
        }
        let described = made.split_off(wanted.len());
        let mut results = Vec::new();
        for (wanted, rendered) in wanted.iter().zip(made) {
            results.push(store(call, wanted, rendered.body, rendered.media_type).await?);
        }
        let facts: Vec<Value> = described.iter().filter_map(|it| serde_json::from_slice(&it.body).ok()).collect();
        let info = facts.first().map(|info| image_info(info, facts.get(1)));
        let etag = self.etag(call).await?;
        let original = upload_original((&call.host.of_objects(), &call.path), &etag, info);
        Ok(upload_result(original, results))
    }
}

async fn store(call: &Call, wanted: &Wanted, body: bytes::Bytes, media_type: String) -> Result<Element, Failure> {
    let header = decode::probe(&body).ok();
    let stored = Stored {
        bucket: wanted.bucket.name().to_owned(),
        key: wanted.key.clone(),
        hash: qetag(&body),
        bytes: body.len() as u64,
        media_type,
        size: header.as_ref().map(|header| (header.size.width, header.size.height)),
        quality: header.and_then(|header| header.jpeg_quality),
        existed: false,
    };
    let (hash, media_type) = (stored.hash.clone(), stored.media_type.clone());
    let facts = Facts { hash, media_type, put_time: put_time(call.now), ..Facts::default() };
    let stream = Box::pin(futures::stream::iter([Ok(body)]));
    wanted.bucket.put_stream(&wanted.key, stream, stored.bytes, facts, true).await?;
    let host = super::host::Host { bucket: wanted.label.clone(), ..call.host.clone() };
    Ok(upload_object((&host.of_objects(), &wanted.key), &stored))
}

fn bad_operations(problem: &str) -> Failure {
    Failure::new(400, "InvalidPicOperations", format!("Pic-Operations: {problem}"))
}

/// The rule among the parameters.
fn rule_of(call: &Call) -> Option<String> {
    let members = call.query.iter().filter(|(name, _)| !cos::is_credential(name));
    tencent::rule_of(members.map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Refuses keys that are too long.
pub(super) fn check_key(key: &str) -> Result<(), Failure> {
    match key.len() {
        0..=MAX_KEY_BYTES => Ok(()),
        _ => Err(Failure::new(400, "KeyTooLong", format!("the key has more than {MAX_KEY_BYTES} bytes"))),
    }
}

/// What a request says that its object is.
pub(super) fn media_type(parts: &Parts) -> Option<String> {
    let named = parts.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    named.filter(|it| !it.is_empty()).map(str::to_owned)
}

pub(super) fn guess(key: &str, head: &[u8]) -> String {
    let sniffed = decode::sniff(head).map(|format| crate::engine::run::Content::Image(format).media_type().to_owned());
    let by_name = || mime_guess::from_path(key).first_or_octet_stream().to_string();
    sniffed.unwrap_or_else(by_name)
}

async fn next(pieces: &mut axum::body::BodyDataStream, patience: Duration) -> Result<Option<bytes::Bytes>, Failure> {
    match tokio::time::timeout(patience, pieces.next()).await {
        Ok(piece) => piece
            .transpose()
            .map_err(|error| Failure::new(400, "IncompleteBody", format!("the body could not be read: {error}"))),
        Err(_) => Err(Failure::new(400, "RequestTimeout", format!("nothing was sent for {} s", patience.as_secs()))),
    }
}
