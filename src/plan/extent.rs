//! `extent/…`, `border/…` and `rotate/…` of `imageMogr2` (spec 4.3): canvases larger or smaller than the image.

use std::fmt;

use super::crop::{offsets, write_offset};
use super::thumbnail::edges;
use crate::geometry::{Angle, Gravity, Placed, Size};

/// A canvas to put the image on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// `WxH`: image centred.
    Centered {
        /// Canvas width.
        width: u32,
        /// Canvas height.
        height: u32,
    },
    /// `!WxHadxady`: canvas pixel (0,0) is image pixel (dx,dy).
    Origin {
        /// Canvas width.
        width: u32,
        /// Canvas height.
        height: u32,
        /// Image column at the canvas's left edge.
        dx: i32,
        /// Image row at the canvas's top edge.
        dy: i32,
    },
    /// `!-3a0`: pad by the named sides; negative pads left or top, positive right or bottom.
    Pad {
        /// Signed columns.
        dx: i32,
        /// Signed rows.
        dy: i32,
    },
}

impl Extent {
    /// What the value of `extent/…` may be.
    pub(super) const EXPECTED: &str =
        "<w>x<h> (1 to 9999), !<w>x<h> with two offsets, or two offsets, each a (for +) or - and an integer to 99999";

    /// Reads the value of `extent/…`; the leading `!` is optional.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let value = value.strip_prefix('!').unwrap_or(value).replace('a', "+");
        let at = value.find(['+', '-']).unwrap_or(value.len());
        let (size, rest) = value.split_at(at);
        let size = match size {
            "" => None,
            size => Some(both(edges(size)?)?),
        };
        match (size, rest) {
            (Some((width, height)), "") => Some(Self::Centered { width, height }),
            (Some((width, height)), rest) => {
                let (dx, dy) = offsets(rest)?;
                Some(Self::Origin { width, height, dx, dy })
            }
            (None, rest) => offsets(rest).map(|(dx, dy)| Self::Pad { dx, dy }),
        }
    }

    /// The canvas and where an image of size `current` stands on it.
    pub fn place(self, current: Size) -> Placed {
        match self {
            Self::Centered { width, height } => {
                let canvas = Size::new(width, height);
                Placed { canvas, offset: Gravity::Center.place(current, canvas, 0, 0) }
            }
            Self::Origin { width, height, dx, dy } => {
                Placed { canvas: Size::new(width, height), offset: (-i64::from(dx), -i64::from(dy)) }
            }
            Self::Pad { dx, dy } => Placed {
                canvas: grown(current, dx.unsigned_abs(), dy.unsigned_abs()),
                offset: (i64::from(dx.min(0)).abs(), i64::from(dy.min(0)).abs()),
            },
        }
    }
}

fn both((width, height): (Option<u32>, Option<u32>)) -> Option<(u32, u32)> {
    Some((width?, height?))
}

/// `size` with so many columns and rows more, up to what 32 bits hold.
fn grown(size: Size, columns: u32, rows: u32) -> Size {
    Size::new(size.width.saturating_add(columns), size.height.saturating_add(rows))
}

/// The canvas of an image of size `current` with `width` columns added on the left and right, each, and `height` rows
/// above and below, each.
pub fn bordered(current: Size, width: u32, height: u32) -> Placed {
    let canvas = grown(grown(current, width, height), width, height);
    Placed { canvas, offset: (width.into(), height.into()) }
}

