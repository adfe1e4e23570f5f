//! What was purged: each purge has a number, and whatever was kept under a lower one is not found any more.
//!
//! Nothing is looked for and deleted. What is known of a source carries the number of the last purge before it was asked
//! for; a result's name has the number of the last purge that concerns it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// What a purge concerns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    All,
    /// What is known of an object, and its bytes; results are not.
    Source {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// An object and whatever is made of it.
    Key {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// Objects whose keys begin so, and whatever is made of them.
    Prefix {
        /// The bucket.
        bucket: String,
        /// What the keys begin with; all of the bucket's where it is empty.
        prefix: String,
    },
    /// What a pipeline, or one that goes on behind it, makes of any object of a bucket.
    Pipeline {
        /// The bucket.
        bucket: String,
        /// In canonical form.
        pipeline: String,
    },
    /// What a pipeline makes of an object.
    Result {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
        /// In canonical form.
        pipeline: String,
    },
    /// Objects that carry a tag, and whatever is made of them.
    Tag {
        /// The bucket.
        bucket: String,
        /// The tag.
        tag: String,
    },
}

impl Scope {
    /// The bucket that it lies in; empty for everything.
    pub fn bucket(&self) -> &str {
        match self {
            Self::All => "",
            Self::Source { bucket, .. }
            | Self::Key { bucket, .. }
            | Self::Prefix { bucket, .. }
            | Self::Pipeline { bucket, .. }
            | Self::Result { bucket, .. }
            | Self::Tag { bucket, .. } => bucket,
        }
    }
}

/// The purges that are known, and whether others may have happened. Clones share it.
#[derive(Clone, Debug)]
pub struct Generations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    purges: RwLock<Purges>,
    /// Milliseconds after `start` until which no purge can have happened unheard.
    trusted_until_ms: AtomicU64,
    start: Instant,
}

/// By scope, the number of the last purge.
#[derive(Debug, Default)]
struct Purges {
    last: u64,
    all: u64,
    buckets: HashMap<String, OfBucket>,
}

#[derive(Debug, Default)]
struct OfBucket {
    sources: HashMap<String, u64>,
    keys: HashMap<String, u64>,
    prefixes: HashMap<String, u64>,
    /// How long the prefixes are.
    lengths: BTreeSet<usize>,
    pipelines: HashMap<String, u64>,
    results: HashMap<(String, String), u64>,
    tags: HashMap<String, u64>,
}

impl Default for Generations {
    /// No purges, and none that could happen unheard: those of a server alone.
    fn default() -> Self {
        let inner =
            Inner { purges: RwLock::default(), trusted_until_ms: AtomicU64::new(u64::MAX), start: Instant::now() };
        Self(Arc::new(inner))
    }
}

impl Generations {
    /// The number of the last purge that is known.
    pub fn last(&self) -> u64 {
        self.read(|purges| purges.last)
    }

    /// The number of the last purge that concerns what is known of a source with these tags.
    pub fn of_source(&self, bucket: &str, key: &str, tags: &[String]) -> u64 {
        self.read(|purges| purges.of_source(bucket, key, tags, true))
    }

    /// The number of the last purge that concerns what `pipeline`, in canonical form, makes of such a source.
    pub fn of_result(&self, bucket: &str, key: &str, tags: &[String], pipeline: &str) -> u64 {
        self.read(|purges| purges.of_result(bucket, key, tags, pipeline))
    }

    /// Takes note of purge number `number`.
    pub fn apply(&self, number: u64, scope: Scope) {
        self.0.purges.write().unwrap_or_else(PoisonError::into_inner).apply(number, scope);
    }

