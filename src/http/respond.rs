//! Responses: the headers that every answer has, and the one place where failures become statuses.

use std::time::SystemTime;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

use super::conditional::{self, Condition, Validators};
use super::hints;
use crate::auth;
use crate::error::ErrorKind;
use crate::plan::ParseError;
use crate::store::{self, ByteStream};
use crate::transform;

/// A response's body: whole or streamed.
pub type Body = UnsyncBoxBody<Bytes, store::Error>;

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body of bytes as they come.
pub fn streamed(stream: ByteStream) -> Body {
    BodyExt::boxed_unsync(StreamBody::new(stream.map(|piece| piece.map(Frame::data))))
}

/// A failure as HTTP tells it: a status and a text that is safe for any caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status; the vendor's own codes (599) among them.
    pub status: StatusCode,
    /// The public text.
    pub message: String,
    /// Whose fault it is; `None` where HTTP alone is broken.
    pub kind: Option<ErrorKind>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, message: &dyn std::fmt::Display) -> Self {
        Self { status: status_of(kind), message: message.to_string(), kind: Some(kind) }
    }

    /// The JSON answer, never cached.
    pub fn into_response(self) -> Response<Body> {
        let body = serde_json::json!({ "error": self.message }).to_string();
        let mut response = Response::new(full(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        }
        response
    }
}

/// The status for a kind of failure (spec 4.0 and 9).
pub fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::BadImage | ErrorKind::TooLarge => {
            StatusCode::BAD_REQUEST
        }
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Upstream => StatusCode::BAD_GATEWAY,
        ErrorKind::UpstreamTimeout | ErrorKind::Deadline => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Full => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        // The vendor's "server-side failure".
        ErrorKind::Internal => StatusCode::from_u16(599).expect("599 is a valid status code"),
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::new(error.kind(), &error)
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::new(error.kind(), &error)
    }
}

impl From<auth::Error> for Failure {
    fn from(error: auth::Error) -> Self {
        Self::new(error.kind(), &error)
    }
}

impl From<&transform::Error> for Failure {
    fn from(error: &transform::Error) -> Self {
        Self::new(error.kind(), &error)
    }
}

impl From<transform::Error> for Failure {
    fn from(error: transform::Error) -> Self {
        Self::from(&error)
    }
}

/// Headers that answers share: validators and lifetime.
#[derive(Clone, Debug)]
pub struct Caching {
    /// ETag and Last-Modified.
    pub validators: Validators,
    /// `Cache-Control`.
    pub cache_control: String,
    /// `Vary`: the request's headers that decided.
    pub vary: Option<String>,
    /// Whether clients are to tell of themselves.
    pub asks_hints: bool,
}

impl Caching {
    /// Puts them on a response.
    pub fn apply(&self, headers: &mut HeaderMap) {
        set(headers, header::ETAG, &self.validators.etag);
        set(headers, header::CACHE_CONTROL, &self.cache_control);
        if let Some(vary) = &self.vary {
            set(headers, header::VARY, vary);
        }
        if self.asks_hints {
            headers.insert("accept-ch", HeaderValue::from_static(hints::ACCEPT_CH));
        }
        if let Some(modified) = self.validators.modified {
            set(headers, header::LAST_MODIFIED, &http_date(modified));
        }
    }

    /// 304 or 412 where the request's conditions say so.
    pub fn precondition(&self, request: &HeaderMap) -> Option<Response<Body>> {
        let status = match conditional::evaluate(request, &self.validators) {
            Condition::Proceed => return None,
            Condition::NotModified => StatusCode::NOT_MODIFIED,
            Condition::Failed => StatusCode::PRECONDITION_FAILED,
        };
        let mut response = Response::new(full(Bytes::new()));
        *response.status_mut() = status;
        self.apply(response.headers_mut());
        Some(response)
    }
}

/// Sets a header; a value that no header may hold is left out.
pub fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// 416 for a body of `length` bytes.
pub fn unsatisfiable(length: u64) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::RANGE_NOT_SATISFIABLE,
        message: format!("the range lies outside the {length} bytes of the object"),
        kind: None,
    };
    let mut response = failure.into_response();
    set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{length}"));
    response
}

/// `attachment` with a file name that any browser reads right (RFC 6266, RFC 8187).
pub fn attachment(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    if plain == name {
        return format!("attachment; filename=\"{name}\"");
    }
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn http_date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_survive_headers() {
        assert_eq!(attachment("cat.jpg"), "attachment; filename=\"cat.jpg\"");
        assert_eq!(
            attachment("猫\"\r\n.jpg"),
            "attachment; filename=\"____.jpg\"; filename*=UTF-8''%E7%8C%AB%22%0D%0A%2Ejpg"
        );
    }
}
