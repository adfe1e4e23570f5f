//! The IIIF Image API: every example of the standard's pages by its pixels, its documents, headers, errors, and who may ask.

use mogr::geometry::Size;
use mogr::plan::output::OutputFormat;
use reqwest::Method;

use crate::cards::{self, BLUE, GREEN, RED, YELLOW};
use crate::server::{Answer, Server, assert_near};

/// A card of 300x200 under a key with a slash and characters that have to be escaped, one that is turned by its EXIF, one that is
/// larger than results may be, and what is no picture.
async fn server() -> Server {
    Server::configured(
        "[limits]\noutput_pixels = 1000000\n[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n",
        "",
        &[
            ("maps/a b?.png", &cards::png(cards::quadrants(300, 200))),
            ("turned.jpg", &cards::with_orientation(&cards::quadrants(300, 200), OutputFormat::Jpeg, 6)),
            ("large.png", &cards::png(cards::quadrants(3000, 2000))),
            ("none.png", b"no picture"),
            ("iiif/3/own.txt", b"an object's own"),
        ],
    )
    .await
}

const CARD: &str = "/iiif/3/maps%2Fa%20b%3F.png";

async fn get_as(server: &Server, path: &str, accept: &str) -> Answer {
    server.send(Method::GET, path, &[("accept", accept)]).await
}

/// Status and text of a failure.
fn refusal(answer: &Answer) -> (u16, &str) {
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    (answer.status.as_u16(), answer.text().trim_end())
}

#[tokio::test]
async fn the_examples_of_the_standard_have_their_sizes() {
    let server = server().await;
    for (path, size) in [
        ("125,15,120,140/max/0/default.jpg", (120, 140)),
        ("pct:41.6,7.5,40,70/max/0/default.jpg", (120, 140)),
        ("125,15,200,200/max/0/default.jpg", (175, 185)),
        ("pct:41.6,7.5,66.6,100/max/0/default.jpg", (175, 185)),
        ("full/150,/0/default.jpg", (150, 100)),
        ("full/,150/0/default.jpg", (225, 150)),
        ("full/pct:50/0/default.png", (150, 100)),
        ("full/225,100/0/default.jpg", (225, 100)),
        ("full/!225,100/0/default.webp", (150, 100)),
        ("square/max/90/default.gif", (200, 200)),
        ("full/max/270/default.tif", (200, 300)),
        // The box of the turned picture, with each edge rounded up.
        ("125,15,120,140/90,/!345/gray.jpg", (115, 125)),
        ("full/max/22.5/default.png", (354, 300)),
    ] {
        let header = server.get(&format!("{CARD}/{path}")).await.image();
        assert_eq!(header.size, Size::new(size.0, size.1), "{path}");
    }
}

#[tokio::test]
async fn pixels_are_those_of_the_parameters() {
    let server = server().await;
    let frame = async |path: &str| server.get(&format!("{CARD}/{path}")).await.pixels();
    let corners = |frame: &mogr::engine::image::Frame, colors: [[u8; 3]; 4]| {
        let Size { width, height } = frame.size();
        let at = [(9, 9), (width - 10, 9), (9, height - 10), (width - 10, height - 10)];
        at.into_iter().zip(colors).for_each(|(at, color)| assert_near(frame, at, color, 12));
    };
    let [upper_left, upper_right, lower_left, lower_right] = {
        let plain = frame("full/max/0/default.png").await;
        [(9, 9), (290, 9), (9, 190), (290, 190)].map(|(x, y)| {
            let [r, g, b, _] = plain.rgba_at(x, y);
            [r, g, b]
        })
    };
    let mut colors = [upper_left, upper_right, lower_left, lower_right];
    colors.sort_unstable();
    let mut all = [RED, GREEN, BLUE, YELLOW];
    all.sort_unstable();
    assert_eq!(colors, all);
    let mirrored = [upper_right, upper_left, lower_right, lower_left];
    corners(&frame("full/max/!0/default.png").await, mirrored);
    // Mirrored first, then turned clockwise.
    let turned = [lower_right, upper_right, lower_left, upper_left];
    corners(&frame("full/100,100/!90/color.png").await, turned);
    corners(&frame("150,0,150,200/max/0/default.jpg").await, [upper_right, upper_right, lower_right, lower_right]);
    let gray = frame("full/max/0/gray.png").await;
    assert!((0..300).all(|x| gray.rgba_at(x, 9)[..3].iter().all(|value| *value == gray.rgba_at(x, 9)[0])));
    let bitonal = frame("full/max/0/bitonal.png").await;
    assert!((0..300).all(|x| [[0; 3], [255; 3]].contains(&bitonal.rgba_at(x, 9)[..3].try_into().unwrap())));
    // What a turn leaves open is transparent where the format has that, else white.
    assert_eq!(frame("full/max/45/default.png").await.rgba_at(0, 0)[3], 0);
    assert_near(&frame("full/max/45/default.jpg").await, (0, 0), [255; 3], 3);
}

