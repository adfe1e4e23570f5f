//! The server's own files in a store of their own: failures are the caller's to tell.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStoreExt};

use super::{Objects, describe};

impl Objects {
    /// A file whole; `None` where there is none, or a larger one.
    pub(crate) async fn read_own(&self, name: &str, max_bytes: u64) -> Result<Option<Bytes>, String> {
        let result = match self.store.get_opts(&self.own(name), GetOptions::default()).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            result => result.map_err(told)?,
        };
        let bytes = result.meta.size;
        if bytes > max_bytes {
            return Ok(None);
        }
        let mut body = Vec::with_capacity(bytes as usize);
        let mut stream = result.into_stream();
        while let Some(piece) = stream.try_next().await.map_err(told)? {
            if (body.len() + piece.len()) as u64 > max_bytes {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Some(body.into()))
    }

    /// Stores a file whole or not at all.
    pub(crate) async fn write_own(&self, name: &str, bytes: Bytes) -> Result<(), String> {
        self.store.put(&self.own(name), bytes.into()).await.map(|_| ()).map_err(told)
    }

    /// Deletes a file.
    pub(crate) async fn remove_own(&self, name: &str) -> Result<(), String> {
        self.store.delete(&self.own(name)).await.map_err(told)
    }

    fn own(&self, name: &str) -> Path {
        self.prefixed(&Path::from(name))
    }
}

/// What happened, for the log, with the store's own words.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn told(error: object_store::Error) -> String {
    format!("{}: {error}", describe(&error))
}
