//! `size/<how>/w/<n>/h/<n>/…`: one resize with what usually follows it, a cut or a frame. A fop of this server's own: unlike
//! `imageView2` it enlarges, and unlike `imageMogr2` it anchors what it cuts and pads.

use std::fmt;

use super::ParseError;
use super::image_view2::MAX_EDGE;
use super::scan::{Cursor, encode_base64};
use crate::color::Color;
use crate::geometry::{Fit, Gravity, Placed, Rect, Size};

/// A parsed `size`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizing {
    /// What the edges mean.
    pub how: How,
    /// The width that is asked for.
    pub width: Option<u32>,
    /// The height that is asked for.
    pub height: Option<u32>,
    /// What `fill` keeps, and where `pad` puts the picture.
    pub gravity: Gravity,
    /// What `pad` adds.
    pub color: Color,
    /// `unless-smaller/1`: nothing is resized where the picture is smaller in every edge that is given.
    pub unless_smaller: bool,
}

/// What the edges of a [`Sizing`] mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// `exact`: these edges; one that is missing follows from the other.
    Exact,
    /// `fit`: inside these edges, in the picture's own proportions.
    Fit,
    /// `fill`: over these edges, and then cut to them.
    Fill,
    /// `pad`: inside these edges, on a canvas that has them.
    Pad,
    /// `percent/<n>`: both edges times so much, 0.1 to 1000.
    Percent(f32),
}

/// What a [`Sizing`] makes of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sized {
    /// The resize, and what is kept of it.
    pub fit: Fit,
    /// The canvas that it is put on.
    pub placed: Option<Placed>,
}

const HOW: &str = "exact, fit, fill, pad or percent/<n>";
const ARGUMENTS: [&str; 5] = ["w", "h", "gravity", "color", "unless-smaller"];

impl Sizing {
    /// Reads what follows `size/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let name = cursor.value("how", HOW)?;
        let how = match name {
            "exact" => How::Exact,
            "fit" => How::Fit,
            "fill" => How::Fill,
            "pad" => How::Pad,
            "percent" => How::Percent(cursor.decimal(name, 0.1..=1000.0)?),
            _ => return Err(cursor.invalid("how", name, HOW)),
        };
        let (gravity, color) = (Gravity::Center, Color::WHITE);
        let mut sizing = Self { how, width: None, height: None, gravity, color, unless_smaller: false };
        while let Some(name) = cursor.segment() {
            match name {
                "w" => sizing.width = Some(cursor.integer(name, 1..=MAX_EDGE)?),
                "h" => sizing.height = Some(cursor.integer(name, 1..=MAX_EDGE)?),
                "gravity" => sizing.gravity = cursor.gravity(name)?,
                "color" => sizing.color = cursor.color(name)?,
                "unless-smaller" => sizing.unless_smaller = cursor.flag(name)?,
                _ => return Err(cursor.unknown(name, &ARGUMENTS)),
            }
        }
        sizing.complete(cursor)
    }

    /// Refuses a way without the edges that it needs, and forgets what it does not look at.
    fn complete(mut self, cursor: &Cursor<'_>) -> Result<Self, ParseError> {
        let range = format_args!("an integer from 1 to {MAX_EDGE}");
        match (self.how, self.width, self.height) {
            (How::Exact | How::Fit, None, None) => return Err(cursor.missing("w or h", range)),
            (How::Fill | How::Pad, None, _) => return Err(cursor.missing("w", range)),
            (How::Fill | How::Pad, _, None) => return Err(cursor.missing("h", range)),
            (How::Percent(_), ..) => (self.width, self.height, self.unless_smaller) = (None, None, false),
            _ => {}
        }
        if !matches!(self.how, How::Fill | How::Pad) {
            self.gravity = Gravity::Center;
        }
        if self.how != How::Pad {
            self.color = Color::WHITE;
        }
        Ok(self)
    }

    /// What it makes of a picture of size `current`.
    pub fn of(self, current: Size) -> Sized {
        let asked = Size::new(self.width.unwrap_or(current.width), self.height.unwrap_or(current.height));
        let is_smaller = self.width.is_none_or(|width| current.width < width)
            && self.height.is_none_or(|height| current.height < height);
        let stays = self.unless_smaller && is_smaller;
        let inside = if stays { current } else { current.fit_inside(self.width, self.height) };
        let fit = match self.how {
            How::Percent(percent) => Fit::whole(current.scaled(f64::from(percent) / 100.0)),
            _ if stays => Fit::whole(current),
            How::Exact if self.width.is_some() && self.height.is_some() => Fit::whole(asked),
            How::Exact | How::Fit => Fit::whole(inside),
            How::Fill => anchored(current.cover(asked.width, asked.height), asked, self.gravity),
            How::Pad => Fit::whole(inside),
        };
        let placed = (self.how == How::Pad && fit.scaled != asked)
            .then(|| Placed { canvas: asked, offset: self.gravity.place(fit.scaled, asked, 0, 0) });
        Sized { fit, placed }
    }
}

