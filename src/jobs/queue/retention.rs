//! Forgetting what ended long ago.

use std::time::SystemTime;

use super::{Error, LIST_OF_QUEUES, Queue, rows};
use crate::jobs::database::{Durability, text};
use crate::jobs::model::millis;

/// Jobs deleted in one transaction: others wait meanwhile.
const CHUNK: i64 = 500;

impl Queue {
    /// Deletes the jobs that ended before `before`, with outputs and notifications; not those whose notification is still
    /// to be delivered, nor those that a registered picture is known by. How many.
    pub async fn delete_finished(&self, before: SystemTime) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            let chunk = self.delete_chunk(before).await?;
            deleted += chunk;
            if chunk < CHUNK as u64 {
                break;
            }
        }
        self.delete_leftovers(before).await?;
        Ok(deleted)
    }

    async fn delete_chunk(&self, before: SystemTime) -> Result<u64, Error> {
        let mut write = self.write().await?;
        let sql = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE finished < $1 AND NOT EXISTS \
                   (SELECT 1 FROM notifications WHERE notifications.job = jobs.id AND notifications.state = 'pending') \
                   AND NOT EXISTS (SELECT 1 FROM assets WHERE assets.job = jobs.id) LIMIT $2)";
        let query = sqlx::query(sql).bind(millis(before)).bind(CHUNK);
        let deleted = query.execute(write.connection()).await?.rows_affected();
        write.commit().await?;
        Ok(deleted)
    }

    /// Deletes batches without jobs; turns that the queue has passed, which say nothing any more; owners without jobs; and
    /// queues without jobs that nobody has set or paused, and that are no bucket's.
    async fn delete_leftovers(&self, before: SystemTime) -> Result<(), Error> {
        let mut write = self.write().await?;
        let sql =
            "DELETE FROM batches WHERE created < $1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.batch = batches.id)";
        sqlx::query(sql).bind(millis(before)).execute(write.connection()).await?;
        write.commit().await?;
        self.delete_queues(before).await?;
        let mut write = self.write().await?;
        sqlx::query(PASSED_TURNS).execute(write.connection()).await?;
        sqlx::query(IDLE_OWNERS).bind(millis(before)).execute(write.connection()).await?;
        write.commit().await
    }

    /// Whoever submits to one of them at the same time waits for this, and makes it again.
    async fn delete_queues(&self, before: SystemTime) -> Result<(), Error> {
        let mut write = self.begin(Durability::Disk, &[LIST_OF_QUEUES]).await?;
        let forgotten = sqlx::query_scalar::<_, String>(IDLE_QUEUES).bind(millis(before));
        let forgotten = forgotten.fetch_all(write.connection()).await?;
        if forgotten.is_empty() {
            return Ok(());
        }
        let given: Vec<_> = forgotten.iter().map(|name| (name,)).collect();
        for table in ["lanes", "turns", "owners"] {
            let rows = write.dialect().rows(1);
            let sql = format!("DELETE FROM {table} WHERE queue IN (SELECT {} FROM {rows})", text(0));
            sqlx::query(&sql).bind(rows::to_json(&given)).execute(write.connection()).await?;
        }
        tracing::info!(queues = forgotten.len(), "queues without jobs were forgotten");
        write.commit().await
    }
}

const IDLE_QUEUES: &str = "DELETE FROM queues WHERE waiting = 0 AND running = 0 AND paused = 0 AND priority = 0 \
                           AND max_running IS NULL AND max_waiting IS NULL \
                           AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.queue = queues.name) \
                           AND NOT EXISTS (SELECT 1 FROM bucket_queues WHERE bucket_queues.id = queues.name) \
                           AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.queue = queues.name AND owners.used >= $1) \
                           RETURNING name";

const IDLE_OWNERS: &str = "DELETE FROM owners WHERE waiting = 0 AND used < $1";

const PASSED_TURNS: &str = "DELETE FROM turns WHERE turn <= (SELECT lanes.turn FROM lanes \
                            WHERE lanes.queue = turns.queue AND lanes.priority = turns.priority)";
