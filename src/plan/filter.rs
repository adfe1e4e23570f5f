//! `filter/<name>/<value>/…`: changes of a pixel that look at others, in the order in which they are written. A fop of this
//! server's own; what each comes to is said at [`Filter`].

use std::fmt;

use super::ParseError;
use super::scan::{self, Cursor};

/// Most filters of one fop.
pub const MAX_FILTERS: usize = 8;

/// A parsed `filter`: the filters, first to last.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters(pub Vec<Filter>);

/// One filter. Alpha stays unless something else is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// `blur/<sigma>`: Gaussian of this standard deviation in pixels, alpha too.
    Blur(f32),
    /// `sharpen/<sigma>`, and `unsharp/<sigma>x<amount>x<threshold>`: unsharp mask.
    Unsharp(Unsharp),
    /// `median/<radius>`: the middle value of the square of `2 × radius + 1` pixels, for each channel, alpha too.
    Median(u32),
    /// `pixelate/<edge>`: squares of so many pixels, each of its mean colour.
    Pixelate(u32),
    /// `vignette/<sigma>x<x>x<y>`: darkens what lies outside an ellipse that keeps so many pixels from the edges.
    Vignette(Vignette),
    /// `tone/<name>`: values spread by how often they occur.
    Tone(Tone),
}

/// An unsharp mask: `v + amount × (v − blurred)` where the two differ by at least `threshold × 255`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unsharp {
    /// Standard deviation of the blur, in pixels.
    pub sigma_px: f32,
    /// 0 to 10.
    pub amount: f32,
    /// 0 to 1.
    pub threshold: f32,
}

/// A vignette.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vignette {
    /// How soft the edge of the ellipse is, in pixels.
    pub sigma_px: f32,
    /// Pixels between the ellipse and the left and right edges.
    pub x: u32,
    /// Pixels between the ellipse and the upper and lower edges.
    pub y: u32,
}

/// How values are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// `normalize`: all channels alike, so that 2 % of the darkest become black and 1 % of the lightest white.
    Normalize,
    /// `auto-level`: each channel from its lowest value to its highest.
    AutoLevel,
    /// `auto-gamma`: each channel by the gamma that brings its mean to the middle.
    AutoGamma,
    /// `equalize`: each channel so that all values occur about alike.
    Equalize,
}

impl Tone {
    const ALL: [(&str, Self); 4] = [
        ("normalize", Self::Normalize),
        ("auto-level", Self::AutoLevel),
        ("auto-gamma", Self::AutoGamma),
        ("equalize", Self::Equalize),
    ];
}

const NAMES: [&str; 7] = ["blur", "sharpen", "unsharp", "median", "pixelate", "vignette", "tone"];

/// Widest blur, in pixels of standard deviation.
const MAX_SIGMA: f32 = 50.0;

impl Filters {
    /// Reads what follows `filter/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mut filters = Vec::new();
        while let Some(name) = cursor.segment() {
            if filters.len() == MAX_FILTERS {
                return Err(ParseError::Order { fop: "filter", problem: "has at most 8 filters" });
            }
            filters.push(Filter::read(cursor, name)?);
        }
        match filters.is_empty() {
            true => Err(cursor.missing("a filter", format_args!("one of {}", NAMES.join(", ")))),
            false => Ok(Self(filters)),
        }
    }
}

impl Filter {
    fn read(cursor: &mut Cursor<'_>, name: &str) -> Result<Self, ParseError> {
        Ok(match name {
            "blur" => Self::Blur(cursor.decimal(name, 0.1..=MAX_SIGMA)?),
            "sharpen" => {
                Self::Unsharp(Unsharp { sigma_px: cursor.decimal(name, 0.1..=MAX_SIGMA)?, amount: 1.0, threshold: 0.0 })
            }
            "unsharp" => {
                let expected = "<sigma>x<amount>x<threshold>: numbers from 0.1 to 50, 0 to 10 and 0 to 1";
                Self::Unsharp(cursor.read(name, expected, Unsharp::parse)?)
            }
            "median" => Self::Median(cursor.integer(name, 1..=16)?),
            "pixelate" => Self::Pixelate(cursor.integer(name, 2..=999)?),
            "vignette" => {
                let expected = "<sigma>x<x>x<y>: a number from 0.1 to 1000 and two integers from 0 to 9999";
                Self::Vignette(cursor.read(name, expected, Vignette::parse)?)
            }
            "tone" => {
                let find = |value: &str| Tone::ALL.into_iter().find(|(name, _)| *name == value).map(|(_, tone)| tone);
                Self::Tone(cursor.read(name, "one of normalize, auto-level, auto-gamma, equalize", find)?)
            }
            _ => return Err(cursor.unknown(name, &NAMES)),
        })
    }
}

