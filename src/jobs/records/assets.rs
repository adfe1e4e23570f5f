//! Registered pictures: where each comes from, its owner's own keys, and the job that read it last.
//!
//! What always holds:
//! - A picture is registered in the transaction that accepts the job that reads it, and a whole batch in one.
//! - What became of a picture is what its job says; that job is kept as long as the picture is.
//! - A batch is finished in the transaction that ends the last of its jobs. How many have ended is counted in their rows.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::jobs::database::{Dialect, Durability, number, text};
use crate::jobs::model::{Destination, Job, JobId, JobSpec, Outcome, OutputSpec, Source, State, millis, time};
use crate::jobs::queue::read::{Conditions, Value};
use crate::jobs::queue::rows::{text as column, to_json};
use crate::jobs::queue::{Error, Queue};

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

/// Finishes those batches of which no job is left. The jobs' queue is locked.
pub(in crate::jobs) async fn finish_batches(
    batches: &BTreeMap<i64, i64>,
    connection: &mut AnyConnection,
) -> Result<(), Error> {
    for (batch, at) in batches {
        let sql = "UPDATE asset_batches SET finished = $1 WHERE id = $2 AND finished IS NULL AND NOT EXISTS \
                   (SELECT 1 FROM jobs WHERE jobs.batch = $2 AND jobs.state IN ('waiting', 'running'))";
        sqlx::query(sql).bind(*at).bind(*batch).execute(&mut *connection).await?;
    }
    Ok(())
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

/// A batch as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub id: i64,
    /// When it was posted.
    pub created: SystemTime,
    /// When the last of it ended.
    pub finished: Option<SystemTime>,
    /// How many pictures it has.
    pub count: i64,
    /// How many have ended, those that failed among them.
    pub completed: i64,
    /// How many failed.
    pub errors: i64,
    /// Whether all of its pictures have gone to later batches.
    pub superseded: bool,
}

/// Which batches of a customer are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batches {
    /// All, the newest first.
    All,
    /// Those that are not finished, nor superseded; the newest first.
    Active,
    /// Those that are finished and not superseded, the last finished first.
    Recent,
}

impl Batches {
    const fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::All => ("customer = $1", "id DESC"),
            Self::Active => ("customer = $1 AND finished IS NULL AND superseded = 0", "id DESC"),
            Self::Recent => ("customer = $1 AND finished IS NOT NULL AND superseded = 0", "finished DESC, id DESC"),
        }
    }
}

