//! Random lives of jobs, against a plain model of what the queue promises: whatever comes in which order, every job is where
//! the model has it, the counters are what a recount says, and in the end every job has ended and every owner was told.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use mogr::jobs::model::{
    Api, Claim, Destination, Failure, Filter, Finish, JobId, JobSpec, Notify, Outcome, OutputSpec, QueueSettings,
    Renewal, Source, State, Submission,
};
use mogr::jobs::queue::{Delivery, Error, Queue, Settings};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::jobs_queue::Place;

const LEASE: Duration = Duration::from_secs(60);
const MAX_ATTEMPTS: i32 = 3;
/// Most jobs of one owner that wait in a queue: more than the smallest queue takes at all.
const MAX_WAITING_PER_OWNER: i64 = 6;

/// Name, priority, most running and most waiting jobs.
const QUEUES: [(&str, i32, Option<i32>, Option<i32>); 3] =
    [("urgent", 1, Some(2), None), ("plain", 0, None, None), ("small", 0, Some(1), Some(4))];

/// What a caller, a worker or time does. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Submit { queue: usize, owner: usize, priority: i32, count: usize },
    Claim,
    Renew { claim: usize },
    Record { claim: usize, output: usize, is_failed: bool },
    Finish { claim: usize, finish: Finish },
    Cancel { job: usize },
    Pause { queue: usize, paused: bool },
    Pass { seconds: u64 },
    Notify { ended: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let finish = prop_oneof![
        3 => Just(Finish::Done),
        1 => Just(Finish::Cancelled),
        1 => Just(Finish::Released),
        1 => Just(Finish::Retry(Duration::ZERO)),
        1 => Just(Finish::Retry(Duration::from_secs(30))),
        1 => Just(Finish::Postponed(Duration::from_secs(30))),
    ];
    prop_oneof![
        4 => (0..3_usize, 0..3_usize, 0..2, 1..4_usize)
            .prop_map(|(queue, owner, priority, count)| Step::Submit { queue, owner, priority, count }),
        8 => Just(Step::Claim),
        2 => any::<usize>().prop_map(|claim| Step::Renew { claim }),
        6 => (any::<usize>(), 0..2_usize, proptest::bool::weighted(0.2))
            .prop_map(|(claim, output, is_failed)| Step::Record { claim, output, is_failed }),
        4 => (any::<usize>(), finish).prop_map(|(claim, finish)| Step::Finish { claim, finish }),
        1 => any::<usize>().prop_map(|job| Step::Cancel { job }),
        1 => (0..3_usize, any::<bool>()).prop_map(|(queue, paused)| Step::Pause { queue, paused }),
        2 => (1..80_u64).prop_map(|seconds| Step::Pass { seconds }),
        2 => (0..3_usize).prop_map(|ended| Step::Notify { ended }),
    ]
}

/// A job as the model has it.
#[derive(Clone, Debug)]
struct Known {
    id: JobId,
    queue: usize,
    owner: usize,
    priority: i32,
    state: State,
    attempt: i32,
    /// The claim that took it last.
    holder: String,
    until: Option<SystemTime>,
    cancel_requested: bool,
    outcomes: [Option<Outcome>; 2],
}

impl Known {
    fn is_ready(&self, now: SystemTime) -> bool {
        self.state == State::Waiting && self.until.is_none_or(|until| until <= now)
    }

    fn end(&mut self, state: State, missing: Option<&str>) {
        self.state = state;
        self.until = None;
        for outcome in self.outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
            *outcome =
                missing.map(|message| Outcome::Failed(Failure { message: message.to_owned(), ..Failure::default() }));
        }
    }

    /// Lets go of a running job.
    fn retry(&mut self, until: Option<SystemTime>, problem: &str) {
        if self.cancel_requested {
            self.end(State::Cancelled, None);
        } else if self.attempt >= MAX_ATTEMPTS {
            self.end(State::Failed, Some(problem));
            // What had ended already may be all there is.
            if self.outcomes.iter().all(|outcome| matches!(outcome, Some(Outcome::Data(_)))) {
                self.state = State::Succeeded;
            }
        } else {
            (self.state, self.until) = (State::Waiting, until);
        }
    }
}

/// The queue and what the model thinks of it.
struct World {
    queue: Queue,
    now: SystemTime,
    jobs: Vec<Known>,
    claims: Vec<Claim>,
    paused: [bool; 3],
    /// Deliveries that are still to come.
    untold: usize,
}

