//! The life of a claimed job: work, store, record; renewed all the while, and let go of in one of three ways.
//!
//! A worker that cannot renew its lease stops the job before another may take it, by its own clock that no one sets.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::model::{Claim, Finish, Renewal};
use super::queue::{Change, Error, Queue, changed};
use super::work::{Ended, Work};

/// Shortest time between two looks at the queue without news.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// How long a failure of the database is waited out.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Longest pause of a job whose results have no room: making them again in vain costs as much as making them.
const LONGEST_WITHOUT_ROOM: Duration = Duration::from_secs(60);
/// Pauses before the second, third, … attempt of a job that failed for a reason that may pass.
const PAUSES_SECONDS: [u64; 4] = [1, 5, 30, 120];

/// Runs jobs of a queue.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Where jobs come from.
    pub queue: Queue,
    /// What does them.
    pub work: Arc<Work>,
    /// Names this worker in the database.
    pub name: String,
    /// Jobs at once.
    pub slots: usize,
}

impl Worker {
    /// Runs jobs until `stop`; then those that run are put back for other workers.
    pub async fn run(self, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.slots));
        let mut running = JoinSet::new();
        let mut changes = self.queue.changes();
        while !stop.is_cancelled() {
            self.fill(&slots, &mut running, &stop).await;
            let longest = self.until_due().await;
            tokio::select! {
                () = stop.cancelled() => {}
                // A slot is free.
                Some(_) = running.join_next() => {}
                () = changed(&mut changes, |change| *change == Change::Work), if slots.available_permits() > 0 => {}
                () = tokio::time::sleep(longest), if slots.available_permits() > 0 => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Takes jobs while there are any and slots are free.
    async fn fill(&self, slots: &Arc<Semaphore>, running: &mut JoinSet<()>, stop: &CancellationToken) {
        loop {
            let free: Vec<_> = std::iter::from_fn(|| Arc::clone(slots).try_acquire_owned().ok()).collect();
            if free.is_empty() {
                return;
            }
            let lease = Lease::from_now(self.queue.settings().lease);
            match self.queue.claim_many(&self.name, free.len(), SystemTime::now()).await {
                Ok(claims) if claims.is_empty() => return,
                Ok(claims) => {
                    for (claim, slot) in claims.into_iter().zip(free) {
                        running.spawn(self.clone().process(claim, lease, stop.child_token(), slot));
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "jobs cannot be taken from the queue");
                    tokio::time::sleep(AFTER_FAILURE).await;
                    return;
                }
            }
        }
    }

    /// How long nothing will come due by itself. Of a lease that another node takes nothing is heard: no longer than that.
    async fn until_due(&self) -> Duration {
        let longest = self.queue.settings().lease;
        match self.queue.next_job_due().await {
            Ok(Some(due)) => due.duration_since(SystemTime::now()).unwrap_or_default().clamp(SHORTEST_WAIT, longest),
            Ok(None) => longest,
            Err(_) => AFTER_FAILURE,
        }
    }

    async fn process(self, claim: Claim, lease: Lease, stop: CancellationToken, slot: OwnedSemaphorePermit) {
        let id = claim.job.id.clone();
        tracing::info!(job = %id, attempt = claim.attempt, queue = claim.job.queue, "job started");
        // Subscribed before the work starts, so that no wish to cancel is missed.
        let changes = self.queue.changes();
        let progress = || self.work.progress(&id);
        let ended = tokio::select! {
            ended = self.work.run(&self.queue, &claim) => ended,
            ended = hold(&self.queue, &claim, lease, progress, changes) => Ok(ended),
            () = stop.cancelled() => Ok(Ended::Stopped),
        };
        match self.let_go(&claim, ended).await {
            Ok(()) => tracing::info!(job = %id, "job ended"),
            // The lease will pass, and another worker finish it.
            Err(error) => tracing::error!(job = %id, %error, "the end of a job could not be recorded"),
        }
        drop(slot);
    }

    async fn let_go(&self, claim: &Claim, ended: Result<Ended, Error>) -> Result<(), Error> {
        let finish = match ended? {
            Ended::Done => Finish::Done,
            Ended::Cancelled => Finish::Cancelled,
            Ended::Stopped => Finish::Released,
            Ended::ForNow => Finish::Retry(pause_after(claim.attempt)),
            Ended::NoRoom => Finish::Postponed(pause_without_room(claim.attempt)),
            Ended::Lost => return Ok(()),
        };
        self.queue.finish(claim, finish, SystemTime::now()).await.map(|_| ())
    }
}

/// How long a job waits for room after its `attempt`: twice as long each time, up to [`LONGEST_WITHOUT_ROOM`].
fn pause_without_room(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt - 1).unwrap_or_default().min(16);
    Duration::from_secs(1 << doublings).min(LONGEST_WITHOUT_ROOM)
}

