//! Images in the database: registered, found, moved from state to state.

use std::time::SystemTime;

use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, Row, Transaction};

use super::fetches::{self, Origin};
use super::image::{Event, Image, SILENCE, State, Way};
use super::page::{self, Page, Slice};
use super::{Project, Projects, TooMany, id};
use crate::jobs::database::Durability;
use crate::jobs::model::{JobId, millis, time};
use crate::jobs::queue::Error;

/// An image that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// What its owner calls it.
    pub name: String,
    /// What it is to be stored as; where another image of the project has that name, its own name is put before it.
    pub file: String,
    /// How its bytes come.
    pub coming: Coming,
    /// The SHA-1 that its owner promises, in lower hexadecimal digits.
    pub checksum: Option<String>,
}

/// How bytes are to come, and where from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coming {
    /// Put to a signed URL.
    Url,
    /// Put with temporary credentials.
    Credentials,
    /// Fetched from there by the server.
    Fetch(Origin),
}

impl Coming {
    const fn way(&self) -> Way {
        match self {
            Self::Url => Way::Url,
            Self::Credentials => Way::Credentials,
            Self::Fetch(_) => Way::Fetch,
        }
    }
}

/// What the images of a project come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many there are.
    pub images: i64,
    /// How many are `Ready`.
    pub ready: i64,
    /// How many are neither `Ready` nor `Invalid`.
    pub open: i64,
    /// The pixels of those that are `Ready`; none counts less than two millions.
    pub pixels: i64,
}

const IMAGE: &str =
    "id, project, name, file, way, state, checksum, sha1, bytes, width, height, errors, job, created, changed";

/// The least that an image counts, in pixels (spec 5).
const LEAST_PIXELS: i64 = 2_000_000;

/// How many of those that the clock moves are moved at a time.
const AT_ONCE: i64 = 100;

