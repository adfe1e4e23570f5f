//! Rows of the PNG files that most pictures are: 8 bits a sample, RGB or RGBA, not interlaced, without a transparent colour.
//!
//! What is unusual or inconsistent is left to the `png` crate, which also finds the words for what is wrong. That one spends
//! more time on undoing filters than on unpacking; this one undoes them as `unfilter.rs` says.

use fdeflate::Decompressor;

use super::unfilter::{Filter, GROUP, MARGIN, unfilter};
use crate::engine::image::Layout;
use crate::engine::limits::{Cancel, Limits};
use crate::geometry::Size;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1A\n";

/// What is looked back to while data is unpacked.
const WINDOW_BYTES: usize = 32 << 10;
/// What is unpacked at once, at least.
const PIECE_BYTES: usize = 64 << 10;

/// The file is none that is read here, or is not in order, or the work was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclaimed;

/// A file whose rows come one after the other.
pub(super) struct Rows<'a> {
    size: Size,
    channels: usize,
    data: ImageData<'a>,
    /// The last of the rows that were taken before these.
    above: Vec<u8>,
    /// The rows that were taken last.
    taken: [Vec<u8>; GROUP],
    /// The row that comes next, and how many were taken.
    next: u32,
    end: u32,
    cancel: Cancel,
}

impl<'a> Rows<'a> {
    /// Starts on `png`.
    ///
    /// # Errors
    /// [`Unclaimed`], also for what is over the limits.
    pub(super) fn new(png: &'a [u8], limits: &Limits, cancel: &Cancel) -> Result<Self, Unclaimed> {
        let mut chunks = Chunks { png, at: SIGNATURE.len() };
        if !png.starts_with(&SIGNATURE) {
            return Err(Unclaimed);
        }
        let (size, channels) = header(chunks.next()?)?;
        limits.check_source(size).map_err(|_| Unclaimed)?;
        let first = loop {
            match chunks.next()? {
                (name, data) if name == *b"IDAT" => break data,
                // A transparent colour is for the other decoder, as are animations and what nobody may pass over.
                ([b't', b'R', b'N', b'S'] | [b'a', b'c', b'T', b'L'] | [b'f', b'c', b'T', b'L'], _) => {
                    return Err(Unclaimed);
                }
                ([first, ..], _) if first.is_ascii_uppercase() => return Err(Unclaimed),
                _ => {}
            }
        };
        let row_bytes = size.width as usize * channels;
        let data = ImageData::new(chunks, first, row_bytes + 1);
        let row = || vec![0; MARGIN + row_bytes + MARGIN];
        let taken = std::array::from_fn(|_| row());
        Ok(Self { size, channels, data, above: row(), taken, next: 0, end: 0, cancel: cancel.clone() })
    }

    pub(super) const fn size(&self) -> Size {
        self.size
    }

    /// [`Layout::Rgb`] or [`Layout::Rgba`].
    pub(super) const fn layout(&self) -> Layout {
        if self.channels == 3 { Layout::Rgb } else { Layout::Rgba }
    }

    /// The next row; `None` behind the last.
    ///
    /// # Errors
    /// [`Unclaimed`]. Rows before it are right.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Unclaimed> {
        self.cancel.check().map_err(|_| Unclaimed)?;
        if self.next == self.size.height {
            return self.data.end().map(|()| None);
        }
        if self.next == self.end {
            self.take()?;
        }
        let row = &self.taken[(self.next + GROUP as u32 - self.end) as usize];
        self.next += 1;
        Ok(Some(&row[MARGIN..row.len() - MARGIN]))
    }

    /// Takes as many rows as there is place for; behind the last nothing is left that would be seen.
    fn take(&mut self) -> Result<(), Unclaimed> {
        let [.., last] = &mut self.taken;
        std::mem::swap(&mut self.above, last);
        let mut filters = [Filter::None; GROUP];
        let left = (self.size.height - self.end) as usize;
        for (filter, row) in filters.iter_mut().zip(&mut self.taken).take(left) {
            *filter = filtered(&mut self.data, row)?;
        }
        unfilter(filters, self.channels, &self.above, self.taken.each_mut().map(Vec::as_mut_slice));
        self.end += GROUP as u32;
        Ok(())
    }
}

/// Takes the data of a row, and how it was filtered.
fn filtered(data: &mut ImageData<'_>, row: &mut [u8]) -> Result<Filter, Unclaimed> {
    let row = &mut row[MARGIN..];
    let length = row.len() - MARGIN;
    let [filter, filtered @ ..] = data.next(length + 1)? else { return Err(Unclaimed) };
    row[..length].copy_from_slice(filtered);
    Filter::from_code(*filter).ok_or(Unclaimed)
}

/// Size and channels of the header chunk.
fn header((name, data): ([u8; 4], &[u8])) -> Result<(Size, usize), Unclaimed> {
    let &[w3, w2, w1, w0, h3, h2, h1, h0, depth, color, packing, filters, interlacing] = data else {
        return Err(Unclaimed);
    };
    let size = Size::new(u32::from_be_bytes([w3, w2, w1, w0]), u32::from_be_bytes([h3, h2, h1, h0]));
    let channels = match color {
        2 => 3,
        6 => 4,
        _ => return Err(Unclaimed),
    };
    let is_usual = (name, depth, packing, filters, interlacing) == (*b"IHDR", 8, 0, 0, 0);
    if is_usual && size.area() > 0 { Ok((size, channels)) } else { Err(Unclaimed) }
}

/// The chunks of a file, their checksums looked at.
struct Chunks<'a> {
    png: &'a [u8],
    at: usize,
}