/// How long a worker may believe that it holds a job.
#[derive(Clone, Copy, Debug)]
struct Lease {
    length: Duration,
    /// Earlier than the database lets another have the job: counted from before it was asked, and with time to stop.
    until: Instant,
}

impl Lease {
    /// One that is asked for now.
    fn from_now(length: Duration) -> Self {
        Self { length, until: Instant::now() + length - length / LEASES_PART_TO_STOP }
    }

    /// When it is renewed next.
    fn pause(&self) -> Duration {
        self.length / 3
    }
}

/// So much of a lease is left to a job that could not be renewed, to stop: a tenth.
const LEASES_PART_TO_STOP: u32 = 10;

/// Renews the lease until the job is lost or to be stopped. A job whose lease could not be renewed in time is lost.
async fn hold(
    queue: &Queue,
    claim: &Claim,
    mut lease: Lease,
    progress: impl Fn() -> i32,
    mut changes: broadcast::Receiver<Change>,
) -> Ended {
    let this = Change::Job(claim.job.id.clone());
    let mut pause = lease.pause();
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changed(&mut changes, |change| *change == this) => {}
        }
        let renewed = Lease::from_now(lease.length);
        let renewal = queue.renew(claim, progress(), SystemTime::now());
        match tokio::time::timeout_at(lease.until.into(), renewal).await {
            Ok(Ok(Renewal::Held)) => {
                (lease, pause) = (renewed, renewed.pause());
                continue;
            }
            Ok(Ok(Renewal::CancelRequested)) => return Ended::Cancelled,
            Ok(Ok(Renewal::Lost)) => return Ended::Lost,
            Ok(Err(error)) => tracing::warn!(job = %claim.job.id, %error, "a lease could not be renewed"),
            Err(_) => tracing::warn!(job = %claim.job.id, "a lease could not be renewed: the database does not answer"),
        }
        if Instant::now() >= lease.until {
            tracing::error!(job = %claim.job.id, "a job is stopped: its lease could not be renewed in time");
            return Ended::Lost;
        }
        pause = lease.length / LEASES_PART_TO_STOP;
    }
}

/// How long a job waits after its `attempt`, counted from 1, failed for a reason that may pass.
fn pause_after(attempt: i32) -> Duration {
    let index = usize::try_from(attempt - 1).unwrap_or_default().min(PAUSES_SECONDS.len() - 1);
    Duration::from_secs(PAUSES_SECONDS[index])
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::jobs::model::{Api, JobSpec, Source, Submission};
    use crate::jobs::queue::Settings;

    async fn claimed(queue: &Queue) -> Claim {
        let spec = JobSpec {
            source: Source::Url("http://example.com/cat.jpg".to_owned()),
            outputs: Vec::new(),
            notify: None,
            force: false,
            user_data: None,
            wording: None,
            request_id: String::new(),
        };
        let (owner, name) = ("ak".to_owned(), "default".to_owned());
        let submission =
            Submission { api: Api::Qiniu, owner, queue: name, priority: 0, jobs: vec![spec], is_batch: false };
        queue.submit(submission, SystemTime::now()).await.unwrap();
        queue.claim("worker", SystemTime::now()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_job_stops_when_the_database_is_gone_for_as_long_as_its_lease() {
        let settings = Settings { lease: Duration::from_millis(200), ..Settings::default() };
        let queue = Queue::open("sqlite::memory:", settings).await.unwrap();
        let claim = claimed(&queue).await;
        let changes = queue.changes();
        queue.close().await;
        let lease = Lease::from_now(settings.lease);
        assert_eq!(hold(&queue, &claim, lease, || 0, changes).await, Ended::Lost);
    }

    #[tokio::test]
    async fn a_lease_is_renewed_until_the_job_is_cancelled() {
        let settings = Settings { lease: Duration::from_millis(30), ..Settings::default() };
        let queue = Queue::open("sqlite::memory:", Settings::default()).await.unwrap();
        let claim = claimed(&queue).await;
        let mut told = queue.changes();
        let progress = std::sync::atomic::AtomicI32::new(0);
        let next = || progress.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let owner = async {
            for _ in 0..5 {
                let _ = told.recv().await;
            }
            queue.cancel(&claim.job.id, SystemTime::now()).await.unwrap();
        };
        let lease = Lease { until: Instant::now() + Duration::from_secs(600), length: settings.lease };
        let (ended, ()) = tokio::join!(hold(&queue, &claim, lease, next, queue.changes()), owner);
        assert_eq!(ended, Ended::Cancelled);
    }
}
