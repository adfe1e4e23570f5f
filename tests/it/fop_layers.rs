//! This server's own operators `size`, `cut`, `filter`, `flatten`, `composite` and `facts`, through the server.

use mogr::plan::output::OutputFormat;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::cards;
use crate::server::{Server, assert_near};

const WHITE: [u8; 3] = [255; 3];

fn b64(text: &str) -> String {
    URL_SAFE.encode(text)
}

async fn server() -> Server {
    let card = cards::png(cards::quadrants(640, 427));
    let photo = cards::jpeg(&cards::quadrants(640, 427), 90);
    let disc = cards::png(cards::disc(40, cards::RED));
    let gif = cards::animation(60, 40, 3, OutputFormat::Gif);
    Server::over(&[
        ("card.png", &card),
        ("photo.jpg", &photo),
        ("turned.jpg", &cards::oriented(&photo, 6)),
        ("disc.png", &disc),
        ("loop.gif", &gif),
    ])
    .await
}

#[tokio::test]
async fn sizes_and_cuts() {
    let server = server().await;
    for (fops, summary) in [
        ("size/exact/w/100/h/50", "png 100x50"),
        ("size/fit/w/1280", "png 1280x854"),
        ("size/fit/w/1280/unless-smaller/1", "png 640x427"),
        ("size/fill/w/100/h/100/gravity/East", "png 100x100"),
        ("size/pad/w/100/h/100", "png 100x100"),
        ("size/percent/12.5", "png 80x53"),
        ("size/exact/w/9999/h/9999", "400 result pixels: 99980001, over the limit of 24999999"),
        ("cut/w/100/h/50/x/600", "png 40x50"),
        ("cut/square/1", "png 427x427"),
        (
            "cut/w/5/h/5/x/700",
            "400 cut: box is \"wholly outside the image of 640x427\"; expected a box that meets the image",
        ),
    ] {
        assert_eq!(server.get(&format!("/card.png?{fops}")).await.summary(), summary, "{fops}");
    }
    let padded = server.get(&format!("/card.png?size/pad/w/100/h/100/color/{}", b64("#0000FF"))).await.pixels();
    assert_near(&padded, (50, 5), [0, 0, 255], 0);
    assert_near(&padded, (10, 30), cards::RED, 2);
    let right = server.get("/card.png?size/fill/w/100/h/200/gravity/East").await.pixels();
    assert_near(&right, (5, 20), cards::GREEN, 2);
}

#[tokio::test]
async fn filters_change_what_they_say() {
    let server = server().await;
    for fops in ["filter/blur/3", "filter/median/3", "filter/pixelate/50", "filter/tone/equalize", "filter/sharpen/1"] {
        assert_eq!(server.get(&format!("/card.png?{fops}")).await.summary(), "png 640x427", "{fops}");
        // Beside what it keeps, a moving picture moves on.
        let info = server.get(&format!("/loop.gif?{fops}|imageInfo")).await.json();
        assert_eq!(info["frameNumber"], 3, "{fops}: {info}");
    }
    let blurred = server.get("/card.png?filter/blur/3").await.pixels();
    let [r, g, _, _] = blurred.rgba_at(320, 10);
    assert!((100..=160).contains(&r) && (90..=130).contains(&g), "{r} {g}");
    let dark = server.get("/card.png?filter/vignette/10x10x10").await.pixels();
    assert_near(&dark, (0, 0), [0; 3], 3);
    assert_near(&dark, (200, 150), cards::RED, 0);
}

#[tokio::test]
async fn pictures_are_combined() {
    let server = server().await;
    let disc = b64("disc.png");
    let at = |fops: String, x, y| {
        let server = &server;
        async move { server.get(&format!("/card.png?{fops}")).await.pixels().rgba_at(x, y) }
    };
    let [red, green] = [cards::RED, cards::GREEN].map(|[r, g, b]| [r, g, b, 255]);
    assert_eq!(at(format!("composite/{disc}/x/500/y/10"), 520, 30).await, red);
    assert_eq!(at(format!("composite/{disc}/x/500/y/10"), 501, 11).await, green);
    assert_eq!(at(format!("composite/{disc}/gravity/NorthEast/x/10/y/10"), 610, 30).await, red);
    assert_eq!(at(format!("composite/{disc}/gravity/East/percent/200"), 600, 200).await, red);
    // It may be larger than what is beneath, unlike a watermark.
    assert_eq!(at(format!("composite/{disc}/fit/2000x2000/gravity/Center"), 600, 400).await, red);
    assert_eq!(at(format!("composite/{disc}/match/1"), 320, 30).await, red);
    let [r, g, b, _] = at(format!("composite/{disc}/x/500/y/10/op/multiply"), 520, 30).await;
    assert_eq!([r, g, b], [35, 28, 9]);
    assert_eq!(at(format!("composite/{disc}/x/500/y/10/op/dst-out"), 520, 30).await[3], 0);
    let flat = format!("composite/{disc}/x/500/y/10/op/dst-out|flatten/{}", b64("white"));
    assert_eq!(at(flat, 520, 30).await, [WHITE[0], WHITE[1], WHITE[2], 255]);
    let tiled = at(format!("composite/{disc}/tile/1"), 620, 20).await;
    assert_eq!(tiled, red);
    let missing = server.get(&format!("/card.png?composite/{}", b64("gone.png"))).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn shapes_are_drawn_and_colours_reduced() {
    let server = server().await;
    let (white, black) = (b64("white"), b64("#00000080"));
    let fops = format!(
        "draw/rectangle/from/10x10/to/50x50/fill/{white}|draw/line/from/100x20/to/200x20/stroke/{black}/width/10"
    );
    let drawn = server.get(&format!("/card.png?{fops}")).await.pixels();
    assert_near(&drawn, (30, 30), WHITE, 0);
    assert_near(&drawn, (60, 30), cards::RED, 0);
    assert_near(&drawn, (150, 20), cards::RED.map(|value| value / 2), 1);
    let few = server.get("/photo.jpg?filter/blur/20|palette/6|imageMogr2/format/png").await.pixels();
    let colors: std::collections::HashSet<_> = few.pixels().chunks_exact(3).collect();
    assert!((2..=6).contains(&colors.len()), "{}", colors.len());
    assert_eq!(server.get("/card.png?palette/1").await.status, 400);
}

#[tokio::test]
async fn facts_are_told_without_pixels() {
    let server = server().await;
    let facts = server.get("/turned.jpg?facts/exif/1/digest/md5").await.json();
    assert_eq!((&facts["width"], &facts["orientation"]), (&640.into(), &"Right-top".into()), "{facts}");
    assert_eq!(facts["digest"].as_str().map(str::len), Some(32));
    assert!(facts["exif"]["Orientation"].is_object(), "{facts}");
    let none = server.get("/card.png?facts/exif/1/digest/crc32").await.json();
    assert_eq!((&none["exif"], none["digest"].as_str().map(str::len)), (&serde_json::json!({}), Some(8)));
    assert_eq!(server.get("/card.png?imageslim|facts").await.status, 400);
}
