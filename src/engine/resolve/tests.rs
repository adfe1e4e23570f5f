//! Programs worked out from headers alone.

use super::*;
use crate::engine::image::{ColorModel, Depth, Sampling};
use crate::plan::output::{QualityTarget, Score};

fn photo(size: Size, orientation: Option<Orientation>) -> Header {
    Header {
        format: Format::Jpeg,
        size,
        orientation,
        frames: 1,
        color_model: ColorModel::Ycbcr,
        depth: Depth::Eight,
        has_alpha: false,
        bytes: 1000,
        jpeg_quality: Some(95),
        sampling: None,
        may_have_profile: false,
        by_rows: false,
    }
}

fn program(fops: &str, header: &Header) -> Result<Program, Error> {
    resolve(&Plan::parse(fops).expect("a pipeline"), header, &[], &Limits::default(), Rendering::default())
}

/// Decode scale and steps of a 4000×3000 photograph that is stored lying on its side.
#[test]
fn programs() {
    let header = photo(Size::new(4000, 3000), Some(Orientation::RightTop));
    for (fops, eighths, steps) in [
        ("imageView2/2/w/300", 2, "resize to 400x300; turn from Right-top"),
        ("imageView2/1/w/300/h/300", 2, "resize to 400x300; turn from Right-top; crop 300x300 at 0,50"),
        ("imageView2/2/w/1400", 8, "resize to 1867x1400; turn from Right-top"),
        ("imageView2/2/w/100", 1, "resize to 133x100; turn from Right-top"),
        ("imageView2/2/w/5000", 8, "turn from Right-top"),
        ("imageMogr2/thumbnail/400x", 2, "resize to 400x300"),
        ("imageMogr2/crop/400x300/thumbnail/40x", 8, "crop 400x300 at 0,0; resize to 40x30"),
        ("imageMogr2/thumbnail/4000x3000", 8, ""),
        ("imageMogr2/rotate/90/thumbnail/300x", 8, "rotate by 90 degrees onto 3000x4000 of #FFFFFF; resize to 300x400"),
        ("imageInfo", 8, ""),
    ] {
        let program = program(fops, &header).expect(fops);
        let shown: Vec<String> = program.steps.iter().map(ToString::to_string).collect();
        assert_eq!((program.eighths, shown.join("; ").as_str()), (eighths, steps), "{fops}");
    }
}

#[test]
fn only_a_picture_that_is_nothing_but_slimmed_may_stay_the_source() {
    let header = photo(Size::new(4000, 3000), None);
    for (fops, of_source) in
        [("imageslim", true), ("imageslim|imageMogr2/rotate/90", false), ("imageMogr2/rotate/90|imageslim", false)]
    {
        let Answer::Image(output) = program(fops, &header).expect(fops).answer else { panic!("{fops}: a picture") };
        assert_eq!(output.slim.map(|slim| slim.of_source), Some(of_source), "{fops}");
    }
}

#[test]
fn the_best_speed_decodes_everything() {
    let plan = Plan::parse("imageView2/2/w/240").expect("a plan");
    let header = photo(Size::new(4000, 3000), None);
    for (speed, eighths) in [(Speed::Fast, 1), (Speed::Balanced, 1), (Speed::Best, 8)] {
        let rendering = Rendering { speed, ..Rendering::default() };
        let program = resolve(&plan, &header, &[], &Limits::default(), rendering).expect("a program");
        assert_eq!(program.eighths, eighths, "{speed:?}");
    }
}

