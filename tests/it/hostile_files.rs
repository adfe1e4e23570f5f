//! Files made to harm: refused, or served, in bounded time and memory by a server that goes on.

use std::time::{Duration, Instant};

use mogr::plan::output::OutputFormat;

use crate::cards;
use crate::process::Process;

/// The zlib stream of this many megabytes of nothing.
fn deflated_zeros(megabytes: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 1 << 20, megabytes);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![0; (megabytes as usize) << 20]).unwrap();
    drop(writer);
    chunks(&file).into_iter().filter(|(name, _)| name == b"IDAT").flat_map(|(_, data)| data).collect()
}

fn chunks(png: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let (mut rest, mut found) = (&png[8..], Vec::new());
    while rest.len() >= 12 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        found.push((rest[4..8].try_into().unwrap(), rest[8..8 + length].to_vec()));
        rest = &rest[12 + length..];
    }
    found
}

fn written(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in chunks {
        png.extend((data.len() as u32).to_be_bytes());
        let body = [name.as_slice(), data].concat();
        png.extend(&body);
        png.extend(crc32fast::hash(&body).to_be_bytes());
    }
    png
}

/// A small PNG with one more chunk before its pixels.
fn png_with(name: [u8; 4], data: Vec<u8>) -> Vec<u8> {
    let mut all = chunks(&cards::png(cards::quadrants(64, 48)));
    all.insert(1, (name, data));
    written(&all)
}

/// A PNG of 8 x 8 whose pixels unpack to far more.
fn png_overfull(bomb: &[u8]) -> Vec<u8> {
    let mut all = chunks(&cards::png(cards::quadrants(8, 8)));
    for (name, data) in &mut all {
        if name == b"IDAT" {
            *data = bomb.to_vec();
        }
    }
    written(&all)
}

fn png_promising(width: u32, height: u32) -> Vec<u8> {
    let mut all = chunks(&cards::png(cards::quadrants(8, 8)));
    all[0].1[..4].copy_from_slice(&width.to_be_bytes());
    all[0].1[4..8].copy_from_slice(&height.to_be_bytes());
    written(&all)
}

