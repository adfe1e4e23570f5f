//! Taking jobs.

use std::time::SystemTime;

use sqlx::Row;

use super::moves::{Counts, Moves, update_owners, update_queues};
use super::together::{Group, Groups, Request};
use super::{Change, Error, Queue, Write, rows};
use crate::jobs::database::{Dialect, Durability, number, text};
use crate::jobs::model::{Claim, Finish, Job, JobId, State, millis};

impl Queue {
    /// Takes the next job for `worker`, as [`Queue::claim_many`] does.
    pub async fn claim(&self, worker: &str, now: SystemTime) -> Result<Option<Claim>, Error> {
        Ok(self.claim_many(worker, 1, now).await?.pop())
    }

    /// Takes the next jobs for `worker`, at most `count`: of the queues of highest priority that may run one more, in turn,
    /// the jobs of highest priority and earliest turn. Jobs whose lease has passed wait again before that.
    ///
    /// The jobs count as held until their lease ends; [`Queue::renew`] prolongs it. One that cannot be read has failed.
    pub async fn claim_many(&self, worker: &str, count: usize, now: SystemTime) -> Result<Vec<Claim>, Error> {
        self.ask(ClaimRequest { worker: worker.to_owned(), count, now }).await
    }

    /// Takes jobs until there are so many, or no more to take.
    async fn take(&self, worker: &str, count: usize, now: SystemTime) -> Result<Vec<Claim>, Error> {
        let mut claims = Vec::new();
        while claims.len() < count {
            match self.take_some(worker, count - claims.len(), now).await {
                Ok(taken) if taken.rows == 0 => break,
                Ok(taken) => claims.extend(taken.claims),
                Err(error) if claims.is_empty() => return Err(error),
                // What was taken is held.
                Err(error) => {
                    tracing::error!(%error, "fewer jobs than wanted are taken");
                    break;
                }
            }
        }
        Ok(claims)
    }

    /// Takes jobs of the queues that have some, from each of one priority as many as from the others.
    async fn take_some(&self, worker: &str, count: usize, now: SystemTime) -> Result<Taken, Error> {
        let ready = self.ready(now).await?;
        let mut taken = Taken::default();
        for (index, queue) in ready.iter().enumerate() {
            let others = ready[index..].iter().take_while(|other| other.priority == queue.priority).count();
            let share = (count - taken.claims.len()).div_ceil(others);
            let last_claim = ready.iter().map(|queue| queue.last_claim).max().unwrap_or_default() + index as i64;
            let number = millis(now).max(last_claim + 1);
            match self.take_from(&queue.name, worker, share, number, now).await {
                Ok(more) => taken.add(more),
                Err(error) if taken.rows == 0 => return Err(error),
                Err(error) => {
                    tracing::error!(%error, queue = queue.name, "no jobs are taken from this queue");
                    break;
                }
            }
            if taken.claims.len() >= count {
                break;
            }
        }
        Ok(taken)
    }

    /// The queues that may run one more job and have one, in the order in which they are asked. What has come due by itself
    /// is seen to before.
    async fn ready(&self, now: SystemTime) -> Result<Vec<Ready>, Error> {
        let (due, ready) = self.look().await?;
        if !due.has_passed(now) {
            return Ok(ready);
        }
        self.release_due(&due, now).await?;
        Ok(self.look().await?.1)
    }

    async fn look(&self) -> Result<(Due, Vec<Ready>), Error> {
        let found = self.database.read(LOOK).await?;
        let mut due = Due::default();
        let mut ready = Vec::with_capacity(found.len());
        for row in found {
            due = Due { lease: row.try_get("lease")?, delay: row.try_get("delay")? };
            let Some(name) = row.try_get("name")? else { continue };
            ready.push(Ready { name, priority: row.try_get("priority")?, last_claim: row.try_get("last_claim")? });
        }
        Ok((due, ready))
    }

    async fn take_from(
        &self,
        queue: &str,
        worker: &str,
        count: usize,
        number: i64,
        now: SystemTime,
    ) -> Result<Taken, Error> {
        let mut write = self.begin(Durability::Process, &[queue]).await?;
        // Nobody else's claim has this name, even if a database that crashed has forgotten this one.
        let holder = format!("{worker}/{}", JobId::new(now));
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let found = self.take_first(&mut write, queue, &holder, count, now).await?;
        if found.is_empty() {
            return Ok(Taken::default());
        }
        let mut taken = Found::of(found)?;
        taken.write(&mut write, queue, number, now).await?;
        let jobs: &mut [Job] = &mut taken.jobs;
        if taken.have_outcomes {
            super::read::add_outcomes(write.connection(), jobs).await?;
        }
        jobs.iter().for_each(|job| write.tell(Change::Job(job.id.clone())));
        write.commit().await?;
        let claims = taken.jobs.into_iter().map(|job| Claim { attempt: job.attempt, holder: holder.clone(), job });
        Ok(Taken { rows: taken.rows, claims: claims.collect() })
    }

