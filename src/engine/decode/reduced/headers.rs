//! The tables and frame header that the reduced decoder needs, kept up to date from segment to segment.

use super::huffman::Codes;
use crate::engine::decode::jpeg_markers::{ZIGZAG, next_marker, segment};

/// One component of the frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ComponentHeader {
    pub(super) id: u8,
    /// Blocks a minimum coded unit across and down.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Slot of its quantisation table.
    pub(super) table: usize,
}

/// The frame header of a file that can be read here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) progressive: bool,
    pub(super) components: Vec<ComponentHeader>,
}

/// What a scan header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScanHeader {
    /// Per component of the scan: index in the frame, slots of its DC and AC tables.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    pub(super) spectrum: (u8, u8),
    /// High and low bit of the approximation.
    pub(super) approximation: (u8, u8),
    /// Where its data begins.
    pub(super) data: usize,
}

/// Everything that segments have defined so far.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) frame: Option<FrameHeader>,
    /// Quantisation tables in zigzag order.
    pub(super) quantisation: [Option<[i32; 64]>; 4],
    /// Codes of DC differences and of AC coefficients, as defined; a scan makes tables of those that it uses.
    pub(super) dc: [Option<Codes>; 4],
    pub(super) ac: [Option<Codes>; 4],
    /// Units between restarts, 0 for none.
    pub(super) restart_interval: usize,
}

impl Tables {
    /// Reads segments from `at` up to the next scan. `Ok(None)` at the end of the image, `Err` where the file is not one
    /// that is read here.
    pub(super) fn next_scan(&mut self, jpeg: &[u8], mut at: usize) -> Result<Option<ScanHeader>, Unclaimed> {
        loop {
            let (marker, body) = next_marker(jpeg, at).ok_or(Unclaimed)?;
            if marker == 0xD9 {
                return Ok(None);
            }
            let content = segment(jpeg, body).ok_or(Unclaimed)?;
            at = body + 2 + content.len();
            match marker {
                0xDA => return self.scan_header(content, at).map(Some).ok_or(Unclaimed),
                _ => self.take(marker, content).ok_or(Unclaimed)?,
            }
        }
    }

    fn take(&mut self, marker: u8, content: &[u8]) -> Option<()> {
        match marker {
            0xC0..=0xC2 if self.frame.is_none() => self.frame = Some(frame_header(marker, content)?),
            0xC4 => self.take_codes(content)?,
            0xDB => self.take_quantisation(content)?,
            0xDD => self.restart_interval = usize::from(u16::from_be_bytes(content.try_into().ok()?)),
            // Application data and comments.
            0xE0..=0xEF | 0xFE => {}
            _ => return None,
        }
        Some(())
    }

    fn take_codes(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = content.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let (values, rest) = rest.split_at_checked(total)?;
            content = rest;
            let codes = Codes { counts: *counts, values: values.to_vec() };
            let slots = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *slots.get_mut(usize::from(kind & 15))? = Some(codes);
        }
        Some(())
    }

    fn take_quantisation(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = content.split_first() {
            let wide = kind >> 4 != 0;
            let (values, rest) = rest.split_at_checked(if wide { 128 } else { 64 })?;
            content = rest;
            let mut table = [0; 64];
            for (at, value) in table.iter_mut().enumerate() {
                *value = if wide {
                    i32::from(values[2 * at]) << 8 | i32::from(values[2 * at + 1])
                } else {
                    values[at].into()
                };
            }
            *self.quantisation.get_mut(usize::from(kind & 15))? = Some(table);
        }
        Some(())
    }

    fn scan_header(&self, content: &[u8], data: usize) -> Option<ScanHeader> {
        let frame = self.frame.as_ref()?;
        let (&count, rest) = content.split_first()?;
        let (selectors, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, approximation] = rest else { return None };
        let mut components = Vec::with_capacity(4);
        for selector in selectors.chunks_exact(2) {
            let index = frame.components.iter().position(|component| component.id == selector[0])?;
            let repeated = components.iter().any(|(earlier, _, _)| *earlier == index);
            let (dc, ac) = (usize::from(selector[1] >> 4), usize::from(selector[1] & 15));
            if repeated || dc > 3 || ac > 3 {
                return None;
            }
            components.push((index, dc, ac));
        }
        let approximation = (approximation >> 4, approximation & 15);
        Some(ScanHeader { components, spectrum: (first, last), approximation, data })
    }
}

/// The file is not one that the reduced decoder reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Unclaimed;

fn frame_header(marker: u8, content: &[u8]) -> Option<FrameHeader> {
    let &[precision, h1, h0, w1, w0, count] = content.first_chunk()?;
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    if precision != 8 || width == 0 || height == 0 || !matches!(count, 1 | 3) {
        return None;
    }
    let parts = content.get(6..)?;
    if parts.len() != 3 * usize::from(count) {
        return None;
    }
    let mut components = Vec::with_capacity(3);
    for part in parts.chunks_exact(3) {
        let (across, down) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
        let table = usize::from(part[2]);
        if !(1..=4).contains(&across) || !(1..=4).contains(&down) || table > 3 {
            return None;
        }
        // A scan of one component has one block a unit, whatever its factors say (T.81, A.2.2).
        let (across, down) = if count == 1 { (1, 1) } else { (across, down) };
        components.push(ComponentHeader { id: part[0], across, down, table });
    }
    let frame = FrameHeader { width: width.into(), height: height.into(), progressive: marker == 0xC2, components };
    frame.is_regular().then_some(frame)
}

impl FrameHeader {
    /// Blocks a unit across and down of the component with the most.
    pub(super) fn unit_blocks(&self) -> (usize, usize) {
        let most = |of: fn(&ComponentHeader) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        (most(|component| component.across), most(|component| component.down))
    }

    /// Minimum coded units across and down.
    pub(super) fn units(&self) -> (usize, usize) {
        let (across, down) = self.unit_blocks();
        (self.width.div_ceil(8 * across), self.height.div_ceil(8 * down))
    }

    /// Blocks across and down of one component alone, without those that fill up the last units (T.81, A.2.2).
    pub(super) fn blocks(&self, index: usize) -> (usize, usize) {
        let (most_across, most_down) = self.unit_blocks();
        let component = &self.components[index];
        let blocks = |length: usize, own: usize, most: usize| (length * own).div_ceil(most).div_ceil(8);
        (blocks(self.width, component.across, most_across), blocks(self.height, component.down, most_down))
    }

    /// Whether every component is a whole number of times coarser than the finest, the first is the finest, and ids differ.
    fn is_regular(&self) -> bool {
        let (across, down) = self.unit_blocks();
        let blocks: usize = self.components.iter().map(|component| component.across * component.down).sum();
        let whole = |component: &ComponentHeader| across % component.across == 0 && down % component.down == 0;
        let distinct = (1..self.components.len())
            .all(|at| self.components[..at].iter().all(|earlier| earlier.id != self.components[at].id));
        let first = self.components[0];
        blocks <= 10 && distinct && (first.across, first.down) == (across, down) && self.components.iter().all(whole)
    }
}

/// Natural position of the coefficient at zigzag position `at`.
pub(super) fn natural(at: usize) -> usize {
    usize::from(ZIGZAG[at & 63])
}
