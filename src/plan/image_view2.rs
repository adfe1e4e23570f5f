//! `imageView2/<mode>/w/<w>/h/<h>/…` (spec 4.1).

use std::fmt;

use super::ParseError;
use super::output::{self, FormatChoice, OutputSettings, Quality};
use super::scan::{self, Cursor};
use crate::geometry::{Fit, Size};

/// Longest edge that can be asked for, in pixels.
pub(super) const MAX_EDGE: u32 = 9999;

/// What `w` may be.
const EXPECTED_WIDTH: &str = "an integer from 1 to 9999";

const ARGUMENTS: [&str; 7] = ["w", "h", "format", "interlace", "q", "colors", "ignore-error"];

/// A parsed `imageView2`. Rotates by EXIF orientation first; never enlarges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageView2 {
    /// 0–5.
    pub mode: u8,
    /// `w`, 1–9999.
    pub width: Option<u32>,
    /// `w/auto`: the client's hints name the width; without any it is not bound.
    pub auto_width: bool,
    /// `h`, 1–9999.
    pub height: Option<u32>,
    /// Format, quality and so on.
    pub output: OutputSettings,
}

impl ImageView2 {
    /// Reads what follows `imageView2/`. A repeated argument: the last one wins.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mode = cursor.integer("mode", 0..=5)?;
        let mut view = Self { mode, width: None, auto_width: false, height: None, output: OutputSettings::default() };
        while let Some(name) = cursor.segment() {
            match name {
                "w" => {
                    view.width = cursor.read(name, EXPECTED_WIDTH, |value| match value {
                        "auto" => Some(None),
                        _ => scan::integer_in(value, &(1..=MAX_EDGE)).map(Some),
                    })?;
                    view.auto_width = view.width.is_none();
                }
                "h" => view.height = Some(cursor.integer(name, 1..=MAX_EDGE)?),
                "format" => view.output.format = Some(FormatChoice::read(cursor)?),
                "interlace" => view.output.interlace = Some(cursor.flag(name)?),
                "q" => view.output.quality = Some(Quality::read(cursor, name)?),
                "colors" => view.output.colors = Some(output::read_colors(cursor)?),
                "ignore-error" => view.output.ignore_error = cursor.flag(name)?,
                _ => return Err(cursor.unknown(name, &ARGUMENTS)),
            }
        }
        Ok(view)
    }

    /// What becomes of a picture of size `source`, already turned by its orientation.
    ///
    /// Modes 0 and 2 fit inside the box, 3 and 4 cover it, 1 and 5 cover it and keep its centre; 0, 4 and 5 hold `w`
    /// against the longer edge. No edge of the result is longer than the source's. Without `w` and `h` nothing changes.
    pub fn fit(self, source: Size) -> Fit {
        let by_long_edge = matches!(self.mode, 0 | 4 | 5);
        let (width, height) = match by_long_edge && source.height > source.width {
            true => (self.height, self.width),
            false => (self.width, self.height),
        };
        if matches!(self.mode, 0 | 2) {
            return Fit::whole(source.shrink_inside(width, height));
        }
        let (Some(width), Some(height)) = (width.or(height), height.or(width)) else {
            return Fit::whole(source);
        };
        let kept = Size::new(width.min(source.width), height.min(source.height));
        let scaled = source.cover(kept.width, kept.height);
        if matches!(self.mode, 1 | 5) { Fit::centered(scaled, kept) } else { Fit::whole(scaled) }
    }
}

/// Writes `/w/…` and `/h/…`.
pub(super) fn write_box(f: &mut fmt::Formatter<'_>, width: Option<u32>, height: Option<u32>) -> fmt::Result {
    if let Some(width) = width {
        write!(f, "/w/{width}")?;
    }
    if let Some(height) = height {
        write!(f, "/h/{height}")?;
    }
    Ok(())
}

