//! Forgetting what ended long ago.

use std::time::SystemTime;

use super::{Error, Queue};
use crate::jobs::model::millis;

/// Jobs deleted in one transaction: others wait meanwhile.
const CHUNK: i64 = 500;

impl Queue {
    /// Deletes the jobs that ended before `before`, with outputs and notifications; not those whose notification is still
    /// to be delivered. How many.
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
                   LIMIT $2)";
        let query = sqlx::query(sql).bind(millis(before)).bind(CHUNK);
        let deleted = query.execute(write.connection()).await?.rows_affected();
        write.commit().await?;
        Ok(deleted)
    }

    /// Deletes batches without jobs, and turns that the queue has passed, which say nothing any more.
    async fn delete_leftovers(&self, before: SystemTime) -> Result<(), Error> {
        let mut write = self.write().await?;
        let sql =
            "DELETE FROM batches WHERE created < $1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.batch = batches.id)";
        sqlx::query(sql).bind(millis(before)).execute(write.connection()).await?;
        let sql = "DELETE FROM turns WHERE turn <= (SELECT lanes.turn FROM lanes \
                   WHERE lanes.queue = turns.queue AND lanes.priority = turns.priority)";
        sqlx::query(sql).execute(write.connection()).await?;
        write.commit().await
    }
}
