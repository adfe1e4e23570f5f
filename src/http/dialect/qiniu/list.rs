//! `/list`: a bucket's keys, a page at a time (spec 8.2).

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_PAD_INDIFFERENT};
use http::StatusCode;
use serde_json::{Value, json};

use super::Qiniu;
use super::access::Call;
use super::failure::{Failure, json as answer};
use super::resources::described;
use crate::store::resources::Listing;

const MAX_LIMIT: usize = 1000;

/// Answers a page.
pub(super) async fn list(State(qiniu): State<Arc<Qiniu>>, request: Request) -> Result<Response, Failure> {
    let call = Call::read(request).await?;
    let caller = call.caller(&qiniu.delivery.keys, SystemTime::now())?;
    let fields = call.fields();
    let name = fields.required("bucket")?;
    let bucket = qiniu.bucket(name)?;
    caller.require(name, &qiniu.delivery.keys)?;
    let after = fields.filled("marker").map(decode_marker).transpose()?.unwrap_or_default();
    let listing = Listing {
        prefix: fields.get("prefix").unwrap_or_default(),
        delimiter: fields.get("delimiter").unwrap_or_default(),
        after: &after,
        limit: limit(fields.filled("limit"))?,
    };
    let page = bucket.list(listing).await?;
    let item = |(key, stat)| {
        let mut item = described(&stat);
        item.insert("key".to_owned(), Value::String(key));
        Value::Object(item)
    };
    let mut told = json!({ "items": page.objects.into_iter().map(item).collect::<Vec<_>>() });
    if !page.prefixes.is_empty() {
        told["commonPrefixes"] = page.prefixes.into();
    }
    if let Some(next) = page.next {
        told["marker"] = encode_marker(&next).into();
    }
    Ok(answer(StatusCode::OK, &told))
}

fn limit(text: Option<&str>) -> Result<usize, Failure> {
    let Some(text) = text else { return Ok(MAX_LIMIT) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Failure::invalid(format!("invalid argument: limit {text:?}; expected 1 to {MAX_LIMIT}")))
}

fn encode_marker(last: &str) -> String {
    // In the vendor's order, which serde's maps do not keep.
    URL_SAFE.encode(format!(r#"{{"c":0,"k":{}}}"#, Value::from(last)))
}

fn decode_marker(marker: &str) -> Result<String, Failure> {
    let json = URL_SAFE_PAD_INDIFFERENT.decode(marker).ok();
    let value = json.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let key = value.and_then(|value| value["k"].as_str().map(str::to_owned));
    key.ok_or_else(|| Failure::new(640, format!("invalid list marker {marker:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers() {
        assert_eq!(encode_marker("00000002.DCM"), "eyJjIjowLCJrIjoiMDAwMDAwMDIuRENNIn0=");
        for key in ["00000002.DCM", "猫/\"1\"", "a/"] {
            assert_eq!(decode_marker(&encode_marker(key)).as_deref(), Ok(key));
        }
        for marker in ["x", "$", "e30=", "eyJrIjoxfQ=="] {
            assert_eq!(decode_marker(marker).unwrap_err().status, 640, "{marker}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!((limit(None), limit(Some("1"))), (Ok(1000), Ok(1)));
        for text in ["0", "1001", "-1", "x"] {
            assert_eq!(limit(Some(text)).unwrap_err().status, 400, "{text}");
        }
    }
}
