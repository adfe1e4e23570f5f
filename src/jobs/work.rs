//! What is done for one job: what exists is found out, the rest is made together, stored and recorded.

mod film;
mod record;
mod source;
#[cfg(all(test, feature = "sqlite"))]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use super::destination::{self, Facts};
use super::model::{Claim, Destination, Failure, JobId, Outcome, OutputSpec, Stored};
use super::queue::{Error, Queue};
use super::task::Task;
use crate::engine::decode;
use crate::engine::image::Header;
use crate::error::ErrorKind;
use crate::media::{self, Command};
use crate::plan::{ParseError, Plan};
use crate::store::facts::{self, put_time};
use crate::store::qetag::qetag;
use crate::store::spool::stream;
use crate::store::{self, Bucket, ByteStream, Remote};
use crate::transform::{self, Rendered, Transformer};
use record::Record;
use source::{Described, Place};

/// The media type of facts about a source.
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
    /// There was no room for a result, which is made again once there is.
    NoRoom,
    /// Another worker has it.
    Lost,
}

/// How jobs are done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What may pass is tried until a job was taken so often.
    pub max_attempts: i32,
    /// Where files are worked on.
    pub spool: PathBuf,
    /// Most bytes of a picture's source behind a URL; of objects the transformer knows.
    pub picture_source_bytes: u64,
    /// Most bytes of a source of sound or film.
    pub media_source_bytes: u64,
    /// Bounds on one operation on sound or film.
    pub media: media::Limits,
}

/// Does jobs.
#[derive(Debug)]
pub struct Work {
    transformer: Transformer,
    remote: Remote,
    settings: Settings,
    progress: Mutex<HashMap<JobId, i32>>,
}

/// An output that is to be made.
struct Planned<'a> {
    output: &'a OutputSpec,
    task: Task,
    /// What stands in its place.
    existing: Option<Stored>,
    /// Whether what stands there when it is stored is replaced: by force, or as it is this job's own.
    replaces: bool,
}

/// What is to be done about an output.
enum Next<'a> {
    /// Nothing: this is known of it.
    Known(Made),
    /// It is made.
    Make(Planned<'a>),
}

impl Next<'_> {
    /// The plan of an output that becomes a picture.
    fn picture(&self) -> Option<&Plan> {
        match self {
            Self::Make(Planned { task: Task::Picture(plan), .. }) => Some(plan),
            _ => None,
        }
    }
}

/// A result before it is stored.
struct Product {
    content: Content,
    bytes: u64,
    hash: String,
    media_type: String,
}

enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

impl Product {
    fn of(rendered: Rendered) -> Self {
        let Rendered { body, media_type, .. } = rendered;
        Self { bytes: body.len() as u64, hash: qetag(&body), media_type, content: Content::Bytes(body) }
    }

    fn stream(&self) -> ByteStream {
        match &self.content {
            Content::Bytes(body) => Box::pin(futures::stream::iter([Ok(body.clone())])),
            Content::File(path) => stream(vec![path.clone()]),
        }
    }

    /// What is told of it, where it is a picture in memory.
    fn header(&self) -> Option<Header> {
        let Content::Bytes(body) = &self.content else { return None };
        decode::probe(body).ok()
    }
}

/// Why an output is not there: for good, or for now.
#[derive(Clone, Debug)]
struct Trouble {
    kind: ErrorKind,
    failure: Failure,
}

impl Trouble {
    fn new(kind: ErrorKind, message: &dyn std::fmt::Display) -> Self {
        Self { kind, failure: Failure { message: message.to_string(), kind: Some(kind), ..Failure::default() } }
    }
}

macro_rules! troubles {
    ($($error:ty),+) => {
        $(impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                Self::new(error.kind(), &error)
            }
        })+
    };
}
troubles!(store::Error, transform::Error, media::Error, ParseError);

type Made = Result<Outcome, Trouble>;

