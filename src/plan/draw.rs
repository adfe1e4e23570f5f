//! `draw/<shape>/from/<x>x<y>/to/<x>x<y>/…`: rectangles, ellipses and lines. A fop of this server's own.

use std::fmt;

use super::ParseError;
use super::crop::MAX_OFFSET;
use super::scan::{self, Cursor, encode_base64};
use crate::color::Color;

/// A parsed `draw`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// What is drawn.
    pub shape: Shape,
    /// A corner of the box that the shape fills, or an end of the line; in pixels from the top left corner.
    pub from: (i32, i32),
    /// The other one.
    pub to: (i32, i32),
    /// What fills it; lines have none.
    pub fill: Option<Color>,
    /// What its outline, or the line, is drawn with.
    pub stroke: Option<Color>,
    /// How wide that is, half of it on either side, in pixels.
    pub width: u32,
    /// Of the corners of a rectangle, in pixels; and of a line's ends: above 0 they are round.
    pub radius: u32,
}

/// What may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `rectangle`.
    Rectangle,
    /// `ellipse`.
    Ellipse,
    /// `line`.
    Line,
}

impl Shape {
    const ALL: [(&str, Self); 3] = [("rectangle", Self::Rectangle), ("ellipse", Self::Ellipse), ("line", Self::Line)];
}

const POINT: &str = "<x>x<y>, each an integer from -99999 to 99999";
const SHAPES: &str = "rectangle, ellipse or line";
const ARGUMENTS: [&str; 6] = ["from", "to", "fill", "stroke", "width", "radius"];

impl Draw {
    /// Reads what follows `draw/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let find = |value: &str| Shape::ALL.into_iter().find(|(name, _)| *name == value).map(|(_, shape)| shape);
        let shape = cursor.read("shape", SHAPES, find)?;
        let (mut from, mut to) = (None, None);
        let mut draw = Self { shape, from: (0, 0), to: (0, 0), fill: None, stroke: None, width: 1, radius: 0 };
        while let Some(name) = cursor.segment() {
            match name {
                "from" => from = Some(cursor.read(name, POINT, point)?),
                "to" => to = Some(cursor.read(name, POINT, point)?),
                "fill" => draw.fill = Some(cursor.color(name)?),
                "stroke" => draw.stroke = Some(cursor.color(name)?),
                "width" => draw.width = cursor.integer(name, 1..=9999)?,
                "radius" => draw.radius = cursor.integer(name, 0..=9999)?,
                _ => return Err(cursor.unknown(name, &ARGUMENTS)),
            }
        }
        draw.from = from.ok_or_else(|| cursor.missing("from", POINT))?;
        draw.to = to.ok_or_else(|| cursor.missing("to", POINT))?;
        if draw.stroke.is_none() {
            draw.width = 1;
        }
        match shape {
            Shape::Rectangle => {}
            Shape::Ellipse => draw.radius = 0,
            Shape::Line => (draw.fill, draw.radius) = (None, draw.radius.min(1)),
        }
        Ok(draw)
    }
}

/// The point of `<x>x<y>`.
fn point(value: &str) -> Option<(i32, i32)> {
    let (x, y) = value.split_once('x')?;
    let range = -MAX_OFFSET..=MAX_OFFSET;
    Some((scan::integer_in(x, &range)?, scan::integer_in(y, &range)?))
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = Shape::ALL.into_iter().find(|(_, shape)| *shape == self.shape).map_or("", |(name, _)| name);
        write!(f, "draw/{shape}/from/{}x{}/to/{}x{}", self.from.0, self.from.1, self.to.0, self.to.1)?;
        for (name, color) in [("fill", self.fill), ("stroke", self.stroke)] {
            color.map_or(Ok(()), |color| write!(f, "/{name}/{}", encode_base64(color)))?;
        }
        for (name, pixels, default) in [("width", self.width, 1), ("radius", self.radius, 0)] {
            if pixels != default {
                write!(f, "/{name}/{pixels}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read() {
        let parse = |text| Draw::parse(&mut Cursor::new("draw", Some(text))).map(|it| it.to_string());
        for (text, canonical) in [
            ("line/to/5x6/from/-1x2/stroke/cmVk/fill/cmVk", "draw/line/from/-1x2/to/5x6/stroke/I0ZGMDAwMA=="),
            (
                "rectangle/from/0x0/to/9x9/fill/cmVk/radius/3/width/4",
                "draw/rectangle/from/0x0/to/9x9/fill/I0ZGMDAwMA==/radius/3",
            ),
            (
                "ellipse/from/0x0/to/9x9/stroke/cmVk/radius/3/width/4",
                "draw/ellipse/from/0x0/to/9x9/stroke/I0ZGMDAwMA==/width/4",
            ),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(canonical), "{text}");
        }
        for text in ["circle", "line/from/0x0", "line/from/0/to/1x1", "line/from/0x0/to/100000x0", "line/a/1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
