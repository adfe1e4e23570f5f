//! Forward transform and quantisation: samples to whole numbers, bit for bit those of libjpeg's `jfdctint` and `jcdctmgr`.

use super::Plane;
use crate::engine::decode::jpeg_markers::ZIGZAG;

/// Samples of a block, across and down.
pub(super) const EDGE: usize = 8;

/// Rows of eight numbers.
type Square = [[i32; EDGE]; EDGE];

pub(super) fn in_zigzag_order(table: &[u8; 64]) -> [u8; 64] {
    std::array::from_fn(|place| table[usize::from(ZIGZAG[place])])
}

/// The samples of a block, row by row.
pub(super) type Samples = [[u8; EDGE]; EDGE];

/// The coefficients of a block, quantised, row by row.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) values: [i16; 64],
    /// A bit for each that is not zero.
    pub(super) some: u64,
}

impl Default for Block {
    fn default() -> Self {
        Self { values: [0; 64], some: 0 }
    }
}

impl Block {
    /// A bit for each coefficient that is not zero, in zigzag order.
    #[inline(always)]
    pub(super) fn places(&self) -> u64 {
        let rows = PLACES.iter().zip(self.some.to_le_bytes());
        rows.fold(0, |places, (row, bits)| places | row[usize::from(bits)])
    }
}

/// Where the coefficient at a place in zigzag order stands row by row.
#[inline(always)]
pub(super) fn natural(place: usize) -> usize {
    usize::from(ZIGZAG[place & 63] & 63)
}

/// Places in zigzag order of the coefficients in a row, by the bits of those that are not zero.
static PLACES: [[u64; 256]; EDGE] = places();

const fn places() -> [[u64; 256]; EDGE] {
    let mut places = [[0; 256]; EDGE];
    let mut place = 0;
    while place < 64 {
        let natural = ZIGZAG[place] as usize;
        let mut bits = 0;
        while bits < 256 {
            if bits >> (natural % EDGE) & 1 == 1 {
                places[natural / EDGE][bits] |= 1 << place;
            }
            bits += 1;
        }
        place += 1;
    }
    places
}

/// Division by the steps of a table, rounded half away from zero, by multiplication.
pub(super) struct Quantiser {
    /// Half of each divisor, or one more where the reciprocal is rounded down.
    pub(super) corrections: [u16; 64],
    pub(super) reciprocals: [u16; 64],
    /// 2 to the power of 32 less the bits that a product is shifted by: a shift by multiplication.
    pub(super) scales: [u16; 64],
}

impl Quantiser {
    /// For coefficients that are eight times too large, as the transform leaves them (libjpeg-turbo's `compute_reciprocal`).
    pub(super) fn new(table: &[u8; 64]) -> Self {
        let mut quantiser = Self { corrections: [0; 64], reciprocals: [0; 64], scales: [0; 64] };
        for (at, step) in table.iter().enumerate() {
            let divisor = u32::from(*step) * 8;
            let mut shift = 16 + divisor.ilog2();
            let mut reciprocal = (1_u32 << shift) / divisor;
            let rest = (1_u32 << shift) % divisor;
            let mut correction = divisor / 2;
            if rest == 0 {
                reciprocal >>= 1;
                shift -= 1;
            } else if rest <= divisor / 2 {
                correction += 1;
            } else {
                reciprocal += 1;
            }
            quantiser.corrections[at] = correction as u16;
            quantiser.reciprocals[at] = reciprocal as u16;
            quantiser.scales[at] = (1_u32 << (32 - shift)) as u16;
        }
        quantiser
    }

