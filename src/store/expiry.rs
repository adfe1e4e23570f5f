//! Objects that expire are deleted when their time has come.
//!
//! Which do is noted beside the facts, as `.mogr/expiry/<second>/<digits of the key>.json`, before the facts say so: a sweep
//! reads what is due and nothing else. A note says no more than that it is worth a look; what counts are the object's facts,
//! so that an object which was overwritten or is kept for longer since then stays. Several nodes may sweep at once: the
//! second finds nothing to do. Between nodes nobody waits for another's turn: an object that is overwritten in the moment
//! between a sweep's look and its deletion is deleted.

use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::objects::Objects;
use super::parts::seconds;
use super::{Backend, Bucket, Error};

const FOLDER: &str = "expiry";

/// How many notes are held at a time.
const NOTES_AT_ONCE: usize = 1000;

/// What is noted of an object that expires.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    key: String,
    expires: u64,
}

impl Note {
    /// The folder of what expires at that second; in the order of their names they are in the order of time.
    fn folder(expires: u64) -> String {
        format!("{FOLDER}/{expires:020}")
    }

    fn name(&self) -> String {
        format!("{}/{}.json", Self::folder(self.expires), Facts::digits(&self.key))
    }
}

impl Bucket {
    /// Notes that an object expires.
    pub(super) async fn note_expiry(&self, objects: &Objects, key: &str, expires: u64) -> Result<(), Error> {
        let note = Note { key: key.to_owned(), expires };
        let text = serde_json::to_vec(&note).expect("a text and a number");
        self.in_time(objects.write_note(&self.name, &note.name(), Some(Bytes::from(text)))).await
    }

    /// Deletes the objects that have expired by `now`, and tells how many those were. What fails is left for the next time.
    ///
    /// # Errors
    /// [`Error::Upstream`] where it cannot be found out which have.
    pub async fn sweep_expired(&self, now: SystemTime) -> Result<usize, Error> {
        let Backend::Objects(objects) = &self.backend else { return Ok(0) };
        let mut deleted = 0;
        for folder in self.in_time(objects.note_folders(&self.name, FOLDER)).await? {
            let due = folder.rsplit('/').next().and_then(|name| name.parse::<u64>().ok());
            if due.is_none_or(|due| due > seconds(now)) {
                continue;
            }
            loop {
                let names = self.in_time(objects.notes(&self.name, &folder, NOTES_AT_ONCE)).await?;
                let mut done = 0;
                for name in &names {
                    match self.sweep_one(objects, name, now).await {
                        Ok(is_deleted) => (done, deleted) = (done + 1, deleted + usize::from(is_deleted)),
                        Err(error) => tracing::warn!(bucket = self.name, name, %error, "an expired object stays"),
                    }
                }
                // The rest of what fails again and again is left, too.
                if names.len() < NOTES_AT_ONCE || done == 0 {
                    break;
                }
            }
        }
        Ok(deleted)
    }

    /// Deletes the object of a note where its facts still say so, and then the note.
    async fn sweep_one(&self, objects: &Objects, name: &str, now: SystemTime) -> Result<bool, Error> {
        let text = self.in_time(objects.read_note(&self.name, name)).await?;
        let note = text.and_then(|text| serde_json::from_slice::<Note>(&text).ok());
        let is_deleted = match &note {
            Some(note) => self.delete_expired(objects, &note.key, now).await?,
            None => false,
        };
        self.in_time(objects.write_note(&self.name, name, None)).await?;
        Ok(is_deleted)
    }

