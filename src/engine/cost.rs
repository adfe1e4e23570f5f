//! What a program takes: memory at its peak and pixels touched, from sizes alone.
//!
//! Admission relies on it, so a test holds it against what is allocated (`tests/it/memory.rs`). Where memory depends on
//! what a picture shows, because it depends on how well that compresses, the constants are those of photographs. Where a
//! JPEG's data turns out to be odd, and the general decoder takes over, it can be more.
//!
//! The test holds the codecs of the feature `native` to it. What those in Rust take more is put in by [`pure`]: there no
//! prediction is too low by more than a quarter, but some are too high.

use super::encode::{self, score};
use super::image::{ColorModel, Depth, Format, Header, Sampling};
use super::op::{blend, resample, resize, resize_deep};
use super::predict;
use super::program::{Answer, Cost, ImageOutput, Program, Step};
use crate::geometry::Size;
use crate::plan::Seen;
use crate::plan::output::{OutputFormat, QualityTarget};

/// Scratch that every picture takes: tables, codec state, small buffers.
const FIXED_BYTES: u64 = 128 << 10;

/// A transform between colour spaces: a profile and the tables made of it.
const PROFILE_BYTES: u64 = 3 << 20;

/// Tables of the lossless coder that WebP uses for alpha, and for what moves.
const WEBP_ALPHA_BYTES: u64 = 800 << 10;
const WEBP_ANIMATION_BYTES: u64 = 1600 << 10;

/// What the PNG decoder holds of rows and of packed data.
const PNG_DECODER_BYTES: u64 = 256 << 10;

/// Tables of the palette search.
const GIF_BYTES: u64 = 640 << 10;

/// What the search for a palette takes for each pixel.
const PALETTE_BYTES: u64 = 30;

/// Bytes that only the codecs in Rust take.
const fn pure(bytes: u64) -> u64 {
    if cfg!(feature = "native") { 0 } else { bytes }
}

/// Memory and pixels of `program`, with the headers of the plan's pictures in painting order.
pub(super) fn cost(program: &Program, pictures: &[Header]) -> Cost {
    if program.is_header_only() {
        return Cost { memory_bytes: program.source.bytes, pixels: 0, time: predict::time(program) };
    }
    if let Some(turn) = &program.lossless {
        return Cost {
            memory_bytes: program.source.bytes + FIXED_BYTES + turn.memory_bytes(program.source.bytes),
            pixels: program.source.size.area() + program.size.area(),
            time: predict::time(program),
        };
    }
    let mut tally = Tally { marks: 0, peak: 0, pixels: 0 };
    tally.prepare(program, pictures);
    let picture = tally.load(program);
    let left = &program.steps[program.steps_while_loading()..];
    let finished = match program.planes {
        Some(start) if start.is_all => picture,
        _ => left.iter().fold(picture, |picture, step| tally.step(step, picture)),
    };
    match &program.answer {
        Answer::Image(output) | Answer::Info(Some(output)) => {
            tally.at_once(finished.bytes() + encoder_bytes(program, output, finished));
        }
        Answer::Seen(Seen::Colors(_)) => tally.at_once(finished.bytes() + finished.size.area() * PALETTE_BYTES),
        _ => {}
    }
    Cost {
        memory_bytes: program.source.bytes + FIXED_BYTES + tally.peak,
        pixels: tally.pixels.saturating_mul(u64::from(program.frames())),
        time: predict::time(program),
    }
}

/// Bytes of all frames that a program makes of one, from the loaded one on: where it shares each of them with other programs,
/// all are held at once. Planes that are encoded as they are become none.
pub(super) fn frames_bytes(program: &Program) -> u64 {
    let (loaded, done) = match &program.planes {
        Some(start) if start.is_all => return 0,
        Some(start) => (start.load.view.size(), start.steps),
        None => (program.decoded_size(), 0),
    };
    let pixel_bytes = 4 * program.depth.bytes();
    let frame = |size: Size| size.area() * pixel_bytes;
    let mut size = loaded;
    let steps = program.steps[done..].iter().map(|step| {
        size = step.result_size(size);
        frame(size)
    });
    channels(&program.source) * program.depth.bytes() * loaded.area() + steps.sum::<u64>()
}

/// A picture in memory: its size, and bytes for every two pixels (coarse chroma has half a byte a pixel).
#[derive(Clone, Copy)]
struct Picture {
    size: Size,
    bytes_per_pair: u64,
    depth: Depth,
}

impl Picture {
    fn interleaved(size: Size, channels: u64, depth: Depth) -> Self {
        Self { size, bytes_per_pair: 2 * channels * depth.bytes(), depth }
    }

