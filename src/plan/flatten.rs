//! `flatten/<colour>`: transparent pixels onto a colour. A fop of this server's own.

use std::fmt;

use super::ParseError;
use super::scan::{Cursor, encode_base64};
use crate::color::Color;

/// A parsed `flatten`: the colour, which is opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten(pub Color);

impl Flatten {
    /// Reads what follows `flatten/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let color = cursor.color("color")?;
        cursor.end()?;
        match color.is_opaque() {
            true => Ok(Self(color)),
            false => Err(cursor.invalid("color", &color.to_string(), "an opaque colour")),
        }
    }
}

impl fmt::Display for Flatten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flatten/{}", encode_base64(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_opaque_colour_is_needed() {
        let parse = |text| Flatten::parse(&mut Cursor::new("flatten", Some(text))).map(|it| it.to_string());
        assert_eq!(parse("cmVk").as_deref(), Ok("flatten/I0ZGMDAwMA=="));
        for text in ["", "bm9uZQ==", "cmVk/1", "eA"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
