//! Jobs: submitted, asked for, listed, cancelled (Tencent spec 2).

use std::time::SystemTime;

use axum::response::{IntoResponse, Response};
use chrono::DateTime;

use super::callbacks;
use super::failure::Failure;
use super::queues::{no_queue, unbound, wrong};
use super::spelling::{self, SOURCE_FACTS, Wording, details, job_id, job_name};
use super::templates::no_template;
use super::xml::{Element, leaf, tree};
use super::{Call, Tencent, reply};
use crate::jobs::model::{
    Api, Destination, Filter, Job, JobId, JobSpec, Notify, OutputSpec, Source, State, Submission, millis, time,
};
use crate::jobs::records::bucket_queues::{self, BucketQueue};
use crate::jobs::records::templates;
use crate::plan::{Plan, tencent};

const MAX_USER_DATA_CHARS: usize = 1024;
const MAX_URL_BYTES: usize = 8 << 10;
/// Most ids of one query, and of one cancel.
const MAX_IDS: usize = 100;
const MAX_CANCELLED: usize = 10;
/// Seconds between attempts to call back.
const PAUSES: [u32; 4] = [2, 10, 60, 300];

impl Tencent {
    pub(super) async fn submit(&self, call: &Call, request: &Element) -> Result<Response, Failure> {
        spelling::check_tag(request)?;
        let queue = self.queue_of(call, request.text_at("QueueId")).await?;
        let job = self.job(call, request, &queue).await?;
        let priority = match request.text_at("Operation/JobLevel") {
            None | Some("0") => 0,
            Some("1") => 1,
            Some("2") => 2,
            other => return Err(wrong("Request/Operation/JobLevel", other, "0, 1 or 2")),
        };
        let submission = Submission {
            api: Api::Tencent,
            owner: call.owner.clone(),
            queue: queue.id.clone(),
            priority,
            jobs: vec![job],
            is_batch: false,
        };
        let submitted = self.queue.submit(submission, call.now).await?;
        let job = self.queue.get(&submitted.jobs[0]).await?;
        let job = job.ok_or_else(|| Failure::new(500, "InternalError", "the job was accepted and is gone"))?;
        Ok(reply(&tree("Response", vec![details(&job, queue.is_paused)])))
    }

    /// The bucket's queue, which is the one that is named where one is.
    async fn queue_of(&self, call: &Call, id: Option<&str>) -> Result<BucketQueue, Failure> {
        let queue = bucket_queues::of(&self.queue, call.place()).await?.ok_or_else(unbound)?;
        match id {
            Some(id) if id != queue.id => Err(no_queue(id)),
            _ => Ok(queue),
        }
    }

    async fn job(&self, call: &Call, request: &Element, queue: &BucketQueue) -> Result<JobSpec, Failure> {
        let text =
            |path: &str| request.text_at(path).ok_or_else(|| Failure::invalid(format!("Request/{path} is missing")));
        let object = text("Input/Object")?.to_owned();
        let [region, label, key] = ["Region", "Bucket", "Object"].map(|name| format!("Operation/Output/{name}"));
        let output = (text(&region)?.to_owned(), text(&label)?.to_owned(), text(&key)?.to_owned());
        let target = self.bucket(&output.1, &call.owner)?;
        let operation = request.find("Operation").unwrap_or(request);
        let (rule, is_described, template) = match operation.text_at("TemplateId") {
            Some(id) => {
                let found = templates::get(&self.queue, call.place(), id).await?.ok_or_else(|| no_template(id))?;
                (found.pipeline, found.is_described, Some((found.id, found.name)))
            }
            None => {
                let (rule, is_described) = spelling::rule_of(operation, "Request/Operation")?;
                (rule, is_described, None)
            }
        };
        let pipeline = self.plan_or_style(&rule, call).await?.to_string();
        let (notify, callback_format) = notify_of(request, queue, self.has_broker)?;
        let destination = Destination::Object { bucket: target.name().to_owned(), key: output.2.clone() };
        let made = |pipeline: &str, destination| OutputSpec {
            command: pipeline.to_owned(),
            pipeline: pipeline.to_owned(),
            destination,
            name: None,
        };
        let mut outputs = vec![made(&pipeline, destination)];
        if is_described {
            outputs.extend(SOURCE_FACTS.map(|facts| made(facts, Destination::Derived)));
        }
        let etag = call.bucket.head(&object).await.map(|meta| format!("\"{}\"", meta.version.trim_matches('"')));
        let wording = Wording {
            bucket: call.label().to_owned(),
            region: call.host.region.clone(),
            object: object.clone(),
            // Who uploads after it submits is not told.
            etag: etag.unwrap_or_default(),
            template,
            rule,
            is_described,
            output,
            callback_format,
        };
        Ok(JobSpec {
            source: source(call, &object),
            outputs,
            notify,
            force: true,
            user_data: user_data(request)?,
            wording: Some(serde_json::to_string(&wording).expect("its fields are texts")),
            request_id: call.request_id.clone(),
        })
    }

