//! Pictures one by one, and in spaces (spec 7).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asset::{Described, document, storage_document};
use super::hydra::{Failure, HYDRA_CONTEXT, Page};
use super::intake::registered;
use super::{Base, Customer, Dlcs, Parameters, answer, message};
use crate::jobs::model::JobId;
use crate::jobs::queue::{Change, changed};
use crate::jobs::records::assets::{Asset, AssetFilter, Members, Name, Order};
use crate::store;

/// How long a caller waits for a picture to be read.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether it is, without news.
const LOOK: Duration = Duration::from_secs(1);

const OPERATION: &str = "Update asset";

type Of = (Extension<Customer>, Extension<Base>);
type PathNames = Path<BTreeMap<String, String>>;

/// Which pictures the parameters of a list mean (spec 3).
///
/// # Errors
/// 400 for a `q` that is no JSON.
pub(super) fn filter(parameters: &BTreeMap<String, String>) -> Result<AssetFilter, Failure> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Asked {
        space: Option<i64>,
        string1: Option<String>,
        string2: Option<String>,
        string3: Option<String>,
        number1: Option<i64>,
        number2: Option<i64>,
        number3: Option<i64>,
        manifests: Option<Value>,
    }
    let unreadable = || Failure::bad("Could not parse query");
    let asked = match parameters.get("q") {
        Some(q) => serde_json::from_str::<Asked>(q).map_err(|_| unreadable())?,
        None => Asked::default(),
    };
    let text = |given: Option<String>, name: &str| given.or_else(|| parameters.get(name).cloned());
    let number = |given: Option<i64>, name: &str| match (given, parameters.get(name)) {
        (Some(number), _) => Ok(Some(number)),
        (None, Some(text)) => text.parse().map(Some).map_err(|_| unreadable()),
        (None, None) => Ok(None),
    };
    let manifest = match asked.manifests {
        Some(Value::String(one)) => Some(one),
        Some(Value::Array(some)) => some.first().and_then(|one| one.as_str().map(str::to_owned)),
        _ => parameters.get("manifests").cloned(),
    };
    let descending = parameters.contains_key("orderByDescending");
    let order = parameters.get(if descending { "orderByDescending" } else { "orderBy" });
    Ok(AssetFilter {
        space: number(asked.space, "space")?,
        strings: [text(asked.string1, "string1"), text(asked.string2, "string2"), text(asked.string3, "string3")],
        numbers: [
            number(asked.number1, "number1")?,
            number(asked.number2, "number2")?,
            number(asked.number3, "number3")?,
        ],
        manifest,
        order: order.map_or(Order::Created, |field| order_by(field)),
        descending,
        ..AssetFilter::default()
    })
}

fn order_by(field: &str) -> Order {
    let field = field.to_ascii_lowercase();
    let index = |prefix: &str| field.strip_prefix(prefix)?.parse::<u8>().ok().filter(|index| (1..=3).contains(index));
    match field.as_str() {
        "id" => Order::Id,
        "space" => Order::Space,
        _ => match (index("string"), index("number")) {
            (Some(index), _) => Order::String(index),
            (_, Some(index)) => Order::Number(index),
            _ => Order::Created,
        },
    }
}

/// The space that a path names.
fn space(path: &BTreeMap<String, String>) -> Result<i64, Failure> {
    let space = path.get("space").and_then(|space| space.parse().ok());
    space.ok_or_else(|| Failure::not_found("there is no such space"))
}

/// The picture that a path names.
fn name(path: &BTreeMap<String, String>) -> Result<Name, Failure> {
    let id = path.get("id").cloned().unwrap_or_default();
    Ok(Name { space: space(path)?, id })
}

fn missing() -> Failure {
    Failure::not_found("there is no such image")
}

async fn known(dlcs: &Dlcs, customer: &Customer, name: &Name) -> Result<Asset, Failure> {
    dlcs.queue.asset(customer.number, name).await?.ok_or_else(missing)
}

