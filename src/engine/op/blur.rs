//! Gaussian blur.

use super::alpha::{premultiply, straighten};
use crate::engine::Error;
use crate::engine::image::{Frame, Layout, Sample};
use crate::engine::limits::Cancel;

/// Widest kernel; more than any dialect allows.
const MAX_RADIUS: u32 = 500;

/// Floats that one pass of the row filter works on, few enough to stay in the first-level cache.
const CHUNK: usize = 2048;

/// Blurs `frame` with a Gaussian of standard deviation `sigma_px`, cut off `radius_px` pixels from its centre.
///
/// Edges repeat the last pixel; RGBA is averaged premultiplied. A `sigma_px` that is not a number above zero leaves
/// the frame as it is. Separable: O(pixels × radius), and beside the frame it keeps 2 × radius + 1 rows.
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row.
pub fn blur<S: Sample>(mut frame: Frame<S>, radius_px: u32, sigma_px: f32, cancel: &Cancel) -> Result<Frame<S>, Error> {
    let weights = half_kernel(radius_px, sigma_px);
    if weights.len() > 1 {
        filter(&mut frame, &weights, cancel)?;
    }
    Ok(frame)
}

/// The kernel's weights from its centre outwards; both halves together add up to 1.
///
/// Taps whose weight is below a 65536th of the centre's are left out: all of them together cannot be seen, not even in
/// 16 bits.
fn half_kernel(radius_px: u32, sigma_px: f32) -> Vec<f32> {
    let sigma = f64::from(sigma_px);
    if !sigma.is_finite() || sigma <= 0.0 {
        return vec![1.0];
    }
    let bell = (0..=radius_px.min(MAX_RADIUS)).map(|x| (-f64::from(x * x) / (2.0 * sigma * sigma)).exp());
    let bell: Vec<f64> = bell.take_while(|weight| *weight > 1.0 / 65536.0).collect();
    let total = 2.0 * bell.iter().sum::<f64>() - bell[0];
    bell.into_iter().map(|weight| (weight / total) as f32).collect()
}

/// Filters rows, then columns. Rows go through a ring of as many as the kernel is high, so that a row may be
/// overwritten as soon as the last one that needs it has been filtered.
fn filter<S: Sample>(frame: &mut Frame<S>, weights: &[f32], cancel: &Cancel) -> Result<(), Error> {
    let radius = weights.len() - 1;
    let (layout, stride, height) = (frame.layout(), frame.stride(), frame.size().height as usize);
    let slots = (2 * radius + 1).min(height);
    let mut ring = vec![0.0; slots * stride];
    let mut padded = vec![0.0; stride + 2 * radius * layout.channels()];
    let mut sum = vec![0.0; stride];
    let mut loaded = 0;
    for y in 0..height {
        cancel.check()?;
        while loaded < height.min(y + radius + 1) {
            let row = &frame.pixels()[loaded * stride..][..stride];
            pad_row(row, layout, radius, &mut padded);
            let slot = loaded % slots;
            filter_row(&padded, layout.channels(), weights, &mut ring[slot * stride..][..stride]);
            loaded += 1;
        }
        filter_column(&ring, slots, (y, height), weights, &mut sum);
        store_row(&sum, layout, &mut frame.pixels_mut()[y * stride..][..stride]);
    }
    Ok(())
}

/// Writes `row` as floats, premultiplied, with `radius` copies of its first and last pixel around it.
fn pad_row<S: Sample>(row: &[S], layout: Layout, radius: usize, padded: &mut [f32]) {
    let channels = layout.channels();
    let margin = radius * channels;
    let middle = &mut padded[margin..margin + row.len()];
    if layout == Layout::Rgba {
        for (to, from) in middle.as_chunks_mut::<4>().0.iter_mut().zip(row.as_chunks::<4>().0) {
            *to = premultiply(*from);
        }
    } else {
        for (to, from) in middle.iter_mut().zip(row) {
            *to = from.number();
        }
    }
    for at in (0..margin).step_by(channels) {
        padded.copy_within(margin..margin + channels, at);
        padded.copy_within(margin + row.len() - channels..margin + row.len(), margin + row.len() + at);
    }
}

/// Filters a padded row.
fn filter_row(padded: &[f32], channels: usize, weights: &[f32], out: &mut [f32]) {
    let margin = (weights.len() - 1) * channels;
    for (nth, out) in out.chunks_mut(CHUNK).enumerate() {
        let (centre, length) = (margin + nth * CHUNK, out.len());
        let shifted = |start: usize| &padded[start..start + length];
        weigh(out, weights[0], shifted(centre));
        for (k, weight) in weights.iter().enumerate().skip(1) {
            add_weighted(out, *weight, shifted(centre - k * channels), shifted(centre + k * channels));
        }
    }
}

/// Filters the column through row `y` of `height`, whose rows are in the ring.
fn filter_column(ring: &[f32], slots: usize, (y, height): (usize, usize), weights: &[f32], sum: &mut [f32]) {
    let stride = sum.len();
    for (nth, sum) in sum.chunks_mut(CHUNK).enumerate() {
        let length = sum.len();
        let row = |y: usize| &ring[(y % slots) * stride + nth * CHUNK..][..length];
        weigh(sum, weights[0], row(y));
        for (k, weight) in weights.iter().enumerate().skip(1) {
            add_weighted(sum, *weight, row(y.saturating_sub(k)), row((y + k).min(height - 1)));
        }
    }
}

fn weigh(sum: &mut [f32], weight: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum = weight * value;
    }
}

