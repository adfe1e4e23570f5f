//! Bytes of images on their way in, however they come: to the spool with their SHA-1, then into the bucket whole, then known.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use sha1::{Digest, Sha1};

use super::fetches::Fetch;
use super::image::{Event, Image};
use super::keeper::{self, Keeper};
use super::{Project, Projects};
use crate::error::ErrorKind;
use crate::jobs::queue;
use crate::store::facts::{Facts, put_time};
use crate::store::resources::Listing;
use crate::store::spool::{self, Spool, Spooled};
use crate::store::turns::Turns;
use crate::store::{self, Bucket, Buckets};
use crate::transform::media_type_of;

/// How many of the first bytes tell what a file is.
const HEAD_BYTES: usize = 512;

/// Objects that are deleted at a time.
const DELETED_AT_ONCE: usize = 500;

/// What brings images in. One a process.
#[derive(Debug)]
pub struct Intake {
    projects: Projects,
    keeper: Keeper,
    buckets: Arc<Buckets>,
    spool: Spool,
    /// Most bytes of an image.
    max_bytes: u64,
    /// One change of an image's object, and of what is known of it, at a time.
    turns: Turns,
}

/// Bytes that have arrived.
#[derive(Debug)]
pub struct Received {
    file: Spooled,
    sha1: String,
}

/// Why they have not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They could not be stored.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// That they have come could not be recorded.
    #[error(transparent)]
    Records(#[from] queue::Error),
    /// Whoever sends them has stopped.
    #[error("{0}")]
    Sender(String),
    /// The image was removed while they came.
    #[error("the image was removed")]
    Removed,
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Records(error) => error.kind(),
            Self::Sender(_) => ErrorKind::Upstream,
            Self::Removed => ErrorKind::NotFound,
        }
    }
}

/// Who brings bytes: their arrival is recorded in their name.
#[derive(Clone, Debug)]
pub enum Bringer {
    /// The image's owner.
    Owner,
    /// This process, as long as the fetch is its own.
    Fetcher(Fetch),
}

impl Intake {
    /// For images of `projects`, of at most `max_bytes`, through the files of `spool` into `buckets`.
    pub fn new(projects: Projects, keeper: Keeper, buckets: Arc<Buckets>, spool: Spool, max_bytes: u64) -> Self {
        Self { projects, keeper, buckets, spool, max_bytes, turns: Turns::default() }
    }

