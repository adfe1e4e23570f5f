//! Threads for pixel work: a fixed number, which keep their memory from request to request, behind a bounded queue. Who
//! works holds a thread and the memory that the work was predicted to take.

mod turns;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::engine::limits::Cancel;
use turns::Turns;
pub use turns::{Asker, Lane, Turn};

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// As many wait already as may, or it cannot be done in time.
    Busy,
    /// It would take more memory than there is for all.
    TooLarge {
        /// Predicted bytes.
        bytes: u64,
        /// Bytes that there are.
        limit: u64,
    },
    /// It panicked.
    Crashed,
}

/// A third of the share of a thread that answers, when both want the processor.
#[cfg(target_os = "linux")]
const PIXEL_NICENESS: i32 = 5;

type Work = Box<dyn FnOnce() + Send>;

/// Who may hold a source beside those whose work is being done.
const READ_AHEAD: usize = 1;

/// How much is taken on at a time.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Threads, at least one.
    pub threads: usize,
    /// Requests that may wait for a turn.
    pub queue: usize,
    /// Memory that the work on all threads may take together, by prediction.
    pub memory_bytes: u64,
}

/// A fixed number of threads, and the queue before them. They end when all clones are gone.
#[derive(Clone, Debug)]
pub struct Workers {
    /// One a thread.
    permits: Arc<Semaphore>,
    /// A place for each thread, and some more.
    turns: Arc<Turns>,
    /// One for every other thread, at least one: what jobs may hold at a time.
    jobs: Arc<Semaphore>,
    /// In units of [`MEMORY_UNIT_BYTES`].
    memory: Arc<Semaphore>,
    memory_bytes: u64,
    count: usize,
    threads: mpsc::Sender<Work>,
}

/// What memory is counted in: more units than a semaphore can count would be needed for single bytes.
const MEMORY_UNIT_BYTES: u64 = 64 << 10;

