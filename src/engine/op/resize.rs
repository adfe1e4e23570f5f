//! Scaling to an exact size.

use std::ops::Range;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::resample::{Axis, Resampler, Samples};
use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::light::Light;
use crate::engine::limits::Cancel;
use crate::geometry::Size;

/// Scales `frame` to `size` with a Lanczos kernel of three lobes, widened for shrinking; the layout stays.
///
/// RGBA is weighted by its alpha, so that the colour of transparent pixels does not bleed. A frame that has the size
/// already is returned untouched. Some pictures are scaled in their stored numbers whatever the light
/// (`Light::for_resize`). Kernels differ in instructions between processors, not in results.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn resize(frame: Frame, size: Size, light: Light, cancel: &Cancel) -> Result<Frame, Error> {
    if frame.size() == size {
        Ok(frame)
    } else if size.exceeds(frame.size()) {
        Ok(resize_codes(&frame, size))
    } else {
        let light = light.for_resize(frame.size(), size, frame.layout() == Layout::Rgba);
        resize_rows(&frame, size, light, cancel)
    }
}

/// Scales `frame` row by row in the numbers of `light`, whatever the picture.
///
/// # Errors
/// [`Error::Cancelled`].
pub(in crate::engine) fn resize_rows(frame: &Frame, size: Size, light: Light, cancel: &Cancel) -> Result<Frame, Error> {
    let mut scaler = Scaler::in_numbers_of(light, frame.size(), frame.layout(), size);
    for row in frame.pixels().chunks_exact(frame.stride()) {
        cancel.check()?;
        scaler.push(row);
    }
    Ok(scaler.finish())
}

/// A picture that is scaled while its rows come, to what [`resize`] makes of the whole where it becomes smaller.
pub(in crate::engine) struct Scaler {
    resampler: Resampler,
    /// Samples of a row that are needed.
    part: Range<usize>,
    /// Row that comes next.
    row: usize,
    size: Size,
    layout: Layout,
}

impl Scaler {
    /// For rows of a picture of size `from`, to be made smaller.
    pub(in crate::engine) fn new(from: Size, layout: Layout, size: Size, light: Light) -> Self {
        Self::in_numbers_of(light.for_resize(from, size, layout == Layout::Rgba), from, layout, size)
    }

    fn in_numbers_of(light: Light, from: Size, layout: Layout, size: Size) -> Self {
        let samples = match layout {
            Layout::Gray => Samples::One,
            Layout::Rgb => Samples::Three,
            Layout::Rgba => Samples::Four,
        };
        let axis = |from: u32, to: u32| Axis::new(0..from as usize, (0.0, f64::from(from)), to);
        let (columns, rows) = (axis(from.width, size.width), axis(from.height, size.height));
        let resampler = Resampler::new(columns, rows, samples, light.curve());
        let needed = resampler.columns_needed();
        let part = needed.start * samples.count()..needed.end * samples.count();
        Self { resampler, part, row: 0, size, layout }
    }

    /// Takes the next row.
    ///
    /// # Panics
    /// Where it is shorter than the picture is wide.
    pub(in crate::engine) fn push(&mut self, row: &[u8]) {
        if self.resampler.next_row() == Some(self.row) {
            self.resampler.push(&row[self.part.clone()]);
        }
        self.row += 1;
    }

    /// The scaled picture, once all rows came.
    pub(in crate::engine) fn finish(self) -> Frame {
        Frame::new(self.size, self.layout, self.resampler.finish()).expect("the axes have this size")
    }
}

/// What becomes wider or higher, in its stored numbers, by the library.
fn resize_codes(frame: &Frame, size: Size) -> Frame {
    if narrows_first(frame.size(), size) {
        convolve(&convolve(frame, Size::new(size.width, frame.size().height)), size)
    } else {
        convolve(frame, size)
    }
}

/// Bytes that a resize of stored numbers takes beside source and result: the picture between the two passes, and a copy of
/// the source that is weighed by its alpha.
pub(in crate::engine) const fn codes_scratch_bytes(source: Size, target: Size, channels: u64) -> u64 {
    let between = if narrows_first(source, target) {
        Size::new(target.width, source.height)
    } else {
        Size::new(source.width, target.height)
    };
    let weighed = if channels == 4 { source.area() } else { 0 };
    (between.area() + weighed) * channels
}

/// The library scales columns first, which would make a picture of all columns where only the height grows.
const fn narrows_first(source: Size, target: Size) -> bool {
    target.width < source.width && target.height > source.height
}

