//! What is done with a bucket's objects besides serving them: put from a stream, described, deleted, copied, listed.

#[cfg(test)]
mod tests;

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
            if found.is_ok_and(|found| is_same(&found.stamp, &stamp)) {
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
        Ok(facts.filter(|facts| is_same(&facts.stamp, stamp)))
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

/// Whether two stamps are one: Azure quotes its entity tags everywhere but in listings.
fn is_same(one: &str, other: &str) -> bool {
    one.trim_matches('"') == other.trim_matches('"')
}

/// What a key and a time alone tell.
fn guessed(key: &str, modified: SystemTime) -> Facts {
    let media_type = mime_guess::from_path(key).first_or_octet_stream().to_string();
    Facts { media_type, put_time: put_time(modified), ..Facts::default() }
}
