//! `watermark/<1-4>/…` (spec 4.8): image, text, several, tiled text. Reading and writing are in `watermark_text`.

use super::output::FormatChoice;
use crate::color::Color;
use crate::geometry::{Gravity, Size};

/// A parsed `watermark`.
#[derive(Clone, Debug, PartialEq)]
pub struct Watermark {
    /// What is painted, in order; never empty.
    pub paint: Paint,
    /// `format/…`.
    pub format: Option<FormatChoice>,
    /// `ignore-error/1`.
    pub ignore_error: bool,
}

/// What a watermark paints.
#[derive(Clone, Debug, PartialEq)]
pub enum Paint {
    /// Modes 1, 2 and 3: marks at their anchors, in painting order.
    Marks(Vec<Mark>),
    /// Mode 4: one text repeated over the picture.
    Tiled(TiledText),
}

/// One mark.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A picture.
    Image(ImageMark),
    /// A line or several of text.
    Text(TextMark),
}

/// Where a mark stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Anchor; SouthEast by default.
    pub gravity: Gravity,
    /// Pixels inwards (or right), 10 by default; may be negative.
    pub dx: i32,
    /// Pixels inwards (or down), 10 by default; may be negative.
    pub dy: i32,
}

/// A picture used as a mark.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageMark {
    /// Where it comes from.
    pub image: ImageRef,
    /// Opacity in percent, 1–100.
    pub dissolve: u8,
    /// Where it stands.
    pub placement: Placement,
    /// `ws`, `wst`: size relative to the source.
    pub scale: Option<MarkScale>,
    /// `blogo`, this server's own: what becomes of it where it is larger than the picture.
    pub oversize: Oversize,
    /// `tile/1`: repeat it over the picture, with these gaps.
    pub tile: Option<TileGaps>,
}

/// `blogo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    /// 0: it is left out.
    Omit,
    /// 1: it becomes as large as fits.
    Shrink,
    /// 2: what stands over the edge is cut off.
    Cut,
}

impl Oversize {
    /// All in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Omit, Self::Shrink, Self::Cut];
}

/// `ws` and `wst`: the mark's edge is the source's edge times `ratio`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarkScale {
    /// Above 0, at most 1.
    pub ratio: f32,
    /// Which edges are compared.
    pub edge: ScaleEdge,
}

/// `wst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleEdge {
    /// 0: short edges.
    Short,
    /// 1: long edges.
    Long,
    /// 2: widths.
    Width,
    /// 3: heights.
    Height,
    /// 4, this server's own: square roots of areas, with the square root of the ratio.
    Area,
}

impl ScaleEdge {
    /// All edges in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Short, Self::Long, Self::Width, Self::Height, Self::Area];

    /// The edge's length in a picture of size `size`; for areas that of a square.
    pub fn of(self, size: Size) -> f64 {
        match self {
            Self::Short => size.short().into(),
            Self::Long => size.long().into(),
            Self::Width => size.width.into(),
            Self::Height => size.height.into(),
            Self::Area => (size.area() as f64).sqrt(),
        }
    }
}

impl MarkScale {
    /// Size of a mark of size `mark` on a picture of size `source`: both edges times `ratio × edge(source) / edge(mark)`.
    pub fn size(self, mark: Size, source: Size) -> Size {
        // Ratios are written with few decimals: to a millionth, 0.7 is 0.7 again and halves round up.
        let ratio = (f64::from(self.ratio) * 1e6).round();
        let edges = self.edge.of(source) / self.edge.of(mark).max(1.0);
        match self.edge {
            ScaleEdge::Area => mark.scaled((ratio / 1e6).sqrt() * edges),
            _ => mark.scaled(ratio * edges / 1e6),
        }
    }
}

/// Gaps between tiles: `uws` and `uhs`, fractions of the source's width and height, and `spacing`, pixels, this server's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TileGaps {
    /// Of the width, 0–1.
    pub horizontal: f32,
    /// Of the height, 0–1.
    pub vertical: f32,
    /// Both ways besides, 0–9999.
    pub pixels: u32,
}

/// Where a mark's picture comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ImageRef {
    /// An `http` or `https` URL.
    Url(String),
    /// `kodo://bucket/key`.
    Entry {
        /// The bucket.
        bucket: String,
        /// The key in it.
        key: String,
    },
    /// A bare key of the source's own bucket.
    Key(String),
}

