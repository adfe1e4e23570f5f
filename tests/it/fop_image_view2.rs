//! `imageView2` and `imageView` (spec 4.1, 4.2) through the server.

use image::ImageFormat;

use crate::cards;
use crate::server::{Server, assert_near};

async fn server() -> Server {
    let card = |w, h| cards::png(cards::quadrants(w, h));
    Server::over(&[
        ("640x427.png", &card(640, 427)),
        ("427x640.png", &card(427, 640)),
        ("1000x1000.png", &card(1000, 1000)),
        ("1024x768.png", &card(1024, 768)),
        ("300x200.png", &card(300, 200)),
        ("photo.jpg", &cards::jpeg(&cards::quadrants(640, 427), 90)),
        ("turned.jpg", &cards::oriented(&cards::jpeg(&cards::quadrants(640, 427), 90), 6)),
        ("card.bmp", &cards::encoded(cards::quadrants(64, 48), ImageFormat::Bmp)),
        ("card.tiff", &cards::encoded(cards::quadrants(64, 48), ImageFormat::Tiff)),
        ("card.webp", &cards::webp(&cards::quadrants(64, 48))),
        ("loop.gif", &cards::animation(120, 80, 5, mogr::plan::output::OutputFormat::Gif)),
        ("loop.webp", &cards::moving_webp(120, 80)),
    ])
    .await
}

/// The table of spec 4.1: columns are modes 0 to 5.
#[tokio::test]
async fn worked_sizes() {
    let server = server().await;
    for (source, edges, sizes) in [
        ("640x427", "w/200", "200x133 200x200 200x133 300x200 300x200 200x200"),
        ("640x427", "h/200", "300x200 200x200 300x200 300x200 300x200 200x200"),
        ("640x427", "w/400/h/300", "400x267 400x300 400x267 450x300 450x300 400x300"),
        ("640x427", "w/300/h/400", "300x200 300x400 300x200 600x400 600x400 300x400"),
        ("640x427", "w/1000/h/300", "450x300 640x300 450x300 640x427 640x427 640x300"),
        ("640x427", "w/1000/h/1000", "640x427 640x427 640x427 640x427 640x427 640x427"),
        ("427x640", "w/200", "133x200 200x200 200x300 200x300 200x300 200x200"),
        ("427x640", "h/200", "200x300 200x200 133x200 200x300 200x300 200x200"),
        ("427x640", "w/400/h/300", "267x400 400x300 200x300 400x600 300x450 300x400"),
        ("1000x1000", "w/400/h/300", "300x300 400x300 300x300 400x400 400x400 400x300"),
        ("1024x768", "w/400/h/400", "400x300 400x400 400x300 533x400 533x400 400x400"),
        ("1024x768", "w/400", "400x300 400x400 400x300 533x400 533x400 400x400"),
        ("300x200", "w/400/h/300", "300x200 300x200 300x200 300x200 300x200 300x200"),
    ] {
        for (mode, size) in sizes.split(' ').enumerate() {
            let url = format!("/{source}.png?imageView2/{mode}/{edges}");
            assert_eq!(server.get(&url).await.summary(), format!("png {size}"), "{url}");
        }
    }
}