    /// Most bytes of an image.
    pub const fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Writes a stream to the spool.
    ///
    /// # Errors
    /// [`store::Error::TooLarge`] past the limit, a disk that is full, a sender that stops.
    pub async fn receive<E: std::fmt::Display>(
        &self,
        stream: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Received, Error> {
        let limit = self.max_bytes;
        let mut writer = self.spool.create(HEAD_BYTES).await.map_err(|error| spool::failure(&error))?;
        let mut sha1 = Sha1::new();
        let mut stream = std::pin::pin!(stream);
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| Error::Sender(error.to_string()))?;
            let bytes = writer.bytes() + piece.len() as u64;
            if bytes > limit {
                return Err(store::Error::TooLarge { bytes, limit }.into());
            }
            sha1.update(&piece);
            writer.write(&piece).await.map_err(|error| spool::failure(&error))?;
        }
        let file = writer.finish().await.map_err(|error| spool::failure(&error))?;
        let sha1 = sha1.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Received { file, sha1 })
    }

    /// Puts an image's bytes into the bucket, unless they are not those that were promised, and says that they have come. Goes
    /// on to its end even when whoever asks goes away.
    ///
    /// # Errors
    /// [`Error::Removed`], and what stores and databases fail with.
    pub async fn keep(
        self: &Arc<Self>,
        (project, image): (Project, Image),
        received: Received,
        bringer: Bringer,
        now: SystemTime,
    ) -> Result<(), Error> {
        let this = Arc::clone(self);
        let kept = tokio::spawn(async move { this.kept(&project, &image, received, bringer, now).await });
        kept.await.unwrap_or_else(|error| Err(Error::Sender(error.to_string())))
    }

    async fn kept(
        &self,
        project: &Project,
        image: &Image,
        received: Received,
        bringer: Bringer,
        now: SystemTime,
    ) -> Result<(), Error> {
        let key = keeper::key(&project.id, &image.file);
        let _turn = self.turns.take(&key).await;
        // Whoever has the name now gets the bytes.
        let image = &self.stored_as(image).await?.ok_or(Error::Removed)?;
        let Received { file, sha1 } = received;
        let bytes = file.bytes;
        if !image.is_contradicted_by(&sha1) {
            self.put(&project.bucket, &key, file, now).await?;
        }
        let event = Event::Arrived { sha1, bytes };
        match bringer {
            Bringer::Owner => self.projects.advance(&image.id, event, now).await?,
            Bringer::Fetcher(fetch) => self.projects.end_fetch(&fetch, event, now).await?,
        };
        self.keeper.wake();
        match self.stored_as(image).await? {
            Some(_) => Ok(()),
            None => {
                delete(self.bucket(&project.bucket)?, &key).await?;
                Err(Error::Removed)
            }
        }
    }

    /// The image that now has the name of this one's object.
    async fn stored_as(&self, image: &Image) -> Result<Option<Image>, Error> {
        Ok(self.projects.image_stored_as(&image.project, &image.file).await?)
    }

    async fn put(&self, bucket: &str, key: &str, file: Spooled, now: SystemTime) -> Result<(), store::Error> {
        let facts = Facts {
            hash: file.hash.clone(),
            media_type: media_type_of(&file.head, key),
            put_time: put_time(now),
            ..Facts::default()
        };
        let body = spool::stream(vec![file.path().to_owned()]);
        self.bucket(bucket)?.put_stream(key, body, file.bytes, facts, true).await
    }

    /// Deletes the object of an image that is forgotten.
    pub async fn forget_image(&self, project: &Project, image: &Image) {
        let key = keeper::key(&project.id, &image.file);
        let _turn = self.turns.take(&key).await;
        let deleted = async { delete(self.bucket(&project.bucket)?, &key).await };
        if let Err(error) = deleted.await {
            tracing::warn!(%error, key, "the object of a removed image stays");
        }
    }

    /// Deletes all objects of projects that were removed, by and by: what a process that died has left too.
    pub fn clear(self: &Arc<Self>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let removed = this.projects.removed().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "projects that were removed cannot be read");
                Vec::new()
            });
            for project in removed {
                if let Err(error) = this.clear_one(&project).await {
                    tracing::warn!(%error, project = %project.id, "objects of a removed project stay until the next start");
                }
            }
        });
    }

    async fn clear_one(&self, project: &Project) -> Result<(), Error> {
        self.delete_all(project).await?;
        Ok(self.projects.forget(&project.id).await?)
    }

    async fn delete_all(&self, project: &Project) -> Result<(), store::Error> {
        let bucket = self.bucket(&project.bucket)?;
        let prefix = format!("{}/", project.id);
        loop {
            let listing = Listing { prefix: &prefix, limit: DELETED_AT_ONCE, ..Listing::default() };
            let page = bucket.list(listing).await?;
            for (key, _) in &page.objects {
                delete(bucket, key).await?;
            }
            if page.next.is_none() || page.objects.is_empty() {
                return Ok(());
            }
        }
    }

    fn bucket(&self, name: &str) -> Result<&Arc<Bucket>, store::Error> {
        self.buckets.named(name)
    }
}

async fn delete(bucket: &Bucket, key: &str) -> Result<(), store::Error> {
    match bucket.delete(key).await {
        Err(store::Error::NotFound { .. }) => Ok(()),
        deleted => deleted,
    }
}
