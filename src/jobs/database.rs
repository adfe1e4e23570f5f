//! The database under the queue: SQLite or PostgreSQL behind one pool type, and the few words in which they differ.
//!
//! Statements are the same for both. SQLite has one connection that writes, so that writers queue here and none is turned
//! away; readers see the last commit. In memory (for tests) one connection does both.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyArguments, AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor, Transaction};

use super::queue::Error;

/// The steps that lead from an empty database to the present one. Steps that were released are never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_jobs.sql"),
    include_str!("../../migrations/0002_limits.sql"),
    include_str!("../../migrations/0003_purges.sql"),
    include_str!("../../migrations/0004_tencent.sql"),
    include_str!("../../migrations/0005_assets.sql"),
    include_str!("../../migrations/0006_projects.sql"),
    include_str!("../../migrations/0007_styles.sql"),
    include_str!("../../migrations/0008_project_fetches.sql"),
    include_str!("../../migrations/0009_job_sources.sql"),
];

/// Names the lock under which nodes that start at once migrate one after another.
const MIGRATION_LOCK: i64 = 0x6d6f_6772;

/// Tells the locks of names from others of PostgreSQL.
const LOCKS: i32 = 0x6d6f_6772;

const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 16;

/// How long a caller waits for a connection, and a statement of SQLite for the lock of another process.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// Begins a transaction that writes, and that has `locks` from then on, in one round trip. SQLite's has the lock of all from
    /// the start: one that came to write only later could not wait for it. The databases are told each time whether the commit
    /// waits for the disk.
    fn begin(self, durability: Durability, locks: &[i32]) -> Cow<'static, str> {
        let locks = locks.iter().map(|lock| format!("; SELECT pg_advisory_xact_lock({LOCKS}, {lock})"));
        match (self, durability) {
            (Self::Sqlite, Durability::Disk) => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE".into(),
            (Self::Sqlite, Durability::Process) => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE".into(),
            (Self::Postgres, Durability::Disk) => format!("BEGIN{}", locks.collect::<String>()).into(),
            (Self::Postgres, Durability::Process) => {
                format!("BEGIN; SET LOCAL synchronous_commit = off{}", locks.collect::<String>()).into()
            }
        }
    }

    /// `sql` with the rows that it selects locked until the transaction ends. In SQLite there is only one writer anyway.
    pub(super) fn locking(self, sql: &str) -> String {
        self.suffixed(sql, " FOR UPDATE")
    }

    /// What a parameter that is a JSON array of arrays holds, as a table `given` of one column `value`: [`text`] and
    /// [`number`] are the entries of a row. So a statement has one text, however many rows it writes.
    pub(super) fn rows(self, parameter: usize) -> String {
        match self {
            Self::Sqlite => format!("(SELECT value FROM json_each(${parameter})) AS given"),
            Self::Postgres => format!("json_array_elements(CAST(${parameter} AS JSON)) AS given(value)"),
        }
    }

    /// Statements that write different tables and need nothing of one another, as one.
    pub(super) fn at_once(self, statements: &[String]) -> String {
        match (self, statements.split_last()) {
            (Self::Postgres, Some((last, others))) if !others.is_empty() => {
                let others = others.iter().enumerate().map(|(number, sql)| format!("done{number} AS ({sql})"));
                format!("WITH {} {last}", others.collect::<Vec<_>>().join(", "))
            }
            _ => statements.join("; "),
        }
    }

    /// `sql` with the rows that it selects locked, those passed over that others have locked.
    pub(super) fn skipping_locked(self, sql: &str) -> String {
        self.suffixed(sql, " FOR UPDATE SKIP LOCKED")
    }

    fn suffixed(self, sql: &str, suffix: &str) -> String {
        match self {
            Self::Sqlite => sql.to_owned(),
            Self::Postgres => format!("{sql}{suffix}"),
        }
    }

    /// A column that numbers its rows.
    const fn serial(self) -> &'static str {
        match self {
            Self::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
            Self::Postgres => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        }
    }
}

/// The entry of a row of [`Dialect::rows`], counted from 0, as a text.
pub(super) fn text(index: usize) -> String {
    format!("(given.value ->> {index})")
}

/// The entry of a row of [`Dialect::rows`], counted from 0, as a whole number.
pub(super) fn number(index: usize) -> String {
    format!("CAST(given.value ->> {index} AS BIGINT)")
}

/// What a commit outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// A loss of power.
    Disk,
    /// The end of this process, and not more; on the disk it is with the next commit that waits. For what matters to workers
    /// alone, and to them only while it holds: a claim that a database forgot when it crashed is a claim that is lost.
    Process,
}

/// Where connections come from.
#[derive(Clone, Debug)]
pub(super) struct Database {
    writer: AnyPool,
    reader: AnyPool,
    pub(super) dialect: Dialect,
}

