//! `thumbnail/…` of `imageMogr2` (spec 4.3): the forms of ImageMagick's geometry, and the sizes they give.

use std::fmt;

use super::image_view2::MAX_EDGE;
use super::scan;
use crate::geometry::{Size, scale_edge};

/// The value as the vendor writes it: behind a `!`, `p`, `r` and `a` stand for `%`, `^` and `+`.
pub(super) fn unescaped(value: &str) -> String {
    match value.strip_prefix('!') {
        Some(escaped) => escaped.replace('p', "%").replace('r', "^").replace('a', "+"),
        None => value.to_owned(),
    }
}

/// The edges of `WxH`, `Wx` or `xH`, each 1–9999; `None` unless there is an `x` and at least one edge.
pub(super) fn edges(text: &str) -> Option<(Option<u32>, Option<u32>)> {
    let (width, height) = text.split_once('x')?;
    if width.is_empty() && height.is_empty() {
        return None;
    }
    Some((edge(width)?, edge(height)?))
}

/// An edge, 1–9999, or the empty text of a missing one.
fn edge(text: &str) -> Option<Option<u32>> {
    if text.is_empty() { Some(None) } else { scan::integer_in(text, &(1..=MAX_EDGE)).map(Some) }
}

/// Writes `WxH`, `Wx` or `xH`.
pub(super) fn write_edges(f: &mut fmt::Formatter<'_>, width: Option<u32>, height: Option<u32>) -> fmt::Result {
    if let Some(width) = width {
        write!(f, "{width}")?;
    }
    f.write_str("x")?;
    height.map_or(Ok(()), |height| write!(f, "{height}"))
}

/// A thumbnail geometry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Thumbnail {
    /// `!Np`: both edges to N percent, 1–999.
    Percent(u32),
    /// `!Npx`: the width to N percent.
    PercentWidth(u32),
    /// `!xNp`: the height to N percent.
    PercentHeight(u32),
    /// `Wx`, `xH`, `WxH`: fit inside, enlarging if needed. At least one edge is given.
    Fit(Option<u32>, Option<u32>),
    /// `!WxHr`: cover.
    Cover(u32, u32),
    /// `WxH!`: exactly, distorting. A missing edge keeps the current one.
    Exact(Option<u32>, Option<u32>),
    /// `WxH>`: fit inside, only shrinking.
    Shrink(Option<u32>, Option<u32>),
    /// `WxH<`: fit inside, only if both edges are smaller.
    Enlarge(Option<u32>, Option<u32>),
    /// `N@`: at most N pixels in all.
    Area(u32),
}

impl Thumbnail {
    /// What the value of `thumbnail/…` may be.
    pub(super) const EXPECTED: &str = "!<n>p, !<n>px, !x<n>p (n 1 to 999), <w>x, x<h>, <w>x<h> (1 to 9999) \
                                       with or without a final !, > or <, !<w>x<h>r, or <n>@ (1 to 24999999)";

    /// Reads the value of `thumbnail/…`.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let value = unescaped(value);
        if value.contains('%') {
            return Self::parse_percent(&value);
        }
        let (form, suffix) = match value.char_indices().next_back() {
            Some((at, suffix @ ('!' | '>' | '<' | '^' | '@'))) => (&value[..at], suffix),
            _ => (value.as_str(), ' '),
        };
        if suffix == '@' {
            return scan::integer_in(form, &(1..=24_999_999)).map(Self::Area);
        }
        let (width, height) = edges(form)?;
        Some(match suffix {
            '!' => Self::Exact(width, height),
            '>' => Self::Shrink(width, height),
            '<' => Self::Enlarge(width, height),
            '^' => Self::cover(width, height),
            _ => Self::Fit(width, height),
        })
    }

    /// `N%`, `N%x` or `xN%`.
    fn parse_percent(value: &str) -> Option<Self> {
        let percent = |text: &str| scan::integer_in(text, &(1..=999));
        if let Some(width) = value.strip_suffix("%x") {
            return percent(width).map(Self::PercentWidth);
        }
        let value = value.strip_suffix('%')?;
        match value.strip_prefix('x') {
            Some(height) => percent(height).map(Self::PercentHeight),
            None => percent(value).map(Self::Percent),
        }
    }

    /// Covering a box with one open edge is fitting it.
    fn cover(width: Option<u32>, height: Option<u32>) -> Self {
        match (width, height) {
            (Some(width), Some(height)) => Self::Cover(width, height),
            _ => Self::Fit(width, height),
        }
    }

    /// The size that a picture of size `current` is scaled to; edges are at least 1.
    pub fn size(self, current: Size) -> Size {
        match self {
            Self::Percent(percent) => current.scaled_by(percent, 100),
            Self::PercentWidth(percent) => Size::new(scale_edge(current.width, percent, 100), current.height),
            Self::PercentHeight(percent) => Size::new(current.width, scale_edge(current.height, percent, 100)),
            Self::Fit(width, height) => current.fit_inside(width, height),
            Self::Cover(width, height) => current.cover(width, height),
            Self::Exact(width, height) => Size::new(width.unwrap_or(current.width), height.unwrap_or(current.height)),
            Self::Shrink(width, height) => current.shrink_inside(width, height),
            Self::Enlarge(width, height) => {
                let smaller = width.is_none_or(|w| current.width < w) && height.is_none_or(|h| current.height < h);
                if smaller { current.fit_inside(width, height) } else { current }
            }
            Self::Area(area) => with_area(current, area),
        }
    }
}

