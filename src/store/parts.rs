//! Uploads in parts that are not complete yet: a folder each, below `uploads/` of the server's own files, with a note of what it is
//! for and a file for each part. They survive a restart. They are files of this machine: where several nodes share a
//! bucket, all parts of an upload must reach the same node.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::spool::{Spooled, random_name};

/// Most parts of an upload.
pub const MAX_PARTS: u16 = 10_000;

/// How long an upload may take from its first call to its last.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

const NOTE: &str = "upload.json";

/// The folder of all uploads.
#[derive(Clone, Debug)]
pub struct Uploads {
    folder: PathBuf,
}

/// What an upload is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purpose {
    /// The bucket.
    pub bucket: String,
    /// The key, where the uploader named one.
    pub key: Option<String>,
    /// What the object will be, where the uploader said so at the start.
    #[serde(default)]
    pub media_type: Option<String>,
    /// Until when it may be completed, in seconds since 1970.
    pub expires: u64,
}

/// An upload that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name.
    pub id: String,
    /// What it is for.
    pub purpose: Purpose,
    folder: PathBuf,
}

/// A part that has arrived. Its file's name says all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its place, from 1.
    pub number: u16,
    /// What its sender knows it by: the hash of its bytes that the vendor uses.
    pub hash: String,
    /// Its length.
    pub bytes: u64,
    /// Where it is.
    pub path: PathBuf,
}

impl Part {
    fn read(path: PathBuf) -> Option<Self> {
        let mut words = path.file_name()?.to_str()?.split('.');
        let (number, bytes, hash) = (words.next()?, words.next()?, words.next()?);
        let (number, bytes, hash) = (number.parse().ok()?, bytes.parse().ok()?, hash.to_owned());
        Some(Self { number, hash, bytes, path })
    }

