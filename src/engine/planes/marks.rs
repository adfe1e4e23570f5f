//! Marks painted on planes, where nothing else is left to do.

use super::{Planes, ycc};
use crate::engine::image::{Frame, Layout};
use crate::engine::op::composite::{self, FULL, color_and_cover, mix};
use crate::geometry::{Rect, Size};

impl Planes {
    /// Paints `mark` at a corner, as [`composite::over`] does on a frame, each sample rounded half up once. A coarse sample of
    /// chroma is covered as much as its pixels are in the mean. Gray becomes colour under a mark that has some.
    pub(in crate::engine) fn paint(&mut self, mark: &Frame, at: (i64, i64), dissolve_percent: u8) {
        let Some(covered) = Rect::clipped(at.0, at.1, mark.size(), self.size()) else { return };
        let cover = Cover { mark, at, opacity: composite::opacity(dissolve_percent), covered };
        if self.chroma.is_none() && composite::has_color(mark) {
            let Size { width, height } = self.size();
            let size = Size::new(width.div_ceil(self.coarseness), height.div_ceil(self.coarseness));
            let neutral = Frame::filled(size, Layout::Gray, [128; 4]);
            self.chroma = Some([neutral.clone(), neutral]);
        }
        let size = self.size();
        paint_luma(&mut self.luma, &cover);
        if let Some(chroma) = &mut self.chroma {
            paint_chroma(chroma, &cover, self.coarseness, size);
        }
    }
}

/// A mark where it lies.
struct Cover<'a> {
    mark: &'a Frame,
    at: (i64, i64),
    /// Percent.
    opacity: u32,
    /// The part of the picture that it lies on.
    covered: Rect,
}

impl Cover<'_> {
    fn rows(&self) -> std::ops::Range<u32> {
        self.covered.y..self.covered.y + self.covered.size.height
    }

    fn columns(&self) -> std::ops::Range<u32> {
        self.covered.x..self.covered.x + self.covered.size.width
    }

    /// The mark's pixels on row `y` of the picture, from the first column on.
    fn row(&self, y: u32) -> impl Iterator<Item = ([u8; 3], u32)> {
        let (left, top) = (i64::from(self.covered.x) - self.at.0, i64::from(y) - self.at.1);
        let row = &self.mark.pixels()[top as usize * self.mark.stride()..][..self.mark.stride()];
        let pixels = row.chunks_exact(self.mark.layout().channels()).skip(left as usize);
        pixels.take(self.covered.size.width as usize).map(|pixel| color_and_cover(pixel, self.opacity))
    }
}

fn paint_luma(luma: &mut Frame, cover: &Cover<'_>) {
    let stride = luma.stride();
    for y in cover.rows() {
        let samples = &mut luma.pixels_mut()[y as usize * stride..][cover.covered.x as usize..];
        for (sample, (color, cover)) in samples.iter_mut().zip(cover.row(y)) {
            if cover > 0 {
                *sample = mix(ycc(color)[0].into(), cover, (*sample).into(), FULL - cover);
            }
        }
    }
}

/// What lies on a sample of chroma: the cover of its pixels, and each difference times its cover.
#[derive(Clone, Copy, Default)]
struct Sum {
    cover: u32,
    differences: [u32; 2],
}

