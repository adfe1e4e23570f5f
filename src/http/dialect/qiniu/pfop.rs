//! `POST /pfop` and `GET|POST /status/get/prefop` (spec 7).

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::{Value, json};

use super::access::{Call, Caller, Fields};
use super::failure::{self, Failure};
use super::fops;
use super::prefop::{DEFAULT_QUEUE, document, job_id, persistent_id};
use crate::auth::KeyRing;
use crate::auth::upload::Persistent;
use crate::jobs::model::{
    Api, Destination, JobSpec, Notify, OutputSpec, QUEUE_NAME, Source, Submission, is_queue_name,
};
use crate::jobs::queue::Queue;
use crate::jobs::task::Task;
use crate::plan::Plan;
use crate::store::Bucket;
use crate::transform::Transformer;

/// Most bytes of the commands and of an address: they are kept, listed and sent as often as the job is.
const MAX_FOPS_BYTES: usize = 64 << 10;
const MAX_URL_BYTES: usize = 8 << 10;
/// The priority of jobs that run when nothing else waits (`type=1`).
const IDLE_PRIORITY: i32 = -1;

/// Where jobs go, and what they may work on.
#[derive(Clone, Debug)]
pub struct Pfops {
    /// Where jobs are kept.
    pub queue: Queue,
    /// What they work on.
    pub transformer: Transformer,
    /// Who may.
    pub keys: Arc<KeyRing>,
}

/// The routes.
pub fn router(pfops: Pfops) -> Router {
    Router::new()
        .route("/pfop", post(start))
        .route("/pfop/", post(start))
        .route("/status/get/prefop", get(status).post(status))
        .with_state(pfops)
}

async fn start(State(pfops): State<Pfops>, request: Request) -> Result<Response, Failure> {
    let call = Call::read(request).await?;
    let caller = call.caller(&pfops.keys, SystemTime::now())?;
    let id = pfops.submit(&caller.access_key, &Pfop::read(&call.fields()), &call.request_id()).await?;
    Ok(failure::json(StatusCode::OK, &json!({ "persistentId": id })))
}

/// With and without a credential: whoever knows an id may ask (spec 7.2).
async fn status(State(pfops): State<Pfops>, request: Request) -> Result<Response, Failure> {
    let call = Call::read(request).await?;
    if call.is_signed() {
        call.caller(&pfops.keys, SystemTime::now())?;
    }
    let fields = call.fields();
    Ok(failure::json(StatusCode::OK, &pfops.status(fields.required("id")?).await?))
}

/// A pfop as it is asked for; what is not given is empty.
#[derive(Clone, Debug, Default)]
pub struct Pfop {
    /// The source's bucket.
    pub bucket: String,
    /// The source's key.
    pub key: String,
    /// Commands joined by `;`.
    pub fops: String,
    /// A stored workflow.
    pub workflow: String,
    /// Whom to tell.
    pub notify_url: String,
    /// `1`: results that exist are made again.
    pub force: String,
    /// The queue.
    pub pipeline: String,
    /// `1`: runs when nothing else waits.
    pub kind: String,
}

impl Pfop {
    /// What a put policy asks to be done with the object that was uploaded.
    pub(super) fn of_upload(bucket: &str, key: &str, persistent: &Persistent) -> Self {
        Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            fops: persistent.ops.clone(),
            notify_url: persistent.notify_url.clone().unwrap_or_default(),
            pipeline: persistent.pipeline.clone().unwrap_or_default(),
            kind: if persistent.is_idle { "1".to_owned() } else { String::new() },
            ..Self::default()
        }
    }

    fn read(fields: &Fields) -> Self {
        let field = |name| fields.get(name).unwrap_or_default().to_owned();
        Self {
            bucket: field("bucket"),
            key: field("key"),
            fops: field("fops"),
            workflow: field("workflowTemplateID"),
            notify_url: field("notifyURL"),
            force: field("force"),
            pipeline: field("pipeline"),
            kind: field("type"),
        }
    }
}

impl Pfops {
    /// Takes on a pfop of `owner`; its persistent id.
    ///
    /// # Errors
    /// [`Failure`]: 400 for fields and commands that are wrong, 401 and 403 for buckets that the key does not open, 612 for a
    /// source that is not there, 631 for a bucket that is not, 429 for a queue that is full.
    pub async fn submit(&self, owner: &str, pfop: &Pfop, request_id: &str) -> Result<String, Failure> {
        let submission = self.submission(owner, pfop, request_id)?;
        self.transformer.buckets().named(&pfop.bucket)?.head(&pfop.key).await?;
        let submitted = self.queue.submit(submission, SystemTime::now()).await?;
        Ok(persistent_id(&submitted.jobs[0]))
    }

    /// Refuses what [`Pfops::submit`] would refuse whatever the source is.
    pub(super) fn check(&self, owner: &str, pfop: &Pfop) -> Result<(), Failure> {
        self.submission(owner, pfop, "").map(|_| ())
    }

