//! `crop/…` of `imageMogr2` (spec 4.3): a box of the current image, anchored by gravity.

use std::fmt;

use super::scan;
use super::thumbnail::{edges, unescaped, write_edges};
use crate::geometry::{Gravity, Rect, Size};

/// Farthest that a box, canvas or mark may be moved, in pixels.
pub(super) const MAX_OFFSET: i32 = 99_999;

/// A crop box with its anchor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Box width; `None` is the current width.
    pub width: Option<u32>,
    /// Box height; `None` is the current height.
    pub height: Option<u32>,
    /// Horizontal offset, inwards from the anchor.
    pub dx: i32,
    /// Vertical offset, inwards from the anchor.
    pub dy: i32,
    /// The anchor; NorthWest by default.
    pub gravity: Gravity,
}

impl Crop {
    /// What the value of `crop/…` may be.
    pub(super) const EXPECTED: &str =
        "<w>x<h>, <w>x or x<h> (1 to 9999), or !<w>x<h> with two offsets, each a (for +) or - and an integer to 99999";

    /// Reads the value of `crop/…`; the box is anchored by `gravity`.
    pub(super) fn parse(value: &str, gravity: Gravity) -> Option<Self> {
        let value = unescaped(value);
        let (size, (dx, dy)) = split_offsets(&value)?;
        let (width, height) = edges(size)?;
        Some(Self { width, height, dx, dy, gravity })
    }

    /// The part of a picture of size `current` that is kept; `None` where the box lies wholly outside it.
    pub fn rect(self, current: Size) -> Option<Rect> {
        let size = Size::new(self.width.unwrap_or(current.width), self.height.unwrap_or(current.height));
        let (x, y) = self.gravity.place(size, current, self.dx.into(), self.dy.into());
        Rect::clipped(x, y, size, current)
    }
}

/// Splits `<size>±<dx>±<dy>`; offsets come in pairs, and none is two zeroes.
fn split_offsets(value: &str) -> Option<(&str, (i32, i32))> {
    match value.find(['+', '-']) {
        Some(at) => Some((&value[..at], offsets(&value[at..])?)),
        None => Some((value, (0, 0))),
    }
}

/// The two numbers of `±<dx>±<dy>`.
pub(super) fn offsets(text: &str) -> Option<(i32, i32)> {
    let second = text.get(1..)?.find(['+', '-'])? + 1;
    Some((offset(&text[..second])?, offset(&text[second..])?))
}

/// The number of `+<n>` or `-<n>`.
fn offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+')?),
    };
    scan::integer_in(digits, &(0..=MAX_OFFSET)).map(|magnitude| sign * magnitude)
}

/// Writes an offset as `a<n>` or `-<n>`.
pub(super) fn write_offset(f: &mut fmt::Formatter<'_>, offset: i32) -> fmt::Result {
    let sign = if offset < 0 { '-' } else { 'a' };
    write!(f, "{sign}{}", offset.unsigned_abs())
}

impl fmt::Display for Crop {
    /// The value of `crop/…`, without the gravity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if (self.dx, self.dy) == (0, 0) {
            return write_edges(f, self.width, self.height);
        }
        f.write_str("!")?;
        write_edges(f, self.width, self.height)?;
        write_offset(f, self.dx)?;
        write_offset(f, self.dy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Size = Size::new(640, 427);

    /// Size and origin as the spec prints them: `300x300 @30,100`.
    fn rect(text: &str, gravity: Gravity) -> String {
        let rect = Crop::parse(text, gravity).unwrap().rect(SOURCE).unwrap();
        format!("{} @{},{}", rect.size, rect.x, rect.y)
    }

    /// Spec 4.3, the first crop table row by row.
    #[test]
    fn boxes_are_the_documented_ones() {
        for (text, expected) in [
            ("300x", "300x427 @0,0"),
            ("x200", "640x200 @0,0"),
            ("300x300", "300x300 @0,0"),
            ("!300x300a30a100", "300x300 @30,100"),
            ("!300x300a30-100", "300x200 @30,0"),
            ("!300x300-30a100", "270x300 @0,100"),
            ("!300x300-30-100", "270x200 @0,0"),
        ] {
            assert_eq!(rect(text, Gravity::NorthWest), expected, "{text}");
        }
        assert_eq!(rect("1000x300", Gravity::Center), "640x300 @0,63");
    }

    /// Spec 4.3, the gravity table row by row.
    #[test]
    fn offsets_point_inwards() {
        for (gravity, plain, inwards, outwards) in [
            (Gravity::NorthWest, "300x300 @0,0", "300x300 @10,20", "290x280 @0,0"),
            (Gravity::North, "300x300 @170,0", "300x300 @180,20", "300x280 @160,0"),
            (Gravity::NorthEast, "300x300 @340,0", "300x300 @330,20", "290x280 @350,0"),
            (Gravity::West, "300x300 @0,63", "300x300 @10,83", "290x300 @0,43"),
            (Gravity::Center, "300x300 @170,63", "300x300 @180,83", "300x300 @160,43"),
            (Gravity::East, "300x300 @340,63", "300x300 @330,83", "290x300 @350,43"),
            (Gravity::SouthWest, "300x300 @0,127", "300x300 @10,107", "290x280 @0,147"),
            (Gravity::South, "300x300 @170,127", "300x300 @180,107", "300x280 @160,147"),
            (Gravity::SouthEast, "300x300 @340,127", "300x300 @330,107", "290x280 @350,147"),
        ] {
            assert_eq!(rect("300x300", gravity), plain, "{gravity:?}");
            assert_eq!(rect("!300x300a10a20", gravity), inwards, "{gravity:?}");
            assert_eq!(rect("!300x300-10-20", gravity), outwards, "{gravity:?}");
        }
    }

    #[test]
    fn a_box_wholly_outside_is_none() {
        for text in ["!10x10a640a0", "!10x10a0a427", "!10x10-10a0", "!10x10a99999a99999", "!x10a640a0"] {
            assert_eq!(Crop::parse(text, Gravity::NorthWest).unwrap().rect(SOURCE), None, "{text}");
        }
    }

    #[test]
    fn escaped_and_plain_spellings_are_one() {
        for (text, canonical) in [
            ("!300x300", "300x300"),
            ("300x300+10+20", "!300x300a10a20"),
            ("300x300-10-20", "!300x300-10-20"),
            ("!300x300+0-0", "300x300"),
            ("!300xa10a0", "!300xa10a0"),
            ("!x9999-0a5", "!x9999a0a5"),
        ] {
            let crop = Crop::parse(text, Gravity::NorthWest);
            assert_eq!(crop.map(|crop| crop.to_string()).as_deref(), Some(canonical), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "!",
            "x",
            "300",
            "0x300",
            "300x0",
            "10000x1",
            "1x10000",
            "300x300a10a20",
            "!300x300a10",
            "!300x300-10",
            "!300x300a10a20a30",
            "!300x300a",
            "!300x300aa",
            "!300x300a-10a5",
            "!300x300a100000a0",
            "!a10a10",
            "!xa10a10",
            "-300x300",
            "300x300!",
            "!300x300é",
            "!300x300+é",
        ] {
            assert_eq!(Crop::parse(text, Gravity::NorthWest), None, "{text:?}");
        }
    }
}
