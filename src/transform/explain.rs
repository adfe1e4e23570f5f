//! What a request would come to, without making it.

use std::sync::Arc;

use super::{Error, Identity, Transformer, Wish};
use crate::cache::CacheKey;
use crate::config::OverBudget;
use crate::engine::program::Program;
use crate::plan::Plan;
use crate::store::Bucket;

/// What a request would come to now.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The plan for this client, as text.
    pub plan: String,
    /// What would be done.
    pub program: Program,
    /// Where the result is kept already.
    pub kept: Kept,
    /// A better format would be made meanwhile.
    pub is_interim: bool,
    /// What would become of it, where it takes longer than a client is kept waiting.
    pub over_budget: Option<OverBudget>,
    /// Limits of which it takes half or more.
    pub near: Vec<Near>,
}

/// Where a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In memory.
    Memory,
    /// In the store behind that.
    Store,
    /// It is being made in the background.
    UnderWay,
    /// It would have to be made.
    Nowhere,
}

/// A limit that is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// What is limited, with its unit.
    pub what: &'static str,
    /// What the request takes of it.
    pub value: u64,
    /// All there is.
    pub limit: u64,
}

impl Transformer {
    /// What `plan` over an object would come to for a client with this wish. Nothing is made.
    ///
    /// # Errors
    /// As for [`Transformer::render`], without those of pixels.
    pub async fn explain(&self, bucket: &Arc<Bucket>, key: &str, plan: &Plan, wish: Wish) -> Result<Explained, Error> {
        let mut choice = self.decide(bucket, key, plan.clone(), wish).await?;
        let program = match self.program_of(&choice.identity).await {
            Err(Error::Changed(_)) => {
                choice = self.decide(bucket, key, plan.clone(), wish).await?;
                self.program_of(&choice.identity).await
            }
            program => program,
        }?;
        let kept = self.whereabouts(choice.identity.cache_key).await;
        let interactive = self.config.interactive.filter(|it| program.cost.time > it.most);
        let near = self.near(&program);
        let plan = choice.identity.canonical;
        Ok(Explained {
            plan,
            program,
            kept,
            is_interim: choice.is_interim,
            over_budget: interactive.map(|it| it.over),
            near,
        })
    }

    pub(super) async fn program_of(&self, identity: &Identity) -> Result<Program, Error> {
        let source = self.source_of(identity).await?;
        let pictures = self.pictures_of(identity).await?;
        let plan = self.settled(&identity.plan, &source, &pictures, identity.rendering, |_| Ok(())).await?;
        self.program(&plan, &source, &pictures, identity.rendering)
    }

    async fn whereabouts(&self, key: CacheKey) -> Kept {
        if self.is_under_way(key) {
            return Kept::UnderWay;
        }
        if !self.is_trusted() {
            return Kept::Nowhere;
        }
        if self.cache.contains(key) || self.is_finished(key) {
            return Kept::Memory;
        }
        match &self.tier {
            Some(tier) if tier.get(key).await.is_some() => Kept::Store,
            _ => Kept::Nowhere,
        }
    }

    fn near(&self, program: &Program) -> Vec<Near> {
        let (config, limits, source) = (&self.config, &self.config.limits, &program.source);
        let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let time = milliseconds(program.cost.time);
        let mut all = vec![
            ("source bytes", source.bytes, config.source_bytes),
            ("source edge in pixels", source.size.long().into(), limits.source_edge.into()),
            ("source pixels", source.size.area(), limits.source_pixels),
            ("memory in bytes by prediction", program.cost.memory_bytes, self.workers.memory_bytes()),
            ("milliseconds by prediction", time, milliseconds(config.deadline)),
        ];
        if let Some(interactive) = config.interactive {
            all.push(("interactive milliseconds by prediction", time, milliseconds(interactive.most)));
        }
        if program.image_output().is_some() {
            all.push(("result edge in pixels", program.size.long().into(), limits.output_edge.into()));
            all.push(("result pixels", program.size.area(), limits.output_pixels));
        }
        if program.animated {
            let frames = |size: crate::geometry::Size| size.area().saturating_mul(u64::from(program.frames()));
            all.push(("source pixels over all frames", frames(source.size), limits.animation_pixels));
            all.push(("result pixels of all frames", frames(program.size), limits.animation_pixels));
        }
        let near =
            |(what, value, limit): (_, u64, u64)| (value >= limit.div_ceil(2)).then_some(Near { what, value, limit });
        all.into_iter().filter_map(near).collect()
    }
}
