//! `cut/w/<n>/h/<n>/…` and `cut/square/1`: a box of the picture. A fop of this server's own: what `imageMogr2` crops, with the
//! rules of services that cut to proportions where a picture is smaller.

use std::fmt;

use super::ParseError;
use super::crop::MAX_OFFSET;
use super::scan::Cursor;
use crate::geometry::{Gravity, Rect, Size, scale_edge};

/// A parsed `cut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The box's edges; `None` is the picture's shorter one, both ways.
    pub edges: Option<Edges>,
    /// What it is anchored at; for boxes the north-west by default, for squares the middle.
    pub gravity: Gravity,
    /// Pixels inwards from the anchor, or right.
    pub x: i32,
    /// Pixels inwards from the anchor, or down.
    pub y: i32,
    /// `keep-aspect/1`: a picture that is smaller than the box in an edge is cut to the box's proportions instead.
    pub keeps_aspect: bool,
    /// `unless-smaller/1`: nothing is cut where the picture is smaller in every edge that is given.
    pub unless_smaller: bool,
}

/// Edges of a box; one that is missing is the picture's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// From left to right, 1 to 30000.
    pub width: Option<u32>,
    /// From top to bottom, 1 to 30000.
    pub height: Option<u32>,
}

const MAX_EDGE: u32 = 30_000;
const ARGUMENTS: [&str; 8] = ["w", "h", "square", "x", "y", "gravity", "keep-aspect", "unless-smaller"];

impl Cut {
    /// Reads what follows `cut/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let (mut edges, mut is_square, mut gravity) = (Edges::default(), false, None);
        let (mut x, mut y, mut keeps_aspect, mut unless_smaller) = (0, 0, false, false);
        while let Some(name) = cursor.segment() {
            match name {
                "w" => edges.width = Some(cursor.integer(name, 1..=MAX_EDGE)?),
                "h" => edges.height = Some(cursor.integer(name, 1..=MAX_EDGE)?),
                "square" => is_square = cursor.flag(name)?,
                "x" => x = cursor.integer(name, -MAX_OFFSET..=MAX_OFFSET)?,
                "y" => y = cursor.integer(name, -MAX_OFFSET..=MAX_OFFSET)?,
                "gravity" => gravity = Some(cursor.gravity(name)?),
                "keep-aspect" => keeps_aspect = cursor.flag(name)?,
                "unless-smaller" => unless_smaller = cursor.flag(name)?,
                _ => return Err(cursor.unknown(name, &ARGUMENTS)),
            }
        }
        if is_square {
            let gravity = gravity.unwrap_or(Gravity::Center);
            return Ok(Self { edges: None, gravity, x, y, keeps_aspect: false, unless_smaller: false });
        }
        if edges == Edges::default() {
            return Err(cursor.missing("w, h or square", format_args!("an integer from 1 to {MAX_EDGE}, or square/1")));
        }
        let keeps_aspect = keeps_aspect && edges.width.is_some() && edges.height.is_some();
        let gravity = gravity.unwrap_or(Gravity::NorthWest);
        Ok(Self { edges: Some(edges), gravity, x, y, keeps_aspect, unless_smaller })
    }

    /// A box of these edges whose upper left corner is at `x`, `y`.
    pub const fn box_at(x: i32, y: i32, edges: Edges) -> Self {
        let gravity = Gravity::NorthWest;
        Self { edges: Some(edges), gravity, x, y, keeps_aspect: false, unless_smaller: false }
    }

    /// The part of a picture of size `current` that is kept; `None` where the box lies wholly outside it.
    pub fn rect(self, current: Size) -> Option<Rect> {
        let Some(Edges { width, height }) = self.edges else {
            let side = Size::new(current.short(), current.short());
            let (x, y) = self.gravity.place(side, current, self.x.into(), self.y.into());
            return Rect::clipped(x, y, side, current);
        };
        let is_narrower = width.is_some_and(|width| current.width < width);
        let is_lower = height.is_some_and(|height| current.height < height);
        if self.unless_smaller && (is_narrower || width.is_none()) && (is_lower || height.is_none()) {
            return Some(Rect { x: 0, y: 0, size: current });
        }
        let asked = Size::new(width.unwrap_or(current.width), height.unwrap_or(current.height));
        let kept = if self.keeps_aspect && (is_narrower || is_lower) { in_proportion(asked, current) } else { asked };
        let (x, y) = self.gravity.place(kept, current, self.x.into(), self.y.into());
        Rect::clipped(x, y, kept, current)
    }
}

