//! Baseline JPEG, with Huffman codes made for each file (ITU-T T.81, annexes B, F and K).
//!
//! Every file is byte for byte what libjpeg-turbo writes with the same tables, optimised codes and its accurate transform. That one holds all
//! coefficients and walks through each of the 64 of a block to count them, which takes twice as long as everything else. Here
//! only those that are not zero are looked at: they become symbols, which are counted, kept and written.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod color;
mod dct;
mod huffman;
mod scan;
#[cfg(all(test, feature = "native"))]
mod tests;

use huffman::{Codes, Kind, Writer};
use scan::Scan;

use crate::engine::Error;
use crate::engine::jpeg_tables::Tables;
use crate::engine::limits::Cancel;
use crate::geometry::Size;

/// Samples of one component, row by row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane<'a> {
    pub(super) samples: &'a [u8],
    pub(super) width: usize,
    pub(super) height: usize,
}

/// What is encoded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Picture<'a> {
    /// Y alone.
    Gray(Plane<'a>),
    /// Y, Cb and Cr, of which these have a sample for `coarseness` × `coarseness` pixels, the last rounded up.
    Planes {
        luma: Plane<'a>,
        chroma: [Plane<'a>; 2],
        /// 1 or 2.
        coarseness: usize,
    },
    /// Three bytes a pixel; chroma is made that coarse.
    Rgb {
        pixels: Plane<'a>,
        /// 1 or 2.
        coarseness: usize,
    },
}

/// What stands in a file beside its pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading<'a> {
    pub(super) tables: Tables,
    /// Pixels an inch, where that is known.
    pub(super) density_dpi: Option<u16>,
    pub(super) icc: Option<&'a [u8]>,
}

impl Picture<'_> {
    /// Width and height in pixels.
    const fn size(&self) -> (usize, usize) {
        match self {
            Self::Gray(luma) | Self::Planes { luma, .. } => (luma.width, luma.height),
            Self::Rgb { pixels, .. } => (pixels.width, pixels.height),
        }
    }

    /// How many times coarser than luma chroma is, if there is any.
    pub(super) const fn coarseness(&self) -> Option<usize> {
        match self {
            Self::Gray(_) => None,
            Self::Planes { coarseness, .. } | Self::Rgb { coarseness, .. } => Some(*coarseness),
        }
    }

    /// Blocks of a unit across and down, for each component.
    const fn samplings(&self) -> &'static [usize] {
        match self.coarseness() {
            None => &[1],
            Some(1) => &[1, 1, 1],
            Some(_) => &[2, 1, 1],
        }
    }

    /// Whether the samples are as many as the sizes say.
    fn is_whole(&self) -> bool {
        let fits = |plane: &Plane<'_>, width: usize, height: usize, bytes: usize| {
            (plane.width, plane.height) == (width, height) && plane.samples.len() == width * height * bytes
        };
        let (width, height) = self.size();
        width > 0
            && height > 0
            && match self {
                Self::Gray(luma) => fits(luma, width, height, 1),
                Self::Planes { luma, chroma, coarseness } => {
                    let (columns, rows) = (width.div_ceil(*coarseness), height.div_ceil(*coarseness));
                    fits(luma, width, height, 1) && chroma.iter().all(|plane| fits(plane, columns, rows, 1))
                }
                Self::Rgb { pixels, .. } => fits(pixels, width, height, 3),
            }
    }
}

/// Of quantisation and of codes: 0 for luma, 1 for chroma.
const fn table_of(component: usize) -> usize {
    if component == 0 { 0 } else { 1 }
}

/// Bytes that [`compress`] takes beside the picture and the file; `coarseness` is that of chroma, if there is any.
pub(in crate::engine) fn memory_bytes(size: Size, coarseness: Option<u32>) -> u64 {
    let sampling = coarseness.unwrap_or(1);
    let units = |edge: u32| u64::from(edge.div_ceil(8 * sampling));
    let blocks = coarseness.map_or(1, |coarseness| u64::from(coarseness * coarseness) + 2);
    let of_row = units(size.width) * blocks;
    of_row * scan::ROW_BYTES_A_BLOCK + of_row * units(size.height) * scan::KEPT_BYTES_A_BLOCK
}

/// The file of a picture.
///
/// # Errors
/// [`Error::Cancelled`].
///
/// # Panics
/// Where a plane has not the samples that its size says, or chroma not the size that luma says.
pub(super) fn compress(picture: Picture<'_>, heading: &Heading<'_>, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    assert!(picture.is_whole(), "a picture has its samples");
    let (mut scan, counts) = Scan::read(picture, &heading.tables, cancel)?;
    let samplings = picture.samplings();
    let kinds = if samplings.len() == 1 { 1 } else { 2 };
    let mut file = begin(heading);
    for (index, table) in heading.tables[..kinds].iter().enumerate() {
        segment(&mut file, 0xDB, &[&[index as u8], &dct::in_zigzag_order(table)]);
    }
    begin_frame(&mut file, samplings, picture.size());
    let mut codes = Codes::default();
    for table in 0..kinds {
        for kind in [Kind::Difference, Kind::Coefficient] {
            let made = codes.make(table, kind, &counts);
            segment(&mut file, 0xC4, &[&[((kind as usize) << 4 | table) as u8], &made.counts, &made.symbols]);
        }
    }
    begin_scan(&mut file, samplings);
    let bytes = codes.bytes(&counts);
    // One byte in 256 is of ones; and the end.
    file.reserve_exact(bytes + bytes / 200 + 16);
    let mut writer = Writer::new(file);
    scan.write(&codes, &mut writer, cancel)?;
    let mut file = writer.finish();
    file.extend_from_slice(&[0xFF, 0xD9]);
    Ok(file)
}

/// Start of the image, and the segments that say what its numbers mean.
fn begin(heading: &Heading<'_>) -> Vec<u8> {
    let mut file = vec![0xFF, 0xD8];
    let (unit, density) = heading.density_dpi.filter(|dpi| *dpi > 0).map_or((0, 1), |dpi| (1, dpi));
    let [high, low] = density.to_be_bytes();
    segment(&mut file, 0xE0, &[b"JFIF\0", &[1, 1, unit, high, low, high, low, 0, 0]]);
    let parts = heading.icc.unwrap_or_default().chunks(65_535 - 2 - 14);
    let count = parts.len() as u8;
    for (number, part) in (1..).zip(parts) {
        segment(&mut file, 0xE2, &[b"ICC_PROFILE\0", &[number, count], part]);
    }
    file
}

fn begin_frame(file: &mut Vec<u8>, samplings: &[usize], (width, height): (usize, usize)) {
    let [[y1, y0], [x1, x0]] = [height, width].map(|edge| (edge as u16).to_be_bytes());
    let mut body = vec![8, y1, y0, x1, x0, samplings.len() as u8];
    for (component, sampling) in samplings.iter().enumerate() {
        body.extend_from_slice(&[component as u8 + 1, (sampling << 4 | sampling) as u8, table_of(component) as u8]);
    }
    segment(file, 0xC0, &[&body]);
}

fn begin_scan(file: &mut Vec<u8>, samplings: &[usize]) {
    let mut body = vec![samplings.len() as u8];
    for component in 0..samplings.len() {
        body.extend_from_slice(&[component as u8 + 1, (table_of(component) * 0x11) as u8]);
    }
    segment(file, 0xDA, &[&body, &[0, 63, 0]]);
}

fn segment(file: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    file.extend_from_slice(&[0xFF, marker]);
    file.extend_from_slice(&(length as u16).to_be_bytes());
    for part in parts {
        file.extend_from_slice(part);
    }
}
