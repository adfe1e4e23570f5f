//! Headers, pixels and animations of every format. Files are made by this crate's encoders or by hand.

use std::time::Duration;

use super::*;
use crate::engine::encode::{self, Effort, Settings};
use crate::engine::image::{ColorModel, Layout};
use crate::engine::metadata::Metadata;
use crate::geometry::Orientation;
use crate::plan::output::OutputFormat;

/// The formats that this build encodes.
pub(super) fn all() -> impl Iterator<Item = OutputFormat> {
    OutputFormat::ALL.into_iter().filter(|format| format.is_built_in())
}

/// The formats that this build makes animations of.
pub(in crate::engine) fn moving() -> impl Iterator<Item = OutputFormat> {
    [OutputFormat::Gif, OutputFormat::Webp]
        .into_iter()
        .filter(|format| *format == OutputFormat::Gif || cfg!(feature = "native"))
}

/// A card of smooth colours; with alpha, its left third is transparent.
pub(in crate::engine) fn card(layout: Layout, width: u32, height: u32) -> Frame {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (r, g) = ((x * 255 / width) as u8, (y * 255 / height) as u8);
            let alpha = if x < width / 3 { 0 } else { 255 };
            match layout {
                Layout::Gray => pixels.push(r),
                Layout::Rgb => pixels.extend_from_slice(&[r, g, 128]),
                Layout::Rgba => pixels.extend_from_slice(&[r, g, 128, alpha]),
            }
        }
    }
    Frame::new(Size::new(width, height), layout, pixels).expect("the card has its size")
}

pub(in crate::engine) fn settings(format: OutputFormat) -> Settings {
    Settings {
        format,
        quality: 90,
        interlace: false,
        colors: None,
        lossless: false,
        effort: Effort::Fast,
        metadata: Metadata::default(),
        cancel: Cancel::default(),
    }
}

pub(in crate::engine) fn decode(bytes: &[u8]) -> Result<Frame, Error> {
    let header = probe(bytes)?;
    still(bytes, &header, 8, &Limits::default(), &Cancel::default())
}

/// EXIF data with one orientation.
pub(in crate::engine) fn exif_with_orientation(value: u8) -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01".to_vec();
    exif.extend_from_slice(&[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, value, 0, 0, 0, 0, 0, 0]);
    exif
}

pub(super) fn encoded(format: OutputFormat) -> Vec<u8> {
    encode::still(&card(Layout::Rgb, 40, 30), &settings(format)).expect("the card fits every format")
}

/// The merged picture of a PSD: header, empty sections, then planes, raw or packed.
pub(super) fn psd(depth: u16, mode: u16, planes: &[Vec<u8>], size: (u32, u32), packed: bool, layers: &[u8]) -> Vec<u8> {
    let mut file = b"8BPS\0\x01\0\0\0\0\0\0".to_vec();
    file.extend_from_slice(&(planes.len() as u16).to_be_bytes());
    file.extend_from_slice(&size.1.to_be_bytes());
    file.extend_from_slice(&size.0.to_be_bytes());
    file.extend_from_slice(&depth.to_be_bytes());
    file.extend_from_slice(&mode.to_be_bytes());
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(&(layers.len() as u32).to_be_bytes());
    file.extend_from_slice(layers);
    file.extend_from_slice(&u16::from(packed).to_be_bytes());
    let row = size.0 as usize * usize::from(depth / 8);
    if packed {
        for _ in planes.iter().flat_map(|plane| plane.chunks(row)) {
            file.extend_from_slice(&(row as u16 + 1).to_be_bytes());
        }
    }
    for row in planes.iter().flat_map(|plane| plane.chunks(row)) {
        if packed {
            file.push(row.len() as u8 - 1);
        }
        file.extend_from_slice(row);
    }
    file
}

pub(super) fn gif_of(
    frames: &[(u16, u16, u16, ::gif::DisposalMethod, &[u8])],
    repeat: Option<::gif::Repeat>,
) -> Vec<u8> {
    // Palette: 0 transparent, 1 red, 2 green, 3 blue; canvas 4 x 2.
    let palette = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
    let mut encoder = ::gif::Encoder::new(Vec::new(), 4, 2, &palette).expect("a palette of four");
    if let Some(repeat) = repeat {
        encoder.set_repeat(repeat).expect("a vector takes it");
    }
    for (left, width, delay, dispose, indices) in frames {
        let frame = ::gif::Frame {
            left: *left,
            width: *width,
            height: (indices.len() / usize::from(*width)) as u16,
            delay: *delay,
            dispose: *dispose,
            transparent: Some(0),
            buffer: (*indices).into(),
            ..::gif::Frame::default()
        };
        encoder.write_frame(&frame).expect("a vector takes it");
    }
    encoder.into_inner().expect("a vector takes it")
}