impl Database {
    /// Opens the database of that URL, makes it where it is a file, and brings its tables up to date.
    pub(super) async fn open(url: &str) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let database = match url.split_once(':') {
            Some(("sqlite", rest)) => open_sqlite(rest).await?,
            Some(("postgres" | "postgresql", _)) => open_postgres(url).await?,
            scheme => {
                let scheme = scheme.map_or("", |(scheme, _)| scheme);
                return Err(Error::Url { problem: format!("{scheme:?} is no kind of database; {EXPECTED}") });
            }
        };
        database.migrate().await?;
        Ok(database)
    }

    /// A transaction that writes.
    pub(super) async fn begin(&self, durability: Durability) -> Result<Transaction<'static, Any>, sqlx::Error> {
        self.begin_locked(durability, &[]).await
    }

    /// A transaction that writes, and that no other with one of these `names` goes on beside.
    pub(super) async fn begin_locked(
        &self,
        durability: Durability,
        names: &[&str],
    ) -> Result<Transaction<'static, Any>, sqlx::Error> {
        // In one order, so that none wait in a circle. Names that come to one number share a lock.
        let mut locks: Vec<i32> = names.iter().map(|name| crc32fast::hash(name.as_bytes()).cast_signed()).collect();
        locks.sort_unstable();
        locks.dedup();
        let (this, begin) = (self.clone(), self.dialect.begin(durability, &locks));
        // A task of its own: a caller that goes away in the midst would leave a connection with a transaction that nobody ends.
        let begun = tokio::spawn(async move { this.begin_with(begin).await });
        begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    async fn begin_with(&self, begin: Cow<'static, str>) -> Result<Transaction<'static, Any>, sqlx::Error> {
        for _ in 0..POSTGRES_CONNECTIONS {
            match self.writer.begin_with(begin.clone()).await {
                Err(error) if self.is_lost(&error) => {}
                begun => return begun,
            }
        }
        self.writer.begin_with(begin).await
    }

    /// The rows of one statement that only reads.
    pub(super) async fn read(&self, sql: &str) -> Result<Vec<AnyRow>, sqlx::Error> {
        for _ in 0..POSTGRES_CONNECTIONS {
            match sqlx::query(sql).fetch_all(&self.reader).await {
                Err(error) if self.is_lost(&error) => {}
                found => return found,
            }
        }
        sqlx::query(sql).fetch_all(&self.reader).await
    }

    /// Whether the server has ended a connection that the pool took for a good one: what was begun by it was not done.
    fn is_lost(&self, error: &sqlx::Error) -> bool {
        let is_code = |code: &str| code.starts_with("57P0") || code.starts_with("08");
        let is_lost = match error {
            sqlx::Error::Io(_) => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| is_code(&code)),
            _ => false,
        };
        is_lost && self.dialect == Dialect::Postgres
    }

    /// The rows of one statement that writes, and is a transaction by itself.
    pub(super) async fn write_alone<'q>(
        &self,
        query: Query<'q, Any, AnyArguments<'q>>,
    ) -> Result<Vec<AnyRow>, sqlx::Error> {
        if self.dialect == Dialect::Postgres {
            return query.fetch_all(&self.writer).await;
        }
        let mut tx = self.begin(Durability::Disk).await?;
        let found = query.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// For single statements that only read. Never while this task holds a transaction.
    pub(super) fn reader(&self) -> &AnyPool {
        &self.reader
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    async fn migrate(&self) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Disk).await?;
        if self.dialect == Dialect::Postgres {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *tx).await?;
        }
        tx.execute("CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY)").await?;
        let version: i64 =
            sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM migrations").fetch_one(&mut *tx).await?;
        let done = usize::try_from(version).unwrap_or(0);
        if done > MIGRATIONS.len() {
            return Err(Error::TooNew { version, known: MIGRATIONS.len() });
        }
        for (step, sql) in MIGRATIONS.iter().enumerate().skip(done) {
            tx.execute(sql.replace("$SERIAL", self.dialect.serial()).as_str()).await?;
            let version = step as i64 + 1;
            sqlx::query("INSERT INTO migrations (version) VALUES ($1)").bind(version).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }
}

const EXPECTED: &str = "expected sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE";

async fn open_postgres(url: &str) -> Result<Database, Error> {
    let url = url::Url::parse(url).map_err(|error| Error::Url { problem: format!("{error}; {EXPECTED}") })?;
    let place = place(&url);
    let pool = pool(&url, POSTGRES_CONNECTIONS, false).await.map_err(|source| Error::Open { place, source })?;
    Ok(Database { writer: pool.clone(), reader: pool, dialect: Dialect::Postgres })
}

/// What of a URL may be shown: no user, no password, no options.
fn place(url: &url::Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or(""), url.path())
}

