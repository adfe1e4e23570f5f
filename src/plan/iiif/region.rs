//! The part of the picture that is asked for.

use super::{Refusal, decimal, pixels};
use crate::geometry::{Rect, Size};

/// A region, and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Region {
    text: String,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Full,
    /// The largest square in the middle.
    Square,
    /// x, y, width, height.
    Pixels([u32; 4]),
    /// The same in percent of the picture's edges.
    Percent([f64; 4]),
}

const EXPECTED: &str = "full, square, x,y,w,h or pct:x,y,w,h";

impl Region {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let form = match text {
            "full" => Some(Form::Full),
            "square" => Some(Form::Square),
            _ => match text.strip_prefix("pct:") {
                Some(numbers) => four(numbers, decimal).map(Form::Percent),
                None => four(text, pixels).map(Form::Pixels),
            },
        };
        let invalid = || Refusal::Invalid { part: "region", value: text.to_owned(), expected: EXPECTED };
        Ok(Self { text: text.to_owned(), form: form.ok_or_else(invalid)? })
    }

    /// The part of a picture of size `source`, cut at its edges.
    pub(super) fn rect(&self, source: Size) -> Result<Rect, Refusal> {
        let [x, y, width, height] = match self.form {
            Form::Full => [0, 0, source.width, source.height],
            Form::Square => {
                let side = source.short();
                [(source.width - side) / 2, (source.height - side) / 2, side, side]
            }
            Form::Pixels(numbers) => numbers,
            Form::Percent([x, y, width, height]) => {
                // Each edge is rounded for itself, half up, which is what the standard's examples come to.
                let share = |percent: f64, edge: u32| (percent / 100.0 * f64::from(edge) + 0.5).floor() as u32;
                let across = |percent| share(percent, source.width);
                let down = |percent| share(percent, source.height);
                [across(x), down(y), across(width), down(height)]
            }
        };
        let is_empty = width == 0 || height == 0;
        let clipped = (!is_empty).then(|| Rect::clipped(x.into(), y.into(), Size::new(width, height), source));
        clipped.flatten().ok_or_else(|| Refusal::Empty { value: self.text.clone(), source_size: source })
    }
}

/// Four numbers between commas.
fn four<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<[T; 4]> {
    let numbers = text.split(',').map(read).collect::<Option<Vec<T>>>()?;
    numbers.try_into().ok()
}
