//! GraphQL over HTTP: who asks, what is asked, and how it is answered (spec 2).

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};
use serde_json::{Map, Value};

use super::mutation::Mutation;
use super::query::Query;
use super::{Altizure, Caller};
use crate::auth::user_token;
use crate::http::forwarded::scheme;
use crate::http::graphql::{self, execute, refusal};
use crate::http::target::host;

/// Most bytes of a request: a document and its variables.
const MAX_BODY_BYTES: usize = 256 << 10;

/// Answers a request.
pub(super) async fn answer(State(altizure): State<Arc<Altizure>>, request: Request) -> Response {
    let (status, body) = match answered(&altizure, request).await {
        Ok(body) => (StatusCode::OK, body),
        Err((status, problem)) => (status, refusal(&graphql::Error::new(problem))),
    };
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let any_origin = (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    (status, [json, no_store, any_origin], body.to_string()).into_response()
}

type Refused = (StatusCode, String);

async fn answered(altizure: &Arc<Altizure>, request: Request) -> Result<Value, Refused> {
    let caller = caller(altizure, &request, SystemTime::now())?;
    let (parts, body) = request.into_parts();
    let body = read(altizure, body).await?;
    let request = parsed(&parts.headers, &body).map_err(|problem| (StatusCode::BAD_REQUEST, problem))?;
    let (query, mutation) = (Query::new(altizure, &caller), Mutation::new(altizure, &caller));
    Ok(execute(&altizure.schema, &query, &mutation, &request).await)
}

/// Who asks. The application's key says nothing but that it is known; users have tokens.
fn caller(altizure: &Altizure, request: &Request, now: SystemTime) -> Result<Caller, Refused> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if header("key").is_none_or(|key| altizure.keys.get(key).is_none()) {
        return Err((StatusCode::UNAUTHORIZED, "key is missing or unknown; expected an application's key".to_owned()));
    }
    // The API listener speaks no TLS.
    let scheme = scheme(request, false);
    let mut caller = Caller { user: None, origin: format!("{scheme}://{}", host(request).unwrap_or("localhost")), now };
    let token = header("altitoken").map(|token| user_token::verify(token, caller.seconds(), &altizure.keys));
    caller.user = token.and_then(Result::ok).map(|grant| grant.access_key);
    Ok(caller)
}

async fn read(altizure: &Altizure, body: Body) -> Result<Bytes, Refused> {
    let read = tokio::time::timeout(altizure.settings.patience, to_bytes(body, MAX_BODY_BYTES)).await;
    let late = |_| (StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time".to_owned());
    read.map_err(late)?.map_err(|error| match std::error::Error::source(&error) {
        Some(cause) if cause.is::<http_body_util::LengthLimitError>() => {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("the request has more than {MAX_BODY_BYTES} bytes"))
        }
        _ => (StatusCode::BAD_REQUEST, format!("the request could not be read: {error}")),
    })
}

/// A request as JSON, or as a form.
fn parsed(headers: &HeaderMap, body: &[u8]) -> Result<graphql::Request, String> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = media_type.starts_with("application/x-www-form-urlencoded");
    let members = if is_form { form(body)? } else { json(body)? };
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{name} is no text")),
    };
    let variables = match members.get("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(variables)) => variables.clone(),
        Some(_) => return Err("variables is no JSON object".to_owned()),
    };
    let query = text("query")?.ok_or("query is missing; expected a document")?;
    Ok(graphql::Request { query, variables, operation: text("operationName")? })
}

fn json(body: &[u8]) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(body).map_err(|error| format!("the request is no JSON object: {error}"))
}

fn form(body: &[u8]) -> Result<Map<String, Value>, String> {
    let mut members = Map::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        let value = match &*name {
            "variables" if value.is_empty() => Value::Null,
            "variables" => serde_json::from_str(&value).map_err(|error| format!("variables is no JSON: {error}"))?,
            _ => value.into_owned().into(),
        };
        members.insert(name.into_owned(), value);
    }
    Ok(members)
}

/// The schema, for people.
pub(super) async fn documentation(State(altizure): State<Arc<Altizure>>) -> Html<String> {
    let text = altizure.schema.text().replace('&', "&amp;").replace('<', "&lt;");
    Html(format!(
        "<!doctype html><title>API</title><h1>API</h1><p>POST GraphQL here, with the header <code>key</code>.</p><pre>{text}</pre>"
    ))
}

/// CORS: pages of any origin may ask; key and token are what lets them.
pub(super) async fn preflight(headers: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    allow(response.headers_mut(), "GET, POST, OPTIONS", headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS));
    response
}

/// Says that pages of any origin may use these methods, with the headers that they ask for.
pub(super) fn allow(headers: &mut HeaderMap, methods: &'static str, asked: Option<&HeaderValue>) {
    let mut set = |name: HeaderName, value: HeaderValue| headers.insert(name, value);
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    set(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    set(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    if let Some(asked) = asked {
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(media_type: &str, body: &str) -> Result<graphql::Request, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap());
        parsed(&headers, body.as_bytes())
    }

    #[test]
    fn requests_are_json_or_forms() {
        let expected = graphql::Request {
            query: "{ a }".to_owned(),
            variables: serde_json::from_str("{\"b\":1}").unwrap(),
            operation: Some("C".to_owned()),
        };
        let json = r#"{"query":"{ a }","variables":{"b":1},"operationName":"C"}"#;
        for media_type in ["application/json", "application/json; charset=utf-8", ""] {
            assert_eq!(read_as(media_type, json), Ok(expected.clone()), "{media_type}");
        }
        let form = "query=%7B+a+%7D&variables=%7B%22b%22%3A1%7D&operationName=C";
        assert_eq!(read_as("application/x-www-form-urlencoded", form), Ok(expected));
        for (body, problem) in [
            ("", "no JSON object"),
            ("[]", "no JSON object"),
            ("{}", "query is missing"),
            (r#"{"query":1}"#, "query is no text"),
            (r#"{"query":"","variables":[]}"#, "variables is no JSON object"),
        ] {
            assert!(read_as("application/json", body).unwrap_err().contains(problem), "{body}");
        }
    }
}
