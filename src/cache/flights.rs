//! One piece of work at a time for each name: whoever asks for the same meanwhile waits for it.
//!
//! Work runs to its end whoever goes away, so its results must be wanted anyway, and it must be bounded in time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::Shared;
use tokio::sync::oneshot;

/// Work that is under way. Clones share it.
#[derive(Debug)]
pub struct Flights<K, V> {
    open: Arc<Mutex<Open<K, V>>>,
    next_id: Arc<AtomicU64>,
}

type Open<K, V> = HashMap<K, (u64, Outcome<V>)>;
type Outcome<V> = Shared<oneshot::Receiver<V>>;

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { open: Arc::default(), next_id: Arc::default() }
    }
}

impl<K, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Self { open: Arc::clone(&self.open), next_id: Arc::clone(&self.next_id) }
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Waits for the work of that name, which is begun where it is not under way. `keep` sees what comes out before anybody
    /// who waits, unless the work was forgotten meanwhile. `None` where the work panicked.
    pub async fn join<W>(&self, name: &K, work: impl FnOnce() -> W, keep: impl FnOnce(&V) + Send + 'static) -> Option<V>
    where
        W: Future<Output = V> + Send + 'static,
    {
        self.outcome(name, work, keep).await.ok()
    }

    /// Begins the work of that name, unless it is under way, and waits for nothing.
    pub fn begin<W>(&self, name: &K, work: impl FnOnce() -> W, keep: impl FnOnce(&V) + Send + 'static)
    where
        W: Future<Output = V> + Send + 'static,
    {
        // The task goes on by itself.
        drop(self.outcome(name, work, keep));
    }

    /// Nobody joins what is under way for these names any more, and what comes out of it is not kept.
    pub fn forget(&self, is_forgotten: impl Fn(&K) -> bool) {
        locked(&self.open).retain(|name, _| !is_forgotten(name));
    }

    fn outcome<W>(&self, name: &K, work: impl FnOnce() -> W, keep: impl FnOnce(&V) + Send + 'static) -> Outcome<V>
    where
        W: Future<Output = V> + Send + 'static,
    {
        let mut open = locked(&self.open);
        if let Some((_, outcome)) = open.get(name) {
            return outcome.clone();
        }
        let (tell, outcome) = oneshot::channel();
        let outcome = outcome.shared();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        open.insert(name.clone(), (id, outcome.clone()));
        drop(open);
        let landing = Landing { open: Arc::clone(&self.open), name: name.clone(), id };
        let work = work();
        tokio::spawn(async move {
            let value = work.await;
            landing.keep(|| keep(&value));
            drop(landing);
            // Nobody may be there to hear it.
            let _nobody = tell.send(value);
        });
        outcome
    }
}

/// Takes its flight off the list, also where the work panics.
struct Landing<K: Eq + Hash, V> {
    open: Arc<Mutex<Open<K, V>>>,
    name: K,
    id: u64,
}

impl<K: Eq + Hash, V> Landing<K, V> {
    /// Under the lock, so that whoever forgets a name does so before this or after it.
    fn keep(&self, keep: impl FnOnce()) {
        let open = locked(&self.open);
        if open.get(&self.name).is_some_and(|(id, _)| *id == self.id) {
            keep();
        }
    }
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut open = locked(&self.open);
        if open.get(&self.name).is_some_and(|(id, _)| *id == self.id) {
            open.remove(&self.name);
        }
    }
}

/// The list is whole between any two of its statements, so a panic elsewhere does it no harm.
fn locked<K, V>(open: &Mutex<Open<K, V>>) -> MutexGuard<'_, Open<K, V>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_piece_of_work() {
        let flights = Flights::<&str, usize>::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let begun = Arc::clone(&begun);
            flights.join(
                &"a",
                move || async move {
                    tokio::task::yield_now().await;
                    begun.fetch_add(1, Ordering::SeqCst)
                },
                |_| {},
            )
        };
        assert_eq!(tokio::join!(ask(), ask(), ask()), (Some(0), Some(0), Some(0)));
        assert_eq!(ask().await, Some(1));
    }

    #[tokio::test]
    async fn what_was_forgotten_is_neither_joined_nor_kept() {
        let flights = Flights::<&str, u8>::default();
        let (kept, go) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let keep = || {
            let kept = Arc::clone(&kept);
            move |value: &u8| kept.lock().unwrap().push(*value)
        };
        let wait = Arc::clone(&go);
        let first = flights.join(
            &"a",
            || async move {
                wait.notified().await;
                1
            },
            keep(),
        );
        let second = async {
            flights.forget(|name| *name == "a");
            let second = flights.join(&"a", || async { 2 }, keep()).await;
            go.notify_one();
            second
        };
        assert_eq!(tokio::join!(biased; first, second), (Some(1), Some(2)));
        assert_eq!(*kept.lock().unwrap(), [2]);
    }

    #[tokio::test]
    async fn panics_end_their_own_flight_alone() {
        let flights = Flights::<&str, u8>::default();
        let crash = || async { panic!("on purpose") };
        assert_eq!(flights.join(&"a", crash, |_| {}).await, None);
        assert_eq!(flights.join(&"a", || async { 2 }, |_| {}).await, Some(2));
    }
}
