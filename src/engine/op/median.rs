//! Median filter.

use crate::engine::Error;
use crate::engine::image::Frame;
use crate::engine::limits::Cancel;

/// Each sample becomes the middle one of the square of `2 × radius + 1` pixels around it, channel by channel, alpha too; edges
/// repeat the last pixel.
///
/// A histogram slides along the row (Huang, Yang and Tang, "A Fast Two-Dimensional Median Filtering Algorithm", 1979); cost is
/// O(pixels × radius).
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row.
pub fn median(frame: &Frame, radius: u32, cancel: &Cancel) -> Result<Frame, Error> {
    let (size, layout, stride) = (frame.size(), frame.layout(), frame.stride());
    let (channels, radius) = (layout.channels(), radius as usize);
    let (width, height) = (size.width as usize, size.height as usize);
    let middle = ((2 * radius + 1).pow(2) / 2) as u32;
    let mut result = vec![0; frame.pixels().len()];
    for y in 0..height {
        cancel.check()?;
        let row_at = |dy: usize| &frame.pixels()[(y + dy).saturating_sub(radius).min(height - 1) * stride..][..stride];
        let rows: Vec<&[u8]> = (0..=2 * radius).map(row_at).collect();
        for channel in 0..channels {
            let mut window = Window::new(middle);
            let column = |x: usize| x.saturating_sub(radius).min(width - 1) * channels + channel;
            for x in 0..=2 * radius {
                rows.iter().for_each(|row| window.add(row[column(x)]));
            }
            for x in 0..width {
                result[y * stride + x * channels + channel] = window.median();
                rows.iter().for_each(|row| window.remove(row[column(x)]));
                rows.iter().for_each(|row| window.add(row[column(x + 2 * radius + 1)]));
            }
        }
    }
    Ok(Frame::new(size, layout, result).expect("as many samples as before"))
}

/// The values of a window: how often each occurs, and how many are below the last median.
struct Window {
    counts: [u32; 256],
    last: u8,
    below: u32,
    middle: u32,
}

impl Window {
    fn new(middle: u32) -> Self {
        Self { counts: [0; 256], last: 0, below: 0, middle }
    }

    fn add(&mut self, value: u8) {
        self.counts[usize::from(value)] += 1;
        self.below += u32::from(value < self.last);
    }

    fn remove(&mut self, value: u8) {
        self.counts[usize::from(value)] -= 1;
        self.below -= u32::from(value < self.last);
    }

    /// The value that `middle` others are not above, found from the last one on.
    fn median(&mut self) -> u8 {
        while self.below > self.middle {
            self.last -= 1;
            self.below -= self.counts[usize::from(self.last)];
        }
        while self.below + self.counts[usize::from(self.last)] <= self.middle {
            self.below += self.counts[usize::from(self.last)];
            self.last += 1;
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::image::Layout;
    use crate::engine::limits::tests::looks_of;
    use crate::geometry::Size;

    /// By the definition.
    fn reference(frame: &Frame, radius: i64) -> Vec<u8> {
        let Size { width, height } = frame.size();
        let channels = frame.layout().channels();
        let mut result = Vec::new();
        for (y, x) in (0..i64::from(height)).flat_map(|y| (0..i64::from(width)).map(move |x| (y, x))) {
            for channel in 0..channels {
                let mut values = Vec::new();
                for (dy, dx) in (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (dy, dx))) {
                    let (y, x) = ((y + dy).clamp(0, i64::from(height) - 1), (x + dx).clamp(0, i64::from(width) - 1));
                    values.push(frame.pixels()[y as usize * frame.stride() + x as usize * channels + channel]);
                }
                values.sort_unstable();
                result.push(values[values.len() / 2]);
            }
        }
        result
    }

    #[test]
    fn it_is_the_middle_value() {
        let noise = |count: usize| (0..count as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (width, height, layout) in
            [(9, 7, Layout::Gray), (5, 8, Layout::Rgb), (1, 4, Layout::Rgba), (6, 1, Layout::Gray)]
        {
            let count = width as usize * height as usize * layout.channels();
            let card = Frame::new(Size::new(width, height), layout, noise(count)).expect("all samples");
            for radius in [1, 2, 5] {
                let expected = reference(&card, radius);
                let filtered = median(&card, radius as u32, &Cancel::default()).expect("nothing stops it");
                assert_eq!(filtered.pixels(), expected, "{width}x{height} {layout:?} {radius}");
            }
        }
    }

    #[test]
    fn it_stops_between_rows() {
        let card = cards::gray(5, &[7; 50]);
        assert_eq!(looks_of(|cancel| median(&card, 3, cancel)), 10);
    }
}
