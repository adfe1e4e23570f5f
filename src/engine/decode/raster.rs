//! BMP and TIFF, by the `image` crate.

use std::io::{BufRead, Cursor, Seek};

use ::image::codecs::bmp::BmpDecoder;
use ::image::codecs::tiff::TiffDecoder;
use ::image::error::ImageError;
use ::image::{ColorType, DynamicImage, ExtendedColorType, ImageDecoder, Limits as ImageLimits};

use super::png::gray_alpha_to_rgba;
use super::watched::Watched;
use super::{broken, unsupported};
use crate::engine::image::{ColorModel, Deep, Depth, Format, Frame, Header, Layout};
use crate::engine::limits::{Cancel, Limits};
use crate::engine::{Error, metadata};
use crate::geometry::Size;

/// Most bytes a decoder may take for one pixel: four channels of 32 bits, and a second buffer of the same.
const BYTES_PER_PIXEL: u64 = 32;

/// What small files may take whatever their size.
const SPARE_BYTES: u64 = 16 << 20;

pub(super) fn probe(bytes: &[u8], format: Format) -> Result<Header, Error> {
    let decoder = open(Cursor::new(bytes), format)?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width, height);
    if size.area() == 0 {
        return Err(broken(format, "its width or height is 0"));
    }
    Ok(Header {
        format,
        size,
        orientation: if format == Format::Tiff { metadata::orientation(bytes) } else { None },
        frames: 1,
        color_model: color_model(&*decoder, bytes, format),
        depth: if layout_of_deep(decoder.color_type()).is_some() { Depth::Sixteen } else { Depth::Eight },
        has_alpha: decoder.color_type().has_alpha(),
        bytes: bytes.len() as u64,
        jpeg_quality: None,
        sampling: None,
        may_have_profile: true,
        by_rows: false,
    })
}

pub(super) fn still(bytes: &[u8], format: Format, limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    let (decoder, size) = open_within(Watched::new(bytes, cancel), format, limits)?;
    let decoded = DynamicImage::from_decoder(decoder).map_err(|error| into_error(error, format))?;
    let (layout, pixels) = match decoded.color() {
        ColorType::L8 | ColorType::L16 => (Layout::Gray, decoded.into_luma8().into_raw()),
        color if color.has_alpha() => (Layout::Rgba, decoded.into_rgba8().into_raw()),
        _ => (Layout::Rgb, decoded.into_rgb8().into_raw()),
    };
    Frame::new(size, layout, pixels).ok_or_else(|| broken(format, "its size has no meaning"))
}

/// The picture of a TIFF file with 16 bits a sample.
pub(super) fn still_deep(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Frame<Deep>, Error> {
    let meaningless = || broken(Format::Tiff, "its size has no meaning");
    let (decoder, size) = open_within(Watched::new(bytes, cancel), Format::Tiff, limits)?;
    let color = decoder.color_type();
    let layout = layout_of_deep(color).ok_or_else(|| broken(Format::Tiff, "its depth has no meaning"))?;
    let samples = size.area().checked_mul(u64::from(color.channel_count())).and_then(|count| count.try_into().ok());
    let mut pixels = vec![Deep::default(); samples.ok_or_else(meaningless)?];
    decoder.read_image(pixels.as_flattened_mut()).map_err(|error| into_error(error, Format::Tiff))?;
    // The library gives numbers of this processor.
    pixels.iter_mut().for_each(|sample| *sample = u16::from_ne_bytes(*sample).to_be_bytes());
    let pixels = if color == ColorType::La16 { gray_alpha_to_rgba(&pixels) } else { pixels };
    Frame::of(size, layout, pixels).ok_or_else(meaningless)
}

/// Layout of frames that are made of 16-bit samples; `None` for other depths.
const fn layout_of_deep(color: ColorType) -> Option<Layout> {
    match color {
        ColorType::L16 => Some(Layout::Gray),
        ColorType::Rgb16 => Some(Layout::Rgb),
        ColorType::La16 | ColorType::Rgba16 => Some(Layout::Rgba),
        _ => None,
    }
}

/// The ICC profile of a TIFF file.
pub(in crate::engine) fn tiff_icc(bytes: &[u8]) -> Option<Vec<u8>> {
    TiffDecoder::new(Cursor::new(bytes)).ok()?.icc_profile().ok()?
}

/// A decoder that takes no more memory than the picture's size tells, which is within `limits`.
fn open_within<'a>(
    source: impl BufRead + Seek + 'a,
    format: Format,
    limits: &Limits,
) -> Result<(Box<dyn ImageDecoder + 'a>, Size), Error> {
    let mut decoder = open(source, format)?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width, height);
    limits.check_source(size)?;
    let mut image_limits = ImageLimits::no_limits();
    image_limits.max_alloc = Some(size.area() * BYTES_PER_PIXEL + SPARE_BYTES);
    decoder.set_limits(image_limits).map_err(|error| into_error(error, format))?;
    Ok((decoder, size))
}

fn open<'a>(source: impl BufRead + Seek + 'a, format: Format) -> Result<Box<dyn ImageDecoder + 'a>, Error> {
    match format {
        Format::Bmp => BmpDecoder::new(source).map(|decoder| Box::new(decoder) as Box<dyn ImageDecoder>),
        _ => TiffDecoder::new(source).map(|decoder| Box::new(decoder) as Box<dyn ImageDecoder>),
    }
    .map_err(|error| into_error(error, format))
}

fn color_model(decoder: &dyn ImageDecoder, bytes: &[u8], format: Format) -> ColorModel {
    // Bits a pixel stand at byte 28 of a BMP with the usual 40-byte header; up to 8 there is a palette.
    if format == Format::Bmp && bytes.get(28).is_some_and(|bits| (1..=8).contains(bits)) {
        return ColorModel::Palette;
    }
    match (decoder.original_color_type(), decoder.color_type()) {
        (ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16, _) => ColorModel::Cmyk,
        (_, ColorType::L8 | ColorType::L16) => ColorModel::Gray,
        (_, ColorType::La8 | ColorType::La16) => ColorModel::GrayAlpha,
        (_, color) if color.has_alpha() => ColorModel::Nrgba,
        _ => ColorModel::Rgb,
    }
}

fn into_error(error: ImageError, format: Format) -> Error {
    match error {
        ImageError::Unsupported(error) => unsupported(format, error),
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            broken(format, "it is cut short")
        }
        error => broken(format, error),
    }
}
