//! Pages of what has a time and a name, forwards and backwards.

use std::time::SystemTime;

use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row};

use crate::jobs::model::{JobId, millis};
use crate::jobs::queue::Error;

/// Most entries of a page, and how many there are where nobody says.
const MOST: u32 = 1000;

/// Which part of a list is asked for. Entries are called by when they were made and by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// At most so many, from the start.
    pub first: Option<u32>,
    /// At most so many, from the end.
    pub last: Option<u32>,
    /// Those after this one.
    pub after: Option<(SystemTime, JobId)>,
    /// Those before this one.
    pub before: Option<(SystemTime, JobId)>,
}

/// A part of a list, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// How many the whole list has.
    pub total: i64,
    /// Whether there are some before these.
    pub has_previous: bool,
    /// Whether there are some after these.
    pub has_next: bool,
}

/// A slice of a table's rows within a scope, which has texts as its first parameters.
pub(super) async fn page<T>(
    reader: &AnyPool,
    (table, columns): (&str, &str),
    (scope, texts): (&str, &[&str]),
    slice: &Slice,
    read: impl Fn(&AnyRow) -> Result<T, Error>,
) -> Result<Page<T>, Error> {
    let sql = format!("SELECT count(*) AS entries FROM {table} WHERE {scope}");
    let count = texts.iter().fold(sqlx::query(&sql), |query, text| query.bind((*text).to_owned()));
    let total = count.fetch_one(reader).await?.try_get("entries")?;
    let is_backwards = slice.first.is_none() && slice.last.is_some();
    let most = slice.first.or(slice.last).unwrap_or(MOST).min(MOST);
    let mut sql = format!("SELECT {columns} FROM {table} WHERE {scope}");
    let mut bounds = Vec::new();
    for (bound, sign) in [(&slice.after, '>'), (&slice.before, '<')] {
        if let Some(bound) = bound {
            let at = texts.len() + 2 * bounds.len() + 1;
            sql += &format!(" AND (created, id) {sign} (${at}, ${})", at + 1);
            bounds.push(bound);
        }
    }
    let order = if is_backwards { "DESC" } else { "ASC" };
    sql += &format!(" ORDER BY created {order}, id {order} LIMIT {}", u64::from(most) + 1);
    let query = texts.iter().fold(sqlx::query(&sql), |query, text| query.bind((*text).to_owned()));
    let query = bounds.iter().fold(query, |query, (made, id)| query.bind(millis(*made)).bind(id.to_string()));
    let mut entries = query.fetch_all(reader).await?.iter().map(read).collect::<Result<Vec<T>, _>>()?;
    let has_more = entries.len() > most as usize;
    entries.truncate(most as usize);
    if is_backwards {
        entries.reverse();
    }
    let (has_previous, has_next) = match is_backwards {
        true => (has_more, slice.before.is_some()),
        false => (slice.after.is_some(), has_more),
    };
    Ok(Page { entries, total, has_previous, has_next })
}
