//! What is done with a bucket's objects besides serving them: put from a stream, described, deleted, copied, listed.

use std::time::SystemTime;

use bytes::Bytes;
use futures::StreamExt;

use super::facts::{Facts, put_time};
use super::objects::{Found, Objects};
use super::qetag::Qetag;
use super::turns::Turn;
use super::{Backend, Bucket, ByteStream, Error};

/// How many notes a listing reads at a time.
const NOTES_AT_ONCE: usize = 16;

/// An object's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its length.
    pub bytes: u64,
    /// What is known of it.
    pub facts: Facts,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects in the order of their keys' bytes. Those that never went through this server have no hash.
    pub objects: Vec<(String, Stat)>,
    /// Prefixes up to the delimiter, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// Which names are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listing<'a> {
    /// They begin with this.
    pub prefix: &'a str,
    /// They are folded at this, behind the prefix; empty for not at all.
    pub delimiter: &'a str,
    /// They come after this.
    pub after: &'a str,
    /// Most of them.
    pub limit: usize,
}

impl Bucket {
    /// Stores a stream of `bytes` bytes under `key` with these facts; the object appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Exists`] where there is one and it may not be replaced, [`Error::BadKey`], [`Error::ReadOnly`],
    /// [`Error::Upstream`], and what the stream fails with.
    pub async fn put_stream(
        &self,
        key: &str,
        body: ByteStream,
        bytes: u64,
        facts: Facts,
        may_replace: bool,
    ) -> Result<(), Error> {
        let turn = self.turns.take(key).await;
        self.put_in_turn(&turn, key, body, bytes, facts, may_replace).await
    }

    async fn put_in_turn(
        &self,
        _turn: &Turn<'_>,
        key: &str,
        body: ByteStream,
        bytes: u64,
        mut facts: Facts,
        may_replace: bool,
    ) -> Result<(), Error> {
        let _told = self.writing(key);
        let objects = self.objects("store objects")?;
        let place = (self.name.as_str(), key);
        let is_new = !may_replace || self.is_known_missing(objects, key).await;
        facts.stamp = objects.put_stream(place, body, bytes, &facts.media_type, may_replace).await?;
        let stamp = facts.stamp.clone();
        let noted = self.write_facts(objects, key, facts).await;
        if noted.is_err() && is_new {
            // Whoever is told of the failure shall not find the object.
            let found = self.in_time(objects.find(&self.name, key)).await;
            if found.is_ok_and(|found| found.stamp == stamp) {
                self.in_time(objects.delete(&self.name, key)).await?;
            }
        }
        noted
    }

    /// Whether nothing is there, where asking costs little.
    async fn is_known_missing(&self, objects: &Objects, key: &str) -> bool {
        objects.is_local() && matches!(self.in_time(objects.find(&self.name, key)).await, Err(Error::NotFound { .. }))
    }

    /// Whether the object that is there has these facts' hash. Where nothing else is known of it, they are its facts from now
    /// on: who stored it may have died before it wrote them.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ReadOnly`], [`Error::Upstream`].
    pub async fn adopt(&self, key: &str, facts: Facts) -> Result<bool, Error> {
        let objects = self.objects("keep facts")?;
        let _turn = self.turns.take(key).await;
        let found = self.in_time(objects.find(&self.name, key)).await?;
        if let Some(known) = self.facts(objects, key, &found.stamp).await? {
            return Ok(known.hash == facts.hash);
        }
        let stamp = found.stamp.clone();
        if self.described(key, Some(found)).await?.facts.hash != facts.hash {
            return Ok(false);
        }
        self.write_facts(objects, key, Facts { stamp, ..facts }).await?;
        Ok(true)
    }

    /// An object's description. Where nothing is known but its bytes, they are read.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Upstream`].
    pub async fn stat(&self, key: &str) -> Result<Stat, Error> {
        let Backend::Objects(objects) = &self.backend else { return self.described(key, None).await };
        let found = self.in_time(objects.find(&self.name, key)).await?;
        match self.facts(objects, key, &found.stamp).await? {
            Some(mut facts) => {
                // A store that keeps types has the last word: delivery asks it alone.
                facts.media_type = found.meta.content_type.clone().unwrap_or(facts.media_type);
                Ok(Stat { bytes: found.meta.bytes.unwrap_or_default(), facts })
            }
            None => self.described(key, Some(found)).await,
        }
    }

