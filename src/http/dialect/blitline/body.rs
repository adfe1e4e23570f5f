//! The wrappings that jobs come in (spec 3): a form, or JSON around an object, an array or a text of either.

use http::header::{self, HeaderMap};
use serde_json::Value;
use url::form_urlencoded;

use super::Refusal;

/// Most jobs of one request.
const MAX_JOBS: usize = 500;

/// The jobs of a request.
#[derive(Debug, PartialEq)]
pub(super) struct Jobs {
    pub(super) list: Vec<Value>,
    /// Whether they came as an array, so that the answer is one too.
    pub(super) is_array: bool,
}

/// Takes the jobs out of a request.
pub(super) fn unwrapped(headers: &HeaderMap, body: &[u8]) -> Result<Jobs, Refusal> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = media_type.to_ascii_lowercase().contains("json");
    let value = if is_json { parse(body)? } else { of_form(body)? };
    let jobs = match value {
        Value::Object(mut object) => match object.remove("json") {
            Some(Value::String(text)) => parse(text.as_bytes())?,
            Some(wrapped) => wrapped,
            None => Value::Object(object),
        },
        other => other,
    };
    let jobs = match jobs {
        Value::Array(list) => Jobs { list, is_array: true },
        job => Jobs { list: vec![job], is_array: false },
    };
    match jobs.list.len() {
        0 => Err(Refusal::invalid("json is an empty array; expected one job or more")),
        1..=MAX_JOBS => Ok(jobs),
        count => Err(Refusal::too_large(format!("json has {count} jobs; expected at most {MAX_JOBS}"))),
    }
}

/// The `json` field of a form; a body that is no form may be JSON without saying so.
fn of_form(body: &[u8]) -> Result<Value, Refusal> {
    match form_urlencoded::parse(body).find(|(name, _)| name == "json") {
        Some((_, text)) => parse(text.as_bytes()),
        None => parse(body),
    }
}

fn parse(text: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(text).map_err(|error| Refusal::invalid(format!("json cannot be read: {error}")))
}

/// The application id of a query.
pub(super) fn application(query: Option<&str>) -> Option<String> {
    form_urlencoded::parse(query?.as_bytes()).find(|(name, _)| name == "application_id").map(|(_, id)| id.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(media_type: &str, body: &str) -> Result<Jobs, Refusal> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media_type.parse().unwrap())]);
        unwrapped(&headers, body.as_bytes())
    }

    /// Spec 3, row by row.
    #[test]
    fn every_wrapping_is_taken_off() {
        let job = json!({ "src": "http://a.example/ä&b.jpg", "functions": [] });
        let text = job.to_string();
        let form = |text: &str| form_urlencoded::Serializer::new(String::new()).append_pair("json", text).finish();
        for (media_type, body, is_array) in [
            ("application/x-www-form-urlencoded", form(&text), false),
            ("application/x-www-form-urlencoded; charset=utf-8", form(&format!("[{text}]")), true),
            ("application/json", json!({ "json": [job] }).to_string(), true),
            ("application/json", json!({ "json": text }).to_string(), false),
            ("application/json", json!({ "json": format!("[{text}]") }).to_string(), true),
            ("application/json; charset=utf-8", json!({ "json": job }).to_string(), false),
            ("Application/JSON", text.clone(), false),
            ("application/json", format!("[{text}]"), true),
            ("text/plain", text.clone(), false),
        ] {
            assert_eq!(read(media_type, &body), Ok(Jobs { list: vec![job.clone()], is_array }), "{media_type} {body}");
        }
        assert_eq!(application(Some("a=b&application_id=A%20K")).as_deref(), Some("A K"));
        assert_eq!(application(None), None);
    }

    #[test]
    fn what_is_no_job_is_refused() {
        for (body, status) in [
            ("", 400),
            (r#"{"json":[{"src":"#, 400),
            (r#"{"json":"{"}"#, 400),
            (r#"{"json":[]}"#, 400),
            (&"[".repeat(10_000), 400),
            (&format!("[{}1]", "1,".repeat(500)), 413),
        ] {
            assert_eq!(read("application/json", body).unwrap_err().status.as_u16(), status, "{body:.60}");
        }
    }
}