/// Eighths of the planes, and whether nothing is left to do, for a 4:2:0 photograph that is stored lying on its side.
#[test]
fn photographs_are_loaded_as_planes() {
    let size = Size::new(4000, 3000);
    let sampling = Sampling { size, progressive: false, gray: false, chroma: (2, 2) };
    let header = Header { sampling: Some(sampling), ..photo(size, Some(Orientation::RightTop)) };
    // Lossless WebP stores no planes.
    let webp = if cfg!(feature = "native") { ([4, 4, 4], true) } else { ([4, 7, 7], false) };
    for (fops, eighths, is_all) in [
        ("imageView2/2/w/240", [1, 1, 1], true),
        ("imageView2/2/w/300", [1, 1, 1], true),
        ("imageView2/2/w/301", [2, 1, 1], true),
        ("imageView2/1/w/300/h/300", [1, 1, 1], true),
        ("imageView2/2/w/1200", [4, 4, 4], true),
        ("imageView2/2/w/1200/format/webp", webp.0, webp.1),
        ("imageView2/2/w/1200/format/png", [4, 7, 7], false),
        ("imageView2/2/w/1200/q/96!", [4, 7, 7], true),
        ("imageView2/2/w/5000", [8, 8, 8], true),
        ("imageView2/2/w/1200|watermark/2/text/aGk=", [4, 4, 4], true),
        ("imageView2/2/w/1200|watermark/2/text/aGk=|filter/median/2", [4, 7, 7], false),
        ("imageMogr2/crop/400x300/thumbnail/40x", [1, 1, 1], true),
        ("imageMogr2/rotate/90/thumbnail/300x/blur/3x2", [1, 2, 2], false),
        ("imageMogr2/thumbnail/300x/size-limit/9k", [1, 2, 2], false),
        ("imageAve", [8, 8, 8], false),
    ] {
        let planes = program(fops, &header).expect(fops).planes.expect(fops);
        assert_eq!((planes.load.eighths, planes.is_all), (eighths, is_all), "{fops}");
    }
    let gray = Header {
        color_model: ColorModel::Gray,
        sampling: Some(Sampling { gray: true, chroma: (1, 1), ..sampling }),
        ..header.clone()
    };
    for (may_have_profile, is_all) in [(false, true), (true, false)] {
        let gray = Header { may_have_profile, ..gray.clone() };
        let planes = program("imageView2/2/w/240", &gray).expect("small").planes.expect("it is in planes");
        assert_eq!(planes.is_all, is_all, "a profile of grays is converted: {may_have_profile}");
    }
    let progressive = Header { sampling: Some(Sampling { progressive: true, ..sampling }), ..header.clone() };
    assert!(program("imageView2/2/w/240", &progressive).expect("small").planes.is_some());
    assert!(program("imageView2/2/w/600", &progressive).expect("small").planes.is_none());
    assert!(program("imageInfo", &header).expect("small").planes.is_none());
}

/// What keeps the quality and the numbers of a source of quality 80 is turned without loss.
#[test]
fn turns_alone_lose_nothing() {
    let sampling = Sampling { size: Size::new(480, 320), progressive: false, gray: false, chroma: (2, 2) };
    let header = Header {
        sampling: Some(sampling),
        jpeg_quality: Some(80),
        ..photo(Size::new(480, 320), Some(Orientation::RightTop))
    };
    let profiled = Header { may_have_profile: true, ..header.clone() };
    let gray = Header {
        color_model: ColorModel::Gray,
        sampling: Some(Sampling { gray: true, chroma: (1, 1), ..sampling }),
        ..header.clone()
    };
    let gray_profiled = Header { may_have_profile: true, ..gray.clone() };
    let cmyk = Header { color_model: ColorModel::Cmyk, sampling: None, ..header.clone() };
    let coarse = Header { jpeg_quality: Some(70), ..header.clone() };
    for (source, fops, lossless) in [
        (&header, "imageMogr2/auto-orient/quality/80", true),
        (&header, "imageMogr2/auto-orient/quality/100", true),
        (&header, "imageMogr2/auto-orient/quality/80!", true),
        (&header, "imageMogr2/auto-orient/quality/100!", false),
        (&header, "imageMogr2/auto-orient/quality/79", false),
        (&header, "imageMogr2/auto-orient/quality/ssim:90", false),
        // Nothing said is 75.
        (&header, "imageMogr2/auto-orient", false),
        (&coarse, "imageMogr2/auto-orient", true),
        (&coarse, "imageMogr2/rotate/270/interlace/1", true),
        (&coarse, "imageView2/2/w/1000", true),
        (&coarse, "imageView2/2/w/1000|imageInfo", true),
        (&coarse, "imageMogr2/rotate/45", false),
        (&coarse, "imageMogr2/auto-orient/thumbnail/100x", false),
        (&coarse, "imageMogr2/auto-orient/sharpen/1", false),
        (&coarse, "imageMogr2/auto-orient/format/webp", false),
        (&coarse, "imageMogr2/auto-orient/size-limit/9k", false),
        (&coarse, "imageMogr2/auto-orient/size-limit/9k!", true),
        (&coarse, "imageMogr2/auto-orient|imageslim", false),
        (&coarse, "imageMogr2/auto-orient|imageAve", false),
        // A part may be encoded at 75, more than its source's 70, and is better left as it is.
        (&coarse, "imageMogr2/crop/!256x256a32a16", true),
        (&coarse, "imageMogr2/crop/!256x256a30a16", false),
        (&coarse, "imageMogr2/crop/!256x256a32a16/quality/75!", false),
        (&profiled, "imageMogr2/auto-orient/quality/80", true),
        (&profiled, "imageMogr2/auto-orient/quality/80/strip", false),
        (&header, "imageMogr2/auto-orient/quality/80/strip", true),
        (&gray, "imageMogr2/auto-orient/quality/80", true),
        (&gray_profiled, "imageMogr2/auto-orient/quality/80", false),
        (&cmyk, "imageMogr2/auto-orient/quality/80", false),
    ] {
        let program = program(fops, source).expect(fops);
        // Without libjpeg-turbo there is nothing that turns coefficients.
        assert_eq!(program.lossless.is_some(), lossless && cfg!(feature = "native"), "{fops}");
    }
}

