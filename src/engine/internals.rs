//! Inner parts, opened by the feature `internals` to the fuzz targets and the benches. Nothing else may use them: they
//! change whenever the engine does.

use super::image::{Frame, Layout};
use super::light::Light;
use super::op::resample::{Axis, Resampler, Samples};
use crate::geometry::Size;

pub use super::decode::reduced::difference::check as check_reduced;
pub use super::decode::reduced::kernels::{decode_planes, inverse_dct};

/// Scales `frame` row by row, whatever the light: [`resize`](super::op::resize::resize) leaves stored numbers to a library.
pub fn resample(frame: &Frame, size: Size, light: Light) -> Frame {
    let samples = match frame.layout() {
        Layout::Gray => Samples::One,
        Layout::Rgb => Samples::Three,
        Layout::Rgba => Samples::Four,
    };
    let axis = |from: u32, to: u32| Axis::new(0..from as usize, (0.0, f64::from(from)), to);
    let (columns, rows) = (axis(frame.size().width, size.width), axis(frame.size().height, size.height));
    let mut resampler = Resampler::new(columns, rows, samples, light.curve());
    let needed = resampler.columns_needed();
    let part = needed.start * samples.count()..needed.end * samples.count();
    for (index, row) in frame.pixels().chunks_exact(frame.stride()).enumerate() {
        if resampler.next_row() == Some(index) {
            resampler.push(&row[part.clone()]);
        }
    }
    Frame::new(size, frame.layout(), resampler.finish()).expect("the axes have this size")
}
