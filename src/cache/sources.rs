//! What is known of sources, for a while, and the bytes of those that are far.
//!
//! What always holds:
//! - What this process writes is seen at once, what is purged is gone at once: neither what was kept before nor what was
//!   being asked for is used after it.
//! - An object is asked for once at a time, whoever asks, and bytes are never given out under another version than theirs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::sync::Cache;

use super::flights::Flights;
use super::generations::Generations;
use crate::error::ErrorKind;
use crate::store::{Bucket, Error, Meta, Watch};

/// Bytes of what is known of objects: some 30,000 of them.
const KNOWN_BYTES: u64 = 32 << 20;

/// How long a bucket that failed is left alone where something stands in for its answer.
const RETRY: Duration = Duration::from_secs(1);

/// What an entry weighs besides its texts.
const ENTRY_BYTES: usize = 1024;

/// How long what is known of a bucket's objects is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// It is believed for so long.
    pub fresh: Duration,
    /// Then it is used for so long while it is being asked for again.
    pub while_revalidating: Duration,
    /// Or for so long where the bucket does not answer.
    pub if_error: Duration,
    /// That there is no such object is believed for so long.
    pub missing: Duration,
}

/// Something that is known, as old as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    /// Used, and asked for again meanwhile.
    Stale,
    /// Asked for again first.
    Old,
}

/// What a bucket said of an object.
#[derive(Clone, Debug)]
struct Knowledge {
    answer: Result<Meta, Error>,
    /// When it was asked.
    asked: Instant,
    /// The last purge before that.
    generation: u64,
    /// When the bucket failed to answer again.
    failed: Option<Instant>,
}

impl Knowledge {
    fn age(&self, freshness: &Freshness, now: Instant) -> Age {
        let age = now.saturating_duration_since(self.asked);
        let failed = self.failed.filter(|_| self.stands_in(freshness, now));
        match &self.answer {
            Ok(_) if age < freshness.fresh => Age::Fresh,
            Ok(_) if failed.is_some_and(|failed| now.saturating_duration_since(failed) < RETRY) => Age::Fresh,
            Ok(_) if failed.is_some() => Age::Stale,
            Ok(_) if age < freshness.fresh.saturating_add(freshness.while_revalidating) => Age::Stale,
            Err(_) if age < freshness.missing => Age::Fresh,
            _ => Age::Old,
        }
    }

    /// Whether it may answer where the bucket does not.
    fn stands_in(&self, freshness: &Freshness, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.asked);
        self.answer.is_ok() && age < freshness.fresh.saturating_add(freshness.if_error)
    }

    fn tags(&self) -> &[String] {
        self.answer.as_ref().map_or(&[], |meta| &meta.tags)
    }
}

/// A source's bytes.
#[derive(Clone, Debug)]
struct Kept {
    meta: Meta,
    body: Bytes,
    /// The last purge before they were asked for.
    generation: u64,
}

/// What names an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    bucket: String,
    key: String,
}

/// A question under way: the object, and the last purge before it was asked.
type Question = (Name, u64);

/// What a bucket answered: what the object is, and its bytes where they came along.
#[derive(Clone, Debug)]
struct Found {
    meta: Meta,
    body: Option<Bytes>,
}

/// How much is kept, and for how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of sources that are far.
    pub memory_bytes: u64,
    /// Most bytes of a source.
    pub source_bytes: u64,
    /// By bucket.
    pub buckets: HashMap<String, Freshness>,
}

/// That there is no such object takes no room for longer than it is believed: who asks for many that are not there would fill it.
struct Missing(Arc<Settings>);

impl Missing {
    fn life(&self, name: &Name, known: &Knowledge) -> Option<Duration> {
        let missing = || self.0.buckets.get(&name.bucket).map_or(Duration::ZERO, |freshness| freshness.missing);
        known.answer.is_err().then(missing)
    }
}

impl Expiry<Name, Arc<Knowledge>> for Missing {
    fn expire_after_create(&self, name: &Name, known: &Arc<Knowledge>, _: Instant) -> Option<Duration> {
        self.life(name, known)
    }