    async fn take_first(
        &self,
        write: &mut Write,
        queue: &str,
        holder: &str,
        count: i64,
        now: SystemTime,
    ) -> Result<Vec<sqlx::any::AnyRow>, Error> {
        let sql = format!(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, progress = 0, worker = $3, lease_until = $4, \
             started = coalesce(started, $5) WHERE id IN ({FIRST}) RETURNING turn, \
             CASE WHEN EXISTS (SELECT 1 FROM outputs WHERE outputs.job = jobs.id) THEN 1 ELSE 0 END AS has_outcomes, {}",
            rows::JOB
        );
        let found = sqlx::query(&sql)
            .bind(queue.to_owned())
            .bind(count)
            .bind(holder.to_owned())
            .bind(millis(now + self.settings.lease))
            .bind(millis(now))
            .fetch_all(write.connection())
            .await?;
        Ok(found)
    }
}

/// A worker's wish for jobs.
pub(super) struct ClaimRequest {
    worker: String,
    count: usize,
    now: SystemTime,
}

impl Request for ClaimRequest {
    type Answer = Vec<Claim>;

    fn group(groups: &Groups) -> &Group<Self> {
        &groups.claims
    }

    fn weight(&self) -> usize {
        self.count
    }

    /// Takes jobs for all, at the time of the latest. Workers of a process have one name; others are served one by one.
    async fn perform(queue: &Queue, requests: &[Self]) -> Result<Vec<Result<Vec<Claim>, Error>>, Error> {
        let Some(first) = requests.first() else { return Ok(Vec::new()) };
        let alike = requests.iter().take_while(|one| one.worker == first.worker).count();
        let (alike, others) = requests.split_at(alike);
        let now = alike.iter().map(|one| one.now).max().unwrap_or(first.now);
        let count = alike.iter().map(|one| one.count).sum();
        let mut claims = queue.take(&first.worker, count, now).await?.into_iter();
        let mut answers: Vec<_> = alike.iter().map(|one| Ok(claims.by_ref().take(one.count).collect())).collect();
        for one in others {
            answers.push(queue.take(&one.worker, one.count, one.now).await);
        }
        Ok(answers)
    }

    async fn undelivered(queue: &Queue, claims: Vec<Claim>) {
        for claim in claims {
            if let Err(error) = queue.finish(&claim, Finish::Released, SystemTime::now()).await {
                tracing::warn!(job = %claim.job.id, %error, "a job that nobody took waits for the end of its lease");
            }
        }
    }
}

/// When the first lease ends, and when the first delayed job may run, in milliseconds.
#[derive(Clone, Copy, Default)]
pub(super) struct Due {
    pub(super) lease: Option<i64>,
    pub(super) delay: Option<i64>,
}

impl Due {
    fn has_passed(&self, now: SystemTime) -> bool {
        [self.lease, self.delay].into_iter().flatten().any(|due| due <= millis(now))
    }
}

/// A queue that may run one more job and has one.
struct Ready {
    name: String,
    priority: i64,
    last_claim: i64,
}

/// What was taken: so many jobs, of which those are held that can be read.
#[derive(Default)]
struct Taken {
    rows: usize,
    claims: Vec<Claim>,
}

impl Taken {
    fn add(&mut self, more: Self) {
        self.rows += more.rows;
        self.claims.extend(more.claims);
    }
}

/// The jobs that were taken of a queue, in their order.
struct Found {
    rows: usize,
    jobs: Vec<Job>,
    unreadable: Vec<(Job, String)>,
    /// Owner, priority and turn of each.
    turns: Vec<(String, i32, i64)>,
    have_outcomes: bool,
}

impl Found {
    fn of(found: Vec<sqlx::any::AnyRow>) -> Result<Self, Error> {
        let mut taken = Self {
            rows: found.len(),
            jobs: Vec::with_capacity(found.len()),
            unreadable: Vec::new(),
            turns: Vec::with_capacity(found.len()),
            have_outcomes: false,
        };
        let mut order = Vec::with_capacity(found.len());
        for row in found {
            let (job, problem) = rows::read_job(&row)?;
            let turn: i64 = row.try_get("turn")?;
            taken.have_outcomes |= row.try_get::<i64, _>("has_outcomes")? != 0;
            taken.turns.push((job.owner.clone(), job.priority, turn));
            match problem {
                None => order.push(((std::cmp::Reverse(job.priority), turn, job.id.clone()), job)),
                Some(problem) => taken.unreadable.push((job, problem)),
            }
        }
        order.sort_by(|a, b| a.0.cmp(&b.0));
        taken.jobs.extend(order.into_iter().map(|(_, job)| job));
        Ok(taken)
    }

