//! `composite/<picture>/…`: another picture over this one, in all the ways that layers are combined. A fop of this server's own:
//! what `watermark/1` is too polite for, which leaves out what is larger than the picture.

use std::fmt;

use super::ParseError;
use super::crop::MAX_OFFSET;
use super::scan::{Cursor, encode_base64};
use super::watermark::ImageRef;
use crate::geometry::{Fit, Gravity, Size, round_edge};

/// A parsed `composite`.
#[derive(Clone, Debug, PartialEq)]
pub struct Composite {
    /// Where the picture comes from.
    pub image: ImageRef,
    /// What it is anchored at; north-west by default.
    pub gravity: Gravity,
    /// Pixels inwards from the anchor, or right.
    pub x: i32,
    /// Pixels inwards from the anchor, or down.
    pub y: i32,
    /// Its size.
    pub scale: Scale,
    /// Opacity in percent, 1 to 100.
    pub dissolve: u8,
    /// How it is combined with what is there.
    pub op: BlendOp,
    /// `tile/1`: again and again from the top left corner.
    pub tiles: bool,
}

/// The size that a picture is painted at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Its own.
    Natural,
    /// `fit/<w>x<h>`: inside this box.
    Fit(Length, Length),
    /// `fill/<w>x<h>`: over this box, and then cut to it about its middle.
    Fill(Length, Length),
    /// `match/1`: the picture's beneath, whatever its proportions.
    Match,
    /// `percent/<n>` of its own, 0.1 to 1000.
    Percent(f32),
}

/// An edge of a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// `<n>`: pixels, 1 to 9999.
    Pixels(u32),
    /// `<n>p`: percent of the edge of the picture beneath, 1 to 999.
    Percent(u32),
}

impl Length {
    fn parse(text: &str) -> Option<Self> {
        use super::scan::integer_in;
        match text.strip_suffix('p') {
            Some(percent) => integer_in(percent, &(1..=999)).map(Self::Percent),
            None => integer_in(text, &(1..=9999)).map(Self::Pixels),
        }
    }

    fn of(self, edge: u32) -> u32 {
        match self {
            Self::Pixels(pixels) => pixels,
            Self::Percent(percent) => round_edge(f64::from(edge) * f64::from(percent) / 100.0),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            Self::Percent(percent) => write!(f, "{percent}p"),
        }
    }
}

