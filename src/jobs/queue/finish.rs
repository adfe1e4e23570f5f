//! How jobs end: by their worker, or by their owner.

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::moves::Moves;
use super::together::{Group, Groups, Request};
use super::{Change, Error, Queue, Write, rows};
use crate::jobs::database::{Durability, text};
use crate::jobs::model::{Claim, Finish, Job, JobId, State};

impl Queue {
    /// Lets a claimed job go. Where that ends it, the notification of its owner is made along with it. `false` where the
    /// claim is lost.
    ///
    /// A job that its owner asked to stop does not wait again, nor one that was claimed as often as it may be. A job that its
    /// worker released was not claimed.
    pub async fn finish(&self, claim: &Claim, finish: Finish, now: SystemTime) -> Result<bool, Error> {
        self.ask(FinishRequest { claim: claim.clone(), finish, now }).await
    }

    /// Stops a job: one that waits ends at once; of a running one the worker learns when it renews its lease. The state
    /// that the job then has; `None` where there is no such job.
    pub async fn cancel(&self, id: &JobId, now: SystemTime) -> Result<Option<State>, Error> {
        let sql = "SELECT queue FROM jobs WHERE id = $1";
        let queue: Option<String> =
            sqlx::query_scalar(sql).bind(id.as_str()).fetch_optional(self.database.reader()).await?;
        let Some(queue) = queue else { return Ok(None) };
        let mut write = self.begin(Durability::Disk, &[&queue]).await?;
        let Some(job) = select(&mut write, id).await? else { return Ok(None) };
        match job.state {
            State::Waiting => {
                let mut moves = Moves::default();
                moves.end(&job, State::Cancelled, None, now);
                moves.write(&mut write).await?;
            }
            State::Running => request_cancel(&mut write, id).await?,
            ended => return Ok(Some(ended)),
        }
        write.commit().await?;
        Ok(Some(if job.state == State::Waiting { State::Cancelled } else { State::Running }))
    }
}

async fn select(write: &mut Write, id: &JobId) -> Result<Option<Job>, Error> {
    let sql = write.dialect().locking(&format!("SELECT {} FROM jobs WHERE id = $1", rows::JOB));
    let row = sqlx::query(&sql).bind(id.as_str().to_owned()).fetch_optional(write.connection()).await?;
    row.as_ref().map(rows::job).transpose()
}

async fn request_cancel(write: &mut Write, id: &JobId) -> Result<(), Error> {
    let sql = "UPDATE jobs SET cancel_requested = 1 WHERE id = $1";
    sqlx::query(sql).bind(id.as_str().to_owned()).execute(write.connection()).await?;
    write.tell(Change::Job(id.clone()));
    Ok(())
}

/// A claim that is let go.
pub(super) struct FinishRequest {
    claim: Claim,
    finish: Finish,
    now: SystemTime,
}

impl Request for FinishRequest {
    type Answer = bool;

    fn group(groups: &Groups) -> &Group<Self> {
        &groups.finishes
    }

    async fn perform(queue: &Queue, requests: &[Self]) -> Result<Vec<Result<bool, Error>>, Error> {
        let names: Vec<&str> = requests.iter().map(|one| &*one.claim.job.queue).collect();
        let mut write = queue.begin(Durability::Disk, &names).await?;
        let mut held = held(&mut write, requests).await?;
        let mut moves = Moves::default();
        let mut answers = Vec::with_capacity(requests.len());
        for one in requests {
            // The first to finish a job has it.
            let is_held = held.get(&one.claim.job.id).is_some_and(|held| held.is_by(&one.claim));
            let held = if is_held { held.remove(&one.claim.job.id) } else { None };
            if let Some(held) = &held {
                finish_one(queue, &mut moves, one, held);
                moves.make_room(held.standing);
            }
            answers.push(Ok(held.is_some()));
        }
        if answers.iter().any(|answer| matches!(answer, Ok(true))) {
            moves.write(&mut write).await?;
            write.commit().await?;
        }
        Ok(answers)
    }
}