/// The library computes in integers.
fn convolve(frame: &Frame, size: Size) -> Frame {
    let layout = frame.layout();
    let pixel_type = pixel_type(layout);
    let source = ImageRef::new(frame.size().width, frame.size().height, frame.pixels(), pixel_type)
        .expect("a frame's bytes match its size and layout");
    let mut target = Image::new(size.width, size.height, pixel_type);
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).use_alpha(layout == Layout::Rgba);
    Resizer::new().resize(&source, &mut target, &options).expect("source and target have one pixel type");
    Frame::new(size, layout, target.into_vec()).expect("the resizer fills the whole target")
}

const fn pixel_type(layout: Layout) -> PixelType {
    match layout {
        Layout::Gray => PixelType::U8,
        Layout::Rgb => PixelType::U8x3,
        Layout::Rgba => PixelType::U8x4,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;

    const LIGHTS: [Light; 3] = [Light::Gamma, Light::Mixed, Light::Linear];

    fn resize(frame: Frame, size: Size, light: Light) -> Frame {
        super::resize(frame, size, light, &Cancel::default()).expect("nobody cancels")
    }

    #[test]
    fn the_same_size_keeps_every_byte() {
        let card = cards::numbered(3, 2, Layout::Rgba);
        for light in LIGHTS {
            assert_eq!(resize(card.clone(), Size::new(3, 2), light), card);
        }
    }

    #[test]
    fn one_colour_stays_that_colour() {
        for light in LIGHTS {
            for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
                for (from, to) in [((40, 30), (13, 7)), ((5, 4), (64, 33)), ((1, 1), (9, 9)), ((100, 2), (1, 1))] {
                    let color = [200, 31, 99, 255];
                    let card = Frame::filled(Size::new(from.0, from.1), layout, color);
                    let size = Size::new(to.0, to.1);
                    let expected = Frame::filled(size, layout, color);
                    assert_eq!(resize(card, size, light), expected, "{light:?} {layout:?} {from:?} -> {to:?}");
                }
            }
        }
    }

    #[test]
    fn transparent_black_does_not_darken_the_edge() {
        let pixels = (0..32 * 32).map(|at| if at % 32 < 16 { [255, 255, 255, 255] } else { [0; 4] });
        let card = cards::rgba(32, &pixels.collect::<Vec<_>>());
        for light in LIGHTS {
            let small = resize(card.clone(), Size::new(11, 11), light);
            for pixel in small.pixels().chunks_exact(4).filter(|pixel| pixel[3] > 8) {
                assert!(pixel[..3].iter().all(|&value| value >= 250), "{light:?}: {pixel:?}");
            }
            assert_eq!(small.rgba_at(0, 0)[3], 255);
            assert_eq!(small.rgba_at(10, 10)[3], 0);
        }
    }

    /// Black and white in equal parts: half of the number, or the number of half the light.
    #[test]
    fn halving_a_fine_checkerboard_gives_its_mean() {
        let pixels: Vec<u8> = (0..64 * 64).map(|at| if (at + at / 64) % 2 == 0 { 255 } else { 0 }).collect();
        for (light, mean) in [(Light::Gamma, 127), (Light::Mixed, 150), (Light::Linear, 188)] {
            let small = resize(cards::gray(64, &pixels), Size::new(32, 32), light);
            let inner = (4..28).flat_map(|y| (4..28).map(move |x| (x, y)));
            for (x, y) in inner {
                let value = small.rgba_at(x, y)[0];
                assert!(value.abs_diff(mean) <= 2, "{light:?} at {x},{y}: {value}");
            }
        }
    }

    /// In the stored numbers the row-by-row resampler and the library come to the same picture.
    #[test]
    fn both_resamplers_agree() {
        let pixels: Vec<u8> =
            (0..61 * 47 * 4_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 25) as u8 + 64).collect();
        let card = Frame::new(Size::new(61, 47), Layout::Rgba, pixels).expect("a card");
        for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
            let card = card.clone().into_layout(layout);
            for (width, height) in [(20, 15), (61, 10), (7, 47), (90, 80), (1, 1)] {
                let size = Size::new(width, height);
                let rows = resize_rows(&card, size, Light::Gamma, &Cancel::default()).expect("nobody cancels");
                // The library weighs colour by alpha in whole numbers.
                let tolerance = if layout == Layout::Rgba { 8 } else { 2 };
                for (own, other) in rows.pixels().iter().zip(resize_codes(&card, size).pixels()) {
                    assert!(own.abs_diff(*other) <= tolerance, "{layout:?} to {size}: {own} for {other}");
                }
            }
        }
    }
}
