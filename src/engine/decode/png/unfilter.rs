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

    /// In 16 bits. Of `a` (left), `b` (above) and `c` (the corner) only the first is new with each pixel, so that whatever else
    /// there is to compare is worked out before: `a` is nearest to the guess outside of the interval between `b` and `3c − 2b`,
    /// and inside of it the larger of `b` and `c` where `a` is beyond `(3c − b) / 2`, rounded so that of equals `b` is taken.
    #[target_feature(enable = "avx")]
    fn paeth<const N: usize>(above: &[u8], row: &mut [u8]) {
        let (mut a, mut c) = (_mm_setzero_si128(), _mm_setzero_si128());
        for at in (0..row.len() - PADDING).step_by(N) {
            let b = _mm_cvtepu8_epi16(load(above, at));
            let beyond = _mm_sub_epi16(_mm_add_epi16(c, _mm_add_epi16(c, c)), b);
            let opposite = _mm_sub_epi16(beyond, b);
            let (low, high) = (_mm_min_epi16(b, opposite), _mm_max_epi16(b, opposite));
            let middle = _mm_srai_epi16::<1>(_mm_add_epi16(beyond, _mm_cmpgt_epi16(b, c)));
            let (smaller, larger) = (_mm_min_epi16(b, c), _mm_max_epi16(b, c));

            let is_inside = _mm_and_si128(_mm_cmpgt_epi16(a, low), _mm_cmpgt_epi16(high, a));
            let inner = _mm_blendv_epi8(smaller, larger, _mm_cmpgt_epi16(a, middle));
            let nearest = _mm_blendv_epi8(a, inner, is_inside);
            // Sums of bytes do not reach the upper halves.
            a = _mm_add_epi8(_mm_cvtepu8_epi16(load(row, at)), nearest);
            store::<N>(row, at, _mm_packus_epi16(a, a));
            c = b;
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
            bytes in proptest::collection::vec((any::<u8>(), any::<u8>()), 12..600),
            channels in 3_usize..=4,
            code in 0_u8..5,
        ) {
            let length = bytes.len() / channels * channels;
            let padded = |mut row: Vec<u8>| {
                row.truncate(length);
                row.extend_from_slice(&[7; PADDING]);
                row
            };
            let (above, row): (Vec<u8>, Vec<u8>) = bytes.into_iter().unzip();
            let (above, mut row) = (padded(above), padded(row));
            let mut expected = row.clone();
            let filter = Filter::from_code(code).expect("a filter");
            unfilter(filter, channels, &above, &mut row);
            plain(filter, channels, &above, &mut expected);
            prop_assert_eq!(row, expected);
        }
    }
}
