//! `imageMogr2` and the legacy `imageMogr` (spec 4.3, 4.4) through the server.

use mogr::engine::image::{Frame, Layout};
use mogr::geometry::{Gravity, Size};

use crate::cards;
use crate::server::{Answer, Server, assert_near, photos};

async fn server() -> Server {
    let card = |w, h| cards::png(cards::quadrants(w, h));
    let upright = cards::jpeg(&cards::quadrants(640, 427), 90);
    let turned: Vec<(String, Vec<u8>)> =
        (1..=8).map(|value| (format!("turned-{value}.jpg"), cards::oriented(&upright, value))).collect();
    let (a, b, c) = (card(640, 427), card(427, 640), card(1024, 768));
    let gif = cards::animation(120, 80, 3, mogr::plan::output::OutputFormat::Gif);
    let disc = cards::png(cards::disc(64, cards::RED));
    let mut files: Vec<(&str, &[u8])> = vec![
        ("640x427.png", &a),
        ("427x640.png", &b),
        ("1024x768.png", &c),
        ("photo.jpg", &upright),
        ("loop.gif", &gif),
        ("disc.png", &disc),
    ];
    files.extend(turned.iter().map(|(name, body)| (name.as_str(), body.as_slice())));
    Server::over(&files).await
}

/// The thumbnail table of spec 4.3.
#[tokio::test]
async fn thumbnail_geometries() {
    let server = server().await;
    for (geometry, wide, tall, big) in [
        ("!75p", "480x320", "320x480", "768x576"),
        ("!20p", "128x85", "85x128", "205x154"),
        ("!200p", "1280x854", "854x1280", "2048x1536"),
        ("!75px", "480x427", "320x640", "768x768"),
        ("!x75p", "640x320", "427x480", "1024x576"),
        ("700x", "700x467", "700x1049", "700x525"),
        ("x467", "700x467", "312x467", "623x467"),
        ("300x300", "300x200", "200x300", "300x225"),
        ("!300x300", "300x200", "200x300", "300x225"),
        ("1280x1280", "1280x854", "854x1280", "1280x960"),
        ("!200x200r", "300x200", "200x300", "267x200"),
        ("200x300!", "200x300", "200x300", "200x300"),
        ("200x300%21", "200x300", "200x300", "200x300"),
        ("200x300>", "200x133", "200x300", "200x150"),
        ("200x300%3E", "200x133", "200x300", "200x150"),
        ("1000x300>", "450x300", "200x300", "400x300"),
        ("1000x1000>", "640x427", "427x640", "1000x750"),
        ("700x600<", "700x467", "427x640", "1024x768"),
        ("1000x300<", "640x427", "427x640", "1024x768"),
        ("1500x1100%3C", "1500x1001", "734x1100", "1467x1100"),
        ("350000@", "724x483", "483x724", "683x512"),
        ("100000@", "387x258", "258x387", "365x273"),
        ("300x>", "300x200", "300x450", "300x225"),
        ("x300>", "450x300", "200x300", "400x300"),
        ("300x!", "300x427", "300x640", "300x768"),
    ] {
        for (source, size) in [("640x427", wide), ("427x640", tall), ("1024x768", big)] {
            let url = format!("/{source}.png?imageMogr2/thumbnail/{geometry}");
            assert_eq!(server.get(&url).await.summary(), format!("png {size}"), "{url}");
        }
    }
}

/// Where a crop of the card begins: found from where the quadrants' borders lie in it.
fn origin(answer: &Answer) -> (String, Option<u32>, Option<u32>) {
    let frame = answer.pixels();
    let size = frame.size();
    let pixel = |x, y| frame.rgba_at(x, y);
    let right = (1..size.width).find(|&x| pixel(x, 0) != pixel(x - 1, 0)).map(|x| 320 - x);
    let down = (1..size.height).find(|&y| pixel(0, y) != pixel(0, y - 1)).map(|y| 214 - y);
    (size.to_string(), right, down)
}

