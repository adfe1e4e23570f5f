//! Filters of PNG rows undone (PNG 3rd edition, clause 9).

/// Bytes before a row, all zero, and behind it, whatever they are: rows that are done side by side begin and end one after
/// the other.
pub(super) const MARGIN: usize = 48;

/// Rows that may be done side by side.
pub(super) const GROUP: usize = 4;

/// How a row was filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    None,
    Sub,
    Up,
    Average,
    Paeth,
}

impl Filter {
    pub(super) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::None,
            1 => Self::Sub,
            2 => Self::Up,
            3 => Self::Average,
            4 => Self::Paeth,
            _ => return None,
        })
    }
}

/// Whether there is more than the definition: else the `png` crate is faster.
pub(super) fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        return true;
    }
    false
}

/// Undoes the filters of rows below `above`, whose pixels have `channels` (3 or 4) bytes; each row is below the one before. All
/// are as long, with a [`MARGIN`] on both sides. Those of [`Filter::Paeth`], which most rows of photographs have, are done side by
/// side.
pub(super) fn unfilter(filters: [Filter; GROUP], channels: usize, above: &[u8], rows: [&mut [u8]; GROUP]) {
    assert!(rows.iter().all(|row| row.len() == above.len()), "rows are as long");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the functions were compiled for.
        return unsafe {
            match channels {
                3 => simd::unfilter::<3>(filters, above, rows),
                _ => simd::unfilter::<4>(filters, above, rows),
            }
        };
    }
    let mut above = above;
    for (filter, row) in filters.into_iter().zip(rows) {
        plain(filter, channels, above, row);
        above = row;
    }
}

/// The definition.
pub(super) fn plain(filter: Filter, channels: usize, above: &[u8], row: &mut [u8]) {
    for at in MARGIN..row.len() - MARGIN {
        let (a, b, c) = (row[at - channels], above[at], above[at - channels]);
        let predicted = match filter {
            Filter::None => 0,
            Filter::Sub => a,
            Filter::Up => b,
            Filter::Average => ((u16::from(a) + u16::from(b)) / 2) as u8,
            Filter::Paeth => paeth(a, b, c),
        };
        row[at] = row[at].wrapping_add(predicted);
    }
}

/// The neighbour that is nearest to `a + b − c`; of equals the first.
fn paeth(a: u8, b: u8, c: u8) -> u8 {
    let guess = i16::from(a) + i16::from(b) - i16::from(c);
    let distance = |value: u8| (guess - i16::from(value)).abs();
    if distance(a) <= distance(b) && distance(a) <= distance(c) {
        a
    } else if distance(b) <= distance(c) {
        b
    } else {
        c
    }
}

/// A pixel at a time: each waits for the one before, so that the shortest way from one to the next is what counts.
#[cfg(target_arch = "x86_64")]
mod simd {
    use std::arch::x86_64::*;

    use super::{Filter, GROUP, MARGIN};

    #[target_feature(enable = "avx2")]
    pub(super) fn unfilter<const N: usize>(filters: [Filter; GROUP], above: &[u8], mut rows: [&mut [u8]; GROUP]) {
        if filters == [Filter::Paeth; GROUP] {
            return paeth::<N, GROUP>(above, &mut rows);
        }
        let [first, second, third, fourth] = rows;
        unfilter_two::<N>([filters[0], filters[1]], above, [first, &mut *second]);
        unfilter_two::<N>([filters[2], filters[3]], second, [third, fourth]);
    }

    #[target_feature(enable = "avx2")]
    fn unfilter_two<const N: usize>(filters: [Filter; 2], above: &[u8], [first, second]: [&mut [u8]; 2]) {
        if filters == [Filter::Paeth; 2] {
            return paeth::<N, 2>(above, &mut [first, second]);
        }
        unfilter_one::<N>(filters[0], above, first);
        unfilter_one::<N>(filters[1], first, second);
    }

    #[target_feature(enable = "avx2")]
    fn unfilter_one<const N: usize>(filter: Filter, above: &[u8], row: &mut [u8]) {
        match filter {
            Filter::None => {}
            Filter::Up => {
                for (byte, above) in row[MARGIN..].iter_mut().zip(&above[MARGIN..]) {
                    *byte = byte.wrapping_add(*above);
                }
            }
            Filter::Sub => sub::<N>(row),
            Filter::Average => average::<N>(above, row),
            Filter::Paeth => paeth::<N, 1>(above, &mut [row]),
        }
    }

    /// Four bytes, of which N are the pixel at `at`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(row: &[u8], at: usize) -> i32 {
        i32::from_le_bytes(*row[at..].first_chunk().expect("rows have margins"))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store<const N: usize>(row: &mut [u8], at: usize, pixel: i32) {
        row[at..at + N].copy_from_slice(&pixel.to_le_bytes()[..N]);
    }

    #[target_feature(enable = "avx2")]
    fn sub<const N: usize>(row: &mut [u8]) {
        let mut left = _mm_setzero_si128();
        for at in (MARGIN..row.len() - MARGIN).step_by(N) {
            left = _mm_add_epi8(_mm_cvtsi32_si128(load(row, at)), left);
            store::<N>(row, at, _mm_cvtsi128_si32(left));
        }
    }