/// A GIF of this many frames of a pixel on a large screen.
fn gif_of_frames(frames: usize, edge: u16) -> Vec<u8> {
    let mut gif = b"GIF89a".to_vec();
    gif.extend([edge.to_le_bytes(), edge.to_le_bytes()].concat());
    gif.extend([0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
    for _ in 0..frames {
        gif.extend([0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0]);
    }
    gif.push(0x3b);
    gif
}

/// A TIFF of directories: `next` tells where the one after each is.
fn tiff(directories: u32, next: impl Fn(u32) -> u32) -> Vec<u8> {
    let mut file = b"II\x2a\0\x08\0\0\0".to_vec();
    for number in 0..directories {
        // One entry: SubIFDs that lead to the same place.
        let next = next(number);
        file.extend([1, 0]);
        file.extend([0x4a, 0x01, 4, 0, 1, 0, 0, 0]);
        file.extend(next.to_le_bytes());
        file.extend(next.to_le_bytes());
    }
    file
}

const TIFF_HEAD: u32 = 8;
const TIFF_DIRECTORY: u32 = 18;

/// A JPEG with this EXIF block.
fn jpeg_with_exif(tiff: &[u8]) -> Vec<u8> {
    let jpeg = cards::jpeg(&cards::quadrants(64, 48), 80);
    let body = [b"Exif\0\0".as_slice(), tiff].concat();
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &body, &jpeg[2..]].concat()
}

/// A WebP whose header promises 16384 x 16384.
fn webp_promising() -> Vec<u8> {
    let mut body = b"WEBPVP8X\x0a\0\0\0\0\0\0\0".to_vec();
    body.extend([0xff, 0x3f, 0, 0xff, 0x3f, 0]);
    body.extend(b"VP8L\x05\0\0\0\x2f\xff\xff\xff\x0f\0");
    [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

fn bmp_promising() -> Vec<u8> {
    let mut bmp = cards::encoded(cards::quadrants(16, 16), image::ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&0x8000_0000_u32.to_le_bytes());
    bmp
}

const ICON: [u8; 23] = [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 32, 0, 255, 255, 255, 255, 22, 0, 0, 0, 0];

const SVG: &str = "<?xml version=\"1.0\"?><!DOCTYPE svg [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">\
<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100000\" height=\"100000\"><text>&c;&x;</text>\
<image href=\"http://169.254.169.254/latest/meta-data\" width=\"9\" height=\"9\"/></svg>";

/// Every file, and whether something can be made of it.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let bomb = deflated_zeros(256);
    let profile = [b"icc\0\0".as_slice(), &bomb].concat();
    let text = [b"comment\0\0".as_slice(), &bomb].concat();
    let international = [b"XML:com.adobe.xmp\0\x01\0\0\0".as_slice(), &bomb].concat();
    let endless = |_| TIFF_HEAD;
    let deep = |number: u32| TIFF_HEAD + (number + 1) * TIFF_DIRECTORY;
    let mut exif_counts = tiff(1, endless);
    exif_counts[14..18].copy_from_slice(&u32::MAX.to_le_bytes());
    vec![
        ("huge.png", png_promising(0x7fff_ffff, 0x7fff_ffff)),
        ("wide.png", png_promising(30_000, 30_000)),
        ("long.png", png_promising(1, 0x7fff_ffff)),
        ("empty.png", png_promising(0, 0)),
        ("overfull.png", png_overfull(&bomb)),
        ("profile.png", png_with(*b"iCCP", profile)),
        ("text.png", png_with(*b"zTXt", text)),
        ("international.png", png_with(*b"iTXt", international)),
        ("exif.png", png_with(*b"eXIf", tiff(1, endless))),
        ("frames.gif", gif_of_frames(100_000, 1)),
        ("screen.gif", gif_of_frames(2000, 10_000)),
        ("screen-max.gif", gif_of_frames(2, u16::MAX)),
        ("huge.webp", webp_promising()),
        ("huge.bmp", bmp_promising()),
        ("icon.ico", ICON.to_vec()),
        ("loop.tif", tiff(1, endless)),
        ("deep.tif", tiff(50_000, deep)),
        ("loop-exif.jpg", jpeg_with_exif(&tiff(1, endless))),
        ("deep-exif.jpg", jpeg_with_exif(&tiff(3000, deep))),
        ("counts-exif.jpg", jpeg_with_exif(&exif_counts)),
        ("entities.svg", SVG.as_bytes().to_vec()),
        ("moving.gif", [cards::animation(60, 40, 3, OutputFormat::Gif), vec![0; 1 << 20]].concat()),
    ]
}

const FOPS: [&str; 4] = ["imageView2/2/w/50", "imageInfo", "exif", "imageMogr2/thumbnail/9000x/format/webp"];

/// Memory that the server may take at most, in MiB: far less than what these files unpack to, all together.
#[cfg(target_os = "linux")]
const MOST_MIB: u64 = 700;
/// Time that any of them may take, on a busy machine and unoptimised.
const MOST_TIME: Duration = Duration::from_secs(20);

#[tokio::test]
async fn files_made_to_harm_do_none() {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    std::fs::create_dir(&objects).unwrap();
    let files = files();
    for (name, body) in &files {
        std::fs::write(objects.join(name), body).unwrap();
    }
    std::fs::write(objects.join("good.png"), cards::png(cards::quadrants(64, 48))).unwrap();
    let url = url::Url::from_directory_path(&objects).unwrap();
    let config = format!("[buckets.default]\nurl = \"{url}\"\ndomains = [\"*\"]\n[limits]\nworkers = 1\n");
    std::fs::write(folder.path().join("mogr.toml"), config).unwrap();
    let server = Process::start(folder.path(), &[]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (name, _) in &files {
        for fops in FOPS {
            let started = Instant::now();
            let asked = client.get(format!("http://{}/{name}?{fops}", server.delivery)).send().await.unwrap();
            let status = asked.status().as_u16();
            let body = asked.bytes().await.unwrap();
            let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
            // A request that takes its time is cut off by the limit of time, which is an answer too.
            assert!(matches!(status, 200 | 400 | 404 | 504), "{name} {fops}: {status} {text}");
            assert!(started.elapsed() < MOST_TIME, "{name} {fops}: {:?}", started.elapsed());
        }
        let good = client.get(format!("http://{}/good.png?imageView2/2/w/32&{name}", server.delivery));
        assert_eq!(good.send().await.unwrap().status(), 200, "after {name}");
    }
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let mib = line.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 10;
        assert!(mib < MOST_MIB, "{mib} MiB");
    }
    let log = server.stop();
    assert!(!log.contains("panicked"), "{log}");
}