/// The crop tables of spec 4.3: size and origin.
#[tokio::test]
async fn crops() {
    let server = server().await;
    for (crop, size, x, y) in [
        ("crop/300x", "300x427", None, Some(0)),
        ("crop/x200", "640x200", Some(0), None),
        ("crop/500x300", "500x300", Some(0), Some(0)),
        ("crop/!400x300a30a100", "400x300", Some(30), Some(100)),
        ("crop/!400x300a30-100", "400x200", Some(30), None),
        ("crop/!400x300-30a100", "370x300", Some(0), Some(100)),
        ("crop/!400x400-30-100", "370x300", Some(0), Some(0)),
        ("gravity/Center/crop/1000x300", "640x300", Some(0), Some(63)),
        ("gravity/center/crop/300x300", "300x300", Some(170), Some(63)),
        ("gravity/North/crop/300x300", "300x300", Some(170), Some(0)),
        ("gravity/NorthEast/crop/400x300", "400x300", Some(240), Some(0)),
        ("gravity/West/crop/400x300", "400x300", Some(0), Some(63)),
        ("gravity/East/crop/!400x300a10a20", "400x300", Some(230), Some(83)),
        ("gravity/East/crop/!400x300-10-20", "390x300", Some(250), Some(43)),
        ("gravity/SouthWest/crop/400x300", "400x300", Some(0), Some(127)),
        ("gravity/South/crop/!400x300a10a20", "400x300", Some(130), Some(107)),
        ("gravity/SouthEast/crop/!400x300a10a20", "400x300", Some(230), Some(107)),
        ("gravity/SouthEast/crop/!400x300-10-20", "390x280", Some(250), Some(147)),
    ] {
        let url = format!("/640x427.png?imageMogr2/{crop}");
        let answer = server.get(&url).await;
        assert_eq!(origin(&answer), (size.to_owned(), x, y), "{url}: {}", answer.summary());
    }
}

#[tokio::test]
async fn operations_run_in_the_order_written() {
    let server = server().await;
    for (fops, size) in [
        ("thumbnail/320x/crop/300x300", "300x214"),
        ("crop/300x300/thumbnail/320x", "320x320"),
        ("thumbnail/!50p|imageMogr2/rotate/90", "214x320"),
        (
            "auto-orient/thumbnail/!256x256r/gravity/center/crop/!256x256/blur/3x9/quality/80/rotate/45/background/b3Jhbmdl",
            "362x362",
        ),
    ] {
        let answer = server.get(&format!("/640x427.png?imageMogr2/{fops}")).await;
        let Size { width, height } = answer.image().size;
        let expected: Vec<u32> = size.split('x').map(|edge| edge.parse().unwrap()).collect();
        assert!(width.abs_diff(expected[0]) <= 2 && height.abs_diff(expected[1]) <= 2, "{fops}: {width}x{height}");
    }
}

#[tokio::test]
async fn rotation() {
    let server = server().await;
    for (degrees, size) in [
        ("90", "427x640"),
        ("180", "640x427"),
        ("270", "427x640"),
        ("360", "640x427"),
        ("-90", "427x640"),
        ("450", "427x640"),
    ] {
        let answer = server.get(&format!("/640x427.png?imageMogr2/rotate/{degrees}")).await;
        assert_eq!(answer.summary(), format!("png {size}"), "{degrees}");
    }
    let picture = server.get("/640x427.png?imageMogr2/rotate/90").await.pixels();
    assert_near(&picture, (100, 100), cards::BLUE, 2);
    let back = server.get("/640x427.png?imageMogr2/rotate/-90").await.pixels();
    assert_near(&back, (100, 100), cards::GREEN, 2);
    // The corners that a turned picture leaves free show the background, wherever in the command it is named.
    for background in ["rotate/45/background/b3Jhbmdl", "background/b3Jhbmdl/rotate/45"] {
        let picture = server.get(&format!("/640x427.png?imageMogr2/{background}")).await.pixels();
        let Size { width, height } = picture.size();
        assert!(width.abs_diff(756) <= 2 && height.abs_diff(757) <= 2, "{width}x{height}");
        assert_near(&picture, (3, 3), [255, 165, 0], 2);
        assert_near(&picture, (width / 2, height / 4), cards::RED, 2);
    }
    let white = server.get("/photo.jpg?imageMogr2/rotate/30").await.pixels();
    assert_near(&white, (2, 2), [255; 3], 4);
}

