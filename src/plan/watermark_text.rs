//! Watermarks as text: reading and writing what [`watermark`](super::watermark) describes.

use std::fmt;

use super::ParseError;
use super::crop::MAX_OFFSET;
use super::output::{FormatChoice, write_ignore_error};
use super::scan::{Cursor, encode_base64};
use super::watermark::{
    ImageMark, ImageRef, Lettering, Mark, MarkScale, Oversize, Paint, Placement, ScaleEdge, TextMark, TileGaps,
    TiledText, Watermark,
};
use crate::color::Color;
use crate::geometry::Gravity;

/// The vendor's default font; asking for it is asking for nothing.
const DEFAULT_FONT: &str = "黑体";
const DEFAULT_SIZE_TWIPS: u32 = 240;
const DEFAULT_GAP: u32 = 100;
const DEFAULT_PLACEMENT: Placement = Placement { gravity: Gravity::SouthEast, dx: 10, dy: 10 };
const OPAQUE: u8 = 100;

#[rustfmt::skip]
const IMAGE_ARGUMENTS: [&str; 14] = [
    "image", "dissolve", "gravity", "dx", "dy", "ws", "wst", "blogo", "tile", "uws", "uhs", "spacing", "format",
    "ignore-error",
];
const TEXT_ARGUMENTS: [&str; 11] =
    ["text", "font", "fontsize", "fontstyle", "fill", "dissolve", "gravity", "dx", "dy", "format", "ignore-error"];
#[rustfmt::skip]
const TILED_ARGUMENTS: [&str; 12] = [
    "text", "font", "fontsize", "fontstyle", "fill", "dissolve", "rotate", "uw", "uh", "resize", "format", "ignore-error",
];

/// The longest text of a mark.
const MAX_TEXT_CHARACTERS: usize = 1000;

/// The most marks of one `watermark/3`; each image is a fetch.
const MAX_MARKS: usize = 32;

impl Watermark {
    /// Reads what follows `watermark/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mode = cursor.value("mode", "1, 2, 3 or 4")?;
        match mode {
            "1" => read_one(cursor, Draft::Image(ImageDraft::default())),
            "2" => read_one(cursor, Draft::Text(TextDraft::default())),
            "3" => read_several(cursor),
            "4" => read_tiled(cursor),
            "5" | "6" => Err(ParseError::OutOfScope {
                name: format!("watermark/{mode}"),
                reason: "blind watermarks are neither written nor read; modes 1 to 4 paint visible ones",
            }),
            _ => Err(cursor.invalid("mode", mode, "1, 2, 3 or 4")),
        }
    }
}

/// Modes 1 and 2: the arguments of one mark.
fn read_one(cursor: &mut Cursor<'_>, mut draft: Draft) -> Result<Watermark, ParseError> {
    let mut settings = Settings::default();
    while let Some(name) = cursor.segment() {
        if !settings.read(name, cursor)? && !draft.read(name, cursor)? {
            return Err(cursor.unknown(name, draft.arguments()));
        }
    }
    Ok(settings.with(Paint::Marks(vec![draft.finish(cursor)?])))
}

/// Mode 3: each `image/` or `text/` starts a mark; what follows belongs to it.
fn read_several(cursor: &mut Cursor<'_>) -> Result<Watermark, ParseError> {
    let mut settings = Settings::default();
    let mut drafts: Vec<Draft> = Vec::new();
    while let Some(name) = cursor.segment() {
        match name {
            "image" => drafts.push(Draft::Image(ImageDraft::default())),
            "text" => drafts.push(Draft::Text(TextDraft::default())),
            _ => {}
        }
        if settings.read(name, cursor)? {
            continue;
        }
        let Some(draft) = drafts.last_mut() else {
            return Err(cursor.unknown(name, &["image", "text", "format", "ignore-error"]));
        };
        if !draft.read(name, cursor)? {
            return Err(cursor.unknown(name, draft.arguments()));
        }
    }
    if drafts.is_empty() {
        return Err(cursor.missing("image or text", "at least one mark"));
    }
    if drafts.len() > MAX_MARKS {
        return Err(cursor.invalid("the number of marks", &drafts.len().to_string(), "1 to 32"));
    }
    let marks = drafts.into_iter().map(|draft| draft.finish(cursor)).collect::<Result<_, _>>()?;
    Ok(settings.with(Paint::Marks(marks)))
}

