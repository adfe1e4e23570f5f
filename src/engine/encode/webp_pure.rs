//! WebP, by image-webp: still pictures without loss.
//!
//! Stands in for `webp` in builds without the feature `native`. No lossy encoder in Rust is at once well kept and free to
//! link. Who asks for WebP gets WebP: every still picture is stored without loss, whatever the quality asked for; files of
//! photographs are several times larger. Animations are refused.

use std::time::Duration;

use image_webp::{ColorType, WebPEncoder};

use super::webp_file::{check_size, failed, fitting};
use super::{Settings, is_translucent};
use crate::engine::Error;
use crate::engine::decode::riff;
use crate::engine::image::{Frame, Layout};
use crate::engine::planes::Planes;
use crate::geometry::Size;

/// Lossless files store RGB: there are no planes to take.
pub(super) const CHROMA_COARSENESS: Option<u32> = None;

pub(super) fn encode(frame: &Frame, settings: &Settings) -> Result<Vec<u8>, Error> {
    check_size(frame.size())?;
    let color = match frame.layout() {
        Layout::Gray => ColorType::L8,
        Layout::Rgb => ColorType::Rgb8,
        Layout::Rgba => ColorType::Rgba8,
    };
    let Size { width, height } = frame.size();
    let mut file = Vec::new();
    WebPEncoder::new(&mut file).encode(frame.pixels(), width, height, color).map_err(failed)?;
    Ok(riff::with_metadata(file, frame.size(), is_translucent(frame), &fitting(settings, frame.layout())))
}

pub(super) fn encode_planes(_: &Planes, _: &Settings) -> Result<Vec<u8>, Error> {
    Err(failed("it does not store planes"))
}

/// There is none.
pub(super) enum Writer {}

impl Writer {
    pub(super) fn new(size: Size, _: u32, _: &Settings) -> Result<Self, Error> {
        check_size(size)?;
        Err(failed("this server was built without animated WebP (feature \"native\")"))
    }

    pub(super) fn push(&mut self, _: &Frame, _: Duration) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, Error> {
        match self {}
    }
}
