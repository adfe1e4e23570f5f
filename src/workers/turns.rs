//! Who is next where more ask than there is room for.
//!
//! Callers stand in lanes, one for each client. A free place goes to the lane that was served least since it began to wait,
//! and in it to whoever has to be done first. So a crawler with a thousand requests in its lane delays another client's
//! by about one. Where the queue is full, the longest lane gives way: its request with the most time left is refused.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Error;

/// A lane of the queue: a number for each client, whoever that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lane(pub u64);

/// A client is an IPv4 address, or an IPv6 network of 64 bits: what one subscriber has.
impl From<IpAddr> for Lane {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        })
    }
}

/// On whose behalf something is done, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// Whose turn it takes.
    pub lane: Lane,
    /// When it has to be done.
    pub deadline: Instant,
}

/// A fixed number of places, and the queue before them.
#[derive(Debug)]
pub(super) struct Turns {
    places: usize,
    /// Most callers that wait.
    queue: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    waiting: usize,
    lanes: HashMap<Lane, Waiting>,
    /// How often the lane that was served last had been served: lanes that come now begin here.
    served: u64,
    /// Numbers callers, so that equal deadlines keep their order.
    number: u64,
    /// How long places are held, on a moving average.
    hold: Option<Duration>,
}

/// One lane.
#[derive(Debug, Default)]
struct Waiting {
    served: u64,
    callers: BTreeMap<Ticket, oneshot::Sender<Turn>>,
}

/// Earliest deadline first, then first come, first served.
type Ticket = (Instant, u64);

/// Some work takes so many times longer than the average, and is to be done in time too.
const MARGIN: u32 = 3;

/// A place, until dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Option<Arc<Turns>>,
    since: Instant,
}

