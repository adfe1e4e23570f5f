//! What is written of pictures in the transaction that accepts the jobs that read them.

use std::time::SystemTime;

use sqlx::AnyConnection;

use super::{Members, Name};
use crate::jobs::database::{Dialect, number, text};
use crate::jobs::model::{JobId, millis};
use crate::jobs::queue::Error;
use crate::jobs::queue::rows::to_json;

/// Pictures that are registered with the jobs of a submission, in their order.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Whose they are.
    pub customer: u32,
    /// Whether they come before others.
    pub is_priority: bool,
    /// The pictures.
    pub assets: Vec<(Name, Members)>,
}

/// A picture's row: customer, space, name, members, three strings, three numbers, manifests, job, batch, time.
type AssetRow = (u32, i64, String, String, [String; 3], [i64; 3], String, String, Option<i64>, i64);

/// What is registered in one transaction.
#[derive(Default)]
pub(in crate::jobs) struct Registered {
    assets: Vec<AssetRow>,
    /// Batch, space, name.
    members: Vec<(i64, i64, String)>,
    /// Batch, customer, priority, count, time.
    batches: Vec<(i64, u32, i64, usize, i64)>,
}

impl Registered {
    pub(in crate::jobs) fn add(&mut self, of: &Registration, jobs: &[JobId], batch: Option<i64>, now: SystemTime) {
        for ((name, members), job) in of.assets.iter().zip(jobs) {
            let (manifests, all) = (to_json(&members.manifests), to_json(members));
            let Name { space, id } = name.clone();
            self.members.extend(batch.map(|batch| (batch, space, id.clone())));
            let (strings, numbers) = (members.strings.clone(), members.numbers);
            let row = (of.customer, space, id, all, strings, numbers, manifests, job.to_string(), batch, millis(now));
            self.assets.push(row);
        }
        let count = of.assets.len();
        self.batches.extend(batch.map(|id| (id, of.customer, i64::from(of.is_priority), count, millis(now))));
    }

    pub(in crate::jobs) async fn write(&self, dialect: Dialect, connection: &mut AnyConnection) -> Result<(), Error> {
        if self.assets.is_empty() {
            return Ok(());
        }
        let statements =
            [insert_assets(dialect, 1), insert_members(dialect, 2), insert_batches(dialect, 3)].map(|sql| sql);
        let sql = dialect.at_once(&statements);
        sqlx::query(&sql)
            .bind(to_json(&self.assets))
            .bind(to_json(&self.members))
            .bind(to_json(&self.batches))
            .execute(connection)
            .await?;
        Ok(())
    }
}

fn insert_assets(dialect: Dialect, parameter: usize) -> String {
    let strings = (0..3).map(|at| format!("(given.value -> 4 ->> {at})")).collect::<Vec<_>>().join(", ");
    let numbers = (0..3).map(|at| format!("CAST(given.value -> 5 ->> {at} AS BIGINT)")).collect::<Vec<_>>().join(", ");
    format!(
        "INSERT INTO assets (customer, space, id, members, string1, string2, string3, number1, number2, number3, \
         manifests, job, batch, created) SELECT {}, {}, {}, {}, {strings}, {numbers}, {}, {}, {}, {} FROM {} WHERE true \
         ON CONFLICT (customer, space, id) DO UPDATE SET members = excluded.members, string1 = excluded.string1, \
         string2 = excluded.string2, string3 = excluded.string3, number1 = excluded.number1, \
         number2 = excluded.number2, number3 = excluded.number3, manifests = excluded.manifests, job = excluded.job, \
         batch = excluded.batch",
        number(0),
        number(1),
        text(2),
        text(3),
        text(6),
        text(7),
        number(8),
        number(9),
        dialect.rows(parameter)
    )
}

fn insert_members(dialect: Dialect, parameter: usize) -> String {
    let rows = dialect.rows(parameter);
    format!(
        "INSERT INTO asset_batch_members (batch, space, id) SELECT {}, {}, {} FROM {rows} WHERE true \
         ON CONFLICT (batch, space, id) DO NOTHING",
        number(0),
        number(1),
        text(2)
    )
}

fn insert_batches(dialect: Dialect, parameter: usize) -> String {
    format!(
        "INSERT INTO asset_batches (id, customer, is_priority, total, created) SELECT {}, {}, {}, {}, {} FROM {}",
        number(0),
        number(1),
        number(2),
        number(3),
        number(4),
        dialect.rows(parameter)
    )
}
