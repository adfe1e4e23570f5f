//! Images that the server fetches: who does it now, and from when on somebody else may.
//!
//! A claim is held by a name of its own, until its time has passed. What a claim that was lost comes to is passed over: the image
//! may have been registered again, to come from elsewhere, or another node has it.

use std::time::{Duration, SystemTime};

use sqlx::Row;
use sqlx::any::AnyRow;

use super::image::{Event, Image};
use super::images::{self, Tx};
use super::{Project, Projects, id};
use crate::jobs::database::Durability;
use crate::jobs::model::{JobId, millis, time};
use crate::jobs::queue::Error;
use crate::settings::Secret;

/// Where an image is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// An `http` or `https` URL.
    pub url: String,
    /// What is told there as a bearer's token.
    pub token: Option<Secret>,
}

/// An image that this process fetches, as long as it renews the claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The image.
    pub image: JobId,
    /// Where it is.
    pub origin: Origin,
    /// How often it has failed.
    pub failures: u32,
    holder: String,
}

impl Projects {
    /// How long a fetch is held without a word.
    pub fn fetch_lease(&self) -> Duration {
        self.queue.settings().lease
    }

    /// When the next fetch may be taken.
    ///
    /// # Errors
    /// A database that fails, as everywhere here.
    pub async fn next_fetch_due(&self) -> Result<Option<SystemTime>, Error> {
        let sql = "SELECT due FROM project_fetches ORDER BY due LIMIT 1";
        let due: Option<i64> = sqlx::query_scalar(sql).fetch_optional(self.database.reader()).await?;
        Ok(due.map(time))
    }

    /// Takes the fetch that has been due for longest.
    pub async fn claim_fetch(&self, now: SystemTime) -> Result<Option<Fetch>, Error> {
        let first = "SELECT image FROM project_fetches WHERE due <= $3 ORDER BY due LIMIT 1";
        let sql = format!(
            "UPDATE project_fetches SET holder = $1, due = $2 WHERE image = ({}) RETURNING image, url, token, failures, holder",
            self.database.dialect.skipping_locked(first)
        );
        let claim = sqlx::query(&sql).bind(JobId::new(now).to_string()).bind(millis(now + self.fetch_lease()));
        let found = self.database.write_alone(claim.bind(millis(now))).await?;
        found.first().map(fetch).transpose()
    }

    /// The image of a fetch, with its project.
    pub async fn fetched_image(&self, fetch: &Fetch) -> Result<Option<(Project, Image)>, Error> {
        let Some(image) = self.find_image("id = $1", &[fetch.image.as_str()]).await? else { return Ok(None) };
        Ok(self.find(&image.project).await?.map(|project| (project, image)))
    }

    /// Keeps a fetch; `false` where it is not this process's any more.
    pub async fn renew_fetch(&self, fetch: &Fetch, now: SystemTime) -> Result<bool, Error> {
        self.move_fetch(fetch, "due = $1", now + self.fetch_lease()).await
    }

    /// Gives a fetch back, as if nobody had taken it.
    pub async fn release_fetch(&self, fetch: &Fetch, now: SystemTime) -> Result<(), Error> {
        self.move_fetch(fetch, "holder = NULL, due = $1", now).await?;
        Ok(())
    }

    /// A fetch has failed, and is tried again from `due` on.
    pub async fn put_off_fetch(&self, fetch: &Fetch, due: SystemTime) -> Result<(), Error> {
        self.move_fetch(fetch, "holder = NULL, failures = failures + 1, due = $1", due).await?;
        Ok(())
    }

    /// What an image becomes by the end of its fetch; `None` where that is not this process's any more.
    pub async fn end_fetch(&self, fetch: &Fetch, event: Event, now: SystemTime) -> Result<Option<Image>, Error> {
        let mut tx = self.database.begin(Durability::Disk).await?;
        let Some(image) = images::select(&mut tx, self, "id = $1", &[fetch.image.as_str()]).await? else {
            return Ok(None);
        };
        let sql = "SELECT image FROM project_fetches WHERE image = $1 AND holder = $2";
        let held = sqlx::query(sql).bind(fetch.image.to_string()).bind(fetch.holder.clone());
        if held.fetch_optional(&mut *tx).await?.is_none() {
            return Ok(None);
        }
        let image = images::advance(&mut tx, image, event, now).await?;
        tx.commit().await.map_err(Error::Commit)?;
        Ok(Some(image))
    }

    async fn move_fetch(&self, fetch: &Fetch, change: &str, due: SystemTime) -> Result<bool, Error> {
        let sql = format!("UPDATE project_fetches SET {change} WHERE image = $2 AND holder = $3 RETURNING image");
        let query = sqlx::query(&sql).bind(millis(due)).bind(fetch.image.to_string()).bind(fetch.holder.clone());
        Ok(!self.database.write_alone(query).await?.is_empty())
    }
}

/// An image is to be fetched, from now on; what was to be fetched for it before is not any more.
pub(super) async fn set(
    tx: &mut Tx,
    image: &Image,
    owner: &str,
    origin: &Origin,
    now: SystemTime,
) -> Result<(), Error> {
    forget(tx, &image.id).await?;
    let sql = "INSERT INTO project_fetches (image, owner, url, token, due) VALUES ($1, $2, $3, $4, $5)";
    let insert = sqlx::query(sql).bind(image.id.to_string()).bind(owner.to_owned()).bind(origin.url.clone());
    let insert = insert.bind(origin.token.as_ref().map(|token| token.expose().to_owned())).bind(millis(now));
    insert.execute(&mut **tx).await?;
    Ok(())
}

/// An image is not fetched any more.
pub(super) async fn forget(tx: &mut Tx, image: &JobId) -> Result<(), Error> {
    sqlx::query("DELETE FROM project_fetches WHERE image = $1").bind(image.to_string()).execute(&mut **tx).await?;
    Ok(())
}

/// How many images of an owner are to be fetched.
pub(super) async fn count(tx: &mut Tx, owner: &str) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM project_fetches WHERE owner = $1";
    Ok(sqlx::query_scalar(sql).bind(owner.to_owned()).fetch_one(&mut **tx).await?)
}

fn fetch(row: &AnyRow) -> Result<Fetch, Error> {
    let token: Option<String> = row.try_get("token")?;
    Ok(Fetch {
        image: id(row, "image")?,
        origin: Origin { url: row.try_get("url")?, token: token.map(Secret::new) },
        failures: row.try_get::<i64, _>("failures")?.try_into().unwrap_or(u32::MAX),
        holder: row.try_get("holder")?,
    })
}
