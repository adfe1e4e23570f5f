//! Who waits for the queue hears of changes: in this process at once, from other nodes by PostgreSQL's NOTIFY.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{AnyConnection, Executor};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use crate::jobs::model::JobId;

/// What happened to the queue, for those who wait for something.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    fn payload(&self, node: &str) -> String {
        match self {
            Self::Work => format!("{node} work"),
            Self::Job(id) => format!("{node} job {id}"),
            Self::Notification => format!("{node} notification"),
        }
    }

    /// What another node than `node` sent.
    fn of_payload(payload: &str, node: &str) -> Option<Self> {
        let (sender, change) = payload.split_once(' ')?;
        if sender == node {
            return None;
        }
        match change {
            "work" => Some(Self::Work),
            "notification" => Some(Self::Notification),
            job => job.strip_prefix("job ").and_then(JobId::parse).map(Self::Job),
        }
    }
}

/// Changes that a receiver may be behind before it misses some.
const KEPT: usize = 1024;

const CHANNEL: &str = "mogr_jobs";

/// Between attempts to reach the database again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Passes changes on.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    here: broadcast::Sender<Change>,
    /// Names this opening of the queue, so that its own messages are told from others'.
    node: String,
    listener: Option<Arc<Listener>>,
}

/// Ends its task when the last queue that uses it goes away.
#[derive(Debug)]
struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Changes {
    /// Those of this process alone.
    pub(super) fn local(node: String) -> Self {
        Self { here: broadcast::channel(KEPT).0, node, listener: None }
    }

    /// Those of every node that uses this PostgreSQL database, from now on.
    pub(super) async fn shared(node: String, url: &str) -> Result<Self, sqlx::Error> {
        let mut changes = Self::local(node);
        let listener = listen(url).await?;
        let task = tokio::spawn(forward(listener, url.to_owned(), changes.node.clone(), changes.here.clone()));
        changes.listener = Some(Arc::new(Listener(task.abort_handle())));
        Ok(changes)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.here.subscribe()
    }

    /// Tells other nodes, once this transaction commits.
    pub(super) async fn announce(&self, tx: &mut AnyConnection, changes: &[Change]) -> Result<(), sqlx::Error> {
        if self.listener.is_none() {
            return Ok(());
        }
        for change in changes {
            let query = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(change.payload(&self.node));
            tx.execute(query).await?;
        }
        Ok(())
    }

    /// Tells this process.
    pub(super) fn tell(&self, changes: Vec<Change>) {
        for change in changes {
            // Fails where nobody listens.
            let _ = self.here.send(change);
        }
    }

    /// Stops listening to other nodes.
    pub(super) fn close(&self) {
        if let Some(listener) = &self.listener {
            listener.0.abort();
        }
    }
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
                if let Some(change) = Change::of_payload(message.payload(), &node) {
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
        for change in [Change::Work, Change::Job(id), Change::Notification] {
            let payload = change.payload("a");
            assert_eq!(Change::of_payload(&payload, "b"), Some(change), "{payload}");
            assert_eq!(Change::of_payload(&payload, "a"), None, "{payload}");
        }
        for payload in ["", "a", "a b", "a job x", "a job "] {
            assert_eq!(Change::of_payload(payload, "b"), None, "{payload}");
        }
    }
}
