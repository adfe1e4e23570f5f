//! Bytes on their way into a bucket: files of this machine, hashed as they are written, gone when they are dropped.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};

use super::qetag::Qetag;
use super::{ByteStream, Error};

/// How much is written and read at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// Files that are older were left by a process that died. Younger ones may be another process's.
const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);

/// A folder for such files.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// The folder `folder`; it is made when it is first written to.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Deletes what processes that died have left.
    pub fn sweep(&self, now: SystemTime) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| now.duration_since(modified).ok());
            if age.is_some_and(|age| age > LEFT_OVER) {
                // Another process may sweep too. Jobs on sound and film have folders here.
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let remove = if is_folder { std::fs::remove_dir_all } else { std::fs::remove_file };
                let _ = remove(entry.path());
            }
        }
    }

    /// A new, empty file. The first `head_bytes` that are written are remembered.
    ///
    /// # Errors
    /// Where the folder cannot be made or written to.
    pub async fn create(&self, head_bytes: usize) -> io::Result<Writer> {
        tokio::fs::create_dir_all(&self.folder).await?;
        let path = TempPath(self.folder.join(random_name()));
        let file = File::options().write(true).create_new(true).open(&path.0).await?;
        Ok(Writer {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            path,
            hash: Qetag::default(),
            crc32: crc32fast::Hasher::new(),
            bytes: 0,
            head: Vec::new(),
            head_bytes,
        })
    }
}

/// 32 hexadecimal digits that nobody guesses.
pub fn random_name() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that is deleted when this is dropped.
#[derive(Debug)]
struct TempPath(PathBuf);

impl Drop for TempPath {
    fn drop(&mut self) {
        // It is gone already where it was moved.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A file that is being written.
pub struct Writer {
    file: BufWriter<File>,
    path: TempPath,
    hash: Qetag,
    crc32: crc32fast::Hasher,
    bytes: u64,
    head: Vec<u8>,
    head_bytes: usize,
}

impl Writer {
    /// How much was written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// Where the disk does not take them.
    pub async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let missing = self.head_bytes - self.head.len();
        self.head.extend_from_slice(&piece[..piece.len().min(missing)]);
        self.hash.update(piece);
        self.crc32.update(piece);
        self.bytes += piece.len() as u64;
        self.file.write_all(piece).await
    }

    /// The file, whole.
    ///
    /// # Errors
    /// Where the disk does not take the rest.
    pub async fn finish(mut self) -> io::Result<Spooled> {
        self.file.flush().await?;
        Ok(Spooled {
            path: self.path,
            bytes: self.bytes,
            hash: self.hash.finish(),
            crc32: self.crc32.finalize(),
            head: self.head,
        })
    }
}

/// A file that was written.
#[derive(Debug)]
pub struct Spooled {
    path: TempPath,
    /// Its length.
    pub bytes: u64,
    /// The vendor's hash of its bytes.
    pub hash: String,
    /// IEEE CRC-32 of its bytes.
    pub crc32: u32,
    /// Its first bytes.
    pub head: Vec<u8>,
}

impl Spooled {
    /// Where it is, as long as this lives.
    pub fn path(&self) -> &Path {
        &self.path.0
    }

