//! Filters of PNG rows undone (PNG 3rd edition, clause 9).

/// Bytes behind a row that are read and written with its last pixel, whatever they are.
pub(super) const PADDING: usize = 4;

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
    if is_x86_feature_detected!("avx") {
        return true;
    }
    false
}

/// Undoes the filter of `row`, whose pixels have `channels` (3 or 4) bytes, by the row `above`. Both are as long, [`PADDING`]
/// included.
pub(super) fn unfilter(filter: Filter, channels: usize, above: &[u8], row: &mut [u8]) {
    assert_eq!(above.len(), row.len(), "rows are as long");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        // SAFETY: the processor has what the functions were compiled for.
        return unsafe {
            match channels {
                3 => sse::unfilter::<3>(filter, above, row),
                _ => sse::unfilter::<4>(filter, above, row),
            }
        };
    }
    plain(filter, channels, above, row);
}

/// Undoes the filters of two rows, the `first` of which is below `above`: those of [`Filter::Paeth`], which most rows of
/// photographs have, side by side.
pub(super) fn unfilter_two(filters: [Filter; 2], channels: usize, above: &[u8], [first, second]: [&mut [u8]; 2]) {
    assert_eq!([first.len(), second.len()], [above.len(); 2], "rows are as long");
    #[cfg(target_arch = "x86_64")]
    if filters == [Filter::Paeth; 2] && is_x86_feature_detected!("avx") {
        // SAFETY: the processor has what the functions were compiled for.
        return unsafe {
            match channels {
                3 => sse::paeth_two::<3>(above, first, second),
                _ => sse::paeth_two::<4>(above, first, second),
            }
        };
    }
    unfilter(filters[0], channels, above, first);
    unfilter(filters[1], channels, first, second);
}

