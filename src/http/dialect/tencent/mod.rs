//! Tencent CI and the part of COS that its clients need, on the API listener, for requests to the vendor's host names
//! (Tencent spec 1): whoever points a client's proxy here changes nothing else.

mod callbacks;
pub mod delivery;
pub mod failure;
mod header_case;
mod host;
mod jobs;
mod multipart;
mod objects;
mod queues;
pub mod spelling;
mod styles;
mod templates;
pub mod xml;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{HeaderName, Method};
use md5::{Digest, Md5};

use self::failure::Failure;
use self::host::{Host, Service};
use self::xml::Element;
use crate::auth::KeyRing;
use crate::auth::cos::{self, SignedCall};
use crate::http::observe::RequestId;
use crate::http::target::{Delivery, host};
use crate::jobs::queue::Queue;
use crate::jobs::records::templates::Place;
use crate::plan::Plan;
use crate::store::Bucket;
use crate::store::parts::Uploads;
use crate::store::spool::Spool;
use crate::store::turns::Turns;

/// Most bytes of a document.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Everything that this dialect needs.
#[derive(Debug)]
pub struct Tencent {
    /// Buckets, and what renders.
    pub delivery: Arc<Delivery>,
    /// Where jobs are kept.
    pub queue: Queue,
    /// Who may.
    pub keys: Arc<KeyRing>,
    /// Where uploads arrive.
    pub spool: Spool,
    /// Objects that arrive in parts.
    pub uploads: Uploads,
    /// Who ends which of them.
    pub completions: Turns,
    /// Most bytes of an upload.
    pub upload_bytes: u64,
    /// How long a sender may be silent.
    pub patience: Duration,
    /// Whether there are message queues.
    pub has_broker: bool,
    /// The bucket that calls to hosts without a bucket's name are about.
    pub default_bucket: Option<String>,
}

/// A request whose signature is good, and whose bucket the key opens.
#[derive(Debug)]
struct Call {
    owner: String,
    host: Host,
    bucket: Arc<Bucket>,
    /// The path, decoded, without its first `/`.
    path: String,
    query: Vec<(String, String)>,
    request_id: String,
    now: SystemTime,
}

impl Call {
    fn place(&self) -> Place<'_> {
        Place { owner: &self.owner, bucket: self.bucket.name() }
    }

    /// What the owner calls the bucket.
    fn label(&self) -> &str {
        &self.host.bucket
    }

    /// A parameter that is not empty; names in any case.
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// Page and size, counted from 1.
    fn page(&self) -> Result<(usize, usize), Failure> {
        let number =
            |name, default, most| match self.parameter(name) {
                None => Ok(default),
                Some(value) => value.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
                    Failure::invalid(format!("{name} is {value:?}; expected an integer from 1 to {most}"))
                }),
            };
        Ok((number("pageNumber", 1, 1_000_000)?, number("pageSize", 10, 100)?))
    }
}

/// Answers requests to the vendor's hosts, and to others those that are signed as only this vendor's are; for `axum::middleware::from_fn_with_state`.
pub async fn divert(State(tencent): State<Arc<Tencent>>, request: Request, next: Next) -> Response {
    match tencent.host(&request) {
        Some(host) => tencent.answer(host, request).await,
        None => next.run(request).await,
    }
}

impl Tencent {
    fn host(&self, request: &Request) -> Option<Host> {
        let sent = host(request)?;
        Host::parse(sent).or_else(|| {
            let query = request.uri().query().unwrap_or_default();
            let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let service = || Service::of_call(request.uri().path(), query);
            cos::is_signed(authorization, query)
                .then(|| Host::own(sent, service(), self.default_bucket.as_deref()))
                .flatten()
        })
    }

