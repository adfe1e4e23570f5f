//! Accepting jobs. Submissions that come while the database is busy with others go into one transaction: they wait for the
//! disk together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use sqlx::Row;
use tokio::sync::oneshot;

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
        let (answer, answered) = oneshot::channel();
        self.submissions.add(Waiting { submission, now, answer });
        // A task of its own: a caller that goes away takes no others' submissions along.
        tokio::spawn(self.clone().accept_waiting());
        answered.await.unwrap_or(Err(Error::Database(sqlx::Error::WorkerCrashed)))
    }

    /// Accepts what waits, unless another task did.
    async fn accept_waiting(self) {
        let submissions = Arc::clone(&self.submissions);
        let _turn = submissions.turn.lock().await;
        let mut waiting = submissions.take();
        // Whoever has the rows of several queues has them in one order, on every node.
        waiting.sort_by(|a, b| a.submission.queue.cmp(&b.submission.queue));
        if waiting.len() > 1 {
            match self.accept_together(&waiting).await {
                Ok(Some(answers)) => {
                    return waiting.into_iter().zip(answers).for_each(|(one, answer)| one.reply(answer));
                }
                Ok(None) => {}
                Err(problem) => {
                    // They may have been accepted: nobody tries again unasked.
                    return waiting
                        .into_iter()
                        .for_each(|one| one.reply(Err(Error::Shared { problem: problem.clone() })));
                }
            }
        }
        for one in waiting {
            let answer = self.accept_alone(&one).await;
            one.reply(answer);
        }
    }

    async fn accept_alone(&self, one: &Waiting) -> Result<Submitted, Error> {
        let mut write = self.write().await?;
        let submitted = accept(&mut write, &one.submission, one.now).await?;
        write.commit().await?;
        Ok(submitted)
    }

    /// Accepts all that their queues have room for. `None` where one of them hurt the transaction, and none was accepted;
    /// an error where the commit failed.
    async fn accept_together(&self, waiting: &[Waiting]) -> Result<Option<Vec<Result<Submitted, Error>>>, String> {
        let Ok(mut write) = self.write().await else { return Ok(None) };
        let mut answers = Vec::with_capacity(waiting.len());
        for one in waiting {
            match accept(&mut write, &one.submission, one.now).await {
                Ok(submitted) => answers.push(Ok(submitted)),
                // Nothing of it was written.
                Err(full @ Error::Full { .. }) => answers.push(Err(full)),
                Err(_) => return Ok(None),
            }
        }
        write.commit().await.map_err(|error| error.to_string())?;
        Ok(Some(answers))
    }
}

/// Submissions share a transaction up to so many, or so many jobs: then the next has its turn.
const MAX_TOGETHER: usize = 128;
const MAX_JOBS_TOGETHER: usize = 1000;

/// A submission that nobody has begun to accept.
#[derive(Debug)]
struct Waiting {
    submission: Submission,
    now: SystemTime,
    answer: oneshot::Sender<Result<Submitted, Error>>,
}

impl Waiting {
    fn reply(self, answer: Result<Submitted, Error>) {
        // Its caller may have gone away.
        let _ = self.answer.send(answer);
    }
}

/// The submissions that wait, and the turn of who accepts them.
#[derive(Debug, Default)]
pub(super) struct Submissions {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

impl Submissions {
    fn add(&self, one: Waiting) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = 0;
        let fits = |one: &&Waiting| {
            let has_room = jobs < MAX_JOBS_TOGETHER;
            jobs += one.submission.jobs.len();
            has_room
        };
        let count = waiting.iter().take(MAX_TOGETHER).take_while(fits).count();
        waiting.drain(..count).collect()
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

/// Counts the jobs in, if they are not too many; else nothing is written, but that the queue comes into being.
async fn reserve(write: &mut Write, queue: &str, count: i64) -> Result<(), Error> {
    if count_in(write, queue, count).await? {
        return Ok(());
    }
    let sql = "INSERT INTO queues (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
    sqlx::query(sql).bind(queue).execute(write.connection()).await?;
    // It is there now, by us or by another node.
    if count_in(write, queue, count).await? {
        return Ok(());
    }
    let sql = "SELECT waiting, max_waiting FROM queues WHERE name = $1";
    let row = sqlx::query(sql).bind(queue).fetch_one(write.connection()).await?;
    let limit = row.try_get::<Option<i64>, _>("max_waiting")?.unwrap_or(write.queue.settings.max_waiting);
    Err(Error::Full { queue: queue.to_owned(), waiting: row.try_get("waiting")?, limit })
}

/// `false` where there is no such queue, or no room in it.
async fn count_in(write: &mut Write, queue: &str, count: i64) -> Result<bool, Error> {
    let sql = "UPDATE queues SET waiting = waiting + $1 WHERE name = $2 AND waiting + $1 <= coalesce(max_waiting, $3)";
    let query = sqlx::query(sql).bind(count).bind(queue).bind(write.queue.settings.max_waiting);
    Ok(query.execute(write.connection()).await?.rows_affected() > 0)
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
