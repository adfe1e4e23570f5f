//! Jobs, queues and notifications for their owners and for operators: `/jobs`, `/queues`, `/notifications` on the API
//! listener. Every request is signed as the vendor's management requests are. A key sees its own jobs; one that opens every
//! bucket sees all of them and may change queues.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Extension;
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use futures::stream::{self, Stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::dialect::qiniu::access::Call;
use super::respond::Failure;
use crate::auth::KeyRing;
use crate::error::ErrorKind;
use crate::jobs::model::{
    Api, Filter, Job, JobId, Notification, NotificationState, QUEUE_NAME, QueueSettings, State as JobState,
    is_queue_name, millis, time,
};
use crate::jobs::queue::{self, Change, MAX_PAGE_WITH_OUTCOMES, Queue};

/// Most entries of a page.
const MOST_ENTRIES: u32 = 1000;
/// Entries of a page whose size nobody names.
const SOME_ENTRIES: u32 = 100;

/// The routes.
pub fn router(queue: Queue, keys: Arc<KeyRing>) -> Router {
    Router::new()
        .route("/jobs", get(list))
        .route("/jobs/{id}", get(show))
        .route("/jobs/{id}/cancel", post(cancel))
        .route("/jobs/{id}/events", get(events))
        .route("/queues", get(queues))
        .route("/queues/{name}", put(configure))
        .route("/queues/{name}/pause", post(pause))
        .route("/queues/{name}/resume", post(resume))
        .route("/notifications", get(notifications))
        .route("/notifications/{id}/replay", post(replay))
        .layer(middleware::from_fn_with_state(keys, signed))
        .with_state(queue)
}

/// Who signed a request.
#[derive(Clone, Debug)]
struct Signer {
    access_key: String,
    /// Whether the key opens every bucket.
    is_operator: bool,
}

/// Lets signed requests through, with their signer.
async fn signed(State(keys): State<Arc<KeyRing>>, request: Request, next: Next) -> Response {
    let call = match Call::read(request).await {
        Ok(call) => call,
        Err(failure) => return failure.into_response(),
    };
    let access_key = match call.caller(&keys, SystemTime::now()) {
        Ok(caller) => caller.access_key,
        Err(failure) => return failure.into_response(),
    };
    let is_operator = keys.allows_all(&access_key);
    let mut request = Request::from_parts(call.parts, call.body.into());
    request.extensions_mut().insert(Signer { access_key, is_operator });
    next.run(request).await
}

impl From<queue::Error> for Failure {
    fn from(error: queue::Error) -> Self {
        Self::new(error.kind(), &error)
    }
}

/// A failure as this API tells it.
struct Refused(Failure);

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0.status, Json(json!({ "error": self.0.message }))).into_response()
    }
}

fn refused(kind: ErrorKind, message: &str) -> Refused {
    Refused(Failure::new(kind, &message))
}

/// What a parameter names; refused where it names nothing.
fn known<'a, T>(
    parameter: &str,
    value: Option<String>,
    read: impl Fn(&str) -> Option<T>,
    names: impl Iterator<Item = &'a str>,
) -> Result<Option<T>, Refused> {
    let Some(value) = value else { return Ok(None) };
    let unknown = || {
        let names: Vec<&str> = names.collect();
        refused(ErrorKind::Invalid, &format!("{parameter} is {value:?}; expected one of {}", names.join(", ")))
    };
    read(&value).map(Some).ok_or_else(unknown)
}

#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    owner: Option<String>,
    api: Option<String>,
    queue: Option<String>,
    state: Option<String>,
    batch: Option<i64>,
    marker: Option<String>,
    limit: Option<u32>,
    #[serde(default)]
    outcomes: bool,
}