impl<'a> Chunks<'a> {
    fn next(&mut self) -> Result<([u8; 4], &'a [u8]), Unclaimed> {
        let rest = self.png.get(self.at..).ok_or(Unclaimed)?;
        let (length, rest) = rest.split_first_chunk().ok_or(Unclaimed)?;
        let length = u32::from_be_bytes(*length) as usize;
        let named = rest.get(..4 + length).ok_or(Unclaimed)?;
        let checksum = rest.get(4 + length..).and_then(<[u8]>::first_chunk).ok_or(Unclaimed)?;
        let (name, data) = named.split_first_chunk().ok_or(Unclaimed)?;
        if crc32fast::hash(named) != u32::from_be_bytes(*checksum) {
            return Err(Unclaimed);
        }
        self.at += 4 + named.len() + 4;
        Ok((*name, data))
    }
}

/// The unpacked data of all chunks of the image.
struct ImageData<'a> {
    chunks: Chunks<'a>,
    /// What is left of the current chunk.
    packed: &'a [u8],
    unpacker: Decompressor,
    unpacked: Vec<u8>,
    /// What of it was taken, and where it ends.
    taken: usize,
    end: usize,
}

impl<'a> ImageData<'a> {
    fn new(chunks: Chunks<'a>, first: &'a [u8], most: usize) -> Self {
        let room = WINDOW_BYTES + 2 * most.max(PIECE_BYTES);
        Self { chunks, packed: first, unpacker: Decompressor::new(), unpacked: vec![0; room], taken: 0, end: 0 }
    }

    /// The next `length` bytes.
    fn next(&mut self, length: usize) -> Result<&[u8], Unclaimed> {
        while self.end - self.taken < length {
            self.unpack()?;
        }
        let start = self.taken;
        self.taken += length;
        Ok(&self.unpacked[start..self.taken])
    }

    /// Unpacks as much as there is room for, or the chunk has.
    fn unpack(&mut self) -> Result<(), Unclaimed> {
        if self.packed.is_empty() {
            self.packed = match self.chunks.next()? {
                (name, data) if name == *b"IDAT" => data,
                _ => return Err(Unclaimed),
            };
        }
        if self.unpacked.len() - self.end < PIECE_BYTES {
            let kept = self.taken.min(self.end.saturating_sub(WINDOW_BYTES));
            self.unpacked.copy_within(kept..self.end, 0);
            self.taken -= kept;
            self.end -= kept;
        }
        let read = self.unpacker.read(self.packed, &mut self.unpacked, self.end, false);
        let (read, written) = read.map_err(|_| Unclaimed)?;
        if (read, written) == (0, 0) {
            return Err(Unclaimed);
        }
        self.packed = &self.packed[read..];
        self.end += written;
        Ok(())
    }

    /// Looks that nothing is left, and that the rest of the file is in order.
    fn end(&mut self) -> Result<(), Unclaimed> {
        while !self.unpacker.is_done() {
            self.unpack()?;
        }
        if self.taken < self.end || !self.packed.is_empty() {
            return Err(Unclaimed);
        }
        loop {
            match self.chunks.next()?.0 {
                [b'I', b'E', b'N', b'D'] => return Ok(()),
                [first, ..] if first.is_ascii_uppercase() => return Err(Unclaimed),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ::png::{ColorType, Encoder, Filter};
    use proptest::prelude::*;

    use super::*;
    use crate::engine::decode::png::difference::{self, all_rows};

    /// A file of these samples in chunks of `chunk_bytes`.
    fn file(size: Size, color: ColorType, filter: Filter, chunk_bytes: usize, samples: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, size.width, size.height);
        encoder.set_color(color);
        encoder.set_filter(filter);
        let mut writer = encoder.write_header().expect("a header");
        let mut stream = writer.stream_writer_with_size(chunk_bytes).expect("a stream");
        stream.write_all(samples).expect("pixels");
        stream.finish().expect("an end");
        writer.finish().expect("an end");
        file
    }

    /// Smooth with some noise, so that every filter and many lengths of matches are seen.
    fn samples(count: usize, seed: u32) -> Vec<u8> {
        let noise = |at: usize| (at as u32 ^ seed).wrapping_mul(2_654_435_761) >> 24;
        (0..count).map(|at| ((at / 9) as u32 + noise(at) % (1 + seed % 40)) as u8).collect()
    }

    const FILTERS: [Filter; 6] =
        [Filter::NoFilter, Filter::Sub, Filter::Up, Filter::Avg, Filter::Paeth, Filter::Adaptive];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

        #[test]
        fn rows_are_those_that_were_written(
            (width, height) in (1_u32..400, 1_u32..90),
            has_alpha in any::<bool>(),
            filter in 0_usize..6,
            chunk_bytes in 1_usize..9000,
            seed in any::<u32>(),
        ) {
            let (color, channels) = if has_alpha { (ColorType::Rgba, 4) } else { (ColorType::Rgb, 3) };
            let samples = samples((width * height * channels) as usize, seed);
            let file = file(Size::new(width, height), color, FILTERS[filter], chunk_bytes, &samples);
            prop_assert!(all_rows(&file) == Some(samples));
        }

        /// What is read of a damaged file is what the crate reads of it.
        #[test]
        fn damage_is_left_to_the_crate(at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<bool>()) {
            let samples = samples(40 * 30 * 4, 7);
            let mut file = file(Size::new(40, 30), ColorType::Rgba, Filter::Adaptive, 500, &samples);
            let at = at.index(file.len());
            if cut {
                file.truncate(at);
            } else {
                file[at] = value;
            }
            difference::check(&file);
        }
    }
}
