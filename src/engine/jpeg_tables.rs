//! Quantisation tables of JPEG: those that files are written with, and libjpeg's, which most other files have.

/// Steps of luma (0) and chroma (1), row by row.
pub(in crate::engine) type Tables = [[u8; 64]; 2];

/// The tables that mogr writes at `quality` (1–100); `coarseness` is how many times coarser than luma chroma is.
///
/// They make about as many bytes as libjpeg's at the same quality, and better pictures of them: steps grow less with the frequency,
/// and coarse colours are kept better. Found by search: the step is e to the power of a polynomial in the distance from the
/// corner, whose terms had the highest SSIMULACRA2 at equal bytes on 35 photographs of 500 to 1200 pixels, at qualities from 45
/// to 89 (`docs/performance.md`). Chroma that is as fine as luma, as at the highest qualities, wants libjpeg's own steps.
pub(in crate::engine) fn tuned(quality: u8, coarseness: usize) -> Tables {
    let chroma = if coarseness == 1 { STANDARD_CHROMA } else { COARSE_CHROMA };
    [LUMA, chroma].map(|table| scaled(&table, quality))
}

/// libjpeg's standard tables at `quality` (1–100).
pub(in crate::engine) fn standard(quality: u8) -> Tables {
    [STANDARD_LUMA, STANDARD_CHROMA].map(|table| scaled(&table, quality))
}

/// A table at `quality`, as libjpeg's `jpeg_set_quality` scales it.
fn scaled(table: &[u16; 64], quality: u8) -> [u8; 64] {
    let quality = u32::from(quality.clamp(1, 100));
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    table.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as u8)
}

/// Luma at quality 50, row by row.
#[rustfmt::skip]
const LUMA: [u16; 64] = [
     7, 13, 17, 22, 29, 36, 44, 50,
    13, 21, 25, 30, 37, 44, 52, 59,
    17, 25, 30, 36, 43, 51, 59, 65,
    22, 30, 36, 43, 50, 58, 65, 70,
    29, 37, 43, 50, 58, 65, 71, 74,
    36, 44, 51, 58, 65, 71, 75, 76,
    44, 52, 59, 65, 71, 75, 76, 75,
    50, 59, 65, 70, 74, 76, 75, 70,
];

/// Chroma half as wide and high as luma, at quality 50, row by row.
#[rustfmt::skip]
const COARSE_CHROMA: [u16; 64] = [
     8, 13, 19, 27, 36, 46, 55, 63,
    13, 13, 18, 25, 34, 43, 52, 59,
    19, 18, 22, 28, 35, 44, 51, 57,
    27, 25, 28, 33, 39, 46, 53, 57,
    36, 34, 35, 39, 44, 50, 55, 58,
    46, 43, 44, 46, 50, 54, 57, 57,
    55, 52, 51, 53, 55, 57, 57, 56,
    63, 59, 57, 57, 58, 57, 56, 53,
];

/// T.81, table K.1, row by row.
#[rustfmt::skip]
const STANDARD_LUMA: [u16; 64] = [
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
const STANDARD_CHROMA: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
];