impl fmt::Display for ImageView2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "imageView2/{}", self.mode)?;
        if self.auto_width {
            f.write_str("/w/auto")?;
        }
        write_box(f, self.width, self.height)?;
        self.output.write(f, "q")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ImageView2, ParseError> {
        ImageView2::parse(&mut Cursor::new("imageView2", Some(text)))
    }

    type Edges = (u32, u32);

    /// Spec 4.1, worked sizes row by row: source, `w`, `h`, then the results of modes 0–5.
    const SIZES: [(Edges, u32, u32, [Edges; 6]); 13] = [
        ((640, 427), 200, 0, [(200, 133), (200, 200), (200, 133), (300, 200), (300, 200), (200, 200)]),
        ((640, 427), 0, 200, [(300, 200), (200, 200), (300, 200), (300, 200), (300, 200), (200, 200)]),
        ((640, 427), 400, 300, [(400, 267), (400, 300), (400, 267), (450, 300), (450, 300), (400, 300)]),
        ((640, 427), 300, 400, [(300, 200), (300, 400), (300, 200), (600, 400), (600, 400), (300, 400)]),
        ((640, 427), 1000, 300, [(450, 300), (640, 300), (450, 300), (640, 427), (640, 427), (640, 300)]),
        ((640, 427), 1000, 1000, [(640, 427); 6]),
        ((427, 640), 200, 0, [(133, 200), (200, 200), (200, 300), (200, 300), (200, 300), (200, 200)]),
        ((427, 640), 0, 200, [(200, 300), (200, 200), (133, 200), (200, 300), (200, 300), (200, 200)]),
        ((427, 640), 400, 300, [(267, 400), (400, 300), (200, 300), (400, 600), (300, 450), (300, 400)]),
        ((1000, 1000), 400, 300, [(300, 300), (400, 300), (300, 300), (400, 400), (400, 400), (400, 300)]),
        ((1024, 768), 400, 400, [(400, 300), (400, 400), (400, 300), (533, 400), (533, 400), (400, 400)]),
        ((1024, 768), 400, 0, [(400, 300), (400, 400), (400, 300), (533, 400), (533, 400), (400, 400)]),
        ((300, 200), 400, 300, [(300, 200); 6]),
    ];

    #[test]
    fn sizes_are_the_documented_ones() {
        for (source, w, h, results) in SIZES {
            for (mode, expected) in (0..).zip(results) {
                let given = |edge| (edge > 0).then_some(edge);
                let (width, height) = (given(w), given(h));
                let view = ImageView2 { mode, width, auto_width: false, height, output: OutputSettings::default() };
                let size = view.fit(Size::new(source.0, source.1)).size();
                assert_eq!((size.width, size.height), expected, "{source:?}: {view}");
            }
        }
    }

    #[test]
    fn covering_modes_crop_the_centre() {
        for (text, scaled, origin) in [
            ("1/w/200/h/200", (300, 200), (50, 0)),
            ("1/w/300/h/400", (600, 400), (150, 0)),
            ("5/w/1000/h/300", (640, 427), (0, 63)),
        ] {
            let fit = parse(text).unwrap().fit(Size::new(640, 427));
            let crop = fit.crop.unwrap();
            assert_eq!((fit.scaled.width, fit.scaled.height), scaled, "{text}");
            assert_eq!((crop.x, crop.y), origin, "{text}");
        }
        for mode in 0..=5 {
            let source = Size::new(256, 256);
            assert_eq!(parse(&format!("{mode}/w/1080/h/636")).unwrap().fit(source), Fit::whole(source), "mode {mode}");
            assert_eq!(parse(&format!("{mode}")).unwrap().fit(source), Fit::whole(source), "mode {mode} without edges");
        }
    }

    /// Spec 4.1, the parameter table: what is read, and its canonical text.
    #[test]
    fn every_argument_is_read() {
        for (text, canonical) in [
            ("0", "imageView2/0"),
            ("5/w/1/h/9999", "imageView2/5/w/1/h/9999"),
            ("2/h/300/w/200", "imageView2/2/w/200/h/300"),
            ("2/w/100/w/200", "imageView2/2/w/200"),
            ("2/format/jpeg", "imageView2/2/format/jpg"),
            ("2/format/copy", "imageView2/2/format/copy"),
            ("2/interlace/1", "imageView2/2/interlace/1"),
            ("2/interlace/0", "imageView2/2/interlace/0"),
            ("2/q/1", "imageView2/2/q/1"),
            ("2/q/100!", "imageView2/2/q/100!"),
            ("2/q/ssim:85.0", "imageView2/2/q/ssim:85"),
            ("2/colors/64", "imageView2/2/colors/64"),
            ("2/ignore-error/1/w/20", "imageView2/2/w/20/ignore-error/1"),
            ("2/ignore-error/0", "imageView2/2"),
        ] {
            assert_eq!(parse(text).map(|view| view.to_string()).as_deref(), Ok(canonical), "{text}");
        }
    }

    #[test]
    fn every_range_is_kept() {
        for (text, message) in [
            ("", "imageView2: mode is missing; expected an integer from 0 to 5"),
            ("6", "imageView2: mode is \"6\"; expected an integer from 0 to 5"),
            ("w/200", "imageView2: mode is \"w\"; expected an integer from 0 to 5"),
            ("2/w/0", "imageView2: w is \"0\"; expected an integer from 1 to 9999"),
            ("2/w/10000", "imageView2: w is \"10000\"; expected an integer from 1 to 9999"),
            ("2/h/-5", "imageView2: h is \"-5\"; expected an integer from 1 to 9999"),
            ("2/h", "imageView2: h is missing; expected an integer from 1 to 9999"),
            ("2/interlace/2", "imageView2: interlace is \"2\"; expected an integer from 0 to 1"),
            (
                "2/q/0",
                "imageView2: q is \"0\"; expected an integer from 1 to 100, with or without a final !, \
                 or ssim: and a score from 30 to 100 with at most one decimal, \
                 or own:, most: or least: and an integer from 1 to 100",
            ),
            ("2/colors/3", "imageView2: colors is \"3\"; expected one of 2, 4, 8, 16, 32, 64, 128, 256"),
            ("2/ignore-error/yes", "imageView2: ignore-error is \"yes\"; expected an integer from 0 to 1"),
            (
                "2/W/200",
                "imageView2: unknown argument \"W\"; expected one of w, h, format, interlace, q, colors, ignore-error \
                 (did you mean w?)",
            ),
            (
                "2//w/200",
                "imageView2: unknown argument \"\"; expected one of w, h, format, interlace, q, colors, ignore-error",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
        assert!(parse("2/format/heic").unwrap_err().to_string().contains("does not encode heic"));
    }
}
