//! Outputs of sound and film: the source becomes a file once, and the programs of [`media`] work on it one after the other.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use super::{Command, Content, Described, Place, Product, Trouble, Work, stream};
use crate::engine::limits::Cancel;
use crate::error::ErrorKind;
use crate::jobs::model::Claim;
use crate::media::{self, Outcome, Workspace};
use crate::store::qetag::{Qetag, qetag};
use crate::store::{self, spool};

/// A job's place for files.
pub(super) struct Studio<'a> {
    work: &'a Work,
    claim: &'a Claim,
    source: &'a Described,
    /// Made when the first output needs it.
    workspace: Option<Arc<Workspace>>,
}

impl<'a> Studio<'a> {
    pub(super) const fn new(work: &'a Work, claim: &'a Claim, source: &'a Described) -> Self {
        Self { work, claim, source, workspace: None }
    }

    /// What `command` makes of the source; `thousandths` says how far the job is when this output is so far.
    pub(super) async fn make(
        &mut self,
        command: &Command,
        thousandths: &(dyn Fn(u16) -> usize + Sync),
    ) -> Result<Product, Trouble> {
        let workspace = self.workspace().await?;
        match self.run(command, workspace, thousandths).await? {
            Outcome::Json(text) => Ok(product(text.into(), super::JSON)),
            Outcome::File { path, media_type, bytes } => match &command.then {
                None => {
                    let hash = hash_of(&path).await?;
                    Ok(Product { content: Content::File(path), bytes, hash, media_type: media_type.to_owned() })
                }
                Some(plan) => {
                    let frame = Bytes::from(fs::read(path).await.map_err(media::Error::Io)?);
                    let (bucket, plans) = (self.source.bucket(), std::slice::from_ref(plan));
                    let made = self.work.transformer.render_bytes(&bucket, &self.source.key, &frame, plans).await.pop();
                    Ok(Product::of(made.unwrap_or(Err(crate::transform::Error::Crashed))?))
                }
            },
        }
    }

    /// The source as a file.
    async fn workspace(&mut self) -> Result<Arc<Workspace>, Trouble> {
        if let Some(workspace) = &self.workspace {
            return Ok(Arc::clone(workspace));
        }
        let settings = &self.work.settings;
        let (bytes, limit) = (self.source.stat.bytes, settings.media_source_bytes);
        if bytes > limit {
            return Err(store::Error::TooLarge { bytes, limit }.into());
        }
        fs::create_dir_all(&settings.spool).await.map_err(media::Error::Io)?;
        let workspace = Arc::new(Workspace::new(&settings.spool).map_err(media::Error::Io)?);
        match &self.source.place {
            Place::File(file) => {
                let files = [file.path().to_owned()];
                spool::gather(&files, &workspace.input()).await.map_err(media::Error::Io)?;
            }
            Place::Object(_) => self.write(&workspace.input()).await?,
        }
        self.workspace = Some(Arc::clone(&workspace));
        Ok(workspace)
    }

    async fn write(&self, path: &std::path::Path) -> Result<(), Trouble> {
        let mut pieces = self.source.open().await?;
        let mut file = fs::File::create(path).await.map_err(media::Error::Io)?;
        while let Some(piece) = pieces.next().await {
            file.write_all(&piece?).await.map_err(media::Error::Io)?;
        }
        Ok(file.flush().await.map_err(media::Error::Io)?)
    }

    /// Runs the program on a thread that may wait; it is ended when nobody waits for it any more.
    async fn run(
        &self,
        command: &Command,
        workspace: Arc<Workspace>,
        thousandths: &(dyn Fn(u16) -> usize + Sync),
    ) -> Result<Outcome, Trouble> {
        let (command, limits) = (command.clone(), self.work.settings.media.clone());
        let stop = CancelOnDrop(Cancel::default());
        let cancel = stop.0.clone();
        let (heard, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut running = spawn_blocking(move || {
            media::run(&command, &workspace, &limits, &cancel, &mut |progress| {
                // Nobody may listen.
                let _nobody = heard.send(progress);
            })
        });
        loop {
            tokio::select! {
                ended = &mut running => {
                    return Ok(ended.map_err(|error| Trouble::new(ErrorKind::Internal, &error))??);
                }
                Some(progress) = told.recv() => self.work.set_progress(&self.claim.job.id, thousandths(progress)),
            }
        }
    }
}

fn product(body: Bytes, media_type: &str) -> Product {
    Product {
        bytes: body.len() as u64,
        hash: qetag(&body),
        media_type: media_type.to_owned(),
        content: Content::Bytes(body),
    }
}

async fn hash_of(path: &std::path::Path) -> Result<String, Trouble> {
    let mut pieces = stream(vec![path.to_owned()]);
    let mut hash = Qetag::default();
    while let Some(piece) = pieces.next().await {
        hash.update(&piece?);
    }
    Ok(hash.finish())
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