    /// Puts what `change` makes of an object's description in the place of its facts; its bytes stay, but where the store
    /// itself keeps the type, they are stored again.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ReadOnly`], [`Error::Upstream`], and what `change` fails with.
    pub async fn change_facts<E: From<Error>>(
        &self,
        key: &str,
        change: impl FnOnce(&Stat) -> Result<Facts, E>,
    ) -> Result<(), E> {
        let objects = self.objects("keep facts")?;
        let turn = self.turns.take(key).await;
        let facts = change(&self.stat(key).await?)?;
        Ok(self.set_facts(&turn, objects, key, facts).await?)
    }

    async fn set_facts(&self, turn: &Turn<'_>, objects: &Objects, key: &str, mut facts: Facts) -> Result<(), Error> {
        let _told = self.writing(key);
        let found = self.in_time(objects.find(&self.name, key)).await?;
        if found.meta.content_type.as_ref().is_some_and(|stored| *stored != facts.media_type) {
            let (meta, body) = self.stream(key, None).await?;
            return self.put_in_turn(turn, key, body, meta.bytes.unwrap_or(u64::MAX), facts, true).await;
        }
        facts.stamp = found.stamp;
        self.write_facts(objects, key, facts).await
    }

    /// The media type that an object was put with, where its store keeps none.
    ///
    /// # Errors
    /// [`Error::Upstream`].
    pub async fn noted_media_type(&self, key: &str) -> Result<Option<String>, Error> {
        // Clouds keep types themselves; asking them once more would cost a request for each answer.
        let Backend::Objects(objects) = &self.backend else { return Ok(None) };
        if !objects.is_local() {
            return Ok(None);
        }
        let found = self.in_time(objects.find(&self.name, key)).await?;
        let facts = self.facts(objects, key, &found.stamp).await?;
        Ok(facts.map(|facts| facts.media_type).filter(|media_type| !media_type.is_empty()))
    }

