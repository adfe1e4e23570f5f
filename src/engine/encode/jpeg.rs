//! JPEG: what fits, and what is put into the files of an encoder.
//!
//! Baseline files are written in `baseline/`. TurboJPEG makes progressive ones of them (`jpeg_turbo.rs`); in builds without the
//! feature `native` jpeg-encoder writes those (`jpeg_pure.rs`).

use super::baseline::{self, Heading, Picture, Plane};
#[cfg(not(feature = "native"))]
use super::jpeg_pure as progressive;
#[cfg(feature = "native")]
use super::jpeg_turbo as progressive;
use super::{Effort, FULL_CHROMA_QUALITY, Settings, unencodable};
use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::jpeg_tables;
#[cfg(feature = "internals")]
use crate::engine::limits::Cancel;
use crate::engine::planes::Planes;
use crate::geometry::Size;
use crate::plan::output::OutputFormat;

/// libjpeg's `JPEG_MAX_DIMENSION`.
const MAX_EDGE: u32 = 65_500;

/// A segment holds 65 535 bytes, its length field included; EXIF has six bytes in front.
const MAX_EXIF_BYTES: usize = 65_535 - 2 - 6;

pub(super) fn encode(frame: &Frame, settings: &Settings) -> Result<Vec<u8>, Error> {
    if frame.layout() == Layout::Rgba {
        return Err(unencodable(OutputFormat::Jpeg, "it has no alpha; flatten first"));
    }
    check_size(frame.size())?;
    let pixels = plane(frame);
    let picture = match frame.layout() {
        Layout::Gray => Picture::Gray(pixels),
        _ => Picture::Rgb { pixels, coarseness: chroma_coarseness(settings.quality) as usize },
    };
    compressed(picture, frame.layout(), settings)
}

/// The bytes of a frame; of RGB there are three a pixel.
fn plane(frame: &Frame) -> Plane<'_> {
    let Size { width, height } = frame.size();
    Plane { samples: frame.pixels(), width: width as usize, height: height as usize }
}

fn compressed(picture: Picture<'_>, layout: Layout, settings: &Settings) -> Result<Vec<u8>, Error> {
    let heading = Heading {
        tables: jpeg_tables::tuned(settings.quality, picture.coarseness().unwrap_or(1)),
        density_dpi: settings.metadata.density_dpi,
        icc: settings.icc_for(layout),
    };
    let compress = if is_progressive(settings) { progressive::compress } else { baseline::compress };
    Ok(with_exif(compress(picture, &heading, &settings.cancel)?, settings))
}

/// The baseline file of an RGB frame, 4:2:0, with libjpeg's own tables, by which it can be held against libjpeg's.
#[cfg(feature = "internals")]
pub(in crate::engine) fn with_standard_tables(frame: &Frame, quality: u8) -> Result<Vec<u8>, Error> {
    let heading = Heading { tables: jpeg_tables::standard(quality), density_dpi: None, icc: None };
    baseline::compress(Picture::Rgb { pixels: plane(frame), coarseness: 2 }, &heading, &Cancel::default())
}

/// How many times coarser than luma chroma is at this quality.
pub(super) const fn chroma_coarseness(quality: u8) -> u32 {
    if quality >= FULL_CHROMA_QUALITY { 1 } else { 2 }
}

pub(super) fn encode_planes(planes: &Planes, settings: &Settings) -> Result<Vec<u8>, Error> {
    check_size(planes.size())?;
    let Some(chroma) = &planes.chroma else { return encode(&planes.luma, settings) };
    let picture = Picture::Planes {
        luma: plane(&planes.luma),
        chroma: chroma.each_ref().map(plane),
        coarseness: planes.coarseness as usize,
    };
    compressed(picture, Layout::Rgb, settings)
}

fn check_size(size: Size) -> Result<(), Error> {
    if size.long() > MAX_EDGE {
        return Err(unencodable(OutputFormat::Jpeg, format_args!("{size} is over {MAX_EDGE} pixels")));
    }
    Ok(())
}

/// Whether the file shows a coarse picture first: asked for, or because such files are smaller.
fn is_progressive(settings: &Settings) -> bool {
    settings.interlace || settings.effort == Effort::Small
}

/// Puts the EXIF data, if there is any, as an APP1 segment behind the JFIF one, which the encoder writes first.
pub(super) fn with_exif(jpeg: Vec<u8>, settings: &Settings) -> Vec<u8> {
    let Some(exif) = settings.metadata.exif.as_ref().filter(|exif| exif.len() <= MAX_EXIF_BYTES) else { return jpeg };
    let at = match jpeg[..] {
        [_, _, 0xFF, 0xE0, high, low, ..] => 4 + usize::from(u16::from_be_bytes([high, low])),
        _ => 2,
    };
    let (before, after) = jpeg.split_at(at.min(jpeg.len()));
    let length = (2 + 6 + exif.len()) as u16;
    [before, &[0xFF, 0xE1], &length.to_be_bytes(), b"Exif\0\0", exif, after].concat()
}
