//! Output settings that several operators share: format, quality, interlace, palette size, ignore-error.

use crate::geometry::Size;

/// A format that results are encoded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the formats' own")]
pub enum OutputFormat {
    Jpeg,
    Png,
    Gif,
    Webp,
    Bmp,
    Tiff,
}

/// What the user asked the result to be encoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FormatChoice {
    /// `format/copy`, also the default: the source's own format.
    Source,
    /// A named format.
    Named(OutputFormat),
}

/// A requested quality, 1–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quality {
    /// 1–100.
    pub value: u8,
    /// `!`: use it as it is, whatever the source's own quality.
    pub exact: bool,
}

/// Output settings of one fop; `None` leaves what an earlier fop said in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OutputSettings {
    /// `format/…`.
    pub format: Option<FormatChoice>,
    /// `q/…` or `quality/…`.
    pub quality: Option<Quality>,
    /// `interlace/1`: progressive JPEG.
    pub interlace: Option<bool>,
    /// `colors/…`: palette size, a power of two from 2 to 256.
    pub colors: Option<u16>,
    /// `ignore-error/1`: on failure answer with the source.
    pub ignore_error: bool,
}

/// The quality to encode a JPEG source's result with (spec 4.0).
///
/// `c = qs × sqrt(W·H / (outW·outH))`, capped at 90 while `qs ≤ 90`'s correction applies; the result is
/// `min(requested, c)`, rounded down, 1–100.
pub fn effective_quality(requested: u8, source_quality: u8, source: Size, output: Size) -> u8 {
    let corrected = f64::from(source_quality) * (source.area() as f64 / output.area().max(1) as f64).sqrt();
    let corrected = if source_quality <= 90 { corrected.min(90.0) } else { corrected };
    f64::from(requested).min(corrected).floor().clamp(1.0, 100.0) as u8
}
