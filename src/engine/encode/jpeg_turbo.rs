//! Progressive JPEG data, by TurboJPEG.

use std::borrow::Cow;

use turbojpeg_sys as tj;

use super::Settings;
use crate::engine::decode::turbo::{Complaint, Turbo};
use crate::engine::image::{Frame, Layout};
use crate::geometry::Size;

/// TurboJPEG's code for pixels an inch in the JFIF segment.
const DENSITY_PER_INCH: i32 = 1;

/// A file of the frame, gray or RGB; the text says why there is none.
pub(super) fn compress(frame: &Frame, coarseness: u32, settings: &Settings) -> Result<Vec<u8>, String> {
    let format = if frame.layout() == Layout::Gray { tj::TJPF_TJPF_GRAY } else { tj::TJPF_TJPF_RGB };
    let Size { width, height } = frame.size();
    compressor(frame.layout(), coarseness, settings)
        .and_then(|mut turbo| turbo.compress(frame.pixels(), width, height, format))
        .map_err(|complaint| complaint.text)
}

/// The same of planes of Y, Cb and Cr.
pub(super) fn compress_planes(
    luma: &Frame,
    [cb, cr]: [&Frame; 2],
    coarseness: u32,
    settings: &Settings,
) -> Result<Vec<u8>, String> {
    let Size { width, height } = luma.size();
    let luma = padded(luma, coarseness);
    compressor(Layout::Rgb, coarseness, settings)
        .and_then(|mut turbo| turbo.compress_planes([&luma, cb.pixels(), cr.pixels()], width, height))
        .map_err(|complaint| complaint.text)
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

/// A compressor for pictures of this layout, with everything set but the pixels.
fn compressor(layout: Layout, coarseness: u32, settings: &Settings) -> Result<Turbo, Complaint> {
    let subsampling = match (layout, coarseness) {
        (Layout::Gray, _) => tj::TJSAMP_TJSAMP_GRAY,
        (_, 1) => tj::TJSAMP_TJSAMP_444,
        _ => tj::TJSAMP_TJSAMP_420,
    };
    let mut turbo = Turbo::compressor()?;
    turbo.set(tj::TJPARAM_TJPARAM_QUALITY, i32::from(settings.quality.clamp(1, 100)))?;
    turbo.set(tj::TJPARAM_TJPARAM_SUBSAMP, subsampling)?;
    turbo.set(tj::TJPARAM_TJPARAM_PROGRESSIVE, 1)?;
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