/// The proportions of `asked` on a picture that is smaller: upright pictures keep their width, others their height.
fn in_proportion(asked: Size, current: Size) -> Size {
    if current.height > current.width {
        Size::new(current.width, scale_edge(current.width, asked.height, asked.width))
    } else {
        Size::new(scale_edge(current.height, asked.width, asked.height), current.height)
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut")?;
        let default = match self.edges {
            Some(Edges { width, height }) => {
                for (name, edge) in [("w", width), ("h", height)] {
                    edge.map_or(Ok(()), |edge| write!(f, "/{name}/{edge}"))?;
                }
                Gravity::NorthWest
            }
            None => {
                f.write_str("/square/1")?;
                Gravity::Center
            }
        };
        for (name, offset) in [("x", self.x), ("y", self.y)] {
            if offset != 0 {
                write!(f, "/{name}/{offset}")?;
            }
        }
        if self.gravity != default {
            write!(f, "/gravity/{}", self.gravity.name())?;
        }
        for (name, flag) in [("keep-aspect", self.keeps_aspect), ("unless-smaller", self.unless_smaller)] {
            if flag {
                write!(f, "/{name}/1")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Cut, ParseError> {
        Cut::parse(&mut Cursor::new("cut", Some(text)))
    }

    #[test]
    fn boxes_of_640x427() {
        for (text, expected) in [
            ("w/100/h/50", "100x50 at 0,0"),
            ("w/100/h/50/x/30/y/-20", "100x30 at 30,0"),
            ("w/100", "100x427 at 0,0"),
            ("w/100/h/50/gravity/SouthEast/x/10/y/20", "100x50 at 530,357"),
            ("w/100/h/50/gravity/Center", "100x50 at 270,188"),
            ("w/1000/h/50", "640x50 at 0,0"),
            ("w/1000/h/500/unless-smaller/1", "640x427 at 0,0"),
            ("w/1000/h/400/unless-smaller/1", "640x400 at 0,0"),
            ("w/1000/unless-smaller/1/x/10", "640x427 at 0,0"),
            // Wide pictures keep their height: 427 × 500/1000.
            ("w/500/h/1000/keep-aspect/1", "214x427 at 0,0"),
            ("w/1000/h/500/keep-aspect/1/gravity/East", "640x427 at 0,0"),
            ("w/500/h/400/keep-aspect/1", "500x400 at 0,0"),
            ("square/1", "427x427 at 106,0"),
            ("square/1/gravity/East", "427x427 at 213,0"),
        ] {
            let Rect { x, y, size } = parse(text).unwrap().rect(Size::new(640, 427)).unwrap();
            assert_eq!(format!("{size} at {x},{y}"), expected, "{text}");
        }
        let upright = parse("w/1000/h/500/keep-aspect/1").unwrap().rect(Size::new(427, 640)).unwrap();
        assert_eq!(upright.size, Size::new(427, 214));
        assert_eq!(parse("w/10/h/10/x/640").unwrap().rect(Size::new(640, 427)), None);
    }

    #[test]
    fn texts_are_canonical() {
        for (text, canonical) in [
            ("h/5/w/6/x/0/y/-1/gravity/NorthWest", "cut/w/6/h/5/y/-1"),
            ("w/6/keep-aspect/1/unless-smaller/1/gravity/center", "cut/w/6/gravity/Center/unless-smaller/1"),
            ("square/1/w/5/gravity/Center", "cut/square/1"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), canonical, "{text}");
        }
        let missing = "cut: w, h or square is missing; expected an integer from 1 to 30000, or square/1";
        assert_eq!(parse("x/5").unwrap_err().to_string(), missing);
    }
}
