//! PNG, by the `png` crate, and the rows of usual files faster (`png/rows.rs`). Of an animated PNG the default image is read.

#[cfg(any(test, feature = "internals"))]
pub(in crate::engine) mod difference;
mod rows;
mod unfilter;

use std::io::{BufRead, Cursor, Seek};

use ::png::{
    BitDepth, ColorType, Decoder, DecodingError, FrameControl, Info, Limits as PngLimits, Reader, Transformations, Unit,
};

use rows::Rows;

use super::broken;
use super::watched::Watched;
use crate::engine::Error;
use crate::engine::image::{ColorModel, Deep, Depth, Format, Frame, Header, Layout, Sample};
use crate::engine::light::Light;
use crate::engine::limits::{Cancel, Limits};
use crate::engine::metadata::{self, MAX_ICC_BYTES, Metadata};
use crate::engine::op::resize::Scaler;
use crate::geometry::Size;

/// Memory for rows and for chunks beside the pixels; a row of 30 000 pixels at 16 bits takes 240 kB.
const WORK_BYTES: usize = 16 << 20;

/// Every kind of samples as whole bytes.
const EIGHT_BITS: Transformations = Transformations::EXPAND.union(Transformations::STRIP_16);

const SIGNATURE_BYTES: usize = 8;
/// Length, name and checksum of a chunk.
const CHUNK_BYTES: usize = 12;
const ICC_PROFILE: [u8; 4] = *b"iCCP";
const IMAGE_DATA: [u8; 4] = *b"IDAT";

pub(super) fn probe(bytes: &[u8]) -> Result<Header, Error> {
    let mut decoder = decoder(Cursor::new(bytes));
    decoder.set_ignore_iccp_chunk(true);
    let reader = decoder.read_info().map_err(into_error)?;
    let info = reader.info();
    let has_alpha = info.trns.is_some() || matches!(info.color_type, ColorType::Rgba | ColorType::GrayscaleAlpha);
    Ok(Header {
        format: Format::Png,
        size: size(info),
        orientation: info.exif_metadata.as_deref().and_then(metadata::orientation),
        frames: 1,
        color_model: color_model(info),
        depth: if info.bit_depth == BitDepth::Sixteen { Depth::Sixteen } else { Depth::Eight },
        has_alpha,
        bytes: bytes.len() as u64,
        jpeg_quality: None,
        sampling: None,
        may_have_profile: has_profile(bytes),
        by_rows: is_by_rows(info),
    })
}

/// Whether a profile stands before the pixels, readable or not.
fn has_profile(bytes: &[u8]) -> bool {
    let mut at = SIGNATURE_BYTES;
    while let Some([length @ .., k0, k1, k2, k3]) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        match [*k0, *k1, *k2, *k3] {
            ICC_PROFILE => return true,
            IMAGE_DATA => return false,
            _ => {}
        }
        let [l0, l1, l2, l3] = *length;
        at = at.saturating_add(u32::from_be_bytes([l0, l1, l2, l3]) as usize).saturating_add(CHUNK_BYTES);
    }
    false
}

/// Whether rows come from the top, and are those of the whole picture.
fn is_by_rows(info: &Info<'_>) -> bool {
    let is_whole = |frame: &FrameControl| (frame.width, frame.height) == (info.width, info.height);
    !info.interlaced && info.frame_control.as_ref().is_none_or(is_whole)
}

type PngReader<'a> = Reader<Watched<'a>>;

/// A reader behind the header, whose size is within the limits.
fn reader<'a>(
    bytes: &'a [u8],
    transformations: Transformations,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<(PngReader<'a>, Size), Error> {
    let mut decoder = decoder(Watched::new(bytes, cancel));
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(transformations);
    let reader = decoder.read_info().map_err(into_error)?;
    let size = size(reader.info());
    limits.check_source(size)?;
    Ok((reader, size))
}

