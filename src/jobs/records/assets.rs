//! Registered pictures: where each comes from, its owner's own keys, and the job that read it last.
//!
//! What always holds:
//! - A picture is registered in the transaction that accepts the job that reads it, and a whole batch in one.
//! - What became of a picture is what its job says; that job is kept as long as the picture is.
//! - A batch is finished in the transaction that ends the last of its jobs. How many have ended is counted in their rows.

mod batches;
mod registering;

use std::collections::HashMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::jobs::database::{Durability, number, text};
use crate::jobs::model::{Destination, Job, JobId, JobSpec, Outcome, OutputSpec, Source, State, time};
use crate::jobs::queue::read::{Conditions, Value};
use crate::jobs::queue::rows::{text as column, to_json};
use crate::jobs::queue::{Error, Queue};
pub(in crate::jobs) use batches::finish_batches;
pub use batches::{Batch, Batches, Waiting};
pub(in crate::jobs) use registering::Registered;
pub use registering::Registration;

/// What a picture's owner says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Where its bytes are fetched from.
    pub origin: String,
    /// What they are said to be.
    pub media_type: String,
    /// What is made and served of it, each with its policy.
    pub channels: Vec<(String, String)>,
    /// Words.
    pub tags: Vec<String>,
    /// Who may see it.
    pub roles: Vec<String>,
    /// The owner's own keys.
    pub strings: [String; 3],
    /// The owner's own numbers.
    pub numbers: [i64; 3],
    /// Documents that show it.
    pub manifests: Vec<String>,
    /// Longest side that is served to anybody, in pixels; −1 for all of it.
    pub max_unauthorised: i64,
}

impl Members {
    /// The longest side that everybody may see of the whole picture, in pixels; all of it where there is none. Where roles are
    /// needed and no side is named, nothing is.
    pub fn open_edge(&self) -> Option<u32> {
        match u32::try_from(self.max_unauthorised) {
            Ok(edge) => Some(edge),
            Err(_) if self.roles.is_empty() => None,
            Err(_) => Some(0),
        }
    }
}

/// Names a picture among those of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Its space.
    pub space: i64,
    /// Its name there.
    pub id: String,
}

impl Name {
    /// The key of its bytes, in its customer's bucket.
    pub fn original_key(&self) -> String {
        format!("{}/{}/original", self.space, self.id)
    }

    /// The key of the derivative that fits into a square of `edge` pixels.
    pub fn thumb_key(&self, edge: u32) -> String {
        format!("{}/{}/{edge}.jpg", self.space, self.id)
    }
}

/// The operators of the derivative that fits into a square of `edge` pixels.
pub fn thumb_pipeline(edge: u32) -> String {
    format!("imageView2/2/w/{edge}/h/{edge}/format/jpg")
}

/// The job that fetches a picture, checks it, stores it and makes its derivatives. `bucket` is its customer's.
pub fn job(name: &Name, source: Source, is_image: bool, thumb_edges: &[u32], bucket: &str) -> JobSpec {
    let output = |pipeline: String, destination: Destination| OutputSpec {
        command: pipeline.clone(),
        pipeline,
        destination,
        name: None,
    };
    let stored = |key: String| Destination::Object { bucket: bucket.to_owned(), key };
    let mut outputs = Vec::new();
    if is_image {
        outputs.push(output("imageInfo".to_owned(), Destination::Derived));
        outputs.extend(thumb_edges.iter().map(|edge| output(thumb_pipeline(*edge), stored(name.thumb_key(*edge)))));
    }
    outputs.push(output(String::new(), stored(name.original_key())));
    JobSpec { source, outputs, notify: None, force: true, user_data: None, wording: None, request_id: String::new() }
}

/// A registered picture as it stands.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its name.
    pub name: Name,
    /// What its owner says of it.
    pub members: Members,
    /// The batch that it came with last.
    pub batch: Option<i64>,
    /// When it was first registered.
    pub created: SystemTime,
    /// What reads it.
    pub job: Job,
}

impl Asset {
    /// Why it could not be read, stored or made derivatives of.
    pub fn problem(&self) -> Option<&str> {
        let failed = self.job.outcomes.iter().find_map(|outcome| match outcome {
            Some(Outcome::Failed(failure)) => Some(failure.message.as_str()),
            _ => None,
        });
        match self.job.state {
            State::Failed => Some(failed.unwrap_or("it failed")),
            State::Cancelled => Some("it was cancelled"),
            _ => None,
        }
    }

    /// Bytes that are stored: of itself, and of its derivatives.
    pub fn stored_bytes(&self) -> (u64, u64) {
        let original = self.name.original_key();
        let (mut own, mut derived) = (0, 0);
        for outcome in self.job.outcomes.iter().flatten() {
            match outcome {
                Outcome::Stored(stored) if stored.key == original => own += stored.bytes,
                Outcome::Stored(stored) => derived += stored.bytes,
                _ => {}
            }
        }
        (own, derived)
    }

