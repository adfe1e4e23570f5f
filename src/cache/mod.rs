//! What is kept so that it need not be made, read or asked for again.
//!
//! Here: finished results in memory, weighed in bytes, where equal requests at the same time compute once, and what was
//! found out while making them. [`sources`]: what is known of sources, and bytes of those that are far. [`generations`]:
//! what makes all of it forgotten. [`tier`]: results in a store behind those in memory. [`ladder`]: decoded planes of
//! sources. [`flights`]: one piece of work at a time for each name.

pub mod flights;
pub mod generations;
pub mod ladder;
pub mod sources;
pub mod tier;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::future::Cache;
use sha2::{Digest, Sha256};

/// Names one result: the same key always means the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// A key of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A key of `parts`. Parts are kept apart by their lengths, so no two lists of parts share a key.
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finalize().into())
    }

    /// All of it.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its place in a store: two levels of folders, and then a name that has all of it.
    pub fn path(&self) -> String {
        let hex = format!("{:x}", Hex(&self.0));
        format!("{}/{}/{hex}", &hex[..2], &hex[2..4])
    }

    /// The key whose name in a store that is.
    pub fn of_hex(name: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
        let pairs = name.as_bytes().as_chunks::<2>();
        let bytes = pairs.0.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8));
        let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
        Some(Self(bytes.try_into().ok()?)).filter(|_| pairs.1.is_empty())
    }

    /// 24 URL-safe characters of it (144 bits), as used in entity tags.
    pub fn short(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0[..18])
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl std::fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What an entry weighs besides its body.
const ENTRY_OVERHEAD_BYTES: usize = 512;

/// How many computations of others are waited for: in a crowd that is refused, each round is one of them the wiser.
const MOST_WAITS: usize = 4;

/// Something with a weight in bytes.
pub trait Weigh {
    /// Bytes held.
    fn bytes(&self) -> usize;
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was in the cache, or another request was just computing it.
    Hit,
    /// It was computed for this request.
    Miss,
}

/// A cache of shared values of at most a number of bytes.
#[derive(Clone, Debug)]
pub struct ResultCache<V: Send + Sync + 'static> {
    entries: Cache<CacheKey, Arc<V>>,
}

impl<V: Weigh + Send + Sync + 'static> ResultCache<V> {
    /// A cache of at most `max_bytes`, counting bodies and a constant for each entry.
    pub fn new(max_bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, value: &Arc<V>| {
                u32::try_from(value.bytes().saturating_add(ENTRY_OVERHEAD_BYTES)).unwrap_or(u32::MAX)
            })
            .build();
        Self { entries }
    }

    /// The value under `key`, where there is one.
    pub async fn get(&self, key: CacheKey) -> Option<Arc<V>> {
        self.entries.get(&key).await
    }

    /// Whether there is a value under `key`.
    pub fn contains(&self, key: CacheKey) -> bool {
        self.entries.contains_key(&key)
    }

    /// Bytes and entries that are held.
    pub async fn size(&self) -> (u64, u64) {
        // Both lag behind until this has run.
        self.entries.run_pending_tasks().await;
        (self.entries.weighted_size(), self.entries.entry_count())
    }

    /// The value under `key`, computed by `compute` where it is missing. Callers that ask for the same key at the same
    /// time wait for one computation; a failure is shared among them and not kept.
    ///
    /// # Errors
    /// What `compute` failed with.
    pub async fn get_or_try_insert<E: Send + Sync + 'static>(
        &self,
        key: CacheKey,
        compute: impl Future<Output = Result<V, E>>,
    ) -> Result<(Arc<V>, Origin), Arc<E>> {
        let entry = self.entries.entry(key).or_try_insert_with(async { compute.await.map(Arc::new) }).await?;
        let origin = if entry.is_fresh() { Origin::Miss } else { Origin::Hit };
        Ok((entry.into_value(), origin))
    }

    /// The same, where some failures say nothing of the value but of who asked for it first: whoever waited for such a
    /// computation begins one of its own, and others wait for that.
    ///
    /// # Errors
    /// What `compute` failed with.
    pub async fn get_or_try_insert_fairly<E: Send + Sync + 'static, F: Future<Output = Result<V, E>>>(
        &self,
        key: CacheKey,
        compute: impl Fn() -> F,
        is_of_asker: impl Fn(&E) -> bool,
    ) -> Result<(Arc<V>, Origin), Arc<E>> {
        for _ in 1..MOST_WAITS {
            let is_mine = AtomicBool::new(false);
            let mine = async {
                is_mine.store(true, Ordering::Relaxed);
                compute().await
            };
            let result = self.get_or_try_insert(key, mine).await;
            let is_others = !is_mine.load(Ordering::Relaxed);
            if !(is_others && result.as_ref().is_err_and(|error| is_of_asker(error))) {
                return result;
            }
        }
        self.get_or_try_insert(key, compute()).await
    }
}

