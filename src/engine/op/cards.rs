//! Small pictures for the tests of operations.

use crate::engine::image::{Frame, Layout};
use crate::geometry::Size;

/// A card of `width` by `height` pixels, each numbered from 1 in reading order; the channels of pixel n are n, n + 100
/// and n + 200, its alpha 255 − n.
pub(super) fn numbered(width: u32, height: u32, layout: Layout) -> Frame {
    let pixels = (1..=(width * height) as u8).flat_map(|n| {
        let pixel = [n, n + 100, n + 200, 255 - n];
        pixel.into_iter().take(layout.channels())
    });
    Frame::new(Size::new(width, height), layout, pixels.collect()).expect("one pixel a number")
}

/// The numbers of a [`numbered`] card's pixels in reading order.
pub(super) fn numbers(frame: &Frame) -> Vec<u8> {
    frame.pixels().chunks_exact(frame.layout().channels()).map(|pixel| pixel[0]).collect()
}

/// A card from one byte a pixel, row by row.
pub(super) fn gray(width: u32, pixels: &[u8]) -> Frame {
    let height = pixels.len() as u32 / width;
    Frame::new(Size::new(width, height), Layout::Gray, pixels.to_vec()).expect("whole rows")
}

/// A card from straight RGBA pixels, row by row.
pub(in crate::engine) fn rgba(width: u32, pixels: &[[u8; 4]]) -> Frame {
    let height = pixels.len() as u32 / width;
    Frame::new(Size::new(width, height), Layout::Rgba, pixels.concat()).expect("whole rows")
}
