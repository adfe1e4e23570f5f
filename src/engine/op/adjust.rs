//! Changes of colour, each pixel for itself; the formulas stand at [`Change`].

use std::f64::consts::PI;

use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;
use crate::plan::adjust::{Change, Levels};

/// Changes made ready: what is the same for all three channels is a table, the rest are matrices.
#[derive(Clone, Debug)]
pub struct Adjustment {
    stages: Vec<Stage>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// A sample for each sample. Boxed, as it is large.
    Table(Box<[u8; 256]>),
    Matrix(Matrix),
}

/// Rows for red, green and blue, of the shares of red, green and blue in [`ONE`]s.
type Matrix = [[i32; 3]; 3];

/// What a share of 1 is in a [`Matrix`].
const ONE: i32 = 1 << 16;

/// The shares of red, green and blue in BT.601 luma, as [`luma`](crate::engine::image::luma) has them.
const LUMA: [i32; 3] = [19_595, 38_470, 7_471];

impl Adjustment {
    /// Makes `changes` ready. Tables that follow one another become one, which comes to the same bytes.
    pub fn new(changes: &[Change]) -> Self {
        let mut stages: Vec<Stage> = Vec::with_capacity(changes.len());
        for change in changes {
            match (stages.last_mut(), stage(*change)) {
                (Some(Stage::Table(first)), Stage::Table(second)) => {
                    first.iter_mut().for_each(|value| *value = second[usize::from(*value)]);
                }
                (_, stage) => stages.push(stage),
            }
        }
        Self { stages }
    }

    /// Changes `frame` in place. Grey frames stay grey where the changes leave them so; else they become RGB.
    ///
    /// # Errors
    /// [`Error::Cancelled`], looked for in each row.
    pub fn apply(&self, frame: Frame, cancel: &Cancel) -> Result<Frame, Error> {
        let brings_color = self.stages.iter().any(|stage| matches!(stage, Stage::Matrix(m) if !is_neutral(m)));
        let is_gray = frame.layout() == Layout::Gray;
        let mut frame = if is_gray && brings_color { frame.into_layout(Layout::Rgb) } else { frame };
        let (layout, stride) = (frame.layout(), frame.stride());
        for row in frame.pixels_mut().chunks_exact_mut(stride) {
            cancel.check()?;
            self.stages.iter().for_each(|stage| stage.apply(row, layout));
        }
        Ok(frame)
    }
}

impl Stage {
    fn apply(&self, row: &mut [u8], layout: Layout) {
        match (self, layout) {
            (Self::Table(table), Layout::Gray | Layout::Rgb) => {
                row.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
            }
            (Self::Table(table), Layout::Rgba) => {
                for pixel in row.as_chunks_mut::<4>().0 {
                    pixel[..3].iter_mut().for_each(|value| *value = table[usize::from(*value)]);
                }
            }
            // Only neutral matrices come to grey rows.
            (Self::Matrix(_), Layout::Gray) => {}
            (Self::Matrix(matrix), Layout::Rgb) => {
                for pixel in row.as_chunks_mut::<3>().0 {
                    *pixel = mixed(matrix, *pixel);
                }
            }
            (Self::Matrix(matrix), Layout::Rgba) => {
                for pixel in row.as_chunks_mut::<4>().0 {
                    let [r, g, b, a] = *pixel;
                    let [r, g, b] = mixed(matrix, [r, g, b]);
                    *pixel = [r, g, b, a];
                }
            }
        }
    }
}

/// A pixel after `matrix`. Shares are at most a few [`ONE`]s, so that 32 bits hold the sums.
fn mixed(matrix: &Matrix, pixel: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = pixel.map(i32::from);
    matrix.map(|[of_r, of_g, of_b]| ((of_r * r + of_g * g + of_b * b + ONE / 2) >> 16).clamp(0, 255) as u8)
}

/// Whether greys stay as they are.
fn is_neutral(matrix: &Matrix) -> bool {
    matrix.iter().all(|row| row.iter().sum::<i32>() == ONE)
}