/// The picture scaled to `scaled`, which is nowhere larger, a row at a time; `None` where its rows come in passes.
pub(super) fn still_scaled(
    bytes: &[u8],
    scaled: Size,
    light: Light,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Option<Frame>, Error> {
    if unfilter::is_fast()
        && let Ok(rows) = Rows::new(bytes, limits, cancel)
    {
        let mut scaler = Scaler::new(rows.size(), rows.layout(), scaled, light);
        if read_all(rows, cancel, |row| scaler.push(row))? {
            return Ok(Some(scaler.finish()));
        }
    }
    let (mut reader, size) = reader(bytes, EIGHT_BITS, limits, cancel)?;
    let (color, depth) = reader.output_color_type();
    let line_bytes = reader.output_line_size(size.width);
    let (true, BitDepth::Eight, Some(line_bytes)) = (is_by_rows(reader.info()), depth, line_bytes) else {
        return Ok(None);
    };
    let mut scaler = Scaler::new(size, layout(color), scaled, light);
    let mut line = vec![0; line_bytes];
    while reader.read_row(&mut line).map_err(into_error)?.is_some() {
        match color {
            ColorType::GrayscaleAlpha => scaler.push(&gray_alpha_to_rgba(&line)),
            _ => scaler.push(&line),
        }
    }
    Ok(Some(scaler.finish()))
}

/// Hands over all rows; `Ok(false)` where the file is to be left to the other decoder, whatever came before.
fn read_all(mut rows: Rows<'_>, cancel: &Cancel, mut take: impl FnMut(&[u8])) -> Result<bool, Error> {
    loop {
        match rows.next() {
            Ok(Some(row)) => take(row),
            Ok(None) => return Ok(true),
            Err(_) => {
                cancel.check()?;
                return Ok(false);
            }
        }
    }
}

const fn layout(color: ColorType) -> Layout {
    match color {
        ColorType::Grayscale => Layout::Gray,
        ColorType::GrayscaleAlpha | ColorType::Rgba => Layout::Rgba,
        ColorType::Rgb | ColorType::Indexed => Layout::Rgb,
    }
}

pub(super) fn still(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    if unfilter::is_fast()
        && let Ok(rows) = Rows::new(bytes, limits, cancel)
    {
        let (size, layout) = (rows.size(), rows.layout());
        let mut pixels = Vec::with_capacity(size.area() as usize * layout.channels());
        if read_all(rows, cancel, |row| pixels.extend_from_slice(row))? {
            return Frame::new(size, layout, pixels).ok_or_else(|| broken(Format::Png, "its rows differ in size"));
        }
    }
    let (mut reader, size) = reader(bytes, EIGHT_BITS, limits, cancel)?;
    let length = reader.output_buffer_size().ok_or_else(|| broken(Format::Png, "its size has no meaning"))?;
    let mut pixels = vec![0; length];
    let output = reader.next_frame(&mut pixels).map_err(into_error)?;
    if output.bit_depth != BitDepth::Eight {
        return Err(broken(Format::Png, "its depth has no meaning"));
    }
    let pixels = if output.color_type == ColorType::GrayscaleAlpha { gray_alpha_to_rgba(&pixels) } else { pixels };
    Frame::new(size, layout(output.color_type), pixels).ok_or_else(|| broken(Format::Png, "its frames differ in size"))
}

/// The picture of a file with 16 bits a sample.
pub(super) fn still_deep(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Frame<Deep>, Error> {
    let (mut reader, size) = reader(bytes, Transformations::EXPAND, limits, cancel)?;
    let length = reader.output_buffer_size().ok_or_else(|| broken(Format::Png, "its size has no meaning"))?;
    let mut pixels = vec![Deep::default(); length.div_ceil(size_of::<Deep>())];
    let output = reader.next_frame(pixels.as_flattened_mut()).map_err(into_error)?;
    if output.bit_depth != BitDepth::Sixteen {
        return Err(broken(Format::Png, "its depth has no meaning"));
    }
    let pixels = if output.color_type == ColorType::GrayscaleAlpha { gray_alpha_to_rgba(&pixels) } else { pixels };
    Frame::of(size, layout(output.color_type), pixels).ok_or_else(|| broken(Format::Png, "its frames differ in size"))
}

/// ICC profile (its inflation is bounded), EXIF and density, as far as they stand before the pixels.
pub(in crate::engine) fn metadata(bytes: &[u8]) -> Metadata {
    let mut decoder = decoder(Cursor::new(bytes));
    decoder.set_limits(PngLimits { bytes: MAX_ICC_BYTES + WORK_BYTES });
    let Ok(reader) = decoder.read_info() else { return Metadata::default() };
    let info = reader.info();
    Metadata {
        icc: info.icc_profile.as_deref().map(<[u8]>::to_vec),
        exif: info.exif_metadata.as_deref().map(<[u8]>::to_vec),
        density_dpi: info.pixel_dims.and_then(|dims| match dims.unit {
            // pHYs counts pixels a metre, EXIF and JFIF pixels an inch.
            Unit::Meter => u16::try_from((f64::from(dims.xppu) * 0.0254).round() as u32).ok(),
            Unit::Unspecified => None,
        }),
    }
}

fn decoder<R: BufRead + Seek>(source: R) -> Decoder<R> {
    let mut decoder = Decoder::new_with_limits(source, PngLimits { bytes: WORK_BYTES });
    decoder.set_ignore_text_chunk(true);
    decoder
}

fn size(info: &Info<'_>) -> Size {
    Size::new(info.width, info.height)
}

fn color_model(info: &Info<'_>) -> ColorModel {
    match info.color_type {
        ColorType::Indexed => ColorModel::Palette,
        ColorType::Grayscale if info.trns.is_none() => ColorModel::Gray,
        ColorType::Grayscale | ColorType::GrayscaleAlpha => ColorModel::GrayAlpha,
        ColorType::Rgb if info.trns.is_none() => ColorModel::Rgb,
        ColorType::Rgb | ColorType::Rgba => ColorModel::Nrgba,
    }
}

pub(super) fn gray_alpha_to_rgba<S: Sample>(pixels: &[S]) -> Vec<S> {
    pixels.chunks_exact(2).flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[1]]).collect()
}

fn into_error(error: DecodingError) -> Error {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            broken(Format::Png, "it is cut short")
        }
        DecodingError::LimitsExceeded => Error::Limit {
            what: "bytes of a PNG's rows and chunks",
            value: WORK_BYTES as u64 + 1,
            limit: WORK_BYTES as u64,
        },
        error => broken(Format::Png, error),
    }
}
