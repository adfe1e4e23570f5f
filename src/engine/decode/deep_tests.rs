//! 16 bits a sample: every kind of file, and hostile ones.

use ::png::{BitDepth, ColorType};

use super::tests::{psd, settings};
use super::*;
use crate::engine::encode;
use crate::engine::image::{Depth, Layout};
use crate::plan::output::OutputFormat;

fn decode(file: &[u8]) -> Result<Frame<Deep>, Error> {
    still_deep(file, &probe(file)?, &Limits::default(), &Cancel::default())
}

fn card(layout: Layout) -> Frame<Deep> {
    let size = Size::new(40, 30);
    let samples = (0..1200 * layout.channels() as u32).map(|at| (at.wrapping_mul(40_503) as u16).to_be_bytes());
    Frame::of(size, layout, samples.collect()).expect("a card")
}

/// A file of each format that has 16 bits.
fn files() -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> = [OutputFormat::Png, OutputFormat::Tiff]
        .into_iter()
        .flat_map(|format| [Layout::Gray, Layout::Rgb, Layout::Rgba].map(|layout| (format, layout)))
        .map(|(format, layout)| encode::still_deep(&card(layout), &settings(format)).expect("it fits"))
        .collect();
    files.push(psd(16, 3, &vec![vec![9; 2400]; 3], (40, 30), true, &[]));
    files
}

#[test]
fn pictures_survive_the_round_trip() {
    for format in [OutputFormat::Png, OutputFormat::Tiff] {
        for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
            let file = encode::still_deep(&card(layout), &settings(format)).expect("it fits");
            assert_eq!(probe(&file).expect("our own file").depth, Depth::Sixteen);
            assert_eq!(decode(&file), Ok(card(layout)), "{format:?}");
        }
    }
    for format in [OutputFormat::Jpeg, OutputFormat::Webp, OutputFormat::Gif, OutputFormat::Bmp] {
        let refused = encode::still_deep(&card(Layout::Rgb), &settings(format));
        assert!(matches!(refused, Err(Error::Unencodable { .. })), "{format:?}");
    }
}

#[test]
fn png_kinds_are_read() {
    let file = |color: ColorType, trns: Option<&[u8]>, data: &[u8]| {
        let mut info = ::png::Info::with_size(2, 1);
        info.color_type = color;
        info.bit_depth = BitDepth::Sixteen;
        info.trns = trns.map(|trns| trns.to_vec().into());
        let mut out = Vec::new();
        let mut writer = ::png::Encoder::with_info(&mut out, info).expect("valid").write_header().expect("a vector");
        writer.write_image_data(data).expect("of this size");
        writer.finish().expect("a vector");
        out
    };
    let (one, two) = ([0x12, 0x34], [0xFE, 0xDC]);
    let opaque = [0xFF; 2];
    for (color, trns, data, expected) in [
        (ColorType::Grayscale, None, &[one, two][..], [[one, one, one, opaque], [two, two, two, opaque]]),
        (ColorType::Grayscale, Some(&one[..]), &[one, two], [[one, one, one, [0; 2]], [two, two, two, opaque]]),
        (ColorType::GrayscaleAlpha, None, &[one, two, two, one], [[one, one, one, two], [two, two, two, one]]),
        (ColorType::Rgb, None, &[one, two, one, two, two, one], [[one, two, one, opaque], [two, two, one, opaque]]),
        (
            ColorType::Rgb,
            Some([one, two, one].as_flattened()),
            &[one, two, one, two, two, one],
            [[one, two, one, [0; 2]], [two, two, one, opaque]],
        ),
    ] {
        let frame = decode(&file(color, trns, data.as_flattened())).expect("our own file");
        assert_eq!([frame.samples_at(0, 0), frame.samples_at(1, 0)], expected, "{color:?} {trns:?}");
    }
}

/// The second byte of each sample is 7.
#[test]
fn psd_pictures_are_read_with_16_bits() {
    let planes = |values: &[u8]| values.iter().map(|value| [*value, 7].repeat(6)).collect::<Vec<_>>();
    let transparent = [0, 0, 0, 2, 0xFF, 0xFF];
    type Row<'a> = (u16, Vec<Vec<u8>>, &'a [u8], [u16; 4]);
    let rows: [Row<'_>; 4] = [
        (1, planes(&[0x5A]), &[], [0x5A07, 0x5A07, 0x5A07, 0xFFFF]),
        (3, planes(&[0x10, 0x20, 0x30]), &[], [0x1007, 0x2007, 0x3007, 0xFFFF]),
        // Of 0xFF07 with an alpha of 0x8007: 0xFFFF − (0xFFFF − 0xFF07) × 0xFFFF / 0x8007.
        (3, planes(&[0xFF, 0x7F, 0xFF, 0x80]), &transparent, [0xFE0F, 0, 0xFE0F, 0x8007]),
        (1, planes(&[0x20, 0]), &transparent, [0, 0, 0, 7]),
    ];
    for (mode, planes, layers, expected) in rows {
        for packed in [false, true] {
            let file = psd(16, mode, &planes, (3, 2), packed, layers);
            let header = probe(&file).expect("our own file");
            assert_eq!(header.depth, Depth::Sixteen);
            let frame = still_deep(&file, &header, &Limits::default(), &Cancel::default()).expect("our own file");
            assert_eq!(frame.samples_at(2, 1).map(u16::from_be_bytes), expected, "mode {mode}, packed {packed}");
        }
    }
    let inks = psd(16, 4, &planes(&[0, 0, 0, 0]), (3, 2), false, &[]);
    assert_eq!(probe(&inks).expect("our own file").depth, Depth::Eight);
}

/// A file that says 8 bits has no others.
#[test]
fn other_depths_are_refused() {
    for format in [OutputFormat::Png, OutputFormat::Tiff, OutputFormat::Jpeg] {
        let file = encode::still(&super::tests::card(Layout::Rgb, 8, 8), &settings(format)).expect("it fits");
        assert_eq!(probe(&file).expect("our own file").depth, Depth::Eight);
        assert!(matches!(decode(&file), Err(Error::Broken { .. } | Error::UnsupportedFeature { .. })), "{format:?}");
    }
}

#[test]
fn limits_and_cancelling_come_before_pixels() {
    let narrow = Limits { source_edge: 39, ..Limits::default() };
    let cancelled = Cancel::default();
    cancelled.cancel();
    for file in files() {
        let header = probe(&file).expect("our own file");
        assert!(matches!(still_deep(&file, &header, &narrow, &Cancel::default()), Err(Error::Limit { .. })));
        assert_eq!(still_deep(&file, &header, &Limits::default(), &cancelled), Err(Error::Cancelled));
    }
}

/// Truncations and single wrong bytes: pictures or errors.
#[test]
fn broken_files_do_not_panic() {
    let limits = Limits { source_pixels: 1 << 20, ..Limits::default() };
    for file in files() {
        for step in 0..64 {
            let length = file.len() * step / 64;
            let outcome = decode(&file[..length]);
            assert!(outcome.is_err() || length + 64 > file.len(), "{length} of {} bytes", file.len());
        }
        for at in (0..file.len()).step_by(1 + file.len() / 200) {
            let mut damaged = file.clone();
            damaged[at] ^= 0xFF;
            let Ok(header) = probe(&damaged) else { continue };
            let _picture_or_error = still_deep(&damaged, &header, &limits, &Cancel::default());
        }
    }
}
