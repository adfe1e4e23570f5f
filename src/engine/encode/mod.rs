//! Frames to bytes: one codec a file.
//!
//! The same frame and settings give the same bytes: no threads, no clock, fixed seeds. Colours are not converted here;
//! a profile in the settings is embedded where it fits the frame's channels.

#[cfg(feature = "avif")]
mod avif;
pub(in crate::engine) mod baseline;
mod gif;
pub(in crate::engine) mod jpeg;
#[cfg(not(feature = "native"))]
mod jpeg_pure;
#[cfg(feature = "native")]
mod jpeg_turbo;
#[cfg(feature = "native")]
pub mod jpeg_turn;
#[cfg(not(feature = "native"))]
#[path = "no_jpeg_turn.rs"]
pub mod jpeg_turn;
mod palette;
mod png;
mod raster;
pub(in crate::engine) mod score;
pub mod search;
#[cfg(feature = "native")]
mod webp;
#[cfg(not(feature = "native"))]
#[path = "webp_pure.rs"]
mod webp;
mod webp_file;

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::time::Duration;

use super::Error;
use super::image::{Deep, Frame, Layout};
use super::limits::Cancel;
use super::metadata::{self, Metadata};
use super::planes::Planes;
use crate::geometry::Size;
use crate::plan::output::OutputFormat;

pub use palette::posterized;

/// From this quality on JPEG and AVIF keep colour at full resolution (4:4:4 instead of 4:2:0).
const FULL_CHROMA_QUALITY: u8 = 95;

/// How a result is encoded, and what stops that.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The format.
    pub format: OutputFormat,
    /// 1–100; for JPEG, AVIF and lossy WebP.
    pub quality: u8,
    /// Progressive JPEG. The other formats are never interlaced.
    pub interlace: bool,
    /// Size of the palette, 2–256: for PNG instead of full colour, for GIF instead of 128.
    pub colors: Option<u16>,
    /// Lossless WebP.
    pub lossless: bool,
    /// How much time may go into fewer bytes.
    pub effort: Effort,
    /// What goes into the file beside pixels. GIF and BMP hold none of it, TIFF only the profile, JPEG EXIF data up to
    /// 64 KiB, WebP and AVIF no density. What does not fit is left out.
    pub metadata: Metadata,
    /// Stops the encoder, between rows or hundredths of its work; libjpeg-turbo, which writes progressive files, and libaom
    /// are not stopped, nor is the search for a palette.
    pub cancel: Cancel,
}

/// How much time may go into fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effort {
    /// Interactive requests.
    Fast,
    /// `imageslim`, and what nobody waits for: progressive JPEG, the best PNG compression, a slower WebP and AVIF search.
    Small,
}

/// Encodes one picture.
///
/// JPEG and BMP take `Gray` and `Rgb` only: whoever has alpha flattens first. The other formats keep alpha; GIF makes
/// it transparent below 128 and opaque from there on.
///
/// # Errors
/// [`Error::Unencodable`] where the format cannot hold the picture: alpha in JPEG or BMP, an edge over 65 500 (JPEG),
/// 65 535 (GIF), 32 768 (AVIF) or 16 383 pixels (WebP). [`Error::Cancelled`].
pub fn still(frame: &Frame, settings: &Settings) -> Result<Vec<u8>, Error> {
    match settings.format {
        OutputFormat::Jpeg => jpeg::encode(frame, settings),
        OutputFormat::Png => png::encode(frame, settings),
        OutputFormat::Gif => {
            let mut writer = gif::Writer::new(frame.size(), 1, settings)?;
            writer.push(frame, Duration::ZERO)?;
            writer.finish()
        }
        OutputFormat::Webp => webp::encode(frame, settings),
        #[cfg(feature = "avif")]
        OutputFormat::Avif => avif::encode(frame, settings),
        #[cfg(not(feature = "avif"))]
        OutputFormat::Avif => Err(unencodable(OutputFormat::Avif, "this server was built without it")),
        format @ (OutputFormat::Bmp | OutputFormat::Tiff) => raster::encode(frame, format, settings),
    }
}

/// Whether a format holds 16 bits a sample.
pub const fn is_deep(format: OutputFormat) -> bool {
    matches!(format, OutputFormat::Png | OutputFormat::Tiff)
}

/// [`still`] with all 16 bits, where the format [`is_deep`]. A palette is not made of them: `colors` has no effect.
///
/// # Errors
/// [`Error::Unencodable`] for the other formats.
pub fn still_deep(frame: &Frame<Deep>, settings: &Settings) -> Result<Vec<u8>, Error> {
    match settings.format {
        OutputFormat::Png => png::encode_deep(frame, settings),
        OutputFormat::Tiff => raster::encode_deep(frame, settings),
        format => Err(unencodable(format, "it has 8 bits a sample")),
    }
}

