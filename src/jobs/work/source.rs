//! What a job works on: an object where it lies, or what a URL names, which is fetched to a file of this machine first.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use percent_encoding::percent_decode_str;

use super::{Trouble, Work};
use crate::error::ErrorKind;
use crate::jobs::destination::Facts;
use crate::jobs::model::{Claim, Source};
use crate::jobs::task::Task;
use crate::store::objects::Objects;
use crate::store::resources::Stat;
use crate::store::spool::{self, Spool, Spooled, stream};
use crate::store::{self, Bucket, ByteStream, Timeouts, facts};
use crate::transform::media_type_of;

/// What a source is called that came with its job.
const INLINE: &str = "inline";

/// How many of the first bytes tell what a file is.
const HEAD_BYTES: usize = 512;

/// A source as it is described.
pub(super) struct Described {
    pub(super) place: Place,
    /// The object's key, or the path of the URL.
    pub(super) key: String,
    pub(super) stat: Stat,
}

/// Where the bytes are.
pub(super) enum Place {
    Object(Arc<Bucket>),
    File(Spooled),
}

impl Described {
    /// What keys of results are made of.
    pub(super) fn facts(&self, claim: &Claim) -> Facts<'_> {
        Facts {
            bucket: match &self.place {
                Place::Object(bucket) => bucket.name(),
                Place::File(_) => "",
            },
            key: &self.key,
            source_hash: &self.stat.facts.hash,
            source_bytes: self.stat.bytes,
            source_type: &self.stat.facts.media_type,
            now: claim.job.created,
        }
    }

    /// Its bytes.
    pub(super) async fn open(&self) -> Result<ByteStream, store::Error> {
        match &self.place {
            Place::Object(bucket) => Ok(bucket.stream(&self.key, None).await?.1),
            Place::File(file) => Ok(stream(vec![file.path().to_owned()])),
        }
    }

    /// Where pictures without a bucket of their own are read from: beside an object. Beside a URL there is nothing.
    pub(super) fn bucket(&self) -> Arc<Bucket> {
        match &self.place {
            Place::Object(bucket) => Arc::clone(bucket),
            Place::File(_) => Arc::new(Bucket::over_objects("", Objects::in_memory(), Timeouts::default())),
        }
    }
}

impl Work {
    /// Finds the source of a job, or fetches it.
    pub(super) async fn described(&self, claim: &Claim) -> Result<Described, Trouble> {
        match &claim.job.spec.source {
            Source::Object { bucket, key } => {
                let bucket = Arc::clone(self.transformer.buckets().named(bucket)?);
                let stat = bucket.stat(key).await?;
                if stat.facts.is_expired(SystemTime::now()) {
                    return Err(store::Error::NotFound { bucket: bucket.name().to_owned(), key: key.clone() }.into());
                }
                Ok(Described { place: Place::Object(bucket), key: key.clone(), stat })
            }
            Source::Inline(bytes) => {
                let bytes = STANDARD.decode(bytes);
                let bytes = bytes.map_err(|_| Trouble::new(ErrorKind::Invalid, &"the source is no Base64"))?;
                let piece = futures::stream::iter([Ok(Bytes::from(bytes))]);
                self.spooled(INLINE.to_owned(), None, piece, self.most_bytes(claim)).await
            }
            Source::Url(url) => {
                let time = self.settings.media.time;
                let late = || {
                    let message = format!("the source could not be fetched within {} s", time.as_secs());
                    Trouble::new(ErrorKind::UpstreamTimeout, &message)
                };
                let fetched = tokio::time::timeout(time, self.fetched(url, self.most_bytes(claim))).await;
                fetched.unwrap_or_else(|_| Err(late()))
            }
        }
    }

    /// What a URL names, in a file. It is read anew at every attempt: what it names may change.
    async fn fetched(&self, url: &str, limit: u64) -> Result<Described, Trouble> {
        let (meta, pieces) = self.remote.open(url).await?;
        if let Some(bytes) = meta.bytes.filter(|bytes| *bytes > limit) {
            return Err(store::Error::TooLarge { bytes, limit }.into());
        }
        self.spooled(path_of(url), meta.content_type, pieces, limit).await
    }

    /// What arrives, in a file.
    async fn spooled(
        &self,
        key: String,
        media_type: Option<String>,
        mut pieces: impl Stream<Item = Result<Bytes, store::Error>> + Unpin,
        limit: u64,
    ) -> Result<Described, Trouble> {
        let spool = Spool::new(self.settings.spool.clone());
        let mut writer = spool.create(HEAD_BYTES).await.map_err(|error| spool::failure(&error))?;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let bytes = writer.bytes() + piece.len() as u64;
            if bytes > limit {
                return Err(store::Error::TooLarge { bytes, limit }.into());
            }
            writer.write(&piece).await.map_err(|error| spool::failure(&error))?;
        }
        let file = writer.finish().await.map_err(|error| spool::failure(&error))?;
        let facts = facts::Facts {
            hash: file.hash.clone(),
            media_type: media_type.unwrap_or_else(|| media_type_of(&file.head, &key)),
            ..facts::Facts::default()
        };
        Ok(Described { stat: Stat { bytes: file.bytes, facts }, place: Place::File(file), key })
    }

    /// Most bytes that a fetched source may have: what pictures may have, where the job makes nothing else of it.
    fn most_bytes(&self, claim: &Claim) -> u64 {
        let is_picture = |pipeline: &str| matches!(Task::parse(pipeline), Ok(Task::Picture(_)));
        match claim.job.spec.outputs.iter().all(|output| is_picture(&output.pipeline)) {
            true => self.settings.picture_source_bytes,
            false => self.settings.media_source_bytes,
        }
    }

    /// A fetched source in memory, for pictures.
    pub(super) async fn in_memory(&self, file: &Spooled) -> Result<Bytes, Trouble> {
        let (bytes, limit) = (file.bytes, self.settings.picture_source_bytes);
        if bytes > limit {
            return Err(store::Error::TooLarge { bytes, limit }.into());
        }
        let read = tokio::fs::read(file.path()).await;
        Ok(read.map_err(|error| spool::failure(&error))?.into())
    }
}

/// What a URL's source is called, for keys made of it: its path.
fn path_of(url: &str) -> String {
    let path = url::Url::parse(url).map(|url| url.path().trim_start_matches('/').to_owned()).unwrap_or_default();
    percent_decode_str(&path).decode_utf8_lossy().into_owned()
}