    fn expire_after_update(
        &self,
        name: &Name,
        known: &Arc<Knowledge>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.life(name, known)
    }
}

/// What is known of sources. Clones share it.
#[derive(Clone, Debug)]
pub struct Sources {
    known: Cache<Name, Arc<Knowledge>>,
    bodies: Cache<Name, Arc<Kept>>,
    questions: Flights<Question, Result<Found, Error>>,
    reads: Flights<(Question, u64), Result<(Meta, Bytes), Error>>,
    generations: Generations,
    settings: Arc<Settings>,
}

impl Sources {
    /// Nothing is known yet. A bucket without settings is asked each time.
    pub fn new(settings: Settings, generations: Generations) -> Self {
        let weigh_known = |name: &Name, known: &Arc<Knowledge>| {
            let texts = known
                .answer
                .as_ref()
                .map_or(0, |meta| meta.version.len() + meta.tags.iter().map(String::len).sum::<usize>());
            weight(name.bucket.len() + name.key.len() + texts)
        };
        let settings = Arc::new(settings);
        let weigh_body = |name: &Name, kept: &Arc<Kept>| weight(name.key.len() + kept.body.len());
        Self {
            known: Cache::builder()
                .max_capacity(KNOWN_BYTES)
                .weigher(weigh_known)
                .expire_after(Missing(Arc::clone(&settings)))
                .build(),
            bodies: Cache::builder().max_capacity(settings.memory_bytes).weigher(weigh_body).build(),
            questions: Flights::default(),
            reads: Flights::default(),
            generations,
            settings,
        }
    }

    /// The purges that it goes by.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// What is known of an object, asked for where that is not fresh.
    ///
    /// # Errors
    /// As for [`Bucket::head`].
    pub async fn meta(&self, bucket: &Arc<Bucket>, key: &str) -> Result<Meta, Error> {
        let now = Instant::now();
        if !self.generations.is_trusted(now) {
            return bucket.head(key).await;
        }
        let name = name(bucket, key);
        let freshness = self.settings.buckets.get(bucket.name()).copied().unwrap_or_default();
        let known = self.known.get(&name).filter(|known| self.is_valid(&name, known.tags(), known.generation));
        match known.as_deref().map(|known| (known.age(&freshness, now), known)) {
            Some((Age::Fresh, known)) => return known.answer.clone(),
            Some((Age::Stale, known)) => {
                let (question, keep) = self.question(&name);
                self.questions.begin(&question, || self.ask(bucket, &name), keep);
                return known.answer.clone();
            }
            Some((Age::Old, _)) | None => {}
        }
        let (question, keep) = self.question(&name);
        let answer = self.questions.join(&question, || self.ask(bucket, &name), keep).await;
        match (answer.unwrap_or_else(|| Err(failed(bucket))), known) {
            (Err(error), Some(known)) if is_upstream(&error) && known.stands_in(&freshness, now) => {
                tracing::warn!(bucket = bucket.name(), key, %error, "answering with what was known before");
                known.answer.clone()
            }
            (answer, _) => answer.map(|found| found.meta),
        }
    }

    /// Whether an object is known, without asking, to be in version `version`.
    pub fn is_fresh(&self, bucket: &Bucket, key: &str, version: &str, now: Instant) -> bool {
        let name = name(bucket, key);
        let freshness = self.settings.buckets.get(bucket.name()).copied().unwrap_or_default();
        let known = self.known.get(&name).filter(|known| self.is_valid(&name, known.tags(), known.generation));
        known.is_some_and(|known| {
            let is_it = known.answer.as_ref().is_ok_and(|meta| meta.version == version);
            is_it && known.age(&freshness, now) == Age::Fresh
        })
    }