/// How many times coarser than luma an encoder's chroma is, across and down, in the results at `quality`; `None` where it
/// does not take planes.
pub fn chroma_coarseness(format: OutputFormat, quality: u8) -> Option<u32> {
    match format {
        OutputFormat::Jpeg => Some(jpeg::chroma_coarseness(quality)),
        OutputFormat::Webp => webp::CHROMA_COARSENESS,
        _ => None,
    }
}

/// Encodes planes as they are, with chroma as coarse as theirs: JPEG and lossy WebP.
///
/// # Errors
/// As [`still`]; [`Error::Unencodable`] also where WebP is to have finer chroma than it stores.
pub fn planes(planes: &Planes, settings: &Settings) -> Result<Vec<u8>, Error> {
    match settings.format {
        OutputFormat::Jpeg => jpeg::encode_planes(planes, settings),
        OutputFormat::Webp => webp::encode_planes(planes, settings),
        format => Err(unencodable(format, "it does not store planes")),
    }
}

/// Starts an animation on a canvas of `size` that plays `loops` times, 0 for ever; GIF and WebP.
///
/// # Errors
/// [`Error::Unencodable`] for formats that do not move, and for canvases larger than the format's.
pub fn animation(size: Size, loops: u32, settings: &Settings) -> Result<AnimationWriter, Error> {
    let sink = match settings.format {
        OutputFormat::Gif => Sink::Gif(gif::Writer::new(size, loops, settings)?),
        OutputFormat::Webp => Sink::Webp(webp::Writer::new(size, loops, settings)?),
        format => return Err(unencodable(format, "it holds one frame only")),
    };
    Ok(AnimationWriter { sink, size })
}

/// Collects frames into an animation.
pub struct AnimationWriter {
    sink: Sink,
    size: Size,
}

enum Sink {
    Gif(gif::Writer),
    Webp(webp::Writer),
}

impl AnimationWriter {
    /// Adds a frame of the canvas's size, in any layout, that shows for `duration` (GIF counts hundredths of a second,
    /// WebP thousandths).
    ///
    /// # Errors
    /// [`Error::Unencodable`] where the frame has another size.
    pub fn push(&mut self, frame: &Frame, duration: Duration) -> Result<(), Error> {
        if frame.size() != self.size {
            let format = if matches!(self.sink, Sink::Gif(_)) { OutputFormat::Gif } else { OutputFormat::Webp };
            let problem = format_args!("a frame of {} in an animation of {}", frame.size(), self.size).to_string();
            return Err(unencodable(format, problem));
        }
        match &mut self.sink {
            Sink::Gif(writer) => writer.push(frame, duration),
            Sink::Webp(writer) => writer.push(frame, duration),
        }
    }

    /// The finished file.
    ///
    /// # Errors
    /// [`Error::Unencodable`] where no frame was added.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        match self.sink {
            Sink::Gif(writer) => writer.finish(),
            Sink::Webp(writer) => writer.finish(),
        }
    }
}

impl Settings {
    /// Whether the profile in the settings will be embedded with frames of this layout. Where it will not, whoever
    /// wants right colours converts the frame first (see [`super::color::to_srgb`]).
    ///
    /// GIF and BMP hold no profile, and the others only one for the channels that are stored: a palette and WebP store
    /// gray as colour.
    pub fn embeds_icc(&self, layout: Layout) -> bool {
        self.icc_for(layout).is_some()
    }

    fn icc_for(&self, layout: Layout) -> Option<&[u8]> {
        let stored = match self.format {
            OutputFormat::Gif | OutputFormat::Bmp => return None,
            OutputFormat::Webp => Layout::Rgb,
            OutputFormat::Png if self.colors.is_some() => Layout::Rgb,
            _ => layout,
        };
        self.metadata.icc.as_deref().filter(|icc| metadata::describes(icc, stored))
    }
}

/// Whether any pixel is not fully opaque.
fn is_translucent(frame: &Frame) -> bool {
    frame.layout() == Layout::Rgba && frame.pixels().chunks_exact(4).any(|pixel| pixel[3] != 255)
}

const fn name(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::Jpeg => "jpeg",
        OutputFormat::Png => "png",
        OutputFormat::Gif => "gif",
        OutputFormat::Webp => "webp",
        OutputFormat::Bmp => "bmp",
        OutputFormat::Tiff => "tiff",
        OutputFormat::Avif => "avif",
    }
}

fn unencodable(format: OutputFormat, problem: impl Display) -> Error {
    Error::Unencodable { format: name(format), problem: problem.to_string() }
}