/// What is still to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Pictures.
    pub pictures: i64,
    /// Batches that are not finished, nor superseded.
    pub batches: i64,
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

    /// The batch of that number.
    pub async fn asset_batch(&self, customer: u32, id: i64) -> Result<Option<Batch>, Error> {
        let sql = format!("SELECT {BATCH} FROM asset_batches WHERE customer = $1 AND id = $2");
        let query = sqlx::query(&sql).bind(i64::from(customer)).bind(id);
        let found = query.fetch_all(self.database().reader()).await?;
        Ok(self.batches_of(&found).await?.pop())
    }

    /// A part of a customer's batches, and how many there are of them.
    pub async fn asset_batches(
        &self,
        customer: u32,
        which: Batches,
        window: Window,
    ) -> Result<(i64, Vec<Batch>), Error> {
        let (condition, order) = which.sql();
        let sql = format!("SELECT count(*) FROM asset_batches WHERE {condition}");
        let total = sqlx::query(&sql).bind(i64::from(customer)).fetch_one(self.database().reader()).await?;
        let (take, skip) = (window.take, window.skip);
        let sql =
            format!("SELECT {BATCH} FROM asset_batches WHERE {condition} ORDER BY {order} LIMIT {take} OFFSET {skip}");
        let found = sqlx::query(&sql).bind(i64::from(customer)).fetch_all(self.database().reader()).await?;
        Ok((total.try_get(0)?, self.batches_of(&found).await?))
    }

    async fn batches_of(&self, found: &[AnyRow]) -> Result<Vec<Batch>, Error> {
        let mut batches = found.iter().map(batch).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<_> = batches.iter().map(|batch| (batch.id,)).collect();
        // A batch that was recounted has the pictures that are still in it.
        let sql = format!(
            "SELECT jobs.batch AS batch, \
             CAST(sum(CASE WHEN jobs.state IN ('waiting', 'running') THEN 1 ELSE 0 END) AS BIGINT) AS open, \
             CAST(sum(CASE WHEN jobs.state IN ('failed', 'cancelled') THEN 1 ELSE 0 END) AS BIGINT) AS failed \
             FROM jobs JOIN asset_batches ON asset_batches.id = jobs.batch \
             WHERE jobs.batch IN (SELECT {} FROM {}) AND (asset_batches.recounted = 0 \
             OR EXISTS (SELECT 1 FROM assets WHERE assets.job = jobs.id)) GROUP BY jobs.batch",
            number(0),
            self.database().dialect.rows(1)
        );
        let counted = sqlx::query(&sql).bind(to_json(&ids)).fetch_all(self.database().reader()).await?;
        let mut counts = HashMap::new();
        for row in &counted {
            counts.insert(row.try_get::<i64, _>("batch")?, (sum(row, "open")?, sum(row, "failed")?));
        }
        for batch in &mut batches {
            let (open, failed) = counts.get(&batch.id).copied().unwrap_or_default();
            (batch.completed, batch.errors) = (batch.count - open, failed);
        }
        Ok(batches)
    }

    /// Looks again at what a batch has: it is superseded where all of its pictures have gone to other batches, and counts those
    /// that are left where they have all ended. Whether anything changed; `None` where there is no such batch.
    pub async fn test_asset_batch(&self, customer: u32, id: i64, now: SystemTime) -> Result<Option<bool>, Error> {
        let Some(batch) = self.asset_batch(customer, id).await? else { return Ok(None) };
        let sql = "SELECT count(*) AS assets, CAST(sum(CASE WHEN jobs.finished IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS open \
                   FROM assets JOIN jobs ON jobs.id = assets.job WHERE assets.batch = $1";
        let row = sqlx::query(sql).bind(id).fetch_one(self.database().reader()).await?;
        let (left, open) = (row.try_get::<i64, _>("assets")?, sum(&row, "open")?);
        let supersedes = left == 0 && !batch.superseded;
        let recounts = open == 0 && (left != batch.count || batch.finished.is_none());
        if !supersedes && !recounts {
            return Ok(Some(false));
        }
        let mut tx = self.database().begin(Durability::Disk).await?;
        let sql = "UPDATE asset_batches SET superseded = CASE WHEN CAST($1 AS BIGINT) = 1 THEN 1 ELSE superseded END, \
                   total = CASE WHEN CAST($2 AS BIGINT) = 1 THEN CAST($3 AS BIGINT) ELSE total END, recounted = CASE WHEN CAST($2 AS BIGINT) = 1 THEN 1 ELSE recounted END, \
                   finished = CASE WHEN CAST($2 AS BIGINT) = 1 THEN coalesce(finished, CAST($4 AS BIGINT)) ELSE finished END WHERE id = $5";
        let query = sqlx::query(sql).bind(i64::from(supersedes)).bind(i64::from(recounts)).bind(left);
        query.bind(millis(now)).bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(true))
    }

    /// What is still to be done, of one customer or of all: the ordinary, and what comes before it.
    pub async fn assets_waiting(&self, customer: Option<u32>) -> Result<[Waiting; 2], Error> {
        let condition =
            if customer.is_some() { "AND asset_batches.customer = $1" } else { "AND CAST($1 AS BIGINT) = 0" };
        let sql = format!(
            "SELECT is_priority, count(*) AS batches, CAST(sum((SELECT count(*) FROM jobs WHERE jobs.batch = asset_batches.id \
             AND jobs.state IN ('waiting', 'running'))) AS BIGINT) AS pictures FROM asset_batches \
             WHERE finished IS NULL AND superseded = 0 {condition} GROUP BY is_priority"
        );
        let query = sqlx::query(&sql).bind(customer.map_or(0, i64::from));
        let mut waiting = [Waiting::default(); 2];
        for row in query.fetch_all(self.database().reader()).await? {
            let of = usize::from(row.try_get::<i64, _>("is_priority")? != 0);
            waiting[of] = Waiting { pictures: sum(&row, "pictures")?, batches: row.try_get("batches")? };
        }
        Ok(waiting)
    }
}

/// The columns of [`asset`].
const ASSET: &str = "assets.space AS space, assets.id AS id, assets.members AS members, assets.job AS job, \
     assets.batch AS batch, assets.created AS created";

/// The columns of [`batch`].
const BATCH: &str = "id, total, superseded, created, finished";

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

/// A batch, not yet counted.
fn batch(row: &AnyRow) -> Result<Batch, Error> {
    Ok(Batch {
        id: row.try_get("id")?,
        created: time(row.try_get("created")?),
        finished: row.try_get::<Option<i64>, _>("finished")?.map(time),
        count: row.try_get("total")?,
        completed: 0,
        errors: 0,
        superseded: row.try_get::<i64, _>("superseded")? != 0,
    })
}

/// A sum of whole numbers. PostgreSQL's are of another type, and over no rows there is none.
fn sum(row: &AnyRow, name: &str) -> Result<i64, Error> {
    Ok(row.try_get::<Option<i64>, _>(name)?.unwrap_or_default())
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
