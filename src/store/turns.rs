//! One change of an object at a time, within this process: what looks first and then stores must not be overtaken.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// How many changes may go on at a time; two objects rarely wait for each other.
const SHARDS: usize = 256;

/// A turn, which lasts as long as this.
pub type Turn<'a> = MutexGuard<'a, ()>;

/// Who changes which name. Several nodes over one bucket do not see each other's turns; there the store's own
/// conditional writes hold.
#[derive(Debug)]
pub struct Turns {
    shards: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }
}

impl Turns {
    /// Waits for the turn of `name`.
    pub async fn take(&self, name: &str) -> Turn<'_> {
        self.shards[self.shard(name)].lock().await
    }

    /// Waits for the turns of two names, which may be the same or share one. They are taken in one order by all, so that
    /// none wait in a circle.
    pub async fn take_two(&self, one: &str, other: &str) -> (Turn<'_>, Option<Turn<'_>>) {
        let (one, other) = (self.shard(one), self.shard(other));
        let first = self.shards[one.min(other)].lock().await;
        let second = if one == other { None } else { Some(self.shards[one.max(other)].lock().await) };
        (first, second)
    }

    fn shard(&self, name: &str) -> usize {
        self.hasher.hash_one(name) as usize % SHARDS
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn turns_are_waited_for_and_never_in_a_circle() {
        let turns = Turns::default();
        let turn = turns.take("a").await;
        assert!(turns.take("a").now_or_never().is_none());
        assert!(turns.take_two("b", "a").now_or_never().is_none());
        drop(turn);
        assert!(turns.take_two("a", "a").await.1.is_none());
        let names: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let all = names.iter().flat_map(|one| names.iter().map(move |other| (one, other)));
        let work = all.map(async |(one, other)| {
            let _turns = turns.take_two(one, other).await;
            tokio::task::yield_now().await;
        });
        futures::future::join_all(work).await;
    }
}
