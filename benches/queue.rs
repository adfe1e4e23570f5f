//! The queue's speed beside that of its database, in one run. `cargo bench --bench queue -- [ROUNDS]`; nothing depends on
//! the times. SQLite in a file of the build's folder, and PostgreSQL where `TEST_POSTGRES_URL` names a server.
//!
//! Each round has each number of callers, each with a new database: single rows are inserted and updated, each in
//! a transaction of its own; then jobs are submitted one by one; then claimed, recorded and finished. Ratios are of one
//! round, medians over the rounds. Last, how soon an idle worker has a job that is submitted.

use std::error::Error;
use std::future::Future;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use mogr::jobs::model::{Api, Destination, Finish, JobId, JobSpec, Outcome, OutputSpec, Source, Stored, Submission};
use mogr::jobs::queue::{Change, Queue, Settings};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection, Executor};
use tokio::sync::{broadcast, mpsc};

type Failure = Box<dyn Error + Send + Sync>;

/// How many callers, or workers, there are at once.
const CALLERS: [usize; 5] = [1, 4, 8, 16, 32];

/// How much is measured.
struct Extent {
    rounds: usize,
    /// How long each number of callers does the same.
    phase: Duration,
    /// Jobs whose latency is taken.
    samples: usize,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut extent = Extent { rounds: 5, phase: Duration::from_millis(500), samples: 300 };
    if !arguments.iter().any(|argument| argument == "--bench") {
        extent = Extent { rounds: 1, phase: Duration::from_millis(20), samples: 3 };
    }
    if let Some(rounds) = arguments.iter().find(|argument| !argument.starts_with('-')) {
        extent.rounds = rounds.parse::<usize>()?.max(1);
    }
    sqlx::any::install_default_drivers();
    tokio::runtime::Runtime::new()?.block_on(compare(&extent))
}

async fn compare(extent: &Extent) -> Result<(), Failure> {
    let mut kinds = Vec::new();
    if cfg!(feature = "sqlite") {
        kinds.push((Kind::Sqlite, Vec::new()));
    }
    if let Some(server) = std::env::var("TEST_POSTGRES_URL").ok().filter(|server| !server.is_empty()) {
        kinds.push((Kind::Postgres { server }, Vec::new()));
    }
    for _ in 0..extent.rounds {
        for (kind, rounds) in &mut kinds {
            rounds.push(round(kind, extent.phase).await?);
        }
    }
    for (kind, rounds) in &kinds {
        say(&format!("\n{}\n", kind.title().await?));
        show(rounds);
        latencies(kind, extent.samples).await?;
    }
    Ok(())
}

fn say(line: &str) {
    // Who no longer listens need not be told.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

// Databases.

/// Where databases are made.
enum Kind {
    Sqlite,
    Postgres { server: String },
}

/// A new database.
struct Place {
    url: String,
    folder: Option<tempfile::TempDir>,
}

impl Kind {
    async fn title(&self) -> Result<String, Failure> {
        let Self::Postgres { server } = self else { return Ok("SQLite, WAL, synchronous = FULL".to_owned()) };
        let mut connection = AnyConnection::connect(server).await?;
        let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
        let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(format!("PostgreSQL {version}, fsync = {fsync}"))
    }

    async fn place(&self) -> Result<Place, Failure> {
        match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
                Ok(Place { url: format!("sqlite:{}", folder.path().join("jobs.db").display()), folder: Some(folder) })
            }
            Self::Postgres { server } => {
                let name = format!("mogr_bench_{}", JobId::new(SystemTime::now()));
                administer(server, &format!("CREATE DATABASE {name}")).await?;
                let mut url = url::Url::parse(server)?;
                url.set_path(&name);
                Ok(Place { url: url.into(), folder: None })
            }
        }
    }

    async fn remove(&self, place: Place) -> Result<(), Failure> {
        if let Self::Postgres { server } = self {
            let name = url::Url::parse(&place.url)?.path().trim_start_matches('/').to_owned();
            administer(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await?;
        }
        Ok(place.folder.map_or(Ok(()), tempfile::TempDir::close)?)
    }
}

async fn administer(server: &str, sql: &str) -> Result<(), Failure> {
    let mut connection = AnyConnection::connect(server).await?;
    connection.execute(sql).await?;
    Ok(connection.close().await?)
}

impl Place {
    async fn queue(&self) -> Result<Queue, Failure> {
        Ok(Queue::open(
            &self.url,
            Settings { max_waiting: i64::MAX / 2, max_waiting_per_owner: i64::MAX / 2, ..Settings::default() },
        )
        .await?)
    }