    /// Deletes an object and its facts.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ReadOnly`], [`Error::Upstream`].
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        let turn = self.turns.take(key).await;
        self.delete_in_turn(&turn, key).await
    }

    pub(super) async fn delete_in_turn(&self, _turn: &Turn<'_>, key: &str) -> Result<(), Error> {
        let _told = self.writing(key);
        let objects = self.objects("delete objects")?;
        self.in_time(objects.delete(&self.name, key)).await?;
        self.in_time(objects.write_note(&self.name, &Facts::note(key), None)).await
    }

    /// Copies an object with its facts to `target`'s `to`, as of `now`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`], [`Error::BadKey`], [`Error::ReadOnly`], [`Error::Upstream`].
    pub async fn copy(
        &self,
        key: &str,
        target: &Self,
        to: &str,
        may_replace: bool,
        now: SystemTime,
    ) -> Result<(), Error> {
        let turn = target.turns.take(to).await;
        self.copy_in_turn(key, (target, &turn), to, may_replace, now).await
    }

    /// Moves an object with its facts to `target`'s `to`, as of `now`. Nothing is put in the source's place meanwhile, which
    /// would be deleted unseen.
    ///
    /// # Errors
    /// As [`Bucket::copy`].
    pub async fn relocate(
        &self,
        key: &str,
        target: &Self,
        to: &str,
        may_replace: bool,
        now: SystemTime,
    ) -> Result<(), Error> {
        if self.name == target.name {
            let (turn, _other) = self.turns.take_two(key, to).await;
            self.copy_in_turn(key, (target, &turn), to, may_replace, now).await?;
            return self.delete_in_turn(&turn, key).await;
        }
        let is_first = self.name < target.name;
        let early = if is_first { Some(self.turns.take(key).await) } else { None };
        let turn = target.turns.take(to).await;
        let own = match early {
            Some(own) => own,
            None => self.turns.take(key).await,
        };
        self.copy_in_turn(key, (target, &turn), to, may_replace, now).await?;
        self.delete_in_turn(&own, key).await
    }

    async fn copy_in_turn(
        &self,
        key: &str,
        (target, turn): (&Self, &Turn<'_>),
        to: &str,
        may_replace: bool,
        now: SystemTime,
    ) -> Result<(), Error> {
        let _told = target.writing(to);
        let into = target.objects("store objects")?;
        let stat = self.stat(key).await?;
        let facts = Facts { put_time: put_time(now), ..stat.facts };
        match &self.backend {
            Backend::Objects(objects) if self.name == target.name => {
                self.in_time(objects.copy(&self.name, key, to, may_replace)).await?;
                let stamp = self.in_time(into.find(&self.name, to)).await?.stamp;
                self.write_facts(into, to, Facts { stamp, ..facts }).await
            }
            _ => {
                let (_, body) = self.stream(key, None).await?;
                target.put_in_turn(turn, to, body, stat.bytes, facts, may_replace).await
            }
        }
    }

    /// A page of the bucket's keys.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] for HTTP origins, [`Error::Upstream`].
    pub async fn list(&self, listing: Listing<'_>) -> Result<Page, Error> {
        let objects = self.objects("be listed")?;
        let Listing { prefix, delimiter, after, limit } = listing;
        let found = objects.list(&self.name, (prefix, delimiter), after, limit, self.timeouts.read).await?;
        let mut page = Page::default();
        if found.has_more {
            page.next = found.entries.last().map(|(name, _)| name.clone());
        }
        let mut listed = Vec::new();
        for (name, object) in found.entries {
            match object {
                Some(object) => listed.push((name, object)),
                None => page.prefixes.push(name),
            }
        }
        let noted = futures::stream::iter(listed).map(async |(key, object)| {
            let facts = self.facts(objects, &key, &object.stamp).await?;
            let facts = facts.unwrap_or_else(|| guessed(&key, object.modified));
            Ok::<_, Error>((key, Stat { bytes: object.bytes, facts }))
        });
        let mut noted = noted.buffered(NOTES_AT_ONCE);
        while let Some(object) = noted.next().await {
            page.objects.push(object?);
        }
        Ok(page)
    }

    fn objects(&self, action: &'static str) -> Result<&Objects, Error> {
        match &self.backend {
            Backend::Objects(objects) => Ok(objects),
            Backend::Origin(_) => Err(Error::ReadOnly { bucket: self.name.clone(), action }),
        }
    }

    /// The facts about the bytes of that stamp.
    pub(super) async fn facts(&self, objects: &Objects, key: &str, stamp: &str) -> Result<Option<Facts>, Error> {
        let note = self.in_time(objects.read_note(&self.name, &Facts::note(key))).await?;
        let facts = note.and_then(|note| serde_json::from_slice::<Facts>(&note).ok());
        Ok(facts.filter(|facts| facts.stamp == stamp))
    }

    async fn write_facts(&self, objects: &Objects, key: &str, facts: Facts) -> Result<(), Error> {
        let facts = Facts { key: key.to_owned(), ..facts };
        if let Some(expires) = facts.expires {
            self.note_expiry(objects, key, expires).await?;
        }
        let note = serde_json::to_vec(&facts).expect("facts have names and texts alone");
        self.in_time(objects.write_note(&self.name, &Facts::note(key), Some(Bytes::from(note)))).await
    }

    /// The description of an object by its bytes.
    async fn described(&self, key: &str, found: Option<Found>) -> Result<Stat, Error> {
        let (meta, mut body) = self.stream(key, None).await?;
        let (mut hasher, mut bytes) = (Qetag::default(), 0);
        while let Some(piece) = body.next().await.transpose()? {
            hasher.update(&piece);
            bytes += piece.len() as u64;
        }
        let modified = meta.modified.unwrap_or(SystemTime::UNIX_EPOCH);
        let mut facts = Facts { hash: hasher.finish(), ..guessed(key, modified) };
        if let Some(stored) = found.and_then(|found| found.meta.content_type).or(meta.content_type) {
            facts.media_type = stored;
        }
        Ok(Stat { bytes, facts })
    }
}