    #[target_feature(enable = "avx2")]
    fn average<const N: usize>(above: &[u8], row: &mut [u8]) {
        let mut left = _mm_setzero_si128();
        for at in (MARGIN..row.len() - MARGIN).step_by(N) {
            let above = _mm_cvtsi32_si128(load(above, at));
            // The processor's mean is rounded up.
            let half = _mm_and_si128(_mm_xor_si128(left, above), _mm_set1_epi8(1));
            let mean = _mm_sub_epi8(_mm_avg_epu8(left, above), half);
            left = _mm_add_epi8(_mm_cvtsi32_si128(load(row, at)), mean);
            store::<N>(row, at, _mm_cvtsi128_si32(left));
        }
    }

    /// Pixels that a row is behind the one above it, so that what is above a pixel is there before the chain wants it.
    const BEHIND: usize = 3;

    /// Up to four rows, each below the one before, a pixel of each in one register.
    #[target_feature(enable = "avx2")]
    fn paeth<const N: usize, const ROWS: usize>(above: &[u8], rows: &mut [&mut [u8]; ROWS]) {
        const { assert!(ROWS <= 4 && (ROWS - 1) * BEHIND * N + 4 <= MARGIN) };
        let lag = |row: usize| row * BEHIND * N;
        let mut chain = Paeth { a: _mm256_setzero_si256(), c: _mm256_setzero_si256() };
        // The pixels before the last ones, the oldest first.
        let mut before = [_mm256_setzero_si256(); BEHIND];
        for at in (MARGIN..above.len() - MARGIN + lag(ROWS - 1)).step_by(N) {
            let pixel = |row: usize| if row < ROWS { load(rows[row], at - lag(row)) } else { 0 };
            let filtered = _mm256_cvtepu8_epi16(_mm_set_epi32(pixel(3), pixel(2), pixel(1), pixel(0)));
            let above = _mm256_castsi128_si256(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(load(above, at))));
            let one_row_down = _mm256_permute4x64_epi64::<0b10_01_00_00>(before[0]);
            let pixels = chain.next(filtered, _mm256_blend_epi32::<0b11>(one_row_down, above));
            let bytes = _mm256_packus_epi16(pixels, pixels);
            let (upper, lower) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
            store::<N>(rows[0], at, _mm_cvtsi128_si32(upper));
            if ROWS > 1 {
                store::<N>(rows[1], at - lag(1), _mm_extract_epi32::<1>(upper));
            }
            if ROWS > 2 {
                store::<N>(rows[2], at - lag(2), _mm_cvtsi128_si32(lower));
                store::<N>(rows[3], at - lag(3), _mm_extract_epi32::<1>(lower));
            }
            before = [before[1], before[2], pixels];
        }
    }

    /// Pixels in 16 bits a channel: the last ones, and those above them.
    struct Paeth {
        a: __m256i,
        c: __m256i,
    }

    impl Paeth {
        /// The next pixels, below `b`.
        ///
        /// Of `a` (left), `b` (above) and `c` (the corner) only the first is new with each pixel, so that whatever else there is
        /// to compare is worked out before: `a` is nearest to the guess outside of the interval between `b` and `3c − 2b`, and
        /// inside of it the larger of `b` and `c` where `a` is beyond `(3c − b) / 2`, rounded so that of equals `b` is taken.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn next(&mut self, filtered: __m256i, b: __m256i) -> __m256i {
            let Self { a, c } = *self;
            let beyond = _mm256_sub_epi16(_mm256_add_epi16(c, _mm256_add_epi16(c, c)), b);
            let opposite = _mm256_sub_epi16(beyond, b);
            let (low, high) = (_mm256_min_epi16(b, opposite), _mm256_max_epi16(b, opposite));
            let middle = _mm256_srai_epi16::<1>(_mm256_add_epi16(beyond, _mm256_cmpgt_epi16(b, c)));
            let (smaller, larger) = (_mm256_min_epi16(b, c), _mm256_max_epi16(b, c));

            let is_inside = _mm256_and_si256(_mm256_cmpgt_epi16(a, low), _mm256_cmpgt_epi16(high, a));
            let inner = _mm256_blendv_epi8(smaller, larger, _mm256_cmpgt_epi16(a, middle));
            let nearest = _mm256_blendv_epi8(a, inner, is_inside);
            // Sums of bytes do not reach the upper halves.
            *self = Self { a: _mm256_add_epi8(filtered, nearest), c: b };
            self.a
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

        #[test]
        fn kernels_agree(
            bytes in proptest::collection::vec(any::<[u8; 1 + GROUP]>(), 4..600),
            channels in 3_usize..=4,
            codes in any::<[bool; GROUP]>(), others in proptest::array::uniform4(0_u8..5),
        ) {
            let length = bytes.len() / channels * channels;
            let row = |which: usize| {
                let row = bytes[..length].iter().map(|bytes| bytes[which]);
                [0; MARGIN].into_iter().chain(row).chain([7; MARGIN]).collect::<Vec<_>>()
            };
            let code = |at: usize| Filter::from_code(if codes[at] { 4 } else { others[at] }).expect("a filter");
            let filters: [Filter; GROUP] = std::array::from_fn(code);
            let above = row(0);
            let mut expected: [Vec<u8>; 1 + GROUP] = std::array::from_fn(row);
            for (at, filter) in filters.into_iter().enumerate() {
                let (done, rest) = expected.split_at_mut(at + 1);
                plain(filter, channels, &done[at], &mut rest[0]);
            }
            let mut rows: [Vec<u8>; GROUP] = std::array::from_fn(|at| row(at + 1));
            unfilter(filters, channels, &above, rows.each_mut().map(Vec::as_mut_slice));
            for (row, expected) in rows.iter().zip(&expected[1..]) {
                let end = row.len() - MARGIN;
                prop_assert_eq!(&row[..end], &expected[..end]);
            }
        }
    }
}
