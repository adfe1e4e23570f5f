//! Rows of the database as values of the model.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::Error;
use crate::jobs::model::{
    self, Api, Destination, Failure, Job, JobId, JobSpec, Notification, NotificationState, Outcome, OutputSpec,
    QueueSettings, QueueStatus, Source, State,
};

/// The columns of [`job`].
pub(super) const JOB: &str = "id, api, owner, queue, batch, priority, state, spec, attempt, progress, cancel_requested, \
     created, started, finished, CASE WHEN EXISTS (SELECT 1 FROM notifications WHERE notifications.job = jobs.id \
     AND notifications.state = 'dead') THEN 1 ELSE 0 END AS notify_dead";

/// The columns of [`notification`].
pub(super) const NOTIFICATION: &str = "id, job, url, state, attempts, due, created, last_problem";

/// The columns of [`queue`].
pub(super) const QUEUE: &str = "name, priority, paused, max_running, max_waiting, waiting, running";

/// A job, without its outcomes. One whose specification cannot be read has one output, of which nothing is known.
pub(super) fn job(row: &AnyRow) -> Result<Job, Error> {
    Ok(read_job(row)?.0)
}

/// As [`job`], and why it cannot be done, where what was asked cannot be read.
pub(super) fn read_job(row: &AnyRow) -> Result<(Job, Option<String>), Error> {
    let (api, spec) = (text(row, "api")?, text(row, "spec")?);
    let (api, spec, problem) = match (Api::named(&api), serde_json::from_str::<JobSpec>(&spec)) {
        (Some(api), Ok(spec)) => (api, spec, None),
        (Some(api), Err(error)) => (api, unreadable(), Some(format!("what was asked cannot be read: {error}"))),
        (None, _) => {
            (Api::Qiniu, unreadable(), Some(format!("it came in by {api:?}, which this server does not know")))
        }
    };
    let job = Job {
        id: job_id(row, "id")?,
        api,
        owner: text(row, "owner")?,
        queue: text(row, "queue")?,
        batch: row.try_get("batch")?,
        priority: int(row, "priority")?,
        state: state(row)?,
        outcomes: vec![None; spec.outputs.len()],
        spec,
        attempt: int(row, "attempt")?,
        progress: int(row, "progress")?,
        cancel_requested: flag(row, "cancel_requested")?,
        created: model::time(row.try_get("created")?),
        started: time(row, "started")?,
        finished: time(row, "finished")?,
        is_notify_dead: flag(row, "notify_dead")?,
    };
    Ok((job, problem))
}

/// Stands for a specification that cannot be read: its one output has the failure.
fn unreadable() -> JobSpec {
    let output =
        OutputSpec { command: String::new(), pipeline: String::new(), destination: Destination::Derived, name: None };
    JobSpec {
        source: Source::Url(String::new()),
        outputs: vec![output],
        notify: None,
        force: false,
        user_data: None,
        wording: None,
        request_id: String::new(),
    }
}

/// How an output ended; one of which that cannot be read has failed.
pub(super) fn outcome(value: &str) -> Outcome {
    serde_json::from_str(value).unwrap_or_else(|error| {
        tracing::error!(%error, "how an output ended cannot be read");
        let message = "what was recorded of this output cannot be read".to_owned();
        Outcome::Failed(Failure { message, ..Failure::default() })
    })
}

pub(super) fn notification(row: &AnyRow) -> Result<Notification, Error> {
    Ok(Notification {
        id: row.try_get("id")?,
        job: job_id(row, "job")?,
        url: text(row, "url")?,
        state: named("notifications.state", &text(row, "state")?, NotificationState::named)?,
        attempts: int(row, "attempts")?,
        next: model::time(row.try_get("due")?),
        created: model::time(row.try_get("created")?),
        last_problem: row.try_get("last_problem")?,
    })
}

pub(super) fn queue(row: &AnyRow) -> Result<QueueStatus, Error> {
    let limit = |column| row.try_get::<Option<i64>, _>(column).map(|limit| limit.map(clamped));
    let settings = QueueSettings {
        name: text(row, "name")?,
        priority: int(row, "priority")?,
        paused: flag(row, "paused")?,
        max_running: limit("max_running")?,
        max_waiting: limit("max_waiting")?,
    };
    Ok(QueueStatus { settings, waiting: row.try_get("waiting")?, running: row.try_get("running")? })
}

pub(super) fn state(row: &AnyRow) -> Result<State, Error> {
    named("jobs.state", &text(row, "state")?, State::named)
}

pub(in crate::jobs) fn text(row: &AnyRow, column: &str) -> Result<String, Error> {
    Ok(row.try_get(column)?)
}

pub(super) fn job_id(row: &AnyRow, column: &str) -> Result<JobId, Error> {
    let value = text(row, column)?;
    JobId::parse(&value).ok_or(Error::Corrupt { column: "jobs.id", value, expected: "24 hexadecimal digits" })
}

/// What is stored of a value: JSON. The types are ours, none of them can fail.
pub(in crate::jobs) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("maps have text as keys")
}

fn named<T>(column: &'static str, value: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    of(value).ok_or_else(|| Error::Corrupt { column, value: value.to_owned(), expected: "a known name" })
}

fn time(row: &AnyRow, column: &str) -> Result<Option<std::time::SystemTime>, Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(model::time))
}

fn flag(row: &AnyRow, column: &str) -> Result<bool, Error> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

fn int(row: &AnyRow, column: &str) -> Result<i32, Error> {
    Ok(clamped(row.try_get(column)?))
}

fn clamped(value: i64) -> i32 {
    value.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}