#[tokio::test]
async fn parameters() {
    let server = server().await;
    for (url, expected) in [
        // format
        ("/photo.jpg?imageView2/2/w/64", "jpeg 64x43"),
        ("/photo.jpg?imageView2/2/w/64/format/jpg", "jpeg 64x43"),
        ("/photo.jpg?imageView2/2/w/64/format/jpeg", "jpeg 64x43"),
        ("/photo.jpg?imageView2/2/w/64/format/png", "png 64x43"),
        ("/photo.jpg?imageView2/2/w/64/format/gif", "gif 64x43"),
        ("/photo.jpg?imageView2/2/w/64/format/webp", "webp 64x43"),
        ("/photo.jpg?imageView2/2/w/64/format/bmp", "bmp 64x43"),
        ("/photo.jpg?imageView2/2/w/64/format/tiff", "tiff 64x43"),
        ("/photo.jpg?imageView2/2/w/64/format/copy", "jpeg 64x43"),
        ("/card.bmp?imageView2/2/w/32", "bmp 32x24"),
        ("/card.tiff?imageView2/2/w/32", "tiff 32x24"),
        ("/card.webp?imageView2/2/w/32", "webp 32x24"),
        ("/card.tiff?imageView2/2/w/32/format/jpg", "jpeg 32x24"),
        // neither edge: only transcoded
        ("/photo.jpg?imageView2/2/format/webp", "webp 640x427"),
        // upright first
        ("/turned.jpg?imageView2/2/w/200", "jpeg 200x300"),
        ("/turned.jpg?imageView/2/w/200", "jpeg 200x300"),
        // imageView: mode 1 enlarges, mode 2 does not
        ("/photo.jpg?imageView/1/w/500/h/500", "jpeg 500x500"),
        ("/300x200.png?imageView/1/w/500/h/500", "png 500x500"),
        ("/300x200.png?imageView/2/w/500/h/500", "png 300x200"),
        // `|` as it is and encoded, a trailing slash, a cache buster
        ("/photo.jpg?imageView2/2/w/300|imageView2/1/w/100/h/100", "jpeg 100x100"),
        ("/photo.jpg?imageView2/2/w/300%7CimageView2/1/w/100/h/100", "jpeg 100x100"),
        ("/photo.jpg?imageView2/2/w/300/", "jpeg 300x200"),
        ("/photo.jpg?v=12&imageView2/2/w/300&x=y", "jpeg 300x200"),
        // a format stays in force until a later operator changes it
        ("/photo.jpg?imageView2/2/w/300/format/png|imageView2/2/w/100", "png 100x67"),
    ] {
        assert_eq!(server.get(url).await.summary(), expected, "{url}");
    }
}

#[tokio::test]
async fn refusals_name_operator_argument_value_and_expectation() {
    let server = server().await;
    for (fops, parts) in [
        ("imageView2", ["imageView2", "mode", "0", "5"]),
        ("imageView2/6/w/200", ["imageView2", "mode", "\"6\"", "0"]),
        ("imageView2/x/w/200", ["imageView2", "mode", "\"x\"", "0"]),
        ("imageView2/2/w/0", ["imageView2", "w", "\"0\"", "9999"]),
        ("imageView2/2/w/10000", ["imageView2", "w", "\"10000\"", "9999"]),
        ("imageView2/2/h/abc", ["imageView2", "h", "\"abc\"", "9999"]),
        ("imageView2/2/w", ["imageView2", "w", "missing", "9999"]),
        ("imageView2/2/q/0", ["imageView2", "q", "\"0\"", "100"]),
        ("imageView2/2/q/101", ["imageView2", "q", "\"101\"", "100"]),
        ("imageView2/2/format/exe", ["imageView2", "format", "\"exe\"", "webp"]),
        ("imageView2/2/format/heic", ["imageView2", "format", "\"heic\"", "webp"]),
        ("imageView2/2/interlace/2", ["imageView2", "interlace", "\"2\"", "0"]),
        ("imageView2/2/colors/3", ["imageView2", "colors", "\"3\"", "2"]),
        ("imageView2/2/ignore-error/2", ["imageView2", "ignore-error", "\"2\"", "1"]),
        ("imageView2/2/width/200", ["imageView2", "width", "unknown", "w"]),
        ("imageView/3/w/1/h/1", ["imageView", "mode", "\"3\"", "1"]),
        ("imageView/1/w/100", ["imageView", "h", "missing", "1"]),
    ] {
        let answer = server.get(&format!("/photo.jpg?{fops}")).await;
        let error = answer.error();
        assert_eq!(answer.status, 400, "{fops}: {error}");
        for part in parts {
            assert!(error.contains(part), "{fops}: {error:?} does not name {part:?}");
        }
    }
}

#[tokio::test]
async fn the_turned_picture_stands_upright() {
    let server = server().await;
    // Stored red, green above blue, yellow; turned clockwise by 90 degrees blue, red stand above yellow, green.
    let picture = server.get("/turned.jpg?imageView2/2/w/200").await.pixels();
    for (at, color) in
        [((50, 75), cards::BLUE), ((150, 75), cards::RED), ((50, 225), cards::YELLOW), ((150, 225), cards::GREEN)]
    {
        assert_near(&picture, at, color, 12);
    }
}

