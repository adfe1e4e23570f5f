//! Named pipelines of an owner in a bucket.

use std::time::SystemTime;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::jobs::model::{millis, time};
use crate::jobs::queue::{Error, Queue};
use crate::store::spool::random_name;

/// Most named pipelines of an owner in a bucket.
pub const MAX_TEMPLATES: usize = 1000;

/// A named pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// `t1` and 32 hexadecimal digits.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// The operators, as their owner wrote them.
    pub pipeline: String,
    /// Whether jobs tell facts about the source.
    pub is_described: bool,
    /// When it was made.
    pub created: SystemTime,
    /// When it was last replaced.
    pub updated: SystemTime,
}

/// Whose templates, and of which bucket.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The access key.
    pub owner: &'a str,
    /// The bucket.
    pub bucket: &'a str,
}

/// Why a template was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another one has the name.
    Duplicate,
    /// There are [`MAX_TEMPLATES`].
    TooMany,
    /// There is none of that id.
    Missing,
}

const COLUMNS: &str = "id, name, pipeline, is_described, created, updated";

/// All of them, the oldest first.
///
/// # Errors
/// A database that fails.
pub async fn list(queue: &Queue, place: Place<'_>) -> Result<Vec<Template>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM pipelines WHERE owner = $1 AND bucket = $2 ORDER BY created, id");
    let query = sqlx::query(&sql).bind(place.owner).bind(place.bucket);
    let found = query.fetch_all(queue.database().reader()).await?;
    found.iter().map(template).collect()
}

/// The one of that id.
///
/// # Errors
/// A database that fails.
pub async fn get(queue: &Queue, place: Place<'_>, id: &str) -> Result<Option<Template>, Error> {
    Ok(list(queue, place).await?.into_iter().find(|template| template.id == id))
}

/// Makes a template, or replaces the one of `id`.
///
/// # Errors
/// A database that fails; the inner result says why it was not kept.
pub async fn put(
    queue: &Queue,
    place: Place<'_>,
    id: Option<&str>,
    (name, pipeline, is_described): (&str, &str, bool),
    now: SystemTime,
) -> Result<Result<Template, Refusal>, Error> {
    let all = list(queue, place).await?;
    let old = all.iter().find(|template| Some(template.id.as_str()) == id);
    if id.is_some() && old.is_none() {
        return Ok(Err(Refusal::Missing));
    }
    if all.iter().any(|template| template.name == name && Some(template.id.as_str()) != id) {
        return Ok(Err(Refusal::Duplicate));
    }
    if id.is_none() && all.len() >= MAX_TEMPLATES {
        return Ok(Err(Refusal::TooMany));
    }
    let template = Template {
        id: id.map_or_else(|| format!("t1{}", random_name()), str::to_owned),
        name: name.to_owned(),
        pipeline: pipeline.to_owned(),
        is_described,
        created: old.map_or(now, |old| old.created),
        updated: now,
    };
    let sql = "INSERT INTO pipelines (id, owner, bucket, name, pipeline, is_described, created, updated) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
               pipeline = excluded.pipeline, is_described = excluded.is_described, updated = excluded.updated RETURNING id";
    let query = sqlx::query(sql).bind(&template.id).bind(place.owner).bind(place.bucket).bind(name).bind(pipeline);
    let query = query.bind(i64::from(is_described)).bind(millis(template.created)).bind(millis(now));
    match queue.database().write_alone(query).await {
        // Somebody was faster.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(Err(Refusal::Duplicate)),
        written => written.map(|_| Ok(template)).map_err(Error::from),
    }
}

/// Forgets a template; `false` where there is none.
///
/// # Errors
/// A database that fails.
pub async fn delete(queue: &Queue, place: Place<'_>, id: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM pipelines WHERE owner = $1 AND bucket = $2 AND id = $3 RETURNING id";
    let query = sqlx::query(sql).bind(place.owner).bind(place.bucket).bind(id);
    Ok(!queue.database().write_alone(query).await?.is_empty())
}

fn template(row: &AnyRow) -> Result<Template, Error> {
    Ok(Template {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        pipeline: row.try_get("pipeline")?,
        is_described: row.try_get::<i64, _>("is_described")? != 0,
        created: time(row.try_get("created")?),
        updated: time(row.try_get("updated")?),
    })
}
