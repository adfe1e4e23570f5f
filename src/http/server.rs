//! Listeners: accept, serve, drain.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::respond::Body;
use super::target::Delivery;
use crate::workers::Lane;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long open requests may go on after the server was told to stop.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;

/// Serves delivery on `listener` until `stop`, then lets open requests finish.
pub async fn serve(listener: TcpListener, delivery: Arc<Delivery>, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: closing connections will free some.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        // Small answers leave at once; a failure here costs only speed.
        let _ = stream.set_nodelay(true);
        let delivery = Arc::clone(&delivery);
        let service = service_fn(move |request| {
            let delivery = Arc::clone(&delivery);
            async move { Ok::<_, Infallible>(answer(&delivery, request, peer).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES);
        builder.http2().timer(TokioTimer::new()).max_header_list_size(HEAD_BYTES as u32);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, error = %error, "connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still open when the server stopped");
    }
}

async fn answer(delivery: &Delivery, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    let started = Instant::now();
    let id = request_id(request.headers());
    request.extensions_mut().insert(Lane::from(peer.ip()));
    let mut response = delivery.answer(&request).await;
    // The vendor's clients take an answer without X-Reqid for a stranger's (spec 9).
    for name in ["x-request-id", "x-reqid"] {
        response.headers_mut().insert(HeaderName::from_static(name), id.clone());
    }
    // The query may carry tokens and is not logged.
    tracing::info!(
        request_id = id.to_str().unwrap_or_default(),
        %peer,
        method = %request.method(),
        path = request.uri().path(),
        status = response.status().as_u16(),
        ms = started.elapsed().as_secs_f64() * 1000.0,
        "request"
    );
    response
}

/// The caller's request id where it is a plain one, else a new one: 16 URL-safe characters.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
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
