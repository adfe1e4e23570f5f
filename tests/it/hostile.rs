//! Broken and hostile files and requests: a picture or a clear refusal, and the server serves on.

use image::ImageFormat;
use mogr::plan::output::OutputFormat;

use crate::cards;
use crate::server::{Answer, Server, photos};

const FOPS: [&str; 3] = ["imageView2/2/w/50", "imageInfo", "imageMogr2/auto-orient/thumbnail/!50p/format/png"];

/// No answer may be a fault of the server.
#[track_caller]
fn no_fault(answer: &Answer, what: &str) {
    let status = answer.status.as_u16();
    assert!(status < 500, "{what}: {status} {}", String::from_utf8_lossy(&answer.body));
    if status != 200 {
        assert!(!answer.error().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn truncated_examples_are_refused_or_rendered() {
    let server = Server::over(&[("good.png", &cards::png(cards::quadrants(64, 48)))]).await;
    let mut examples = 0;
    for entry in std::fs::read_dir(photos()).unwrap() {
        let path = entry.unwrap().path();
        let body = std::fs::read(&path).unwrap();
        if body.len() > 4 << 20 {
            continue;
        }
        examples += 1;
        for place in 0..64 {
            let length = body.len() * place / 64;
            std::fs::write(server.objects().join("cut"), &body[..length]).unwrap();
            let what = format!("{} cut to {length} bytes", path.display());
            no_fault(&server.get(&format!("/cut?imageView2/2/w/50&n={length}")).await, &what);
        }
        assert_eq!(server.get("/good.png?imageView2/2/w/32").await.summary(), "png 32x24");
    }
    assert!(examples >= 10, "only {examples} example pictures");
}

#[tokio::test]
async fn truncated_cards_of_every_format() {
    let card = cards::quadrants(97, 61);
    let files = [
        cards::jpeg(&card, 85),
        cards::png(card.clone()),
        cards::webp(&card),
        cards::encoded(card.clone(), ImageFormat::Bmp),
        cards::encoded(card.clone(), ImageFormat::Tiff),
        cards::animation(60, 40, 4, OutputFormat::Gif),
        cards::moving_webp(60, 40),
    ];
    let server = Server::over(&[]).await;
    for (index, file) in files.iter().enumerate() {
        for place in 0..64 {
            std::fs::write(server.objects().join("cut"), &file[..file.len() * place / 64]).unwrap();
            for fops in FOPS {
                no_fault(&server.get(&format!("/cut?{fops}")).await, &format!("file {index} at {place}/64, {fops}"));
            }
        }
        std::fs::write(server.objects().join("cut"), file).unwrap();
        assert_eq!(server.get("/cut?imageView2/2/w/50/format/png").await.status, 200, "file {index}");
    }
}

#[tokio::test]
async fn flipped_bytes_never_crash() {
    let card = cards::quadrants(97, 61);
    let files = [
        cards::jpeg(&card, 85),
        cards::png(card.clone()),
        cards::webp(&card),
        cards::animation(60, 40, 3, OutputFormat::Gif),
    ];
    let server = Server::over(&[]).await;
    // A small generator of its own (xorshift): the same mutations on every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for (index, file) in files.iter().enumerate() {
        for round in 0..60 {
            let mut broken = file.clone();
            for _ in 0..=random(8) {
                let at = random(broken.len());
                broken[at] = random(256) as u8;
            }
            std::fs::write(server.objects().join("flipped"), &broken).unwrap();
            no_fault(&server.get("/flipped?imageView2/2/w/50").await, &format!("file {index}, round {round}"));
        }
    }
}

/// A PNG header that promises this size, with next to no data behind it.
fn png_promising(width: u32, height: u32) -> Vec<u8> {
    let mut png = cards::png(cards::quadrants(8, 8));
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[tokio::test]
async fn promises_of_huge_pictures_are_refused_by_their_headers() {
    let mut jpeg = cards::jpeg(&cards::quadrants(16, 16), 80);
    let sof = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[sof + 5..sof + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    let mut gif = cards::animation(16, 16, 1, OutputFormat::Gif);
    gif[6..10].copy_from_slice(&[0x60, 0xea, 0x60, 0xea]);
    let mut bmp = cards::encoded(cards::quadrants(16, 16), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    let server = Server::over(&[
        ("good.png", &cards::png(cards::quadrants(64, 48))),
        ("huge.png", &png_promising(60_000, 60_000)),
        ("long.png", &png_promising(40_000, 10)),
        ("wide.png", &png_promising(20_000, 20_000)),
        ("huge.jpg", &jpeg),
        ("huge.gif", &gif),
        ("huge.bmp", &bmp),
    ])
    .await;
    for name in ["huge.png", "long.png", "wide.png", "huge.jpg", "huge.gif", "huge.bmp"] {
        let answer = server.get(&format!("/{name}?imageView2/2/w/50")).await;
        let error = answer.error();
        assert_eq!(answer.status, 400, "{name}: {error}");
        assert!(error.contains("over the limit of"), "{name}: {error}");
        assert_eq!(server.get("/good.png?imageView2/2/w/32").await.summary(), "png 32x24");
    }
}

#[tokio::test]
async fn results_over_the_limits_are_refused() {
    let server = Server::over(&[("card.png", &cards::png(cards::quadrants(100, 100)))]).await;
    for (fops, part) in [
        ("imageMogr2/thumbnail/9000x9000", "result pixels: 81000000, over the limit of 24999999"),
        ("imageMogr2/thumbnail/!999p|imageMogr2/thumbnail/!999p|imageMogr2/thumbnail/!999p", "over the limit of"),
        ("imageMogr2/extent/9999x9999", "result pixels"),
        ("imageMogr2/border/9000x1", "result edge"),
    ] {
        let answer = server.get(&format!("/card.png?{fops}")).await;
        assert_eq!(answer.status, 400, "{fops}");
        assert!(answer.error().contains(part), "{fops}: {}", answer.error());
    }
    let many = vec!["imageView2/2/w/50"; 200].join("|");
    assert_eq!(server.get(&format!("/card.png?{many}")).await.status, 400);
}

#[tokio::test]
async fn odd_requests_are_answered() {
    let server = Server::over(&[("card.png", &cards::png(cards::quadrants(100, 100)))]).await;
    for path in [
        "/card.png?imageView2/2/w/50|",
        "/card.png?|imageView2/2/w/50",
        "/card.png?imageView2//w/50",
        "/card.png?imageView2/2/w/50&imageView2/2/w/60",
        "/card.png?%",
        "/card.png?%zz",
        "/card.png?imageView2/2/w/%zz",
        "/card.png?imageView2/2/w/99999999999999999999",
        "/card.png?imageMogr2/crop/!99999999999x1a1a1",
        "/?",
        "/",
        "/??",
        "/card.png?watermark/2/text//fontsize/1",
        "/card.png?imageMogr2/blur/5xNaN",
        "/card.png?imageMogr2/blur/5xinf",
        "/card.png?imageMogr2/rotate/-99999999999",
        "/card.png?imageMogr2/size-limit/99999999999999999999k",
    ] {
        no_fault(&server.get(path).await, path);
    }
    let long = format!("/card.png?imageView2/2/w/50&x={}", "a".repeat(200_000));
    let answer = server.raw(&format!("GET {long} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(server.get("/card.png?imageView2/2/w/50").await.summary(), "png 50x50");
}

#[tokio::test]
async fn slow_work_ends_at_its_deadline() {
    let card = cards::jpeg(&cards::quadrants(4000, 3000), 80);
    let config = "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n[limits]\ntime = \"20ms\"\n";
    let server =
        Server::configured(config, "", &[("big.jpg", &card), ("small.png", &cards::png(cards::quadrants(8, 8)))]).await;
    let answer = server.get("/big.jpg?imageMogr2/blur/50x50|imageMogr2/blur/50x50").await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (504, "the request took longer than 0.02 s"));
}

#[tokio::test]
async fn a_full_queue_refuses_and_serves_on() {
    let card = cards::jpeg(&cards::quadrants(3000, 2000), 80);
    let config =
        "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n[limits]\nqueue = 1\nworkers = 1\ntime = \"120s\"\n";
    let server = Server::configured(config, "", &[("big.jpg", &card)]).await;
    let ask = |n: usize| server.get(Box::leak(format!("/big.jpg?imageMogr2/blur/20x{}", n + 1).into_boxed_str()));
    let answers = futures::future::join_all((0..8).map(ask)).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(200) + count(503), 8);
    assert!(count(200) >= 1 && count(503) >= 1, "{} served, {} refused", count(200), count(503));
    let refused = answers.iter().find(|answer| answer.status == 503).unwrap();
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(server.get("/big.jpg?imageView2/2/w/100").await.status, 200);
}

#[tokio::test]
async fn pipelines_name_few_pictures() {
    let server = Server::over(&[("card.png", &cards::png(cards::quadrants(100, 100)))]).await;
    let mark = |marks: usize| format!("watermark/3/{}", vec!["image/Y2FyZC5wbmc="; marks].join("/"));
    let pipeline = |fops: usize, marks| vec![mark(marks); fops].join("|");
    assert_eq!(server.get(&format!("/card.png?{}", pipeline(4, 8))).await.summary(), "png 100x100");
    let answer = server.get(&format!("/card.png?{}", pipeline(3, 11))).await;
    assert_eq!(answer.summary(), "400 the watermarks of a pipeline name at most 32 pictures; these name 33");
}

#[tokio::test]
async fn results_have_a_size() {
    let noise = image::RgbImage::from_fn(256, 256, |x, y| {
        let n = x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b);
        image::Rgb([n as u8, (n >> 8) as u8, (n >> 16) as u8].map(|byte| byte.wrapping_mul(97)))
    });
    let moving = cards::animation(100, 100, 10, OutputFormat::Gif);
    let config = "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n[limits]\noutput_bytes = \"10KiB\"\nanimation_pixels = 200000\n";
    let server = Server::configured(config, "", &[("noise.png", &cards::png(noise)), ("moving.gif", &moving)]).await;
    let answer = server.get("/noise.png?imageMogr2/blur/1x1/format/png").await;
    assert!(answer.status == 400 && answer.error().starts_with("result bytes: "), "{}", answer.text());
    assert_eq!(server.get("/noise.png?imageView2/2/w/20").await.status, 200);
    let answer = server.get("/moving.gif?imageMogr2/thumbnail/300x300").await;
    assert_eq!(answer.summary(), "400 result pixels of all frames: 900000, over the limit of 200000");
}
