//! Pictures of 16 bits a sample: the steps that keep them.
//!
//! A result has 16 bits where its source does, its format holds them, and every step between is one of these; otherwise the
//! source is decoded with 8. [`resolve`](super::resolve) decides it before there are pixels.

use super::Error;
use super::image::{Deep, Frame};
use super::light::Light;
use super::limits::Cancel;
use super::op::{blur, canvas, crop, resize_deep, rotate, round, sharpen};
use super::program::Step;
use crate::color::Color;
use crate::geometry::{Angle, Orientation, Rect, Size};

/// A [`Step`] that keeps 16 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum DeepStep {
    Turn(Orientation),
    Resize(Size),
    Crop(Rect),
    Place { canvas: Size, offset: (i64, i64), background: Color },
    Rotate { angle: Angle, canvas: Size, background: Color },
    Blur { radius_px: u32, sigma_px: f32 },
    Sharpen,
    RoundCorners { radius_x: u32, radius_y: u32 },
}

/// The steps, where all of them keep 16 bits.
pub(super) fn steps(steps: &[Step]) -> Option<Vec<DeepStep>> {
    steps.iter().map(DeepStep::of).collect()
}

impl DeepStep {
    fn of(step: &Step) -> Option<Self> {
        match *step {
            Step::Orient(orientation) => Some(Self::Turn(orientation)),
            Step::Resize(size) => Some(Self::Resize(size)),
            Step::Crop(rect) => Some(Self::Crop(rect)),
            Step::Place { canvas, offset, background } => Some(Self::Place { canvas, offset, background }),
            Step::RoundCorners { radius_x, radius_y } => Some(Self::RoundCorners { radius_x, radius_y }),
            Step::Rotate { angle, canvas, background } => Some(match angle.quarter_turns() {
                Some(turns) => Self::Turn(Orientation::quarter_turns(turns.into())),
                None => Self::Rotate { angle, canvas, background },
            }),
            Step::Blur { radius_px, sigma_px } => Some(Self::Blur { radius_px, sigma_px }),
            Step::Sharpen => Some(Self::Sharpen),
            // Layers and letters are composited with 8 bits, and values looked up.
            Step::Mark { .. }
            | Step::TileMark { .. }
            | Step::Blend { .. }
            | Step::Text(_)
            | Step::TiledText(_)
            | Step::Adjust(_)
            | Step::Filter(_)
            | Step::Draw(_)
            | Step::Palette(_)
            | Step::Flatten(_) => None,
        }
    }

    /// Does the step; each does what its namesake does with 8 bits.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(super) fn apply(self, frame: Frame<Deep>, light: Light, cancel: &Cancel) -> Result<Frame<Deep>, Error> {
        cancel.check()?;
        Ok(match self {
            Self::Turn(orientation) => rotate::orient(frame, orientation),
            Self::Resize(size) => resize_deep::resize(frame, size, light, cancel)?,
            Self::Crop(rect) => crop::crop(frame, rect),
            Self::Place { canvas, offset, background } => canvas::place(frame, canvas, offset, background),
            Self::Rotate { angle, canvas, background } => rotate::rotate(frame, angle, canvas, background, cancel)?,
            Self::Blur { radius_px, sigma_px } => blur::blur(frame, radius_px, sigma_px, cancel)?,
            Self::Sharpen => sharpen::sharpen(frame, cancel)?,
            Self::RoundCorners { radius_x, radius_y } => round::round_corners(frame, radius_x, radius_y),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::image::Layout;
    use crate::engine::op::resize;

    /// A smooth card, so that 8 bits come close.
    fn card(layout: Layout) -> Frame {
        let pixels = (0..40 * 30_u32).flat_map(|at| {
            let (x, y) = (at % 40, at / 40);
            let pixel = [3 * x + 90, 4 * y + 100, 2 * (x + y) + 20, 255 - 3 * x - 2 * y];
            pixel.map(|value| value as u8).into_iter().take(layout.channels())
        });
        Frame::new(Size::new(40, 30), layout, pixels.collect()).expect("a card")
    }

    fn with_8_bits(step: DeepStep, frame: Frame) -> Result<Frame, Error> {
        let cancel = Cancel::default();
        Ok(match step {
            DeepStep::Turn(orientation) => rotate::orient(frame, orientation),
            DeepStep::Resize(size) => resize::resize(frame, size, Light::Mixed, &cancel)?,
            DeepStep::Crop(rect) => crop::crop(frame, rect),
            DeepStep::Place { canvas, offset, background } => canvas::place(frame, canvas, offset, background),
            DeepStep::Rotate { angle, canvas, background } => {
                rotate::rotate(frame, angle, canvas, background, &cancel)?
            }
            DeepStep::Blur { radius_px, sigma_px } => blur::blur(frame, radius_px, sigma_px, &cancel)?,
            DeepStep::Sharpen => sharpen::sharpen(frame, &cancel)?,
            DeepStep::RoundCorners { radius_x, radius_y } => round::round_corners(frame, radius_x, radius_y),
        })
    }

    /// A picture of 8 bits comes to what it comes to with 8, but for their rounding.
    #[test]
    fn steps_do_what_their_namesakes_do() {
        let canvas = Size::new(60, 50);
        let glass = Color { rgba: [10, 200, 30, 128] };
        // Largest difference, in steps of 8 bits: of the rounding before the last, doubled by sharpening.
        let rows = [
            (DeepStep::Turn(Orientation::LeftTop), 0.0),
            (DeepStep::Crop(Rect { x: 3, y: 2, size: Size::new(20, 11) }), 0.0),
            (DeepStep::Place { canvas, offset: (7, -3), background: glass }, 0.0),
            (DeepStep::Place { canvas, offset: (7, -3), background: Color::WHITE }, 0.0),
            (DeepStep::Rotate { angle: Angle::of_degrees(30), canvas, background: glass }, 0.6),
            (DeepStep::Rotate { angle: Angle::of_degrees(30), canvas, background: Color::WHITE }, 0.6),
            (DeepStep::Blur { radius_px: 6, sigma_px: 2.0 }, 0.6),
            (DeepStep::Sharpen, 0.6),
            (DeepStep::RoundCorners { radius_x: 12, radius_y: 9 }, 0.6),
            (DeepStep::Resize(Size::new(17, 13)), 1.6),
        ];
        for (step, tolerance) in rows {
            for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
                // With 8 bits the library also rounds colours that are weighed by alpha, of a third here at least.
                let is_weighed = layout == Layout::Rgba && matches!(step, DeepStep::Resize(_));
                let tolerance = if is_weighed { 3.0 * tolerance } else { tolerance };
                let shallow = card(layout);
                let widened = shallow.pixels().iter().map(|code| [*code; 2]).collect();
                let deep = Frame::of(shallow.size(), layout, widened).expect("a card");
                let found = step.apply(deep, Light::Mixed, &Cancel::default()).expect("nobody cancels");
                let expected = with_8_bits(step, shallow).expect("nobody cancels");
                assert_eq!((found.size(), found.layout()), (expected.size(), expected.layout()));
                for (at, (found, expected)) in found.pixels().iter().zip(expected.pixels()).enumerate() {
                    let far = (f64::from(u16::from_be_bytes(*found)) / 257.0 - f64::from(*expected)).abs();
                    assert!(far <= tolerance, "{step:?} {layout:?} at {at}: {found:?} for {expected}");
                }
            }
        }
    }
}
