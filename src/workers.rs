//! Threads for pixel work: a fixed number, which keep their memory from request to request, behind a bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::engine::limits::Cancel;

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// As many wait already as may.
    Busy,
    /// It panicked.
    Crashed,
}

type Work = Box<dyn FnOnce() + Send>;

/// Who may hold a source beside those whose work is being done.
const READ_AHEAD: usize = 1;

/// A fixed number of threads, and the queue before them. They end when all clones are gone.
#[derive(Clone, Debug)]
pub struct Workers {
    /// One a thread.
    permits: Arc<Semaphore>,
    /// One a thread, and some more.
    turns: Arc<Semaphore>,
    /// One for every other thread, at least one: what jobs may hold at a time.
    jobs: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
    threads: mpsc::Sender<Work>,
}

/// A thread of one's own, or a turn, until dropped.
#[derive(Debug)]
pub struct Permit {
    _held: OwnedSemaphorePermit,
}

impl Workers {
    /// Starts `count` threads, at least one; `queue` callers may wait for them.
    ///
    /// # Panics
    /// Where the system gives no threads.
    pub fn new(count: usize, queue: usize) -> Self {
        let count = count.max(1);
        let (threads, work) = mpsc::channel::<Work>();
        let work = Arc::new(Mutex::new(work));
        for index in 0..count {
            let work = Arc::clone(&work);
            let thread = thread::Builder::new().name(format!("pixels-{index}"));
            thread.spawn(move || run_all(&work)).expect("the system gives threads");
        }
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let (permits, turns, jobs) = (semaphore(count), semaphore(count + READ_AHEAD), semaphore((count / 2).max(1)));
        Self { permits, turns, jobs, waiting: Arc::default(), queue, threads }
    }

    /// Waits until a thread will soon be free: whoever reads its source after that holds it for a short time only, and few
    /// sources are in memory, however many wait.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub async fn turn(&self) -> Result<Permit, Error> {
        self.take(&self.turns).await
    }

    /// Waits for a free thread, first come, first served.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub async fn permit(&self) -> Result<Permit, Error> {
        self.take(&self.permits).await
    }

    /// Waits until fewer jobs than half of the threads (but one where there is only one) are at work: who works for nobody that
    /// waits at a screen holds this before it reads its source, until it is done.
    ///
    /// # Errors
    /// [`Error::Busy`] where the threads are gone.
    pub async fn job_turn(&self) -> Result<Permit, Error> {
        Self::wait(&self.jobs).await
    }

    /// Waits for a free thread without taking a place in the queue of requests; for who holds a turn of
    /// [`Workers::job_turn`].
    ///
    /// # Errors
    /// [`Error::Busy`] where the threads are gone.
    pub async fn job_permit(&self) -> Result<Permit, Error> {
        Self::wait(&self.permits).await
    }

    async fn wait(semaphore: &Arc<Semaphore>) -> Result<Permit, Error> {
        let held = Arc::clone(semaphore).acquire_owned().await.map_err(|_| Error::Busy)?;
        Ok(Permit { _held: held })
    }

    async fn take(&self, semaphore: &Arc<Semaphore>) -> Result<Permit, Error> {
        if let Ok(held) = Arc::clone(semaphore).try_acquire_owned() {
            return Ok(Permit { _held: held });
        }
        let place = Waiting::take(&self.waiting);
        if place.ahead >= self.queue {
            return Err(Error::Busy);
        }
        Self::wait(semaphore).await
    }

    /// Does `work` on the thread that `permit` stands for. Where nobody waits for it any more it is told to stop; a panic
    /// ends it alone.
    ///
    /// # Errors
    /// [`Error::Crashed`].
    pub async fn run<T: Send + 'static>(
        &self,
        permit: Permit,
        work: impl FnOnce(&Cancel) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let cancel = Cancel::default();
        let _stop = CancelOnDrop(cancel.clone());
        let (answer, result) = oneshot::channel();
        let work = move || {
            let done = catch_unwind(AssertUnwindSafe(|| work(&cancel)));
            drop(permit);
            let done = done.map_err(|_| {
                tracing::error!("pixel work panicked");
                Error::Crashed
            });
            // Nobody may be there to take it.
            let _nobody = answer.send(done);
        };
        self.threads.send(Box::new(work)).map_err(|_| Error::Crashed)?;
        result.await.unwrap_or(Err(Error::Crashed))
    }
}

