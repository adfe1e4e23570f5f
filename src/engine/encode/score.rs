//! How close an encoded picture is to the finished one: SSIMULACRA2, 100 for equal pictures, 90 for what is hard to tell
//! from the original, 70 for high and 50 for medium quality.
//!
//! Both pictures are taken as sRGB, whatever profile the result carries; gray is colour with equal channels, and alpha is
//! blended over the result's background. Up to [`WHOLE_PIXELS`] the picture is scored as it is. A larger one is scored
//! on so many of its pixels at full resolution: tiles spread evenly over it, moved together.

use std::borrow::Cow;
use std::ops::Range;

use fast_ssim2::{PixelDescriptor, PixelSlice, Ssimulacra2Reference};

use super::unencodable;
use crate::color::Color;
use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::op::canvas;
use crate::geometry::Size;
use crate::plan::output::OutputFormat;

/// Pixels that are scored at most.
const WHOLE_PIXELS: u64 = 4_000_000;

/// Longest edge of a tile.
const TILE_EDGE: u32 = 512;

/// What the metric holds for a pixel that it scores (measured: 110), with the two pictures it is given.
const BYTES_PER_SCORED_PIXEL: u64 = 118;

/// What a candidate takes for every pixel: decoded, and without its alpha.
const BYTES_PER_PIXEL: u64 = 8;

/// Bound on the memory that scoring a picture of `size` takes, in bytes.
pub(in crate::engine) fn memory_bytes(size: Size) -> u64 {
    size.area().min(WHOLE_PIXELS) * BYTES_PER_SCORED_PIXEL + size.area() * BYTES_PER_PIXEL
}

/// A finished picture that encoded ones are held against.
pub(super) struct Reference {
    metric: Ssimulacra2Reference,
    background: Color,
    format: OutputFormat,
}

impl Reference {
    /// Prepares `frame`, which is to be encoded as `format`.
    pub(super) fn new(frame: &Frame, background: Color, format: OutputFormat) -> Result<Self, Error> {
        let seen = seen(Cow::Borrowed(frame), background);
        let metric = slice(&seen).and_then(|pixels| Ssimulacra2Reference::new(&pixels).map_err(|e| e.to_string()));
        Ok(Self { metric: metric.map_err(|problem| unencodable(format, problem))?, background, format })
    }

    /// The score of `candidate`, a decoded picture of the same size.
    pub(super) fn score(&self, candidate: Frame) -> Result<f64, Error> {
        let seen = seen(Cow::Owned(candidate), self.background);
        let score = slice(&seen).and_then(|pixels| self.metric.compare(&pixels).map_err(|e| e.to_string()));
        score.map_err(|problem| unencodable(self.format, problem))
    }
}

fn slice(frame: &Frame) -> Result<PixelSlice<'_>, String> {
    let Size { width, height } = frame.size();
    let slice = PixelSlice::new(frame.pixels(), width, height, frame.stride(), PixelDescriptor::RGB8_SRGB);
    slice.map_err(|problem| problem.to_string())
}

/// The RGB pixels that are scored.
fn seen(frame: Cow<'_, Frame>, background: Color) -> Frame {
    let frame = match sampled(&frame) {
        Some(sample) => sample,
        None => frame.into_owned(),
    };
    canvas::flatten(frame, background).into_layout(Layout::Rgb)
}

/// The tiles of a picture that is too large to be scored whole, side by side as they lie in it.
fn sampled(frame: &Frame) -> Option<Frame> {
    let size = frame.size();
    if size.area() <= WHOLE_PIXELS {
        return None;
    }
    let share = (WHOLE_PIXELS as f64 / size.area() as f64).sqrt();
    let (columns, rows) = (bands(size.width, share), bands(size.height, share));
    let length = |bands: &[Range<usize>]| bands.iter().map(ExactSizeIterator::len).sum::<usize>();
    let (width, height) = (length(&columns), length(&rows));
    let channels = frame.layout().channels();
    let mut pixels = Vec::with_capacity(width * height * channels);
    for y in rows.into_iter().flatten() {
        let row = &frame.pixels()[y * frame.stride()..][..frame.stride()];
        for column in &columns {
            pixels.extend_from_slice(&row[column.start * channels..column.end * channels]);
        }
    }
    Frame::new(Size::new(width as u32, height as u32), frame.layout(), pixels)
}

