//! Purges in the job database: they outlive the server, and every node hears of them before the caller is answered.
//!
//! What always holds, with several nodes on one PostgreSQL:
//! - A node that serves says so every second, and only trusts what it keeps until its lease runs out.
//! - A purge is answered when each node that was heard of within the lease has taken note of it, or the lease is over. A node
//!   that was cut off has distrusted what it keeps by then, and trusts it again once it has caught up.
//!
//! Processes that share a SQLite file hear of each other's purges within a second, and are not waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use sqlx::postgres::PgListener;
use sqlx::{Any, AnyConnection, Row, Transaction};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::database::{Database, Dialect, Durability};
use super::model::JobId;
use super::queue::{Error, Queue};
use crate::cache::CacheKey;
use crate::cache::generations::{Generations, Scope};

/// How often a node says that it is there and looks for purges.
const BEAT: Duration = Duration::from_secs(1);

/// How long a node that is not heard of is waited for.
const LEASE: Duration = Duration::from_secs(5);

/// How much sooner than others a node believes its lease to be over.
const MARGIN: Duration = Duration::from_millis(500);

/// How often whoever purges looks whether all have heard.
const LOOK: Duration = Duration::from_millis(20);

/// Purges that are kept apart. One more makes them all one purge of everything.
const MOST_PURGES: i64 = 100_000;

/// How long a node that is not heard of is remembered.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

const CHANNEL: &str = "mogr_purges";

/// Purges of this node and, on PostgreSQL, of all that share its database. Clones share it.
#[derive(Clone, Debug)]
pub struct Purges {
    database: Database,
    url: Arc<str>,
    node: Arc<str>,
    generations: Generations,
    /// The number up to which this node knows all purges; held while it looks for more.
    applied: Arc<Mutex<i64>>,
    is_cut_off: Arc<AtomicBool>,
}