    /// Counts the jobs, and lets those fail that cannot be read. The queue has come to these jobs' turns: owners who come later
    /// begin after them.
    async fn write(&self, write: &mut Write, queue: &str, number: i64, now: SystemTime) -> Result<(), Error> {
        let mut counts = Counts::default();
        counts.claimed(queue, number);
        self.turns.iter().for_each(|(owner, ..)| counts.add(queue, owner, -1, 1, now));
        let lanes: Vec<_> = self.turns.iter().map(|(_, priority, turn)| (queue, priority, turn)).collect();
        let dialect = write.dialect();
        let statements = [update_queues(dialect, 1), update_owners(dialect, 2), update_lanes(dialect, 3)];
        let sql = dialect.at_once(&statements);
        let query = sqlx::query(&sql).bind(counts.queues()).bind(counts.owners()).bind(rows::to_json(&lanes));
        query.execute(write.connection()).await?;
        let mut moves = Moves::default();
        for (job, problem) in &self.unreadable {
            tracing::error!(job = %job.id, problem, "a job fails that cannot be read");
            moves.end(job, State::Failed, Some(problem), now);
        }
        moves.write(write).await
    }
}

fn update_lanes(dialect: Dialect, parameter: usize) -> String {
    format!(
        "UPDATE lanes SET turn = reached.turn FROM (SELECT {} AS queue, {} AS priority, max({}) AS turn FROM {} \
         GROUP BY 1, 2) AS reached WHERE lanes.queue = reached.queue AND lanes.priority = reached.priority \
         AND lanes.turn < reached.turn",
        text(0),
        number(1),
        number(2),
        dialect.rows(parameter)
    )
}

/// What is due, and the queues that have something to do. The first job of a queue is looked up for each on its own: as a
/// join, PostgreSQL may read the jobs of all of them.
const LOOK: &str = "SELECT due.lease, due.delay, queues.name, queues.priority, queues.last_claim FROM \
                    (SELECT (SELECT min(lease_until) FROM jobs WHERE lease_until IS NOT NULL) AS lease, \
                    (SELECT min(delayed_until) FROM jobs WHERE delayed_until IS NOT NULL) AS delay) AS due \
                    LEFT JOIN queues ON queues.has_waiting = 1 AND queues.paused = 0 \
                    AND (queues.max_running IS NULL OR queues.running < queues.max_running) \
                    AND (SELECT jobs.id FROM jobs WHERE jobs.queue = queues.name AND jobs.state = 'waiting' \
                    AND jobs.delayed_until IS NULL ORDER BY jobs.priority DESC, jobs.turn, jobs.id LIMIT 1) IS NOT NULL \
                    ORDER BY queues.priority DESC, queues.last_claim, queues.name";

/// The jobs of a queue that are next, as many as it may begin: the first entries of the index `jobs_ready` (a test looks that
/// up).
const FIRST: &str = "SELECT id FROM jobs WHERE queue = $1 AND state = 'waiting' AND delayed_until IS NULL \
                     ORDER BY priority DESC, turn, id LIMIT coalesce((SELECT CASE WHEN paused <> 0 THEN 0 \
                     WHEN max_running IS NULL OR max_running - running > $2 THEN $2 \
                     WHEN max_running < running THEN 0 ELSE max_running - running END \
                     FROM queues WHERE name = $1), 0)";

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::jobs::queue::Settings;
    use crate::jobs::queue::expire::{EXPIRED, FIRST_DUE};

    /// Of the statements that look for jobs none reads more than the first entries of an index.
    #[tokio::test]
    async fn claims_look_jobs_up_by_index() {
        let queue = Queue::open("sqlite::memory:", Settings::default()).await.unwrap();
        let statements =
            [(FIRST, "jobs_ready"), (LOOK, "jobs_ready"), (FIRST_DUE, "jobs_lease"), (EXPIRED, "jobs_lease")];
        for (sql, index) in statements {
            let sql = format!("EXPLAIN QUERY PLAN {sql}").replace("$1", "'1'").replace("$2", "1");
            let plan = sqlx::query(&sql).fetch_all(queue.database.reader()).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            let of_tables: Vec<_> =
                plan.iter().filter(|step| step.contains("jobs") || step.contains("queues")).collect();
            assert!(of_tables.iter().any(|step| step.contains(index)), "{sql}: {plan:?}");
            // All of this index are the queues that have jobs waiting.
            let is_bounded =
                |step: &str| step.starts_with("SEARCH") || step.starts_with("SCAN queues USING INDEX queues_waiting");
            assert!(of_tables.iter().all(|step| is_bounded(step)), "{sql}: {plan:?}");
            let sorts = plan.iter().filter(|step| step.contains("TEMP B-TREE")).count();
            assert!(sorts == usize::from(sql.contains(LOOK)), "queues are sorted, jobs are not: {plan:?}");
        }
    }
}