/// Scaling to `scaled`, which covers `kept`, and keeping that much of it at its anchor.
fn anchored(scaled: Size, kept: Size, gravity: Gravity) -> Fit {
    if scaled == kept {
        return Fit::whole(scaled);
    }
    let (x, y) = gravity.place(kept, scaled, 0, 0);
    Fit { scaled, crop: Rect::clipped(x, y, kept, scaled) }
}

impl fmt::Display for Sizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            How::Exact => f.write_str("size/exact")?,
            How::Fit => f.write_str("size/fit")?,
            How::Fill => f.write_str("size/fill")?,
            How::Pad => f.write_str("size/pad")?,
            How::Percent(percent) => write!(f, "size/percent/{percent}")?,
        }
        for (name, edge) in [("w", self.width), ("h", self.height)] {
            edge.map_or(Ok(()), |edge| write!(f, "/{name}/{edge}"))?;
        }
        if self.gravity != Gravity::Center {
            write!(f, "/gravity/{}", self.gravity.name())?;
        }
        if self.color != Color::WHITE {
            write!(f, "/color/{}", encode_base64(self.color))?;
        }
        if self.unless_smaller {
            f.write_str("/unless-smaller/1")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Sizing, ParseError> {
        Sizing::parse(&mut Cursor::new("size", Some(text)))
    }

    /// What becomes of 640x427: the resize, the part that is kept, the canvas.
    #[test]
    fn sizes_are_worked_out() {
        for (text, expected) in [
            ("exact/w/100/h/50", "100x50"),
            ("exact/w/320", "320x214"),
            ("exact/h/854", "1280x854"),
            ("exact/w/700/unless-smaller/1", "640x427"),
            ("fit/w/100/h/50", "75x50"),
            ("fit/w/1280/h/9999", "1280x854"),
            ("fit/w/1280/unless-smaller/1", "640x427"),
            ("fit/w/700/h/400/unless-smaller/1", "600x400"),
            ("fill/w/100/h/100", "150x100 keeps 100x100 at 25,0"),
            ("fill/w/100/h/100/gravity/East", "150x100 keeps 100x100 at 50,0"),
            ("fill/w/700/h/700/unless-smaller/1", "640x427"),
            ("fill/w/700/h/400/unless-smaller/1", "700x467 keeps 700x400 at 0,33"),
            ("pad/w/100/h/100", "100x67 on 100x100 at 0,16"),
            ("pad/w/100/h/100/gravity/South", "100x67 on 100x100 at 0,33"),
            ("pad/w/1000/h/500/unless-smaller/1", "640x427 on 1000x500 at 180,36"),
            ("percent/50", "320x214"),
            ("percent/33.3", "213x142"),
        ] {
            let Sized { fit, placed } = parse(text).unwrap().of(Size::new(640, 427));
            let kept = fit.crop.map(|Rect { x, y, size }| format!(" keeps {size} at {x},{y}")).unwrap_or_default();
            let placed = placed.map(|it| format!(" on {} at {},{}", it.canvas, it.offset.0, it.offset.1));
            assert_eq!(format!("{}{kept}{}", fit.scaled, placed.unwrap_or_default()), expected, "{text}");
        }
    }

    #[test]
    fn texts_are_canonical() {
        for (text, canonical) in [
            ("fit/h/5/w/6/gravity/North/color/cmVk", "size/fit/w/6/h/5"),
            ("fill/h/5/w/6/gravity/north/color/cmVk", "size/fill/w/6/h/5/gravity/North"),
            ("pad/h/5/w/6/color/cmVk/unless-smaller/1", "size/pad/w/6/h/5/color/I0ZGMDAwMA==/unless-smaller/1"),
            ("percent/50.0/w/5", "size/percent/50"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn refusals() {
        for (text, message) in [
            ("cover/w/5", "size: how is \"cover\"; expected exact, fit, fill, pad or percent/<n>"),
            ("fit", "size: w or h is missing; expected an integer from 1 to 9999"),
            ("fill/w/5", "size: h is missing; expected an integer from 1 to 9999"),
            ("pad/h/5", "size: w is missing; expected an integer from 1 to 9999"),
            ("fit/w/0", "size: w is \"0\"; expected an integer from 1 to 9999"),
            ("percent/0", "size: percent is \"0\"; expected a number from 0.1 to 1000"),
            ("fit/width/5", "size: unknown argument \"width\"; expected one of w, h, gravity, color, unless-smaller"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
