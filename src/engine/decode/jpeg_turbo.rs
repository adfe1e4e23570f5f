//! Samples of JPEG files, by TurboJPEG: scaled by its reduced transforms.

use turbojpeg_sys as tj;

use super::jpeg::{Decoded, Samples, Source};
use super::jpeg_markers::has_end;
use super::turbo::{Complaint, Turbo, channels};
use crate::geometry::Size;

/// Warnings that leave the pixels right: stray bytes between segments, odd version numbers and flags.
const HARMLESS: [&str; 3] =
    ["extraneous bytes before marker", "unknown JFIF revision", "Unknown Adobe color transform"];

/// Decodes at `eighths`/8; the text says what is wrong with the file.
pub(super) fn decompress(source: &Source<'_>, eighths: u8) -> Result<Decoded, String> {
    match run(source, eighths, true) {
        // The first run stops at the first warning. Where that one is harmless and the file has its end, a second run
        // goes on over warnings; further ones cannot be told apart there.
        Err(Complaint { warning: true, text })
            if HARMLESS.iter().any(|harmless| text.contains(harmless))
                && has_end(source.bytes, source.markers.scan) =>
        {
            run(source, eighths, false)
        }
        outcome => outcome,
    }
    .map_err(|complaint| complaint.text)
}

fn run(source: &Source<'_>, eighths: u8, strict: bool) -> Result<Decoded, Complaint> {
    let mut turbo = Turbo::decompressor()?;
    bound(&mut turbo, source.size, source.scans, strict)?;
    forgive(turbo.read_header(source.bytes), strict)?;

    let (samples, format) = match turbo.get(tj::TJPARAM_TJPARAM_COLORSPACE) as tj::TJCS {
        tj::TJCS_TJCS_GRAY => (Samples::Gray, tj::TJPF_TJPF_GRAY),
        tj::TJCS_TJCS_CMYK | tj::TJCS_TJCS_YCCK => (Samples::Cmyk, tj::TJPF_TJPF_CMYK),
        _ => (Samples::Rgb, tj::TJPF_TJPF_RGB),
    };
    let size = super::scaled(source.size, eighths);
    let mut pixels = vec![0; size.area() as usize * channels(format)];
    forgive(turbo.decompress(source.bytes, &mut pixels, eighths, format), strict)?;
    Ok(Decoded { size, samples, pixels })
}

/// Bounds what TurboJPEG does with a file of this size; a strict run ends at the first warning.
pub(in crate::engine) fn bound(turbo: &mut Turbo, size: Size, scans: u32, strict: bool) -> Result<(), Complaint> {
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