/// The parts of `<a>x<b>x<c>`.
fn three(value: &str) -> Option<[&str; 3]> {
    let mut parts = value.split('x');
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

fn number(text: &str, least: f32, most: f32) -> Option<f32> {
    scan::decimal(text).filter(|number| (least..=most).contains(number))
}

impl Unsharp {
    fn parse(value: &str) -> Option<Self> {
        let [sigma, amount, threshold] = three(value)?;
        let (sigma_px, amount) = (number(sigma, 0.1, MAX_SIGMA)?, number(amount, 0.0, 10.0)?);
        Some(Self { sigma_px, amount, threshold: number(threshold, 0.0, 1.0)? })
    }
}

impl Vignette {
    fn parse(value: &str) -> Option<Self> {
        let [sigma, x, y] = three(value)?;
        let (x, y) = (scan::integer_in(x, &(0..=9999))?, scan::integer_in(y, &(0..=9999))?);
        Some(Self { sigma_px: number(sigma, 0.1, 1000.0)?, x, y })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blur(sigma) => write!(f, "blur/{sigma}"),
            Self::Unsharp(Unsharp { sigma_px, amount: 1.0, threshold: 0.0 }) => write!(f, "sharpen/{sigma_px}"),
            Self::Unsharp(Unsharp { sigma_px, amount, threshold }) => {
                write!(f, "unsharp/{sigma_px}x{amount}x{threshold}")
            }
            Self::Median(radius) => write!(f, "median/{radius}"),
            Self::Pixelate(edge) => write!(f, "pixelate/{edge}"),
            Self::Vignette(Vignette { sigma_px, x, y }) => write!(f, "vignette/{sigma_px}x{x}x{y}"),
            Self::Tone(tone) => {
                let name = Tone::ALL.into_iter().find(|(_, known)| known == tone).map_or("", |(name, _)| name);
                write!(f, "tone/{name}")
            }
        }
    }
}

impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("filter")?;
        self.0.iter().try_for_each(|filter| write!(f, "/{filter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Filters, ParseError> {
        Filters::parse(&mut Cursor::new("filter", Some(text)))
    }

    #[test]
    fn filters_keep_their_order() {
        for (text, canonical) in [
            ("blur/1.50/sharpen/1", "filter/blur/1.5/sharpen/1"),
            ("unsharp/1x1x0", "filter/sharpen/1"),
            ("unsharp/2x.5x0.05", "filter/unsharp/2x0.5x0.05"),
            ("median/2/pixelate/10", "filter/median/2/pixelate/10"),
            ("vignette/10x10x12/tone/auto-level", "filter/vignette/10x10x12/tone/auto-level"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn refusals() {
        for (text, message) in [
            ("blur/0", "filter: blur is \"0\"; expected a number from 0.1 to 50"),
            (
                "unsharp/1x1",
                "filter: unsharp is \"1x1\"; expected <sigma>x<amount>x<threshold>: numbers from 0.1 to 50, 0 to 10 and 0 to 1",
            ),
            ("median/17", "filter: median is \"17\"; expected an integer from 1 to 16"),
            ("tone/grey", "filter: tone is \"grey\"; expected one of normalize, auto-level, auto-gamma, equalize"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
        assert!(Filters::parse(&mut Cursor::new("filter", None)).is_err());
        assert!(parse(&["median/1"; 9].join("/")).is_err());
    }
}