impl World {
    async fn new(url: &str) -> Self {
        let settings = Settings {
            lease: LEASE,
            max_waiting: 1000,
            max_waiting_per_owner: MAX_WAITING_PER_OWNER,
            max_queues: QUEUES.len() as i64,
            max_attempts: MAX_ATTEMPTS,
        };
        let queue = Queue::open(url, settings).await.unwrap();
        for (name, priority, max_running, max_waiting) in QUEUES {
            let settings = QueueSettings { name: name.to_owned(), priority, paused: false, max_running, max_waiting };
            queue.configure(&settings).await.unwrap();
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Self { queue, now, jobs: Vec::new(), claims: Vec::new(), paused: [false; 3], untold: 0 }
    }

    fn count(&self, queue: usize, state: State) -> i64 {
        self.jobs.iter().filter(|job| job.queue == queue && job.state == state).count() as i64
    }

    fn known(&mut self, id: &JobId) -> &mut Known {
        self.jobs.iter_mut().find(|job| job.id == *id).unwrap()
    }

    /// The job that a claim holds, if it still does.
    fn held(&mut self, claim: &Claim) -> Option<&mut Known> {
        let (id, holder) = (&claim.job.id, &claim.holder);
        self.jobs.iter_mut().find(|job| job.id == *id && job.state == State::Running && job.holder == *holder)
    }

    fn a_claim(&self, number: usize) -> Option<Claim> {
        (!self.claims.is_empty()).then(|| self.claims[number % self.claims.len()].clone())
    }

    async fn take(&mut self, step: &Step) {
        let ended_before = self.jobs.iter().filter(|job| job.state.is_final()).count();
        match *step {
            Step::Submit { queue, owner, priority, count } => self.submit(queue, owner, priority, count).await,
            Step::Claim => _ = self.claim().await,
            Step::Renew { claim } => self.renew(claim).await,
            Step::Record { claim, output, is_failed } => self.record(claim, output, is_failed).await,
            Step::Finish { claim, finish } => self.finish(claim, finish).await,
            Step::Cancel { job } => self.cancel(job).await,
            Step::Pause { queue, paused } => {
                assert!(self.queue.set_paused(QUEUES[queue].0, paused).await.unwrap());
                self.paused[queue] = paused;
            }
            Step::Pass { seconds } => self.now += Duration::from_secs(seconds),
            Step::Notify { ended } => _ = self.notify(ended).await,
        }
        self.untold += self.jobs.iter().filter(|job| job.state.is_final()).count() - ended_before;
    }

    async fn submit(&mut self, queue: usize, owner: usize, priority: i32, count: usize) {
        let submission = Submission {
            api: Api::Qiniu,
            owner: owner.to_string(),
            queue: QUEUES[queue].0.to_owned(),
            priority,
            jobs: vec![spec(); count],
            is_batch: false,
        };
        let has_room = QUEUES[queue].3.is_none_or(|max| self.count(queue, State::Waiting) + count as i64 <= max.into());
        let of_owner = |job: &&Known| job.queue == queue && job.owner == owner && job.state == State::Waiting;
        let waiting_of_owner = self.jobs.iter().filter(of_owner).count() as i64;
        let may_submit = waiting_of_owner + count as i64 <= MAX_WAITING_PER_OWNER;
        let submitted = match self.queue.submit(submission, self.now).await {
            Ok(submitted) => submitted,
            Err(Error::Full { .. }) => return assert!(!has_room),
            Err(Error::OwnerFull { waiting, .. }) => {
                assert!(has_room && !may_submit);
                return assert_eq!(waiting, waiting_of_owner);
            }
            Err(error) => panic!("{error}"),
        };
        assert!(has_room && may_submit);
        self.jobs.extend(submitted.jobs.into_iter().map(|id| Known {
            id,
            queue,
            owner,
            priority,
            state: State::Waiting,
            attempt: 0,
            holder: String::new(),
            until: None,
            cancel_requested: false,
            outcomes: [None, None],
        }));
    }

    /// What may be claimed: of the queues of highest priority that may run one more, the jobs of highest priority, and of
    /// each owner the first.
    fn claimable(&self) -> Vec<JobId> {
        let has_room = |queue: usize| {
            QUEUES[queue].2.is_none_or(|max| self.count(queue, State::Running) < i64::from(max)) && !self.paused[queue]
        };
        let ready = self.jobs.iter().filter(|job| job.is_ready(self.now) && has_room(job.queue));
        let mut first = BTreeMap::<_, (i32, &JobId)>::new();
        let mut highest = i32::MIN;
        for job in ready {
            highest = highest.max(QUEUES[job.queue].1);
            let entry = first.entry((job.queue, job.owner)).or_insert((job.priority, &job.id));
            if job.priority > entry.0 {
                *entry = (job.priority, &job.id);
            }
        }
        let top = |queue| first.iter().filter(|(key, _)| key.0 == queue).map(|(_, (priority, _))| *priority).max();
        let is_next = |queue: usize, priority| QUEUES[queue].1 == highest && Some(priority) == top(queue);
        let next = first.iter().filter(|((queue, _), (priority, _))| is_next(*queue, *priority));
        next.map(|(_, (_, id))| (*id).clone()).collect()
    }

    async fn claim(&mut self) -> bool {
        let now = self.now;
        for job in self.jobs.iter_mut().filter(|job| job.state == State::Running && job.until.unwrap() <= now) {
            let problem = format!("the worker died {} times", job.attempt);
            job.retry(None, &problem);
        }
        let claimable = self.claimable();
        let Some(claim) = self.queue.claim("worker", now).await.unwrap() else {
            assert!(claimable.is_empty(), "{claimable:?} were not claimed");
            return false;
        };
        assert!(claimable.contains(&claim.job.id), "{:?} was claimed, not one of {claimable:?}", claim.job);
        let job = self.known(&claim.job.id);
        (job.state, job.attempt, job.until) = (State::Running, job.attempt + 1, Some(now + LEASE));
        job.holder = claim.holder.clone();
        assert_eq!((claim.attempt, &claim.job.outcomes[..]), (job.attempt, &job.outcomes[..]));
        self.claims.push(claim);
        true
    }

    async fn renew(&mut self, claim: usize) {
        let Some(claim) = self.a_claim(claim) else { return };
        let now = self.now;
        let expected = match self.held(&claim) {
            None => Renewal::Lost,
            Some(job) => {
                job.until = Some(now + LEASE);
                if job.cancel_requested { Renewal::CancelRequested } else { Renewal::Held }
            }
        };
        assert_eq!(self.queue.renew(&claim, 500, now).await.unwrap(), expected);
    }

    async fn record(&mut self, claim: usize, output: usize, is_failed: bool) {
        let Some(claim) = self.a_claim(claim) else { return };
        let outcome = if is_failed {
            Outcome::Failed(Failure { message: "no".to_owned(), ..Failure::default() })
        } else {
            Outcome::Data(format!("by attempt {}", claim.attempt))
        };
        let is_held = self.held(&claim).map(|job| job.outcomes[output] = Some(outcome.clone())).is_some();
        assert_eq!(self.queue.record(&claim, output, &outcome).await.unwrap(), is_held);
    }

    async fn finish(&mut self, claim: usize, finish: Finish) {
        let Some(claim) = self.a_claim(claim) else { return };
        let now = self.now;
        let held = self.held(&claim);
        let is_held = held.is_some();
        if let Some(job) = held {
            let is_done = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Data(_)));
            let gave_up = format!("given up after {} attempts", job.attempt);
            match finish {
                Finish::Done if job.outcomes.iter().all(is_done) => job.end(State::Succeeded, None),
                Finish::Done => job.end(State::Failed, None),
                Finish::Cancelled => job.end(State::Cancelled, None),
                Finish::Released | Finish::Postponed(_) if job.cancel_requested => job.end(State::Cancelled, None),
                Finish::Released => (job.state, job.until, job.attempt) = (State::Waiting, None, job.attempt - 1),
                Finish::Postponed(delay) => (job.state, job.until) = (State::Waiting, Some(now + delay)),
                Finish::Retry(delay) => job.retry((!delay.is_zero()).then(|| now + delay), &gave_up),
            }
        }
        assert_eq!(self.queue.finish(&claim, finish, now).await.unwrap(), is_held);
    }

    async fn cancel(&mut self, job: usize) {
        if self.jobs.is_empty() {
            return;
        }
        let number = job % self.jobs.len();
        let job = &mut self.jobs[number];
        match job.state {
            State::Waiting => job.end(State::Cancelled, None),
            State::Running => job.cancel_requested = true,
            _ => {}
        }
        let (id, expected) = (job.id.clone(), job.state);
        assert_eq!(self.queue.cancel(&id, self.now).await.unwrap(), Some(expected));
    }

    async fn notify(&mut self, ended: usize) -> bool {
        let Some(notification) = self.queue.due_notification(&[], self.now).await.unwrap() else { return false };
        assert!(self.known(&notification.job).state.is_final());
        let problem = "refused".to_owned();
        let delivery = match ended {
            0 => Delivery::Delivered,
            1 => Delivery::Dead { problem },
            _ => Delivery::Retry { at: self.now + LEASE, problem },
        };
        self.untold -= usize::from(!matches!(delivery, Delivery::Retry { .. }));
        self.queue.settle(&notification, delivery, self.now).await.unwrap();
        true
    }

    /// Every job is where the model has it, and the counters are what a recount says.
    async fn check(&self) {
        let mut listed = Vec::new();
        let mut filter = Filter::default();
        loop {
            let page = self.queue.list_with_outcomes(&filter, 1000).await.unwrap();
            let Some(last) = page.last() else { break };
            filter.before = Some((last.created, last.id.clone()));
            listed.extend(page);
        }
        assert_eq!(listed.len(), self.jobs.len(), "no job is lost");
        for job in listed {
            let known = self.jobs.iter().find(|known| known.id == job.id).unwrap();
            assert_eq!((job.state, job.attempt), (known.state, known.attempt), "{job:?}");
            assert_eq!(job.cancel_requested, known.cancel_requested, "{job:?}");
            assert_eq!(job.outcomes, known.outcomes, "{job:?}");
            assert_eq!(job.finished.is_some(), job.state.is_final(), "{job:?}");
        }
        for status in self.queue.queues().await.unwrap() {
            let queue = QUEUES.iter().position(|queue| queue.0 == status.settings.name).unwrap();
            let counted = (self.count(queue, State::Waiting), self.count(queue, State::Running));
            assert_eq!((status.waiting, status.running), counted, "{status:?}");
        }
    }

    /// Works everything off.
    async fn drain(&mut self) {
        for queue in 0..QUEUES.len() {
            self.take(&Step::Pause { queue, paused: false }).await;
        }
        self.now += LEASE * 2;
        let ended_before = self.jobs.iter().filter(|job| job.state.is_final()).count();
        while self.claim().await {
            self.finish(self.claims.len() - 1, Finish::Done).await;
        }
        assert!(self.jobs.iter().all(|job| job.state.is_final()));
        self.untold += self.jobs.len() - ended_before;
        while self.notify(0).await {}
        assert_eq!(self.untold, 0, "every owner was told");
        assert_eq!(self.queue.next_job_due().await.unwrap(), None);
        assert_eq!(self.queue.next_notification_due().await.unwrap(), None);
        self.check().await;
        self.queue.delete_finished(self.now + LEASE).await.unwrap();
        assert_eq!(self.queue.list(&Filter::default(), 1).await.unwrap(), []);
    }
}

