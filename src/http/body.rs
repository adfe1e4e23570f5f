//! Bodies with deadlines and counts: what clients send must go on, and what is sent is counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::connection::OpenRequest;
use crate::metrics::Metrics;

/// Slower than this, over the whole of a body, is no upload.
const LEAST_BYTES_PER_SECOND: u64 = 1024;

/// Why a request's body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client was silent for too long.
    #[error("nothing was sent for {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// It sends, but next to nothing.
    #[error("the body comes too slowly: {bytes} bytes in {} s; expected {LEAST_BYTES_PER_SECOND} a second", .after.as_secs())]
    Slow {
        /// What came.
        bytes: u64,
        /// In which time.
        after: Duration,
    },
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
}

/// A request's body that must go on.
#[derive(Debug)]
pub struct Timed {
    incoming: Incoming,
    patience: Duration,
    started: Option<Instant>,
    bytes: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    /// `incoming`, whose client may be silent for `patience`. The clock starts when somebody reads.
    pub(super) fn new(incoming: Incoming, patience: Duration) -> Self {
        Self { incoming, patience, started: None, bytes: 0, timer: None }
    }

    /// When the body is given up unless more of it comes: silence, or the slowest pace since its start.
    fn deadline(&mut self) -> Instant {
        let now = Instant::now();
        let started = *self.started.get_or_insert(now);
        let paced = Duration::from_secs(self.bytes / LEAST_BYTES_PER_SECOND);
        (now + self.patience).min(started + self.patience + paced)
    }

    fn given_up(&self) -> Error {
        let after = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        match self.bytes {
            0 => Error::Silent(self.patience),
            bytes if bytes / LEAST_BYTES_PER_SECOND >= after.saturating_sub(self.patience).as_secs() => {
                Error::Silent(self.patience)
            }
            bytes => Error::Slow { bytes, after },
        }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            self.timer = None;
            if let Some(Ok(frame)) = &frame {
                self.started.get_or_insert_with(Instant::now);
                self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::Connection)));
        }
        if self.timer.is_none() {
            let deadline = self.deadline();
            self.timer = Some(Box::pin(tokio::time::sleep_until(deadline)));
        }
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
        }
        self.timer = None;
        Poll::Ready(Some(Err(self.given_up())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// An answer's body, which keeps its request open until it has been handed over, and tells how many bytes it had.
pub(super) struct Counted<B> {
    body: B,
    bytes: u64,
    listener: &'static str,
    metrics: Arc<Metrics>,
    _open: OpenRequest,
}

impl<B> Counted<B> {
    /// `body`, whose bytes are counted for a listener when it is dropped.
    pub(super) fn new(body: B, open: OpenRequest, listener: &'static str, metrics: Arc<Metrics>) -> Self {
        Self { body, bytes: 0, listener, metrics, _open: open }
    }
}

impl<B> Drop for Counted<B> {
    fn drop(&mut self) {
        self.metrics.sent(self.listener, self.bytes);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
