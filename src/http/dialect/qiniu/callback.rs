//! Callbacks: the owner's server is told of a file and answers in this server's stead (spec 2.5, 6.1).

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use serde_json::Value;
use sha1::{Digest, Sha1};
use url::Url;

use super::Qiniu;
use super::failure::Failure;
use super::values::Values;
use super::variables::Template;
use crate::auth::management::{self, FORM_TYPE};
use crate::auth::upload::Callback;

/// Most bytes of a callback's answer; it is relayed to the uploader.
const MAX_REPLY_BYTES: u64 = 1 << 20;

/// Sends the callback to its addresses in turn until one takes it, and tells that one's answer, which is JSON.
///
/// # Errors
/// 579 that names what became of the last attempt.
pub(super) async fn send(
    qiniu: &Qiniu,
    callback: &Callback,
    access_key: &str,
    values: &Values,
) -> Result<String, Failure> {
    let template = Template::parse(&callback.body);
    let (body, media_type) = match callback.is_json {
        true => (template.json(|name| values.get(name)), "application/json"),
        false => (template.form(|name| values.get(name)), FORM_TYPE),
    };
    let body_sha1: String = Sha1::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut problem = "callbackUrl names no address".to_owned();
    for url in &callback.urls {
        let url = Template::parse(url).form(|name| match name {
            "bodySha1" => Some(Value::from(body_sha1.as_str())),
            name => values.get(name),
        });
        let message = Message { url: &url, host: callback.host.as_deref(), media_type, body: &body, access_key };
        match message.send(qiniu).await {
            Ok(reply) if serde_json::from_str::<Value>(&reply).is_ok() => return Ok(reply),
            // It has been told; telling another one would tell twice.
            Ok(_) => return Err(failed(&format!("{url} did not answer with JSON"))),
            Err(found) => problem = found,
        }
    }
    Err(failed(&problem))
}

/// The key and the client's answer out of a reply to `callbackFetchKey`.
///
/// # Errors
/// 579 where the reply names no key.
pub(super) fn fetched_key(reply: &str) -> Result<(String, Value), Failure> {
    let reply: Value = serde_json::from_str(reply).unwrap_or_default();
    let key = reply["key"].as_str().ok_or_else(|| failed("its answer has no key; expected {\"key\": …}"))?;
    Ok((key.to_owned(), reply["payload"].clone()))
}

fn failed(problem: &str) -> Failure {
    Failure::new(579, format!("callback failed: {problem}"))
}

struct Message<'a> {
    url: &'a str,
    host: Option<&'a str>,
    media_type: &'static str,
    body: &'a str,
    access_key: &'a str,
}

impl Message<'_> {
    /// The answer's text, or why there is none.
    async fn send(&self, qiniu: &Qiniu) -> Result<String, String> {
        let url = Url::parse(self.url).map_err(|error| format!("{:?} is no URL: {error}", self.url))?;
        let headers = self.headers(qiniu, &url)?;
        let body = Bytes::from(self.body.to_owned());
        let answer = qiniu.remote.post(&url, headers, body, MAX_REPLY_BYTES).await;
        let (status, reply) = answer.map_err(|error| error.to_string())?;
        if status != http::StatusCode::OK {
            return Err(format!("it answered {}", status.as_u16()));
        }
        String::from_utf8(reply.into()).map_err(|_| "its answer is not UTF-8".to_owned())
    }

    fn headers(&self, qiniu: &Qiniu, url: &Url) -> Result<HeaderMap, String> {
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let keys = &qiniu.delivery.keys;
        let signature = management::sign(&target, self.media_type, self.body.as_bytes(), self.access_key, keys)
            .ok_or("the access key is gone")?;
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| format!("{text:?} is no header"));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        if !management::is_call(url.path()) {
            headers.insert(header::AUTHORIZATION, value(&signature)?);
        }
        if let Some(host) = self.host {
            headers.insert(header::HOST, value(host)?);
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched() {
        let (key, payload) = fetched_key(r#"{"key":"a/猫","payload":{"ok":true}}"#).unwrap();
        assert_eq!((key.as_str(), payload), ("a/猫", serde_json::json!({ "ok": true })));
        assert_eq!(fetched_key(r#"{"key":"a"}"#).unwrap().1, Value::Null);
        for reply in ["{}", "[]", r#"{"key":1}"#, "1"] {
            assert_eq!(fetched_key(reply).unwrap_err().status, 579, "{reply}");
        }
    }
}
