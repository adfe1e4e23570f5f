//! The decoders in Rust beside those in C: the same pictures, and refusals of the same files.

use std::time::Duration;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::jpeg_markers::Markers;
use super::tests::{card, settings};
use super::*;
use crate::engine::encode;
use crate::engine::image::Layout;
use crate::engine::metadata::Metadata;
use crate::plan::output::OutputFormat;

/// The example photographs, whose formats are told by their bytes.
fn examples() -> impl Iterator<Item = (String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos");
    let entries = std::fs::read_dir(folder).expect("the examples").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_file()).map(|path| {
        let bytes = std::fs::read(&path).expect("an example");
        (path.display().to_string(), bytes)
    })
}

/// Largest and mean difference of two rows of bytes.
fn difference(left: &[u8], right: &[u8]) -> (u8, f64) {
    assert_eq!(left.len(), right.len());
    let steps = || left.iter().zip(right).map(|(left, right)| left.abs_diff(*right));
    (steps().max().unwrap_or(0), steps().map(f64::from).sum::<f64>() / left.len() as f64)
}

/// Both decoders' samples of a JPEG file: TurboJPEG's, then jpeg-decoder's.
fn jpegs(file: &[u8], eighths: u8) -> (Result<jpeg::Decoded, String>, Result<jpeg::Decoded, String>) {
    let markers = Markers::read(file).expect("a header");
    let frame = markers.frame.expect("a frame header");
    let size = Size::new(frame.width.into(), frame.height.into());
    let source = jpeg::Source { bytes: file, markers: &markers, size, scans: 100 };
    (jpeg_turbo::decompress(&source, eighths), jpeg_pure::decompress(&source, eighths))
}

fn compare_jpegs(file: &[u8], eighths: u8, (largest, mean): (u8, f64), case: &str) {
    let (Ok(native), Ok(pure)) = jpegs(file, eighths) else { panic!("{case}: not decoded") };
    assert_eq!((native.size, native.samples), (pure.size, pure.samples), "{case}");
    let found = difference(&native.pixels, &pure.pixels);
    assert!(found.0 <= largest && found.1 <= mean, "{case} at {eighths}/8: {found:?}");
}

#[test]
fn jpeg_files_of_all_kinds_decode_alike() {
    let pixels = card(Layout::Rgb, 75, 53);
    use SamplingFactor::{F_1_1, F_1_2, F_2_1, F_2_2, F_4_1};
    for sampling in [F_1_1, F_1_2, F_2_1, F_2_2, F_4_1] {
        for (progressive, optimised, restart, color) in [
            (false, false, 0, ColorType::Rgb),
            (false, true, 0, ColorType::Rgb),
            (true, true, 0, ColorType::Rgb),
            (false, false, 3, ColorType::Rgb),
            (false, false, 0, ColorType::Luma),
            (false, false, 0, ColorType::Cmyk),
            (false, false, 0, ColorType::CmykAsYcck),
        ] {
            let mut file = Vec::new();
            let mut encoder = Encoder::new(&mut file, 95);
            encoder.set_sampling_factor(sampling);
            encoder.set_progressive(progressive);
            encoder.set_optimized_huffman_tables(optimised);
            encoder.set_restart_interval(restart);
            let samples = match color {
                ColorType::Luma => card(Layout::Gray, 75, 53).into_pixels(),
                ColorType::Cmyk | ColorType::CmykAsYcck => card(Layout::Rgba, 75, 53).into_pixels(),
                _ => pixels.pixels().to_vec(),
            };
            encoder.encode(&samples, 75, 53, color).expect("a JPEG");
            let case = format!("{sampling:?} {progressive} {optimised} {restart} {color:?}");
            compare_jpegs(&file, 8, (4, 0.3), &case);
        }
    }
}

/// At full size they round differently; TurboJPEG's reduced transforms are sharper than means.
#[test]
fn photographs_decode_alike() {
    for (name, file) in examples().filter(|(_, file)| sniff(file) == Some(Format::Jpeg)) {
        for (eighths, tolerance) in [(8, (4, 0.2)), (2, (90, 4.0))] {
            compare_jpegs(&file, eighths, tolerance, &name);
        }
    }
}

