//! Properties that hold for every text and every size.

use proptest::prelude::*;
use proptest::sample::select;

use super::image_mogr2::{Crop, Extent, Thumbnail, bordered, rotated_canvas};
use super::image_view::ImageView;
use super::image_view2::ImageView2;
use super::output::{OutputSettings, effective_quality};
use super::round_pic::{Radius, RoundPic};
use super::watermark::{MarkScale, ScaleEdge};
use super::{Plan, Query};
use crate::geometry::{Angle, Gravity, Rect, Size};

/// Segments of real pipelines, whole arguments among them, so that a random sequence is often a plan.
const TOKENS: [&str; 102] = [
    "imageView2/2",
    "imageView2/1/w/200/h/200",
    "imageView/1/w/50/h/50",
    "imageView/2",
    "imageMogr2",
    "imageMogr/v2",
    "imageMogr",
    "watermark/1",
    "watermark/2",
    "watermark/3",
    "watermark/4",
    "watermark/5",
    "roundPic",
    "imageslim",
    "imageInfo",
    "exif",
    "imageAve",
    "trim/5",
    "frame/1",
    "colors/8",
    "edges",
    "saveas/cGhvdG9zOmEuanBn",
    "saveas/cGhvdG9z",
    "avthumb/mp4",
    "|",
    "|",
    "|",
    "|",
    "/",
    "w/200",
    "h/300",
    "q/75",
    "q/80!",
    "format/jpeg",
    "format/webp",
    "format/heic",
    "interlace/1",
    "colors/16",
    "ignore-error/1",
    "auto-orient",
    "strip",
    "thumbnail/!50p",
    "thumbnail/!x50p",
    "thumbnail/300x300>",
    "thumbnail/x5<",
    "thumbnail/!20x20r",
    "thumbnail/9x9!",
    "thumbnail/100@",
    "gravity/center",
    "gravity/NorthEast",
    "crop/300x",
    "crop/!300x300a10-20",
    "rotate/45",
    "quality/own:80",
    "rotate/-90",
    "blur/3x9",
    "blur/1x.25",
    "sharpen/1",
    "extent/50x60",
    "extent/!-3a0",
    "extent/!5x5a1a2",
    "border/3x4",
    "bordercolor/cmVk",
    "background/I0ZGMDAwMDgw",
    "density/72",
    "quality/90",
    "quality/ssim:85",
    "size-limit/15k!",
    "size-limit/$(fsize)",
    "image/aHR0cDovL2EuZXhhbXBsZS94",
    "image/a29kbzovL2Iva2V5",
    "image/a2V5",
    "text/5a6L5L2T",
    "text/SGVsbG8KV29ybGQ=",
    "font/5a6L5L2T",
    "fontsize/500",
    "fontstyle/Qm9sZA",
    "fill/d2hpdGU=",
    "dissolve/50",
    "dx/-5",
    "dy/0",
    "ws/0.3",
    "wst/2",
    "tile/1",
    "uws/.1",
    "uhs/0.25",
    "rotate/30",
    "uw/5",
    "uh/0",
    "resize/1.5",
    "radius/!20p",
    "radiusx/5",
    "radiusy/!9p",
    "zlevel/7",
    "deleteAfterDays/3",
    "saveKey/JChldGFnKQ",
    "savePattern/JChrZXkp",
    "sign/AK:c2ln",
    "adjust",
    "brightness/-20",
    "gamma/2.2",
    "hue/-90",
];

/// Names that start a pipeline and arguments after them; about one in ten is a plan.
fn pipelines() -> impl Strategy<Value = String> {
    prop::collection::vec(select(TOKENS.as_slice()), 1..12).prop_map(|tokens| tokens.join("/").replace("/|/", "|"))
}

