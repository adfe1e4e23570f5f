//! Spaces, which a customer's registered pictures are in.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::jobs::database::{Durability, number};
use crate::jobs::model::{millis, time};
use crate::jobs::queue::rows::{text as column, to_json};
use crate::jobs::queue::{Error, Queue};

/// What a space's owner says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defaults {
    /// Words of pictures that come without.
    pub tags: Vec<String>,
    /// Who may see those that come without.
    pub roles: Vec<String>,
}

/// A space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What pictures have that come without.
    pub defaults: Defaults,
    /// When it was made.
    pub created: SystemTime,
    /// How many pictures it has.
    pub pictures: i64,
}

/// The columns of [`space`].
const SPACE: &str = "id, name, members, created, \
     (SELECT count(*) FROM assets WHERE assets.customer = spaces.customer AND assets.space = spaces.id) AS pictures";

impl Queue {
    /// Makes a space with the next number.
    pub async fn add_space(
        &self,
        customer: u32,
        name: &str,
        defaults: &Defaults,
        now: SystemTime,
    ) -> Result<i64, Error> {
        // One at a time, so that two do not take one number.
        let mut tx = self.database().begin_locked(Durability::Disk, &["\0spaces"]).await?;
        let sql = "INSERT INTO spaces (customer, id, name, members, created) \
                   SELECT $1, (SELECT coalesce(max(id), 0) + 1 FROM spaces WHERE customer = $1), $2, $3, $4 RETURNING id";
        let query = sqlx::query_scalar(sql).bind(i64::from(customer)).bind(name.to_owned()).bind(to_json(defaults));
        let id = query.bind(millis(now)).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Makes the space of that number, or changes it. Whether it is new.
    pub async fn put_space(
        &self,
        customer: u32,
        id: i64,
        name: &str,
        defaults: &Defaults,
        now: SystemTime,
    ) -> Result<bool, Error> {
        let mut tx = self.database().begin_locked(Durability::Disk, &["\0spaces"]).await?;
        let sql = "UPDATE spaces SET name = $1, members = $2 WHERE customer = $3 AND id = $4";
        let query = sqlx::query(sql).bind(name.to_owned()).bind(to_json(defaults)).bind(i64::from(customer)).bind(id);
        let is_new = query.execute(&mut *tx).await?.rows_affected() == 0;
        if is_new {
            let sql = "INSERT INTO spaces (customer, id, name, members, created) VALUES ($1, $2, $3, $4, $5)";
            let query = sqlx::query(sql).bind(i64::from(customer)).bind(id).bind(name.to_owned());
            query.bind(to_json(defaults)).bind(millis(now)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(is_new)
    }

    /// Forgets a space without pictures. `false` where it is not there, or has some.
    pub async fn delete_space(&self, customer: u32, id: i64) -> Result<bool, Error> {
        let mut tx = self.database().begin(Durability::Disk).await?;
        let sql = "DELETE FROM spaces WHERE customer = $1 AND id = $2 AND NOT EXISTS \
                   (SELECT 1 FROM assets WHERE assets.customer = $1 AND assets.space = $2)";
        let done = sqlx::query(sql).bind(i64::from(customer)).bind(id).execute(&mut *tx).await?.rows_affected() > 0;
        tx.commit().await?;
        Ok(done)
    }

    /// The spaces of a customer, by number.
    pub async fn spaces(&self, customer: u32) -> Result<Vec<Space>, Error> {
        let sql = format!("SELECT {SPACE} FROM spaces WHERE customer = $1 ORDER BY id");
        let found = sqlx::query(&sql).bind(i64::from(customer)).fetch_all(self.database().reader()).await?;
        found.iter().map(space).collect()
    }

    /// Those of these spaces of a customer that are there.
    pub async fn spaces_named(&self, customer: u32, ids: &[i64]) -> Result<Vec<Space>, Error> {
        let given: Vec<_> = ids.iter().map(|id| (id,)).collect();
        let rows = self.database().dialect.rows(2);
        let sql = format!(
            "SELECT {SPACE} FROM spaces WHERE customer = $1 AND id IN (SELECT {} FROM {rows}) ORDER BY id",
            number(0)
        );
        let query = sqlx::query(&sql).bind(i64::from(customer)).bind(to_json(&given));
        query.fetch_all(self.database().reader()).await?.iter().map(space).collect()
    }
}

fn space(row: &AnyRow) -> Result<Space, Error> {
    let members = column(row, "members")?;
    let corrupt = |_| Error::Corrupt { column: "members", value: members.clone(), expected: "what a space has" };
    Ok(Space {
        id: row.try_get("id")?,
        name: column(row, "name")?,
        defaults: serde_json::from_str(&members).map_err(corrupt)?,
        created: time(row.try_get("created")?),
        pictures: row.try_get("pictures")?,
    })
}
