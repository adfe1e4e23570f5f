//! DLCS on the API listener: queues of pictures that are fetched, checked, stored and made derivatives of (spec dlcs).

mod asset;
mod batches;
pub mod delivery;
mod hydra;
mod images;
mod intake;
mod spaces;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::hydra::Failure;
use crate::auth::{KeyRing, basic};
use crate::config::{DlcsConfig, DlcsCustomer};
use crate::http::served;
use crate::jobs::queue::Queue;
use crate::store::Buckets;

/// Most bytes of a body, and how long it may take.
const MAX_BODY_BYTES: usize = 100 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that this dialect needs.
#[derive(Clone)]
pub struct Dlcs {
    /// Where pictures are registered.
    pub queue: Queue,
    /// Where they are kept.
    pub buckets: Arc<Buckets>,
    /// Who may.
    pub keys: Arc<KeyRing>,
    /// Customers and limits.
    pub config: Arc<DlcsConfig>,
    /// The port of the delivery listener.
    pub delivery_port: u16,
}

/// The routes.
pub fn router(dlcs: Dlcs) -> Router {
    let customer = Router::new()
        .route("/queue", get(batches::queue).post(intake::post))
        .route("/queue/priority", get(batches::priority_queue).post(intake::post_priority))
        .route("/queue/batches", get(batches::all))
        .route("/queue/active", get(batches::active))
        .route("/queue/recent", get(batches::recent))
        .route("/queue/images", get(batches::unfinished))
        .route("/queue/batches/{batch}", get(batches::one))
        .route("/queue/batches/{batch}/images", get(batches::images))
        .route("/queue/batches/{batch}/assets", get(batches::assets))
        .route("/queue/batches/{batch}/test", post(batches::test))
        .route("/allImages", get(images::of_customer).post(images::named))
        .route("/deleteImages", post(images::delete_many))
        .route("/spaces", get(spaces::list).post(spaces::add))
        .route("/spaces/{space}", get(spaces::show).put(spaces::put).patch(spaces::patch).delete(spaces::delete))
        .route("/spaces/{space}/images", get(images::of_space).patch(images::patch_many))
        .route(
            "/spaces/{space}/images/{id}",
            get(images::show).put(images::put).patch(images::patch).delete(images::delete),
        )
        .route("/spaces/{space}/images/{id}/reingest", post(images::reingest))
        .route("/spaces/{space}/images/{id}/storage", get(images::storage))
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(dlcs.clone(), customers_own));
    Router::new()
        .nest("/customers/{customer}", customer)
        .route("/queue", get(batches::everybodys))
        .route("/ping", get(async || StatusCode::OK))
        .layer(middleware::from_fn_with_state(dlcs.clone(), open_to_pages))
        .with_state(dlcs)
}

async fn not_allowed() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "this is not offered here")
}

/// CORS: pages of any origin; a key is what lets them. Failures get the URL that they happened at.
async fn open_to_pages(State(dlcs): State<Dlcs>, request: Request, next: Next) -> Response {
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let url = format!("{}{}", Base::of(&dlcs, request.headers()).api, request.uri().path());
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        // Only here is the whole URL known.
        let headers = std::mem::take(response.headers_mut());
        response = failure.at(&url).into_response();
        response.headers_mut().extend(headers.into_iter().filter(|(name, _)| *name != Some(header::CONTENT_LENGTH)));
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    );
    if let Some(asked) = asked {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The customer that a path names, for its handlers.
#[derive(Clone, Debug)]
struct Customer {
    number: u32,
    /// Its access key, which owns its jobs.
    key: String,
    bucket: String,
    max_images: Option<u32>,
}

/// Where things are as callers see them, without a slash at their ends.
#[derive(Clone, Debug)]
struct Base {
    api: String,
    /// Where pictures are served.
    images: String,
}

impl Base {
    fn of(dlcs: &Dlcs, headers: &HeaderMap) -> Self {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let DlcsConfig { url, images_url, .. } = &*dlcs.config;
        let images = || format!("http://{}", served::beside(host, dlcs.delivery_port));
        Self {
            api: url.clone().unwrap_or_else(|| format!("http://{host}")),
            images: images_url.clone().unwrap_or_else(images),
        }
    }

    fn customer(&self, customer: &Customer) -> String {
        format!("{}/customers/{}", self.api, customer.number)
    }
}

/// Lets a customer's own key through, and keys that open every bucket. Whatever else is wrong, the answer is the same, so that it
/// tells nothing of others.
async fn customers_own(
    State(dlcs): State<Dlcs>,
    Path(path): Path<BTreeMap<String, String>>,
    mut request: Request,
    next: Next,
) -> Response {
    let number = path.get("customer").and_then(|number| number.parse::<u32>().ok());
    let known = number.and_then(|number| Some((number, dlcs.config.customers.get(&number)?)));
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let caller = basic::caller(&dlcs.keys, authorization).ok();
    let (Some((number, known)), Some(caller)) = (known, caller) else { return unauthorized() };
    let DlcsCustomer { key, bucket, max_images } = known.clone();
    if caller.access_key != key && !dlcs.keys.allows_all(&caller.access_key) {
        return unauthorized();
    }
    let base = Base::of(&dlcs, request.headers());
    let extensions = request.extensions_mut();
    extensions.insert(Customer { number, key, bucket, max_images });
    extensions.insert(base);
    next.run(request).await
}

fn unauthorized() -> Response {
    let failure = Failure::new(StatusCode::UNAUTHORIZED, "Unauthorized", "the key of this customer is needed");
    let mut response = failure.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"DLCS-API\""));
    response
}

/// A JSON document of a request. No type and `application/ld+json` are JSON too.
async fn document<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Failure> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !essence.is_empty() && essence != "application/json" && !essence.ends_with("+json") {
        let detail = format!("the body is {essence:?}; expected application/json");
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", &detail));
    }
    let bytes = read(body).await?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::bad(format!("the body is no such document: {error}")))
}

async fn read(body: Body) -> Result<Bytes, Failure> {
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await;
    let late = || Failure::new(StatusCode::REQUEST_TIMEOUT, "Request timeout", "the body did not arrive in time");
    read.map_err(|_| late())?.map_err(|error| Failure::bad(format!("the body could not be read: {error}")))
}

/// An answer with this status.
fn answer(status: StatusCode, value: &Value) -> Response {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The parameters of a list.
type Parameters = Query<BTreeMap<String, String>>;

/// What deletes and other short calls answer.
fn message(text: &str) -> Response {
    answer(StatusCode::OK, &json!({ "message": text }))
}
