//! Results that are made while nobody waits for them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Error, Identity, Rendered, Transformer};
use crate::cache::CacheKey;
use crate::workers::{Asker, Lane};

/// Results that wait or are being made, of each kind; more are not begun.
const MOST: usize = 256;

/// How long one may take, waiting included.
const PATIENCE: Duration = Duration::from_secs(300);

/// They take turns with clients, as one of them.
const LANE: Lane = Lane(u64::MAX);

/// What is under way. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Background {
    begun: Arc<Mutex<HashSet<CacheKey>>>,
}

impl Background {
    /// Whether the result of that name is under way.
    pub(super) fn contains(&self, key: CacheKey) -> bool {
        self.begun().contains(&key)
    }

    /// Begins `work` for the result of that name, unless that is under way. False where as much is under way as may.
    pub(super) fn begin(&self, key: CacheKey, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut begun = self.begun();
        if begun.contains(&key) {
            return true;
        }
        if begun.len() >= MOST {
            return false;
        }
        begun.insert(key);
        drop(begun);
        let done = EndOnDrop { background: self.clone(), key };
        tokio::spawn(async move {
            work.await;
            drop(done);
        });
        true
    }

    fn begun(&self) -> MutexGuard<'_, HashSet<CacheKey>> {
        // Nothing panics while it is held.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a result off the list, however its work ends.
struct EndOnDrop {
    background: Background,
    key: CacheKey,
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.background.begun().remove(&self.key);
    }
}

impl Transformer {
    /// The result, made by at most half of the workers and with minutes of time, whatever it is predicted to take.
    ///
    /// # Errors
    /// As for [`Transformer::render`].
    pub(super) async fn render_patiently(
        &self,
        mut identity: Identity,
    ) -> Result<(CacheKey, Arc<Rendered>), Arc<Error>> {
        identity.budget = None;
        let _turn = self.workers.job_turn().await.map_err(|error| Arc::new(error.into()))?;
        let asker = Asker { lane: LANE, deadline: Instant::now() + PATIENCE };
        let made = self.render(&mut identity, asker).await;
        let (made, _) = made.map_err(|error| match *error {
            Error::Deadline(_) => Arc::new(Error::Deadline(PATIENCE)),
            _ => error,
        })?;
        Ok((identity.cache_key, made))
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn work_is_listed_until_it_ends() {
        let background = Background::default();
        let (go, key) = (Arc::new(Notify::new()), |n: usize| CacheKey::of(&[&n.to_string()]));
        for n in 0..MOST {
            let go = Arc::clone(&go);
            assert!(background.begin(key(n), async move { go.notified().await }));
        }
        assert!(background.contains(key(0)) && !background.contains(key(MOST)));
        assert!(background.begin(key(0), async { panic!("it is under way already") }));
        assert!(!background.begin(key(MOST), async {}), "that is too much");
        for _ in 0..MOST {
            go.notify_one();
            tokio::task::yield_now().await;
        }
        while (0..MOST).any(|n| background.contains(key(n))) {
            go.notify_waiters();
            tokio::task::yield_now().await;
        }
        assert!(background.begin(key(MOST), async {}));
    }
}
