//! A walk over a TIFF structure (EXIF data, or a TIFF file) that copies nothing.
//!
//! It answers two questions cheaply: which way the picture is turned, and whether the structure is modest enough to be
//! handed to the full EXIF parser, which copies every value.

use std::collections::HashSet;

/// Most directories that are followed.
const MAX_DIRECTORIES: usize = 16;

const ORIENTATION: u16 = 0x0112;
const EXIF_POINTER: u16 = 0x8769;
const GPS_POINTER: u16 = 0x8825;
const INTEROP_POINTER: u16 = 0xA005;

/// Bytes in one of the TIFF types 1–12 (TIFF 6.0, page 15); 0 for unknown ones.
const TYPE_SIZES: [u64; 13] = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];

/// One entry of a directory.
struct Entry {
    tag: u16,
    kind: u16,
    count: u32,
    /// The value itself where it fits in four bytes, else its offset; big-endian order as stored.
    field: [u8; 4],
}

struct Tiff<'a> {
    bytes: &'a [u8],
    little_endian: bool,
}

impl<'a> Tiff<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first_chunk()? {
            b"II*\0" => Some(Self { bytes, little_endian: true }),
            b"MM\0*" => Some(Self { bytes, little_endian: false }),
            _ => None,
        }
    }

    fn u16_of(&self, bytes: [u8; 2]) -> u16 {
        if self.little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    fn u32_of(&self, bytes: [u8; 4]) -> u32 {
        if self.little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    fn offset(&self, at: usize) -> Option<usize> {
        usize::try_from(self.u32_of(self.read(at)?)).ok()
    }

    /// The entries of the directory at `at` and the offset of the next directory (0 for none), as far as they are there.
    fn directory(&self, at: usize) -> (Vec<Entry>, usize) {
        let Some(count) = self.read(at).map(|count| usize::from(self.u16_of(count))) else { return (Vec::new(), 0) };
        let body = self.bytes.get(at + 2..).unwrap_or_default();
        let entries = body.chunks_exact(12).take(count).map(|entry| Entry {
            tag: self.u16_of([entry[0], entry[1]]),
            kind: self.u16_of([entry[2], entry[3]]),
            count: self.u32_of([entry[4], entry[5], entry[6], entry[7]]),
            field: [entry[8], entry[9], entry[10], entry[11]],
        });
        (entries.collect(), self.offset(at + 2 + 12 * count).unwrap_or(0))
    }
}

/// EXIF value (1–8) of the orientation in the first directory.
pub(super) fn orientation(bytes: &[u8]) -> Option<u32> {
    let tiff = Tiff::new(bytes)?;
    let (entries, _) = tiff.directory(tiff.offset(4)?);
    let entry = entries.into_iter().find(|entry| entry.tag == ORIENTATION && entry.count == 1)?;
    match entry.kind {
        1 => Some(u32::from(entry.field[0])),
        3 => Some(u32::from(tiff.u16_of([entry.field[0], entry.field[1]]))),
        4 => Some(tiff.u32_of(entry.field)),
        _ => None,
    }
}

/// Sum of the lengths that all entries declare for their values: what a parser would copy.
pub(super) fn declared_bytes(bytes: &[u8]) -> u64 {
    let Some(tiff) = Tiff::new(bytes) else { return 0 };
    let mut total = 0_u64;
    let mut seen = HashSet::new();
    let mut queue: Vec<usize> = tiff.offset(4).into_iter().collect();
    while let Some(at) = queue.pop() {
        if at == 0 || seen.len() == MAX_DIRECTORIES || !seen.insert(at) {
            continue;
        }
        let (entries, next) = tiff.directory(at);
        queue.push(next);
        for entry in entries {
            let size = TYPE_SIZES.get(usize::from(entry.kind)).copied().unwrap_or(0);
            total = total.saturating_add(size * u64::from(entry.count));
            if matches!(entry.tag, EXIF_POINTER | GPS_POINTER | INTEROP_POINTER) {
                queue.push(tiff.u32_of(entry.field) as usize);
            }
        }
    }
    total
}
