//! The delivery listener: `GET`, `HEAD` and `OPTIONS` of `/<key>[separator style][?fops]`.
//!
//! From a request line to a bucket, a key and a plan, or to the object itself; from there to an answer that browsers
//! and CDNs can keep.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;

use super::conditional::{self, Selection, Validators};
use super::respond::{self, Body, Caching, Failure, full, set};
use super::{raw, saveas};
use crate::auth::{KeyRing, download};
use crate::cache::Origin;
use crate::error::ErrorKind;
use crate::plan::Plan;
use crate::plan::query::Query;
use crate::plan::style::StyleFile;
use crate::store::Bucket;
use crate::transform::{Identity, Rendered, Transformer};

/// What delivery knows of a bucket besides its objects.
#[derive(Clone, Debug, Default)]
pub struct BucketRules {
    /// Downloads need a valid `e` and `token`.
    pub private: bool,
    /// Only styles: no raw fops, no originals.
    pub protected: bool,
    /// An object with the exact name of a styled path is served first.
    pub prefer_style_as_key: bool,
    /// `max-age` of answers.
    pub max_age: Duration,
}

/// Everything that delivery needs, shared by all connections.
#[derive(Debug)]
pub struct Delivery {
    /// Renders.
    pub transformer: Transformer,
    /// Names for pipelines.
    pub styles: Arc<StyleFile>,
    /// Access keys.
    pub keys: KeyRing,
    /// By bucket name.
    pub rules: std::collections::HashMap<String, BucketRules>,
}

/// What a URL asks for.
#[derive(Debug)]
pub struct Target {
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// The object's key.
    pub key: String,
    /// What to make of it; `None` is the object as it is.
    pub plan: Option<Plan>,
    /// `attname`: the name to save it as; empty for the key's own.
    pub attname: Option<String>,
}

