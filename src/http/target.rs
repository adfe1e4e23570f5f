//! From a request line to what it asks for: the bucket, the key, the plan.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Request, Uri, header};
use percent_encoding::percent_decode_str;

use super::dialect::dlcs::delivery::{self as dlcs, Published};
use super::dialect::tencent::delivery as tencent;
use super::iiif as iiif_service;
use super::recent::Recent;
use super::respond::{self, Failure, set};
use crate::auth::{KeyRing, download, signed_url};
use crate::config::bucket::Dialect;
use crate::error::ErrorKind;
use crate::jobs::queue::Queue;
use crate::plan::query::Query;
use crate::plan::style::{StyleFile, StyleSheet};
use crate::plan::{Plan, iiif};
use crate::store::Bucket;
use crate::transform::Transformer;
use crate::workers::Lane;

/// What delivery knows of a bucket besides its objects.
#[derive(Clone, Debug, Default)]
pub struct BucketRules {
    /// Downloads need a valid `e` and `token`.
    pub private: bool,
    /// Downloads need a signature over the whole URL.
    pub signed: bool,
    /// Only styles: no raw fops, no originals.
    pub protected: bool,
    /// An object with the exact name of a styled path is served first.
    pub prefer_style_as_key: bool,
    /// `max-age` of answers.
    pub max_age: Duration,
    /// Formats that nobody names are left to what the client takes, as with `format/auto`.
    pub auto_format: bool,
    /// Sizes and qualities follow what clients tell of themselves.
    pub client_hints: bool,
    /// Whose grammar its URLs are in.
    pub dialect: Dialect,
    /// Whether its pictures are served by the IIIF Image API too.
    pub iiif: bool,
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
    pub rules: HashMap<String, BucketRules>,
    /// `max-age` of answers that a better format will replace.
    pub interim_max_age: Duration,
    /// What was answered a moment ago.
    pub recent: Recent,
    /// What IIIF requests get at most.
    pub iiif_bounds: iiif::Bounds,
    /// Registered pictures.
    pub published: Published,
    /// Whether the listener speaks TLS.
    pub over_tls: bool,
    /// Where styles are that requests have made; servers without access keys have none.
    pub records: OnceLock<Queue>,
}

/// What a URL asks for.
#[derive(Clone, Debug)]
pub struct Target {
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// The object's key.
    pub key: String,
    /// What to make of it; `None` is the object as it is.
    pub plan: Option<Plan>,
    /// `attname`: the name to save it as; empty for the key's own.
    pub attname: Option<String>,
    /// Until when the URL is good, in seconds since 1970, where caches must not answer it later.
    pub expires: Option<u64>,
    /// The styles that it was read by, where the same URL means the same for as long as they are in force.
    pub read_by: Option<Arc<StyleSheet>>,
    /// `Link`: what it is better known as.
    pub link: Option<String>,
}

impl Delivery {
    /// Reads a request's target, checking what its bucket demands: token first, then existence.
    pub async fn target<B>(&self, request: &Request<B>) -> Result<Target, Failure> {
        let (bucket, path) = self.bucket_and_path(request)?;
        let rules = self.rules.get(bucket.name()).cloned().unwrap_or_default();
        if rules.dialect == Dialect::Tencent {
            return self.target_as_tencent(request).await.map_err(Failure::from);
        }
        let (query, expires) = self.signed_query(request, bucket.name())?;
        let query = Query::parse(query)?;
        if rules.private {
            self.check_token(request, bucket.name())?;
        }
        let styles = self.styles.current();
        let named = styles.resolve(bucket.name(), &path);
        let protected = self.is_protected(bucket.name());
        let prefers_key = styles.prefers_key(bucket.name()).unwrap_or(rules.prefer_style_as_key);
        let key_first =
            named.style.is_some() && prefers_key && self.transformer.sources().meta(&bucket, &path).await.is_ok();
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
        if plan.as_ref().is_some_and(Plan::leaves_width) && !rules.client_hints {
            let message =
                "imageView2: w is \"auto\"; expected an integer from 1 to 9999, as the bucket has no client_hints";
            return Err(Failure::new(ErrorKind::Invalid, &message));
        }
        if let Some(pipeline) = &query.pipeline {
            self.check_pictures(&Plan::parse(pipeline)?, bucket.name())?;
        }
        // Signatures and tokens end, and objects with the name of a styled path come and go.
        let is_passing = rules.signed || rules.private || (prefers_key && named.style.is_some());
        let read_by = (!is_passing).then(|| Arc::clone(&styles));
        Ok(Target { bucket, key, plan, attname: query.attname, expires, read_by, link: None })
    }

