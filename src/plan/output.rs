//! Output settings that several operators share: format, quality, interlace, palette size, ignore-error.

use std::fmt;

use super::ParseError;
use super::scan::{self, Cursor};
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
    /// Only with the feature `avif`; see [`OutputFormat::is_built_in`].
    Avif,
}

impl OutputFormat {
    /// All formats, each under its canonical name.
    pub const ALL: [Self; 7] = [Self::Jpeg, Self::Png, Self::Gif, Self::Webp, Self::Bmp, Self::Tiff, Self::Avif];

    /// Whether this build has the encoder.
    pub const fn is_built_in(self) -> bool {
        cfg!(feature = "avif") || !matches!(self, Self::Avif)
    }

    /// The name that `format/…` has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Webp => "webp",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
            Self::Avif => "avif",
        }
    }
}

/// What the user asked the result to be encoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FormatChoice {
    /// `format/copy`, also the default: the source's own format.
    Source,
    /// `format/auto`, this server's own: the best of those that the client says it takes ([`Accepts`]), else the source's own.
    Auto,
    /// A named format.
    Named(OutputFormat),
}

/// What a client takes besides the formats that all do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Accepts {
    /// AVIF.
    pub avif: bool,
    /// WebP.
    pub webp: bool,
}

impl FormatChoice {
    /// Reads the value of `format/…`; `jpeg` is `jpg`.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let value = cursor.value("format", FORMATS)?;
        match value {
            "copy" => return Ok(Self::Source),
            "auto" => return Ok(Self::Auto),
            "jpeg" => return Ok(Self::Named(OutputFormat::Jpeg)),
            _ => {}
        }
        let named = OutputFormat::ALL.into_iter().find(|format| format.is_built_in() && format.name() == value);
        named.map(Self::Named).ok_or_else(|| match value {
            "heic" | "avif" => {
                cursor.invalid("format", value, format_args!("{FORMATS} (this server does not encode {value})"))
            }
            _ => cursor.invalid("format", value, FORMATS),
        })
    }
}

/// The values of `format/…`.
#[cfg(feature = "avif")]
const FORMATS: &str = "one of jpg, jpeg, png, gif, webp, bmp, tiff, avif, auto, copy";
#[cfg(not(feature = "avif"))]
const FORMATS: &str = "one of jpg, jpeg, png, gif, webp, bmp, tiff, auto, copy";

impl fmt::Display for FormatChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "copy",
            Self::Auto => "auto",
            Self::Named(format) => format.name(),
        })
    }
}

/// A requested quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quality {
    /// A number for the encoder.
    Asked {
        /// 1–100.
        value: u8,
        /// `!`: use it as it is, whatever the source's own quality.
        exact: bool,
    },
    /// `ssim:…`: the smallest file that looks as good as this score says. This server's own.
    Ssim(Score),
    /// Relative to the source's own quality, whatever the sizes. This server's own.
    Source(SourceQuality),
}

/// What is made of the source's own quality. A source that has none to go by (it is no JPEG) counts as
/// [`SourceQuality::UNKNOWN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceQuality {
    /// `own:<percent>`: so much of it.
    Percent(u8),
    /// `most:<n>`: it, or `n` where that is less. Where there is none to go by, `n`.
    AtMost(u8),
    /// `least:<n>`: it, or `n` where that is more.
    AtLeast(u8),
}

impl SourceQuality {
    /// The quality of sources that tell none.
    pub const UNKNOWN: u8 = 75;

    fn parse(text: &str) -> Option<Self> {
        let (rule, number) = text.split_once(':')?;
        let make = match rule {
            "own" => Self::Percent,
            "most" => Self::AtMost,
            "least" => Self::AtLeast,
            _ => return None,
        };
        scan::integer_in(number, &(1..=100)).map(make)
    }

