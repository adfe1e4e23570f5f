//! Listeners: accept, serve, drain.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::{Either, ready};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::body::{Counted, Timed};
use super::connection::{Activity, Deadlines, Watched};
use super::forwarded::Proxies;
use super::observe::{Listener, Observer};
use super::places::{Full, Place, Places};
use super::tls::Certificate;
use crate::config::ServerConfig;
use crate::metrics::Metrics;

/// Streams of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 100;
/// Bytes of an answer that wait in a stream of HTTP/2 for a client that does not read.
const SEND_BUFFER_BYTES: usize = 256 << 10;
/// Readers of bodies that have a patience of their own say it in their dialect's words; this is for all others.
const BODY_GRACE: Duration = Duration::from_secs(1);
/// What is told to who has no place.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// An error that ends an answer half-way.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where clients come in, and how they are treated.
#[derive(Debug)]
pub struct Endpoint {
    /// Which one it is.
    pub listener: Listener,
    /// Its socket.
    pub tcp: TcpListener,
    /// What clients may take.
    pub config: ServerConfig,
    /// What counts them.
    pub metrics: Arc<Metrics>,
    /// Its certificate, where it speaks TLS.
    pub tls: Option<Arc<Certificate>>,
}

/// A listener's clients.
struct Server {
    listener: Listener,
    config: ServerConfig,
    metrics: Arc<Metrics>,
    tls: Option<TlsAcceptor>,
    places: Places,
    proxies: Arc<Proxies>,
    /// Open connections, to be waited for.
    connections: TaskTracker,
    /// Open requests may end, new ones are not taken.
    drain: CancellationToken,
    /// Nothing may go on.
    kill: CancellationToken,
}

/// What answers a listener's requests. Clones are cheap: each request gets one.
pub trait Respond: Clone + Send + Sync + 'static {
    /// The bodies of answers.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// The answer, where it takes no work and no wait.
    fn at_once(&self, _request: &Request<Timed>, _now: Instant) -> Option<Response<Self::Body>> {
        None
    }

    /// The answer.
    fn respond(self, request: Request<Timed>) -> impl Future<Output = Response<Self::Body>> + Send;
}

impl Respond for axum::Router {
    type Body = axum::body::Body;

    async fn respond(mut self, request: Request<Timed>) -> Response<Self::Body> {
        let Ok(response) = self.call(request.map(axum::body::Body::new)).await;
        response
    }
}

/// Serves `respond` until `stop`, then lets open requests finish.
pub async fn serve(endpoint: Endpoint, respond: impl Respond, stop: CancellationToken) {
    let Endpoint { listener, tcp, config, metrics, tls } = endpoint;
    let server = Arc::new(Server {
        listener,
        metrics,
        tls: tls.map(|certificate| certificate.acceptor()),
        proxies: Arc::new(Proxies::new(&config)),
        places: Places::new(config.connections, config.connections_per_address),
        config,
        connections: TaskTracker::new(),
        drain: CancellationToken::new(),
        kill: CancellationToken::new(),
    });
    while let Some((stream, peer)) = accept(&tcp, &stop).await {
        match server.places.take(peer.ip()) {
            Ok(place) => {
                let connection = Arc::clone(&server).converse(stream, peer, place, respond.clone());
                server.connections.spawn(connection);
            }
            Err(full) => server.refuse(&stream, peer, full),
        }
    }
    drop(tcp);
    server.end().await;
}

/// The next connection; `None` once the server stops.
async fn accept(tcp: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            accepted = tcp.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) => {
                // Out of file descriptors, most likely: closing connections will free some.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Server {
    /// Says so to who may read it, without waiting for anybody.
    fn refuse(&self, stream: &TcpStream, peer: SocketAddr, full: Full) {
        tracing::debug!(%peer, ?full, "a connection is refused: there are too many");
        self.metrics.refused(self.listener.name(), full.limit());
        if self.tls.is_none() {
            let _ = stream.try_write(NO_PLACE);
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: Place, respond: impl Respond) {
        let _place = place;
        let _connected = self.metrics.connected(self.listener.name());
        // Small answers leave at once; a failure here costs only speed.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.talk(stream, peer, respond).await };
        let greeting = tokio::select! {
            greeting = tokio::time::timeout(self.config.head_timeout, tls.accept(stream)) => greeting,
            () = self.kill.cancelled() => return,
        };
        match greeting {
            Ok(Ok(stream)) => self.talk(stream, peer, respond).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
            Err(_) => tracing::debug!(%peer, "no TLS in time"),
        }
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
        respond: impl Respond,
    ) {
        let activity = Activity::new();
        let stream = Watched::new(stream, activity.clone());
        let observer = Arc::new(Observer {
            listener: self.listener,
            peer,
            proxies: Arc::clone(&self.proxies),
            metrics: Arc::clone(&self.metrics),
        });
        let service = service_fn(|request: Request<Incoming>| {
            let open = activity.begin(request.version());
            let request = request.map(|body| Timed::new(body, self.config.body_timeout + BODY_GRACE));
            let observer = Arc::clone(&observer);
            let (listener, metrics) = (self.listener.name(), Arc::clone(&self.metrics));
            let counted = move |response: Response<_>| {
                Ok::<_, Infallible>(response.map(|body| Counted::new(body, open, listener, metrics)))
            };
            match observer.at_once(&request, &respond) {
                Some(response) => Either::Left(ready(counted(response))),
                None => {
                    let respond = respond.clone();
                    let answer = async move { counted(observer.observed(request, respond).await) };
                    // Moved about by hyper, while it is large.
                    Either::Right(Box::pin(answer))
                }
            }
        });
        let builder = self.builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut expired = pin!(activity.expired(self.deadlines()));
        let mut is_draining = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, error = %error, "connection ended");
                    }
                    return;
                }
                expiry = expired.as_mut() => return tracing::debug!(%peer, ?expiry, "connection closed"),
                () = self.drain.cancelled(), if !is_draining => {
                    is_draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.kill.cancelled() => return,
            }
        }
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let head_bytes = usize::try_from(self.config.head_bytes).unwrap_or(usize::MAX);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Heads have their deadline in `connection`, which tells them from connections that wait.
        builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(head_bytes);
        // Tencent's SDK for Python looks for `Content-Type` in that very case.
        builder.http1().title_case_headers(self.listener == Listener::Api);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(MAX_STREAMS)
            .max_send_buf_size(SEND_BUFFER_BYTES);
        builder
    }

    fn deadlines(&self) -> Deadlines {
        Deadlines { head: self.config.head_timeout, idle: self.config.idle_timeout, write: self.config.write_timeout }
    }

    /// Lets open requests end, for a while.
    async fn end(&self) {
        self.drain.cancel();
        self.connections.close();
        if tokio::time::timeout(self.config.drain_timeout, self.connections.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(listener = self.listener.name(), "requests were still open when the server stopped");
        self.kill.cancel();
        self.connections.wait().await;
    }
}