    /// The query without what signs the URL, where the bucket wants that, and until when it is good.
    pub(super) fn signed_query<'a, B>(
        &self,
        request: &'a Request<B>,
        bucket: &str,
    ) -> Result<(&'a str, Option<u64>), Failure> {
        if !self.rules.get(bucket).is_some_and(|rules| rules.signed) {
            return Ok((request.uri().query().unwrap_or_default(), None));
        }
        let signed = signed_url::verify(bucket, path_and_query(request), unix_now(), &self.keys)?;
        Ok((signed.query, signed.grant.expires))
    }

    /// Whose grammar a request is in; of what names no bucket, ours.
    pub(super) fn dialect<B>(&self, request: &Request<B>) -> Dialect {
        let bucket = self.bucket_and_path(request).ok();
        bucket.and_then(|(bucket, _)| self.rules.get(bucket.name())).map(|rules| rules.dialect).unwrap_or_default()
    }

    /// The objects that a URL of a service for pictures is about, whose results depend on more than the URL says: bucket and key of
    /// each. None for other URLs.
    pub(super) fn pictures_behind(&self, uri: &Uri) -> Vec<(String, String)> {
        let mut request = Request::new(());
        *request.uri_mut() = uri.clone();
        match dlcs::Call::of(self, &request) {
            Some(call) => call.objects(self),
            None => iiif_service::Call::of(self, &request).and_then(|call| call.object()).into_iter().collect(),
        }
    }

    /// What a URL may mean, whoever asks: the object that a style is applied to, and where such an object would be served
    /// first, the one with the whole path for its key.
    pub fn meanings(&self, uri: Uri) -> Result<Vec<Target>, Failure> {
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        let (bucket, path) = self.bucket_and_path(&request)?;
        let query = request.uri().query().unwrap_or_default();
        if self.dialect(&request) == Dialect::Tencent {
            return Ok(vec![tencent::meaning(bucket, path, query)?]);
        }
        let query = Query::parse(query)?;
        let styles = self.styles.current();
        let named = styles.resolve(bucket.name(), &path);
        let mut readings = vec![(path.clone(), None)];
        if let Some((_, pipeline)) = named.style {
            readings.push((named.key.to_owned(), Some(pipeline)));
        }
        let meaning = |(key, style): (String, Option<&str>)| {
            let plan = plan_of(style, query.pipeline.as_deref())?;
            Ok(Target {
                bucket: Arc::clone(&bucket),
                key,
                plan,
                attname: None,
                expires: None,
                read_by: None,
                link: None,
            })
        };
        readings.into_iter().map(meaning).collect()
    }

    /// The bucket by host name, else by the path's first segment, and the rest of the path, decoded once.
    pub(super) fn bucket_and_path<B>(&self, request: &Request<B>) -> Result<(Arc<Bucket>, String), Failure> {
        let path = decoded_path(request.uri())?;
        let buckets = self.transformer.buckets();
        if let Some(bucket) = host(request).and_then(|host| buckets.for_host(host)) {
            return Ok((Arc::clone(bucket), path));
        }
        let (name, key) = path.split_once('/').unwrap_or((&path, ""));
        Ok((Arc::clone(buckets.named(name)?), key.to_owned()))
    }

    /// Refuses pictures out of buckets whose objects the caller could not have asked for. What a style names was chosen
    /// by the operator and is not checked.
    pub(super) fn check_pictures(&self, plan: &Plan, bucket: &str) -> Result<(), Failure> {
        for reference in plan.images() {
            let Some(named) = self.transformer.bucket_named_by(reference) else { continue };
            let private = self.rules.get(named.name()).is_some_and(|rules| rules.private || rules.signed);
            if named.name() != bucket && (private || self.is_protected(named.name())) {
                return Err(Failure::new(
                    ErrorKind::Unauthorized,
                    &format!("watermark: image is in bucket {:?}, whose originals are not served", named.name()),
                ));
            }
        }
        Ok(())
    }

    /// Whether only styles of a bucket are served; the styles file has the last word.
    pub(super) fn is_protected(&self, bucket: &str) -> bool {
        let configured = self.rules.get(bucket).is_some_and(|rules| rules.protected);
        self.styles.current().is_protected(bucket).unwrap_or(configured)
    }

    pub(super) fn check_token<B>(&self, request: &Request<B>, bucket: &str) -> Result<(), Failure> {
        download::verify(host(request).unwrap_or_default(), path_and_query(request), bucket, unix_now(), &self.keys)?;
        Ok(())
    }

    /// `Cache-Control` of an answer: what its bucket says, and no longer than its URL is good.
    pub fn cache_control(&self, target: &Target) -> String {
        let max_age = self.rules.get(target.bucket.name()).map(|rules| rules.max_age).unwrap_or_default();
        self.cache_control_within(target, max_age)
    }

    /// `Cache-Control` of answers that are to be asked for again before the bucket's others.
    pub(super) fn cache_control_within(&self, target: &Target, most: Duration) -> String {
        let rules = self.rules.get(target.bucket.name()).cloned().unwrap_or_default();
        let visibility = if rules.private { "private" } else { "public" };
        let left = target.expires.map_or(u64::MAX, |expires| expires.saturating_sub(unix_now()));
        format!("{visibility}, max-age={}", rules.max_age.min(most).as_secs().min(left))
    }
}

impl Target {
    /// `Link`, and `Content-Disposition` where the URL asks to save the answer under a name.
    pub fn name(&self, headers: &mut HeaderMap) {
        if let Some(link) = &self.link {
            set(headers, header::LINK, link);
        }
        self.name_attachment(headers);
    }

    fn name_attachment(&self, headers: &mut HeaderMap) {
        let Some(name) = &self.attname else { return };
        let base = self.key.rsplit('/').next().unwrap_or(&self.key);
        let name = if name.is_empty() { base } else { name };
        set(headers, header::CONTENT_DISPOSITION, &respond::attachment(name));
    }
}

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

/// The lane of the client that sent a request.
pub fn lane<B>(request: &Request<B>) -> Lane {
    request.extensions().get().copied().unwrap_or_default()
}

/// Path and query as they came over the wire, which is what signatures cover.
pub fn path_and_query<B>(request: &Request<B>) -> &str {
    request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

/// Seconds since 1970.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