    /// The job that a pfop asks for.
    fn submission(&self, owner: &str, pfop: &Pfop, request_id: &str) -> Result<Submission, Failure> {
        if !pfop.workflow.is_empty() {
            return Err(Failure::invalid("workflowTemplateID: workflows are not done; expected fops"));
        }
        for (name, value) in [("bucket", &pfop.bucket), ("key", &pfop.key), ("fops", &pfop.fops)] {
            if value.is_empty() {
                return Err(Failure::invalid(format!("{name} is missing; expected {}", expected(name))));
            }
        }
        for (name, value, limit) in
            [("fops", &pfop.fops, MAX_FOPS_BYTES), ("notifyURL", &pfop.notify_url, MAX_URL_BYTES)]
        {
            if value.len() > limit {
                return Err(Failure::invalid(format!("{name} has {} bytes; expected at most {limit}", value.len())));
            }
        }
        let is_idle = flag("type", &pfop.kind)?;
        if is_idle && !pfop.pipeline.is_empty() {
            return Err(Failure::invalid(
                "type is 1, which is for jobs without a pipeline; expected 0, or no pipeline",
            ));
        }
        let outputs = fops::outputs(&pfop.fops).map_err(|refusal| Failure::invalid(refusal.to_string()))?;
        let caller = Caller { access_key: owner.to_owned() };
        for bucket in buckets_of(&pfop.bucket, &outputs) {
            self.transformer.buckets().named(bucket)?;
            caller.require(bucket, &self.keys)?;
        }
        for bucket in self.painted_from(&outputs) {
            caller.require(bucket.name(), &self.keys)?;
        }
        let job = JobSpec {
            source: Source::Object { bucket: pfop.bucket.clone(), key: pfop.key.clone() },
            outputs,
            notify: notify(&pfop.notify_url)?,
            force: flag("force", &pfop.force)?,
            user_data: None,
            wording: None,
            request_id: request_id.to_owned(),
        };
        Ok(Submission {
            api: Api::Qiniu,
            owner: owner.to_owned(),
            queue: queue_of(&pfop.pipeline)?,
            priority: if is_idle { IDLE_PRIORITY } else { 0 },
            jobs: vec![job],
            is_batch: false,
        })
    }

    /// The buckets that the outputs' watermarks are read from, where they name one themselves.
    fn painted_from(&self, outputs: &[OutputSpec]) -> Vec<Arc<Bucket>> {
        let tasks: Vec<Task> = outputs.iter().filter_map(|output| Task::parse(&output.pipeline).ok()).collect();
        let images = tasks.iter().filter_map(Task::plan).flat_map(Plan::images);
        images.filter_map(|image| self.transformer.bucket_named_by(image)).collect()
    }

    /// The document of prefop.
    ///
    /// # Errors
    /// 612 for an id that no job has, or has any more.
    async fn status(&self, id: &str) -> Result<Value, Failure> {
        let missing = || Failure::missing(format!("there is no job {id:?}"));
        let id = job_id(id).ok_or_else(missing)?;
        Ok(document(&self.queue.get(&id).await?.ok_or_else(missing)?))
    }
}

fn expected(name: &str) -> &'static str {
    match name {
        "bucket" => "the source's bucket",
        "key" => "the source's key",
        _ => "commands joined by ;",
    }
}

/// The buckets that a job reads and writes.
fn buckets_of<'a>(source: &'a str, outputs: &'a [OutputSpec]) -> impl Iterator<Item = &'a str> {
    let destinations = outputs.iter().filter_map(|output| match output.destination.place() {
        Destination::Derived | Destination::ForDays { .. } => None,
        Destination::Object { bucket, .. } | Destination::Template { bucket, .. } => Some(bucket.as_str()),
    });
    std::iter::once(source).chain(destinations)
}

fn flag(name: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "" | "0" => Ok(false),
        "1" => Ok(true),
        other => Err(Failure::invalid(format!("{name} is {other:?}; expected 0 or 1"))),
    }
}

fn queue_of(pipeline: &str) -> Result<String, Failure> {
    match pipeline {
        "" => Ok(DEFAULT_QUEUE.to_owned()),
        name if is_queue_name(name) => Ok(name.to_owned()),
        other => Err(Failure::invalid(format!("pipeline is {other:?}; expected {QUEUE_NAME}"))),
    }
}

/// Whether the address behind it may be reached is found out when it is: names may change theirs.
fn notify(url: &str) -> Result<Option<Notify>, Failure> {
    if url.is_empty() {
        return Ok(None);
    }
    let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match parsed {
        // As it is read: what was written may have characters that a database does not take.
        Some(parsed) => Ok(Some(Notify::to(parsed))),
        None => Err(Failure::invalid(format!("notifyURL is {url:?}; expected an http or https URL"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_as_they_are_read() {
        let kept = notify("http://a.example.com/x\0y?z=\0#a").unwrap().unwrap();
        assert_eq!(kept.url, "http://a.example.com/x%00y?z=%00#a");
        assert_eq!(notify(""), Ok(None));
        assert!(notify("ftp://a").is_err());
    }
}
