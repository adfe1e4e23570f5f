//! Generated pictures: sizes and colours are known exactly, so no test needs a photograph to be right.

use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use mogr::engine::encode::{self, Effort, Settings};
use mogr::engine::image::{Frame, Layout};
use mogr::engine::metadata::Metadata;
use mogr::geometry::Size;
use mogr::plan::output::OutputFormat;

pub(crate) const RED: [u8; 3] = [220, 40, 40];
pub(crate) const GREEN: [u8; 3] = [40, 180, 60];
pub(crate) const BLUE: [u8; 3] = [40, 60, 220];
pub(crate) const YELLOW: [u8; 3] = [230, 210, 50];

/// Four quadrants: red, green above blue, yellow.
pub(crate) fn quadrants(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width.div_ceil(2), y < height.div_ceil(2)) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => YELLOW,
        })
    })
}

/// A disc of one colour, transparent around it.
pub(crate) fn disc(edge: u32, color: [u8; 3]) -> RgbaImage {
    let radius = f64::from(edge) / 2.0;
    RgbaImage::from_fn(edge, edge, |x, y| {
        let distance = (f64::from(x) + 0.5 - radius).hypot(f64::from(y) + 0.5 - radius);
        let alpha = ((radius - distance + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8;
        Rgba([color[0], color[1], color[2], alpha])
    })
}

/// A card as a PNG file.
pub(crate) fn png(card: impl Into<image::DynamicImage>) -> Vec<u8> {
    encoded(card, ImageFormat::Png)
}

/// A card as a file of a format that the test's own encoder writes.
pub(crate) fn encoded(card: impl Into<image::DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    card.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// A card as a JPEG of this quality.
pub(crate) fn jpeg(card: &RgbImage, quality: u8) -> Vec<u8> {
    file(card, OutputFormat::Jpeg, quality)
}

/// A card as a lossy WebP.
pub(crate) fn webp(card: &RgbImage) -> Vec<u8> {
    file(card, OutputFormat::Webp, 80)
}

fn file(card: &RgbImage, format: OutputFormat, quality: u8) -> Vec<u8> {
    let frame = Frame::new(Size::new(card.width(), card.height()), Layout::Rgb, card.as_raw().clone()).unwrap();
    encode::still(&frame, &settings(format, quality)).unwrap()
}

fn settings(format: OutputFormat, quality: u8) -> Settings {
    Settings {
        format,
        quality,
        interlace: false,
        colors: None,
        lossless: false,
        effort: Effort::Fast,
        metadata: Metadata::default(),
    }
}

/// `jpeg` with an EXIF segment that says only this orientation (1–8).
pub(crate) fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let exif = [
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01".as_slice(),
        // Tag 0x0112, SHORT, one value, padded to four bytes; no next directory.
        &[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

/// An animation of `frames` cards in turning colours, 100 ms each.
pub(crate) fn animation(width: u32, height: u32, frames: usize, format: OutputFormat) -> Vec<u8> {
    let size = Size::new(width, height);
    let mut writer = encode::animation(size, 0, &settings(format, 75)).unwrap();
    for index in 0..frames {
        let mut card = quadrants(width, height);
        for pixel in card.pixels_mut() {
            pixel.0.rotate_left(index % 3);
        }
        let frame = Frame::new(size, Layout::Rgb, card.into_raw()).unwrap();
        writer.push(&frame, std::time::Duration::from_millis(100)).unwrap();
    }
    writer.finish().unwrap()
}
