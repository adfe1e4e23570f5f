//! Entries as files, within a number of bytes: what was not used for longest goes first.
//!
//! Names, sizes and last uses are in memory. A file's time of modification is its last use, to the minute, so that the
//! order survives the process. Several processes may share a folder: each looks through it now and then.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::cache::CacheKey;

/// How exactly last uses are kept.
const USE_PRECISION: Duration = Duration::from_secs(60);

/// How often the folder is looked through.
const SCAN_PERIOD: Duration = Duration::from_secs(600);

/// How old a file may be that somebody may still be writing.
const UNFINISHED_AGE: Duration = Duration::from_secs(3600);

/// What files have at the end of their names before they are whole.
const UNFINISHED: &str = ".tmp";

/// What a file takes besides its bytes.
const FILE_BYTES: u64 = 4096;

/// A folder of entries. Clones share it.
#[derive(Clone, Debug)]
pub struct Folder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    max_bytes: u64,
    index: Mutex<Index>,
    next_name: AtomicU64,
}

/// What is in the folder, as far as is known.
#[derive(Debug, Default)]
struct Index {
    entries: HashMap<CacheKey, Entry>,
    by_use: BTreeMap<Use, CacheKey>,
    bytes: u64,
    uses: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: u64,
    last_use: Use,
}

/// A time, and a number that tells uses of the same time apart.
type Use = (SystemTime, u64);

impl Index {
    fn set(&mut self, key: CacheKey, bytes: u64, used: SystemTime) {
        self.forget(key);
        self.uses += 1;
        let entry = Entry { bytes, last_use: (used, self.uses) };
        self.bytes += bytes + FILE_BYTES;
        self.by_use.insert(entry.last_use, key);
        self.entries.insert(key, entry);
    }

    fn forget(&mut self, key: CacheKey) {
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.bytes + FILE_BYTES;
            self.by_use.remove(&entry.last_use);
        }
    }

    /// Forgets what was not used for longest, until the rest has at most `max_bytes`.
    fn shrink(&mut self, max_bytes: u64) -> Vec<CacheKey> {
        let mut gone = Vec::new();
        while self.bytes > max_bytes
            && let Some((_, key)) = self.by_use.first_key_value()
        {
            gone.push(*key);
            self.forget(*key);
        }
        gone
    }
}

impl Folder {
    /// The entries in `root`, which is made where it is missing, in at most `max_bytes`. What is there already is looked
    /// through in the background.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn open(root: PathBuf, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        let inner = Inner { root, max_bytes, index: Mutex::default(), next_name: AtomicU64::default() };
        let folder = Self(Arc::new(inner));
        let weak = Arc::downgrade(&folder.0);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SCAN_PERIOD);
            loop {
                ticks.tick().await;
                let Some(inner) = weak.upgrade() else { return };
                let _ = tokio::task::spawn_blocking(move || inner.scan(SystemTime::now())).await;
            }
        });
        Ok(folder)
    }

    pub(super) async fn read(&self, key: CacheKey, max_bytes: u64) -> Result<Option<Bytes>, String> {
        self.blocking(move |inner| inner.read(key, max_bytes, SystemTime::now())).await
    }

    pub(super) async fn write(&self, key: CacheKey, bytes: Bytes) -> Result<(), String> {
        self.blocking(move |inner| inner.write(key, &bytes, SystemTime::now())).await
    }

    pub(super) async fn remove(&self, key: CacheKey) -> Result<(), String> {
        self.blocking(move |inner| {
            inner.locked().forget(key);
            inner.delete(key);
            Ok(())
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

impl Inner {
    fn locked(&self) -> MutexGuard<'_, Index> {
        // A panic elsewhere leaves at worst a wrong number, which the next scan sets right.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: CacheKey) -> PathBuf {
        self.root.join(key.path())
    }

    fn read(&self, key: CacheKey, max_bytes: u64, now: SystemTime) -> io::Result<Option<Bytes>> {
        let mut file = match File::open(self.path(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.locked().forget(key);
                return Ok(None);
            }
            file => file?,
        };
        let about = file.metadata()?;
        if !about.is_file() || about.len() > max_bytes {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(about.len() as usize);
        (&mut file).take(max_bytes).read_to_end(&mut bytes)?;
        let is_recent =
            about.modified().is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age < USE_PRECISION));
        if !is_recent {
            // A folder that cannot be written to is still read.
            let _ = File::options().append(true).open(self.path(key)).and_then(|file| file.set_modified(now));
        }
        self.locked().set(key, bytes.len() as u64, now);
        Ok(Some(bytes.into()))
    }

    /// Writes an entry whole or not at all.
    fn write(&self, key: CacheKey, bytes: &[u8], now: SystemTime) -> io::Result<()> {
        let path = self.path(key);
        let number = self.next_name.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{number}{UNFINISHED}", std::process::id()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let written = File::create(&unfinished).and_then(|mut file| file.write_all(bytes));
        if let Err(error) = written.and_then(|()| fs::rename(&unfinished, &path)) {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        let mut index = self.locked();
        index.set(key, bytes.len() as u64, now);
        let gone = index.shrink(self.max_bytes);
        drop(index);
        gone.into_iter().for_each(|key| self.delete(key));
        Ok(())
    }

    fn delete(&self, key: CacheKey) {
        if let Err(error) = fs::remove_file(self.path(key))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, "an entry of cache.store could not be deleted");
        }
    }

    /// Learns what is in the folder, and deletes what is over the budget or was never finished.
    fn scan(&self, now: SystemTime) {
        let before = self.locked().uses;
        let mut found: HashMap<CacheKey, (u64, SystemTime)> = HashMap::new();
        for file in files(&self.root) {
            let Ok(about) = fs::metadata(&file) else { continue };
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            match key_of(&self.root, &file) {
                Some(key) => {
                    found.insert(key, (about.len(), used));
                }
                None if is_unfinished(&file) && now.duration_since(used).is_ok_and(|age| age > UNFINISHED_AGE) => {
                    let _ = fs::remove_file(&file);
                }
                None => {}
            }
        }
        let mut index = self.locked();
        // What came during the scan is not among what it found, and is there all the same.
        let is_gone = |key: &CacheKey, entry: &Entry| entry.last_use.1 <= before && !found.contains_key(key);
        let gone: Vec<CacheKey> =
            index.entries.iter().filter(|(key, entry)| is_gone(key, entry)).map(|(key, _)| *key).collect();
        gone.into_iter().for_each(|key| index.forget(key));
        for (key, (bytes, used)) in found {
            if !index.entries.contains_key(&key) {
                index.set(key, bytes, used);
            }
        }
        let gone = index.shrink(self.max_bytes);
        let (entries, bytes) = (index.entries.len(), index.bytes);
        drop(index);
        tracing::debug!(entries, bytes, deleted = gone.len(), "looked through cache.store");
        gone.into_iter().for_each(|key| self.delete(key));
    }
}

