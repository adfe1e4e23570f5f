//! `imageslim[/zlevel/<0-10>]` (spec 4.10).

use std::fmt;

use super::ParseError;
use super::scan::Cursor;

const DEFAULT_LEVEL: u8 = 3;

/// A parsed `imageslim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSlim {
    /// 0–10, lower is better quality; 3 by default.
    pub level: u8,
}

impl ImageSlim {
    /// Reads what follows `imageslim`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mut slim = Self { level: DEFAULT_LEVEL };
        while let Some(name) = cursor.segment() {
            match name {
                "zlevel" => slim.level = cursor.integer(name, 0..=10)?,
                _ => return Err(cursor.unknown(name, &["zlevel"])),
            }
        }
        Ok(slim)
    }
}

impl fmt::Display for ImageSlim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("imageslim")?;
        if self.level == DEFAULT_LEVEL { Ok(()) } else { write!(f, "/zlevel/{}", self.level) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_0_to_10() {
        let parse = |text| ImageSlim::parse(&mut Cursor::new("imageslim", text));
        for (text, level, canonical) in [
            (None, 3, "imageslim"),
            (Some("zlevel/3"), 3, "imageslim"),
            (Some("zlevel/0"), 0, "imageslim/zlevel/0"),
            (Some("zlevel/10"), 10, "imageslim/zlevel/10"),
        ] {
            assert_eq!(parse(text), Ok(ImageSlim { level }));
            assert_eq!(ImageSlim { level }.to_string(), canonical);
        }
        for (text, message) in [
            ("zlevel/11", "imageslim: zlevel is \"11\"; expected an integer from 0 to 10"),
            ("zlevel", "imageslim: zlevel is missing; expected an integer from 0 to 10"),
            ("level/3", "imageslim: unknown argument \"level\"; expected one of zlevel (did you mean zlevel?)"),
        ] {
            assert_eq!(parse(Some(text)).unwrap_err().to_string(), message);
        }
    }
}
