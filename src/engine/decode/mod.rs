//! Bytes to header, metadata and frames: one codec a file.
//!
//! JPEG and WebP have two each, one in C (feature `native`) and one in Rust, and a file for what holds for both.
//!
//! Formats are told by their first bytes, never by a name. Every decoder checks the size against [`Limits`] before it
//! takes memory, ends broken data with [`Error::Broken`], and returns 8-bit pixels (16-bit ones where these are asked for) in
//! the file's own orientation.

#[cfg(feature = "avif")]
pub(in crate::engine) mod avif;
#[cfg(not(feature = "avif"))]
#[path = "no_avif.rs"]
pub(in crate::engine) mod avif;
mod gif;
pub(in crate::engine) mod jpeg;
pub(in crate::engine) mod jpeg_markers;
#[cfg(any(test, not(feature = "native")))]
mod jpeg_pure;
pub(in crate::engine) mod jpeg_quality;
#[cfg(feature = "native")]
pub(in crate::engine) mod jpeg_turbo;
pub(in crate::engine) mod png;
pub(in crate::engine) mod psd;
pub(in crate::engine) mod raster;
pub(in crate::engine) mod reduced;
pub(in crate::engine) mod riff;
#[cfg(feature = "native")]
pub(in crate::engine) mod turbo;
mod watched;
mod webp;
#[cfg(feature = "native")]
mod webp_native;
#[cfg(any(test, not(feature = "native")))]
mod webp_pure;

#[cfg(all(test, feature = "avif"))]
mod avif_tests;
#[cfg(test)]
mod deep_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod png_tests;
#[cfg(all(test, feature = "native"))]
mod pure_tests;
#[cfg(test)]
pub(in crate::engine) mod tests;

use std::fmt::Display;
use std::time::Duration;

use super::Error;
use super::image::{Deep, Format, Frame, Header};
use super::light::Light;
use super::limits::{Cancel, Limits};
use crate::geometry::Size;

/// Most bytes of an `ftyp` box that are searched for a brand.
const MAX_FTYP_BYTES: usize = 1024;

/// Reads the header of a picture; no pixels are decoded.
///
/// The size is not checked against limits here.
///
/// # Errors
/// [`Error::NotAnImage`] for unknown first bytes, [`Error::Broken`] for a header that is broken or cut short (for GIF:
/// for a file without its end), [`Error::UnsupportedFeature`] for parts of a format that are not read here.
pub fn probe(bytes: &[u8]) -> Result<Header, Error> {
    match sniff(bytes).ok_or(Error::NotAnImage)? {
        Format::Jpeg => jpeg::probe(bytes),
        Format::Png => png::probe(bytes),
        Format::Gif => gif::probe(bytes),
        Format::Webp => webp::probe(bytes),
        format @ (Format::Bmp | Format::Tiff) => raster::probe(bytes, format),
        Format::Psd => psd::probe(bytes),
        Format::Avif => avif::probe(bytes),
    }
}

/// Size of what [`still`] decodes of `size` at `eighths`/8: JPEG scales, other formats do not.
pub fn scaled_size(format: Format, size: Size, eighths: u8) -> Size {
    if format == Format::Jpeg { scaled(size, eighths) } else { size }
}

/// The first frame, as stored (not turned by its orientation); of an animation the first composited canvas.
///
/// JPEG is decoded at `eighths`/8 of its size, `eighths` one of 1, 2, 4, 8. `Gray` for gray files, `Rgb` where no pixel
/// can be transparent, else `Rgba` with straight alpha. CMYK becomes sRGB, by the file's own profile where it has one;
/// other profiles are not applied (see [`super::color::to_srgb`]).
///
/// # Errors
/// [`Error::Limit`] over `limits`, [`Error::Broken`] for broken or truncated data, [`Error::UnsupportedFeature`],
/// [`Error::Cancelled`]: all decoders look at the flag between rows or chunks of data, but for libjpeg-turbo and libaom.
pub fn still(bytes: &[u8], header: &Header, eighths: u8, limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    limits.check_source(header.size)?;
    cancel.check()?;
    let frame = match header.format {
        Format::Jpeg => jpeg::still(bytes, eighths, limits, cancel),
        Format::Png => png::still(bytes, limits, cancel),
        Format::Gif => gif::still(bytes, limits, cancel),
        Format::Webp => webp::still(bytes, limits, cancel),
        format @ (Format::Bmp | Format::Tiff) => raster::still(bytes, format, limits, cancel),
        Format::Psd => psd::still(bytes, limits, cancel),
        Format::Avif => avif::still(bytes, limits),
    };
    // Whatever a decoder says that was stopped, this is why.
    cancel.check()?;
    frame
}

