//! Accepting jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use sqlx::Row;

use super::moves::{Counts, update_owners, update_queues};
use super::together::{Group, Groups, Request};
use super::{Change, Error, LIST_OF_QUEUES, Queue, Settings, Write, rows};
use crate::jobs::database::{Dialect, Durability, number, text};
use crate::jobs::model::{JobId, Submission, millis};
use crate::jobs::records::assets::{Registered, Registration};

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
    /// [`Error::Full`] where the queue would have more jobs waiting than it may, [`Error::OwnerFull`] where their owner would
    /// have, [`Error::TooManyQueues`] where the queue is new and one too many.
    pub async fn submit(&self, submission: Submission, now: SystemTime) -> Result<Submitted, Error> {
        self.ask(SubmitRequest { submission, registration: None, now }).await
    }

    /// As [`Queue::submit`], with the pictures that its jobs read, a job each, registered in the same transaction.
    ///
    /// # Errors
    /// As [`Queue::submit`].
    pub async fn register(
        &self,
        submission: Submission,
        registration: Registration,
        now: SystemTime,
    ) -> Result<Submitted, Error> {
        self.ask(SubmitRequest { submission, registration: Some(registration), now }).await
    }

    /// Lets queues come into being, as far as there may be so many. Each has an owner from the start, or it might be forgotten
    /// before it has a job.
    async fn create(&self, requests: &[SubmitRequest]) -> Result<(), Error> {
        let mut write = self.begin(Durability::Disk, &[LIST_OF_QUEUES]).await?;
        for one in requests {
            let sql = "INSERT INTO queues (name) SELECT $1 WHERE (SELECT count(*) FROM queues) < $2 \
                       ON CONFLICT (name) DO NOTHING";
            let query = sqlx::query(sql).bind(one.submission.queue.clone()).bind(self.settings.max_queues);
            query.execute(write.connection()).await?;
            let sql = "INSERT INTO owners (queue, owner, waiting, used) SELECT name, $2, 0, $3 FROM queues \
                       WHERE name = $1 ON CONFLICT (queue, owner) DO UPDATE SET used = excluded.used";
            let query = sqlx::query(sql).bind(one.submission.queue.clone()).bind(one.submission.owner.clone());
            query.bind(millis(one.now)).execute(write.connection()).await?;
        }
        write.commit().await
    }
}

/// Jobs that are submitted.
pub(super) struct SubmitRequest {
    submission: Submission,
    registration: Option<Registration>,
    now: SystemTime,
}

impl Request for SubmitRequest {
    type Answer = Submitted;

    fn group(groups: &Groups) -> &Group<Self> {
        &groups.submissions
    }

    fn weight(&self) -> usize {
        self.submission.jobs.len()
    }

    async fn perform(queue: &Queue, requests: &[Self]) -> Result<Vec<Result<Submitted, Error>>, Error> {
        let mut names: Vec<&str> = requests.iter().map(|one| &*one.submission.queue).collect();
        names.sort_unstable();
        names.dedup();
        let mut write = queue.begin(Durability::Disk, &names).await?;
        let mut lanes = lanes(&mut write, requests).await?;
        if lanes.values().any(|lane| lane.room.is_none()) {
            // In a transaction of its own, which waits for no other queue.
            drop(write);
            queue.create(requests).await?;
            write = queue.begin(Durability::Disk, &names).await?;
            lanes = self::lanes(&mut write, requests).await?;
        }
        let mut acceptance = Acceptance { lanes, ..Acceptance::default() };
        let mut answers = Vec::with_capacity(requests.len());
        for one in requests {
            answers.push(match acceptance.reserve(&queue.settings, &one.submission) {
                Ok(()) => Ok(acceptance.accept(&mut write, one).await?),
                Err(refused) => Err(refused),
            });
        }
        if answers.iter().any(Result::is_ok) {
            acceptance.write(&mut write).await?;
            write.tell(Change::Work);
            write.commit().await?;
        }
        Ok(answers)
    }
}

/// One owner's jobs of one priority in a queue.
type LaneKey<'a> = (&'a str, i32, &'a str);

/// What is known of a lane. The last turn of the owner is one that the queue has come to, or a later one.
#[derive(Clone, Copy)]
struct Lane {
    is_new: bool,
    is_used: bool,
    last_turn: i64,
    owner_waiting: i64,
    /// Of its queue, if that is there.
    room: Option<Room>,
}

