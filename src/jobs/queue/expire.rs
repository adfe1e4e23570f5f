//! What comes due by itself: jobs that were delayed, and jobs whose workers died.

use std::collections::BTreeMap;
use std::time::SystemTime;

use sqlx::Row;

use super::claim::Due;
use super::finish::{STANDING, Standing, state_of};
use super::moves::Moves;
use super::{Error, Queue, rows};
use crate::jobs::database::{Durability, text};
use crate::jobs::model::{self, Job, JobId, State, millis};

/// Jobs whose leases are seen to in one transaction.
const CHUNK: usize = 100;

impl Queue {
    /// When the next delayed job may run, or the next lease ends. Past where it has.
    pub async fn next_job_due(&self) -> Result<Option<SystemTime>, Error> {
        let row = sqlx::query(FIRST_DUE).fetch_one(self.database.reader()).await?;
        let due: [Option<i64>; 2] = [row.try_get("lease")?, row.try_get("delay")?];
        Ok(due.into_iter().flatten().min().map(model::time))
    }

    /// Lets delayed jobs wait as others do once their time has come, and so jobs whose lease has passed.
    pub(super) async fn release_due(&self, due: &Due, now: SystemTime) -> Result<(), Error> {
        let now_ms = millis(now);
        if due.delay.is_some_and(|delay| delay <= now_ms) {
            self.release_delayed(now_ms).await?;
        }
        if due.lease.is_some_and(|lease| lease <= now_ms) {
            while self.expire_some(now).await? {}
        }
        Ok(())
    }

    async fn release_delayed(&self, now_ms: i64) -> Result<(), Error> {
        let due = "SELECT id FROM jobs WHERE delayed_until <= $1";
        let due = self.dialect().skipping_locked(due);
        let sql = format!("UPDATE jobs SET delayed_until = NULL WHERE id IN ({due})");
        let mut write = self.write_lightly().await?;
        sqlx::query(&sql).bind(now_ms).execute(write.connection()).await?;
        write.commit().await
    }

    /// Takes jobs whose lease has passed from their workers. `false` where that was all.
    async fn expire_some(&self, now: SystemTime) -> Result<bool, Error> {
        let found = sqlx::query(EXPIRED).bind(millis(now)).fetch_all(self.database.reader()).await?;
        let mut queues = BTreeMap::<String, Vec<JobId>>::new();
        for row in &found {
            queues.entry(rows::text(row, "queue")?).or_default().push(rows::job_id(row, "id")?);
        }
        for (queue, ids) in queues {
            self.expire(&queue, &ids, now).await?;
        }
        Ok(found.len() == CHUNK)
    }

    async fn expire(&self, queue: &str, ids: &[JobId], now: SystemTime) -> Result<(), Error> {
        let mut write = self.begin(Durability::Disk, &[queue]).await?;
        let sql = format!(
            "SELECT {}, {STANDING} FROM jobs WHERE id IN (SELECT {} FROM {}) AND lease_until <= $2 ORDER BY id",
            rows::JOB,
            text(0),
            write.dialect().rows(1)
        );
        let sql = write.dialect().locking(&sql);
        let given: Vec<_> = ids.iter().map(|id| (id.as_str(),)).collect();
        let query = sqlx::query(&sql).bind(rows::to_json(&given)).bind(millis(now));
        let mut moves = Moves::default();
        // Another node may have been faster, or the worker alive after all.
        for row in query.fetch_all(write.connection()).await? {
            let (job, standing) = (rows::job(&row)?, Standing::of(&row)?);
            self.expire_one(&mut moves, &job, standing, now);
            moves.make_room(standing);
        }
        moves.write(&mut write).await?;
        write.commit().await
    }

    /// What becomes of a job whose worker died.
    fn expire_one(&self, moves: &mut Moves, job: &Job, standing: Standing, now: SystemTime) {
        tracing::warn!(job = %job.id, attempt = job.attempt, "the lease of a job has passed: its worker died or hangs");
        if job.cancel_requested {
            return moves.end(job, State::Cancelled, None, now);
        }
        if job.attempt < self.settings.max_attempts {
            return moves.wait_again(job, job.attempt, None, now);
        }
        // It may have died with nothing left to do but to say so.
        let died = format!("the worker died {} times", job.attempt);
        moves.end(job, state_of(job, standing), Some(&died), now);
    }
}

/// When the first lease ends, and when the first delayed job may run.
pub(super) const FIRST_DUE: &str = "SELECT (SELECT min(lease_until) FROM jobs WHERE lease_until IS NOT NULL) AS lease, \
                                    (SELECT min(delayed_until) FROM jobs WHERE delayed_until IS NOT NULL) AS delay";

pub(super) const EXPIRED: &str = "SELECT id, queue FROM jobs WHERE lease_until <= $1 ORDER BY lease_until LIMIT 100";
