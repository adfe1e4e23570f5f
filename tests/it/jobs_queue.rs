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
    fn sqlite() -> Self {
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

    async fn open(&self) -> Queue {
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

on_both!(
    a_job_lives_from_submission_to_delivery,
    a_dead_workers_job_is_taken_over,
    jobs_that_kill_their_workers_fail,
    lost_claims_are_refused,
    paused_queues_hold_their_jobs,
    queues_run_no_more_than_they_may,
    full_queues_take_nothing,
    owners_do_not_fill_queues_for_others,
    no_more_queues_come_into_being_than_may,
    owners_know_the_queues_of_their_jobs,
    empty_queues_are_forgotten,
    many_jobs_are_claimed_at_once,
    workers_at_once_share_no_fate,
    a_released_job_was_not_claimed,
    jobs_that_cannot_be_read_fail,
    submissions_at_once_share_no_fate,
    higher_priorities_come_first,
    queues_of_one_priority_take_turns,
    owners_take_turns,
    waiting_jobs_are_cancelled_at_once,
    running_jobs_are_asked_to_stop,
    jobs_are_tried_again_after_a_delay,
    jobs_end_as_their_outputs_did,
    notifications_live_on_after_their_jobs,
    busy_targets_are_passed_over,
    what_ended_long_ago_is_forgotten,
    jobs_are_listed_page_by_page,
    batches_are_numbered,
    workers_of_two_nodes_take_each_job_once,
    two_nodes_open_a_new_database_at_once,
    jobs_outlive_the_process,
    changes_are_told,
    the_next_due_time_is_known,
    odd_texts_are_kept,
);

const LEASE: Duration = Duration::from_secs(60);
const SETTINGS: Settings =
    Settings { lease: LEASE, max_waiting: 1000, max_waiting_per_owner: 600, max_queues: 50, max_attempts: 3 };

/// Some second of the test: time is whatever the caller says.
fn at(seconds: u64) -> SystemTime {
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
    Outcome::Failed(Failure { message: message.to_owned(), stage: Some(1), of_source: false })
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

async fn a_job_lives_from_submission_to_delivery(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let job = queue.get(&id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt, &*job.owner, &*job.queue), (State::Waiting, 0, "ak", "default"));
    assert_eq!((job.created, job.started, job.finished), (at(0), None, None));
    assert_eq!(job.spec, spec());
    assert_eq!(job.outcomes, [None, None]);
    assert_eq!(counters(&queue, "default").await, (1, 0));

    let claim = claim(&queue, at(1)).await;
    assert_eq!((&claim.job.id, claim.attempt, claim.job.state), (&id, 1, State::Running));
    assert_eq!(queue.claim("other", at(1)).await.unwrap().map(|claim| claim.job.id), None);
    assert_eq!(counters(&queue, "default").await, (0, 1));
    let mut changes = queue.changes();
    assert_eq!(queue.renew(&claim, 250, at(2)).await.unwrap(), Renewal::Held);
    assert_eq!(changes.try_recv(), Ok(Change::Job(id.clone())));
    assert_eq!(queue.renew(&claim, 250, at(2)).await.unwrap(), Renewal::Held);
    assert!(changes.try_recv().is_err(), "a worker that hears its own renewals renews for ever");
    assert!(queue.record(&claim, 1, &stored("b")).await.unwrap());
    let job = queue.get(&id).await.unwrap().unwrap();
    assert_eq!((job.progress, job.started, job.outcomes), (250, Some(at(1)), vec![None, Some(stored("b"))]));
    assert_eq!(queue.due_notification(&[], at(3)).await.unwrap(), None);

    succeed(&queue, &claim, at(4)).await;
    let job = queue.get(&id).await.unwrap().unwrap();
    assert_eq!((job.state, job.finished, job.is_notify_dead), (State::Succeeded, Some(at(4)), false));
    assert_eq!(counters(&queue, "default").await, (0, 0));
    let notification = queue.due_notification(&[], at(4)).await.unwrap().unwrap();
    assert_eq!((&notification.job, notification.attempts, notification.created), (&id, 1, at(4)));
    assert_eq!(notification.url, spec().notify.unwrap().url);
    queue.settle(&notification, Delivery::Delivered, at(5)).await.unwrap();
    assert_eq!(queue.due_notification(&[], at(1000)).await.unwrap(), None);
    assert_eq!(queue.counts("ak").await.unwrap(), [(State::Succeeded, 1)]);
    assert_eq!(queue.get(&JobId::new(at(0))).await.unwrap(), None);
}

async fn a_dead_workers_job_is_taken_over(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let dead = claim(&queue, at(0)).await;
    assert!(queue.record(&dead, 0, &stored("a")).await.unwrap());
    assert!(queue.claim("worker", at(59)).await.unwrap().is_none());
    assert_eq!(queue.renew(&dead, 0, at(30)).await.unwrap(), Renewal::Held);
    assert!(queue.claim("worker", at(89)).await.unwrap().is_none(), "the lease was renewed");

    let taken = claim(&queue, at(90)).await;
    assert_eq!((&taken.job.id, taken.attempt), (&id, 2));
    assert_eq!(taken.job.outcomes, [Some(stored("a")), None], "what was done is kept");
    assert_eq!(counters(&queue, "default").await, (0, 1));
    assert!(queue.claim("worker", at(90)).await.unwrap().is_none());
}

async fn jobs_that_kill_their_workers_fail(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    for attempt in 1..=3 {
        let claim = claim(&queue, at(100 * attempt)).await;
        assert_eq!(claim.attempt, attempt as i32);
        queue.record(&claim, 0, &stored("a")).await.unwrap();
    }
    assert!(queue.claim("worker", at(400)).await.unwrap().is_none());
    let job = queue.get(&id).await.unwrap().unwrap();
    let died =
        Outcome::Failed(Failure { message: "the worker died 3 times".to_owned(), stage: None, of_source: false });
    assert_eq!((job.state, job.outcomes), (State::Failed, vec![Some(stored("a")), Some(died)]));
    assert_eq!(counters(&queue, "default").await, (0, 0));
    assert!(queue.due_notification(&[], at(400)).await.unwrap().is_some());
}

async fn lost_claims_are_refused(place: &Place) {
    let queue = place.open().await;
    submit_one(&queue, "ak", "default").await;
    let lost = claim(&queue, at(0)).await;
    let held = claim(&queue, at(60)).await;
    assert_eq!(queue.renew(&lost, 1, at(61)).await.unwrap(), Renewal::Lost);
    assert!(!queue.record(&lost, 0, &failed("late")).await.unwrap());
    for finish in [Finish::Done, Finish::Cancelled, Finish::Retry(Duration::ZERO)] {
        assert!(!queue.finish(&lost, finish, at(61)).await.unwrap());
    }
    assert_eq!(queue.renew(&held, 1, at(61)).await.unwrap(), Renewal::Held);
    assert!(matches!(queue.record(&held, 2, &failed("no")).await, Err(Error::NoSuchOutput { output: 2, .. })));
    succeed(&queue, &held, at(62)).await;
    assert_eq!(queue.renew(&held, 1, at(63)).await.unwrap(), Renewal::Lost);
    assert!(!queue.record(&held, 0, &failed("late")).await.unwrap());
    assert!(!queue.finish(&held, Finish::Done, at(63)).await.unwrap());
    assert_eq!(counters(&queue, "default").await, (0, 0));
}

async fn paused_queues_hold_their_jobs(place: &Place) {
    let queue = place.open().await;
    assert!(!queue.set_paused("default", true).await.unwrap(), "there is no such queue");
    submit_one(&queue, "ak", "default").await;
    let running = claim(&queue, at(0)).await;
    submit_one(&queue, "ak", "default").await;
    assert!(queue.set_paused("default", true).await.unwrap());
    assert!(queue.claim("worker", at(1)).await.unwrap().is_none());
    succeed(&queue, &running, at(1)).await;
    submit_one(&queue, "ak", "default").await;
    assert_eq!(counters(&queue, "default").await, (2, 0));
    assert!(queue.set_paused("default", false).await.unwrap());
    claim(&queue, at(2)).await;
}

async fn queues_run_no_more_than_they_may(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { max_running: Some(2), ..settings("narrow") }).await.unwrap();
    queue.submit(submission("ak", "narrow", 4), at(0)).await.unwrap();
    let first = claim(&queue, at(0)).await;
    claim(&queue, at(0)).await;
    assert!(queue.claim("worker", at(1)).await.unwrap().is_none());
    let mut changes = queue.changes();
    succeed(&queue, &first, at(1)).await;
    let told: Vec<_> = std::iter::from_fn(|| changes.try_recv().ok()).collect();
    assert!(told.contains(&Change::Work), "{told:?}");
    claim(&queue, at(1)).await;
    assert!(queue.claim("worker", at(1)).await.unwrap().is_none());
    assert_eq!(counters(&queue, "narrow").await, (1, 2));
}

async fn full_queues_take_nothing(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { max_waiting: Some(3), ..settings("small") }).await.unwrap();
    queue.submit(submission("ak", "small", 2), at(0)).await.unwrap();
    let error = queue.submit(submission("ak", "small", 2), at(0)).await.unwrap_err();
    assert!(matches!(&error, Error::Full { queue, waiting: 2, limit: 3 } if queue == "small"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(counters(&queue, "small").await, (2, 0));
    queue.submit(submission("ak", "small", 1), at(0)).await.unwrap();
    let error = queue.submit(submission("ak", "default", 1001), at(0)).await.unwrap_err();
    assert!(matches!(error, Error::Full { limit: 1000, .. }), "{error}");
    assert_eq!(queue.list(&Filter::default(), 100).await.unwrap().len(), 3);
    claim(&queue, at(1)).await;
    queue.submit(submission("ak", "small", 1), at(1)).await.unwrap();
}

async fn owners_do_not_fill_queues_for_others(place: &Place) {
    let queue = place.open().await;
    queue.submit(submission("many", "default", 600), at(0)).await.unwrap();
    let error = queue.submit(submission("many", "default", 1), at(0)).await.unwrap_err();
    assert!(matches!(&error, Error::OwnerFull { queue, waiting: 600, limit: 600 } if queue == "default"), "{error}");
    assert_eq!((error.kind(), error.is_full()), (ErrorKind::Busy, true));
    queue.submit(submission("few", "default", 1), at(0)).await.unwrap();
    queue.submit(submission("many", "other", 1), at(0)).await.unwrap();

    // Whatever takes a job away makes room for one.
    let mut taken = claim(&queue, at(1)).await;
    while (&*taken.job.owner, &*taken.job.queue) != ("many", "default") {
        taken = claim(&queue, at(1)).await;
    }
    let mut jobs = queue.submit(submission("many", "default", 1), at(1)).await.unwrap().jobs;
    assert!(queue.submit(submission("many", "default", 1), at(1)).await.is_err());
    queue.cancel(&jobs.remove(0), at(1)).await.unwrap();
    queue.finish(&taken, Finish::Retry(LEASE), at(1)).await.unwrap();
    assert!(queue.submit(submission("many", "default", 1), at(1)).await.is_err(), "a job that waits again counts");
}

async fn no_more_queues_come_into_being_than_may(place: &Place) {
    let queue = place.open().await;
    for number in 0..50 {
        submit_one(&queue, "ak", &format!("q{number}")).await;
    }
    let error = queue.submit(submission("ak", "one-more", 1), at(0)).await.unwrap_err();
    assert!(matches!(&error, Error::TooManyQueues { queue, limit: 50 } if queue == "one-more"), "{error}");
    assert_eq!((error.kind(), error.is_full()), (ErrorKind::Busy, true));
    submit_one(&queue, "ak", "q7").await;
    queue.configure(&settings("of the operator")).await.unwrap();
    submit_one(&queue, "ak", "of the operator").await;
    assert_eq!(queue.queues().await.unwrap().len(), 51);
}

async fn owners_know_the_queues_of_their_jobs(place: &Place) {
    let queue = place.open().await;
    submit_one(&queue, "a", "first").await;
    submit_one(&queue, "b", "second").await;
    submit_one(&queue, "a", "third").await;
    for _ in 0..3 {
        succeed(&queue, &claim(&queue, at(1)).await, at(1)).await;
    }
    let names = async |owner| {
        let queues = queue.queues_of(owner).await.unwrap();
        queues.into_iter().map(|status| status.settings.name).collect::<Vec<_>>()
    };
    assert_eq!(names("a").await, ["first", "third"]);
    assert_eq!(names("b").await, ["second"]);
    assert_eq!(names("nobody").await, [""; 0]);
}

async fn empty_queues_are_forgotten(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { priority: 1, ..settings("configured") }).await.unwrap();
    submit_one(&queue, "ak", "paused").await;
    queue.set_paused("paused", true).await.unwrap();
    for name in ["finished", "paused", "running", "recent"] {
        submit_one(&queue, "ak", name).await;
    }
    let job =
        queue.list(&Filter { queue: Some("finished".to_owned()), ..Filter::default() }, 1).await.unwrap().remove(0);
    queue.cancel(&job.id, at(0)).await.unwrap();
    let job = queue.list(&Filter { queue: Some("recent".to_owned()), ..Filter::default() }, 1).await.unwrap().remove(0);
    queue.cancel(&job.id, at(100)).await.unwrap();
    while let Some(notification) = queue.due_notification(&[], at(100)).await.unwrap() {
        queue.settle(&notification, Delivery::Delivered, at(100)).await.unwrap();
    }
    claim(&queue, at(100)).await;
    let names = async || {
        let queues = queue.queues().await.unwrap();
        queues.into_iter().map(|status| status.settings.name).collect::<Vec<_>>()
    };
    assert_eq!(queue.delete_finished(at(50)).await.unwrap(), 1);
    assert_eq!(names().await, ["configured", "paused", "recent", "running"]);
    assert_eq!(queue.delete_finished(at(200)).await.unwrap(), 1);
    assert_eq!(names().await, ["configured", "paused", "running"]);
    // It comes into being again.
    submit_one(&queue, "ak", "finished").await;
}

async fn many_jobs_are_claimed_at_once(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { max_running: Some(2), ..settings("narrow") }).await.unwrap();
    let mut expected = queue.submit(submission("ak", "wide", 5), at(0)).await.unwrap().jobs;
    queue.submit(submission("ak", "narrow", 5), at(0)).await.unwrap();
    let claims = queue.claim_many("worker", 4, at(1)).await.unwrap();
    let of = |name: &str| claims.iter().filter(|claim| claim.job.queue == name).count();
    assert_eq!((of("wide"), of("narrow")), (2, 2), "queues of one priority have the same share");
    let claims = queue.claim_many("worker", 10, at(1)).await.unwrap();
    let rest: Vec<_> = claims.iter().map(|claim| claim.job.id.clone()).collect();
    assert_eq!(rest, expected.split_off(2), "in their order, and no more than there are");
    assert_eq!(counters(&queue, "wide").await, (0, 5));
    assert_eq!(counters(&queue, "narrow").await, (3, 2));
    for claim in &claims {
        succeed(&queue, claim, at(2)).await;
    }
    assert_eq!(counters(&queue, "wide").await, (0, 2));
}

