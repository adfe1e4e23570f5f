//! Named pipelines of a bucket, and whether its originals are protected. They are the bucket's: every key that opens it sees
//! and changes the same ones, and delivery asks for them without a key.

use std::time::SystemTime;

use sqlx::Row;

use crate::jobs::model::millis;
use crate::jobs::queue::{Error, Queue};

/// Most styles of a bucket.
pub const MAX_STYLES: usize = 100;

/// A named pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// Its name, whose case matters.
    pub name: String,
    /// The operators, as their owner wrote them.
    pub pipeline: String,
}

/// All of a bucket's styles by name.
///
/// # Errors
/// A database that fails.
pub async fn list(queue: &Queue, bucket: &str) -> Result<Vec<Style>, Error> {
    let sql = "SELECT name, pipeline FROM bucket_styles WHERE bucket = $1 ORDER BY name";
    let found = sqlx::query(sql).bind(bucket).fetch_all(queue.database().reader()).await?;
    let style = |row: &sqlx::any::AnyRow| Ok(Style { name: row.try_get("name")?, pipeline: row.try_get("pipeline")? });
    found.iter().map(style).collect()
}

/// The pipeline of that name.
///
/// # Errors
/// A database that fails.
pub async fn get(queue: &Queue, bucket: &str, name: &str) -> Result<Option<String>, Error> {
    // Names come out of URLs, and no text of PostgreSQL has a NUL.
    if name.contains('\0') {
        return Ok(None);
    }
    let sql = "SELECT pipeline FROM bucket_styles WHERE bucket = $1 AND name = $2";
    let found = sqlx::query(sql).bind(bucket).bind(name).fetch_optional(queue.database().reader()).await?;
    found.map(|row| row.try_get("pipeline").map_err(Error::from)).transpose()
}

/// Keeps a style, in place of another of its name; `false` where there are [`MAX_STYLES`] others.
///
/// # Errors
/// A database that fails.
pub async fn put(queue: &Queue, bucket: &str, style: &Style, now: SystemTime) -> Result<bool, Error> {
    let all = list(queue, bucket).await?;
    if all.len() >= MAX_STYLES && !all.iter().any(|other| other.name == style.name) {
        return Ok(false);
    }
    let sql = "INSERT INTO bucket_styles (bucket, name, pipeline, updated) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (bucket, name) DO UPDATE SET pipeline = excluded.pipeline, updated = excluded.updated \
               RETURNING name";
    let query = sqlx::query(sql).bind(bucket).bind(&style.name).bind(&style.pipeline).bind(millis(now));
    queue.database().write_alone(query).await?;
    Ok(true)
}

/// Forgets a style; `false` where there is none.
///
/// # Errors
/// A database that fails.
pub async fn delete(queue: &Queue, bucket: &str, name: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM bucket_styles WHERE bucket = $1 AND name = $2 RETURNING name";
    Ok(!queue.database().write_alone(sqlx::query(sql).bind(bucket).bind(name)).await?.is_empty())
}

/// Whether a bucket's originals are protected.
///
/// # Errors
/// A database that fails.
pub async fn is_protected(queue: &Queue, bucket: &str) -> Result<bool, Error> {
    let sql = "SELECT bucket FROM protected_buckets WHERE bucket = $1";
    Ok(sqlx::query(sql).bind(bucket).fetch_optional(queue.database().reader()).await?.is_some())
}

/// Protects a bucket's originals, or no longer.
///
/// # Errors
/// A database that fails.
pub async fn protect(queue: &Queue, bucket: &str, is_protected: bool, now: SystemTime) -> Result<(), Error> {
    let query = match is_protected {
        true => sqlx::query(
            "INSERT INTO protected_buckets (bucket, since) VALUES ($1, $2) \
             ON CONFLICT (bucket) DO UPDATE SET since = protected_buckets.since RETURNING bucket",
        )
        .bind(bucket)
        .bind(millis(now)),
        false => sqlx::query("DELETE FROM protected_buckets WHERE bucket = $1 RETURNING bucket").bind(bucket),
    };
    queue.database().write_alone(query).await?;
    Ok(())
}