    /// Connections as many as the queue has, with the same durability, and one table that has nothing but its key.
    async fn rows(&self) -> Result<AnyPool, Failure> {
        let is_sqlite = self.folder.is_some();
        let connections = if is_sqlite { 1 } else { 16 };
        let pool = AnyPoolOptions::new().max_connections(connections).test_before_acquire(false);
        let options = if is_sqlite { "?mode=rwc" } else { "" };
        let pool = pool.connect(&format!("{}{options}", self.url)).await?;
        if is_sqlite {
            pool.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").await?;
        }
        pool.execute("CREATE TABLE rows (id TEXT NOT NULL PRIMARY KEY, state TEXT NOT NULL, spec TEXT NOT NULL)")
            .await?;
        Ok(pool)
    }
}

// Rates.

/// What so many callers reach, a second.
struct Rates {
    callers: usize,
    insert: f64,
    update: f64,
    submit: f64,
    work: f64,
}

impl Rates {
    /// Pairs of an insert and an update: the least that a job could be.
    fn pair(&self) -> f64 {
        1.0 / (1.0 / self.insert + 1.0 / self.update)
    }
}

async fn round(kind: &Kind, phase: Duration) -> Result<Vec<Rates>, Failure> {
    let mut rates = Vec::new();
    for callers in CALLERS {
        let place = kind.place().await?;
        let (insert, update) = row_rates(&place, callers, phase).await?;
        let (submit, work) = job_rates(&place, callers, phase).await?;
        rates.push(Rates { callers, insert, update, submit, work });
        kind.remove(place).await?;
    }
    Ok(rates)
}

async fn row_rates(place: &Place, callers: usize, phase: Duration) -> Result<(f64, f64), Failure> {
    let pool = place.rows().await?;
    let inserted = Arc::new(Mutex::new(Vec::new()));
    let insert = {
        let (pool, inserted) = (pool.clone(), Arc::clone(&inserted));
        repeat(callers, phase, move |_| insert(pool.clone(), Arc::clone(&inserted))).await?
    };
    let ids = Arc::new(std::mem::take(&mut *inserted.lock().expect("no caller panicked")));
    let next = Arc::new(AtomicUsize::new(0));
    let update = {
        let pool = pool.clone();
        repeat(callers, phase, move |_| update(pool.clone(), Arc::clone(&ids), Arc::clone(&next))).await?
    };
    pool.close().await;
    Ok((insert, update))
}

async fn insert(pool: AnyPool, inserted: Arc<Mutex<Vec<String>>>) -> Result<bool, Failure> {
    let id = JobId::new(SystemTime::now()).to_string();
    let query = sqlx::query("INSERT INTO rows (id, state, spec) VALUES ($1, $2, $3)").bind(&id).bind("waiting");
    query.bind(serde_json::to_string(&spec())?).execute(&pool).await?;
    inserted.lock().expect("no caller panicked").push(id);
    Ok(true)
}

async fn update(pool: AnyPool, ids: Arc<Vec<String>>, next: Arc<AtomicUsize>) -> Result<bool, Failure> {
    let turn = next.fetch_add(1, Ordering::Relaxed);
    let state = if (turn / ids.len()).is_multiple_of(2) { "running" } else { "waiting" };
    let query = sqlx::query("UPDATE rows SET state = $1 WHERE id = $2").bind(state).bind(&ids[turn % ids.len()]);
    query.execute(&pool).await?;
    Ok(true)
}

async fn job_rates(place: &Place, callers: usize, phase: Duration) -> Result<(f64, f64), Failure> {
    let queue = place.queue().await?;
    let submitting = queue.clone();
    let submit = repeat(callers, phase, move |caller| submit(submitting.clone(), caller)).await?;
    let working = queue.clone();
    let work = repeat(callers, phase, move |_| work_one(working.clone())).await?;
    queue.close().await;
    Ok((submit, work))
}

async fn submit(queue: Queue, caller: usize) -> Result<bool, Failure> {
    queue.submit(submission(caller), SystemTime::now()).await?;
    Ok(true)
}

/// Does the next job, which is nothing. `false` where none waits.
async fn work_one(queue: Queue) -> Result<bool, Failure> {
    let Some(claim) = queue.claim("worker", SystemTime::now()).await? else { return Ok(false) };
    let outcome =
        Outcome::Stored(Stored { bucket: "photos".to_owned(), key: "small.jpg".to_owned(), ..Stored::default() });
    let is_held =
        queue.record(&claim, 0, &outcome).await? && queue.finish(&claim, Finish::Done, SystemTime::now()).await?;
    if is_held { Ok(true) } else { Err(format!("job {} was lost", claim.job.id).into()) }
}

