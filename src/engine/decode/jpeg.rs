//! JPEG: headers, what is refused, and frames of the samples that a decoder gives.
//!
//! The decoder is TurboJPEG (`jpeg_turbo.rs`), or zune-jpeg (`jpeg_pure.rs`) in builds without the feature `native`.

use super::jpeg_markers::{FrameHeader, Markers};
#[cfg(not(feature = "native"))]
use super::jpeg_pure::decompress;
#[cfg(feature = "native")]
use super::jpeg_turbo::decompress;
use super::{broken, jpeg_quality, reduced, unsupported};
use crate::engine::image::{ColorModel, Depth, Format, Frame, Header, Layout};
use crate::engine::limits::{Cancel, Limits};
use crate::engine::{Error, color, metadata};
use crate::geometry::Size;

/// Most scans of a progressive file, and most pixels times scans: each scan costs a pass over the picture, however few
/// bytes it has.
const MAX_SCANS: u64 = 500;
const MAX_SCANNED_PIXELS: u64 = 4_000_000_000;

/// A block of 8 × 8 pixels takes at least one bit in Huffman coding, so a byte holds at most this many pixels.
const MAX_PIXELS_PER_BYTE: u64 = 8 * 64;

pub(super) fn probe(bytes: &[u8]) -> Result<Header, Error> {
    let markers = Markers::read(bytes)?;
    let frame = markers.frame.ok_or_else(|| broken(Format::Jpeg, "it has no frame header"))?;
    check_coding(frame)?;
    let color_model = color_model(frame, &markers)?;
    let in_planes = matches!(color_model, ColorModel::Ycbcr | ColorModel::Gray);
    Ok(Header {
        format: Format::Jpeg,
        size: Size::new(u32::from(frame.width), u32::from(frame.height)),
        orientation: markers.exif.and_then(metadata::orientation),
        frames: 1,
        color_model,
        depth: Depth::Eight,
        has_alpha: false,
        bytes: bytes.len() as u64,
        jpeg_quality: jpeg_quality::estimate(&markers.tables),
        sampling: if in_planes { reduced::sampling(bytes) } else { None },
        may_have_profile: markers.has_icc(),
        by_rows: false,
    })
}

pub(super) fn still(bytes: &[u8], eighths: u8, limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    let markers = Markers::read(bytes)?;
    let frame = markers.frame.ok_or_else(|| broken(Format::Jpeg, "it has no frame header"))?;
    check_coding(frame)?;
    let size = Size::new(u32::from(frame.width), u32::from(frame.height));
    limits.check_source(size)?;
    check_plausible(bytes, size)?;
    cancel.check()?;
    let source = Source { bytes, markers: &markers, size, scans: most_scans(size) };
    let decoded = decompress(&source, eighths).map_err(|problem| broken(Format::Jpeg, problem))?;
    decoded.into_frame(&markers, cancel)
}

/// Lossless, hierarchical, arithmetic and deep files are refused, as browsers do: TurboJPEG does not scale the first,
/// and arithmetic coding packs any number of pixels into a few bytes.
fn check_coding(frame: FrameHeader) -> Result<(), Error> {
    if !matches!(frame.marker, 0xC0..=0xC2) {
        return Err(unsupported(Format::Jpeg, "lossless, hierarchical or arithmetic coding"));
    }
    if frame.precision != 8 {
        return Err(unsupported(Format::Jpeg, format_args!("{} bits a sample", frame.precision)));
    }
    if frame.width == 0 || frame.height == 0 {
        return Err(broken(Format::Jpeg, "its width or height is 0"));
    }
    Ok(())
}

/// Refuses a file that cannot hold its pixels before the decoder takes memory for them: a progressive one needs all
/// coefficients at once.
pub(in crate::engine) fn check_plausible(bytes: &[u8], size: Size) -> Result<(), Error> {
    if size.area() / MAX_PIXELS_PER_BYTE > bytes.len() as u64 {
        return Err(broken(Format::Jpeg, format_args!("{} bytes cannot hold {size} pixels", bytes.len())));
    }
    Ok(())
}

/// How the file's components are to be read, by the rules of libjpeg's `default_decompress_parms`.
pub(super) fn color_model(frame: FrameHeader, markers: &Markers<'_>) -> Result<ColorModel, Error> {
    match (frame.components, markers.adobe_transform) {
        (1, _) => Ok(ColorModel::Gray),
        (3, _) if markers.jfif => Ok(ColorModel::Ycbcr),
        (3, Some(0)) => Ok(ColorModel::Rgb),
        (3, None) if frame.ids[..3] == *b"RGB" => Ok(ColorModel::Rgb),
        (3, _) => Ok(ColorModel::Ycbcr),
        (4, _) => Ok(ColorModel::Cmyk),
        (count, _) => Err(unsupported(Format::Jpeg, format_args!("{count} components"))),
    }
}

/// A file whose header has been looked at.
pub(super) struct Source<'a> {
    /// The whole file.
    pub(super) bytes: &'a [u8],
    /// Its segments up to the first scan.
    pub(super) markers: &'a Markers<'a>,
    /// The size in its frame header.
    pub(super) size: Size,
    /// Most scans that it may have.
    pub(super) scans: u32,
}

/// What the samples of a pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Samples {
    Gray,
    Rgb,
    /// As stored: Adobe's files have 255 for no ink.
    Cmyk,
}

/// A picture as a decoder gives it.
pub(super) struct Decoded {
    pub(super) size: Size,
    pub(super) samples: Samples,
    pub(super) pixels: Vec<u8>,
}

impl Decoded {
    fn into_frame(self, markers: &Markers<'_>, cancel: &Cancel) -> Result<Frame, Error> {
        let (layout, pixels) = match self.samples {
            Samples::Gray => (Layout::Gray, self.pixels),
            Samples::Rgb => (Layout::Rgb, self.pixels),
            Samples::Cmyk => (Layout::Rgb, cmyk_to_rgb(self.pixels, markers, cancel)?),
        };
        Frame::new(self.size, layout, pixels).ok_or_else(|| broken(Format::Jpeg, "its size changed while it was read"))
    }
}

/// Decoders hand CMYK over as it is stored, and Adobe stores it inverted (255 is no ink).
fn cmyk_to_rgb(mut pixels: Vec<u8>, markers: &Markers<'_>, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    if markers.adobe_transform.is_some() {
        for value in &mut pixels {
            *value = !*value;
        }
    }
    color::cmyk_to_srgb(&pixels, markers.icc().as_deref(), cancel)
}

/// Most scans that a file of this size may have.
pub(in crate::engine) fn most_scans(size: Size) -> u32 {
    (MAX_SCANNED_PIXELS / size.area().max(1)).clamp(20, MAX_SCANS) as u32
}
