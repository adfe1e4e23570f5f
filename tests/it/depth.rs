//! 16 bits a sample: what keeps them keeps each exactly, everything else answers with 8.

use image::{ColorType, DynamicImage, ImageFormat, Rgba};
use mogr::engine::image::{Deep, Depth, Frame, Layout};
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::metadata::Metadata;
use mogr::engine::program::Rendering;
use mogr::engine::{decode, encode, resolve, run};
use mogr::geometry::Size;
use mogr::plan::Plan;
use mogr::plan::output::OutputFormat;
use proptest::prelude::*;

use crate::cards;
use crate::server::Server;

/// The layouts that files have, by the names of the crate that these tests write them with.
const LAYOUTS: [ColorType; 4] = [ColorType::L16, ColorType::La16, ColorType::Rgb16, ColorType::Rgba16];

/// A card whose samples have both their bytes at work.
fn card(color: ColorType, width: u32, height: u32) -> DynamicImage {
    let count = width * height * u32::from(color.channel_count());
    let samples: Vec<u16> = (1..=count).map(|at| (at.wrapping_mul(2_654_435_761) >> 15) as u16).collect();
    of(color, width, height, samples)
}

fn of(color: ColorType, width: u32, height: u32, samples: Vec<u16>) -> DynamicImage {
    match color {
        ColorType::L16 => image::ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma16),
        ColorType::La16 => image::ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA16),
        ColorType::Rgb16 => image::ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb16),
        _ => image::ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgba16),
    }
    .unwrap()
}

/// The answer to `fops` on a file, read by a decoder that is not the engine's.
fn answer(file: &[u8], fops: &str) -> DynamicImage {
    let source = bytes::Bytes::from(file.to_vec());
    let limits = Limits::default();
    let header = decode::probe(&source).unwrap();
    let plan = Plan::parse(fops).unwrap();
    let program = resolve::resolve(&plan, &header, &[], &limits, Rendering::default()).unwrap();
    let output = run::run(&program, &source, &[], &limits, &Cancel::default(), &mut |_| {}).unwrap();
    assert_eq!(decode::probe(&output.body).unwrap().depth, program.depth, "{fops}");
    image::load_from_memory(&output.body).unwrap()
}

/// The picture on a canvas.
fn placed(picture: &DynamicImage, canvas: (u32, u32), at: (i64, i64), background: [u16; 4]) -> DynamicImage {
    let mut target = image::ImageBuffer::from_pixel(canvas.0, canvas.1, Rgba(background));
    image::imageops::replace(&mut target, &picture.to_rgba16(), at.0, at.1);
    DynamicImage::ImageRgba16(target)
}

type Expected = fn(&DynamicImage) -> DynamicImage;

/// Operators, and what they make of a card of 13×9.
const STEPS: [(&str, Expected); 10] = [
    ("imageMogr2/auto-orient", DynamicImage::clone),
    ("imageView2/0/w/400", DynamicImage::clone),
    ("imageMogr2/rotate/90", DynamicImage::rotate90),
    ("imageMogr2/rotate/180", DynamicImage::rotate180),
    ("imageMogr2/rotate/270", DynamicImage::rotate270),
    ("imageMogr2/crop/!5x4a3a2", |card| card.crop_imm(3, 2, 5, 4)),
    ("imageMogr2/crop/7x/rotate/90/strip", |card| card.crop_imm(0, 0, 7, 9).rotate90()),
    ("imageMogr2/border/2x1/bordercolor/cmVk", |card| placed(card, (17, 11), (2, 1), [65535, 0, 0, 65535])),
    ("imageMogr2/extent/20x5/background/IzEyMzQ1Ng==", |card| {
        placed(card, (20, 5), (3, -2), [0x1212, 0x3434, 0x5656, 65535])
    }),
    ("roundPic/radius/0", DynamicImage::clone),
];

#[test]
fn samples_that_are_copied_are_equal() {
    for color in LAYOUTS {
        let card = card(color, 13, 9);
        for (format, extension) in [(ImageFormat::Png, "png"), (ImageFormat::Tiff, "tiff")] {
            // The crate does not write such a TIFF.
            if (format, color) == (ImageFormat::Tiff, ColorType::La16) {
                continue;
            }
            let file = cards::encoded(card.clone(), format);
            for (fops, expected) in STEPS {
                for fops in
                    [fops.to_owned(), format!("{fops}|imageMogr2/format/tiff"), format!("{fops}|imageMogr2/format/png")]
                {
                    let answer = answer(&file, &fops);
                    let case = format!("{color:?} {extension} {fops}");
                    assert!(is_deep(&answer), "{case}: {:?}", answer.color());
                    assert_eq!(answer.to_rgba16(), expected(&card).to_rgba16(), "{case}");
                }
            }
        }
    }
}

