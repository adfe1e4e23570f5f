//! Uploads in parts to a store: whole at their end, or gone.

use object_store::{MultipartUpload, PutResult};

use super::manage::{next_part, translate_write};
use super::{ByteStream, Error};

/// Why parts were not stored.
pub(super) enum PartsError {
    Source(Error),
    Store(object_store::Error),
}

impl PartsError {
    pub(super) fn into_error(self, bucket: &str, key: &str) -> Error {
        match self {
            Self::Source(error) => error,
            Self::Store(error) => translate_write(bucket, key, &error),
        }
    }
}

/// Stores the parts of a stream; an error of `None` where it has not as many bytes as it should.
async fn put_parts(
    upload: &mut dyn MultipartUpload,
    mut body: ByteStream,
    bytes: u64,
) -> Result<PutResult, Option<PartsError>> {
    let mut stored = 0;
    while let Some(part) = next_part(&mut body).await.map_err(|error| Some(PartsError::Source(error)))? {
        stored += part.len() as u64;
        upload.put_part(part.into()).await.map_err(|error| Some(PartsError::Store(error)))?;
    }
    if stored != bytes {
        return Err(None);
    }
    upload.complete().await.map_err(|error| Some(PartsError::Store(error)))
}

/// An upload whose parts are deleted unless it was completed, also where nobody waits for it any more.
pub(super) struct Parts(Option<Box<dyn MultipartUpload>>);

impl Parts {
    pub(super) fn of(upload: Box<dyn MultipartUpload>) -> Self {
        Self(Some(upload))
    }

    /// Stores the stream's parts, and deletes them where that fails.
    pub(super) async fn store(mut self, body: ByteStream, bytes: u64) -> Result<PutResult, Option<PartsError>> {
        let Some(upload) = &mut self.0 else { return Err(None) };
        let stored = put_parts(&mut **upload, body, bytes).await;
        if stored.is_err() {
            // What is left of a failed upload is the store's to sweep where this fails too.
            let _ = upload.abort().await;
        }
        self.0 = None;
        stored
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // Without a runtime, at the end of the program, nothing more can be done.
        if let (Some(mut upload), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { upload.abort().await });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use bytes::Bytes;
    use futures::FutureExt;
    use object_store::{PutPayload, UploadPart};
    use tokio::sync::mpsc;

    use super::*;

    /// An upload whose parts take for ever, and that tells when it is aborted.
    #[derive(Debug)]
    struct Endless(mpsc::UnboundedSender<()>);

    type Answer<'a, T> = Pin<Box<dyn Future<Output = object_store::Result<T>> + Send + 'a>>;

    impl MultipartUpload for Endless {
        fn put_part(&mut self, _: PutPayload) -> UploadPart {
            Box::pin(std::future::pending())
        }

        fn complete<'life0, 'async_trait>(&'life0 mut self) -> Answer<'async_trait, PutResult>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(std::future::pending())
        }

        fn abort<'life0, 'async_trait>(&'life0 mut self) -> Answer<'async_trait, ()>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            self.0.send(()).expect("the test listens");
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[tokio::test]
    async fn parts_are_deleted_when_nobody_waits_any_more() {
        let (sender, mut aborted) = mpsc::unbounded_channel();
        let body = Box::pin(futures::stream::iter([Ok(Bytes::from_static(b"one"))]));
        assert!(Parts(Some(Box::new(Endless(sender)))).store(body, 3).now_or_never().is_none());
        aborted.recv().await.expect("an abort");
    }
}