#[tokio::test]
async fn pictures_tell_of_themselves() {
    let server = server().await;
    let document = async |path: &str| {
        let answer = server.get(path).await;
        let text = answer.text().replace(&server.running.delivery.to_string(), "HOST").replace(",\"avif\"", "");
        format!("{}\n{}\n{text}", answer.header("content-type"), answer.header("link"))
    };
    insta::assert_snapshot!("version_3", document(&format!("{CARD}/info.json")).await);
    insta::assert_snapshot!("version_2", document("/iiif/2/large.png/info.json").await);
    let turned = server.get("/iiif/3/turned.jpg/info.json").await.json();
    assert_eq!((turned["width"].as_u64(), turned["height"].as_u64()), (Some(200), Some(300)));
    assert_eq!(server.get("/iiif/3/turned.jpg/full/max/0/default.jpg").await.image().size, Size::new(200, 300));
    for size in server.get("/iiif/3/large.png/info.json").await.json()["sizes"].as_array().unwrap() {
        let path = format!("/iiif/3/large.png/full/{},{}/0/default.jpg", size["width"], size["height"]);
        let found = server.get(&path).await.image().size;
        assert_eq!(
            (Some(found.width.into()), Some(found.height.into())),
            (size["width"].as_u64(), size["height"].as_u64())
        );
    }
}

#[tokio::test]
async fn documents_come_in_the_type_that_is_asked_for() {
    let server = server().await;
    let third = "application/ld+json;profile=\"http://iiif.io/api/image/3/context.json\"";
    for (version, accept, media_type) in [
        (3, "*/*", third),
        (3, "application/ld+json", third),
        (3, "application/json", "application/json"),
        (3, "text/html, application/ld+json;q=0.9, application/json", third),
        (2, "*/*", "application/json"),
        (2, "application/ld+json", "application/ld+json"),
        (2, "application/json", "application/json"),
    ] {
        let answer = get_as(&server, &format!("/iiif/{version}/turned.jpg/info.json"), accept).await;
        assert_eq!(
            (answer.header("content-type"), answer.header("vary")),
            (media_type, "Accept"),
            "{version} {accept}"
        );
    }
    let first = server.get("/iiif/3/turned.jpg/info.json").await;
    let known = [("if-none-match", first.header("etag"))];
    assert_eq!(server.send(Method::GET, "/iiif/3/turned.jpg/info.json", &known).await.status, 304);
}

#[tokio::test]
async fn base_uris_lead_to_documents_and_images_to_their_canonical_uris() {
    let server = server().await;
    let base = format!("http://{}{CARD}", server.running.delivery);
    let answer = server.get(CARD).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, format!("{base}/info.json").as_str()));
    let path = format!("{CARD}/pct:0,0,100,100/150,/360/color.jpg");
    for attempt in ["made", "repeated"] {
        let answer = server.get(&path).await;
        let link = format!(
            "<{base}/full/150,100/0/default.jpg>;rel=\"canonical\", \
             <http://iiif.io/api/image/3/level2.json>;rel=\"profile\""
        );
        assert_eq!(
            (answer.header("link"), answer.header("access-control-allow-origin")),
            (link.as_str(), "*"),
            "{attempt}"
        );
    }
    // Another spelling of the same is the same result.
    let same = server.get(&format!("{CARD}/full/150,100/0/default.jpg")).await;
    assert!(same.header("server-timing").contains("hit"), "{}", same.header("server-timing"));
    let behind_proxy = [("x-forwarded-proto", "https"), ("host", "img.example")];
    let answer = server.send(Method::GET, "/iiif/2/turned.jpg/info.json", &behind_proxy).await;
    assert_eq!(answer.json()["@id"], "https://img.example/iiif/2/turned.jpg");
    let asked = [("origin", "https://a.example"), ("access-control-request-headers", "x-a")];
    let preflight = server.send(Method::OPTIONS, CARD, &asked).await;
    assert_eq!((preflight.status.as_u16(), preflight.header("access-control-allow-headers")), (204, "x-a"));
    assert_eq!(server.send(Method::HEAD, &path, &[]).await.status, 200);
}