/// The life of a thread: one piece of work after the other, until there can be no more.
fn run_all(work: &Mutex<mpsc::Receiver<Work>>) {
    loop {
        // The lock is only held while waiting, where nothing can panic.
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(work) => work(),
            Err(mpsc::RecvError) => return,
        }
    }
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A place in the queue, given back when dropped, also when the request goes away while it waits.
struct Waiting {
    count: Arc<AtomicUsize>,
    ahead: usize,
}

impl Waiting {
    fn take(count: &Arc<AtomicUsize>) -> Self {
        let ahead = count.fetch_add(1, Ordering::Relaxed);
        Self { count: Arc::clone(count), ahead }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn work_is_done_on_threads_of_its_own() {
        let workers = Workers::new(2, 10);
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let permit = workers.permit().await.expect("a thread");
            names.insert(workers.run(permit, |_| thread::current().name().map(str::to_owned)).await.expect("a name"));
        }
        assert!(names.len() <= 2, "{names:?}");
        assert!(names.iter().flatten().all(|name| name.starts_with("pixels-")), "{names:?}");
    }

    #[tokio::test]
    async fn a_panic_leaves_the_thread() {
        let workers = Workers::new(1, 10);
        let permit = workers.permit().await.expect("the thread");
        assert_eq!(workers.run(permit, |_| panic!("on purpose")).await, Err::<(), _>(Error::Crashed));
        let permit = workers.permit().await.expect("the thread again");
        assert_eq!(workers.run(permit, |_| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_told_to_stop() {
        let workers = Workers::new(1, 10);
        let permit = workers.permit().await.expect("the thread");
        let (stopped, is_stopped) = oneshot::channel();
        let work = workers.run(permit, |cancel| {
            while cancel.check().is_ok() {
                thread::yield_now();
            }
            stopped.send(()).expect("the test waits");
        });
        let abandoned = tokio::time::timeout(std::time::Duration::from_millis(1), work).await;
        assert!(abandoned.is_err());
        is_stopped.await.expect("it stops");
    }

    #[tokio::test]
    async fn turns_are_those_of_the_threads_and_the_next() {
        let workers = Workers::new(2, 0);
        let turns = [workers.turn().await, workers.turn().await, workers.turn().await];
        assert!(turns.iter().all(Result::is_ok));
        assert_eq!(workers.turn().await.map(drop), Err(Error::Busy));
        assert!(workers.permit().await.is_ok(), "what is read needs no turn");
    }

    #[tokio::test]
    async fn jobs_leave_half_of_the_threads() {
        for (threads, share) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
            let workers = Workers::new(threads, 0);
            let mut held = Vec::new();
            for _ in 0..share {
                held.push(workers.job_turn().await.expect("a turn"));
                held.push(workers.job_permit().await.expect("a thread"));
            }
            let mut next = std::pin::pin!(workers.job_turn());
            assert!(next.as_mut().now_or_never().is_none(), "{threads} threads");
            let requests = threads - share;
            for _ in 0..requests {
                held.push(workers.permit().await.expect("a thread for a request"));
            }
            assert!(workers.permit().await.is_err(), "{threads} threads");
            drop(held);
            assert!(next.await.is_ok());
        }
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let workers = Workers::new(1, 1);
        let permit = workers.permit().await.expect("the thread");
        let waits = tokio::spawn({
            let workers = workers.clone();
            async move { workers.permit().await.map(drop) }
        });
        while workers.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(workers.permit().await.map(drop), Err(Error::Busy));
        drop(permit);
        assert_eq!(waits.await.expect("no panic"), Ok(()));
    }
}
