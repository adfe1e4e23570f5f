//! `flip/horizontal` and `flip/vertical`: the picture in a mirror. A fop of this server's own.

use std::fmt;

use super::ParseError;
use super::scan::Cursor;
use crate::geometry::Orientation;

/// A parsed `flip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// Left and right change places.
    Horizontal,
    /// Top and bottom change places.
    Vertical,
}

impl Flip {
    /// Reads what follows `flip/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let flip = cursor.read("direction", "horizontal or vertical", |value| match value {
            "horizontal" => Some(Self::Horizontal),
            "vertical" => Some(Self::Vertical),
            _ => None,
        })?;
        cursor.end().map(|()| flip)
    }

    /// The orientation of a stored picture that is upright when it was mirrored so.
    pub const fn orientation(self) -> Orientation {
        match self {
            Self::Horizontal => Orientation::TopRight,
            Self::Vertical => Orientation::BottomLeft,
        }
    }
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Horizontal => "flip/horizontal",
            Self::Vertical => "flip/vertical",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_directions() {
        let parse = |text| Flip::parse(&mut Cursor::new("flip", Some(text))).map(|flip| flip.to_string());
        for text in ["horizontal", "vertical"] {
            assert_eq!(parse(text), Ok(format!("flip/{text}")));
        }
        let error = parse("diagonal").unwrap_err().to_string();
        assert_eq!(error, "flip: direction is \"diagonal\"; expected horizontal or vertical");
        assert!(parse("").is_err() && parse("vertical/1").is_err());
    }
}
