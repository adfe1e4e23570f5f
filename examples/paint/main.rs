//! Paints the example pictures: `cargo run --release --example paint -- [--panorama] [--only NAME] [DIR]`.
//!
//! Everything is made of formulas and hashed noise, so the same program writes the same pictures. Together the files
//! hold what an image server meets: orientation and place in EXIF, progressive scans, four inks, a wide gamut,
//! palettes, 16 bits, alpha, animation, and names that need care in a URL.

mod march;
mod noise;
mod picture;
mod scene;
mod vector;
mod write;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use picture::Picture;
use scene::{fabric, flower, fruit, harbour, lake, marks, portrait, shore, spring};
use write::{Bytes, Jpeg, PLAIN};

/// One file: its name, what is special about it, and how it is written.
struct Work {
    name: &'static str,
    special: &'static str,
    write: fn(&Path) -> Result<()>,
}

const WORKS: [Work; 14] = [
    Work { name: "lake.jpg", special: "baseline 4:2:0", write: write_lake },
    Work { name: "portrait.jpg", special: "EXIF orientation 6, exposure, GPS", write: write_portrait },
    Work { name: "harbour.jpg", special: "progressive", write: write_harbour },
    Work { name: "fruit-cmyk.jpg", special: "CMYK, Adobe marker, inverted", write: write_fruit },
    Work { name: "flower-p3.jpg", special: "Display P3 profile, colors outside sRGB", write: write_flower },
    Work { name: "春天.jpg", special: "name outside ASCII", write: write_spring },
    Work { name: "a b+c%20d.jpg", special: "space, plus and percent in the name", write: write_fabric },
    Work { name: "shore.webp", special: "lossy", write: write_shore },
    Work { name: "badge.webp", special: "lossless with alpha", write: write_badge },
    Work { name: "spinner.webp", special: "animated, 24 frames with alpha", write: write_spinner },
    Work { name: "waves.gif", special: "animated, 20 frames, a palette each, loops for ever", write: write_waves },
    Work { name: "logo.png", special: "RGBA with soft edges", write: write_logo },
    Work { name: "palette.png", special: "indexed, palette with transparency", write: write_palette },
    Work { name: "gradient-16.png", special: "RGB, 16 bits", write: write_gradients },
];

const PANORAMA: Work = Work { name: "panorama.jpg", special: "24 megapixels", write: write_panorama };

fn main() -> Result<()> {
    let (mut directory, mut panorama, mut only) = (PathBuf::from("examples/photos"), false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--panorama" => panorama = true,
            "--only" => only = arguments.next(),
            option if option.starts_with('-') => bail!("unknown option {option}; known: --panorama, --only NAME"),
            path => directory = path.into(),
        }
    }
    std::fs::create_dir_all(&directory)?;
    let chosen = |work: &&Work| only.as_ref().is_none_or(|name| work.name.contains(name.as_str()));
    let works = if panorama { std::slice::from_ref(&PANORAMA) } else { &WORKS[..] };
    works.iter().filter(chosen).try_for_each(|work| produce(work, &directory))
}

#[expect(clippy::print_stdout, reason = "the list of files is this program's output")]
fn produce(work: &Work, directory: &Path) -> Result<()> {
    let (path, start) = (directory.join(work.name), std::time::Instant::now());
    (work.write)(&path)?;
    let (bytes, seconds) = (std::fs::metadata(&path)?.len(), start.elapsed().as_secs_f32());
    println!("{:>9} bytes {seconds:5.1} s  {}: {}", bytes, path.display(), work.special);
    Ok(())
}

/// Develops with a stop and a grain that suit the picture.
fn develop(picture: &Picture, exposure: f32, grain: f32) -> Bytes {
    Bytes { width: picture.width, height: picture.height, data: picture.develop(exposure, grain) }
}

fn write_lake(path: &Path) -> Result<()> {
    write::jpeg(path, &develop(&lake::paint(2400, 1600, 2), 0.75, 0.012), &PLAIN)
}

fn write_panorama(path: &Path) -> Result<()> {
    write::jpeg(path, &develop(&lake::paint(6000, 4000, 1), 0.75, 0.012), &PLAIN)
}

fn write_portrait(path: &Path) -> Result<()> {
    let upright = portrait::paint(1200, 1600, 3);
    let style = Jpeg { exif: Some(write::camera_notes()?), ..PLAIN };
    write::jpeg(path, &develop(&upright.turn_left(), 1.0, 0.015), &style)
}

fn write_harbour(path: &Path) -> Result<()> {
    write::jpeg(path, &develop(&harbour::paint(2000, 1333, 2), 1.0, 0.012), &Jpeg { progressive: true, ..PLAIN })
}

fn write_fruit(path: &Path) -> Result<()> {
    write::jpeg_cmyk(path, &develop(&fruit::paint(1200, 800, 3), 1.2, 0.012))
}

fn write_flower(path: &Path) -> Result<()> {
    let icc = moxcms::ColorProfile::new_display_p3().encode()?;
    write::jpeg(path, &develop(&flower::paint(1500, 1000, 3), 1.1, 0.012), &Jpeg { icc: Some(icc), ..PLAIN })
}

fn write_spring(path: &Path) -> Result<()> {
    write::jpeg(path, &develop(&spring::paint(800, 533, 2), 1.0, 0.012), &PLAIN)
}

fn write_fabric(path: &Path) -> Result<()> {
    write::jpeg(path, &develop(&fabric::paint(400, 267, 4), 1.0, 0.012), &PLAIN)
}

fn write_shore(path: &Path) -> Result<()> {
    write::webp_lossy(path, &develop(&shore::paint(1600, 1067, 3), 1.0, 0.016), 88.0)
}

fn write_badge(path: &Path) -> Result<()> {
    write::webp_lossless(path, &marks::badge(400))
}

fn write_spinner(path: &Path) -> Result<()> {
    write::webp_animated(path, &marks::spinner(240, 24), 50)
}

fn write_waves(path: &Path) -> Result<()> {
    let frames: Vec<_> = (0..20).map(|i| develop(&marks::waves(320, 214, i as f32 / 20.0), 1.3, 0.0)).collect();
    write::gif(path, &frames, 80, 96)
}

fn write_logo(path: &Path) -> Result<()> {
    write::png(path, &marks::logo(320), png::ColorType::Rgba, png::BitDepth::Eight)
}

fn write_palette(path: &Path) -> Result<()> {
    write::png_indexed(path, &marks::palette(480), 128)
}

fn write_gradients(path: &Path) -> Result<()> {
    write::png(path, &marks::gradients(360, 240), png::ColorType::Rgb, png::BitDepth::Sixteen)
}