    fn bytes(self) -> u64 {
        self.size.area() * self.bytes_per_pair / 2
    }

    fn channels(self) -> u64 {
        self.bytes_per_pair / self.depth.bytes() / 2
    }
}

/// Counts while a program goes on.
struct Tally {
    /// Marks that wait to be painted.
    marks: u64,
    peak: u64,
    pixels: u64,
}

impl Tally {
    /// So much is there at the same time, beside the marks.
    fn at_once(&mut self, bytes: u64) {
        self.peak = self.peak.max(self.marks + bytes);
    }

    /// Marks are decoded and scaled before everything else; texts fit a line or two, or cover the picture.
    fn prepare(&mut self, program: &Program, pictures: &[Header]) {
        let mut size = program.source.size;
        for step in &program.steps {
            let painted = match step {
                Step::Mark { picture, size, .. }
                | Step::TileMark { picture, size, .. }
                | Step::Blend { picture, size, .. } => {
                    self.at_once(pictures.get(*picture).map_or(0, |header| decoder_bytes(header, 8, Depth::Eight)));
                    size.area() * 4
                }
                Step::Text(text) => {
                    let height = u64::from(text.lettering.size_twips / 20);
                    height * height * text.lettering.text.chars().count() as u64 * 4
                }
                Step::TiledText(_) => size.area() * 4,
                _ => 0,
            };
            self.at_once(painted);
            self.marks += painted;
            size = step.result_size(size);
        }
    }

    fn load(&mut self, program: &Program) -> Picture {
        if let Some(size) = program.scaled_rows {
            let source = &program.source;
            let picture = Picture::interleaved(size, channels(source), Depth::Eight);
            self.pixels += source.size.area() + size.area();
            let scratch = resample::scratch_bytes(source.size, size, channels(source));
            self.at_once(picture.bytes() + scratch + PNG_DECODER_BYTES);
            return picture;
        }
        let Some(start) = &program.planes else {
            let size = program.decoded_size();
            self.pixels += size.area();
            self.at_once(decoder_bytes(&program.source, program.eighths, program.depth));
            return Picture::interleaved(size, channels(&program.source), program.depth);
        };
        let size = start.load.view.size();
        self.pixels += program.decoded_size().area() + size.area();
        self.at_once(start.load.memory_bytes());
        let gray = start.load.sampling.gray;
        let coarseness = u64::from(start.load.coarseness);
        let bytes_per_pair = match start.is_all && start.steps < program.steps.len() {
            // A mark may bring colour.
            false if gray => 2,
            _ => 2 + 4 / (coarseness * coarseness),
        };
        let planes = Picture { size, bytes_per_pair, depth: Depth::Eight };
        if start.is_all || gray {
            return planes;
        }
        let frame = Picture::interleaved(size, 3, Depth::Eight);
        self.at_once(planes.bytes() + frame.bytes());
        frame
    }

    fn step(&mut self, step: &Step, picture: Picture) -> Picture {
        let channels = match step {
            Step::RoundCorners { .. } => 4,
            Step::Blend { op, .. } if blend::clears(*op) => 4,
            Step::Flatten(_) => picture.channels().min(3),
            Step::Filter(_) => picture.channels(),
            Step::Rotate { angle, background, .. } if angle.quarter_turns().is_none() && !background.is_opaque() => 4,
            Step::Place { background, .. } if !background.is_opaque() => 4,
            Step::Orient(_) | Step::Resize(_) | Step::Crop(_) | Step::Blur { .. } | Step::Sharpen => picture.channels(),
            _ => picture.channels().max(3),
        };
        let next = Picture::interleaved(step.result_size(picture.size), channels, picture.depth);
        let scratch = match step {
            Step::Resize(size) => resize_bytes(picture, *size),
            Step::Palette(_) => picture.size.area() * PALETTE_BYTES,
            _ => 0,
        };
        self.pixels += picture.size.area() + next.size.area();
        self.at_once(picture.bytes() + next.bytes() + scratch);
        next
    }
}

/// Scratch of a resize beside source and result.
fn resize_bytes(picture: Picture, target: Size) -> u64 {
    if picture.depth == Depth::Sixteen {
        return resize_deep::scratch_bytes(picture.size, target, picture.channels());
    }
    if target.exceeds(picture.size) {
        resize::codes_scratch_bytes(picture.size, target, picture.channels())
    } else {
        resample::scratch_bytes(picture.size, target, picture.channels())
    }
}

/// Channels of a source's frames.
const fn channels(header: &Header) -> u64 {
    header.layout().channels() as u64
}