impl Projects {
    /// Registers an image. One with the same checksum is registered once more: it has the same name, and unless it has arrived
    /// it is awaited anew.
    pub async fn register(
        &self,
        project: &Project,
        registration: Registration,
        now: SystemTime,
    ) -> Result<Result<Image, TooMany>, Error> {
        // One at a time in a project: what is looked for here must not come into being meanwhile.
        let mut tx = self.database.begin_locked(Durability::Disk, &[project.id.as_str()]).await?;
        let coming = registration.coming.clone();
        let image = match self.registered(&mut tx, project, registration, now).await? {
            Ok(image) => image,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Coming::Fetch(origin) = coming
            && image.is_fetched()
        {
            if fetches::count(&mut tx, &project.owner).await? >= self.limits.fetches_per_owner {
                return Ok(Err(TooMany::Fetches(self.limits.fetches_per_owner)));
            }
            fetches::set(&mut tx, &image, &project.owner, &origin, now).await?;
        }
        tx.commit().await.map_err(Error::Commit)?;
        Ok(Ok(image))
    }

    async fn registered(
        &self,
        tx: &mut Tx,
        project: &Project,
        registration: Registration,
        now: SystemTime,
    ) -> Result<Result<Image, TooMany>, Error> {
        let Registration { name, file, coming, checksum } = registration;
        let (way, pid) = (coming.way(), project.id.as_str());
        if let Some(checksum) = &checksum
            && let Some(image) = select(tx, self, "project = $1 AND checksum = $2", &[pid, checksum]).await?
        {
            return advance(tx, image, Event::Registered(way), now).await.map(Ok);
        }
        let sql = "SELECT count(*) FROM project_images WHERE project = $1";
        let images: i64 = sqlx::query_scalar(sql).bind(pid.to_owned()).fetch_one(&mut **tx).await?;
        if images >= self.limits.images_per_project {
            return Ok(Err(TooMany::Images(self.limits.images_per_project)));
        }
        let id = JobId::new(now);
        let is_taken = select(tx, self, "project = $1 AND file = $2", &[pid, &file]).await?.is_some();
        let image = Image {
            file: if is_taken { format!("{id}-{file}") } else { file },
            id,
            project: project.id.clone(),
            name,
            way,
            state: if way == Way::Fetch { State::Uploading } else { State::Pending },
            checksum,
            sha1: None,
            bytes: None,
            size: None,
            errors: Vec::new(),
            job: None,
            created: time(millis(now)),
            changed: time(millis(now)),
        };
        insert(tx, &image).await?;
        Ok(Ok(image))
    }

    /// The owner's image of that name, with its project.
    pub async fn image(&self, id: &JobId, owner: &str) -> Result<Option<(Project, Image)>, Error> {
        let Some(image) = self.find_image("id = $1", &[id.as_str()]).await? else { return Ok(None) };
        Ok(self.get(&image.project, owner).await?.map(|project| (project, image)))
    }

    /// The image that is stored as `file` in a project.
    pub async fn image_stored_as(&self, project: &JobId, file: &str) -> Result<Option<Image>, Error> {
        self.find_image("project = $1 AND file = $2", &[project.as_str(), file]).await
    }

    /// The oldest image of a project that its owner calls so.
    pub async fn image_called(&self, project: &JobId, name: &str) -> Result<Option<Image>, Error> {
        self.find_image("project = $1 AND name = $2", &[project.as_str(), name]).await
    }

    /// An image of a project whose bytes have arrived, and have this SHA-1.
    pub async fn image_with(&self, project: &JobId, sha1: &str) -> Result<Option<Image>, Error> {
        let condition = "project = $1 AND sha1 = $2 AND state IN ('Uploaded', 'Processing', 'Ready')";
        self.find_image(condition, &[project.as_str(), sha1]).await
    }

    /// A slice of a project's images, the oldest first; of those in `state`, where one is given.
    pub async fn images(&self, project: &JobId, state: Option<State>, slice: &Slice) -> Result<Page<Image>, Error> {
        let reader = self.database.reader();
        let table = ("project_images", IMAGE);
        match state {
            None => page::page(reader, table, ("project = $1", &[project.as_str()]), slice, image).await,
            Some(state) => {
                let scope = ("project = $1 AND state = $2", &[project.as_str(), state.name()][..]);
                page::page(reader, table, scope, slice, image).await
            }
        }
    }

    /// What the images of a project come to.
    pub async fn totals(&self, project: &JobId) -> Result<Totals, Error> {
        totals(&mut *self.database.reader().acquire().await?, project).await
    }

    /// What an image becomes by `event`; `None` where it is not there any more.
    pub async fn advance(&self, id: &JobId, event: Event, now: SystemTime) -> Result<Option<Image>, Error> {
        let mut tx = self.database.begin(Durability::Disk).await?;
        let Some(image) = select(&mut tx, self, "id = $1", &[id.as_str()]).await? else { return Ok(None) };
        let before = image.clone();
        let image = advance(&mut tx, image, event, now).await?;
        if image != before {
            tx.commit().await.map_err(Error::Commit)?;
        }
        Ok(Some(image))
    }

    /// Forgets an image; its object is the caller's.
    pub async fn remove_image(&self, id: &JobId) -> Result<(), Error> {
        let sql = "DELETE FROM project_images WHERE id = $1";
        self.database.write_alone(sqlx::query(sql).bind(id.to_string())).await?;
        Ok(())
    }

    /// Ends what nothing has happened to for too long; how many that were.
    pub async fn end_silent(&self, now: SystemTime) -> Result<usize, Error> {
        let sql = format!(
            "SELECT {IMAGE} FROM project_images WHERE state NOT IN ('Ready', 'Invalid') AND changed <= $1 \
             ORDER BY changed LIMIT {AT_ONCE}"
        );
        let silent = sqlx::query(&sql).bind(millis(now) - SILENCE.as_millis() as i64);
        let silent = silent.fetch_all(self.database.reader()).await?;
        for row in &silent {
            self.advance(&id(row, "id")?, Event::Tick, now).await?;
        }
        Ok(silent.len())
    }

    /// Images that have arrived and are to be looked at, those first that have waited for longest.
    pub(super) async fn arrived_images(&self) -> Result<Vec<Image>, Error> {
        self.open_images("state = 'Uploaded'").await
    }

    /// Images whose job has ended, or is not remembered any more.
    pub(super) async fn looked_at_images(&self) -> Result<Vec<Image>, Error> {
        let condition = "state = 'Processing' AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = project_images.job \
                         AND jobs.state IN ('waiting', 'running'))";
        self.open_images(condition).await
    }

    /// The jobs that look at pictures.
    pub(super) async fn jobs_under_way(&self) -> Result<Vec<JobId>, Error> {
        let sql =
            "SELECT job FROM project_images WHERE state NOT IN ('Ready', 'Invalid') AND job IS NOT NULL LIMIT 10000";
        sqlx::query(sql).fetch_all(self.database.reader()).await?.iter().map(|row| id(row, "job")).collect()
    }

    async fn open_images(&self, condition: &str) -> Result<Vec<Image>, Error> {
        let sql = format!(
            "SELECT {IMAGE} FROM project_images WHERE state NOT IN ('Ready', 'Invalid') AND {condition} \
             ORDER BY changed LIMIT {AT_ONCE}"
        );
        let found = sqlx::query(&sql).fetch_all(self.database.reader()).await?;
        found.iter().map(image).collect()
    }

    pub(super) async fn find_image(&self, condition: &str, texts: &[&str]) -> Result<Option<Image>, Error> {
        let sql = format!("SELECT {IMAGE} FROM project_images WHERE {condition} ORDER BY created, id LIMIT 1");
        let query = texts.iter().fold(sqlx::query(&sql), |query, text| query.bind((*text).to_owned()));
        query.fetch_optional(self.database.reader()).await?.as_ref().map(image).transpose()
    }
}

pub(super) async fn totals(connection: &mut AnyConnection, project: &JobId) -> Result<Totals, Error> {
    let sql = format!(
        "SELECT count(*) AS images, count(CASE WHEN state = 'Ready' THEN 1 END) AS ready, \
         count(CASE WHEN state NOT IN ('Ready', 'Invalid') THEN 1 END) AS open, \
         CAST(coalesce(sum(CASE WHEN state <> 'Ready' THEN 0 WHEN width * height < {LEAST_PIXELS} THEN {LEAST_PIXELS} \
         ELSE width * height END), 0) AS BIGINT) AS pixels FROM project_images WHERE project = $1"
    );
    let row = sqlx::query(&sql).bind(project.to_string()).fetch_one(connection).await?;
    Ok(Totals {
        images: row.try_get("images")?,
        ready: row.try_get("ready")?,
        open: row.try_get("open")?,
        pixels: row.try_get("pixels")?,
    })
}

pub(super) type Tx = Transaction<'static, Any>;

/// What an image becomes by `event`. One that has come, or will not, is not fetched any more.
pub(super) async fn advance(tx: &mut Tx, mut image: Image, event: Event, now: SystemTime) -> Result<Image, Error> {
    let was_fetched = image.is_fetched();
    if image.apply(event, now) {
        update(tx, &image).await?;
    }
    if was_fetched && !image.is_fetched() {
        fetches::forget(tx, &image.id).await?;
    }
    Ok(image)
}

/// An image that nobody else changes until the transaction ends.
pub(super) async fn select(
    tx: &mut Tx,
    of: &Projects,
    condition: &str,
    texts: &[&str],
) -> Result<Option<Image>, Error> {
    let sql = of.database.dialect.locking(&format!("SELECT {IMAGE} FROM project_images WHERE {condition}"));
    let query = texts.iter().fold(sqlx::query(&sql), |query, text| query.bind((*text).to_owned()));
    query.fetch_optional(&mut **tx).await?.as_ref().map(image).transpose()
}

async fn insert(tx: &mut Tx, image: &Image) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO project_images ({IMAGE}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    );
    let query = sqlx::query(&sql).bind(image.id.to_string()).bind(image.project.to_string());
    let query = query.bind(image.name.clone()).bind(image.file.clone());
    let query = bind(query, image).bind(millis(image.created)).bind(millis(image.changed));
    query.execute(&mut **tx).await?;
    Ok(())
}

