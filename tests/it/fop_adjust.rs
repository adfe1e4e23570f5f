//! `adjust`, this server's own operator for colours, through the server.

use mogr::plan::output::OutputFormat;

use crate::cards;
use crate::server::Server;

async fn server() -> Server {
    let brown = cards::png(image::RgbImage::from_pixel(40, 30, image::Rgb([120, 100, 60])));
    let glass = cards::png(image::RgbaImage::from_pixel(40, 30, image::Rgba([120, 100, 60, 77])));
    let grey = cards::png(image::GrayImage::from_pixel(40, 30, image::Luma([100])));
    let photo = cards::jpeg(&cards::quadrants(640, 427), 90);
    let (gif, webp) = (cards::animation(60, 40, 3, OutputFormat::Gif), cards::animation(60, 40, 3, OutputFormat::Webp));
    Server::over(&[
        ("brown.png", &brown),
        ("glass.png", &glass),
        ("grey.png", &grey),
        ("photo.jpg", &photo),
        ("turned.jpg", &cards::oriented(&photo, 6)),
        ("loop.gif", &gif),
        ("loop.webp", &webp),
    ])
    .await
}

#[tokio::test]
async fn colours_change_in_the_order_written() {
    let server = server().await;
    for (changes, brown, grey) in [
        ("brightness/10", [146, 126, 86], [126; 3]),
        ("contrast/100", [98, 18, 0], [18; 3]),
        ("saturation/-100", [101; 3], [100; 3]),
        ("grayscale/1", [101; 3], [100; 3]),
        ("hue/0", [120, 100, 60], [100; 3]),
        ("gamma/2", [175, 160, 124], [160; 3]),
        ("multiply/50", [60, 50, 30], [50; 3]),
        ("invert/1", [135, 155, 195], [155; 3]),
        ("sepia/100", [135, 121, 94], [135, 120, 94]),
        ("invert/1/brightness/10", [161, 181, 221], [181; 3]),
        ("brightness/10/invert/1", [109, 129, 169], [129; 3]),
    ] {
        for (source, expected, alpha) in [("brown", brown, 255), ("glass", brown, 77), ("grey", grey, 255)] {
            let url = format!("/{source}.png?adjust/{changes}");
            let answer = server.get(&url).await;
            assert_eq!(answer.summary(), "png 40x30", "{url}");
            let [r, g, b] = expected;
            assert_eq!(answer.pixels().rgba_at(20, 15), [r, g, b, alpha], "{url}");
        }
    }
}

#[tokio::test]
async fn it_stands_anywhere_in_a_pipeline_and_keeps_the_format() {
    let server = server().await;
    for (url, summary) in [
        ("/photo.jpg?adjust/sepia/80", "jpeg 640x427"),
        ("/photo.jpg?imageView2/2/w/100|adjust/hue/40|imageMogr2/rotate/90", "jpeg 67x100"),
        ("/photo.jpg?adjust/hue/40|imageMogr2/thumbnail/100x/format/png", "png 100x67"),
        // It turns nothing by itself.
        ("/turned.jpg?adjust/invert/1|imageMogr2/auto-orient", "jpeg 427x640"),
    ] {
        assert_eq!(server.get(url).await.summary(), summary, "{url}");
    }
    let (plain, none) =
        (server.get("/photo.jpg?imageMogr2/quality/80").await, "/photo.jpg?adjust|imageMogr2/quality/80");
    assert_eq!(server.get(none).await.body, plain.body);
}

#[tokio::test]
async fn animations_change_frame_by_frame() {
    let server = server().await;
    for source in ["loop.gif", "loop.webp"] {
        let info = server.get(&format!("/{source}?adjust/grayscale/1|imageInfo")).await.json();
        assert_eq!(info["frameNumber"], 3, "{source}: {info}");
        let frame = server.get(&format!("/{source}?adjust/grayscale/1/brightness/-100|imageMogr2/format/png")).await;
        assert_eq!(frame.pixels().rgba_at(30, 20), [0, 0, 0, 255], "{source}");
    }
}

#[tokio::test]
async fn refusals_say_what_was_expected() {
    let server = server().await;
    for (changes, message) in [
        ("brightness/200", "adjust: brightness is \"200\"; expected an integer from -100 to 100"),
        ("gamma/0", "adjust: gamma is \"0\"; expected a number from 0.1 to 10"),
        (
            "blur/1",
            "adjust: unknown argument \"blur\"; expected one of brightness, contrast, saturation, hue, gamma, \
                    multiply, grayscale, sepia, invert, threshold, levels, levelize",
        ),
    ] {
        let answer = server.get(&format!("/brown.png?adjust/{changes}")).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"].as_str()), (400, Some(message)), "{changes}");
    }
}
