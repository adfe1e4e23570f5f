//! Queues and batches, looked at (spec 3, 4, 6).

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::asset::{batch_document, document};
use super::hydra::{CONTEXT, Failure, Page};
use super::images::filter;
use super::{Base, Customer, Dlcs, Parameters, answer};
use crate::jobs::records::assets::{AssetFilter, Batch, Batches, Waiting};

type Of = (Extension<Customer>, Extension<Base>);

pub(super) async fn queue(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
) -> Result<Response, Failure> {
    let [ordinary, _] = dlcs.queue.assets_waiting(Some(customer.number)).await?;
    Ok(answer(StatusCode::OK, &queue_document(&base, &customer, "queue", ordinary)))
}

pub(super) async fn priority_queue(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
) -> Result<Response, Failure> {
    let [_, first] = dlcs.queue.assets_waiting(Some(customer.number)).await?;
    Ok(answer(StatusCode::OK, &queue_document(&base, &customer, "queue/priority", first)))
}

fn queue_document(base: &Base, customer: &Customer, path: &str, waiting: Waiting) -> Value {
    let of = base.customer(customer);
    json!({
        "@context": CONTEXT,
        "@id": format!("{of}/{path}"),
        "@type": "vocab:CustomerQueue",
        "size": waiting.pictures,
        "batchesWaiting": waiting.batches,
        "imagesWaiting": waiting.pictures,
        "batches": format!("{of}/queue/batches"),
        "images": format!("{of}/queue/images"),
        "active": format!("{of}/queue/active"),
        "recent": format!("{of}/queue/recent"),
        "priority": format!("{of}/queue/priority"),
    })
}

/// What all customers wait for; anybody may ask.
pub(super) async fn everybodys(State(dlcs): State<Dlcs>, headers: HeaderMap) -> Result<Response, Failure> {
    let [ordinary, first] = dlcs.queue.assets_waiting(None).await?;
    let base = Base::of(&dlcs, &headers);
    let document = json!({
        "@context": CONTEXT,
        "@id": format!("{}/queue", base.api),
        "@type": "vocab:QueueSummary",
        "incoming": ordinary.pictures,
        "priority": first.pictures,
        "timebased": 0,
        "transcodeComplete": 0,
        "file": 0,
        "success": 0,
        "failed": 0,
    });
    Ok(answer(StatusCode::OK, &document))
}

pub(super) async fn all(state: State<Dlcs>, of: Of, parameters: Parameters) -> Result<Response, Failure> {
    list(state, of, parameters, Batches::All, "batches").await
}

pub(super) async fn active(state: State<Dlcs>, of: Of, parameters: Parameters) -> Result<Response, Failure> {
    list(state, of, parameters, Batches::Active, "active").await
}

pub(super) async fn recent(state: State<Dlcs>, of: Of, parameters: Parameters) -> Result<Response, Failure> {
    list(state, of, parameters, Batches::Recent, "recent").await
}

async fn list(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Query(parameters): Parameters,
    which: Batches,
    path: &str,
) -> Result<Response, Failure> {
    let page = Page::of(&parameters);
    let (total, batches) = dlcs.queue.asset_batches(customer.number, which, page.window()).await?;
    let members = batches.iter().map(|batch| batch_document(&base, &customer, batch)).collect();
    let id = format!("{}/queue/{path}", base.customer(&customer));
    Ok(answer(StatusCode::OK, &page.collection(&id, total, members)))
}

/// The batch that a path names.
async fn named(dlcs: &Dlcs, customer: &Customer, path: &BTreeMap<String, String>) -> Result<Batch, Failure> {
    let number = path.get("batch").and_then(|number| number.parse().ok());
    let found = match number {
        Some(number) => dlcs.queue.asset_batch(customer.number, number).await?,
        None => None,
    };
    found.ok_or_else(|| Failure::not_found("there is no such batch"))
}

type PathNames = Path<BTreeMap<String, String>>;

pub(super) async fn one(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
) -> Result<Response, Failure> {
    let batch = named(&dlcs, &customer, &path).await?;
    Ok(answer(StatusCode::OK, &batch_document(&base, &customer, &batch)))
}

pub(super) async fn images(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
    Query(parameters): Parameters,
) -> Result<Response, Failure> {
    let batch = named(&dlcs, &customer, &path).await?;
    let filter = AssetFilter { batch: Some(batch.id), ..filter(&parameters)? };
    of_batch(&dlcs, &customer, &base, &parameters, filter, &format!("batches/{}/images", batch.id)).await
}

pub(super) async fn assets(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): PathNames,
    Query(parameters): Parameters,
) -> Result<Response, Failure> {
    let batch = named(&dlcs, &customer, &path).await?;
    let filter = AssetFilter { posted_with: Some(batch.id), ..filter(&parameters)? };
    of_batch(&dlcs, &customer, &base, &parameters, filter, &format!("batches/{}/assets", batch.id)).await
}

/// The pictures that are still to be read.
pub(super) async fn unfinished(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Query(parameters): Parameters,
) -> Result<Response, Failure> {
    let filter = AssetFilter { unfinished: true, ..filter(&parameters)? };
    of_batch(&dlcs, &customer, &base, &parameters, filter, "images").await
}

async fn of_batch(
    dlcs: &Dlcs,
    customer: &Customer,
    base: &Base,
    parameters: &BTreeMap<String, String>,
    filter: AssetFilter,
    path: &str,
) -> Result<Response, Failure> {
    let page = Page::of(parameters);
    let (total, assets) = dlcs.queue.assets(customer.number, &filter, page.window()).await?;
    let members = assets.iter().map(|asset| document(base, customer, asset)).collect();
    let id = format!("{}/queue/{path}", base.customer(customer));
    Ok(answer(StatusCode::OK, &page.collection(&id, total, members)))
}

pub(super) async fn test(
    State(dlcs): State<Dlcs>,
    Extension(customer): Extension<Customer>,
    Path(path): PathNames,
) -> Result<Response, Failure> {
    let batch = named(&dlcs, &customer, &path).await?;
    let changed = dlcs.queue.test_asset_batch(customer.number, batch.id, SystemTime::now()).await?;
    Ok(answer(StatusCode::OK, &json!({ "success": changed.unwrap_or_default() })))
}
