//! The use case: a source and a plan become a rendered result.
//!
//! [`Transformer::identify`] names the result from the source's version and the canonical plan, which is enough to
//! answer conditional requests; [`Transformer::render`] answers from the cache or computes, once for all that ask at
//! the same time. Pixel work runs on [`Workers`].

mod background;
mod contained;
mod crashes;
mod error;
mod explain;
mod fetches;
mod identity;
mod pictures;
mod rendered;
mod set;
mod shown;
mod trim;
pub mod two_speeds;
pub mod upgrade;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::{Instrument, Span};

use crate::cache::generations::Generations;
use crate::cache::ladder::{Ladder, Ladders};
use crate::cache::sources::{self, Freshness, Sources};
use crate::cache::tier::{Kept, Tier};
use crate::cache::{CacheKey, Memory, Origin, ResultCache};
use crate::engine::image::Header;
use crate::engine::limits::Limits;
use crate::engine::program::{Program, Rendering};
use crate::engine::resolve::resolve;
use crate::engine::run::{Output, run_on};
use crate::engine::rungs;
use crate::engine::{self, decode};
use crate::helpers::{self, Helpers};
use crate::plan::Plan;
use crate::store::{Bucket, Buckets, Meta, Remote, Watch};
use crate::workers::{self, Asker, Lane, Workers};
pub use error::{Error, Source};
pub use explain::{Explained, Kept as KeptAt, Near};
use fetches::Fetches;
pub use identity::{Identity, Wish};
use pictures::unusable;
pub use rendered::{Rendered, Timings, media_type_of};
use rendered::{StageClock, rendered};
pub use shown::Shown;
use two_speeds::{Interactive, TwoSpeeds};
use upgrade::Upgrades;

/// Results whose searched quality is remembered: some 100 bytes each.
const REMEMBERED_QUALITIES: u64 = 100_000;

/// Results that are known to be none, with what was said then: some 300 bytes each.
const REMEMBERED_REFUSALS: u64 = 20_000;

/// How much a transformer takes on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of results kept in memory.
    pub cache_bytes: u64,
    /// Bytes of sources kept in memory, of those that are not on this machine.
    pub cached_source_bytes: u64,
    /// Bytes of decoded planes kept in memory.
    pub ladder_bytes: u64,
    /// How long what buckets say is good, by name; others are asked each time.
    pub freshness: HashMap<String, Freshness>,
    /// Most bytes of a source.
    pub source_bytes: u64,
    /// Most bytes of a result.
    pub output_bytes: u64,
    /// Most bytes of a watermark's picture, and of all those of a pipeline.
    pub picture_bytes: u64,
    /// The engine's limits.
    pub limits: Limits,
    /// How pictures are made where requests leave it open.
    pub rendering: Rendering,
    /// Renders at once.
    pub workers: usize,
    /// Renders that may wait.
    pub queue: usize,
    /// Memory that all renders may take together, by prediction: a quarter of it for sources on their way here, the rest for
    /// pixels.
    pub memory_bytes: u64,
    /// Longest a request may take, waiting included.
    pub deadline: Duration,
    /// Processes that decode what the server itself does not; none where it decodes all.
    pub helpers: Option<helpers::Settings>,
    /// What is made while a client waits: anything where there is none.
    pub interactive: Option<Interactive>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            cached_source_bytes: 64 << 20,
            ladder_bytes: 64 << 20,
            freshness: HashMap::new(),
            source_bytes: 64 << 20,
            output_bytes: 256 << 20,
            picture_bytes: 64 << 20,
            limits: Limits::default(),
            rendering: Rendering::default(),
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            queue: 256,
            memory_bytes: 1 << 30,
            deadline: Duration::from_secs(10),
            helpers: None,
            interactive: None,
        }
    }
}

/// What a transformer is doing at a moment, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait for a worker.
    pub waiting: usize,
    /// Workers at work.
    pub busy: usize,
    /// Workers.
    pub workers: usize,
    /// Bytes of results in memory.
    pub cache_bytes: u64,
    /// Results in memory.
    pub cache_entries: u64,
    /// Bytes of decoded planes in memory.
    pub ladder_bytes: u64,
    /// Decodes that they are of.
    pub ladder_rungs: u64,
}

