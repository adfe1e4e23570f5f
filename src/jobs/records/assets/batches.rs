//! Batches of pictures: listed, recounted, and finished in the transaction that ends the last of their jobs.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::Window;
use crate::jobs::database::{Durability, number};
use crate::jobs::model::{millis, time};
use crate::jobs::queue::rows::to_json;
use crate::jobs::queue::{Error, Queue};

/// A batch as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub id: i64,
    /// When it was posted.
    pub created: SystemTime,
    /// When the last of it ended.
    pub finished: Option<SystemTime>,
    /// How many pictures it has.
    pub count: i64,
    /// How many have ended, those that failed among them.
    pub completed: i64,
    /// How many failed.
    pub errors: i64,
    /// Whether all of its pictures have gone to later batches.
    pub superseded: bool,
}

/// Which batches of a customer are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batches {
    /// All, the newest first.
    All,
    /// Those that are not finished, nor superseded; the newest first.
    Active,
    /// Those that are finished and not superseded, the last finished first.
    Recent,
}

impl Batches {
    const fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::All => ("customer = $1", "id DESC"),
            Self::Active => ("customer = $1 AND finished IS NULL AND superseded = 0", "id DESC"),
            Self::Recent => ("customer = $1 AND finished IS NOT NULL AND superseded = 0", "finished DESC, id DESC"),
        }
    }
}

/// What is still to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Pictures.
    pub pictures: i64,
    /// Batches that are not finished, nor superseded.
    pub batches: i64,
}

impl Queue {
    /// The batch of that number.
    pub async fn asset_batch(&self, customer: u32, id: i64) -> Result<Option<Batch>, Error> {
        let sql = format!("SELECT {BATCH} FROM asset_batches WHERE customer = $1 AND id = $2");
        let query = sqlx::query(&sql).bind(i64::from(customer)).bind(id);
        let found = query.fetch_all(self.database().reader()).await?;
        Ok(self.batches_of(&found).await?.pop())
    }

    /// A part of a customer's batches, and how many there are of them.
    pub async fn asset_batches(
        &self,
        customer: u32,
        which: Batches,
        window: Window,
    ) -> Result<(i64, Vec<Batch>), Error> {
        let (condition, order) = which.sql();
        let sql = format!("SELECT count(*) FROM asset_batches WHERE {condition}");
        let total = sqlx::query(&sql).bind(i64::from(customer)).fetch_one(self.database().reader()).await?;
        let (take, skip) = (window.take, window.skip);
        let sql =
            format!("SELECT {BATCH} FROM asset_batches WHERE {condition} ORDER BY {order} LIMIT {take} OFFSET {skip}");
        let found = sqlx::query(&sql).bind(i64::from(customer)).fetch_all(self.database().reader()).await?;
        Ok((total.try_get(0)?, self.batches_of(&found).await?))
    }

    async fn batches_of(&self, found: &[AnyRow]) -> Result<Vec<Batch>, Error> {
        let mut batches = found.iter().map(batch).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<_> = batches.iter().map(|batch| (batch.id,)).collect();
        // A batch that was recounted has the pictures that are still in it.
        let sql = format!(
            "SELECT jobs.batch AS batch, \
             CAST(sum(CASE WHEN jobs.state IN ('waiting', 'running') THEN 1 ELSE 0 END) AS BIGINT) AS open, \
             CAST(sum(CASE WHEN jobs.state IN ('failed', 'cancelled') THEN 1 ELSE 0 END) AS BIGINT) AS failed \
             FROM jobs JOIN asset_batches ON asset_batches.id = jobs.batch \
             WHERE jobs.batch IN (SELECT {} FROM {}) AND (asset_batches.recounted = 0 \
             OR EXISTS (SELECT 1 FROM assets WHERE assets.job = jobs.id)) GROUP BY jobs.batch",
            number(0),
            self.database().dialect.rows(1)
        );
        let counted = sqlx::query(&sql).bind(to_json(&ids)).fetch_all(self.database().reader()).await?;
        let mut counts = HashMap::new();
        for row in &counted {
            counts.insert(row.try_get::<i64, _>("batch")?, (sum(row, "open")?, sum(row, "failed")?));
        }
        for batch in &mut batches {
            let (open, failed) = counts.get(&batch.id).copied().unwrap_or_default();
            (batch.completed, batch.errors) = (batch.count - open, failed);
        }
        Ok(batches)
    }