async fn workers_at_once_share_no_fate(place: &Place) {
    let queue = place.open().await;
    queue.submit(submission("ak", "default", 40), at(0)).await.unwrap();
    let workers = (0..40).map(|number: usize| {
        let queue = queue.clone();
        async move {
            let claim = queue.claim(["a", "b"][number % 2], at(1)).await.unwrap().expect("a job for each");
            if number.is_multiple_of(4) {
                // Nobody may say anything of it.
                let forged = Claim { holder: "somebody".to_owned(), ..claim.clone() };
                assert!(!queue.record(&forged, 0, &failed("no")).await.unwrap());
                assert!(!queue.finish(&forged, Finish::Done, at(1)).await.unwrap());
                return None;
            }
            assert!(queue.record(&claim, 0, &stored("a")).await.unwrap());
            assert!(queue.record(&claim, 1, &failed("no")).await.unwrap());
            assert!(queue.finish(&claim, Finish::Done, at(1)).await.unwrap());
            Some(claim.job.id)
        }
    });
    let workers: Vec<_> = workers.map(tokio::spawn).collect();
    let mut ended: Vec<_> = futures::future::join_all(workers).await.into_iter().filter_map(Result::unwrap).collect();
    ended.sort();
    ended.dedup();
    assert_eq!(ended.len(), 30);
    assert_eq!(counters(&queue, "default").await, (0, 10));
    for id in ended {
        let job = queue.get(&id).await.unwrap().unwrap();
        assert_eq!((job.state, job.outcomes), (State::Failed, vec![Some(stored("a")), Some(failed("no"))]));
    }
    assert_eq!(queue.notifications(None, None, 100).await.unwrap().len(), 30);
}