impl Purges {
    /// Reads the purges that the queue's database knows into `generations`; from now on nothing else may tell it whom to
    /// trust.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn open(queue: &Queue, database_url: &str, generations: Generations) -> Result<Self, Error> {
        let database = match queue.database().dialect {
            Dialect::Sqlite => queue.database().clone(),
            // Connections of its own: a queue with much to do must not look like a database that is gone.
            Dialect::Postgres => Database::open(database_url).await?,
        };
        let purges = Self {
            database,
            url: database_url.into(),
            node: JobId::new(SystemTime::now()).to_string().into(),
            generations,
            applied: Arc::default(),
            is_cut_off: Arc::default(),
        };
        if purges.has_nodes() {
            purges.generations.distrust();
        }
        purges.beat().await?;
        Ok(purges)
    }

    /// Purges, and returns the purge's number when what was kept is used by no node any more.
    ///
    /// # Errors
    /// A database that fails; then it may have been purged all the same.
    pub async fn purge(&self, scopes: &[Scope], now: SystemTime) -> Result<i64, Error> {
        let mut tx = self.database.begin(Durability::Disk).await?;
        let number = self.write(&mut tx, scopes, now).await?;
        tx.commit().await?;
        let committed = Instant::now();
        self.beat().await?;
        while self.has_nodes() && committed.elapsed() < LEASE && self.is_awaited(number).await? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(number)
    }

    /// Says that this node is there, and hears of purges, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut listener = None;
        loop {
            if listener.is_none() && self.has_nodes() {
                listener = self.listen().await;
            }
            tokio::select! {
                _ = ticks.tick() => {}
                () = heard(&mut listener) => {}
                () = stop.cancelled() => break,
            }
            let beat = self.beat().await;
            let was_cut_off = self.is_cut_off.swap(beat.is_err(), Ordering::Relaxed);
            match beat {
                Err(error) if !was_cut_off => {
                    tracing::warn!(%error, "purges are not heard of; what is kept is soon not trusted any more");
                }
                Ok(()) if was_cut_off => tracing::info!("purges are heard of again"),
                _ => {}
            }
        }
        // Where it fails, others wait until the lease is over.
        let _ = tokio::time::timeout(BEAT, self.leave()).await;
    }

    /// Says that this node is not there any more: it takes no more requests.
    async fn leave(&self) -> Result<(), Error> {
        if self.has_nodes() {
            let mut tx = self.database.begin(Durability::Process).await?;
            sqlx::query("DELETE FROM purge_nodes WHERE node = $1").bind(&*self.node).execute(&mut *tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Whether others have to hear of purges too.
    fn has_nodes(&self) -> bool {
        self.database.dialect == Dialect::Postgres
    }

    /// Says that this node is there, takes note of all purges that it does not know, and says that too.
    async fn beat(&self) -> Result<(), Error> {
        let mut applied = self.applied.lock().await;
        let begun = Instant::now();
        // First: a purge that does not see this node as one that is there is one that is read here.
        if self.has_nodes() {
            self.tell(*applied).await?;
        }
        let before = *applied;
        let mut newest = before;
        let sql = "SELECT number, kind, bucket, name, pipeline FROM purges WHERE number > $1 ORDER BY number";
        for row in sqlx::query(sql).bind(before).fetch_all(self.database.reader()).await? {
            let number: i64 = row.try_get("number")?;
            self.generations.apply(u64::try_from(number).unwrap_or(0), read_scope(&row)?);
            newest = number;
        }
        *applied = newest;
        if self.has_nodes() {
            self.generations.trust(begun, LEASE.saturating_sub(MARGIN));
            if *applied > before {
                self.tell(*applied).await?;
            }
        }
        Ok(())
    }

    async fn tell(&self, applied: i64) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO purge_nodes (node, seen_at, applied) VALUES ($1, {NOW}, $2) \
             ON CONFLICT (node) DO UPDATE SET seen_at = excluded.seen_at, applied = excluded.applied"
        );
        let mut tx = self.database.begin(Durability::Process).await?;
        sqlx::query(&sql).bind(&*self.node).bind(applied).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Whether a node that is there has not taken note of purge `number`.
    async fn is_awaited(&self, number: i64) -> Result<bool, Error> {
        let sql = format!("SELECT count(*) FROM purge_nodes WHERE applied < $1 AND seen_at > {NOW} - $2");
        let lease = millis(LEASE);
        let nodes: i64 = sqlx::query_scalar(&sql).bind(number).bind(lease).fetch_one(self.database.reader()).await?;
        Ok(nodes > 0)
    }

    async fn write(&self, tx: &mut Transaction<'static, Any>, scopes: &[Scope], now: SystemTime) -> Result<i64, Error> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let sql = "UPDATE purge_counter SET number = CASE WHEN number < $1 THEN $1 ELSE number + 1 END WHERE id = 1";
        sqlx::query(sql).bind(millis(now)).execute(&mut **tx).await?;
        let number: i64 =
            sqlx::query_scalar("SELECT number FROM purge_counter WHERE id = 1").fetch_one(&mut **tx).await?;
        for scope in scopes {
            insert(tx, number, scope).await?;
        }
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM purges").fetch_one(&mut **tx).await?;
        if kept > MOST_PURGES {
            sqlx::query("DELETE FROM purges").execute(&mut **tx).await?;
            insert(tx, number, &Scope::All).await?;
        }
        if self.has_nodes() {
            let sql = format!("DELETE FROM purge_nodes WHERE seen_at < {NOW} - $1");
            sqlx::query(&sql).bind(millis(FORGOTTEN)).execute(&mut **tx).await?;
            sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&mut **tx).await?;
        }
        Ok(number)
    }

    /// Hears of purges at once; without it, with the next beat.
    async fn listen(&self) -> Option<PgListener> {
        let listen = async {
            let mut listener = PgListener::connect(&self.url).await?;
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        // Not longer than to the next beat.
        tokio::time::timeout(BEAT, listen).await.ok()?.ok()
    }
}

/// The clock that all nodes of one database share, in milliseconds since 1970.
const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";

/// Waits until another node has purged; where that cannot be heard, for ever.
async fn heard(listener: &mut Option<PgListener>) {
    let Some(listening) = listener else { return std::future::pending().await };
    if !matches!(listening.try_recv().await, Ok(Some(_))) {
        // The connection is gone, and with it maybe news.
        *listener = None;
    }
}

async fn insert(connection: &mut AnyConnection, number: i64, scope: &Scope) -> Result<(), Error> {
    let [kind, bucket, name, pipeline] = columns(scope);
    let id = CacheKey::of(&[kind, bucket, name, pipeline]).short();
    let sql = "INSERT INTO purges (id, number, kind, bucket, name, pipeline) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (id) DO UPDATE SET number = excluded.number";
    let query = sqlx::query(sql).bind(id).bind(number).bind(kind).bind(bucket).bind(name).bind(pipeline);
    query.execute(connection).await?;
    Ok(())
}

/// A scope as it is stored: kind, bucket, name, pipeline.
fn columns(scope: &Scope) -> [&str; 4] {
    match scope {
        Scope::All => ["all", "", "", ""],
        Scope::Source { bucket, key } => ["source", bucket, key, ""],
        Scope::Key { bucket, key } => ["key", bucket, key, ""],
        Scope::Prefix { bucket, prefix } => ["prefix", bucket, prefix, ""],
        Scope::Pipeline { bucket, pipeline } => ["pipeline", bucket, "", pipeline],
        Scope::Result { bucket, key, pipeline } => ["result", bucket, key, pipeline],
        Scope::Tag { bucket, tag } => ["tag", bucket, tag, ""],
    }
}

fn read_scope(row: &sqlx::any::AnyRow) -> Result<Scope, Error> {
    let text = |column| row.try_get::<String, _>(column);
    let (kind, bucket, name, pipeline) = (text("kind")?, text("bucket")?, text("name")?, text("pipeline")?);
    match kind.as_str() {
        "all" => Ok(Scope::All),
        "source" => Ok(Scope::Source { bucket, key: name }),
        "key" => Ok(Scope::Key { bucket, key: name }),
        "prefix" => Ok(Scope::Prefix { bucket, prefix: name }),
        "pipeline" => Ok(Scope::Pipeline { bucket, pipeline }),
        "result" => Ok(Scope::Result { bucket, key: name, pipeline }),
        "tag" => Ok(Scope::Tag { bucket, tag: name }),
        _ => Err(Error::Corrupt { column: "purges.kind", value: kind, expected: "the name of a scope" }),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
