//! Queues as such: their settings and what is in them.

use super::{Change, Error, Queue, rows};
use crate::jobs::model::{QueueSettings, QueueStatus};

impl Queue {
    /// All queues and what is in them, by name.
    pub async fn queues(&self) -> Result<Vec<QueueStatus>, Error> {
        let sql = format!("SELECT {} FROM queues ORDER BY name", rows::QUEUE);
        let found = sqlx::query(&sql).fetch_all(self.database.reader()).await?;
        found.iter().map(rows::queue).collect()
    }

    /// The queues that hold or held jobs of `owner`, and what is in them, by name.
    pub async fn queues_of(&self, owner: &str) -> Result<Vec<QueueStatus>, Error> {
        let sql = format!(
            "SELECT {} FROM queues WHERE name IN (SELECT queue FROM owners WHERE owner = $1) ORDER BY name",
            rows::QUEUE
        );
        let found = sqlx::query(&sql).bind(owner).fetch_all(self.database.reader()).await?;
        found.iter().map(rows::queue).collect()
    }

    /// Sets how a queue works, which need not be there yet. It counts as one of [`Settings::max_queues`](super::Settings), and
    /// comes into being even where there are as many.
    pub async fn configure(&self, settings: &QueueSettings) -> Result<(), Error> {
        let mut write = self.write().await?;
        let sql = "INSERT INTO queues (name, priority, paused, max_running, max_waiting) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (name) DO UPDATE SET priority = $2, paused = $3, max_running = $4, max_waiting = $5";
        sqlx::query(sql)
            .bind(&settings.name)
            .bind(i64::from(settings.priority))
            .bind(i64::from(settings.paused))
            .bind(settings.max_running.map(i64::from))
            .bind(settings.max_waiting.map(i64::from))
            .execute(write.connection())
            .await?;
        write.tell(Change::Work);
        write.commit().await
    }

    /// Holds a queue's waiting jobs, or lets them go on. `false` where there is no such queue.
    pub async fn set_paused(&self, queue: &str, paused: bool) -> Result<bool, Error> {
        let mut write = self.write().await?;
        let sql = "UPDATE queues SET paused = $1 WHERE name = $2";
        let query = sqlx::query(sql).bind(i64::from(paused)).bind(queue);
        let is_there = query.execute(write.connection()).await?.rows_affected() > 0;
        write.tell(Change::Work);
        write.commit().await?;
        Ok(is_there)
    }
}
