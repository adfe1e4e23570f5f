//! One change of an object at a time, within this process: what looks first and then stores must not be overtaken.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// How many changes may go on at a time; two objects rarely wait for each other.
const SHARDS: usize = 256;

/// Who changes which object. Several nodes over one bucket do not see each other's turns; there the store's own
/// conditional writes hold.
#[derive(Debug)]
pub(super) struct Turns {
    shards: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }
}

impl Turns {
    /// Waits for the object's turn, which lasts as long as what is returned.
    pub(super) async fn take(&self, bucket: &str, key: &str) -> MutexGuard<'_, ()> {
        let shard = self.hasher.hash_one((bucket, key)) as usize % SHARDS;
        self.shards[shard].lock().await
    }
}