    /// A rule as a plan that the caller may ask for.
    pub(super) fn plan(&self, rule: &str, call: &Call) -> Result<Plan, Failure> {
        let plan = tencent::parse(rule)?;
        self.check_pictures(&plan, &call.owner)?;
        Ok(plan)
    }

    /// The owner's job of that name on the call's bucket.
    async fn own(&self, call: &Call, name: &str) -> Result<Option<Job>, Failure> {
        let Some(id) = job_id(name) else { return Ok(None) };
        let is_of_bucket = |job: &Job| match &job.spec.source {
            Source::Object { bucket, .. } => bucket == call.bucket.name(),
            Source::Url(_) | Source::Inline(_) => false,
        };
        let found = self.queue.get(&id).await?;
        Ok(found.filter(|job| job.owner == call.owner && job.api == Api::Tencent && is_of_bucket(job)))
    }

    pub(super) async fn show(&self, call: &Call, ids: &str) -> Result<Response, Failure> {
        let is_paused = self.is_paused(call).await?;
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in names(ids, MAX_IDS)? {
            match self.own(call, name).await? {
                Some(job) => found.push(details(&job, is_paused)),
                None => missing.push(leaf("NonExistJobIds", name)),
            }
        }
        found.extend(missing);
        Ok(reply(&tree("Response", found)))
    }

    pub(super) async fn cancel(&self, call: &Call, ids: &str) -> Result<Response, Failure> {
        let mut jobs = Vec::new();
        for name in names(ids, MAX_CANCELLED)? {
            let job = self.own(call, name).await?;
            jobs.push(job.ok_or_else(|| Failure::new(404, "ResourceNotFound", format!("there is no job {name:?}")))?);
        }
        let too_late = |id: &JobId, state: State| {
            let message = format!("job {:?} is {}; expected one that waits", job_name(id), state.name());
            Failure::invalid(message)
        };
        let stoppable = |job: &&Job| !matches!(job.state, State::Waiting | State::Cancelled);
        if let Some(job) = jobs.iter().find(stoppable) {
            return Err(too_late(&job.id, job.state));
        }
        for job in jobs.iter().filter(|job| job.state == State::Waiting) {
            match self.queue.cancel(&job.id, call.now).await? {
                Some(State::Cancelled) | None => {}
                Some(state) => return Err(too_late(&job.id, state)),
            }
        }
        Ok(().into_response())
    }

    async fn is_paused(&self, call: &Call) -> Result<bool, Failure> {
        Ok(bucket_queues::of(&self.queue, call.place()).await?.is_some_and(|queue| queue.is_paused))
    }

    pub(super) async fn list(&self, call: &Call) -> Result<Response, Failure> {
        match call.parameter("tag") {
            Some("PicProcess") => {}
            other => return Err(wrong("tag", other, "PicProcess")),
        }
        let queue = self.queue_of(call, call.parameter("queueId")).await?;
        let size = match call.parameter("size").map(|size| (size, size.parse::<u32>())) {
            None => 10,
            Some((_, Ok(size @ 1..=100))) => size,
            Some((size, _)) => return Err(wrong("size", Some(size), "an integer from 1 to 100")),
        };
        let Some(filter) = filter_of(call, &queue)? else { return Ok(reply(&tree("Response", Vec::new()))) };
        // One more is looked for, to know whether a page follows.
        let mut jobs = self.queue.list(&filter, size + 1).await?;
        let has_more = jobs.len() > size as usize;
        jobs.truncate(size as usize);
        let mut children = Vec::new();
        for job in &jobs {
            let whole = self.queue.get(&job.id).await?;
            children.push(details(whole.as_ref().unwrap_or(job), queue.is_paused));
        }
        let last = jobs.last().filter(|_| has_more);
        children.push(leaf(
            "NextToken",
            last.map_or_else(String::new, |job| format!("{}-{}", millis(job.created), job.id)),
        ));
        Ok(reply(&tree("Response", children)))
    }
}

fn source(call: &Call, key: &str) -> Source {
    Source::Object { bucket: call.bucket.name().to_owned(), key: key.to_owned() }
}

/// Ids joined by commas.
fn names(ids: &str, most: usize) -> Result<Vec<&str>, Failure> {
    let names: Vec<&str> = ids.split(',').filter(|name| !name.is_empty()).collect();
    match (1..=most).contains(&names.len()) {
        true => Ok(names),
        false => Err(Failure::invalid(format!("the path has {} job ids; expected 1 to {most}", names.len()))),
    }
}

