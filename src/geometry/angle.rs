//! Turns, in hundredths of a degree: exact to compare and to spell.

use std::fmt;

/// A clockwise turn, less than a whole one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Angle {
    hundredths: u16,
}

/// Hundredths of a degree in a whole turn.
const WHOLE: i64 = 36_000;

impl Angle {
    /// So many degrees clockwise; whole turns fall away.
    pub const fn of_degrees(degrees: i32) -> Self {
        Self::of_hundredths(degrees as i64 * 100)
    }

    /// So many hundredths of a degree clockwise; whole turns fall away.
    pub const fn of_hundredths(hundredths: i64) -> Self {
        Self { hundredths: hundredths.rem_euclid(WHOLE) as u16 }
    }

    /// Degrees clockwise, from 0 to less than 360.
    pub fn degrees(self) -> f64 {
        f64::from(self.hundredths) / 100.0
    }

    /// How many quarter turns it is, 0 to 3, where it is any number of them.
    pub const fn quarter_turns(self) -> Option<u8> {
        if self.hundredths.is_multiple_of(9_000) { Some((self.hundredths / 9_000) as u8) } else { None }
    }
}

impl fmt::Display for Angle {
    /// Degrees, with as many decimals as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.degrees())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_less_than_whole_and_exact() {
        for (hundredths, text, quarters) in [
            (0, "0", Some(0)),
            (36_000, "0", Some(0)),
            (9_000, "90", Some(1)),
            (-9_000, "270", Some(3)),
            (2_250, "22.5", None),
            (-1, "359.99", None),
            (72_001, "0.01", None),
        ] {
            let angle = Angle::of_hundredths(hundredths);
            assert_eq!((angle.to_string().as_str(), angle.quarter_turns()), (text, quarters));
        }
        assert_eq!(Angle::of_degrees(-3600), Angle::default());
    }
}
