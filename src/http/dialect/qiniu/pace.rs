//! `trafficLimit`: how fast an upload may come (spec 6.1). A sender that is faster is read more slowly, so that it waits.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The pace of one request's body.
#[derive(Debug)]
pub(super) struct Pace {
    bits_per_second: Option<u64>,
    since: Instant,
    bytes: u64,
}

impl Pace {
    /// Of a body whose policy names this limit, or none.
    pub(super) fn of(bits_per_second: Option<u64>) -> Self {
        Self { bits_per_second, since: Instant::now(), bytes: 0 }
    }

    /// Waits until as many bytes more may have come.
    pub(super) async fn pass(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let Some(limit) = self.bits_per_second else { return };
        sleep(duration(self.bytes, limit).saturating_sub(self.since.elapsed())).await;
    }
}

/// How long so many bytes take.
fn duration(bytes: u64, bits_per_second: u64) -> Duration {
    let micros = u128::from(bytes) * 8 * 1_000_000 / u128::from(bits_per_second.max(1));
    Duration::from_micros(micros.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        for (bytes, limit, milliseconds) in [(0, 819_200, 0), (102_400, 819_200, 1000), (1 << 30, 838_860_800, 10_240)]
        {
            assert_eq!(duration(bytes, limit), Duration::from_millis(milliseconds), "{bytes} {limit}");
        }
        assert!(duration(u64::MAX, 1) > Duration::from_secs(1 << 40));
    }

    #[tokio::test]
    async fn without_a_limit_nothing_waits() {
        let mut pace = Pace::of(None);
        futures::FutureExt::now_or_never(pace.pass(usize::MAX)).expect("no wait");
        let mut pace = Pace::of(Some(819_200));
        assert!(futures::FutureExt::now_or_never(pace.pass(1 << 30)).is_none());
    }
}