async fn a_released_job_was_not_claimed(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let mut released: Vec<Claim> = Vec::new();
    for _ in 0..5 {
        let claim = claim(&queue, at(0)).await;
        assert_eq!((&claim.job.id, claim.attempt), (&id, 1));
        for old in &released {
            assert_eq!(queue.renew(old, 1, at(0)).await.unwrap(), Renewal::Lost);
            assert!(!queue.record(old, 0, &failed("late")).await.unwrap());
            assert!(!queue.finish(old, Finish::Done, at(0)).await.unwrap());
        }
        assert!(queue.finish(&claim, Finish::Released, at(0)).await.unwrap());
        assert_eq!(counters(&queue, "default").await, (1, 0));
        released.push(claim);
    }
}

async fn jobs_that_cannot_be_read_fail(place: &Place) {
    let queue = place.open().await;
    let broken = queue.submit(submission("ak", "default", 3), at(0)).await.unwrap().jobs;
    let whole = submit_one(&queue, "ak", "default").await;
    let edit = async |sql: String| {
        queue.close().await;
        administer(&place.url, &sql).await;
        place.open().await
    };
    let queue = edit(format!(
        "UPDATE jobs SET spec = '{{\"source\":7}}' WHERE id = '{}'; UPDATE jobs SET spec = '' WHERE id = '{}'; \
         UPDATE jobs SET api = 'fax' WHERE id = '{}'",
        broken[0], broken[1], broken[2]
    ))
    .await;
    let claim = claim(&queue, at(1)).await;
    assert_eq!(claim.job.id, whole);
    assert_eq!(counters(&queue, "default").await, (0, 1));
    for (id, problem) in broken.iter().zip(["cannot be read: ", "cannot be read: EOF", "\"fax\""]) {
        let job = queue.get(id).await.unwrap().unwrap();
        assert_eq!((job.state, job.finished), (State::Failed, Some(at(1))));
        let [Some(Outcome::Failed(failure))] = &job.outcomes[..] else { panic!("{job:?}") };
        assert!(failure.message.contains(problem), "{}", failure.message);
    }
    assert_eq!(queue.list(&Filter::default(), 10).await.unwrap().len(), 4);

    // An outcome that cannot be read is a failure, and harms no other.
    assert!(queue.record(&claim, 0, &stored("a")).await.unwrap());
    queue.close().await;
    administer(&place.url, "UPDATE outputs SET outcome = '?'").await;
    let queue = place.open().await;
    let job = queue.get(&whole).await.unwrap().unwrap();
    assert!(matches!(&job.outcomes[..], [Some(Outcome::Failed(_)), None]), "{job:?}");
    assert!(queue.claim("worker", at(100)).await.unwrap().is_some(), "its worker died");
}

