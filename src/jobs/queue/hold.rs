//! What a worker tells of a job that it holds.

use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use sqlx::Row;

use super::together::{Group, Groups, Request};
use super::{Change, Error, Queue, rows};
use crate::jobs::database::{Dialect, number, text};
use crate::jobs::model::{Claim, JobId, Outcome, Renewal, millis};

impl Queue {
    /// Prolongs the lease, says how far the running output is (in thousandths), and learns whether to go on.
    pub async fn renew(&self, claim: &Claim, progress: i32, now: SystemTime) -> Result<Renewal, Error> {
        let mut write = self.write_lightly().await?;
        let sql = "SELECT progress FROM jobs WHERE id = $1";
        let before = sqlx::query_scalar::<_, i64>(sql).bind(claim.job.id.as_str());
        let before = before.fetch_optional(write.connection()).await?;
        let sql = "UPDATE jobs SET lease_until = $1, progress = $2 \
                   WHERE id = $3 AND attempt = $4 AND worker = $5 AND state = 'running' RETURNING cancel_requested";
        let row = sqlx::query(sql)
            .bind(millis(now + self.settings.lease))
            .bind(i64::from(progress))
            .bind(claim.job.id.as_str())
            .bind(i64::from(claim.attempt))
            .bind(claim.holder.as_str())
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
    pub async fn record(&self, claim: &Claim, output: usize, outcome: &Outcome) -> Result<bool, Error> {
        let outputs = claim.job.spec.outputs.len();
        if output >= outputs {
            return Err(Error::NoSuchOutput { job: claim.job.id.clone(), output, outputs });
        }
        self.ask(RecordRequest {
            job: claim.job.id.clone(),
            attempt: claim.attempt,
            holder: claim.holder.clone(),
            output,
            is_failure: matches!(outcome, Outcome::Failed(_)),
            outcome: rows::to_json(outcome),
        })
        .await
    }
}

/// How an output ended.
pub(super) struct RecordRequest {
    job: JobId,
    attempt: i32,
    holder: String,
    output: usize,
    is_failure: bool,
    outcome: String,
}

impl Request for RecordRequest {
    type Answer = bool;

    fn group(groups: &Groups) -> &Group<Self> {
        &groups.records
    }

    async fn perform(queue: &Queue, requests: &[Self]) -> Result<Vec<Result<bool, Error>>, Error> {
        // In the order of the jobs' names, as everybody locks them; of one output the last says how it ended.
        let mut given = BTreeMap::new();
        for one in requests {
            let failed = i64::from(one.is_failure);
            let row = (&one.job, one.attempt, &one.holder, one.output, failed, &one.outcome);
            given.insert((&one.job, one.attempt, &one.holder, one.output), row);
        }
        let given: Vec<_> = given.into_values().collect();
        let sql = record(queue.dialect());
        let found = queue.database.write_alone(sqlx::query(&sql).bind(rows::to_json(&given))).await?;
        let recorded = found.iter().map(|row| rows::job_id(row, "job")).collect::<Result<HashSet<_>, _>>()?;
        queue.changes.tell(recorded.iter().cloned().map(Change::Job).collect());
        Ok(requests.iter().map(|one| Ok(recorded.contains(&one.job))).collect())
    }
}

/// Stores outcomes, over what was stored before, of jobs that are held; nobody else changes these until the transaction ends.
fn record(dialect: Dialect) -> String {
    let held = format!(
        "SELECT jobs.id, {} AS position, {} AS failed, {} AS outcome FROM {} JOIN jobs ON jobs.id = {} \
         WHERE jobs.attempt = {} AND jobs.worker = {} AND jobs.state = 'running'",
        number(3),
        number(4),
        text(5),
        dialect.rows(1),
        text(0),
        number(1),
        text(2)
    );
    let held = match dialect {
        Dialect::Sqlite => held,
        Dialect::Postgres => format!("{held} FOR UPDATE OF jobs"),
    };
    format!(
        "INSERT INTO outputs (job, position, failed, outcome) \
         SELECT held.id, held.position, held.failed, held.outcome FROM ({held}) AS held WHERE true \
         ON CONFLICT (job, position) DO UPDATE SET failed = excluded.failed, outcome = excluded.outcome RETURNING job"
    )
}