    /// Whether it is read, and a picture.
    pub fn is_ready(&self) -> bool {
        self.job.state == State::Succeeded && self.size().is_some()
    }

    /// Its width and height in pixels, once it is read.
    pub fn size(&self) -> Option<(u32, u32)> {
        let Some(Some(Outcome::Data(info))) = self.job.outcomes.first() else { return None };
        let info: serde_json::Value = serde_json::from_str(info).ok()?;
        let side = |name: &str| info[name].as_u64().and_then(|side| u32::try_from(side).ok());
        Some((side("width")?, side("height")?))
    }
}

/// Which pictures of a customer are listed, and in which order.
#[derive(Clone, Debug, Default)]
pub struct AssetFilter {
    /// Of this space.
    pub space: Option<i64>,
    /// That came with this batch last.
    pub batch: Option<i64>,
    /// That this batch was posted with.
    pub posted_with: Option<i64>,
    /// With these keys.
    pub strings: [Option<String>; 3],
    /// With these numbers.
    pub numbers: [Option<i64>; 3],
    /// Shown by this document.
    pub manifest: Option<String>,
    /// Whose job has not ended.
    pub unfinished: bool,
    /// By this column.
    pub order: Order,
    /// The last first.
    pub descending: bool,
}

/// What pictures are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// When they were registered.
    #[default]
    Created,
    /// Their names.
    Id,
    /// Their spaces.
    Space,
    /// One of their keys, 1–3.
    String(u8),
    /// One of their numbers, 1–3.
    Number(u8),
}

impl Order {
    fn column(self) -> String {
        match self {
            Self::Created => "assets.created".to_owned(),
            Self::Id => "assets.id".to_owned(),
            Self::Space => "assets.space".to_owned(),
            Self::String(index) => format!("assets.string{}", index.clamp(1, 3)),
            Self::Number(index) => format!("assets.number{}", index.clamp(1, 3)),
        }
    }
}

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Entries before it.
    pub skip: u32,
    /// Most entries.
    pub take: u32,
}

impl Queue {
    /// The picture of that name.
    pub async fn asset(&self, customer: u32, name: &Name) -> Result<Option<Asset>, Error> {
        let sql = format!("SELECT {ASSET} FROM assets WHERE customer = $1 AND space = $2 AND id = $3");
        let query = sqlx::query(&sql).bind(i64::from(customer)).bind(name.space).bind(name.id.clone());
        let found = query.fetch_all(self.database().reader()).await?;
        Ok(self.assets_of(&found).await?.pop())
    }

    /// Those of `names` that are registered.
    pub async fn assets_named(&self, customer: u32, names: &[Name]) -> Result<Vec<Asset>, Error> {
        let given: Vec<_> = names.iter().map(|name| (name.space, &name.id)).collect();
        let sql = format!(
            "SELECT {ASSET} FROM {} JOIN assets ON assets.customer = $1 AND assets.space = {} AND assets.id = {}",
            self.database().dialect.rows(2),
            number(0),
            text(1)
        );
        let query = sqlx::query(&sql).bind(i64::from(customer)).bind(to_json(&given));
        let found = query.fetch_all(self.database().reader()).await?;
        self.assets_of(&found).await
    }

    /// A part of the pictures that match, and how many there are of them.
    pub async fn assets(
        &self,
        customer: u32,
        filter: &AssetFilter,
        window: Window,
    ) -> Result<(i64, Vec<Asset>), Error> {
        let count = conditions(customer, filter);
        let sql = format!("SELECT count(*) FROM assets{}", count.sql());
        let total = count.bind(sqlx::query(&sql)).fetch_one(self.database().reader()).await?.try_get::<i64, _>(0)?;
        let matching = conditions(customer, filter);
        let (order, way) = (filter.order.column(), if filter.descending { "DESC" } else { "ASC" });
        let sql = format!(
            "SELECT {ASSET} FROM assets{} ORDER BY {order} {way}, assets.space {way}, assets.id {way} LIMIT {} OFFSET {}",
            matching.sql(),
            window.take,
            window.skip
        );
        let found = matching.bind(sqlx::query(&sql)).fetch_all(self.database().reader()).await?;
        Ok((total, self.assets_of(&found).await?))
    }

