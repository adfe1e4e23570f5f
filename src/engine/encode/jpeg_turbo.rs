//! Progressive JPEG data, by TurboJPEG: a baseline file's coefficients, in scans of which the first show a coarse picture.

use turbojpeg_sys as tj;

use super::baseline::{self, Heading, Picture};
use super::unencodable;
use crate::engine::Error;
use crate::engine::decode::turbo::Turbo;
use crate::engine::limits::Cancel;
use crate::plan::output::OutputFormat;

/// The file of a picture. TurboJPEG does not look whether anybody still waits.
///
/// # Errors
/// [`Error::Cancelled`]; [`Error::Unencodable`] where memory fails.
pub(super) fn compress(picture: Picture<'_>, heading: &Heading<'_>, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    let file = baseline::compress(picture, heading, cancel)?;
    Turbo::transformer()
        .and_then(|mut turbo| turbo.transform(&file, tj::TJXOP_TJXOP_NONE, None, tj::TJXOPT_PROGRESSIVE))
        .map_err(|complaint| unencodable(OutputFormat::Jpeg, complaint.text))
}
