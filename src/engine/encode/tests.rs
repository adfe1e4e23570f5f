//! Round trips, animations, palettes, metadata, refusals.

use std::time::Duration;

use super::*;
use crate::engine::decode::tests::{card, decode, exif_with_orientation, moving, settings};
use crate::engine::decode::{self, probe};
use crate::engine::image::ColorModel;
use crate::engine::limits::Limits;
use crate::engine::limits::tests::looks_of;
use crate::engine::metadata;

fn display_p3() -> Vec<u8> {
    moxcms::ColorProfile::new_display_p3().encode().expect("a built-in profile")
}

/// Largest and mean difference of two frames over all channels of visible pixels.
fn difference(left: &Frame, right: &Frame) -> (u8, f64) {
    assert_eq!(left.size(), right.size());
    let (mut most, mut sum, mut count) = (0, 0_u64, 0_u64);
    for y in 0..left.size().height {
        for x in 0..left.size().width {
            let (left, right) = (left.rgba_at(x, y), right.rgba_at(x, y));
            let channels = if left[3] == 0 && right[3] == 0 { 3..4 } else { 0..4 };
            for channel in channels {
                let step = left[channel].abs_diff(right[channel]);
                most = most.max(step);
                sum += u64::from(step);
                count += 1;
            }
        }
    }
    (most, sum as f64 / count as f64)
}

#[test]
fn encoders_stop_on_their_way() {
    let frame = card(Layout::Rgb, 600, 400);
    let webp = settings(OutputFormat::Webp);
    let palette = Settings { colors: Some(16), ..settings(OutputFormat::Png) };
    for (settings, expected) in [
        (webp.clone(), 10),
        (Settings { effort: Effort::Small, ..webp.clone() }, 10),
        (Settings { lossless: true, ..webp }, 3),
        (palette, 300),
        (settings(OutputFormat::Png), 300),
        (settings(OutputFormat::Gif), 3),
    ] {
        let looks = looks_of(|cancel| still(&frame, &Settings { cancel: cancel.clone(), ..settings.clone() }));
        // The encoder in Rust is one call.
        let is_one_call = settings.format == OutputFormat::Webp && !cfg!(feature = "native");
        assert!(looks >= expected || is_one_call, "{:?}: {looks} looks", settings.format);
    }
}

#[test]
fn pictures_survive_the_round_trip() {
    use Layout::{Gray, Rgb, Rgba};
    let lossless = |format| Settings { lossless: true, ..settings(format) };
    let small = |format| Settings { effort: Effort::Small, ..settings(format) };
    // Largest and mean difference allowed: none without loss; a palette of 128 takes most, at the corners of the card.
    let rows: [(Settings, &[Layout], u8, f64); 11] = [
        (settings(OutputFormat::Png), &[Gray, Rgb, Rgba], 0, 0.0),
        (small(OutputFormat::Png), &[Gray, Rgb, Rgba], 0, 0.0),
        (settings(OutputFormat::Tiff), &[Gray, Rgb, Rgba], 0, 0.0),
        (settings(OutputFormat::Bmp), &[Gray, Rgb], 0, 0.0),
        (lossless(OutputFormat::Webp), &[Gray, Rgb, Rgba], 0, 0.0),
        (settings(OutputFormat::Webp), &[Gray, Rgb, Rgba], 24, 3.0),
        (settings(OutputFormat::Jpeg), &[Gray, Rgb], 16, 2.0),
        (small(OutputFormat::Jpeg), &[Gray, Rgb], 16, 2.0),
        (settings(OutputFormat::Gif), &[Gray, Rgb, Rgba], 60, 8.0),
        (settings(OutputFormat::Avif), &[Gray, Rgb, Rgba], 24, 2.0),
        (small(OutputFormat::Avif), &[Gray, Rgb, Rgba], 24, 2.0),
    ];
    for (settings, layouts, largest, mean) in rows.into_iter().filter(|row| row.0.format.is_built_in()) {
        for layout in layouts {
            let frame = card(*layout, 61, 47);
            let file = still(&frame, &settings).expect("it fits");
            let (found_largest, found_mean) = difference(&frame, &decode(&file).expect("our own file"));
            let case = format!("{:?} {layout:?}: {found_largest}, {found_mean:.2}", settings.format);
            assert!(found_largest <= largest && found_mean <= mean, "{case}");
        }
    }
}

