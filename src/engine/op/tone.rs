//! Values spread by how often they occur: two passes, one that counts and one that looks up.

use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;
use crate::plan::filter::Tone;

/// Changes `frame` as [`Tone`] says; alpha stays, and pixels that are wholly transparent are not counted.
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row of the second pass.
pub fn tone(mut frame: Frame, tone: Tone, cancel: &Cancel) -> Result<Frame, Error> {
    let (layout, stride) = (frame.layout(), frame.stride());
    let mut counts = [[0_u64; 256]; 3];
    for pixel in frame.pixels().chunks_exact(layout.channels()) {
        if layout != Layout::Rgba || pixel[3] > 0 {
            counts.iter_mut().zip(pixel).for_each(|(counts, value)| counts[usize::from(*value)] += 1);
        }
    }
    let tables: [Table; 3] = match tone {
        Tone::Normalize => {
            let channels = if layout == Layout::Gray { 1 } else { 3 };
            let all = std::array::from_fn(|value| counts[..channels].iter().map(|counts| counts[value]).sum());
            [stretched(&all, 0.02, 0.01); 3]
        }
        Tone::AutoLevel => counts.map(|counts| stretched(&counts, 0.0, 0.0)),
        Tone::AutoGamma => counts.map(|counts| middled(&counts)),
        Tone::Equalize => counts.map(|counts| equalized(&counts)),
    };
    for row in frame.pixels_mut().chunks_exact_mut(stride) {
        cancel.check()?;
        for pixel in row.chunks_exact_mut(layout.channels()) {
            pixel.iter_mut().zip(&tables).for_each(|(value, table)| *value = table[usize::from(*value)]);
        }
    }
    Ok(frame)
}

type Counts = [u64; 256];
type Table = [u8; 256];

fn identity() -> Table {
    std::array::from_fn(|value| value as u8)
}

/// From the value that more than a share `dark` of all are not above, to the one that more than `light` are not below.
fn stretched(counts: &Counts, dark: f64, light: f64) -> Table {
    let total = counts.iter().sum::<u64>() as f64;
    let (mut below, mut above) = (0, 0);
    let low = (0..256).find(|value| {
        below += counts[*value];
        below as f64 > dark * total
    });
    let high = (0..256).rev().find(|value| {
        above += counts[*value];
        above as f64 > light * total
    });
    match (low, high) {
        (Some(low), Some(high)) if low < high => std::array::from_fn(|value| {
            let above = value.clamp(low, high) - low;
            ((510 * above + (high - low)) / (2 * (high - low))) as u8
        }),
        _ => identity(),
    }
}

/// The gamma that takes the mean to the middle: `ln(mean) / ln(0.5)`.
fn middled(counts: &Counts) -> Table {
    let total = counts.iter().sum::<u64>();
    let sum: u64 = (0..).zip(counts).map(|(value, count)| value * count).sum();
    let mean = sum as f64 / total.max(1) as f64 / 255.0;
    if mean <= 0.0 || mean >= 1.0 {
        return identity();
    }
    let power = 0.5_f64.ln() / mean.ln();
    std::array::from_fn(|value| (255.0 * (value as f64 / 255.0).powf(power) + 0.5) as u8)
}

/// Each value becomes the share of pixels below it, of those above the lowest value.
fn equalized(counts: &Counts) -> Table {
    let lowest = counts.iter().copied().find(|count| *count > 0).unwrap_or(0);
    let spread = counts.iter().sum::<u64>() - lowest;
    if spread == 0 {
        return identity();
    }
    let mut passed = 0;
    counts.map(|count| {
        passed += count;
        ((510 * passed.saturating_sub(lowest) + spread) / (2 * spread)) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::limits::tests::looks_of;

    fn toned(kind: Tone, frame: Frame) -> Vec<u8> {
        tone(frame, kind, &Cancel::default()).expect("nothing stops it").into_pixels()
    }

    #[test]
    fn values_are_spread() {
        let row = [50, 50, 100, 150];
        for (kind, expected) in [
            (Tone::AutoLevel, [0, 0, 128, 255]),
            (Tone::Normalize, [0, 0, 128, 255]),
            (Tone::Equalize, [0, 0, 128, 255]),
            // The mean is 87.5: a power of ln 0.5 / ln 0.343 = 0.648.
            (Tone::AutoGamma, [89, 89, 139, 181]),
        ] {
            assert_eq!(toned(kind, cards::gray(4, &row)), expected, "{kind:?}");
        }
    }

    #[test]
    fn normalizing_passes_over_the_rare_and_levels_do_not() {
        let mut values = vec![100; 990];
        values[0] = 0;
        values.extend([200; 10]);
        // One black pixel is less than 2 %, and ten light ones are not more than 1 %.
        let normalized = toned(Tone::Normalize, cards::gray(1000, &values));
        assert_eq!((normalized[1], normalized[999]), (100, 200), "nothing is left between the two ends");
        assert_eq!(toned(Tone::AutoLevel, cards::gray(1000, &values))[1], 128);
    }

    #[test]
    fn one_colour_stays_and_alpha_too() {
        for kind in [Tone::Normalize, Tone::AutoLevel, Tone::Equalize] {
            assert_eq!(toned(kind, cards::gray(2, &[7, 7])), [7, 7], "{kind:?}");
        }
        let card = cards::rgba(2, &[[10, 20, 30, 9], [110, 20, 60, 200]]);
        assert_eq!(toned(Tone::AutoLevel, card), [0, 20, 0, 9, 255, 20, 255, 200]);
        let hidden = cards::rgba(3, &[[10, 0, 0, 255], [110, 0, 0, 255], [250, 0, 0, 0]]);
        assert_eq!(toned(Tone::AutoLevel, hidden)[4], 255);
    }

    #[test]
    fn it_stops_between_rows() {
        let card = cards::gray(5, &[7; 50]);
        assert_eq!(looks_of(|cancel| tone(card.clone(), Tone::Equalize, cancel)), 10);
    }
}
