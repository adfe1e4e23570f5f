//! Inner parts, opened by the feature `internals` to the fuzz targets and the benches. Nothing else may use them: they
//! change whenever the engine does.

use turbojpeg_sys as tj;

use super::decode::turbo::Turbo;
use super::image::Frame;
use super::light::Light;
use super::limits::Cancel;
use super::op::resize::resize_rows;
use crate::geometry::Size;

pub use super::decode::reduced::difference::{check as check_reduced, check_together};
pub use super::decode::reduced::kernels::{decode_planes, inverse_dct};

/// Holds what is read of a PNG against what the `png` crate reads of it.
///
/// # Panics
/// Where they differ.
pub fn check_png_rows(png: &[u8]) {
    super::decode::png::difference::check(png);
}

/// The samples of a PNG, row by row; `None` of what is left to the `png` crate.
pub fn png_rows(png: &[u8]) -> Option<Vec<u8>> {
    super::decode::png::difference::all_rows(png)
}

/// Scales `frame` row by row, whatever the light: [`resize`](super::op::resize::resize) leaves stored numbers to a library.
pub fn resample(frame: &Frame, size: Size, light: Light) -> Frame {
    resize_rows(frame, size, light, &Cancel::default()).expect("nobody cancels")
}

/// The baseline file of an RGB frame, 4:2:0 with optimised codes and libjpeg's tables, by the engine's own encoder.
pub fn baseline(frame: &Frame, quality: u8) -> Vec<u8> {
    super::encode::jpeg::with_standard_tables(frame, quality).expect("a file")
}

/// The same by TurboJPEG: what the engine's own encoder has to come to.
pub fn baseline_by_turbojpeg(frame: &Frame, quality: u8) -> Vec<u8> {
    let mut turbo = Turbo::compressor().expect("a compressor");
    for (parameter, value) in [
        (tj::TJPARAM_TJPARAM_QUALITY, quality.into()),
        (tj::TJPARAM_TJPARAM_SUBSAMP, tj::TJSAMP_TJSAMP_420),
        (tj::TJPARAM_TJPARAM_OPTIMIZE, 1),
    ] {
        turbo.set(parameter, value).expect("a parameter");
    }
    let Size { width, height } = frame.size();
    turbo.compress(frame.pixels(), width, height, tj::TJPF_TJPF_RGB).expect("a file")
}
