//! Results in a store, behind those in memory: they outlive the process, and nodes may share them.
//!
//! Nothing depends on it. What is full, slow, read-only or gone is said once in the log and left alone for a while; what is
//! torn or of another hand is a miss and is deleted.

mod entry;
mod folder;
mod health;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::CacheKey;
use crate::store::objects::Objects;
pub use folder::Folder;
use health::Health;

/// How long a result is waited for before it is rather made.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long storing one may take.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that may be on their way into the store; what comes while it is behind is not stored.
const WRITING_BYTES: usize = 64 << 20;

/// Results that may be asked for at a time; more are made.
const READS: usize = 64;

/// Most bytes of an entry.
const ENTRY_BYTES: u64 = 256 << 20;

/// Where entries are.
#[derive(Clone, Debug)]
enum Place {
    Folder(Folder),
    Objects(Objects),
}

/// A result as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The bytes.
    pub body: Bytes,
    /// Their media type.
    pub media_type: String,
}

/// Results in a store. Clones share it.
#[derive(Clone, Debug)]
pub struct Tier {
    place: Place,
    reading: Arc<Health>,
    writing: Arc<Health>,
    reads: Arc<Semaphore>,
    /// One for each KiB.
    writes: Arc<Semaphore>,
}

impl Tier {
    /// Results in a folder, within its budget.
    pub fn in_folder(folder: Folder) -> Self {
        Self::over(Place::Folder(folder))
    }

    /// Results in a store that bounds itself.
    pub fn in_objects(objects: Objects) -> Self {
        Self::over(Place::Objects(objects))
    }

    fn over(place: Place) -> Self {
        Self {
            place,
            reading: Arc::new(Health::new("results are not taken from cache.store")),
            writing: Arc::new(Health::new("results are not kept in cache.store")),
            reads: Arc::new(Semaphore::new(READS)),
            writes: Arc::new(Semaphore::new(WRITING_BYTES >> 10)),
        }
    }

    /// The result of that name, where it is there and comes soon.
    pub async fn get(&self, key: CacheKey) -> Option<Kept> {
        if !self.reading.may_try(Instant::now()) {
            return None;
        }
        // Held until the read ends, however late: a disk that hangs takes so many threads and no more.
        let turn = Arc::clone(&self.reads).try_acquire_owned().ok()?;
        let place = self.place.clone();
        let read = tokio::spawn(async move {
            let read = place.read(key).await;
            drop(turn);
            read
        });
        let read = match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) => Err("it panicked".to_owned()),
            Err(_) => Err(format!("no answer within {} ms", PATIENCE.as_millis())),
        };
        self.reading.note(read.as_ref().err().map(String::as_str), Instant::now());
        let bytes = read.ok()??;
        let kept = entry::decode(key, &bytes);
        if kept.is_none() {
            tracing::warn!(
                name = key.path(),
                "an entry of cache.store is torn or none of this server's; it is deleted"
            );
            // Before another one is made, which is not to be deleted in its stead.
            let _ = tokio::time::timeout(PATIENCE, self.place.remove(key)).await;
        }
        kept
    }

    /// Keeps a result, some time after this has returned, unless too much is on its way already.
    pub fn put(&self, key: CacheKey, kept: Kept) {
        if !self.writing.may_try(Instant::now()) {
            return;
        }
        let kib = kept.body.len().div_ceil(1 << 10).clamp(1, WRITING_BYTES >> 10);
        let permits = u32::try_from(kib).unwrap_or(u32::MAX);
        let Ok(turn) = Arc::clone(&self.writes).try_acquire_many_owned(permits) else {
            tracing::debug!("cache.store is behind; a result is not kept there");
            return;
        };
        let (place, health) = (self.place.clone(), Arc::clone(&self.writing));
        tokio::spawn(async move {
            let write = async {
                let bytes = entry::encode(key, &kept);
                place.write(key, bytes).await
            };
            let written = tokio::time::timeout(WRITE_PATIENCE, write).await;
            let written = written.unwrap_or_else(|_| Err(format!("no answer within {} s", WRITE_PATIENCE.as_secs())));
            health.note(written.err().as_deref(), Instant::now());
            drop(turn);
        });
    }
}

impl Place {
    async fn read(&self, key: CacheKey) -> Result<Option<Bytes>, String> {
        match self {
            Self::Folder(folder) => folder.read(key, ENTRY_BYTES).await,
            Self::Objects(objects) => objects.read_own(&key.path(), ENTRY_BYTES).await,
        }
    }

    async fn write(&self, key: CacheKey, bytes: Bytes) -> Result<(), String> {
        match self {
            Self::Folder(folder) => folder.write(key, bytes).await,
            Self::Objects(objects) => objects.write_own(&key.path(), bytes).await,
        }
    }

    async fn remove(&self, key: CacheKey) {
        // Where that fails it stays a miss.
        let _ = match self {
            Self::Folder(folder) => folder.remove(key).await,
            Self::Objects(objects) => objects.remove_own(&key.path()).await,
        };
    }
}
