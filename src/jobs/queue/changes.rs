//! Who waits for the queue hears of changes: in this process at once, from other nodes by PostgreSQL's NOTIFY.
//!
//! Other nodes are told after the commit, by a task of its own. A NOTIFY within the transaction would make every transaction
//! of the database wait until the one before is on the disk. So a node that dies between the two has told nobody: nodes look
//! for themselves once in a while.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgListener};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::jobs::model::JobId;

/// What happened to the queue, for those who wait for something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// There may be something to claim, or [`Queue::next_job_due`](super::Queue::next_job_due) may be earlier than it was.
    Work,
    /// The job has another state, outcome or progress, or was asked to stop.
    Job(JobId),
    /// There may be a notification to send, or one may be due earlier.
    Notification,
}

/// Waits for a change that `is_awaited`. Where news was missed it may have been one; where none can come any more, waits for
/// ever: whoever waits has a clock too.
pub async fn changed(changes: &mut broadcast::Receiver<Change>, is_awaited: impl Fn(&Change) -> bool) {
    use broadcast::error::RecvError;
    loop {
        match changes.recv().await {
            Ok(change) if is_awaited(&change) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Change {
    /// As it goes to other nodes.
    fn word(&self) -> String {
        match self {
            Self::Work => "work".to_owned(),
            Self::Job(id) => id.to_string(),
            Self::Notification => "notification".to_owned(),
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        match word {
            "work" => Some(Self::Work),
            "notification" => Some(Self::Notification),
            job => JobId::parse(job).map(Self::Job),
        }
    }
}

/// Most changes of one message: PostgreSQL's have less than 8,000 bytes, and a change has 25.
const MAX_CHANGES: usize = 250;

/// What `node` sends.
fn payload(node: &str, changes: &[Change]) -> String {
    std::iter::once(node.to_owned()).chain(changes.iter().map(Change::word)).collect::<Vec<_>>().join(" ")
}

/// What another node than `node` sent.
fn of_payload(payload: &str, node: &str) -> Vec<Change> {
    let mut words = payload.split(' ');
    if words.next() == Some(node) { Vec::new() } else { words.filter_map(Change::of_word).collect() }
}

/// Changes that a receiver may be behind before it misses some.
const KEPT: usize = 1024;

const CHANNEL: &str = "mogr_jobs";

/// Between attempts to reach the database again.
const RECONNECT: Duration = Duration::from_secs(1);

/// How long the last changes may take to other nodes when this one stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Passes changes on.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    here: broadcast::Sender<Change>,
    /// Names this opening of the queue, so that its own messages are told from others'.
    node: String,
    nodes: Option<Arc<Nodes>>,
}

/// The way to other nodes and back. Ends its tasks when the last queue that uses it goes away.
#[derive(Debug)]
struct Nodes {
    news: mpsc::UnboundedSender<News>,
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
enum News {
    /// These are to be told.
    Changes(Vec<Change>),
    /// This is answered once those before are told.
    End(oneshot::Sender<()>),
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Changes {
    /// Those of this process alone.
    pub(super) fn local(node: String) -> Self {
        Self { here: broadcast::channel(KEPT).0, node, nodes: None }
    }

    /// Those of every node that uses this PostgreSQL database, from now on.
    pub(super) async fn shared(node: String, url: &str) -> Result<Self, sqlx::Error> {
        let mut changes = Self::local(node);
        let (news, to_tell) = mpsc::unbounded_channel();
        let listener = listen(url).await?;
        let hears = tokio::spawn(forward(listener, url.to_owned(), changes.node.clone(), changes.here.clone()));
        let tells = tokio::spawn(announce(url.to_owned(), changes.node.clone(), to_tell));
        changes.nodes = Some(Arc::new(Nodes { news, tasks: [hears.abort_handle(), tells.abort_handle()] }));
        Ok(changes)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.here.subscribe()
    }

    /// Tells this process, and then other nodes. What is told is committed.
    pub(super) fn tell(&self, changes: Vec<Change>) {
        for change in &changes {
            // Fails where nobody listens.
            let _ = self.here.send(change.clone());
        }
        if let Some(nodes) = &self.nodes {
            // Fails where this queue was closed.
            let _ = nodes.news.send(News::Changes(changes));
        }
    }

    /// Tells other nodes what is still to tell, and stops listening to them.
    pub(super) async fn close(&self) {
        let Some(nodes) = &self.nodes else { return };
        let (told, all_told) = oneshot::channel();
        if nodes.news.send(News::End(told)).is_ok() && tokio::time::timeout(LAST_WORDS, all_told).await.is_err() {
            tracing::warn!("other nodes do not hear of the last changes: they look for themselves within a lease");
        }
        nodes.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Tells other nodes, many changes at once where they come fast.
async fn announce(url: String, node: String, mut news: mpsc::UnboundedReceiver<News>) {
    let mut some = Vec::new();
    let mut connection = None;
    while news.recv_many(&mut some, MAX_CHANGES).await > 0 {
        let (mut changes, mut ends) = (Vec::new(), Vec::new());
        for news in some.drain(..) {
            match news {
                News::Changes(more) => changes.extend(more),
                News::End(told) => ends.push(told),
            }
        }
        let mut known = HashSet::new();
        changes.retain(|change| known.insert(change.clone()));
        for changes in changes.chunks(MAX_CHANGES) {
            notify(&url, &mut connection, &payload(&node, changes)).await;
        }
        for told in ends {
            // Whoever waited may have given up.
            let _ = told.send(());
        }
    }
}

/// Sends a message, by a new connection where there is none or it is broken, until it is sent.
async fn notify(url: &str, connection: &mut Option<PgConnection>, payload: &str) {
    loop {
        match try_notify(url, connection, payload).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "other nodes hear of changes when the database answers again"),
        }
        *connection = None;
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn try_notify(url: &str, connection: &mut Option<PgConnection>, payload: &str) -> Result<(), sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(PgConnection::connect(url).await?),
    };
    let query = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload);
    query.execute(connection).await?;
    Ok(())
}

async fn listen(url: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Passes on what other nodes tell, for ever. After a lost connection anything may have happened.
async fn forward(mut listener: PgListener, url: String, node: String, here: broadcast::Sender<Change>) {
    loop {
        match listener.try_recv().await {
            Ok(Some(message)) => {
                for change in of_payload(message.payload(), &node) {
                    let _ = here.send(change);
                }
                continue;
            }
            // It has connected again already.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "changes of other nodes are not heard until the database answers again");
                listener = reconnect(&url).await;
            }
        }
        let _ = here.send(Change::Work);
        let _ = here.send(Change::Notification);
    }
}

async fn reconnect(url: &str) -> PgListener {
    loop {
        tokio::time::sleep(RECONNECT).await;
        if let Ok(listener) = listen(url).await {
            return listener;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_back_by_other_nodes() {
        let id = JobId::new(std::time::SystemTime::UNIX_EPOCH);
        let changes = [Change::Work, Change::Job(id), Change::Notification];
        let payload = payload("a", &changes);
        assert_eq!(of_payload(&payload, "b"), changes, "{payload}");
        assert_eq!(of_payload(&payload, "a"), [], "{payload}");
        for payload in ["", "a", "a b", "a job x", "a  "] {
            assert_eq!(of_payload(payload, "b"), [], "{payload}");
        }
    }

    #[test]
    fn messages_are_short_enough_for_postgres() {
        let node = JobId::new(std::time::SystemTime::UNIX_EPOCH).to_string();
        let changes = vec![Change::Job(JobId::new(std::time::SystemTime::UNIX_EPOCH)); MAX_CHANGES];
        assert!(payload(&node, &changes).len() < 8000);
    }
}
