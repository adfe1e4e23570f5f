//! Serve now, upgrade later: AVIF takes long to make, so where it would, the first answer is another format that the client
//! takes, good for a short time, and the AVIF is made meanwhile at a slower, better speed.

use std::sync::Arc;

use super::background::Background;
use super::{Error, Identity, Transformer, Wish};
use crate::cache::{CacheKey, Memory};
use crate::engine::program::Answer;
use crate::plan::Plan;
use crate::plan::output::{Accepts, OutputFormat};
use crate::store::Bucket;

/// AVIF of so many pixels is encoded while its client waits: it takes some 50 ms.
const AT_ONCE_PIXELS: u64 = 120_000;

/// Results of which it is remembered what they are.
const REMEMBERED: u64 = 100_000;

/// What to answer with.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The result.
    pub identity: Identity,
    /// A better one is being made.
    pub is_interim: bool,
    /// That one.
    better: Option<Box<Identity>>,
}

impl Choice {
    /// Whether it is the choice for as long as its source stays as it is.
    pub fn is_final(&self) -> bool {
        self.better.is_none() && self.identity.pictures.is_empty()
    }

    const fn only(identity: Identity) -> Self {
        Self { identity, is_interim: false, better: None }
    }
}

/// What is known of results that might be AVIF.
#[derive(Clone, Debug)]
pub(super) struct Upgrades {
    known: Memory<Worth>,
    background: Background,
}

/// What became of a result for whoever takes AVIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// It is made at once: it is small, or no AVIF.
    AtOnce,
    /// It is made in the background.
    Later,
    /// It cannot be made.
    Never,
}

impl Upgrades {
    pub(super) fn new() -> Self {
        Self { known: Memory::new(REMEMBERED), background: Background::default() }
    }
}

impl Transformer {
    /// The result that a client gets now.
    ///
    /// # Errors
    /// As for [`Transformer::identify`].
    pub async fn choose(&self, bucket: &Arc<Bucket>, key: &str, plan: Plan, wish: Wish) -> Result<Choice, Error> {
        let choice = self.decide(bucket, key, plan, wish).await?;
        if let Some(better) = &choice.better {
            self.upgrade(Identity::clone(better));
        }
        Ok(choice)
    }

    /// [`Transformer::choose`], beginning nothing.
    pub(super) async fn decide(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        plan: Plan,
        wish: Wish,
    ) -> Result<Choice, Error> {
        if wish.accepts.avif {
            return Box::pin(self.choose_avif(bucket, key, plan, wish)).await;
        }
        Ok(Choice::only(self.identify_for(bucket, key, plan, wish).await?))
    }

    async fn choose_avif(&self, bucket: &Arc<Bucket>, key: &str, plan: Plan, wish: Wish) -> Result<Choice, Error> {
        let better = self.identify_for(bucket, key, plan.clone(), Wish { patient: true, ..wish }).await?;
        if self.is_kept(better.cache_key).await {
            return Ok(Choice::only(better));
        }
        let worth = self.worth(&better).await;
        if worth == Worth::AtOnce {
            return Ok(Choice::only(self.identify_for(bucket, key, plan, wish).await?));
        }
        let accepts = Accepts { avif: false, ..wish.accepts };
        let identity = self.identify_for(bucket, key, plan, Wish { accepts, ..wish }).await?;
        let is_interim = worth == Worth::Later;
        Ok(Choice { identity, is_interim, better: is_interim.then(|| Box::new(better)) })
    }

    /// Whether a result may be answered with at once. The store behind the cache is only asked before anything is known of it.
    pub(super) async fn is_kept(&self, key: CacheKey) -> bool {
        if !self.is_trusted() {
            return false;
        }
        if self.cache.contains(key) || self.tier.is_none() || self.upgrades.known.get(key).await.is_some() {
            return self.cache.contains(key);
        }
        self.cache.get_or_try_insert(key, self.stored_or(key, async { Err(Error::Busy) })).await.is_ok()
    }

    async fn worth(&self, better: &Identity) -> Worth {
        if let Some(worth) = self.upgrades.known.get(better.cache_key).await {
            return worth;
        }
        // What cannot be looked at fails at once, with its reason.
        let Ok(program) = self.program_of(better).await else { return Worth::AtOnce };
        let is_avif = matches!(&program.answer, Answer::Image(output) if output.format == OutputFormat::Avif);
        let worth = if is_avif && program.size.area() > AT_ONCE_PIXELS { Worth::Later } else { Worth::AtOnce };
        self.upgrades.known.put(better.cache_key, worth).await;
        worth
    }

    /// Begins to make `better`, unless that was begun before; where too much is under way, it is when it is asked for again.
    fn upgrade(&self, better: Identity) {
        let transformer = self.clone();
        let key = better.cache_key;
        self.upgrades.background.begin(key, async move {
            let Err(error) = transformer.render_patiently(better).await else { return };
            tracing::info!(%error, "no better format was made");
            if !error.kind().is_transient() {
                transformer.upgrades.known.put(key, Worth::Never).await;
            }
        });
    }
}