fn paint_chroma(chroma: &mut [Frame; 2], cover: &Cover<'_>, coarseness: u32, size: Size) {
    let (rows, columns) = (cover.rows(), cover.columns());
    let first = columns.start / coarseness;
    let mut sums = vec![Sum::default(); (columns.end.div_ceil(coarseness) - first) as usize];
    for row in rows.start / coarseness..rows.end.div_ceil(coarseness) {
        sums.fill(Sum::default());
        let pixels_down = row * coarseness..((row + 1) * coarseness).min(size.height);
        for y in pixels_down.start.max(rows.start)..pixels_down.end.min(rows.end) {
            for (x, (color, cover)) in columns.clone().zip(cover.row(y)) {
                let sum = &mut sums[(x / coarseness - first) as usize];
                let [_, cb, cr] = ycc(color).map(u32::from);
                sum.cover += cover;
                sum.differences[0] += cover * cb;
                sum.differences[1] += cover * cr;
            }
        }
        for (column, sum) in (first..).zip(&sums).filter(|(_, sum)| sum.cover > 0) {
            let across = coarseness.min(size.width - column * coarseness);
            let whole = across * pixels_down.len() as u32 * FULL;
            for (plane, difference) in chroma.iter_mut().zip(sum.differences) {
                let at = row as usize * plane.stride() + column as usize;
                let sample = &mut plane.pixels_mut()[at];
                *sample = ((difference + u32::from(*sample) * (whole - sum.cover) + whole / 2) / whole) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::op::cards;

    fn planes(size: Size, coarseness: u32, [y, cb, cr]: [u8; 3]) -> Planes {
        let filled = |size, sample| Frame::filled(size, Layout::Gray, [sample; 4]);
        let coarse = Size::new(size.width.div_ceil(coarseness), size.height.div_ceil(coarseness));
        Planes { luma: filled(size, y), chroma: Some([filled(coarse, cb), filled(coarse, cr)]), coarseness }
    }

    /// Where chroma is as fine as luma it is what becomes of a frame, but for what is rounded on the way.
    #[test]
    fn it_is_over_on_frames() {
        let pixels: Vec<[u8; 4]> = (0..35_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let mark = cards::rgba(7, &pixels);
        for (at, dissolve) in [((0, 0), 100), ((3, 2), 60), ((-2, -3), 100), ((8, 6), 30), ((20, 0), 100)] {
            let mut fine = planes(Size::new(11, 9), 1, [90, 100, 170]);
            let mut frame = fine.clone().into_frame();
            fine.paint(&mark, at, dissolve);
            composite::over(&mut frame, &mark, at, dissolve);
            for (own, expected) in fine.into_frame().pixels().iter().zip(frame.pixels()) {
                assert!(own.abs_diff(*expected) <= 3, "{at:?} at {dissolve}: {own} for {expected}");
            }
        }
    }

    #[test]
    fn coarse_chroma_is_covered_as_its_pixels_are() {
        let red = cards::rgba(1, &[[255, 0, 0, 255]]);
        let [_, cb, cr] = ycc([255, 0, 0]).map(u32::from);
        let mean = |own: u32, other: u32, of: u32| ((own + other * (of - 1) + of / 2) / of) as u8;
        for (size, at, pixels) in [((4, 4), (1, 1), 4), ((3, 3), (2, 1), 2), ((3, 3), (2, 2), 1)] {
            let mut coarse = planes(Size::new(size.0, size.1), 2, [50, 128, 128]);
            coarse.paint(&red, at, 100);
            let [blue, other] = coarse.chroma.expect("colour");
            let at = (at.1 / 2 * i64::from(blue.size().width) + at.0 / 2) as usize;
            assert_eq!(blue.pixels()[at], mean(cb, 128, pixels), "{size:?}");
            assert_eq!(other.pixels()[at], mean(cr, 128, pixels), "{size:?}");
            assert_eq!(blue.pixels().iter().filter(|sample| **sample != 128).count(), 1);
        }
    }

    #[test]
    fn gray_takes_on_colour_only_where_the_mark_has_it() {
        for (color, has_chroma) in [([255, 0, 0, 255], true), ([9, 9, 9, 255], false)] {
            let mut gray = Planes { chroma: None, ..planes(Size::new(5, 5), 2, [50; 3]) };
            gray.paint(&cards::rgba(1, &[color]), (0, 0), 100);
            assert_eq!(gray.luma.pixels()[0], ycc([color[0], color[1], color[2]])[0]);
            assert_eq!(gray.chroma.is_some(), has_chroma);
        }
    }
}