/// How many jobs wait in a queue, and how many may where it has a limit of its own.
#[derive(Clone, Copy)]
struct Room {
    waiting: i64,
    limit: Option<i64>,
}

impl Lane {
    /// Gives `count` turns away; the one before the first of them.
    fn take(&mut self, count: i64) -> i64 {
        let before = self.last_turn;
        self.last_turn += count;
        self.is_used = true;
        before
    }
}

/// The lanes that jobs are submitted to. Their queues are locked.
async fn lanes<'a>(write: &mut Write, requests: &'a [SubmitRequest]) -> Result<BTreeMap<LaneKey<'a>, Lane>, Error> {
    let keys: BTreeSet<LaneKey<'a>> = requests.iter().map(|one| key(&one.submission)).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let given: Vec<_> = keys.iter().enumerate().map(|(index, key)| (key.0, key.1, key.2, index)).collect();
    let sql = format!(
        "SELECT {index} AS at, queues.waiting AS waiting, queues.max_waiting AS most, lanes.turn AS reached, \
         turns.turn AS last, owners.waiting AS of_owner FROM {given} \
         LEFT JOIN queues ON queues.name = {queue} \
         LEFT JOIN lanes ON lanes.queue = {queue} AND lanes.priority = {priority} \
         LEFT JOIN turns ON turns.queue = {queue} AND turns.priority = {priority} AND turns.owner = {owner} \
         LEFT JOIN owners ON owners.queue = {queue} AND owners.owner = {owner}",
        given = write.dialect().rows(1),
        queue = text(0),
        priority = number(1),
        owner = text(2),
        index = number(3)
    );
    let mut lanes = BTreeMap::new();
    for row in sqlx::query(&sql).bind(rows::to_json(&given)).fetch_all(write.connection()).await? {
        let at = usize::try_from(row.try_get::<i64, _>("at")?).unwrap_or(usize::MAX);
        let Some(key) = keys.get(at) else { continue };
        let optional = |column| row.try_get::<Option<i64>, _>(column);
        let (reached, last) = (optional("reached")?, optional("last")?);
        let last_turn = reached.unwrap_or(0).max(last.unwrap_or(0));
        let owner_waiting = optional("of_owner")?.unwrap_or(0);
        let limit = optional("most")?;
        let room = optional("waiting")?.map(|waiting| Room { waiting, limit });
        lanes.insert(*key, Lane { is_new: reached.is_none(), is_used: false, last_turn, owner_waiting, room });
    }
    Ok(lanes)
}

fn key(submission: &Submission) -> LaneKey<'_> {
    (&submission.queue, submission.priority, &submission.owner)
}

/// A job's row: name, API, owner, queue, batch, priority, turn, specification, time, source.
type JobRow<'a> = (String, &'static str, &'a str, &'a str, Option<i64>, i32, i64, String, i64, String);

/// What is accepted in one transaction.
#[derive(Default)]
struct Acceptance<'a> {
    lanes: BTreeMap<LaneKey<'a>, Lane>,
    /// Jobs that came with this transaction, by queue, and by queue and owner.
    new: HashMap<(&'a str, Option<&'a str>), i64>,
    jobs: Vec<JobRow<'a>>,
    registered: Registered,
    counts: Counts,
}

impl<'a> Acceptance<'a> {
    /// Counts the jobs in, if they are not too many.
    fn reserve(&mut self, settings: &Settings, submission: &'a Submission) -> Result<(), Error> {
        let (queue, owner) = (&*submission.queue, &*submission.owner);
        let count = submission.jobs.len() as i64;
        let lane = self.lanes.get(&key(submission)).and_then(|lane| Some((lane, lane.room?)));
        let too_many = || Error::TooManyQueues { queue: queue.to_owned(), limit: settings.max_queues };
        let (lane, room) = lane.ok_or_else(too_many)?;
        let new = |of| self.new.get(&(queue, of)).copied().unwrap_or_default();
        let (waiting, limit) = (room.waiting + new(None), room.limit.unwrap_or(settings.max_waiting));
        if waiting.saturating_add(count) > limit {
            return Err(Error::Full { queue: queue.to_owned(), waiting, limit });
        }
        let (waiting, limit) = (lane.owner_waiting + new(Some(owner)), settings.max_waiting_per_owner);
        if waiting.saturating_add(count) > limit {
            return Err(Error::OwnerFull { queue: queue.to_owned(), waiting, limit });
        }
        for of in [None, Some(owner)] {
            *self.new.entry((queue, of)).or_default() += count;
        }
        Ok(())
    }

