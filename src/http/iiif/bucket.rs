//! Pictures by their keys, at `/iiif/3/…` and `/iiif/2/…` of each bucket. An identifier is a key as one segment of the path.

use std::sync::Arc;

use http::{Request, Response};

use super::{Asked, Picture, decoded, no_such_path, redirect, told};
use crate::config::bucket::Dialect;
use crate::error::ErrorKind;
use crate::http::respond::{Body, Failure};
use crate::http::target::{Delivery, Target, host, lane};
use crate::plan::iiif::Version;
use crate::store::Bucket;

/// Where the versions are, behind what stands for the bucket.
const PREFIXES: [(Version, &str); 2] = [(Version::Three, "/iiif/3"), (Version::Two, "/iiif/2")];

/// What a request is in the words of the API.
#[derive(Debug)]
pub(in crate::http) struct Call<'a> {
    version: Version,
    bucket: Arc<Bucket>,
    /// The path up to the identifier and with it.
    base: &'a str,
    identifier: &'a str,
    /// The segments behind it, as they came.
    segments: Vec<&'a str>,
}

impl<'a> Call<'a> {
    /// The call, where the path is one of the API and its bucket is served so.
    pub(in crate::http) fn of<B>(delivery: &Delivery, request: &'a Request<B>) -> Option<Self> {
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
        let mut segments = behind.split('/');
        let identifier = segments.next()?;
        let base = &path[..path.len() - behind.len() + identifier.len()];
        Some(Self { version, bucket: Arc::clone(bucket), base, identifier, segments: segments.collect() })
    }
}

impl Call<'_> {
    /// The bucket and key of the picture; `None` for an identifier that is none.
    pub(in crate::http) fn object(&self) -> Option<(String, String)> {
        Some((self.bucket.name().to_owned(), decoded(self.identifier).ok()?))
    }
}

impl Delivery {
    /// Answers a `GET` or `HEAD`. Never fails: failures are answers too.
    pub(in crate::http) async fn answer_as_iiif<B>(&self, request: &Request<B>, call: &Call<'_>) -> Response<Body> {
        self.iiif(request, call).await.unwrap_or_else(told)
    }

    async fn iiif<B>(&self, request: &Request<B>, call: &Call<'_>) -> Result<Response<Body>, Failure> {
        let asked = Asked::parse(call.version, &call.segments)?.filter(|_| !call.identifier.is_empty());
        match asked.ok_or_else(no_such_path)? {
            Asked::Base => Ok(redirect(&self.address_of(request, call.base))),
            Asked::Information => {
                let picture = self.picture_of_bucket(request, call).await?;
                self.iiif_information(request, call.version, &picture)
            }
            Asked::Image(asked) => {
                let picture = self.picture_of_bucket(request, call).await?;
                self.iiif_image(request, call.version, &asked, picture).await
            }
        }
    }

    /// The picture that is asked for, once the client may have it.
    async fn picture_of_bucket<B>(&self, request: &Request<B>, call: &Call<'_>) -> Result<Picture, Failure> {
        let (bucket, key) = (&call.bucket, decoded(call.identifier)?);
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
        let target = Target { bucket, key, plan: None, attname: None, expires, read_by, link: None };
        Ok(Picture { target, shown, base: self.address_of(request, call.base), open_edge: None })
    }
}