    /// An object's bytes, in version `version` where they are kept, else as they are now.
    ///
    /// # Errors
    /// As for [`Bucket::read`].
    pub async fn read(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        version: &str,
        max_bytes: u64,
    ) -> Result<(Meta, Bytes), Error> {
        if bucket.is_local() || !self.generations.is_trusted(Instant::now()) {
            return bucket.read(key, max_bytes).await;
        }
        let name = name(bucket, key);
        if let Some(kept) = self.kept(&name).filter(|kept| kept.meta.version == version) {
            return fits(&kept.body, max_bytes).map(|()| (kept.meta.clone(), kept.body.clone()));
        }
        let generation = self.generations.last();
        let question = ((name.clone(), generation), max_bytes);
        let keep = {
            let (sources, name, asked) = (self.clone(), name.clone(), Instant::now());
            move |answer: &Result<(Meta, Bytes), Error>| {
                let found = answer.clone().map(|(meta, body)| Found { meta, body: Some(body) });
                sources.keep(name, &found, asked, generation);
            }
        };
        let read = || {
            let (sources, bucket) = (self.clone(), Arc::clone(bucket));
            async move {
                let Some(kept) = sources.kept(&name) else { return bucket.read(&name.key, max_bytes).await };
                let fetched = bucket.read_unless(&name.key, &kept.meta, max_bytes).await?;
                match fetched {
                    Some(fetched) => Ok(fetched),
                    None => fits(&kept.body, max_bytes).map(|()| (kept.meta.clone(), kept.body.clone())),
                }
            }
        };
        self.reads.join(&question, read, keep).await.unwrap_or_else(|| Err(failed(bucket)))
    }

    /// An object's bytes in that version, where they are kept here.
    pub fn at_hand(&self, bucket: &Bucket, key: &str, version: &str) -> Option<Bytes> {
        if !self.generations.is_trusted(Instant::now()) {
            return None;
        }
        self.kept(&name(bucket, key)).filter(|kept| kept.meta.version == version).map(|kept| kept.body.clone())
    }

    /// Nothing is known of an object any more.
    pub fn forget(&self, bucket: &str, key: &str) {
        let is_it = |name: &Name| name.bucket == bucket && name.key == key;
        self.questions.forget(|(name, _)| is_it(name));
        self.reads.forget(|((name, _), _)| is_it(name));
        let name = Name { bucket: bucket.to_owned(), key: key.to_owned() };
        self.known.invalidate(&name);
        self.bodies.invalidate(&name);
    }

    fn is_valid(&self, name: &Name, tags: &[String], generation: u64) -> bool {
        self.generations.of_source(&name.bucket, &name.key, tags) <= generation
    }

    fn kept(&self, name: &Name) -> Option<Arc<Kept>> {
        self.bodies.get(name).filter(|kept| self.is_valid(name, &kept.meta.tags, kept.generation))
    }

    fn question(&self, name: &Name) -> (Question, impl FnOnce(&Result<Found, Error>) + Send + 'static) {
        let generation = self.generations.last();
        let (sources, asked, of) = (self.clone(), Instant::now(), name.clone());
        ((name.clone(), generation), move |answer: &Result<Found, Error>| sources.keep(of, answer, asked, generation))
    }