    /// Looks again at what a batch has: it is superseded where all of its pictures have gone to other batches, and counts those
    /// that are left where they have all ended. Whether anything changed; `None` where there is no such batch.
    pub async fn test_asset_batch(&self, customer: u32, id: i64, now: SystemTime) -> Result<Option<bool>, Error> {
        let Some(batch) = self.asset_batch(customer, id).await? else { return Ok(None) };
        let sql = "SELECT count(*) AS assets, CAST(sum(CASE WHEN jobs.finished IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS open \
                   FROM assets JOIN jobs ON jobs.id = assets.job WHERE assets.batch = $1";
        let row = sqlx::query(sql).bind(id).fetch_one(self.database().reader()).await?;
        let (left, open) = (row.try_get::<i64, _>("assets")?, sum(&row, "open")?);
        let supersedes = left == 0 && !batch.superseded;
        let recounts = open == 0 && (left != batch.count || batch.finished.is_none());
        if !supersedes && !recounts {
            return Ok(Some(false));
        }
        let mut tx = self.database().begin(Durability::Disk).await?;
        let sql = "UPDATE asset_batches SET superseded = CASE WHEN CAST($1 AS BIGINT) = 1 THEN 1 ELSE superseded END, \
                   total = CASE WHEN CAST($2 AS BIGINT) = 1 THEN CAST($3 AS BIGINT) ELSE total END, recounted = CASE WHEN CAST($2 AS BIGINT) = 1 THEN 1 ELSE recounted END, \
                   finished = CASE WHEN CAST($2 AS BIGINT) = 1 THEN coalesce(finished, CAST($4 AS BIGINT)) ELSE finished END WHERE id = $5";
        let query = sqlx::query(sql).bind(i64::from(supersedes)).bind(i64::from(recounts)).bind(left);
        query.bind(millis(now)).bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(true))
    }

    /// What is still to be done, of one customer or of all: the ordinary, and what comes before it.
    pub async fn assets_waiting(&self, customer: Option<u32>) -> Result<[Waiting; 2], Error> {
        let condition =
            if customer.is_some() { "AND asset_batches.customer = $1" } else { "AND CAST($1 AS BIGINT) = 0" };
        let sql = format!(
            "SELECT is_priority, count(*) AS batches, CAST(sum((SELECT count(*) FROM jobs WHERE jobs.batch = asset_batches.id \
             AND jobs.state IN ('waiting', 'running'))) AS BIGINT) AS pictures FROM asset_batches \
             WHERE finished IS NULL AND superseded = 0 {condition} GROUP BY is_priority"
        );
        let query = sqlx::query(&sql).bind(customer.map_or(0, i64::from));
        let mut waiting = [Waiting::default(); 2];
        for row in query.fetch_all(self.database().reader()).await? {
            let of = usize::from(row.try_get::<i64, _>("is_priority")? != 0);
            waiting[of] = Waiting { pictures: sum(&row, "pictures")?, batches: row.try_get("batches")? };
        }
        Ok(waiting)
    }
}

/// Finishes those batches of which no job is left. The jobs' queue is locked.
pub(in crate::jobs) async fn finish_batches(
    batches: &BTreeMap<i64, i64>,
    connection: &mut AnyConnection,
) -> Result<(), Error> {
    for (batch, at) in batches {
        let sql = "UPDATE asset_batches SET finished = $1 WHERE id = $2 AND finished IS NULL AND NOT EXISTS \
                   (SELECT 1 FROM jobs WHERE jobs.batch = $2 AND jobs.state IN ('waiting', 'running'))";
        sqlx::query(sql).bind(*at).bind(*batch).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The columns of [`batch`].
const BATCH: &str = "id, total, superseded, created, finished";

/// A batch, not yet counted.
fn batch(row: &AnyRow) -> Result<Batch, Error> {
    Ok(Batch {
        id: row.try_get("id")?,
        created: time(row.try_get("created")?),
        finished: row.try_get::<Option<i64>, _>("finished")?.map(time),
        count: row.try_get("total")?,
        completed: 0,
        errors: 0,
        superseded: row.try_get::<i64, _>("superseded")? != 0,
    })
}

/// A sum of whole numbers. PostgreSQL's are of another type, and over no rows there is none.
fn sum(row: &AnyRow, name: &str) -> Result<i64, Error> {
    Ok(row.try_get::<Option<i64>, _>(name)?.unwrap_or_default())
}
