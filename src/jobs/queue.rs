//! The queue: jobs in a database, from their acceptance until their owner knows.
//!
//! What always holds:
//! - A verb that returned has committed. `submit` takes all of its jobs or none.
//! - A job's state, the counters of its queue and the notification of its end change in one transaction.
//! - Every such transaction keeps its queues from the start, and then has its jobs in the order of their names, so that none
//!   wait in a circle.
//! - A worker holds a job by the name of its claim. When the lease has passed the job waits again; what the old claim then
//!   records, renews or finishes is refused. Claims and renewals do not wait for the disk: where a database crashes and forgets
//!   one, the claim is lost.
//! - Requests that wait for the database together share a transaction, and no fate: what is wrong with one neither fails nor
//!   repeats another.
//! - No statement on the way of a job reads more than a few rows, however many jobs there are.

mod backlog;
mod changes;
mod claim;
mod configure;
mod expire;
mod finish;
mod hold;
mod moves;
mod notifications;
pub(super) mod read;
mod retention;
pub(super) mod rows;
mod submit;
mod together;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::{Any, AnyConnection, Transaction};
use tokio::sync::broadcast;

use super::database::{Database, Dialect, Durability};
use super::model::JobId;
use crate::error::ErrorKind;
pub use backlog::Backlog;
use changes::Changes;
pub use changes::{Change, changed};
pub use notifications::{Delivery, target_of};
pub use read::MAX_PAGE_WITH_OUTCOMES;
pub use submit::Submitted;
use together::Groups;

/// How SQLite and PostgreSQL say that they have no room left.
const DISK_FULL: [&str; 2] = ["disk is full", "No space left on device"];

/// Why the queue could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL of the database is none.
    #[error("the URL of the database: {problem}")]
    Url {
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// The database could not be opened.
    #[error("database {place} could not be opened: {source}")]
    Open {
        /// Which one, without user and password.
        place: String,
        /// What happened.
        source: sqlx::Error,
    },
    /// The database was written by a newer version of this program.
    #[error("the database has version {version}, this program knows {known}: expected a newer program")]
    TooNew {
        /// The database's version.
        version: i64,
        /// The newest that is known.
        known: usize,
    },
    /// The queue takes no more jobs now.
    #[error("queue {queue:?} is full: {waiting} jobs wait, the limit is {limit}")]
    Full {
        /// Its name.
        queue: String,
        /// How many wait.
        waiting: i64,
        /// How many may.
        limit: i64,
    },
    /// The owner has as many jobs waiting in the queue as one owner may.
    #[error("queue {queue:?} takes no more jobs of this owner: {waiting} of them wait, the limit is {limit}")]
    OwnerFull {
        /// The queue's name.
        queue: String,
        /// How many of the owner's jobs wait in it.
        waiting: i64,
        /// How many may.
        limit: i64,
    },
    /// The queue is not there, and there are as many as may come into being by being named.
    #[error("queue {queue:?} does not exist, and no more come into being: the limit is {limit}")]
    TooManyQueues {
        /// Its name.
        queue: String,
        /// How many there may be.
        limit: i64,
    },
    /// The job has no output of that number.
    #[error("job {job} has {outputs} outputs, and none of number {output}")]
    NoSuchOutput {
        /// The job.
        job: JobId,
        /// The number, counted from 0.
        output: usize,
        /// How many it has.
        outputs: usize,
    },
    /// A stored value is none that this program writes.
    #[error("the database has {column} {value:?}: {expected} was expected")]
    Corrupt {
        /// Where it stands.
        column: &'static str,
        /// What stands there.
        value: String,
        /// What should.
        expected: &'static str,
    },
    /// The commit failed: nobody knows whether it was done.
    #[error("the database failed: {0}")]
    Commit(#[source] sqlx::Error),
    /// The commit failed that this and other requests shared.
    #[error("{problem}")]
    Shared {
        /// What happened.
        problem: String,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Url { .. } | Self::NoSuchOutput { .. } => ErrorKind::Invalid,
            Self::Full { .. } | Self::OwnerFull { .. } | Self::TooManyQueues { .. } => ErrorKind::Busy,
            Self::Database(sqlx::Error::PoolTimedOut) => ErrorKind::Busy,
            Self::TooNew { .. } | Self::Corrupt { .. } => ErrorKind::Internal,
            full if DISK_FULL.iter().any(|words| full.to_string().contains(words)) => ErrorKind::Full,
            Self::Open { .. } | Self::Commit(_) | Self::Shared { .. } | Self::Database(_) => ErrorKind::Upstream,
        }
    }

    /// Whether the queue takes no more jobs of this owner now.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::OwnerFull { .. } | Self::TooManyQueues { .. })
    }
}