fn stage(change: Change) -> Stage {
    match change {
        Change::Brightness(percent) => table(|v| v + 2.55 * f64::from(percent)),
        Change::Contrast(percent) => {
            let slope = (1.0 + f64::from(percent) / 100.0).powi(2);
            table(|v| 127.5 + (v - 127.5) * slope)
        }
        Change::Gamma(gamma) => table(|v| 255.0 * (v / 255.0).powf(1.0 / f64::from(gamma))),
        Change::Multiply(percent) => table(|v| v * f64::from(percent) / 100.0),
        Change::Invert => table(|v| 255.0 - v),
        Change::Threshold(percent) => table(|v| if v >= 2.55 * f64::from(percent) { 255.0 } else { 0.0 }),
        Change::Levels(Levels { black, white, gamma }) => {
            let (black, white) = (255.0 * f64::from(black) / 100.0, 255.0 * f64::from(white) / 100.0);
            table(|v| 255.0 * ((v - black) / (white - black)).clamp(0.0, 1.0).powf(1.0 / f64::from(gamma)))
        }
        Change::Levelize(Levels { black, white, gamma }) => {
            let (black, white) = (255.0 * f64::from(black) / 100.0, 255.0 * f64::from(white) / 100.0);
            table(|v| black + (white - black) * (v / 255.0).powf(f64::from(gamma)))
        }
        Change::Grayscale => Stage::Matrix([LUMA; 3]),
        Change::Saturation(percent) => Stage::Matrix(saturation(1.0 + f64::from(percent) / 100.0)),
        Change::Hue(degrees) => Stage::Matrix(hue(f64::from(degrees))),
        Change::Sepia(percent) => Stage::Matrix(sepia(f64::from(percent) / 100.0)),
    }
}

fn table(formula: impl Fn(f64) -> f64) -> Stage {
    Stage::Table(Box::new(std::array::from_fn(|value| (formula(value as f64) + 0.5).floor().clamp(0.0, 255.0) as u8)))
}

fn saturation(share: f64) -> Matrix {
    if share == 0.0 {
        return [LUMA; 3];
    }
    neutral(|row, column| {
        (1.0 - share) * f64::from(LUMA[column]) / f64::from(ONE) + if row == column { share } else { 0.0 }
    })
}

/// `hueRotate` of W3C Filter Effects 1.
fn hue(degrees: f64) -> Matrix {
    const MEAN: [f64; 3] = [0.213, 0.715, 0.072];
    const ACROSS: [[f64; 3]; 3] = [[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]];
    let (sin, cos) = (degrees * PI / 180.0).sin_cos();
    neutral(|row, column| {
        let own = if row == column { 1.0 } else { 0.0 };
        MEAN[column] + cos * (own - MEAN[column]) + sin * ACROSS[row][column]
    })
}

/// `sepia` of W3C Filter Effects 1.
fn sepia(share: f64) -> Matrix {
    const BROWN: [[f64; 3]; 3] = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]];
    matrix(|row, column| {
        let own = if row == column { 1.0 } else { 0.0 };
        own + share * (BROWN[row][column] - own)
    })
}

fn matrix(share: impl Fn(usize, usize) -> f64) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| (share(row, column) * f64::from(ONE)).round() as i32))
}

