//! Orientations and turns: of every format that carries EXIF data, and of JPEG without loss.

use image::RgbImage;
use mogr::engine::image::Frame;
use mogr::engine::op::rotate;
use mogr::geometry::{Orientation, Size};
use mogr::plan::output::OutputFormat;

use crate::cards;
use crate::server::{Server, assert_near, frame};

/// Colours, grain and edges, so that an encoder would lose something.
fn grained(width: u32, height: u32) -> RgbImage {
    let mut grain = 1_u32;
    RgbImage::from_fn(width, height, |x, y| {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (grain >> 27) as u8;
        image::Rgb([(x * 2) as u8 + noise, (y * 2) as u8 + noise, if (x + y) % 23 < 5 { 200 } else { 40 + noise }])
    })
}

/// Largest difference of two pictures.
fn difference(left: &Frame, right: &Frame) -> u8 {
    assert_eq!((left.size(), left.layout()), (right.size(), right.layout()));
    left.pixels().iter().zip(right.pixels()).map(|(left, right)| left.abs_diff(*right)).max().unwrap_or(0)
}

#[tokio::test]
async fn jpegs_are_turned_without_loss() {
    // 4:4:4 in units of 8 pixels at 96, 4:2:0 in units of 16 at 80.
    for (size, quality) in [((104, 72), 96), ((112, 80), 80)] {
        let file = cards::jpeg(&grained(size.0, size.1), quality);
        let stored = frame(&file);
        for orientation in Orientation::ALL {
            let name = "stored.jpg";
            let server = Server::over(&[(name, &cards::oriented(&file, orientation as u8))]).await;
            let answer = server.get(&format!("/{name}?imageMogr2/auto-orient/quality/100")).await;
            let header = answer.image();
            assert_eq!(header.jpeg_quality, Some(quality), "{orientation:?}");
            assert!(header.orientation.is_none_or(|left| left == Orientation::TopLeft), "{orientation:?}");
            let upright = rotate::orient(stored.clone(), orientation);
            assert!(difference(&answer.pixels(), &upright) <= 4, "{orientation:?} at {quality}");
            // Back by the same way: with nothing lost, nothing differs.
            std::fs::write(server.objects().join("back.jpg"), cards::oriented(&answer.body, back(orientation) as u8))
                .unwrap();
            let twice = server.get("/back.jpg?imageView2/2/w/500/q/100").await;
            assert_eq!(twice.pixels(), stored, "{orientation:?} at {quality}, there and back");
        }
    }
}

fn back(orientation: Orientation) -> Orientation {
    Orientation::ALL.into_iter().find(|other| orientation.then(*other) == Orientation::TopLeft).unwrap()
}

#[tokio::test]
async fn other_jpegs_are_turned_with_loss() {
    let even = cards::oriented(&cards::jpeg(&grained(112, 80), 80), 6);
    let odd = cards::oriented(&cards::jpeg(&grained(112, 75), 80), 6);
    let server = Server::over(&[("even.jpg", &even), ("odd.jpg", &odd)]).await;
    for (url, size, quality) in [
        ("/even.jpg?imageMogr2/auto-orient/quality/60", (80, 112), 60),
        ("/even.jpg?imageMogr2/auto-orient", (80, 112), 75),
        ("/even.jpg?imageMogr2/auto-orient/quality/90!", (80, 112), 90),
        // A unit that the picture fills in part would come to stand at its left.
        ("/odd.jpg?imageMogr2/auto-orient/quality/100", (75, 112), 80),
        ("/odd.jpg?imageMogr2/auto-orient/crop/!32x32a10a10/quality/80", (32, 32), 80),
    ] {
        let answer = server.get(url).await;
        let header = answer.image();
        assert_eq!((header.size, header.jpeg_quality), (Size::new(size.0, size.1), Some(quality)), "{url}");
        assert!(header.orientation.is_none_or(|left| left == Orientation::TopLeft), "{url}");
    }
    let part = server.get("/even.jpg?imageMogr2/auto-orient/crop/!48x64a16a16/quality/80").await;
    let upright = rotate::orient(frame(&even), Orientation::RightTop);
    let cut = mogr::engine::op::crop::crop(upright, mogr::geometry::Rect { x: 16, y: 16, size: Size::new(48, 64) });
    assert_eq!(part.image().size, Size::new(48, 64));
    // At the edges chroma is brought to full size without its neighbours.
    let inner = |frame: Frame| {
        mogr::engine::op::crop::crop(frame, mogr::geometry::Rect { x: 2, y: 2, size: Size::new(44, 60) })
    };
    assert!(difference(&inner(part.pixels()), &inner(cut)) <= 4);
}

/// The corner colours of [`cards::quadrants`] after each orientation, clockwise from the top-left.
fn corners(orientation: Orientation) -> [[u8; 3]; 4] {
    let (r, g, b, y) = (cards::RED, cards::GREEN, cards::BLUE, cards::YELLOW);
    match orientation {
        Orientation::TopLeft => [r, g, y, b],
        Orientation::TopRight => [g, r, b, y],
        Orientation::BottomRight => [y, b, r, g],
        Orientation::BottomLeft => [b, y, g, r],
        Orientation::LeftTop => [r, b, y, g],
        Orientation::RightTop => [b, r, g, y],
        Orientation::RightBottom => [y, g, r, b],
        Orientation::LeftBottom => [g, y, b, r],
    }
}

#[tokio::test]
async fn every_format_stands_upright() {
    let card = cards::quadrants(96, 64);
    let formats = [OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::Webp, OutputFormat::Tiff, OutputFormat::Avif];
    for format in formats.into_iter().filter(|format| format.is_built_in()) {
        for orientation in Orientation::ALL {
            let (name, value) = (format.name(), orientation as u8);
            let file = match format {
                OutputFormat::Tiff => cards::oriented_tiff(&card, value),
                _ => cards::with_orientation(&card, format, value),
            };
            let server = Server::over(&[("card", &file)]).await;
            let upright = orientation.display_size(Size::new(96, 64));
            for fops in ["imageMogr2/auto-orient", "imageView2/2/w/1000", "imageMogr2/auto-orient/thumbnail/!50p"] {
                let answer = server.get(&format!("/card?{fops}/format/png")).await;
                let size =
                    if fops.contains("50p") { Size::new(upright.width / 2, upright.height / 2) } else { upright };
                let picture = answer.pixels();
                assert_eq!(picture.size(), size, "{name} {value} {fops}");
                let left = answer.image().orientation;
                assert!(left.is_none_or(|left| left == Orientation::TopLeft), "{name} {value} {fops}: {left:?}");
                let (right, bottom) = (size.width - 8, size.height - 8);
                for (at, color) in
                    [(8, 8), (right, 8), (right, bottom), (8, bottom)].into_iter().zip(corners(orientation))
                {
                    assert_near(&picture, at, color, 16);
                }
            }
            // Where nobody asks for it, the picture stays as it is stored.
            let stored = server.get("/card?imageMogr2/format/png").await.pixels();
            assert_eq!(stored.size(), Size::new(96, 64), "{name} {value}");
            assert_near(&stored, (8, 8), cards::RED, 16);
        }
    }
}