    /// What comes of a source's quality.
    fn of(self, own: Option<u8>) -> u8 {
        let known = own.unwrap_or(Self::UNKNOWN);
        match self {
            Self::Percent(percent) => (u32::from(known) * u32::from(percent) / 100).max(1) as u8,
            Self::AtMost(most) => own.unwrap_or(most).min(most),
            Self::AtLeast(least) => known.max(least),
        }
    }
}

impl fmt::Display for SourceQuality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "own:{percent}"),
            Self::AtMost(most) => write!(f, "most:{most}"),
            Self::AtLeast(least) => write!(f, "least:{least}"),
        }
    }
}

impl Quality {
    /// What is used when nobody asks (spec 4.0).
    pub const DEFAULT: Self = Self::asked(75);

    /// The quality `value`, 1–100, subject to the source's own.
    pub const fn asked(value: u8) -> Self {
        Self::Asked { value, exact: false }
    }

    /// Reads the value of `argument`: 1–100, with or without a `!`, or a score.
    pub(super) fn read(cursor: &mut Cursor<'_>, argument: &str) -> Result<Self, ParseError> {
        let expected = format_args!("an integer from 1 to 100, with or without a final !, or {}", Score::EXPECTED);
        cursor.read(argument, expected, |value| match value.strip_suffix('!') {
            Some(number) => Some(Self::Asked { value: scan::integer_in(number, &(1..=100))?, exact: true }),
            None => Self::inexact(value),
        })
    }

    /// Reads the value of `argument` where the vendor knows no `!`: 1–100, or a score.
    pub(super) fn read_inexact(cursor: &mut Cursor<'_>, argument: &str) -> Result<Self, ParseError> {
        let expected = format_args!("an integer from 1 to 100, or {}", Score::EXPECTED);
        cursor.read(argument, expected, Self::inexact)
    }

    fn inexact(value: &str) -> Option<Self> {
        match value.strip_prefix("ssim:") {
            Some(score) => Score::parse(score).map(Self::Ssim),
            None if value.contains(':') => SourceQuality::parse(value).map(Self::Source),
            None => scan::integer_in(value, &(1..=100)).map(Self::asked),
        }
    }

    /// What to encode for: a score as it is; a number as asked with `!` or when the source has none to go by (it is no
    /// JPEG), else the [`effective_quality`].
    pub fn target(self, source_quality: Option<u8>, source: Size, output: Size) -> QualityTarget {
        match (self, source_quality) {
            (Self::Ssim(score), _) => QualityTarget::Ssim(score),
            (Self::Source(rule), own) => QualityTarget::Fixed(rule.of(own)),
            (Self::Asked { value, exact: false }, Some(source_quality)) => {
                QualityTarget::Fixed(effective_quality(value, source_quality, source, output))
            }
            (Self::Asked { value, .. }, _) => QualityTarget::Fixed(value),
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { value, exact } => write!(f, "{value}{}", if *exact { "!" } else { "" }),
            Self::Ssim(score) => write!(f, "ssim:{score}"),
            Self::Source(rule) => write!(f, "{rule}"),
        }
    }
}

/// What a result is encoded for, the source's own quality taken into account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QualityTarget {
    /// This quality, 1–100.
    Fixed(u8),
    /// The lowest quality that has this score.
    Ssim(Score),
}

/// A SSIMULACRA2 score to reach, 30 (low) to 100 (identical), in steps of a tenth; 90 is hard to tell from the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score {
    tenths: u16,
}

impl Score {
    /// What a quality that is no number alone may be.
    const EXPECTED: &str = "ssim: and a score from 30 to 100 with at most one decimal, or own:, most: or least: and an integer from 1 to 100";

    /// The score of so many tenths; `None` outside 30–100.
    pub fn from_tenths(tenths: u16) -> Option<Self> {
        (300..=1000).contains(&tenths).then_some(Self { tenths })
    }

    /// On the metric's own scale.
    pub fn value(self) -> f64 {
        f64::from(self.tenths) / 10.0
    }