    /// When it arrived.
    pub fn put_time(&self) -> SystemTime {
        std::fs::metadata(&self.path).and_then(|it| it.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Uploads {
    /// Uploads in `folder`; it is made when it is first written to.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Begins one.
    ///
    /// # Errors
    /// Where its folder cannot be made.
    pub async fn begin(
        &self,
        bucket: &str,
        key: Option<&str>,
        media_type: Option<String>,
        now: SystemTime,
    ) -> io::Result<Upload> {
        let id = random_name();
        let expires = seconds(now + LIFETIME);
        let purpose = Purpose { bucket: bucket.to_owned(), key: key.map(str::to_owned), media_type, expires };
        let folder = self.folder.join(&id);
        tokio::fs::create_dir_all(&folder).await?;
        tokio::fs::write(folder.join(NOTE), serde_json::to_vec(&purpose)?).await?;
        Ok(Upload { id, purpose, folder })
    }

    /// The upload of that name, unless it has ended or expired.
    pub async fn find(&self, id: &str, now: SystemTime) -> Option<Upload> {
        // Nothing else is ever a name, and a name can never lead elsewhere.
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let folder = self.folder.join(id);
        let note = tokio::fs::read(folder.join(NOTE)).await.ok()?;
        let purpose: Purpose = serde_json::from_slice(&note).ok()?;
        let upload = Upload { id: id.to_owned(), purpose, folder };
        (upload.purpose.expires >= seconds(now)).then_some(upload)
    }

    /// Those of a bucket that have neither ended nor expired, in no order.
    pub async fn of_bucket(&self, bucket: &str, now: SystemTime) -> Vec<Upload> {
        let folder = self.folder.clone();
        let named = move || -> Vec<String> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        };
        let mut found = Vec::new();
        for id in tokio::task::spawn_blocking(named).await.unwrap_or_default() {
            found.extend(self.find(&id, now).await.filter(|upload| upload.purpose.bucket == bucket));
        }
        found
    }

    /// Deletes what has expired.
    pub fn sweep(&self, now: SystemTime) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for folder in entries.flatten().map(|entry| entry.path()) {
            let note = std::fs::read(folder.join(NOTE)).ok();
            let purpose = note.and_then(|note| serde_json::from_slice::<Purpose>(&note).ok());
            if purpose.is_some_and(|purpose| purpose.expires < seconds(now)) {
                // Another process may sweep too.
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }
}

impl Upload {
    /// Its parts, in order.
    ///
    /// # Errors
    /// Where its folder cannot be read.
    pub async fn parts(&self) -> io::Result<Vec<Part>> {
        let folder = self.folder.clone();
        let read = move || {
            let paths = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
            let mut parts: Vec<Part> = paths.filter_map(Part::read).collect();
            parts.sort_by(|a, b| (a.number, &a.hash).cmp(&(b.number, &b.hash)));
            Ok(parts)
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }

    /// The key; empty where the uploader named none.
    pub fn key(&self) -> &str {
        self.purpose.key.as_deref().unwrap_or_default()
    }

    /// When it began, to the second.
    pub fn begun(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.purpose.expires) - LIFETIME
    }

    /// Adds a part, in place of an earlier one of the same number; `hash` may stand in a file's name and has no dots.
    ///
    /// # Errors
    /// Where it cannot be moved to its folder.
    pub async fn add(&self, number: u16, spooled: Spooled, hash: &str) -> io::Result<Part> {
        let name = format!("{number:05}.{}.{hash}", spooled.bytes);
        let part = Part { number, hash: hash.to_owned(), bytes: spooled.bytes, path: self.folder.join(name) };
        spooled.keep(&part.path).await?;
        for old in self.parts().await?.into_iter().filter(|old| old.number == number && old.path != part.path) {
            remove(&old.path).await;
        }
        Ok(part)
    }

    /// Ends it, and deletes its parts.
    pub async fn end(&self) {
        // Without the note it is no upload any more, whatever becomes of the rest.
        remove(&self.folder.join(NOTE)).await;
        if let Err(error) = tokio::fs::remove_dir_all(&self.folder).await {
            tracing::warn!(%error, upload = self.id, "an upload's folder cannot be deleted");
        }
    }
}

async fn remove(path: &Path) {
    if let Err(error) = tokio::fs::remove_file(path).await {
        tracing::debug!(%error, "a file was gone already");
    }
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::spool::Spool;

    async fn spooled(folder: &Path, content: &[u8]) -> Spooled {
        let mut writer = Spool::new(folder.join("spool")).create(0).await.unwrap();
        writer.write(content).await.unwrap();
        writer.finish().await.unwrap()
    }

    #[tokio::test]
    async fn parts_are_kept_until_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().join("uploads"));
        let now = SystemTime::now();
        let begun = uploads.begin("photos", Some("猫"), None, now).await.unwrap();
        for (number, content) in [(2, &b"two"[..]), (1, b"one"), (2, b"second"), (2, b"second")] {
            let spooled = spooled(folder.path(), content).await;
            let hash = spooled.hash.clone();
            begun.add(number, spooled, &hash).await.unwrap();
        }
        let found = Uploads::new(folder.path().join("uploads")).find(&begun.id, now).await.unwrap();
        assert_eq!(found, begun);
        let parts = found.parts().await.unwrap();
        assert_eq!(parts.iter().map(|part| (part.number, part.bytes)).collect::<Vec<_>>(), [(1, 3), (2, 6)]);
        assert_eq!(std::fs::read(&parts[1].path).unwrap(), b"second");
        assert_eq!(uploads.of_bucket("photos", now).await, std::slice::from_ref(&found));
        assert_eq!((found.key(), seconds(found.begun())), ("猫", seconds(now)));
        assert_eq!(uploads.of_bucket("others", now).await, []);
        found.end().await;
        assert_eq!(uploads.find(&begun.id, now).await, None);
        assert_eq!(std::fs::read_dir(folder.path().join("uploads")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn uploads_expire() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().to_owned());
        let now = SystemTime::now();
        let begun = uploads.begin("photos", None, None, now).await.unwrap();
        let late = now + LIFETIME + Duration::from_secs(2);
        assert_eq!(uploads.find(&begun.id, late).await, None);
        uploads.sweep(now);
        assert!(uploads.find(&begun.id, now).await.is_some());
        uploads.sweep(late);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn names_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().to_owned());
        for id in ["", ".", "..", "../../etc", "0123456789abcdef0123456789abcdeg", "/", "é"] {
            assert_eq!(uploads.find(id, SystemTime::now()).await, None, "{id}");
        }
    }
}
