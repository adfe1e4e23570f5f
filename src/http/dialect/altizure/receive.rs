//! Bytes of images on their way in, however they come: to the spool with their SHA-1, then into the bucket whole, then known.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{self, HeaderValue};
use sha1::{Digest, Sha1};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::Altizure;
use crate::http::graphql;
use crate::jobs::queue;
use crate::jobs::records::projects::{Event, Image, Project, keeper};
use crate::store::facts::{Facts, put_time};
use crate::store::resources::Listing;
use crate::store::spool::{self, Spooled};
use crate::store::{self};
use crate::transform::media_type_of;

/// How many of the first bytes tell what a file is.
const HEAD_BYTES: usize = 512;

/// How long a whole fetch may take.
const FETCH_TIME: Duration = Duration::from_secs(600);

/// Objects that are deleted at a time.
const DELETED_AT_ONCE: usize = 500;

/// Bytes that have arrived.
pub(super) struct Received {
    file: Spooled,
    sha1: String,
}

/// Why they have not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Records(#[from] queue::Error),
    /// Whoever sends them has stopped.
    #[error("{0}")]
    Sender(String),
}

impl Altizure {
    /// Writes a stream to the spool; past the limit it is refused.
    pub(super) async fn receive<E: std::fmt::Display>(
        &self,
        stream: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Received, Trouble> {
        let limit = self.settings.upload_bytes;
        let mut writer = self.spool.create(HEAD_BYTES).await.map_err(|error| spool::failure(&error))?;
        let mut sha1 = Sha1::new();
        let mut stream = std::pin::pin!(stream);
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| Trouble::Sender(error.to_string()))?;
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
    /// on to its end even when the sender goes away.
    pub(super) async fn keep(
        self: &Arc<Self>,
        project: Project,
        image: Image,
        received: Received,
        now: SystemTime,
    ) -> Result<(), Trouble> {
        let this = Arc::clone(self);
        let kept = tokio::spawn(async move { this.kept(&project, &image, received, now).await });
        kept.await.unwrap_or_else(|error| Err(Trouble::Sender(error.to_string())))
    }

    async fn kept(&self, project: &Project, image: &Image, received: Received, now: SystemTime) -> Result<(), Trouble> {
        let key = keeper::key(&project.id, &image.file);
        let _turn = self.turns.take(&key).await;
        let Received { file, sha1 } = received;
        if !image.is_contradicted_by(&sha1) {
            let facts = Facts {
                hash: file.hash.clone(),
                media_type: media_type_of(&file.head, &key),
                put_time: put_time(now),
                ..Facts::default()
            };
            let body = spool::stream(vec![file.path().to_owned()]);
            self.bucket(&project.bucket)?.put_stream(&key, body, file.bytes, facts, true).await?;
        }
        self.projects.advance(&image.id, Event::Arrived { sha1, bytes: file.bytes }, now).await?;
        self.keeper.wake();
        Ok(())
    }

    async fn fetched(self: &Arc<Self>, found: (Project, Image), url: &Url, token: Option<&str>) -> Result<(), Trouble> {
        let (_, pieces) = self.remote.open_with(url.as_str(), bearer(token)).await?;
        let received = self.receive(pieces).await?;
        self.keep(found.0, found.1, received, SystemTime::now()).await
    }

    /// Whether anything can be fetched from there.
    pub(super) async fn reach(&self, url: &str) -> Result<(), String> {
        self.remote.open_with(url, HeaderMap::new()).await.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// A place among the fetches that may wait.
pub(super) fn place(altizure: &Altizure) -> Result<OwnedSemaphorePermit, graphql::Error> {
    let busy = |_| graphql::Error::new("too many fetches wait; try again later");
    Arc::clone(&altizure.waiting_fetches).try_acquire_owned().map_err(busy)
}

/// Fetches an image by and by. What has to be known of it is recorded; a server that stops leaves it to silence.
pub(super) fn fetch(
    altizure: &Arc<Altizure>,
    found: (Project, Image),
    url: Url,
    token: Option<String>,
    place: OwnedSemaphorePermit,
) {
    let altizure = Arc::clone(altizure);
    tokio::spawn(async move {
        let _place = place;
        let Ok(_turn) = altizure.fetches.acquire().await else { return };
        let id = found.1.id.clone();
        let fetched = tokio::time::timeout(FETCH_TIME, altizure.fetched(found, &url, token.as_deref())).await;
        let problem = match fetched {
            Ok(Ok(())) => return,
            Ok(Err(trouble)) => trouble.to_string(),
            Err(_) => format!("the fetch took longer than {} s", FETCH_TIME.as_secs()),
        };
        let event = Event::Lost(format!("the image could not be fetched: {problem}"));
        if let Err(error) = altizure.projects.advance(&id, event, SystemTime::now()).await {
            tracing::error!(%error, image = %id, "that an image could not be fetched is not recorded");
        }
        altizure.keeper.wake();
    });
}

fn bearer(token: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(mut value) = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok()) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}

/// Deletes the object of an image that is forgotten.
pub(super) async fn forget_image(altizure: &Altizure, project: &Project, image: &Image) {
    let key = keeper::key(&project.id, &image.file);
    let deleted = async { altizure.bucket(&project.bucket)?.delete(&key).await };
    match deleted.await {
        Ok(()) | Err(store::Error::NotFound { .. }) => {}
        Err(error) => tracing::warn!(%error, key, "the object of a removed image stays"),
    }
}

/// Deletes all objects of a project that is forgotten, by and by.
pub(super) fn forget(altizure: &Arc<Altizure>, project: &Project) {
    let (altizure, project) = (Arc::clone(altizure), project.clone());
    tokio::spawn(async move {
        if let Err(error) = deleted(&altizure, &project).await {
            tracing::warn!(%error, project = %project.id, "objects of a removed project stay");
        }
    });
}

async fn deleted(altizure: &Altizure, project: &Project) -> Result<(), store::Error> {
    let bucket = altizure.bucket(&project.bucket)?;
    let prefix = format!("{}/", project.id);
    loop {
        let listing = Listing { prefix: &prefix, limit: DELETED_AT_ONCE, ..Listing::default() };
        let page = bucket.list(listing).await?;
        for (key, _) in &page.objects {
            bucket.delete(key).await?;
        }
        if page.next.is_none() || page.objects.is_empty() {
            return Ok(());
        }
    }
}
