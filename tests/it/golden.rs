//! Golden pictures of the drawing operators, compared after decoding.
//!
//! A picture may differ by a little where it comes from floating-point filters, which round differently on other
//! processors; text only where glyph edges are smoothed. `BLESS_GOLDEN=1` writes new ones: look at them before they are
//! committed. A failure leaves its picture beside the golden one as `<name>.actual.png`.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use mogr::engine::image::{Frame, Layout};

use crate::cards;
use crate::server::{Server, frame};

/// Largest difference of any channel of any pixel.
const PIXEL_TOLERANCE: u8 = 24;
/// Largest mean difference over all channels.
const MEAN_TOLERANCE: f64 = 0.25;

fn b64(text: &str) -> String {
    URL_SAFE.encode(text)
}

fn requests() -> Vec<(&'static str, String)> {
    let logo = b64("logo.png");
    vec![
        ("mark", format!("watermark/1/image/{logo}/dissolve/60/gravity/NorthWest")),
        ("mark-scaled", format!("watermark/1/image/{logo}/ws/0.5/gravity/Center/dx/0/dy/0")),
        ("mark-tiled", format!("watermark/1/image/{logo}/tile/1/uws/0.05/uhs/0.1/dissolve/40")),
        ("text-latin", format!("watermark/2/text/{}/fontsize/480/fill/{}", b64("Grüße, Typography fi"), b64("white"))),
        ("text-chinese", format!("watermark/2/text/{}/fontsize/480/gravity/Center", b64("图片水印 示例"))),
        ("text-arabic", format!("watermark/2/text/{}/fontsize/480/gravity/North", b64("مرحبا بالعالم"))),
        (
            "text-lines",
            format!("watermark/2/text/{}/fontsize/300/gravity/West/dissolve/70", b64("first\nsecond 二\nثالث")),
        ),
        (
            "mixed",
            format!(
                "watermark/3/image/{logo}/gravity/SouthWest/text/{}/fill/{}/gravity/NorthEast",
                b64("© mogr"),
                b64("#FFFFFF")
            ),
        ),
        (
            "text-tiled",
            format!("watermark/4/text/{}/rotate/30/uw/30/uh/20/fill/{}/dissolve/50", b64("mogr 图"), b64("white")),
        ),
        ("round", "roundPic/radius/!30p".to_owned()),
        ("round-ellipse", "roundPic/radiusx/40/radiusy/15".to_owned()),
        ("rotated", "imageMogr2/rotate/30/background/b3Jhbmdl".to_owned()),
        ("rotated-transparent", "imageMogr2/rotate/-17/background/bm9uZQ==".to_owned()),
        ("blurred", "imageMogr2/blur/12x6".to_owned()),
        ("sharpened", "imageMogr2/blur/2x1/sharpen/1".to_owned()),
        ("extent", "imageMogr2/extent/!200x200-30-20/background/cmVk".to_owned()),
        ("border", "imageMogr2/border/6x3/bordercolor/Ymx1ZQ==".to_owned()),
        ("upright", "imageMogr2/auto-orient/thumbnail/80x".to_owned()),
    ]
}

/// A card with edges, slopes and flat areas.
fn card() -> image::RgbImage {
    image::RgbImage::from_fn(240, 160, |x, y| {
        let checks = u8::from((x / 20 + y / 20) % 2 == 0) * 40;
        image::Rgb([(x * 200 / 240) as u8 + checks, (y * 200 / 160) as u8 + checks, 120])
    })
}

#[tokio::test]
async fn drawings_look_as_they_did() {
    let server =
        Server::over(&[("card.png", &cards::png(card())), ("logo.png", &cards::png(cards::disc(48, cards::YELLOW)))])
            .await;
    let mut failures = Vec::new();
    for (name, fops) in requests() {
        let answer = server.get(&format!("/card.png?{fops}")).await;
        answer.image();
        if let Err(problem) = compare(name, &answer.body) {
            failures.push(format!("{name}: {problem}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

fn compare(name: &str, actual: &[u8]) -> Result<(), String> {
    let path = folder().join(format!("{name}.png"));
    if std::env::var_os("BLESS_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
        return Ok(());
    }
    let golden = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let result = difference(&frame(&golden), &frame(actual));
    if result.is_err() {
        std::fs::write(folder().join(format!("{name}.actual.png")), actual).unwrap();
    }
    result
}

fn difference(golden: &Frame, actual: &Frame) -> Result<(), String> {
    if golden.size() != actual.size() {
        return Err(format!("size {} instead of {}", actual.size(), golden.size()));
    }
    let (golden, actual) = (golden.clone().into_layout(Layout::Rgba), actual.clone().into_layout(Layout::Rgba));
    let differences = || golden.pixels().iter().zip(actual.pixels()).map(|(a, b)| a.abs_diff(*b));
    let (worst, sum) = (differences().max().unwrap_or(0), differences().map(u64::from).sum::<u64>());
    let mean = sum as f64 / golden.pixels().len() as f64;
    if worst > PIXEL_TOLERANCE || mean > MEAN_TOLERANCE {
        return Err(format!("differs by up to {worst}, {mean:.3} in the mean"));
    }
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}