fn finish_one(queue: &Queue, moves: &mut Moves, one: &FinishRequest, held: &Held) {
    let (job, now) = (&one.claim.job, one.now);
    match one.finish {
        Finish::Done => moves.end(job, state_of(job, held.standing), None, now),
        Finish::Cancelled => moves.end(job, State::Cancelled, None, now),
        _ if held.cancel_requested => moves.end(job, State::Cancelled, None, now),
        Finish::Released => moves.wait_again(job, job.attempt - 1, None, now),
        Finish::Postponed(delay) => moves.wait_again(job, job.attempt, Some(now + delay), now),
        Finish::Retry(delay) if job.attempt < queue.settings.max_attempts => {
            let delayed_until = (!delay.is_zero()).then(|| now + delay);
            moves.wait_again(job, job.attempt, delayed_until, now);
        }
        Finish::Retry(_) => {
            let gave_up = format!("given up after {} attempts", job.attempt);
            moves.end(job, state_of(job, held.standing), Some(&gave_up), now);
        }
    }
}

/// A running job as it stands.
struct Held {
    holder: Option<String>,
    attempt: i64,
    cancel_requested: bool,
    standing: Standing,
}

impl Held {
    fn is_by(&self, claim: &Claim) -> bool {
        self.holder.as_deref() == Some(&*claim.holder) && self.attempt == i64::from(claim.attempt)
    }
}

/// Those of the jobs that run, locked in the order of their names. Their queues are locked.
async fn held(write: &mut Write, requests: &[FinishRequest]) -> Result<HashMap<JobId, Held>, Error> {
    let ids: BTreeSet<&str> = requests.iter().map(|one| one.claim.job.id.as_str()).collect();
    let given: Vec<_> = ids.into_iter().map(|id| (id,)).collect();
    let sql = format!(
        "SELECT id, worker, attempt, cancel_requested, {STANDING} FROM jobs \
         WHERE id IN (SELECT {} FROM {}) AND state = 'running' ORDER BY id",
        text(0),
        write.dialect().rows(1)
    );
    let sql = write.dialect().locking(&sql);
    let found = sqlx::query(&sql).bind(rows::to_json(&given)).fetch_all(write.connection()).await?;
    let held = |row: &AnyRow| {
        let held = Held {
            holder: row.try_get("worker")?,
            attempt: row.try_get("attempt")?,
            cancel_requested: row.try_get::<i64, _>("cancel_requested")? != 0,
            standing: Standing::of(row)?,
        };
        Ok((rows::job_id(row, "id")?, held))
    };
    found.iter().map(held).collect()
}

/// How many outputs of a running job have ended, how many of them failed, and whether another job waits for its place.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    ended: i64,
    failed: i64,
    pub(super) is_waited_for: bool,
}

/// The columns of [`Standing`].
pub(super) const STANDING: &str = "(SELECT count(*) FROM outputs WHERE outputs.job = jobs.id) AS ended, \
     (SELECT count(*) FROM outputs WHERE outputs.job = jobs.id AND outputs.failed = 1) AS failed, \
     (SELECT CASE WHEN queues.max_running IS NOT NULL AND queues.waiting > 0 THEN 1 ELSE 0 END FROM queues \
     WHERE queues.name = jobs.queue) AS is_waited_for";

impl Standing {
    pub(super) fn of(row: &AnyRow) -> Result<Self, Error> {
        let is_waited_for = row.try_get::<i64, _>("is_waited_for")? != 0;
        Ok(Self { ended: row.try_get("ended")?, failed: row.try_get("failed")?, is_waited_for })
    }
}

/// What a job is of whose outputs no more will come.
pub(super) fn state_of(job: &Job, standing: Standing) -> State {
    let is_complete = standing.ended == job.outcomes.len() as i64 && standing.failed == 0;
    if is_complete { State::Succeeded } else { State::Failed }
}