/// Limits of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a worker, or the sender of a notification, holds what it took without a word.
    pub lease: Duration,
    /// Most jobs that wait in a queue without a limit of its own.
    pub max_waiting: i64,
    /// Most jobs of one owner that wait in one queue.
    pub max_waiting_per_owner: i64,
    /// Most queues that come into being by being named.
    pub max_queues: i64,
    /// How often a job is claimed at most.
    pub max_attempts: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            max_waiting: 100_000,
            max_waiting_per_owner: 50_000,
            max_queues: 1000,
            max_attempts: 5,
        }
    }
}

/// Jobs in a database. Clones share it.
#[derive(Clone, Debug)]
pub struct Queue {
    database: Database,
    settings: Settings,
    changes: Changes,
    groups: Arc<Groups>,
}

impl Queue {
    /// Opens `sqlite:PATH` (file and folder are made), `sqlite::memory:` (for tests) or `postgres://…`.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Open`], [`Error::TooNew`]; none shows a password.
    pub async fn open(database_url: &str, settings: Settings) -> Result<Self, Error> {
        let database = Database::open(database_url).await?;
        let node = JobId::new(SystemTime::now()).to_string();
        let changes = match database.dialect {
            Dialect::Sqlite => Changes::local(node),
            Dialect::Postgres => Changes::shared(node, database_url).await?,
        };
        Ok(Self { database, settings, changes, groups: Arc::default() })
    }

    /// The limits it was opened with.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Where it is kept.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// What happens from now on. A receiver that fell behind has to look for itself.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Closes the connections once their statements are done.
    pub async fn close(&self) {
        self.changes.close().await;
        self.database.close().await;
    }

    fn dialect(&self) -> Dialect {
        self.database.dialect
    }

    /// Begins to write what has to last.
    async fn write(&self) -> Result<Write, Error> {
        self.begin(Durability::Disk, &[]).await
    }

    /// Begins to write what only workers have to know.
    async fn write_lightly(&self) -> Result<Write, Error> {
        self.begin(Durability::Process, &[]).await
    }

    /// Begins to write, with these queues kept until the end, as whoever changes states of their jobs must.
    async fn begin(&self, durability: Durability, queues: &[&str]) -> Result<Write, Error> {
        let tx = self.database.begin_locked(durability, queues).await?;
        Ok(Write { tx, changes: Vec::new(), queue: self.clone() })
    }
}

/// Names the lock of the list of queues. No queue has this name.
const LIST_OF_QUEUES: &str = "\0queues";

/// A transaction, and what is told when it has committed. Dropped, it leaves everything as it was.
struct Write {
    tx: Transaction<'static, Any>,
    changes: Vec<Change>,
    queue: Queue,
}

impl Write {
    fn connection(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    fn dialect(&self) -> Dialect {
        self.queue.dialect()
    }

    fn tell(&mut self, change: Change) {
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    async fn commit(self) -> Result<(), Error> {
        self.tx.commit().await.map_err(Error::Commit)?;
        self.queue.changes.tell(self.changes);
        Ok(())
    }
}