#[tokio::test]
async fn mistakes_are_told_in_plain_text() {
    let server = server().await;
    for (path, status, text) in [
        ("/iiif/3/turned.jpg/full/max/0/default.jp2", 400, "format is \"jp2\"; expected jpg, png, tif, gif or webp"),
        (
            "/iiif/3/nosuch/full/max/0/native.jpg",
            400,
            "quality is \"native\"; expected default, color, gray or bitonal",
        ),
        ("/iiif/3/nosuch/full/max/0/default.jpg", 404, "Document not found: \"nosuch\" in bucket \"default\""),
        ("/iiif/3/turned.jpg/full/201,/0/default.jpg", 400, "size is \"201,\", which enlarges the region of 200x300"),
        (
            "/iiif/3/turned.jpg/full/^201,/0/default.jpg",
            501,
            "size is \"^201,\", which enlarges the region of 200x300; pictures are not enlarged here",
        ),
        (
            "/iiif/3/turned.jpg/200,0,1,1/max/0/default.jpg",
            400,
            "region is \"200,0,1,1\", which has no pixel of the picture of 200x300",
        ),
        (
            "/iiif/3/large.png/full/2000,/0/default.jpg",
            400,
            "size is \"2000,\", which is 2000x1333; at most 9999 pixels along an edge and 1000000 in all are given",
        ),
        ("/iiif/3/turned.jpg/full/%zz/0/default.jpg", 400, "\"%zz\" is not UTF-8 in percent-encoding"),
        ("/iiif/3/%ff/info.json", 400, "\"%ff\" is not UTF-8 in percent-encoding"),
    ] {
        assert_eq!(refusal(&server.get(path).await), (status, text), "{path}");
    }
    for path in ["/iiif/3/maps/a/full/max/0/default.jpg", "/iiif/3/maps/a", "/iiif/3/", "/iiif/3/own.txt/"] {
        assert_eq!(refusal(&server.get(path).await).0, 404, "{path}");
    }
    assert_eq!(refusal(&server.get("/iiif/3/none.png/info.json").await).0, 400);
    // What is larger than it may be is given as large as it may be.
    let size = server.get("/iiif/3/large.png/full/max/0/default.jpg").await.image().size;
    assert_eq!(size, Size::new(1224, 816));
}

/// Buckets that say no, that ask for a token, that are asked by their names, and the validator's reading of `!w,h`.
#[tokio::test]
async fn buckets_have_their_rules() {
    let config = "[delivery]\niiif_strict = true\n[keys.AK]\nsecret = \"SK\"\n\
        [buckets.open]\nurl = \"{folder}\"\n[buckets.shut]\nurl = \"{folder}\"\nprotected = true\n\
        [buckets.private]\nurl = \"{folder}\"\nprivate = true\n[buckets.own]\nurl = \"{folder}\"\niiif = false\n";
    let card = cards::png(cards::quadrants(300, 200));
    let server = Server::configured(config, "", &[("a.png", &card), ("iiif/3/own.txt", b"an object's own")]).await;
    let status = async |path: &str| server.get(path).await.status.as_u16();
    assert_eq!(status("/open/iiif/3/a.png/full/30,/0/default.jpg").await, 200);
    assert_eq!(
        server.get("/open/iiif/3/a.png/info.json").await.json()["id"],
        format!("http://{}/open/iiif/3/a.png", server.running.delivery)
    );
    assert_eq!(status("/shut/iiif/3/a.png/full/30,/0/default.jpg").await, 401);
    assert_eq!(status("/private/iiif/3/a.png/info.json").await, 401);
    assert_eq!(server.get("/own/iiif/3/own.txt").await.text(), "an object's own");
    assert_eq!(status("/open/iiif/3/a.png/full/!301,201/0/default.jpg").await, 400);
    assert_eq!(status("/open/iiif/3/a.png/full/!301,100/0/default.jpg").await, 200);
}