/// Renders plans over the objects of buckets.
#[derive(Clone, Debug)]
pub struct Transformer {
    buckets: Arc<Buckets>,
    remote: Remote,
    sources: Sources,
    cache: ResultCache<Rendered>,
    ladders: Ladders,
    /// Where results lie that left the cache, or that other nodes made.
    tier: Option<Tier>,
    /// What is known to fail, so that neither is fetched nor decoded what cannot become a picture.
    refusals: Memory<Arc<Error>>,
    /// Qualities that were found by searching for a score, so that a result that left the cache is made without.
    qualities: Memory<u8>,
    /// Results whose making panicked.
    crashed: Memory<()>,
    helpers: Option<Arc<Helpers>>,
    workers: Workers,
    fetches: Arc<Fetches>,
    upgrades: Upgrades,
    two_speeds: TwoSpeeds,
    config: Arc<Config>,
}

impl Transformer {
    /// A transformer over `buckets` that fetches pictures named by URL with `remote`.
    pub fn new(buckets: Arc<Buckets>, remote: Remote, config: Config) -> Self {
        let settings = sources::Settings {
            memory_bytes: config.cached_source_bytes,
            source_bytes: config.source_bytes,
            buckets: config.freshness.clone(),
        };
        let sources = Sources::new(settings, Generations::default());
        let watch: Arc<dyn Watch> = Arc::new(sources.clone());
        buckets.watch(&watch);
        let fetched_bytes = config.memory_bytes / 4;
        let workers = workers::Settings {
            threads: config.workers,
            queue: config.queue,
            memory_bytes: config.memory_bytes - fetched_bytes,
        };
        Self {
            buckets,
            remote,
            sources,
            cache: ResultCache::new(config.cache_bytes),
            ladders: Ladders::new(config.ladder_bytes),
            tier: None,
            refusals: Memory::new(REMEMBERED_REFUSALS),
            qualities: Memory::new(REMEMBERED_QUALITIES),
            workers: Workers::new(workers),
            fetches: Arc::new(Fetches::new(fetched_bytes)),
            upgrades: Upgrades::new(),
            two_speeds: TwoSpeeds::new(),
            crashed: Memory::for_a_while(crashes::REMEMBERED, crashes::LIFE),
            helpers: config.helpers.clone().map(|settings| Arc::new(Helpers::new(settings))),
            config: Arc::new(config),
        }
    }

    /// The same, with results also in `tier`.
    #[must_use]
    pub fn with_tier(self, tier: Option<Tier>) -> Self {
        Self { tier, ..self }
    }

    /// What is known of sources.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What it is doing, and what it holds.
    pub async fn load(&self) -> Load {
        let (waiting, busy, workers) = self.workers.load();
        let (cache_bytes, cache_entries) = self.cache.size().await;
        let (ladder_bytes, ladder_rungs) = self.ladders.size();
        Load { waiting, busy, workers, cache_bytes, cache_entries, ladder_bytes, ladder_rungs }
    }

    /// The buckets it reads from.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The same, to keep.
    pub fn shared_buckets(&self) -> Arc<Buckets> {
        Arc::clone(&self.buckets)
    }

