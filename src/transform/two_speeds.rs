//! One grammar, two speeds: what takes longer, by prediction, than a client is kept waiting is refused, or made in the
//! background while the client asks again.
//!
//! What is under way is known to this process alone and ends with it: whoever asks then begins it anew. What must not be lost
//! is a job.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::background::Background;
use super::{Error, Identity, Rendered, Transformer};
use crate::cache::{CacheKey, Memory, Origin};
use crate::config::OverBudget;
use crate::engine::program::Program;
use crate::workers::Asker;

/// What is made while a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interactive {
    /// Longest that it may take by prediction.
    pub most: Duration,
    /// What becomes of the rest.
    pub over: OverBudget,
}

/// What a client gets now.
#[derive(Clone, Debug)]
pub enum Response {
    /// The result.
    Ready(Arc<Rendered>, Origin),
    /// It is being made.
    Accepted {
        /// The prediction of how long that takes.
        predicted: Duration,
    },
}

/// Results whose prediction is remembered, some 100 bytes each.
const REMEMBERED: u64 = 100_000;

/// For how long a failure is answered with, before the work is tried again.
const FAILURE_LIFE: Duration = Duration::from_secs(30);

/// A finished result is there for who asked for it, also where the cache did not keep it: for so long, and so many bytes.
const FINISHED_LIFE: Duration = Duration::from_secs(60);
const FINISHED_BYTES: u32 = 64 << 20;

/// What is known of results that take long.
#[derive(Clone, Debug)]
pub(super) struct TwoSpeeds {
    predicted: Memory<Duration>,
    background: Background,
    failed: Memory<Arc<Error>>,
    finished: Cache<CacheKey, Arc<Rendered>>,
}

impl TwoSpeeds {
    pub(super) fn new() -> Self {
        let weight = |_: &CacheKey, made: &Arc<Rendered>| {
            // One is always kept, whatever its size.
            u32::try_from(made.body.len()).unwrap_or(u32::MAX).clamp(1 << 10, FINISHED_BYTES)
        };
        let finished = Cache::builder()
            .max_capacity(FINISHED_BYTES.into())
            .weigher(weight)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(FINISHED_LIFE)
            .build();
        Self {
            predicted: Memory::new(REMEMBERED),
            background: Background::default(),
            failed: Memory::for_a_while(REMEMBERED, FAILURE_LIFE),
            finished,
        }
    }
}

impl Identity {
    /// Refuses a program that takes longer than its client is kept waiting.
    pub(super) fn check_budget(&self, program: &Program) -> Result<(), Error> {
        let predicted = program.cost.time;
        match self.budget {
            Some(limit) if predicted > limit => Err(Error::OverBudget { predicted, limit }),
            _ => Ok(()),
        }
    }
}

impl Transformer {
    /// What a client that waits gets: the result where it is kept or quickly made, else what was configured for the others.
    ///
    /// # Errors
    /// As for [`Transformer::render`], and [`Error::OverBudget`].
    pub async fn respond(&self, identity: &mut Identity, asker: Asker) -> Result<Response, Arc<Error>> {
        let Some(interactive) = self.config.interactive else {
            let (made, origin) = self.render(identity, asker).await?;
            return Ok(Response::Ready(made, origin));
        };
        if self.is_trusted() && self.cache.contains(identity.cache_key) {
            let (made, origin) = self.render(identity, asker).await?;
            return Ok(Response::Ready(made, origin));
        }
        Box::pin(self.respond_within(identity, asker, interactive)).await
    }