/// The canvas of an image of size `size` turned clockwise by `angle`: the bounding box of the exact rotation, each
/// edge rounded up to whole pixels; quarter turns are exact.
pub fn rotated_canvas(size: Size, angle: Angle) -> Size {
    match angle.quarter_turns() {
        Some(0 | 2) => return size,
        Some(_) => return size.transposed(),
        None => {}
    }
    let (sin, cos) = angle.degrees().to_radians().sin_cos();
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    // A corner that sticks out by less than a thousandth of a pixel is arithmetic noise, not a pixel.
    let edge = |x: f64| (x - 1e-3).ceil().clamp(1.0, f64::from(u32::MAX)) as u32;
    Size::new(edge(width * cos.abs() + height * sin.abs()), edge(width * sin.abs() + height * cos.abs()))
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dx, dy) = match *self {
            Self::Centered { width, height } => return write!(f, "{width}x{height}"),
            Self::Origin { width, height, dx, dy } => {
                write!(f, "!{width}x{height}")?;
                (dx, dy)
            }
            Self::Pad { dx, dy } => {
                f.write_str("!")?;
                (dx, dy)
            }
        };
        write_offset(f, dx)?;
        write_offset(f, dy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Size = Size::new(640, 427);

    /// Spec 4.3, the extent paragraph, sample by sample: canonical text, canvas, image offset.
    #[test]
    fn canvases_are_the_documented_ones() {
        for (text, canonical, canvas, offset) in [
            ("!-3a0", "!-3a0", (643, 427), (3, 0)),
            ("!a3-0", "!a3a0", (643, 427), (0, 0)),
            ("!a0-3", "!a0-3", (640, 430), (0, 3)),
            ("!-0a3", "!a0a3", (640, 430), (0, 0)),
            ("-3-5", "!-3-5", (643, 432), (3, 5)),
            ("+3+5", "!a3a5", (643, 432), (0, 0)),
            ("!642x429", "642x429", (642, 429), (1, 1)),
            ("400x800", "400x800", (400, 800), (-120, 186)),
            ("!50x50a0a0", "!50x50a0a0", (50, 50), (0, 0)),
            ("50x50a10a20", "!50x50a10a20", (50, 50), (-10, -20)),
            ("!50x50-10+20", "!50x50-10a20", (50, 50), (10, -20)),
            ("9999x1", "9999x1", (9999, 1), (4679, -213)),
        ] {
            let extent = Extent::parse(text).unwrap();
            let placed = extent.place(SOURCE);
            assert_eq!(extent.to_string(), canonical, "{text}");
            assert_eq!((placed.canvas.width, placed.canvas.height), canvas, "{text}");
            assert_eq!(placed.offset, offset, "{text}");
            assert_eq!(Extent::parse(canonical), Some(extent));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "!",
            "x",
            "400x",
            "x400",
            "0x5",
            "10000x5",
            "5x10000",
            "400",
            "a3",
            "-3",
            "!a3a",
            "!50x50a1",
            "!50x50a1a2a3",
            "!50x50a1a100000",
            "50x50!",
            "!é",
            "!+é+",
        ] {
            assert_eq!(Extent::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn borders_add_to_both_sides() {
        let placed = bordered(SOURCE, 10, 5);
        assert_eq!(placed, Placed { canvas: Size::new(660, 437), offset: (10, 5) });
        assert_eq!(bordered(SOURCE, 0, 0).canvas, SOURCE);
        assert_eq!(bordered(Size::new(u32::MAX, 1), u32::MAX, 1).canvas, Size::new(u32::MAX, 3), "saturates");
    }

    /// Spec 4.3, rotate; the vendor's own canvases are up to two pixels larger.
    #[test]
    fn rotation_takes_the_bounding_box() {
        for (degrees, width, height) in [
            (0, 640, 427),
            (90, 427, 640),
            (180, 640, 427),
            (270, 427, 640),
            (360, 640, 427),
            (45, 756, 757),
            (30, 770, 691),
        ] {
            let canvas = rotated_canvas(SOURCE, Angle::of_degrees(degrees));
            let off = canvas.width.abs_diff(width).max(canvas.height.abs_diff(height));
            assert!(off <= if degrees % 90 == 0 { 0 } else { 2 }, "{degrees}: {canvas}");
        }
        assert_eq!(rotated_canvas(Size::new(256, 256), Angle::of_degrees(45)), Size::new(363, 363));
        assert_eq!(rotated_canvas(SOURCE, Angle::of_degrees(135)), rotated_canvas(SOURCE, Angle::of_degrees(45)));
        assert_eq!(rotated_canvas(Size::new(1, 1), Angle::of_degrees(1)), Size::new(2, 2));
    }
}
