//! Inner parts, opened by the feature `internals` to the fuzz targets and the benches. Nothing else may use them: they
//! change whenever the engine does.

use super::image::Frame;
use super::light::Light;
use super::limits::Cancel;
use super::op::resize::resize_rows;
use crate::geometry::Size;

pub use super::decode::reduced::difference::{check as check_reduced, check_together};
pub use super::decode::reduced::kernels::{decode_planes, inverse_dct};

/// Scales `frame` row by row, whatever the light: [`resize`](super::op::resize::resize) leaves stored numbers to a library.
pub fn resample(frame: &Frame, size: Size, light: Light) -> Frame {
    resize_rows(frame, size, light, &Cancel::default()).expect("nobody cancels")
}