#[tokio::test]
async fn exif_orientation_is_applied_only_where_asked() {
    let server = server().await;
    // The corner colours after each orientation, clockwise from the top-left.
    let (r, g, b, y) = (cards::RED, cards::GREEN, cards::BLUE, cards::YELLOW);
    for (value, corners) in [
        (1, [r, g, y, b]),
        (2, [g, r, b, y]),
        (3, [y, b, r, g]),
        (4, [b, y, g, r]),
        (5, [r, b, y, g]),
        (6, [b, r, g, y]),
        (7, [y, g, r, b]),
        (8, [g, y, b, r]),
    ] {
        let answer = server.get(&format!("/turned-{value}.jpg?imageMogr2/auto-orient/thumbnail/!50p")).await;
        let header = answer.image();
        let expected = if value < 5 { Size::new(320, 214) } else { Size::new(214, 320) };
        assert_eq!(header.size, expected, "{value}");
        assert!(header.orientation.is_none_or(|orientation| orientation as u32 == 1), "{value}");
        let picture = answer.pixels();
        let (right, bottom) = (expected.width - 20, expected.height - 20);
        for (at, color) in [(20, 20), (right, 20), (right, bottom), (20, bottom)].into_iter().zip(corners) {
            assert_near(&picture, at, color, 12);
        }
        let kept = server.get(&format!("/turned-{value}.jpg?imageMogr2/thumbnail/!50p")).await.image();
        assert_eq!(kept.size, Size::new(320, 214), "{value}");
        assert_eq!(kept.orientation.map(|orientation| orientation as u32), Some(value), "{value}");
    }
    let stripped = server.get("/turned-6.jpg?imageMogr2/thumbnail/!50p/strip").await.image();
    assert_eq!(stripped.orientation, None);
}

#[tokio::test]
async fn extents_and_borders() {
    let server = server().await;
    for (fops, size) in [
        ("extent/800x600/background/cmVk", "800x600"),
        ("extent/!642x429/background/cmVk", "642x429"),
        ("extent/!100x100a10a10/background/cmVk", "100x100"),
        ("extent/!-3a0/background/cmVk", "643x427"),
        ("extent/!a3-0/background/cmVk", "643x427"),
        ("extent/!a0-3/background/cmVk", "640x430"),
        ("extent/!-0a3/background/cmVk", "640x430"),
        ("border/10x20/bordercolor/cmVk", "660x467"),
        ("thumbnail/400x800>/extent/400x800/background/d2hpdGU=", "400x800"),
    ] {
        let answer = server.get(&format!("/640x427.png?imageMogr2/{fops}")).await;
        assert_eq!(answer.summary(), format!("png {size}"), "{fops}");
    }
    let red = [255, 0, 0];
    let framed = server.get("/640x427.png?imageMogr2/extent/!642x429/background/cmVk").await.pixels();
    for at in [(0, 0), (641, 428), (0, 200), (300, 428)] {
        assert_near(&framed, at, red, 0);
    }
    assert_near(&framed, (1, 1), cards::RED, 0);
    assert_near(&framed, (640, 427), cards::YELLOW, 0);
    let left = server.get("/640x427.png?imageMogr2/extent/!-3a0/background/cmVk").await.pixels();
    assert_near(&left, (2, 0), red, 0);
    assert_near(&left, (3, 0), cards::RED, 0);
    let border = server.get("/640x427.png?imageMogr2/border/10x20/bordercolor/cmVk").await.pixels();
    assert_near(&border, (9, 100), red, 0);
    assert_near(&border, (10, 20), cards::RED, 0);
}

