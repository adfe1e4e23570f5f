//! The DC scans of a progressive file, which hold the mean of every block. The others are passed over.

use super::bits::Bits;
use super::headers::{FrameHeader, ScanHeader, Tables, Unclaimed};
use super::huffman::Huffman;
use super::idct::mean_sample;
use super::scan::{Component, Restarts, Window};
use crate::engine::limits::Cancel;

/// The DC coefficients of one component of a progressive file.
pub(super) struct Means {
    values: Vec<i16>,
    /// Blocks in a row of `values`.
    stride: usize,
    quantisation: i32,
    /// The bit that the last scan gave; `None` before the first.
    bit: Option<u8>,
}

impl Means {
    /// Reads all DC scans, from `scan` on, whose headers `tables` has read.
    pub(super) fn read(
        jpeg: &[u8],
        mut tables: Tables,
        frame: &FrameHeader,
        scan: ScanHeader,
        cancel: &Cancel,
    ) -> Result<Vec<Self>, Unclaimed> {
        let units = frame.units();
        let mut means: Vec<Self> = frame
            .components
            .iter()
            .map(|component| {
                let stride = units.0 * component.across;
                let values = vec![0; stride * units.1 * component.down];
                Self { values, stride, quantisation: 0, bit: None }
            })
            .collect();
        let mut next = Some(scan);
        while let Some(scan) = next {
            let mut bits = Bits::new(jpeg, scan.data);
            match scan.spectrum {
                (0, 0) => dc_scan(&mut bits, &tables, frame, &scan, &mut means, cancel).ok_or(Unclaimed)?,
                (1..=63, _) => {}
                _ => return Err(Unclaimed),
            }
            next = tables.next_scan(jpeg, bits.next_segment())?;
        }
        let complete = means.iter().all(|means| means.bit == Some(0));
        if complete { Ok(means) } else { Err(Unclaimed) }
    }

    /// The samples of one row of units.
    pub(super) fn row(&self, component: &mut Component, window: &Window, row: usize) {
        let first = window.columns.start * component.across;
        for layer in &mut component.layers {
            for (y, target) in layer.samples.chunks_exact_mut(layer.stride).enumerate() {
                let start = (row * component.down + y) * self.stride + first;
                for (sample, dc) in target.iter_mut().zip(&self.values[start..start + layer.stride]) {
                    *sample = mean_sample(i32::from(*dc).wrapping_mul(self.quantisation));
                }
            }
        }
    }
}

/// Reads one scan of DC coefficients: their high bits, or one bit more (T.81, G.1.2.1).
fn dc_scan(
    bits: &mut Bits<'_>,
    tables: &Tables,
    frame: &FrameHeader,
    scan: &ScanHeader,
    means: &mut [Means],
    cancel: &Cancel,
) -> Option<()> {
    let (high, low) = scan.approximation;
    for &(index, _, _) in &scan.components {
        let means = &mut means[index];
        let follows = match means.bit {
            None => high == 0 && low <= 13,
            Some(bit) => high == bit && high > 0 && low == high - 1,
        };
        if !follows {
            return None;
        }
        if means.bit.is_none() {
            means.quantisation = tables.quantisation[frame.components[index].table].as_ref()?[0];
        }
        means.bit = Some(low);
    }
    let alone = scan.components.len() == 1;
    let units = match *scan.components.as_slice() {
        [(index, _, _)] => frame.blocks(index),
        _ => frame.units(),
    };
    let mut coders = Vec::with_capacity(3);
    for &(index, dc, _) in &scan.components {
        // Refinements come without codes.
        let codes = if high == 0 { Some(Huffman::for_differences(tables.dc[dc].as_ref()?)?) } else { None };
        coders.push((index, codes));
    }
    let mut predictions = [0_i32; 3];
    let mut restarts = Restarts::new(tables.restart_interval);
    for row in 0..units.1 {
        cancel.check().ok()?;
        for column in 0..units.0 {
            if restarts.before_unit(bits)? {
                predictions = [0; 3];
            }
            for (index, codes) in &coders {
                let index = *index;
                let header = frame.components[index];
                let (across, down) = if alone { (1, 1) } else { (header.across, header.down) };
                for at in 0..across * down {
                    let (x, y) = (column * across + at % across, row * down + at / across);
                    let value = &mut means[index].values[y * means[index].stride + x];
                    if let Some(codes) = codes {
                        predictions[index] = predictions[index].wrapping_add(codes.difference(bits)?);
                        *value = (predictions[index] << low) as i16;
                    } else {
                        bits.ensure_32();
                        *value |= ((bits.window() >> 63) as i16) << low;
                        bits.consume(1);
                    }
                }
            }
        }
        if bits.is_overrun() {
            return None;
        }
    }
    Some(())
}
