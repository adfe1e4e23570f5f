//! Turning: EXIF orientations and quarter turns exactly, any other angle by resampling.

use super::alpha::{premultiply, straighten};
use super::canvas;
use crate::color::Color;
use crate::engine::Error;
use crate::engine::image::{Frame, Layout, Sample};
use crate::engine::limits::Cancel;
use crate::geometry::{Angle, Gravity, Orientation, Size};

/// Edge of the square blocks that [`orient`] copies: a block of source and of target rows fits the first-level cache.
const BLOCK: usize = 32;

/// Turns and mirrors stored pixels so that they are upright, as the EXIF `orientation` says.
pub fn orient<S: Sample>(frame: Frame<S>, orientation: Orientation) -> Frame<S> {
    if orientation == Orientation::TopLeft {
        return frame;
    }
    let size = orientation.display_size(frame.size());
    let walk = Walk::new(frame.size(), orientation);
    let pixels = match frame.layout() {
        Layout::Gray => remap::<1, S>(frame.pixels(), size, &walk),
        Layout::Rgb => remap::<3, S>(frame.pixels(), size, &walk),
        Layout::Rgba => remap::<4, S>(frame.pixels(), size, &walk),
    };
    Frame::of(size, frame.layout(), pixels).expect("turning keeps the number of pixels")
}

/// Turns clockwise by `turns` times 90 degrees, exactly.
pub fn quarter_turns<S: Sample>(frame: Frame<S>, turns: u8) -> Frame<S> {
    let orientation = match turns % 4 {
        0 => Orientation::TopLeft,
        1 => Orientation::RightTop,
        2 => Orientation::BottomRight,
        _ => Orientation::LeftBottom,
    };
    orient(frame, orientation)
}

/// Where the pixels of a turned picture are in the stored one: `origin + x × right + y × down`, in pixels.
struct Walk {
    origin: isize,
    right: isize,
    down: isize,
}

impl Walk {
    fn new(stored: Size, orientation: Orientation) -> Self {
        let width = stored.width as isize;
        let (last_column, last_row) = (width - 1, (stored.height as isize - 1) * width);
        let (origin, right, down) = match orientation {
            Orientation::TopLeft => (0, 1, width),
            Orientation::TopRight => (last_column, -1, width),
            Orientation::BottomRight => (last_row + last_column, -1, -width),
            Orientation::BottomLeft => (last_row, 1, -width),
            Orientation::LeftTop => (0, width, 1),
            Orientation::RightTop => (last_row, -width, 1),
            Orientation::RightBottom => (last_row + last_column, -width, -1),
            Orientation::LeftBottom => (last_column, width, -1),
        };
        Self { origin, right, down }
    }

    /// Index of the stored pixel shown at (`x`, `y`).
    fn source(&self, x: usize, y: usize) -> usize {
        (self.origin + x as isize * self.right + y as isize * self.down) as usize
    }
}

/// The pixels of a picture of `size` whose pixels lie in `stored` as `walk` says; `N` samples a
/// pixel.
fn remap<const N: usize, S: Sample>(stored: &[S], size: Size, walk: &Walk) -> Vec<S> {
    let (stored, _) = stored.as_chunks::<N>();
    let (width, height) = (size.width as usize, size.height as usize);
    let mut turned = vec![[S::default(); N]; width * height];
    for top in (0..height).step_by(BLOCK) {
        for left in (0..width).step_by(BLOCK) {
            let right = (left + BLOCK).min(width);
            for y in top..(top + BLOCK).min(height) {
                for (x, pixel) in (left..right).zip(&mut turned[y * width + left..y * width + right]) {
                    *pixel = stored[walk.source(x, y)];
                }
            }
        }
    }
    turned.into_flattened()
}