/// The size of `current`'s shape with both edges rounded down so that the area is at most `area`:
/// `W × sqrt(N/(W·H)) = sqrt(N·W/H)`.
fn with_area(current: Size, area: u32) -> Size {
    let edge = |along: u32, across: u32| {
        let square = u64::from(area) * u64::from(along) / u64::from(across.max(1));
        // The root of a 64-bit number has 32 bits. An edge under 1 becomes 1, so the other one may be all of the area.
        u32::try_from(square.isqrt()).unwrap_or(u32::MAX).clamp(1, area.max(1))
    };
    Size::new(edge(current.width, current.height), edge(current.height, current.width))
}

impl fmt::Display for Thumbnail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height, suffix) = match *self {
            Self::Percent(percent) => return write!(f, "!{percent}p"),
            Self::PercentWidth(percent) => return write!(f, "!{percent}px"),
            Self::PercentHeight(percent) => return write!(f, "!x{percent}p"),
            Self::Cover(width, height) => return write!(f, "!{width}x{height}r"),
            Self::Area(area) => return write!(f, "{area}@"),
            Self::Fit(width, height) => (width, height, ""),
            Self::Exact(width, height) => (width, height, "!"),
            Self::Shrink(width, height) => (width, height, ">"),
            Self::Enlarge(width, height) => (width, height, "<"),
        };
        write_edges(f, width, height)?;
        f.write_str(suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec 4.3, the thumbnail table row by row: results for 640x427, 427x640 and 1024x768.
    const SIZES: [(&str, [(u32, u32); 3]); 20] = [
        ("!75p", [(480, 320), (320, 480), (768, 576)]),
        ("!20p", [(128, 85), (85, 128), (205, 154)]),
        ("!200p", [(1280, 854), (854, 1280), (2048, 1536)]),
        ("!75px", [(480, 427), (320, 640), (768, 768)]),
        ("!x75p", [(640, 320), (427, 480), (1024, 576)]),
        ("700x", [(700, 467), (700, 1049), (700, 525)]),
        ("x467", [(700, 467), (312, 467), (623, 467)]),
        ("300x300", [(300, 200), (200, 300), (300, 225)]),
        ("1280x1280", [(1280, 854), (854, 1280), (1280, 960)]),
        ("!200x200r", [(300, 200), (200, 300), (267, 200)]),
        ("200x300!", [(200, 300), (200, 300), (200, 300)]),
        ("200x300>", [(200, 133), (200, 300), (200, 150)]),
        ("1000x300>", [(450, 300), (200, 300), (400, 300)]),
        ("1000x1000>", [(640, 427), (427, 640), (1000, 750)]),
        ("700x600<", [(700, 467), (427, 640), (1024, 768)]),
        ("1000x300<", [(640, 427), (427, 640), (1024, 768)]),
        ("350000@", [(724, 483), (483, 724), (683, 512)]),
        ("100000@", [(387, 258), (258, 387), (365, 273)]),
        ("400x600>", [(400, 267), (400, 600), (400, 300)]),
        ("1500x1100<", [(1500, 1001), (734, 1100), (1467, 1100)]),
    ];

    #[test]
    fn sizes_are_the_documented_ones() {
        for (text, results) in SIZES {
            let thumbnail = Thumbnail::parse(text).unwrap();
            assert_eq!(thumbnail.to_string(), text);
            for ((width, height), expected) in [(640, 427), (427, 640), (1024, 768)].into_iter().zip(results) {
                let size = thumbnail.size(Size::new(width, height));
                assert_eq!((size.width, size.height), expected, "{text} of {width}x{height}");
            }
        }
    }

    /// Forms that the vendor's table leaves out: a missing edge does not bind.
    #[test]
    fn missing_edges_do_not_bind() {
        for (text, expected) in [
            ("300x>", (300, 200)),
            ("1000x>", (640, 427)),
            ("x100>", (150, 100)),
            ("1280x<", (1280, 854)),
            ("300x<", (640, 427)),
            ("300x!", (300, 427)),
            ("x100!", (640, 100)),
            ("!300xr", (300, 200)),
        ] {
            let size = Thumbnail::parse(text).unwrap().size(Size::new(640, 427));
            assert_eq!((size.width, size.height), expected, "{text}");
        }
    }

    #[test]
    fn escaped_and_plain_spellings_are_one() {
        for (text, canonical) in [
            ("!50x50", "50x50"),
            ("50%", "!50p"),
            ("!50%", "!50p"),
            ("50%x", "!50px"),
            ("x50%", "!x50p"),
            ("200x200^", "!200x200r"),
            ("!200x^", "200x"),
            ("!200x300!", "200x300!"),
            ("!200x300>", "200x300>"),
            ("!x300<", "x300<"),
            ("!1000@", "1000@"),
            ("0200x", "200x"),
        ] {
            assert_eq!(
                Thumbnail::parse(text).map(|thumbnail| thumbnail.to_string()).as_deref(),
                Some(canonical),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "!",
            "x",
            "!x",
            "200",
            "50p",
            "200x200r",
            "!0p",
            "!1000p",
            "!x0p",
            "!1000px",
            "0x",
            "10000x",
            "x0",
            "200x10000",
            "-5x5",
            "200x200!!",
            "200x200><",
            "200x200x",
            "0@",
            "25000000@",
            "@",
            "!50px50p",
            "%",
            "x%",
            "!200x200p",
            "axb",
            "200X200",
            "200x200é",
            "１x１",
        ] {
            assert_eq!(Thumbnail::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn areas_hold_for_extreme_shapes() {
        for (width, height, area) in [(30_000, 1, 1), (1, 30_000, 100), (u32::MAX, 1, 24_999_999), (1, 1, 24_999_999)] {
            let size = Thumbnail::Area(area).size(Size::new(width, height));
            assert!(size.short() >= 1 && size.area() <= u64::from(area), "{width}x{height} {area}@: {size}");
        }
    }
}
