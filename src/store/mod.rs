//! Buckets: where objects are read from and results are stored.
//!
//! A [`Bucket`] is a name over one of two backends: an object store (folder, memory, S3, GCS, Azure) or a plain HTTP
//! origin. Keys are any UTF-8 text, already percent-decoded exactly once; a key can never name anything outside its
//! bucket. [`Remote`] fetches what URLs name (watermark pictures). Everything that leaves this machine towards an
//! address a user can influence goes through [`guard`].

mod expiry;
pub mod facts;
pub mod guard;
pub mod objects;
pub mod origin;
pub mod parts;
pub mod qetag;
pub mod resources;
#[cfg(not(feature = "ring"))]
mod signing;
pub mod spool;
pub mod turns;

use std::collections::HashMap;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::Stream;
use sha2::{Digest, Sha256};

use crate::error::ErrorKind;
use objects::Objects;
use origin::Origin;
pub use origin::Remote;
use turns::Turns;

/// Why an object could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("Document not found: {key:?} in bucket {bucket:?}")]
    NotFound {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// There is nothing at that URL.
    #[error("nothing could be fetched from {url}: {problem}")]
    UrlNotFound {
        /// The URL, without credentials or query.
        url: String,
        /// What happened.
        problem: String,
    },
    /// There is no such bucket.
    #[error("no such bucket: {0:?}")]
    NoSuchBucket(String),
    /// The URL or the address behind it may not be fetched.
    #[error("{url} may not be fetched: {problem}")]
    Forbidden {
        /// The URL, without credentials or query.
        url: String,
        /// Which rule refuses it.
        problem: String,
    },
    /// The object has more bytes than may be read.
    #[error("source size in bytes: {bytes}, over the limit of {limit}")]
    TooLarge {
        /// Its size, or what was read when reading stopped.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The store or origin failed.
    #[error("{place} failed: {problem}")]
    Upstream {
        /// Bucket or host.
        place: String,
        /// What happened, safe for any caller.
        problem: String,
        /// Whether waiting for it was the problem.
        timed_out: bool,
    },
    /// There is no room left to write to.
    #[error("{place} is full")]
    Full {
        /// Bucket, or where files wait.
        place: String,
    },
    /// The object exists already, and may not be replaced.
    #[error("file exists: {key:?} in bucket {bucket:?}")]
    Exists {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// No object can have this key.
    #[error("{key:?} cannot be a key in bucket {bucket:?}: {problem}")]
    BadKey {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// Which rule refuses it.
        problem: &'static str,
    },
    /// The bucket cannot do this.
    #[error("bucket {bucket:?} cannot {action}")]
    ReadOnly {
        /// The bucket.
        bucket: String,
        /// What was asked.
        action: &'static str,
    },
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::NoSuchBucket(_) | Self::UrlNotFound { .. } => ErrorKind::NotFound,
            Self::Forbidden { .. } | Self::ReadOnly { .. } => ErrorKind::Forbidden,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Exists { .. } | Self::BadKey { .. } => ErrorKind::Invalid,
            Self::Full { .. } => ErrorKind::Full,
            Self::Upstream { timed_out: true, .. } => ErrorKind::UpstreamTimeout,
            Self::Upstream { .. } => ErrorKind::Upstream,
        }
    }
}

/// Whether a disk, or what its owner may have of it, is used up.
pub fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Changes whenever the bytes change: the store's entity tag, else modification time and size.
    pub version: String,
    /// Whether it is sure to change. Some origins tell nothing but a length; then only the bytes know better.
    pub is_exact: bool,
    /// Length in bytes, where the store tells.
    pub bytes: Option<u64>,
    /// Last modification, where the store tells.
    pub modified: Option<SystemTime>,
    /// Stored content type, where there is one.
    pub content_type: Option<String>,
    /// What it can be purged by: `Cache-Tag` of an origin, or of a store's metadata.
    pub tags: Vec<String>,
}

impl Meta {
    /// The same with a version that is sure to change with `body`.
    fn exact_for(mut self, body: &[u8]) -> Self {
        if !self.is_exact {
            self.version = format!("sha256 {}", URL_SAFE_NO_PAD.encode(Sha256::digest(body)));
            self.is_exact = true;
        }
        self
    }
}

/// Most tags of an object, and most bytes of one; others are ignored.
const MOST_TAGS: usize = 100;
const MOST_TAG_BYTES: usize = 256;

/// The tags of a `Cache-Tag` header.
fn tags(header: Option<&str>) -> Vec<String> {
    let tags = header.unwrap_or_default().split(',').map(str::trim);
    tags.filter(|tag| !tag.is_empty() && tag.len() <= MOST_TAG_BYTES).take(MOST_TAGS).map(str::to_owned).collect()
}

/// Hears of what this process writes.
pub trait Watch: std::fmt::Debug + Send + Sync {
    /// An object was written or deleted, or may have been where that failed.
    fn wrote(&self, bucket: &str, key: &str);
}

