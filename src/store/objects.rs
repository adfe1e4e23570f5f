//! Object stores: a folder, memory, S3, GCS, Azure; all through the `object_store` crate.
//!
//! Keys below `.mogr/` are this server's own: no request reads, writes or lists them.

mod manage;
mod multipart;
mod own;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, GetResult, GetResultPayload, ObjectStore,
    ObjectStoreExt, PutOptions, PutPayload, RetryConfig,
};
use url::Url;

use super::{ByteStream, Error, Meta, Timeouts, collect, tags};
pub(super) use manage::Found;

/// Where this server keeps what it knows of a bucket's objects.
const RESERVED: &str = ".mogr";

/// An object store and the prefix in it under which a bucket's keys live.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Option<Path>,
    is_local: bool,
}

/// Why a bucket's URL or options do not make a store.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(String);

impl From<object_store::Error> for BuildError {
    fn from(error: object_store::Error) -> Self {
        Self(error.to_string())
    }
}

impl Objects {
    /// An empty store in memory.
    pub fn in_memory() -> Self {
        Self { store: Arc::new(object_store::memory::InMemory::new()), prefix: None, is_local: true }
    }

    /// The store that `url` names: `file:///folder`, `memory:`, `s3://bucket[/prefix]`, `gs://…`, `az://…`.
    ///
    /// `options` are the store's own settings by the names that the `object_store` crate gives them
    /// (`region`, `endpoint`, `access_key_id`, …); cloud stores also read the usual environment variables.
    ///
    /// # Errors
    /// [`BuildError`] for another scheme, an unknown option or a folder that does not exist.
    pub fn open_url(url: &Url, options: &BTreeMap<String, String>, timeouts: Timeouts) -> Result<Self, BuildError> {
        let prefix = || Some(Path::from_url_path(url.path()).ok()?).filter(|path| !path.as_ref().is_empty());
        match url.scheme() {
            "memory" => Ok(Self::in_memory()),
            "file" => {
                let folder = url.to_file_path().map_err(|()| BuildError(format!("{url} is not a local folder")))?;
                let store = object_store::local::LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
                Ok(Self { store: Arc::new(store), prefix: None, is_local: true })
            }
            "s3" | "gs" | "az" => {
                Ok(Self { store: cloud_store(url, options, timeouts)?, prefix: prefix(), is_local: false })
            }
            other => Err(BuildError(format!("{other}: is not a kind of store"))),
        }
    }

    /// Whether it is this machine's own memory or disk.
    pub(super) const fn is_local(&self) -> bool {
        self.is_local
    }

