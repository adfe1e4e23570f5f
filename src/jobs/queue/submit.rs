//! Accepting jobs.

use std::time::SystemTime;

use sqlx::Row;

use super::{Change, Error, Queue, Write, rows};
use crate::jobs::model::{JobId, JobSpec, Submission, millis};

/// What was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The jobs, in the order of the submission.
    pub jobs: Vec<JobId>,
    /// The batch that they are, where one was asked for.
    pub batch: Option<i64>,
}

impl Queue {
    /// Accepts all jobs, or none. They are on the disk when this returns.
    ///
    /// Owners take turns: a job's turn is one after the owner's last, or after the one that the queue has come to. Whoever
    /// has ten thousand jobs waiting delays another's first by about one.
    ///
    /// # Errors
    /// [`Error::Full`] where the queue would have more jobs waiting than it may.
    pub async fn submit(&self, submission: Submission, now: SystemTime) -> Result<Submitted, Error> {
        let mut write = self.write().await?;
        let submitted = accept(&mut write, &submission, now).await?;
        write.commit().await?;
        Ok(submitted)
    }
}

async fn accept(write: &mut Write, submission: &Submission, now: SystemTime) -> Result<Submitted, Error> {
    let count = submission.jobs.len() as i64;
    reserve(write, &submission.queue, count).await?;
    let batch = if submission.is_batch { Some(add_batch(write, &submission.owner, now).await?) } else { None };
    let last_turn = take_turns(write, submission, count).await?;
    let mut jobs = Vec::with_capacity(submission.jobs.len());
    for (spec, turn) in submission.jobs.iter().zip(last_turn - count + 1..) {
        jobs.push(add(write, submission, spec, batch, turn, now).await?);
    }
    write.tell(Change::Work);
    Ok(Submitted { jobs, batch })
}

/// Counts the jobs in, if they are not too many. The queue comes into being here.
async fn reserve(write: &mut Write, queue: &str, count: i64) -> Result<(), Error> {
    let sql = "INSERT INTO queues (name, waiting) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET waiting = queues.waiting + $2 RETURNING waiting, max_waiting";
    let row = sqlx::query(sql).bind(queue).bind(count).fetch_one(write.connection()).await?;
    let waiting: i64 = row.try_get("waiting")?;
    let limit = row.try_get::<Option<i64>, _>("max_waiting")?.unwrap_or(write.queue.settings.max_waiting);
    if waiting > limit {
        return Err(Error::Full { queue: queue.to_owned(), waiting: waiting - count, limit });
    }
    Ok(())
}

async fn add_batch(write: &mut Write, owner: &str, now: SystemTime) -> Result<i64, Error> {
    let sql = "INSERT INTO batches (owner, created) VALUES ($1, $2) RETURNING id";
    Ok(sqlx::query_scalar(sql).bind(owner).bind(millis(now)).fetch_one(write.connection()).await?)
}

/// Gives the owner `count` turns; the last of them.
async fn take_turns(write: &mut Write, submission: &Submission, count: i64) -> Result<i64, Error> {
    let sql = "INSERT INTO lanes (queue, priority, turn) VALUES ($1, $2, 0) \
               ON CONFLICT (queue, priority) DO UPDATE SET turn = lanes.turn RETURNING turn";
    let lane = sqlx::query_scalar::<_, i64>(sql).bind(&submission.queue).bind(i64::from(submission.priority));
    let reached = lane.fetch_one(write.connection()).await?;
    let sql = "INSERT INTO turns (queue, priority, owner, turn) VALUES ($1, $2, $3, $4 + $5) \
               ON CONFLICT (queue, priority, owner) \
               DO UPDATE SET turn = CASE WHEN turns.turn > $4 THEN turns.turn ELSE $4 END + $5 RETURNING turn";
    let last = sqlx::query_scalar(sql)
        .bind(&submission.queue)
        .bind(i64::from(submission.priority))
        .bind(&submission.owner)
        .bind(reached)
        .bind(count);
    Ok(last.fetch_one(write.connection()).await?)
}

async fn add(
    write: &mut Write,
    submission: &Submission,
    spec: &JobSpec,
    batch: Option<i64>,
    turn: i64,
    now: SystemTime,
) -> Result<JobId, Error> {
    let id = JobId::new(now);
    let sql = "INSERT INTO jobs (id, api, owner, queue, batch, priority, turn, state, spec, created) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $9)";
    sqlx::query(sql)
        .bind(id.as_str())
        .bind(submission.api.name())
        .bind(&submission.owner)
        .bind(&submission.queue)
        .bind(batch)
        .bind(i64::from(submission.priority))
        .bind(turn)
        .bind(rows::to_json(spec))
        .bind(millis(now))
        .execute(write.connection())
        .await?;
    Ok(id)
}