#[tokio::test]
async fn mode_1_crops_the_centre() {
    let picture = server().await.get("/640x427.png?imageView2/1/w/200/h/200").await.pixels();
    for (at, color) in
        [((95, 95), cards::RED), ((105, 95), cards::GREEN), ((95, 105), cards::BLUE), ((105, 105), cards::YELLOW)]
    {
        assert_near(&picture, at, color, 12);
    }
}

#[tokio::test]
async fn quality_and_interlace_reach_the_file() {
    let server = server().await;
    let low = server.get("/photo.jpg?imageView2/2/w/300/q/10").await;
    let high = server.get("/photo.jpg?imageView2/2/w/300/q/90!").await;
    assert_eq!(low.image().jpeg_quality, Some(10));
    assert_eq!(high.image().jpeg_quality, Some(90));
    assert!(low.body.len() < high.body.len());
    let progressive = server.get("/photo.jpg?imageView2/2/w/300/interlace/1").await;
    assert!(has_marker(&progressive.body, 0xc2), "SOF2 is missing");
    assert!(has_marker(&low.body, 0xc0), "SOF0 is missing");
}

fn has_marker(jpeg: &[u8], marker: u8) -> bool {
    jpeg.windows(2).any(|pair| pair == [0xff, marker])
}

#[tokio::test]
async fn animations_stay_animated_where_the_format_can() {
    let server = server().await;
    let (makes_webp, webp_frames) = if cfg!(feature = "native") { (true, 5) } else { (false, 24) };
    for (url, format, frames) in [
        ("/loop.gif?imageView2/2/w/60", "gif", 5),
        ("/loop.webp?imageView2/2/w/60", "webp", webp_frames),
        ("/loop.gif?imageView2/2/w/60/format/webp", "webp", 5),
        ("/loop.webp?imageView2/2/w/60/format/gif", "gif", webp_frames),
        ("/loop.gif?imageView2/2/w/60/format/png", "png", 1),
        ("/loop.gif?imageView2/2/w/60/format/jpg", "jpeg", 1),
    ] {
        if format == "webp" && !makes_webp {
            let refused = server.get(url).await;
            assert_eq!(refused.status, 400, "{url}");
            assert!(refused.text().contains("without animated WebP"), "{url}: {}", refused.text());
            continue;
        }
        let header = server.get(url).await.image();
        assert_eq!((header.format.name(), header.frames, header.size.width), (format, frames, 60), "{url}");
    }
}

#[cfg(feature = "avif")]
#[tokio::test]
async fn avif_goes_out_like_any_format() {
    let server = server().await;
    for (url, expected) in [
        ("/photo.jpg?imageView2/2/w/60/format/avif", "avif"),
        ("/640x427.png?imageMogr2/thumbnail/60x/format/avif", "avif"),
        ("/loop.gif?imageView2/2/w/60/format/avif|imageView2/2/w/30", "avif"),
    ] {
        let answer = server.get(url).await;
        assert_eq!(answer.header("content-type"), "image/avif", "{url}");
        assert_eq!(answer.image().format.name(), expected, "{url}");
    }
}

#[cfg(not(feature = "avif"))]
#[tokio::test]
async fn avif_is_refused_by_name_where_it_is_not_built_in() {
    let server = server().await;
    let refused = server.get("/photo.jpg?imageView2/2/w/60/format/avif").await;
    assert!(String::from_utf8_lossy(&refused.body).contains("does not encode avif"));
}

#[tokio::test]
async fn colors_limit_the_palette() {
    let server = server().await;
    for colors in [2, 4, 16, 256] {
        let picture = server.get(&format!("/640x427.png?imageView2/2/w/100/colors/{colors}")).await.pixels();
        let distinct: std::collections::HashSet<&[u8]> =
            picture.pixels().chunks_exact(picture.layout().channels()).collect();
        assert!(distinct.len() <= colors, "{} colours, {colors} asked for", distinct.len());
    }
}

#[tokio::test]
async fn errors_are_ignored_where_asked() {
    let server = Server::over(&[("broken.jpg", b"\xff\xd8\xff\xe0 not really")]).await;
    let answer = server.get("/broken.jpg?imageView2/2/w/100/ignore-error/1").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"\xff\xd8\xff\xe0 not really"[..]));
    assert_eq!(answer.header("content-type"), "image/jpeg");
    assert_eq!(server.get("/broken.jpg?imageView2/2/w/100").await.status, 400);
}
