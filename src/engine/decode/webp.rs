//! WebP: headers, and frames of the pixels that a decoder gives.
//!
//! The decoder is libwebp (`webp_native.rs`), or image-webp (`webp_pure.rs`) in builds without the feature `native`.

#[cfg(feature = "native")]
pub(super) use super::webp_native::{Player, features, pixels};
#[cfg(not(feature = "native"))]
pub(super) use super::webp_pure::{Player, features, pixels};
use super::{broken, riff};
use crate::engine::image::{ColorModel, Depth, Format, Frame, Header, Layout};
use crate::engine::limits::{Cancel, Limits};
use crate::engine::{Error, metadata};
use crate::geometry::Size;

/// What the first chunks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) size: Size,
    pub(super) has_alpha: bool,
    pub(super) animated: bool,
    pub(super) lossless: bool,
}

pub(super) fn probe(bytes: &[u8]) -> Result<Header, Error> {
    let features = features(bytes)?;
    let frames = if features.animated { riff::chunks(bytes).filter(|(name, _)| name == b"ANMF").count() } else { 1 };
    if frames == 0 {
        return Err(broken(Format::Webp, "it has no frame"));
    }
    Ok(Header {
        format: Format::Webp,
        size: features.size,
        orientation: riff::metadata(bytes).exif.as_deref().and_then(metadata::orientation),
        frames: u32::try_from(frames).unwrap_or(u32::MAX),
        color_model: match (features.has_alpha, features.lossless) {
            (true, _) => ColorModel::Nrgba,
            (false, true) => ColorModel::Rgb,
            (false, false) => ColorModel::Ycbcr,
        },
        depth: Depth::Eight,
        has_alpha: features.has_alpha,
        bytes: bytes.len() as u64,
        jpeg_quality: None,
        sampling: None,
        may_have_profile: true,
        by_rows: false,
    })
}

pub(super) fn still(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    let features = features(bytes)?;
    limits.check_source(features.size)?;
    if features.animated {
        let first = Player::new(bytes, limits)?.next_frame()?;
        return first.map(|(frame, _)| frame).ok_or_else(|| broken(Format::Webp, "it has no frame"));
    }
    let layout = if features.has_alpha { Layout::Rgba } else { Layout::Rgb };
    let pixels = pixels(bytes, &features, cancel)?;
    Frame::new(features.size, layout, pixels).ok_or_else(|| broken(Format::Webp, "its size has no meaning"))
}
