//! Samples of JPEG files, by jpeg-decoder: decoded whole, then averaged down. (Its own scaling shifts chroma in most sizes.)
//!
//! Of the decoders in Rust it is the one that reads every file of the examples, those whose components have a scan each
//! included (zune-jpeg 0.5 mixes up the rows of these). What components mean is decided by the rules of `jpeg.rs`. Data that
//! is cut short is an error, except inside a file that has its end marker nevertheless: there the rest of the picture is
//! gray. Large pictures take a thread for each component.

use std::io::Read;

use jpeg_decoder::{ColorTransform, Decoder};

use super::jpeg::{Decoded, Samples, Source, color_model};
use super::jpeg_markers::{has_end, next_marker, segment};
use crate::engine::image::ColorModel;
use crate::geometry::Size;

/// Decodes at `eighths`/8; the text says what is wrong with the file.
pub(super) fn decompress(source: &Source<'_>, eighths: u8) -> Result<Decoded, String> {
    let factor = match eighths {
        1 | 2 | 4 | 8 => 8 / usize::from(eighths),
        _ => return Err("it scales to 1/8, 2/8, 4/8 and 8/8 only".to_owned()),
    };
    let frame = source.markers.frame.ok_or("it has no frame header")?;
    let model = color_model(frame, source.markers).map_err(|error| error.to_string())?;
    let is_adobe_ycck = source.markers.adobe_transform.is_some_and(|transform| transform != 0);
    let (samples, transform) = match model {
        ColorModel::Gray => (Samples::Gray, ColorTransform::Grayscale),
        ColorModel::Rgb => (Samples::Rgb, ColorTransform::RGB),
        ColorModel::Cmyk if is_adobe_ycck => (Samples::Cmyk, ColorTransform::YCCK),
        ColorModel::Cmyk => (Samples::Cmyk, ColorTransform::CMYK),
        _ => (Samples::Rgb, ColorTransform::YCbCr),
    };
    let mut pixels = average(run(source, transform)?, source.size, usize::from(frame.components), factor);
    if samples == Samples::Cmyk {
        // It turns inks around, as if every file were Adobe's.
        for value in &mut pixels {
            *value = !*value;
        }
    }
    Ok(Decoded { size: super::scaled(source.size, eighths), samples, pixels })
}

/// All pixels, their components converted.
fn run(source: &Source<'_>, transform: ColorTransform) -> Result<Vec<u8>, String> {
    let data = source.bytes.get(source.markers.scan..).unwrap_or_default();
    if !has_end(source.bytes, source.markers.scan) {
        return Err("it is cut short: its end is missing".to_owned());
    }
    // Each scan costs a pass over the picture. Only its marker has these two bytes, but for rare tables.
    if data.windows(2).filter(|pair| *pair == [0xFF, 0xDA]).count() >= source.scans as usize {
        return Err(format!("it has more than {} scans", source.scans));
    }
    let header = without_metadata(source.bytes).ok_or("a segment is cut short")?;
    let mut decoder = Decoder::new(header.as_slice().chain(data));
    decoder.set_color_transform(transform);
    decoder.read_info().map_err(into_text)?;
    let found = decoder.info().map(|info| Size::new(info.width.into(), info.height.into()));
    if found != Some(source.size) {
        return Err("its size changed while it was read".to_owned());
    }
    decoder.decode().map_err(into_text)
}

fn into_text(error: jpeg_decoder::Error) -> String {
    match error {
        jpeg_decoder::Error::Io(_) => "it is cut short".to_owned(),
        error => error.to_string(),
    }
}

/// The file up to the data of its first scan, without what describes it: no pixel depends on that, and the decoder refuses
/// files for an unknown transform in it.
fn without_metadata(jpeg: &[u8]) -> Option<Vec<u8>> {
    let mut header = jpeg.get(..2)?.to_vec();
    let mut at = 2;
    loop {
        let (marker, body) = next_marker(jpeg, at)?;
        if matches!(marker, 0x01 | 0xD0..=0xD8) {
            at = body;
            continue;
        }
        at = body + 2 + segment(jpeg, body)?.len();
        // APP0 is left: it says where tables are those of motion JPEG.
        if !matches!(marker, 0xE1..=0xEF | 0xFE) {
            header.extend_from_slice(&[0xFF, marker]);
            header.extend_from_slice(&jpeg[body..at]);
        }
        if marker == 0xDA {
            return Some(header);
        }
    }
}

/// The means of `factor` × `factor` pixels, of fewer at the right and lower edges.
fn average(pixels: Vec<u8>, size: Size, channels: usize, factor: usize) -> Vec<u8> {
    if factor == 1 {
        return pixels;
    }
    let width = size.width as usize;
    let columns = width.div_ceil(factor);
    let mut averaged = Vec::with_capacity(columns * (size.height as usize).div_ceil(factor) * channels);
    let mut sums = vec![0_u32; columns * channels];
    for rows in pixels.chunks(factor * width * channels) {
        sums.fill(0);
        let height = rows.len() / (width * channels);
        for row in rows.chunks_exact(width * channels) {
            for (sums, pixels) in sums.chunks_exact_mut(channels).zip(row.chunks(factor * channels)) {
                for pixel in pixels.chunks_exact(channels) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += u32::from(*value);
                    }
                }
            }
        }
        for (column, sums) in sums.chunks_exact(channels).enumerate() {
            let count = (height * factor.min(width - column * factor)) as u32;
            averaged.extend(sums.iter().map(|sum| ((sum + count / 2) / count) as u8));
        }
    }
    averaged
}