    async fn assets_of(&self, found: &[AnyRow]) -> Result<Vec<Asset>, Error> {
        let ids = found.iter().map(|row| column(row, "job")).collect::<Result<Vec<_>, _>>()?;
        let mut jobs: HashMap<String, Job> = HashMap::new();
        for some in ids.chunks(100) {
            jobs.extend(self.named(some).await?.into_iter().map(|job| (job.id.to_string(), job)));
        }
        let mut assets = Vec::with_capacity(found.len());
        for (row, id) in found.iter().zip(&ids) {
            // Registered and forgotten between the two statements.
            let Some(job) = jobs.get(id).cloned() else { continue };
            assets.push(asset(row, job)?);
        }
        Ok(assets)
    }

    /// Changes what is said of a picture, which is not read again. `false` where there is none.
    pub async fn change_asset(&self, customer: u32, name: &Name, members: &Members) -> Result<bool, Error> {
        let mut tx = self.database().begin(Durability::Disk).await?;
        let sql = "UPDATE assets SET members = $1, string1 = $2, string2 = $3, string3 = $4, number1 = $5, number2 = $6, \
                   number3 = $7, manifests = $8 WHERE customer = $9 AND space = $10 AND id = $11";
        let query = sqlx::query(sql).bind(to_json(members));
        let query = members.strings.iter().fold(query, |query, key| query.bind(key.clone()));
        let query = members.numbers.iter().fold(query, |query, key| query.bind(*key)).bind(to_json(&members.manifests));
        let query = query.bind(i64::from(customer)).bind(name.space).bind(name.id.clone());
        let changed = query.execute(&mut *tx).await?.rows_affected() > 0;
        tx.commit().await?;
        Ok(changed)
    }

    /// Forgets a picture. Its job, where it has not ended, is stopped.
    pub async fn forget_asset(&self, customer: u32, name: &Name, now: SystemTime) -> Result<bool, Error> {
        let mut tx = self.database().begin(Durability::Disk).await?;
        let sql = "DELETE FROM assets WHERE customer = $1 AND space = $2 AND id = $3 RETURNING job";
        let query = sqlx::query(sql).bind(i64::from(customer)).bind(name.space).bind(name.id.clone());
        let found = query.fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        let Some(row) = found else { return Ok(false) };
        if let Some(id) = JobId::parse(&column(&row, "job")?) {
            self.cancel(&id, now).await?;
        }
        Ok(true)
    }
}

/// The columns of [`asset`].
const ASSET: &str = "assets.space AS space, assets.id AS id, assets.members AS members, assets.job AS job, \
     assets.batch AS batch, assets.created AS created";

fn asset(row: &AnyRow, job: Job) -> Result<Asset, Error> {
    let members = column(row, "members")?;
    let corrupt =
        |_| Error::Corrupt { column: "members", value: members.clone(), expected: "what is said of a picture" };
    Ok(Asset {
        name: Name { space: row.try_get("space")?, id: column(row, "id")? },
        members: serde_json::from_str(&members).map_err(corrupt)?,
        batch: row.try_get("batch")?,
        created: time(row.try_get("created")?),
        job,
    })
}

fn conditions(customer: u32, filter: &AssetFilter) -> Conditions {
    let mut conditions = Conditions::default();
    let mut equal = |column: &str, value: Value| {
        let name = conditions.name(value);
        conditions.texts.push(format!("{column} = {name}"));
    };
    equal("assets.customer", Value::Number(customer.into()));
    let numbers = [("space", filter.space), ("batch", filter.batch)];
    for (column, value) in numbers.into_iter().filter_map(|(column, value)| Some((column, value?))) {
        equal(&format!("assets.{column}"), Value::Number(value));
    }
    for (index, key) in (1..).zip(&filter.strings).filter_map(|(index, key)| Some((index, key.clone()?))) {
        equal(&format!("assets.string{index}"), Value::Text(key));
    }
    for (index, key) in (1..).zip(filter.numbers).filter_map(|(index, key)| Some((index, key?))) {
        equal(&format!("assets.number{index}"), Value::Number(key));
    }
    if let Some(batch) = filter.posted_with {
        let name = conditions.name(Value::Number(batch));
        conditions.texts.push(format!(
            "EXISTS (SELECT 1 FROM asset_batch_members AS posted WHERE posted.batch = {name} \
             AND posted.space = assets.space AND posted.id = assets.id)"
        ));
    }
    if let Some(manifest) = &filter.manifest {
        // As it stands in the list, which is JSON.
        let entry = to_json(manifest).replace('!', "!!").replace('%', "!%").replace('_', "!_");
        let name = conditions.name(Value::Text(format!("%{entry}%")));
        conditions.texts.push(format!("assets.manifests LIKE {name} ESCAPE '!'"));
    }
    if filter.unfinished {
        conditions.texts.push(
            "EXISTS (SELECT 1 FROM jobs WHERE jobs.id = assets.job AND jobs.state IN ('waiting', 'running'))"
                .to_owned(),
        );
    }
    conditions
}
