//! The delivery listener's answers: `GET`, `HEAD` and `OPTIONS`, with what browsers and CDNs need to keep them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use super::body::Timed;
use super::conditional::{self, Selection, Validators};
use super::dialect::dlcs::delivery as dlcs;
use super::observe;
use super::recent::Known;
use super::respond::{self, Body, Caching, Failure, full, set};
use super::server::Respond;
use super::target::{Delivery, Target, lane, path_and_query};
use super::{hints, iiif, negotiation, raw, saveas};
use crate::cache::Origin;
use crate::config::bucket::Dialect;
use crate::plan::Plan;
use crate::transform::two_speeds::Response as Made;
use crate::transform::upgrade::Choice;
use crate::transform::{Rendered, Wish};

impl Respond for Arc<Delivery> {
    type Body = Body;

    fn at_once(&self, request: &Request<Timed>, now: Instant) -> Option<Response<Body>> {
        self.repeated(request, now)
    }

    async fn respond(self, request: Request<Timed>) -> Response<Body> {
        self.answer(&request).await
    }
}

impl Delivery {
    /// Answers one request. Never fails: failures are answers too.
    pub async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut response = match *request.method() {
            Method::GET | Method::HEAD if self.dialect(request) == Dialect::Tencent => {
                Box::pin(self.answer_as_tencent(request)).await
            }
            Method::GET | Method::HEAD => self.answer_by_path(request).await,
            Method::OPTIONS => preflight(request.headers()),
            _ => Failure { status: StatusCode::METHOD_NOT_ALLOWED, message: "method not allowed".into(), kind: None }
                .into_response(),
        };
        decorate(response.headers_mut());
        response
    }

    async fn answer_by_path<B>(&self, request: &Request<B>) -> Response<Body> {
        if let Some(call) = dlcs::Call::of(self, request) {
            return Box::pin(self.answer_as_dlcs(request, &call)).await;
        }
        if let Some(call) = iiif::Call::of(self, request) {
            return Box::pin(self.answer_as_iiif(request, &call)).await;
        }
        self.get(request).await.unwrap_or_else(Failure::into_response)
    }

    async fn get<B>(&self, request: &Request<B>) -> Result<Response<Body>, Failure> {
        let target = self.target(request).await?;
        self.deliver(request, target).await
    }

    /// Answers with what `target` is; of the request only method, headers and lane are looked at.
    pub(super) async fn deliver<B>(&self, request: &Request<B>, target: Target) -> Result<Response<Body>, Failure> {
        let Some(plan) = target.plan.clone() else {
            let cache_control = self.cache_control(&target);
            return Box::pin(raw::answer(self.transformer.sources(), &target, request, &cache_control)).await;
        };
        if let Some(destination) = plan.saveas().cloned() {
            return Box::pin(saveas::answer(self, request, &target, &plan, &destination)).await;
        }
        let (wish, vary) = self.wish(request, &target, &plan);
        let mut choice = self.transformer.choose(&target.bucket, &target.key, plan, wish).await?;
        let caching = self.caching(&target, &choice, vary.clone());
        if let Some(response) = caching.precondition(request.headers()) {
            return Ok(response);
        }
        let asker = self.transformer.asker(lane(request));
        let answer = self.transformer.respond(&mut choice.identity, asker).await;
        let (rendered, origin) = match answer.map_err(|error| Failure::from(error.as_ref()))? {
            Made::Ready(rendered, origin) => (rendered, origin),
            Made::Accepted { predicted } => return Ok(accepted(path_and_query(request), predicted, vary.as_deref())),
        };
        let caching = self.caching(&target, &choice, vary);
        let mut response = sliced(&rendered.body, request.headers(), &caching.validators);
        // A range that cannot be satisfied is answered with an error of its own type.
        if response.status().is_success() {
            set(response.headers_mut(), header::CONTENT_TYPE, &rendered.media_type);
            caching.apply(response.headers_mut());
            target.name(response.headers_mut());
        }
        set(response.headers_mut(), http::HeaderName::from_static("server-timing"), &timing(&rendered, origin));
        // What nobody asks for again would only take the place of what is.
        if response.status() == StatusCode::OK && choice.is_final() && origin == Origin::Hit {
            let known = Known { target, wish, identity: choice.identity, caching };
            self.recent.keep(request, known, response.headers());
        }
        response.extensions_mut().insert(observe::Made { origin, timings: rendered.timings });
        Ok(response)
    }

    /// What this client wishes for besides its plan, and `Vary`.
    pub(super) fn wish<B>(&self, request: &Request<B>, target: &Target, plan: &Plan) -> (Wish, Option<String>) {
        let rules = self.rules.get(target.bucket.name());
        let auto_format = rules.is_some_and(|rules| rules.auto_format);
        let formats = Wish::of(plan, negotiation::accepts(request.headers()), auto_format);
        let mut wish = formats.unwrap_or_default();
        let mut vary: Vec<&str> = formats.map(|_| "Accept").into_iter().collect();
        if rules.is_some_and(|rules| rules.client_hints) {
            wish.hints = hints::told(request.headers(), plan);
            vary.extend(hints::vary(plan));
        }
        (wish, (!vary.is_empty()).then(|| vary.join(", ")))
    }

    fn caching(&self, target: &Target, choice: &Choice, vary: Option<String>) -> Caching {
        let identity = &choice.identity;
        let cache_control = if choice.is_interim {
            self.cache_control_within(target, self.interim_max_age)
        } else {
            self.cache_control(target)
        };
        let validators = Validators { etag: format!("\"{}\"", identity.etag()), modified: identity.modified() };
        let asks_hints = self.rules.get(target.bucket.name()).is_some_and(|rules| rules.client_hints);
        Caching { validators, cache_control, vary, asks_hints }
    }
}

/// Headers that every answer has.
pub(super) fn decorate(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    headers.insert("timing-allow-origin", HeaderValue::from_static("*"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A body that a browser might take for a document can run and load nothing.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
}

/// `Server-Timing` of what the cache had.
pub(super) const HIT: &str = "cache;desc=hit";

const EXPOSED_HEADERS: &str = "Content-Length, Content-Range, Content-Type, ETag, Last-Modified, Link, Location, Retry-After, Server-Timing, X-Request-Id, X-Reqid";
const CONTENT_POLICY: &str = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox";

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

/// Longest that a client is told to wait before it asks again, in seconds.
const MOST_RETRY_SECONDS: u64 = 30;

/// 202: the result is being made, and the same URL answers with it soon.
fn accepted(url: &str, predicted: Duration, vary: Option<&str>) -> Response<Body> {
    let milliseconds = u64::try_from(predicted.as_millis()).unwrap_or(u64::MAX);
    let body = serde_json::json!({ "accepted": url, "predicted_milliseconds": milliseconds }).to_string();
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    set(headers, header::LOCATION, url);
    set(headers, header::RETRY_AFTER, &milliseconds.div_ceil(1000).clamp(1, MOST_RETRY_SECONDS).to_string());
    if let Some(vary) = vary {
        set(headers, header::VARY, vary);
    }
    response
}

/// `Server-Timing`: the stages of a computation, or what spared it: the cache, or the store behind it. Durations are milliseconds.
fn timing(rendered: &Rendered, origin: Origin) -> String {
    if origin == Origin::Hit {
        return HIT.to_owned();
    }
    if rendered.is_stored {
        return "cache;desc=store".to_owned();
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