/// Which jobs are listed; `None` where there can be none.
fn filter_of(call: &Call, queue: &BucketQueue) -> Result<Option<Filter>, Failure> {
    if call.parameter("workflowId").or(call.parameter("inventoryTriggerJobId")).is_some() {
        return Ok(None);
    }
    let is_ascending = match call.parameter("orderByTime") {
        None | Some("Desc") => false,
        Some("Asc") => true,
        other => return Err(wrong("orderByTime", other, "Desc or Asc")),
    };
    let mut states = Vec::new();
    let asked = call.parameter("states").filter(|states| *states != "All");
    for state in asked.into_iter().flat_map(|states| states.split(',')) {
        match state.trim() {
            "Submitted" if !queue.is_paused => states.push(State::Waiting),
            "Pause" if queue.is_paused => states.push(State::Waiting),
            "Submitted" | "Pause" => {}
            "Running" => states.push(State::Running),
            "Success" => states.push(State::Succeeded),
            "Failed" => states.push(State::Failed),
            "Cancel" => states.push(State::Cancelled),
            other => {
                return Err(wrong("states", Some(other), "All, or Submitted, Running, Success, Failed, Pause, Cancel"));
            }
        }
    }
    if asked.is_some() && states.is_empty() {
        return Ok(None);
    }
    let token = |token: &str| {
        let (created, id) = token.split_once('-')?;
        Some((time(created.parse().ok()?), JobId::parse(id)?))
    };
    let next = call.parameter("nextToken");
    let last = next.map(|text| token(text).ok_or_else(|| wrong("nextToken", Some(text), "that of the page before")));
    Ok(Some(Filter {
        owner: Some(call.owner.clone()),
        api: Some(Api::Tencent),
        queue: Some(queue.id.clone()),
        source: call.parameter("inputObject").map(|key| source(call, key)),
        states,
        created_from: time_at(call, "startCreationTime")?,
        created_until: time_at(call, "endCreationTime")?,
        is_ascending,
        before: last.transpose()?,
        ..Filter::default()
    }))
}

/// A time; one whose `+` was not escaped has a space in its place.
fn time_at(call: &Call, name: &str) -> Result<Option<SystemTime>, Failure> {
    let Some(text) = call.parameter(name) else { return Ok(None) };
    let read = DateTime::parse_from_str(&text.replace(' ', "+"), "%Y-%m-%dT%H:%M:%S%z");
    read.map(|read| Some(read.into())).map_err(|_| wrong(name, Some(text), "a time as 2022-07-18T00:00:00+0800"))
}

fn user_data(request: &Element) -> Result<Option<String>, Failure> {
    let Some(text) = request.find("Operation/UserData").map(|it| &it.text).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    match is_plain && text.len() <= MAX_USER_DATA_CHARS {
        true => Ok(Some(text.clone())),
        false => Err(Failure::invalid(format!(
            "Request/Operation/UserData: expected at most {MAX_USER_DATA_CHARS} printable ASCII characters"
        ))),
    }
}

/// Whom to tell, and in which words: the job's own settings, else the queue's.
fn notify_of(request: &Element, queue: &BucketQueue, has_broker: bool) -> Result<(Option<Notify>, String), Failure> {
    let fields = ("Request/CallBackMqConfig", request.find("CallBackMqConfig"));
    let kind = request.text_at("CallBackType");
    let message_queue = callbacks::message_queue("Request/CallBackType", kind, fields, has_broker)?;
    let format = request.text_at("CallBackFormat");
    if !matches!(format, None | Some("XML" | "JSON")) {
        return Err(wrong("Request/CallBackFormat", format, "XML or JSON"));
    }
    let of_queue = &queue.notify;
    let is_told = of_queue.is_on && of_queue.event.split(',').any(|event| event == "TaskFinish");
    let url = match (request.text_at("CallBack"), message_queue) {
        (Some("no"), _) => None,
        (_, Some(own)) => Some(callbacks::address(&own).to_string()),
        (Some(url), None) => Some(callback_url("Request/CallBack", url)?),
        (None, None) => {
            let by_queue = of_queue.message_queue.as_ref().map(|queue| callbacks::address(queue).to_string());
            Some(by_queue.unwrap_or_else(|| of_queue.url.clone())).filter(|_| is_told)
        }
    };
    let format = format.unwrap_or(&of_queue.format).to_owned();
    let notify = url.map(|url| Notify { pauses: Some(PAUSES.to_vec()), ..Notify::to(url) });
    Ok((notify, format))
}

/// An address, as it is read; whether it may be reached is found out when it is.
pub(super) fn callback_url(path: &str, url: &str) -> Result<String, Failure> {
    let parsed = url::Url::parse(url).ok().filter(|it| matches!(it.scheme(), "http" | "https") && it.has_host());
    let parsed = parsed.filter(|_| url.len() <= MAX_URL_BYTES);
    parsed.map(String::from).ok_or_else(|| wrong(path, Some(url), "an http or https URL"))
}
