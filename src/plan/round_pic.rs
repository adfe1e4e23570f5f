//! `roundPic/radius/<r>` and `roundPic/radiusx/<rx>/radiusy/<ry>` (spec 4.9).

use std::fmt;

use super::ParseError;
use super::scan::{self, Cursor};
use crate::geometry::Size;

/// A parsed `roundPic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundPic {
    /// Horizontal radius.
    pub x: Radius,
    /// Vertical radius.
    pub y: Radius,
}

/// A corner radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Radius {
    /// Pixels; clamped to half the edge.
    Pixels(u32),
    /// Percent of the edge (width for x, height for y), 0–50.
    Percent(u32),
}

const RADIUS: &str = "pixels from 0, or !<n>p for n percent of the edge";

impl RoundPic {
    /// Reads what follows `roundPic/`: `radius`, or both `radiusx` and `radiusy`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let (mut both, mut x, mut y) = (None, None, None);
        while let Some(name) = cursor.segment() {
            match name {
                "radius" => both = Some(Radius::read(cursor, name)?),
                "radiusx" => x = Some(Radius::read(cursor, name)?),
                "radiusy" => y = Some(Radius::read(cursor, name)?),
                _ => return Err(cursor.unknown(name, &["radius", "radiusx", "radiusy"])),
            }
        }
        match (both, x, y) {
            (Some(radius), None, None) => Ok(Self { x: radius, y: radius }),
            (None, Some(x), Some(y)) => Ok(Self { x, y }),
            (Some(_), ..) => {
                Err(ParseError::Order { fop: "roundPic", problem: "radius does not go with radiusx and radiusy" })
            }
            (None, Some(_), None) => Err(cursor.missing("radiusy", RADIUS)),
            (None, None, Some(_)) => Err(cursor.missing("radiusx", RADIUS)),
            (None, None, None) => Err(cursor.missing("radius", RADIUS)),
        }
    }

    /// Horizontal and vertical radius in pixels on a picture of size `size`; at most half the edge, rounded down.
    pub fn radii(self, size: Size) -> (u32, u32) {
        (self.x.pixels(size.width), self.y.pixels(size.height))
    }
}

impl Radius {
    fn read(cursor: &mut Cursor<'_>, argument: &str) -> Result<Self, ParseError> {
        cursor.read(argument, RADIUS, |value| match percent(value) {
            Some(number) => scan::integer_in(number, &(0..=u32::MAX)).map(|percent| Self::Percent(percent.min(50))),
            None => scan::integer_in(value, &(0..=u32::MAX)).map(Self::Pixels),
        })
    }

    fn pixels(self, edge: u32) -> u32 {
        match self {
            Self::Pixels(pixels) => pixels.min(edge / 2),
            Self::Percent(percent) => (u64::from(edge) * u64::from(percent.min(50)) / 100) as u32,
        }
    }
}

/// The number of `!<n>p`, or of `<n>%` as it is without the escape.
fn percent(value: &str) -> Option<&str> {
    let escaped = value.strip_prefix('!').and_then(|value| value.strip_suffix('p'));
    escaped.or_else(|| value.strip_suffix('%'))
}

impl fmt::Display for Radius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            Self::Percent(percent) => write!(f, "!{percent}p"),
        }
    }
}

impl fmt::Display for RoundPic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { x, y } if x == y => write!(f, "roundPic/radius/{x}"),
            Self { x, y } => write!(f, "roundPic/radiusx/{x}/radiusy/{y}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RoundPic, ParseError> {
        RoundPic::parse(&mut Cursor::new("roundPic", Some(text)))
    }

    /// Spec 4.9, sentence by sentence, on a picture of 640x427.
    #[test]
    fn radii_are_pixels_or_percent_up_to_half() {
        for (text, canonical, radii) in [
            ("radius/0", "roundPic/radius/0", (0, 0)),
            ("radius/20", "roundPic/radius/20", (20, 20)),
            ("radiusx/20/radiusy/30", "roundPic/radiusx/20/radiusy/30", (20, 30)),
            ("radiusy/30/radiusx/20", "roundPic/radiusx/20/radiusy/30", (20, 30)),
            ("radiusx/20/radiusy/20", "roundPic/radius/20", (20, 20)),
            ("radius/300", "roundPic/radius/300", (300, 213)),
            ("radius/!10p", "roundPic/radius/!10p", (64, 42)),
            ("radius/10%", "roundPic/radius/!10p", (64, 42)),
            ("radius/!50p", "roundPic/radius/!50p", (320, 213)),
            ("radius/!99p", "roundPic/radius/!50p", (320, 213)),
            ("radiusx/!25p/radiusy/5", "roundPic/radiusx/!25p/radiusy/5", (160, 5)),
        ] {
            let round = parse(text).unwrap();
            assert_eq!(round.to_string(), canonical, "{text}");
            assert_eq!(round.radii(Size::new(640, 427)), radii, "{text}");
        }
    }

    #[test]
    fn a_radius_is_needed_once() {
        for (text, message) in [
            ("radiusx/3", "roundPic: radiusy is missing; expected pixels from 0, or !<n>p for n percent of the edge"),
            ("radiusy/3", "roundPic: radiusx is missing; expected pixels from 0, or !<n>p for n percent of the edge"),
            ("radius", "roundPic: radius is missing; expected pixels from 0, or !<n>p for n percent of the edge"),
            ("radius/-3", "roundPic: radius is \"-3\"; expected pixels from 0, or !<n>p for n percent of the edge"),
            ("radius/!3", "roundPic: radius is \"!3\"; expected pixels from 0, or !<n>p for n percent of the edge"),
            ("radius/3/radiusx/3", "roundPic: radius does not go with radiusx and radiusy"),
            ("r/3", "roundPic: unknown argument \"r\"; expected one of radius, radiusx, radiusy"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
        assert!(RoundPic::parse(&mut Cursor::new("roundPic", None)).is_err());
    }
}
