//! What is done for one job: its source is read once, each output made, stored and recorded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use super::destination::{self, Facts};
use super::model::{Claim, Destination, Failure, JobId, Outcome, OutputSpec, Source, Stored};
use super::queue::{Error, Queue};
use crate::error::ErrorKind;
use crate::plan::Plan;
use crate::store::qetag::qetag;
use crate::store::{self, Bucket};
use crate::transform::{self, Rendered, Transformer, media_type_of};

/// The media type of facts about a picture.
const JSON: &str = "application/json";

/// How the work on a job came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every output has an outcome.
    Done,
    /// Its owner stopped it.
    Cancelled,
    /// This worker is stopping.
    Stopped,
    /// Something failed that may succeed later.
    ForNow,
    /// Another worker has it.
    Lost,
}

/// Does jobs.
#[derive(Debug)]
pub struct Work {
    transformer: Transformer,
    max_attempts: i32,
    progress: Mutex<HashMap<JobId, i32>>,
}

/// A source, read.
struct Read {
    bucket: Arc<Bucket>,
    key: String,
    body: Bytes,
    hash: String,
    media_type: String,
}

impl Read {
    fn facts(&self, claim: &Claim) -> Facts<'_> {
        Facts {
            bucket: self.bucket.name(),
            key: &self.key,
            source_hash: &self.hash,
            source_bytes: self.body.len() as u64,
            source_type: &self.media_type,
            now: claim.job.created,
        }
    }

    /// The source as a result.
    fn copy(&self) -> Rendered {
        let (body, media_type) = (self.body.clone(), self.media_type.clone());
        Rendered { body, media_type, timings: transform::Timings::default() }
    }
}

/// How an output comes about; with what stands in its place, where something does.
enum Planned {
    /// It is there.
    There(Stored),
    /// It is the source.
    Copied(Option<Stored>),
    /// It is made of the source.
    Made(Box<Plan>, Option<Stored>),
}

impl Planned {
    fn plan(&self) -> Option<&Plan> {
        match self {
            Self::Made(plan, _) => Some(plan),
            _ => None,
        }
    }
}

/// Why an output is not there: for good, or for now.
#[derive(Clone)]
struct Trouble {
    kind: ErrorKind,
    failure: Failure,
}

impl Trouble {
    fn new(kind: ErrorKind, message: &dyn std::fmt::Display) -> Self {
        Self { kind, failure: Failure { message: message.to_string(), stage: None } }
    }
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Self {
        Self::new(error.kind(), &error)
    }
}

impl From<transform::Error> for Trouble {
    fn from(error: transform::Error) -> Self {
        Self::new(error.kind(), &error)
    }
}

impl Work {
    /// Work by `transformer`; what may pass is tried until the job was taken `max_attempts` times.
    pub fn new(transformer: Transformer, max_attempts: i32) -> Self {
        Self { transformer, max_attempts, progress: Mutex::default() }
    }

    /// How far a job is, in thousandths.
    pub(super) fn progress(&self, id: &JobId) -> i32 {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied().unwrap_or_default()
    }

    /// Does what is left of a job.
    ///
    /// # Errors
    /// Where the queue cannot be written; what was done so far stays recorded.
    pub(super) async fn run(&self, queue: &Queue, claim: &Claim) -> Result<Ended, Error> {
        let _forget = Progress { work: self, id: &claim.job.id };
        let left: Vec<usize> =
            (0..claim.job.outcomes.len()).filter(|position| claim.job.outcomes[*position].is_none()).collect();
        let made = match self.read(&claim.job.spec.source).await {
            Ok(source) => Box::pin(self.make_all(claim, &left, &source)).await,
            Err(trouble) => left.iter().map(|_| Err(trouble.clone())).collect(),
        };
        let mut ended = Ended::Done;
        for (position, made) in left.into_iter().zip(made) {
            let Some(outcome) = self.outcome(claim, made) else {
                ended = Ended::ForNow;
                continue;
            };
            if !queue.record(claim, position, &outcome, SystemTime::now()).await? {
                return Ok(Ended::Lost);
            }
        }
        Ok(ended)
    }

    /// What is recorded of an output; nothing where it may be made later.
    fn outcome(&self, claim: &Claim, made: Result<Outcome, Trouble>) -> Option<Outcome> {
        match made {
            Ok(outcome) => Some(outcome),
            Err(trouble) if trouble.kind.is_transient() && claim.attempt < self.max_attempts => {
                tracing::warn!(job = %claim.job.id, problem = trouble.failure.message, "an output is tried again later");
                None
            }
            Err(trouble) => Some(Outcome::Failed(trouble.failure)),
        }
    }