#[test]
fn layouts_come_back() {
    for (format, layout, expected) in [
        (OutputFormat::Jpeg, Layout::Gray, Layout::Gray),
        (OutputFormat::Jpeg, Layout::Rgb, Layout::Rgb),
        (OutputFormat::Png, Layout::Gray, Layout::Gray),
        (OutputFormat::Png, Layout::Rgba, Layout::Rgba),
        (OutputFormat::Webp, Layout::Rgb, Layout::Rgb),
        (OutputFormat::Webp, Layout::Rgba, Layout::Rgba),
        (OutputFormat::Tiff, Layout::Gray, Layout::Gray),
        (OutputFormat::Gif, Layout::Rgb, Layout::Rgba),
        (OutputFormat::Avif, Layout::Gray, Layout::Gray),
        (OutputFormat::Avif, Layout::Rgb, Layout::Rgb),
        (OutputFormat::Avif, Layout::Rgba, Layout::Rgba),
    ] {
        if !format.is_built_in() {
            continue;
        }
        let file = still(&card(layout, 20, 10), &settings(format)).expect("it fits");
        assert_eq!(decode(&file).expect("our own file").layout(), expected, "{format:?} {layout:?}");
    }
}

#[test]
fn small_and_odd_sizes_survive() {
    for format in OutputFormat::ALL.into_iter().filter(|format| format.is_built_in()) {
        for size in [(1, 1), (1, 7), (3, 5), (17, 2)] {
            for quality in [50, 95] {
                // One colour: only what the size does to the codec is looked at.
                let frame = Frame::filled(Size::new(size.0, size.1), Layout::Rgb, [180, 90, 60, 255]);
                let file = still(&frame, &Settings { quality, ..settings(format) }).expect("it fits");
                let (largest, _) = difference(&frame, &decode(&file).expect("our own file"));
                assert!(largest <= 12, "{format:?} {size:?} at {quality}: off by {largest}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let rgba = card(Layout::Rgba, 8, 8);
    let wide = Frame::filled(Size::new(70_000, 1), Layout::Gray, [0; 4]);
    let rows = [
        (OutputFormat::Jpeg, &rgba),
        (OutputFormat::Bmp, &rgba),
        (OutputFormat::Jpeg, &wide),
        (OutputFormat::Gif, &wide),
        (OutputFormat::Webp, &wide),
        (OutputFormat::Avif, &wide),
    ];
    for (format, frame) in rows {
        let refused = still(frame, &settings(format));
        assert!(matches!(refused, Err(Error::Unencodable { .. })), "{format:?}");
    }
    for format in [OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::Bmp, OutputFormat::Tiff, OutputFormat::Avif] {
        assert!(animation(Size::new(8, 8), 0, &settings(format)).is_err(), "{format:?}");
    }
    for format in moving() {
        let mut writer = animation(Size::new(9, 8), 0, &settings(format)).expect("it moves");
        assert!(writer.push(&rgba, Duration::ZERO).is_err(), "{format:?}: another size");
        assert!(writer.finish().is_err(), "{format:?}: no frame");
    }
}

#[test]
fn interlace_and_effort_make_progressive_jpeg() {
    let progressive = |file: &[u8]| file.windows(2).any(|pair| pair == [0xFF, 0xC2]);
    let frame = card(Layout::Rgb, 64, 64);
    for (interlace, effort, expected) in
        [(false, Effort::Fast, false), (true, Effort::Fast, true), (false, Effort::Small, true)]
    {
        let settings = Settings { interlace, effort, ..settings(OutputFormat::Jpeg) };
        assert_eq!(progressive(&still(&frame, &settings).expect("a JPEG")), expected, "{interlace} {effort:?}");
    }
}

#[test]
fn the_same_settings_give_the_same_bytes() {
    let frame = card(Layout::Rgba, 50, 40);
    for (format, colors) in [
        (OutputFormat::Png, None),
        (OutputFormat::Png, Some(32)),
        (OutputFormat::Gif, None),
        (OutputFormat::Webp, None),
        (OutputFormat::Tiff, None),
        (OutputFormat::Avif, None),
    ] {
        for effort in [Effort::Fast, Effort::Small] {
            let settings = Settings { colors, effort, ..settings(format) };
            assert_eq!(still(&frame, &settings), still(&frame, &settings), "{format:?} {colors:?} {effort:?}");
        }
    }
}

#[test]
fn palettes_have_at_most_the_colors_asked_for() {
    for colors in [2, 4, 8, 16, 32, 64, 128, 256] {
        for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
            let frame = card(layout, 60, 60);
            for format in [OutputFormat::Png, OutputFormat::Gif] {
                let settings = Settings { colors: Some(colors), ..settings(format) };
                let file = still(&frame, &settings).expect("it fits");
                let decoded = decode(&file).expect("our own file");
                assert_eq!(probe(&file).expect("our own file").color_model, ColorModel::Palette);
                let found: std::collections::HashSet<[u8; 4]> =
                    (0..3600).map(|at| decoded.rgba_at(at % 60, at / 60)).collect();
                assert!(found.len() <= usize::from(colors), "{format:?} {layout:?} {colors}: {}", found.len());
                let (_, mean) = difference(&frame, &decoded);
                assert!(colors < 128 || mean < 8.0, "{format:?} {layout:?} {colors}: off by {mean}");
            }
        }
    }
}

#[test]
fn few_colors_are_kept_exactly() {
    let flag = [[200, 16, 46, 255], [255, 255, 255, 255], [0, 61, 165, 255]];
    let pixels = flag.iter().flat_map(|color| color.repeat(30)).collect();
    let frame = Frame::new(Size::new(10, 9), Layout::Rgba, pixels).expect("three stripes");
    for format in [OutputFormat::Png, OutputFormat::Gif] {
        let settings = Settings { colors: Some(4), ..settings(format) };
        let decoded = decode(&still(&frame, &settings).expect("it fits")).expect("our own file");
        assert_eq!(difference(&frame, &decoded), (0, 0.0), "{format:?}");
    }
}

#[test]
fn soft_edges_keep_levels_of_alpha_in_a_palette() {
    let pixels = (0..=255).flat_map(|alpha| [200, 30, 30, alpha]).collect();
    let frame = Frame::new(Size::new(16, 16), Layout::Rgba, pixels).expect("256 pixels");
    let settings = Settings { colors: Some(64), ..settings(OutputFormat::Png) };
    let decoded = decode(&still(&frame, &settings).expect("it fits")).expect("our own file");
    for at in 0..256 {
        let alpha = decoded.rgba_at(at % 16, at / 16)[3];
        assert!(i32::from(alpha).abs_diff(at as i32) <= 33, "{at} became {alpha}");
    }
}

#[test]
fn animations_keep_frames_durations_and_loops() {
    // Colours that move, then a hole that opens: the canvas must be cleared for it.
    let frames =
        [card(Layout::Rgb, 24, 16), card(Layout::Gray, 24, 16), card(Layout::Rgba, 24, 16), card(Layout::Rgba, 24, 16)];
    for format in moving() {
        for loops in [0, 1, 7] {
            let settings = Settings { lossless: true, ..settings(format) };
            let mut writer = animation(frames[0].size(), loops, &settings).expect("it moves");
            for (index, frame) in frames.iter().enumerate() {
                writer.push(frame, Duration::from_millis(100 + 10 * index as u64)).expect("a frame");
            }
            let file = writer.finish().expect("four frames");
            let header = probe(&file).expect("our own file");
            let mut player =
                decode::animation(&file, &header, &Limits::default(), &Cancel::default()).expect("an animation");
            assert_eq!(player.loops(), loops, "{format:?}");
            let mut shown = Duration::ZERO;
            let mut last = None;
            while let Some((frame, duration)) = player.next_frame().expect("our own file") {
                let index = [100, 210, 330].iter().filter(|end| shown.as_millis() >= **end).count();
                let (_, mean) = difference(&frames[index], &frame);
                assert!(mean <= if format == OutputFormat::Gif { 8.0 } else { 0.0 }, "{format:?} {index}: {mean}");
                shown += duration;
                last = Some(frame);
            }
            assert_eq!(shown, Duration::from_millis(460), "{format:?}");
            assert_eq!(last.expect("frames").rgba_at(0, 0)[3], 0, "{format:?}");
        }
    }
}

#[test]
fn gif_frames_count_and_hold_only_what_changed() {
    let mut second = card(Layout::Rgb, 24, 16);
    second.pixels_mut()[3 * (5 * 24 + 7)..][..3].copy_from_slice(&[1, 2, 3]);
    let mut writer = animation(second.size(), 0, &settings(OutputFormat::Gif)).expect("it moves");
    for frame in [&card(Layout::Rgb, 24, 16), &second, &second] {
        writer.push(frame, Duration::from_millis(40)).expect("a frame");
    }
    let file = writer.finish().expect("three frames");
    assert_eq!(probe(&file).expect("our own file").frames, 3);
    let mut decoder = ::gif::DecodeOptions::new().read_info(&file[..]).expect("our own file");
    let mut areas = Vec::new();
    while let Some(frame) = decoder.next_frame_info().expect("our own file") {
        areas.push((frame.left, frame.top, frame.width, frame.height));
    }
    assert_eq!(areas, [(0, 0, 24, 16), (7, 5, 1, 1), (0, 0, 1, 1)]);
}

#[test]
fn metadata_is_kept() {
    let kept = Metadata { icc: Some(display_p3()), exif: Some(exif_with_orientation(6)), density_dpi: Some(300) };
    for (format, layout, exif, density) in [
        (OutputFormat::Jpeg, Layout::Rgb, true, true),
        (OutputFormat::Png, Layout::Rgba, true, true),
        (OutputFormat::Webp, Layout::Rgb, true, false),
        (OutputFormat::Webp, Layout::Rgba, true, false),
        // The encoder writes TIFF's own resolution fields, which are what is found.
        (OutputFormat::Tiff, Layout::Rgb, true, false),
        (OutputFormat::Avif, Layout::Rgb, true, false),
        (OutputFormat::Avif, Layout::Rgba, true, false),
    ] {
        if !format.is_built_in() {
            continue;
        }
        let frame = card(layout, 20, 10);
        let plain = still(&frame, &settings(format)).expect("it fits");
        let file = still(&frame, &Settings { metadata: kept.clone(), ..settings(format) }).expect("it fits");
        let header = probe(&file).expect("our own file");
        let found = metadata::read(&file, &header);
        let case = format!("{format:?} {layout:?}");
        assert_eq!(found.icc, kept.icc, "{case}");
        assert_eq!(found.exif.is_some(), exif, "{case}");
        assert_eq!(found.density_dpi, density.then_some(300), "{case}");
        assert_eq!(header.has_alpha, layout == Layout::Rgba, "{case}");
        assert_eq!(decode(&file), decode(&plain), "{case}: pixels");
    }
}

#[test]
fn profiles_are_embedded_where_they_fit() {
    let gray = moxcms::ColorProfile::new_gray_with_gamma(2.2).encode().expect("a built-in profile");
    let rgb = display_p3();
    use Layout::{Gray, Rgb};
    let rows = [
        (OutputFormat::Jpeg, None, Rgb, &rgb, true),
        (OutputFormat::Jpeg, None, Gray, &rgb, false),
        (OutputFormat::Jpeg, None, Gray, &gray, true),
        (OutputFormat::Png, None, Rgb, &rgb, true),
        (OutputFormat::Png, None, Rgb, &gray, false),
        (OutputFormat::Png, None, Gray, &gray, true),
        (OutputFormat::Png, Some(16), Gray, &gray, false),
        (OutputFormat::Png, Some(16), Rgb, &rgb, true),
        (OutputFormat::Webp, None, Rgb, &rgb, true),
        (OutputFormat::Webp, None, Gray, &gray, false),
        (OutputFormat::Tiff, None, Rgb, &rgb, true),
        (OutputFormat::Tiff, None, Gray, &rgb, false),
        (OutputFormat::Gif, None, Rgb, &rgb, false),
        (OutputFormat::Bmp, None, Rgb, &rgb, false),
        (OutputFormat::Avif, None, Rgb, &rgb, true),
        (OutputFormat::Avif, None, Gray, &rgb, false),
        (OutputFormat::Avif, None, Gray, &gray, true),
    ];
    for (format, colors, layout, icc, expected) in rows.into_iter().filter(|row| row.0.is_built_in()) {
        let kept = Metadata { icc: Some(icc.clone()), ..Metadata::default() };
        let settings = Settings { metadata: kept, colors, ..settings(format) };
        let file = still(&card(layout, 20, 10), &settings).expect("it fits");
        let found = metadata::read(&file, &probe(&file).expect("our own file")).icc;
        let case = format!("{format:?} {colors:?} {layout:?}");
        assert_eq!(found.as_ref(), expected.then_some(icc), "{case}");
        assert_eq!(settings.embeds_icc(layout), expected, "{case}");
    }
}

#[test]
#[cfg(feature = "native")]
fn animated_webp_keeps_metadata() {
    let kept = Metadata { icc: Some(display_p3()), exif: Some(exif_with_orientation(3)), density_dpi: None };
    let settings = Settings { metadata: kept.clone(), ..settings(OutputFormat::Webp) };
    let mut writer = animation(Size::new(24, 16), 0, &settings).expect("it moves");
    for layout in [Layout::Rgb, Layout::Gray] {
        writer.push(&card(layout, 24, 16), Duration::from_millis(40)).expect("a frame");
    }
    let file = writer.finish().expect("two frames");
    let header = probe(&file).expect("our own file");
    assert_eq!((header.frames, header.has_alpha), (2, false));
    assert_eq!(metadata::read(&file, &header), kept);
}

#[test]
#[cfg(not(feature = "native"))]
fn without_libwebp_nothing_is_lost_and_nothing_moves() {
    for quality in [1, 75] {
        let frame = card(Layout::Rgba, 61, 47);
        let file = still(&frame, &Settings { quality, ..settings(OutputFormat::Webp) }).expect("it fits");
        assert_eq!(difference(&frame, &decode(&file).expect("our own file")), (0, 0.0), "{quality}");
    }
    let refused = animation(Size::new(8, 8), 0, &settings(OutputFormat::Webp)).err().expect("there is no such encoder");
    assert!(refused.to_string().contains("native"), "{refused}");
}