async fn higher_priorities_come_first(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { priority: 5, ..settings("fast") }).await.unwrap();
    let low = queue.submit(Submission { priority: -1, ..submission("ak", "slow", 1) }, at(0)).await.unwrap().jobs;
    let high = queue.submit(Submission { priority: 9, ..submission("ak", "slow", 1) }, at(0)).await.unwrap().jobs;
    let fast = queue.submit(Submission { priority: -9, ..submission("ak", "fast", 1) }, at(0)).await.unwrap().jobs;
    for id in [fast, high, low].concat() {
        assert_eq!(claim(&queue, at(1)).await.job.id, id);
    }
}

async fn queues_of_one_priority_take_turns(place: &Place) {
    let queue = place.open().await;
    for name in ["a", "b", "c"] {
        queue.submit(submission("ak", name, 3), at(0)).await.unwrap();
    }
    let mut names = Vec::new();
    for _ in 0..9 {
        names.push(claim(&queue, at(1)).await.job.queue);
    }
    assert_eq!(names.concat(), "abcabcabc");
}

async fn owners_take_turns(place: &Place) {
    let queue = place.open().await;
    queue.submit(submission("many", "default", 100), at(0)).await.unwrap();
    for _ in 0..10 {
        claim(&queue, at(1)).await;
    }
    // A high priority of the same owner changes nothing for others.
    queue.submit(Submission { priority: 1, ..submission("many", "default", 1) }, at(1)).await.unwrap();
    assert_eq!(claim(&queue, at(1)).await.job.priority, 1);
    let few = queue.submit(submission("few", "default", 3), at(1)).await.unwrap().jobs;
    let mut owners = Vec::new();
    let mut order = Vec::new();
    for _ in 0..6 {
        let job = claim(&queue, at(2)).await.job;
        if job.owner == "few" {
            order.push(job.id);
        }
        owners.push(job.owner);
    }
    assert_eq!(order, few, "an owner's jobs in their order: {owners:?}");
    for pair in owners.chunks(2) {
        assert!(pair.contains(&"few".to_owned()) && pair.contains(&"many".to_owned()), "{owners:?}");
    }
}

