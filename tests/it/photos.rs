//! The example pictures: the README's URLs give the README's pictures, and what the files are meant to show holds.

use mogr::engine::image::{Frame, Layout};
use mogr::engine::{encode, metadata};
use mogr::geometry::Size;
use mogr::plan::output::OutputFormat;

use crate::server::{Answer, Server, frame, photos};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

async fn server() -> Server {
    let url = url::Url::from_directory_path(photos()).unwrap();
    let styles = std::fs::read_to_string(format!("{REPOSITORY}/styles.toml")).unwrap();
    Server::configured(&format!("[buckets.default]\nurl = \"{url}\"\ndomains = [\"*\"]\n"), &styles, &[]).await
}

/// The README's URLs, without the host, each with the picture below it.
fn pairs(readme: &str) -> Vec<(String, String)> {
    let mut url = None;
    let mut pairs = Vec::new();
    for line in readme.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("`http://127.0.0.1:8080").and_then(|rest| rest.strip_suffix('`')) {
            url = Some(path.to_owned());
        } else if let Some(picture) = line.strip_prefix("![](").and_then(|rest| rest.strip_suffix(')')) {
            pairs.push((url.take().expect("a picture stands below its URL"), picture.to_owned()));
        }
    }
    pairs
}

/// Mean difference over all channels.
fn difference(one: Frame, other: Frame) -> f64 {
    let (one, other) = (one.into_layout(Layout::Rgba), other.into_layout(Layout::Rgba));
    let sum: u64 = one.pixels().iter().zip(other.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.pixels().len() as f64
}

#[tokio::test]
async fn readme_urls_give_the_readme_pictures() {
    let readme = std::fs::read_to_string(format!("{REPOSITORY}/README.md")).unwrap();
    let server = server().await;
    let pairs = pairs(&readme);
    assert_eq!(pairs.len(), 10);
    for (url, picture) in pairs {
        let answer = server.get(&url).await;
        if !cfg!(feature = "native") && answer.status == 400 {
            assert!(answer.text().contains("without animated WebP"), "{url}");
            continue;
        }
        let header = answer.image();
        let path = format!("{REPOSITORY}/{picture}");
        if std::env::var_os("BLESS_GOLDEN").is_some() {
            std::fs::write(&path, &answer.body).unwrap();
        }
        let shown = std::fs::read(&path).unwrap();
        let expected = mogr::engine::decode::probe(&shown).unwrap();
        assert_eq!(
            (header.format, header.size, header.frames),
            (expected.format, expected.size, expected.frames),
            "{url}"
        );
        // Other processors round filters differently before a lossy encoder, and builds without C store WebP without loss; a
        // wrong picture is far off.
        let mean = difference(answer.pixels(), frame(&shown));
        let tolerance = if cfg!(feature = "native") { 1.5 } else { 2.5 };
        assert!(mean < tolerance, "{url} differs from {picture} by {mean:.2} in the mean");
    }
}

fn exif_of(answer: &Answer) -> Option<String> {
    let exif = metadata::read(&answer.body, &answer.image()).exif?;
    Some(metadata::exif_json(&exif).unwrap().to_string())
}

#[tokio::test]
async fn position_never_survives() {
    let server = server().await;
    let source = server.get("/portrait.jpg?exif").await.json();
    assert!(source.get("GPSLatitude").is_some(), "{source}");
    let kept = exif_of(&server.get("/portrait.jpg?imageMogr2/auto-orient/thumbnail/200x").await).unwrap();
    assert!(kept.contains("Model") && !kept.contains("GPS"), "{kept}");
    for fops in ["imageView2/2/w/200", "imageMogr2/thumbnail/200x/strip"] {
        assert_eq!(exif_of(&server.get(&format!("/portrait.jpg?{fops}")).await), None, "{fops}");
    }
}

#[tokio::test]
async fn profiles_are_kept_or_their_colours_converted() {
    let server = server().await;
    let profile = |answer: &Answer| metadata::read(&answer.body, &answer.image()).icc;
    let source = profile(&server.get("/flower-p3.jpg").await).unwrap();
    for format in ["jpg", "png", "webp"] {
        let kept = server.get(&format!("/flower-p3.jpg?imageView2/2/w/200/format/{format}")).await;
        assert_eq!(profile(&kept).as_ref(), Some(&source), "{format}");
    }
    let kept = server.get("/flower-p3.jpg?imageMogr2/thumbnail/200x/format/png").await;
    let stripped = server.get("/flower-p3.jpg?imageMogr2/thumbnail/200x/format/png/strip").await;
    assert_eq!(profile(&stripped), None);
    // The same petal: in sRGB numbers it is more saturated than in those of the wider space.
    let saturation = |answer: &Answer| {
        let frame = answer.pixels();
        let [r, g, b, _] = frame.rgba_at(frame.size().width * 40 / 100, frame.size().height * 30 / 100);
        r.max(g).max(b) - r.min(g).min(b)
    };
    assert!(saturation(&stripped) > saturation(&kept), "{} {}", saturation(&stripped), saturation(&kept));
}

/// Half the light is 128 in a profile that counts light, and 188 in sRGB, whichever way a gray JPEG takes.
#[tokio::test]
async fn gray_profiles_are_converted() {
    let linear = moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let frame = Frame::filled(Size::new(64, 48), Layout::Gray, [128; 4]);
    let settings = encode::Settings {
        format: OutputFormat::Jpeg,
        quality: 90,
        interlace: false,
        colors: None,
        lossless: false,
        effort: encode::Effort::Fast,
        metadata: metadata::Metadata { icc: Some(linear), ..Default::default() },
        cancel: mogr::engine::limits::Cancel::default(),
    };
    let server = Server::over(&[("gray.jpg", &encode::still(&frame, &settings).unwrap())]).await;
    for fops in [
        "imageView2/2/w/32",
        "imageView2/2/w/32/format/webp",
        "imageMogr2/thumbnail/32x/strip",
        "imageMogr2/quality/80",
    ] {
        let answer = server.get(&format!("/gray.jpg?{fops}")).await;
        let [value, ..] = answer.pixels().rgba_at(10, 10);
        assert!(value.abs_diff(188) <= 2, "{fops}: {value}");
    }
}

#[tokio::test]
async fn every_example_is_what_it_is_meant_to_be() {
    let server = server().await;
    for (name, info) in [
        ("lake.jpg", r#"{"colorModel":"ycbcr","format":"jpeg","height":1600,"width":2400}"#),
        (
            "portrait.jpg",
            r#"{"colorModel":"ycbcr","format":"jpeg","height":1200,"orientation":"Right-top","width":1600}"#,
        ),
        ("fruit-cmyk.jpg", r#"{"colorModel":"cmyk","format":"jpeg","height":800,"width":1200}"#),
        ("palette.png", r#"{"colorModel":"palette16","format":"png","height":480,"width":480}"#),
        ("spinner.webp", r#"{"colorModel":"nrgba","format":"webp","frameNumber":24,"height":240,"width":240}"#),
        ("waves.gif", r#"{"colorModel":"palette16","format":"gif","frameNumber":20,"height":214,"width":320}"#),
    ] {
        let mut answer = server.get(&format!("/{name}?imageInfo")).await.json();
        answer.as_object_mut().unwrap().remove("size");
        assert_eq!(answer.to_string(), info, "{name}");
    }
    // A CMYK apple is red on the screen.
    let apple = server.get("/fruit-cmyk.jpg?imageView2/2/w/300/format/png").await.pixels();
    let [r, g, b, _] = apple.rgba_at(150, 100);
    assert!(r > 120 && g < 90 && b < 90, "{r} {g} {b}");
}