macro_rules! blend_ops {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// How two layers are combined, where the upper one lies. Formulas are those of W3C Compositing and Blending 1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum BlendOp { $($(#[$doc])* $variant),+ }

        impl BlendOp {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in `op/…`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

blend_ops! {
    /// The upper layer over the lower one.
    Over = "over",
    /// Only where the lower one is.
    Atop = "atop",
    /// The upper one where the lower one is, nothing else.
    In = "in",
    /// The upper one where the lower one is not, nothing else.
    Out = "out",
    /// The lower one over the upper one.
    DstOver = "dst-over",
    /// The lower one where the upper one is.
    DstIn = "dst-in",
    /// The lower one where the upper one is not.
    DstOut = "dst-out",
    /// The lower one where the upper one is, over that.
    DstAtop = "dst-atop",
    /// Either where the other is not.
    Xor = "xor",
    /// The upper one alone.
    Copy = "copy",
    /// The lower one with the upper one's luma as its alpha.
    CopyOpacity = "copy-opacity",
    /// Product.
    Multiply = "multiply",
    /// Product of the complements.
    Screen = "screen",
    /// Multiply or screen, by the lower one.
    Overlay = "overlay",
    /// The darker of both.
    Darken = "darken",
    /// The lighter of both.
    Lighten = "lighten",
    /// Distance.
    Difference = "difference",
    /// Distance with less contrast.
    Exclusion = "exclusion",
    /// Multiply or screen, by the upper one.
    HardLight = "hard-light",
    /// A softer hard light.
    SoftLight = "soft-light",
    /// Lightens the lower one to reflect the upper one.
    ColorDodge = "color-dodge",
    /// Darkens the lower one to reflect the upper one.
    ColorBurn = "color-burn",
    /// Sum.
    Plus = "plus",
    /// The lower one less the upper one.
    Minus = "minus",
}

#[rustfmt::skip]
const ARGUMENTS: [&str; 10] =
    ["gravity", "x", "y", "fit", "fill", "match", "percent", "dissolve", "op", "tile"];
const BOX: &str = "<w>x<h>, each an integer from 1 to 9999, or <n>p for 1 to 999 percent of the picture beneath";

impl Composite {
    /// Reads what follows `composite/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let image = ImageRef::read(cursor)?;
        let (gravity, scale, op) = (Gravity::NorthWest, Scale::Natural, BlendOp::Over);
        let mut composite = Self { image, gravity, x: 0, y: 0, scale, dissolve: 100, op, tiles: false };
        while let Some(name) = cursor.segment() {
            composite.read(name, cursor)?;
        }
        Ok(composite)
    }

    fn read(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
        match name {
            "gravity" => self.gravity = cursor.gravity(name)?,
            "x" => self.x = cursor.integer(name, -MAX_OFFSET..=MAX_OFFSET)?,
            "y" => self.y = cursor.integer(name, -MAX_OFFSET..=MAX_OFFSET)?,
            "fit" => self.scale = cursor.read(name, BOX, lengths).map(|(w, h)| Scale::Fit(w, h))?,
            "fill" => self.scale = cursor.read(name, BOX, lengths).map(|(w, h)| Scale::Fill(w, h))?,
            "match" => self.scale = if cursor.flag(name)? { Scale::Match } else { Scale::Natural },
            "percent" => self.scale = Scale::Percent(cursor.decimal(name, 0.1..=1000.0)?),
            "dissolve" => self.dissolve = cursor.integer(name, 1..=100)?,
            "op" => {
                let names: Vec<&str> = BlendOp::ALL.iter().map(|op| op.name()).collect();
                let find = |value: &str| BlendOp::ALL.iter().copied().find(|op| op.name() == value);
                self.op = cursor.read(name, format_args!("one of {}", names.join(", ")), find)?;
            }
            "tile" => self.tiles = cursor.flag(name)?,
            _ => return Err(cursor.unknown(name, &ARGUMENTS)),
        }
        Ok(())
    }

    /// How a picture of size `natural` is scaled and cut before it is painted on one of size `beneath`.
    pub fn fit(&self, natural: Size, beneath: Size) -> Fit {
        let size = |width: Length, height: Length| Size::new(width.of(beneath.width), height.of(beneath.height));
        match self.scale {
            Scale::Natural => Fit::whole(natural),
            Scale::Match => Fit::whole(beneath),
            Scale::Percent(percent) => Fit::whole(natural.scaled(f64::from(percent) / 100.0)),
            Scale::Fit(width, height) => {
                let Size { width, height } = size(width, height);
                Fit::whole(natural.fit_inside(Some(width), Some(height)))
            }
            Scale::Fill(width, height) => {
                let kept = size(width, height);
                Fit::centered(natural.cover(kept.width, kept.height), kept)
            }
        }
    }
}

fn lengths(value: &str) -> Option<(Length, Length)> {
    let (width, height) = value.split_once('x')?;
    Some((Length::parse(width)?, Length::parse(height)?))
}

impl fmt::Display for Composite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "composite/{}", encode_base64(&self.image))?;
        if self.gravity != Gravity::NorthWest {
            write!(f, "/gravity/{}", self.gravity.name())?;
        }
        for (name, offset) in [("x", self.x), ("y", self.y)] {
            if offset != 0 {
                write!(f, "/{name}/{offset}")?;
            }
        }
        match self.scale {
            Scale::Natural => {}
            Scale::Fit(width, height) => write!(f, "/fit/{width}x{height}")?,
            Scale::Fill(width, height) => write!(f, "/fill/{width}x{height}")?,
            Scale::Match => f.write_str("/match/1")?,
            Scale::Percent(percent) => write!(f, "/percent/{percent}")?,
        }
        if self.dissolve != 100 {
            write!(f, "/dissolve/{}", self.dissolve)?;
        }
        if self.op != BlendOp::Over {
            write!(f, "/op/{}", self.op.name())?;
        }
        f.write_str(if self.tiles { "/tile/1" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Composite, ParseError> {
        Composite::parse(&mut Cursor::new("composite", Some(text)))
    }

    #[test]
    fn texts_are_canonical() {
        for (text, canonical) in [
            ("YQ", "composite/YQ=="),
            ("YQ/y/2/x/-1/gravity/east/op/multiply", "composite/YQ==/gravity/East/x/-1/y/2/op/multiply"),
            ("YQ/fit/10x50p/dissolve/30/tile/1", "composite/YQ==/fit/10x50p/dissolve/30/tile/1"),
            ("YQ/fill/10x5/match/1", "composite/YQ==/match/1"),
            ("YQ/percent/12.50/dissolve/100/op/over/tile/0", "composite/YQ==/percent/12.5"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), canonical, "{text}");
        }
        for text in ["", "YQ/op/burn", "YQ/fit/10", "YQ/dissolve/0", "YQ/zoom/1", "ZnRwOi8vYS9i"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pictures_are_scaled() {
        let size = |text: &str| {
            let Fit { scaled, crop } = parse(text).unwrap().fit(Size::new(60, 40), Size::new(200, 100));
            format!("{scaled} {:?}", crop.map(|rect| (rect.x, rect.y, rect.size.to_string())))
        };
        for (text, expected) in [
            ("YQ", "60x40 None"),
            ("YQ/match/1", "200x100 None"),
            ("YQ/percent/50", "30x20 None"),
            ("YQ/fit/30x30", "30x20 None"),
            ("YQ/fit/100px50p", "75x50 None"),
            ("YQ/fill/50x50", "75x50 Some((12, 0, \"50x50\"))"),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
