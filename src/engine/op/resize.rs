//! Scaling to an exact size.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::engine::image::{Frame, Layout};
use crate::geometry::Size;

/// Scales `frame` to `size` with a Lanczos kernel of three lobes, widened for shrinking; the layout stays.
///
/// RGBA is weighted by its alpha, so that the colour of transparent pixels does not bleed. A frame that has the size
/// already is returned untouched. Kernels differ in instructions between processors, not in results: the library
/// computes in integers.
pub fn resize(frame: Frame, size: Size) -> Frame {
    if frame.size() == size {
        return frame;
    }
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

    #[test]
    fn the_same_size_keeps_every_byte() {
        let card = cards::numbered(3, 2, Layout::Rgba);
        assert_eq!(resize(card.clone(), Size::new(3, 2)), card);
    }

    #[test]
    fn one_colour_stays_that_colour() {
        for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
            for (from, to) in [((40, 30), (13, 7)), ((5, 4), (64, 33)), ((1, 1), (9, 9)), ((100, 2), (1, 1))] {
                let color = [200, 31, 99, 255];
                let card = Frame::filled(Size::new(from.0, from.1), layout, color);
                let size = Size::new(to.0, to.1);
                assert_eq!(resize(card, size), Frame::filled(size, layout, color), "{layout:?} {from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn transparent_black_does_not_darken_the_edge() {
        let pixels = (0..32 * 32).map(|at| if at % 32 < 16 { [255, 255, 255, 255] } else { [0; 4] });
        let card = cards::rgba(32, &pixels.collect::<Vec<_>>());
        let small = resize(card, Size::new(11, 11));
        for pixel in small.pixels().chunks_exact(4).filter(|pixel| pixel[3] > 8) {
            assert!(pixel[..3].iter().all(|&value| value >= 250), "{pixel:?}");
        }
        assert_eq!(small.rgba_at(0, 0)[3], 255);
        assert_eq!(small.rgba_at(10, 10)[3], 0);
    }

    #[test]
    fn halving_a_fine_checkerboard_gives_its_mean() {
        let pixels: Vec<u8> = (0..64 * 64).map(|at| if (at + at / 64) % 2 == 0 { 255 } else { 0 }).collect();
        let small = resize(cards::gray(64, &pixels), Size::new(32, 32));
        let inner = (4..28).flat_map(|y| (4..28).map(move |x| (x, y)));
        for (x, y) in inner {
            assert!(small.rgba_at(x, y)[0].abs_diff(127) <= 2, "at {x},{y}: {:?}", small.rgba_at(x, y));
        }
    }
}
