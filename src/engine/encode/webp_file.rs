//! What holds for every WebP file, whichever coder makes its pictures.

use super::{Settings, unencodable};
use crate::engine::Error;
use crate::engine::image::Layout;
use crate::engine::metadata::Metadata;
use crate::geometry::Size;
use crate::plan::output::OutputFormat;

/// The format's own limit of an edge.
const MAX_EDGE: u32 = 16_383;

/// What of the settings' metadata the file holds.
pub(super) fn fitting(settings: &Settings, layout: Layout) -> Metadata {
    Metadata {
        icc: settings.icc_for(layout).map(<[u8]>::to_vec),
        exif: settings.metadata.exif.clone(),
        density_dpi: None,
    }
}

pub(super) fn check_size(size: Size) -> Result<(), Error> {
    if size.long() > MAX_EDGE { Err(failed(format_args!("{size} is over {MAX_EDGE} pixels"))) } else { Ok(()) }
}

pub(super) fn failed(problem: impl std::fmt::Display) -> Error {
    unencodable(OutputFormat::Webp, problem)
}
