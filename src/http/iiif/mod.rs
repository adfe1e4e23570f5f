//! The IIIF Image API 3.0 and 2.1 on the delivery listener: `/iiif/3/…` and `/iiif/2/…` of each bucket (spec iiif-image).
//!
//! An identifier is an object's key as one segment of the path. What a request comes to is a plan like any other, so that it
//! is cached, bounded and made as every delivery is.

mod info;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;

use self::info::Information;
use super::conditional::Validators;
use super::forwarded;
use super::respond::{Body, Caching, Failure, full, set};
use super::target::{Delivery, Target, host, lane};
use crate::cache::CacheKey;
use crate::config::bucket::Dialect;
use crate::error::ErrorKind;
use crate::plan::iiif::{ImageRequest, Refusal, Version};
use crate::store::Bucket;
use crate::transform::Shown;

/// Where the versions are, behind what stands for the bucket.
const PREFIXES: [(Version, &str); 2] = [(Version::Three, "/iiif/3"), (Version::Two, "/iiif/2")];

/// What a request is in the words of the API.
#[derive(Debug)]
pub(super) struct Call<'a> {
    version: Version,
    bucket: Arc<Bucket>,
    /// The path up to the identifier, without a slash at its end.
    prefix: &'a str,
    /// The segments behind it, as they came.
    segments: Vec<&'a str>,
}

impl<'a> Call<'a> {
    /// The call, where the path is one of the API and its bucket is served so.
    pub(super) fn of<B>(delivery: &Delivery, request: &'a Request<B>) -> Option<Self> {
        let path = request.uri().path();
        let buckets = delivery.transformer.buckets();
        let (bucket, rest) = match host(request).and_then(|host| buckets.for_host(host)) {
            Some(bucket) => (bucket, path),
            None => {
                let end = path.get(1..)?.find('/')? + 1;
                (buckets.named(&decoded(&path[1..end]).ok()?).ok()?, &path[end..])
            }
        };
        let rules = delivery.rules.get(bucket.name())?;
        if !rules.iiif || rules.dialect != Dialect::Qiniu {
            return None;
        }
        let under = |(version, prefix)| Some((version, rest.strip_prefix(prefix)?.strip_prefix('/')?));
        let (version, behind): (Version, &str) = PREFIXES.into_iter().find_map(under)?;
        let prefix = &path[..path.len() - behind.len() - 1];
        Some(Self { version, bucket: Arc::clone(bucket), prefix, segments: behind.split('/').collect() })
    }
}

impl Delivery {
    /// Answers a `GET` or `HEAD`. Never fails: failures are answers too.
    pub(super) async fn answer_as_iiif<B>(&self, request: &Request<B>, call: &Call<'_>) -> Response<Body> {
        let answered = match call.segments[..] {
            [""] => Err(Failure::new(ErrorKind::NotFound, &"the path names no picture")),
            [identifier] => Ok(redirect(&self.base(request, call, identifier))),
            [identifier, "info.json"] => self.iiif_info(request, call, identifier).await,
            [identifier, region, size, rotation, last] => {
                self.iiif_image(request, call, identifier, [region, size, rotation, last]).await
            }
            _ => Err(Failure::new(
                ErrorKind::NotFound,
                &"expected <identifier>/info.json or <identifier>/<region>/<size>/<rotation>/<quality>.<format>, \
                  with the slashes of the identifier as %2F",
            )),
        };
        answered.unwrap_or_else(told)
    }

    async fn iiif_image<B>(
        &self,
        request: &Request<B>,
        call: &Call<'_>,
        identifier: &str,
        parts: [&str; 4],
    ) -> Result<Response<Body>, Failure> {
        let [region, size, rotation, last] = parts.map(decoded);
        let (region, size, rotation, last) = (region?, size?, rotation?, last?);
        let asked = ImageRequest::parse(call.version, [&region, &size, &rotation, &last])?;
        let (target, shown) = self.iiif_target(request, call, identifier).await?;
        let resolved = asked.of(call.version, shown.size, &self.iiif_bounds)?;
        let canonical = format!("{}/{}", self.base(request, call, identifier), resolved.canonical);
        let link = format!("<{canonical}>;rel=\"canonical\", {}", profile_link(call.version));
        self.deliver(request, Target { plan: Some(resolved.plan), link: Some(link), ..target }).await
    }

