//! Canvases: `extent`, `border` and the removal of alpha.

use crate::color::Color;
use crate::engine::image::{Frame, Layout, Sample};
use crate::geometry::{Rect, Size};

/// Puts `frame` on a canvas of `background`, its top-left corner at `offset` from the canvas's; what lies outside the
/// canvas is cut.
///
/// The picture's pixels replace the background's, so that its own transparency stays. The result is RGBA where the
/// frame is or where the background is not opaque; grey stays grey on a grey background; everything else is RGB.
/// A frame that fills the canvas exactly is returned untouched.
pub fn place<S: Sample>(frame: Frame<S>, canvas: Size, offset: (i64, i64), background: Color) -> Frame<S> {
    if frame.size() == canvas && offset == (0, 0) {
        return frame;
    }
    let frame_size = frame.size();
    let layout = joint_layout(frame.layout(), background);
    let mut target = Frame::of_color(canvas, layout, background.rgba.map(S::widened));
    let Some(covered) = Rect::clipped(offset.0, offset.1, frame_size, canvas) else {
        return target;
    };
    let frame = frame.into_layout(layout);
    let skipped_x = (i64::from(covered.x) - offset.0) as usize * layout.channels();
    let skipped_y = (i64::from(covered.y) - offset.1) as usize;
    let row_samples = covered.size.width as usize * layout.channels();
    let left = covered.x as usize * layout.channels();
    let (from_stride, to_stride) = (frame.stride(), target.stride());
    let from_rows = frame.pixels().chunks_exact(from_stride).skip(skipped_y);
    let to_rows = target.pixels_mut().chunks_exact_mut(to_stride).skip(covered.y as usize);
    for (from, to) in from_rows.zip(to_rows).take(covered.size.height as usize) {
        to[left..left + row_samples].copy_from_slice(&from[skipped_x..skipped_x + row_samples]);
    }
    target
}

/// The plainest layout that holds both a frame of `layout` and `background`.
fn joint_layout(layout: Layout, background: Color) -> Layout {
    let [r, g, b, _] = background.rgba;
    match layout {
        Layout::Rgba => Layout::Rgba,
        _ if !background.is_opaque() => Layout::Rgba,
        Layout::Gray if r == g && g == b => Layout::Gray,
        Layout::Gray | Layout::Rgb => Layout::Rgb,
    }
}

/// Blends RGBA over the opaque colour `background` (its alpha is not looked at) into RGB, each channel
/// `round(c × α + background × (1 − α))`. Other layouts are returned untouched.
pub fn flatten(frame: Frame, background: Color) -> Frame {
    if frame.layout() != Layout::Rgba {
        return frame;
    }
    let size = frame.size();
    let mut pixels = frame.into_pixels();
    let count = size.area() as usize;
    // In place: pixel n is read from byte 4n on and written from byte 3n on, never ahead of what is still to be read.
    for n in 0..count {
        let alpha = u32::from(pixels[4 * n + 3]);
        for c in 0..3 {
            let blended = u32::from(pixels[4 * n + c]) * alpha + u32::from(background.rgba[c]) * (255 - alpha);
            pixels[3 * n + c] = ((blended + 127) / 255) as u8;
        }
    }
    pixels.truncate(3 * count);
    pixels.shrink_to_fit();
    Frame::new(size, Layout::Rgb, pixels).expect("three bytes a pixel are left")
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;

    const ORANGE: Color = Color { rgba: [255, 165, 0, 255] };

    #[test]
    fn a_frame_is_placed_cut_or_missed() {
        // 1 2
        // 3 4
        let rows = [
            ((2, 2), (0, 0), vec![1, 2, 3, 4]),
            ((4, 3), (1, 1), vec![9, 9, 9, 9, 9, 1, 2, 9, 9, 3, 4, 9]),
            ((2, 2), (-1, 0), vec![2, 9, 4, 9]),
            ((2, 2), (0, 1), vec![9, 9, 1, 2]),
            ((1, 1), (-1, -1), vec![4]),
            ((2, 1), (5, i64::MIN / 2), vec![9, 9]),
        ];
        let nine = Color { rgba: [9, 9, 9, 255] };
        for ((width, height), offset, expected) in rows {
            let placed = place(cards::gray(2, &[1, 2, 3, 4]), Size::new(width, height), offset, nine);
            assert_eq!(placed, cards::gray(width, &expected), "{width}x{height} {offset:?}");
        }
    }

    #[test]
    fn the_layout_follows_frame_and_background() {
        let rows = [
            (Layout::Gray, Color::WHITE, Layout::Gray),
            (Layout::Gray, ORANGE, Layout::Rgb),
            (Layout::Gray, Color::TRANSPARENT, Layout::Rgba),
            (Layout::Rgb, Color::WHITE, Layout::Rgb),
            (Layout::Rgb, Color::TRANSPARENT, Layout::Rgba),
            (Layout::Rgba, Color::WHITE, Layout::Rgba),
        ];
        for (layout, background, expected) in rows {
            let placed = place(cards::numbered(1, 1, layout), Size::new(3, 1), (1, 0), background);
            assert_eq!(placed.layout(), expected, "{layout:?} on {background}");
            let shown = background.rgba;
            assert_eq!((placed.rgba_at(0, 0), placed.rgba_at(2, 0)), (shown, shown));
        }
    }

    #[test]
    fn transparent_pixels_replace_the_background() {
        let glass = cards::rgba(1, &[[10, 20, 30, 40]]);
        let placed = place(glass, Size::new(2, 1), (0, 0), ORANGE);
        assert_eq!((placed.rgba_at(0, 0), placed.rgba_at(1, 0)), ([10, 20, 30, 40], ORANGE.rgba));
    }

    #[test]
    fn flattening_blends_and_rounds() {
        let card = cards::rgba(2, &[[10, 20, 30, 255], [10, 20, 30, 0], [0, 255, 100, 128], [1, 1, 1, 1]]);
        let flat = flatten(card, ORANGE);
        assert_eq!(flat.layout(), Layout::Rgb);
        // 255 × 127/255 = 127; (255 × 128 + 165 × 127)/255 = 210.18; 100 × 128/255 = 50.2; (1 + 255 × 254)/255 = 254.004.
        let expected = [[10, 20, 30], [255, 165, 0], [127, 210, 50], [254, 164, 0]];
        assert_eq!(flat.pixels(), expected.concat());
    }

    #[test]
    fn flattening_leaves_opaque_layouts_alone() {
        for layout in [Layout::Gray, Layout::Rgb] {
            let card = cards::numbered(2, 2, layout);
            assert_eq!(flatten(card.clone(), ORANGE), card);
        }
    }
}
