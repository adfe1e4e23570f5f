//! Rows of pixels to rows of Y, Cb and Cr, number for number those of libjpeg's `jccolor` and `jcsample`.

use super::{Picture, Plane, dct};
use crate::engine::planes::ycc;

/// A picture in rows of units.
pub(super) struct Strips<'a> {
    picture: Picture<'a>,
    /// What a row of units of RGB becomes.
    planes: [Vec<u8>; 3],
    /// Cb and Cr of two rows of pixels that are to share samples.
    fine: [Vec<u8>; 2],
}

impl<'a> Strips<'a> {
    pub(super) fn new(picture: Picture<'a>) -> Self {
        let (planes, fine) = match picture {
            Picture::Rgb { pixels, coarseness } => {
                let luma = vec![0; pixels.width * dct::EDGE * coarseness];
                let chroma = vec![0; pixels.width.next_multiple_of(dct::EDGE * coarseness) / coarseness * dct::EDGE];
                let fine = vec![0; widened(pixels.width) * 2];
                ([luma, chroma.clone(), chroma], [fine.clone(), fine])
            }
            Picture::Gray(_) | Picture::Planes { .. } => Default::default(),
        };
        Self { picture, planes, fine }
    }

    /// The planes of a row of units, as high as the picture reaches; one of them where it is gray, and two without samples.
    pub(super) fn planes(&mut self, row: usize) -> [Plane<'_>; 3] {
        const NONE: Plane<'_> = Plane { samples: &[], width: 0, height: 0 };
        match self.picture {
            Picture::Gray(luma) => [part(luma, row, dct::EDGE), NONE, NONE],
            Picture::Planes { luma, chroma: [cb, cr], coarseness } => {
                [part(luma, row, dct::EDGE * coarseness), part(cb, row, dct::EDGE), part(cr, row, dct::EDGE)]
            }
            Picture::Rgb { pixels, coarseness } => self.converted(pixels, coarseness, row),
        }
    }

    fn converted(&mut self, pixels: Plane<'_>, coarseness: usize, row: usize) -> [Plane<'_>; 3] {
        let width = pixels.width;
        let strip = rows(pixels, row, dct::EDGE * coarseness, 3);
        let height = strip.len() / (3 * width);
        let coarse = if coarseness == 1 {
            let [y, cb, cr] = self.planes.each_mut().map(|plane| &mut plane[..width * height]);
            convert(strip, y, cb, cr);
            (width, height)
        } else {
            let pairs = height.div_ceil(2);
            for pair in 0..pairs {
                self.convert_pair(strip, width, pair);
            }
            (widened(width) / 2, pairs)
        };
        let sizes = [(width, height), coarse, coarse];
        std::array::from_fn(|index| {
            let (width, height) = sizes[index];
            Plane { samples: &self.planes[index][..width * height], width, height }
        })
    }

    /// Two rows of pixels, of which the second may be the first again, to two of luma and one of chroma.
    fn convert_pair(&mut self, strip: &[u8], width: usize, pair: usize) {
        let [y, cb, cr] = &mut self.planes;
        let wide = widened(width);
        let last = strip.len() / (3 * width) - 1;
        for half in 0..2 {
            let row = (2 * pair + half).min(last);
            let [fine_cb, fine_cr] = self.fine.each_mut().map(|fine| &mut fine[half * wide..][..wide]);
            let pixels = &strip[row * width * 3..][..width * 3];
            convert(pixels, &mut y[row * width..][..width], &mut fine_cb[..width], &mut fine_cr[..width]);
            for fine in [fine_cb, fine_cr] {
                let last = fine[width - 1];
                fine[width..].fill(last);
            }
        }
        for (fine, coarse) in self.fine.iter().zip([cb, cr]) {
            let (upper, lower) = fine.split_at(wide);
            average(upper, lower, &mut coarse[pair * wide / 2..][..wide / 2]);
        }
    }
}

/// Rows go on with their last pixel to the end of their unit before chroma is averaged: what stands there is not its last
/// mean, as halves are rounded up and down in turns.
const fn widened(width: usize) -> usize {
    width.next_multiple_of(2 * dct::EDGE)
}

/// The rows of a plane in a row of units.
fn part(plane: Plane<'_>, row: usize, height: usize) -> Plane<'_> {
    let samples = rows(plane, row, height, 1);
    Plane { samples, width: plane.width, height: samples.len() / plane.width }
}

fn rows(plane: Plane<'_>, row: usize, height: usize, bytes: usize) -> &[u8] {
    let stride = plane.width * bytes;
    let end = (row + 1) * height;
    &plane.samples[row * height * stride..end.min(plane.height) * stride]
}

/// [`ycc`] of pixels.
fn convert(pixels: &[u8], y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { convert_avx2(pixels, y, cb, cr) };
    }
    convert_all(pixels, y, cb, cr);
}

/// [`convert_all`] compiled for newer processors; the same source, hence the same samples.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn convert_avx2(pixels: &[u8], y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    convert_all(pixels, y, cb, cr);
}

#[inline(always)]
fn convert_all(pixels: &[u8], y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    for (((pixel, y), cb), cr) in pixels.as_chunks::<3>().0.iter().zip(y).zip(cb).zip(cr) {
        [*y, *cb, *cr] = ycc(*pixel);
    }
}

/// Means of four samples; a half is rounded down in even columns and up in odd ones.
fn average(upper: &[u8], lower: &[u8], coarse: &mut [u8]) {
    let squares = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
    for (at, (mean, (upper, lower))) in coarse.iter_mut().zip(squares).enumerate() {
        let sum: u16 = upper.iter().chain(lower).copied().map(u16::from).sum();
        *mean = ((sum + 1 + (at as u16 & 1)) >> 2) as u8;
    }
}
