//! Looking at jobs.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row};

use super::{Error, Queue, rows};
use crate::jobs::model::{Filter, Job, JobId, State, millis};

/// Most jobs, or notifications, of one page.
pub(super) const MAX_PAGE: u32 = 1000;

/// Most jobs of one page with how their outputs ended.
pub const MAX_PAGE_WITH_OUTCOMES: u32 = 100;

impl Queue {
    /// The job of that name as it stands.
    pub async fn get(&self, id: &JobId) -> Result<Option<Job>, Error> {
        let mut connection = self.database.reader().acquire().await?;
        let sql = format!("SELECT {} FROM jobs WHERE id = $1", rows::JOB);
        let Some(row) = sqlx::query(&sql).bind(id.as_str()).fetch_optional(&mut *connection).await? else {
            return Ok(None);
        };
        let mut job = rows::job(&row)?;
        add_outcomes(&mut connection, std::slice::from_mut(&mut job)).await?;
        Ok(Some(job))
    }

    /// The jobs that match, the newest first unless the filter says otherwise, at most `limit` of them and never more than a thousand; not how their outputs
    /// ended. The next page begins before the last of this one ([`Filter::before`]).
    pub async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Job>, Error> {
        let mut connection = self.database.reader().acquire().await?;
        list(&mut connection, filter, limit.min(MAX_PAGE)).await
    }

    /// As [`Queue::list`], with how the outputs ended, and never more than a hundred.
    pub async fn list_with_outcomes(&self, filter: &Filter, limit: u32) -> Result<Vec<Job>, Error> {
        let mut connection = self.database.reader().acquire().await?;
        let mut jobs = list(&mut connection, filter, limit.min(MAX_PAGE_WITH_OUTCOMES)).await?;
        add_outcomes(&mut connection, &mut jobs).await?;
        Ok(jobs)
    }

    /// How many jobs of an owner are in each state; states without any are left out.
    pub async fn counts(&self, owner: &str) -> Result<Vec<(State, i64)>, Error> {
        let sql = "SELECT state, count(*) AS jobs FROM jobs WHERE owner = $1 GROUP BY state ORDER BY state";
        let found = sqlx::query(sql).bind(owner).fetch_all(self.database.reader()).await?;
        found.iter().map(|row| Ok((rows::state(row)?, row.try_get("jobs")?))).collect()
    }
}

impl Queue {
    /// The jobs of these names, with how their outputs ended, in no order.
    pub(in crate::jobs) async fn named(&self, ids: &[String]) -> Result<Vec<Job>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.database.reader().acquire().await?;
        let names: Vec<_> = (1..=ids.len()).map(|number| format!("${number}")).collect();
        let sql = format!("SELECT {} FROM jobs WHERE id IN ({})", rows::JOB, names.join(", "));
        let found = ids.iter().fold(sqlx::query(&sql), |query, id| query.bind(id.clone()));
        let found = found.fetch_all(&mut *connection).await?;
        let mut jobs = found.iter().map(rows::job).collect::<Result<Vec<_>, _>>()?;
        add_outcomes(&mut connection, &mut jobs).await?;
        Ok(jobs)
    }
}

async fn list(connection: &mut AnyConnection, filter: &Filter, limit: u32) -> Result<Vec<Job>, Error> {
    let conditions = Conditions::of(filter);
    let order = if filter.is_ascending { "created, id" } else { "created DESC, id DESC" };
    let sql = format!("SELECT {} FROM jobs{} ORDER BY {order} LIMIT {limit}", rows::JOB, conditions.sql());
    let found = conditions.bind(sqlx::query(&sql)).fetch_all(connection).await?;
    found.iter().map(rows::job).collect()
}

/// Adds how their outputs ended to some jobs.
pub(super) async fn add_outcomes(connection: &mut AnyConnection, jobs: &mut [Job]) -> Result<(), Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = (1..=jobs.len()).map(|number| format!("${number}")).collect();
    let sql = format!("SELECT job, position, outcome FROM outputs WHERE job IN ({})", names.join(", "));
    let query = jobs.iter().fold(sqlx::query(&sql), |query, job| query.bind(job.id.as_str().to_owned()));
    let found = query.fetch_all(connection).await?;
    let mut places: HashMap<String, &mut Job> = jobs.iter_mut().map(|job| (job.id.to_string(), job)).collect();
    for row in found {
        let position = usize::try_from(row.try_get::<i64, _>("position")?);
        let job = places.get_mut(&rows::text(&row, "job")?);
        if let Some(slot) = job.and_then(|job| job.outcomes.get_mut(position.ok()?)) {
            *slot = Some(rows::outcome(&rows::text(&row, "outcome")?));
        }
    }
    Ok(())
}

/// A value of a condition.
pub(in crate::jobs) enum Value {
    Text(String),
    Number(i64),
}

/// The conditions of a statement: only those that are given, so that each may use its index.
#[derive(Default)]
pub(in crate::jobs) struct Conditions {
    pub(in crate::jobs) texts: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    fn of(filter: &Filter) -> Self {
        let mut conditions = Self::default();
        let mut equal = |column: &str, value: Option<Value>| {
            if let Some(value) = value {
                let name = conditions.name(value);
                conditions.texts.push(format!("{column} = {name}"));
            }
        };
        equal("owner", filter.owner.clone().map(Value::Text));
        equal("api", filter.api.map(|api| Value::Text(api.name().to_owned())));
        equal("queue", filter.queue.clone().map(Value::Text));
        equal("state", filter.state.map(|state| Value::Text(state.name().to_owned())));
        equal("batch", filter.batch.map(Value::Number));
        equal("source", filter.source.as_ref().map(|source| Value::Text(source.digest())));
        if let Some((created, id)) = &filter.before {
            let created = conditions.name(Value::Number(millis(*created)));
            let id = conditions.name(Value::Text(id.to_string()));
            let side = if filter.is_ascending { '>' } else { '<' };
            conditions.texts.push(format!("(created, id) {side} ({created}, {id})"));
        }
        for (side, time) in [(">=", filter.created_from), ("<=", filter.created_until)] {
            if let Some(time) = time {
                let time = conditions.name(Value::Number(millis(time)));
                conditions.texts.push(format!("created {side} {time}"));
            }
        }
        if !filter.states.is_empty() {
            let names = filter.states.iter().map(|state| conditions.name(Value::Text(state.name().to_owned())));
            let names = names.collect::<Vec<_>>().join(", ");
            conditions.texts.push(format!("state IN ({names})"));
        }
        conditions
    }

    /// The name by which the statement calls a value.
    pub(in crate::jobs) fn name(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    pub(in crate::jobs) fn sql(&self) -> String {
        if self.texts.is_empty() { String::new() } else { format!(" WHERE {}", self.texts.join(" AND ")) }
    }

    pub(in crate::jobs) fn bind<'q>(self, query: AnyQuery<'q>) -> AnyQuery<'q> {
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        })
    }
}

pub(in crate::jobs) type AnyQuery<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments<'q>>;