    async fn delete_expired(&self, objects: &Objects, key: &str, now: SystemTime) -> Result<bool, Error> {
        let turn = self.turns.take(key).await;
        let found = match self.in_time(objects.find(&self.name, key)).await {
            Err(Error::NotFound { .. }) => return Ok(false),
            found => found?,
        };
        // Facts about other bytes are none.
        let facts = self.facts(objects, key, &found.stamp).await?;
        if !facts.is_some_and(|facts| facts.is_expired(now)) {
            return Ok(false);
        }
        self.delete_in_turn(&turn, key).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Timeouts;
    use super::super::resources::{Listing, Stat};
    use super::*;

    fn buckets() -> (tempfile::TempDir, [Bucket; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let url = url::Url::from_directory_path(folder.path()).unwrap();
        let objects = Objects::open_url(&url, &std::collections::BTreeMap::new(), Timeouts::default()).unwrap();
        let on_disk = Bucket::over_objects("disk", objects, Timeouts::default());
        (folder, [on_disk, Bucket::over_objects("memory", Objects::in_memory(), Timeouts::default())])
    }

    async fn put(bucket: &Bucket, key: &str, body: &'static str, expires: Option<u64>) {
        let facts = Facts { hash: body.to_owned(), expires, ..Facts::default() };
        let stream = Box::pin(futures::stream::iter([Ok(Bytes::from_static(body.as_bytes()))]));
        bucket.put_stream(key, stream, body.len() as u64, facts, true).await.unwrap();
    }

    async fn keep(bucket: &Bucket, key: &str, expires: Option<u64>) {
        let change = |stat: &Stat| Ok::<_, Error>(Facts { expires, ..stat.facts.clone() });
        bucket.change_facts(key, change).await.unwrap();
    }

    async fn keys(bucket: &Bucket) -> Vec<String> {
        let page = bucket.list(Listing { limit: 100, ..Listing::default() }).await.unwrap();
        page.objects.into_iter().map(|(key, _)| key).collect()
    }

    #[tokio::test]
    async fn what_has_expired_is_deleted_and_nothing_else() {
        let (_folder, buckets) = buckets();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for bucket in &buckets {
            for (key, expires) in [("kept", None), ("due", Some(100)), ("a/due", Some(100)), ("later", Some(200))] {
                put(bucket, key, "one", expires).await;
            }
            for (key, change) in [("pardoned", None), ("prolonged", Some(300))] {
                put(bucket, key, "one", Some(100)).await;
                keep(bucket, key, change).await;
            }
            put(bucket, "overwritten", "one", Some(100)).await;
            put(bucket, "overwritten", "another", None).await;
            put(bucket, "gone", "one", Some(100)).await;
            bucket.delete("gone").await.unwrap();
            assert_eq!(bucket.sweep_expired(at(99)).await.unwrap(), 0);
            assert_eq!(bucket.sweep_expired(at(100)).await.unwrap(), 2);
            assert_eq!(keys(bucket).await, ["kept", "later", "overwritten", "pardoned", "prolonged"]);
            assert!(bucket.stat("due").await.is_err());
            assert_eq!(bucket.sweep_expired(at(100)).await.unwrap(), 0);
            assert_eq!(bucket.sweep_expired(at(1000)).await.unwrap(), 2);
            assert_eq!(keys(bucket).await, ["kept", "overwritten", "pardoned"]);
            let Backend::Objects(objects) = &bucket.backend else { panic!("{bucket:?}") };
            for folder in objects.note_folders("b", FOLDER).await.unwrap() {
                assert_eq!(objects.notes("b", &folder, 10).await.unwrap(), [""; 0], "{folder}");
            }
        }
    }

    #[tokio::test]
    async fn bytes_of_another_hand_do_not_expire() {
        let (folder, [bucket, _]) = buckets();
        put(&bucket, "a", "one", Some(100)).await;
        std::fs::write(folder.path().join("a"), "by another hand").unwrap();
        assert_eq!(bucket.sweep_expired(SystemTime::now()).await.unwrap(), 0);
        assert_eq!(keys(&bucket).await, ["a"]);
    }

    /// Copies expire as what they are copies of.
    #[tokio::test]
    async fn copies_and_moved_objects_expire_too() {
        let (_folder, buckets) = buckets();
        for bucket in &buckets {
            put(bucket, "a", "one", Some(100)).await;
            bucket.copy("a", bucket, "b", false, SystemTime::now()).await.unwrap();
            bucket.relocate("b", bucket, "c", false, SystemTime::now()).await.unwrap();
            assert_eq!(bucket.sweep_expired(SystemTime::now()).await.unwrap(), 2);
            assert_eq!(keys(bucket).await, [""; 0]);
        }
    }
}
