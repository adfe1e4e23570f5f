//! `watermark/<1-4>/…` (spec 4.8): image, text, several, tiled text.

use super::output::FormatChoice;
use crate::color::Color;
use crate::geometry::Gravity;

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
    /// `tile/1`: repeat it over the picture, with these gaps.
    pub tile: Option<TileGaps>,
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
}

/// `uws` and `uhs`: gaps between tiles as fractions of the source's width and height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TileGaps {
    /// Of the width, 0–1.
    pub horizontal: f32,
    /// Of the height, 0–1.
    pub vertical: f32,
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
