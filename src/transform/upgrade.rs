//! Serve now, upgrade later: AVIF takes long to make, so where it would, the first answer is another format that the client
//! takes, good for a short time, and the AVIF is made meanwhile at a slower, better speed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Error, Identity, Transformer, Wish};
use crate::cache::{CacheKey, Memory};
use crate::engine::program::Answer;
use crate::plan::Plan;
use crate::plan::output::{Accepts, OutputFormat};
use crate::store::Bucket;
use crate::workers::{Asker, Lane};

/// AVIF of so many pixels is encoded while its client waits: it takes some 50 ms.
const AT_ONCE_PIXELS: u64 = 120_000;

/// Upgrades that are waiting or being made; requests of more pictures than these are upgraded when they are asked for again.
const MOST: usize = 256;

/// How long an upgrade may take, waiting included.
const PATIENCE: Duration = Duration::from_secs(300);

/// Results of which it is remembered what they are.
const REMEMBERED: u64 = 100_000;

/// Upgrades take turns with clients, as one of them.
const LANE: Lane = Lane(u64::MAX);

/// What to answer with.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The result.
    pub identity: Identity,
    /// A better one is being made.
    pub is_interim: bool,
}

/// What is known of results that might be AVIF.
#[derive(Clone, Debug)]
pub(super) struct Upgrades {
    known: Memory<Worth>,
    begun: Arc<Mutex<HashSet<CacheKey>>>,
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
        Self { known: Memory::new(REMEMBERED), begun: Arc::default() }
    }

    fn begun(&self) -> MutexGuard<'_, HashSet<CacheKey>> {
        // Nothing panics while it is held.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transformer {
    /// The result that a client gets now.
    ///
    /// # Errors
    /// As for [`Transformer::identify`].
    pub async fn choose(&self, bucket: &Arc<Bucket>, key: &str, plan: Plan, wish: Wish) -> Result<Choice, Error> {
        if wish.accepts.avif {
            return Box::pin(self.choose_avif(bucket, key, plan, wish)).await;
        }
        Ok(Choice { identity: self.identify_for(bucket, key, plan, wish).await?, is_interim: false })
    }

    async fn choose_avif(&self, bucket: &Arc<Bucket>, key: &str, plan: Plan, wish: Wish) -> Result<Choice, Error> {
        let better = self.identify_for(bucket, key, plan.clone(), Wish { patient: true, ..wish }).await?;
        if self.is_kept(better.cache_key).await {
            return Ok(Choice { identity: better, is_interim: false });
        }
        let worth = self.worth(&better).await;
        if worth == Worth::AtOnce {
            return Ok(Choice { identity: self.identify_for(bucket, key, plan, wish).await?, is_interim: false });
        }
        let accepts = Accepts { avif: false, ..wish.accepts };
        let identity = self.identify_for(bucket, key, plan, Wish { accepts, ..wish }).await?;
        let is_interim = worth == Worth::Later;
        if is_interim {
            self.upgrade(better);
        }
        Ok(Choice { identity, is_interim })
    }

    /// Whether a result may be answered with at once. The store behind the cache is only asked before anything is known of it.
    async fn is_kept(&self, key: CacheKey) -> bool {
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

    /// Begins to make `better`, unless that was begun before.
    fn upgrade(&self, mut better: Identity) {
        let mut begun = self.upgrades.begun();
        if begun.len() >= MOST || !begun.insert(better.cache_key) {
            return;
        }
        drop(begun);
        let transformer = self.clone();
        tokio::spawn(async move {
            let done = EndOnDrop { upgrades: transformer.upgrades.clone(), key: better.cache_key };
            if let Err(error) = transformer.make_better(&mut better).await {
                tracing::info!(%error, "no better format was made");
                if !error.kind().is_transient() {
                    transformer.upgrades.known.put(better.cache_key, Worth::Never).await;
                }
            }
            drop(done);
        });
    }

    async fn make_better(&self, better: &mut Identity) -> Result<(), Arc<Error>> {
        let _turn = self.workers.job_turn().await.map_err(|error| Arc::new(error.into()))?;
        let asker = Asker { lane: LANE, deadline: Instant::now() + PATIENCE };
        self.render(better, asker).await.map(drop)
    }
}

/// Takes an upgrade off the list, however it ends.
struct EndOnDrop {
    upgrades: Upgrades,
    key: CacheKey,
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.upgrades.begun().remove(&self.key);
    }
}