#[tokio::test]
async fn filters_leave_size_and_plain_areas_alone() {
    let server = server().await;
    for fops in ["blur/3x5", "blur/50x20.5", "sharpen/1", "sharpen/0"] {
        let answer = server.get(&format!("/640x427.png?imageMogr2/{fops}")).await;
        assert_eq!(answer.summary(), "png 640x427", "{fops}");
        assert_near(&answer.pixels(), (100, 100), cards::RED, 1);
    }
    let blurred = server.get("/640x427.png?imageMogr2/blur/20x10").await.pixels();
    let [r, g, _, _] = blurred.rgba_at(320, 100);
    assert!((80..190).contains(&r) && (80..150).contains(&g), "the border is not smooth: {r} {g}");
}

#[tokio::test]
async fn size_limits() {
    let server = server().await;
    let photo = std::fs::read(server.objects().join("photo.jpg")).unwrap();
    let free = server.get("/photo.jpg?imageMogr2/thumbnail/640x/quality/90!").await.body.len();
    // jpeg-encoder's codes are fixed, which flat cards show most.
    let bound = if cfg!(feature = "native") { free * 2 / 3 } else { free * 5 / 6 };
    let bounded = server.get(&format!("/photo.jpg?imageMogr2/quality/90!/size-limit/{bound}")).await;
    assert!(bounded.image().bytes <= bound as u64, "{} over {bound}", bounded.body.len());
    assert_eq!(server.get("/photo.jpg?imageMogr2/size-limit/1k").await.summary(), "jpeg 640x427");
    // `!`: over the bound, the source is the answer.
    for fops in ["size-limit/1!", "size-limit/1k!/format/png", "thumbnail/!400p/size-limit/$(fsize)!"] {
        assert_eq!(server.get(&format!("/photo.jpg?imageMogr2/{fops}")).await.body, photo, "{fops}");
    }
    assert_eq!(server.get("/photo.jpg?imageMogr2/thumbnail/!10p/size-limit/$(fsize)!").await.summary(), "jpeg 64x43");
}

/// SSIMULACRA2 of two pictures of one size.
fn ssim(left: &Answer, right: &Answer) -> f64 {
    use fast_ssim2::{PixelDescriptor, PixelSlice, compute_ssimulacra2};
    let [left, right] = [left, right].map(|answer| answer.pixels().into_layout(Layout::Rgb));
    let slice = |frame| {
        let frame: &Frame = frame;
        let Size { width, height } = frame.size();
        PixelSlice::new(frame.pixels(), width, height, frame.stride(), PixelDescriptor::RGB8_SRGB).unwrap()
    };
    compute_ssimulacra2(&slice(&left), &slice(&right)).unwrap()
}

/// Scores are measured against the same picture as PNG. Nothing stays in the cache here, so that the second request
/// makes its picture anew, with the quality that the first one found.
#[tokio::test]
async fn scores_are_reached_by_the_smallest_file() {
    let config = "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n[cache]\nmemory_bytes = 1\n";
    let lake = std::fs::read(photos().join("lake.jpg")).unwrap();
    let server = Server::configured(config, "", &[("lake.jpg", &lake)]).await;
    // Without libwebp, WebP is one of the formats that have no quality.
    for format in if cfg!(feature = "native") { &["jpg", "webp"][..] } else { &["jpg"] } {
        let url = |rest: &str| format!("/lake.jpg?imageMogr2/thumbnail/240x/{rest}");
        let finished = server.get(&url("format/png")).await;
        let mut bytes = 0;
        for score in ["50", "72.5", "85"] {
            let url = url(&format!("format/{format}/quality/ssim:{score}"));
            let answer = server.get(&url).await;
            let (reached, wanted) = (ssim(&finished, &answer), score.parse::<f64>().unwrap());
            assert!((wanted..wanted + 4.0).contains(&reached), "{format} {score}: {reached}");
            assert!(answer.body.len() > bytes, "{format} {score}: {} bytes after {bytes}", answer.body.len());
            bytes = answer.body.len();
            assert_eq!(server.get(&url).await.body, answer.body, "{format} {score}, with the quality known");
        }
    }
    // A bound in bytes comes before the score; a format without a quality has none.
    let bounded = server.get("/lake.jpg?imageMogr2/thumbnail/240x/quality/ssim:90/size-limit/6k").await;
    assert!(bounded.image().bytes <= 6 << 10, "{}", bounded.body.len());
    let png = server.get("/lake.jpg?imageMogr2/thumbnail/240x/format/png/quality/ssim:60").await;
    assert_eq!(png.body, server.get("/lake.jpg?imageMogr2/thumbnail/240x/format/png").await.body);
}

