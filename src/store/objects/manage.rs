//! What else is done with objects: stored from a stream, deleted, copied, listed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use super::multipart::{Parts, PartsError};
use super::{ByteStream, Error, Objects, RESERVED, meta, translate};
use crate::store::Meta;

/// How much of a stream is stored at a time; what is shorter is stored in one piece. S3 wants at least 5 MiB and at most
/// 10,000 parts.
const PART_BYTES: usize = 8 << 20;

/// An object as it is found.
#[derive(Clone, Debug)]
pub(in crate::store) struct Found {
    /// What delivery knows of it too.
    pub(in crate::store) meta: Meta,
    /// Tells its bytes from any others under the same key. Unlike [`Meta::version`] it is the same in listings.
    pub(in crate::store) stamp: String,
}

/// A page of a listing.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Listing {
    /// Names in the order of their bytes: keys, and prefixes up to the delimiter, which have no stamp.
    pub(in crate::store) entries: Vec<(String, Option<Listed>)>,
    /// Whether more follow.
    pub(in crate::store) has_more: bool,
}

/// An object in a listing.
#[derive(Clone, Debug)]
pub(in crate::store) struct Listed {
    pub(in crate::store) stamp: String,
    pub(in crate::store) bytes: u64,
    pub(in crate::store) modified: SystemTime,
}

impl Objects {
    /// An object's description.
    pub(in crate::store) async fn find(&self, bucket: &str, key: &str) -> Result<Found, Error> {
        let result = self.get(bucket, key, GetOptions { head: true, ..GetOptions::default() }).await?;
        Ok(Found { stamp: stamp(&result.meta), meta: meta(&result) })
    }

    /// Stores a stream of `bytes` bytes, whole or not at all, and tells its stamp. Where the object may not be replaced and
    /// is stored in one piece, store and check are one step; larger ones are checked before.
    pub(in crate::store) async fn put_stream(
        &self,
        (bucket, key): (&str, &str),
        mut body: ByteStream,
        bytes: u64,
        media_type: &str,
        may_replace: bool,
    ) -> Result<String, Error> {
        let path = self.path_to_write(bucket, key)?;
        let failed = |error: object_store::Error| translate_write(bucket, key, &error);
        let attributes = Attributes::from_iter([(Attribute::ContentType, media_type.to_owned())]);
        let result = if bytes <= PART_BYTES as u64 {
            let whole = next_part(&mut body).await?.unwrap_or_default();
            if whole.len() as u64 != bytes {
                return Err(changed(bucket, key, bytes));
            }
            let payload = PutPayload::from_bytes(whole);
            self.put_whole(&path, payload, attributes, may_replace).await.map_err(failed)?
        } else {
            if !may_replace && self.store.head(&path).await.is_ok() {
                return Err(Error::Exists { bucket: bucket.to_owned(), key: key.to_owned() });
            }
            let parts = Parts::of(self.start_parts(&path, attributes).await.map_err(failed)?);
            parts.store(body, bytes).await.map_err(|error| {
                error.unwrap_or_else(|| PartsError::Source(changed(bucket, key, bytes))).into_error(bucket, key)
            })?
        };
        match result.e_tag {
            Some(stamp) => Ok(stamp),
            None => Ok(self.find(bucket, key).await?.stamp),
        }
    }

    async fn put_whole(
        &self,
        path: &Path,
        payload: PutPayload,
        attributes: Attributes,
        may_replace: bool,
    ) -> object_store::Result<PutResult> {
        let mode = if may_replace { PutMode::Overwrite } else { PutMode::Create };
        let options = PutOptions { attributes, mode: mode.clone(), ..PutOptions::default() };
        match self.store.put_opts(path, payload.clone(), options).await {
            // Folders keep no content type.
            Err(error) if is_not_done(&error) => {
                self.store.put_opts(path, payload, PutOptions { mode, ..PutOptions::default() }).await
            }
            result => result,
        }
    }

    async fn start_parts(&self, path: &Path, attributes: Attributes) -> object_store::Result<Box<dyn MultipartUpload>> {
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        match self.store.put_multipart_opts(path, options).await {
            Err(error) if is_not_done(&error) => self.store.put_multipart(path).await,
            result => result,
        }
    }