/// A fop and arguments that it has, in any order: nearly every one is a plan.
fn plans() -> impl Strategy<Value = String> {
    let fop = |name: &'static str, arguments: Vec<&'static str>| {
        prop::collection::vec(select(arguments), 0..8)
            .prop_map(move |arguments| std::iter::once(name).chain(arguments).collect::<Vec<_>>().join("/"))
    };
    let from_to = |from: &str, to: &str| {
        let at = |token: &str| TOKENS.iter().position(|known| *known == token).expect("a token of the table");
        TOKENS[at(from)..=at(to)].to_vec()
    };
    let view = vec![
        "w/200",
        "h/300",
        "q/75",
        "q/80!",
        "q/ssim:72.5",
        "format/jpeg",
        "interlace/1",
        "colors/16",
        "ignore-error/1",
    ];
    let without_heic =
        |tokens: Vec<&'static str>| tokens.into_iter().filter(|token| *token != "format/heic").collect::<Vec<_>>();
    let mogr = without_heic(from_to("auto-orient", "size-limit/$(fsize)"));
    let image = from_to("dissolve/50", "uhs/0.25");
    let text = vec!["font/5a6L5L2T", "fontsize/500", "fontstyle/Qm9sZA", "fill/d2hpdGU=", "dissolve/50"];
    let several =
        vec!["image/a2V5", "image/a29kbzovL2Iva2V5", "text/5a6L5L2T", "dissolve/50", "gravity/center", "dx/-5"];
    let tiled = [text.clone(), from_to("rotate/30", "resize/1.5")].concat();
    let stage = prop_oneof![
        fop("imageView2/3", view),
        fop("imageView/2", vec!["w/200", "h/300", "q/75", "q/ssim:90.0", "format/jpeg"]),
        fop("imageMogr2", mogr.clone()),
        fop("imageMogr/v2", mogr),
        fop("watermark/1/image/aHR0cDovL2EuZXhhbXBsZS94", image),
        fop("watermark/2/text/5a6L5L2T", text),
        fop("watermark/3/text/5a6L5L2T", several),
        fop("watermark/4/text/5a6L5L2T", tiled),
        fop("roundPic/radiusx/5/radiusy/!9p", vec!["radiusx/5", "radiusy/!9p"]),
        fop("adjust", vec!["brightness/-20", "contrast/100", "hue/-90", "gamma/.4", "grayscale/1", "sepia/0"]),
        fop("size/pad/w/20/h/30", vec!["w/200", "h/300", "gravity/center", "color/cmVk", "unless-smaller/1"]),
        fop("cut/w/9", vec!["w/200", "h/300", "gravity/center", "x/-5", "y/7", "keep-aspect/1", "square/1"]),
        fop("filter/blur/2.5", vec!["median/3", "pixelate/20", "unsharp/1x.5x0", "tone/equalize", "vignette/9x1x2"]),
        Just("flatten/cmVk|palette/016".to_owned()),
        fop("draw/rectangle/from/1x2/to/-3x4", vec!["fill/cmVk", "stroke/cmVk", "width/3", "radius/5", "from/9x9"]),
        fop("composite/YQ", vec!["x/-5", "fit/9x50p", "fill/9x9", "percent/.5", "op/xor", "tile/1", "dissolve/50"]),
        fop("imageslim", vec!["zlevel/7"]),
    ];
    prop::collection::vec(stage, 1..5).prop_map(|stages| stages.join("|"))
}

fn sizes() -> impl Strategy<Value = Size> {
    let edge = || prop_oneof![1..=30_u32, 1..=5000_u32, 1..=30_000_u32];
    (edge(), edge()).prop_map(|(width, height)| Size::new(width, height))
}

fn edges() -> impl Strategy<Value = Option<u32>> {
    prop::option::weighted(0.8, prop_oneof![1..=50_u32, 1..=9999_u32])
}

fn inside(rect: Rect, size: Size) -> bool {
    rect.size.short() >= 1 && rect.x + rect.size.width <= size.width && rect.y + rect.size.height <= size.height
}

