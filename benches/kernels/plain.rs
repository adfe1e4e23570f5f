//! The plain loops: each as its definition reads, in double precision, with nothing clever.

use std::f64::consts::PI;

use mogr::engine::image::{Frame, Layout};

/// Inverse DCTs of N points (T.81, A.3.3): the samples of `blocks` side by side in one row of blocks. A mean alone is rounded
/// as libjpeg rounds it.
pub(crate) fn inverse_dct<const N: usize>(blocks: &[[i32; 64]]) -> Vec<u8> {
    let basis: [[f64; N]; N] = std::array::from_fn(|u| {
        let scale = if u == 0 { 0.125_f64.sqrt() } else { 0.5 };
        std::array::from_fn(|x| scale * (((2 * x + 1) * u) as f64 * PI / (2 * N) as f64).cos())
    });
    let stride = blocks.len() * N;
    let mut samples = vec![0; stride * N];
    for (index, block) in blocks.iter().enumerate() {
        let across: [[f64; N]; N] = std::array::from_fn(|v| {
            std::array::from_fn(|x| (0..N).map(|u| f64::from(block[v * 8 + u]) * basis[u][x]).sum())
        });
        for y in 0..N {
            for x in 0..N {
                let value: f64 = (0..N).map(|v| across[v][x] * basis[v][y]).sum();
                samples[y * stride + index * N + x] = to_byte(value + 128.0);
            }
        }
    }
    samples
}

fn to_byte(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// A quarter turn clockwise.
pub(crate) fn quarter_turn(frame: &Frame) -> Frame {
    let (width, height, channels) = dimensions(frame);
    let mut pixels = Vec::with_capacity(frame.pixels().len());
    for x in 0..width {
        for y in (0..height).rev() {
            let start = (y * width + x) * channels;
            pixels.extend_from_slice(&frame.pixels()[start..start + channels]);
        }
    }
    Frame::new(frame.size().transposed(), frame.layout(), pixels).expect("as many pixels as before")
}

fn dimensions(frame: &Frame) -> (usize, usize, usize) {
    (frame.size().width as usize, frame.size().height as usize, frame.layout().channels())
}

/// Porter and Duff's *over*, of straight RGBA that lies inside opaque RGB.
pub(crate) fn over(frame: &Frame, mark: &Frame, at: (i64, i64), dissolve_percent: u8) -> Frame {
    let mut painted = frame.clone();
    let width = frame.size().width as usize;
    for y in 0..mark.size().height {
        for x in 0..mark.size().width {
            let [color @ .., alpha] = mark.rgba_at(x, y);
            let alpha = f64::from(alpha) / 255.0 * f64::from(dissolve_percent) / 100.0;
            let start = ((at.1 as usize + y as usize) * width + at.0 as usize + x as usize) * 3;
            for (value, color) in painted.pixels_mut()[start..start + 3].iter_mut().zip(color) {
                *value = to_byte(f64::from(color) * alpha + f64::from(*value) * (1.0 - alpha));
            }
        }
    }
    painted
}

/// Straight RGBA over an opaque colour.
pub(crate) fn flatten(frame: &Frame, background: [u8; 3]) -> Frame {
    let blend = |pixel: &[u8]| -> [u8; 3] {
        let alpha = f64::from(pixel[3]) / 255.0;
        std::array::from_fn(|at| to_byte(f64::from(pixel[at]) * alpha + f64::from(background[at]) * (1.0 - alpha)))
    };
    let pixels = frame.pixels().chunks_exact(4).flat_map(blend).collect();
    Frame::new(frame.size(), Layout::Rgb, pixels).expect("as many pixels as before")
}

/// A Gaussian in two passes; edges repeat the last pixel.
pub(crate) fn blur(frame: &Frame, radius_px: u32, sigma_px: f32) -> Frame {
    let (radius, sigma) = (i64::from(radius_px), f64::from(sigma_px));
    let bell: Vec<f64> = (-radius..=radius).map(|x| (-((x * x) as f64) / (2.0 * sigma * sigma)).exp()).collect();
    let total: f64 = bell.iter().sum();
    let weights: Vec<f64> = bell.into_iter().map(|weight| weight / total).collect();
    let (width, height, channels) = dimensions(frame);
    let numbers: Vec<f64> = frame.pixels().iter().map(|value| f64::from(*value)).collect();
    let row = width * channels;
    let across = pass(&numbers, &weights, |at| (at % row / channels, width, channels));
    let both = pass(&across, &weights, |at| (at / row, height, row));
    Frame::new(frame.size(), frame.layout(), both.into_iter().map(to_byte).collect()).expect("as many as before")
}

/// One pass; `axis` says of an index its place on the axis, the axis' length, and the distance of two neighbours.
fn pass(numbers: &[f64], weights: &[f64], axis: impl Fn(usize) -> (usize, usize, usize)) -> Vec<f64> {
    let radius = weights.len() / 2;
    let filtered = |at: usize| {
        let (place, length, step) = axis(at);
        let taps = weights.iter().enumerate().map(|(tap, weight)| {
            let near = (place + tap).saturating_sub(radius).min(length - 1);
            numbers[at - place * step + near * step] * weight
        });
        taps.sum()
    };
    (0..numbers.len()).map(filtered).collect()
}
