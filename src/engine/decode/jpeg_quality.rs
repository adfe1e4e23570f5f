//! The quality that a JPEG file was saved at, estimated from its quantisation tables.
//!
//! ImageMagick's method (`JPEGSetImageQuality`, coders/jpeg.c): compare two figures of the tables, a sum of four
//! chosen entries and the sum of all, with those of libjpeg's standard tables at each quality, and take the first
//! quality whose figures are not above the file's. ImageMagick stores the figures as constants; here they are worked
//! out from the standard tables.

/// The estimate, 1–100; `None` where the tables are too unlike libjpeg's to tell.
///
/// `tables` by slot, in natural order; slot 0 is luma, slot 1 chroma.
pub(super) fn estimate(tables: &[Option<[u16; 64]>; 4]) -> Option<u8> {
    let luma = tables[0]?;
    let sum: u32 = tables.iter().flatten().flatten().map(|value| u32::from(*value)).sum();
    let entries = |table: &[u16; 64], first: usize, second: usize| u32::from(table[first]) + u32::from(table[second]);
    let chosen = entries(&luma, 2, 53) + tables[1].map_or(0, |chroma| entries(&chroma, 0, 63));

    for quality in 1..=100 {
        let standard_luma = scaled(&LUMA, quality);
        let standard_chroma = tables[1].map(|_| scaled(&CHROMA, quality));
        let standard_chosen =
            entries(&standard_luma, 2, 53) + standard_chroma.map_or(0, |chroma| entries(&chroma, 0, 63));
        let standard_sum: u32 =
            standard_luma.iter().chain(standard_chroma.iter().flatten()).map(|value| u32::from(*value)).sum();
        if chosen < standard_chosen && sum < standard_sum {
            continue;
        }
        let close = chosen <= standard_chosen && sum <= standard_sum;
        return (close || quality > 50).then_some(quality);
    }
    Some(100)
}

/// A standard table at `quality` (1–100), as libjpeg's `jpeg_set_quality` scales it: 1–255.
pub(in crate::engine) fn scaled(table: &[u16; 64], quality: u8) -> [u16; 64] {
    let quality = u32::from(quality);
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    table.map(|value| ((u32::from(value) * percent + 50) / 100).clamp(1, 255) as u16)
}

/// T.81, table K.1, row by row.
#[rustfmt::skip]
pub(in crate::engine) const LUMA: [u16; 64] = [
    16, 11, 10, 16,  24,  40,  51,  61,
    12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,
    14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,
    24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103,  99,
];

/// T.81, table K.2, row by row.
#[rustfmt::skip]
pub(in crate::engine) const CHROMA: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_tables_estimate_their_own_quality() {
        for quality in 1..=100 {
            let color = [Some(scaled(&LUMA, quality)), Some(scaled(&CHROMA, quality)), None, None];
            let gray = [Some(scaled(&LUMA, quality)), None, None, None];
            assert_eq!(estimate(&color), Some(quality), "colour at {quality}");
            let gray = estimate(&gray).expect("standard tables");
            assert!(gray.abs_diff(quality) <= 1, "gray at {quality} is estimated {gray}");
        }
    }

    #[test]
    fn no_table_no_estimate() {
        assert_eq!(estimate(&[None; 4]), None);
    }

    /// First, middle and last rows of ImageMagick's constants.
    #[test]
    fn figures_are_image_magicks() {
        for (quality, chosen, sum) in [(1, 1020, 32640), (50, 247, 9017 + 176), (100, 4, 128)] {
            let (luma, chroma) = (scaled(&LUMA, quality), scaled(&CHROMA, quality));
            assert_eq!(luma[2] + luma[53] + chroma[0] + chroma[63], chosen, "{quality}");
            let total: u16 = luma.iter().chain(&chroma).sum();
            assert_eq!(total, sum, "{quality}");
        }
    }
}
