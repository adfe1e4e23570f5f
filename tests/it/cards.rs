//! Generated pictures: sizes and colours are known exactly, so no test needs a photograph to be right.

use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use mogr::engine::encode::{self, Effort, Settings};
use mogr::engine::image::{Frame, Layout};
use mogr::engine::limits::Cancel;
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

/// A card as a WebP, lossy where this build can.
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
        cancel: Cancel::default(),
    }
}

/// EXIF data that says only this orientation (1–8).
fn exif(orientation: u8) -> Vec<u8> {
    [
        b"MM\0*\0\0\0\x08\0\x01".as_slice(),
        // Tag 0x0112, SHORT, one value, padded to four bytes; no next directory.
        &[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0],
    ]
    .concat()
}

/// A card in a format that holds EXIF data, with this orientation.
pub(crate) fn with_orientation(card: &RgbImage, format: OutputFormat, orientation: u8) -> Vec<u8> {
    let frame = Frame::new(Size::new(card.width(), card.height()), Layout::Rgb, card.as_raw().clone()).unwrap();
    let metadata = Metadata { exif: Some(exif(orientation)), ..Metadata::default() };
    encode::still(&frame, &Settings { metadata, ..settings(format, 90) }).unwrap()
}

/// A card as an uncompressed TIFF in one strip, with this orientation.
pub(crate) fn oriented_tiff(card: &RgbImage, orientation: u8) -> Vec<u8> {
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    let (width, height) = card.dimensions();
    let behind = 8 + 2 + 10 * 12 + 4;
    let fields: [(u16, u16, u32, u32); 10] = [
        (0x0100, LONG, 1, width),
        (0x0101, LONG, 1, height),
        // Bits a sample stand behind the directory, the pixels behind those.
        (0x0102, SHORT, 3, behind),
        (0x0103, SHORT, 1, 1),
        (0x0106, SHORT, 1, 2),
        (0x0111, LONG, 1, behind + 6),
        (0x0112, SHORT, 1, orientation.into()),
        (0x0115, SHORT, 1, 3),
        (0x0116, LONG, 1, height),
        (0x0117, LONG, 1, width * height * 3),
    ];
    let mut file = b"II*\0\x08\0\0\0\x0A\0".to_vec();
    for (tag, kind, count, value) in fields {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend([0, 0, 0, 0, 8, 0, 8, 0, 8, 0]);
    file.extend_from_slice(card.as_raw());
    file
}

/// `jpeg` with an EXIF segment that says only this orientation (1–8).
pub(crate) fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let exif = [b"Exif\0\0".as_slice(), &exif(orientation)].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

/// An animated WebP of five cards, or an example of 24 frames where this build makes none.
pub(crate) fn moving_webp(width: u32, height: u32) -> Vec<u8> {
    if cfg!(feature = "native") {
        animation(width, height, 5, OutputFormat::Webp)
    } else {
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos/spinner.webp")).unwrap()
    }
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

/// A 4:2:0 JPEG of any size in no time: four rows of minimum coded units, each behind a restart marker, again and again.
/// `width` and `height` are multiples of 16.
pub(crate) fn tall_jpeg(width: u16, height: u16) -> Vec<u8> {
    const ROWS: usize = 4;
    const UNIT: u16 = 16;
    let card = RgbImage::from_fn(u32::from(width), u32::from(UNIT) * ROWS as u32, |x, y| {
        let wave = |step: f64| ((f64::from(x) * step + f64::from(y) * 0.1).sin() * 90.0 + 128.0) as u8;
        Rgb([wave(0.01), wave(0.07), wave(0.003)])
    });
    let mut strip = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut strip, 80);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    encoder.set_restart_interval(width / UNIT);
    encoder.encode(&card, width, UNIT * ROWS as u16, jpeg_encoder::ColorType::Rgb).unwrap();

    let (mut file, data) = split_at_scan(&strip, height);
    let rows: Vec<&[u8]> = split_at_restarts(&data[..data.len() - 2]);
    assert_eq!(rows.len(), ROWS);
    for row in 0..usize::from(height / UNIT) {
        if row > 0 {
            file.extend_from_slice(&[0xff, 0xd0 + (row - 1) as u8 % 8]);
        }
        file.extend_from_slice(rows[row % ROWS]);
    }
    file.extend_from_slice(&[0xff, 0xd9]);
    file
}

/// A JPEG's segments up to the first scan, with another height, and what is behind them.
fn split_at_scan(jpeg: &[u8], height: u16) -> (Vec<u8>, &[u8]) {
    let mut head = jpeg.to_vec();
    let mut at = 2;
    loop {
        let (marker, length) = (jpeg[at + 1], usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]])));
        if marker == 0xc0 {
            head[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
        }
        at += 2 + length;
        if marker == 0xda {
            head.truncate(at);
            return (head, &jpeg[at..]);
        }
    }
}

fn split_at_restarts(data: &[u8]) -> Vec<&[u8]> {
    let is_restart = |pair: &[u8]| pair[0] == 0xff && (0xd0..=0xd7).contains(&pair[1]);
    let marks: Vec<usize> = (0..data.len() - 1).filter(|at| is_restart(&data[*at..at + 2])).collect();
    let starts = std::iter::once(0).chain(marks.iter().map(|at| at + 2));
    starts.zip(marks.iter().copied().chain([data.len()])).map(|(start, end)| &data[start..end]).collect()
}
