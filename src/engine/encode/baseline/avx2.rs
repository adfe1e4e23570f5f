//! `dct.rs` with sixteen numbers of 16 bits side by side, those of two blocks (after libjpeg-turbo's `jfdctint-sse2`): bit for
//! bit the same.

use std::arch::x86_64::*;

use super::dct::{Block, EDGE, FACTOR_BITS, PASS_BITS, Quantiser, Samples};

/// Eight rows of eight numbers, those of the second block in the upper halves.
type Rows = [__m256i; EDGE];

/// [`Quantiser::transform`] of two blocks.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn transform(quantiser: &Quantiser, samples: [&Samples; 2]) -> [Block; 2] {
    let middle = _mm256_set1_epi16(128);
    let mut rows = [middle; EDGE];
    for (row, numbers) in rows.iter_mut().enumerate() {
        let [one, other] = samples.map(|samples| i64::from_le_bytes(samples[row]));
        *numbers = _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_set_epi64x(other, one)), middle);
    }
    rows = turned(rows);
    rows = pass::<{ (FACTOR_BITS - PASS_BITS) as i32 }>(rows, |sum| _mm256_slli_epi16::<{ PASS_BITS as i32 }>(sum));
    rows = turned(rows);
    rows = pass::<{ (FACTOR_BITS + PASS_BITS) as i32 }>(rows, |sum| {
        _mm256_srai_epi16::<{ PASS_BITS as i32 }>(_mm256_add_epi16(sum, _mm256_set1_epi16(1 << (PASS_BITS - 1))))
    });
    quantised(quantiser, rows)
}

#[inline]
#[target_feature(enable = "avx2")]
fn turned([a, b, c, d, e, f, g, h]: Rows) -> Rows {
    let pairs = |one, other| (_mm256_unpacklo_epi16(one, other), _mm256_unpackhi_epi16(one, other));
    let fours = |one, other| (_mm256_unpacklo_epi32(one, other), _mm256_unpackhi_epi32(one, other));
    let eights = |one, other| [_mm256_unpacklo_epi64(one, other), _mm256_unpackhi_epi64(one, other)];
    let ((ab_low, ab_high), (cd_low, cd_high)) = (pairs(a, b), pairs(c, d));
    let ((ef_low, ef_high), (gh_low, gh_high)) = (pairs(e, f), pairs(g, h));
    let ((left01, left23), (left45, left67)) = (fours(ab_low, cd_low), fours(ab_high, cd_high));
    let ((right01, right23), (right45, right67)) = (fours(ef_low, gh_low), fours(ef_high, gh_high));
    let [row0, row1] = eights(left01, right01);
    let [row2, row3] = eights(left23, right23);
    let [row4, row5] = eights(left45, right45);
    let [row6, row7] = eights(left67, right67);
    [row0, row1, row2, row3, row4, row5, row6, row7]
}

/// Two rows, number by number, and their sums each times a factor, in 32 bits.
#[derive(Clone, Copy)]
struct Pair(__m256i, __m256i);

impl Pair {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(one: __m256i, other: __m256i) -> Self {
        Self(_mm256_unpacklo_epi16(one, other), _mm256_unpackhi_epi16(one, other))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn times(self, one: i16, other: i16) -> Self {
        let factors = _mm256_set1_epi32(i32::from(other) << 16 | i32::from(one) & 0xFFFF);
        Self(_mm256_madd_epi16(self.0, factors), _mm256_madd_epi16(self.1, factors))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn plus(self, other: Self) -> Self {
        Self(_mm256_add_epi32(self.0, other.0), _mm256_add_epi32(self.1, other.1))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn rounded<const BITS: i32>(self) -> __m256i {
        let half = _mm256_set1_epi32(1 << (BITS - 1));
        let round = |sum| _mm256_srai_epi32::<BITS>(_mm256_add_epi32(sum, half));
        _mm256_packs_epi32(round(self.0), round(self.1))
    }
}

/// The transform of `dct.rs`, its factors of the same number added up.
#[inline]
#[target_feature(enable = "avx2")]
fn pass<const BITS: i32>([a, b, c, d, e, f, g, h]: Rows, whole: impl Fn(__m256i) -> __m256i) -> Rows {
    let sum = |one, other| _mm256_add_epi16(one, other);
    let gap = |one, other| _mm256_sub_epi16(one, other);
    let (sum07, sum16, sum25, sum34) = (sum(a, h), sum(b, g), sum(c, f), sum(d, e));
    let (gap07, gap16, gap25, gap34) = (gap(a, h), gap(b, g), gap(c, f), gap(d, e));

    let (outer, inner) = (sum(sum07, sum34), sum(sum16, sum25));
    let even = Pair::new(gap(sum16, sum25), gap(sum07, sum34));

    let cross = Pair::new(sum(gap34, gap16), sum(gap25, gap07));
    let (z3, z4) = (cross.times(9633 - 16_069, 9633), cross.times(9633, 9633 - 3196));
    let (outside, inside) = (Pair::new(gap34, gap07), Pair::new(gap25, gap16));
    [
        whole(sum(outer, inner)),
        outside.times(-7373, 12_299 - 7373).plus(z4).rounded::<BITS>(),
        even.times(4433, 4433 + 6270).rounded::<BITS>(),
        inside.times(-20_995, 25_172 - 20_995).plus(z3).rounded::<BITS>(),
        whole(gap(outer, inner)),
        inside.times(16_819 - 20_995, -20_995).plus(z4).rounded::<BITS>(),
        even.times(4433 - 15_137, 4433).rounded::<BITS>(),
        outside.times(2446 - 7373, -7373).plus(z3).rounded::<BITS>(),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn quantised(quantiser: &Quantiser, rows: Rows) -> [Block; 2] {
    let table = |numbers: &[u16; 64], row: usize| {
        let numbers: &[u16; EDGE] = &numbers.as_chunks().0[row];
        // SAFETY: eight numbers of 16 bits are the 16 bytes that are read, at whatever address.
        _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(numbers.as_ptr().cast()) })
    };
    let mut blocks = [Block::default(); 2];
    let mut quantised = rows;
    for (row, numbers) in quantised.iter_mut().enumerate() {
        let corrected = _mm256_add_epi16(_mm256_abs_epi16(*numbers), table(&quantiser.corrections, row));
        let product = _mm256_mulhi_epu16(corrected, table(&quantiser.reciprocals, row));
        let size = _mm256_mulhi_epu16(product, table(&quantiser.scales, row));
        *numbers = _mm256_sign_epi16(size, *numbers);
        let halves = [_mm256_castsi256_si128(*numbers), _mm256_extracti128_si256::<1>(*numbers)];
        for (block, half) in blocks.iter_mut().zip(halves) {
            let values = &mut block.values.as_chunks_mut::<EDGE>().0[row];
            // SAFETY: eight numbers of 16 bits are the 16 bytes that are written, at whatever address.
            unsafe { _mm_storeu_si128(values.as_mut_ptr().cast(), half) };
        }
    }
    let mut zeros = [0; 2];
    for (pair, rows) in quantised.as_chunks::<2>().0.iter().enumerate() {
        let zero = _mm256_cmpeq_epi8(_mm256_packs_epi16(rows[0], rows[1]), _mm256_setzero_si256());
        let bits = _mm256_movemask_epi8(zero) as u32;
        zeros[0] |= u64::from(bits & 0xFFFF) << (16 * pair);
        zeros[1] |= u64::from(bits >> 16) << (16 * pair);
    }
    for (block, zeros) in blocks.iter_mut().zip(zeros) {
        block.some = !zeros;
    }
    blocks
}