async fn waiting_jobs_are_cancelled_at_once(place: &Place) {
    let queue = place.open().await;
    assert_eq!(queue.cancel(&JobId::new(at(0)), at(0)).await.unwrap(), None);
    let id = submit_one(&queue, "ak", "default").await;
    for _ in 0..2 {
        assert_eq!(queue.cancel(&id, at(1)).await.unwrap(), Some(State::Cancelled));
    }
    assert_eq!(state(&queue, &id).await, State::Cancelled);
    assert_eq!(counters(&queue, "default").await, (0, 0));
    assert!(queue.claim("worker", at(2)).await.unwrap().is_none());
    assert_eq!(queue.notifications(None, None, 10).await.unwrap().len(), 1);
}

async fn running_jobs_are_asked_to_stop(place: &Place) {
    let queue = place.open().await;
    for end in [Some(Finish::Cancelled), Some(Finish::Retry(LEASE)), None] {
        let id = submit_one(&queue, "ak", "default").await;
        let claim = claim(&queue, at(1)).await;
        let mut changes = queue.changes();
        assert_eq!(queue.cancel(&id, at(2)).await.unwrap(), Some(State::Running));
        assert_eq!(changes.recv().await.unwrap(), Change::Job(id.clone()));
        assert_eq!(queue.renew(&claim, 0, at(3)).await.unwrap(), Renewal::CancelRequested);
        match end {
            Some(finish) => assert!(queue.finish(&claim, finish, at(4)).await.unwrap()),
            None => assert!(queue.claim("worker", at(100)).await.unwrap().is_none(), "its worker died"),
        }
        let job = queue.get(&id).await.unwrap().unwrap();
        assert_eq!((job.state, job.cancel_requested), (State::Cancelled, true), "{end:?}");
        assert_eq!(counters(&queue, "default").await, (0, 0));
    }
}

async fn jobs_are_tried_again_after_a_delay(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let first = claim(&queue, at(0)).await;
    queue.record(&first, 0, &stored("a")).await.unwrap();
    assert!(queue.finish(&first, Finish::Retry(Duration::from_secs(10)), at(0)).await.unwrap());
    assert_eq!(state(&queue, &id).await, State::Waiting);
    assert_eq!(counters(&queue, "default").await, (1, 0));
    assert_eq!(queue.next_job_due().await.unwrap(), Some(at(10)));
    assert!(queue.claim("worker", at(9)).await.unwrap().is_none());

    let second = claim(&queue, at(10)).await;
    assert_eq!((second.attempt, &second.job.outcomes[0]), (2, &Some(stored("a"))));
    assert_eq!(second.job.started, Some(at(0)));
    assert!(queue.finish(&second, Finish::Retry(Duration::ZERO), at(11)).await.unwrap());
    let third = claim(&queue, at(11)).await;
    assert!(queue.finish(&third, Finish::Retry(Duration::ZERO), at(12)).await.unwrap());
    let job = queue.get(&id).await.unwrap().unwrap();
    assert_eq!(job.state, State::Failed, "it was claimed as often as it may be");
    let gave_up = Failure { message: "given up after 3 attempts".to_owned(), stage: None, of_source: false };
    assert_eq!(job.outcomes, [Some(stored("a")), Some(Outcome::Failed(gave_up))]);

    let id = submit_one(&queue, "ak", "default").await;
    let claim = claim(&queue, at(20)).await;
    queue.finish(&claim, Finish::Retry(LEASE), at(20)).await.unwrap();
    assert_eq!(queue.cancel(&id, at(21)).await.unwrap(), Some(State::Cancelled));
    assert_eq!(queue.next_job_due().await.unwrap(), None);
}

