//! How much there is to do, for who watches from outside.

use super::{Error, Queue};

/// Most notifications that are looked at: a look costs the same however many there are.
const MOST_COUNTED: u32 = 10_000;

/// What waits and runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Queues with the numbers of their waiting and running jobs.
    pub queues: Vec<(String, i64, i64)>,
    /// Notifications that are to be sent; ten thousand stands for more.
    pub pending: i64,
    /// Notifications that were given up, among the newest ten thousand.
    pub dead: i64,
}

impl Queue {
    /// How much there is to do.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let reader = self.database.reader();
        let queues = sqlx::query_as("SELECT name, waiting, running FROM queues").fetch_all(reader).await?;
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM notifications WHERE state = 'pending' LIMIT {MOST_COUNTED}) AS found"
        );
        let pending = sqlx::query_scalar(&sql).fetch_one(reader).await?;
        let sql = format!(
            "SELECT count(*) FROM (SELECT state FROM notifications ORDER BY id DESC LIMIT {MOST_COUNTED}) AS newest \
             WHERE state = 'dead'"
        );
        let dead = sqlx::query_scalar(&sql).fetch_one(reader).await?;
        Ok(Backlog { queues, pending, dead })
    }
}
