//! Projects: images that are registered, sent, looked at, and then worked on together.
//!
//! [`image`] has the states of an image and what moves it from one to the next. [`keeper::Keeper`] is what happens by itself:
//! pictures that have arrived are looked at by a job each, silence ends what is not final, and a task that waits for the images
//! of its project starts once none of them is open. A task is one batch of jobs. [`intake::Intake`] brings bytes into the bucket,
//! and [`fetcher::Fetcher`] fetches those that the server is to fetch.
//!
//! Names of projects, images and tasks are like those of jobs: nobody guesses them.

pub mod fetcher;
mod fetches;
pub mod image;
mod images;
pub mod intake;
pub mod keeper;
mod page;
mod tasks;

use std::time::SystemTime;

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::jobs::database::{Database, Durability};
use crate::jobs::model::{JobId, millis, time};
use crate::jobs::queue::{Error, Queue};
pub use fetches::{Fetch, Origin};
pub use image::{Event, Image, State, Way};
pub use images::{Coming, Registration, Totals};
pub use page::{Page, Slice};
pub use tasks::{Refusal, Task, TaskState};

/// What holds images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub id: JobId,
    /// The access key that it belongs to.
    pub owner: String,
    /// What its owner calls it.
    pub name: String,
    /// JSON of the API that made it.
    pub traits: String,
    /// The bucket that its images are in.
    pub bucket: String,
    /// When it was made.
    pub created: SystemTime,
}

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Projects of one owner.
    pub projects_per_owner: i64,
    /// Images of one project, whatever their state.
    pub images_per_project: i64,
    /// Images of one owner that are to be fetched.
    pub fetches_per_owner: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { projects_per_owner: 1000, images_per_project: 10_000, fetches_per_owner: 1000 }
    }
}

/// Why nothing more comes into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// The owner has as many projects as one may.
    #[error("there are too many projects of this user; expected at most {0}")]
    Projects(i64),
    /// The project has as many images as one may.
    #[error("there are too many images in the project; expected at most {0}")]
    Images(i64),
    /// As many of the owner's images are to be fetched as may.
    #[error("too many images of this user are to be fetched; expected at most {0}, try again later")]
    Fetches(i64),
}

/// Projects in the queue's database. Clones share it.
#[derive(Clone, Debug)]
pub struct Projects {
    database: Database,
    queue: Queue,
    limits: Limits,
}

const PROJECT: &str = "id, owner, name, traits, bucket, created";

impl Projects {
    /// Those beside the jobs of `queue`.
    pub fn over(queue: &Queue) -> Self {
        Self { database: queue.database().clone(), queue: queue.clone(), limits: Limits::default() }
    }

    /// The same, with these limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Makes a project.
    ///
    /// # Errors
    /// A database that fails, as everywhere here.
    pub async fn create(
        &self,
        owner: &str,
        name: &str,
        traits: &str,
        bucket: &str,
        now: SystemTime,
    ) -> Result<Result<Project, TooMany>, Error> {
        let mut tx = self.database.begin_locked(Durability::Disk, &[owner]).await?;
        let sql = "SELECT count(*) FROM projects WHERE owner = $1 AND removed IS NULL";
        let projects: i64 = sqlx::query_scalar(sql).bind(owner.to_owned()).fetch_one(&mut *tx).await?;
        if projects >= self.limits.projects_per_owner {
            return Ok(Err(TooMany::Projects(self.limits.projects_per_owner)));
        }
        let project = Project {
            id: JobId::new(now),
            owner: owner.to_owned(),
            name: name.to_owned(),
            traits: traits.to_owned(),
            bucket: bucket.to_owned(),
            created: time(millis(now)),
        };
        let sql = "INSERT INTO projects (id, owner, name, traits, bucket, created) VALUES ($1, $2, $3, $4, $5, $6)";
        let insert = sqlx::query(sql).bind(project.id.to_string()).bind(owner.to_owned()).bind(name.to_owned());
        let insert = insert.bind(traits.to_owned()).bind(bucket.to_owned()).bind(millis(now));
        insert.execute(&mut *tx).await?;
        tx.commit().await.map_err(Error::Commit)?;
        Ok(Ok(project))
    }