fn is_deep(picture: &DynamicImage) -> bool {
    matches!(picture.color(), ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn cut_and_turned_pictures_keep_their_samples(
        (width, height) in (1..40_u32, 1..40_u32),
        color in prop::sample::select(LAYOUTS.as_slice()),
        (x, y) in (0..40_u32, 0..40_u32),
        turns in 0..4_u32,
        samples in proptest::collection::vec(any::<u16>(), 40 * 40 * 4),
    ) {
        let count = (width * height) as usize * usize::from(color.channel_count());
        let card = of(color, width, height, samples[..count].to_vec());
        let (x, y) = (x % width, y % height);
        let cut = card.crop_imm(x, y, width - x, height - y);
        let expected = match turns {
            0 => cut,
            1 => cut.rotate90(),
            2 => cut.rotate180(),
            _ => cut.rotate270(),
        };
        let fops = format!("imageMogr2/crop/!{width}x{height}a{x}a{y}/rotate/{}", turns * 90);
        let answer = answer(&cards::png(card), &fops);
        prop_assert!(is_deep(&answer));
        prop_assert_eq!(answer.to_rgba16(), expected.to_rgba16());
    }
}

/// EXIF data that say only this orientation.
fn exif(orientation: u8) -> Vec<u8> {
    [b"MM\0*\0\0\0\x08\0\x01".as_slice(), &[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]].concat()
}

fn settings(format: OutputFormat, metadata: Metadata) -> encode::Settings {
    encode::Settings {
        format,
        quality: 90,
        interlace: false,
        colors: None,
        lossless: false,
        effort: encode::Effort::Fast,
        metadata,
        cancel: Cancel::default(),
    }
}

/// A card as the engine's own frame.
fn frame(color: ColorType, width: u32, height: u32) -> Frame<Deep> {
    let layout = if color == ColorType::Rgba16 { Layout::Rgba } else { Layout::Rgb };
    let samples = match card(color, width, height) {
        DynamicImage::ImageRgba16(card) => card.into_raw(),
        card => card.to_rgb16().into_raw(),
    };
    Frame::of(Size::new(width, height), layout, samples.into_iter().map(u16::to_be_bytes).collect()).unwrap()
}

#[test]
fn mirrored_pictures_are_turned_upright() {
    type Turn = fn(&DynamicImage) -> DynamicImage;
    let turns: [(u8, Turn); 4] = [
        (2, DynamicImage::fliph),
        (4, DynamicImage::flipv),
        (5, |card| card.rotate90().fliph()),
        (7, |card| card.rotate270().fliph()),
    ];
    for (orientation, turn) in turns {
        let metadata = Metadata { exif: Some(exif(orientation)), ..Metadata::default() };
        let file = encode::still_deep(&frame(ColorType::Rgb16, 13, 9), &settings(OutputFormat::Png, metadata)).unwrap();
        let expected = turn(&card(ColorType::Rgb16, 13, 9));
        assert_eq!(answer(&file, "imageMogr2/auto-orient").to_rgb16(), expected.to_rgb16(), "{orientation}");
    }
}

/// A profile stays with the numbers that it explains, or is used up with all their bits.
#[test]
fn profiles_are_kept_or_their_colours_converted() {
    let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let metadata = Metadata { icc: Some(p3), ..Metadata::default() };
    let frame = frame(ColorType::Rgba16, 40, 30);
    for format in [OutputFormat::Png, OutputFormat::Tiff] {
        let file = encode::still_deep(&frame, &settings(format, metadata.clone())).unwrap();
        let kept = answer(&file, "imageMogr2/auto-orient").to_rgba16();
        assert_eq!(kept, card(ColorType::Rgba16, 40, 30).to_rgba16());
        let stripped = answer(&file, "imageMogr2/strip");
        assert_eq!(stripped.color(), ColorType::Rgba16);
        for (is, was) in stripped.to_rgba16().pixels().zip(kept.pixels()) {
            let expected = srgb_of_p3([was[0], was[1], was[2]]);
            for channel in 0..3 {
                let far = (f64::from(is[channel]) - expected[channel]).abs();
                // The curve's table is coarse near black; a step of 8 bits is 257.
                assert!(far < 40.0, "{was:?} became {is:?}, not {expected:?}");
            }
            assert_eq!(is[3], was[3]);
        }
    }
}

/// Half the light is the number of half the light in sRGB, with all its bits.
#[test]
fn gray_profiles_are_converted() {
    let linear = moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let metadata = Metadata { icc: Some(linear), ..Metadata::default() };
    let gray = Frame::of_color(Size::new(30, 20), Layout::Gray, [32768_u16.to_be_bytes(); 4]);
    let file = encode::still_deep(&gray, &settings(OutputFormat::Png, metadata)).unwrap();
    let answer = answer(&file, "imageMogr2/crop/10x10");
    assert_eq!(answer.color(), ColorType::L16);
    let expected = (1.055 * 0.500_007_6_f64.powf(1.0 / 2.4) - 0.055) * 65535.0;
    let found = f64::from(answer.to_luma16().get_pixel(3, 3)[0]);
    assert!((found - expected).abs() < 40.0, "{found} for {expected}");
}

/// Display P3 to sRGB by the two matrices (CSS Color 4) and sRGB's curve, clipped.
fn srgb_of_p3(p3: [u16; 3]) -> [f64; 3] {
    const MATRIX: [[f64; 3]; 3] = [
        [1.224_940_176_280_56, -0.224_940_176_280_56, 0.0],
        [-0.042_056_954_709_688, 1.042_056_954_709_688, 0.0],
        [-0.019_637_554_590_334, -0.078_636_045_550_632, 1.098_273_600_140_966],
    ];
    let linear = p3.map(|code| {
        let value = f64::from(code) / 65535.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    MATRIX.map(|row| {
        let value = row.iter().zip(linear).map(|(share, value)| share * value).sum::<f64>().clamp(0.0, 1.0);
        let coded = if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        coded * 65535.0
    })
}

/// What cannot hold 16 bits, or is not made of them, has 8: those that the decoder has always given.
#[tokio::test]
async fn the_server_answers_with_16_bits_where_it_can() {
    let picture = card(ColorType::Rgb16, 64, 48);
    let files = [("deep.png", cards::png(picture.clone())), ("deep.tiff", cards::encoded(picture, ImageFormat::Tiff))];
    let server = Server::over(&files.each_ref().map(|(name, file)| (*name, file.as_slice()))).await;
    for (fops, format, depth) in [
        ("imageMogr2/thumbnail/20x", "", Depth::Sixteen),
        ("imageMogr2/thumbnail/200x", "", Depth::Sixteen),
        ("imageMogr2/crop/20x10", "", Depth::Sixteen),
        ("imageView2/1/w/20/h/20", "", Depth::Sixteen),
        ("imageMogr2/crop/20x10/format/png", "png", Depth::Sixteen),
        ("imageView2/2/w/20/format/tiff", "tiff", Depth::Sixteen),
        ("imageMogr2/thumbnail/20x|roundPic/radius/5", "png", Depth::Sixteen),
        ("imageMogr2/crop/20x10/format/jpg", "jpeg", Depth::Eight),
        ("imageMogr2/crop/20x10/format/webp", "webp", Depth::Eight),
        ("imageMogr2/crop/20x10/format/gif", "gif", Depth::Eight),
        ("imageMogr2/crop/20x10/format/bmp", "bmp", Depth::Eight),
        ("imageMogr2/format/png/colors/16", "png", Depth::Eight),
        ("imageMogr2/rotate/30/blur/3x2/sharpen/1", "", Depth::Sixteen),
        ("watermark/2/text/aGVsbG8=", "", Depth::Eight),
    ] {
        for (name, own) in [("deep.png", "png"), ("deep.tiff", "tiff")] {
            let header = server.get(&format!("/{name}?{fops}")).await.image();
            let format = if format.is_empty() { own } else { format };
            assert_eq!((header.format.name(), header.depth), (format, depth), "{name} {fops}");
        }
    }
    for (fops, depth) in
        [("imageslim/zlevel/2", Depth::Sixteen), ("imageMogr2/crop/60x|imageslim/zlevel/3", Depth::Eight)]
    {
        assert_eq!(server.get(&format!("/deep.png?{fops}")).await.image().depth, depth, "{fops}");
    }
    let mut info = server.get("/deep.png?imageInfo").await.json();
    info.as_object_mut().unwrap().remove("size");
    assert_eq!(info.to_string(), r#"{"colorModel":"rgb","format":"png","height":48,"width":64}"#);
}
