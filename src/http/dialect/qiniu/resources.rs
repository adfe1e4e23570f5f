//! One object at a time: stat, delete, copy, move, chgm, chtype, deleteAfterDays (spec 8.1); also the lines of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::Qiniu;
use super::access::{Call, Caller};
use super::entry::{Entry, decode_text};
use super::failure::{Failure, json as answer};
use super::mime::is_media_type;
use crate::auth::upload::MAX_KEY_BYTES;
use crate::store::facts::{Facts, expiry};
use crate::store::resources::Stat;
use crate::store::{self, Bucket};

/// What is done with objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Describes one.
    Stat(Entry),
    /// Deletes one.
    Delete(Entry),
    /// Copies one, over another only if forced.
    Copy(Entry, Entry, bool),
    /// Moves one, over another only if forced.
    Move(Entry, Entry, bool),
    /// Changes an object's type or metadata, where its conditions hold.
    Change {
        /// Which.
        entry: Entry,
        /// The new type.
        media_type: Option<String>,
        /// Metadata that is set.
        metadata: BTreeMap<String, String>,
        /// Names and values that must be so.
        conditions: Vec<(String, String)>,
    },
    /// Changes the storage class that is told.
    ChangeClass(Entry, u8),
    /// Has it expire in so many days; 0 never.
    Expire(Entry, u64),
}

impl Operation {
    /// Reads an operation's path, with or without its first slash.
    ///
    /// # Errors
    /// 400 that names what is wrong with it.
    pub fn parse(path: &str) -> Result<Self, Failure> {
        let decoded: Option<Vec<_>> =
            path.trim_start_matches('/').split('/').map(|it| percent_decode_str(it).decode_utf8().ok()).collect();
        let words = decoded.ok_or_else(|| Failure::invalid("invalid argument: the path is not UTF-8"))?;
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        match words[..] {
            ["stat", entry] => Ok(Self::Stat(Entry::decode(entry)?)),
            ["delete", entry] => Ok(Self::Delete(Entry::decode(entry)?)),
            ["copy", from, to, ref rest @ ..] => Ok(Self::Copy(Entry::decode(from)?, Entry::decode(to)?, force(rest)?)),
            ["move", from, to, ref rest @ ..] => Ok(Self::Move(Entry::decode(from)?, Entry::decode(to)?, force(rest)?)),
            ["chgm", entry, ref rest @ ..] => change(Entry::decode(entry)?, rest),
            ["chtype", entry, "type", class] => {
                let class = class.parse().ok().filter(|class| *class <= 4);
                let class = class.ok_or_else(|| Failure::invalid("invalid argument: type; expected 0 to 4"))?;
                Ok(Self::ChangeClass(Entry::decode(entry)?, class))
            }
            ["deleteAfterDays", entry, days] => {
                let days = days.parse().map_err(|_| Failure::invalid("invalid argument: days; expected a number"))?;
                Ok(Self::Expire(Entry::decode(entry)?, days))
            }
            _ => Err(Failure::invalid(format!("invalid argument: {path:?} is no operation of this server"))),
        }
    }

    /// Carries it out for `caller`. What there is to say is told, `None` otherwise.
    ///
    /// # Errors
    /// 403 for a bucket that the caller's key does not open, 631, 612, 614, 400.
    pub async fn run(&self, qiniu: &Qiniu, caller: &Caller, now: SystemTime) -> Result<Option<Value>, Failure> {
        match self {
            Self::Stat(entry) => {
                let stat = opened(qiniu, caller, entry)?.stat(&entry.key).await?;
                if stat.facts.is_expired(now) {
                    return Err(store::Error::NotFound { bucket: entry.bucket.clone(), key: entry.key.clone() }.into());
                }
                Ok(Some(Value::Object(described(&stat))))
            }
            Self::Delete(entry) => {
                opened(qiniu, caller, entry)?.delete(&entry.key).await?;
                Ok(None)
            }
            Self::Copy(from, to, is_forced) => {
                if let Some((source, target)) = two(qiniu, caller, (from, to), *is_forced).await? {
                    source.copy(&from.key, target, &to.key, *is_forced, now).await?;
                }
                Ok(None)
            }
            Self::Move(from, to, is_forced) => {
                if let Some((source, target)) = two(qiniu, caller, (from, to), *is_forced).await? {
                    source.relocate(&from.key, target, &to.key, *is_forced, now).await?;
                }
                Ok(None)
            }
            Self::Change { entry, media_type, metadata, conditions } => {
                let update = |stat: &Stat| {
                    check_conditions(conditions, stat)?;
                    let mut facts = stat.facts.clone();
                    facts.media_type = media_type.clone().unwrap_or(facts.media_type);
                    facts.metadata.extend(metadata.clone());
                    Ok(facts)
                };
                change_facts(qiniu, caller, entry, update).await
            }
            Self::ChangeClass(entry, class) => {
                let update = |stat: &Stat| Ok(Facts { class: *class, ..stat.facts.clone() });
                change_facts(qiniu, caller, entry, update).await
            }
            Self::Expire(entry, days) => {
                let expires = (*days > 0).then(|| expiry(now, *days));
                let update = |stat: &Stat| Ok(Facts { expires, ..stat.facts.clone() });
                change_facts(qiniu, caller, entry, update).await
            }
        }
    }
}