    async fn accept(&mut self, write: &mut Write, one: &'a SubmitRequest) -> Result<Submitted, Error> {
        let SubmitRequest { submission, registration, now } = one;
        let count = submission.jobs.len() as i64;
        let batch = if submission.is_batch { Some(add_batch(write, &submission.owner, *now).await?) } else { None };
        let mut turn = self.lanes.get_mut(&key(submission)).map_or(0, |lane| lane.take(count));
        let (queue, priority, owner) = key(submission);
        let mut jobs = Vec::with_capacity(submission.jobs.len());
        for spec in &submission.jobs {
            let id = JobId::new(*now);
            turn += 1;
            let (api, source, spec) = (submission.api.name(), spec.source.digest(), rows::to_json(spec));
            self.jobs.push((id.to_string(), api, owner, queue, batch, priority, turn, spec, millis(*now), source));
            jobs.push(id);
        }
        self.counts.add(queue, owner, count, 0, *now);
        if let Some(registration) = registration {
            self.registered.add(registration, &jobs, batch, *now);
        }
        Ok(Submitted { jobs, batch })
    }

    async fn write(&self, write: &mut Write) -> Result<(), Error> {
        let dialect = write.dialect();
        let used: Vec<_> = self.lanes.iter().filter(|(_, lane)| lane.is_used).collect();
        let new = used.iter().filter(|(_, lane)| lane.is_new);
        let lanes: BTreeSet<_> = new.map(|((queue, priority, _), _)| (queue, priority)).collect();
        let turns: Vec<_> = used.iter().map(|(key, lane)| (key.0, key.1, key.2, lane.last_turn)).collect();
        let mut statements = vec![
            update_queues(dialect, 2),
            update_owners(dialect, 3),
            update_turns(dialect, 4),
            insert_jobs(dialect, 1),
        ];
        if !lanes.is_empty() {
            statements.push(insert_lanes(dialect, 5));
        }
        let sql = dialect.at_once(&statements);
        sqlx::query(&sql)
            .bind(rows::to_json(&self.jobs))
            .bind(self.counts.queues())
            .bind(self.counts.owners())
            .bind(rows::to_json(&turns))
            .bind(rows::to_json(&lanes))
            .execute(write.connection())
            .await?;
        self.registered.write(dialect, write.connection()).await
    }
}

async fn add_batch(write: &mut Write, owner: &str, now: SystemTime) -> Result<i64, Error> {
    let sql = "INSERT INTO batches (owner, created) VALUES ($1, $2) RETURNING id";
    Ok(sqlx::query_scalar(sql).bind(owner.to_owned()).bind(millis(now)).fetch_one(write.connection()).await?)
}

fn insert_jobs(dialect: Dialect, parameter: usize) -> String {
    format!(
        "INSERT INTO jobs (id, api, owner, queue, batch, priority, turn, state, spec, created, source) \
         SELECT {}, {}, {}, {}, {}, {}, {}, 'waiting', {}, {}, {} FROM {}",
        text(0),
        text(1),
        text(2),
        text(3),
        number(4),
        number(5),
        number(6),
        text(7),
        number(8),
        text(9),
        dialect.rows(parameter)
    )
}

fn update_turns(dialect: Dialect, parameter: usize) -> String {
    format!(
        "INSERT INTO turns (queue, priority, owner, turn) SELECT {}, {}, {}, {} FROM {} WHERE true \
         ON CONFLICT (queue, priority, owner) DO UPDATE SET turn = excluded.turn",
        text(0),
        number(1),
        text(2),
        number(3),
        dialect.rows(parameter)
    )
}

fn insert_lanes(dialect: Dialect, parameter: usize) -> String {
    format!(
        "INSERT INTO lanes (queue, priority, turn) SELECT {}, {}, 0 FROM {} WHERE true \
         ON CONFLICT (queue, priority) DO NOTHING",
        text(0),
        number(1),
        dialect.rows(parameter)
    )
}