    /// Whether a purge may have happened that is not known here: then nothing that was kept can be trusted.
    pub fn is_trusted(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.0.start).as_millis();
        passed < u128::from(self.0.trusted_until_ms.load(Ordering::Acquire))
    }

    /// All purges before `now` are known, and those of the time `lease` after it will be heard of.
    pub fn trust(&self, now: Instant, lease: Duration) {
        let until = (now + lease).saturating_duration_since(self.0.start).as_millis();
        self.0.trusted_until_ms.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Purges may have happened that are not known yet.
    pub fn distrust(&self) {
        self.0.trusted_until_ms.store(0, Ordering::Release);
    }

    fn read<T>(&self, of: impl FnOnce(&Purges) -> T) -> T {
        of(&self.0.purges.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Purges {
    fn of_source(&self, bucket: &str, key: &str, tags: &[String], with_sources: bool) -> u64 {
        let Some(purges) = self.buckets.get(bucket) else { return self.all };
        let sources = purges.sources.get(key).filter(|_| with_sources);
        let prefixes = purges.lengths.iter().filter_map(|length| purges.prefixes.get(key.get(..*length)?));
        let tags = tags.iter().filter_map(|tag| purges.tags.get(tag));
        let numbers = sources.into_iter().chain(purges.keys.get(key)).chain(prefixes).chain(tags);
        numbers.copied().fold(self.all, u64::max)
    }

    fn of_result(&self, bucket: &str, key: &str, tags: &[String], pipeline: &str) -> u64 {
        let of_source = self.of_source(bucket, key, tags, false);
        let Some(purges) = self.buckets.get(bucket) else { return of_source };
        let is_of =
            |purged: &str| pipeline.strip_prefix(purged).is_some_and(|rest| rest.is_empty() || rest.starts_with('|'));
        let pipelines = purges.pipelines.iter().filter(|(purged, _)| is_of(purged)).map(|(_, number)| number);
        let result = purges.results.get(&(key.to_owned(), pipeline.to_owned()));
        pipelines.chain(result).copied().fold(of_source, u64::max)
    }

    fn apply(&mut self, number: u64, scope: Scope) {
        self.last = self.last.max(number);
        if scope == Scope::All {
            // Lower numbers are of no consequence any more.
            self.buckets.clear();
        }
        let purges = self.buckets.entry(scope.bucket().to_owned()).or_default();
        let last = match scope {
            Scope::All => &mut self.all,
            Scope::Source { key, .. } => purges.sources.entry(key).or_default(),
            Scope::Key { key, .. } => purges.keys.entry(key).or_default(),
            Scope::Prefix { prefix, .. } => {
                purges.lengths.insert(prefix.len());
                purges.prefixes.entry(prefix).or_default()
            }
            Scope::Pipeline { pipeline, .. } => purges.pipelines.entry(pipeline).or_default(),
            Scope::Result { key, pipeline, .. } => purges.results.entry((key, pipeline)).or_default(),
            Scope::Tag { tag, .. } => purges.tags.entry(tag).or_default(),
        };
        *last = number.max(*last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    /// Which of these three does a purge concern: what is known of photos:a/猫.jpg with tag `cats`, and what two pipelines
    /// make of it?
    #[test]
    fn purges_concern_what_they_name() {
        let photos = || text("photos");
        let rows = [
            (Scope::All, [true, true, true]),
            (Scope::Source { bucket: photos(), key: text("a/猫.jpg") }, [true, false, false]),
            (Scope::Key { bucket: photos(), key: text("a/猫.jpg") }, [true, true, true]),
            (Scope::Key { bucket: photos(), key: text("a/猫") }, [false, false, false]),
            (Scope::Key { bucket: text("other"), key: text("a/猫.jpg") }, [false, false, false]),
            (Scope::Prefix { bucket: photos(), prefix: text("") }, [true, true, true]),
            (Scope::Prefix { bucket: photos(), prefix: text("a/猫") }, [true, true, true]),
            // Four bytes end within a letter, and ten behind the key.
            (Scope::Prefix { bucket: photos(), prefix: text("a/éé") }, [false, false, false]),
            (Scope::Prefix { bucket: photos(), prefix: text("a/b") }, [false, false, false]),
            (Scope::Prefix { bucket: photos(), prefix: text("a/猫.jpg/and/more") }, [false, false, false]),
            (Scope::Pipeline { bucket: photos(), pipeline: text("imageInfo") }, [false, true, false]),
            (Scope::Pipeline { bucket: photos(), pipeline: text("imageView2/2/w/10") }, [false, false, true]),
            (Scope::Pipeline { bucket: photos(), pipeline: text("imageView2/2/w/1") }, [false, false, false]),
            (
                Scope::Result { bucket: photos(), key: text("a/猫.jpg"), pipeline: text("imageInfo") },
                [false, true, false],
            ),
            (
                Scope::Result { bucket: photos(), key: text("b.jpg"), pipeline: text("imageInfo") },
                [false, false, false],
            ),
            (Scope::Tag { bucket: photos(), tag: text("cats") }, [true, true, true]),
            (Scope::Tag { bucket: photos(), tag: text("dogs") }, [false, false, false]),
        ];
        for (scope, expected) in rows {
            let generations = Generations::default();
            let tags = [text("pets"), text("cats")];
            generations.apply(1, Scope::Key { bucket: photos(), key: text("a/猫.jpg") });
            generations.apply(7, scope.clone());
            let concerned = [
                generations.of_source("photos", "a/猫.jpg", &tags),
                generations.of_result("photos", "a/猫.jpg", &tags, "imageInfo"),
                generations.of_result("photos", "a/猫.jpg", &tags, "imageView2/2/w/10|imageMogr2/strip"),
            ];
            assert_eq!(concerned.map(|number| number == 7), expected, "{scope:?}: {concerned:?}");
            assert_eq!(generations.last(), 7);
        }
    }

    #[test]
    fn trust_ends_with_the_lease() {
        let generations = Generations::default();
        let now = Instant::now();
        assert!(generations.is_trusted(now));
        generations.trust(now, Duration::from_secs(5));
        assert!(generations.is_trusted(now + Duration::from_secs(4)));
        assert!(!generations.is_trusted(now + Duration::from_secs(6)));
        generations.trust(now + Duration::from_secs(6), Duration::from_secs(5));
        assert!(generations.is_trusted(now + Duration::from_secs(10)));
        generations.distrust();
        assert!(!generations.is_trusted(now));
    }
}