impl Delivery {
    /// Answers one request. Never fails: failures are answers too.
    pub async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut response = match *request.method() {
            Method::GET | Method::HEAD => match self.get(request).await {
                Ok(response) => response,
                Err(failure) => failure.into_response(),
            },
            Method::OPTIONS => preflight(request.headers()),
            _ => {
                Failure { status: StatusCode::METHOD_NOT_ALLOWED, message: "method not allowed".into() }.into_response()
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        headers.insert("timing-allow-origin", HeaderValue::from_static("*"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // A body that a browser might take for a document can run and load nothing.
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
        response
    }

    async fn get<B>(&self, request: &Request<B>) -> Result<Response<Body>, Failure> {
        let target = self.target(request).await?;
        let Some(plan) = target.plan.clone() else {
            return raw::answer(&target, request, self.cache_control(target.bucket.name())).await;
        };
        if let Some(destination) = plan.saveas().cloned() {
            return saveas::answer(self, request, &target, &plan, &destination).await;
        }
        let identity = self.transformer.identify(&target.bucket, &target.key, plan).await?;
        let caching = self.caching(&target, &identity);
        if let Some(response) = caching.precondition(request.headers()) {
            return Ok(response);
        }
        let (rendered, origin) =
            self.transformer.render(&identity).await.map_err(|error| Failure::from(error.as_ref()))?;
        let mut response = sliced(&rendered.body, request.headers(), &caching.validators);
        // A range that cannot be satisfied is answered with an error of its own type.
        if response.status().is_success() {
            set(response.headers_mut(), header::CONTENT_TYPE, &rendered.media_type);
            caching.apply(response.headers_mut());
            target.name_attachment(response.headers_mut());
        }
        set(response.headers_mut(), http::HeaderName::from_static("server-timing"), &timing(&rendered, origin));
        Ok(response)
    }

    /// Reads a request's target, checking what its bucket demands: token first, then existence.
    pub async fn target<B>(&self, request: &Request<B>) -> Result<Target, Failure> {
        let (bucket, path) = self.bucket_and_path(request)?;
        let query = Query::parse(request.uri().query().unwrap_or_default())?;
        let rules = self.rules.get(bucket.name()).cloned().unwrap_or_default();
        if rules.private {
            self.check_token(request, bucket.name())?;
        }
        let styles = self.styles.current();
        let named = styles.resolve(bucket.name(), &path);
        let protected = styles.is_protected(bucket.name()).unwrap_or(rules.protected);
        let prefers_key = styles.prefers_key(bucket.name()).unwrap_or(rules.prefer_style_as_key);
        let key_first = named.style.is_some() && prefers_key && bucket.head(&path).await.is_ok();
        let (key, style) = match named.style {
            Some((_, pipeline)) if !key_first => (named.key.to_owned(), Some(pipeline)),
            _ => (path.clone(), None),
        };
        if protected && (style.is_none() || query.pipeline.is_some()) {
            return Err(Failure::new(
                ErrorKind::Unauthorized,
                &format!("unauthorized: bucket {:?} is protected; only its styles are served", bucket.name()),
            ));
        }
        if key.is_empty() {
            return Err(Failure::new(ErrorKind::NotFound, &"Document not found: the path names no object"));
        }
        let plan = plan_of(style, query.pipeline.as_deref())?;
        Ok(Target { bucket, key, plan, attname: query.attname })
    }

    /// The bucket by host name, else by the path's first segment, and the rest of the path, decoded once.
    fn bucket_and_path<B>(&self, request: &Request<B>) -> Result<(Arc<Bucket>, String), Failure> {
        let path = decoded_path(request.uri())?;
        let buckets = self.transformer.buckets();
        if let Some(bucket) = host(request).and_then(|host| buckets.for_host(host)) {
            return Ok((Arc::clone(bucket), path));
        }
        let (name, key) = path.split_once('/').unwrap_or((&path, ""));
        Ok((Arc::clone(buckets.named(name)?), key.to_owned()))
    }

    fn check_token<B>(&self, request: &Request<B>, bucket: &str) -> Result<(), Failure> {
        download::verify(host(request).unwrap_or_default(), path_and_query(request), bucket, unix_now(), &self.keys)?;
        Ok(())
    }

    fn caching(&self, target: &Target, identity: &Identity) -> Caching {
        Caching {
            validators: Validators { etag: format!("\"{}\"", identity.etag()), modified: identity.modified },
            cache_control: self.cache_control(target.bucket.name()),
        }
    }

    fn cache_control(&self, bucket: &str) -> String {
        let rules = self.rules.get(bucket).cloned().unwrap_or_default();
        let visibility = if rules.private { "private" } else { "public" };
        format!("{visibility}, max-age={}", rules.max_age.as_secs())
    }
}

impl Target {
    /// `Content-Disposition` where the URL asks to save the answer under a name.
    pub fn name_attachment(&self, headers: &mut HeaderMap) {
        let Some(name) = &self.attname else { return };
        let base = self.key.rsplit('/').next().unwrap_or(&self.key);
        let name = if name.is_empty() { base } else { name };
        set(headers, header::CONTENT_DISPOSITION, &respond::attachment(name));
    }
}

const EXPOSED_HEADERS: &str =
    "Content-Length, Content-Range, Content-Type, ETag, Last-Modified, Server-Timing, X-Request-Id, X-Reqid";
const CONTENT_POLICY: &str = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox";

/// A style's pipeline, then the URL's own on its result (spec 5.2).
fn plan_of(style: Option<&str>, pipeline: Option<&str>) -> Result<Option<Plan>, Failure> {
    let text = match (style, pipeline) {
        (None, None) => return Ok(None),
        (Some(text), None) | (None, Some(text)) => text.to_owned(),
        (Some(style), Some(pipeline)) => format!("{style}|{pipeline}"),
    };
    Ok(Some(Plan::parse(&text)?))
}

fn decoded_path(uri: &Uri) -> Result<String, Failure> {
    let path = uri.path().strip_prefix('/').unwrap_or_else(|| uri.path());
    let decoded = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| Failure::new(ErrorKind::Invalid, &"the path is not UTF-8 after percent-decoding"))?;
    Ok(decoded.into_owned())
}

/// The host that the request names: of an absolute URI (HTTP/2), else of the header.
pub fn host<B>(request: &Request<B>) -> Option<&str> {
    request
        .uri()
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

/// Path and query as they came over the wire, which is what signatures cover.
pub fn path_and_query<B>(request: &Request<B>) -> &str {
    request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

/// Seconds since 1970.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// 200 with the whole body, 206 with a part of it, or 416.
fn sliced(body: &Bytes, request: &HeaderMap, validators: &Validators) -> Response<Body> {
    let length = body.len() as u64;
    let mut response = match conditional::selection(request, length, validators) {
        Selection::Unsatisfiable => return respond::unsatisfiable(length),
        Selection::Whole => {
            let mut response = Response::new(full(body.clone()));
            set(response.headers_mut(), header::CONTENT_LENGTH, &length.to_string());
            response
        }
        Selection::Part(range) => {
            let mut response = Response::new(full(body.slice(range.start as usize..range.end as usize)));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let described = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            set(response.headers_mut(), header::CONTENT_RANGE, &described);
            set(response.headers_mut(), header::CONTENT_LENGTH, &(range.end - range.start).to_string());
            response
        }
    };
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// `Server-Timing`: the stages of a computation, or the hit that spared it. Durations are milliseconds.
fn timing(rendered: &Rendered, origin: Origin) -> String {
    if origin == Origin::Hit {
        return "cache;desc=hit".to_owned();
    }
    let timings = rendered.timings;
    let mut text = "cache;desc=miss".to_owned();
    for (name, duration) in [
        ("fetch", timings.fetch),
        ("wait", timings.wait),
        ("decode", timings.decode),
        ("ops", timings.ops),
        ("encode", timings.encode),
    ] {
        text.push_str(&format!(", {name};dur={:.2}", duration.as_secs_f64() * 1000.0));
    }
    text
}

/// CORS preflight, and a plain OPTIONS.
fn preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
    headers.insert(header::ALLOW, methods.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}
