//! What a worker does with a job, from taking it to recording its outputs; and what becomes of the jobs of dead workers.

use std::time::SystemTime;

use sqlx::Row;

use super::finish::{end, fail_missing, outcome_of};
use super::{Change, Error, Queue, Write, rows};
use crate::jobs::model::{self, Claim, Job, JobId, Outcome, Renewal, State, millis};

impl Queue {
    /// Takes the next job for `worker`: of the queue of highest priority that may run one more, the job of highest
    /// priority and earliest turn. Jobs whose lease has passed wait again before that.
    ///
    /// The job counts as held until its lease ends; [`Queue::renew`] prolongs it.
    pub async fn claim(&self, worker: &str, now: SystemTime) -> Result<Option<Claim>, Error> {
        self.release_due(now).await?;
        for queue in self.queues_with_work().await? {
            if let Some(claim) = self.claim_from(&queue, worker, now).await? {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }

    /// Prolongs the lease, says how far the running output is (in thousandths), and learns whether to go on.
    pub async fn renew(&self, claim: &Claim, progress: i32, now: SystemTime) -> Result<Renewal, Error> {
        let mut write = self.write_lightly().await?;
        let sql = "SELECT progress FROM jobs WHERE id = $1";
        let before = sqlx::query_scalar::<_, i64>(sql).bind(claim.job.id.as_str());
        let before = before.fetch_optional(write.connection()).await?;
        let sql = "UPDATE jobs SET lease_until = $1, progress = $2 WHERE id = $3 AND attempt = $4 AND state = 'running' \
                   RETURNING cancel_requested";
        let row = sqlx::query(sql)
            .bind(millis(now + self.settings.lease))
            .bind(i64::from(progress))
            .bind(claim.job.id.as_str())
            .bind(i64::from(claim.attempt))
            .fetch_optional(write.connection())
            .await?;
        let Some(row) = row else { return Ok(Renewal::Lost) };
        let is_cancelled = row.try_get::<i64, _>("cancel_requested")? != 0;
        // A longer lease is no news: who renews listens too, and would renew at once, for ever.
        if before != Some(i64::from(progress)) {
            write.tell(Change::Job(claim.job.id.clone()));
        }
        write.commit().await?;
        Ok(if is_cancelled { Renewal::CancelRequested } else { Renewal::Held })
    }

    /// Records how the output of number `output` ended; again where it was recorded before. `false` where the claim is
    /// lost.
    ///
    /// # Errors
    /// [`Error::NoSuchOutput`].
    pub async fn record(
        &self,
        claim: &Claim,
        output: usize,
        outcome: &Outcome,
        _now: SystemTime,
    ) -> Result<bool, Error> {
        let outputs = claim.job.spec.outputs.len();
        if output >= outputs {
            return Err(Error::NoSuchOutput { job: claim.job.id.clone(), output, outputs });
        }
        let mut write = self.write_lightly().await?;
        if !is_held(&mut write, claim).await? {
            return Ok(false);
        }
        set_outcome(&mut write, &claim.job.id, output, outcome).await?;
        write.tell(Change::Job(claim.job.id.clone()));
        write.commit().await?;
        Ok(true)
    }

    /// Lets delayed jobs wait as others do once their time has come, and so jobs whose lease has passed.
    async fn release_due(&self, now: SystemTime) -> Result<(), Error> {
        let now_ms = millis(now);
        let (lease, delay) = self.first_due().await?;
        if delay.is_some_and(|delay| delay <= now_ms) {
            self.release_delayed(now_ms).await?;
        }
        if lease.is_some_and(|lease| lease <= now_ms) {
            while self.expire_one(now).await? {}
        }
        Ok(())
    }

    /// When the first lease ends, and when the first delayed job may run, in milliseconds.
    pub(super) async fn first_due(&self) -> Result<(Option<i64>, Option<i64>), Error> {
        let row = sqlx::query(FIRST_DUE).fetch_one(self.database.reader()).await?;
        Ok((row.try_get("lease")?, row.try_get("delay")?))
    }

    async fn release_delayed(&self, now_ms: i64) -> Result<(), Error> {
        let due = "SELECT id FROM jobs WHERE delayed_until <= $1";
        let due = self.dialect().skipping_locked(due);
        let sql = format!("UPDATE jobs SET delayed_until = NULL WHERE id IN ({due})");
        let mut write = self.write_lightly().await?;
        sqlx::query(&sql).bind(now_ms).execute(write.connection()).await?;
        write.commit().await
    }

    /// Takes the job whose lease passed first from its worker. `false` where there is none.
    async fn expire_one(&self, now: SystemTime) -> Result<bool, Error> {
        let found = sqlx::query(EXPIRED).bind(millis(now)).fetch_optional(self.database.reader()).await?;
        let Some(row) = found else { return Ok(false) };
        let (id, queue) = (rows::job_id(&row, "id")?, rows::text(&row, "queue")?);
        let mut write = self.write().await?;
        lock(&mut write, &queue).await?;
        let sql = format!("SELECT {} FROM jobs WHERE id = $1 AND lease_until <= $2", rows::JOB);
        let query = sqlx::query(&sql).bind(id.as_str()).bind(millis(now));
        // Another node may have been faster, or the worker alive after all.
        if let Some(row) = query.fetch_optional(write.connection()).await? {
            expire(&mut write, &rows::job(&row)?, now).await?;
            write.commit().await?;
        }
        Ok(true)
    }

    /// The queues that may run one more job and have one, in the order in which they are asked.
    async fn queues_with_work(&self) -> Result<Vec<String>, Error> {
        Ok(sqlx::query_scalar(WITH_WORK).fetch_all(self.database.reader()).await?)
    }

    async fn claim_from(&self, queue: &str, worker: &str, now: SystemTime) -> Result<Option<Claim>, Error> {
        let mut write = self.write_lightly().await?;
        let sql = "UPDATE queues SET waiting = waiting - 1, running = running + 1, \
                   last_claim = (SELECT max(last_claim) FROM queues) + 1 \
                   WHERE name = $1 AND paused = 0 AND waiting > 0 AND (max_running IS NULL OR running < max_running)";
        let counted = sqlx::query(sql).bind(queue).execute(write.connection()).await?;
        if counted.rows_affected() == 0 {
            return Ok(None);
        }
        let Some((mut job, turn)) = self.take_first(&mut write, queue, worker, now).await? else { return Ok(None) };
        advance(&mut write, &job, turn).await?;
        super::read::add_outcomes(write.connection(), std::slice::from_mut(&mut job)).await?;
        write.tell(Change::Job(job.id.clone()));
        write.commit().await?;
        Ok(Some(Claim { attempt: job.attempt, job }))
    }

    async fn take_first(
        &self,
        write: &mut Write,
        queue: &str,
        worker: &str,
        now: SystemTime,
    ) -> Result<Option<(Job, i64)>, Error> {
        let sql = format!(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, progress = 0, worker = $2, lease_until = $3, \
             started = coalesce(started, $4) WHERE id = ({FIRST}) RETURNING turn, {}",
            rows::JOB
        );
        let row = sqlx::query(&sql)
            .bind(queue)
            .bind(worker)
            .bind(millis(now + self.settings.lease))
            .bind(millis(now))
            .fetch_optional(write.connection())
            .await?;
        row.map(|row| Ok((rows::job(&row)?, row.try_get("turn")?))).transpose()
    }
}

const FIRST_DUE: &str = "SELECT (SELECT min(lease_until) FROM jobs WHERE lease_until IS NOT NULL) AS lease, \
                         (SELECT min(delayed_until) FROM jobs WHERE delayed_until IS NOT NULL) AS delay";

const EXPIRED: &str = "SELECT id, queue FROM jobs WHERE lease_until <= $1 ORDER BY lease_until LIMIT 1";

/// The first of a queue is looked up for each queue on its own: as a join, PostgreSQL may read the jobs of all of them.
const WITH_WORK: &str = "SELECT name FROM queues WHERE paused = 0 AND waiting > 0 \
                         AND (max_running IS NULL OR running < max_running) \
                         AND (SELECT jobs.id FROM jobs WHERE jobs.queue = queues.name AND jobs.state = 'waiting' \
                         AND jobs.delayed_until IS NULL ORDER BY jobs.priority DESC, jobs.turn, jobs.id LIMIT 1) \
                         IS NOT NULL ORDER BY queues.priority DESC, queues.last_claim, queues.name";

/// The job of a queue that is next: the first entry of the index `jobs_ready` (a test looks that up).
const FIRST: &str = "SELECT id FROM jobs WHERE queue = $1 AND state = 'waiting' AND delayed_until IS NULL \
                     ORDER BY priority DESC, turn, id LIMIT 1";

/// The queue has come to this job's turn: owners who come later begin after it.
async fn advance(write: &mut Write, job: &Job, turn: i64) -> Result<(), Error> {
    let sql = "UPDATE lanes SET turn = $1 WHERE queue = $2 AND priority = $3 AND turn < $1";
    let query = sqlx::query(sql).bind(turn).bind(&job.queue).bind(i64::from(job.priority));
    query.execute(write.connection()).await?;
    Ok(())
}

/// Keeps the queue for this transaction, as whoever changes states of its jobs must.
pub(super) async fn lock(write: &mut Write, queue: &str) -> Result<(), Error> {
    let sql = write.queue.dialect().locking("SELECT name FROM queues WHERE name = $1");
    sqlx::query(&sql).bind(queue).fetch_optional(write.connection()).await?;
    Ok(())
}

/// What becomes of a job whose worker died. The queue is locked.
async fn expire(write: &mut Write, job: &Job, now: SystemTime) -> Result<(), Error> {
    tracing::warn!(job = %job.id, attempt = job.attempt, "the lease of a job has passed: its worker died or hangs");
    if job.cancel_requested {
        return end(write, job, State::Cancelled, now).await;
    }
    if job.attempt < write.queue.settings.max_attempts {
        return wait_again(write, job, None).await;
    }
    fail_missing(write, job, &format!("the worker died {} times", job.attempt)).await?;
    // It may have died with nothing left to do but to say so.
    let state = outcome_of(write, job).await?;
    end(write, job, state, now).await
}

/// Puts a running job back. The queue is locked.
pub(super) async fn wait_again(write: &mut Write, job: &Job, delayed_until: Option<SystemTime>) -> Result<(), Error> {
    let sql = "UPDATE jobs SET state = 'waiting', worker = NULL, lease_until = NULL, progress = 0, delayed_until = $1 \
               WHERE id = $2";
    let query = sqlx::query(sql).bind(delayed_until.map(model::millis)).bind(job.id.as_str());
    query.execute(write.connection()).await?;
    let sql = "UPDATE queues SET waiting = waiting + 1, running = running - 1 WHERE name = $1";
    sqlx::query(sql).bind(&job.queue).execute(write.connection()).await?;
    write.tell(Change::Job(job.id.clone()));
    write.tell(Change::Work);
    Ok(())
}

/// Whether the claim still holds its job, which nobody else changes until the transaction ends.
async fn is_held(write: &mut Write, claim: &Claim) -> Result<bool, Error> {
    let sql = "SELECT id FROM jobs WHERE id = $1 AND attempt = $2 AND state = 'running'";
    let sql = write.queue.dialect().locking(sql);
    let query = sqlx::query(&sql).bind(claim.job.id.as_str()).bind(i64::from(claim.attempt));
    Ok(query.fetch_optional(write.connection()).await?.is_some())
}

/// Stores how an output ended, over what was stored before.
pub(super) async fn set_outcome(write: &mut Write, job: &JobId, output: usize, outcome: &Outcome) -> Result<(), Error> {
    let sql = "INSERT INTO outputs (job, position, failed, outcome) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (job, position) DO UPDATE SET failed = $3, outcome = $4";
    sqlx::query(sql)
        .bind(job.as_str())
        .bind(output as i64)
        .bind(i64::from(matches!(outcome, Outcome::Failed(_))))
        .bind(rows::to_json(outcome))
        .execute(write.connection())
        .await?;
    Ok(())
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::jobs::queue::Settings;

    /// Of the statements that look for jobs none reads more than the first entries of an index.
    #[tokio::test]
    async fn claims_look_jobs_up_by_index() {
        let queue = Queue::open("sqlite::memory:", Settings::default()).await.unwrap();
        for (sql, index) in
            [(FIRST, "jobs_ready"), (WITH_WORK, "jobs_ready"), (FIRST_DUE, "jobs_lease"), (EXPIRED, "jobs_lease")]
        {
            let sql = format!("EXPLAIN QUERY PLAN {sql}").replace("$1", "'1'");
            let plan = sqlx::query(&sql).fetch_all(queue.database.reader()).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            let of_jobs: Vec<_> = plan.iter().filter(|step| step.contains("jobs")).collect();
            assert!(of_jobs.iter().any(|step| step.contains(index)), "{sql}: {plan:?}");
            assert!(of_jobs.iter().all(|step| step.starts_with("SEARCH")), "{sql}: {plan:?}");
            let sorts = plan.iter().filter(|step| step.contains("TEMP B-TREE")).count();
            assert!(sorts == usize::from(sql.contains(WITH_WORK)), "queues are sorted, jobs are not: {plan:?}");
        }
    }
}