/// Tells of a write when it is over, however it ended.
struct Writing<'a>(&'a Bucket, &'a str);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if let Some(watch) = self.0.watch.get() {
            watch.wrote(&self.0.name, self.1);
        }
    }
}

/// An object's bytes as they arrive.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// How long stores and origins may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until an object is read whole, or a stream's next piece arrives.
    pub read: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), read: Duration::from_secs(10) }
    }
}

/// A named place for objects.
#[derive(Debug)]
pub struct Bucket {
    name: String,
    backend: Backend,
    timeouts: Timeouts,
    watch: OnceLock<Arc<dyn Watch>>,
    turns: Turns,
}

#[derive(Debug)]
enum Backend {
    Objects(Objects),
    Origin(Origin),
}

impl Bucket {
    /// A bucket over an object store.
    pub fn over_objects(name: &str, objects: Objects, timeouts: Timeouts) -> Self {
        Self {
            name: name.to_owned(),
            backend: Backend::Objects(objects),
            timeouts,
            watch: OnceLock::new(),
            turns: Turns::default(),
        }
    }

    /// A bucket whose objects are fetched from an HTTP origin.
    pub fn over_origin(name: &str, origin: Origin, timeouts: Timeouts) -> Self {
        Self {
            name: name.to_owned(),
            backend: Backend::Origin(origin),
            timeouts,
            watch: OnceLock::new(),
            turns: Turns::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether objects are read from this machine's own memory or disk.
    pub fn is_local(&self) -> bool {
        matches!(&self.backend, Backend::Objects(objects) if objects.is_local())
    }

    /// What is known of `key`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Upstream`].
    pub async fn head(&self, key: &str) -> Result<Meta, Error> {
        let head = async {
            match &self.backend {
                Backend::Objects(objects) => objects.head(&self.name, key).await,
                Backend::Origin(origin) => origin.head(&self.name, key).await,
            }
        };
        self.in_time(head).await
    }

    /// The object whole, if it has at most `max_bytes`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::TooLarge`], [`Error::Upstream`].
    pub async fn read(&self, key: &str, max_bytes: u64) -> Result<(Meta, Bytes), Error> {
        let read = async {
            match &self.backend {
                Backend::Objects(objects) => objects.read(&self.name, key, max_bytes).await,
                Backend::Origin(origin) => {
                    let (meta, stream) = origin.open(&self.name, key, None).await?;
                    let body = collect(stream, meta.bytes, max_bytes).await?;
                    Ok((meta.exact_for(&body), body))
                }
            }
        };
        self.in_time(read).await
    }

    /// The object whole, unless it is still the one that `known` describes: then nothing, which costs a question only.
    ///
    /// # Errors
    /// As for [`Bucket::read`].
    pub async fn read_unless(&self, key: &str, known: &Meta, max_bytes: u64) -> Result<Option<(Meta, Bytes)>, Error> {
        let read = async {
            match &self.backend {
                Backend::Objects(objects) => objects.read_unless(&self.name, key, &known.version, max_bytes).await,
                Backend::Origin(origin) => {
                    let Some((meta, stream)) = origin.open_unless(&self.name, key, known).await? else {
                        return Ok(None);
                    };
                    let body = collect(stream, meta.bytes, max_bytes).await?;
                    Ok(Some((meta.exact_for(&body), body)))
                }
            }
        };
        self.in_time(read).await
    }

    /// The object, or a range of its bytes, as a stream. `range` must lie within the object.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Upstream`]; the stream ends with an error when the store fails or stalls.
    pub async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<(Meta, ByteStream), Error> {
        let (meta, stream) = self.in_time(self.open(key, range)).await?;
        Ok((meta, self.watched(stream)))
    }

    /// Stores `body` under `key`; the object appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] for HTTP origins, [`Error::Upstream`].
    pub async fn put(&self, key: &str, body: Bytes, content_type: &str) -> Result<(), Error> {
        let _told = self.writing(key);
        let _turn = self.turns.take(key).await;
        match &self.backend {
            Backend::Objects(objects) => self.in_time(objects.put(&self.name, key, body, content_type)).await,
            Backend::Origin(_) => Err(Error::ReadOnly { bucket: self.name.clone(), action: "store objects" }),
        }
    }

    /// Held while `key` is written.
    fn writing<'a>(&'a self, key: &'a str) -> Writing<'a> {
        Writing(self, key)
    }

    async fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<(Meta, ByteStream), Error> {
        match &self.backend {
            Backend::Objects(objects) => objects.open(&self.name, key, range).await,
            Backend::Origin(origin) => origin.open(&self.name, key, range).await,
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(self.timeouts.read, work).await {
            Ok(result) => result,
            Err(_) => Err(self.stalled()),
        }
    }

    /// The stream, ending with an error where a piece takes longer than the read timeout.
    fn watched(&self, stream: ByteStream) -> ByteStream {
        let limit = self.timeouts.read;
        let stalled = self.stalled();
        Box::pin(futures::stream::unfold(Some(stream), move |state| {
            let stalled = stalled.clone();
            async move {
                let mut stream = state?;
                match tokio::time::timeout(limit, futures::StreamExt::next(&mut stream)).await {
                    Ok(Some(Ok(piece))) => Some((Ok(piece), Some(stream))),
                    Ok(Some(Err(error))) => Some((Err(error), None)),
                    Ok(None) => None,
                    Err(_) => Some((Err(stalled), None)),
                }
            }
        }))
    }

    fn stalled(&self) -> Error {
        Error::Upstream {
            place: format!("bucket {:?}", self.name),
            problem: format!("no answer within {} s", self.timeouts.read.as_secs_f32()),
            timed_out: true,
        }
    }
}

/// Reads a stream whole, stopping as soon as it passes `max_bytes`. Nothing is allocated from a declared length
/// beyond the limit.
async fn collect(
    mut stream: impl Stream<Item = Result<Bytes, Error>> + Unpin,
    declared: Option<u64>,
    max_bytes: u64,
) -> Result<Bytes, Error> {
    use futures::StreamExt;
    if let Some(bytes) = declared.filter(|bytes| *bytes > max_bytes) {
        return Err(Error::TooLarge { bytes, limit: max_bytes });
    }
    let mut only = Bytes::new();
    let mut body = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        let bytes = (only.len() + body.len() + piece.len()) as u64;
        if bytes > max_bytes {
            return Err(Error::TooLarge { bytes, limit: max_bytes });
        }
        if only.is_empty() && body.is_empty() {
            only = piece;
            continue;
        }
        if body.is_empty() {
            body.reserve_exact(declared.unwrap_or(0).max(bytes) as usize);
            body.extend_from_slice(&std::mem::take(&mut only));
        }
        body.extend_from_slice(&piece);
    }
    Ok(if body.is_empty() { only } else { body.into() })
}

/// All buckets of a server, and which host names lead to which.
#[derive(Debug, Default)]
pub struct Buckets {
    by_name: HashMap<String, Arc<Bucket>>,
    by_domain: HashMap<String, String>,
    for_any_host: Option<String>,
}

impl Buckets {
    /// Adds a bucket that answers for `domains`; the domain `*` takes every host that no other bucket claims.
    pub fn add(&mut self, bucket: Bucket, domains: &[String]) {
        for domain in domains {
            if domain == "*" {
                self.for_any_host = Some(bucket.name.clone());
            } else {
                self.by_domain.insert(domain.to_ascii_lowercase(), bucket.name.clone());
            }
        }
        self.by_name.insert(bucket.name.clone(), Arc::new(bucket));
    }

    /// From now on `watch` hears of what is written to any of the buckets. One watch is enough: the first stays.
    pub fn watch(&self, watch: &Arc<dyn Watch>) {
        for bucket in self.by_name.values() {
            let _first = bucket.watch.set(Arc::clone(watch));
        }
    }

    /// The bucket of that name.
    ///
    /// # Errors
    /// [`Error::NoSuchBucket`].
    pub fn named(&self, name: &str) -> Result<&Arc<Bucket>, Error> {
        self.by_name.get(name).ok_or_else(|| Error::NoSuchBucket(name.to_owned()))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Bucket>> {
        self.by_name.values()
    }

    /// The bucket that answers for a host name (a port is ignored); `None` where paths begin with a bucket's name.
    pub fn for_host(&self, host: &str) -> Option<&Arc<Bucket>> {
        self.claimed(host).or_else(|| self.by_name.get(self.for_any_host.as_ref()?))
    }

    /// The bucket that names this very host among its domains.
    pub fn claimed(&self, host: &str) -> Option<&Arc<Bucket>> {
        self.by_name.get(self.by_domain.get(&host_name(host))?)
    }
}

/// The host without its port, in lower case; IPv6 literals keep their brackets.
fn host_name(host: &str) -> String {
    let end = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => colon,
        _ => host.len(),
    };
    host[..end].to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lead_to_buckets() {
        let mut buckets = Buckets::default();
        assert!(buckets.for_host("img.example.com").is_none());
        let bucket = |name| Bucket::over_objects(name, Objects::in_memory(), Timeouts::default());
        buckets.add(bucket("photos"), &["img.example.com".into()]);
        buckets.add(bucket("rest"), &["*".into()]);
        let name = |host| buckets.for_host(host).map(|bucket| bucket.name().to_owned());
        assert_eq!(name("img.example.com").as_deref(), Some("photos"));
        assert_eq!(name("IMG.example.com:8080").as_deref(), Some("photos"));
        assert_eq!(name("other.example.com").as_deref(), Some("rest"));
        assert_eq!(name("[::1]:8080").as_deref(), Some("rest"));
        assert!(buckets.claimed("other.example.com").is_none());
    }
}