/// Turns `frame` clockwise by `angle` about its centre, which comes to lie on the centre of `canvas`; `background`
/// fills what the picture does not cover, and what lies outside the canvas is cut.
///
/// Multiples of 90 are exact; other angles are sampled with a Catmull-Rom kernel in premultiplied colour, and the
/// picture's edges are antialiased against the background. The picture's own transparency is kept: the background
/// does not show through it. The result is RGBA where the frame is or where the background is not opaque, else RGB
/// (grey stays grey for multiples of 90 where the background is grey too).
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row of other angles.
pub fn rotate<S: Sample>(
    frame: Frame<S>,
    angle: Angle,
    canvas: Size,
    background: Color,
    cancel: &Cancel,
) -> Result<Frame<S>, Error> {
    if let Some(turns) = angle.quarter_turns() {
        let turned = quarter_turns(frame, turns);
        let offset = Gravity::Center.place(turned.size(), canvas, 0, 0);
        return Ok(canvas::place(turned, canvas, offset, background));
    }
    let transparent = frame.layout() == Layout::Rgba || !background.is_opaque();
    let layout = if transparent { Layout::Rgba } else { Layout::Rgb };
    let frame = frame.into_layout(layout);
    let turn = Turn::new(frame.size(), angle.degrees(), canvas);
    let pixels = match layout {
        Layout::Rgba => sample_all::<S, 4>(&frame, &turn, canvas, background, cancel)?,
        Layout::Rgb | Layout::Gray => sample_all::<S, 3>(&frame, &turn, canvas, background, cancel)?,
    };
    Ok(Frame::of(canvas, layout, pixels).expect("one pixel for each of the canvas"))
}

/// Maps pixel centres of the canvas to continuous source coordinates (0 to width, 0 to height).
struct Turn {
    origin: (f64, f64),
    cos: f64,
    sin: f64,
}

impl Turn {
    fn new(source: Size, degrees: f64, canvas: Size) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        // The centre of canvas pixel (0, 0), relative to the canvas's centre, turned back.
        let (x, y) = (0.5 - f64::from(canvas.width) / 2.0, 0.5 - f64::from(canvas.height) / 2.0);
        let origin =
            (f64::from(source.width) / 2.0 + x * cos + y * sin, f64::from(source.height) / 2.0 - x * sin + y * cos);
        Self { origin, cos, sin }
    }

    fn source(&self, x: u32, y: u32) -> (f64, f64) {
        let (x, y) = (f64::from(x), f64::from(y));
        (self.origin.0 + x * self.cos + y * self.sin, self.origin.1 - x * self.sin + y * self.cos)
    }
}

fn sample_all<S: Sample, const N: usize>(
    frame: &Frame<S>,
    turn: &Turn,
    canvas: Size,
    background: Color,
    cancel: &Cancel,
) -> Result<Vec<S>, Error> {
    let background = background.rgba.map(S::widened);
    let source = Source::<S, N> { pixels: frame.pixels().as_chunks::<N>().0, size: frame.size() };
    let mut pixels = Vec::with_capacity(canvas.area() as usize * N);
    for y in 0..canvas.height {
        cancel.check()?;
        for x in 0..canvas.width {
            let (sx, sy) = turn.source(x, y);
            let cover = coverage(sx, frame.size().width) * coverage(sy, frame.size().height);
            let pixel = if cover == 0.0 { background } else { source.blended(sx, sy, cover, background) };
            pixels.extend_from_slice(&pixel[..N]);
        }
    }
    Ok(pixels)
}

/// How much of a pixel-wide box around `at` lies between 0 and `edge`: 1 inside, 0 outside, a ramp between.
fn coverage(at: f64, edge: u32) -> f32 {
    let near = (at + 0.5).clamp(0.0, 1.0);
    let far = (f64::from(edge) - at + 0.5).clamp(0.0, 1.0);
    (near * far) as f32
}

/// A picture of 3 or 4 samples a pixel to be sampled between its pixels; its edge pixels repeat outside.
struct Source<'a, S, const N: usize> {
    pixels: &'a [[S; N]],
    size: Size,
}

impl<S: Sample, const N: usize> Source<'_, S, N> {
    /// The picture at (`x`, `y`), covering `cover` of the background.
    fn blended(&self, x: f64, y: f64, cover: f32, background: [S; 4]) -> [S; 4] {
        let sampled = self.sample(x, y);
        if cover == 1.0 {
            return straighten(sampled);
        }
        let behind = premultiply(background);
        straighten(std::array::from_fn(|c| sampled[c] * cover + behind[c] * (1.0 - cover)))
    }

    /// Premultiplied RGBA at (`x`, `y`).
    fn sample(&self, x: f64, y: f64) -> [f32; 4] {
        let (left, x_weights) = taps(x);
        let (top, y_weights) = taps(y);
        let columns = clamped(left, self.size.width);
        let rows = clamped(top, self.size.height);
        let mut sum = [0.0; 4];
        for (row, y_weight) in rows.into_iter().zip(y_weights) {
            let row = row * self.size.width as usize;
            for (column, x_weight) in columns.into_iter().zip(x_weights) {
                let weight = x_weight * y_weight;
                let pixel = self.premultiplied(row + column);
                for (sum, value) in sum.iter_mut().zip(pixel) {
                    *sum += weight * value;
                }
            }
        }
        // The kernel's negative lobes can overshoot; no colour may pass its alpha.
        let alpha = sum[3].clamp(0.0, S::MOST_NUMBER);
        [sum[0].clamp(0.0, alpha), sum[1].clamp(0.0, alpha), sum[2].clamp(0.0, alpha), alpha]
    }

    fn premultiplied(&self, at: usize) -> [f32; 4] {
        let pixel = &self.pixels[at];
        if N == 4 {
            premultiply([pixel[0], pixel[1], pixel[2], pixel[3]])
        } else {
            [pixel[0].number(), pixel[1].number(), pixel[2].number(), S::MOST_NUMBER]
        }
    }
}

