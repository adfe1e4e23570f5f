//! What is known of every request on either listener: its id, its lines in the log, its place in the counters.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use tracing::Instrument;

use super::body::Timed;
use super::forwarded::Proxies;
use super::server::Respond;
use crate::cache::Origin;
use crate::metrics::{Answered, Metrics};
use crate::transform::Timings;
use crate::workers::Lane;

/// One of the two listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listener {
    /// Images.
    Delivery,
    /// Everything else.
    Api,
}

impl Listener {
    /// Its name in the log and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Api => "api",
        }
    }
}

static X_REQID: HeaderName = HeaderName::from_static("x-reqid");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, in its extensions while it is worked on.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Where a result came from and what making it took; in the extensions of its answer.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Whether the cache had it.
    pub origin: Origin,
    /// What making it took, once.
    pub timings: Timings,
}

/// What tells of the requests of a connection.
pub(super) struct Observer {
    pub(super) listener: Listener,
    pub(super) peer: SocketAddr,
    pub(super) proxies: Arc<Proxies>,
    pub(super) metrics: Arc<Metrics>,
}

/// What is told of a request.
struct Told<'a> {
    method: &'a Method,
    path: &'a str,
    client: IpAddr,
    id: HeaderValue,
    started: Instant,
}

impl Observer {
    /// The answer that `respond` has at once.
    pub(super) fn at_once<R: Respond>(&self, request: &Request<Timed>, respond: &R) -> Option<Response<R::Body>> {
        let started = Instant::now();
        let mut response = respond.at_once(request, started)?;
        let id = request_id(request.headers());
        let span = tracing::info_span!("request", request_id = id.to_str().unwrap_or_default());
        #[cfg(feature = "otel")]
        crate::traces::continue_trace(&span, request.headers());
        let _entered = span.enter();
        if response.status().is_success() {
            self.metrics.result(Origin::Hit, Timings::default());
        }
        let client = self.proxies.client(self.peer.ip(), request.headers());
        let (method, path) = (request.method(), request.uri().path());
        self.tell(&Told { method, path, client, id, started }, &mut response);
        Some(response)
    }

    /// The answer of `respond`, with the request's id; one line of the log tells of it, and every line on the way names the
    /// id.
    pub(super) async fn observed<R: Respond>(&self, mut request: Request<Timed>, respond: R) -> Response<R::Body> {
        let started = Instant::now();
        let id = request_id(request.headers());
        let text = id.to_str().unwrap_or_default().to_owned();
        let span = tracing::info_span!("request", request_id = text);
        #[cfg(feature = "otel")]
        crate::traces::continue_trace(&span, request.headers());
        let client = self.proxies.client(self.peer.ip(), request.headers());
        request.extensions_mut().insert(Lane::from(client));
        request.extensions_mut().insert(RequestId(text));
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let mut response = respond.respond(request).instrument(span.clone()).await;
        let _entered = span.enter();
        if let Some(made) = response.extensions().get::<Made>() {
            self.metrics.result(made.origin, made.timings);
        }
        self.tell(&Told { method: &method, path: uri.path(), client, id, started }, &mut response);
        response
    }

    /// Counts an answer, names it and logs it. The query may carry tokens and is not logged.
    fn tell<T>(&self, told: &Told<'_>, response: &mut Response<T>) {
        let Told { method, path, client, id, started } = told;
        // The vendor's clients take an answer without X-Reqid for a stranger's (spec 9).
        response.headers_mut().insert(&X_REQID, id.clone());
        response.headers_mut().insert(&X_REQUEST_ID, id.clone());
        let (listener, peer, status) = (self.listener.name(), self.peer, response.status().as_u16());
        let time = started.elapsed();
        self.metrics.answered(Answered { listener, method: known(method), status, time });
        let ms = time.as_secs_f64() * 1000.0;
        if is_probe(path) {
            tracing::debug!(listener, %peer, %client, %method, path, status, ms, "request");
        } else {
            tracing::info!(listener, %peer, %client, %method, path, status, ms, "request");
        }
    }
}

/// A method's name among few.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// What machines ask all the time.
fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

/// The caller's request id where it is a plain one, else a new one: 16 URL-safe characters.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get("x-request-id").filter(|value| {
        let bytes = value.as_bytes();
        (1..=64).contains(&bytes.len()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    });
    given.cloned().unwrap_or_else(|| {
        let text = URL_SAFE_NO_PAD.encode(random_bytes());
        HeaderValue::from_str(&text).expect("URL-safe Base64 is a header value")
    })
}

/// Twelve bytes that do not repeat: a counter behind a start value that differs from process to process.
fn random_bytes() -> [u8; 12] {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&PROCESS.to_be_bytes());
    bytes[8..].copy_from_slice(&COUNTER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}