    /// Reads a score: digits, and at most one behind a `.`.
    fn parse(text: &str) -> Option<Self> {
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        let tenth = scan::integer_in::<u16>(tenth, &(0..=9)).filter(|_| tenth.len() == 1)?;
        Self::from_tenths(scan::integer_in::<u16>(whole, &(0..=100))? * 10 + tenth)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenths % 10 {
            0 => write!(f, "{}", self.tenths / 10),
            tenth => write!(f, "{}.{tenth}", self.tenths / 10),
        }
    }
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

impl OutputSettings {
    /// Writes the settings that are there; quality under the name `quality`.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, quality: &str) -> fmt::Result {
        if let Some(format) = self.format {
            write!(f, "/format/{format}")?;
        }
        if let Some(value) = self.quality {
            write!(f, "/{quality}/{value}")?;
        }
        if let Some(interlace) = self.interlace {
            write!(f, "/interlace/{}", u8::from(interlace))?;
        }
        if let Some(colors) = self.colors {
            write!(f, "/colors/{colors}")?;
        }
        write_ignore_error(f, self.ignore_error)
    }
}

/// Writes `/ignore-error/1` if it is on.
pub(super) fn write_ignore_error(f: &mut fmt::Formatter<'_>, ignore_error: bool) -> fmt::Result {
    if ignore_error { f.write_str("/ignore-error/1") } else { Ok(()) }
}

