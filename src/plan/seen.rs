//! What there is to see of a picture, told as JSON: `imageAve` the vendor's, `colors/<n>` and `edges/<fuzz>` this server's own.

use std::fmt;

use super::ParseError;
use super::scan::Cursor;

/// What is told of a picture after all operators before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    /// `imageAve`: the average colour.
    Average,
    /// `colors/<n>`: at most so many colours that stand for all, 2 to 64, the commonest first; and the commonest along the edges.
    Colors(u16),
    /// `edges/<fuzz>`: the box outside which nothing differs from the corners, and whether there is none.
    Edges(Fuzz),
}

/// `trim/<fuzz>`: the box of [`Seen::Edges`] is cut out; a picture of one colour stays whole. Pixels have to be looked at before
/// a program with exact sizes can be made of what follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trim(pub Fuzz);

/// How far colours may be apart and count as the same: percent of the distance from black to white, 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fuzz {
    percent: f32,
}

impl Fuzz {
    /// So many percent.
    pub const fn percent(self) -> f32 {
        self.percent
    }

    /// Reads it where it is given; else it is 0.
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        if cursor.is_at_end() {
            return Ok(Self::default());
        }
        let percent = cursor.decimal("fuzz", 0.0..=100.0)?;
        cursor.end().map(|()| Self { percent })
    }
}

impl Seen {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Average => "imageAve",
            Self::Colors(_) => "colors",
            Self::Edges(_) => "edges",
        }
    }

    pub(super) fn average(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        cursor.end().map(|()| Self::Average)
    }

    pub(super) fn colors(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let count = cursor.integer("count", 2..=64)?;
        cursor.end().map(|()| Self::Colors(count))
    }

    pub(super) fn edges(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        Fuzz::parse(cursor).map(Self::Edges)
    }
}

impl Trim {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        Fuzz::parse(cursor).map(Self)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Average => Ok(()),
            Self::Colors(count) => write!(f, "/{count}"),
            Self::Edges(fuzz) => write!(f, "{fuzz}"),
        }
    }
}

impl fmt::Display for Trim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trim{}", self.0)
    }
}

impl fmt::Display for Fuzz {
    /// As an argument; nothing for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.percent == 0.0 { Ok(()) } else { write!(f, "/{}", self.percent) }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;

    #[test]
    fn texts_are_canonical() {
        for (text, canonical) in [
            ("trim", "trim"),
            ("trim/0", "trim"),
            ("trim/2.50", "trim/2.5"),
            ("trim/|edges/100", "trim|edges/100"),
            ("colors/8", "colors/8"),
        ] {
            assert_eq!(Plan::parse(text).unwrap().to_string(), canonical, "{text}");
        }
        for (text, message) in [
            ("trim/101", "trim: fuzz is \"101\"; expected a number from 0 to 100"),
            ("edges/x", "edges: fuzz is \"x\"; expected a number from 0 to 100"),
            ("colors", "colors: count is missing; expected an integer from 2 to 64"),
            ("colors/65", "colors: count is \"65\"; expected an integer from 2 to 64"),
            ("edges|trim", "edges: its result is not an image, so only saveas may follow"),
        ] {
            assert_eq!(Plan::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