#[test]
fn headers_tell_what_the_file_says() {
    use ColorModel::{Cmyk, Gray, Nrgba, Palette, Rgb, Ycbcr};
    // Without libwebp there is no loss, whatever is asked for.
    let webp = if cfg!(feature = "native") { Ycbcr } else { Rgb };
    let rows: [(OutputFormat, Layout, Format, ColorModel, bool); 18] = [
        (OutputFormat::Jpeg, Layout::Rgb, Format::Jpeg, Ycbcr, false),
        (OutputFormat::Jpeg, Layout::Gray, Format::Jpeg, Gray, false),
        (OutputFormat::Png, Layout::Rgb, Format::Png, Rgb, false),
        (OutputFormat::Png, Layout::Gray, Format::Png, Gray, false),
        (OutputFormat::Png, Layout::Rgba, Format::Png, Nrgba, true),
        (OutputFormat::Gif, Layout::Rgb, Format::Gif, Palette, false),
        (OutputFormat::Gif, Layout::Rgba, Format::Gif, Palette, true),
        (OutputFormat::Webp, Layout::Rgb, Format::Webp, webp, false),
        (OutputFormat::Webp, Layout::Gray, Format::Webp, webp, false),
        (OutputFormat::Webp, Layout::Rgba, Format::Webp, Nrgba, true),
        (OutputFormat::Bmp, Layout::Rgb, Format::Bmp, Rgb, false),
        (OutputFormat::Bmp, Layout::Gray, Format::Bmp, Palette, false),
        (OutputFormat::Tiff, Layout::Rgb, Format::Tiff, Rgb, false),
        (OutputFormat::Tiff, Layout::Gray, Format::Tiff, Gray, false),
        (OutputFormat::Tiff, Layout::Rgba, Format::Tiff, Nrgba, true),
        (OutputFormat::Avif, Layout::Rgb, Format::Avif, Ycbcr, false),
        (OutputFormat::Avif, Layout::Gray, Format::Avif, Gray, false),
        (OutputFormat::Avif, Layout::Rgba, Format::Avif, Nrgba, true),
    ];
    for (output, layout, format, color_model, has_alpha) in rows.into_iter().filter(|row| row.0.is_built_in()) {
        let file = encode::still(&card(layout, 40, 30), &settings(output)).expect("it fits");
        let header = probe(&file).expect("our own file");
        let case = format!("{output:?} {layout:?}");
        assert_eq!((header.format, header.color_model, header.has_alpha), (format, color_model, has_alpha), "{case}");
        assert_eq!((header.size, header.frames), (Size::new(40, 30), 1), "{case}");
        assert_eq!((header.bytes, header.orientation), (file.len() as u64, None), "{case}");
        assert_eq!(header.jpeg_quality.is_some(), format == Format::Jpeg, "{case}");
    }
    assert_ne!(probe(&cmyk_jpeg([10, 20, 30, 40])).expect("a CMYK file").color_model, Rgb);
    assert_eq!(probe(&cmyk_jpeg([10, 20, 30, 40])).expect("a CMYK file").color_model, Cmyk);
}

/// How files begin that are of AVIF's kin.
const HEIC: &[u8] = b"\0\0\0\x18ftypheicavif\0\0\0\0mif1heic";

#[test]
fn avif_is_told_by_its_brands() {
    for (bytes, format) in [
        (&b"\0\0\0\x10ftypavif\0\0\0\0"[..], Some(Format::Avif)),
        (b"\0\0\0\x14ftypmif1\0\0\0\0avif", Some(Format::Avif)),
        (b"\0\0\0\x14ftypmsf1\0\0\0\0avis", Some(Format::Avif)),
        (b"\0\0\0\x10ftypmif1\0\0\0\0avif", None),
        (b"\xFF\xFF\xFF\xFFftypisom\0\0\0\0mp41", None),
        (b"\0\0\0\0ftypavif", None),
        (HEIC, None),
    ] {
        assert_eq!(sniff(bytes), format, "{bytes:?}");
    }
    if !OutputFormat::Avif.is_built_in() {
        let refused = probe(b"\0\0\0\x10ftypavif\0\0\0\0");
        assert!(matches!(refused, Err(Error::UnsupportedFeature { format: "avif", .. })), "{refused:?}");
    }
}

