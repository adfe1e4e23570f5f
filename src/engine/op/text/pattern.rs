//! A text repeated over a picture (`watermark/4`).

use super::setting::Mask;
use super::write_ink;
use crate::color::Color;
use crate::engine::image::{Frame, Layout};
use crate::geometry::Size;

/// A mask that repeats in both directions, with room without ink after each copy.
pub(super) struct Pattern {
    pub(super) mask: Mask,
    /// Pixels from one copy to the next; at least the mask's size.
    pub(super) cell: Size,
}

impl Pattern {
    /// Fills `size` with the pattern in `color`, turned clockwise by `degrees` about the middle; unturned, the first
    /// copy stands in the top-left corner.
    pub(super) fn fill(&self, size: Size, degrees: i32, color: Color) -> Frame {
        let (sin, cos) = f64::from(degrees).to_radians().sin_cos();
        // Turning about a corner of four pixels keeps quarter turns on whole pixels.
        let (middle_x, middle_y) = (f64::from(size.width / 2), f64::from(size.height / 2));
        let mut frame = Frame::filled(size, Layout::Rgba, color.rgba);
        let stride = frame.stride();
        for (y, row) in frame.pixels_mut().chunks_exact_mut(stride).enumerate() {
            let down = y as f64 + 0.5 - middle_y;
            for (x, pixel) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let right = x as f64 + 0.5 - middle_x;
                let ink = self.sample(middle_x + right * cos + down * sin, middle_y - right * sin + down * cos);
                write_ink(pixel, ink);
            }
        }
        frame
    }

    /// Ink at a point of the endless pattern, between four pixels in proportion to their nearness.
    fn sample(&self, x: f64, y: f64) -> u8 {
        let (left, right, across) = neighbours(x, self.cell.width);
        let (top, bottom, along) = neighbours(y, self.cell.height);
        let mix = |a: u8, b: u8, share: f32| f32::from(a) + (f32::from(b) - f32::from(a)) * share;
        let upper = mix(self.ink(left, top), self.ink(right, top), across);
        let lower = mix(self.ink(left, bottom), self.ink(right, bottom), across);
        (upper + (lower - upper) * along + 0.5) as u8
    }

    fn ink(&self, x: u32, y: u32) -> u8 {
        let Size { width, height } = self.mask.size;
        if x < width && y < height { self.mask.ink[y as usize * width as usize + x as usize] } else { 0 }
    }
}

/// The two pixels of a repeating `edge` around a coordinate, and how far it is from the first towards the second.
fn neighbours(at: f64, edge: u32) -> (u32, u32, f32) {
    let from_centre = at - 0.5;
    let below = from_centre.floor();
    let first = (below as i64).rem_euclid(i64::from(edge)) as u32;
    (first, (first + 1) % edge, (from_centre - below) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inks(frame: &Frame) -> Vec<u8> {
        frame.pixels().chunks_exact(4).map(|pixel| pixel[3]).collect()
    }

    fn pattern() -> Pattern {
        Pattern { mask: Mask { size: Size::new(2, 1), ink: vec![10, 20] }, cell: Size::new(3, 2) }
    }

    #[test]
    fn copies_start_top_left_and_keep_their_gaps() {
        let frame = pattern().fill(Size::new(5, 3), 0, Color::BLACK);
        assert_eq!(inks(&frame), [10, 20, 0, 10, 20, 0, 0, 0, 0, 0, 10, 20, 0, 10, 20]);
    }

    #[test]
    fn quarter_turns_are_clockwise_and_exact() {
        let frame = pattern().fill(Size::new(2, 2), 90, Color::BLACK);
        // 10 20 over an empty row, about the middle.
        assert_eq!(inks(&frame), [0, 10, 0, 20]);
        let frame = pattern().fill(Size::new(2, 2), -90, Color::BLACK);
        assert_eq!(inks(&frame), [20, 0, 10, 0]);
        let frame = pattern().fill(Size::new(2, 2), 180, Color::BLACK);
        assert_eq!(inks(&frame), [0, 0, 20, 10]);
    }

    #[test]
    fn ink_scales_the_fill_and_its_alpha() {
        let solid = Pattern { mask: Mask { size: Size::new(1, 1), ink: vec![255] }, cell: Size::new(1, 1) };
        let frame = solid.fill(Size::new(9, 9), 33, Color { rgba: [1, 2, 3, 128] });
        assert!(frame.pixels().chunks_exact(4).all(|pixel| pixel == [1, 2, 3, 128]));
    }
}