    /// Moves it to where it stays.
    ///
    /// # Errors
    /// Where it cannot be moved.
    pub async fn keep(self, path: &Path) -> io::Result<()> {
        // The name says what is in it, also after a loss of power.
        File::open(self.path()).await?.sync_all().await?;
        tokio::fs::rename(self.path(), path).await
    }
}

/// The bytes of these files, one after the other.
pub fn stream(files: Vec<PathBuf>) -> ByteStream {
    let pieces = futures::stream::iter(files).then(async |path| match File::open(&path).await {
        Ok(file) => pieces_of(file),
        Err(error) => Box::pin(futures::stream::iter([Err(unreadable(&error))])) as ByteStream,
    });
    Box::pin(pieces.flatten())
}

fn pieces_of(file: File) -> ByteStream {
    Box::pin(futures::stream::try_unfold(file, async |mut file| {
        let mut piece = BytesMut::with_capacity(BUFFER_BYTES);
        let read = file.read_buf(&mut piece).await.map_err(|error| unreadable(&error))?;
        Ok((read > 0).then(|| (Bytes::from(piece), file)))
    }))
}

/// Makes one file of these at `path`: another name of the only one, or else a copy.
///
/// # Errors
/// Where it cannot be written.
pub async fn gather(files: &[PathBuf], path: &Path) -> io::Result<()> {
    if let [only] = files
        && tokio::fs::hard_link(only, path).await.is_ok()
    {
        return Ok(());
    }
    let mut target = File::create(path).await?;
    for file in files {
        tokio::io::copy(&mut File::open(file).await?, &mut target).await?;
    }
    target.flush().await
}

/// A failure of the disk that files wait on.
pub fn failure(error: &io::Error) -> Error {
    let place = "the spool".to_owned();
    if super::is_full(error) {
        return Error::Full { place };
    }
    tracing::error!(%error, "a file cannot be written to the spool");
    Error::Upstream { place, problem: "a file cannot be written".to_owned(), timed_out: false }
}

fn unreadable(error: &io::Error) -> Error {
    tracing::error!(%error, "a spooled file cannot be read");
    Error::Upstream { place: "the spool".to_owned(), problem: "a file cannot be read".to_owned(), timed_out: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::qetag::qetag;

    async fn written(spool: &Spool, pieces: &[&[u8]]) -> Spooled {
        let mut writer = spool.create(4).await.unwrap();
        for piece in pieces {
            writer.write(piece).await.unwrap();
        }
        writer.finish().await.unwrap()
    }

    async fn read(files: Vec<PathBuf>) -> Result<Vec<u8>, Error> {
        let pieces: Vec<_> = stream(files).collect().await;
        Ok(pieces.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }

    #[tokio::test]
    async fn files_are_hashed_read_and_gone() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().join("spool"));
        let (one, two) = (written(&spool, &[b"he", b"llo"]).await, written(&spool, &[]).await);
        assert_eq!((one.bytes, one.crc32, one.hash.as_str()), (5, 907_060_870, qetag(b"hello").as_str()));
        assert_eq!((one.head.as_slice(), two.hash.as_str()), (&b"hell"[..], qetag(b"").as_str()));
        let files = vec![one.path().to_owned(), two.path().to_owned(), one.path().to_owned()];
        assert_eq!(read(files.clone()).await.unwrap(), b"hellohello");
        let gathered = folder.path().join("gathered");
        gather(&files[..1], &gathered).await.unwrap();
        assert_eq!(std::fs::read(&gathered).unwrap(), b"hello");
        std::fs::remove_file(&gathered).unwrap();
        gather(&files, &gathered).await.unwrap();
        assert_eq!(std::fs::read(&gathered).unwrap(), b"hellohello");
        assert_eq!(std::fs::read(one.path()).unwrap(), b"hello");
        drop((one, two, spool.create(0).await.unwrap()));
        assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
        assert!(read(files).await.is_err());
    }

    #[tokio::test]
    async fn kept_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned());
        written(&spool, &[b"x"]).await.keep(&folder.path().join("kept")).await.unwrap();
        assert_eq!(std::fs::read(folder.path().join("kept")).unwrap(), b"x");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_dead_processes_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned());
        std::fs::write(folder.path().join("left"), "x").unwrap();
        std::fs::create_dir(folder.path().join("media-left")).unwrap();
        std::fs::write(folder.path().join("media-left/input"), "x").unwrap();
        let now = SystemTime::now();
        spool.sweep(now);
        assert!(folder.path().join("left").exists());
        spool.sweep(now + LEFT_OVER + Duration::from_secs(60));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