/// The definition.
pub(super) fn plain(filter: Filter, channels: usize, above: &[u8], row: &mut [u8]) {
    for at in 0..row.len() - PADDING {
        let left = |bytes: &[u8]| at.checked_sub(channels).map_or(0, |at| bytes[at]);
        let (a, b, c) = (left(row), above[at], left(above));
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
mod sse {
    use std::arch::x86_64::*;

    use super::{Filter, PADDING};

    #[target_feature(enable = "avx")]
    pub(super) fn unfilter<const N: usize>(filter: Filter, above: &[u8], row: &mut [u8]) {
        match filter {
            Filter::None => {}
            Filter::Up => {
                let length = row.len() - PADDING;
                for (byte, above) in row[..length].iter_mut().zip(above) {
                    *byte = byte.wrapping_add(*above);
                }
            }
            Filter::Sub => sub::<N>(row),
            Filter::Average => average::<N>(above, row),
            Filter::Paeth => paeth::<N>(above, row),
        }
    }

    /// Four bytes, of which N are the pixel at `at`.
    #[inline]
    #[target_feature(enable = "avx")]
    fn load(row: &[u8], at: usize) -> __m128i {
        _mm_cvtsi32_si128(i32::from_le_bytes(*row[at..].first_chunk().expect("rows are padded")))
    }

    #[inline]
    #[target_feature(enable = "avx")]
    fn store<const N: usize>(row: &mut [u8], at: usize, pixel: __m128i) {
        row[at..at + N].copy_from_slice(&_mm_cvtsi128_si32(pixel).to_le_bytes()[..N]);
    }

    #[target_feature(enable = "avx")]
    fn sub<const N: usize>(row: &mut [u8]) {
        let mut left = _mm_setzero_si128();
        for at in (0..row.len() - PADDING).step_by(N) {
            left = _mm_add_epi8(load(row, at), left);
            store::<N>(row, at, left);
        }
    }

    #[target_feature(enable = "avx")]
    fn average<const N: usize>(above: &[u8], row: &mut [u8]) {
        let mut left = _mm_setzero_si128();
        for at in (0..row.len() - PADDING).step_by(N) {
            let above = load(above, at);
            // The processor's mean is rounded up.
            let half = _mm_and_si128(_mm_xor_si128(left, above), _mm_set1_epi8(1));
            let mean = _mm_sub_epi8(_mm_avg_epu8(left, above), half);
            left = _mm_add_epi8(load(row, at), mean);
            store::<N>(row, at, left);
        }
    }

    #[target_feature(enable = "avx")]
    fn paeth<const N: usize>(above: &[u8], row: &mut [u8]) {
        let mut chain = Paeth::new();
        for at in (0..row.len() - PADDING).step_by(N) {
            let pixel = chain.next(_mm_cvtepu8_epi16(load(row, at)), _mm_cvtepu8_epi16(load(above, at)));
            store::<N>(row, at, _mm_packus_epi16(pixel, pixel));
        }
    }

    /// Pixels that the second row is behind the first, so that what is above it is there before the chain wants it.
    const BEHIND: usize = 3;

    /// Two rows, a pixel of each in one register.
    #[target_feature(enable = "avx")]
    pub(super) fn paeth_two<const N: usize>(above: &[u8], first: &mut [u8], second: &mut [u8]) {
        let length = first.len() - PADDING;
        let lag = BEHIND * N;
        if length <= lag {
            paeth::<N>(above, first);
            return paeth::<N>(first, second);
        }
        let mut chain = Paeth::new();
        // The last pixels of the first row, the oldest first.
        let mut before = [_mm_setzero_si128(); BEHIND];
        for (place, before) in before.iter_mut().enumerate() {
            let at = place * N;
            *before = chain.next(_mm_cvtepu8_epi16(load(first, at)), _mm_cvtepu8_epi16(load(above, at)));
            store::<N>(first, at, _mm_packus_epi16(*before, *before));
        }
        // Nothing is to the left of the second row.
        chain = Paeth { a: _mm_move_epi64(chain.a), c: _mm_move_epi64(chain.c) };
        for at in (lag..length).step_by(N) {
            let both = _mm_unpacklo_epi32(load(first, at), load(second, at - lag));
            let b = _mm_unpacklo_epi64(_mm_cvtepu8_epi16(load(above, at)), before[0]);
            let pixels = chain.next(_mm_cvtepu8_epi16(both), b);
            let bytes = _mm_packus_epi16(pixels, pixels);
            store::<N>(first, at, bytes);
            store::<N>(second, at - lag, _mm_srli_epi64::<32>(bytes));
            before = [before[1], before[2], pixels];
        }
        chain = Paeth { a: _mm_unpackhi_epi64(chain.a, chain.a), c: _mm_unpackhi_epi64(chain.c, chain.c) };
        for (place, before) in before.iter().enumerate() {
            let at = length - lag + place * N;
            let pixel = chain.next(_mm_cvtepu8_epi16(load(second, at)), *before);
            store::<N>(second, at, _mm_packus_epi16(pixel, pixel));
        }
    }

    /// Pixels in 16 bits a channel: the last one, and the one above it.
    struct Paeth {
        a: __m128i,
        c: __m128i,
    }

    impl Paeth {
        #[inline]
        #[target_feature(enable = "avx")]
        fn new() -> Self {
            Self { a: _mm_setzero_si128(), c: _mm_setzero_si128() }
        }

        /// The next pixel, below `b`.
        ///
        /// Of `a` (left), `b` (above) and `c` (the corner) only the first is new with each pixel, so that whatever else there is
        /// to compare is worked out before: `a` is nearest to the guess outside of the interval between `b` and `3c − 2b`, and
        /// inside of it the larger of `b` and `c` where `a` is beyond `(3c − b) / 2`, rounded so that of equals `b` is taken.
        #[inline]
        #[target_feature(enable = "avx")]
        fn next(&mut self, filtered: __m128i, b: __m128i) -> __m128i {
            let Self { a, c } = *self;
            let beyond = _mm_sub_epi16(_mm_add_epi16(c, _mm_add_epi16(c, c)), b);
            let opposite = _mm_sub_epi16(beyond, b);
            let (low, high) = (_mm_min_epi16(b, opposite), _mm_max_epi16(b, opposite));
            let middle = _mm_srai_epi16::<1>(_mm_add_epi16(beyond, _mm_cmpgt_epi16(b, c)));
            let (smaller, larger) = (_mm_min_epi16(b, c), _mm_max_epi16(b, c));

            let is_inside = _mm_and_si128(_mm_cmpgt_epi16(a, low), _mm_cmpgt_epi16(high, a));
            let inner = _mm_blendv_epi8(smaller, larger, _mm_cmpgt_epi16(a, middle));
            let nearest = _mm_blendv_epi8(a, inner, is_inside);
            // Sums of bytes do not reach the upper halves.
            *self = Self { a: _mm_add_epi8(filtered, nearest), c: b };
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
            bytes in proptest::collection::vec(any::<[u8; 3]>(), 12..600),
            channels in 3_usize..=4,
            codes in (0_u8..5, 0_u8..5),
        ) {
            let length = bytes.len() / channels * channels;
            let [above, first, second] = [0, 1, 2].map(|which| {
                let row = bytes[..length].iter().map(|bytes| bytes[which]);
                row.chain([7; PADDING]).collect::<Vec<_>>()
            });
            let filters = [codes.0, codes.1].map(|code| Filter::from_code(code).expect("a filter"));
            let mut expected = [first.clone(), second.clone()];
            plain(filters[0], channels, &above, &mut expected[0]);
            let [upper, lower] = &mut expected;
            plain(filters[1], channels, upper, lower);

            let mut row = first.clone();
            unfilter(filters[0], channels, &above, &mut row);
            prop_assert_eq!(&row, &expected[0]);
            let mut rows = [first, second];
            let [first, second] = &mut rows;
            unfilter_two(filters, channels, &above, [first, second]);
            prop_assert_eq!(rows, expected);
        }
    }
}
