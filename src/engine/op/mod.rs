//! Operations on frames, one a file.
//!
//! They take sizes and offsets that were worked out (and held against the limits) before, so that all but text are
//! infallible: the invariants of [`Frame`](super::image::Frame) leave nothing to refuse. All of them are
//! deterministic and run on the calling thread.

pub mod adjust;
pub mod average;
pub mod blend;
pub mod blur;
pub mod canvas;
pub mod composite;
pub mod crop;
pub mod draw;
pub mod median;
pub mod pixelate;
pub(in crate::engine) mod resample;
pub mod resize;
pub mod resize_deep;
pub mod rotate;
pub mod round;
pub mod seen;
pub mod sharpen;
pub mod text;
pub mod tone;
pub mod vignette;

mod alpha;
#[cfg(test)]
pub(in crate::engine) mod cards;
