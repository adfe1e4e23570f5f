//! Sharpening.

use super::blur::blur;
use crate::engine::Error;
use crate::engine::image::{Frame, Layout, Sample};
use crate::engine::limits::Cancel;
use crate::plan::filter::Unsharp;

/// Standard deviation of the blur that the mask is made with, in pixels.
const SIGMA_PX: f32 = 1.0;

/// Where that blur's kernel ends, in pixels; beyond it weighs a hundredth of a percent.
const RADIUS_PX: u32 = 4;

/// Sharpens with an unsharp mask of sigma 1 and amount 1: every colour value moves as far away from its blurred value
/// as it is, `2 × value − blurred`, clamped. Alpha stays.
///
/// The vendor does not say what `sharpen/1` does; this is ImageMagick's usual `-unsharp 0x1` without a threshold.
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row of the blur, which is what takes the time.
pub fn sharpen<S: Sample>(mut frame: Frame<S>, cancel: &Cancel) -> Result<Frame<S>, Error> {
    let channels = frame.layout().channels();
    let colors = if frame.layout() == Layout::Rgba { 3 } else { channels };
    let blurred = blur(frame.clone(), RADIUS_PX, SIGMA_PX, cancel)?;
    let pixels = frame.pixels_mut().chunks_exact_mut(channels);
    for (pixel, blurred) in pixels.zip(blurred.pixels().chunks_exact(channels)) {
        for (value, blurred) in pixel.iter_mut().zip(blurred).take(colors) {
            *value = value.away_from(*blurred);
        }
    }
    Ok(frame)
}

/// An unsharp mask: `v + amount × (v − blurred)`, rounded half up and clamped, where the two differ by at least
/// `threshold × 255`. The blur's kernel ends at `radius_px`. Alpha stays.
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row of the blur, which is what takes the time.
pub fn unsharp(mut frame: Frame, unsharp: Unsharp, radius_px: u32, cancel: &Cancel) -> Result<Frame, Error> {
    let channels = frame.layout().channels();
    let colors = if frame.layout() == Layout::Rgba { 3 } else { channels };
    let blurred = blur(frame.clone(), radius_px, unsharp.sigma_px, cancel)?;
    let least = unsharp.threshold * 255.0;
    let pixels = frame.pixels_mut().chunks_exact_mut(channels);
    for (pixel, blurred) in pixels.zip(blurred.pixels().chunks_exact(channels)) {
        for (value, blurred) in pixel.iter_mut().zip(blurred).take(colors) {
            let (own, difference) = (f32::from(*value), f32::from(*value) - f32::from(*blurred));
            if difference.abs() >= least {
                *value = u8::nearest(own + unsharp.amount * difference);
            }
        }
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::limits::tests::looks_of;
    use crate::geometry::Size;

    fn sharpen(frame: Frame) -> Frame {
        super::sharpen(frame, &Cancel::default()).expect("nothing stops it")
    }

    #[test]
    fn it_stops_between_rows() {
        let card = Frame::filled(Size::new(2, 50), Layout::Gray, [9; 4]);
        assert_eq!(looks_of(|cancel| super::sharpen(card.clone(), cancel)), 50);
    }

    #[test]
    fn one_colour_stays_that_colour() {
        for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
            let card = Frame::filled(Size::new(9, 8), layout, [3, 200, 77, 120]);
            assert_eq!(sharpen(card.clone()), card, "{layout:?}");
        }
    }

    #[test]
    fn edges_overshoot_on_both_sides() {
        let row: Vec<u8> = (0..20).map(|x| if x < 10 { 100 } else { 150 }).collect();
        let sharp = sharpen(cards::gray(20, &row));
        let pixels = sharp.pixels();
        assert_eq!((pixels[0], pixels[19]), (100, 150));
        // Half of the kernel without its centre, (1 − 0.399)/2 = 0.3, of the step of 50.
        assert_eq!((pixels[9], pixels[10]), (85, 165));
    }

    #[test]
    fn unsharp_masks_have_amount_and_threshold() {
        let row: Vec<u8> = (0..20).map(|x| if x < 10 { 100 } else { 150 }).collect();
        let edge = |amount, threshold| {
            let unsharp = Unsharp { sigma_px: 1.0, amount, threshold };
            let sharp = super::unsharp(cards::gray(20, &row), unsharp, 4, &Cancel::default()).expect("runs");
            (sharp.pixels()[9], sharp.pixels()[10])
        };
        assert_eq!(edge(1.0, 0.0), (85, 165));
        assert_eq!(edge(2.0, 0.0), (70, 180));
        assert_eq!(edge(0.0, 0.0), (100, 150));
        assert_eq!(edge(1.0, 0.05), (85, 165));
        assert_eq!(edge(1.0, 0.1), (100, 150));
    }

    #[test]
    fn alpha_stays() {
        let row: Vec<[u8; 4]> =
            (0..12).map(|x| [100 + 9 * x, 80, 60, if x < 6 { 255 } else { 40 * (x - 6) }]).collect();
        let sharp = sharpen(cards::rgba(12, &row));
        let alphas: Vec<u8> = sharp.pixels().chunks_exact(4).map(|pixel| pixel[3]).collect();
        assert_eq!(alphas, row.iter().map(|pixel| pixel[3]).collect::<Vec<_>>());
    }
}
