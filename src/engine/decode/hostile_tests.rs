//! Limits, truncations and damage: bytes end in a picture or in an error, never in a panic or in much memory.

use std::time::Duration;

use super::tests::{all, card, decode, encoded, exif_with_orientation, gif_of, moving, psd, settings, with_exif};
use super::*;
use crate::engine::encode::{self, Settings};
use crate::engine::image::Layout;
use crate::engine::limits::tests::looks_of;
use crate::plan::output::OutputFormat;

#[test]
fn limits_are_checked_before_pixels() {
    let narrow = Limits { source_edge: 39, ..Limits::default() };
    let few = Limits { source_pixels: 1199, ..Limits::default() };
    for output in all() {
        let file = encoded(output);
        let header = probe(&file).expect("our own file");
        for limits in [&narrow, &few] {
            let refused = still(&file, &header, 8, limits, &Cancel::default());
            assert!(matches!(refused, Err(Error::Limit { .. })), "{output:?}");
        }
    }
    let file = gif_of(&[(0, 4, 1, ::gif::DisposalMethod::Keep, &[1; 8][..]); 3], None);
    let header = probe(&file).expect("our own file");
    for limits in [Limits { gif_frames: 2, ..Limits::default() }, Limits { animation_pixels: 23, ..Limits::default() }]
    {
        assert!(matches!(animation(&file, &header, &limits, &Cancel::default()), Err(Error::Limit { .. })));
    }
}

#[test]
fn a_gif_frame_larger_than_the_limit_is_refused() {
    let mut file = gif_of(&[(0, 4, 1, ::gif::DisposalMethod::Keep, &[1; 8])], None);
    let at = file.iter().rposition(|byte| *byte == 0x2C).expect("an image descriptor");
    file[at + 5..at + 9].copy_from_slice(&[0xFF; 4]);
    assert!(matches!(decode(&file), Err(Error::Limit { what: "pixels of a GIF frame", .. })));
}

#[test]
fn cancelled_work_stops() {
    let cancel = Cancel::default();
    cancel.cancel();
    for output in all() {
        let file = encoded(output);
        let header = probe(&file).expect("our own file");
        assert_eq!(still(&file, &header, 8, &Limits::default(), &cancel), Err(Error::Cancelled));
    }
}

/// Looks that the decoders take at the flag: at the beginning and at the end, and between.
#[test]
fn decoders_stop_on_their_way() {
    let lossless = Settings { lossless: true, ..settings(OutputFormat::Webp) };
    let files = all().map(|format| (format.name(), settings(format))).chain([("lossless webp", lossless)]);
    for (name, settings) in files {
        // WebP is decoded in pieces of a million pixels; of the others some kilobytes have to be read.
        let (width, height) = if name.contains("webp") { (1700, 1300) } else { (340, 260) };
        let file = encode::still(&card(Layout::Rgb, width, height), &settings).expect("it fits");
        let header = probe(&file).expect("our own file");
        let looks = looks_of(|cancel| still(&file, &header, 8, &Limits::default(), cancel));
        let expected = match name {
            // One call of a library each.
            "jpg" | "avif" => 2,
            _ if name.contains("webp") && !cfg!(feature = "native") => 2,
            "png" => 2 + 20,
            _ => 2 + 2,
        };
        assert!(looks >= expected, "{name}: {looks} looks");
    }
}

#[test]
fn layered_files_stop_between_rows() {
    for (mode, planes) in [(3, vec![vec![9; 6]; 3]), (4, vec![vec![9; 6]; 4])] {
        let file = psd(8, mode, &planes, (3, 2), false, &[]);
        let header = probe(&file).expect("our own file");
        let looks = looks_of(|cancel| still(&file, &header, 8, &Limits::default(), cancel));
        assert!(looks > 2 * u32::from(mode), "{mode}: {looks} looks");
    }
}

#[test]
fn animations_stop_between_frames() {
    // Only libwebp writes WebP that moves.
    let formats: &[_] =
        if cfg!(feature = "native") { &[OutputFormat::Gif, OutputFormat::Webp] } else { &[OutputFormat::Gif] };
    for &format in formats {
        let mut writer = encode::animation(Size::new(40, 30), 0, &settings(format)).expect("it moves");
        for layout in [Layout::Rgb, Layout::Gray, Layout::Rgba] {
            writer.push(&card(layout, 40, 30), Duration::from_millis(100)).expect("it fits");
        }
        let file = writer.finish().expect("an animation");
        let header = probe(&file).expect("our own file");
        let looks = looks_of(|cancel| {
            let mut player = animation(&file, &header, &Limits::default(), cancel)?;
            while player.next_frame()?.is_some() {}
            Ok(())
        });
        assert!(looks > 2 * 3, "{format:?}: {looks} looks");
    }
}

