//! Requests of one kind that wait while the database is busy with others go into one transaction: they share its round trips
//! and its wait for the disk. Whoever comes alone is served at once.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::claim::ClaimRequest;
use super::finish::FinishRequest;
use super::hold::RecordRequest;
use super::submit::SubmitRequest;
use super::{Error, Queue};

/// Requests share a transaction up to so many, or up to so much weight: then the next has its turn.
const MAX_TOGETHER: usize = 128;
const MAX_WEIGHT: usize = 1000;

/// How often other tasks go on before a transaction begins. Costs nothing where there are none.
const LOOKS: usize = 3;

/// Something that callers ask of the queue, and that may be done for many of them at once.
pub(super) trait Request: Sized + Send + Sync + 'static {
    /// What the caller gets.
    type Answer: Send + 'static;

    /// Those that wait beside this one.
    fn group(groups: &Groups) -> &Group<Self>;

    /// How much of a transaction it takes.
    fn weight(&self) -> usize {
        1
    }

    /// Does all of them: an answer for each, in their order. A request that is refused has written nothing and says so in its
    /// answer. An error is one of all: [`Error::Commit`] where nobody knows what was done, any other where nothing was.
    fn perform(
        queue: &Queue,
        requests: &[Self],
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer, Error>>, Error>> + Send;

    /// What becomes of an answer whose caller went away.
    fn undelivered(_queue: &Queue, _answer: Self::Answer) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Every kind of request that is done together with its like.
#[derive(Default)]
pub(super) struct Groups {
    pub(super) submissions: Group<SubmitRequest>,
    pub(super) claims: Group<ClaimRequest>,
    pub(super) records: Group<RecordRequest>,
    pub(super) finishes: Group<FinishRequest>,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Groups")
    }
}

/// Where the answer to a request goes.
type Caller<R> = oneshot::Sender<Result<<R as Request>::Answer, Error>>;

struct Waiting<R: Request> {
    request: R,
    answer: Caller<R>,
}

/// The requests of one kind that nobody has begun with, and the turn of who does.
pub(super) struct Group<R: Request> {
    waiting: Mutex<VecDeque<Waiting<R>>>,
    turn: tokio::sync::Mutex<()>,
}

impl<R: Request> Default for Group<R> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<R: Request> Group<R> {
    fn add(&self, one: Waiting<R>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(one);
    }

    fn take(&self) -> (Vec<R>, Vec<Caller<R>>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut weight = 0;
        let fits = |one: &&Waiting<R>| {
            let has_room = weight < MAX_WEIGHT;
            weight += one.request.weight();
            has_room
        };
        let count = waiting.iter().take(MAX_TOGETHER).take_while(fits).count();
        waiting.drain(..count).map(|one| (one.request, one.answer)).unzip()
    }
}

impl Queue {
    /// Does `request`, together with those that wait for the same.
    pub(super) async fn ask<R: Request>(&self, request: R) -> Result<R::Answer, Error> {
        let (answer, answered) = oneshot::channel();
        R::group(&self.groups).add(Waiting { request, answer });
        // A task of its own: a caller that goes away takes no others' requests along.
        tokio::spawn(serve::<R>(self.clone()));
        answered.await.unwrap_or(Err(Error::Database(sqlx::Error::WorkerCrashed)))
    }
}

/// Does what waits, unless another task did.
async fn serve<R: Request>(queue: Queue) {
    let groups = Arc::clone(&queue.groups);
    let group = R::group(&groups);
    let _turn = group.turn.lock().await;
    // Callers who were answered just now may come again at once: better with this transaction than after it.
    for _ in 0..LOOKS {
        tokio::task::yield_now().await;
    }
    let (requests, callers) = group.take();
    if requests.is_empty() {
        return;
    }
    let answers = answers(&queue, &requests).await;
    for (caller, answer) in callers.into_iter().zip(answers) {
        if let Err(Ok(answer)) = caller.send(answer) {
            R::undelivered(&queue, answer).await;
        }
    }
}

/// An answer for each request. One that hurt the transaction of all is found by doing each alone.
async fn answers<R: Request>(queue: &Queue, requests: &[R]) -> Vec<Result<R::Answer, Error>> {
    match R::perform(queue, requests).await {
        Ok(answers) => return answers,
        Err(error) if requests.len() == 1 => return vec![Err(error)],
        // They may have been done: nobody tries again unasked.
        Err(error @ Error::Commit(_)) => {
            let problem = error.to_string();
            return requests.iter().map(|_| Err(Error::Shared { problem: problem.clone() })).collect();
        }
        Err(error) => tracing::debug!(%error, requests = requests.len(), "requests are done one by one"),
    }
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let alone = R::perform(queue, std::slice::from_ref(request)).await;
        answers.push(
            alone.and_then(|mut answers| answers.pop().unwrap_or(Err(Error::Database(sqlx::Error::RowNotFound)))),
        );
    }
    answers
}