fn spec() -> JobSpec {
    let output = OutputSpec {
        command: "imageInfo".to_owned(),
        pipeline: "imageInfo".to_owned(),
        destination: Destination::Derived,
        name: None,
    };
    JobSpec {
        source: Source::Url("http://example.com/cat.jpg".to_owned()),
        outputs: vec![output; 2],
        notify: Some(Notify::to("http://example.com/done")),
        force: false,
        user_data: None,
        wording: None,
        request_id: String::new(),
    }
}

async fn live(url: &str, steps: &[Step]) {
    let mut world = World::new(url).await;
    for step in steps {
        world.take(step).await;
        world.check().await;
    }
    world.drain().await;
    world.queue.close().await;
}

/// Lives that many random lives, each in the database that `place` makes.
fn lives(cases: u32, place: impl AsyncFn() -> Place) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(step(), 1..80);
    TestRunner::new(config)
        .run(&steps, |steps| {
            runtime.block_on(async {
                let place = place().await;
                live(&place.url, &steps).await;
                place.remove().await;
            });
            Ok(())
        })
        .unwrap();
}

#[cfg(feature = "sqlite")]
#[test]
fn the_queue_keeps_what_the_model_promises() {
    lives(48, async || Place::memory());
}

#[test]
fn the_queue_keeps_what_the_model_promises_on_postgres() {
    if Place::has_postgres() {
        lives(8, async || Place::postgres().await.unwrap());
    }
}