/// Mode 4.
fn read_tiled(cursor: &mut Cursor<'_>) -> Result<Watermark, ParseError> {
    let mut settings = Settings::default();
    let mut lettering = LetteringDraft::default();
    let (mut rotate, mut gap_width, mut gap_height, mut scale) = (0, DEFAULT_GAP, DEFAULT_GAP, 1.0);
    while let Some(name) = cursor.segment() {
        match name {
            "rotate" => rotate = cursor.integer(name, -180..=180)?,
            "uw" => gap_width = cursor.integer(name, 0..=9999)?,
            "uh" => gap_height = cursor.integer(name, 0..=9999)?,
            "resize" => scale = cursor.decimal(name, 0.1..=10.0)?,
            _ => {
                if !settings.read(name, cursor)? && !lettering.read(name, cursor)? {
                    return Err(cursor.unknown(name, &TILED_ARGUMENTS));
                }
            }
        }
    }
    let lettering = lettering.finish(cursor)?;
    Ok(settings.with(Paint::Tiled(TiledText { lettering, rotate, gap_width, gap_height, scale })))
}

/// What belongs to the whole watermark, wherever it stands.
#[derive(Default)]
struct Settings {
    format: Option<FormatChoice>,
    ignore_error: bool,
}

impl Settings {
    /// Reads the value of `name` if it is one of these.
    fn read(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        match name {
            "format" => self.format = Some(FormatChoice::read(cursor)?),
            "ignore-error" => self.ignore_error = cursor.flag(name)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn with(self, paint: Paint) -> Watermark {
        Watermark { paint, format: self.format, ignore_error: self.ignore_error }
    }
}

/// A mark that is being read. `read` takes an argument that belongs to it and answers whether there is such a one.
enum Draft {
    Image(ImageDraft),
    Text(TextDraft),
}

impl Draft {
    fn read(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        match self {
            Self::Image(image) => image.read(name, cursor),
            Self::Text(text) => text.read(name, cursor),
        }
    }

    fn arguments(&self) -> &'static [&'static str] {
        match self {
            Self::Image(_) => &IMAGE_ARGUMENTS,
            Self::Text(_) => &TEXT_ARGUMENTS,
        }
    }

    fn finish(self, cursor: &Cursor<'_>) -> Result<Mark, ParseError> {
        match self {
            Self::Image(image) => image.finish(cursor).map(Mark::Image),
            Self::Text(text) => text.finish(cursor).map(Mark::Text),
        }
    }
}

struct ImageDraft {
    image: Option<ImageRef>,
    dissolve: u8,
    placement: Placement,
    scale: MarkScale,
    oversize: Oversize,
    tile: bool,
    gaps: TileGaps,
}

impl Default for ImageDraft {
    fn default() -> Self {
        Self {
            image: None,
            dissolve: OPAQUE,
            placement: DEFAULT_PLACEMENT,
            scale: MarkScale { ratio: 0.0, edge: ScaleEdge::Short },
            oversize: Oversize::Omit,
            tile: false,
            gaps: TileGaps { horizontal: 0.0, vertical: 0.0, pixels: 0 },
        }
    }
}

impl ImageDraft {
    fn read(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        match name {
            "image" => self.image = Some(ImageRef::read(cursor)?),
            "dissolve" => self.dissolve = cursor.integer(name, 1..=100)?,
            "ws" => self.scale.ratio = cursor.decimal(name, 0.0..=1.0)?,
            "wst" => self.scale.edge = ScaleEdge::ALL[cursor.integer(name, 0..=4_usize)?],
            "blogo" => self.oversize = Oversize::ALL[cursor.integer(name, 0..=2_usize)?],
            "tile" => self.tile = cursor.flag(name)?,
            "uws" => self.gaps.horizontal = cursor.decimal(name, 0.0..=1.0)?,
            "uhs" => self.gaps.vertical = cursor.decimal(name, 0.0..=1.0)?,
            "spacing" => self.gaps.pixels = cursor.integer(name, 0..=9999)?,
            _ => return self.placement.read(name, cursor),
        }
        Ok(true)
    }

