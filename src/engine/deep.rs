//! Pictures of 16 bits a sample: the steps that keep them.
//!
//! A result has 16 bits where its source does, its format holds them, and every step between is one of these; otherwise the
//! source is decoded with 8. [`resolve`](super::resolve) decides it before there are pixels.

use super::Error;
use super::image::{Deep, Frame};
use super::light::Light;
use super::limits::Cancel;
use super::op::{canvas, crop, resize_deep, rotate, round};
use super::program::Step;
use crate::color::Color;
use crate::geometry::{Orientation, Rect, Size};

/// A [`Step`] that keeps 16 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum DeepStep {
    Turn(Orientation),
    Resize(Size),
    Crop(Rect),
    Place { canvas: Size, offset: (i64, i64), background: Color },
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
            Step::Rotate { degrees, .. } if degrees % 90 == 0 => {
                Some(Self::Turn(Orientation::quarter_turns(degrees / 90)))
            }
            Step::Resize(size) => Some(Self::Resize(size)),
            Step::Crop(rect) => Some(Self::Crop(rect)),
            Step::Place { canvas, offset, background } => Some(Self::Place { canvas, offset, background }),
            Step::RoundCorners { radius_x, radius_y } => Some(Self::RoundCorners { radius_x, radius_y }),
            Step::Rotate { .. }
            | Step::Blur { .. }
            | Step::Sharpen
            | Step::Mark { .. }
            | Step::TileMark { .. }
            | Step::Text(_)
            | Step::TiledText(_) => None,
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
            Self::RoundCorners { radius_x, radius_y } => round::round_corners(frame, radius_x, radius_y),
        })
    }
}