async fn jobs_end_as_their_outputs_did(place: &Place) {
    let queue = place.open().await;
    let rows: [(&[Outcome], State); 4] = [
        (&[stored("a"), Outcome::Data("{}".to_owned())], State::Succeeded),
        (&[stored("a"), failed("no")], State::Failed),
        (&[stored("a")], State::Failed),
        (&[], State::Failed),
    ];
    for (outcomes, expected) in rows {
        let id = submit_one(&queue, "ak", "default").await;
        let claim = claim(&queue, at(1)).await;
        for (output, outcome) in outcomes.iter().enumerate() {
            assert!(queue.record(&claim, output, &failed("before")).await.unwrap());
            assert!(queue.record(&claim, output, outcome).await.unwrap());
        }
        assert!(queue.finish(&claim, Finish::Done, at(3)).await.unwrap());
        let job = queue.get(&id).await.unwrap().unwrap();
        assert_eq!(job.state, expected, "{outcomes:?}");
        assert_eq!(job.outcomes.into_iter().flatten().collect::<Vec<_>>(), outcomes);
    }
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

async fn notifications_live_on_after_their_jobs(place: &Place) {
    let queue = place.open().await;
    let id = ended(&queue, "ak", "http://a/", at(0)).await;
    let abandoned = due(&queue, at(0)).await;
    assert!(queue.due_notification(&[], at(59)).await.unwrap().is_none(), "it is on its way");
    let second = due(&queue, at(60)).await;
    assert_eq!((second.id, second.attempts), (abandoned.id, 2));
    queue.settle(&abandoned, Delivery::Delivered, at(61)).await.unwrap();
    let retry = Delivery::Retry { at: at(100), problem: "status 500\0".to_owned() };
    queue.settle(&second, retry, at(61)).await.unwrap();
    assert_eq!(queue.next_notification_due().await.unwrap(), Some(at(100)));
    assert!(queue.due_notification(&[], at(99)).await.unwrap().is_none());

    let third = due(&queue, at(100)).await;
    assert_eq!((third.attempts, third.last_problem.as_deref()), (3, Some("status 500\u{fffd}")));
    assert!(!queue.get(&id).await.unwrap().unwrap().is_notify_dead);
    queue.settle(&third, Delivery::Dead { problem: "status 404".to_owned() }, at(101)).await.unwrap();
    assert!(queue.get(&id).await.unwrap().unwrap().is_notify_dead);
    assert!(queue.due_notification(&[], at(1000)).await.unwrap().is_none());
    assert_eq!(queue.next_notification_due().await.unwrap(), None);

    ended(&queue, "other", "http://b/", at(0)).await;
    let count = async |owner, state| queue.notifications(owner, state, 10).await.unwrap().len();
    assert_eq!(count(None, None).await, 2);
    assert_eq!(count(Some("ak"), None).await, 1);
    assert_eq!(count(None, Some(NotificationState::Dead)).await, 1);
    assert_eq!(count(Some("ak"), Some(NotificationState::Pending)).await, 0);

    assert!(queue.replay(third.id, at(200)).await.unwrap());
    assert!(!queue.replay(third.id, at(200)).await.unwrap(), "it is to be sent already");
    assert!(!queue.replay(third.id + 1000, at(200)).await.unwrap());
    assert!(!queue.get(&id).await.unwrap().unwrap().is_notify_dead);
    let other = due(&queue, at(200)).await;
    let replayed = due(&queue, at(200)).await;
    assert_eq!((other.url.as_str(), replayed.id, replayed.attempts), ("http://b/", third.id, 1));
    queue.settle(&replayed, Delivery::Delivered, at(201)).await.unwrap();
    assert_eq!(count(Some("ak"), Some(NotificationState::Delivered)).await, 1);
}

async fn busy_targets_are_passed_over(place: &Place) {
    let queue = place.open().await;
    let (a, b) = ("http://a.example/1", "http://b.example/2");
    for url in [a, a, b] {
        ended(&queue, "ak", url, at(0)).await;
    }
    let busy = [target_of(a)];
    assert_eq!(queue.due_notification(&busy, at(1)).await.unwrap().unwrap().url, b);
    assert_eq!(queue.due_notification(&busy, at(1)).await.unwrap(), None);
    assert_eq!(queue.due_notification(&[target_of(b), target_of("http://c")], at(1)).await.unwrap().unwrap().url, a);
}

async fn what_ended_long_ago_is_forgotten(place: &Place) {
    let queue = place.open().await;
    let told = ended(&queue, "ak", "http://a/", at(0)).await;
    let notification = due(&queue, at(0)).await;
    queue.settle(&notification, Delivery::Delivered, at(0)).await.unwrap();
    let untold = ended(&queue, "ak", "http://a/", at(0)).await;
    let late = ended(&queue, "ak", "http://a/", at(50)).await;
    let waiting = submit_one(&queue, "ak", "default").await;
    assert_eq!(queue.delete_finished(at(50)).await.unwrap(), 1);
    assert_eq!(queue.get(&told).await.unwrap(), None);
    for id in [&untold, &late, &waiting] {
        assert!(queue.get(id).await.unwrap().is_some());
    }
    assert_eq!(queue.notifications(None, None, 10).await.unwrap().len(), 2);

    // More than go in one transaction.
    let mut many = Submission { is_batch: true, ..submission("b", "bulk", 510) };
    many.jobs.iter_mut().for_each(|job| job.notify = None);
    for id in queue.submit(many, at(0)).await.unwrap().jobs {
        queue.cancel(&id, at(1)).await.unwrap();
    }
    assert_eq!(queue.delete_finished(at(50)).await.unwrap(), 510);
    assert_eq!(queue.counts("b").await.unwrap(), []);
}

async fn submissions_at_once_share_no_fate(place: &Place) {
    let nodes = [place.open().await, place.open().await];
    nodes[0].configure(&QueueSettings { max_waiting: Some(10), ..settings("small") }).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..80_usize {
        let node = nodes[number % 2].clone();
        let name = if number % 4 < 2 { "small" } else { "large" };
        callers.spawn(async move {
            match node.submit(submission("ak", name, 1), at(0)).await {
                Ok(submitted) => Some((name, submitted.jobs[0].clone())),
                Err(Error::Full { limit: 10, .. }) => None,
                Err(error) => panic!("{error}"),
            }
        });
    }
    let accepted: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    for (name, count) in [("small", 10), ("large", 40)] {
        assert_eq!(accepted.iter().filter(|(of, _)| *of == name).count(), count, "{name}");
        assert_eq!(counters(&nodes[0], name).await, (count as i64, 0));
    }
    for (_, id) in accepted {
        assert_eq!(state(&nodes[1], &id).await, State::Waiting);
    }
}

async fn jobs_are_listed_page_by_page(place: &Place) {
    let queue = place.open().await;
    let mut expected = Vec::new();
    for second in 0..3 {
        // Several of the same time: their names decide.
        let mut jobs = queue.submit(submission("ak", "default", 3), at(second)).await.unwrap().jobs;
        jobs.sort();
        expected.extend(jobs);
        queue.submit(submission("other", "else", 1), at(second)).await.unwrap();
    }
    expected.reverse();
    let mut filter = Filter { owner: Some("ak".to_owned()), ..Filter::default() };
    let mut listed = Vec::new();
    loop {
        let page = queue.list(&filter, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.before = Some((last.created, last.id.clone()));
        listed.extend(page.into_iter().map(|job| job.id));
    }
    assert_eq!(listed, expected);

    let count = async |filter| queue.list(&filter, 100).await.unwrap().len();
    queue.cancel(&expected[0], at(5)).await.unwrap();
    assert_eq!(count(Filter::default()).await, 12);
    assert_eq!(count(Filter { queue: Some("else".to_owned()), ..Filter::default() }).await, 3);
    assert_eq!(count(Filter { state: Some(State::Cancelled), ..Filter::default() }).await, 1);
    assert_eq!(count(Filter { api: Some(Api::Dlcs), ..Filter::default() }).await, 0);
    assert_eq!(queue.counts("ak").await.unwrap(), [(State::Cancelled, 1), (State::Waiting, 8)]);
    assert_eq!(queue.counts("nobody").await.unwrap(), []);
}

async fn batches_are_numbered(place: &Place) {
    let queue = place.open().await;
    let batch = async |count| {
        queue.submit(Submission { is_batch: true, ..submission("ak", "default", count) }, at(0)).await.unwrap()
    };
    let (first, second) = (batch(2).await, batch(3).await);
    assert!(first.batch.is_some() && first.batch != second.batch);
    assert_eq!(queue.submit(submission("ak", "default", 1), at(0)).await.unwrap().batch, None);
    let listed = queue.list(&Filter { batch: second.batch, ..Filter::default() }, 100).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|job| job.batch == second.batch && second.jobs.contains(&job.id)));
    let refused = queue.submit(Submission { is_batch: true, ..submission("ak", "default", 1000) }, at(0)).await;
    assert!(refused.is_err());
}

