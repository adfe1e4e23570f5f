//! Spaces (spec 7).

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::hydra::{CONTEXT, Failure, Page, date};
use super::{Base, Customer, Dlcs, Parameters, answer};
use crate::jobs::records::spaces::{Defaults, Space};

type Of = (Extension<Customer>, Extension<Base>);

/// A space as somebody describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Described {
    name: Option<String>,
    default_tags: Option<Vec<String>>,
    default_roles: Option<Vec<String>>,
}

impl Described {
    fn applied_to(self, name: &str, known: Defaults) -> (String, Defaults) {
        let defaults = Defaults {
            tags: self.default_tags.unwrap_or(known.tags),
            roles: self.default_roles.unwrap_or(known.roles),
        };
        (self.name.unwrap_or_else(|| name.to_owned()), defaults)
    }
}

fn document(base: &Base, customer: &Customer, space: &Space) -> Value {
    let id = format!("{}/spaces/{}", base.customer(customer), space.id);
    json!({
        "@context": CONTEXT,
        "@id": id,
        "@type": "vocab:Space",
        "id": space.id,
        "name": space.name,
        "created": date(space.created),
        "approximateNumberOfImages": space.pictures,
        "images": format!("{id}/images"),
        "defaultDeliveryChannels": format!("{id}/defaultDeliveryChannels"),
        "defaultRoles": space.defaults.roles,
        "defaultTags": space.defaults.tags,
        "storage": format!("{id}/storage"),
        "metadata": format!("{id}/metadata"),
    })
}

async fn known(dlcs: &Dlcs, customer: &Customer, id: i64) -> Result<Space, Failure> {
    let found = dlcs.queue.spaces_named(customer.number, &[id]).await?.pop();
    found.ok_or_else(|| Failure::not_found("there is no such space"))
}

fn number(path: &BTreeMap<String, String>) -> Result<i64, Failure> {
    let number = path.get("space").and_then(|space| space.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| Failure::not_found("there is no such space"))
}

pub(super) async fn list(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Query(parameters): Parameters,
) -> Result<Response, Failure> {
    let page = Page::of(&parameters);
    let spaces = dlcs.queue.spaces(customer.number).await?;
    let window = page.window();
    let shown = spaces.iter().skip(window.skip as usize).take(window.take as usize);
    let members = shown.map(|space| document(&base, &customer, space)).collect();
    let id = format!("{}/spaces", base.customer(&customer));
    Ok(answer(StatusCode::OK, &page.collection(&id, spaces.len() as i64, members)))
}

pub(super) async fn add(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let described: Described = super::document(&headers, body).await?;
    let (name, defaults) = described.applied_to("", Defaults::default());
    if name.trim().is_empty() {
        return Err(Failure::bad("name must be specified"));
    }
    let id = dlcs.queue.add_space(customer.number, &name, &defaults, SystemTime::now()).await?;
    let space = known(&dlcs, &customer, id).await?;
    Ok(answer(StatusCode::CREATED, &document(&base, &customer, &space)))
}

pub(super) async fn show(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): Path<BTreeMap<String, String>>,
) -> Result<Response, Failure> {
    let space = known(&dlcs, &customer, number(&path)?).await?;
    Ok(answer(StatusCode::OK, &document(&base, &customer, &space)))
}

/// Makes a space of a number of the caller's, or says anew what it is.
pub(super) async fn put(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): Path<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let id = number(&path)?;
    let described: Described = super::document(&headers, body).await?;
    let (name, defaults) = described.applied_to(&id.to_string(), Defaults::default());
    let is_new = dlcs.queue.put_space(customer.number, id, &name, &defaults, SystemTime::now()).await?;
    let space = known(&dlcs, &customer, id).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer(status, &document(&base, &customer, &space)))
}

pub(super) async fn patch(
    State(dlcs): State<Dlcs>,
    (Extension(customer), Extension(base)): Of,
    Path(path): Path<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let described: Described = super::document(&headers, body).await?;
    let space = known(&dlcs, &customer, number(&path)?).await?;
    let (name, defaults) = described.applied_to(&space.name, space.defaults);
    dlcs.queue.put_space(customer.number, space.id, &name, &defaults, SystemTime::now()).await?;
    let space = known(&dlcs, &customer, space.id).await?;
    Ok(answer(StatusCode::OK, &document(&base, &customer, &space)))
}

/// Only a space without pictures can be deleted.
pub(super) async fn delete(
    State(dlcs): State<Dlcs>,
    Extension(customer): Extension<Customer>,
    Path(path): Path<BTreeMap<String, String>>,
) -> Result<Response, Failure> {
    let space = known(&dlcs, &customer, number(&path)?).await?;
    if dlcs.queue.delete_space(customer.number, space.id).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(Failure::new(StatusCode::CONFLICT, "Delete space: Conflict", "the space has images"))
}
