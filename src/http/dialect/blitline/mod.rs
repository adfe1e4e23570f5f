//! Blitline's jobs on the API listener (its spec): a tree of functions with saves, submitted as JSON in six wrappings, told of by
//! postback or by polling.
//!
//! `body` unwraps, `job` reads a job, `source` and `save` its ends, `functions` says each function in our operators, `wording` is
//! what is kept to speak of the job again, `reply` speaks.

mod body;
mod functions;
mod job;
mod layers;
mod poll;
pub mod reply;
mod save;
mod shapes;
mod source;
mod values;
mod wording;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::header::{self, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode, Uri};
use serde_json::{Value, json};
use url::Url;

use self::job::{MAX_JOB_BYTES, Reader};
use crate::auth::{self, KeyRing};
use crate::jobs::model::{Api, Submission};
use crate::jobs::queue::{self, Queue};
use crate::transform::Transformer;

/// Most bytes of a request: some jobs of the longest, with every character escaped.
const MAX_BODY_BYTES: usize = 4 << 20;

/// Where jobs go, and what they may work on.
#[derive(Clone, Debug)]
pub struct Blitline {
    /// Where jobs are kept.
    pub queue: Queue,
    /// What they work on.
    pub transformer: Transformer,
    /// Who may: an application id is an access key.
    pub keys: Arc<KeyRing>,
    /// What the URLs of results begin with; without it, the delivery listener of the host that was asked.
    pub url: Option<Url>,
    /// How long `/listen` waits for a job.
    pub listen: Duration,
    /// The port of the delivery listener.
    pub delivery_port: u16,
}

/// The dialect's routes.
pub fn router(blitline: Blitline) -> Router {
    Router::new()
        .route("/job", post(submit))
        .route("/listen/{id}", get(poll::listen))
        .route("/poll", get(poll::poll))
        .route("/poll/{id}", get(poll::poll_path))
        .route("/convert", any(not_done))
        .route("/actions/{*action}", any(not_done))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(blitline))
}

async fn submit(
    State(blitline): State<Arc<Blitline>>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|rejection| Refusal::of_body(&rejection))?;
    let jobs = body::unwrapped(&headers, &body)?;
    let base = blitline.base(&headers);
    let application = body::application(uri.query());
    let mut results = Vec::with_capacity(jobs.list.len());
    for job in &jobs.list {
        results.push(blitline.take(job, application.as_deref(), &base, &headers).await);
    }
    if !jobs.is_array {
        return Ok(answer(StatusCode::OK, &json!({ "results": results.remove(0)? })));
    }
    // One accepted job makes the request a success; else the first refusal says why it is none.
    let status = match results.iter().find_map(|result| result.as_ref().err().map(|refusal| refusal.status)) {
        Some(status) if results.iter().all(Result::is_err) => status,
        _ => StatusCode::OK,
    };
    let results: Vec<Value> = results.into_iter().map(|result| result.unwrap_or_else(|it| it.inner())).collect();
    Ok(answer(status, &json!({ "results": results })))
}

impl Blitline {
    /// Takes on one job; what the caller is told of it.
    async fn take(
        &self,
        job: &Value,
        application: Option<&str>,
        base: &str,
        headers: &HeaderMap,
    ) -> Result<Value, Refusal> {
        let now = SystemTime::now();
        let reader = Reader { blitline: self, application, base, now };
        let job::Read { owner, mut spec, priority, wording } = reader.read(job)?;
        spec.request_id = headers
            .get(HeaderName::from_static("x-request-id"))
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let (api, queue) = (Api::Blitline, job::QUEUE.to_owned());
        let submission = Submission { api, owner, queue, priority, jobs: vec![spec], is_batch: false };
        let submitted = self.queue.submit(submission, now).await?;
        Ok(reply::submitted(&submitted.jobs[0], &wording))
    }

    /// What the URLs of results begin with, without a slash at its end.
    fn base(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.url {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let end = asked.rfind(':').filter(|colon| !asked[*colon..].contains(']')).unwrap_or(asked.len());
        format!("http://{}:{}", &asked[..end], self.delivery_port)
    }
}

async fn not_done() -> Refusal {
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "only /job, /listen and /poll are done here")
}

/// A refusal as this API tells it: `{"results":{"error":"…"}}`.
#[derive(Clone, Debug, PartialEq)]
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// 400: what is wrong, the value, and what was expected.
    fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    fn of_body(rejection: &BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::too_large(format!("the request has more than {MAX_BODY_BYTES} bytes"))
            }
            _ => Self::invalid("the request's body could not be read"),
        }
    }

    /// A job that is longer than it may be.
    fn of_long_job() -> Self {
        Self::too_large(format!("a job has at most {MAX_JOB_BYTES} characters"))
    }

    /// What stands under `results`.
    fn inner(&self) -> Value {
        json!({ "error": self.message })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer(self.status, &json!({ "results": self.inner() }))
    }
}

impl From<queue::Error> for Refusal {
    fn from(error: queue::Error) -> Self {
        if error.is_full() {
            return Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string());
        }
        tracing::error!(%error, "a request to the Blitline API failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed on this request")
    }
}

impl From<auth::Error> for Refusal {
    fn from(error: auth::Error) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

/// An answer of JSON that nobody keeps and that pages of any origin may read: jobs are submitted from pages too.
fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    (status, headers, body.to_string()).into_response()
}