/// What decoding takes at its peak, the frame included.
fn decoder_bytes(header: &Header, eighths: u8, depth: Depth) -> u64 {
    let stored = header.size.area();
    let pixels = super::decode::scaled_size(header.format, header.size, eighths).area();
    let frame = pixels * channels(header) * depth.bytes();
    match header.format {
        Format::Jpeg if header.color_model == ColorModel::Cmyk => {
            frame + frame / 3 * 4 + PROFILE_BYTES + pure(whole_jpeg(header, eighths))
        }
        Format::Jpeg => frame + header.sampling.map_or(0, coefficients) + pure(whole_jpeg(header, eighths)),
        // The decoder's own numbers, or planes, beside the frame.
        Format::Tiff | Format::Psd if depth == Depth::Sixteen => 2 * frame,
        Format::Png | Format::Bmp | Format::Tiff | Format::Psd => frame,
        Format::Gif => 2 * frame,
        // The decoder's own planes or words beside the frame.
        Format::Webp => frame + stored * 2 + pure(stored * 6),
        Format::Avif => frame + stored * 6,
    }
}

/// Components at full size beside the frame, and the frame itself where the one asked for is smaller.
fn whole_jpeg(header: &Header, eighths: u8) -> u64 {
    let components = if header.color_model == ColorModel::Cmyk { 4 } else { channels(header) };
    header.size.area() * components * if eighths == 8 { 1 } else { 2 }
}

/// All coefficients of a progressive file, two bytes each.
fn coefficients(sampling: Sampling) -> u64 {
    let (across, down) = sampling.chroma;
    let luma = 2 * sampling.size.area();
    match sampling {
        Sampling { progressive: false, .. } => 0,
        Sampling { gray: true, .. } => luma,
        _ => luma + 2 * luma / u64::from(across * down).max(1),
    }
}

/// What encoding takes beside the picture: buffers, coefficients and the file.
fn encoder_bytes(program: &Program, output: &ImageOutput, picture: Picture) -> u64 {
    let area = picture.size.area();
    let scoring = if program.is_scored() { score::memory_bytes(picture.size) } else { 0 };
    scoring
        + match output.format {
            OutputFormat::Jpeg => jpeg_bytes(output, picture),
            OutputFormat::Webp if program.animated => WEBP_ANIMATION_BYTES + area * 24,
            OutputFormat::Webp if picture.channels() == 4 => WEBP_ALPHA_BYTES + area * 11 / 4,
            OutputFormat::Webp => area * 7 / 4 + pure(area * 8),
            OutputFormat::Png if output.colors.is_some() => area * 30,
            // The low bytes of photographs do not become smaller.
            OutputFormat::Png if picture.depth == Depth::Sixteen => picture.bytes() * 3 / 2,
            // The file alone, whose buffer doubles while it grows.
            OutputFormat::Png => picture.bytes(),
            OutputFormat::Gif => GIF_BYTES + area * 30,
            OutputFormat::Avif => area * 30,
            // Numbers of this processor beside the file.
            OutputFormat::Tiff if picture.depth == Depth::Sixteen => picture.bytes() * 2,
            OutputFormat::Bmp | OutputFormat::Tiff => picture.bytes(),
        }
}

/// What a JPEG's encoder holds, and the file.
fn jpeg_bytes(output: &ImageOutput, picture: Picture) -> u64 {
    let area = picture.size.area();
    let is_gray = picture.bytes_per_pair == 2;
    let coarseness = if has_full_chroma(output) { 1 } else { 2 };
    // In quarters of a byte a pixel.
    let file = match coarseness {
        1 if !is_gray => area * 3 / 4,
        _ => area / 4,
    };
    if !output.interlace && output.slim.is_none() {
        return file + encode::baseline::memory_bytes(picture.size, (!is_gray).then_some(coarseness));
    }
    // Coefficients of the whole picture wait for their codes, two bytes each.
    let coefficients = match coarseness {
        _ if is_gray => area * 2,
        1 => area * 6,
        // Planes with coarse chroma are copied where luma is odd.
        _ if picture.bytes_per_pair == 3 && (picture.size.width % 2 == 1 || picture.size.height % 2 == 1) => area * 4,
        _ => area * 3,
    };
    // The encoder in Rust holds samples and coefficients of all components at full size, in scans of their own.
    file + coefficients + pure(area * 27 / 4)
}

/// Whether a JPEG may be encoded with as much chroma as luma; a search for a score tries every quality.
fn has_full_chroma(output: &ImageOutput) -> bool {
    match output.quality {
        QualityTarget::Fixed(quality) => encode::chroma_coarseness(output.format, quality) == Some(1),
        QualityTarget::Ssim(_) => true,
    }
}
