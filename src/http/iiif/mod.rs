//! The IIIF Image API 3.0 and 2.1 (spec iiif-image): what a picture's requests are answered with, wherever it is found.
//!
//! What a request comes to is a plan like any other, so that it is cached, bounded and made as every delivery is.

mod bucket;
mod info;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;

pub(super) use self::bucket::Call;
use self::info::{Information, Level};
use super::conditional::Validators;
use super::forwarded;
use super::respond::{Body, Caching, Failure, full, set};
use super::target::{Delivery, Target, host};
use crate::cache::CacheKey;
use crate::error::ErrorKind;
use crate::geometry::Size;
use crate::plan::iiif::{Bounds, ImageRequest, Refusal, Version};
use crate::transform::Shown;

/// What is asked of a picture.
#[derive(Debug)]
pub(super) enum Asked {
    /// Where it is told of.
    Base,
    /// `info.json`.
    Information,
    /// An image.
    Image(ImageRequest),
}

impl Asked {
    /// Reads the segments behind the identifier, as they came; `None` where there are too few or too many.
    ///
    /// # Errors
    /// Parameters of an image that are none.
    pub(super) fn parse(version: Version, segments: &[&str]) -> Result<Option<Self>, Failure> {
        Ok(match *segments {
            [] => Some(Self::Base),
            ["info.json"] => Some(Self::Information),
            [region, size, rotation, last] => {
                let [region, size, rotation, last] = [region, size, rotation, last].map(decoded);
                let parts = [&*region?, &*size?, &*rotation?, &*last?];
                Some(Self::Image(ImageRequest::parse(version, parts)?))
            }
            _ => None,
        })
    }
}

/// A picture that the client may have.
#[derive(Debug)]
pub(super) struct Picture {
    /// Where it is; without a plan as yet.
    pub(super) target: Target,
    pub(super) shown: Shown,
    /// Its base URI.
    pub(super) base: String,
    /// The longest side that the client may have of it, in pixels, and no parts; all of it where there is none.
    pub(super) open_edge: Option<u32>,
}

impl Delivery {
    /// The image that is asked for.
    ///
    /// # Errors
    /// Parameters that the picture does not fit, more than the client may have, and what delivery fails with.
    pub(super) async fn iiif_image<B>(
        &self,
        request: &Request<B>,
        version: Version,
        asked: &ImageRequest,
        picture: Picture,
    ) -> Result<Response<Body>, Failure> {
        let resolved = asked.of(version, picture.shown.size, &self.iiif_bounds_of(&picture));
        let is_over = |refusal: &Refusal| matches!(refusal, Refusal::OverBounds { .. });
        let is_closed = match &resolved {
            Ok(resolved) => !resolved.is_whole,
            Err(refusal) => is_over(refusal),
        };
        if let Some(edge) = picture.open_edge.filter(|edge| is_closed || *edge == 0) {
            return Err(closed(edge));
        }
        let resolved = resolved?;
        let canonical = format!("<{}/{}>;rel=\"canonical\"", picture.base, resolved.canonical);
        let link = format!("{canonical}, {}", profile_link(version, 2));
        self.deliver(request, Target { plan: Some(resolved.plan), link: Some(link), ..picture.target }).await
    }

    /// `info.json` of a picture that is served at level 2.
    ///
    /// # Errors
    /// Nothing of it is open to the client.
    pub(super) fn iiif_information<B>(
        &self,
        request: &Request<B>,
        version: Version,
        picture: &Picture,
    ) -> Result<Response<Body>, Failure> {
        if picture.open_edge == Some(0) {
            return Err(closed(0));
        }
        let level = Level::Two(self.iiif_bounds_of(picture));
        let information = Information { id: &picture.base, size: picture.shown.size, level };
        Ok(self.iiif_document(request, version, picture, &information))
    }

