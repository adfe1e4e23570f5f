//! The average colour (spec 4.7).

use crate::engine::image::{Frame, Layout};

/// Mean red, green and blue of all pixels, of the sRGB values as they are, rounded half up.
///
/// RGBA pixels count as much as they are opaque; a picture that is transparent everywhere has no colour to average and
/// gives white, the colour of the page behind it.
pub fn average(frame: &Frame) -> [u8; 3] {
    let mut sums = [0_u64; 3];
    let mut weight = 0_u64;
    match frame.layout() {
        Layout::Gray => {
            sums = [frame.pixels().iter().map(|value| u64::from(*value)).sum(); 3];
            weight = frame.size().area();
        }
        Layout::Rgb => {
            add_pixels(&mut sums, frame.pixels().as_chunks::<3>().0, |_| 1);
            weight = frame.size().area();
        }
        Layout::Rgba => {
            let (pixels, _) = frame.pixels().as_chunks::<4>();
            add_pixels(&mut sums, pixels, |pixel| u64::from(pixel[3]));
            weight += pixels.iter().map(|pixel| u64::from(pixel[3])).sum::<u64>();
        }
    }
    if weight == 0 {
        return [255; 3];
    }
    sums.map(|sum| ((2 * sum + weight) / (2 * weight)) as u8)
}

fn add_pixels<const N: usize>(sums: &mut [u64; 3], pixels: &[[u8; N]], weight: impl Fn(&[u8; N]) -> u64) {
    for pixel in pixels {
        let weight = weight(pixel);
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += weight * u64::from(*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn means_are_rounded_half_up() {
        assert_eq!(average(&cards::gray(2, &[10, 11])), [11; 3]);
        assert_eq!(average(&cards::gray(3, &[10, 10, 11])), [10; 3]);
        let card = Frame::new(Size::new(2, 1), Layout::Rgb, vec![0, 10, 255, 1, 20, 254]).expect("two pixels");
        assert_eq!(average(&card), [1, 15, 255]);
    }

    #[test]
    fn transparent_pixels_weigh_less() {
        assert_eq!(average(&cards::rgba(2, &[[200, 0, 0, 255], [0, 200, 0, 0]])), [200, 0, 0]);
        assert_eq!(average(&cards::rgba(2, &[[200, 0, 0, 200], [0, 200, 0, 100]])), [133, 67, 0]);
    }

    #[test]
    fn nothing_visible_is_white() {
        assert_eq!(average(&cards::rgba(1, &[[1, 2, 3, 0]])), [255; 3]);
    }
}