async fn workers_of_two_nodes_take_each_job_once(place: &Place) {
    const JOBS: usize = 60;
    let nodes = [place.open().await, place.open().await];
    let mut workers = tokio::task::JoinSet::new();
    for (number, node) in nodes.iter().enumerate() {
        for owner in ["a", "b"] {
            let node = node.clone();
            workers.spawn(async move {
                for _ in 0..JOBS / 4 {
                    node.submit(submission(&format!("{owner}{number}"), "default", 1), at(0)).await.unwrap();
                }
                let mut taken = Vec::new();
                while let Some(claim) = node.claim(owner, at(1)).await.unwrap() {
                    succeed(&node, &claim, at(2)).await;
                    taken.push(claim.job.id);
                }
                taken
            });
        }
    }
    let mut taken = workers.join_all().await.concat();
    // What was submitted after the others had gone home.
    while let Some(claim) = nodes[0].claim("last", at(1)).await.unwrap() {
        taken.push(claim.job.id);
    }
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), JOBS);
    assert_eq!(counters(&nodes[1], "default").await.0, 0);
}

async fn two_nodes_open_a_new_database_at_once(place: &Place) {
    let nodes = futures::future::join_all((0..4).map(|_| place.open())).await;
    let id = submit_one(&nodes[0], "ak", "default").await;
    assert_eq!(claim(&nodes[3], at(0)).await.job.id, id);
}

