//! The pictures that a plan paints: where they are, which version they have, their bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::{Error, Identity, Transformer};
use crate::error::ErrorKind;
use crate::plan::Plan;
use crate::plan::watermark::ImageRef;
use crate::store::{self, Bucket, Meta};

/// Pictures that are read at once for one result.
const AT_ONCE: usize = 4;

impl Transformer {
    /// The pictures that a result is named by.
    pub(super) async fn pictures_of(&self, identity: &Identity) -> Result<Vec<Bytes>, Error> {
        let pictures = self.versioned_pictures(&identity.bucket, &identity.plan).await?;
        let is_named = pictures.iter().zip(&identity.pictures).all(|((version, _), named)| version == named);
        if is_named { Ok(pictures.into_iter().map(|(_, body)| body).collect()) } else { Err(Error::Changed(None)) }
    }

    /// All pictures, a few at a time, which together have no more bytes than one may.
    async fn versioned_pictures(&self, bucket: &Arc<Bucket>, plan: &Plan) -> Result<Vec<(String, Bytes)>, Error> {
        let references: Vec<&ImageRef> = plan.images().collect();
        let mut pictures = Vec::with_capacity(references.len());
        let mut bytes = 0;
        for some in references.chunks(AT_ONCE) {
            let reads = some.iter().map(|reference| self.versioned_picture(bucket, reference));
            for (picture, reference) in futures::future::try_join_all(reads).await?.into_iter().zip(some) {
                bytes += picture.1.len() as u64;
                if bytes > self.config.picture_bytes {
                    let problem = format!("the pictures have more than {} bytes together", self.config.picture_bytes);
                    return Err(unusable(reference, ErrorKind::TooLarge, &problem));
                }
                pictures.push(picture);
            }
        }
        Ok(pictures)
    }

    pub(super) async fn picture(&self, bucket: &Arc<Bucket>, reference: &ImageRef) -> Result<Bytes, Error> {
        self.versioned_picture(bucket, reference).await.map(|(_, body)| body)
    }

    async fn versioned_picture(&self, bucket: &Arc<Bucket>, reference: &ImageRef) -> Result<(String, Bytes), Error> {
        let max_bytes = self.config.picture_bytes;
        let read = match self.locate(bucket, reference) {
            Located::Object(bucket, key) => self.read_picture(&bucket, &key, max_bytes).await,
            Located::Url(url) => self.remote.fetch(&url, max_bytes).await.map(|body| (String::new(), body)),
            Located::Nowhere(error) => Err(error),
        };
        read.map_err(|error| unusable(reference, error.kind(), &error))
    }

    async fn read_picture(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        max_bytes: u64,
    ) -> Result<(String, Bytes), store::Error> {
        let known = self.sources.meta(bucket, key).await?;
        let (meta, body) = self.sources.read(bucket, key, &known.version, max_bytes).await?;
        if bucket.is_local() && meta.version != known.version {
            self.sources.forget(bucket.name(), key);
        }
        Ok((self.picture_version(bucket, key, &meta), body))
    }

    /// Names a picture's bytes, and the last purge that concerns what is made with it.
    fn picture_version(&self, bucket: &Bucket, key: &str, meta: &Meta) -> String {
        let purge = self.sources.generations().of_result(bucket.name(), key, &meta.tags, "");
        format!("{purge} {}", meta.version)
    }

    /// Versions of the pictures that are objects here, so that a changed logo changes the result's name. A picture
    /// behind a URL is known by its URL alone.
    pub(super) async fn picture_versions(&self, bucket: &Arc<Bucket>, plan: &Plan) -> Vec<String> {
        let version = async |reference| match self.locate(bucket, reference) {
            Located::Object(bucket, key) => {
                let meta = self.sources.meta(&bucket, &key).await;
                meta.map_or_else(|_| String::new(), |meta| self.picture_version(&bucket, &key, &meta))
            }
            Located::Url(_) | Located::Nowhere(_) => String::new(),
        };
        futures::future::join_all(plan.images().map(version)).await
    }

    /// Where a picture is read from. A URL without operators on one of the server's own hosts is read from its bucket,
    /// without a request to itself.
    fn locate(&self, bucket: &Arc<Bucket>, reference: &ImageRef) -> Located {
        match reference {
            ImageRef::Key(key) => Located::Object(Arc::clone(bucket), key.clone()),
            ImageRef::Entry { bucket, key } => match self.buckets.named(bucket) {
                Ok(bucket) => Located::Object(Arc::clone(bucket), key.clone()),
                Err(error) => Located::Nowhere(error),
            },
            ImageRef::Url(url) => match self.own_object(url) {
                Some((bucket, key)) => Located::Object(bucket, key),
                None => Located::Url(url.clone()),
            },
        }
    }

    /// The bucket that a picture is read from, where it names one itself: as an entry, or by a URL on one of the server's
    /// own hosts.
    pub fn bucket_named_by(&self, reference: &ImageRef) -> Option<Arc<Bucket>> {
        match reference {
            ImageRef::Key(_) => None,
            ImageRef::Entry { bucket, .. } => self.buckets.named(bucket).ok().cloned(),
            ImageRef::Url(url) => self.own_object(url).map(|(bucket, _)| bucket),
        }
    }

    fn own_object(&self, url: &str) -> Option<(Arc<Bucket>, String)> {
        let url = url::Url::parse(url).ok()?;
        let bucket = self.buckets.claimed(url.host_str()?)?;
        if url.query().is_some() {
            return None;
        }
        let key = percent_encoding::percent_decode_str(url.path().trim_start_matches('/')).decode_utf8().ok()?;
        Some((Arc::clone(bucket), key.into_owned()))
    }
}

enum Located {
    Object(Arc<Bucket>, String),
    Url(String),
    Nowhere(store::Error),
}

pub(super) fn unusable(reference: &ImageRef, kind: ErrorKind, problem: &dyn std::fmt::Display) -> Error {
    // What a picture is missing for makes no difference to the caller: it is a picture that is not there (spec 4.8).
    let kind = if kind == ErrorKind::BadImage { ErrorKind::BadImage } else { ErrorKind::NotFound };
    // A URL's query may hold tokens; a style's is not the caller's.
    let shown = match reference {
        ImageRef::Url(url) => format!("{:?}", ImageRef::Url(store::origin::without_query(url))),
        other => format!("{other:?}"),
    };
    Error::Picture { reference: shown, kind, problem: problem.to_string() }
}
