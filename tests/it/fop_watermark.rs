//! `watermark/1` to `watermark/4` (spec 4.8) through the server.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use mogr::engine::image::Frame;

use crate::cards;
use crate::server::{Server, assert_near};

fn b64(text: &str) -> String {
    URL_SAFE.encode(text)
}

async fn server() -> Server {
    let gray = image::RgbImage::from_pixel(200, 100, image::Rgb([128; 3]));
    Server::configured(
        "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"img.example.com\", \"*\"]\n[buckets.marks]\nurl = \"{folder}marks\"\n",
        "",
        &[
            ("gray.png", &cards::png(gray.clone())),
            ("square.png", &cards::png(image::RgbImage::from_pixel(250, 250, image::Rgb([128; 3])))),
            ("gray.jpg", &cards::oriented(&cards::jpeg(&gray, 95), 6)),
            ("loop.gif", &cards::animation(120, 80, 3, mogr::plan::output::OutputFormat::Gif)),
            ("marks/red.png", &cards::png(image::RgbImage::from_pixel(20, 10, image::Rgb(cards::RED)))),
            ("marks/wide.png", &cards::png(image::RgbImage::from_pixel(91, 61, image::Rgb(cards::RED)))),
            ("marks/big.png", &cards::png(image::RgbImage::from_pixel(300, 10, image::Rgb(cards::RED)))),
            ("red.png", &cards::png(image::RgbImage::from_pixel(20, 10, image::Rgb(cards::RED)))),
        ],
    )
    .await
}

/// The box of everything that is not the gray ground: left, top, right, bottom.
fn painted(frame: &Frame) -> Option<(u32, u32, u32, u32)> {
    let size = frame.size();
    let differs = |x, y| frame.rgba_at(x, y)[..3].iter().any(|channel| channel.abs_diff(128) > 16);
    let points: Vec<(u32, u32)> =
        (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y))).filter(|&(x, y)| differs(x, y)).collect();
    let xs = || points.iter().map(|point| point.0);
    let ys = || points.iter().map(|point| point.1);
    Some((xs().min()?, ys().min()?, xs().max()? + 1, ys().max()? + 1))
}

#[tokio::test]
async fn anchors_and_offsets() {
    let server = server().await;
    let mark = b64("kodo://marks/red.png");
    for (arguments, expected) in [
        ("", (170, 80, 190, 90)),
        ("/gravity/SouthEast/dx/0/dy/0", (180, 90, 200, 100)),
        ("/gravity/northwest", (10, 10, 30, 20)),
        ("/gravity/North/dx/5/dy/7", (95, 7, 115, 17)),
        ("/gravity/NorthEast/dx/5/dy/7", (175, 7, 195, 17)),
        ("/gravity/West/dx/5/dy/7", (5, 52, 25, 62)),
        ("/gravity/Center/dx/5/dy/-7", (95, 38, 115, 48)),
        ("/gravity/East/dx/5/dy/7", (175, 52, 195, 62)),
        ("/gravity/SouthWest/dx/5/dy/7", (5, 83, 25, 93)),
        ("/gravity/South/dx/5/dy/7", (95, 83, 115, 93)),
        // Partly outside: what is inside is painted.
        ("/gravity/SouthEast/dx/-10/dy/-5", (190, 95, 200, 100)),
    ] {
        let answer = server.get(&format!("/gray.png?watermark/1/image/{mark}{arguments}")).await;
        assert_eq!(answer.summary(), "png 200x100", "{arguments}");
        assert_eq!(painted(&answer.pixels()), Some(expected), "{arguments}");
    }
}

#[tokio::test]
async fn pictures_come_from_keys_entries_and_own_hosts() {
    let server = server().await;
    for image in ["red.png", "kodo://marks/red.png", "http://img.example.com/red.png"] {
        let answer = server.get(&format!("/gray.png?watermark/1/image/{}", b64(image))).await;
        assert_eq!(painted(&answer.pixels()), Some((170, 80, 190, 90)), "{image}");
    }
    // A changed picture changes the result's name.
    let url = format!("/gray.png?watermark/1/image/{}", b64("red.png"));
    let before = server.get(&url).await;
    let blue = cards::png(image::RgbImage::from_pixel(24, 12, image::Rgb(cards::BLUE)));
    std::fs::write(server.objects().join("red.png"), blue).unwrap();
    let after = server.get(&url).await;
    assert_ne!(before.header("etag"), after.header("etag"));
    assert_near(&after.pixels(), (180, 85), cards::BLUE, 0);
}

#[tokio::test]
async fn dissolve_is_opacity() {
    let server = server().await;
    for (dissolve, red) in [(100, 220), (50, 174), (1, 129)] {
        let url = format!("/gray.png?watermark/1/image/{}/dissolve/{dissolve}", b64("kodo://marks/red.png"));
        let [r, ..] = server.get(&url).await.pixels().rgba_at(180, 85);
        assert!(r.abs_diff(red) <= 1, "{dissolve}: {r}");
    }
}