async fn list(
    State(queue): State<Queue>,
    Extension(signer): Extension<Signer>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Refused> {
    let with_outcomes = query.outcomes;
    let most = if with_outcomes { MAX_PAGE_WITH_OUTCOMES } else { MOST_ENTRIES };
    let limit = query.limit.unwrap_or(SOME_ENTRIES).clamp(1, most);
    let filter = filter(query, &signer)?;
    let jobs = if with_outcomes {
        queue.list_with_outcomes(&filter, limit).await?
    } else {
        queue.list(&filter, limit).await?
    };
    // A full page may have been the last one; its next one is then empty.
    let marker = jobs.last().filter(|_| jobs.len() == limit as usize).map(marker_of);
    let describe = if with_outcomes { described } else { listed };
    Ok(Json(json!({ "jobs": jobs.iter().map(describe).collect::<Vec<_>>(), "marker": marker })))
}

fn filter(query: ListQuery, signer: &Signer) -> Result<Filter, Refused> {
    let state = known("state", query.state, JobState::named, JobState::ALL.iter().map(|it| it.name()))?;
    let api = known("api", query.api, Api::named, Api::ALL.iter().map(|it| it.name()))?;
    let before = query.marker.map(|marker| {
        read_marker(&marker).ok_or_else(|| refused(ErrorKind::Invalid, "marker is none that a list ended with"))
    });
    let owner = if signer.is_operator { query.owner } else { Some(signer.access_key.clone()) };
    Ok(Filter {
        owner,
        api,
        queue: query.queue,
        state,
        batch: query.batch,
        before: before.transpose()?,
        ..Filter::default()
    })
}

fn marker_of(job: &Job) -> String {
    format!("{}-{}", millis(job.created), job.id)
}

fn read_marker(marker: &str) -> Option<(SystemTime, JobId)> {
    let (created, id) = marker.split_once('-')?;
    Some((time(created.parse().ok()?), JobId::parse(id)?))
}

async fn show(
    State(queue): State<Queue>,
    Path(id): Path<String>,
    Extension(signer): Extension<Signer>,
) -> Result<Json<Value>, Refused> {
    Ok(Json(described(&owned(&queue, &id, &signer).await?)))
}

/// A job that the signer may see; to others there is no such job.
async fn owned(queue: &Queue, id: &str, signer: &Signer) -> Result<Job, Refused> {
    let missing = || refused(ErrorKind::NotFound, &format!("there is no job {id:?}"));
    let id = JobId::parse(id).ok_or_else(missing)?;
    let job = queue.get(&id).await?;
    job.filter(|job| signer.is_operator || job.owner == signer.access_key).ok_or_else(missing)
}

async fn cancel(
    State(queue): State<Queue>,
    Path(id): Path<String>,
    Extension(signer): Extension<Signer>,
) -> Result<Json<Value>, Refused> {
    let job = owned(&queue, &id, &signer).await?;
    let state = queue.cancel(&job.id, SystemTime::now()).await?.unwrap_or(job.state);
    Ok(Json(json!({ "id": job.id, "state": state.name(), "cancel_requested": !state.is_final() })))
}

/// Server-sent events: the job now, and again whenever it changes, until it has ended.
async fn events(
    State(queue): State<Queue>,
    Path(id): Path<String>,
    Extension(signer): Extension<Signer>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refused> {
    // Subscribed before the job is read, so that no change is missed between the two.
    let changes = queue.changes();
    let job = owned(&queue, &id, &signer).await?;
    let watched = Watched { queue, id: job.id.clone(), changes, next: Step::Told(Box::new(job)) };
    Ok(Sse::new(stream::unfold(watched, Watched::step)).keep_alive(KeepAlive::default()))
}

/// A job whose changes are told.
struct Watched {
    queue: Queue,
    id: JobId,
    changes: broadcast::Receiver<Change>,
    next: Step,
}

enum Step {
    /// This is told.
    Told(Box<Job>),
    /// The next change is waited for.
    Awaited,
    /// The end was told.
    Nothing,
}

impl Watched {
    async fn step(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let job = match std::mem::replace(&mut self.next, Step::Awaited) {
            Step::Told(job) => *job,
            Step::Awaited => self.changed().await?,
            Step::Nothing => return None,
        };
        if job.state.is_final() {
            self.next = Step::Nothing;
        }
        let name = if job.state.is_final() { "end" } else { "job" };
        Some((Ok(Event::default().event(name).data(described(&job).to_string())), self))
    }

    /// The job after its next change; `None` where it is gone.
    async fn changed(&mut self) -> Option<Job> {
        let this = Change::Job(self.id.clone());
        queue::changed(&mut self.changes, |change| *change == this).await;
        self.queue.get(&self.id).await.ok()?
    }
}

/// Operators see all queues, others those that hold or held their jobs.
async fn queues(State(queue): State<Queue>, Extension(signer): Extension<Signer>) -> Result<Json<Value>, Refused> {
    let queues = if signer.is_operator { queue.queues().await? } else { queue.queues_of(&signer.access_key).await? };
    Ok(Json(json!({ "queues": queues })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueBody {
    #[serde(default)]
    priority: i32,
    #[serde(default)]
    paused: bool,
    max_running: Option<i32>,
    max_waiting: Option<i32>,
}

async fn configure(
    State(queue): State<Queue>,
    Path(name): Path<String>,
    Extension(signer): Extension<Signer>,
    Json(body): Json<QueueBody>,
) -> Result<Json<Value>, Refused> {
    require_operator(&signer)?;
    if !is_queue_name(&name) {
        return Err(refused(ErrorKind::Invalid, &format!("queue is {name:?}; expected {QUEUE_NAME}")));
    }
    let QueueBody { priority, paused, max_running, max_waiting } = body;
    let settings = QueueSettings { name, priority, paused, max_running, max_waiting };
    queue.configure(&settings).await?;
    Ok(Json(json!(settings)))
}

async fn pause(queue: State<Queue>, name: Path<String>, signer: Extension<Signer>) -> Result<Json<Value>, Refused> {
    set_paused(&queue, &name, &signer, true).await
}

async fn resume(queue: State<Queue>, name: Path<String>, signer: Extension<Signer>) -> Result<Json<Value>, Refused> {
    set_paused(&queue, &name, &signer, false).await
}

async fn set_paused(queue: &Queue, name: &str, signer: &Signer, paused: bool) -> Result<Json<Value>, Refused> {
    require_operator(signer)?;
    if queue.set_paused(name, paused).await? {
        Ok(Json(json!({ "name": name, "paused": paused })))
    } else {
        Err(refused(ErrorKind::NotFound, &format!("there is no queue {name:?}")))
    }
}

fn require_operator(signer: &Signer) -> Result<(), Refused> {
    if signer.is_operator {
        return Ok(());
    }
    Err(refused(ErrorKind::Forbidden, "only a key that opens every bucket may do this"))
}

#[derive(Debug, Deserialize)]
struct NotificationsQuery {
    state: Option<String>,
    limit: Option<u32>,
}

async fn notifications(
    State(queue): State<Queue>,
    Extension(signer): Extension<Signer>,
    Query(query): Query<NotificationsQuery>,
) -> Result<Json<Value>, Refused> {
    let names = NotificationState::ALL.iter().map(|it| it.name());
    let state = known("state", query.state, NotificationState::named, names)?;
    let limit = query.limit.unwrap_or(SOME_ENTRIES).clamp(1, MOST_ENTRIES);
    let owner = (!signer.is_operator).then_some(signer.access_key.as_str());
    let found = queue.notifications(owner, state, limit).await?;
    Ok(Json(json!({ "notifications": found.iter().map(told).collect::<Vec<_>>() })))
}

async fn replay(
    State(queue): State<Queue>,
    Path(id): Path<i64>,
    Extension(signer): Extension<Signer>,
) -> Result<Json<Value>, Refused> {
    require_operator(&signer)?;
    if queue.replay(id, SystemTime::now()).await? {
        Ok(Json(json!({ "id": id, "state": NotificationState::Pending.name() })))
    } else {
        Err(refused(ErrorKind::NotFound, &format!("there is no notification {id} that has ended")))
    }
}

fn told(notification: &Notification) -> Value {
    json!({
        "id": notification.id,
        "job": notification.job,
        "url": notification.url,
        "state": notification.state.name(),
        "attempts": notification.attempts,
        "next": rfc3339(notification.next),
        "created": rfc3339(notification.created),
        "last_problem": notification.last_problem,
    })
}

/// A job and how its outputs ended.
fn described(job: &Job) -> Value {
    let mut described = listed(job);
    let outputs = described["outputs"].as_array_mut().into_iter().flatten();
    for (output, outcome) in outputs.zip(&job.outcomes) {
        output["outcome"] = json!(outcome);
    }
    described
}

/// A job without how its outputs ended.
fn listed(job: &Job) -> Value {
    let outputs = job.spec.outputs.iter();
    let outputs: Vec<Value> = outputs.map(|output| json!({ "command": output.command, "name": output.name })).collect();
    json!({
        "id": job.id,
        "api": job.api.name(),
        "owner": job.owner,
        "queue": job.queue,
        "batch": job.batch,
        "priority": job.priority,
        "state": job.state.name(),
        "cancel_requested": job.cancel_requested,
        "attempt": job.attempt,
        "progress": f64::from(job.progress) / 1000.0,
        "source": job.spec.source,
        "outputs": outputs,
        "notify": job.spec.notify.as_ref().map(|notify| &notify.url),
        "notify_failed": job.is_notify_dead,
        "user_data": job.spec.user_data,
        "created": rfc3339(job.created),
        "started": job.started.map(rfc3339),
        "finished": job.finished.map(rfc3339),
    })
}

fn rfc3339(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