fn force(words: &[&str]) -> Result<bool, Failure> {
    match words {
        [] | ["force", "false" | "0"] => Ok(false),
        ["force", "true" | "1"] => Ok(true),
        _ => Err(Failure::invalid(format!(
            "invalid argument: {:?}; expected force/true or force/false",
            words.join("/")
        ))),
    }
}

fn change(entry: Entry, words: &[&str]) -> Result<Operation, Failure> {
    let (mut media_type, mut metadata, mut conditions) = (None, BTreeMap::new(), Vec::new());
    for pair in words.chunks(2) {
        let &[name, encoded] = pair else {
            return Err(Failure::invalid(format!("invalid argument: {:?} has no value", pair[0])));
        };
        let value = decode_text(name, encoded)?;
        match name {
            "mime" if is_media_type(&value) => media_type = Some(value),
            "mime" => return Err(Failure::invalid(format!("invalid argument: mime {value:?}; expected a media type"))),
            "cond" => conditions = url::form_urlencoded::parse(value.as_bytes()).into_owned().collect(),
            name if name.to_ascii_lowercase().starts_with("x-qn-meta-") => {
                metadata.insert(name.to_ascii_lowercase(), value);
            }
            _ => return Err(Failure::invalid(format!("invalid argument: {name}; expected mime, x-qn-meta-… or cond"))),
        }
    }
    Ok(Operation::Change { entry, media_type, metadata, conditions })
}

fn check_conditions(conditions: &[(String, String)], stat: &Stat) -> Result<(), Failure> {
    for (name, wanted) in conditions {
        let found = match name.as_str() {
            "hash" => stat.facts.hash.clone(),
            "mime" => stat.facts.media_type.clone(),
            "fsize" => stat.bytes.to_string(),
            "putTime" => stat.facts.put_time.to_string(),
            _ => {
                return Err(Failure::invalid(format!(
                    "invalid argument: cond {name}; expected hash, mime, fsize or putTime"
                )));
            }
        };
        if found != *wanted {
            return Err(Failure::new(412, format!("cond: {name} is {found}, not {wanted}")));
        }
    }
    Ok(())
}

fn opened<'q>(qiniu: &'q Qiniu, caller: &Caller, entry: &Entry) -> Result<&'q Arc<Bucket>, Failure> {
    let bucket = qiniu.bucket(&entry.bucket)?;
    caller.require(&entry.bucket, &qiniu.delivery.keys)?;
    Ok(bucket)
}

/// The buckets that one object is copied or moved from and to; `None` where both are the same object and nothing is to be done.
async fn two<'q>(
    qiniu: &'q Qiniu,
    caller: &Caller,
    (from, to): (&Entry, &Entry),
    is_forced: bool,
) -> Result<Option<(&'q Arc<Bucket>, &'q Arc<Bucket>)>, Failure> {
    let (source, target) = (opened(qiniu, caller, from)?, opened(qiniu, caller, to)?);
    if to.key.len() > MAX_KEY_BYTES {
        return Err(Failure::invalid(format!("key has {} bytes; expected at most {MAX_KEY_BYTES}", to.key.len())));
    }
    if from == to {
        source.head(&from.key).await?;
        return if is_forced { Ok(None) } else { Err(Failure::new(614, "file exists")) };
    }
    Ok(Some((source, target)))
}

async fn change_facts(
    qiniu: &Qiniu,
    caller: &Caller,
    entry: &Entry,
    update: impl FnOnce(&Stat) -> Result<Facts, Failure>,
) -> Result<Option<Value>, Failure> {
    opened(qiniu, caller, entry)?.change_facts(&entry.key, update).await?;
    Ok(None)
}

