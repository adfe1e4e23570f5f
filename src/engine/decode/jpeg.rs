//! JPEG, by TurboJPEG: scaled decoding, gray, colour and CMYK.

use turbojpeg_sys as tj;

use super::jpeg_markers::{FrameHeader, Markers, has_end};
use super::turbo::{Complaint, Turbo, channels};
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

/// Warnings that leave the pixels right: stray bytes between segments, odd version numbers and flags.
const HARMLESS: [&str; 3] =
    ["extraneous bytes before marker", "unknown JFIF revision", "Unknown Adobe color transform"];

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
    match decompress(bytes, size, eighths, true) {
        // The first run stops at the first warning. Where that one is harmless and the file has its end, a second run
        // goes on over warnings; further ones cannot be told apart there.
        Err(Complaint { warning: true, text })
            if HARMLESS.iter().any(|harmless| text.contains(harmless)) && has_end(bytes, markers.scan) =>
        {
            decompress(bytes, size, eighths, false)
        }
        outcome => outcome,
    }
    .map_err(|complaint| broken(Format::Jpeg, complaint.text))
    .and_then(|decoded| decoded.into_frame(&markers, cancel))
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
fn color_model(frame: FrameHeader, markers: &Markers<'_>) -> Result<ColorModel, Error> {
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

/// Pixels as TurboJPEG gives them.
struct Decoded {
    size: Size,
    format: tj::TJPF,
    pixels: Vec<u8>,
}

impl Decoded {
    fn into_frame(self, markers: &Markers<'_>, cancel: &Cancel) -> Result<Frame, Error> {
        let (layout, pixels) = match self.format {
            tj::TJPF_TJPF_GRAY => (Layout::Gray, self.pixels),
            tj::TJPF_TJPF_CMYK => (Layout::Rgb, cmyk_to_rgb(self.pixels, markers, cancel)?),
            _ => (Layout::Rgb, self.pixels),
        };
        Frame::new(self.size, layout, pixels).ok_or_else(|| broken(Format::Jpeg, "its size changed while it was read"))
    }
}

/// libjpeg hands CMYK over as it is stored, and Adobe stores it inverted (255 is no ink).
fn cmyk_to_rgb(mut pixels: Vec<u8>, markers: &Markers<'_>, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    if markers.adobe_transform.is_some() {
        for value in &mut pixels {
            *value = !*value;
        }
    }
    color::cmyk_to_srgb(&pixels, markers.icc().as_deref(), cancel)
}

fn decompress(bytes: &[u8], size: Size, eighths: u8, strict: bool) -> Result<Decoded, Complaint> {
    let mut turbo = Turbo::decompressor()?;
    bound(&mut turbo, size, strict)?;
    forgive(turbo.read_header(bytes), strict)?;

    let format = match turbo.get(tj::TJPARAM_TJPARAM_COLORSPACE) as tj::TJCS {
        tj::TJCS_TJCS_GRAY => tj::TJPF_TJPF_GRAY,
        tj::TJCS_TJCS_CMYK | tj::TJCS_TJCS_YCCK => tj::TJPF_TJPF_CMYK,
        _ => tj::TJPF_TJPF_RGB,
    };
    let scaled = super::scaled(size, eighths);
    let mut pixels = vec![0; scaled.area() as usize * channels(format)];
    forgive(turbo.decompress(bytes, &mut pixels, eighths, format), strict)?;
    Ok(Decoded { size: scaled, format, pixels })
}

/// Bounds what TurboJPEG does with a file of this size; a strict run ends at the first warning.
pub(in crate::engine) fn bound(turbo: &mut Turbo, size: Size, strict: bool) -> Result<(), Complaint> {
    let scans = (MAX_SCANNED_PIXELS / size.area().max(1)).clamp(20, MAX_SCANS);
    turbo.set(tj::TJPARAM_TJPARAM_STOPONWARNING, i32::from(strict))?;
    turbo.set(tj::TJPARAM_TJPARAM_SCANLIMIT, scans as i32)?;
    turbo.set(tj::TJPARAM_TJPARAM_MAXPIXELS, i32::try_from(size.area()).unwrap_or(i32::MAX))?;
    turbo.set(tj::TJPARAM_TJPARAM_SAVEMARKERS, 0)
}

/// Outside a strict run a warning is no failure.
fn forgive(outcome: Result<(), Complaint>, strict: bool) -> Result<(), Complaint> {
    match outcome {
        Err(complaint) if complaint.warning && !strict => Ok(()),
        outcome => outcome,
    }
}