/// The files two folders below `root`.
fn files(root: &Path) -> impl Iterator<Item = PathBuf> {
    let inside = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    inside(root.to_owned()).flat_map(inside).flat_map(inside)
}

fn is_unfinished(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(UNFINISHED))
}

/// The entry that a file is, by its place; other files are none of ours.
fn key_of(root: &Path, file: &Path) -> Option<CacheKey> {
    let key = CacheKey::of_hex(file.file_name()?.to_str()?)?;
    (root.join(key.path()) == file).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn inner(root: &Path, max_bytes: u64) -> Inner {
        Inner { root: root.to_owned(), max_bytes, index: Mutex::default(), next_name: AtomicU64::default() }
    }

    fn keys<const N: usize>() -> [CacheKey; N] {
        std::array::from_fn(|index| CacheKey::of(&[&index.to_string()]))
    }

    fn present(inner: &Inner, keys: &[CacheKey]) -> Vec<bool> {
        keys.iter().map(|key| inner.path(*key).exists()).collect()
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let three = 3 * (FILE_BYTES + 100);
        let inner = inner(folder.path(), three);
        let keys = keys::<4>();
        let start = SystemTime::now();
        for (minute, key) in (0..3).zip(keys) {
            inner.write(key, &[7; 100], start + minute * MINUTE).unwrap();
        }
        assert_eq!(inner.read(keys[0], 1000, start + 5 * MINUTE).unwrap().unwrap(), vec![7; 100]);
        inner.write(keys[3], &[7; 100], start + 6 * MINUTE).unwrap();
        assert_eq!(present(&inner, &keys), [true, false, true, true]);
        assert_eq!(inner.read(keys[1], 1000, start).unwrap(), None);
        // The order is that of the files' times to whoever comes next.
        let next = super::tests::inner(folder.path(), 2 * (FILE_BYTES + 100));
        next.scan(start);
        assert_eq!(present(&inner, &keys), [true, false, false, true]);
        // Who deleted it was another, and the first one learns of it.
        inner.scan(start);
        let index = inner.locked();
        assert_eq!((index.entries.len(), index.bytes), (2, 2 * (FILE_BYTES + 100)));
    }

    #[test]
    fn files_of_others_stay_and_unfinished_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let inner = inner(folder.path(), 1);
        let [key] = keys();
        let path = inner.path(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let unfinished = path.with_extension("1-1.tmp");
        let foreign = [folder.path().join("readme"), folder.path().join("ab/cd/readme"), path.with_extension("txt")];
        fs::create_dir_all(folder.path().join("ab/cd")).unwrap();
        for file in foreign.iter().chain([&unfinished, &path]) {
            fs::write(file, "text").unwrap();
        }
        inner.scan(SystemTime::now());
        assert!(unfinished.exists() && !path.exists());
        inner.scan(SystemTime::now() + 2 * UNFINISHED_AGE);
        assert!(!unfinished.exists() && foreign.iter().all(|file| file.exists()));
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let inner = inner(&folder.path().join("file"), 1 << 20);
        fs::write(&inner.root, "text").unwrap();
        let [key] = keys();
        assert!(inner.write(key, b"x", SystemTime::now()).is_err());
        assert!(inner.read(key, 100, SystemTime::now()).is_err());
    }
}
