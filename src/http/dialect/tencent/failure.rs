//! Failures as Tencent spells them (Tencent spec 10): XML with five fields, none of them empty.

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};
use http::{HeaderName, StatusCode};

use super::xml::{leaf, tree};
use crate::auth::cos;
use crate::error::ErrorKind;
use crate::http::respond;
use crate::jobs::queue;
use crate::plan::ParseError;
use crate::{store, transform};

/// A failure: status, the vendor's code, and a text that is safe for any caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status.
    pub status: u16,
    /// The code.
    pub code: &'static str,
    /// The text.
    pub message: String,
    /// The number of the vendor's download errors, where it is not the code's own.
    number: Option<&'static str>,
}

impl Failure {
    /// A failure.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), number: None }
    }

    /// With this number among the vendor's download errors.
    #[must_use]
    pub fn numbered(self, number: &'static str) -> Self {
        Self { number: Some(number), ..self }
    }

    /// 404 for a style that the bucket has not.
    pub fn no_style(name: &str) -> Self {
        Self::new(404, "NoSuchStyle", format!("the bucket has no style {name:?}")).numbered("-105")
    }

    /// 400 for what cannot be asked.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    /// 501 for what this server does not do.
    pub fn not_done(message: impl Into<String>) -> Self {
        Self::new(501, "NotImplemented", message)
    }

    fn of(kind: ErrorKind, message: &dyn std::fmt::Display) -> Self {
        let (status, code) = match kind {
            ErrorKind::Invalid | ErrorKind::Unsupported => (400, "InvalidArgument"),
            ErrorKind::BadImage => (400, "InvalidImageFormat"),
            ErrorKind::TooLarge => (400, "ImageTooLarge"),
            ErrorKind::Unauthorized | ErrorKind::Forbidden => (403, "AccessDenied"),
            ErrorKind::NotFound => (404, "NoSuchKey"),
            ErrorKind::Busy | ErrorKind::Full => (503, "ServiceUnavailable"),
            ErrorKind::Upstream | ErrorKind::UpstreamTimeout | ErrorKind::Deadline => (503, "ServiceUnavailable"),
            ErrorKind::Internal => (500, "InternalError"),
        };
        let failure = Self::new(status, code, message.to_string());
        match kind {
            ErrorKind::Deadline | ErrorKind::UpstreamTimeout => failure.numbered("-901"),
            _ => failure,
        }
    }

    /// The number of the vendor's download errors (spec 10), where it has one for this.
    fn number(&self) -> Option<&'static str> {
        if self.number.is_some() {
            return self.number;
        }
        Some(match self.code {
            "InvalidArgument" | "InvalidURI" => "-103",
            "InvalidImageFormat" => "-441",
            "ImageTooLarge" => "-167",
            "NoSuchKey" => "-6101",
            "SignatureDoesNotMatch" | "InvalidAccessKeyId" => "-46618",
            "AccessDenied" => "-46661",
            _ => return None,
        })
    }

    /// The answer, about `resource`. Downloads also have a number.
    pub fn into_response(self, resource: &str, request_id: &str, is_download: bool) -> Response {
        self.spelled(resource, request_id, is_download).into_response()
    }

    /// The answer with its document as text.
    pub(super) fn spelled(self, resource: &str, request_id: &str, is_download: bool) -> http::Response<String> {
        let resource = if resource.is_empty() { "/" } else { resource };
        let number = self.number().filter(|_| is_download);
        let message = if self.message.is_empty() { self.code.to_owned() } else { self.message };
        let document = tree(
            "Error",
            vec![
                leaf("Code", self.code),
                leaf("Message", message),
                leaf("Resource", resource),
                leaf("RequestId", request_id),
                leaf("TraceId", request_id),
            ],
        );
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = http::Response::new(document.document());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        if let Some(number) = number {
            headers.insert(HeaderName::from_static("x-errno"), HeaderValue::from_static(number));
        }
        response
    }
}

macro_rules! failures {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(error.kind(), &error)
            }
        })+
    };
}
failures!(store::Error, transform::Error, ParseError);

impl From<respond::Failure> for Failure {
    fn from(failure: respond::Failure) -> Self {
        if let Some(kind) = failure.kind {
            return Self::of(kind, &failure.message);
        }
        let (status, code) = match failure.status.as_u16() {
            405 => (405, "MethodNotAllowed"),
            416 => (416, "InvalidRange"),
            _ => (500, "InternalError"),
        };
        Self::new(status, code, failure.message)
    }
}

impl From<queue::Error> for Failure {
    fn from(error: queue::Error) -> Self {
        if error.is_full() {
            return Self::new(403, "QueueSaturated", error.to_string());
        }
        tracing::error!(%error, "the job database");
        Self::of(error.kind(), &"the job database could not do it")
    }
}

/// The codes of CI hosts, or those of COS hosts.
pub fn of_signature(error: &cos::Error, is_ci: bool) -> Failure {
    let (status, code) = match (error, is_ci) {
        (cos::Error::Missing, true) => (401, "MissingAuthorization"),
        (cos::Error::UnknownKey, true) => (401, "SecretidNotExist"),
        (cos::Error::Expired, true) => (401, "SignatureExpired"),
        (_, true) => (401, "InvalidAuthorization"),
        (cos::Error::Missing | cos::Error::Expired, false) => (403, "AccessDenied"),
        (cos::Error::UnknownKey, false) => (403, "InvalidAccessKeyId"),
        (cos::Error::Malformed { .. }, false) => (400, "InvalidArgument"),
        (cos::Error::Absent { .. } | cos::Error::Mismatch, false) => (403, "SignatureDoesNotMatch"),
    };
    Failure::new(status, code, error.to_string())
}
