//! Changes of jobs' states, with all that goes with them: counters, outcomes, notifications. They are gathered while a verb
//! decides, and written at once.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::finish::Standing;
use super::notifications::target_of;
use super::{Change, Error, Write, rows};
use crate::jobs::database::{Dialect, number, text};
use crate::jobs::model::{Api, Failure, Job, Notify, Outcome, State, millis};
use crate::jobs::records::assets;

/// What a job becomes: name, state, end, delay, attempt.
type JobRow = (String, &'static str, Option<i64>, Option<i64>, i32);

/// What is written of some jobs whose queues are locked.
#[derive(Default)]
pub(super) struct Moves {
    jobs: Vec<JobRow>,
    counts: Counts,
    /// Job, owner, URL, target, time.
    notifications: Vec<(String, String, String, String, i64)>,
    /// Job, position, outcome.
    missing: Vec<(String, usize, String)>,
    /// Batches of registered pictures, and when one of their jobs ended.
    batches: BTreeMap<i64, i64>,
    changes: Vec<Change>,
}

impl Moves {
    /// Ends a job that waits or runs, and makes the notification of its owner. Outputs that have not ended fail with the
    /// message `missing`, where there is one.
    pub(super) fn end(&mut self, job: &Job, state: State, missing: Option<&str>, now: SystemTime) {
        self.jobs.push((job.id.to_string(), state.name(), Some(millis(now)), None, job.attempt));
        let is_waiting = i64::from(job.state == State::Waiting);
        self.counts.add(&job.queue, &job.owner, -is_waiting, is_waiting - 1, now);
        if let Some(message) = missing {
            let failure = Failure { message: message.to_owned(), ..Failure::default() };
            let failed = rows::to_json(&Outcome::Failed(failure));
            self.missing.extend((0..job.outcomes.len()).map(|output| (job.id.to_string(), output, failed.clone())));
        }
        self.changes.push(Change::Job(job.id.clone()));
        if let (Api::Dlcs, Some(batch)) = (job.api, job.batch) {
            self.batches.insert(batch, millis(now));
        }
        let is_told = |notify: &&Notify| !notify.only_failures || state == State::Failed;
        let Some(notify) = job.spec.notify.as_ref().filter(is_told) else { return };
        let (url, target) = (notify.url.clone(), target_of(&notify.url));
        self.notifications.push((job.id.to_string(), job.owner.clone(), url, target, millis(now)));
        self.changes.push(Change::Notification);
    }

    /// Puts a running job back, as if it had been taken `attempt` times.
    pub(super) fn wait_again(&mut self, job: &Job, attempt: i32, delayed_until: Option<SystemTime>, now: SystemTime) {
        self.jobs.push((job.id.to_string(), State::Waiting.name(), None, delayed_until.map(millis), attempt));
        self.counts.add(&job.queue, &job.owner, 1, -1, now);
        self.changes.push(Change::Job(job.id.clone()));
        self.changes.push(Change::Work);
    }

    /// Tells the workers, where a job has left its place to another.
    pub(super) fn make_room(&mut self, standing: Standing) {
        if standing.is_waited_for {
            self.changes.push(Change::Work);
        }
    }

    /// Writes all of it. The queues are locked.
    pub(super) async fn write(self, write: &mut Write) -> Result<(), Error> {
        if self.jobs.is_empty() {
            return Ok(());
        }
        let dialect = write.dialect();
        let mut statements = vec![update_jobs(dialect, 1), update_queues(dialect, 2), update_owners(dialect, 3)];
        if !self.notifications.is_empty() {
            statements.push(insert_notifications(dialect, 4));
        }
        if !self.missing.is_empty() {
            statements.push(insert_missing(dialect, 5));
        }
        let sql = dialect.at_once(&statements);
        sqlx::query(&sql)
            .bind(rows::to_json(&self.jobs))
            .bind(self.counts.queues())
            .bind(self.counts.owners())
            .bind(rows::to_json(&self.notifications))
            .bind(rows::to_json(&self.missing))
            .execute(write.connection())
            .await?;
        assets::finish_batches(&self.batches, write.connection()).await?;
        self.changes.into_iter().for_each(|change| write.tell(change));
        Ok(())
    }
}

/// By how much the counters of queues and owners change.
#[derive(Default)]
pub(super) struct Counts {
    /// Waiting, running, and the number of the last claim where there was one.
    queues: BTreeMap<String, (i64, i64, Option<i64>)>,
    /// Waiting, and when.
    owners: BTreeMap<(String, String), (i64, i64)>,
}

impl Counts {
    /// So many more jobs of `owner` wait and run in `queue`.
    pub(super) fn add(&mut self, queue: &str, owner: &str, waiting: i64, running: i64, now: SystemTime) {
        let of_queue = self.queues.entry(queue.to_owned()).or_default();
        *of_queue = (of_queue.0 + waiting, of_queue.1 + running, of_queue.2);
        let of_owner = self.owners.entry((queue.to_owned(), owner.to_owned())).or_default();
        *of_owner = (of_owner.0 + waiting, of_owner.1.max(millis(now)));
    }

    /// Jobs of `queue` were claimed.
    pub(super) fn claimed(&mut self, queue: &str, number: i64) {
        self.queues.entry(queue.to_owned()).or_default().2 = Some(number);
    }

    /// The rows of [`update_queues`].
    pub(super) fn queues(&self) -> String {
        let rows: Vec<_> = self.queues.iter().map(|(name, by)| (name, by.0, by.1, by.2)).collect();
        rows::to_json(&rows)
    }

    /// The rows of [`update_owners`].
    pub(super) fn owners(&self) -> String {
        let rows: Vec<_> = self.owners.iter().map(|((queue, owner), by)| (queue, owner, by.0, by.1)).collect();
        rows::to_json(&rows)
    }
}

fn update_jobs(dialect: Dialect, parameter: usize) -> String {
    format!(
        "UPDATE jobs SET state = {}, finished = {}, delayed_until = {}, attempt = {}, worker = NULL, lease_until = NULL, \
         progress = CASE WHEN {} IS NULL THEN 0 ELSE progress END FROM {} WHERE jobs.id = {}",
        text(1),
        number(2),
        number(3),
        number(4),
        number(2),
        dialect.rows(parameter),
        text(0)
    )
}

/// The counters of queues. `has_waiting` says what `waiting` says, for an index that does not change with every job.
pub(super) fn update_queues(dialect: Dialect, parameter: usize) -> String {
    format!(
        "UPDATE queues SET waiting = waiting + {waiting}, running = running + {}, \
         has_waiting = CASE WHEN waiting + {waiting} > 0 THEN 1 ELSE 0 END, last_claim = coalesce({}, last_claim) \
         FROM {} WHERE queues.name = {}",
        number(2),
        number(3),
        dialect.rows(parameter),
        text(0),
        waiting = number(1)
    )
}

/// How many jobs of each owner wait in a queue.
pub(super) fn update_owners(dialect: Dialect, parameter: usize) -> String {
    format!(
        "INSERT INTO owners (queue, owner, waiting, used) SELECT {}, {}, {}, {} FROM {} WHERE true \
         ON CONFLICT (queue, owner) DO UPDATE SET waiting = owners.waiting + excluded.waiting, used = excluded.used",
        text(0),
        text(1),
        number(2),
        number(3),
        dialect.rows(parameter)
    )
}

fn insert_notifications(dialect: Dialect, parameter: usize) -> String {
    format!(
        "INSERT INTO notifications (job, owner, url, target, state, due, created) \
         SELECT {}, {}, {}, {}, 'pending', {time}, {time} FROM {}",
        text(0),
        text(1),
        text(2),
        text(3),
        dialect.rows(parameter),
        time = number(4)
    )
}

fn insert_missing(dialect: Dialect, parameter: usize) -> String {
    format!(
        "INSERT INTO outputs (job, position, failed, outcome) SELECT {}, {}, 1, {} FROM {} WHERE true \
         ON CONFLICT (job, position) DO NOTHING",
        text(0),
        number(1),
        text(2),
        dialect.rows(parameter)
    )
}
