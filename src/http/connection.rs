//! One connection and its deadlines: a client that sends slowly, takes nothing, or just stays is sent away.
//!
//! What hyper cannot know is here: a deadline that starts with a head's first byte, one for a connection without a request,
//! and one for a client that does not read. Bodies have theirs in [`super::body`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// For a request's head, from its first byte.
    pub(super) head: Duration,
    /// Without a request.
    pub(super) idle: Duration,
    /// Without taking anything of an answer.
    pub(super) write: Duration,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    Head,
    Idle,
    Write,
}

/// What goes on in a connection; shared by its stream, its requests and whoever watches it.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    open_requests: usize,
    /// Since when there is no request, and nothing of an answer has left.
    quiet_since: Instant,
    /// When the first byte came of a head that is not complete.
    head_since: Option<Instant>,
    /// Since when the client takes nothing.
    blocked_since: Option<Instant>,
    /// HTTP/2 has frames of its own between requests.
    is_multiplexed: bool,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            open_requests: 0,
            quiet_since: Instant::now(),
            head_since: None,
            blocked_since: None,
            is_multiplexed: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below panics, and each change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request whose head is complete; it is open until the guard is dropped.
    pub(super) fn begin(&self, version: http::Version) -> OpenRequest {
        let mut state = self.state();
        state.open_requests += 1;
        state.head_since = None;
        state.is_multiplexed |= version == http::Version::HTTP_2;
        OpenRequest(self.clone())
    }

    fn received(&self) {
        let mut state = self.state();
        if state.open_requests == 0 && !state.is_multiplexed {
            state.head_since.get_or_insert_with(Instant::now);
        }
    }

    fn written(&self, is_blocked: bool) {
        let now = Instant::now();
        let mut state = self.state();
        if is_blocked {
            state.blocked_since.get_or_insert(now);
        } else {
            state.blocked_since = None;
            state.quiet_since = now;
        }
    }

    /// Waits until a deadline has passed.
    pub(super) async fn expired(&self, deadlines: Deadlines) -> Expiry {
        // No deadline can arise and pass between two looks.
        let pause = deadlines.head.min(deadlines.idle).min(deadlines.write);
        loop {
            let now = Instant::now();
            let next = self.state().next(deadlines);
            match next {
                Some((deadline, expiry)) if deadline <= now => return expiry,
                Some((deadline, _)) => tokio::time::sleep_until(deadline.min(now + pause)).await,
                None => tokio::time::sleep(pause).await,
            }
        }
    }
}

impl State {
    fn next(&self, deadlines: Deadlines) -> Option<(Instant, Expiry)> {
        let blocked = self.blocked_since.map(|since| (since + deadlines.write, Expiry::Write));
        if blocked.is_some() || self.open_requests > 0 {
            return blocked;
        }
        let head = self.head_since.map(|since| (since + deadlines.head, Expiry::Head));
        head.or(Some((self.quiet_since + deadlines.idle, Expiry::Idle)))
    }
}

/// A request that is being worked on or answered.
#[derive(Debug)]
pub(super) struct OpenRequest(Activity);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open_requests -= 1;
        state.quiet_since = Instant::now();
    }
}

/// A stream that notes what happens on it.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Activity,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.activity.written(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.activity.written(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines =
        Deadlines { head: Duration::from_secs(1), idle: Duration::from_secs(10), write: Duration::from_secs(100) };

    fn next(activity: &Activity) -> Option<(Duration, Expiry)> {
        let state = activity.state();
        let zero = state.quiet_since;
        state.next(DEADLINES).map(|(at, expiry)| (at.saturating_duration_since(zero), expiry))
    }

    #[test]
    fn what_a_connection_waits_for() {
        let activity = Activity::new();
        assert_eq!(next(&activity), Some((DEADLINES.idle, Expiry::Idle)));
        activity.received();
        assert_eq!(next(&activity).unwrap().1, Expiry::Head);
        let request = activity.begin(http::Version::HTTP_11);
        activity.received();
        assert_eq!(next(&activity), None, "work has deadlines of its own");
        activity.written(true);
        assert_eq!(next(&activity).unwrap().1, Expiry::Write);
        activity.written(false);
        assert_eq!(next(&activity), None);
        drop(request);
        assert_eq!(next(&activity), Some((DEADLINES.idle, Expiry::Idle)));
    }

    #[test]
    fn frames_of_http2_are_no_heads() {
        let activity = Activity::new();
        drop(activity.begin(http::Version::HTTP_2));
        activity.received();
        assert_eq!(next(&activity).unwrap().1, Expiry::Idle);
    }
}
