//! The life of a claimed job: work, store, record; renewed all the while, and let go of in one of three ways.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

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
        while let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            match self.queue.claim(&self.name, SystemTime::now()).await {
                Ok(Some(claim)) => {
                    running.spawn(self.clone().process(claim, stop.child_token(), slot));
                }
                Ok(None) => return,
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

    async fn process(self, claim: Claim, stop: CancellationToken, slot: OwnedSemaphorePermit) {
        let id = claim.job.id.clone();
        tracing::info!(job = %id, attempt = claim.attempt, queue = claim.job.queue, "job started");
        // Subscribed before the work starts, so that no wish to cancel is missed.
        let changes = self.queue.changes();
        let ended = tokio::select! {
            ended = self.work.run(&self.queue, &claim) => ended,
            ended = self.hold(&claim, changes) => ended,
            () = stop.cancelled() => Ok(Ended::Stopped),
        };
        match self.let_go(&claim, ended).await {
            Ok(()) => tracing::info!(job = %id, "job ended"),
            // The lease will pass, and another worker finish it.
            Err(error) => tracing::error!(job = %id, %error, "the end of a job could not be recorded"),
        }
        drop(slot);
    }

    /// Renews the lease until the job is lost or to be stopped.
    async fn hold(&self, claim: &Claim, mut changes: broadcast::Receiver<Change>) -> Result<Ended, Error> {
        let pause = self.queue.settings().lease / 3;
        let this = Change::Job(claim.job.id.clone());
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = changed(&mut changes, |change| *change == this) => {}
            }
            match self.queue.renew(claim, self.work.progress(&claim.job.id), SystemTime::now()).await {
                Ok(Renewal::Held) => {}
                Ok(Renewal::CancelRequested) => return Ok(Ended::Cancelled),
                Ok(Renewal::Lost) => return Ok(Ended::Lost),
                // The next try may succeed before the lease has passed; if not, what this worker writes is refused.
                Err(error) => tracing::warn!(job = %claim.job.id, %error, "a lease could not be renewed"),
            }
        }
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

/// How long a job waits after its `attempt`, counted from 1, failed for a reason that may pass.
fn pause_after(attempt: i32) -> Duration {
    let index = usize::try_from(attempt - 1).unwrap_or_default().min(PAUSES_SECONDS.len() - 1);
    Duration::from_secs(PAUSES_SECONDS[index])
}
