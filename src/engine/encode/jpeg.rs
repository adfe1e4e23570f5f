//! JPEG, by TurboJPEG.

use std::borrow::Cow;

use turbojpeg_sys as tj;

use super::{Effort, FULL_CHROMA_QUALITY, Settings, unencodable};
use crate::engine::Error;
use crate::engine::decode::turbo::{Complaint, Turbo};
use crate::engine::image::{Frame, Layout};
use crate::engine::planes::Planes;
use crate::geometry::Size;
use crate::plan::output::OutputFormat;

/// libjpeg's `JPEG_MAX_DIMENSION`.
const MAX_EDGE: u32 = 65_500;

/// A segment holds 65 535 bytes, its length field included; EXIF has six bytes in front.
const MAX_EXIF_BYTES: usize = 65_535 - 2 - 6;

/// TurboJPEG's code for pixels an inch in the JFIF segment.
const DENSITY_PER_INCH: i32 = 1;

pub(super) fn encode(frame: &Frame, settings: &Settings) -> Result<Vec<u8>, Error> {
    let format = match frame.layout() {
        Layout::Gray => tj::TJPF_TJPF_GRAY,
        Layout::Rgb => tj::TJPF_TJPF_RGB,
        Layout::Rgba => return Err(unencodable(OutputFormat::Jpeg, "it has no alpha; flatten first")),
    };
    check_size(frame.size())?;
    let jpeg = compressor(frame.layout(), chroma_coarseness(settings.quality), settings)
        .and_then(|mut turbo| turbo.compress(frame.pixels(), frame.size().width, frame.size().height, format));
    finished(jpeg, settings)
}

/// How many times coarser than luma chroma is at this quality.
pub(super) const fn chroma_coarseness(quality: u8) -> u32 {
    if quality >= FULL_CHROMA_QUALITY { 1 } else { 2 }
}

pub(super) fn encode_planes(planes: &Planes, settings: &Settings) -> Result<Vec<u8>, Error> {
    let size = planes.size();
    check_size(size)?;
    let Some([cb, cr]) = &planes.chroma else { return encode(&planes.luma, settings) };
    let luma = padded(&planes.luma, planes.coarseness);
    let jpeg = compressor(Layout::Rgb, planes.coarseness, settings)
        .and_then(|mut turbo| turbo.compress_planes([&luma, cb.pixels(), cr.pixels()], size.width, size.height));
    finished(jpeg, settings)
}

/// The plane with its last column and row repeated until width and height are multiples of `multiple`.
fn padded(plane: &Frame, multiple: u32) -> Cow<'_, [u8]> {
    let Size { width, height } = plane.size();
    let (columns, rows) = (width.next_multiple_of(multiple), height.next_multiple_of(multiple));
    if (columns, rows) == (width, height) {
        return Cow::Borrowed(plane.pixels());
    }
    let mut pixels = Vec::with_capacity(columns as usize * rows as usize);
    for y in 0..rows {
        let start = y.min(height - 1) as usize * plane.stride();
        let row = &plane.pixels()[start..start + plane.stride()];
        pixels.extend_from_slice(row);
        pixels.extend(std::iter::repeat_n(row[row.len() - 1], (columns - width) as usize));
    }
    Cow::Owned(pixels)
}

fn check_size(size: Size) -> Result<(), Error> {
    if size.long() > MAX_EDGE {
        return Err(unencodable(OutputFormat::Jpeg, format_args!("{size} is over {MAX_EDGE} pixels")));
    }
    Ok(())
}

fn finished(jpeg: Result<Vec<u8>, Complaint>, settings: &Settings) -> Result<Vec<u8>, Error> {
    let jpeg = jpeg.map_err(|complaint| unencodable(OutputFormat::Jpeg, complaint.text))?;
    Ok(with_exif(jpeg, settings))
}

/// A compressor for pictures of this layout, with everything set but the pixels.
fn compressor(layout: Layout, coarseness: u32, settings: &Settings) -> Result<Turbo, Complaint> {
    let subsampling = match (layout, coarseness) {
        (Layout::Gray, _) => tj::TJSAMP_TJSAMP_GRAY,
        (_, 1) => tj::TJSAMP_TJSAMP_444,
        _ => tj::TJSAMP_TJSAMP_420,
    };
    let progressive = settings.interlace || settings.effort == Effort::Small;
    let mut turbo = Turbo::compressor()?;
    turbo.set(tj::TJPARAM_TJPARAM_QUALITY, i32::from(settings.quality.clamp(1, 100)))?;
    turbo.set(tj::TJPARAM_TJPARAM_SUBSAMP, subsampling)?;
    turbo.set(tj::TJPARAM_TJPARAM_PROGRESSIVE, i32::from(progressive))?;
    turbo.set(tj::TJPARAM_TJPARAM_OPTIMIZE, 1)?;
    if let Some(dpi) = settings.metadata.density_dpi.filter(|dpi| *dpi > 0) {
        turbo.set(tj::TJPARAM_TJPARAM_XDENSITY, i32::from(dpi))?;
        turbo.set(tj::TJPARAM_TJPARAM_YDENSITY, i32::from(dpi))?;
        turbo.set(tj::TJPARAM_TJPARAM_DENSITYUNITS, DENSITY_PER_INCH)?;
    }
    if let Some(icc) = settings.icc_for(layout) {
        turbo.set_icc(icc)?;
    }
    Ok(turbo)
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
