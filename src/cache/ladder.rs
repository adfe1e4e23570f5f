//! Decoded planes of sources in memory: what the next size of a source need not decode again.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::CacheKey;
use crate::engine::rungs::{self, Rung};

/// What an entry weighs besides its samples.
const ENTRY_OVERHEAD_BYTES: u64 = 512;

/// A rung takes at most one part in so many of the memory.
const LEAST_RUNGS: u64 = 8;

/// Rungs of all sources, of at most a number of bytes; those that were not used for longest go first. Clones share it.
#[derive(Clone, Debug)]
pub struct Ladders {
    rungs: Cache<(CacheKey, [u8; 3]), Arc<Rung>>,
    max_bytes: u64,
}

impl Ladders {
    /// Ladders of at most `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        let rungs = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, rung: &Arc<Rung>| u32::try_from(rung.bytes() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { rungs, max_bytes }
    }

    /// The rungs of one version of a source.
    pub fn of_source(&self, source: CacheKey) -> Ladder {
        Ladder { all: self.clone(), source }
    }

    /// Bytes and rungs that are held.
    pub fn size(&self) -> (u64, u64) {
        // Both lag behind until this has run.
        self.rungs.run_pending_tasks();
        (self.rungs.weighted_size(), self.rungs.entry_count())
    }
}

/// The rungs of one version of a source.
#[derive(Clone, Debug)]
pub struct Ladder {
    all: Ladders,
    source: CacheKey,
}

impl rungs::Ladder for Ladder {
    fn get(&self, eighths: [u8; 3]) -> Option<Arc<Rung>> {
        self.all.rungs.get(&(self.source, eighths))
    }

    fn put(&self, eighths: [u8; 3], rung: Arc<Rung>) {
        self.all.rungs.insert((self.source, eighths), rung);
    }

    fn rung_bytes(&self) -> u64 {
        (self.all.max_bytes / LEAST_RUNGS).saturating_sub(ENTRY_OVERHEAD_BYTES)
    }
}