/// A matrix whose rows come to exactly [`ONE`], so that greys stay as they are.
fn neutral(share: impl Fn(usize, usize) -> f64) -> Matrix {
    let mut matrix = matrix(share);
    for (nth, row) in matrix.iter_mut().enumerate() {
        row[nth] += ONE - row.iter().sum::<i32>();
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::image::luma;
    use crate::engine::limits::tests::looks_of;
    use crate::geometry::Size;

    fn adjusted(changes: &[Change], frame: Frame) -> Frame {
        Adjustment::new(changes).apply(frame, &Cancel::default()).expect("nothing stops it")
    }

    fn pixel(change: Change, rgb: [u8; 3]) -> [u8; 3] {
        let card = Frame::new(Size::new(1, 1), Layout::Rgb, rgb.to_vec()).expect("one pixel");
        adjusted(&[change], card).pixels().try_into().expect("three samples")
    }

    #[test]
    fn each_change_is_its_formula() {
        for (change, from, to) in [
            // 25.5 more; 25.5 less, rounded half up.
            (Change::Brightness(10), [0, 100, 250], [26, 126, 255]),
            (Change::Brightness(-10), [0, 100, 250], [0, 75, 225]),
            (Change::Brightness(100), [0, 1, 255], [255, 255, 255]),
            // The slope is 1.5² = 2.25, and 0.25.
            (Change::Contrast(50), [0, 100, 200], [0, 66, 255]),
            (Change::Contrast(-50), [0, 100, 255], [96, 121, 159]),
            (Change::Contrast(-100), [0, 100, 255], [128, 128, 128]),
            // 255 × √(64/255) = 127.7.
            (Change::Gamma(2.0), [0, 64, 255], [0, 128, 255]),
            (Change::Gamma(0.5), [0, 128, 255], [0, 64, 255]),
            (Change::Multiply(150), [0, 100, 200], [0, 150, 255]),
            (Change::Multiply(0), [9, 100, 200], [0, 0, 0]),
            (Change::Invert, [0, 100, 255], [255, 155, 0]),
            (Change::Threshold(50), [127, 128, 255], [0, 255, 255]),
            // 255 × (127 − 25.5)/204 = 126.9.
            (Change::Levels(Levels { black: 10.0, white: 90.0, gamma: 1.0 }), [25, 127, 230], [0, 127, 255]),
            (Change::Levels(Levels { black: 0.0, white: 100.0, gamma: 2.0 }), [0, 64, 255], [0, 128, 255]),
            (Change::Levelize(Levels { black: 10.0, white: 90.0, gamma: 1.0 }), [0, 127, 255], [26, 127, 230]),
            // 0.299 × 255 = 76.2.
            (Change::Grayscale, [255, 0, 0], [76, 76, 76]),
            (Change::Saturation(-100), [255, 0, 0], [76, 76, 76]),
            (Change::Saturation(-50), [255, 0, 0], [166, 38, 38]),
            (Change::Saturation(100), [120, 100, 100], [134, 94, 94]),
            // Vectors of the specification: 0.213 − 0.213 × cos 90° − 0.213 × sin 90° = 0, and so on.
            (Change::Hue(90), [255, 0, 0], [0, 91, 0]),
            (Change::Hue(180), [255, 0, 0], [0, 109, 109]),
            (Change::Sepia(100), [100, 100, 100], [135, 120, 94]),
            (Change::Sepia(50), [100, 100, 100], [118, 110, 97]),
        ] {
            assert_eq!(pixel(change, from), to, "{change:?}");
        }
    }

    #[test]
    fn greys_stay_where_only_colour_changes() {
        let card = Frame::new(Size::new(256, 1), Layout::Gray, (0..=255).collect()).expect("all greys");
        for change in [Change::Saturation(-37), Change::Saturation(83), Change::Hue(77), Change::Grayscale] {
            assert_eq!(adjusted(&[change], card.clone()), card, "{change:?}");
            let colored = card.clone().into_layout(Layout::Rgb);
            assert_eq!(adjusted(&[change], colored.clone()), colored, "{change:?}");
        }
        assert_eq!(adjusted(&[Change::Sepia(10)], card).layout(), Layout::Rgb);
    }

    #[test]
    fn grey_is_the_luma_that_results_are_made_grey_by() {
        let card = cards::numbered(9, 6, Layout::Rgb);
        let grey = adjusted(&[Change::Grayscale], card.clone());
        for (from, to) in card.pixels().chunks_exact(3).zip(grey.pixels().chunks_exact(3)) {
            assert_eq!(to, [luma(from[0], from[1], from[2]); 3]);
        }
    }

    #[test]
    fn changes_are_done_in_their_order_and_tables_in_one() {
        let changes =
            [Change::Brightness(20), Change::Contrast(40), Change::Hue(30), Change::Invert, Change::Gamma(1.4)];
        let card = cards::numbered(9, 6, Layout::Rgba);
        let one_by_one = changes.iter().fold(card.clone(), |card, change| adjusted(&[*change], card));
        assert_eq!(adjusted(&changes, card.clone()), one_by_one);
        assert_eq!(Adjustment::new(&changes).stages.len(), 3);
        let other_way = [changes[1], changes[0]];
        assert_ne!(adjusted(&changes[..2], card.clone()), adjusted(&other_way, card));
    }

    #[test]
    fn alpha_stays() {
        let card = cards::numbered(9, 6, Layout::Rgba);
        for change in [Change::Brightness(100), Change::Sepia(100), Change::Invert, Change::Hue(90)] {
            let alphas = |frame: &Frame| frame.pixels().iter().skip(3).step_by(4).copied().collect::<Vec<_>>();
            assert_eq!(alphas(&adjusted(&[change], card.clone())), alphas(&card), "{change:?}");
        }
    }

    #[test]
    fn it_stops_between_rows() {
        let card = Frame::filled(Size::new(2, 50), Layout::Rgb, [9; 4]);
        let adjustment = Adjustment::new(&[Change::Hue(3), Change::Invert]);
        assert_eq!(looks_of(|cancel| adjustment.apply(card.clone(), cancel)), 50);
    }
}
