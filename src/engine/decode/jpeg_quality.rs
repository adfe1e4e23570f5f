//! The quality that a JPEG file was saved at, estimated from its quantisation tables.
//!
//! ImageMagick's method (`JPEGSetImageQuality`, coders/jpeg.c): compare two figures of the tables, a sum of four
//! chosen entries and the sum of all, with those of libjpeg's standard tables at each quality, and take the first
//! quality whose figures are not above the file's. ImageMagick stores the figures as constants; here they are worked
//! out from the standard tables.

use crate::engine::jpeg_tables::{standard, tuned};

/// The estimate, 1–100, exact for files of our own; `None` where the tables are too unlike libjpeg's to tell.
///
/// `tables` by slot, in natural order; slot 0 is luma, slot 1 chroma.
pub(super) fn estimate(tables: &[Option<[u16; 64]>; 4]) -> Option<u8> {
    let luma = tables[0]?;
    let own = |quality: &u8| {
        [1, 2].iter().any(|coarseness| {
            let [own_luma, own_chroma] = tuned(*quality, *coarseness).map(|table| table.map(u16::from));
            luma == own_luma && tables[1].is_none_or(|chroma| chroma == own_chroma)
        })
    };
    // The finest luma is the same at several.
    if let Some(quality) = (1..=100).rev().find(own) {
        return Some(quality);
    }
    let sum: u32 = tables.iter().flatten().flatten().map(|value| u32::from(*value)).sum();
    let chosen = entries(&luma, 2, 53) + tables[1].map_or(0, |chroma| entries(&chroma, 0, 63));

    for quality in 1..=100 {
        let [standard_luma, standard_chroma] = standard(quality);
        let standard_chroma = tables[1].map(|_| standard_chroma);
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

fn entries<Step: Copy + Into<u32>>(table: &[Step; 64], first: usize, second: usize) -> u32 {
    table[first].into() + table[second].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slots of a file in colours, and of a gray one.
    fn slots([luma, chroma]: [[u8; 64]; 2]) -> [[Option<[u16; 64]>; 4]; 2] {
        let [luma, chroma] = [luma, chroma].map(|table| Some(table.map(u16::from)));
        [[luma, chroma, None, None], [luma, None, None, None]]
    }

    #[test]
    fn standard_tables_estimate_their_own_quality() {
        for quality in 1..=100 {
            let [color, gray] = slots(standard(quality));
            assert_eq!(estimate(&color), Some(quality), "colour at {quality}");
            let gray = estimate(&gray).expect("standard tables");
            assert!(gray.abs_diff(quality) <= 1, "gray at {quality} is estimated {gray}");
        }
    }

    #[test]
    fn our_own_tables_are_known() {
        for quality in 1..=100 {
            let [color, gray] = slots(tuned(quality, 2));
            let [fine, _] = slots(tuned(quality, 1));
            assert_eq!([estimate(&color), estimate(&fine)], [Some(quality); 2], "colour at {quality}");
            let gray = estimate(&gray).expect("our own table");
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
            let [luma, chroma] = standard(quality);
            assert_eq!(entries(&luma, 2, 53) + entries(&chroma, 0, 63), chosen, "{quality}");
            let total: u32 = luma.iter().chain(&chroma).map(|step| u32::from(*step)).sum();
            assert_eq!(total, sum, "{quality}");
        }
    }
}