/// A text that parses is equal to its canonical text, which does not change any more.
fn check_round_trip(text: &str) -> Result<bool, TestCaseError> {
    let Ok(plan) = Plan::parse(text) else { return Ok(false) };
    let canonical = plan.to_string();
    let again = Plan::parse(&canonical);
    prop_assert_eq!(again.as_ref().map(ToString::to_string), Ok(canonical.clone()));
    prop_assert_eq!(again, Ok(plan), "{} -> {}", text, canonical);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_parses_or_is_refused(text in any::<String>()) {
        check_round_trip(&text)?;
        if let Ok(query) = Query::parse(&text) {
            prop_assert_eq!(query.pipeline.is_some(), query.raw_pipeline.is_some());
        }
    }

    #[test]
    fn any_bytes_parse_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        check_round_trip(&text)?;
        let _ = Query::parse(&text);
    }

    #[test]
    fn any_arguments_parse_or_are_refused(name in select(TOKENS.as_slice()), tail in "[0-9a-zA-Z!/|x%$().:=@<>+-]{0,40}") {
        check_round_trip(&format!("{name}{tail}"))?;
        check_round_trip(&format!("imageMogr2/{name}{tail}"))?;
        let _ = Query::parse(&format!("{name}{tail}&{tail}"));
    }

    #[test]
    fn mixed_tokens_round_trip(text in pipelines()) {
        check_round_trip(&text)?;
    }

    #[test]
    fn plans_round_trip(text in plans()) {
        prop_assert!(check_round_trip(&text)?, "{}: {:?}", text, Plan::parse(&text));
    }

    #[test]
    fn image_view2_never_enlarges(source in sizes(), mode in 0..=5_u8, width in edges(), height in edges()) {
        let view = ImageView2 { mode, width, auto_width: false, height, output: OutputSettings::default() };
        let fit = view.fit(source);
        prop_assert!(fit.scaled.width <= source.width && fit.scaled.height <= source.height, "{}", fit.scaled);
        prop_assert!(fit.size().short() >= 1);
        prop_assert!(fit.crop.is_none_or(|crop| inside(crop, fit.scaled)), "{:?}", fit);
        if mode == 2 {
            prop_assert!(width.is_none_or(|width| fit.scaled.width <= width));
            prop_assert!(height.is_none_or(|height| fit.scaled.height <= height));
        }
    }

    #[test]
    fn image_view_is_exact_or_inside(source in sizes(), width in 1..=9999_u32, height in 1..=9999_u32) {
        let view = |mode| ImageView { mode, width: Some(width), height: Some(height), output: OutputSettings::default() };
        prop_assert_eq!(view(1).fit(source).size(), Size::new(width, height));
        let fitted = view(2).fit(source).size();
        prop_assert!(fitted.width <= width.min(source.width) && fitted.height <= height.min(source.height));
    }

    #[test]
    fn thumbnails_keep_their_promises(current in sizes(), width in 1..=9999_u32, height in 1..=9999_u32, area in 1..=24_999_999_u32) {
        let size = |thumbnail: Thumbnail| thumbnail.size(current);
        let (w, h) = (Some(width), Some(height));
        let fitted = size(Thumbnail::Fit(w, h));
        prop_assert!(fitted.short() >= 1 && fitted.width <= width && fitted.height <= height);
        let covered = size(Thumbnail::Cover(width, height));
        prop_assert!(covered.width >= width && covered.height >= height);
        for shrunk in [size(Thumbnail::Shrink(w, h)), size(Thumbnail::Shrink(w, None)), size(Thumbnail::Shrink(None, h))] {
            prop_assert!(shrunk.short() >= 1 && shrunk.width <= current.width && shrunk.height <= current.height);
        }
        for grown in [size(Thumbnail::Enlarge(w, h)), size(Thumbnail::Enlarge(w, None)), size(Thumbnail::Enlarge(None, h))] {
            prop_assert!(grown.width >= current.width && grown.height >= current.height);
        }
        prop_assert_eq!(size(Thumbnail::Exact(w, h)), Size::new(width, height));
        let bounded = size(Thumbnail::Area(area));
        prop_assert!(bounded.short() >= 1 && bounded.area() <= u64::from(area), "{}", bounded);
    }

    #[test]
    fn percentages_are_never_nothing(current in sizes(), percent in 1..=999_u32) {
        for thumbnail in [Thumbnail::Percent(percent), Thumbnail::PercentWidth(percent), Thumbnail::PercentHeight(percent)] {
            prop_assert!(thumbnail.size(current).short() >= 1);
        }
    }

    #[test]
    fn crops_lie_inside(
        current in sizes(), width in edges(), height in edges(),
        dx in -99_999..=99_999, dy in -99_999..=99_999, gravity in select(Gravity::ALL.as_slice()),
    ) {
        let crop = Crop { width, height, dx, dy, gravity };
        prop_assert!(crop.rect(current).is_none_or(|rect| inside(rect, current)));
        let centred = Crop { dx: 0, dy: 0, ..crop };
        prop_assert!(centred.rect(current).is_some(), "a box that is not moved meets the picture");
    }

    #[test]
    fn canvases_hold_what_they_frame(current in sizes(), dx in -9999..=9999, dy in -9999..=9999, degrees in 0..360_i32) {
        let padded = Extent::Pad { dx, dy }.place(current);
        let framed = bordered(current, dx.unsigned_abs(), dy.unsigned_abs());
        for placed in [padded, framed] {
            prop_assert!(placed.offset.0 >= 0 && placed.offset.0 + i64::from(current.width) <= placed.canvas.width.into());
            prop_assert!(placed.offset.1 >= 0 && placed.offset.1 + i64::from(current.height) <= placed.canvas.height.into());
        }
        let turned = rotated_canvas(current, Angle::of_degrees(degrees));
        prop_assert!(turned.short() >= current.short() && turned.area() >= current.area());
        prop_assert_eq!(rotated_canvas(current, Angle::of_degrees(degrees + 180)), turned);
    }

    #[test]
    fn marks_radii_and_qualities_stay_in_range(
        source in sizes(), mark in sizes(), ratio in 0.0_f32..=1.0, x in any::<u32>(), percent in any::<u32>(),
        requested in 1..=100_u8, estimated in 1..=100_u8,
    ) {
        for edge in ScaleEdge::ALL {
            let size = MarkScale { ratio, edge }.size(mark, source);
            // A long mark may have the area and not the edges.
            let is_within = edge == ScaleEdge::Area || edge.of(size) <= edge.of(source).max(1.0);
            prop_assert!(size.short() >= 1 && is_within, "{}", size);
        }
        let (rx, ry) = RoundPic { x: Radius::Pixels(x), y: Radius::Percent(percent) }.radii(source);
        prop_assert!(2 * rx <= source.width && 2 * ry <= source.height);
        let quality = effective_quality(requested, estimated, source, mark);
        prop_assert!((1..=requested).contains(&quality));
    }
}
