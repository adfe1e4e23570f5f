//! What a job works on (spec 4): a URL, or an object of a bucket.

use serde_json::Value;

use super::values::Fields;
use crate::jobs::model::Source;

/// Longest address.
const MAX_URL_BYTES: usize = 8 << 10;

/// Reads `src`; the text says what is wrong with it.
pub(super) fn source(src: Option<&Value>) -> Result<Source, String> {
    match src {
        Some(Value::String(url)) => address(url, "src").map(Source::Url),
        Some(value @ Value::Object(object)) => match object.get("name").and_then(Value::as_str) {
            Some("s3") | None if object.contains_key("bucket") => {
                let (bucket, key) = s3_object(value)?;
                Ok(Source::Object { bucket, key })
            }
            name => Err(format!("src.name is {name:?}; expected s3")),
        },
        _ => Err("src is missing; expected a URL or an S3 object".to_owned()),
    }
}

/// Bucket and key of `{"bucket":…,"key":…}`, where a bucket may have a name and a location.
pub(super) fn s3_object(value: &Value) -> Result<(String, String), String> {
    let object = Fields::of(Some(value));
    let bucket = match object.get("bucket") {
        Some(named @ Value::Object(_)) => Fields::of(Some(named)).text("name"),
        _ => object.text("bucket"),
    };
    let bucket = bucket.filter(|name| !name.is_empty()).ok_or("bucket is missing; expected its name")?;
    let key = object.text("key").map(|key| key.trim_start_matches('/').to_owned());
    let key =
        key.filter(|key| !key.is_empty() && !key.contains('\0')).ok_or("key is missing; expected that of an object")?;
    Ok((bucket, key))
}

/// An http or https URL as it is read: what was written may have characters that a database does not take.
pub(super) fn address(text: &str, name: &str) -> Result<String, String> {
    let parsed = url::Url::parse(text.trim()).ok();
    let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let address = parsed.map(String::from).filter(|url| url.len() <= MAX_URL_BYTES);
    address.ok_or_else(|| format!("{name} is no http or https URL of at most {MAX_URL_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_are_urls_and_objects() {
        let object = |bucket: &str, key: &str| Source::Object { bucket: bucket.to_owned(), key: key.to_owned() };
        for (src, expected) in [
            (json!("http://a.example/b c.jpg"), Source::Url("http://a.example/b%20c.jpg".to_owned())),
            (json!({ "name": "s3", "bucket": "b", "key": "/k/l.jpg" }), object("b", "k/l.jpg")),
            (json!({ "name": "s3", "bucket": { "name": "b", "location": "eu-west-1" }, "key": "k" }), object("b", "k")),
        ] {
            assert_eq!(source(Some(&src)), Ok(expected), "{src}");
        }
        for src in [
            json!(null),
            json!(""),
            json!("ftp://a/b"),
            json!("&ident"),
            json!({ "name": "canvas" }),
            json!({ "urls": [] }),
            json!({ "name": "s3", "bucket": "b" }),
            json!({ "name": "s3", "key": "k" }),
            json!({ "name": "s3", "bucket": "", "key": "k" }),
        ] {
            assert!(source(Some(&src)).is_err(), "{src}");
        }
    }
}
