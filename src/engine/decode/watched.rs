//! Bytes for decoders that read on their own: they run dry once the work is to stop.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

use crate::engine::limits::Cancel;

/// Most bytes handed out between two looks at the flag; packed well, they are some millions of pixels.
const WINDOW: usize = 16 << 10;

/// Bytes in memory that fail to be read once cancelled. The decoder then ends with some error of its own;
/// [`still`](super::still) and [`Animation`](super::Animation) know better.
pub(super) struct Watched<'a> {
    bytes: Cursor<&'a [u8]>,
    cancel: Cancel,
    /// Bytes that may still be copied out before the next look.
    unwatched: usize,
}

impl<'a> Watched<'a> {
    pub(super) fn new(bytes: &'a [u8], cancel: &Cancel) -> Self {
        Self { bytes: Cursor::new(bytes), cancel: cancel.clone(), unwatched: 0 }
    }

    /// Lets so many bytes be copied, at most a window. Some decoders read pixel by pixel, and would look for each.
    fn allow(&mut self, length: usize) -> io::Result<()> {
        if length > self.unwatched {
            self.cancel.check().map_err(io::Error::other)?;
            self.unwatched = WINDOW;
        }
        self.unwatched -= length;
        Ok(())
    }
}

impl BufRead for Watched<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.cancel.check().map_err(io::Error::other)?;
        let left = self.bytes.fill_buf()?;
        Ok(&left[..left.len().min(WINDOW)])
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let length = target.len().min(WINDOW);
        self.allow(length)?;
        self.bytes.read(&mut target[..length])
    }

    fn read_exact(&mut self, target: &mut [u8]) -> io::Result<()> {
        for piece in target.chunks_mut(WINDOW) {
            self.allow(piece.len())?;
            self.bytes.read_exact(piece)?;
        }
        Ok(())
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_in_order_and_then_not_at_all() {
        let bytes: Vec<u8> = (0..WINDOW * 3).map(|at| (at % 251) as u8).collect();
        let cancel = Cancel::default();
        let mut watched = Watched::new(&bytes, &cancel);
        let mut all = Vec::new();
        watched.read_to_end(&mut all).expect("nothing stops it");
        assert_eq!(all, bytes);
        assert_eq!(watched.seek(SeekFrom::Start(5)).ok(), Some(5));
        let mut two = [0; 2];
        watched.read_exact(&mut two).expect("nothing stops it");
        assert_eq!(two, [5, 6]);
        cancel.cancel();
        assert!(watched.fill_buf().is_err());
        assert!(watched.read_to_end(&mut all).is_err());
        assert!(all.len() < bytes.len() + WINDOW, "it read on");
    }
}