pub(super) async fn show(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
) -> Result<Response, Failure> {
    let asset = known(&dlcs, &customer, &name(&path)?).await?;
    Ok(answer(StatusCode::OK, &document(&base, &customer, &asset)))
}

/// Registers a picture, or what is there anew, and waits until it is read.
pub(super) async fn put(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let name = name(&path)?;
    let mut described: Described = super::document(&headers, body).await?;
    (described.space, described.id) = (Some(name.space), Some(name.id.clone()));
    if dlcs.config.legacy {
        described.fill_in();
    }
    let mistakes = described.mistakes();
    if !mistakes.is_empty() {
        return Err(Failure::bad(mistakes.join(". ")));
    }
    let is_new = dlcs.queue.asset(customer.number, &name).await?.is_none();
    let assets = registered(&dlcs, &customer, vec![described], OPERATION).await?;
    let asset = read(&dlcs, &customer, assets).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer(status, &document(&base, &customer, &asset)))
}

/// Reads a picture again, and waits for it.
pub(super) async fn reingest(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
) -> Result<Response, Failure> {
    let asset = known(&dlcs, &customer, &name(&path)?).await?;
    let asset = read(&dlcs, &customer, vec![(asset.name, asset.members)]).await?;
    Ok(answer(StatusCode::OK, &document(&base, &customer, &asset)))
}

async fn read(dlcs: &Dlcs, customer: &Customer, assets: Vec<(Name, Members)>) -> Result<Asset, Failure> {
    let name = assets.first().map(|(name, _)| name.clone()).ok_or_else(missing)?;
    let submitted = dlcs.submit(customer, assets, true, false).await?;
    if let Some(job) = submitted.jobs.first() {
        ended(dlcs, job).await?;
    }
    known(dlcs, customer, &name).await
}

/// Waits for a job's end, but not for ever: the answer then says that the picture is still being read.
async fn ended(dlcs: &Dlcs, id: &JobId) -> Result<(), Failure> {
    let mut changes = dlcs.queue.changes();
    let is_about = |change: &Change| matches!(change, Change::Job(other) if other == id);
    let until = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < until {
        match dlcs.queue.get(id).await? {
            Some(job) if !job.state.is_final() => {}
            _ => return Ok(()),
        }
        let _whether_or_not = tokio::time::timeout(LOOK, changed(&mut changes, is_about)).await;
    }
    Ok(())
}

/// How much of a picture is stored.
pub(super) async fn storage(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
) -> Result<Response, Failure> {
    let asset = known(&dlcs, &customer, &name(&path)?).await?;
    Ok(answer(StatusCode::OK, &storage_document(&base, &customer, &asset)))
}

/// Changes what is said of a picture; it is read again where that matters.
pub(super) async fn patch(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let described: Described = super::document(&headers, body).await?;
    let asset = known(&dlcs, &customer, &name(&path)?).await?;
    let mistakes = described.mistakes_beside(&asset.name, &asset.members.media_type);
    if !mistakes.is_empty() {
        return Err(Failure::bad(mistakes.join(". ")));
    }
    let is_read = described.needs_reading(&asset.members);
    let members = described.applied_to(asset.members);
    let asset = if is_read {
        read(&dlcs, &customer, vec![(asset.name, members)]).await?
    } else {
        dlcs.queue.change_asset(customer.number, &asset.name, &members).await?;
        known(&dlcs, &customer, &asset.name).await?
    };
    Ok(answer(StatusCode::OK, &document(&base, &customer, &asset)))
}

pub(super) async fn delete(
    State(dlcs): State<Dlcs>,
    Extension(customer): Extension<Customer>,
    Path(path): PathNames,
) -> Result<Response, Failure> {
    match forget(&dlcs, &customer, &name(&path)?).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(missing()),
    }
}

