//! Squares of one colour.

use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;

/// Gives every square of `edge` pixels, from the top left on, its mean colour, rounded half up; transparent pixels weigh less,
/// and alpha is averaged too.
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row of squares.
pub fn pixelate(mut frame: Frame, edge: u32, cancel: &Cancel) -> Result<Frame, Error> {
    let (layout, stride, edge) = (frame.layout(), frame.stride(), edge.max(1) as usize);
    let channels = layout.channels();
    for band in frame.pixels_mut().chunks_mut(edge * stride) {
        cancel.check()?;
        for left in (0..stride).step_by(edge * channels) {
            let right = (left + edge * channels).min(stride);
            let mean = mean(band.chunks_exact(stride).flat_map(|row| row[left..right].chunks_exact(channels)), layout);
            for row in band.chunks_exact_mut(stride) {
                row[left..right].chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(&mean[..channels]));
            }
        }
    }
    Ok(frame)
}

fn mean<'a>(pixels: impl Iterator<Item = &'a [u8]>, layout: Layout) -> [u8; 4] {
    let (mut sums, mut weight, mut count) = ([0_u64; 3], 0_u64, 0_u64);
    for pixel in pixels {
        let alpha = if layout == Layout::Rgba { u64::from(pixel[3]) } else { 255 };
        sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += alpha * u64::from(*value));
        weight += alpha;
        count += 1;
    }
    let share = |sum: u64, of: u64| ((2 * sum + of) / (2 * of).max(1)) as u8;
    let [r, g, b] = sums.map(|sum| share(sum, weight));
    [r, g, b, share(weight, count)]
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::limits::tests::looks_of;

    fn pixelated(frame: Frame, edge: u32) -> Frame {
        pixelate(frame, edge, &Cancel::default()).expect("nothing stops it")
    }

    #[test]
    fn squares_have_their_mean_colour() {
        let card = cards::gray(5, &[0, 10, 20, 30, 99, 2, 4, 40, 50, 101]);
        assert_eq!(pixelated(card.clone(), 2), cards::gray(5, &[4, 4, 35, 35, 100, 4, 4, 35, 35, 100]));
        assert_eq!(pixelated(card.clone(), 1), card);
        let all = pixelated(card, 999);
        assert!(all.pixels().iter().all(|value| *value == 36), "{all:?}");
    }

    #[test]
    fn transparent_pixels_weigh_less() {
        let card = cards::rgba(2, &[[200, 0, 0, 255], [0, 200, 0, 0]]);
        assert_eq!(pixelated(card, 2).rgba_at(1, 0), [200, 0, 0, 128]);
        assert_eq!(pixelated(cards::rgba(1, &[[9, 9, 9, 0]]), 2).rgba_at(0, 0), [0; 4]);
    }

    #[test]
    fn it_stops_between_bands() {
        let card = cards::gray(1, &[3; 50]);
        assert_eq!(looks_of(|cancel| pixelate(card.clone(), 10, cancel)), 5);
    }
}