#[test]
fn webp_pictures_decode_alike() {
    let mut files: Vec<(String, Vec<u8>)> = examples().filter(|(_, file)| sniff(file) == Some(Format::Webp)).collect();
    for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
        for (quality, lossless) in [(10, false), (90, false), (90, true)] {
            let metadata = Metadata { exif: Some(vec![1; 9]), ..Metadata::default() };
            let settings = encode::Settings { quality, lossless, metadata, ..settings(OutputFormat::Webp) };
            let file = encode::still(&card(layout, 75, 53), &settings).expect("a WebP");
            files.push((format!("{layout:?} {quality} {lossless}"), file));
        }
    }
    for (name, file) in files {
        let features = webp_native::features(&file).expect("a header");
        assert_eq!(webp_pure::features(&file).expect("a header"), features, "{name}");
        if !features.animated {
            let native = webp_native::pixels(&file, &features, &Cancel::default()).expect("a picture");
            let found =
                difference(&native, &webp_pure::pixels(&file, &features, &Cancel::default()).expect("a picture"));
            assert!(found.0 <= 1, "{name}: {found:?}");
        }
    }
}

/// Frames that are blended, that replace, and that are cleared behind them.
#[test]
fn webp_animations_play_alike() {
    let mut files: Vec<(String, Vec<u8>)> = examples().filter(|(name, _)| name.ends_with("spinner.webp")).collect();
    for lossless in [true, false] {
        let settings = encode::Settings { lossless, ..settings(OutputFormat::Webp) };
        let mut writer = encode::animation(Size::new(75, 53), 3, &settings).expect("it moves");
        for (layout, shift) in [(Layout::Rgb, 0), (Layout::Rgba, 9), (Layout::Rgba, 40), (Layout::Gray, 0)] {
            let mut frame = card(layout, 75, 53);
            frame.pixels_mut().rotate_left(shift * layout.channels());
            writer.push(&frame, Duration::from_millis(40)).expect("a frame");
        }
        files.push((format!("lossless {lossless}"), writer.finish().expect("four frames")));
    }
    assert!(files.len() > 2, "the example is there");
    for (name, file) in files {
        let limits = Limits::default();
        let mut native = webp_native::Player::new(&file, &limits).expect("an animation");
        let mut pure = webp_pure::Player::new(&file, &limits).expect("an animation");
        assert_eq!(native.loops(), pure.loops(), "{name}");
        let mut count = 0;
        while let Some((expected, shown)) = native.next_frame().expect("a sound file") {
            let (frame, duration) = pure.next_frame().expect("a sound file").expect("as many frames");
            assert_eq!((frame.size(), duration), (expected.size(), shown), "{name}");
            // Colour that nobody sees may differ.
            for (left, right) in frame.pixels().chunks_exact(4).zip(expected.pixels().chunks_exact(4)) {
                let most = if left[3] == 0 && right[3] == 0 { 0 } else { difference(left, right).0 };
                assert!(most <= 3, "{name}, frame {count}: {left:?} for {right:?}");
            }
            count += 1;
        }
        assert!(count > 1 && pure.next_frame() == Ok(None), "{name}");
    }
}

#[test]
fn cut_and_swollen_files_are_refused_by_both() {
    for (name, file) in examples().filter(|(_, file)| sniff(file) == Some(Format::Jpeg)) {
        let markers = Markers::read(&file).expect("a header");
        for share in [1, 2, 3] {
            let length = markers.scan + (file.len() - markers.scan) * share / 4;
            let (native, pure) = jpegs(&file[..length], 8);
            assert!(native.is_err() && pure.is_err(), "{name}, {length} bytes");
        }
    }
    // A canvas of 75 x 53 around a picture that says it is larger.
    let mut file = encode::still(&card(Layout::Rgb, 75, 53), &settings(OutputFormat::Webp)).expect("a WebP");
    let metadata = Metadata { exif: Some(vec![1; 9]), ..Metadata::default() };
    file = riff::with_metadata(file, Size::new(75, 53), false, &metadata);
    let at = file.windows(3).position(|window| window == [0x9D, 0x01, 0x2A]).expect("a lossy picture");
    file[at + 3..at + 7].copy_from_slice(&[0xFF, 0x3F, 0xFF, 0x3F]);
    assert!(webp_native::features(&file).is_err() && webp_pure::features(&file).is_err());
}