#[tokio::test]
async fn scaled_marks() {
    let server = server().await;
    let mark = b64("kodo://marks/wide.png");
    // The sizes of spec 4.8: mark 91x61 on 250x250.
    for (arguments, size) in [
        ("/ws/0.1", (37, 25)),
        ("/ws/0.1/wst/0", (37, 25)),
        ("/ws/0.1/wst/1", (25, 17)),
        ("/ws/0.2/wst/2", (50, 34)),
        ("/ws/0.2/wst/3", (75, 50)),
    ] {
        let picture = server.get(&format!("/square.png?watermark/1/image/{mark}{arguments}")).await.pixels();
        let (left, top, right, bottom) = painted(&picture).unwrap();
        assert_eq!((right - left, bottom - top), size, "{arguments}");
        assert_eq!((right, bottom), (240, 240), "{arguments}");
    }
    // A mark larger than the picture is left out.
    let larger = server.get(&format!("/gray.png?watermark/1/image/{}", b64("kodo://marks/big.png"))).await;
    assert_eq!(painted(&larger.pixels()), None);
    // Or shrunk until it fits, or cut off at the edges.
    for (arguments, top) in [("blogo/1", 93), ("blogo/2", 90)] {
        let url = format!("/gray.png?watermark/1/image/{}/dx/0/dy/0/{arguments}", b64("kodo://marks/big.png"));
        assert_eq!(painted(&server.get(&url).await.pixels()), Some((0, top, 200, 100)), "{arguments}");
    }
}

#[tokio::test]
async fn tiled_marks() {
    let server = server().await;
    let url = format!("/gray.png?watermark/1/image/{}/tile/1/uws/0.1/uhs/0.1", b64("kodo://marks/red.png"));
    let picture = server.get(&url).await.pixels();
    // Tiles of 20x10 with gaps of 20 and 10.
    for at in [(0, 0), (19, 9), (40, 0), (80, 20), (160, 80)] {
        assert_near(&picture, at, cards::RED, 0);
    }
    for at in [(20, 0), (39, 5), (0, 10), (59, 15)] {
        assert_near(&picture, at, [128; 3], 0);
    }
    let spaced =
        server.get(&format!("/gray.png?watermark/1/image/{}/tile/1/spacing/3", b64("kodo://marks/red.png"))).await;
    for (at, color) in [((19, 9), cards::RED), ((20, 0), [128; 3]), ((23, 13), cards::RED), ((22, 13), [128; 3])] {
        assert_near(&spaced.pixels(), at, color, 0);
    }
}

#[tokio::test]
async fn marks_stand_upright_on_turned_photographs() {
    let server = server().await;
    let answer = server.get(&format!("/gray.jpg?watermark/1/image/{}", b64("kodo://marks/red.png"))).await;
    assert_eq!(answer.summary(), "jpeg 100x200");
    let (left, top, right, bottom) = painted(&answer.pixels()).unwrap();
    for (is, should) in [(left, 70), (top, 180), (right, 90), (bottom, 190)] {
        // Chroma at half size smears a saturated edge by a block.
        assert!(u32::abs_diff(is, should) <= 7, "{left},{top} {right},{bottom}");
    }
}

#[tokio::test]
async fn text_is_set_in_any_script() {
    let server = server().await;
    for text in ["Hello, mogr", "你好，图片", "مرحبا بالعالم", "two\nlines", "mixed 中文 and عربي"]
    {
        let url = format!("/gray.png?watermark/2/text/{}/fontsize/320/fill/{}", b64(text), b64("white"));
        let answer = server.get(&url).await;
        assert_eq!(answer.summary(), "png 200x100", "{text}");
        let (left, top, right, bottom) = painted(&answer.pixels()).unwrap_or_else(|| panic!("{text} has no ink"));
        assert!(right - left > 20 && bottom - top > 8, "{text}: {left},{top} {right},{bottom}");
        assert!(right <= 191 && bottom <= 91, "{text} is nearer to the corner than dx and dy: {right},{bottom}");
    }
    // Larger, coloured, elsewhere, in a named and in an unknown font.
    let small = server.get(&format!("/square.png?watermark/2/text/{}/gravity/NorthWest", b64("Mogr"))).await.pixels();
    for font in ["", "Arial", "宋体", "No Such Font"] {
        let font = if font.is_empty() { String::new() } else { format!("/font/{}", b64(font)) };
        let url =
            format!("/square.png?watermark/2/text/{}/fontsize/1000/gravity/NorthWest/fill/I0ZGMDAwMA==", b64("Mogr"));
        let large = server.get(&format!("{url}{font}")).await.pixels();
        let (l, t, r, b) = painted(&large).unwrap();
        let (sl, st, sr, sb) = painted(&small).unwrap();
        assert!((r - l) > 3 * (sr - sl) && (b - t) > 3 * (sb - st), "{font}");
    }
}

