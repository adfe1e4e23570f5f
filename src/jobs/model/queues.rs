//! Queues: their names, how they work off their jobs, and what is in them.

use serde::Serialize;

/// What a queue may be called, for messages.
pub const QUEUE_NAME: &str = "1 to 64 letters, digits, - _ or .";

/// Whether a queue may be called so.
pub fn is_queue_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

/// How a queue works off its jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueSettings {
    /// Its name.
    pub name: String,
    /// Queues of a higher one come first.
    pub priority: i32,
    /// Whether its waiting jobs are held.
    pub paused: bool,
    /// Most jobs that run at once, on all nodes; `None` without limit.
    pub max_running: Option<i32>,
    /// Most jobs that wait; `None` without limit.
    pub max_waiting: Option<i32>,
}

/// A queue and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueStatus {
    /// Its settings.
    pub settings: QueueSettings,
    /// Jobs that wait.
    pub waiting: i64,
    /// Jobs that run.
    pub running: i64,
}
