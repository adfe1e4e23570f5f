//! What the queue promises, on SQLite and, where `TEST_POSTGRES_URL` names a server, on a fresh database there.

use std::time::{Duration, SystemTime};

use mogr::error::ErrorKind;
use mogr::jobs::model::{
    Api, Claim, Destination, Failure, Filter, Finish, JobId, JobSpec, Notification, NotificationState, Notify, Outcome,
    OutputSpec, QueueSettings, QueueStatus, Renewal, Source, State, Stored, Submission,
};
use mogr::jobs::queue::{Change, Delivery, Error, Queue, Settings, target_of};
use sqlx::{AnyConnection, Connection, Executor};

/// A database of this test alone.
pub(crate) struct Place {
    pub(crate) url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("sqlite:{}", folder.path().join("jobs.db").display()), _folder: Some(folder) }
    }

    /// One that is gone with its queue.
    #[cfg(feature = "sqlite")]
    pub(crate) fn memory() -> Self {
        Self { url: "sqlite::memory:".to_owned(), _folder: None }
    }

    pub(crate) fn has_postgres() -> bool {
        server().is_some()
    }

    /// A new database on the server of `TEST_POSTGRES_URL`; `None` where there is no such server.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = server()?;
        let name = format!("mogr_test_{}", JobId::new(SystemTime::now()));
        administer(&server, &format!("CREATE DATABASE {name}")).await;
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        Some(Self { url: url.into(), _folder: None })
    }

    /// Drops a database of PostgreSQL.
    pub(crate) async fn remove(self) {
        let Some(server) = server().filter(|_| self.url.starts_with("postgres")) else { return };
        let name = url::Url::parse(&self.url).unwrap().path().trim_start_matches('/').to_owned();
        administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }

    pub(crate) async fn open(&self) -> Queue {
        Queue::open(&self.url, SETTINGS).await.unwrap()
    }
}

fn server() -> Option<String> {
    std::env::var("TEST_POSTGRES_URL").ok().filter(|server| !server.is_empty())
}

async fn administer(server: &str, sql: &str) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(server).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

/// Runs each of these functions on both databases.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&super::Place::sqlite()).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let Some(place) = super::Place::postgres().await else { return };
                super::$name(&place).await;
                place.remove().await;
            })+
        }
    };
}

pub(crate) use on_both;

mod claims;
mod ends;
mod limits;
mod lists;
mod nodes;
mod notifications;
mod turns;

pub(crate) const LEASE: Duration = Duration::from_secs(60);
const SETTINGS: Settings =
    Settings { lease: LEASE, max_waiting: 1000, max_waiting_per_owner: 600, max_queues: 50, max_attempts: 3 };

/// Some second of the test: time is whatever the caller says.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn output(command: &str) -> OutputSpec {
    OutputSpec {
        command: command.to_owned(),
        pipeline: command.to_owned(),
        destination: Destination::Derived,
        name: None,
    }
}

fn spec() -> JobSpec {
    JobSpec {
        source: Source::Object { bucket: "photos".to_owned(), key: "cat.jpg".to_owned() },
        outputs: vec![output("imageView2/2/w/100"), output("imageView2/2/w/200")],
        notify: Some(Notify::to("http://example.com:8080/done?x=1")),
        force: false,
        wording: None,
        user_data: Some("mine".to_owned()),
        request_id: "r1".to_owned(),
    }
}

fn submission(owner: &str, queue: &str, count: usize) -> Submission {
    Submission {
        api: Api::Qiniu,
        owner: owner.to_owned(),
        queue: queue.to_owned(),
        priority: 0,
        jobs: vec![spec(); count],
        is_batch: false,
    }
}

fn stored(key: &str) -> Outcome {
    Outcome::Stored(Stored { bucket: "photos".to_owned(), key: key.to_owned(), bytes: 7, ..Stored::default() })
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed(Failure { message: message.to_owned(), stage: Some(1), ..Failure::default() })
}

async fn submit_one(queue: &Queue, owner: &str, name: &str) -> JobId {
    queue.submit(submission(owner, name, 1), at(0)).await.unwrap().jobs.remove(0)
}

async fn claim(queue: &Queue, now: SystemTime) -> Claim {
    queue.claim("worker", now).await.unwrap().expect("a job waits")
}

async fn state(queue: &Queue, id: &JobId) -> State {
    queue.get(id).await.unwrap().unwrap().state
}

/// What waits and what runs in a queue.
async fn counters(queue: &Queue, name: &str) -> (i64, i64) {
    let queues = queue.queues().await.unwrap();
    let found = queues.iter().find(|status| status.settings.name == name).unwrap();
    (found.waiting, found.running)
}

fn settings(name: &str) -> QueueSettings {
    QueueSettings { name: name.to_owned(), priority: 0, paused: false, max_running: None, max_waiting: None }
}

/// Does everything that is asked of a job.
async fn succeed(queue: &Queue, claim: &Claim, now: SystemTime) {
    for output in 0..claim.job.spec.outputs.len() {
        assert!(queue.record(claim, output, &stored("result")).await.unwrap());
    }
    assert!(queue.finish(claim, Finish::Done, now).await.unwrap());
}

/// Ends a job, so that there is a notification.
async fn ended(queue: &Queue, owner: &str, url: &str, now: SystemTime) -> JobId {
    let mut submission = submission(owner, "default", 1);
    submission.jobs[0].notify = Some(Notify::to(url));
    let id = queue.submit(submission, now).await.unwrap().jobs.remove(0);
    queue.cancel(&id, now).await.unwrap();
    id
}

async fn due(queue: &Queue, now: SystemTime) -> Notification {
    queue.due_notification(&[], now).await.unwrap().expect("a notification is due")
}
