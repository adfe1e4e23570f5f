//! Memory for what is on its way here from afar.
//!
//! Sources from other machines are read before their turn has come, so that a slow store holds up nobody who waits for a
//! thread. What they may take together is bounded, and half of it is the most that one bucket gets: a store that has
//! stopped answering leaves the rest to others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;

/// What memory is counted in.
const UNIT_BYTES: u64 = 4 << 10;

#[derive(Debug)]
pub(super) struct Fetches {
    all: Arc<Semaphore>,
    units: u32,
    by_bucket: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Memory, until dropped.
#[derive(Debug)]
pub(super) struct Held([OwnedSemaphorePermit; 2]);

impl Fetches {
    pub(super) fn new(memory_bytes: u64) -> Self {
        let units = units(memory_bytes);
        Self { all: Arc::new(Semaphore::new(units as usize)), units, by_bucket: Mutex::default() }
    }

    /// Waits for the memory of a source of `bytes`, first come, first served. What is larger than a bucket's part gets all of
    /// that, and is alone in it.
    ///
    /// # Errors
    /// [`Error::Busy`] where there is none before the deadline.
    pub(super) async fn hold(&self, bucket: &str, bytes: u64, deadline: Instant) -> Result<Held, Error> {
        let part = (self.units / 2).max(1);
        let own = {
            let mut by_bucket = self.by_bucket.lock().unwrap_or_else(PoisonError::into_inner);
            let own = by_bucket.entry(bucket.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(part as usize)));
            Arc::clone(own)
        };
        let units = units(bytes).min(part);
        let both = async {
            // The bucket's first: who waits for its own bucket holds nothing of the others'.
            let own = own.acquire_many_owned(units).await.ok()?;
            Some(Held([own, Arc::clone(&self.all).acquire_many_owned(units).await.ok()?]))
        };
        tokio::time::timeout_at(deadline.into(), both).await.ok().flatten().ok_or(Error::Busy)
    }
}

impl Held {
    /// Gives back what `bytes` do not need.
    pub(super) fn shrink(&mut self, bytes: u64) {
        let needed = units(bytes) as usize;
        for held in &mut self.0 {
            drop(held.split(held.num_permits().saturating_sub(needed)));
        }
    }
}

/// Begun units count as whole ones.
fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS.min(1 << 30) as u32)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_bucket_leaves_half_to_others() {
        let fetches = Fetches::new(16 * UNIT_BYTES);
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut slow = fetches.hold("slow", 100 * UNIT_BYTES, deadline).await.expect("its part");
        assert!(fetches.hold("slow", 1, deadline).now_or_never().is_none());
        let other = fetches.hold("other", 8 * UNIT_BYTES, deadline).await.expect("the other half");
        assert!(fetches.hold("third", 1, deadline).now_or_never().is_none(), "all is given");
        slow.shrink(7 * UNIT_BYTES);
        assert!(fetches.hold("third", 1, deadline).await.is_ok());
        drop(other);
        let now = Instant::now();
        assert!(matches!(fetches.hold("slow", 8 * UNIT_BYTES, now).await, Err(Error::Busy)));
    }
}
