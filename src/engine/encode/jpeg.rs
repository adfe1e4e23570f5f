//! JPEG, by TurboJPEG.

use turbojpeg_sys as tj;

use super::{Effort, FULL_CHROMA_QUALITY, Settings, unencodable};
use crate::engine::Error;
use crate::engine::decode::turbo::{Complaint, Turbo};
use crate::engine::image::{Frame, Layout};
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
    if frame.size().long() > MAX_EDGE {
        let problem = format_args!("{} is over {MAX_EDGE} pixels", frame.size()).to_string();
        return Err(unencodable(OutputFormat::Jpeg, problem));
    }
    let jpeg =
        compress(frame, format, settings).map_err(|complaint| unencodable(OutputFormat::Jpeg, complaint.text))?;
    Ok(match &settings.metadata.exif {
        Some(exif) if exif.len() <= MAX_EXIF_BYTES => with_exif(&jpeg, exif),
        _ => jpeg,
    })
}

fn compress(frame: &Frame, format: tj::TJPF, settings: &Settings) -> Result<Vec<u8>, Complaint> {
    let subsampling = match (frame.layout(), settings.quality) {
        (Layout::Gray, _) => tj::TJSAMP_TJSAMP_GRAY,
        (_, FULL_CHROMA_QUALITY..) => tj::TJSAMP_TJSAMP_444,
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
    if let Some(icc) = settings.icc_for(frame.layout()) {
        turbo.set_icc(icc)?;
    }
    turbo.compress(frame.pixels(), frame.size().width, frame.size().height, format)
}

/// Puts an APP1 segment behind the JFIF one, which the encoder writes first.
fn with_exif(jpeg: &[u8], exif: &[u8]) -> Vec<u8> {
    let at = match jpeg {
        [_, _, 0xFF, 0xE0, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 2,
    };
    let (before, after) = jpeg.split_at(at.min(jpeg.len()));
    let length = (2 + 6 + exif.len()) as u16;
    [before, &[0xFF, 0xE1], &length.to_be_bytes(), b"Exif\0\0", exif, after].concat()
}