    /// The blocks of a row of blocks; behind its edge a plane goes on with its last samples.
    pub(super) fn row(&self, plane: Plane<'_>, row: usize, blocks: &mut [Block]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { self.row_avx2(plane, row, blocks) };
        }
        for (column, block) in blocks.iter_mut().enumerate() {
            *block = self.transform(&samples(plane, column, row));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn row_avx2(&self, plane: Plane<'_>, row: usize, blocks: &mut [Block]) {
        for (pair, blocks) in blocks.chunks_mut(2).enumerate() {
            let [one, other] = [2 * pair, 2 * pair + 1].map(|column| samples(plane, column, row));
            let made = super::avx2::transform(self, [&one, &other]);
            blocks.copy_from_slice(&made[..blocks.len()]);
        }
    }

    /// One block.
    #[inline(always)]
    pub(super) fn transform(&self, samples: &Samples) -> Block {
        let mut block = Block::default();
        let numbers = transformed(samples);
        for (at, number) in numbers.as_flattened().iter().enumerate() {
            let high = |a: u16, b: u16| ((u32::from(a) * u32::from(b)) >> 16) as u16;
            let corrected = (*number as i16).unsigned_abs().wrapping_add(self.corrections[at]);
            let size = high(high(corrected, self.reciprocals[at]), self.scales[at]) as i16;
            block.values[at] = if *number < 0 { -size } else { size };
            block.some |= u64::from(size != 0) << at;
        }
        block
    }
}

/// The samples of the block in that column and row of blocks.
#[inline(always)]
fn samples(plane: Plane<'_>, column: usize, row: usize) -> Samples {
    let Plane { samples, width, height } = plane;
    let (left, top) = (column * EDGE, row * EDGE);
    let mut square = [[0; EDGE]; EDGE];
    for (y, part) in square.iter_mut().enumerate() {
        let row = &samples[(top + y).min(height - 1) * width..][..width];
        match row.get(left..left + EDGE) {
            Some(inside) => part.copy_from_slice(inside),
            None => part.iter_mut().enumerate().for_each(|(x, sample)| *sample = row[(left + x).min(width - 1)]),
        }
    }
    square
}

/// Bits behind the point of a factor.
pub(super) const FACTOR_BITS: u32 = 13;
/// Bits behind the point between the two passes.
pub(super) const PASS_BITS: u32 = 2;

/// First along the rows, then down the columns.
#[inline(always)]
fn transformed(samples: &Samples) -> Square {
    let mut numbers = turned(&samples.map(|row| row.map(|sample| i32::from(sample) - 128)));
    pass(&mut numbers, |sum| shifted(sum, PASS_BITS), FACTOR_BITS - PASS_BITS);
    let mut numbers = turned(&numbers);
    pass(&mut numbers, |sum| rounded(sum, PASS_BITS), FACTOR_BITS + PASS_BITS);
    numbers
}

#[inline(always)]
fn turned(square: &Square) -> Square {
    let mut turned = [[0; EDGE]; EDGE];
    for y in 0..EDGE {
        for x in 0..EDGE {
            turned[x][y] = square[y][x];
        }
    }
    turned
}

/// Eight numbers that the same is done to.
type Lanes = [i32; EDGE];

#[inline(always)]
fn each(one: Lanes, other: Lanes, rule: impl Fn(i32, i32) -> i32) -> Lanes {
    let mut lanes = [0; EDGE];
    for at in 0..EDGE {
        lanes[at] = rule(one[at], other[at]);
    }
    lanes
}

#[inline(always)]
fn sum(one: Lanes, other: Lanes) -> Lanes {
    each(one, other, |one, other| one + other)
}

#[inline(always)]
fn difference(one: Lanes, other: Lanes) -> Lanes {
    each(one, other, |one, other| one - other)
}

#[inline(always)]
fn times(lanes: Lanes, factor: i32) -> Lanes {
    each(lanes, lanes, |lane, _| lane * factor)
}

#[inline(always)]
fn shifted(lanes: Lanes, bits: u32) -> Lanes {
    each(lanes, lanes, |lane, _| lane << bits)
}

#[inline(always)]
fn rounded(lanes: Lanes, bits: u32) -> Lanes {
    each(lanes, lanes, |lane, _| (lane + (1 << (bits - 1))) >> bits)
}

/// Eight transforms of eight numbers, side by side: Loeffler, Ligtenberg and Moschytz, in libjpeg's order.
#[inline(always)]
fn pass(numbers: &mut Square, whole: impl Fn(Lanes) -> Lanes, bits: u32) {
    let [a, b, c, d, e, f, g, h] = *numbers;
    let (sum07, sum16, sum25, sum34) = (sum(a, h), sum(b, g), sum(c, f), sum(d, e));
    let (gap07, gap16, gap25, gap34) = (difference(a, h), difference(b, g), difference(c, f), difference(d, e));

    let (outer, inner) = (sum(sum07, sum34), sum(sum16, sum25));
    let (outer_gap, inner_gap) = (difference(sum07, sum34), difference(sum16, sum25));
    let both = times(sum(inner_gap, outer_gap), 4433);
    numbers[0] = whole(sum(outer, inner));
    numbers[4] = whole(difference(outer, inner));
    numbers[2] = rounded(sum(both, times(outer_gap, 6270)), bits);
    numbers[6] = rounded(difference(both, times(inner_gap, 15_137)), bits);

    let z1 = times(sum(gap34, gap07), -7373);
    let z2 = times(sum(gap25, gap16), -20_995);
    let (z3, z4) = (sum(gap34, gap16), sum(gap25, gap07));
    let z5 = times(sum(z3, z4), 9633);
    let (z3, z4) = (sum(times(z3, -16_069), z5), sum(times(z4, -3196), z5));
    numbers[7] = rounded(sum(sum(times(gap34, 2446), z1), z3), bits);
    numbers[5] = rounded(sum(sum(times(gap25, 16_819), z2), z4), bits);
    numbers[3] = rounded(sum(sum(times(gap16, 25_172), z2), z3), bits);
    numbers[1] = rounded(sum(sum(times(gap07, 12_299), z1), z4), bits);
}