/// [`still`] of a file whose header says [`by_rows`](Header::by_rows), scaled to `size`, which is nowhere larger, while it is
/// decoded: what [`resize`](super::op::resize::resize) makes of it, in the memory of some rows. `Ok(None)` for other files.
///
/// # Errors
/// As [`still`].
pub fn still_scaled(
    bytes: &[u8],
    header: &Header,
    size: Size,
    light: Light,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Option<Frame>, Error> {
    if header.format != Format::Png || size.exceeds(header.size) {
        return Ok(None);
    }
    limits.check_source(header.size)?;
    cancel.check()?;
    let frame = png::still_scaled(bytes, size, light, limits, cancel);
    cancel.check()?;
    frame
}

/// [`still`] with all 16 bits of a file whose header has [`Depth::Sixteen`](super::image::Depth::Sixteen).
///
/// # Errors
/// As [`still`]; [`Error::UnsupportedFeature`] for files of other depths.
pub fn still_deep(bytes: &[u8], header: &Header, limits: &Limits, cancel: &Cancel) -> Result<Frame<Deep>, Error> {
    limits.check_source(header.size)?;
    cancel.check()?;
    let frame = match header.format {
        Format::Png => png::still_deep(bytes, limits, cancel),
        Format::Tiff => raster::still_deep(bytes, limits, cancel),
        Format::Psd => psd::still_deep(bytes, limits, cancel),
        format => Err(unsupported(format, "16 bits a sample")),
    }?;
    cancel.check()?;
    Ok(frame)
}

/// The composited canvases of a GIF or WebP file, one by one.
///
/// # Errors
/// [`Error::Limit`] where the canvas, the number of frames or all frames together are over `limits`,
/// [`Error::UnsupportedFeature`] for formats that do not move, [`Error::Cancelled`].
pub fn animation<'a>(
    bytes: &'a [u8],
    header: &Header,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Animation<'a>, Error> {
    check_animation(header, limits)?;
    let source = match header.format {
        Format::Gif => gif::Player::new(bytes, limits, cancel).map(|player| Source::Gif(Box::new(player))),
        Format::Webp => webp::Player::new(bytes, limits).map(Source::Webp),
        format => Err(unsupported(format, "animation")),
    };
    cancel.check()?;
    Ok(Animation { source: source?, frames_left: header.frames, cancel: cancel.clone() })
}

/// The canvas at `number`, counted from 0, of an animation; all before it are decoded too.
///
/// # Errors
/// As [`animation`]; [`Error::Broken`] where the file ends before it.
pub fn frame_at(bytes: &[u8], header: &Header, number: u32, limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    let mut frames = animation(bytes, header, limits, cancel)?;
    for _ in 0..number {
        frames.next_frame()?;
    }
    let found = frames.next_frame()?;
    found.map(|(frame, _)| frame).ok_or_else(|| broken(header.format, "it ends before the frame"))
}

/// Frames of an animation; takes the memory of a few canvases, however many frames there are.
pub struct Animation<'a> {
    source: Source<'a>,
    frames_left: u32,
    cancel: Cancel,
}

enum Source<'a> {
    Gif(Box<gif::Player<'a>>),
    Webp(webp::Player<'a>),
}

impl Animation<'_> {
    /// The next canvas as straight RGBA, and how long it shows; `None` behind the last.
    ///
    /// # Errors
    /// [`Error::Broken`] where the data is broken or cut short, [`Error::Limit`] where a frame is larger than allowed,
    /// [`Error::Cancelled`].
    pub fn next_frame(&mut self) -> Result<Option<(Frame, Duration)>, Error> {
        let Some(left) = self.frames_left.checked_sub(1) else { return Ok(None) };
        self.frames_left = left;
        self.cancel.check()?;
        let frame = match &mut self.source {
            Source::Gif(player) => player.next_frame(),
            Source::Webp(player) => player.next_frame(),
        };
        self.cancel.check()?;
        frame
    }

    /// How many times it plays, 0 for ever.
    pub fn loops(&self) -> u32 {
        match &self.source {
            Source::Gif(player) => player.loops(),
            Source::Webp(player) => player.loops(),
        }
    }
}

fn check_animation(header: &Header, limits: &Limits) -> Result<(), Error> {
    limits.check_source(header.size)?;
    let (what, limit) = match header.format {
        Format::Webp => ("WebP frames", limits.webp_frames),
        _ => ("GIF frames", limits.gif_frames),
    };
    if header.frames > limit {
        return Err(Error::Limit { what, value: u64::from(header.frames), limit: u64::from(limit) });
    }
    let pixels = header.size.area().saturating_mul(u64::from(header.frames));
    if pixels > limits.animation_pixels {
        return Err(Error::Limit { what: "pixels of all frames", value: pixels, limit: limits.animation_pixels });
    }
    Ok(())
}

/// The format that the first bytes belong to.
pub fn sniff(bytes: &[u8]) -> Option<Format> {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Format::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::Webp),
        [b'B', b'M', ..] => Some(Format::Bmp),
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => Some(Format::Tiff),
        [b'8', b'B', b'P', b'S', ..] => Some(Format::Psd),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] if names_avif(bytes) => Some(Format::Avif),
        _ => None,
    }
}

/// Whether the `ftyp` box that the file begins with has a brand of AVIF, the major one or a compatible one.
fn names_avif(bytes: &[u8]) -> bool {
    const MINOR_VERSION: usize = 1;
    let Some((length, _)) = bytes.split_first_chunk::<4>() else { return false };
    let end = bytes.len().min(u32::from_be_bytes(*length) as usize).min(MAX_FTYP_BYTES);
    let brands = bytes.get(8..end).unwrap_or_default().chunks_exact(4).enumerate();
    brands.into_iter().any(|(index, brand)| index != MINOR_VERSION && matches!(brand, b"avif" | b"avis"))
}

fn scaled(size: Size, eighths: u8) -> Size {
    let edge = |edge: u32| (u64::from(edge) * u64::from(eighths)).div_ceil(8) as u32;
    Size::new(edge(size.width), edge(size.height))
}

fn broken(format: Format, problem: impl Display) -> Error {
    Error::Broken { format: format.name(), problem: problem.to_string() }
}

fn unsupported(format: Format, problem: impl Display) -> Error {
    Error::UnsupportedFeature { format: format.name(), problem: problem.to_string() }
}
