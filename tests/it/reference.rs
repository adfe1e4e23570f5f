//! The plain reference: a picture scaled by the definition, in double precision, with nothing clever.

use mogr::engine::image::{Frame, Layout};
use mogr::engine::light::Light;
use mogr::geometry::{Rect, Size};

/// Numbers of a picture, interleaved; colour is premultiplied where there is alpha.
struct Numbers {
    width: usize,
    height: usize,
    channels: usize,
    values: Vec<f64>,
}

/// `part` of `frame` scaled to `size` with a Lanczos kernel of three lobes in `light`: stored numbers, 0–255, unrounded.
/// Pixels outside the part take no part.
pub(crate) fn scaled(frame: &Frame, part: Rect, size: Size, light: Light) -> Vec<f64> {
    let narrow = along_rows(&numbers(frame, part, light), size.width as usize);
    let turned = along_rows(&transposed(&narrow), size.height as usize);
    stored(transposed(&turned), light)
}

/// The whole of a picture.
pub(crate) fn whole(frame: &Frame) -> Rect {
    Rect { x: 0, y: 0, size: frame.size() }
}

/// A stored number (0–1) as the one that is averaged.
fn decoded(value: f64, light: Light) -> f64 {
    match light {
        Light::Gamma => value,
        Light::Mixed => value.powf(1.3),
        Light::Linear if value <= 0.04045 => value / 12.92,
        Light::Linear => ((value + 0.055) / 1.055).powf(2.4),
    }
}

/// The inverse of [`decoded`], clipped.
fn encoded(value: f64, light: Light) -> f64 {
    let value = value.clamp(0.0, 1.0);
    match light {
        Light::Gamma => value,
        Light::Mixed => value.powf(1.0 / 1.3),
        Light::Linear if value <= 0.003_130_8 => value * 12.92,
        Light::Linear => 1.055 * value.powf(1.0 / 2.4) - 0.055,
    }
}

fn numbers(frame: &Frame, part: Rect, light: Light) -> Numbers {
    let channels = frame.layout().channels();
    let table: Vec<f64> = (0..256).map(|code| decoded(f64::from(code) / 255.0, light)).collect();
    let mut values = Vec::with_capacity(part.size.area() as usize * channels);
    for y in part.y..part.y + part.size.height {
        let start = y as usize * frame.stride() + part.x as usize * channels;
        for pixel in frame.pixels()[start..start + part.size.width as usize * channels].chunks_exact(channels) {
            let alpha = if frame.layout() == Layout::Rgba { f64::from(pixel[3]) / 255.0 } else { 1.0 };
            values.extend(pixel.iter().take(3).map(|code| table[usize::from(*code)] * alpha));
            values.extend((channels == 4).then_some(alpha));
        }
    }
    Numbers { width: part.size.width as usize, height: part.size.height as usize, channels, values }
}

fn stored(numbers: Numbers, light: Light) -> Vec<f64> {
    let mut values = numbers.values;
    for pixel in values.chunks_exact_mut(numbers.channels) {
        let alpha = if numbers.channels == 4 { pixel[3].min(1.0) } else { 1.0 };
        for value in pixel.iter_mut().take(3) {
            *value = if alpha > 1e-4 { encoded(*value / alpha, light) * 255.0 } else { 0.0 };
        }
        if let Some(alpha) = pixel.get_mut(3) {
            *alpha = alpha.clamp(0.0, 1.0) * 255.0;
        }
    }
    values
}

fn along_rows(source: &Numbers, width: usize) -> Numbers {
    let taps: Vec<Vec<(usize, f64)>> = (0..width).map(|x| taps(source.width, width, x)).collect();
    let mut values = Vec::with_capacity(width * source.height * source.channels);
    for row in source.values.chunks_exact(source.width * source.channels) {
        for taps in &taps {
            for channel in 0..source.channels {
                values.push(taps.iter().map(|(at, weight)| row[at * source.channels + channel] * weight).sum());
            }
        }
    }
    Numbers { width, values, ..*source }
}

/// The source samples that scaled sample `index` is made of; the weights add up to 1.
fn taps(source: usize, scaled: usize, index: usize) -> Vec<(usize, f64)> {
    if source == scaled {
        return vec![(index, 1.0)];
    }
    let step = source as f64 / scaled as f64;
    let stretch = step.max(1.0);
    let center = (index as f64 + 0.5) * step;
    let first = (center - 3.0 * stretch - 1.0).floor().max(0.0) as usize;
    let behind = ((center + 3.0 * stretch + 1.0).ceil() as usize).min(source);
    let weigh = |at: usize| (at, lanczos((at as f64 + 0.5 - center) / stretch));
    let taps: Vec<(usize, f64)> = (first..behind).map(weigh).filter(|(_, weight)| *weight != 0.0).collect();
    let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
    taps.into_iter().map(|(at, weight)| (at, weight / sum)).collect()
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
    if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn transposed(source: &Numbers) -> Numbers {
    let mut values = Vec::with_capacity(source.values.len());
    for x in 0..source.width {
        for y in 0..source.height {
            let start = (y * source.width + x) * source.channels;
            values.extend_from_slice(&source.values[start..start + source.channels]);
        }
    }
    Numbers { width: source.height, height: source.width, values, ..*source }
}