    /// Deletes an object.
    pub(in crate::store) async fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        let path = self.path(bucket, key)?;
        // Cloud stores do not say whether there was anything.
        self.find(bucket, key).await?;
        self.store.delete(&path).await.map_err(|error| translate(bucket, key, &error))
    }

    /// Copies an object within the store.
    pub(in crate::store) async fn copy(
        &self,
        bucket: &str,
        from: &str,
        to: &str,
        may_replace: bool,
    ) -> Result<(), Error> {
        let (source, target) = (self.path(bucket, from)?, self.path_to_write(bucket, to)?);
        self.find(bucket, from).await?;
        if may_replace {
            return self.store.copy(&source, &target).await.map_err(|error| translate(bucket, from, &error));
        }
        match self.store.copy_if_not_exists(&source, &target).await {
            Err(error) if is_not_done(&error) => match self.store.head(&target).await {
                Ok(_) => Err(Error::Exists { bucket: bucket.to_owned(), key: to.to_owned() }),
                Err(_) => self.store.copy(&source, &target).await.map_err(|error| translate(bucket, from, &error)),
            },
            result => result.map_err(|error| translate_write(bucket, to, &error)),
        }
    }

    /// A page of the names that begin with `prefix` and come after `after`, at most `limit`. With a delimiter, keys that have
    /// it behind the prefix are folded into one name that ends there. Nothing but the page is held; folders, which list
    /// in no order, are read to their end.
    pub(in crate::store) async fn list(
        &self,
        bucket: &str,
        (prefix, delimiter): (&str, &str),
        after: &str,
        limit: usize,
        patience: Duration,
    ) -> Result<Listing, Error> {
        // A prefix that is no path narrows nothing down here; below, no key will have it.
        let folder = prefix.rsplit_once('/').and_then(|(folder, _)| Path::parse(folder).ok()).unwrap_or_default();
        let folder = self.prefixed(&folder);
        let mut objects = self.store.list(Some(&folder).filter(|folder| !folder.as_ref().is_empty()));
        let mut page = BTreeMap::new();
        loop {
            let next = tokio::time::timeout(patience, objects.next()).await.map_err(|_| stalled(bucket, patience))?;
            let Some(object) = next else { break };
            let object = object.map_err(|error| translate(bucket, prefix, &error))?;
            let Some(key) = self.key(&object.location) else { continue };
            let Some((name, is_folded)) = fold(key, prefix, delimiter).filter(|(name, _)| *name > after) else {
                continue;
            };
            page.entry(name.to_owned()).or_insert_with(|| (!is_folded).then(|| listed(&object)));
            if page.len() > limit + 1 {
                page.pop_last();
                // What stores of others list comes in order: all that follows comes after this page.
                if !self.is_local {
                    break;
                }
            }
        }
        let has_more = page.len() > limit;
        Ok(Listing { entries: page.into_iter().take(limit).collect(), has_more })
    }

    /// The key of a path in the store; `None` for what is not an object of the bucket.
    fn key<'p>(&self, path: &'p Path) -> Option<&'p str> {
        let key = match &self.prefix {
            Some(prefix) => path.as_ref().strip_prefix(prefix.as_ref())?.strip_prefix('/')?,
            None => path.as_ref(),
        };
        (key.split('/').next() != Some(RESERVED)).then_some(key)
    }

    /// The server's own note of that name.
    pub(in crate::store) async fn read_note(&self, bucket: &str, name: &str) -> Result<Option<Bytes>, Error> {
        let path = self.note(name);
        let read = async { self.store.get(&path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => match translate(bucket, name, &error) {
                Error::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Writes, or without content deletes, the server's own note of that name.
    pub(in crate::store) async fn write_note(
        &self,
        bucket: &str,
        name: &str,
        content: Option<Bytes>,
    ) -> Result<(), Error> {
        let path = self.note(name);
        let result = match content {
            Some(content) => self.store.put(&path, content.into()).await.map(|_| ()),
            None => self.store.delete(&path).await,
        };
        match result.map_err(|error| translate(bucket, name, &error)) {
            Err(Error::NotFound { .. }) => Ok(()),
            result => result,
        }
    }

    /// The folders of notes within `folder`, in order of their names.
    pub(in crate::store) async fn note_folders(&self, bucket: &str, folder: &str) -> Result<Vec<String>, Error> {
        let path = self.note(folder);
        let listed = match self.store.list_with_delimiter(Some(&path)).await {
            Ok(listed) => listed.common_prefixes,
            Err(error) => match translate(bucket, folder, &error) {
                Error::NotFound { .. } => Vec::new(),
                error => return Err(error),
            },
        };
        let mut names: Vec<String> = listed.iter().filter_map(|path| self.note_name(path)).collect();
        names.sort();
        Ok(names)
    }

    /// Names of notes within `folder`, at most `limit`, in any order.
    pub(in crate::store) async fn notes(&self, bucket: &str, folder: &str, limit: usize) -> Result<Vec<String>, Error> {
        let path = self.note(folder);
        let mut notes = self.store.list(Some(&path)).take(limit);
        let mut names = Vec::new();
        while let Some(note) = notes.next().await {
            names.extend(self.note_name(&note.map_err(|error| translate(bucket, folder, &error))?.location));
        }
        Ok(names)
    }

    /// The name of the note at `path`.
    fn note_name(&self, path: &Path) -> Option<String> {
        let base = self.prefixed(&Path::from(RESERVED));
        Some(path.as_ref().strip_prefix(base.as_ref())?.strip_prefix('/')?.to_owned())
    }

    fn note(&self, name: &str) -> Path {
        self.prefixed(&Path::from_iter([RESERVED].into_iter().chain(name.split('/'))))
    }
}

/// What is stored is not what was described, mostly because another was stored meanwhile.
fn changed(bucket: &str, key: &str, bytes: u64) -> Error {
    let problem = format!("what was to be stored as {key:?} has other than {bytes} bytes");
    Error::Upstream { place: format!("bucket {bucket:?}"), problem, timed_out: false }
}

/// The next [`PART_BYTES`] of a stream, fewer at its end.
pub(super) async fn next_part(body: &mut ByteStream) -> Result<Option<Bytes>, Error> {
    let mut part = BytesMut::new();
    while part.len() < PART_BYTES {
        let Some(piece) = body.next().await else { break };
        part.extend_from_slice(&piece?);
    }
    Ok((!part.is_empty()).then(|| part.freeze()))
}

fn is_not_done(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. })
}

pub(super) fn translate_write(bucket: &str, key: &str, error: &object_store::Error) -> Error {
    let (bucket_name, key_name) = (bucket.to_owned(), key.to_owned());
    match error {
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            Error::Exists { bucket: bucket_name, key: key_name }
        }
        error => match translate(bucket, key, error) {
            Error::NotFound { bucket, key } => Error::BadKey {
                bucket,
                key,
                problem: "it is too long for the store, or another object stands where it needs a folder",
            },
            error => error,
        },
    }
}