/// What a key and a time alone tell.
fn guessed(key: &str, modified: SystemTime) -> Facts {
    let media_type = mime_guess::from_path(key).first_or_octet_stream().to_string();
    Facts { media_type, put_time: put_time(modified), ..Facts::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use url::Url;

    use super::super::Timeouts;
    use super::super::qetag::qetag;
    use super::*;

    fn folder() -> (tempfile::TempDir, Bucket) {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        let objects = Objects::open_url(&url, &BTreeMap::new(), Timeouts::default()).unwrap();
        (folder, Bucket::over_objects("photos", objects, Timeouts::default()))
    }

    fn memory() -> Bucket {
        Bucket::over_objects("memory", Objects::in_memory(), Timeouts::default())
    }

    fn stream(pieces: &[&[u8]]) -> ByteStream {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Box::pin(futures::stream::iter(pieces))
    }

    fn facts(body: &[u8]) -> Facts {
        Facts { hash: qetag(body), media_type: "image/x-mine".to_owned(), put_time: 17, ..Facts::default() }
    }

    async fn put(bucket: &Bucket, key: &str, body: &[u8], may_replace: bool) -> Result<(), Error> {
        bucket.put_stream(key, stream(&[body]), body.len() as u64, facts(body), may_replace).await
    }

    #[tokio::test]
    async fn what_is_put_is_described() {
        let (_folder, on_disk) = folder();
        for bucket in [on_disk, memory()] {
            put(&bucket, "a/猫.jpg", b"one", false).await.unwrap();
            let stat = bucket.stat("a/猫.jpg").await.unwrap();
            assert_eq!((stat.bytes, stat.facts.hash.as_str()), (3, qetag(b"one").as_str()));
            assert_eq!((stat.facts.media_type.as_str(), stat.facts.put_time), ("image/x-mine", 17));
            assert!(matches!(put(&bucket, "a/猫.jpg", b"two", false).await, Err(Error::Exists { .. })));
            put(&bucket, "a/猫.jpg", b"three", true).await.unwrap();
            assert_eq!(bucket.stat("a/猫.jpg").await.unwrap().facts.hash, qetag(b"three"));
            bucket.delete("a/猫.jpg").await.unwrap();
            assert!(matches!(bucket.stat("a/猫.jpg").await, Err(Error::NotFound { .. })));
            assert!(matches!(bucket.delete("a/猫.jpg").await, Err(Error::NotFound { .. })));
        }
    }

    /// The object appears at the end, whole.
    #[tokio::test]
    async fn large_streams_are_put_in_parts() {
        let (_folder, on_disk) = folder();
        let body: Vec<u8> = (0..20_000_000_u32).map(|i| (i % 251) as u8).collect();
        for bucket in [on_disk, memory()] {
            let pieces: Vec<&[u8]> = body.chunks(777_777).collect();
            let bytes = body.len() as u64;
            bucket.put_stream("large", stream(&pieces), bytes, facts(&body), false).await.unwrap();
            assert_eq!(bucket.read("large", 1 << 30).await.unwrap().1, body);
            assert_eq!(bucket.stat("large").await.unwrap().facts.media_type, "image/x-mine");
            let again = bucket.put_stream("large", stream(&pieces), bytes, facts(&body), false).await;
            assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_fails_leaves_nothing() {
        let (folder, bucket) = folder();
        for bytes in [100, 20_000_000] {
            let failure = Error::ReadOnly { bucket: "spool".to_owned(), action: "be read" };
            let pieces = vec![Ok(Bytes::from(vec![0; bytes / 2 + 1])), Err(failure)];
            let body = Box::pin(futures::stream::iter(pieces));
            let stored = bucket.put_stream("torn", body, bytes as u64, Facts::default(), true).await;
            assert!(matches!(stored, Err(Error::ReadOnly { .. })), "{stored:?}");
            assert!(matches!(bucket.head("torn").await, Err(Error::NotFound { .. })));
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// A source that was replaced after it was described is not cut off.
    #[tokio::test]
    async fn streams_have_the_bytes_that_they_are_said_to_have() {
        let (_folder, on_disk) = folder();
        let large = vec![7; 9_000_000];
        for bucket in [on_disk, memory()] {
            for (said, body) in [(3, &large[..]), (3, b"one more"), (5, b"one"), (9_000_001, &large), (1 << 30, &large)]
            {
                let stored = bucket.put_stream("a", stream(&[body]), said, facts(b"one"), true).await;
                assert!(matches!(&stored, Err(error) if error.kind().is_transient()), "{said}: {stored:?}");
                assert!(matches!(bucket.head("a").await, Err(Error::NotFound { .. })), "{said}");
            }
        }
    }

    #[tokio::test]
    async fn bytes_of_another_hand_have_their_own_facts() {
        let (folder, bucket) = folder();
        put(&bucket, "a.png", b"one", false).await.unwrap();
        std::fs::write(folder.path().join("a.png"), "by another hand").unwrap();
        let stat = bucket.stat("a.png").await.unwrap();
        assert_eq!((stat.bytes, stat.facts.hash.as_str()), (15, qetag(b"by another hand").as_str()));
        assert_eq!(stat.facts.media_type, "image/png");
    }

    #[tokio::test]
    async fn copies_keep_their_facts() {
        let ((_folder, on_disk), memory) = (folder(), memory());
        for from in [&on_disk, &memory] {
            put(from, "a", b"one", false).await.unwrap();
            for to in [&on_disk, &memory] {
                from.copy("a", to, "b", true, SystemTime::UNIX_EPOCH).await.unwrap();
                let stat = to.stat("b").await.unwrap();
                let facts = (stat.facts.hash, stat.facts.media_type, stat.facts.put_time);
                assert_eq!(facts, (qetag(b"one"), "image/x-mine".to_owned(), 0));
                let again = from.copy("a", to, "b", false, SystemTime::UNIX_EPOCH).await;
                assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
            }
            let missing = from.copy("no", &on_disk, "c", true, SystemTime::UNIX_EPOCH).await;
            assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
        }
    }

    /// As a server leaves it that dies between the two.
    #[tokio::test]
    async fn an_object_without_facts_takes_those_of_its_bytes() {
        let (_folder, on_disk) = folder();
        for bucket in [on_disk, memory()] {
            bucket.put("a", Bytes::from_static(b"one"), "image/jpeg").await.unwrap();
            assert!(!bucket.adopt("a", facts(b"two")).await.unwrap());
            assert_ne!(bucket.stat("a").await.unwrap().facts.put_time, 17);
            assert!(bucket.adopt("a", facts(b"one")).await.unwrap());
            assert_eq!(bucket.stat("a").await.unwrap().facts.put_time, 17);
            assert!(bucket.adopt("a", Facts { put_time: 18, ..facts(b"one") }).await.unwrap());
            assert_eq!(bucket.stat("a").await.unwrap().facts.put_time, 17);
        }
    }

    #[tokio::test]
    async fn types_can_be_changed() {
        let (_folder, on_disk) = folder();
        for bucket in [on_disk, memory()] {
            put(&bucket, "a", b"one", false).await.unwrap();
            let change =
                |stat: &Stat| Ok::<_, Error>(Facts { media_type: "text/x-new".to_owned(), ..stat.facts.clone() });
            bucket.change_facts("a", change).await.unwrap();
            assert_eq!(bucket.stat("a").await.unwrap().facts.media_type, "text/x-new");
            assert_eq!(bucket.read("a", 10).await.unwrap().1, "one");
        }
    }

    async fn names(bucket: &Bucket, prefix: &str, delimiter: &str, limit: usize) -> Vec<Vec<String>> {
        let (mut pages, mut after) = (Vec::new(), Some(String::new()));
        while let Some(from) = after {
            let page = bucket.list(Listing { prefix, delimiter, after: &from, limit }).await.unwrap();
            let names = page.objects.into_iter().map(|(key, _)| key);
            pages.push(names.chain(page.prefixes).collect());
            after = page.next;
        }
        pages
    }

    #[tokio::test]
    async fn listings_have_pages() {
        let (_folder, on_disk) = folder();
        for bucket in [on_disk, memory()] {
            for key in ["b", "a/1", "a/2", "a b+c%20d", "a.1", "猫/1", "a/x/1", "é"] {
                put(&bucket, key, b"", false).await.unwrap();
            }
            assert_eq!(
                names(&bucket, "", "", 3).await,
                [vec!["a b+c%20d", "a.1", "a/1"], vec!["a/2", "a/x/1", "b"], vec!["é", "猫/1"]]
            );
            assert_eq!(names(&bucket, "a/", "/", 10).await, [["a/1", "a/2", "a/x/"]]);
            assert_eq!(names(&bucket, "", "/", 2).await, [vec!["a b+c%20d", "a.1"], vec!["b", "a/"], vec!["é", "猫/"]]);
            assert_eq!(names(&bucket, "a", "", 10).await, [["a b+c%20d", "a.1", "a/1", "a/2", "a/x/1"]]);
            assert_eq!(names(&bucket, "no/such", "", 10).await, [[""; 0]]);
        }
    }

    #[tokio::test]
    async fn the_servers_own_notes_are_no_objects() {
        let (folder, bucket) = folder();
        put(&bucket, "a", b"one", false).await.unwrap();
        let note = Facts::note("a");
        assert!(folder.path().join(".mogr").join(&note).is_file());
        let key = format!(".mogr/{note}");
        assert!(matches!(bucket.read(&key, 1 << 20).await, Err(Error::NotFound { .. })));
        assert!(matches!(bucket.stat(&key).await, Err(Error::NotFound { .. })));
        assert!(matches!(bucket.delete(&key).await, Err(Error::NotFound { .. })));
        assert!(matches!(put(&bucket, &key, b"x", true).await, Err(Error::BadKey { .. })));
        assert!(matches!(bucket.put(".mogr/x", Bytes::new(), "a/b").await, Err(Error::BadKey { .. })));
        assert_eq!(names(&bucket, "", "", 10).await, [["a"]]);
    }

    #[tokio::test]
    async fn keys_that_cannot_be_are_refused() {
        let (_folder, bucket) = folder();
        put(&bucket, "a", b"one", false).await.unwrap();
        for key in ["", "/a", "a/", "x//y", "../x", "a/b"] {
            let stored = put(&bucket, key, b"x", true).await;
            assert!(matches!(stored, Err(Error::BadKey { .. })), "{key}: {stored:?}");
        }
    }
}