    /// `info.json` of a picture that is served at level 0, in `sizes`: the smallest first, at least one.
    pub(super) fn iiif_sizes<B>(
        &self,
        request: &Request<B>,
        version: Version,
        picture: &Picture,
        sizes: &[Size],
    ) -> Response<Body> {
        let size = sizes.last().copied().unwrap_or(picture.shown.size);
        let information = Information { id: &picture.base, size, level: Level::Zero(sizes) };
        self.iiif_document(request, version, picture, &information)
    }

    fn iiif_document<B>(
        &self,
        request: &Request<B>,
        version: Version,
        picture: &Picture,
        information: &Information<'_>,
    ) -> Response<Body> {
        let body = information.document(version);
        let etag = CacheKey::of(&[body.as_str()]).short();
        let caching = Caching {
            validators: Validators { etag: format!("\"{etag}\""), modified: picture.shown.meta.modified },
            cache_control: self.cache_control(&picture.target),
            vary: Some("Accept".to_owned()),
            asks_hints: false,
        };
        if let Some(response) = caching.precondition(request.headers()) {
            return response;
        }
        let mut response = Response::new(full(body));
        let headers = response.headers_mut();
        caching.apply(headers);
        headers.insert(header::CONTENT_TYPE, info::media_type(version, request.headers()));
        set(
            headers,
            header::LINK,
            &profile_link(version, if matches!(information.level, Level::Zero(_)) { 0 } else { 2 }),
        );
        response
    }

    /// What the client gets of a picture at most.
    pub(super) fn iiif_bounds_of(&self, picture: &Picture) -> Bounds {
        let bounds = self.iiif_bounds;
        Bounds { edge: picture.open_edge.unwrap_or(u32::MAX).min(bounds.edge), ..bounds }
    }

    /// The address of a path, as the client sees it.
    pub(super) fn address_of<B>(&self, request: &Request<B>, path: &str) -> String {
        let scheme = forwarded::scheme(request, self.over_tls);
        format!("{scheme}://{}{path}", host(request).unwrap_or("localhost"))
    }
}

/// 303 to what tells of a picture.
pub(super) fn redirect(base: &str) -> Response<Body> {
    moved(&format!("{base}/info.json"))
}

/// 303 to this address.
pub(super) fn moved(address: &str) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SEE_OTHER;
    set(response.headers_mut(), header::LOCATION, address);
    response
}

fn closed(edge: u32) -> Failure {
    let message = match edge {
        0 => "unauthorized: the picture is not open to everybody".to_owned(),
        edge => format!("unauthorized: the whole picture is open to everybody up to {edge} pixels along an edge"),
    };
    Failure::new(ErrorKind::Unauthorized, &message)
}

fn profile_link(version: Version, level: u8) -> String {
    let number = if version == Version::Two { 2 } else { 3 };
    format!("<http://iiif.io/api/image/{number}/level{level}.json>;rel=\"profile\"")
}

/// A segment, percent-decoded once. Escapes that are none are refused.
pub(super) fn decoded(segment: &str) -> Result<String, Failure> {
    let invalid = || Failure::new(ErrorKind::Invalid, &format!("{segment:?} is not UTF-8 in percent-encoding"));
    let is_escape = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !segment.split('%').skip(1).all(is_escape) {
        return Err(invalid());
    }
    percent_decode_str(segment).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| invalid())
}

/// A failure as this API tells it: a short text.
pub(super) fn told(failure: Failure) -> Response<Body> {
    let text = format!("{}\n", failure.message);
    // The vendor's own code for faults of a server is no code of HTTP's.
    let status = if failure.status.as_u16() == 599 { StatusCode::INTERNAL_SERVER_ERROR } else { failure.status };
    let mut response = failure.into_response().map(|_| full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The path has the segments of nothing.
pub(super) fn no_such_path() -> Failure {
    let message = "expected <identifier>/info.json or <identifier>/<region>/<size>/<rotation>/<quality>.<format>, \
                   with the slashes of the identifier as %2F";
    Failure::new(ErrorKind::NotFound, &message)
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
