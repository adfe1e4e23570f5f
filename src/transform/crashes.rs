//! Work that panicked is not tried again for a while: the same source and plan would only take the next worker down its path.

use std::time::Duration;

use bytes::Bytes;

use super::{Error, Transformer};
use crate::cache::CacheKey;
use crate::plan::Plan;
use crate::workers;

/// How many are remembered, some 100 bytes each.
pub(super) const REMEMBERED: u64 = 10_000;
/// For how long: a picture behind a URL may have been replaced since.
pub(super) const LIFE: Duration = Duration::from_secs(3600);

impl Transformer {
    /// Refuses the result that this key names where making it has panicked. The key is the hash of source and plan.
    pub(super) async fn refuse_crashed(&self, key: CacheKey) -> Result<(), Error> {
        match self.crashed.get(key).await {
            Some(()) => Err(Error::Crashed),
            None => Ok(()),
        }
    }

    /// What `work` came to; remembers a panic.
    pub(super) async fn remembering<T>(
        &self,
        key: CacheKey,
        work: impl Future<Output = Result<T, workers::Error>>,
    ) -> Result<T, Error> {
        let done = work.await;
        if matches!(done, Err(workers::Error::Crashed)) {
            tracing::error!(result = key.short(), "this source and plan crashed; they are refused for an hour");
            self.crashed.put(key, ()).await;
        }
        Ok(done?)
    }

    /// Which of these plans have crashed over these bytes, wherever they came from.
    pub(super) async fn have_crashed(&self, source: &Bytes, plans: &[Plan]) -> Vec<bool> {
        let mut crashed = vec![false; plans.len()];
        // Nearly always, and then there is nothing to hash for.
        if self.crashed.is_empty() {
            return crashed;
        }
        let source = source_name(source).await;
        for (plan, crashed) in plans.iter().zip(&mut crashed) {
            *crashed = self.crashed.get(name(&source, plan)).await.is_some();
        }
        crashed
    }

    /// Remembers that a plan has crashed over these bytes.
    pub(super) async fn remember_crash(&self, source: &Bytes, plan: &Plan) {
        tracing::error!(%plan, "a job's source crashed with this plan; it is refused for an hour");
        self.crashed.put(name(&source_name(source).await, plan), ()).await;
    }
}

/// Hashing takes some 30 ms for the largest sources.
async fn source_name(source: &Bytes) -> String {
    let source = source.clone();
    let hashed = tokio::task::spawn_blocking(move || CacheKey::of_bytes(&source).short());
    // It only ends early where the runtime does.
    hashed.await.unwrap_or_default()
}

fn name(source: &str, plan: &Plan) -> CacheKey {
    CacheKey::of(&["bytes", source, &plan.to_string()])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plan::Plan;
    use crate::store::guard::AddressGuard;
    use crate::store::objects::Objects;
    use crate::store::{Bucket, Buckets, Remote, Timeouts};
    use crate::transform::Config;
    use crate::workers::Lane;

    #[tokio::test]
    async fn what_crashed_is_refused_at_once() {
        crate::app::install_tls();
        let timeouts = Timeouts::default();
        let mut buckets = Buckets::default();
        buckets.add(Bucket::over_objects("photos", Objects::in_memory(), timeouts), &[]);
        let remote = Remote::new(AddressGuard::default(), timeouts);
        let transformer = Transformer::new(Arc::new(buckets), remote, Config { workers: 1, ..Config::default() });
        let bucket = Arc::clone(transformer.buckets().named("photos").unwrap());
        let logo: &[u8] = include_bytes!("../../examples/photos/logo.png");
        bucket.put("logo.png", logo.into(), "image/png").await.unwrap();
        let plan = |text: &str| Plan::parse(text).unwrap();
        let mut crashed = transformer.identify(&bucket, "logo.png", plan("imageView2/2/w/9")).await.unwrap();
        let permit = transformer.workers.permit(0).await.unwrap();
        let work = transformer.workers.run(permit, |_| panic!("on purpose"));
        let done: Result<(), Error> = transformer.remembering(crashed.cache_key, work).await;
        let asker = transformer.asker(Lane::default());
        assert!(matches!(done, Err(Error::Crashed)));
        assert!(matches!(*transformer.render(&mut crashed, asker).await.unwrap_err(), Error::Crashed));
        let mut other = transformer.identify(&bucket, "logo.png", plan("imageView2/2/w/8")).await.unwrap();
        assert!(transformer.render(&mut other, asker).await.is_ok(), "another plan is another result");

        // Jobs know sources by their bytes.
        let plans = ["imageView2/2/w/9", "imageView2/2/w/8"].map(plan);
        let source = Bytes::from_static(logo);
        transformer.remember_crash(&source, &plans[0]).await;
        let made = transformer.render_bytes(&bucket, "x.png", &source, &plans).await;
        assert!(matches!(&made[..], [Err(Error::Crashed), Ok(_)]), "{made:?}");
        let made = transformer.render_all(&bucket, "logo.png", &plans).await;
        assert!(matches!(&made[..], [Err(Error::Crashed), Ok(_)]), "{made:?}");
    }
}