impl Turns {
    pub(super) fn new(places: usize, queue: usize) -> Arc<Self> {
        Arc::new(Self { places, queue, state: Mutex::default() })
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// A place, when it is the caller's turn. Whoever is dropped while waiting leaves the queue.
    ///
    /// # Errors
    /// [`Error::Busy`] where the queue is full, or the deadline would pass before the work is done as far as the moving
    /// average can tell.
    pub(super) async fn take(self: &Arc<Self>, asker: Asker) -> Result<Turn, Error> {
        let (ticket, turn) = match self.enter(asker, Instant::now()) {
            Entered::Served(turn) => return Ok(turn),
            Entered::Refused => return Err(Error::Busy),
            Entered::Waits(ticket, turn) => (ticket, turn),
        };
        let _leave = LeaveOnDrop { turns: self, lane: asker.lane, ticket };
        match tokio::time::timeout_at(asker.deadline.into(), turn).await {
            Ok(Ok(turn)) => Ok(turn),
            // Its time has passed, or another lane has its place in the queue.
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }

    fn enter(self: &Arc<Self>, asker: Asker, now: Instant) -> Entered {
        let mut state = self.state();
        if state.taken < self.places {
            state.taken += 1;
            return Entered::Served(Turn::new(self, now));
        }
        let time_left = asker.deadline.saturating_duration_since(now);
        if state.expected_wait(asker, self.places) > time_left || !state.has_room(asker.lane, self.queue) {
            return Entered::Refused;
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = state.add(asker, sender);
        Entered::Waits(ticket, receiver)
    }

    /// Hands a place on to whoever is next.
    fn release(self: &Arc<Self>, held: Duration) {
        let mut state = self.state();
        state.hold = Some(state.hold.map_or(held, |mean| (mean * 7 + held) / 8));
        let now = Instant::now();
        while let Some((deadline, caller)) = state.next() {
            // Begun too late it would be given up half done, and so would be the next, and no one would be served.
            if state.hold.is_some_and(|hold| now + hold * MARGIN > deadline) {
                continue;
            }
            // A caller that is gone hands the place back, as a mere value: dropping it would come here again.
            match caller.send(Turn::new(self, now)) {
                Ok(()) => return,
                Err(mut turn) => turn.turns = None,
            }
        }
        state.taken -= 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Entered {
    Served(Turn),
    Waits(Ticket, oneshot::Receiver<Turn>),
    Refused,
}

impl State {
    /// How long a caller would wait and then work: those that go before it are all of its own lane with an earlier deadline, and
    /// as many of each other lane.
    fn expected_wait(&self, asker: Asker, places: usize) -> Duration {
        let Some(hold) = self.hold else { return Duration::ZERO };
        let own =
            self.lanes.get(&asker.lane).map_or(0, |lane| lane.callers.range(..=(asker.deadline, u64::MAX)).count());
        let others = self.lanes.iter().filter(|(lane, _)| **lane != asker.lane);
        let ahead = own + others.map(|(_, lane)| lane.callers.len().min(own + 1)).sum::<usize>();
        let rounds = u32::try_from(ahead / places.max(1) + 2).unwrap_or(u32::MAX);
        hold.saturating_mul(rounds)
    }

    /// Whether one more of `lane` may wait; the longest lane makes room for shorter ones.
    fn has_room(&mut self, lane: Lane, queue: usize) -> bool {
        if self.waiting < queue {
            return true;
        }
        let own = self.lanes.get(&lane).map_or(0, |lane| lane.callers.len());
        let longest = self.lanes.iter_mut().max_by_key(|(_, lane)| lane.callers.len());
        let Some((_, longest)) = longest.filter(|(_, lane)| lane.callers.len() > own + 1) else { return false };
        // Dropping its sender is what tells it.
        longest.callers.pop_last();
        self.waiting -= 1;
        true
    }

    fn add(&mut self, asker: Asker, sender: oneshot::Sender<Turn>) -> Ticket {
        self.number += 1;
        let ticket = (asker.deadline, self.number);
        let served = self.served;
        let lane = self.lanes.entry(asker.lane).or_insert_with(|| Waiting { served, ..Waiting::default() });
        lane.callers.insert(ticket, sender);
        self.waiting += 1;
        ticket
    }

    /// Whoever is next, with its deadline.
    fn next(&mut self) -> Option<(Instant, oneshot::Sender<Turn>)> {
        let first = |waiting: &Waiting| waiting.callers.first_key_value().map(|(ticket, _)| *ticket);
        let (&lane, waiting) = self.lanes.iter_mut().min_by_key(|(_, waiting)| (waiting.served, first(waiting)))?;
        self.served = waiting.served;
        waiting.served += 1;
        let ticket = first(waiting)?;
        Some((ticket.0, self.remove(lane, ticket)?))
    }

    fn remove(&mut self, lane: Lane, ticket: Ticket) -> Option<oneshot::Sender<Turn>> {
        let waiting = self.lanes.get_mut(&lane)?;
        let sender = waiting.callers.remove(&ticket)?;
        self.waiting -= 1;
        if waiting.callers.is_empty() {
            self.lanes.remove(&lane);
        }
        Some(sender)
    }
}

impl Turn {
    fn new(turns: &Arc<Turns>, since: Instant) -> Self {
        Self { turns: Some(Arc::clone(turns)), since }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.release(self.since.elapsed());
        }
    }
}

/// Takes a caller out of the queue, where it still stands.
struct LeaveOnDrop<'a> {
    turns: &'a Turns,
    lane: Lane,
    ticket: Ticket,
}

impl Drop for LeaveOnDrop<'_> {
    fn drop(&mut self) {
        self.turns.state().remove(self.lane, self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn asker(lane: u64, seconds: u64) -> Asker {
        Asker { lane: Lane(lane), deadline: Instant::now() + Duration::from_secs(seconds) }
    }

    type Caller<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Turn, Error>> + 'a>>;

    /// Callers that wait, polled once in this order, each with a name.
    struct Queue<'a> {
        waiting: Vec<(&'a str, Caller<'a>)>,
    }

    impl<'a> Queue<'a> {
        fn of(turns: &'a Arc<Turns>, callers: &[(&'a str, Asker)]) -> Self {
            let mut queue = Self { waiting: Vec::new() };
            for (name, asker) in callers {
                let mut caller: Caller<'_> = Box::pin(turns.take(*asker));
                assert!(caller.as_mut().now_or_never().is_none(), "{name} waits");
                queue.waiting.push((name, caller));
            }
            queue
        }

        /// The names of those that have an answer now, with it.
        fn answered(&mut self) -> Vec<(&'a str, Result<Turn, Error>)> {
            let mut answered = Vec::new();
            self.waiting.retain_mut(|(name, caller)| match caller.as_mut().now_or_never() {
                Some(answer) => {
                    answered.push((*name, answer));
                    false
                }
                None => true,
            });
            answered
        }

        /// Everybody's name in the order in which they are served, one place going round.
        fn served(&mut self, first: Turn) -> Vec<&'a str> {
            let mut names = Vec::new();
            let mut place = Some(first);
            while place.take().is_some() {
                let mut next = self.answered();
                assert!(next.len() <= 1, "there is one place");
                if let Some((name, turn)) = next.pop() {
                    names.push(name);
                    place = turn.ok();
                }
            }
            names
        }
    }

