//! What URLs came to a moment ago: a result that is asked for again and again is answered from the third time on without
//! reading its URL, plan and name anew, as long as all that these depend on is what it was.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use moka::sync::Cache;

use super::delivery::{HIT, decorate};
use super::respond::{Body, Caching, full};
use super::target::{Delivery, Target, host, path_and_query};
use crate::plan::style::StyleSheet;
use crate::transform::{Identity, Wish};

/// Bytes of what is remembered: some 4,000 URLs. What is not asked for again within its `fresh` needs no place.
pub const MOST_BYTES: u64 = 16 << 20;

/// What an answer weighs besides its texts, and how often a URL stands in it at most: as it came, as key, plan and headers, in words
/// that may be three times as long.
const ANSWER_BYTES: usize = 4 << 10;
const COPIES: usize = 8;

/// What URLs came to.
#[derive(Debug)]
pub struct Recent {
    answers: Cache<u64, Arc<Answered>>,
    hasher: RandomState,
}

/// What a URL came to.
#[derive(Debug)]
struct Answered {
    host: Option<String>,
    path_and_query: String,
    accept: Option<HeaderValue>,
    /// The styles that it was read by.
    styles: Arc<StyleSheet>,
    known: Known,
    /// Of the answer with the whole body.
    headers: HeaderMap,
}

impl Default for Recent {
    fn default() -> Self {
        let weigh = |_: &u64, answered: &Arc<Answered>| u32::try_from(answered.bytes()).unwrap_or(u32::MAX);
        let answers = Cache::builder().max_capacity(MOST_BYTES).weigher(weigh).build();
        Self { answers, hasher: RandomState::new() }
    }
}

/// What an answer was made of.
#[derive(Debug)]
pub(super) struct Known {
    /// What was asked for.
    pub(super) target: Target,
    /// What the client wished for.
    pub(super) wish: Wish,
    /// The result's name.
    pub(super) identity: Identity,
    /// Validators and lifetime.
    pub(super) caching: Caching,
}

impl Recent {
    /// Keeps what was answered with `headers` and the whole body, where the same URL means the same again.
    pub(super) fn keep<B>(&self, request: &Request<B>, known: Known, headers: &HeaderMap) {
        let Some(styles) = known.target.read_by.clone() else { return };
        let mut headers = headers.clone();
        decorate(&mut headers);
        headers.insert(header::HeaderName::from_static("server-timing"), HeaderValue::from_static(HIT));
        // A value out of a request holds on to all bytes of its connection that were read with it.
        let accept = request.headers().get(header::ACCEPT);
        let answered = Answered {
            host: host(request).map(str::to_owned),
            path_and_query: path_and_query(request).to_owned(),
            accept: accept.and_then(|accept| HeaderValue::from_bytes(accept.as_bytes()).ok()),
            styles,
            known,
            headers,
        };
        self.answers.insert(self.place(request), Arc::new(answered));
    }

    /// Bytes that it holds by its own count, at most [`MOST_BYTES`].
    pub fn bytes(&self) -> u64 {
        self.answers.run_pending_tasks();
        self.answers.weighted_size()
    }

    fn get<B>(&self, request: &Request<B>) -> Option<Arc<Answered>> {
        self.answers.get(&self.place(request)).filter(|answered| answered.is_to(request))
    }

    fn place<B>(&self, request: &Request<B>) -> u64 {
        self.hasher.hash_one((host(request), path_and_query(request), request.headers().get(header::ACCEPT)))
    }
}

impl Answered {
    fn bytes(&self) -> usize {
        let host = self.host.as_ref().map_or(0, String::len);
        let accept = self.accept.as_ref().map_or(0, HeaderValue::len);
        ANSWER_BYTES + host + accept + COPIES * self.path_and_query.len()
    }

    fn is_to<B>(&self, request: &Request<B>) -> bool {
        self.path_and_query == path_and_query(request)
            && self.host.as_deref() == host(request)
            && self.accept.as_ref() == request.headers().get(header::ACCEPT)
    }
}

impl Delivery {
    /// The answer, where it was given a moment ago and would be the same now: without waiting for anything.
    pub(super) fn repeated<B>(&self, request: &Request<B>, now: Instant) -> Option<Response<Body>> {
        let headers = request.headers();
        if !matches!(*request.method(), Method::GET | Method::HEAD) || headers.contains_key(header::RANGE) {
            return None;
        }
        let answered = self.recent.get(request)?;
        let Known { target, wish, identity, caching } = &answered.known;
        if !self.styles.is_current(&answered.styles) || !self.is_wished(request, target, *wish, caching) {
            return None;
        }
        let rendered = self.transformer.at_hand(identity, now)?;
        if let Some(mut response) = caching.precondition(headers) {
            decorate(response.headers_mut());
            return Some(response);
        }
        let mut response = Response::new(full(rendered.body.clone()));
        *response.headers_mut() = answered.headers.clone();
        Some(response)
    }

    /// Whether a client wishes for the same, where answers differ by client.
    fn is_wished<B>(&self, request: &Request<B>, target: &Target, wish: Wish, caching: &Caching) -> bool {
        let wishes = |plan| self.wish(request, target, plan).0;
        caching.vary.is_none() || target.plan.as_ref().is_some_and(|plan| wishes(plan) == wish)
    }
}