fn add_weighted(sum: &mut [f32], weight: f32, before: &[f32], after: &[f32]) {
    for ((sum, before), after) in sum.iter_mut().zip(before).zip(after) {
        *sum += weight * (before + after);
    }
}

fn store_row<S: Sample>(sum: &[f32], layout: Layout, row: &mut [S]) {
    if layout == Layout::Rgba {
        for (to, from) in row.as_chunks_mut::<4>().0.iter_mut().zip(sum.as_chunks::<4>().0) {
            *to = straighten(*from);
        }
    } else {
        for (to, from) in row.iter_mut().zip(sum) {
            *to = S::nearest(*from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::limits::tests::looks_of;
    use crate::geometry::Size;

    fn blur(frame: Frame, radius_px: u32, sigma_px: f32) -> Frame {
        super::blur(frame, radius_px, sigma_px, &Cancel::default()).expect("nothing stops it")
    }

    #[test]
    fn it_stops_between_rows() {
        let card = Frame::filled(Size::new(2, 70), Layout::Rgba, [9; 4]);
        assert_eq!(looks_of(|cancel| super::blur(card.clone(), 5, 2.0, cancel)), 70);
    }

    #[test]
    fn one_colour_stays_that_colour() {
        for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
            for (radius, sigma) in [(1, 0.3), (3, 9.0), (50, 20.0)] {
                let card = Frame::filled(Size::new(23, 17), layout, [3, 200, 77, 120]);
                assert_eq!(blur(card.clone(), radius, sigma), card, "{layout:?} {radius}x{sigma}");
            }
        }
    }

    #[test]
    fn a_row_longer_than_a_chunk_is_whole() {
        let card = Frame::filled(Size::new(1500, 3), Layout::Rgb, [3, 200, 77, 255]);
        assert_eq!(blur(card.clone(), 5, 2.0), card);
        let pixels: Vec<u8> = (0..5000).map(|x| (x / 20) as u8).collect();
        let blurred = blur(cards::gray(5000, &pixels), 4, 2.0);
        for (x, (was, is)) in pixels.iter().zip(blurred.pixels()).enumerate() {
            assert!(was.abs_diff(*is) <= 1, "at {x}: {was} -> {is}");
        }
    }

    /// Mean square distance from the middle of a 41-pixel wide square card, per axis, weighted by brightness.
    fn variance(frame: &Frame) -> (f64, f64) {
        let (mut x_sum, mut y_sum, mut total) = (0.0, 0.0, 0.0);
        for (at, value) in frame.pixels().iter().enumerate() {
            let (x, y, value) = ((at % 41) as f64 - 20.0, (at / 41) as f64 - 20.0, f64::from(*value));
            (x_sum, y_sum, total) = (x_sum + x * x * value, y_sum + y * y * value, total + value);
        }
        (x_sum / total, y_sum / total)
    }

    #[test]
    fn the_impulse_response_has_the_sigma_and_the_mean() {
        // A 9-pixel square stands in for the impulse: one bright pixel would drown in rounding. Its variance is
        // (9² − 1)/12 per axis and adds to the kernel's.
        let mut pixels = vec![0; 41 * 41];
        for y in 16..25 {
            pixels[y * 41 + 16..y * 41 + 25].fill(255);
        }
        let card = cards::gray(41, &pixels);
        let mean = |frame: &Frame| frame.pixels().iter().map(|value| f64::from(*value)).sum::<f64>() / 1681.0;
        for sigma in [1.0, 2.0, 3.0] {
            let blurred = blur(card.clone(), 20, sigma);
            let expected = f64::from(sigma * sigma) + 80.0 / 12.0;
            let (x, y) = variance(&blurred);
            assert!((x / expected - 1.0).abs() < 0.02 && (y / expected - 1.0).abs() < 0.02, "{sigma}: {x} {y}");
            assert!((mean(&blurred) - mean(&card)).abs() < 0.3, "{sigma}: {} {}", mean(&blurred), mean(&card));
        }
    }

    #[test]
    fn the_radius_cuts_the_kernel_off() {
        let mut pixels = vec![0; 11];
        pixels[5] = 255;
        let blurred = blur(cards::gray(11, &pixels), 1, 100.0);
        assert_eq!(blurred.pixels(), [0, 0, 0, 0, 85, 85, 85, 0, 0, 0, 0]);
    }

    #[test]
    fn edges_repeat() {
        // radius 2, nearly a box of five: the row 0 0 255 is extended to 0 0 | 0 0 255 | 255 255.
        let blurred = blur(cards::gray(3, &[0, 0, 255]), 2, 1000.0);
        assert_eq!(blurred.pixels(), [51, 102, 153]);
        let blurred = blur(cards::gray(1, &[0, 0, 255]), 2, 1000.0);
        assert_eq!(blurred.pixels(), [51, 102, 153]);
    }

    #[test]
    fn a_kernel_larger_than_the_picture_is_fine() {
        assert_eq!(blur(cards::gray(1, &[77]), u32::MAX, 1e9).pixels(), [77]);
    }

    #[test]
    fn senseless_sigmas_do_nothing() {
        let card = cards::gray(3, &[1, 2, 200]);
        for sigma in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(blur(card.clone(), 3, sigma), card, "{sigma}");
        }
    }

    #[test]
    fn transparent_black_does_not_darken() {
        let card = cards::rgba(2, &[[255, 255, 255, 255], [0, 0, 0, 0]]);
        let blurred = blur(card, 1, 1000.0);
        assert_eq!(blurred.pixels(), [255, 255, 255, 170, 255, 255, 255, 85]);
    }
}
