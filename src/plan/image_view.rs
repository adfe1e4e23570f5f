//! `imageView/<mode>/…` (spec 4.2), the older form: quality 85, and mode 1 enlarges.

use std::fmt;

use super::ParseError;
use super::image_view2::{MAX_EDGE, write_box};
use super::output::{FormatChoice, OutputSettings, Quality};
use super::scan::Cursor;
use crate::geometry::{Fit, Size};

/// Quality of `imageView` and `imageMogr` when none is asked for.
pub(super) const LEGACY_QUALITY: Quality = Quality::asked(85);

/// A parsed `imageView`. Rotates by EXIF orientation first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageView {
    /// 1 or 2.
    pub mode: u8,
    /// `w`, 1–9999; present in mode 1.
    pub width: Option<u32>,
    /// `h`, 1–9999; present in mode 1.
    pub height: Option<u32>,
    /// Format and quality; a missing `q` is stored as 85.
    pub output: OutputSettings,
}

impl ImageView {
    /// Reads what follows `imageView/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mode = cursor.integer("mode", 1..=2)?;
        let output = OutputSettings { quality: Some(LEGACY_QUALITY), ..OutputSettings::default() };
        let mut view = Self { mode, width: None, height: None, output };
        while let Some(name) = cursor.segment() {
            match name {
                "w" => view.width = Some(cursor.integer(name, 1..=MAX_EDGE)?),
                "h" => view.height = Some(cursor.integer(name, 1..=MAX_EDGE)?),
                "q" => view.output.quality = Some(Quality::read_inexact(cursor, name)?),
                "format" => view.output.format = Some(FormatChoice::read(cursor)?),
                _ => return Err(cursor.unknown(name, &["w", "h", "q", "format"])),
            }
        }
        for (name, edge) in [("w", view.width), ("h", view.height)] {
            if mode == 1 && edge.is_none() {
                return Err(cursor.missing(name, "an integer from 1 to 9999; mode 1 needs both w and h"));
            }
        }
        Ok(view)
    }

    /// What becomes of a picture of size `source`, already turned by its orientation: mode 1 covers the box, enlarging
    /// if it has to, and keeps its centre; mode 2 fits inside it, only shrinking.
    pub fn fit(self, source: Size) -> Fit {
        match (self.mode, self.width, self.height) {
            (1, Some(width), Some(height)) => Fit::centered(source.cover(width, height), Size::new(width, height)),
            (_, width, height) => Fit::whole(source.shrink_inside(width, height)),
        }
    }
}

impl fmt::Display for ImageView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "imageView/{}", self.mode)?;
        write_box(f, self.width, self.height)?;
        let quality = self.output.quality.filter(|quality| *quality != LEGACY_QUALITY);
        OutputSettings { quality, ..self.output }.write(f, "q")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ImageView, ParseError> {
        ImageView::parse(&mut Cursor::new("imageView", Some(text)))
    }

    #[test]
    fn arguments_are_read_and_written() {
        for (text, canonical) in [
            ("2", "imageView/2"),
            ("2/h/200", "imageView/2/h/200"),
            ("1/h/300/w/200/q/85", "imageView/1/w/200/h/300"),
            ("2/q/75/format/jpeg", "imageView/2/format/jpg/q/75"),
            ("2/q/ssim:80.5", "imageView/2/q/ssim:80.5"),
        ] {
            assert_eq!(parse(text).map(|view| view.to_string()).as_deref(), Ok(canonical), "{text}");
        }
        assert_eq!(parse("2").unwrap().output.quality, Some(LEGACY_QUALITY));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("0", "imageView: mode is \"0\"; expected an integer from 1 to 2"),
            ("3/w/2", "imageView: mode is \"3\"; expected an integer from 1 to 2"),
            ("1/w/200", "imageView: h is missing; expected an integer from 1 to 9999; mode 1 needs both w and h"),
            ("1/h/200", "imageView: w is missing; expected an integer from 1 to 9999; mode 1 needs both w and h"),
            ("2/w/0", "imageView: w is \"0\"; expected an integer from 1 to 9999"),
            ("2/h/10000", "imageView: h is \"10000\"; expected an integer from 1 to 9999"),
            (
                "2/q/75!",
                "imageView: q is \"75!\"; expected an integer from 1 to 100, \
                 or ssim: and a score from 30 to 100 with at most one decimal, \
                 or own:, most: or least: and an integer from 1 to 100",
            ),
            (
                "2/q/101",
                "imageView: q is \"101\"; expected an integer from 1 to 100, \
                 or ssim: and a score from 30 to 100 with at most one decimal, \
                 or own:, most: or least: and an integer from 1 to 100",
            ),
            ("2/interlace/1", "imageView: unknown argument \"interlace\"; expected one of w, h, q, format"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn mode_1_is_exact_and_mode_2_shrinks() {
        let source = Size::new(640, 427);
        for (text, expected) in [
            ("1/w/500/h/500", (500, 500)),
            ("1/w/2000/h/10", (2000, 10)),
            ("1/w/200/h/200", (200, 200)),
            ("2/w/200", (200, 133)),
            ("2/h/200", (300, 200)),
            ("2/w/2000/h/2000", (640, 427)),
            ("2", (640, 427)),
        ] {
            let size = parse(text).unwrap().fit(source).size();
            assert_eq!((size.width, size.height), expected, "{text}");
        }
        let fit = parse("1/w/500/h/500").unwrap().fit(source);
        assert_eq!(fit.scaled, Size::new(749, 500));
        assert_eq!(fit.crop.map(|rect| rect.x), Some(124));
    }
}