fn stalled(bucket: &str, patience: Duration) -> Error {
    Error::Upstream {
        place: format!("bucket {bucket:?}"),
        problem: format!("no answer within {} s", patience.as_secs_f32()),
        timed_out: true,
    }
}

fn stamp(object: &ObjectMeta) -> String {
    let by_time = || format!("{}-{}", object.last_modified.timestamp_micros(), object.size);
    object.e_tag.clone().unwrap_or_else(by_time)
}

fn listed(object: &ObjectMeta) -> Listed {
    Listed { stamp: stamp(object), bytes: object.size, modified: SystemTime::from(object.last_modified) }
}

/// The name that a key has in a listing, and whether it stands for all keys that begin with it.
fn fold<'k>(key: &'k str, prefix: &str, delimiter: &str) -> Option<(&'k str, bool)> {
    let rest = key.strip_prefix(prefix)?;
    match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
        Some(at) => Some((&key[..prefix.len() + at + delimiter.len()], true)),
        None => Some((key, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_folded_at_the_delimiter() {
        for (key, prefix, delimiter, name) in [
            ("a/b/c", "", "/", Some(("a/", true))),
            ("a/b/c", "a/", "/", Some(("a/b/", true))),
            ("a/b", "a/", "/", Some(("a/b", false))),
            ("a/b", "a", "/", Some(("a/", true))),
            ("a/b", "", "", Some(("a/b", false))),
            ("a--b", "", "--", Some(("a--", true))),
            ("b", "a", "/", None),
        ] {
            assert_eq!(fold(key, prefix, delimiter), name, "{key} {prefix} {delimiter}");
        }
    }
}