#[test]
fn a_header_without_pixels_takes_no_memory() {
    // A progressive JPEG of 12000 x 12000 in 600 bytes: libjpeg would take 860 MB for coefficients.
    let mut settings = settings(OutputFormat::Jpeg);
    settings.interlace = true;
    let mut file = encode::still(&card(Layout::Rgb, 16, 16), &settings).expect("a JPEG");
    let at = file.windows(2).position(|window| window == [0xFF, 0xC2]).expect("a progressive frame header");
    file[at + 5..at + 9].copy_from_slice(&[0x2E, 0xE0, 0x2E, 0xE0]);
    let refused = decode(&file).expect_err("there are no pixels");
    assert!(refused.to_string().contains("cannot hold 12000x12000 pixels"), "{refused}");
}

#[test]
fn stray_bytes_between_segments_are_harmless() {
    let file = encoded(OutputFormat::Jpeg);
    let end = file.len() - 2;
    let stray = [&file[..end], b"stray", &file[end..]].concat();
    assert_eq!(decode(&stray), decode(&file));
    // But not where the end is missing.
    assert!(matches!(decode(&stray[..end + 3]), Err(Error::Broken { .. })));
}

/// Every prefix of every format ends in a picture or in an error of the decoder, never in a panic.
#[test]
fn truncated_files_are_broken() {
    let mut files: Vec<(String, Vec<u8>)> = all().map(|format| (format!("{format:?}"), encoded(format))).collect();
    let progressive = Settings { interlace: true, ..settings(OutputFormat::Jpeg) };
    let lossless = Settings { lossless: true, ..settings(OutputFormat::Webp) };
    let rgb = card(Layout::Rgb, 40, 30);
    files.push(("progressive".into(), encode::still(&rgb, &progressive).expect("a JPEG")));
    files.push(("lossless".into(), encode::still(&rgb, &lossless).expect("a WebP")));
    files.push(("psd".into(), psd(8, 3, &vec![vec![9; 1200]; 3], (40, 30), true, &[])));
    for format in moving() {
        let mut writer = encode::animation(rgb.size(), 0, &settings(format)).expect("it moves");
        for layout in [Layout::Rgb, Layout::Gray, Layout::Rgba] {
            writer.push(&card(layout, 40, 30), Duration::from_millis(40)).expect("a frame");
        }
        files.push((format!("animated {format:?}"), writer.finish().expect("three frames")));
    }
    for (name, file) in files {
        decode(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        for step in 0..64 {
            let length = file.len() * step / 64;
            let outcome = play(&file[..length]);
            // What stands behind the last pixel may be missing: nothing is lost with it.
            let lossless = ["Png", "Tiff", "Bmp"].contains(&name.as_str()) && length + 64 > file.len();
            assert!(outcome.is_err() || lossless, "{name}, {length} of {} bytes: {outcome:?}", file.len());
        }
    }
}

/// Single wrong bytes, everywhere: pictures or errors.
#[test]
fn damaged_files_do_not_panic() {
    let animated = gif_of(&[(0, 4, 1, ::gif::DisposalMethod::Previous, &[1; 8][..]); 2], None);
    let mut files: Vec<Vec<u8>> = all().map(encoded).collect();
    files.push(animated);
    files.push(psd(8, 3, &vec![vec![9; 1200]; 3], (40, 30), true, &[]));
    files.push(with_exif(exif_with_orientation(6)));
    let limits = Limits { source_pixels: 1 << 20, ..Limits::default() };
    for file in files {
        for at in (0..file.len()).step_by(1 + file.len() / 400) {
            for value in [0, 0x7F, 0xFF] {
                let mut damaged = file.clone();
                damaged[at] = value;
                let Ok(header) = probe(&damaged) else { continue };
                let _ = still(&damaged, &header, 8, &limits, &Cancel::default());
                let metadata = crate::engine::metadata::read(&damaged, &header);
                let _ = metadata.exif.map(|exif| crate::engine::metadata::exif_json(&exif));
            }
        }
    }
}

/// All frames of a file.
fn play(bytes: &[u8]) -> Result<u32, Error> {
    let header = probe(bytes)?;
    if !header.is_animated() {
        return decode(bytes).map(|_| 1);
    }
    let mut player = animation(bytes, &header, &Limits::default(), &Cancel::default())?;
    let mut frames = 0;
    while player.next_frame()?.is_some() {
        frames += 1;
    }
    if frames == header.frames { Ok(frames) } else { Err(broken(header.format, "frames are missing")) }
}