impl Work {
    /// Work by `transformer`, on what its buckets have and what `remote` fetches.
    pub fn new(transformer: Transformer, remote: Remote, settings: Settings) -> Self {
        Self { transformer, remote, settings, progress: Mutex::default() }
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
        let mut record = Record { queue, claim, max_attempts: self.settings.max_attempts, ended: Ended::Done };
        match self.described(claim).await {
            Ok(source) => Box::pin(self.make_all(&mut record, &left, &source)).await?,
            Err(mut trouble) => {
                trouble.failure.of_source = true;
                for position in left {
                    record.keep(position, Err(trouble.clone())).await?;
                }
            }
        }
        Ok(record.ended)
    }

    /// Makes the outputs at the positions `left`: what is there already is found out first; pictures are made together, then
    /// films, one after the other. Each is recorded once it is stored.
    async fn make_all(&self, record: &mut Record<'_>, left: &[usize], source: &Described) -> Result<(), Error> {
        let claim = record.claim;
        let facts = source.facts(claim);
        let mut planned = Vec::with_capacity(left.len());
        for position in left {
            planned.push(self.plan(claim, &claim.job.spec.outputs[*position], &facts).await);
        }
        let plans: Vec<Plan> = planned.iter().filter_map(Next::picture).cloned().collect();
        let mut pictures = self.pictures(source, &plans).await.into_iter();
        let mut studio = film::Studio::new(self, claim, source);
        for (done, (position, planned)) in left.iter().zip(planned).enumerate() {
            let thousandths = |of_this: u16| (1000 * done + usize::from(of_this)) / left.len();
            self.set_progress(&claim.job.id, thousandths(0));
            let made = match planned {
                Next::Known(made) => made,
                Next::Make(planned) => match &planned.task {
                    Task::Copy => self.copy(&planned, &facts, source).await,
                    Task::Picture(_) => match pictures.next().unwrap_or(Err(transform::Error::Crashed.into())) {
                        Ok(rendered) => self.keep(&planned, &facts, Product::of(rendered)).await,
                        Err(trouble) => Err(trouble),
                    },
                    Task::Media(command) => match studio.make(command, &thousandths).await {
                        Ok(product) => self.keep(&planned, &facts, product).await,
                        Err(trouble) => Err(trouble),
                    },
                },
            };
            record.keep(*position, made).await?;
            if !record.is_held() {
                break;
            }
        }
        Ok(())
    }

    /// What each of `plans` makes of the source.
    async fn pictures(&self, source: &Described, plans: &[Plan]) -> Vec<Result<Rendered, Trouble>> {
        if plans.is_empty() {
            return Vec::new();
        }
        let made = match &source.place {
            Place::Object(bucket) => self.transformer.render_all(bucket, &source.key, plans).await,
            Place::File(file) => match self.in_memory(file).await {
                Ok(body) => self.transformer.render_bytes(&source.bucket(), &source.key, &body, plans).await,
                Err(trouble) => return plans.iter().map(|_| Err(trouble.clone())).collect(),
            },
        };
        made.into_iter().map(|made| made.map_err(Trouble::from)).collect()
    }

    /// What is known of an output without making it, or how it is made.
    async fn plan<'a>(&self, claim: &Claim, output: &'a OutputSpec, facts: &Facts<'_>) -> Next<'a> {
        let existing = match destination::known(output, facts) {
            Some((bucket, key)) if !claim.job.spec.force && !bucket.is_empty() => {
                match self.existing(bucket, &key).await {
                    Ok(existing) => existing,
                    Err(trouble) => return Next::Known(Err(trouble)),
                }
            }
            _ => None,
        };
        match (existing, Task::parse(&output.pipeline)) {
            // What an earlier attempt stored and could not record is this job's own: it is made again to know.
            (Some(existing), _) if claim.attempt == 1 => Next::Known(Ok(Outcome::Stored(existing))),
            (_, Err(error)) => Next::Known(Err(error.into())),
            (existing, Ok(task)) => {
                let replaces = claim.job.spec.force || existing.is_some();
                Next::Make(Planned { output, task, existing, replaces })
            }
        }
    }