    /// The outputs at the positions `left`: what is there already is found out first, the rest is made together.
    async fn make_all(&self, claim: &Claim, left: &[usize], source: &Read) -> Vec<Result<Outcome, Trouble>> {
        let facts = source.facts(claim);
        let mut planned = Vec::with_capacity(left.len());
        for position in left {
            let output = &claim.job.spec.outputs[*position];
            planned.push((output, self.plan(claim, output, &facts).await));
        }
        let plans: Vec<Plan> =
            planned.iter().filter_map(|(_, planned)| planned.as_ref().ok()?.plan().cloned()).collect();
        let mut rendered =
            self.transformer.render_bytes(&source.bucket, &source.key, &source.body, &plans).await.into_iter();
        let mut made = Vec::with_capacity(left.len());
        for (done, (output, planned)) in planned.into_iter().enumerate() {
            made.push(match planned {
                Ok(Planned::There(stored)) => Ok(Outcome::Stored(stored)),
                Ok(Planned::Copied(existing)) => self.keep(output, &facts, existing, source.copy()).await,
                Ok(Planned::Made(_, existing)) => match rendered.next() {
                    Some(Ok(rendered)) => self.keep(output, &facts, existing, rendered).await,
                    Some(Err(error)) => Err(error.into()),
                    None => Err(transform::Error::Crashed.into()),
                },
                Err(trouble) => Err(trouble),
            });
            self.set_progress(&claim.job.id, (done + 1) * 1000 / left.len());
        }
        made
    }

    /// How an output comes about.
    async fn plan(&self, claim: &Claim, output: &OutputSpec, facts: &Facts<'_>) -> Result<Planned, Trouble> {
        let existing = match destination::known(output, facts) {
            Some((bucket, key)) if !claim.job.spec.force => self.existing(bucket, &key).await?,
            _ => None,
        };
        match existing {
            // What an earlier attempt stored and could not record is this job's own: it is made again to know.
            Some(existing) if claim.attempt == 1 => Ok(Planned::There(existing)),
            existing if output.pipeline.is_empty() => Ok(Planned::Copied(existing)),
            existing => match Plan::parse(&output.pipeline) {
                Ok(plan) => Ok(Planned::Made(Box::new(plan), existing)),
                Err(error) => Err(Trouble::new(error.kind(), &error)),
            },
        }
    }

    /// Stores a result, unless another object stands in its place or it is told rather than stored.
    async fn keep(
        &self,
        output: &OutputSpec,
        facts: &Facts<'_>,
        existing: Option<Stored>,
        rendered: Rendered,
    ) -> Result<Outcome, Trouble> {
        // Facts about a picture are told, unless their owner names a place for them (spec 7.2).
        if output.destination == Destination::Derived && rendered.media_type == JSON {
            return Ok(Outcome::Data(String::from_utf8_lossy(&rendered.body).into_owned()));
        }
        if let Some(existing) = existing
            && existing.hash != qetag(&rendered.body)
        {
            return Ok(Outcome::Stored(existing));
        }
        let (bucket, key) = destination::of_result(output, facts, &rendered.body);
        let bucket = self.transformer.buckets().named(bucket)?;
        bucket.put(&key, rendered.body.clone(), &rendered.media_type).await?;
        Ok(Outcome::Stored(stored(bucket.name(), key, &rendered)))
    }

    async fn read(&self, source: &Source) -> Result<Read, Trouble> {
        let Source::Object { bucket, key } = source else {
            return Err(Trouble::new(ErrorKind::Unsupported, &"sources behind URLs are not worked on yet"));
        };
        let bucket = Arc::clone(self.transformer.buckets().named(bucket)?);
        let (meta, body) = self.transformer.read(&bucket, key).await?;
        let media_type = meta.content_type.unwrap_or_else(|| media_type_of(&body, key));
        Ok(Read { bucket, key: key.clone(), hash: qetag(&body), body, media_type })
    }

    /// The object that stands at a destination.
    async fn existing(&self, bucket: &str, key: &str) -> Result<Option<Stored>, Trouble> {
        let bucket = self.transformer.buckets().named(bucket)?;
        match self.transformer.read(bucket, key).await {
            Ok((_, body)) => {
                let media_type = media_type_of(&body, key);
                let rendered = Rendered { body, media_type, timings: transform::Timings::default() };
                Ok(Some(Stored { existed: true, ..stored(bucket.name(), key.to_owned(), &rendered) }))
            }
            Err(transform::Error::Source(store::Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn set_progress(&self, id: &JobId, thousandths: usize) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.insert(id.clone(), thousandths as i32);
    }
}

fn stored(bucket: &str, key: String, rendered: &Rendered) -> Stored {
    let size = crate::engine::decode::probe(&rendered.body).ok().map(|header| (header.size.width, header.size.height));
    Stored {
        bucket: bucket.to_owned(),
        key,
        hash: qetag(&rendered.body),
        bytes: rendered.body.len() as u64,
        media_type: rendered.media_type.clone(),
        size,
        existed: false,
    }
}

/// Forgets how far a job was once it is let go.
struct Progress<'a> {
    work: &'a Work,
    id: &'a JobId,
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.work.progress.lock().unwrap_or_else(PoisonError::into_inner).remove(self.id);
    }
}