    /// Asks a bucket for an object. Where the bytes are here already, or alone tell one version from another, they may come
    /// along.
    fn ask(&self, bucket: &Arc<Bucket>, name: &Name) -> impl Future<Output = Result<Found, Error>> + Send + 'static {
        let (sources, bucket, name) = (self.clone(), Arc::clone(bucket), name.clone());
        async move {
            let max_bytes = sources.settings.source_bytes;
            let with_body = |(meta, body)| Found { meta, body: Some(body) };
            if let Some(kept) = sources.kept(&name) {
                let fetched = bucket.read_unless(&name.key, &kept.meta, max_bytes).await?;
                let unchanged = || Found { meta: kept.meta.clone(), body: Some(kept.body.clone()) };
                return Ok(fetched.map_or_else(unchanged, with_body));
            }
            let meta = bucket.head(&name.key).await?;
            if meta.is_exact {
                return Ok(Found { meta, body: None });
            }
            match bucket.read(&name.key, max_bytes).await {
                // It is no source for pictures, but can be had as it is.
                Err(Error::TooLarge { .. }) => Ok(Found { meta, body: None }),
                fetched => fetched.map(with_body),
            }
        }
    }

    /// Takes note of an answer, where it says anything for later.
    fn keep(&self, name: Name, answer: &Result<Found, Error>, asked: Instant, generation: u64) {
        let known = |answer| Arc::new(Knowledge { answer, asked, generation, failed: None });
        match answer {
            Ok(Found { meta, body }) => {
                if let Some(body) = body {
                    let kept = Kept { meta: meta.clone(), body: body.clone(), generation };
                    self.bodies.insert(name.clone(), Arc::new(kept));
                }
                self.known.insert(name, known(Ok(meta.clone())));
            }
            Err(error @ Error::NotFound { .. }) => {
                self.bodies.invalidate(&name);
                self.known.insert(name, known(Err(error.clone())));
            }
            Err(error) if is_upstream(error) => {
                // Others need not wait for the same failure.
                if let Some(before) = self.known.get(&name).filter(|known| known.answer.is_ok()) {
                    self.known.insert(
                        name,
                        Arc::new(Knowledge { failed: Some(Instant::now()), ..Knowledge::clone(&before) }),
                    );
                }
            }
            Err(_) => {}
        }
    }
}

impl Watch for Sources {
    fn wrote(&self, bucket: &str, key: &str) {
        self.forget(bucket, key);
    }
}

fn name(bucket: &Bucket, key: &str) -> Name {
    Name { bucket: bucket.name().to_owned(), key: key.to_owned() }
}

fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_add(ENTRY_BYTES)).unwrap_or(u32::MAX)
}

fn fits(body: &Bytes, limit: u64) -> Result<(), Error> {
    let bytes = body.len() as u64;
    if bytes > limit { Err(Error::TooLarge { bytes, limit }) } else { Ok(()) }
}

fn is_upstream(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Upstream | ErrorKind::UpstreamTimeout)
}

/// Of a question that was never answered: its task panicked, and said so.
fn failed(bucket: &Bucket) -> Error {
    let place = format!("bucket {:?}", bucket.name());
    Error::Upstream { place, problem: "the question failed".to_owned(), timed_out: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn knowledge_ages() {
        let freshness = Freshness {
            fresh: seconds(10),
            while_revalidating: seconds(20),
            if_error: seconds(100),
            missing: seconds(1),
        };
        let asked = Instant::now();
        let meta = Meta {
            version: "1".to_owned(),
            is_exact: true,
            bytes: None,
            modified: None,
            content_type: None,
            tags: Vec::new(),
        };
        let missing = Error::NotFound { bucket: "photos".to_owned(), key: "cat.jpg".to_owned() };
        let rows = [
            // Answer, seconds since it was asked again in vain, and since it was asked at all.
            (Ok(meta.clone()), None, 0, Age::Fresh, true),
            (Ok(meta.clone()), None, 9, Age::Fresh, true),
            (Ok(meta.clone()), None, 10, Age::Stale, true),
            (Ok(meta.clone()), None, 29, Age::Stale, true),
            (Ok(meta.clone()), None, 30, Age::Old, true),
            (Ok(meta.clone()), None, 109, Age::Old, true),
            (Ok(meta.clone()), None, 110, Age::Old, false),
            (Ok(meta.clone()), Some(0), 109, Age::Fresh, true),
            (Ok(meta.clone()), Some(1), 109, Age::Stale, true),
            (Ok(meta), Some(0), 110, Age::Old, false),
            (Err(missing.clone()), None, 0, Age::Fresh, false),
            (Err(missing), None, 1, Age::Old, false),
        ];
        for (answer, failed, age, expected, stands_in) in rows {
            let now = asked + seconds(age);
            let known = Knowledge { answer, asked, generation: 0, failed: failed.map(|ago| now - seconds(ago)) };
            assert_eq!(
                (known.age(&freshness, now), known.stands_in(&freshness, now)),
                (expected, stands_in),
                "{age} s"
            );
        }
    }
}