/// An object as it is told, without its key.
pub(super) fn described(stat: &Stat) -> Map<String, Value> {
    let facts = &stat.facts;
    let mut told = json!({
        "fsize": stat.bytes,
        "hash": facts.hash,
        "mimeType": facts.media_type,
        "putTime": facts.put_time,
        "type": facts.class,
    });
    if let Some(end_user) = &facts.end_user {
        told["endUser"] = end_user.as_str().into();
    }
    if let Some(expires) = facts.expires {
        told["expiration"] = expires.into();
    }
    if !facts.metadata.is_empty() {
        let bare = |name: &String| name.trim_start_matches("x-qn-meta-").to_owned();
        told["x-qn-meta"] = facts.metadata.iter().map(|(name, value)| (bare(name), value.as_str())).collect();
    }
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

/// Answers a request for one operation, which its path is.
pub(super) async fn manage(State(qiniu): State<Arc<Qiniu>>, request: Request) -> Result<Response, Failure> {
    let now = SystemTime::now();
    let call = Call::read(request).await?;
    let caller = call.caller(&qiniu.delivery.keys, now)?;
    let told = Operation::parse(call.parts.uri.path())?.run(&qiniu, &caller, now).await?;
    Ok(answer(StatusCode::OK, &told.unwrap_or_else(|| json!({}))))
}

/// The names of the buckets that the caller's key opens.
pub(super) async fn buckets(State(qiniu): State<Arc<Qiniu>>, request: Request) -> Result<Response, Failure> {
    let call = Call::read(request).await?;
    let caller = call.caller(&qiniu.delivery.keys, SystemTime::now())?;
    let names = qiniu.delivery.rules.keys();
    let mut names: Vec<&String> = names.filter(|name| qiniu.delivery.keys.allows(&caller.access_key, name)).collect();
    names.sort();
    Ok(answer(StatusCode::OK, &json!(names)))
}

/// Where the vendor's clients find what they need: every role but downloads is the host that they asked (spec 8.4).
pub(super) async fn query(State(qiniu): State<Arc<Qiniu>>, request: Request) -> Result<Response, Failure> {
    let host = crate::http::target::host(&request).unwrap_or_default().to_owned();
    let fields = Call::read(request).await?.fields();
    let (access_key, bucket) = (fields.required("ak")?, fields.required("bucket")?);
    if !qiniu.delivery.keys.allows(access_key, bucket) {
        return Err(store::Error::NoSuchBucket(bucket.to_owned()).into());
    }
    qiniu.bucket(bucket)?;
    let downloads = qiniu.settings.served.hosts_of(bucket, &host);
    let role = json!({ "domains": [host] });
    Ok(answer(
        StatusCode::OK,
        &json!({ "hosts": [{
        "region": "z0",
        "ttl": 86_400,
        "up": { "domains": [host], "old": [], "acc_domains": [] },
        "io": { "domains": downloads },
        "io_src": { "domains": downloads },
        "rs": role, "rsf": role, "api": role, "uc": role,
        "s3": { "domains": [], "region_alias": "" },
    }] }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_paths() {
        let entry = |key: &str| Entry { bucket: "a".to_owned(), key: key.to_owned() };
        for (path, operation) in [
            ("/stat/YTpi", Operation::Stat(entry("b"))),
            ("stat/YTpi", Operation::Stat(entry("b"))),
            ("/delete/YTo%3D", Operation::Delete(entry(""))),
            ("/copy/YTpi/YTpj", Operation::Copy(entry("b"), entry("c"), false)),
            ("/move/YTpi/YTpj/force/true", Operation::Move(entry("b"), entry("c"), true)),
            ("/chtype/YTpi/type/1", Operation::ChangeClass(entry("b"), 1)),
            ("/deleteAfterDays/YTpi/7", Operation::Expire(entry("b"), 7)),
            (
                "/chgm/YTpi/mime/dGV4dC9wbGFpbg==/x-qn-meta-A/Yg==/cond/aGFzaD14",
                Operation::Change {
                    entry: entry("b"),
                    media_type: Some("text/plain".to_owned()),
                    metadata: BTreeMap::from([("x-qn-meta-a".to_owned(), "b".to_owned())]),
                    conditions: vec![("hash".to_owned(), "x".to_owned())],
                },
            ),
        ] {
            assert_eq!(Operation::parse(path), Ok(operation), "{path}");
        }
        for path in [
            "",
            "/",
            "/stat",
            "/stat/",
            "/stat/$",
            "/stat/YTpi/x",
            "/copy/YTpi",
            "/copy/YTpi/YTpj/force",
            "/copy/YTpi/YTpj/force/yes",
            "/chgm/YTpi/mime",
            "/chgm/YTpi/mime/eA==",
            "/chgm/YTpi/other/eA==",
            "/chtype/YTpi/type/9",
            "/deleteAfterDays/YTpi/-1",
            "/chstatus/YTpi/status/1",
            "/stat/%ff",
        ] {
            assert_eq!(Operation::parse(path).unwrap_err().status, 400, "{path}");
        }
    }
}