    async fn answer(&self, host: Host, request: Request) -> Response {
        let service = host.service;
        let id = request.extensions().get::<RequestId>().map_or_else(|| "-".to_owned(), |id| id.0.clone());
        let (resource, method) = (request.uri().path().to_owned(), request.method().clone());
        let is_download = service == Service::Cos && matches!(method, Method::GET | Method::HEAD);
        let answered = Box::pin(self.answered(host, request, &id)).await;
        let mut response = answered.unwrap_or_else(|failure| failure.into_response(&resource, &id, is_download));
        let (server, name) = match service {
            Service::Ci => ("tencent-ci", "x-ci-request-id"),
            Service::Cos | Service::Pic => ("tencent-cos", "x-cos-request-id"),
        };
        if response.headers().contains_key(header::ETAG) {
            header_case::spell(&mut response).await;
        }
        let headers = response.headers_mut();
        headers.insert(header::SERVER, HeaderValue::from_static(server));
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(HeaderName::from_static(name), id);
        }
        response
    }

    async fn answered(&self, host: Host, request: Request, request_id: &str) -> Result<Response, Failure> {
        let now = SystemTime::now();
        let (parts, body) = request.into_parts();
        let owner = self.signer(&parts, &host, now)?;
        let query = cos::pairs(parts.uri.query().unwrap_or_default());
        if host.bucket.is_empty() {
            return self.enabled_buckets(&owner, &query, request_id).await;
        }
        let bucket = self.bucket(&host.bucket, &owner)?;
        let path = percent_encoding::percent_decode_str(parts.uri.path().trim_start_matches('/')).decode_utf8();
        let path = path.map_err(|_| Failure::new(400, "InvalidURI", "the path is not UTF-8 after percent-decoding"))?;
        let (path, request_id) = (path.into_owned(), request_id.to_owned());
        let call = Call { owner, host, bucket, path, query, request_id, now };
        match call.host.service {
            Service::Ci => {
                let body = self.document(&parts, body).await?;
                self.ci(&call, &parts, &body).await
            }
            Service::Cos => self.object(&call, parts, body).await,
            Service::Pic => {
                let body = self.document(&parts, body).await?;
                self.pic(&call, &parts.method, &body).await
            }
        }
    }

    fn signer(&self, parts: &Parts, host: &Host, now: SystemTime) -> Result<String, Failure> {
        let headers: Vec<(&str, &str)> =
            parts.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let call = SignedCall {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            host: &host.sent,
            headers: &headers,
        };
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let granted = cos::verify(&call, seconds, &self.keys);
        Ok(granted.map_err(|error| failure::of_signature(&error, host.service == Service::Ci))?.access_key)
    }

    /// The bucket of that full name, else of the name without the account's number. Others' look like what is not there.
    fn bucket(&self, label: &str, owner: &str) -> Result<Arc<Bucket>, Failure> {
        let short = label.rsplit_once('-').filter(|(_, id)| id.bytes().all(|byte| byte.is_ascii_digit()));
        let names = std::iter::once(label).chain(short.map(|(name, _)| name));
        let buckets = &self.delivery.transformer;
        let found =
            names.filter(|name| self.keys.allows(owner, name)).find_map(|name| buckets.buckets().named(name).ok());
        found.cloned().ok_or_else(|| Failure::new(404, "NoSuchBucket", format!("there is no bucket {label:?}")))
    }

    /// Refuses a plan that paints pictures out of buckets which the key does not open.
    fn check_pictures(&self, plan: &Plan, owner: &str) -> Result<(), Failure> {
        let named = plan.images().filter_map(|image| self.delivery.transformer.bucket_named_by(image));
        for bucket in named {
            if !self.keys.allows(owner, bucket.name()) {
                return Err(Failure::new(
                    403,
                    "AccessDenied",
                    "watermark: its image is in a bucket that the key does not open",
                ));
            }
        }
        Ok(())
    }

    /// The body of a request on a CI host, whole.
    async fn document(&self, parts: &Parts, body: axum::body::Body) -> Result<Bytes, Failure> {
        let too_slow = |_| Failure::new(408, "RequestTimeout", "the body did not arrive in time");
        let read = tokio::time::timeout(self.patience, to_bytes(body, MAX_BODY_BYTES)).await.map_err(too_slow)?;
        let read = read.map_err(|error| match std::error::Error::source(&error) {
            Some(cause) if cause.is::<http_body_util::LengthLimitError>() => {
                Failure::new(413, "InvalidContent", format!("the body has more than {MAX_BODY_BYTES} bytes"))
            }
            _ => Failure::new(400, "InvalidContent", format!("the body could not be read: {error}")),
        })?;
        check_md5(parts, &Md5::digest(&read))?;
        Ok(read)
    }

    async fn ci(&self, call: &Call, parts: &Parts, body: &[u8]) -> Result<Response, Failure> {
        let segments: Vec<&str> = call.path.split('/').collect();
        let is_json = parts.headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/json");
        match (parts.method.as_str(), segments.as_slice()) {
            ("POST", ["pic_jobs" | "jobs"]) => self.submit(call, &document(body)?).await,
            ("GET", ["pic_jobs" | "jobs"]) => self.list(call).await,
            ("GET", ["pic_jobs" | "jobs", ids]) => self.show(call, ids).await,
            ("PUT", ["pic_jobs" | "jobs", ids]) if call.query.iter().any(|(name, _)| name == "cancel") => {
                self.cancel(call, ids).await
            }
            ("GET", ["picqueue" | "queue"]) => self.queues(call).await,
            ("PUT" | "POST", ["picqueue" | "queue", id]) => self.update_queue(call, id, &document(body)?).await,
            ("POST", ["picbucket"]) => self.enable(call, is_json).await,
            ("DELETE", ["picbucket"]) => self.disable(call, is_json).await,
            ("GET", ["picbucket"]) => self.enabled_buckets(&call.owner, &call.query, &call.request_id).await,
            ("POST", ["template"]) => self.put_template(call, None, &document(body)?).await,
            ("PUT", ["template", id]) => self.put_template(call, Some(id), &document(body)?).await,
            ("GET", ["template"]) => self.templates(call).await,
            ("DELETE", ["template", id]) => self.delete_template(call, id).await,
            (method, _) => Err(Failure::new(404, "InvalidUrl", format!("there is no {method} /{}", call.path))),
        }
    }
}

fn document(body: &[u8]) -> Result<Element, Failure> {
    if body.is_empty() {
        return Err(Failure::new(400, "MissingContent", "the request has no body; expected XML with the root Request"));
    }
    Element::read(body, "Request").map_err(|problem| Failure::new(400, "InvalidContent", problem))
}

/// Refuses a body whose MD5 is not what its sender says.
fn check_md5(parts: &Parts, found: &[u8]) -> Result<(), Failure> {
    let Some(said) = parts.headers.get("content-md5") else { return Ok(()) };
    match STANDARD.decode(said.as_bytes()).is_ok_and(|said| said == found) {
        true => Ok(()),
        false => Err(Failure::new(400, "InvalidContent", "Content-MD5 is not the MD5 of the body")),
    }
}

/// 200 with a document. Clients compare its whole type.
fn reply(document: &Element) -> Response {
    let mut response = document.document().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
