//! Qiniu's protocol on the API listener: uploads and resources (spec 6, 8, 9).
//!
//! Answers of this dialect carry `X-Reqid`: the vendor's clients take one without it for a stranger's.

pub mod access;
pub mod failure;
mod fops;
pub mod pfop;
pub mod prefop;

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderName;

use crate::http::server::request_id;

/// The id of a request, in its extensions while it is worked on, and in its answer.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Gives a request its id, and the answer `X-Reqid` and `X-Log`; for `axum::middleware::from_fn`.
pub async fn identified(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let text = id.to_str().unwrap_or_default().to_owned();
    request.extensions_mut().insert(RequestId(text.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for name in ["x-request-id", "x-reqid"] {
        headers.insert(HeaderName::from_static(name), id.clone());
    }
    headers.insert(HeaderName::from_static("x-log"), http::HeaderValue::from_static("mogr"));
    tracing::info!(
        request_id = text,
        %method,
        path,
        status = response.status().as_u16(),
        ms = started.elapsed().as_secs_f64() * 1000.0,
        "api request"
    );
    response
}