#[test]
fn bytes_that_are_no_image_are_refused() {
    for bytes in [&b""[..], b"\xFF\xD8", b"GIF87", b"<svg/>", b"RIFF\0\0\0\0WAVE", b"not an image at all", HEIC] {
        assert_eq!(probe(bytes), Err(Error::NotAnImage), "{bytes:?}");
    }
}

#[test]
fn jpeg_scales_by_eighths() {
    for (width, height) in [(40, 30), (41, 33), (7, 1), (64, 64)] {
        let file = encode::still(&card(Layout::Rgb, width, height), &settings(OutputFormat::Jpeg)).expect("a JPEG");
        let header = probe(&file).expect("our own file");
        for eighths in [1, 2, 4, 8] {
            let expected = Size::new((width * eighths).div_ceil(8), (height * eighths).div_ceil(8));
            let eighths = eighths as u8;
            assert_eq!(scaled_size(header.format, header.size, eighths), expected);
            let frame = still(&file, &header, eighths, &Limits::default(), &Cancel::default()).expect("our own file");
            assert_eq!(frame.size(), expected, "{width}x{height} at {eighths}/8");
        }
    }
    let jpeg = encoded(OutputFormat::Jpeg);
    let header = probe(&jpeg).expect("our own file");
    for eighths in [0, 3, 5, 9, 255] {
        assert!(still(&jpeg, &header, eighths, &Limits::default(), &Cancel::default()).is_err(), "{eighths}/8");
    }
    assert_eq!(scaled_size(Format::Png, Size::new(40, 30), 1), Size::new(40, 30));
}

#[test]
fn scaled_pixels_are_those_of_the_picture() {
    let file = encode::still(&card(Layout::Rgb, 256, 256), &settings(OutputFormat::Jpeg)).expect("a JPEG");
    let header = probe(&file).expect("our own file");
    for eighths in [1, 2, 4] {
        let frame = still(&file, &header, eighths, &Limits::default(), &Cancel::default()).expect("our own file");
        let middle = frame.rgba_at(frame.size().width / 2, frame.size().height / 4);
        // A block of the card spans 8 steps of 1; half a pixel at 1/8 is 4 of them.
        for (value, expected) in middle.into_iter().zip([128_i32, 64, 128, 255]) {
            assert!((i32::from(value) - expected).abs() <= 8, "{middle:?} at {eighths}/8");
        }
    }
}

#[test]
fn all_orientations_are_read() {
    let holders = [OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::Webp, OutputFormat::Avif];
    for output in holders.into_iter().filter(|format| format.is_built_in()) {
        for (value, orientation) in (1..=8).zip(Orientation::ALL) {
            let mut settings = settings(output);
            settings.metadata.exif = Some(exif_with_orientation(value));
            let file = encode::still(&card(Layout::Rgb, 16, 8), &settings).expect("it fits");
            let header = probe(&file).expect("our own file");
            assert_eq!(header.orientation, Some(orientation), "{output:?}");
            assert_eq!(header.size, Size::new(16, 8), "stored, not turned");
        }
    }
    assert_eq!(probe(&with_exif(exif_with_orientation(9))).expect("a JPEG").orientation, None);
}

pub(super) fn with_exif(exif: Vec<u8>) -> Vec<u8> {
    let mut settings = settings(OutputFormat::Jpeg);
    settings.metadata.exif = Some(exif);
    encode::still(&card(Layout::Rgb, 16, 8), &settings).expect("a JPEG")
}

#[test]
fn quality_is_estimated() {
    for quality in (10..=100).step_by(5) {
        for layout in [Layout::Rgb, Layout::Gray] {
            let mut settings = settings(OutputFormat::Jpeg);
            settings.quality = quality;
            let file = encode::still(&card(layout, 16, 16), &settings).expect("a JPEG");
            let estimate = probe(&file).expect("our own file").jpeg_quality.expect("standard tables");
            let tolerance = if layout == Layout::Gray { 1 } else { 0 };
            assert!(estimate.abs_diff(quality) <= tolerance, "{layout:?} at {quality} is estimated {estimate}");
        }
    }
}

/// A file of one CMYK colour as libjpeg stores it: as luma, chroma and black, with Adobe's marker.
fn cmyk_jpeg([c, m, y, k]: [u8; 4]) -> Vec<u8> {
    let (luma, cb, cr) = jpeg_encoder::rgb_to_ycbcr(!c, !m, !y);
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 100);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    encoder.encode(&[luma, cb, cr, k].repeat(64), 8, 8, jpeg_encoder::ColorType::Ycck).expect("a CMYK picture");
    file
}