/// A thread of one's own and memory, or a job's turn, until dropped.
#[derive(Debug)]
pub struct Permit {
    _held: OwnedSemaphorePermit,
    _memory: Option<OwnedSemaphorePermit>,
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Panics
    /// Where the system gives no threads.
    pub fn new(settings: Settings) -> Self {
        let count = settings.threads.max(1);
        let (threads, work) = mpsc::channel::<Work>();
        let work = Arc::new(Mutex::new(work));
        for index in 0..count {
            let work = Arc::clone(&work);
            let thread = thread::Builder::new().name(format!("pixels-{index}"));
            let life = move || {
                give_way();
                run_all(&work);
            };
            thread.spawn(life).expect("the system gives threads");
        }
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            permits: semaphore(count),
            turns: Turns::new(count + READ_AHEAD, settings.queue),
            jobs: semaphore((count / 2).max(1)),
            memory: semaphore(units(settings.memory_bytes) as usize),
            memory_bytes: settings.memory_bytes,
            count,
            threads,
        }
    }

    /// Requests that wait for a turn.
    pub fn waiting(&self) -> usize {
        self.turns.waiting()
    }

    /// Waits until a thread will soon be free: whoever reads its source after that holds it for a short time only, and few
    /// sources are in memory, however many wait. See `turns.rs` for who is next.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub async fn turn(&self, asker: Asker) -> Result<Turn, Error> {
        self.turns.take(asker).await
    }

    /// Waits for a free thread and for memory, first come, first served; for who holds a turn, or one of
    /// [`Workers::job_turn`].
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub async fn permit(&self, memory_bytes: u64) -> Result<Permit, Error> {
        if memory_bytes > self.memory_bytes {
            return Err(Error::TooLarge { bytes: memory_bytes, limit: self.memory_bytes });
        }
        // Whoever has a thread has its memory too, and comes to an end: nobody waits in a circle.
        let memory = Arc::clone(&self.memory).acquire_many_owned(units(memory_bytes)).await.map_err(|_| Error::Busy)?;
        Ok(Permit { _held: Self::wait(&self.permits).await?, _memory: Some(memory) })
    }

    /// Waits until fewer jobs than half of the threads (but one where there is only one) are at work: who works for nobody that
    /// waits at a screen holds this before it reads its source, until it is done.
    ///
    /// # Errors
    /// [`Error::Busy`] where the threads are gone.
    pub async fn job_turn(&self) -> Result<Permit, Error> {
        Ok(Permit { _held: Self::wait(&self.jobs).await?, _memory: None })
    }

    /// Memory that the work on all threads may take together, by prediction.
    pub const fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Callers that wait, busy threads, and all threads.
    pub fn load(&self) -> (usize, usize, usize) {
        let busy = self.count.saturating_sub(self.permits.available_permits());
        (self.waiting(), busy, self.count)
    }

    async fn wait(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(semaphore).acquire_owned().await.map_err(|_| Error::Busy)
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
        // What is said on the thread names the request that it is done for.
        let span = tracing::Span::current();
        let work = move || {
            let _entered = span.enter();
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

/// Whoever answers from memory goes first where there are fewer processors than threads that could use one: a hit takes some
/// microseconds, a picture many milliseconds.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        // A thread has a priority of its own there. Without one the system shares alike.
        let _ = rustix::process::nice(PIXEL_NICENESS);
    }
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Begun units count as whole ones.
fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(MEMORY_UNIT_BYTES)).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures::FutureExt as _;

    use super::*;

    fn workers(threads: usize, queue: usize) -> Workers {
        Workers::new(Settings { threads, queue, memory_bytes: 100 * MEMORY_UNIT_BYTES })
    }

    fn anybody() -> Asker {
        Asker { lane: Lane::default(), deadline: Instant::now() + Duration::from_secs(60) }
    }

    #[tokio::test]
    async fn work_is_done_on_threads_of_its_own() {
        let workers = workers(2, 10);
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let permit = workers.permit(0).await.expect("a thread");
            names.insert(workers.run(permit, |_| thread::current().name().map(str::to_owned)).await.expect("a name"));
        }
        assert!(names.len() <= 2, "{names:?}");
        assert!(names.iter().flatten().all(|name| name.starts_with("pixels-")), "{names:?}");
    }

    #[tokio::test]
    async fn a_panic_leaves_the_thread() {
        let workers = workers(1, 10);
        let permit = workers.permit(0).await.expect("the thread");
        assert_eq!(workers.run(permit, |_| panic!("on purpose")).await, Err::<(), _>(Error::Crashed));
        let permit = workers.permit(0).await.expect("the thread again");
        assert_eq!(workers.run(permit, |_| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_told_to_stop() {
        let workers = workers(1, 10);
        let permit = workers.permit(0).await.expect("the thread");
        let (stopped, is_stopped) = oneshot::channel();
        let work = workers.run(permit, |cancel| {
            while cancel.check().is_ok() {
                thread::yield_now();
            }
            stopped.send(()).expect("the test waits");
        });
        let abandoned = tokio::time::timeout(Duration::from_millis(1), work).await;
        assert!(abandoned.is_err());
        is_stopped.await.expect("it stops");
    }

    #[tokio::test]
    async fn turns_are_those_of_the_threads_and_the_next() {
        let workers = workers(2, 0);
        let turns = [workers.turn(anybody()).await, workers.turn(anybody()).await, workers.turn(anybody()).await];
        assert!(turns.iter().all(Result::is_ok));
        assert_eq!(workers.turn(anybody()).await.map(drop), Err(Error::Busy));
    }

    #[tokio::test]
    async fn memory_is_shared_out() {
        let workers = workers(2, 0);
        let most = 100 * MEMORY_UNIT_BYTES;
        let refused = workers.permit(most + 1).await.map(drop);
        assert_eq!(refused, Err(Error::TooLarge { bytes: most + 1, limit: most }));
        let first = workers.permit(most / 2 + 1).await.expect("memory");
        let mut second = std::pin::pin!(workers.permit(most / 2));
        assert!(second.as_mut().now_or_never().is_none(), "begun units count as whole ones");
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn jobs_leave_half_of_the_threads() {
        for (threads, share) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
            let workers = workers(threads, 0);
            let mut held = Vec::new();
            for _ in 0..share {
                held.push(workers.job_turn().await.expect("a turn"));
                held.push(workers.permit(0).await.expect("a thread"));
            }
            let mut next = std::pin::pin!(workers.job_turn());
            assert!(next.as_mut().now_or_never().is_none(), "{threads} threads");
            let requests = threads - share;
            for _ in 0..requests {
                held.push(workers.permit(0).await.expect("a thread for a request"));
            }
            assert!(workers.permit(0).now_or_never().is_none(), "{threads} threads");
            drop(held);
            assert!(next.await.is_ok());
        }
    }
}