/// Small facts that were worked out on the way to a result and outlive it in the cache.
#[derive(Clone, Debug)]
pub struct Memory<V: Clone + Send + Sync + 'static> {
    entries: Cache<CacheKey, V>,
}

impl<V: Clone + Send + Sync + 'static> Memory<V> {
    /// A memory for at most so many facts.
    pub fn new(max_entries: u64) -> Self {
        Self { entries: Cache::new(max_entries) }
    }

    /// A memory for at most so many facts, each for so long.
    pub fn for_a_while(max_entries: u64, life: Duration) -> Self {
        Self { entries: Cache::builder().max_capacity(max_entries).time_to_live(life).build() }
    }

    /// What is remembered under `key`.
    pub async fn get(&self, key: CacheKey) -> Option<V> {
        self.entries.get(&key).await
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.iter().next().is_none()
    }

    /// Remembers `fact` under `key`.
    pub async fn put(&self, key: CacheKey, fact: V) {
        self.entries.insert(key, fact).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::FutureExt as _;

    use super::*;

    impl Weigh for Vec<u8> {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    #[tokio::test]
    async fn equal_requests_compute_once() {
        let cache = ResultCache::new(1 << 20);
        let computed = AtomicUsize::new(0);
        let key = CacheKey::of(&["a"]);
        let ask = || {
            cache.get_or_try_insert(key, async {
                computed.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<_, ()>(vec![1, 2, 3])
            })
        };
        let (first, second) = tokio::join!(ask(), ask());
        assert_eq!(first.unwrap().0, second.unwrap().0);
        assert_eq!(computed.load(Ordering::SeqCst), 1);
        assert_eq!(ask().await.unwrap().1, Origin::Hit);
    }

    #[tokio::test]
    async fn failures_are_not_kept() {
        let cache = ResultCache::<Vec<u8>>::new(1 << 20);
        let key = CacheKey::of(&["a"]);
        assert!(cache.get_or_try_insert(key, async { Err("broken") }).await.is_err());
        assert!(cache.get_or_try_insert(key, async { Ok::<_, &str>(vec![1]) }).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_does_not_share_the_lot_of_who_asked_first() {
        let cache = ResultCache::<Vec<u8>>::new(1 << 20);
        let key = CacheKey::of(&["a"]);
        for (failure, expected) in [("of asker", Ok(vec![2])), ("of value", Err("of value"))] {
            let (refuse, refused) = tokio::sync::oneshot::channel::<()>();
            let first = async {
                refused.await.unwrap();
                Err(failure)
            };
            let mut first = Box::pin(cache.get_or_try_insert(key, first));
            assert!((&mut first).now_or_never().is_none());
            let other = || async { Ok(vec![2]) };
            let mut second = Box::pin(cache.get_or_try_insert_fairly(key, other, |error| *error == "of asker"));
            assert!((&mut second).now_or_never().is_none());
            refuse.send(()).unwrap();
            assert_eq!(*first.await.unwrap_err(), failure);
            assert_eq!(second.await.map(|(made, _)| made.to_vec()).map_err(|error| *error), expected);
            cache.entries.invalidate(&key).await;
        }
    }

    #[tokio::test]
    async fn facts_are_remembered() {
        let memory = Memory::new(10);
        let key = CacheKey::of(&["a"]);
        assert_eq!(memory.get(key).await, None);
        memory.put(key, 71_u8).await;
        assert_eq!(memory.get(key).await, Some(71));
    }

    #[test]
    fn keys_are_read_from_their_names() {
        let key = CacheKey::of(&["a"]);
        let path = key.path();
        let name = path.rsplit('/').next().unwrap();
        assert_eq!(path, format!("{}/{}/{name}", &name[..2], &name[2..4]));
        assert_eq!(CacheKey::of_hex(name), Some(key));
        for other in [&name[1..], &format!("{name}0"), &format!("{name}00"), &name.to_uppercase(), "", "猫"] {
            assert_eq!(CacheKey::of_hex(other), None, "{other}");
        }
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(CacheKey::of(&["ab", "c"]), CacheKey::of(&["a", "bc"]));
    }
}