/// Equal parts of an edge that together make `share` of it, each in the middle of its stretch; one pixel at least.
fn bands(edge: u32, share: f64) -> Vec<Range<usize>> {
    let kept = ((f64::from(edge) * share) as usize).clamp(1, edge as usize);
    let count = kept.div_ceil(TILE_EDGE as usize);
    let (edge, band) = (edge as usize, kept / count);
    let start = |index: usize| (2 * index + 1) * (edge - band * count) / (2 * count) + index * band;
    (0..count).map(|index| start(index)..start(index) + band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::tests::card;

    fn score(left: &Frame, right: Frame) -> f64 {
        Reference::new(left, Color::WHITE, OutputFormat::Webp).unwrap().score(right).unwrap()
    }

    #[test]
    fn equal_pictures_score_100_in_every_size_and_layout() {
        for (width, height) in [(1, 1), (7, 3), (8, 8), (64, 1), (61, 47)] {
            for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
                let frame = card(layout, width, height);
                let found = score(&frame, frame.clone());
                assert!((found - 100.0).abs() < 1e-6, "{layout:?} {width}×{height}: {found}");
            }
        }
    }

    #[test]
    fn what_shows_counts_and_what_does_not_does_not() {
        let clear = |rgb: [u8; 3]| Frame::filled(Size::new(40, 30), Layout::Rgba, [rgb[0], rgb[1], rgb[2], 0]);
        assert!((score(&clear([255, 0, 0]), clear([0, 0, 255])) - 100.0).abs() < 1e-6, "colours of clear pixels");
        let frame = card(Layout::Rgb, 61, 47);
        let mut other = frame.clone();
        other.pixels_mut().iter_mut().step_by(2).for_each(|value| *value = value.saturating_add(40));
        assert!(score(&frame, other) < 70.0);
        let refused = Reference::new(&frame, Color::WHITE, OutputFormat::Webp).unwrap().score(clear([0; 3]));
        assert!(matches!(refused, Err(Error::Unencodable { .. })), "another size");
    }

    #[test]
    fn bands_are_spread_evenly_inside_the_edge() {
        for (edge, share) in [(4000, 0.8), (9999, 0.4), (9999, 0.01), (3, 0.5), (1, 0.001), (30_000, 0.99)] {
            let bands = bands(edge, share);
            let kept: usize = bands.iter().map(ExactSizeIterator::len).sum();
            let wanted = (f64::from(edge) * share).max(1.0);
            assert!(kept as f64 <= wanted && kept as f64 > wanted - bands.len() as f64 - 1.0, "{edge} {share}: {kept}");
            assert!(bands.windows(2).all(|pair| pair[0].end <= pair[1].start), "{bands:?}");
            let (first, last) = (bands[0].start, edge as usize - bands[bands.len() - 1].end);
            assert!(first.abs_diff(last) <= bands.len(), "{bands:?}");
        }
    }

    #[test]
    fn large_pictures_are_sampled_all_over() {
        let small = card(Layout::Gray, 2000, 2000);
        assert_eq!(sampled(&small), None);
        let size = Size::new(2600, 2000);
        let frame = Frame::filled(size, Layout::Gray, [9; 4]);
        let sample = sampled(&frame).unwrap();
        assert!(sample.size().area() <= WHOLE_PIXELS && sample.size().area() > WHOLE_PIXELS * 99 / 100);
        // A mark of two tiles' width is seen wherever it lies.
        for corner in [(0, 0), (1500, 0), (0, 900), (1500, 900)] {
            let mut marked = frame.clone();
            for y in corner.1..corner.1 + 1024 {
                let row = y * frame.stride() + corner.0;
                marked.pixels_mut()[row..row + 1024].fill(200);
            }
            assert_ne!(sampled(&marked).unwrap(), sample, "{corner:?}");
        }
    }
}
