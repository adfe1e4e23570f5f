//! Failures as Qiniu's clients expect them: `{"error": "…"}` under one of the vendor's statuses (spec 9).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderValue};
use serde_json::{Map, Value};

use crate::auth;
use crate::error::ErrorKind;
use crate::http::respond::status_of;
use crate::jobs::queue;
use crate::{store, transform};

/// A status of the vendor's with a text that is safe for any caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// 400 to 999; clients retry or not by it.
    pub status: u16,
    /// What was wrong.
    pub message: String,
    /// What else the body says, beside `error`.
    pub details: Map<String, Value>,
}

impl Failure {
    /// A failure of this status and text.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), details: Map::new() }
    }

    /// 400: what is wrong, the value, and what was expected.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 612: no such object, task or upload.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(612, message)
    }

    /// 599: a fault of the server; what it was is in the log.
    pub fn internal(problem: &dyn std::fmt::Display) -> Self {
        tracing::error!(%problem, "request failed");
        Self::new(599, "the server failed on this request")
    }

    /// 507 where this server's own disk is full; 599 for its other failures.
    pub fn of_disk(error: &std::io::Error) -> Self {
        match store::is_full(error) {
            true => {
                tracing::warn!(%error, "the disk is full");
                Self::new(status_of(ErrorKind::Full).as_u16(), "the server has no room left for what is sent")
            }
            false => Self::internal(error),
        }
    }

    /// The same failure with more in its body.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The body, as a batch lists it too.
    pub fn body(&self) -> Value {
        let mut body = self.details.clone();
        body.insert("error".to_owned(), self.message.clone().into());
        Value::Object(body)
    }

    /// The status as HTTP sends it; hyper takes 100 to 999.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        json(self.status(), &self.body())
    }
}

/// An answer of JSON that nobody keeps.
pub fn json(status: StatusCode, body: &Value) -> Response {
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [no_store, json], body.to_string()).into_response()
}

impl From<auth::Error> for Failure {
    fn from(error: auth::Error) -> Self {
        Self::new(status_of(error.kind()).as_u16(), error.to_string())
    }
}

/// A full queue is told as the vendor tells of too many requests; the rest as everywhere.
impl From<queue::Error> for Failure {
    fn from(error: queue::Error) -> Self {
        match &error {
            full if full.is_full() => Self::new(429, error.to_string()),
            _ => match error.kind() {
                ErrorKind::Busy => of_kind(ErrorKind::Busy, &error),
                ErrorKind::Full => {
                    tracing::warn!(%error, "the database has no room left");
                    of_kind(ErrorKind::Full, &error)
                }
                _ => Self::internal(&error),
            },
        }
    }
}

/// As resources are managed: 612 and 631 where delivery says 404 (spec 8 and 9).
impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match &error {
            store::Error::NotFound { .. } => Self::missing("no such file or directory"),
            store::Error::NoSuchBucket(_) => Self::new(631, "no such bucket"),
            store::Error::Exists { .. } => Self::new(614, "file exists"),
            _ => of_kind(error.kind(), &error),
        }
    }
}

impl From<&transform::Error> for Failure {
    fn from(error: &transform::Error) -> Self {
        of_kind(error.kind(), error)
    }
}

fn of_kind(kind: ErrorKind, error: &dyn std::fmt::Display) -> Failure {
    match kind {
        ErrorKind::TooLarge => Failure::new(413, error.to_string()),
        kind => Failure::new(status_of(kind).as_u16(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_vendors_statuses() {
        let (bucket, key) = ("photos".to_owned(), "a".to_owned());
        let missing = store::Error::NotFound { bucket: bucket.clone(), key: key.clone() };
        for (failure, status, message) in [
            (Failure::from(missing), 612, "no such file or directory"),
            (Failure::from(store::Error::Exists { bucket, key }), 614, "file exists"),
            (Failure::from(store::Error::NoSuchBucket("x".to_owned())), 631, "no such bucket"),
            (Failure::from(auth::Error::BadToken), 401, "bad token"),
            (Failure::from(auth::Error::Expired), 401, "expired token"),
            (Failure::from(auth::Error::Skewed), 403, "request time too skewed"),
            (Failure::from(auth::Error::NotAllowed), 403, "not allowed"),
        ] {
            assert_eq!((failure.status, failure.message.as_str()), (status, message));
            assert_eq!(failure.body(), serde_json::json!({ "error": message }));
        }
    }

    #[test]
    fn full_disks_are_told_from_broken_ones() {
        use std::io::{Error, ErrorKind as Io};
        for (kind, status) in [(Io::StorageFull, 507), (Io::QuotaExceeded, 507), (Io::PermissionDenied, 599)] {
            assert_eq!(Failure::of_disk(&Error::from(kind)).status, status, "{kind}");
        }
        let full = queue::Error::Shared { problem: "(code: 13) database or disk is full".to_owned() };
        assert_eq!(Failure::from(full).status, 507);
    }

    #[test]
    fn every_status_goes_over_http() {
        for status in [298, 573, 579, 599, 612, 631, 701] {
            assert_eq!(Failure::new(status, "").into_response().status().as_u16(), status);
        }
    }
}