    async fn first(turns: &Arc<Turns>) -> Turn {
        turns.take(asker(0, 60)).await.expect("a free place")
    }

    #[tokio::test]
    async fn lanes_take_turns_and_deadlines_order_each() {
        let turns = Turns::new(1, 10);
        let place = first(&turns).await;
        let callers = [
            ("late", asker(1, 50)),
            ("early", asker(1, 20)),
            ("middle", asker(1, 30)),
            ("other", asker(2, 40)),
            ("other's second", asker(2, 45)),
        ];
        let mut queue = Queue::of(&turns, &callers);
        assert_eq!(queue.served(place), ["early", "other", "middle", "other's second", "late"]);
        assert_eq!(turns.waiting(), 0);
        assert!(turns.state().lanes.is_empty());
        assert_eq!(turns.state().taken, 0);
    }

    #[tokio::test]
    async fn a_lane_that_comes_later_is_next() {
        let turns = Turns::new(1, 20);
        let place = first(&turns).await;
        let mut crawler = Queue::of(&turns, &[("crawler", asker(1, 20)); 8]);
        drop(place);
        let place = crawler.answered().pop();
        let mut newcomer = Queue::of(&turns, &[("newcomer", asker(2, 60))]);
        drop(place);
        assert!(crawler.answered().is_empty());
        assert_eq!(newcomer.answered().len(), 1);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_its_longest_lane() {
        let turns = Turns::new(1, 3);
        let place = first(&turns).await;
        let crawler = [("a", asker(1, 20)), ("c", asker(1, 40)), ("b", asker(1, 30))];
        let mut queue = Queue::of(&turns, &crawler);
        assert_eq!(turns.take(asker(1, 10)).await.map(drop), Err(Error::Busy), "the crawler has its share");
        let mut other = Queue::of(&turns, &[("other", asker(2, 60))]);
        let refused = queue.answered();
        assert!(matches!(refused.as_slice(), [("c", Err(Error::Busy))]), "{refused:?}");
        drop(place);
        let (name, _turn) = queue.answered().pop().expect("the first has it");
        assert_eq!(name, "a");
        assert!(other.answered().is_empty());
    }

    #[tokio::test]
    async fn who_leaves_is_passed_over() {
        let turns = Turns::new(1, 10);
        let place = first(&turns).await;
        let mut queue = Queue::of(&turns, &[("gone", asker(1, 10)), ("there", asker(1, 20))]);
        drop(queue.waiting.remove(0));
        assert_eq!(turns.waiting(), 1);
        assert_eq!(queue.served(place), ["there"]);
        // Served, but never looked: the place comes back.
        let place = first(&turns).await;
        let queue = Queue::of(&turns, &[("served", asker(1, 10))]);
        drop(place);
        drop(queue);
        assert_eq!(turns.state().taken, 0);
    }

    #[tokio::test]
    async fn who_cannot_be_done_in_time_any_more_is_passed_over() {
        let turns = Turns::new(1, 10);
        let place = first(&turns).await;
        let mut queue = Queue::of(&turns, &[("late", asker(1, 20)), ("in time", asker(1, 1000))]);
        turns.release(Duration::from_secs(100));
        let answered = queue.answered();
        assert!(matches!(answered.as_slice(), [("late", Err(Error::Busy)), ("in time", Ok(_))]), "{answered:?}");
        std::mem::forget(place);
    }

    #[tokio::test]
    async fn a_deadline_that_cannot_be_met_is_refused_at_once() {
        let turns = Turns::new(1, 10);
        turns.state().hold = Some(Duration::from_secs(2));
        let _place = first(&turns).await;
        assert_eq!(turns.take(asker(1, 3)).now_or_never().map(|turn| turn.map(drop)), Some(Err(Error::Busy)));
        let mut queue = Queue::of(&turns, &[("has time", asker(1, 5))]);
        assert_eq!(turns.take(asker(1, 5)).now_or_never().map(|turn| turn.map(drop)), Some(Err(Error::Busy)));
        assert!(turns.take(asker(1, 9)).now_or_never().is_none(), "after one more");
        assert!(queue.answered().is_empty());
    }
}