    async fn respond_within(
        &self,
        identity: &mut Identity,
        asker: Asker,
        interactive: Interactive,
    ) -> Result<Response, Arc<Error>> {
        identity.budget = Some(interactive.most);
        let error = match self.known(identity.cache_key, interactive).await? {
            Some(Known::Made(made)) => return Ok(Response::Ready(made, Origin::Hit)),
            Some(Known::UnderWay(predicted)) => return Ok(Response::Accepted { predicted }),
            Some(Known::TooLong(predicted)) => Arc::new(Error::OverBudget { predicted, limit: interactive.most }),
            None => match self.render_in_time(identity, asker).await {
                Ok((made, origin)) => return Ok(Response::Ready(made, origin)),
                Err(error) => error,
            },
        };
        let Error::OverBudget { predicted, .. } = *error else { return Err(error) };
        self.two_speeds.predicted.put(identity.cache_key, predicted).await;
        match interactive.over {
            OverBudget::Refuse => Err(error),
            OverBudget::Accept => self.accept(identity, predicted),
        }
    }

    /// Whether a result is being made in the background.
    pub(super) fn is_under_way(&self, key: CacheKey) -> bool {
        self.two_speeds.background.contains(key)
    }

    /// Whether a result was just made in the background.
    pub(super) fn is_finished(&self, key: CacheKey) -> bool {
        self.two_speeds.finished.contains_key(&key)
    }

    /// What is known of a result without reading its source.
    async fn known(&self, key: CacheKey, interactive: Interactive) -> Result<Option<Known>, Arc<Error>> {
        let TwoSpeeds { predicted, background, failed, finished } = &self.two_speeds;
        let predicted = predicted.get(key).await;
        if background.contains(key) {
            return Ok(Some(Known::UnderWay(predicted.unwrap_or(interactive.most))));
        }
        if let Some(made) = finished.get(&key).filter(|_| self.is_trusted()) {
            return Ok(Some(Known::Made(made)));
        }
        if let Some(failure) = failed.get(key).await {
            return Err(failure);
        }
        match predicted {
            // The store may have it by now: other nodes put results there too.
            Some(predicted) if !self.is_kept(key).await => Ok(Some(Known::TooLong(predicted))),
            _ => Ok(None),
        }
    }

    /// The result. Where the same one was begun in the background just now, it is not waited for longer than a client waits.
    async fn render_in_time(
        &self,
        identity: &mut Identity,
        asker: Asker,
    ) -> Result<(Arc<Rendered>, Origin), Arc<Error>> {
        let rendered = tokio::time::timeout_at(asker.deadline.into(), self.render(identity, asker)).await;
        rendered.unwrap_or_else(|_| Err(Arc::new(Error::Deadline(self.config.deadline))))
    }

    /// Begins to make a result.
    fn accept(&self, identity: &Identity, predicted: Duration) -> Result<Response, Arc<Error>> {
        // What is made while nothing is kept would have to be made again for whoever asks for it.
        if !self.is_trusted() {
            return Err(Arc::new(Error::Busy));
        }
        let (transformer, identity, key) = (self.clone(), identity.clone(), identity.cache_key);
        let is_begun = self.two_speeds.background.begin(key, async move {
            match transformer.render_slowly(identity).await {
                Ok((key, made)) => transformer.two_speeds.finished.insert(key, made),
                Err(error) => {
                    tracing::info!(%error, "a result that was accepted could not be made");
                    transformer.two_speeds.failed.put(key, error).await;
                }
            }
        });
        if is_begun { Ok(Response::Accepted { predicted }) } else { Err(Arc::new(Error::Busy)) }
    }

    async fn render_slowly(&self, identity: Identity) -> Result<(CacheKey, Arc<Rendered>), Arc<Error>> {
        loop {
            match self.render_patiently(identity.clone()).await {
                // Somebody who waits had begun it, and found out what is known here.
                Err(error) if matches!(*error, Error::OverBudget { .. }) => {}
                done => return done,
            }
        }
    }
}

/// What is known of a result.
enum Known {
    /// It is there.
    Made(Arc<Rendered>),
    /// It is being made, which takes so long by prediction.
    UnderWay(Duration),
    /// It takes so long by prediction, and nothing makes it.
    TooLong(Duration),
}
