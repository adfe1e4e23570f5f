//! Blocks at several scales at once: their codes are read once, and each scale makes its samples of what was read.
//!
//! Reading codes is most of the work. The samples are those that each scale alone comes to: the same sums of the same
//! coefficients in the same order.

use super::bits::Bits;
use super::idct::{BLOCK, Basis, Block, Waves, mean_sample};
use super::scan::{Bases, Coder, Inverse, Layer, SELECTIONS, Square, coefficients, dequantised, finish_block};

/// The AC coefficients of a block that a scale needs, in the order of their codes.
pub(super) struct Coefficients {
    /// Place in zigzag order (1–63), and value.
    found: [(usize, i32); BLOCK],
    count: usize,
}

impl Default for Coefficients {
    fn default() -> Self {
        Self { found: [(0, 0); BLOCK], count: 0 }
    }
}

impl Coefficients {
    /// Reads a block's up to `last`; `None` where the codes make no block.
    #[inline(always)]
    fn read(&mut self, bits: &mut Bits<'_>, coder: &Coder, last: usize) -> Option<()> {
        let mut count = 0;
        coefficients(bits, &coder.ac, last, |at, value| {
            // Places rise from 1 to 63, so that there are never more.
            self.found[count & (BLOCK - 1)] = (at, value);
            count += 1;
        })?;
        self.count = count.min(BLOCK);
        Some(())
    }

    /// Hands over what reading up to `last` alone would.
    #[inline(always)]
    fn up_to(&self, last: usize, mut take: impl FnMut(usize, i32)) {
        for &(at, value) in &self.found[..self.count] {
            take(at, value);
            if at >= last {
                return;
            }
        }
    }

    #[inline(always)]
    fn waved<const N: usize>(&self, dc: i32, waves: &Waves<N>, (samples, left, stride): Square<'_>) {
        let mut sums = Waves::<N>::level(dc);
        self.up_to(SELECTIONS[N].last, |at, value| waves.add(&mut sums, at, value));
        Waves::<N>::finish(&sums, samples, left, stride);
    }

    #[inline(always)]
    fn block<const N: usize>(&self, dc: i32, coder: &Coder, basis: &Basis<N>, square: Square<'_>) {
        let selection = &SELECTIONS[N];
        let mut block: Block = [0; BLOCK];
        self.up_to(selection.last, |at, value| {
            block[usize::from(selection.slot[at] & 63)] = value.wrapping_mul(coder.quantisation[at & 63]);
        });
        finish_block(&mut block, dc, self.count == 0, basis, square);
    }
}

/// Decodes a block into every layer of its component. `block` is its column and row among the blocks of the band.
#[inline(always)]
pub(super) fn several(
    bits: &mut Bits<'_>,
    coder: &Coder,
    prediction: &mut i32,
    bases: &Bases,
    read: &mut Coefficients,
    (layers, (column, row)): (&mut [Layer], (usize, usize)),
) -> Option<()> {
    *prediction = prediction.wrapping_add(coder.dc.difference(bits)?);
    let most = layers.iter().map(|layer| layer.points).max().unwrap_or(1);
    read.read(bits, coder, SELECTIONS[most].last)?;
    let dc = dequantised(*prediction, coder);
    for (inverse, Layer { points, stride, samples }) in coder.inverses.iter().zip(layers) {
        let left = row * *points * *stride + column * *points;
        let square = (&mut samples[..], left, *stride);
        match inverse {
            Inverse::One => samples[left] = mean_sample(dc),
            Inverse::Two(waves) => read.waved(dc, waves, square),
            Inverse::Three(waves) => read.waved(dc, waves, square),
            Inverse::Four(waves) => read.waved(dc, waves, square),
            Inverse::Five => read.block(dc, coder, &bases.0, square),
            Inverse::Six => read.block(dc, coder, &bases.1, square),
            Inverse::Seven => read.block(dc, coder, &bases.2, square),
            Inverse::Eight => read.block(dc, coder, &bases.3, square),
        }
    }
    Some(())
}
