//! Pictures to measure with: the landscape of the examples, enlarged, with grain so that its entropy is a camera's.

use bytes::Bytes;
use mogr::engine::image::{Frame, Layout};
use mogr::engine::light::Light;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::metadata::Metadata;
use mogr::engine::{decode, encode, op};
use mogr::geometry::Size;
use mogr::plan::output::OutputFormat;

/// Grain reaches this far to both sides of a sample.
const GRAIN: i32 = 4;

/// An example picture's file.
pub(crate) fn example(name: &str) -> Bytes {
    let path = format!("{}/examples/photos/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect("an example").into()
}

/// The first frame of a file, all of it.
pub(crate) fn frame(file: &[u8]) -> Frame {
    let header = decode::probe(file).expect("an image");
    decode::still(file, &header, 8, &Limits::default(), &Cancel::default()).expect("a picture")
}

/// A photograph of this size.
pub(crate) fn photograph(width: u32, height: u32) -> Frame {
    let (lake, size) = (frame(&example("lake.jpg")), Size::new(width, height));
    let large = op::resize::resize(lake, size, Light::Gamma, &Cancel::default()).expect("nobody cancels");
    let mut state = 1_u32;
    let mut grain = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as i32 % (2 * GRAIN + 1) - GRAIN
    };
    let pixels = large.pixels().iter().map(|value| (i32::from(*value) + grain()).clamp(0, 255) as u8).collect();
    Frame::new(size, Layout::Rgb, pixels).expect("as many pixels as before")
}

/// A photograph that fades out towards its corners, with straight alpha.
pub(crate) fn faded(width: u32, height: u32) -> Frame {
    let mut faded = photograph(width, height).into_layout(Layout::Rgba);
    let (middle_x, middle_y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
    for (index, pixel) in faded.pixels_mut().chunks_exact_mut(4).enumerate() {
        let (x, y) = ((index as u32 % width) as f64, (index as u32 / width) as f64);
        let distance = ((x - middle_x) / middle_x).hypot((y - middle_y) / middle_y);
        pixel[3] = ((1.3 - distance) * 2.0 * 255.0).clamp(0.0, 255.0) as u8;
    }
    faded
}

/// The settings of an interactive request, at quality 90.
pub(crate) fn settings(format: OutputFormat) -> encode::Settings {
    encode::Settings {
        format,
        quality: 90,
        interlace: false,
        colors: None,
        lossless: false,
        effort: encode::Effort::Fast,
        metadata: Metadata::default(),
        cancel: Cancel::default(),
    }
}

/// A picture as a file.
pub(crate) fn file(frame: &Frame, settings: &encode::Settings) -> Bytes {
    encode::still(frame, settings).expect("a file").into()
}
