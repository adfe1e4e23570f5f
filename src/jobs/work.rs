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

/// Why an output is not there: for good, or for now.
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
        let is_last = claim.attempt >= self.max_attempts;
        let left: Vec<usize> =
            (0..claim.job.outcomes.len()).filter(|position| claim.job.outcomes[*position].is_none()).collect();
        let source = self.read(&claim.job.spec.source).await;
        let mut ended = Ended::Done;
        for (done, position) in left.iter().enumerate() {
            let made = match &source {
                Ok(source) => self.make(claim, &claim.job.spec.outputs[*position], source).await,
                Err(trouble) => Err(Trouble { kind: trouble.kind, failure: trouble.failure.clone() }),
            };
            let outcome = match made {
                Ok(outcome) => outcome,
                Err(trouble) if trouble.kind.is_transient() && !is_last => {
                    tracing::warn!(job = %claim.job.id, problem = trouble.failure.message, "an output is tried again later");
                    ended = Ended::ForNow;
                    continue;
                }
                Err(trouble) => Outcome::Failed(trouble.failure),
            };
            self.set_progress(&claim.job.id, (done + 1) * 1000 / left.len());
            if !queue.record(claim, *position, &outcome, SystemTime::now()).await? {
                return Ok(Ended::Lost);
            }
        }
        Ok(ended)
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

    /// Makes one output and stores it, unless it is there.
    async fn make(&self, claim: &Claim, output: &OutputSpec, source: &Read) -> Result<Outcome, Trouble> {
        let facts = Facts {
            bucket: source.bucket.name(),
            key: &source.key,
            source_hash: &source.hash,
            source_bytes: source.body.len() as u64,
            source_type: &source.media_type,
            now: claim.job.created,
        };
        let existing = match destination::known(output, &facts) {
            Some((bucket, key)) if !claim.job.spec.force => self.existing(bucket, &key).await?,
            _ => None,
        };
        // What an earlier attempt stored and could not record is this job's own: it is made again to know.
        if let Some(existing) = &existing
            && claim.attempt == 1
        {
            return Ok(Outcome::Stored(existing.clone()));
        }
        let rendered = self.render(output, source).await?;
        // Facts about a picture are told, unless their owner names a place for them (spec 7.2).
        if output.destination == Destination::Derived && rendered.media_type == JSON {
            return Ok(Outcome::Data(String::from_utf8_lossy(&rendered.body).into_owned()));
        }
        if let Some(existing) = existing
            && existing.hash != qetag(&rendered.body)
        {
            return Ok(Outcome::Stored(existing));
        }
        let (bucket, key) = destination::of_result(output, &facts, &rendered.body);
        let bucket = self.transformer.buckets().named(bucket)?;
        bucket.put(&key, rendered.body.clone(), &rendered.media_type).await?;
        Ok(Outcome::Stored(stored(bucket.name(), key, &rendered)))
    }

    async fn render(&self, output: &OutputSpec, source: &Read) -> Result<Rendered, Trouble> {
        if output.pipeline.is_empty() {
            let (body, media_type) = (source.body.clone(), source.media_type.clone());
            return Ok(Rendered { body, media_type, timings: transform::Timings::default() });
        }
        let plan = Plan::parse(&output.pipeline).map_err(|error| Trouble::new(error.kind(), &error))?;
        Ok(self.transformer.render_for_job(&source.bucket, &source.key, plan, &source.body).await?)
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