#[test]
fn output_settings_stay_in_force_until_changed() {
    use QualityTarget::Fixed;
    let header = photo(Size::new(400, 300), None);
    let ssim = QualityTarget::Ssim(Score::from_tenths(855).expect("in range"));
    for (fops, format, quality) in [
        ("imageView2/2/w/100/q/ssim:85.5|imageView2/2/w/50", OutputFormat::Jpeg, ssim),
        ("imageView2/2/w/100/q/ssim:85.5|imageView2/2/w/50/q/60", OutputFormat::Jpeg, Fixed(60)),
        ("imageView2/2/w/100", OutputFormat::Jpeg, Fixed(75)),
        ("imageView2/2/w/100/format/webp/q/60|imageView2/2/w/50", OutputFormat::Webp, Fixed(60)),
        ("imageView2/2/format/webp/q/60|imageMogr2/format/png/quality/80", OutputFormat::Png, Fixed(80)),
        ("imageView2/2/format/webp|imageMogr2/format/copy", OutputFormat::Webp, Fixed(75)),
        ("roundPic/radius/5|imageView2/2/w/100", OutputFormat::Png, Fixed(75)),
    ] {
        let Answer::Image(output) = program(fops, &header).expect(fops).answer else { panic!("{fops}") };
        assert_eq!((output.format, output.quality), (format, quality), "{fops}");
    }
}

/// What is only measured is not refused; what would be decoded is.
#[test]
fn limits_hold_for_what_is_done() {
    let huge = photo(Size::new(60_000, 60_000), None);
    assert!(program("imageInfo", &huge).is_ok());
    assert!(matches!(program("imageView2/2/w/10", &huge), Err(Error::Limit { .. })));
    let film = Header { format: Format::Gif, frames: 201, jpeg_quality: None, ..photo(Size::new(60, 40), None) };
    assert!(program("imageInfo", &film).is_ok());
    assert!(program("imageView2/2/w/10/format/jpg", &film).is_ok());
    assert!(matches!(program("imageView2/2/w/10", &film), Err(Error::Limit { value: 201, limit: 200, .. })));
}

#[test]
fn cost_counts_frames_and_the_largest_neighbours() {
    let still = program("imageMogr2/thumbnail/!200p", &photo(Size::new(1000, 500), None)).expect("small");
    // At least source and result, three bytes a pixel; at most as much again for scratch and the encoder.
    let frames = 3 * (500_000 + 2_000_000);
    assert!((frames..2 * frames).contains(&still.cost.memory_bytes), "{}", still.cost.memory_bytes);
    let film = Header { format: Format::Gif, frames: 10, jpeg_quality: None, ..photo(Size::new(1000, 500), None) };
    let animated = program("imageMogr2/thumbnail/!200p", &film).expect("small");
    assert_eq!(animated.cost.pixels, 10 * still.cost.pixels);
    let longer = program("imageMogr2/thumbnail/!200p", &Header { frames: 100, ..film }).expect("small");
    assert_eq!(animated.cost.memory_bytes, longer.cost.memory_bytes);
}

/// 16 bits are kept where source, steps and result all have them.
#[test]
fn depths() {
    let deep = Header {
        format: Format::Png,
        color_model: ColorModel::Rgb,
        depth: Depth::Sixteen,
        jpeg_quality: None,
        ..photo(Size::new(400, 300), Some(Orientation::LeftBottom))
    };
    for (fops, depth) in [
        ("imageView2/1/w/200/h/200", Depth::Sixteen),
        ("imageMogr2/auto-orient/rotate/90/thumbnail/!50p/crop/10x10/extent/30x30", Depth::Sixteen),
        ("imageMogr2/format/tiff|roundPic/radius/9", Depth::Sixteen),
        ("imageView2/2/w/200|imageInfo", Depth::Sixteen),
        ("imageMogr2/strip|imageslim/zlevel/2", Depth::Sixteen),
        ("imageMogr2/strip|imageslim/zlevel/3", Depth::Eight),
        ("imageMogr2/colors/64", Depth::Eight),
        ("imageMogr2/rotate/91/blur/3x2/sharpen/1", Depth::Sixteen),
        ("watermark/2/text/aGVsbG8=", Depth::Eight),
        ("imageView2/2/w/200/format/jpg", Depth::Eight),
        ("imageView2/2/w/200/format/webp", Depth::Eight),
        ("imageAve", Depth::Eight),
        ("imageInfo", Depth::Eight),
    ] {
        assert_eq!(program(fops, &deep).expect(fops).depth, depth, "{fops}");
        let shallow = Header { depth: Depth::Eight, ..deep.clone() };
        assert_eq!(program(fops, &shallow).expect(fops).depth, Depth::Eight, "{fops} of 8 bits");
    }
}
