//! What names a result: everything that its bytes depend on.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::FutureExt;

use super::{Error, Rendered, Transformer};
use crate::cache::CacheKey;
use crate::engine::program::Rendering;
use crate::plan::hints::Hints;
use crate::plan::output::{Accepts, FormatChoice};
use crate::plan::{Fop, Plan};
use crate::store::{Bucket, Meta};

/// Changes with every change of what the engine makes of a plan, so that old results are not taken for new ones.
const ENGINE_REVISION: &str = "9";

/// A result that has a name but is not yet made.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) bucket: Arc<Bucket>,
    pub(super) key: String,
    pub(super) plan: Plan,
    pub(super) canonical: String,
    /// The plan as it was asked for, where what the client tells of itself may have made another one of it.
    pub(super) asked: Option<String>,
    /// The source as it was known.
    pub(super) meta: Meta,
    /// Versions of the plan's pictures.
    pub(super) pictures: Vec<String>,
    pub(super) rendering: Rendering,
    pub(super) cache_key: CacheKey,
    /// The last purge before it was named.
    pub(super) generation: u64,
    /// Longest that it may take by prediction.
    pub(super) budget: Option<Duration>,
}

impl Identity {
    /// The result's entity tag, without quotes: the same for the same source version and canonical plan.
    pub fn etag(&self) -> String {
        self.cache_key.short()
    }

    /// When the source was last modified, where its store tells.
    pub fn modified(&self) -> Option<SystemTime> {
        self.meta.modified
    }
}

/// What a client wishes for besides its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Formats that it takes.
    pub accepts: Accepts,
    /// Whether formats that nobody names are left to that.
    pub auto_format: bool,
    /// What it tells of itself.
    pub hints: Hints,
    /// Whether it can wait.
    pub(super) patient: bool,
}

impl Wish {
    /// What matters of a client's wish for `plan`: nothing where its format is named, so that all share one result.
    pub fn of(plan: &Plan, accepts: Accepts, auto_format: bool) -> Option<Self> {
        let is_auto = match plan.format() {
            _ if plan.fops.last().is_some_and(Fop::is_metadata) => false,
            Some(choice) => choice == FormatChoice::Auto,
            None => auto_format,
        };
        is_auto.then_some(Self { accepts, auto_format, ..Self::default() })
    }
}

impl Transformer {
    /// Names the result of `plan` over an object, reading only metadata.
    ///
    /// # Errors
    /// [`Error::Source`] where the object does not exist or its store fails.
    pub async fn identify(&self, bucket: &Arc<Bucket>, key: &str, plan: Plan) -> Result<Identity, Error> {
        self.identify_for(bucket, key, plan, Wish::default()).await
    }

    pub(super) async fn identify_for(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        plan: Plan,
        wish: Wish,
    ) -> Result<Identity, Error> {
        let source = async { self.sources.meta(bucket, key).await.map_err(Error::Source) };
        let (meta, pictures) = futures::future::join(source, self.picture_versions(bucket, &plan)).await;
        let Wish { accepts, auto_format, hints, patient } = wish;
        let is_hinted = hints != Hints::default() || plan.leaves_width();
        let asked = is_hinted.then(|| plan.to_string());
        let plan = if is_hinted { plan.for_hints(hints) } else { plan };
        let (meta, canonical) = (meta?, plan.to_string());
        let mut identity = Identity {
            bucket: Arc::clone(bucket),
            key: key.to_owned(),
            plan,
            canonical,
            asked,
            meta,
            pictures,
            rendering: Rendering { accepts, auto_format, patient, save_data: hints.save_data, ..self.config.rendering },
            cache_key: CacheKey::of(&[]),
            generation: 0,
            budget: None,
        };
        self.name(&mut identity);
        Ok(identity)
    }

    /// Names a result by everything that its bytes depend on, and by the last purge that concerns it.
    pub(super) fn name(&self, identity: &mut Identity) {
        identity.generation = self.sources.generations().last();
        let Identity { bucket, key, canonical, asked, meta, pictures, rendering, .. } = &*identity;
        let rendering = format!("{rendering:?}");
        let purge = |plan: &str| self.sources.generations().of_result(bucket.name(), key, &meta.tags, plan);
        let purge = purge(canonical).max(asked.as_deref().map_or(0, purge)).to_string();
        let mut parts = vec![ENGINE_REVISION, &rendering, &purge, bucket.name(), key, &meta.version, canonical];
        parts.extend(pictures.iter().map(String::as_str));
        identity.cache_key = CacheKey::of(&parts);
    }

    /// The result, where it is kept and what it was named by is what is known `now`. Its pictures are not looked at.
    pub fn at_hand(&self, identity: &Identity, now: Instant) -> Option<Arc<Rendered>> {
        let generations = self.sources.generations();
        let is_known = generations.is_trusted(now)
            && generations.last() == identity.generation
            && self.sources.is_fresh(&identity.bucket, &identity.key, &identity.meta.version, now);
        if is_known { self.cache.get(identity.cache_key).now_or_never().flatten() } else { None }
    }
}
