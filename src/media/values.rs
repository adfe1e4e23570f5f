//! What arguments of sound and film are written as.

use std::fmt;

use crate::plan::ParseError;
use crate::plan::scan::Cursor;

/// A time from the beginning, or a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Milliseconds(pub(super) u64);

impl fmt::Display for Milliseconds {
    /// Seconds, as `ffmpeg` reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl Milliseconds {
    /// The longest that is asked for: a hundred hours.
    const MAX: Self = Self(360_000_000);

    /// The time that `text` gives in seconds: digits, and at most one `.`; digits behind the third are passed over.
    fn of_seconds(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) {
            return None;
        }
        let thousandths: String = part.chars().chain("00".chars()).take(3).collect();
        let seconds: u64 = whole.parse().ok()?;
        seconds.checked_mul(1000)?.checked_add(thousandths.parse().ok()?).map(Self)
    }

    /// The value of `argument`, in seconds.
    pub(super) fn read(cursor: &mut Cursor<'_>, argument: &str) -> Result<Self, ParseError> {
        let expected = "seconds from 0 to 360000";
        cursor.read(argument, expected, |text| Self::of_seconds(text).filter(|time| *time <= Self::MAX))
    }
}

/// The value of `argument` in bits a second: a number, and `k` or `m` behind it.
pub(super) fn bit_rate(cursor: &mut Cursor<'_>, argument: &str, (least, most): (u32, u32)) -> Result<u32, ParseError> {
    let expected = format_args!("a bit rate from {}k to {}k, such as 128k", least / 1000, most / 1000);
    cursor.read(argument, expected, |text| bits(text).filter(|bits| (least..=most).contains(bits)))
}

fn bits(text: &str) -> Option<u32> {
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1),
        None => (text.strip_suffix(['m', 'M'])?, 1000),
    };
    // Thousandths of thousands are bits.
    let Milliseconds(bits) = Milliseconds::of_seconds(number)?;
    u32::try_from(bits.checked_mul(unit)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_thousandths() {
        for (text, time) in [
            ("0", Some("0.000")),
            ("7.5", Some("7.500")),
            ("1.0009", Some("1.000")),
            ("360000", Some("360000.000")),
            ("1.", None),
            (".5", None),
            ("-1", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Milliseconds::of_seconds(text).map(|time| time.to_string()).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn bit_rates_have_units() {
        for (text, expected) in [
            ("32k", Some(32_000)),
            ("1.25m", Some(1_250_000)),
            ("0.5K", Some(500)),
            ("64", None),
            ("k", None),
            ("9999999m", None),
        ] {
            assert_eq!(bits(text), expected, "{text}");
        }
    }
}