#[tokio::test]
async fn several_marks_are_painted_in_order() {
    let server = server().await;
    let (red, text) = (b64("kodo://marks/red.png"), b64("████"));
    let url = format!(
        "/gray.png?watermark/3/text/{text}/fontsize/400/fill/{}/gravity/NorthWest/dx/0/dy/0/image/{red}/gravity/NorthWest/dx/0/dy/0",
        b64("blue")
    );
    let picture = server.get(&url).await.pixels();
    assert_near(&picture, (10, 5), cards::RED, 0);
    let both = format!("/gray.png?watermark/3/image/{red}/gravity/NorthWest/image/{red}/gravity/SouthEast");
    assert_eq!(painted(&server.get(&both).await.pixels()), Some((10, 10, 190, 90)));
}

#[tokio::test]
async fn tiled_text_covers_the_picture() {
    let server = server().await;
    for arguments in ["", "/rotate/30", "/rotate/-45", "/uw/20/uh/10", "/resize/2", "/dissolve/50/fill/d2hpdGU="] {
        let url = format!("/square.png?watermark/4/text/{}/uw/10/uh/10{arguments}", b64("mogr"));
        let (left, top, right, bottom) = painted(&server.get(&url).await.pixels()).unwrap();
        assert!(left < 60 && top < 60 && right > 190 && bottom > 190, "{arguments}: {left},{top} {right},{bottom}");
    }
}

#[tokio::test]
async fn animations_are_marked_in_every_frame() {
    let url = format!("/loop.gif?watermark/1/image/{}", b64("kodo://marks/red.png"));
    let header = server().await.get(&url).await.image();
    assert_eq!((header.frames, header.format.name()), (3, "gif"));
}

#[tokio::test]
async fn refusals() {
    let server = server().await;
    let (image, text) = (b64("red.png"), b64("hi"));
    for (fops, part) in [
        ("watermark/1".to_owned(), "image"),
        ("watermark/2".to_owned(), "text"),
        ("watermark/3".to_owned(), "image"),
        ("watermark/4".to_owned(), "text"),
        ("watermark/7/text/aGk=".to_owned(), "mode"),
        ("watermark/1/image/!!!".to_owned(), "!!!"),
        (format!("watermark/1/image/{image}/dissolve/0"), "dissolve"),
        (format!("watermark/1/image/{image}/dissolve/101"), "dissolve"),
        (format!("watermark/1/image/{image}/gravity/Middle"), "gravity"),
        (format!("watermark/1/image/{image}/dx/a"), "dx"),
        (format!("watermark/1/image/{image}/ws/2"), "ws"),
        (format!("watermark/1/image/{image}/ws/0.5/wst/5"), "wst"),
        (format!("watermark/2/text/{text}/fontsize/0"), "fontsize"),
        (format!("watermark/2/text/{text}/fontsize/10001"), "fontsize"),
        (format!("watermark/2/text/{text}/fill/cGVhcg=="), "fill"),
        (format!("watermark/4/text/{text}/rotate/181"), "rotate"),
        (format!("watermark/4/text/{text}/resize/11"), "resize"),
        (format!("watermark/2/text/{text}/size/12"), "size"),
        (format!("watermark/2/text/{}", b64(&"字".repeat(1001))), "1001 characters"),
        (format!("watermark/3{}", format!("/image/{image}").repeat(33)), "33"),
    ] {
        let answer = server.get(&format!("/gray.png?{fops}")).await;
        let error = answer.error();
        assert_eq!(answer.status, 400, "{fops}: {error}");
        assert!(error.contains("watermark") && error.contains(part), "{fops}: {error}");
    }
}

/// A mark must not show what its bucket would not serve.
#[tokio::test]
async fn closed_buckets_lend_their_pictures_only_to_styles() {
    let red = cards::png(image::RgbImage::from_pixel(20, 10, image::Rgb(cards::RED)));
    let gray = cards::png(image::RgbImage::from_pixel(200, 100, image::Rgb([128; 3])));
    for closed in ["private = true", "protected = true"] {
        let config = format!(
            "[buckets.default]\nurl = \"{{folder}}\"\ndomains = [\"*\"]\n\
             [buckets.closed]\nurl = \"{{folder}}closed\"\ndomains = [\"closed.example.com\"]\n{closed}\n"
        );
        let mark = format!("watermark/1/image/{}", b64("kodo://closed/red.png"));
        let styles = format!("[styles]\nmarked = \"{mark}\"\n");
        let server = Server::configured(&config, &styles, &[("gray.png", &gray), ("closed/red.png", &red)]).await;
        let by_host = format!("watermark/1/image/{}", b64("http://closed.example.com/red.png"));
        for fops in [&mark, &by_host] {
            let answer = server.get(&format!("/gray.png?{fops}")).await;
            assert_eq!(answer.status, 401, "{closed} {fops}");
            assert!(answer.error().contains("closed"), "{}", answer.error());
        }
        assert_eq!(painted(&server.get("/gray.png-marked").await.pixels()), Some((170, 80, 190, 90)), "{closed}");
    }
}