    fn finish(self, cursor: &Cursor<'_>) -> Result<ImageMark, ParseError> {
        Ok(ImageMark {
            image: self.image.ok_or_else(|| cursor.missing("image", ImageRef::EXPECTED))?,
            dissolve: self.dissolve,
            placement: self.placement,
            scale: (self.scale.ratio > 0.0).then_some(self.scale),
            oversize: self.oversize,
            tile: self.tile.then_some(self.gaps),
        })
    }
}

struct TextDraft {
    lettering: LetteringDraft,
    placement: Placement,
}

impl Default for TextDraft {
    fn default() -> Self {
        Self { lettering: LetteringDraft::default(), placement: DEFAULT_PLACEMENT }
    }
}

impl TextDraft {
    fn read(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        Ok(self.lettering.read(name, cursor)? || self.placement.read(name, cursor)?)
    }

    fn finish(self, cursor: &Cursor<'_>) -> Result<TextMark, ParseError> {
        Ok(TextMark { lettering: self.lettering.finish(cursor)?, placement: self.placement })
    }
}

struct LetteringDraft {
    text: Option<String>,
    font: Option<String>,
    size_twips: u32,
    fill: Color,
    dissolve: u8,
}

impl Default for LetteringDraft {
    fn default() -> Self {
        Self { text: None, font: None, size_twips: DEFAULT_SIZE_TWIPS, fill: Color::BLACK, dissolve: OPAQUE }
    }
}

impl LetteringDraft {
    fn read(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        match name {
            "text" => self.text = Some(cursor.text(name, "the text, in UTF-8")?),
            "font" => self.font = Some(cursor.text(name, "a font's name")?).filter(|font| font != DEFAULT_FONT),
            "fontsize" => self.size_twips = cursor.integer(name, 1..=10_000)?,
            "fill" => self.fill = cursor.color(name)?,
            "dissolve" => self.dissolve = cursor.integer(name, 1..=100)?,
            // In use in real URLs and documented nowhere: read, and without effect.
            "fontstyle" => drop(cursor.value(name, "a font style")?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn finish(self, cursor: &Cursor<'_>) -> Result<Lettering, ParseError> {
        let text = self.text.ok_or_else(|| cursor.missing("text", "URL-safe Base64 of the text, in UTF-8"))?;
        let characters = text.chars().count();
        if characters > MAX_TEXT_CHARACTERS {
            return Err(cursor.invalid("text", &format!("{characters} characters"), "1 to 1000 characters"));
        }
        let Self { font, size_twips, fill, dissolve, .. } = self;
        Ok(Lettering { text, font, size_twips, fill, dissolve })
    }
}

impl Placement {
    fn read(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        match name {
            "gravity" => self.gravity = cursor.gravity(name)?,
            "dx" => self.dx = cursor.integer(name, -MAX_OFFSET..=MAX_OFFSET)?,
            "dy" => self.dy = cursor.integer(name, -MAX_OFFSET..=MAX_OFFSET)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl ImageRef {
    const EXPECTED: &str = "URL-safe Base64 of an http or https URL, of kodo://bucket/key, or of a key";

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let encoded = cursor.value("image", Self::EXPECTED)?;
        let text = super::scan::decode_base64(encoded).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| cursor.invalid("image", encoded, Self::EXPECTED))?;
        Self::from_text(&text).ok_or_else(|| cursor.invalid("image", &text, Self::EXPECTED))
    }

    /// Tells URLs, entries and keys apart; `None` for broken ones and for other schemes.
    fn from_text(text: &str) -> Option<Self> {
        let Some((scheme, rest)) = split_scheme(text) else {
            return Some(Self::Key(text.to_owned()));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => url::Url::parse(text).ok().map(|_| Self::Url(text.to_owned())),
            "kodo" => {
                let (bucket, key) = rest.split_once('/')?;
                let entry = Self::Entry { bucket: bucket.to_owned(), key: key.to_owned() };
                (!bucket.is_empty() && !key.is_empty()).then_some(entry)
            }
            _ => None,
        }
    }
}

/// Splits `<scheme>://<rest>`; `None` where the text before `://` cannot be a scheme (RFC 3986, section 3.1).
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let named = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    named.then_some((scheme, rest))
}

impl fmt::Display for ImageRef {
    /// The text that is encoded in a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(text) | Self::Key(text) => f.write_str(text),
            Self::Entry { bucket, key } => write!(f, "kodo://{bucket}/{key}"),
        }
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.paint {
            Paint::Tiled(tiled) => write!(f, "watermark/4{tiled}")?,
            Paint::Marks(marks) => {
                let mode = match marks.as_slice() {
                    [Mark::Image(_)] => 1,
                    [Mark::Text(_)] => 2,
                    _ => 3,
                };
                write!(f, "watermark/{mode}")?;
                marks.iter().try_for_each(|mark| write!(f, "{mark}"))?;
            }
        }
        if let Some(format) = self.format {
            write!(f, "/format/{format}")?;
        }
        write_ignore_error(f, self.ignore_error)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(image) => write!(f, "{image}"),
            Self::Text(text) => write!(f, "{}{}", text.lettering, text.placement),
        }
    }
}

impl fmt::Display for ImageMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/image/{}", encode_base64(&self.image))?;
        write_unless(f, "dissolve", self.dissolve, OPAQUE)?;
        write!(f, "{}", self.placement)?;
        if let Some(scale) = self.scale {
            write!(f, "/ws/{}", scale.ratio)?;
            write_unless(f, "wst", scale.edge as u8, 0)?;
        }
        write_unless(f, "blogo", self.oversize as u8, Oversize::Omit as u8)?;
        if let Some(gaps) = self.tile {
            f.write_str("/tile/1")?;
            write_unless(f, "uws", gaps.horizontal, 0.0)?;
            write_unless(f, "uhs", gaps.vertical, 0.0)?;
            write_unless(f, "spacing", gaps.pixels, 0)?;
        }
        Ok(())
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_unless(f, "gravity", self.gravity.name(), DEFAULT_PLACEMENT.gravity.name())?;
        write_unless(f, "dx", self.dx, DEFAULT_PLACEMENT.dx)?;
        write_unless(f, "dy", self.dy, DEFAULT_PLACEMENT.dy)
    }
}

impl fmt::Display for Lettering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/text/{}", encode_base64(&self.text))?;
        if let Some(font) = &self.font {
            write!(f, "/font/{}", encode_base64(font))?;
        }
        write_unless(f, "fontsize", self.size_twips, DEFAULT_SIZE_TWIPS)?;
        if self.fill != Color::BLACK {
            write!(f, "/fill/{}", encode_base64(self.fill))?;
        }
        write_unless(f, "dissolve", self.dissolve, OPAQUE)
    }
}

impl fmt::Display for TiledText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.lettering)?;
        write_unless(f, "rotate", self.rotate, 0)?;
        write_unless(f, "uw", self.gap_width, DEFAULT_GAP)?;
        write_unless(f, "uh", self.gap_height, DEFAULT_GAP)?;
        write_unless(f, "resize", self.scale, 1.0)
    }
}

/// Writes `/name/value`, unless the value is the default.
fn write_unless<T: Copy + fmt::Display + PartialEq>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    value: T,
    default: T,
) -> fmt::Result {
    if value == default { Ok(()) } else { write!(f, "/{name}/{value}") }
}