async fn jobs_outlive_the_process(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let before = claim(&queue, at(0)).await;
    queue.close().await;
    let queue = place.open().await;
    assert_eq!(state(&queue, &id).await, State::Running);
    assert_eq!(counters(&queue, "default").await, (0, 1));
    succeed(&queue, &before, at(1)).await;
    assert_eq!(state(&queue, &id).await, State::Succeeded);
}

/// Waits for a change; the limit is only for broken code.
async fn told(changes: &mut tokio::sync::broadcast::Receiver<Change>, wanted: &Change) {
    let wait = async { while changes.recv().await.unwrap() != *wanted {} };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("{wanted:?} was not told"));
}

async fn changes_are_told(place: &Place) {
    let here = place.open().await;
    let there = if place.url.starts_with("postgres") { place.open().await } else { here.clone() };
    let mut changes = there.changes();
    let id = submit_one(&here, "ak", "default").await;
    told(&mut changes, &Change::Work).await;
    let claim = claim(&here, at(0)).await;
    told(&mut changes, &Change::Job(id.clone())).await;
    here.cancel(&id, at(1)).await.unwrap();
    told(&mut changes, &Change::Job(id.clone())).await;
    here.finish(&claim, Finish::Cancelled, at(2)).await.unwrap();
    told(&mut changes, &Change::Notification).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_again_after_a_lost_connection() {
    let Some(place) = Place::postgres().await else { return };
    let (here, there) = (place.open().await, place.open().await);
    let mut changes = there.changes();
    administer(
        &place.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    // It cannot know what it missed.
    told(&mut changes, &Change::Notification).await;
    let id = submit_one(&here, "ak", "default").await;
    claim(&here, at(0)).await;
    told(&mut changes, &Change::Job(id)).await;
    place.remove().await;
}

async fn the_next_due_time_is_known(place: &Place) {
    let queue = place.open().await;
    assert_eq!(queue.next_job_due().await.unwrap(), None);
    submit_one(&queue, "ak", "default").await;
    assert_eq!(queue.next_job_due().await.unwrap(), None, "whoever looks takes it at once");
    let claim = claim(&queue, at(0)).await;
    assert_eq!(queue.next_job_due().await.unwrap(), Some(at(60)));
    queue.renew(&claim, 0, at(10)).await.unwrap();
    ended(&queue, "ak", "http://a/", at(65)).await;
    assert_eq!(queue.next_notification_due().await.unwrap(), Some(at(65)));
    assert_eq!(queue.next_job_due().await.unwrap(), Some(at(70)));
}

async fn odd_texts_are_kept(place: &Place) {
    let queue = place.open().await;
    let odd = "春天 '\";--\u{1F600} $1 ?\u{7f}";
    let mut submission = submission(odd, odd, 1);
    submission.jobs[0].user_data = Some(format!("{odd}\0\u{1}"));
    let spec = submission.jobs[0].clone();
    let id = queue.submit(submission, at(0)).await.unwrap().jobs.remove(0);
    let claim = claim(&queue, at(0)).await;
    assert_eq!((&claim.job.id, &claim.job.spec), (&id, &spec));
    assert!(queue.record(&claim, 0, &Outcome::Data(format!("{odd}\0"))).await.unwrap());
    assert!(queue.finish(&claim, Finish::Done, at(0)).await.unwrap());
    let listed =
        queue.list_with_outcomes(&Filter { owner: Some(odd.to_owned()), ..Filter::default() }, 10).await.unwrap();
    assert_eq!(listed[0].outcomes[0], Some(Outcome::Data(format!("{odd}\0"))));
    let statuses: Vec<QueueStatus> = queue.queues().await.unwrap();
    assert_eq!(statuses[0].settings, settings(odd));
}