#[tokio::test]
async fn formats_and_alpha() {
    let server = server().await;
    let white = server.get("/disc.png?imageMogr2/format/jpg").await;
    assert_eq!(white.summary(), "jpeg 64x64");
    assert_near(&white.pixels(), (1, 1), [255; 3], 6);
    let orange = server.get("/disc.png?imageMogr2/format/jpg/background/b3Jhbmdl").await.pixels();
    assert_near(&orange, (1, 1), [255, 165, 0], 12);
    let kept = server.get("/disc.png?imageMogr2/thumbnail/!50p").await;
    assert!(kept.image().has_alpha);
    assert_eq!(kept.pixels().rgba_at(0, 0)[3], 0);
    assert_eq!(server.get("/loop.gif?imageMogr2/blur/3x5").await.image().frames, 3);
    assert_eq!(server.get("/photo.jpg?imageMogr/v2/auto-orient/thumbnail/100x100").await.summary(), "jpeg 100x67");
    assert_eq!(server.get("/photo.jpg?imageMogr/thumbnail/100x100").await.summary(), "jpeg 100x67");
}

#[tokio::test]
async fn refusals() {
    let server = server().await;
    for (fops, parts) in [
        ("thumbnail/0x", ["thumbnail", "\"0x\""]),
        ("thumbnail/10000x", ["thumbnail", "9999"]),
        ("thumbnail/!1000p", ["thumbnail", "999"]),
        ("thumbnail/!0p", ["thumbnail", "999"]),
        ("thumbnail/25000000@", ["thumbnail", "24999999"]),
        ("thumbnail/abc", ["thumbnail", "\"abc\""]),
        ("thumbnail", ["thumbnail", "missing"]),
        ("crop/0x0", ["crop", "\"0x0\""]),
        ("crop/!10x10a5", ["crop", "a5"]),
        ("crop/!10x10a700a0", ["crop", "outside"]),
        ("gravity/Up", ["gravity", "\"Up\""]),
        ("rotate/abc", ["rotate", "\"abc\""]),
        ("blur/0x5", ["blur", "50"]),
        ("blur/51x5", ["blur", "50"]),
        ("blur/5x0", ["blur", "\"5x0\""]),
        ("quality/0", ["quality", "100"]),
        ("quality/101!", ["quality", "100"]),
        ("quality/ssim:20", ["quality", "from 30 to 100"]),
        ("density/0", ["density", "1200"]),
        ("colors/300", ["colors", "256"]),
        ("interlace/yes", ["interlace", "\"yes\""]),
        ("format/heic", ["format", "\"heic\""]),
        ("size-limit/0", ["size-limit", "\"0\""]),
        ("background/!!", ["background", "!!"]),
        ("background/bm9jb2xvcg==", ["background", "bm9jb2xvcg=="]),
        ("extent/0x0", ["extent", "\"0x0\""]),
        ("thumbnal/50x", ["thumbnal", "thumbnail"]),
    ] {
        let answer = server.get(&format!("/640x427.png?imageMogr2/{fops}")).await;
        let error = answer.error();
        assert_eq!(answer.status, 400, "{fops}: {error}");
        for part in parts.iter().chain(&["imageMogr2"]) {
            assert!(error.contains(part), "{fops}: {error:?} does not name {part:?}");
        }
    }
    assert_eq!(server.get("/640x427.png?imageMogr2/thumbnail/9999x").await.status, 400, "too many pixels");
}

#[tokio::test]
async fn every_gravity_is_read_in_any_case() {
    let server = server().await;
    for gravity in Gravity::ALL {
        for name in [gravity.name().to_owned(), gravity.name().to_lowercase()] {
            let answer = server.get(&format!("/640x427.png?imageMogr2/gravity/{name}/crop/20x10")).await;
            assert_eq!(answer.summary(), "png 20x10", "{name}");
        }
    }
}
