//! BMP and TIFF, by the `image` crate, uncompressed.

use std::io::Cursor;

use ::image::codecs::bmp::BmpEncoder;
use ::image::codecs::tiff::TiffEncoder;
use ::image::{ExtendedColorType, ImageEncoder};

use super::{Settings, unencodable};
use crate::engine::Error;
use crate::engine::image::{Deep, Frame, Layout, Sample};
use crate::plan::output::OutputFormat;

pub(super) fn encode(frame: &Frame, format: OutputFormat, settings: &Settings) -> Result<Vec<u8>, Error> {
    let color = match frame.layout() {
        Layout::Gray => ExtendedColorType::L8,
        Layout::Rgb => ExtendedColorType::Rgb8,
        Layout::Rgba if format == OutputFormat::Bmp => {
            return Err(unencodable(format, "it has no alpha; flatten first"));
        }
        Layout::Rgba => ExtendedColorType::Rgba8,
    };
    let (width, height) = (frame.size().width, frame.size().height);
    let mut file = Cursor::new(Vec::new());
    match format {
        OutputFormat::Bmp => BmpEncoder::new(&mut file).write_image(frame.pixels(), width, height, color),
        _ => return encode_tiff(frame.pixels(), frame, color, settings),
    }
    .map_err(|error| unencodable(format, error))?;
    Ok(file.into_inner())
}

/// TIFF with all 16 bits.
pub(super) fn encode_deep(frame: &Frame<Deep>, settings: &Settings) -> Result<Vec<u8>, Error> {
    let color = match frame.layout() {
        Layout::Gray => ExtendedColorType::L16,
        Layout::Rgb => ExtendedColorType::Rgb16,
        Layout::Rgba => ExtendedColorType::Rgba16,
    };
    // The library takes numbers of this processor.
    let numbers: Vec<Deep> = frame.pixels().iter().map(|sample| u16::from_be_bytes(*sample).to_ne_bytes()).collect();
    encode_tiff(numbers.as_flattened(), frame, color, settings)
}

/// Writes `samples`, which are those of `frame` as the library takes them.
fn encode_tiff<S: Sample>(
    samples: &[u8],
    frame: &Frame<S>,
    color: ExtendedColorType,
    settings: &Settings,
) -> Result<Vec<u8>, Error> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file);
    // TIFF can hold a profile, so the encoder does not refuse it; a refusal would only leave it out.
    let _ = settings.icc_for(frame.layout()).map(|icc| encoder.set_icc_profile(icc.to_vec()));
    encoder
        .write_image(samples, frame.size().width, frame.size().height, color)
        .map_err(|error| unencodable(OutputFormat::Tiff, error))?;
    Ok(file.into_inner())
}