/// Text and how it is set.
#[derive(Clone, Debug, PartialEq)]
pub struct Lettering {
    /// UTF-8; line breaks start new lines. Never empty.
    pub text: String,
    /// Font name asked for; `None` is the default.
    pub font: Option<String>,
    /// Twentieths of a point at 72 dpi: pixels are a twentieth of it. 1–10000, 240 by default.
    pub size_twips: u32,
    /// Colour; black by default.
    pub fill: Color,
    /// Opacity in percent, 1–100.
    pub dissolve: u8,
}

/// Text used as a mark.
#[derive(Clone, Debug, PartialEq)]
pub struct TextMark {
    /// The text.
    pub lettering: Lettering,
    /// Where it stands.
    pub placement: Placement,
}

/// Mode 4.
#[derive(Clone, Debug, PartialEq)]
pub struct TiledText {
    /// The text.
    pub lettering: Lettering,
    /// Clockwise degrees, -180–180.
    pub rotate: i32,
    /// `uw`: pixels between text boxes horizontally, 100 by default.
    pub gap_width: u32,
    /// `uh`: pixels between text boxes vertically, 100 by default.
    pub gap_height: u32,
    /// `resize`: the pattern's scale, 0.1–10.
    pub scale: f32,
}

impl Watermark {
    /// The pictures that are painted, in painting order.
    pub fn images(&self) -> impl Iterator<Item = &ImageRef> {
        let marks = match &self.paint {
            Paint::Marks(marks) => marks.as_slice(),
            Paint::Tiled(_) => &[],
        };
        marks.iter().filter_map(|mark| match mark {
            Mark::Image(mark) => Some(&mark.image),
            Mark::Text(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ParseError;
    use super::super::scan::{Cursor, encode_base64};
    use super::*;

    /// b64 of `http://img.example.com/logo.png`, `HelloWorld`-like text and `red`.
    const URL: &str = "aHR0cDovL2ltZy5leGFtcGxlLmNvbS9sb2dvLnBuZw==";
    const TEXT: &str = "SGVsbG8KV29ybGQ=";
    const RED: &str = "cmVk";

    fn parse(text: &str) -> Result<Watermark, ParseError> {
        Watermark::parse(&mut Cursor::new("watermark", Some(&fill_in(text))))
    }

    /// `URL`, `TEXT` and `RED` in `text` stand for their Base64; `#RED` for that of red's canonical form.
    fn fill_in(text: &str) -> String {
        text.replace("#RED", "I0ZGMDAwMA==").replace("URL", URL).replace("TEXT", TEXT).replace("RED", RED)
    }

    /// Spec 4.8, the parameter tables of all modes: what is read, and its canonical text.
    #[test]
    fn every_argument_is_read() {
        let font = format!("2/text/TEXT/font/{}", encode_base64("宋体"));
        let default_font = format!("2/text/TEXT/font/{}", encode_base64("黑体"));
        for (text, canonical) in [
            ("1/image/URL", "1/image/URL"),
            ("1/dissolve/1/image/URL", "1/image/URL/dissolve/1"),
            ("1/image/URL/dissolve/100/gravity/southeast/dx/10/dy/10/wst/0", "1/image/URL"),
            ("1/image/URL/dy/-20/dx/0/gravity/Center", "1/image/URL/gravity/Center/dx/0/dy/-20"),
            ("1/image/URL/ws/0", "1/image/URL"),
            ("1/image/URL/wst/3", "1/image/URL"),
            ("1/image/URL/ws/1/wst/3", "1/image/URL/ws/1/wst/3"),
            ("1/image/URL/ws/0.20", "1/image/URL/ws/0.2"),
            ("1/image/URL/tile/1", "1/image/URL/tile/1"),
            ("1/image/URL/tile/1/uws/0.5/uhs/1", "1/image/URL/tile/1/uws/0.5/uhs/1"),
            ("1/image/URL/tile/0/uws/0.5", "1/image/URL"),
            ("1/format/jpeg/image/URL/ignore-error/1", "1/image/URL/format/jpg/ignore-error/1"),
            ("1/image/TEXT/image/URL", "1/image/URL"),
            ("2/text/TEXT", "2/text/TEXT"),
            (&font, &font),
            (&default_font, "2/text/TEXT"),
            ("2/text/TEXT/fontsize/1", "2/text/TEXT/fontsize/1"),
            ("2/text/TEXT/fontsize/10000", "2/text/TEXT/fontsize/10000"),
            ("2/text/TEXT/fontsize/240/fill/YmxhY2s=/dissolve/100", "2/text/TEXT"),
            ("2/text/TEXT/fill/RED/dissolve/50", "2/text/TEXT/fill/#RED/dissolve/50"),
            ("2/text/TEXT/fontstyle/Qm9sZA==/gravity/North/dx/-1", "2/text/TEXT/gravity/North/dx/-1"),
            ("2/text/TEXT/format/png", "2/text/TEXT/format/png"),
            ("3/image/URL", "1/image/URL"),
            ("3/text/TEXT/fill/RED", "2/text/TEXT/fill/#RED"),
            (
                "3/image/URL/dissolve/50/gravity/SouthWest/dx/10/dy/10/text/TEXT/fill/RED/gravity/NorthEast",
                "3/image/URL/dissolve/50/gravity/SouthWest/text/TEXT/fill/#RED/gravity/NorthEast",
            ),
            ("3/format/png/text/TEXT/dx/1/dx/2/text/TEXT", "3/text/TEXT/dx/2/text/TEXT/format/png"),
            ("4/text/TEXT", "4/text/TEXT"),
            ("4/text/TEXT/rotate/0/uw/100/uh/100/resize/1", "4/text/TEXT"),
            ("4/text/TEXT/rotate/-180/uw/0/uh/50/resize/0.1", "4/text/TEXT/rotate/-180/uw/0/uh/50/resize/0.1"),
            ("4/text/TEXT/rotate/180/resize/10", "4/text/TEXT/rotate/180/resize/10"),
            ("4/text/TEXT/fill/RED/fontsize/500/dissolve/9", "4/text/TEXT/fontsize/500/fill/#RED/dissolve/9"),
        ] {
            let mark = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(mark.to_string(), format!("watermark/{}", fill_in(canonical)), "{text}");
            assert_eq!(parse(canonical), Ok(mark), "{text}");
        }
    }

    #[test]
    fn every_range_is_kept() {
        for (text, part) in [
            ("", "mode is missing; expected 1, 2, 3 or 4"),
            ("0", "mode is \"0\"; expected 1, 2, 3 or 4"),
            ("7", "mode is \"7\"; expected 1, 2, 3 or 4"),
            ("1", "image is missing; expected URL-safe Base64 of an http or https URL"),
            ("1/image/", "image is missing"),
            ("1/image/!", "image is \"!\"; expected URL-safe Base64"),
            ("1/image/URL/dissolve/0", "dissolve is \"0\"; expected an integer from 1 to 100"),
            ("1/image/URL/dissolve/101", "dissolve is \"101\""),
            ("1/image/URL/gravity/top", "gravity is \"top\"; expected one of NorthWest"),
            ("1/image/URL/dx/1.5", "dx is \"1.5\"; expected an integer from -99999 to 99999"),
            ("1/image/URL/dy/100000", "dy is \"100000\""),
            ("1/image/URL/ws/1.1", "ws is \"1.1\"; expected a number from 0 to 1"),
            ("1/image/URL/wst/5", "wst is \"5\"; expected an integer from 0 to 4"),
            ("1/image/URL/tile/2", "tile is \"2\"; expected an integer from 0 to 1"),
            ("1/image/URL/uws/2", "uws is \"2\"; expected a number from 0 to 1"),
            ("1/image/URL/uhs/-1", "uhs is \"-1\"; expected a number from 0 to 1"),
            ("1/image/URL/format/heic", "does not encode heic"),
            ("1/image/URL/ignore-error/2", "ignore-error is \"2\""),
            ("1/image/URL/text/TEXT", "unknown argument \"text\"; expected one of image, dissolve"),
            ("2", "text is missing; expected URL-safe Base64 of the text"),
            ("2/text/_w==", "text is \"_w==\"; expected URL-safe Base64 of the text, in UTF-8"),
            ("2/text/TEXT/font/*", "font is \"*\"; expected URL-safe Base64 of a font's name"),
            ("2/text/TEXT/fontsize/0", "fontsize is \"0\"; expected an integer from 1 to 10000"),
            ("2/text/TEXT/fontsize/10001", "fontsize is \"10001\""),
            ("2/text/TEXT/fill/red!", "fill is \"red!\"; expected URL-safe Base64 of a colour"),
            ("2/text/TEXT/fontstyle", "fontstyle is missing"),
            ("2/text/TEXT/fontsiz/20", "(did you mean fontsize?)"),
            ("2/text/TEXT/ws/0.5", "unknown argument \"ws\"; expected one of text, font"),
            ("3", "image or text is missing; expected at least one mark"),
            ("3/format/png", "image or text is missing; expected at least one mark"),
            ("3/dissolve/50/image/URL", "unknown argument \"dissolve\"; expected one of image, text"),
            ("3/image/URL/fill/RED", "unknown argument \"fill\"; expected one of image, dissolve"),
            ("3/text/TEXT/ws/0.5", "unknown argument \"ws\"; expected one of text, font"),
            ("4/uw/5", "text is missing"),
            ("4/text/TEXT/rotate/181", "rotate is \"181\"; expected an integer from -180 to 180"),
            ("4/text/TEXT/uw/10000", "uw is \"10000\"; expected an integer from 0 to 9999"),
            ("4/text/TEXT/uh/-1", "uh is \"-1\"; expected an integer from 0 to 9999"),
            ("4/text/TEXT/resize/0.09", "resize is \"0.09\"; expected a number from 0.1 to 10"),
            ("4/text/TEXT/resize/10.1", "resize is \"10.1\""),
            ("4/text/TEXT/gravity/North", "unknown argument \"gravity\"; expected one of text, font"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with("watermark: ") && message.contains(part), "{text}: {message}");
        }
        for mode in ["5", "6/text/TEXT"] {
            assert!(matches!(parse(mode), Err(ParseError::OutOfScope { name, .. }) if name.starts_with("watermark/")));
        }
    }

    #[test]
    fn images_are_urls_entries_or_keys() {
        let read = |text: &str| parse(&format!("1/image/{}", encode_base64(text)));
        for (text, image) in [
            (
                "http://a.example/x.png?imageView2/2/w/20",
                ImageRef::Url("http://a.example/x.png?imageView2/2/w/20".into()),
            ),
            ("HTTPS://a.example/x", ImageRef::Url("HTTPS://a.example/x".into())),
            ("kodo://logos/a/b.png", ImageRef::Entry { bucket: "logos".into(), key: "a/b.png".into() }),
            ("logos/b.png", ImageRef::Key("logos/b.png".into())),
            ("a:b.png", ImageRef::Key("a:b.png".into())),
            ("图/1://2.png", ImageRef::Key("图/1://2.png".into())),
        ] {
            let mark = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(mark.images().collect::<Vec<_>>(), [&image], "{text}");
            assert_eq!(image.to_string(), text);
        }
        for text in
            ["ftp://a.example/x", "file:///etc/passwd", "http://", "kodo://logos", "kodo://logos/", "kodo:///key"]
        {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(&format!("image is {text:?}; expected")), "{message}");
        }
    }

    #[test]
    fn images_come_in_painting_order() {
        let text = format!("3/image/{}/text/TEXT/image/{}", encode_base64("b"), encode_base64("a"));
        let mark = parse(&text).unwrap();
        let keys: Vec<_> = mark.images().map(ToString::to_string).collect();
        assert_eq!(keys, ["b", "a"]);
        assert_eq!(parse("4/text/TEXT").unwrap().images().count(), 0);
    }

    /// Spec 4.8, the samples of `ws` and `wst`, rounded.
    #[test]
    fn marks_scale_with_the_source() {
        for (source, wst, ratio, expected) in [
            ((250, 250), 0, 0.1, (37, 25)),
            ((250, 250), 1, 0.1, (25, 17)),
            ((250, 250), 0, 1.0, (373, 250)),
            ((640, 427), 0, 0.2, (127, 85)),
            ((640, 427), 1, 0.2, (128, 86)),
            ((640, 427), 2, 0.2, (128, 86)),
            ((640, 427), 3, 0.2, (127, 85)),
            // A quarter of the area; the mark keeps its proportions.
            ((182, 122), 4, 0.25, (91, 61)),
            ((1, 1), 0, 0.01, (1, 1)),
        ] {
            let scale = MarkScale { ratio, edge: ScaleEdge::ALL[wst] };
            let size = scale.size(Size::new(91, 61), Size::new(source.0, source.1));
            assert_eq!((size.width, size.height), expected, "{source:?} wst {wst} ws {ratio}");
        }
        let half = MarkScale { ratio: 0.7, edge: ScaleEdge::Width };
        assert_eq!(half.size(Size::new(5, 5), Size::new(5, 5)), Size::new(4, 4), "3.5 rounds up");
    }
}