    /// What is known of an object.
    pub(super) async fn head(&self, bucket: &str, key: &str) -> Result<Meta, Error> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let result = self.get(bucket, key, options).await?;
        Ok(meta(&result))
    }

    /// An object's bytes, or a range of them.
    pub(super) async fn open(
        &self,
        bucket: &str,
        key: &str,
        range: Option<Range<u64>>,
    ) -> Result<(Meta, ByteStream), Error> {
        let options = GetOptions { range: range.map(Into::into), ..GetOptions::default() };
        let result = self.get(bucket, key, options).await?;
        let meta = meta(&result);
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let stream = result.into_stream().map(move |piece| piece.map_err(|error| translate(&bucket, &key, &error)));
        Ok((meta, Box::pin(stream)))
    }

    /// An object whole, if it has at most `max_bytes`.
    pub(super) async fn read(&self, bucket: &str, key: &str, max_bytes: u64) -> Result<(Meta, Bytes), Error> {
        let result = self.get(bucket, key, GetOptions::default()).await?;
        Self::whole(bucket, key, result, max_bytes).await
    }

    /// The same, unless it still has that version.
    pub(super) async fn read_unless(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        max_bytes: u64,
    ) -> Result<Option<(Meta, Bytes)>, Error> {
        if !version.contains('"') {
            // It is no entity tag: stores compare no others.
            if self.head(bucket, key).await?.version == version {
                return Ok(None);
            }
            return self.read(bucket, key, max_bytes).await.map(Some);
        }
        let path = self.path(bucket, key)?;
        let options = GetOptions { if_none_match: Some(version.to_owned()), ..GetOptions::default() };
        match self.store.get_opts(&path, options).await {
            Err(object_store::Error::NotModified { .. }) => Ok(None),
            Err(error) => Err(translate(bucket, key, &error)),
            Ok(result) => Self::whole(bucket, key, result, max_bytes).await.map(Some),
        }
    }

    async fn whole(bucket: &str, key: &str, result: GetResult, max_bytes: u64) -> Result<(Meta, Bytes), Error> {
        let (meta, bytes) = (meta(&result), result.meta.size);
        if bytes > max_bytes {
            return Err(Error::TooLarge { bytes, limit: max_bytes });
        }
        let failed = |error| translate(bucket, key, &error);
        if matches!(result.payload, GetResultPayload::File(..)) {
            // As a stream a file would be read in pieces of 8 KiB, each on another thread.
            return Ok((meta, result.bytes().await.map_err(failed)?));
        }
        let stream = Box::pin(result.into_stream().map(|piece| piece.map_err(failed)));
        Ok((meta, collect(stream, Some(bytes), max_bytes).await?))
    }

    /// Stores an object whole or not at all.
    pub(super) async fn put(&self, bucket: &str, key: &str, body: Bytes, content_type: &str) -> Result<(), Error> {
        let path = self.path_to_write(bucket, key)?;
        let payload = PutPayload::from_bytes(body);
        let attributes = Attributes::from_iter([(Attribute::ContentType, content_type.to_owned())]);
        let with_type = PutOptions { attributes, ..PutOptions::default() };
        let result = match self.store.put_opts(&path, payload.clone(), with_type).await {
            // Folders keep no content type; there the key's extension tells it.
            Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                self.store.put(&path, payload).await
            }
            result => result,
        };
        result.map(|_| ()).map_err(|error| translate(bucket, key, &error))
    }

    async fn get(&self, bucket: &str, key: &str, options: GetOptions) -> Result<GetResult, Error> {
        let path = self.path(bucket, key)?;
        self.store.get_opts(&path, options).await.map_err(|error| translate(bucket, key, &error))
    }

    /// The key's place in the store. Keys that the store cannot name (empty or dotted segments, control characters)
    /// name no object.
    fn path(&self, bucket: &str, key: &str) -> Result<Path, Error> {
        let path = parse_key(key).map_err(|_| Error::NotFound { bucket: bucket.to_owned(), key: key.to_owned() })?;
        Ok(self.prefixed(&path))
    }

    /// The same, for an object that is to be: the error says what is wrong with the key.
    fn path_to_write(&self, bucket: &str, key: &str) -> Result<Path, Error> {
        let refused = |problem| Error::BadKey { bucket: bucket.to_owned(), key: key.to_owned(), problem };
        Ok(self.prefixed(&parse_key(key).map_err(refused)?))
    }

    fn prefixed(&self, path: &Path) -> Path {
        match &self.prefix {
            Some(prefix) => prefix.parts().chain(path.parts()).collect(),
            None => path.clone(),
        }
    }
}

/// A key as a path, or why no object has that key.
fn parse_key(key: &str) -> Result<Path, &'static str> {
    let segments = "it has empty or dotted segments or control characters";
    let path = Path::parse(key).map_err(|_| segments)?;
    // `Path` drops slashes at both ends; a key with one there is another key.
    if path.as_ref() != key || key.is_empty() {
        return Err(segments);
    }
    if key.split('/').next() == Some(RESERVED) {
        return Err("keys below .mogr/ are the server's own");
    }
    Ok(path)
}

fn cloud_store(
    url: &Url,
    options: &BTreeMap<String, String>,
    timeouts: Timeouts,
) -> Result<Arc<dyn ObjectStore>, BuildError> {
    let client = ClientOptions::new().with_connect_timeout(timeouts.connect).with_timeout(timeouts.read);
    // A request waits at most for the read timeout; retrying for minutes would only hold it longer.
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(50), ..BackoffConfig::default() },
        max_retries: 2,
        retry_timeout: timeouts.read,
    };
    macro_rules! build {
        ($builder:ty) => {{
            // Client settings come first: options such as `allow_http` refine them.
            let mut builder =
                <$builder>::from_env().with_client_options(client).with_retry(retry).with_url(url.as_str());
            #[cfg(not(feature = "ring"))]
            {
                builder = builder.with_crypto_provider(Arc::new(super::signing::Signing));
            }
            for (name, value) in options {
                builder = builder.with_config(name.parse()?, value);
            }
            Ok(Arc::new(builder.build()?) as Arc<dyn ObjectStore>)
        }};
    }
    match url.scheme() {
        "s3" => build!(object_store::aws::AmazonS3Builder),
        "gs" => build!(object_store::gcp::GoogleCloudStorageBuilder),
        _ => build!(object_store::azure::MicrosoftAzureBuilder),
    }
}

