//! Rows that are scaled while they are decoded, beside whole pictures that are scaled afterwards.

use ::png::{BitDepth, ColorType, Encoder};

use super::tests::settings;
use super::*;
use crate::engine::image::Layout;
use crate::engine::limits::tests::looks_of;
use crate::engine::op::resize::resize;
use crate::plan::output::OutputFormat;

const SIZE: Size = Size::new(61, 47);

/// A file with these samples, packed into rows of whole bytes.
fn file(color: ColorType, depth: BitDepth, transparent: Option<&[u8]>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, SIZE.width, SIZE.height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette((0..256 * 3_u32).map(|at| (at * 37) as u8).collect::<Vec<u8>>());
    }
    if let Some(transparent) = transparent {
        encoder.set_trns(transparent.to_vec());
    }
    let mut writer = encoder.write_header().expect("a header");
    let row_bytes = (SIZE.width as usize * color.samples() * depth as usize).div_ceil(8);
    let samples = (0..row_bytes * SIZE.height as usize).map(|at| (at as u32).wrapping_mul(2_654_435_761) >> 24);
    writer.write_image_data(&samples.map(|sample| sample as u8).collect::<Vec<u8>>()).expect("pixels");
    writer.finish().expect("an end");
    file
}

fn scaled(file: &[u8], size: Size, light: Light, cancel: &Cancel) -> Result<Option<Frame>, Error> {
    still_scaled(file, &probe(file)?, size, light, &Limits::default(), cancel)
}

#[test]
fn scaled_rows_are_those_of_the_scaled_picture() {
    use BitDepth::{Eight, Four, One, Sixteen, Two};
    let kinds = [
        (ColorType::Grayscale, One, None, Layout::Gray),
        (ColorType::Grayscale, Two, None, Layout::Gray),
        (ColorType::Grayscale, Four, None, Layout::Gray),
        (ColorType::Grayscale, Eight, None, Layout::Gray),
        (ColorType::Grayscale, Sixteen, None, Layout::Gray),
        (ColorType::Grayscale, Eight, Some(&[0, 7][..]), Layout::Rgba),
        (ColorType::GrayscaleAlpha, Eight, None, Layout::Rgba),
        (ColorType::GrayscaleAlpha, Sixteen, None, Layout::Rgba),
        (ColorType::Rgb, Eight, None, Layout::Rgb),
        (ColorType::Rgb, Sixteen, None, Layout::Rgb),
        (ColorType::Indexed, Eight, None, Layout::Rgb),
        (ColorType::Indexed, Four, None, Layout::Rgb),
        (ColorType::Indexed, Eight, Some(&[0, 100, 255, 30]), Layout::Rgba),
        (ColorType::Rgba, Eight, None, Layout::Rgba),
        (ColorType::Rgba, Sixteen, None, Layout::Rgba),
    ];
    for (color, depth, transparent, layout) in kinds {
        let file = file(color, depth, transparent);
        let header = probe(&file).expect("our own file");
        assert!(header.by_rows && !header.may_have_profile);
        assert_eq!(header.layout(), layout, "{color:?} {depth:?}");
        for light in [Light::Gamma, Light::Mixed, Light::Linear] {
            for size in [Size::new(20, 15), Size::new(61, 10), Size::new(1, 1)] {
                let whole = still(&file, &header, 8, &Limits::default(), &Cancel::default()).expect("our own file");
                let expected = resize(whole, size, light, &Cancel::default()).expect("nobody cancels");
                let found = scaled(&file, size, light, &Cancel::default()).expect("our own file");
                assert_eq!(found, Some(expected), "{color:?} {depth:?} {light:?} to {size}");
            }
        }
    }
}

#[test]
fn what_is_damaged_is_refused_in_both_ways() {
    let file = file(ColorType::Rgba, BitDepth::Eight, None);
    for length in (40..file.len()).step_by(file.len() / 50) {
        let cut = &file[..length];
        let Ok(header) = probe(cut) else { continue };
        let whole = still(cut, &header, 8, &Limits::default(), &Cancel::default()).map(drop);
        let rows = scaled(cut, Size::new(9, 9), Light::Mixed, &Cancel::default()).map(drop);
        assert_eq!(whole, rows, "{length} bytes");
    }
}

#[test]
fn passes_and_larger_sizes_are_left_to_others() {
    let mut interlaced = file(ColorType::Rgb, BitDepth::Eight, None);
    // The last byte of the header, and its checksum.
    interlaced[28] = 1;
    let checksum = crc32fast::hash(&interlaced[12..29]);
    interlaced[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert!(!probe(&interlaced).expect("a header").by_rows);
    assert_eq!(scaled(&interlaced, Size::new(9, 9), Light::Mixed, &Cancel::default()), Ok(None));
    let plain = file(ColorType::Rgb, BitDepth::Eight, None);
    assert_eq!(scaled(&plain, Size::new(62, 9), Light::Mixed, &Cancel::default()), Ok(None));
}

#[test]
fn a_profile_is_told_by_the_header() {
    let mut info = ::png::Info::with_size(3, 2);
    info.icc_profile = Some(vec![0; 200].into());
    let mut file = Vec::new();
    let encoder = Encoder::with_info(&mut file, info).expect("a header");
    encoder.write_header().expect("a header").write_image_data(&[0; 6]).expect("pixels");
    assert!(probe(&file).expect("our own file").may_have_profile);
}

#[test]
fn it_stops_on_its_way() {
    let settings = settings(OutputFormat::Png);
    let noise = (0..600 * 400 * 4_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let frame = Frame::new(Size::new(600, 400), Layout::Rgba, noise).expect("four bytes a pixel");
    let file = crate::engine::encode::still(&frame, &settings).expect("a file");
    let looks = looks_of(|cancel| scaled(&file, Size::new(30, 20), Light::Mixed, cancel));
    assert!(looks > 20, "{looks} looks");
}