async fn update(tx: &mut Tx, image: &Image) -> Result<(), Error> {
    let sql = "UPDATE project_images SET way = $1, state = $2, checksum = $3, sha1 = $4, bytes = $5, width = $6, \
               height = $7, errors = $8, job = $9, changed = $10 WHERE id = $11";
    let query = bind(sqlx::query(sql), image).bind(millis(image.changed)).bind(image.id.to_string());
    query.execute(&mut **tx).await?;
    Ok(())
}

type AnyQuery<'q> = sqlx::query::Query<'q, Any, sqlx::any::AnyArguments<'q>>;

/// What changes of an image, in the order of its columns.
fn bind<'q>(query: AnyQuery<'q>, image: &Image) -> AnyQuery<'q> {
    let (width, height) =
        image.size.map_or((None, None), |(width, height)| (Some(i64::from(width)), Some(i64::from(height))));
    let errors = serde_json::Value::from(image.errors.clone()).to_string();
    let query = query.bind(image.way.name()).bind(image.state.name()).bind(image.checksum.clone());
    let query = query.bind(image.sha1.clone()).bind(image.bytes.map(|bytes| bytes as i64));
    query.bind(width).bind(height).bind(errors).bind(image.job.as_ref().map(ToString::to_string))
}

fn image(row: &AnyRow) -> Result<Image, Error> {
    let named = |column: &'static str| -> Result<String, Error> { Ok(row.try_get(column)?) };
    let (way, state) = (named("way")?, named("state")?);
    let pixels = |column| -> Result<Option<u32>, Error> {
        Ok(row.try_get::<Option<i64>, _>(column)?.and_then(|value| u32::try_from(value).ok()))
    };
    Ok(Image {
        id: id(row, "id")?,
        project: id(row, "project")?,
        name: named("name")?,
        file: named("file")?,
        way: Way::named(&way).ok_or(Error::Corrupt { column: "way", value: way, expected: "a known way" })?,
        state: State::named(&state).ok_or(Error::Corrupt { column: "state", value: state, expected: "a state" })?,
        checksum: row.try_get("checksum")?,
        sha1: row.try_get("sha1")?,
        bytes: row.try_get::<Option<i64>, _>("bytes")?.and_then(|bytes| u64::try_from(bytes).ok()),
        size: pixels("width")?.zip(pixels("height")?),
        errors: serde_json::from_str(&named("errors")?).unwrap_or_default(),
        job: row.try_get::<Option<String>, _>("job")?.and_then(|job| JobId::parse(&job)),
        created: time(row.try_get("created")?),
        changed: time(row.try_get("changed")?),
    })
}