fn meta(result: &GetResult) -> Meta {
    let object = &result.meta;
    let modified = SystemTime::from(object.last_modified);
    let version = object
        .version
        .clone()
        .or_else(|| object.e_tag.clone())
        .unwrap_or_else(|| format!("{}-{}", object.last_modified.timestamp_micros(), object.size));
    let attribute = |name| result.attributes.get(&name).map(AsRef::as_ref);
    Meta {
        version,
        is_exact: true,
        bytes: Some(object.size),
        modified: Some(modified),
        content_type: attribute(Attribute::ContentType).map(str::to_owned),
        tags: tags(attribute(Attribute::Metadata("cache-tag".into()))),
    }
}

/// The store's failure in this layer's words. Addresses and paths of the machine stay in the log.
fn translate(bucket: &str, key: &str, error: &object_store::Error) -> Error {
    use object_store::Error as Store;
    match error {
        Store::NotFound { .. } | Store::InvalidPath { .. } => {
            Error::NotFound { bucket: bucket.to_owned(), key: key.to_owned() }
        }
        _ if caused_by::<std::io::Error>(error).is_some_and(super::is_full) => {
            tracing::warn!(bucket, key, "bucket is full");
            Error::Full { place: format!("bucket {bucket:?}") }
        }
        _ if names_no_object(error) => Error::NotFound { bucket: bucket.to_owned(), key: key.to_owned() },
        other => {
            tracing::warn!(bucket, key, error = %other, "store failed");
            Error::Upstream {
                place: format!("bucket {bucket:?}"),
                problem: describe(other).to_owned(),
                timed_out: caused_by::<reqwest::Error>(other).is_some_and(reqwest::Error::is_timeout),
            }
        }
    }
}

/// Whether a folder answered that the path cannot be a file: a file where a folder would have to be, or the reverse,
/// or a name longer than the file system allows.
fn names_no_object(error: &object_store::Error) -> bool {
    use std::io::ErrorKind as Io;
    caused_by::<std::io::Error>(error)
        .is_some_and(|io| matches!(io.kind(), Io::NotADirectory | Io::IsADirectory | Io::InvalidFilename))
}

fn caused_by<E: std::error::Error + 'static>(error: &object_store::Error) -> Option<&E> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn describe(error: &object_store::Error) -> &'static str {
    use object_store::Error as Store;
    match error {
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => "access was denied",
        Store::NotSupported { .. } | Store::NotImplemented { .. } => "the store does not support it",
        _ => "the store could not be reached or answered with an error",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bucket;
    use super::*;

    fn folder() -> (tempfile::TempDir, Bucket) {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("inside")).unwrap();
        std::fs::write(outer.path().join("secret"), "no").unwrap();
        let url = Url::from_directory_path(outer.path().join("inside")).unwrap();
        let objects = Objects::open_url(&url, &BTreeMap::new(), Timeouts::default()).unwrap();
        (outer, Bucket::over_objects("photos", objects, Timeouts::default()))
    }

    #[tokio::test]
    async fn any_key_is_stored_and_read_back_under_its_own_name() {
        let (outer, bucket) = folder();
        for key in ["cat.jpg", "a b+c%20d.jpg", "春天/猫.jpg", "dir.with.dots/a..b/…", "a?b#c&d=e", "x~y'z\"", "100%"]
        {
            bucket.put(key, Bytes::from(key.to_owned()), "image/jpeg").await.unwrap();
            let (meta, body) = bucket.read(key, 1 << 20).await.unwrap();
            assert_eq!(body, key.as_bytes(), "{key}");
            assert_eq!(meta.bytes, Some(key.len() as u64));
            assert!(outer.path().join("inside").join(key).is_file(), "{key}");
        }
    }

    #[tokio::test]
    async fn no_key_leaves_its_bucket() {
        let (_outer, bucket) = folder();
        for key in
            ["../secret", "a/../../secret", "./x", "/secret", "a//b", "..", ".", "", "x/", "a\0b", "%2e%2e/secret"]
        {
            let error = bucket.read(key, 1 << 20).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{key}: {error}");
        }
    }

    #[tokio::test]
    async fn objects_over_the_limit_are_refused() {
        let (_outer, bucket) = folder();
        bucket.put("big", Bytes::from(vec![0; 11]), "image/jpeg").await.unwrap();
        assert!(matches!(bucket.read("big", 10).await, Err(Error::TooLarge { bytes: 11, limit: 10 })));
        assert!(bucket.read("big", 11).await.is_ok());
    }

    #[tokio::test]
    async fn a_new_version_has_a_new_name() {
        let (_outer, bucket) = folder();
        bucket.put("a", Bytes::from_static(b"one"), "image/jpeg").await.unwrap();
        let first = bucket.head("a").await.unwrap();
        bucket.put("a", Bytes::from_static(b"longer"), "image/jpeg").await.unwrap();
        assert_ne!(first.version, bucket.head("a").await.unwrap().version);
    }
}