#[test]
fn cmyk_becomes_rgb() {
    // With Adobe's marker these are stored inverted: 255 is no ink.
    for (stored, expected) in [
        ([255, 255, 255, 255], [255, 255, 255]),
        ([255, 255, 255, 0], [0, 0, 0]),
        ([0, 255, 255, 255], [0, 255, 255]),
        ([255, 128, 0, 128], [128, 64, 0]),
    ] {
        let file = cmyk_jpeg(stored);
        assert!(jpeg_markers::Markers::read(&file).expect("our own file").adobe_transform.is_some());
        let frame = decode(&file).expect("a CMYK picture");
        assert_eq!(frame.layout(), Layout::Rgb);
        let [r, g, b, _] = frame.rgba_at(4, 4);
        for (value, expected) in [r, g, b].into_iter().zip(expected) {
            assert!(value.abs_diff(expected) <= 3, "{stored:?} became {:?}", [r, g, b]);
        }
    }
    // Without the marker libjpeg takes the components as they are, and the numbers are inks. These four were stored as
    // Y 0, Cb 128, Cr 128, K 0.
    let mut file = cmyk_jpeg([255, 255, 255, 0]);
    let at = file.windows(5).position(|window| window == b"Adobe").expect("Adobe's marker");
    file[at] = b'a';
    let [r, g, b, _] = decode(&file).expect("a CMYK picture").rgba_at(4, 4);
    assert!(r >= 252 && g.abs_diff(127) <= 3 && b.abs_diff(127) <= 3, "{:?}", [r, g, b]);
}

#[test]
fn psd_pictures_are_read() {
    let planes = |values: &[u8]| values.iter().map(|value| vec![*value; 6]).collect::<Vec<_>>();
    let deep = |values: &[u8]| values.iter().map(|value| [*value, 7].repeat(6)).collect::<Vec<_>>();
    // Layer information: a length, then -1 layers, which says that the next channel is transparency.
    let transparent = [0, 0, 0, 2, 0xFF, 0xFF];
    type Row<'a> = (u16, u16, Vec<Vec<u8>>, &'a [u8], ColorModel, [u8; 4]);
    let rows: [Row<'_>; 7] = [
        (8, 1, planes(&[90]), &[], ColorModel::Gray, [90, 90, 90, 255]),
        (8, 3, planes(&[10, 20, 30]), &[], ColorModel::Rgb, [10, 20, 30, 255]),
        (16, 3, deep(&[10, 20, 30]), &[], ColorModel::Rgb, [10, 20, 30, 255]),
        (8, 4, planes(&[255, 255, 255, 255]), &[], ColorModel::Cmyk, [255, 255, 255, 255]),
        (8, 3, planes(&[10, 20, 30, 0]), &[], ColorModel::Rgb, [10, 20, 30, 255]),
        // Half of black on white, stored as 127 + 128: the white comes out again.
        (8, 3, planes(&[127, 127, 127, 128]), &transparent, ColorModel::Nrgba, [0, 0, 0, 128]),
        (8, 3, planes(&[10, 20, 30, 255, 9]), &transparent, ColorModel::Nrgba, [10, 20, 30, 255]),
    ];
    for (depth, mode, planes, layers, model, expected) in rows {
        for packed in [false, true] {
            let file = psd(depth, mode, &planes, (3, 2), packed, layers);
            let header = probe(&file).expect("our own file");
            assert_eq!((header.size, header.color_model), (Size::new(3, 2), model));
            let frame = decode(&file).expect("our own file");
            assert_eq!(frame.rgba_at(2, 1), expected, "mode {mode}, {depth} bits, packed {packed}");
            assert_eq!(header.has_alpha, frame.layout() == Layout::Rgba);
        }
    }
    assert!(matches!(
        probe(&psd(8, 9, &planes(&[0, 0, 0]), (3, 2), false, &[])),
        Err(Error::UnsupportedFeature { .. })
    ));
}

