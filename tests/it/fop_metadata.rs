//! `imageInfo`, `exif`, `imageAve`, `roundPic`, `imageslim`, and operators that are not done here (spec 4.5–4.13).

use mogr::plan::output::OutputFormat;
use serde_json::json;

use crate::cards;
use crate::server::{Server, assert_near};

async fn server() -> Server {
    let photo = cards::jpeg(&cards::quadrants(640, 427), 90);
    Server::over(&[
        ("card.png", &cards::png(cards::quadrants(64, 48))),
        ("disc.png", &cards::png(cards::disc(64, cards::RED))),
        ("photo.jpg", &photo),
        ("turned.jpg", &cards::oriented(&photo, 6)),
        ("loop.gif", &cards::animation(120, 80, 5, OutputFormat::Gif)),
        ("note.txt", b"not an image"),
    ])
    .await
}

#[tokio::test]
async fn image_info() {
    let server = server().await;
    let size = |name| std::fs::metadata(server.objects().join(name)).unwrap().len();
    for (url, expected) in [
        (
            "/photo.jpg?imageInfo",
            json!({"size": size("photo.jpg"), "format": "jpeg", "width": 640, "height": 427, "colorModel": "ycbcr"}),
        ),
        (
            "/turned.jpg?imageInfo",
            json!({"size": size("turned.jpg"), "format": "jpeg", "width": 640, "height": 427, "colorModel": "ycbcr",
                "orientation": "Right-top"}),
        ),
        (
            "/disc.png?imageInfo",
            json!({"size": size("disc.png"), "format": "png", "width": 64, "height": 64, "colorModel": "nrgba"}),
        ),
        (
            "/loop.gif?imageInfo",
            json!({"size": size("loop.gif"), "format": "gif", "width": 120, "height": 80, "colorModel": "palette16",
                "frameNumber": 5}),
        ),
    ] {
        let answer = server.get(url).await;
        assert_eq!(answer.header("content-type"), "application/json", "{url}");
        assert_eq!(answer.json(), expected, "{url}");
    }
    let scaled = server.get("/turned.jpg?imageView2/2/w/200/format/webp|imageInfo").await.json();
    assert_eq!((&scaled["width"], &scaled["height"], &scaled["format"]), (&json!(200), &json!(300), &json!("webp")));
    let bytes = server.get("/turned.jpg?imageView2/2/w/200/format/webp").await.body.len();
    assert_eq!(scaled["size"], json!(bytes));
}

#[tokio::test]
async fn exif_of_the_source_only() {
    let server = server().await;
    let answer = server.get("/turned.jpg?exif").await;
    assert_eq!(answer.json()["Orientation"]["type"], json!(3));
    assert_eq!(server.get("/photo.jpg?exif").await.summary(), "400 no exif data");
    let after = server.get("/turned.jpg?imageView2/2/w/100|exif").await;
    assert_eq!(after.status, 400);
    assert!(after.error().contains("exif"), "{}", after.error());
}

#[tokio::test]
async fn average_colour() {
    let server = server().await;
    // The mean of the four quadrants.
    let mean = |channel: usize| {
        let sum: u32 =
            [cards::RED, cards::GREEN, cards::BLUE, cards::YELLOW].iter().map(|c| u32::from(c[channel])).sum();
        (sum + 2) / 4
    };
    let expected = format!("0x{:02x}{:02x}{:02x}", mean(0), mean(1), mean(2));
    assert_eq!(server.get("/card.png?imageAve").await.json(), json!({ "RGB": expected }));
}

#[tokio::test]
async fn round_corners() {
    let server = server().await;
    for (fops, corner, edge) in [
        ("radius/10", 0, 255),
        ("radius/!50p", 0, 0),
        ("radiusx/10/radiusy/20", 0, 255),
        ("radius/0", 255, 255),
        ("radius/9999", 0, 0),
    ] {
        let answer = server.get(&format!("/photo.jpg?imageView2/1/w/64/h/48|roundPic/{fops}")).await;
        assert_eq!(answer.summary(), "png 64x48", "{fops}");
        let picture = answer.pixels();
        assert_eq!(picture.rgba_at(0, 0)[3], corner, "{fops}");
        // Ten pixels along the top edge: inside a small radius, outside an ellipse.
        assert_eq!(picture.rgba_at(12, 0)[3], edge, "{fops}");
        assert_eq!(picture.rgba_at(32, 24)[3], 255, "{fops}");
        assert_near(&picture, (24, 16), cards::RED, 12);
    }
    for fops in ["roundPic", "roundPic/radiusx/10", "roundPic/radius/10/radiusx/5/radiusy/5", "roundPic/radius/-1"] {
        let answer = server.get(&format!("/card.png?{fops}")).await;
        assert_eq!(answer.status, 400, "{fops}");
        assert!(answer.error().contains("roundPic"), "{}", answer.error());
    }
}

#[tokio::test]
async fn slim_never_grows() {
    let server = server().await;
    for name in ["photo.jpg", "card.png", "disc.png"] {
        let before = std::fs::metadata(server.objects().join(name)).unwrap().len();
        for level in ["", "/zlevel/0", "/zlevel/10"] {
            let answer = server.get(&format!("/{name}?imageslim{level}")).await;
            assert!(answer.image().bytes <= before, "{name}{level}");
        }
    }
    let plain = server.get("/photo.jpg?imageView2/2/w/300").await.image();
    let slim = server.get("/photo.jpg?imageView2/2/w/300|imageslim").await.image();
    assert!(slim.bytes <= plain.bytes && slim.size == plain.size);
    for (url, part) in [("/photo.jpg?imageslim/zlevel/11", "zlevel"), ("/loop.gif?imageslim", "jpeg or png")] {
        let answer = server.get(url).await;
        assert_eq!(answer.status, 400, "{url}");
        assert!(answer.error().contains(part), "{}", answer.error());
    }
}

#[tokio::test]
async fn what_is_not_done_says_so() {
    let server = server().await;
    for (fop, part) in [
        ("avthumb/mp4", "avthumb"),
        ("vframe/jpg/offset/2", "vframe"),
        ("avinfo", "avinfo"),
        ("qrcode/0/level/L", "qrcode"),
        ("watermark/5/image/aGk=", "watermark"),
        ("watermark/6/text/aGk=", "watermark"),
        ("nosuchfop/1", "nosuchfop"),
        ("imageView2/2/w/100|nosuchfop/1", "nosuchfop"),
    ] {
        let answer = server.get(&format!("/photo.jpg?{fop}")).await;
        let error = answer.error();
        assert_eq!(answer.status, 400, "{fop}: {error}");
        assert!(error.contains(part), "{fop}: {error}");
    }
    let note = server.get("/note.txt?imageView2/2/w/100").await;
    assert_eq!(note.status, 400);
    assert!(note.error().starts_with("not an image"), "{}", note.error());
}