    /// The object that stands at a destination.
    async fn existing(&self, bucket: &str, key: &str) -> Result<Option<Stored>, Trouble> {
        let bucket = self.transformer.buckets().named(bucket)?;
        match bucket.stat(key).await {
            Ok(stat) => Ok(Some(Stored {
                bucket: bucket.name().to_owned(),
                key: key.to_owned(),
                hash: stat.facts.hash,
                bytes: stat.bytes,
                media_type: stat.facts.media_type,
                size: None,
                quality: None,
                existed: true,
            })),
            Err(store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The object that appeared at a destination while the result `hash` for it was made, or was made to be named.
    async fn came_first(&self, bucket: &str, key: &str, hash: &str) -> Made {
        match self.existing(bucket, key).await? {
            Some(existing) => Ok(Outcome::Stored(Stored { existed: existing.hash != hash, ..existing })),
            None => Err(Trouble::new(ErrorKind::Upstream, &"the object at the destination came and went")),
        }
    }

    /// The bucket that a result goes to.
    fn target(&self, bucket: &str) -> Result<&Arc<Bucket>, Trouble> {
        if bucket.is_empty() {
            return Err(Trouble::new(ErrorKind::Invalid, &"a result of what a URL names needs a place to go to"));
        }
        Ok(self.transformer.buckets().named(bucket)?)
    }

    async fn copy(&self, planned: &Planned<'_>, facts: &Facts<'_>, source: &Described) -> Made {
        let hash = &source.stat.facts.hash;
        if let Some(other) = other(planned, hash) {
            return Ok(Outcome::Stored(other));
        }
        let (bucket, key) = destination::of_result(planned.output, facts, hash);
        let target = self.target(bucket)?;
        let (now, may_replace) = (SystemTime::now(), planned.replaces);
        let noted = facts::Facts {
            put_time: put_time(now),
            expires: destination::expires(planned.output, now),
            ..source.stat.facts.clone()
        };
        let copied = match &source.place {
            Place::Object(from) if noted.expires.is_none() => {
                from.copy(&source.key, target, &key, may_replace, now).await
            }
            _ => target.put_stream(&key, source.open().await?, source.stat.bytes, noted, may_replace).await,
        };
        match copied {
            Err(store::Error::Exists { .. }) => return self.came_first(bucket, &key, hash).await,
            copied => copied?,
        }
        Ok(Outcome::Stored(Stored {
            bucket: bucket.to_owned(),
            key,
            hash: hash.clone(),
            bytes: source.stat.bytes,
            media_type: source.stat.facts.media_type.clone(),
            size: None,
            quality: None,
            existed: false,
        }))
    }

    /// Stores a result, unless another object stands in its place or it is told rather than stored.
    async fn keep(&self, planned: &Planned<'_>, facts: &Facts<'_>, product: Product) -> Made {
        // Facts about a source are told, unless their owner names a place for them (spec 7.2).
        if let (Destination::Derived, JSON, Content::Bytes(body)) =
            (planned.output.destination.place(), product.media_type.as_str(), &product.content)
        {
            return Ok(Outcome::Data(String::from_utf8_lossy(body).into_owned()));
        }
        if let Some(other) = other(planned, &product.hash) {
            return Ok(Outcome::Stored(other));
        }
        let (bucket, key) = destination::of_result(planned.output, facts, &product.hash);
        let target = self.target(bucket)?;
        let now = SystemTime::now();
        let noted = facts::Facts {
            hash: product.hash.clone(),
            media_type: product.media_type.clone(),
            put_time: put_time(now),
            expires: destination::expires(planned.output, now),
            ..facts::Facts::default()
        };
        match target.put_stream(&key, product.stream(), product.bytes, noted, planned.replaces).await {
            Err(store::Error::Exists { .. }) => return self.came_first(bucket, &key, &product.hash).await,
            stored => stored?,
        }
        let header = product.header();
        Ok(Outcome::Stored(Stored {
            bucket: bucket.to_owned(),
            key,
            size: header.as_ref().map(|header| (header.size.width, header.size.height)),
            quality: header.and_then(|header| header.jpeg_quality),
            hash: product.hash,
            bytes: product.bytes,
            media_type: product.media_type,
            existed: false,
        }))
    }

    fn set_progress(&self, id: &JobId, thousandths: usize) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.insert(id.clone(), thousandths as i32);
    }
}

/// The object in an output's place, where it is not what this job made in an earlier attempt.
fn other(planned: &Planned<'_>, hash: &str) -> Option<Stored> {
    planned.existing.clone().filter(|existing| existing.hash != hash)
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