fn spec() -> JobSpec {
    let output = OutputSpec {
        command: "imageView2/2/w/320|saveas/cGhvdG9zOnNtYWxsLmpwZw==".to_owned(),
        pipeline: "imageView2/2/w/320".to_owned(),
        destination: Destination::Object { bucket: "photos".to_owned(), key: "small.jpg".to_owned() },
        name: None,
    };
    JobSpec {
        source: Source::Object { bucket: "photos".to_owned(), key: "cat.jpg".to_owned() },
        outputs: vec![output],
        notify: None,
        force: false,
        user_data: None,
        wording: None,
        request_id: "bench".to_owned(),
    }
}

/// One job, of an owner of this caller's own.
fn submission(caller: usize) -> Submission {
    Submission {
        api: Api::Qiniu,
        owner: format!("owner{caller}"),
        queue: "default".to_owned(),
        priority: 0,
        jobs: vec![spec()],
        is_batch: false,
    }
}

/// How often a second so many callers did it at once, until the time is over or there was nothing more to do.
async fn repeat<F, D>(callers: usize, phase: Duration, what: F) -> Result<f64, Failure>
where
    F: Fn(usize) -> D + Clone + Send + 'static,
    D: Future<Output = Result<bool, Failure>> + Send,
{
    let start = Instant::now();
    let call = |caller: usize| {
        let what = what.clone();
        async move {
            let mut done = 0;
            while start.elapsed() < phase && what(caller).await? {
                done += 1;
            }
            Ok::<_, Failure>((done, start.elapsed()))
        }
    };
    let tasks: Vec<_> = (0..callers).map(|caller| tokio::spawn(call(caller))).collect();
    let mut rate = 0.0;
    for task in tasks {
        let (done, taken) = task.await??;
        rate += f64::from(done) / taken.as_secs_f64();
    }
    Ok(rate)
}

// Latency.

/// How soon a worker that waits for changes has a job: one of this process, and one of another node.
async fn latencies(kind: &Kind, samples: usize) -> Result<(), Failure> {
    let place = kind.place().await?;
    let here = place.queue().await?;
    show_latency("same process", latency(&here, &here, samples).await?);
    if matches!(kind, Kind::Postgres { .. }) {
        let elsewhere = place.queue().await?;
        show_latency("another node", latency(&here, &elsewhere, samples).await?);
        elsewhere.close().await;
    }
    here.close().await;
    kind.remove(place).await
}

/// From the call of `submit` on one queue to the answer of `claim` on the other.
async fn latency(submitter: &Queue, worker: &Queue, samples: usize) -> Result<Vec<Duration>, Failure> {
    let (claimed, mut claims) = mpsc::channel(1);
    let task = tokio::spawn(wait_and_work(worker.clone(), worker.changes(), claimed));
    let mut latencies = Vec::with_capacity(samples);
    for _ in 0..samples {
        let start = Instant::now();
        submitter.submit(submission(0), SystemTime::now()).await?;
        let (at, ended): (Instant, bool) = claims.recv().await.ok_or("the worker is gone")?;
        latencies.push(at - start);
        if !ended {
            return Err("a job was lost".into());
        }
    }
    drop(claims);
    task.abort();
    Ok(latencies)
}

/// Tells when it had a job, once it has done it, looked in vain for another, and waits.
async fn wait_and_work(
    queue: Queue,
    mut changes: broadcast::Receiver<Change>,
    claimed: mpsc::Sender<(Instant, bool)>,
) -> Result<(), Failure> {
    loop {
        let mut last = None;
        while let Some(claim) = queue.claim("idle", SystemTime::now()).await? {
            let at = Instant::now();
            last = Some((at, queue.finish(&claim, Finish::Done, SystemTime::now()).await?));
        }
        if let Some(last) = last {
            claimed.send(last).await?;
        }
        while !matches!(changes.recv().await, Ok(Change::Work) | Err(broadcast::error::RecvError::Lagged(_))) {}
    }
}

// Tables.

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

fn show(rounds: &[Vec<Rates>]) {
    say("| callers | inserts /s | updates /s | submits /s | × inserts | jobs worked off /s | × (insert + update) |");
    say("| --- | --- | --- | --- | --- | --- | --- |");
    for (index, callers) in CALLERS.iter().enumerate() {
        let of = |value: fn(&Rates) -> f64| median(rounds.iter().map(|round| value(&round[index])).collect());
        say(&format!(
            "| {callers} | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} | {:.2} |",
            of(|rates| rates.insert),
            of(|rates| rates.update),
            of(|rates| rates.submit),
            of(|rates| rates.submit / rates.insert),
            of(|rates| rates.work),
            of(|rates| rates.work / rates.pair()),
        ));
        debug_assert!(rounds.iter().all(|round| round[index].callers == *callers));
    }
    say("");
}

fn show_latency(of: &str, mut latencies: Vec<Duration>) {
    latencies.sort();
    let ms = |part: f64| latencies[((latencies.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e3;
    say(&format!("from submit to claim, {of}: median {:.1} ms, p99 {:.1} ms", ms(0.5), ms(0.99)));
}