    async fn iiif_info<B>(
        &self,
        request: &Request<B>,
        call: &Call<'_>,
        identifier: &str,
    ) -> Result<Response<Body>, Failure> {
        let (target, shown) = self.iiif_target(request, call, identifier).await?;
        let id = self.base(request, call, identifier);
        let information = Information { id: &id, size: shown.size, bounds: self.iiif_bounds };
        let body = information.document(call.version);
        let etag = CacheKey::of(&[body.as_str()]).short();
        let caching = Caching {
            validators: Validators { etag: format!("\"{etag}\""), modified: shown.meta.modified },
            cache_control: self.cache_control(&target),
            vary: Some("Accept".to_owned()),
            asks_hints: false,
        };
        if let Some(response) = caching.precondition(request.headers()) {
            return Ok(response);
        }
        let mut response = Response::new(full(body));
        let headers = response.headers_mut();
        caching.apply(headers);
        headers.insert(header::CONTENT_TYPE, info::media_type(call.version, request.headers()));
        set(headers, header::LINK, &profile_link(call.version));
        Ok(response)
    }

    /// The picture that is asked for, once the client may have it: without a plan as yet.
    async fn iiif_target<B>(
        &self,
        request: &Request<B>,
        call: &Call<'_>,
        identifier: &str,
    ) -> Result<(Target, Shown), Failure> {
        let (bucket, key) = (&call.bucket, decoded(identifier)?);
        let (_, expires) = self.signed_query(request, bucket.name())?;
        let rules = self.rules.get(bucket.name()).cloned().unwrap_or_default();
        if rules.private {
            self.check_token(request, bucket.name())?;
        }
        if self.is_protected(bucket.name()) {
            let message = format!("unauthorized: bucket {:?} is protected; only its styles are served", bucket.name());
            return Err(Failure::new(ErrorKind::Unauthorized, &message));
        }
        let asker = self.transformer.asker(lane(request));
        let shown = self.transformer.shown(bucket, &key, asker).await;
        let shown = shown.map_err(|error| Failure::from(error.as_ref()))?;
        // Signatures and tokens end.
        let read_by = (!rules.signed && !rules.private).then(|| self.styles.current());
        let bucket = Arc::clone(bucket);
        Ok((Target { bucket, key, plan: None, attname: None, expires, read_by, link: None }, shown))
    }

    /// The picture's base URI, as it was asked for.
    fn base<B>(&self, request: &Request<B>, call: &Call<'_>, identifier: &str) -> String {
        let scheme = forwarded::scheme(request, self.over_tls);
        format!("{scheme}://{}{}/{identifier}", host(request).unwrap_or("localhost"), call.prefix)
    }
}

/// 303 to what tells of a picture.
fn redirect(base: &str) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SEE_OTHER;
    set(response.headers_mut(), header::LOCATION, &format!("{base}/info.json"));
    response
}

fn profile_link(version: Version) -> String {
    let number = if version == Version::Two { 2 } else { 3 };
    format!("<http://iiif.io/api/image/{number}/level2.json>;rel=\"profile\"")
}

/// A segment, percent-decoded once. Escapes that are none are refused.
fn decoded(segment: &str) -> Result<String, Failure> {
    let invalid = || Failure::new(ErrorKind::Invalid, &format!("{segment:?} is not UTF-8 in percent-encoding"));
    let is_escape = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !segment.split('%').skip(1).all(is_escape) {
        return Err(invalid());
    }
    percent_decode_str(segment).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| invalid())
}

/// A failure as this API tells it: a short text.
fn told(failure: Failure) -> Response<Body> {
    let text = format!("{}\n", failure.message);
    // The vendor's own code for faults of a server is no code of HTTP's.
    let status = if failure.status.as_u16() == 599 { StatusCode::INTERNAL_SERVER_ERROR } else { failure.status };
    let mut response = failure.into_response().map(|_| full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind() {
            ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, message: refusal.to_string(), kind: Some(refusal.kind()) }
    }
}