    /// Requests that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.workers.waiting()
    }

    /// Somebody who asks now, and has as long as requests have.
    pub fn asker(&self, lane: Lane) -> Asker {
        Asker { lane, deadline: Instant::now() + self.config.deadline }
    }

    /// The result, from the cache or computed. Where the source turns out to be another version, the result is that one's,
    /// and so is `identity` afterwards.
    ///
    /// # Errors
    /// Any [`Error`]; shared with everybody who waited for the same computation.
    pub async fn render(&self, identity: &mut Identity, asker: Asker) -> Result<(Arc<Rendered>, Origin), Arc<Error>> {
        let result = self.render_version(identity, asker, None).await;
        let Err(error) = &result else { return result };
        let Error::Changed(source) = &**error else { return result };
        let source = source.as_deref();
        if let Some(Source { meta, .. }) = source {
            identity.meta = meta.clone();
        }
        identity.pictures = self.picture_versions(&identity.bucket, &identity.plan).await;
        self.name(identity);
        self.render_version(identity, asker, source.map(|source| source.body.clone())).await
    }

    async fn render_version(
        &self,
        identity: &Identity,
        asker: Asker,
        source: Option<Bytes>,
    ) -> Result<(Arc<Rendered>, Origin), Arc<Error>> {
        if self.is_trusted()
            && let Some(kept) = self.cache.get(identity.cache_key).await
        {
            return Ok((kept, Origin::Hit));
        }
        // Most answers need nothing of this, and would carry its state around.
        Box::pin(self.make_version(identity, asker, source)).await
    }

    async fn make_version(
        &self,
        identity: &Identity,
        asker: Asker,
        source: Option<Bytes>,
    ) -> Result<(Arc<Rendered>, Origin), Arc<Error>> {
        let compute = async || {
            let compute = self.compute(identity, asker, source.clone());
            let computed = tokio::time::timeout_at(asker.deadline.into(), compute).await;
            computed.unwrap_or(Err(Error::Deadline(self.config.deadline)))
        };
        if !self.is_trusted() {
            return compute().await.map(|made| (Arc::new(made), Origin::Miss)).map_err(Arc::new);
        }
        if let Some(refusal) = self.refusals.get(identity.cache_key).await {
            return Err(refusal);
        }
        let key = identity.cache_key;
        let make = || self.stored_or(key, compute());
        let result = self.cache.get_or_try_insert_fairly(key, make, Error::is_of_asker).await;
        if let Err(error) = &result
            && error.is_final()
        {
            self.refusals.put(identity.cache_key, Arc::clone(error)).await;
        }
        result
    }

    /// Whether what is kept may be answered with: not where a purge might not have been heard of.
    fn is_trusted(&self) -> bool {
        self.sources.generations().is_trusted(Instant::now())
    }

    /// Reads an object whole, within the limit for sources.
    ///
    /// # Errors
    /// [`Error::Source`].
    pub async fn read(&self, bucket: &Bucket, key: &str) -> Result<(Meta, Bytes), Error> {
        bucket.read(key, self.config.source_bytes).await.map_err(Error::Source)
    }

    /// A result out of the store, or what `compute` comes to, which is stored.
    async fn stored_or(
        &self,
        key: CacheKey,
        compute: impl Future<Output = Result<Rendered, Error>>,
    ) -> Result<Rendered, Error> {
        let Some(tier) = &self.tier else { return compute.await };
        if let Some(Kept { body, media_type }) = tier.get(key).await {
            return Ok(Rendered { body, media_type, timings: Timings::default(), is_stored: true, is_stand_in: false });
        }
        let made = compute.await?;
        if made.is_stand_in {
            // What failed may have been a picture that is not there today.
            return Ok(made);
        }
        tier.put(key, Kept { body: made.body.clone(), media_type: made.media_type.clone() });
        Ok(made)
    }

    /// Makes a result of `source`, or where that is not at hand, of what is read.
    async fn compute(&self, identity: &Identity, asker: Asker, source: Option<Bytes>) -> Result<Rendered, Error> {
        self.refuse_crashed(identity.cache_key).await?;
        let clock = Instant::now();
        let pictures = self.pictures_of(identity).instrument(step("fetch pictures")).await;
        // What is near is read when its turn has come; what is far may take long, and holds up nobody meanwhile.
        let (source, _held) = match source {
            None if !identity.bucket.is_local() => self.fetch(identity, asker).instrument(step("fetch source")).await?,
            source => (source, None),
        };
        let fetched = clock.elapsed();
        let _turn = self.workers.turn(asker).instrument(step("wait")).await?;
        let wait = clock.elapsed() - fetched;
        let source = match source {
            Some(source) => source,
            None => self.source_of(identity).await?,
        };
        let so_far = Timings { fetch: clock.elapsed() - wait, wait, ..Timings::default() };
        let made = match pictures {
            Ok(pictures) => self.make(identity, &source, pictures, so_far).instrument(step("make")).await,
            Err(error) => Err(error),
        };
        // What changed is transient, so that the source is no answer to it.
        set::or_source(&identity.plan, made, &source, &identity.key)
    }

    /// Reads a source from afar, within the memory that there is for such. A store that tells no length may send as much as a
    /// source may have.
    async fn fetch(&self, identity: &Identity, asker: Asker) -> Result<(Option<Bytes>, Option<fetches::Held>), Error> {
        let bytes = identity.meta.bytes.unwrap_or(u64::MAX).min(self.config.source_bytes);
        let mut held = self.fetches.hold(identity.bucket.name(), bytes, asker.deadline).await?;
        let source = self.source_of(identity).await?;
        held.shrink(source.len() as u64);
        Ok((Some(source), Some(held)))
    }

    /// The bytes that a result is named by.
    async fn source_of(&self, identity: &Identity) -> Result<Bytes, Error> {
        let Identity { bucket, key, meta: named, .. } = identity;
        let read = self.sources.read(bucket, key, &named.version, self.config.source_bytes).await;
        let (meta, body) = read.map_err(Error::Source)?;
        if meta.version == named.version {
            return Ok(body);
        }
        if bucket.is_local() {
            self.sources.forget(bucket.name(), key);
        }
        Err(Error::Changed(Some(Box::new(Source { meta, body }))))
    }

    async fn make(
        &self,
        identity: &Identity,
        source: &Bytes,
        pictures: Vec<Bytes>,
        so_far: Timings,
    ) -> Result<Rendered, Error> {
        let in_budget = |program: &Program| identity.check_budget(program);
        let plan = self.settled(&identity.plan, source, &pictures, identity.rendering, in_budget).await?;
        let mut program = self.program(&plan, source, &pictures, identity.rendering)?;
        identity.check_budget(&program)?;
        let known_quality = if program.is_scored() { self.qualities.get(identity.cache_key).await } else { None };
        if let Some(quality) = known_quality {
            program.remember_quality(quality);
        }
        let clock = Instant::now();
        let ladder = self.ladder_of(identity, &program);
        let rung_bytes = ladder.as_ref().and_then(|_| program.rung_bytes()).unwrap_or(0);
        let permit = self.workers.permit(program.cost.memory_bytes + rung_bytes).await?;
        let wait = so_far.wait + clock.elapsed();
        let limits = self.config.limits.clone();
        let rendering = identity.rendering;
        let task = contained::Task { plan, rendering, known_quality, program, pictures };
        let (source, helpers) = (source.clone(), self.helpers_for(source, &task.pictures));
        let work = self.workers.run(permit, move |cancel| {
            let mut clock = StageClock::default();
            let ladder = ladder.as_ref().map(|ladder| ladder as &dyn rungs::Ladder);
            let mut enter = |stage| clock.enter(stage);
            let output = match helpers {
                Some(helpers) => contained::run(&helpers, &task, &source, &limits, cancel, &mut enter)?,
                None => run_on(&task.program, &source, &task.pictures, &limits, ladder, cancel, &mut enter)?,
            };
            Ok((output, clock.stop()))
        });
        let work = async { contained::settled(work.await) };
        let (output, timings) = self.remembering(identity.cache_key, work).await??;
        self.check_output(&output)?;
        if let Some(quality) = output.found_quality {
            self.qualities.put(identity.cache_key, quality).await;
        }
        Ok(rendered(output, Timings { fetch: so_far.fetch, wait, ..timings }))
    }

    /// Where decoded planes of the source are kept: those of a version that is purged are not found again.
    fn ladder_of(&self, identity: &Identity, program: &Program) -> Option<Ladder> {
        let Identity { bucket, key, meta, .. } = identity;
        let memory_bytes = program.cost.memory_bytes + program.rung_bytes().filter(|_| self.is_trusted())?;
        // What only fits without is made without.
        if memory_bytes > self.workers.memory_bytes() {
            return None;
        }
        let purge = self.sources.generations().of_source(bucket.name(), key, &meta.tags).to_string();
        Some(self.ladders.of_source(CacheKey::of(&[bucket.name(), key, &meta.version, &purge])))
    }

    fn program(&self, plan: &Plan, source: &Bytes, pictures: &[Bytes], rendering: Rendering) -> Result<Program, Error> {
        let header = decode::probe(source)?;
        let mut headers: Vec<Header> = Vec::with_capacity(pictures.len());
        for (picture, reference) in pictures.iter().zip(plan.images()) {
            let header = decode::probe(picture).map_err(|error| unusable(reference, error.kind(), &error))?;
            headers.push(header);
        }
        let program = resolve(plan, &header, &headers, &self.config.limits, rendering)?;
        self.check_animation(&program)?;
        Ok(program)
    }

    /// What all frames of an animation come to together is bounded like what they come from.
    fn check_animation(&self, program: &Program) -> Result<(), Error> {
        let (frames, limit) = (program.frames() as u64, self.config.limits.animation_pixels);
        let value = frames.saturating_mul(program.size.area());
        if program.animated && value > limit {
            return Err(engine::Error::Limit { what: "result pixels of all frames", value, limit }.into());
        }
        Ok(())
    }

    fn check_output(&self, output: &Output) -> Result<(), Error> {
        let (value, limit) = (output.body.len() as u64, self.config.output_bytes);
        if value > limit {
            return Err(engine::Error::Limit { what: "result bytes", value, limit }.into());
        }
        Ok(())
    }
}

/// A part of a request in traces. Without them it is none, so that every line of the log names the request itself.
fn step(name: &'static str) -> Span {
    if cfg!(feature = "otel") { tracing::info_span!("step", otel.name = name) } else { Span::none() }
}
