//! How jobs end: by their worker, or by their owner.

use std::time::{Duration, SystemTime};

use sqlx::Row;

use super::claim::{lock, set_outcome, wait_again};
use super::{Change, Error, Queue, Write, notifications, rows};
use crate::jobs::model::{Claim, Failure, Finish, Job, JobId, Outcome, State, millis};

impl Queue {
    /// Lets a claimed job go. Where that ends it, the notification of its owner is made along with it. `false` where the
    /// claim is lost.
    ///
    /// A job that its owner asked to stop does not wait again, nor one that was claimed as often as it may be.
    pub async fn finish(&self, claim: &Claim, finish: Finish, now: SystemTime) -> Result<bool, Error> {
        let mut write = self.write().await?;
        lock(&mut write, &claim.job.queue).await?;
        let Some(job) = held(&mut write, claim).await? else { return Ok(false) };
        match finish {
            Finish::Done => {
                let state = outcome_of(&mut write, &job).await?;
                end(&mut write, &job, state, now).await?;
            }
            Finish::Cancelled => end(&mut write, &job, State::Cancelled, now).await?,
            _ if job.cancel_requested => end(&mut write, &job, State::Cancelled, now).await?,
            Finish::Postponed(delay) => wait_again(&mut write, &job, Some(now + delay)).await?,
            Finish::Retry(delay) => retry(&mut write, &job, delay, now).await?,
            Finish::Released => wait_again(&mut write, &job, None).await?,
        }
        write.commit().await?;
        Ok(true)
    }

    /// Stops a job: one that waits ends at once; of a running one the worker learns when it renews its lease. The state
    /// that the job then has; `None` where there is no such job.
    pub async fn cancel(&self, id: &JobId, now: SystemTime) -> Result<Option<State>, Error> {
        let sql = "SELECT queue FROM jobs WHERE id = $1";
        let queue: Option<String> =
            sqlx::query_scalar(sql).bind(id.as_str()).fetch_optional(self.database.reader()).await?;
        let Some(queue) = queue else { return Ok(None) };
        let mut write = self.write().await?;
        lock(&mut write, &queue).await?;
        let Some(job) = select(&mut write, id).await? else { return Ok(None) };
        match job.state {
            State::Waiting => end(&mut write, &job, State::Cancelled, now).await?,
            State::Running => request_cancel(&mut write, id).await?,
            ended => return Ok(Some(ended)),
        }
        write.commit().await?;
        Ok(Some(if job.state == State::Waiting { State::Cancelled } else { State::Running }))
    }
}

async fn select(write: &mut Write, id: &JobId) -> Result<Option<Job>, Error> {
    let sql = write.queue.dialect().locking(&format!("SELECT {} FROM jobs WHERE id = $1", rows::JOB));
    let row = sqlx::query(&sql).bind(id.as_str()).fetch_optional(write.connection()).await?;
    row.as_ref().map(rows::job).transpose()
}

/// The job as it stands, if the claim still holds it.
async fn held(write: &mut Write, claim: &Claim) -> Result<Option<Job>, Error> {
    let job = select(write, &claim.job.id).await?;
    Ok(job.filter(|job| job.state == State::Running && job.attempt == claim.attempt))
}

async fn request_cancel(write: &mut Write, id: &JobId) -> Result<(), Error> {
    let sql = "UPDATE jobs SET cancel_requested = 1 WHERE id = $1";
    sqlx::query(sql).bind(id.as_str()).execute(write.connection()).await?;
    write.tell(Change::Job(id.clone()));
    Ok(())
}

/// What a job is whose outputs have ended.
pub(super) async fn outcome_of(write: &mut Write, job: &Job) -> Result<State, Error> {
    let sql = "SELECT count(*) AS ended, count(CASE WHEN failed = 1 THEN 1 END) AS failed FROM outputs WHERE job = $1";
    let row = sqlx::query(sql).bind(job.id.as_str()).fetch_one(write.connection()).await?;
    let (ended, failed): (i64, i64) = (row.try_get("ended")?, row.try_get("failed")?);
    let is_complete = ended == job.spec.outputs.len() as i64 && failed == 0;
    Ok(if is_complete { State::Succeeded } else { State::Failed })
}

async fn retry(write: &mut Write, job: &Job, delay: Duration, now: SystemTime) -> Result<(), Error> {
    if job.attempt < write.queue.settings.max_attempts {
        let delayed_until = (!delay.is_zero()).then(|| now + delay);
        return wait_again(write, job, delayed_until).await;
    }
    fail_missing(write, job, &format!("given up after {} attempts", job.attempt)).await?;
    let state = outcome_of(write, job).await?;
    end(write, job, state, now).await
}

/// Lets the outputs fail that have not ended.
pub(super) async fn fail_missing(write: &mut Write, job: &Job, message: &str) -> Result<(), Error> {
    let sql = "SELECT position FROM outputs WHERE job = $1";
    let ended: Vec<i64> = sqlx::query_scalar(sql).bind(job.id.as_str()).fetch_all(write.connection()).await?;
    let failed = Outcome::Failed(Failure { message: message.to_owned(), stage: None });
    for output in (0..job.spec.outputs.len()).filter(|output| !ended.contains(&(*output as i64))) {
        set_outcome(write, &job.id, output, &failed).await?;
    }
    Ok(())
}

/// Ends a job that waits or runs, and makes the notification of its owner. The queue is locked.
pub(super) async fn end(write: &mut Write, job: &Job, state: State, now: SystemTime) -> Result<(), Error> {
    let sql = "UPDATE jobs SET state = $1, finished = $2, worker = NULL, lease_until = NULL, delayed_until = NULL \
               WHERE id = $3";
    let query = sqlx::query(sql).bind(state.name()).bind(millis(now)).bind(job.id.as_str());
    query.execute(write.connection()).await?;
    leave(write, job).await?;
    notifications::add(write, job, now).await?;
    write.tell(Change::Job(job.id.clone()));
    Ok(())
}

/// Counts the job out of its queue, and tells the workers where one of them waited for its place.
async fn leave(write: &mut Write, job: &Job) -> Result<(), Error> {
    let is_waiting = i64::from(job.state == State::Waiting);
    let sql = "UPDATE queues SET waiting = waiting - $1, running = running - $2 WHERE name = $3 \
               RETURNING waiting, max_running";
    let query = sqlx::query(sql).bind(is_waiting).bind(1 - is_waiting).bind(&job.queue);
    let row = query.fetch_one(write.connection()).await?;
    let is_limited = row.try_get::<Option<i64>, _>("max_running")?.is_some();
    if is_limited && row.try_get::<i64, _>("waiting")? > 0 {
        write.tell(Change::Work);
    }
    Ok(())
}
