//! PNG, by the `png` crate. Of an animated PNG the default image is read.

use std::io::{BufRead, Cursor, Seek};

use ::png::{BitDepth, ColorType, Decoder, DecodingError, Info, Limits as PngLimits, Transformations, Unit};

use super::broken;
use super::watched::Watched;
use crate::engine::Error;
use crate::engine::image::{ColorModel, Deep, Depth, Format, Frame, Header, Layout, Sample};
use crate::engine::limits::{Cancel, Limits};
use crate::engine::metadata::{self, MAX_ICC_BYTES, Metadata};
use crate::geometry::Size;

/// Memory for rows and for chunks beside the pixels; a row of 30 000 pixels at 16 bits takes 240 kB.
const WORK_BYTES: usize = 16 << 20;

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
        may_have_profile: true,
    })
}

pub(super) fn still(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    let mut decoder = decoder(Watched::new(bytes, cancel));
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(into_error)?;
    let size = size(reader.info());
    limits.check_source(size)?;
    let length = reader.output_buffer_size().ok_or_else(|| broken(Format::Png, "its size has no meaning"))?;
    let mut pixels = vec![0; length];
    let output = reader.next_frame(&mut pixels).map_err(into_error)?;
    if output.bit_depth != BitDepth::Eight {
        return Err(broken(Format::Png, "its depth has no meaning"));
    }
    let (layout, pixels) = match output.color_type {
        ColorType::Grayscale => (Layout::Gray, pixels),
        ColorType::GrayscaleAlpha => (Layout::Rgba, gray_alpha_to_rgba(&pixels)),
        ColorType::Rgba => (Layout::Rgba, pixels),
        ColorType::Rgb | ColorType::Indexed => (Layout::Rgb, pixels),
    };
    Frame::new(size, layout, pixels).ok_or_else(|| broken(Format::Png, "its frames differ in size"))
}

/// The picture of a file with 16 bits a sample.
pub(super) fn still_deep(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Frame<Deep>, Error> {
    let mut decoder = decoder(Watched::new(bytes, cancel));
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(into_error)?;
    let size = size(reader.info());
    limits.check_source(size)?;
    let length = reader.output_buffer_size().ok_or_else(|| broken(Format::Png, "its size has no meaning"))?;
    let mut pixels = vec![Deep::default(); length.div_ceil(size_of::<Deep>())];
    let output = reader.next_frame(pixels.as_flattened_mut()).map_err(into_error)?;
    if output.bit_depth != BitDepth::Sixteen {
        return Err(broken(Format::Png, "its depth has no meaning"));
    }
    let (layout, pixels) = match output.color_type {
        ColorType::Grayscale => (Layout::Gray, pixels),
        ColorType::GrayscaleAlpha => (Layout::Rgba, gray_alpha_to_rgba(&pixels)),
        ColorType::Rgba => (Layout::Rgba, pixels),
        ColorType::Rgb | ColorType::Indexed => (Layout::Rgb, pixels),
    };
    Frame::of(size, layout, pixels).ok_or_else(|| broken(Format::Png, "its frames differ in size"))
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