#[test]
fn png_kinds_are_read() {
    use ::png::{BitDepth, ColorType};
    let file = |color: ColorType, depth: BitDepth, trns: Option<&[u8]>, data: &[u8]| {
        let mut info = ::png::Info::with_size(2, 1);
        info.color_type = color;
        info.bit_depth = depth;
        info.palette = (color == ColorType::Indexed).then(|| vec![255, 0, 0, 0, 0, 255].into());
        info.trns = trns.map(|trns| trns.to_vec().into());
        let mut out = Vec::new();
        let mut writer = ::png::Encoder::with_info(&mut out, info).expect("valid").write_header().expect("a vector");
        writer.write_image_data(data).expect("a vector");
        writer.finish().expect("a vector");
        out
    };
    use ColorModel::{Gray, GrayAlpha, Nrgba, Palette, Rgb};
    type Row<'a> = (ColorType, BitDepth, Option<&'a [u8]>, &'a [u8], ColorModel, Layout, [u8; 4]);
    let rows: [Row<'_>; 8] = [
        (ColorType::Grayscale, BitDepth::One, None, &[0x40], Gray, Layout::Gray, [255, 255, 255, 255]),
        (ColorType::Grayscale, BitDepth::Sixteen, None, &[0, 0, 77, 9], Gray, Layout::Gray, [77, 77, 77, 255]),
        (ColorType::Grayscale, BitDepth::Eight, Some(&[0, 9]), &[1, 9], GrayAlpha, Layout::Rgba, [9, 9, 9, 0]),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, None, &[1, 2, 3, 4], GrayAlpha, Layout::Rgba, [3, 3, 3, 4]),
        (ColorType::Indexed, BitDepth::One, None, &[0x40], Palette, Layout::Rgb, [0, 0, 255, 255]),
        (ColorType::Indexed, BitDepth::One, Some(&[255, 7]), &[0x40], Palette, Layout::Rgba, [0, 0, 255, 7]),
        (
            ColorType::Rgb,
            BitDepth::Sixteen,
            None,
            &[0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 3, 0],
            Rgb,
            Layout::Rgb,
            [1, 2, 3, 255],
        ),
        (
            ColorType::Rgb,
            BitDepth::Eight,
            Some(&[0, 4, 0, 5, 0, 6]),
            &[1, 2, 3, 4, 5, 6],
            Nrgba,
            Layout::Rgba,
            [4, 5, 6, 0],
        ),
    ];
    for (color, depth, trns, data, model, layout, last) in rows {
        let file = file(color, depth, trns, data);
        let header = probe(&file).expect("our own file");
        let frame = decode(&file).expect("our own file");
        let case = format!("{color:?} {depth:?} {trns:?}");
        assert_eq!((header.color_model, header.has_alpha), (model, layout == Layout::Rgba), "{case}");
        assert_eq!((frame.layout(), frame.rgba_at(1, 0)), (layout, last), "{case}");
    }
}

#[test]
fn gif_frames_are_composited() {
    use ::gif::DisposalMethod::{Background, Keep, Previous};
    let file = gif_of(
        &[
            (0, 4, 5, Keep, &[1, 1, 1, 1, 1, 1, 1, 1]),
            (0, 2, 6, Background, &[2, 2, 2, 2]),
            (2, 2, 7, Previous, &[3, 0, 3, 0]),
            (3, 2, 8, Keep, &[2, 2]),
        ],
        Some(::gif::Repeat::Finite(2)),
    );
    let header = probe(&file).expect("our own file");
    assert_eq!((header.frames, header.size), (4, Size::new(4, 2)));
    let mut player = animation(&file, &header, &Limits::default(), &Cancel::default()).expect("an animation");
    assert_eq!(player.loops(), 3);
    // The first row of each canvas; `-` is transparent. The last frame sticks out of the canvas.
    for (row, delay) in [("rrrr", 50), ("ggrr", 60), ("--br", 70), ("--rg", 80)] {
        let (frame, duration) = player.next_frame().expect("a sound file").expect("four frames");
        let shown: String = (0..4)
            .map(|x| match frame.rgba_at(x, 0) {
                [255, 0, 0, 255] => 'r',
                [0, 255, 0, 255] => 'g',
                [0, 0, 255, 255] => 'b',
                [_, _, _, 0] => '-',
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((shown.as_str(), duration), (row, Duration::from_millis(delay)));
    }
    assert_eq!(player.next_frame(), Ok(None));
    assert_eq!(decode(&file).expect("a sound file").rgba_at(0, 0), [255, 0, 0, 255]);
}

#[test]
fn gif_repetitions_become_plays() {
    use ::gif::Repeat;
    for (repeat, plays) in [(None, 1), (Some(Repeat::Infinite), 0), (Some(Repeat::Finite(4)), 5)] {
        let file = gif_of(&[(0, 4, 1, ::gif::DisposalMethod::Keep, &[1; 8])], repeat);
        let header = probe(&file).expect("our own file");
        assert_eq!(
            animation(&file, &header, &Limits::default(), &Cancel::default()).expect("a GIF").loops(),
            plays,
            "{repeat:?}"
        );
    }
}