/// The four indices from `first`, each moved inside 0 to `edge` − 1.
fn clamped(first: i64, edge: u32) -> [usize; 4] {
    std::array::from_fn(|k| (first + k as i64).clamp(0, i64::from(edge) - 1) as usize)
}

/// The first of four pixels around the coordinate `at`, and their weights (Catmull and Rom, 1974; a = −0.5).
fn taps(at: f64) -> (i64, [f32; 4]) {
    let from_centre = at - 0.5;
    let below = from_centre.floor();
    let t = (from_centre - below) as f32;
    let weights = [
        t * (-0.5 + t * (1.0 - 0.5 * t)),
        1.0 + t * t * (-2.5 + 1.5 * t),
        t * (0.5 + t * (2.0 - 1.5 * t)),
        t * t * (-0.5 + 0.5 * t),
    ];
    (below as i64 - 1, weights)
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::limits::tests::looks_of;

    fn rotate(frame: Frame, degrees: i32, canvas: Size, background: Color) -> Frame {
        super::rotate(frame, Angle::of_degrees(degrees), canvas, background, &Cancel::default())
            .expect("nothing stops it")
    }

    #[test]
    fn odd_angles_stop_between_rows() {
        let card = Frame::filled(Size::new(20, 20), Layout::Rgb, [9; 4]);
        let canvas = Size::new(20, 60);
        assert_eq!(
            looks_of(|cancel| super::rotate(card.clone(), Angle::of_degrees(30), canvas, Color::WHITE, cancel)),
            60
        );
    }

    #[test]
    fn orientations_of_a_3x2_card() {
        // 1 2 3
        // 4 5 6
        let rows: [(Orientation, (u32, u32), [u8; 6]); 8] = [
            (Orientation::TopLeft, (3, 2), [1, 2, 3, 4, 5, 6]),
            (Orientation::TopRight, (3, 2), [3, 2, 1, 6, 5, 4]),
            (Orientation::BottomRight, (3, 2), [6, 5, 4, 3, 2, 1]),
            (Orientation::BottomLeft, (3, 2), [4, 5, 6, 1, 2, 3]),
            (Orientation::LeftTop, (2, 3), [1, 4, 2, 5, 3, 6]),
            (Orientation::RightTop, (2, 3), [4, 1, 5, 2, 6, 3]),
            (Orientation::RightBottom, (2, 3), [6, 3, 5, 2, 4, 1]),
            (Orientation::LeftBottom, (2, 3), [3, 6, 2, 5, 1, 4]),
        ];
        for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
            for (orientation, (width, height), expected) in rows {
                let turned = orient(cards::numbered(3, 2, layout), orientation);
                assert_eq!((turned.size(), turned.layout()), (Size::new(width, height), layout));
                assert_eq!(cards::numbers(&turned), expected, "{orientation:?}");
            }
        }
    }

    #[test]
    fn orientations_of_a_card_of_many_blocks_agree_with_their_definition() {
        let size = Size::new(70, 45);
        let pixels: Vec<u8> = (0..70 * 45).flat_map(|at: u32| [at as u8, (at >> 8) as u8, 7]).collect();
        let card = Frame::new(size, Layout::Rgb, pixels).expect("whole");
        for orientation in Orientation::ALL {
            let turned = orient(card.clone(), orientation);
            let (right, bottom) = (size.width - 1, size.height - 1);
            for y in 0..turned.size().height {
                for x in 0..turned.size().width {
                    let (sx, sy) = match orientation {
                        Orientation::TopLeft => (x, y),
                        Orientation::TopRight => (right - x, y),
                        Orientation::BottomRight => (right - x, bottom - y),
                        Orientation::BottomLeft => (x, bottom - y),
                        Orientation::LeftTop => (y, x),
                        Orientation::RightTop => (y, bottom - x),
                        Orientation::RightBottom => (right - y, bottom - x),
                        Orientation::LeftBottom => (right - y, x),
                    };
                    assert_eq!(turned.rgba_at(x, y), card.rgba_at(sx, sy), "{orientation:?} {x},{y}");
                }
            }
        }
    }

    #[test]
    fn quarter_turns_are_clockwise() {
        let rows: [(u8, [u8; 6]); 5] = [
            (0, [1, 2, 3, 4, 5, 6]),
            (1, [4, 1, 5, 2, 6, 3]),
            (2, [6, 5, 4, 3, 2, 1]),
            (3, [3, 6, 2, 5, 1, 4]),
            (5, [4, 1, 5, 2, 6, 3]),
        ];
        for (turns, expected) in rows {
            assert_eq!(cards::numbers(&quarter_turns(cards::numbered(3, 2, Layout::Rgb), turns)), expected, "{turns}");
        }
    }

    #[test]
    fn rotating_by_multiples_of_90_is_exact() {
        for (degrees, turns) in [(90, 1), (180, 2), (270, 3), (360, 0)] {
            let card = cards::numbered(3, 2, Layout::Rgba);
            let turned = quarter_turns(card.clone(), turns);
            assert_eq!(rotate(card, degrees, turned.size(), Color::WHITE), turned, "{degrees}");
        }
    }

    #[test]
    fn one_colour_at_45_degrees_is_that_colour_inside_and_the_background_outside() {
        let color = [200, 40, 60, 255];
        let card = Frame::filled(Size::new(40, 40), Layout::Rgb, color);
        let turned = rotate(card, 45, Size::new(57, 57), Color::WHITE);
        assert_eq!((turned.size(), turned.layout()), (Size::new(57, 57), Layout::Rgb));
        for y in 0..57_u32 {
            for x in 0..57_u32 {
                // Manhattan distance from the centre, twice; the diamond's corners are at 2 × 28.28.
                let distance = (2 * x).abs_diff(56) + (2 * y).abs_diff(56);
                let pixel = turned.rgba_at(x, y);
                match distance {
                    0..=53 => assert_eq!(pixel, color, "{x},{y}"),
                    60.. => assert_eq!(pixel, [255; 4], "{x},{y}"),
                    _ => assert!(pixel[1] >= 40 && pixel[0] >= 200, "edge {x},{y}: {pixel:?}"),
                }
            }
        }
    }

    #[test]
    fn angles_are_clockwise() {
        // A dot at the right end of the middle row comes down when turned clockwise.
        let mut pixels = vec![0; 41 * 41];
        for y in 19..22 {
            pixels[y * 41 + 34..y * 41 + 37].fill(255);
        }
        let turned = rotate(cards::gray(41, &pixels), 45, Size::new(41, 41), Color::BLACK);
        assert!(turned.rgba_at(31, 31)[0] > 200, "{:?}", turned.rgba_at(31, 31));
        assert_eq!(turned.rgba_at(31, 9)[0], 0);
    }

    #[test]
    fn transparent_backgrounds_and_pictures_stay_transparent_without_a_fringe() {
        let card = Frame::filled(Size::new(20, 20), Layout::Rgb, [255, 255, 255, 255]);
        let turned = rotate(card, 30, Size::new(28, 28), Color::TRANSPARENT);
        assert_eq!(turned.layout(), Layout::Rgba);
        assert_eq!(turned.rgba_at(0, 0), [0; 4]);
        for pixel in turned.pixels().chunks_exact(4).filter(|pixel| pixel[3] > 0) {
            assert!(pixel[..3].iter().all(|&value| value == 255), "{pixel:?}");
        }
        let glass = Frame::filled(Size::new(20, 20), Layout::Rgba, [0; 4]);
        let turned = rotate(glass, 30, Size::new(28, 28), Color::WHITE);
        assert_eq!(turned.rgba_at(14, 14), [0; 4], "the background does not show through");
        assert_eq!(turned.rgba_at(0, 0), [255; 4]);
    }

    #[test]
    fn weights_of_the_kernel_add_up_to_one() {
        for at in [0.5, 0.75, 1.0, 1.25, 7.49] {
            let (_, weights) = taps(at);
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{at}: {weights:?}");
        }
        assert_eq!(taps(3.5), (2, [0.0, 1.0, 0.0, 0.0]));
    }
}
