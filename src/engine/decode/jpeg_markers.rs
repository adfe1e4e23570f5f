//! The segments of a JPEG file before its first scan: size, tables, profile, EXIF (ITU-T T.81, annex B).

use super::broken;
use crate::engine::Error;
use crate::engine::image::Format;

/// The frame header (SOFn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct FrameHeader {
    /// The marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive, and so on.
    pub(in crate::engine) marker: u8,
    /// Bits a sample.
    pub(in crate::engine) precision: u8,
    /// Pixels from left to right.
    pub(in crate::engine) width: u16,
    /// Pixels from top to bottom.
    pub(in crate::engine) height: u16,
    /// Number of components.
    pub(in crate::engine) components: u8,
    /// Identifiers of the first four components.
    pub(in crate::engine) ids: [u8; 4],
}

/// What stands before the first scan.
#[derive(Debug, Default)]
pub(in crate::engine) struct Markers<'a> {
    /// The first frame header.
    pub(in crate::engine) frame: Option<FrameHeader>,
    /// Quantisation tables by slot, in natural (row by row) order.
    pub(in crate::engine) tables: [Option<[u16; 64]>; 4],
    /// The transform flag of Adobe's APP14 segment, where there is one.
    pub(in crate::engine) adobe_transform: Option<u8>,
    /// Whether there is a JFIF segment.
    pub(in crate::engine) jfif: bool,
    /// Density of the JFIF segment, where it has a unit.
    pub(in crate::engine) density_dpi: Option<u16>,
    /// The TIFF structure of the EXIF segment.
    pub(in crate::engine) exif: Option<&'a [u8]>,
    /// The parts of the ICC profile with their sequence numbers.
    icc_parts: Vec<(u8, &'a [u8])>,
    /// Offset of the first scan's data.
    pub(in crate::engine) scan: usize,
}

impl<'a> Markers<'a> {
    /// Reads the segments up to the first scan.
    pub(in crate::engine) fn read(jpeg: &'a [u8]) -> Result<Self, Error> {
        let mut markers = Self::default();
        let mut at = 2;
        loop {
            let (marker, body) = next_marker(jpeg, at).ok_or_else(|| cut_short(at))?;
            match marker {
                0x01 | 0xD0..=0xD8 => at = body,
                0xD9 => return Err(broken(Format::Jpeg, "it ends before its first scan")),
                _ => {
                    let segment = segment(jpeg, body).ok_or_else(|| cut_short(body))?;
                    at = body + 2 + segment.len();
                    if marker == 0xDA {
                        markers.scan = at;
                        return Ok(markers);
                    }
                    markers.take(marker, segment)?;
                }
            }
        }
    }

    /// The whole ICC profile, its parts in order; `None` where there is none.
    pub(in crate::engine) fn icc(&self) -> Option<Vec<u8>> {
        let mut parts = self.icc_parts.clone();
        parts.sort_by_key(|(number, _)| *number);
        let profile: Vec<u8> = parts.iter().flat_map(|(_, part)| part.iter().copied()).collect();
        (!profile.is_empty()).then_some(profile)
    }

    /// Whether there is an ICC profile, or a part of one.
    pub(in crate::engine) fn has_icc(&self) -> bool {
        !self.icc_parts.is_empty()
    }

    fn take(&mut self, marker: u8, segment: &'a [u8]) -> Result<(), Error> {
        match marker {
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF if self.frame.is_none() => {
                self.frame = Some(frame_header(marker, segment).ok_or_else(|| cut_short(0))?);
            }
            0xDB => self.take_tables(segment),
            0xE0 => self.take_jfif(segment),
            0xE1 if self.exif.is_none() => self.exif = segment.strip_prefix(b"Exif\0\0"),
            0xE2 => self.icc_parts.extend(icc_part(segment)),
            0xEE if segment.starts_with(b"Adobe") => self.adobe_transform = segment.get(11).copied(),
            _ => {}
        }
        Ok(())
    }

    fn take_jfif(&mut self, segment: &[u8]) {
        let Some(body) = segment.strip_prefix(b"JFIF\0") else { return };
        self.jfif = true;
        let Some(&[unit, high, low]) = body.get(2..5) else { return };
        let density = u16::from_be_bytes([high, low]);
        self.density_dpi = match unit {
            1 => Some(density),
            2 => Some((f32::from(density) * 2.54).round() as u16),
            _ => None,
        }
        .filter(|dpi| *dpi > 0);
    }

    /// Reads the tables of a DQT segment; a table that is cut off is left out.
    fn take_tables(&mut self, mut segment: &[u8]) {
        while let Some((&kind, rest)) = segment.split_first() {
            let wide = kind >> 4 != 0;
            let length = if wide { 128 } else { 64 };
            let Some((values, rest)) = rest.split_at_checked(length) else { return };
            segment = rest;
            let mut table = [0; 64];
            for (position, natural) in ZIGZAG.iter().enumerate() {
                table[usize::from(*natural)] = if wide {
                    u16::from_be_bytes([values[2 * position], values[2 * position + 1]])
                } else {
                    u16::from(values[position])
                };
            }
            if let Some(slot) = self.tables.get_mut(usize::from(kind & 15)) {
                *slot = Some(table);
            }
        }
    }
}

/// Whether an end marker follows the first scan: entropy-coded data never holds these two bytes in a row.
pub(in crate::engine) fn has_end(jpeg: &[u8], scan: usize) -> bool {
    jpeg.get(scan..).is_some_and(|data| data.windows(2).any(|pair| pair == [0xFF, 0xD9]))
}

/// Natural position of each coefficient in zigzag order (T.81, figure A.6).
#[rustfmt::skip]
pub(in crate::engine) const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

fn cut_short(at: usize) -> Error {
    broken(Format::Jpeg, format_args!("a segment is cut short near byte {at}"))
}

/// The next marker at or after `at`, and the offset behind it. Skips stray bytes, as libjpeg does.
pub(in crate::engine) fn next_marker(jpeg: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut at = at;
    loop {
        at += jpeg.get(at..)?.iter().position(|byte| *byte == 0xFF)?;
        let marker = *jpeg.get(at + 1)?;
        if marker != 0 && marker != 0xFF {
            return Some((marker, at + 2));
        }
        at += 1;
    }
}

/// The body of the segment whose length field stands at `at`.
pub(in crate::engine) fn segment(jpeg: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*jpeg.get(at)?, *jpeg.get(at + 1)?]));
    jpeg.get(at + 2..at.checked_add(length)?)
}

fn frame_header(marker: u8, segment: &[u8]) -> Option<FrameHeader> {
    let &[precision, h1, h0, w1, w0, components] = segment.first_chunk()?;
    let mut ids = [0; 4];
    for (id, component) in ids.iter_mut().zip(segment.get(6..)?.chunks_exact(3)) {
        *id = component[0];
    }
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    Some(FrameHeader { marker, precision, width, height, components, ids })
}

fn icc_part(segment: &[u8]) -> Option<(u8, &[u8])> {
    let (&[number, _count], part) = segment.strip_prefix(b"ICC_PROFILE\0")?.split_first_chunk()?;
    Some((number, part))
}