    /// The project of that name, whosever it is.
    pub async fn find(&self, id: &JobId) -> Result<Option<Project>, Error> {
        let sql = format!("SELECT {PROJECT} FROM projects WHERE id = $1 AND removed IS NULL");
        let row = sqlx::query(&sql).bind(id.to_string()).fetch_optional(self.database.reader()).await?;
        row.as_ref().map(project).transpose()
    }

    /// The owner's project of that name.
    pub async fn get(&self, id: &JobId, owner: &str) -> Result<Option<Project>, Error> {
        Ok(self.find(id).await?.filter(|project| project.owner == owner))
    }

    /// A slice of the owner's projects, the oldest first, of those whose name has `search` in it.
    pub async fn list(&self, owner: &str, search: &str, slice: &Slice) -> Result<Page<Project>, Error> {
        let search = search.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let like = format!("%{search}%");
        let scope = "owner = $1 AND removed IS NULL AND lower(name) LIKE $2 ESCAPE '\\'";
        page::page(self.database.reader(), ("projects", PROJECT), (scope, &[owner, &like]), slice, project).await
    }

    /// Forgets a project's images and tasks; it is there for nobody any more, but until [`Projects::forget`] for whoever deletes
    /// its objects. `false` where it was not there.
    pub async fn remove(&self, id: &JobId, owner: &str, now: SystemTime) -> Result<bool, Error> {
        if self.get(id, owner).await?.is_none() {
            return Ok(false);
        }
        let mut tx = self.emptied(id).await?;
        let sql = "UPDATE projects SET removed = $1, pending = NULL WHERE id = $2";
        sqlx::query(sql).bind(millis(now)).bind(id.to_string()).execute(&mut *tx).await?;
        tx.commit().await.map_err(Error::Commit)?;
        Ok(true)
    }

    /// Projects that were removed and have not been forgotten, the first that were.
    pub async fn removed(&self) -> Result<Vec<Project>, Error> {
        let sql = format!("SELECT {PROJECT} FROM projects WHERE removed IS NOT NULL ORDER BY removed LIMIT 1000");
        sqlx::query(&sql).fetch_all(self.database.reader()).await?.iter().map(project).collect()
    }

    /// Forgets a project that was removed.
    pub async fn forget(&self, id: &JobId) -> Result<(), Error> {
        let mut tx = self.emptied(id).await?;
        let sql = "DELETE FROM projects WHERE id = $1 AND removed IS NOT NULL";
        sqlx::query(sql).bind(id.to_string()).execute(&mut *tx).await?;
        tx.commit().await.map_err(Error::Commit)
    }

    /// A transaction in which a project has no tasks and images any more.
    async fn emptied(&self, id: &JobId) -> Result<Transaction<'static, Any>, Error> {
        let mut tx = self.database.begin(Durability::Disk).await?;
        for sql in ["DELETE FROM project_tasks WHERE project = $1", "DELETE FROM project_images WHERE project = $1"] {
            sqlx::query(sql).bind(id.to_string()).execute(&mut *tx).await?;
        }
        Ok(tx)
    }
}

fn project(row: &AnyRow) -> Result<Project, Error> {
    Ok(Project {
        id: id(row, "id")?,
        owner: row.try_get("owner")?,
        name: row.try_get("name")?,
        traits: row.try_get("traits")?,
        bucket: row.try_get("bucket")?,
        created: time(row.try_get("created")?),
    })
}

fn id(row: &AnyRow, column: &'static str) -> Result<JobId, Error> {
    let value: String = row.try_get(column)?;
    JobId::parse(&value).ok_or(Error::Corrupt { column, value, expected: "24 hexadecimal digits" })
}