/// Reads the value of `colors/…`.
pub(super) fn read_colors(cursor: &mut Cursor<'_>) -> Result<u16, ParseError> {
    cursor.read("colors", "one of 2, 4, 8, 16, 32, 64, 128, 256", |value| {
        scan::integer_in(value, &(2..=256_u16)).filter(|colors| colors.is_power_of_two())
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec 4.0, the quality table row by row.
    #[test]
    fn quality_follows_the_source() {
        let source = Size::new(640, 427);
        for (qs, output, asked, effective) in [
            (80, (200, 133), "75", 75),
            (60, (640, 427), "75", 60),
            (50, (600, 400), "75", 53),
            (40, (400, 267), "75", 63),
            (95, (640, 427), "100", 95),
            (95, (640, 427), "100!", 100),
            (80, (1280, 854), "75", 40),
            (90, (64, 43), "100", 90),
            (1, (9999, 9999), "1", 1),
        ] {
            let quality = Quality::read(&mut Cursor::new("fop", Some(asked)), "q").unwrap();
            let output = Size::new(output.0, output.1);
            let target = quality.target(Some(qs), source, output);
            assert_eq!(target, QualityTarget::Fixed(effective), "qs {qs}, {output}, {asked}");
        }
        assert_eq!(Quality::DEFAULT.target(None, source, source), QualityTarget::Fixed(75), "not a JPEG");
    }

    #[test]
    fn qualities_follow_the_source_by_a_rule() {
        let (large, small) = (Size::new(640, 427), Size::new(64, 43));
        for (asked, own, expected) in [
            ("own:80", Some(80), 64),
            ("own:100", Some(93), 93),
            ("own:1", Some(3), 1),
            ("own:80", None, 60),
            ("most:80", Some(93), 80),
            ("most:80", Some(60), 60),
            ("most:90", None, 90),
            ("least:80", Some(93), 93),
            ("least:80", Some(60), 80),
            ("least:60", None, 75),
        ] {
            let quality = Quality::read(&mut Cursor::new("fop", Some(asked)), "q").unwrap();
            assert_eq!(quality.target(own, large, small), QualityTarget::Fixed(expected), "{asked} of {own:?}");
            assert_eq!(quality.to_string(), asked);
        }
        for text in ["own:", "own:0", "own:101", "most:80!", "less:5", ":5", "own:5:5"] {
            assert!(Quality::read(&mut Cursor::new("fop", Some(text)), "q").is_err(), "{text}");
        }
    }

    #[test]
    fn qualities_are_1_to_100() {
        let read = |text| Quality::read(&mut Cursor::new("fop", Some(text)), "q").ok();
        assert_eq!(read("1"), Some(Quality::asked(1)));
        assert_eq!(read("100!"), Some(Quality::Asked { value: 100, exact: true }));
        for text in ["0", "101", "!", "!75", "75!!", "7.5", "-75", "high"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn scores_are_30_to_100_in_tenths() {
        let read = |text| Quality::read(&mut Cursor::new("fop", Some(text)), "q");
        let plain = |text| Quality::read_inexact(&mut Cursor::new("fop", Some(text)), "q");
        let size = Size::new(40, 30);
        for (text, tenths, canonical) in [
            ("ssim:30", 300, "ssim:30"),
            ("ssim:85", 850, "ssim:85"),
            ("ssim:72.5", 725, "ssim:72.5"),
            ("ssim:90.0", 900, "ssim:90"),
            ("ssim:100.0", 1000, "ssim:100"),
        ] {
            let score = Score::from_tenths(tenths).unwrap();
            assert_eq!(read(text), Ok(Quality::Ssim(score)), "{text}");
            assert_eq!(plain(text), read(text), "{text}");
            assert_eq!(read(text).unwrap().to_string(), canonical);
            let target = Quality::Ssim(score).target(Some(40), size, size);
            assert_eq!(target, QualityTarget::Ssim(score), "the source's quality does not lower it");
        }
        for text in [
            "ssim:",
            "ssim:29",
            "ssim:29.9",
            "ssim:100.1",
            "ssim:101",
            "ssim:85!",
            "ssim:85.",
            "ssim:.5",
            "ssim:85.55",
            "ssim:-85",
            "ssim:85.-1",
            "ssim:+85",
            "ssim:1e2",
            "ssim:NaN",
            "ssim:8 5",
            "ssim85",
            "SSIM:85",
            "ssim:6635",
        ] {
            let expected = "an integer from 1 to 100, with or without a final !, \
                            or ssim: and a score from 30 to 100 with at most one decimal, \
                            or own:, most: or least: and an integer from 1 to 100";
            let message = format!("fop: q is {text:?}; expected {expected}");
            assert_eq!(read(text).unwrap_err().to_string(), message);
            assert!(plain(text).is_err(), "{text}");
        }
        assert!(plain("75!").is_err());
    }

    #[test]
    fn formats_are_those_encoded_here() {
        let read = |text: &str| FormatChoice::read(&mut Cursor::new("fop", Some(text)));
        for (text, format) in [
            ("jpg", FormatChoice::Named(OutputFormat::Jpeg)),
            ("jpeg", FormatChoice::Named(OutputFormat::Jpeg)),
            ("png", FormatChoice::Named(OutputFormat::Png)),
            ("gif", FormatChoice::Named(OutputFormat::Gif)),
            ("webp", FormatChoice::Named(OutputFormat::Webp)),
            ("bmp", FormatChoice::Named(OutputFormat::Bmp)),
            ("tiff", FormatChoice::Named(OutputFormat::Tiff)),
            ("copy", FormatChoice::Source),
        ] {
            assert_eq!(read(text), Ok(format), "{text}");
            assert_eq!(read(&format.to_string()), Ok(format), "{format}");
        }
        for text in ["JPG", "psd", "jpg2000", ""] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in ["heic", "avif"] {
            let built_in = text == "avif" && OutputFormat::Avif.is_built_in();
            match read(text) {
                Ok(format) => assert!(built_in && format == FormatChoice::Named(OutputFormat::Avif), "{text}"),
                Err(error) => assert_eq!(
                    (built_in, error.to_string()),
                    (
                        false,
                        format!("fop: format is \"{text}\"; expected {FORMATS} (this server does not encode {text})")
                    )
                ),
            }
        }
    }

    #[test]
    fn palettes_are_powers_of_two() {
        let read = |text: &str| read_colors(&mut Cursor::new("fop", Some(text))).ok();
        for colors in [2, 4, 8, 16, 32, 64, 128, 256_u16] {
            assert_eq!(read(&colors.to_string()), Some(colors));
        }
        for text in ["0", "1", "3", "100", "512", "-2"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
