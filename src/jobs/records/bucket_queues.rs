//! The queue that an owner's jobs on a bucket wait in, for APIs in which every bucket has one: it comes into being when the
//! bucket is enabled, and keeps its id when that is taken back and given again.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::templates::Place;
use crate::jobs::database::Durability;
use crate::jobs::model::{millis, time};
use crate::jobs::queue::{Error, Queue};
use crate::store::spool::random_name;

/// Whom a queue tells of the ends of its jobs, where they say nothing themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueNotify {
    /// Whether anybody is told.
    pub is_on: bool,
    /// What of, as the owner wrote it.
    pub event: String,
    /// The words of the message: `XML` or `JSON`.
    pub format: String,
    /// How: `Url` or `TDMQ`.
    pub kind: String,
    /// Where to.
    pub url: String,
    /// Or by which queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_queue: Option<MessageQueue>,
}

/// A message queue, as its owner named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageQueue {
    /// Where the vendor has it; brokers of our own have no regions.
    pub region: String,
    /// `Queue` or `Topic`.
    pub mode: String,
    /// Its name.
    pub name: String,
}

/// A bucket's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketQueue {
    /// `p` and 32 hexadecimal digits; also the queue's name among all queues.
    pub id: String,
    /// The bucket.
    pub bucket: String,
    /// What the owner's API calls the bucket.
    pub label: String,
    /// The region that the owner named.
    pub region: String,
    /// What its owner calls it.
    pub name: String,
    /// Whom it tells.
    pub notify: QueueNotify,
    /// Whether waiting jobs are held.
    pub is_paused: bool,
    /// When it was made.
    pub created: SystemTime,
    /// When it was last changed.
    pub updated: SystemTime,
}

const SELECT: &str = "SELECT id, bucket, label, region, bucket_queues.name AS name, notify, paused, created, updated \
                      FROM bucket_queues JOIN queues ON queues.name = bucket_queues.id";

/// The queues of an owner's enabled buckets, the oldest first.
///
/// # Errors
/// A database that fails.
pub async fn list(queue: &Queue, owner: &str) -> Result<Vec<BucketQueue>, Error> {
    let sql = format!("{SELECT} WHERE owner = $1 AND is_enabled = 1 ORDER BY created, id");
    let found = sqlx::query(&sql).bind(owner).fetch_all(queue.database().reader()).await?;
    found.iter().map(bucket_queue).collect()
}

/// The queue of a bucket that is enabled.
///
/// # Errors
/// A database that fails.
pub async fn of(queue: &Queue, place: Place<'_>) -> Result<Option<BucketQueue>, Error> {
    Ok(list(queue, place.owner).await?.into_iter().find(|found| found.bucket == place.bucket))
}

/// Enables a bucket.
///
/// # Errors
/// A database that fails.
pub async fn enable(
    queue: &Queue,
    place: Place<'_>,
    (label, region): (&str, &str),
    now: SystemTime,
) -> Result<BucketQueue, Error> {
    if let Some(found) = of(queue, place).await? {
        return Ok(found);
    }
    let id = format!("p{}", random_name());
    // In one transaction: queues without jobs that are no bucket's may be forgotten at any time.
    let mut tx = queue.database().begin(Durability::Disk).await?;
    let sql = "INSERT INTO queues (name, priority, paused) VALUES ($1, 0, 0)";
    sqlx::query(sql).bind(&id).execute(&mut *tx).await?;
    let sql = "INSERT INTO bucket_queues (id, owner, bucket, label, region, name, notify, is_enabled, created, updated) \
               VALUES ($1, $2, $3, $4, $5, 'queue-pic-process-1', '{}', 1, $6, $6) \
               ON CONFLICT (owner, bucket) DO UPDATE SET is_enabled = 1, updated = excluded.updated";
    let query = sqlx::query(sql).bind(&id).bind(place.owner).bind(place.bucket).bind(label).bind(region);
    query.bind(millis(now)).execute(&mut *tx).await?;
    tx.commit().await.map_err(Error::Commit)?;
    of(queue, place).await?.ok_or(Error::Database(sqlx::Error::RowNotFound))
}

/// Takes back that a bucket is enabled; its waiting jobs go on. `false` where it was not.
///
/// # Errors
/// A database that fails.
pub async fn disable(queue: &Queue, place: Place<'_>, now: SystemTime) -> Result<bool, Error> {
    let Some(found) = of(queue, place).await? else { return Ok(false) };
    queue.set_paused(&found.id, false).await?;
    let sql = "UPDATE bucket_queues SET is_enabled = 0, updated = $1 WHERE id = $2 RETURNING id";
    queue.database().write_alone(sqlx::query(sql).bind(millis(now)).bind(&found.id)).await?;
    Ok(true)
}

/// Changes a queue's name, whom it tells, and whether it is held.
///
/// # Errors
/// A database that fails.
pub async fn update(queue: &Queue, changed: &BucketQueue, now: SystemTime) -> Result<(), Error> {
    let notify = serde_json::to_string(&changed.notify).expect("its fields are texts");
    let sql = "UPDATE bucket_queues SET name = $1, notify = $2, updated = $3 WHERE id = $4 RETURNING id";
    let query = sqlx::query(sql).bind(&changed.name).bind(notify).bind(millis(now)).bind(&changed.id);
    queue.database().write_alone(query).await?;
    queue.set_paused(&changed.id, changed.is_paused).await?;
    Ok(())
}

fn bucket_queue(row: &AnyRow) -> Result<BucketQueue, Error> {
    let notify: String = row.try_get("notify")?;
    Ok(BucketQueue {
        id: row.try_get("id")?,
        bucket: row.try_get("bucket")?,
        label: row.try_get("label")?,
        region: row.try_get("region")?,
        name: row.try_get("name")?,
        notify: serde_json::from_str(&notify).unwrap_or_default(),
        is_paused: row.try_get::<i64, _>("paused")? != 0,
        created: time(row.try_get("created")?),
        updated: time(row.try_get("updated")?),
    })
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::jobs::queue::Settings;

    #[tokio::test]
    async fn queues_of_buckets_outlive_their_jobs() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("jobs.db").display());
        let queue = Queue::open(&url, Settings::default()).await.unwrap();
        let place = Place { owner: "owner", bucket: "photos" };
        let now = SystemTime::now();
        let made = enable(&queue, place, ("photos-1", "region"), now).await.unwrap();
        queue.delete_finished(now + Duration::from_secs(1)).await.unwrap();
        assert_eq!(of(&queue, place).await.unwrap(), Some(made.clone()));
        assert!(disable(&queue, place, now).await.unwrap());
        queue.delete_finished(now + Duration::from_secs(1)).await.unwrap();
        let again = enable(&queue, place, ("photos-1", "region"), now).await.unwrap();
        assert_eq!(again.id, made.id);
    }
}
