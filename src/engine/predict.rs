//! How long a program is predicted to take: pixels times constants. A prediction depends on nothing but sizes and formats, so
//! that every node comes to the same one, and a server under load to the same as an idle one.
//!
//! The constants are nanoseconds on an idle core of a server of 2023, rounded up, for photographs with some grain. A smooth
//! picture takes half as long; a slow or busy machine, several times as long.

use std::time::Duration;

use super::image::{Depth, Format, Header};
use super::program::{ImageOutput, Program, Step};
use crate::geometry::Size;
use crate::plan::output::{OutputFormat, QualityTarget};

/// What every result takes: headers, tables, the way through the server.
const FIXED_NANOS: u64 = 1_000_000;

/// Of a JPEG that is scaled while it is decoded: its codes, for each pixel that is stored, and what is made of them, for each
/// that is decoded.
const CODES_NANOS: u64 = 1;
const SAMPLES_NANOS: u64 = 6;

/// A score is searched for by encoding so often, and comparing as often.
const TRIES: u64 = 6;
const COMPARING_NANOS: u64 = 100;

/// The prediction for `program`, whose cost is not worked out yet.
pub(super) fn time(program: &Program) -> Duration {
    let nanos = if program.is_header_only() { 0 } else { pixel_nanos(program) };
    Duration::from_nanos(FIXED_NANOS.saturating_add(nanos))
}

fn pixel_nanos(program: &Program) -> u64 {
    if program.lossless.is_some() {
        return program.source.size.area().saturating_mul(SAMPLES_NANOS);
    }
    let (loading, working) = program.steps.split_at(program.steps_while_loading());
    let loaded = loading.iter().fold(program.source.size, |size, step| step.result_size(size));
    let mut size = if loading.is_empty() { program.decoded_size() } else { loaded };
    let mut nanos = decode_nanos(program);
    for step in working {
        let next = step.result_size(size);
        nanos = nanos.saturating_add(step_nanos(step, size, next));
        size = next;
    }
    if let Some(output) = program.image_output() {
        nanos = nanos.saturating_add(encode_nanos(program, output, size));
    }
    let deep = if program.depth == Depth::Sixteen { 2 } else { 1 };
    nanos.saturating_mul(u64::from(program.frames()) * deep)
}

/// Of a frame.
fn decode_nanos(program: &Program) -> u64 {
    let stored = program.source.size.area();
    if let Some(start) = &program.planes {
        let part = start.load.view.part.size.area();
        return stored * CODES_NANOS + (part * u64::from(program.scale_eighths()).pow(2) / 64) * SAMPLES_NANOS;
    }
    stored.saturating_mul(decoder_nanos(&program.source))
}

/// Of a pixel.
const fn decoder_nanos(source: &Header) -> u64 {
    match source.format {
        Format::Jpeg | Format::Webp => 8,
        Format::Png => 12,
        Format::Gif => 10,
        Format::Avif => 20,
        Format::Bmp => 2,
        Format::Tiff | Format::Psd => 5,
    }
}

fn step_nanos(step: &Step, before: Size, after: Size) -> u64 {
    let both = before.area().saturating_add(after.area());
    match step {
        Step::Blur { .. } => after.area().saturating_mul(20),
        Step::Sharpen => after.area().saturating_mul(12),
        Step::Rotate { angle, .. } if angle.quarter_turns().is_none() => after.area().saturating_mul(25),
        Step::Resize(_) => both.saturating_mul(4),
        _ => both.saturating_mul(2),
    }
}

/// Of a frame.
fn encode_nanos(program: &Program, output: &ImageOutput, size: Size) -> u64 {
    let is_slow = output.slim.is_some();
    let has_palette = output.colors.is_some() || output.slim.is_some_and(|slim| slim.makes_palette(output.format));
    let pixel = match output.format {
        OutputFormat::Jpeg if output.interlace || is_slow => 20,
        OutputFormat::Jpeg => 6,
        OutputFormat::Webp if program.animated => 100,
        OutputFormat::Webp => 30,
        OutputFormat::Png if is_slow || has_palette => 270,
        OutputFormat::Png => 12,
        OutputFormat::Gif => 120,
        OutputFormat::Avif => avif_nanos(size, output.patient),
        OutputFormat::Bmp | OutputFormat::Tiff => 3,
    };
    let is_searched = matches!(output.quality, QualityTarget::Ssim(_)) && program.is_scored();
    let pixel = if is_searched { (pixel + COMPARING_NANOS) * TRIES } else { pixel };
    size.area().saturating_mul(pixel)
}

/// Of a pixel: larger pictures are encoded at a higher speed (`encode/avif.rs`).
const fn avif_nanos(size: Size, is_patient: bool) -> u64 {
    match (is_patient, size.area()) {
        (true, ..=1_000_000) => 1400,
        (false, ..=1_000_000) | (true, ..=4_000_000) => 250,
        _ => 40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::image::ColorModel;
    use crate::engine::limits::Limits;
    use crate::engine::program::Rendering;
    use crate::engine::resolve::resolve;
    use crate::plan::Plan;

    fn header(format: Format) -> Header {
        Header {
            format,
            size: Size::new(6000, 4000),
            orientation: None,
            frames: 1,
            color_model: ColorModel::Ycbcr,
            depth: Depth::Eight,
            has_alpha: false,
            bytes: 1000,
            jpeg_quality: None,
            sampling: None,
            may_have_profile: false,
            by_rows: false,
        }
    }

    fn millis(source: &Header, plan: &str) -> u64 {
        let plan = Plan::parse(plan).expect("a plan");
        let program = resolve(&plan, source, &[], &Limits::default(), Rendering::default()).expect("a program");
        program.cost.time.as_millis().try_into().expect("few milliseconds")
    }

    #[test]
    fn predictions_follow_formats_and_sizes() {
        for (format, plan, expected) in [
            (Format::Jpeg, "imageInfo", 1..=1),
            (Format::Jpeg, "imageView2/2/w/500", 190..=210),
            (Format::Png, "imageView2/2/w/500", 285..=390),
            (Format::Jpeg, "imageView2/2/w/500/format/avif", 225..=260),
            (Format::Png, "imageslim", 6000..=8000),
        ] {
            if plan.contains("avif") && !cfg!(feature = "avif") {
                continue;
            }
            let predicted = millis(&header(format), plan);
            assert!(expected.contains(&predicted), "{format:?} {plan}: {predicted} ms");
        }
    }
}