/// Forgets a picture and deletes what was stored of it.
async fn forget(dlcs: &Dlcs, customer: &Customer, name: &Name) -> Result<bool, Failure> {
    if !dlcs.queue.forget_asset(customer.number, name, SystemTime::now()).await? {
        return Ok(false);
    }
    let bucket = dlcs.buckets.named(&customer.bucket)?;
    let thumbs = dlcs.config.thumbs.iter().map(|edge| name.thumb_key(*edge));
    for key in thumbs.chain([name.original_key()]) {
        match bucket.delete(&key).await {
            Ok(()) | Err(store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

pub(super) async fn of_space(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
    Query(parameters): Parameters,
) -> Result<Response, Failure> {
    let space = space(&path)?;
    if dlcs.queue.spaces_named(customer.number, &[space]).await?.is_empty() {
        return Err(Failure::not_found("there is no such space"));
    }
    let filter = AssetFilter { space: Some(space), ..filter(&parameters)? };
    let id = format!("{}/spaces/{space}/images", base.customer(&customer));
    listed(&dlcs, &customer, &base, &parameters, &filter, &id).await
}

pub(super) async fn of_customer(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Query(parameters): Parameters,
) -> Result<Response, Failure> {
    let id = format!("{}/allImages", base.customer(&customer));
    listed(&dlcs, &customer, &base, &parameters, &filter(&parameters)?, &id).await
}

async fn listed(
    dlcs: &Dlcs,
    customer: &Customer,
    base: &Base,
    parameters: &BTreeMap<String, String>,
    filter: &AssetFilter,
    id: &str,
) -> Result<Response, Failure> {
    let page = Page::of(parameters);
    let (total, assets) = dlcs.queue.assets(customer.number, filter, page.window()).await?;
    let members = assets.iter().map(|asset| document(base, customer, asset)).collect();
    Ok(answer(StatusCode::OK, &page.collection(id, total, members)))
}

/// Pictures by their whole names.
#[derive(Debug, Deserialize)]
struct Names {
    #[serde(default)]
    member: Vec<Identified>,
}

#[derive(Debug, Deserialize)]
struct Identified {
    id: String,
}

impl Names {
    /// Of a customer: `c/s/x`.
    fn of(&self, customer: &Customer) -> Result<Vec<Name>, Failure> {
        let name = |id: &str| {
            let mut parts = id.splitn(3, '/');
            let (of, space, id) = (parts.next()?, parts.next()?, parts.next()?);
            let is_own = of.parse() == Ok(customer.number);
            is_own.then_some(Name { space: space.parse().ok()?, id: id.to_owned() })
        };
        let refuse =
            |id: &str| Failure::bad(format!("{id:?} is no image of this customer; expected CUSTOMER/SPACE/ID"));
        self.member.iter().map(|one| name(&one.id).ok_or_else(|| refuse(&one.id))).collect()
    }
}

/// The pictures whose whole names are posted.
pub(super) async fn named(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let names: Names = super::document(&headers, body).await?;
    let assets = dlcs.queue.assets_named(customer.number, &names.of(&customer)?).await?;
    let members: Vec<Value> = assets.iter().map(|asset| document(&base, &customer, asset)).collect();
    let id = format!("{}/allImages", base.customer(&customer));
    Ok(answer(StatusCode::OK, &collection(&id, &members)))
}

fn collection(id: &str, members: &[Value]) -> Value {
    let count = members.len();
    json!({
        "@context": HYDRA_CONTEXT, "@id": id, "@type": "Collection", "totalItems": count, "pageSize": count, "member": members
    })
}

pub(super) async fn delete_many(
    State(dlcs): State<Dlcs>,
    Extension(customer): Extension<Customer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let names: Names = super::document(&headers, body).await?;
    let names = names.of(&customer)?;
    if names.is_empty() {
        return Err(Failure::bad("members cannot be empty"));
    }
    for name in &names {
        forget(&dlcs, &customer, name).await?;
    }
    Ok(message("images deleted"))
}

/// Stands for the media type of pictures that are changed without being looked at: nothing of many depends on it.
const UNTOLD: &str = "image/unknown";

#[derive(Debug, Deserialize)]
struct Changes {
    #[serde(default)]
    member: Vec<Described>,
}

/// Changes what is said of some pictures of a space, which are not read again.
pub(super) async fn patch_many(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let space = space(&path)?;
    let changes: Changes = super::document(&headers, body).await?;
    if changes.member.is_empty() {
        return Err(Failure::bad("members cannot be empty"));
    }
    let mut wanted = Vec::with_capacity(changes.member.len());
    for one in changes.member {
        if let Some(member) = one.forbidden_for_many() {
            return Err(Failure::bad(format!("{member} cannot be changed for many images at once")));
        }
        let Some(id) = one.id.clone().filter(|id| !id.is_empty()) else {
            return Err(Failure::bad("every member needs its id"));
        };
        // A whole name ends with the picture's own.
        let id = id.rsplit('/').next().unwrap_or_default().to_owned();
        wanted.push((Name { space, id }, one));
    }
    let mistakes: Vec<String> = wanted.iter().flat_map(|(name, one)| one.mistakes_beside(name, UNTOLD)).collect();
    if !mistakes.is_empty() {
        return Err(Failure::bad(mistakes.join(". ")));
    }
    let mut members = Vec::with_capacity(wanted.len());
    for (name, one) in wanted {
        // Those that are not there are left out.
        let Some(asset) = dlcs.queue.asset(customer.number, &name).await? else { continue };
        let changed = one.applied_to(asset.members.clone());
        dlcs.queue.change_asset(customer.number, &name, &changed).await?;
        members.push(document(&base, &customer, &Asset { members: changed, ..asset }));
    }
    let id = format!("{}/spaces/{space}/images?patch_{}", base.customer(&customer), JobId::new(SystemTime::now()));
    Ok(answer(StatusCode::OK, &collection(&id, &members)))
}

#[cfg(test)]
mod tests {
    use super::super::asset;
    use super::*;

    #[test]
    fn lists_are_asked_for_by_q_or_by_parameters() {
        let asked = |pairs: &[(&str, &str)]| {
            filter(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let found =
            asked(&[("q", r#"{"string1":"b","number2":3,"space":5}"#), ("orderByDescending", "Number2")]).unwrap();
        assert_eq!((found.strings[0].as_deref(), found.numbers[1], found.space), (Some("b"), Some(3), Some(5)));
        assert_eq!((found.order, found.descending), (Order::Number(2), true));
        let found = asked(&[("string3", "x"), ("orderBy", "string9")]).unwrap();
        assert_eq!((found.strings[2].as_deref(), found.order), (Some("x"), Order::Created));
        assert!(asked(&[("q", "{")]).is_err() && asked(&[("number1", "x")]).is_err());
    }

    #[test]
    fn whole_names_are_of_the_customer() {
        let customer = Customer { number: 2, key: String::new(), bucket: String::new(), max_images: None };
        let names = |id: &str| Names { member: vec![Identified { id: id.to_owned() }] }.of(&customer);
        assert_eq!(names("2/5/a").unwrap(), [Name { space: 5, id: "a".to_owned() }]);
        for wrong in ["3/5/a", "5/a", "2/x/a", ""] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_picture_that_is_described_anew_keeps_what_is_not_said() {
        let before = Members { origin: "http://a/1.tif".to_owned(), ..asset::unsaid() };
        let described: Described = serde_json::from_str(r#"{"string2":"s","mediaType":"image/tiff"}"#).unwrap();
        let after = described.applied_to(before);
        assert_eq!((after.origin.as_str(), after.strings[1].as_str()), ("http://a/1.tif", "s"));
        assert_eq!(after.channels.len(), 2);
    }
}
