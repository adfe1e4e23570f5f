//! Many results of one source at once, for jobs: read once, decoded once, and not through the cache.

use std::sync::{Arc, mpsc};

use bytes::Bytes;

use super::contained::{self, Failure, Task};
use super::{Error, Rendered, Timings, Transformer, media_type_of, rendered};
use crate::engine;
use crate::engine::run::{Output, run};
use crate::engine::shared;
use crate::plan::Plan;
use crate::plan::watermark::ImageRef;
use crate::store::Bucket;
use crate::workers;

/// Memory that outputs may share by prediction; what would take more is made one after the other.
const SHARED_BYTES: u64 = 256 << 20;

impl Transformer {
    /// What each of `plans` makes of an object, in their order: the same bytes as [`Transformer::render`]. The object is read
    /// once, whatever may be shared is done once, and one failure is no other's.
    ///
    /// Takes as long as it takes; it stops soon after the future is dropped. At most half of the workers are busy with this.
    pub async fn render_all(&self, bucket: &Arc<Bucket>, key: &str, plans: &[Plan]) -> Vec<Result<Rendered, Error>> {
        let read = async {
            // Whoever has a source in memory is one of few.
            let turn = self.workers.job_turn().await?;
            Ok::<_, Error>((turn, self.read(bucket, key).await?.1))
        };
        match read.await {
            Ok((turn, source)) => self.render_in_turn(turn, bucket, key, &source, plans).await,
            Err(error) => plans.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// [`Transformer::render_all`] of bytes that are at hand: `name` is what they would be called, and pictures without a bucket
    /// are those of `bucket`.
    pub async fn render_bytes(
        &self,
        bucket: &Arc<Bucket>,
        name: &str,
        source: &Bytes,
        plans: &[Plan],
    ) -> Vec<Result<Rendered, Error>> {
        match self.workers.job_turn().await {
            Ok(turn) => self.render_in_turn(turn, bucket, name, source, plans).await,
            Err(error) => plans.iter().map(|_| Err(error.into())).collect(),
        }
    }

    async fn render_in_turn(
        &self,
        _turn: workers::Permit,
        bucket: &Arc<Bucket>,
        name: &str,
        source: &Bytes,
        plans: &[Plan],
    ) -> Vec<Result<Rendered, Error>> {
        let mut made = self.tasks(bucket, source, plans).await;
        for (made, has_crashed) in made.iter_mut().zip(self.have_crashed(source, plans).await) {
            if has_crashed {
                *made = Err(Error::Crashed);
            }
        }
        let tasks: Vec<Arc<Task>> = made.iter().filter_map(|made| made.as_ref().ok().cloned()).collect();
        let mut outputs = self.outputs(source, tasks).await.into_iter();
        let results = made.into_iter().map(|made| made.and_then(|_| outputs.next().unwrap_or(Err(Error::Crashed))));
        plans.iter().zip(results).map(|(plan, result)| or_source(plan, result, source, name)).collect()
    }

    /// Each plan's program, with its pictures; every picture is read once.
    async fn tasks(&self, bucket: &Arc<Bucket>, source: &Bytes, plans: &[Plan]) -> Vec<Result<Arc<Task>, Error>> {
        let mut references: Vec<&ImageRef> = Vec::new();
        for reference in plans.iter().flat_map(Plan::images) {
            if !references.contains(&reference) {
                references.push(reference);
            }
        }
        let reads = references.iter().map(|reference| self.picture(bucket, reference));
        let read = futures::future::join_all(reads).await;
        let picture = |wanted: &ImageRef| {
            let at = references.iter().position(|reference| *reference == wanted);
            at.and_then(|at| read.get(at)).map_or(Err(Error::Crashed), Clone::clone)
        };
        let rendering = self.config.rendering;
        let mut tasks = Vec::with_capacity(plans.len());
        for plan in plans {
            let task = async {
                let pictures = plan.images().map(picture).collect::<Result<Vec<Bytes>, Error>>()?;
                let plan = self.settled(plan, source, &pictures, rendering, |_| Ok(())).await?;
                let program = self.program(&plan, source, &pictures, rendering)?;
                Ok(Arc::new(Task { plan, rendering, known_quality: None, program, pictures }))
            };
            tasks.push(task.await);
        }
        tasks
    }

    /// What the programs come to, in their order.
    async fn outputs(&self, source: &Bytes, tasks: Vec<Arc<Task>>) -> Vec<Result<Rendered, Error>> {
        let (finished, outputs) = mpsc::channel();
        let costs = || tasks.iter().map(|task| task.program.cost.memory_bytes);
        let memory_bytes = costs().sum::<u64>().min(SHARED_BYTES).max(costs().max().unwrap_or(0));
        let work = self.on_a_worker(memory_bytes, {
            let (source, tasks, limits) = (source.clone(), tasks.clone(), self.config.limits.clone());
            let helpers = self.helpers_for(&source, tasks.iter().flat_map(|task| &task.pictures));
            move |cancel: &engine::limits::Cancel| {
                let mut finish = |index, output| {
                    // Nobody may be there to take it.
                    let _nobody = finished.send((index, output));
                };
                if let Some(helpers) = helpers {
                    return contained::run_all(&helpers, &tasks, &source, &limits, SHARED_BYTES, cancel, &mut finish);
                }
                let tasks: Vec<shared::Task<'_>> = tasks
                    .iter()
                    .map(|task| shared::Task { program: &task.program, pictures: &task.pictures })
                    .collect();
                shared::run_all(&tasks, &source, &limits, SHARED_BYTES, cancel, &mut finish);
                Ok(())
            }
        });
        let done = work.await;
        let mut made: Vec<Option<Result<Output, Error>>> = tasks.iter().map(|_| None).collect();
        for (index, output) in outputs.try_iter() {
            made[index] = Some(output.map_err(Error::Engine));
        }
        let mut results = Vec::with_capacity(tasks.len());
        for (made, task) in made.into_iter().zip(tasks) {
            let output = match (made, &done) {
                (Some(output), _) => output,
                // What took all down with it is found by running alone what is left.
                (None, Err(Error::Crashed)) => self.output_alone(source, task).await,
                (None, Err(error)) => Err(error.clone()),
                (None, Ok(())) => Err(Error::Crashed),
            };
            results.push(output.map(|output| rendered(output, Timings::default())));
        }
        results
    }

    async fn output_alone(&self, source: &Bytes, task: Arc<Task>) -> Result<Output, Error> {
        let output = self.try_alone(source.clone(), Arc::clone(&task)).await;
        if matches!(output, Err(Error::Crashed)) {
            self.remember_crash(source, &task.plan).await;
        }
        output
    }

    pub(super) async fn try_alone(&self, source: Bytes, task: Arc<Task>) -> Result<Output, Error> {
        let limits = self.config.limits.clone();
        let memory_bytes = task.program.cost.memory_bytes;
        let helpers = self.helpers_for(&source, &task.pictures);
        self.on_a_worker(memory_bytes, move |cancel: &engine::limits::Cancel| match helpers {
            Some(helpers) => contained::run(&helpers, &task, &source, &limits, cancel, &mut |_| {}),
            None => Ok(run(&task.program, &source, &task.pictures, &limits, cancel, &mut |_| {})?),
        })
        .await
    }

    async fn on_a_worker<T: Send + 'static>(
        &self,
        memory_bytes: u64,
        work: impl FnOnce(&engine::limits::Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = self.workers.permit(memory_bytes).await?;
        contained::flat(self.workers.run(permit, work).await)
    }
}

/// The result, or the source where the plan ignores what is wrong with itself.
pub(super) fn or_source(
    plan: &Plan,
    result: Result<Rendered, Error>,
    source: &Bytes,
    name: &str,
) -> Result<Rendered, Error> {
    match result {
        Err(error) if plan.ignores_errors() && error.is_ignorable() => {
            tracing::info!(%error, "answering with the source");
            let media_type = media_type_of(source, name);
            let (body, timings) = (source.clone(), Timings::default());
            Ok(Rendered { body, media_type, timings, is_stored: false, is_stand_in: true })
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::guard::AddressGuard;
    use crate::store::objects::Objects;
    use crate::store::{Buckets, Remote, Timeouts};
    use crate::transform::Config;
    use crate::workers::Lane;

    async fn transformer() -> Transformer {
        crate::app::install_tls();
        let timeouts = Timeouts::default();
        let mut buckets = Buckets::default();
        buckets.add(Bucket::over_objects("photos", Objects::in_memory(), timeouts), &[]);
        let remote = Remote::new(AddressGuard::default(), timeouts);
        let config = Config { workers: 1, queue: 0, ..Config::default() };
        Transformer::new(Arc::new(buckets), remote, config)
    }

    #[tokio::test]
    async fn a_set_comes_to_what_its_plans_come_to() {
        let transformer = transformer().await;
        let bucket = Arc::clone(transformer.buckets().named("photos").expect("the bucket"));
        let logo = Bytes::from_static(include_bytes!("../../examples/photos/logo.png"));
        bucket.put("logo.png", logo.clone(), "image/png").await.expect("a memory");
        // base64url of `kodo://photos/missing.png`.
        let missing = "watermark/1/image/a29kbzovL3Bob3Rvcy9taXNzaW5nLnBuZw==";
        let texts = ["imageView2/2/w/100", missing, "imageView2/2/w/100|imageMogr2/blur/3x2", "imageInfo", "exif"];
        let plans: Vec<Plan> = texts.iter().map(|text| Plan::parse(text).expect("a plan")).collect();
        let set = transformer.render_all(&bucket, "logo.png", &plans).await;
        assert_eq!(set.len(), plans.len());
        for (plan, made) in plans.into_iter().zip(set) {
            let text = plan.to_string();
            let mut identity = transformer.identify(&bucket, "logo.png", plan).await.expect("an object");
            match (transformer.render(&mut identity, transformer.asker(Lane::default())).await, made) {
                (Ok((alone, _)), Ok(made)) => {
                    assert!(alone.body == made.body && alone.media_type == made.media_type, "{text}");
                }
                (Err(alone), Err(made)) => assert_eq!(alone.to_string(), made.to_string(), "{text}"),
                (alone, made) => panic!("{text}: {alone:?} alone, {made:?} in a set"),
            }
        }
        let plan = Plan::parse("imageInfo").expect("a plan");
        let gone = transformer.render_all(&bucket, "gone.png", &[plan.clone(), plan]).await;
        assert!(gone.iter().all(|made| matches!(made, Err(Error::Source(_)))), "{gone:?}");
    }
}