async fn open_sqlite(rest: &str) -> Result<Database, Error> {
    if !cfg!(feature = "sqlite") {
        let problem = "this build has no SQLite (feature `sqlite`); expected postgres://…".to_owned();
        return Err(Error::Url { problem });
    }
    if rest.trim_start_matches('/') == ":memory:" {
        return open_memory().await;
    }
    let path = sqlite_path(rest)?;
    let place = path.display().to_string();
    if let Some(folder) = path.parent() {
        let made = tokio::fs::create_dir_all(folder).await;
        made.map_err(|error| Error::Open { place: place.clone(), source: sqlx::Error::Io(error) })?;
    }
    let url = sqlite_url(&path)?;
    let open = async {
        // The writer first: it makes the file.
        let writer = pool(&url, 1, true).await?;
        Ok(Database { writer, reader: pool(&url, SQLITE_READERS, true).await?, dialect: Dialect::Sqlite })
    };
    open.await.map_err(|source| Error::Open { place, source })
}

async fn open_memory() -> Result<Database, Error> {
    let url = url::Url::parse("sqlite::memory:").map_err(|error| Error::Url { problem: error.to_string() })?;
    let opened = pool(&url, 1, true).await;
    let pool = opened.map_err(|source| Error::Open { place: ":memory:".to_owned(), source })?;
    Ok(Database { writer: pool.clone(), reader: pool, dialect: Dialect::Sqlite })
}

fn sqlite_path(rest: &str) -> Result<PathBuf, Error> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains('?') {
        return Err(Error::Url { problem: format!("{path:?} is no path, which has no options; expected sqlite:PATH") });
    }
    std::path::absolute(path).map_err(|error| Error::Url { problem: format!("{path:?}: {error}") })
}

/// What stands in a path as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

fn sqlite_url(path: &Path) -> Result<url::Url, Error> {
    let text = path.to_str().ok_or_else(|| Error::Url { problem: format!("{} is not UTF-8", path.display()) })?;
    let url = format!("sqlite:{}?mode=rwc", utf8_percent_encode(text, PATH));
    url::Url::parse(&url).map_err(|error| Error::Url { problem: error.to_string() })
}

/// A connection that was idle for longer is looked at before it is used.
const TRUSTED: Duration = Duration::from_millis(250);

async fn pool(url: &url::Url, connections: u32, is_sqlite: bool) -> Result<AnyPool, sqlx::Error> {
    let options = AnyConnectOptions::from_url(url)?.disable_statement_logging();
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(is_usable(connection))
            })
        })
        .after_connect(move |connection, _| Box::pin(async move { prepare(connection, is_sqlite).await }));
    // A database in memory lives as long as its connection.
    let pool = if is_sqlite { pool.idle_timeout(None).max_lifetime(None).min_connections(1) } else { pool };
    pool.connect_with(options).await
}

/// Whether a connection can begin a transaction. A full disk ends SQLite's without a word to whoever counts them, and then
/// none could ever begin on that connection again.
fn is_usable(connection: &AnyConnection) -> bool {
    !sqlx::Connection::is_in_transaction(connection)
}
/// Every statement of the queue looks few rows up by an index. PostgreSQL keeps the plans of statements for long, and would
/// read whole tables where it made them when these were small.
const PLANS: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; \
                     SET enable_mergejoin = off; SET enable_sort = off; SET jit = off";

/// Sets a new connection up. An accepted job is on the disk when its caller hears of it.
async fn prepare(connection: &mut AnyConnection, is_sqlite: bool) -> Result<(), sqlx::Error> {
    if is_sqlite {
        let wait = format!("PRAGMA busy_timeout = {}", PATIENCE.as_millis());
        connection.execute(wait.as_str()).await?;
        let sql = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";
        connection.execute(sql).await?;
    } else {
        connection.execute(PLANS).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_urls_are_not_shown() {
        let rows = [
            ("postgres://me:secret@db.example.com:5433/mogr?sslmode=require", "postgres://db.example.com:5433/mogr"),
            ("postgres://me:secret@[::1]/mogr?host=/run/pg", "postgres://[::1]/mogr"),
        ];
        for (url, shown) in rows {
            assert_eq!(place(&url::Url::parse(url).unwrap()), shown, "{url}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn urls_of_no_database_are_refused() {
        let rows = [
            ("mysql://me:secret@db/mogr", "\"mysql\" is no kind of database"),
            ("jobs.db", "\"\" is no kind of database"),
            ("sqlite:", "\"\" is no path"),
            ("sqlite:jobs.db?mode=ro", "\"jobs.db?mode=ro\" is no path"),
            ("postgres://me:secret@db:port/mogr", "invalid port number"),
        ];
        for (url, problem) in rows {
            let error = Database::open(url).await.unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn files_and_folders_are_made_whatever_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b/100%/任务#1.db");
        for _ in 0..2 {
            Database::open(&format!("sqlite:{}", path.display())).await.unwrap().close().await;
            assert!(path.exists());
        }
    }
}
