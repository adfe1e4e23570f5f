//! `imageMogr2/…` (spec 4.3) and the legacy `imageMogr` (4.4), which is read as its modern form.

use std::fmt;

use super::ParseError;
pub use super::crop::Crop;
pub use super::extent::{Extent, bordered, rotated_canvas};
use super::image_view::LEGACY_QUALITY;
use super::output::{self, FormatChoice, OutputSettings, Quality};
use super::scan::{self, Cursor, encode_base64};
pub use super::size_limit::{SizeBound, SizeLimit};
pub use super::thumbnail::Thumbnail;
use crate::color::Color;
use crate::geometry::{Angle, Gravity};

/// Widest border, in pixels.
const MAX_BORDER: u32 = 9999;

#[rustfmt::skip]
const OPERATIONS: [&str; 19] = [
    "auto-orient", "thumbnail", "gravity", "crop", "rotate", "blur", "sharpen", "extent", "border", "bordercolor",
    "background", "strip", "density", "format", "quality", "interlace", "colors", "size-limit", "ignore-error",
];

/// A parsed `imageMogr2`: geometry and filters in the order written, and settings whose place does not matter.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageMogr2 {
    /// Operations, first to last.
    pub ops: Vec<MogrOp>,
    /// `background/…`: fills what rotate and extent add, wherever in the command it stands; the last one wins.
    /// `None` is the default, white.
    pub background: Option<Color>,
    /// `strip`: drop metadata and profile.
    pub strip: bool,
    /// `density/…`: dots per inch written to the result, 1–1200.
    pub density: Option<u16>,
    /// `size-limit/…`.
    pub size_limit: Option<SizeLimit>,
    /// Format, quality and so on.
    pub output: OutputSettings,
}

/// One operation of an `imageMogr2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MogrOp {
    /// `auto-orient`: turn the pixels as EXIF says.
    AutoOrient,
    /// `thumbnail/…`.
    Thumbnail(Thumbnail),
    /// `crop/…` with the gravity in force where it stands.
    Crop(Crop),
    /// `rotate/…`: clockwise degrees; hundredths of one are this server's own.
    Rotate(Angle),
    /// `blur/<radius>x<sigma>`, both in pixels.
    Blur {
        /// Kernel half-width, 1–50.
        radius_px: u32,
        /// Standard deviation, above 0.
        sigma_px: f32,
    },
    /// `sharpen/1`.
    Sharpen,
    /// `extent/…`.
    Extent(Extent),
    /// `border/<w>x<h>` with `bordercolor`: a frame around the image.
    Border {
        /// Pixels added left and right, each.
        width: u32,
        /// Pixels added above and below, each.
        height: u32,
        /// Its colour; white unless `bordercolor` says otherwise anywhere in the command.
        color: Color,
    },
}

impl ImageMogr2 {
    /// Reads what follows `imageMogr2/`. Settings that are repeated: the last one wins.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mut reader = Reader::default();
        while let Some(name) = cursor.segment() {
            if !reader.read_operation(name, cursor)? && !reader.read_setting(name, cursor)? {
                return Err(cursor.unknown(name, &OPERATIONS));
            }
        }
        Ok(reader.finish())
    }

    /// Reads what follows the legacy `imageMogr/` (spec 4.4): its `v2/` is optional, and quality is 85 by default.
    pub(super) fn parse_legacy(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        cursor.skip("v2");
        let mut mogr = Self::parse(cursor)?;
        mogr.output.quality.get_or_insert(LEGACY_QUALITY);
        Ok(mogr)
    }
}

/// An `imageMogr2` that is being read, with the state that its operations look at.
struct Reader {
    mogr: ImageMogr2,
    gravity: Gravity,
    border_color: Color,
}

impl Default for Reader {
    fn default() -> Self {
        let mogr = ImageMogr2 {
            ops: Vec::new(),
            background: None,
            strip: false,
            density: None,
            size_limit: None,
            output: OutputSettings::default(),
        };
        Self { mogr, gravity: Gravity::NorthWest, border_color: Color::WHITE }
    }
}

impl Reader {
    /// Reads an operation, which runs where it stands, or the gravity for those that follow; `false` if `name` is
    /// neither.
    fn read_operation(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        let operation = match name {
            "auto-orient" => MogrOp::AutoOrient,
            "thumbnail" => MogrOp::Thumbnail(cursor.read(name, Thumbnail::EXPECTED, Thumbnail::parse)?),
            "crop" => MogrOp::Crop(cursor.read(name, Crop::EXPECTED, |value| Crop::parse(value, self.gravity))?),
            "rotate" => MogrOp::Rotate(read_angle(cursor)?),
            "blur" => read_blur(cursor)?,
            "extent" => MogrOp::Extent(cursor.read(name, Extent::EXPECTED, Extent::parse)?),
            "border" => read_border(cursor)?,
            "sharpen" => match cursor.flag(name)? {
                true => MogrOp::Sharpen,
                false => return Ok(true),
            },
            "gravity" => {
                self.gravity = cursor.gravity(name)?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.mogr.ops.push(operation);
        Ok(true)
    }

    /// Reads a setting, whose place does not matter; `false` if `name` is none.
    fn read_setting(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        let mogr = &mut self.mogr;
        match name {
            "background" => mogr.background = Some(cursor.color(name)?).filter(|color| *color != Color::WHITE),
            "bordercolor" => self.border_color = cursor.color(name)?,
            "strip" => mogr.strip = true,
            "density" => mogr.density = Some(cursor.integer(name, 1..=1200)?),
            "format" => mogr.output.format = Some(FormatChoice::read(cursor)?),
            "quality" => mogr.output.quality = Some(Quality::read(cursor, name)?),
            "interlace" => mogr.output.interlace = Some(cursor.flag(name)?),
            "colors" => mogr.output.colors = Some(output::read_colors(cursor)?),
            "size-limit" => mogr.size_limit = Some(cursor.read(name, SizeLimit::EXPECTED, SizeLimit::parse)?),
            "ignore-error" => mogr.output.ignore_error = cursor.flag(name)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The whole command: every border has the last `bordercolor`.
    fn finish(mut self) -> ImageMogr2 {
        for operation in &mut self.mogr.ops {
            if let MogrOp::Border { color, .. } = operation {
                *color = self.border_color;
            }
        }
        self.mogr
    }
}

/// Clockwise degrees; negative ones turn the other way, and whole turns fall away.
fn read_angle(cursor: &mut Cursor<'_>) -> Result<Angle, ParseError> {
    let expected = format_args!("a number from -{MAX_DEGREES} to {MAX_DEGREES} with at most two decimals");
    cursor.read("rotate", expected, |value| {
        let (sign, number) = value.strip_prefix('-').map_or((1, value), |number| (-1, number));
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let hundredths: i64 = match decimals.len() {
            1 => 10 * scan::integer_in::<i64>(decimals, &(0..=9))?,
            2 => scan::integer_in(decimals, &(0..=99))?,
            _ => return None,
        };
        let degrees: i64 = scan::integer_in(whole, &(0..=MAX_DEGREES))?;
        Some(Angle::of_hundredths(sign * (100 * degrees + hundredths)))
    })
}

/// The vendor's range is 1–360; ten turns either way are read.
const MAX_DEGREES: i64 = 3600;

fn read_blur(cursor: &mut Cursor<'_>) -> Result<MogrOp, ParseError> {
    cursor.read("blur", "<radius>x<sigma>: an integer from 1 to 50, a number above 0 and up to 1000", |value| {
        let (radius, sigma) = value.split_once('x')?;
        let sigma_px = scan::decimal(sigma).filter(|sigma| *sigma > 0.0 && *sigma <= 1000.0)?;
        Some(MogrOp::Blur { radius_px: scan::integer_in(radius, &(1..=50))?, sigma_px })
    })
}

fn read_border(cursor: &mut Cursor<'_>) -> Result<MogrOp, ParseError> {
    let range = 0..=MAX_BORDER;
    cursor.read("border", format_args!("<w>x<h>, each an integer from 0 to {MAX_BORDER}"), |value| {
        let (width, height) = value.split_once('x')?;
        let (width, height) = (scan::integer_in(width, &range)?, scan::integer_in(height, &range)?);
        Some(MogrOp::Border { width, height, color: Color::WHITE })
    })
}

impl fmt::Display for MogrOp {
    /// The operation as it stands in a command, with its leading `/`; a crop without its gravity, a border without its
    /// colour.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AutoOrient => f.write_str("/auto-orient"),
            Self::Thumbnail(thumbnail) => write!(f, "/thumbnail/{thumbnail}"),
            Self::Crop(crop) => write!(f, "/crop/{crop}"),
            Self::Rotate(angle) => write!(f, "/rotate/{angle}"),
            Self::Blur { radius_px, sigma_px } => write!(f, "/blur/{radius_px}x{sigma_px}"),
            Self::Sharpen => f.write_str("/sharpen/1"),
            Self::Extent(extent) => write!(f, "/extent/{extent}"),
            Self::Border { width, height, .. } => write!(f, "/border/{width}x{height}"),
        }
    }
}

impl ImageMogr2 {
    /// Operations in their order; gravity only where it changes and a crop looks at it.
    fn write_operations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gravity = Gravity::NorthWest;
        for operation in &self.ops {
            if let MogrOp::Crop(crop) = operation
                && crop.gravity != gravity
            {
                gravity = crop.gravity;
                write!(f, "/gravity/{}", gravity.name())?;
            }
            write!(f, "{operation}")?;
        }
        Ok(())
    }

    /// The colour that the borders have, unless it is the default.
    fn border_color(&self) -> Option<Color> {
        let color = self.ops.iter().find_map(|operation| match operation {
            MogrOp::Border { color, .. } => Some(*color),
            _ => None,
        });
        color.filter(|color| *color != Color::WHITE)
    }
}

impl fmt::Display for ImageMogr2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("imageMogr2")?;
        self.write_operations(f)?;
        if let Some(color) = self.border_color() {
            write!(f, "/bordercolor/{}", encode_base64(color))?;
        }
        if let Some(color) = self.background {
            write!(f, "/background/{}", encode_base64(color))?;
        }
        if self.strip {
            f.write_str("/strip")?;
        }
        if let Some(density) = self.density {
            write!(f, "/density/{density}")?;
        }
        if let Some(limit) = self.size_limit {
            write!(f, "/size-limit/{limit}")?;
        }
        self.output.write(f, "quality")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ImageMogr2, ParseError> {
        ImageMogr2::parse(&mut Cursor::new("imageMogr2", Some(text)))
    }

    /// Spec 4.3, the grammar and the table of other operations: what is read, and its canonical text.
    #[test]
    fn every_operation_is_read() {
        for (text, canonical) in [
            ("auto-orient", "auto-orient"),
            ("thumbnail/!50p", "thumbnail/!50p"),
            ("crop/300x", "crop/300x"),
            ("gravity/center/crop/!300x300", "gravity/Center/crop/300x300"),
            ("gravity/SOUTHEAST/crop/5x5/crop/4x4", "gravity/SouthEast/crop/5x5/crop/4x4"),
            ("crop/5x5/gravity/North", "crop/5x5"),
            ("gravity/NorthWest/crop/5x5", "crop/5x5"),
            ("gravity/West/crop/5x5/gravity/NorthWest/crop/4x4", "gravity/West/crop/5x5/gravity/NorthWest/crop/4x4"),
            ("rotate/1", "rotate/1"),
            ("rotate/360", "rotate/0"),
            ("rotate/450", "rotate/90"),
            ("rotate/-90", "rotate/270"),
            ("blur/1x0.5", "blur/1x0.5"),
            ("blur/50x9", "blur/50x9"),
            ("sharpen/1", "sharpen/1"),
            ("strip/sharpen/0", "strip"),
            ("extent/!642x429/background/cmVk", "extent/642x429/background/I0ZGMDAwMA=="),
            ("background/d2hpdGU=/rotate/45", "rotate/45"),
            ("background/cmVk/rotate/45/background/bm9uZQ==", "rotate/45/background/IzAwMDAwMDAw"),
            ("border/5x6", "border/5x6"),
            ("bordercolor/cmVk/border/5x6", "border/5x6/bordercolor/I0ZGMDAwMA=="),
            ("density/1", "density/1"),
            ("density/1200", "density/1200"),
            ("format/jpeg", "format/jpg"),
            ("quality/75", "quality/75"),
            ("quality/100!", "quality/100!"),
            ("quality/ssim:72.5", "quality/ssim:72.5"),
            ("interlace/1", "interlace/1"),
            ("colors/16", "colors/16"),
            ("size-limit/100", "size-limit/100"),
            ("size-limit/15k", "size-limit/15360"),
            ("size-limit/2M!", "size-limit/2097152!"),
            ("size-limit/$(fsize)!", "size-limit/$(fsize)!"),
            ("size-limit/$(fsize)", "size-limit/$(fsize)"),
            ("ignore-error/1", "ignore-error/1"),
            ("ignore-error/0/strip", "strip"),
        ] {
            let mogr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(mogr.to_string(), format!("imageMogr2/{canonical}"), "{text}");
            assert_eq!(parse(canonical), Ok(mogr), "{text}");
        }
    }

    #[test]
    fn every_range_is_kept() {
        for (text, part) in [
            ("thumbnail/!0p", "thumbnail is \"!0p\"; expected !<n>p, !<n>px"),
            ("thumbnail", "thumbnail is missing; expected !<n>p"),
            ("thumbnail/10000x", "thumbnail is \"10000x\""),
            ("crop/300", "crop is \"300\"; expected <w>x<h>, <w>x or x<h> (1 to 9999)"),
            ("gravity/middle", "gravity is \"middle\"; expected one of NorthWest, North,"),
            ("rotate/3601", "rotate is \"3601\"; expected a number from -3600 to 3600 with at most two decimals"),
            ("rotate/4.555", "rotate is \"4.555\""),
            ("blur/0x1", "blur is \"0x1\"; expected <radius>x<sigma>: an integer from 1 to 50"),
            ("blur/51x1", "blur is \"51x1\""),
            ("blur/5x0", "blur is \"5x0\""),
            ("blur/5x1001", "blur is \"5x1001\""),
            ("blur/5x-1", "blur is \"5x-1\""),
            ("blur/5", "blur is \"5\""),
            ("sharpen/2", "sharpen is \"2\"; expected an integer from 0 to 1"),
            ("extent/x50", "extent is \"x50\"; expected <w>x<h> (1 to 9999)"),
            ("border/5", "border is \"5\"; expected <w>x<h>, each an integer from 0 to 9999"),
            ("border/10000x1", "border is \"10000x1\""),
            ("border/1x-1", "border is \"1x-1\""),
            ("bordercolor/!", "bordercolor is \"!\"; expected URL-safe Base64 of a colour"),
            ("background/red", "background is \"red\"; expected URL-safe Base64 of a colour"),
            ("density/0", "density is \"0\"; expected an integer from 1 to 1200"),
            ("density/1201", "density is \"1201\""),
            ("format/heic", "(this server does not encode heic)"),
            ("quality/0", "quality is \"0\"; expected an integer from 1 to 100"),
            ("quality/101", "quality is \"101\""),
            ("quality/ssim:20", "quality is \"ssim:20\"; expected an integer from 1 to 100"),
            ("interlace/2", "interlace is \"2\"; expected an integer from 0 to 1"),
            ("colors/100", "colors is \"100\"; expected one of 2, 4, 8"),
            ("size-limit/0", "size-limit is \"0\"; expected a number of bytes above 0"),
            ("size-limit/5g", "size-limit is \"5g\""),
            ("size-limit/18446744073709551615k", "size-limit is"),
            ("size-limit/$(fsize)k", "size-limit is"),
            ("ignore-error/2", "ignore-error is \"2\"; expected an integer from 0 to 1"),
            ("auto-orient/1", "unknown argument \"1\""),
            ("qualty/80", "(did you mean quality?)"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with("imageMogr2: ") && message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn operations_keep_their_order() {
        let text = "auto-orient/thumbnail/!256x256r/gravity/center/crop/!256x256/blur/3x9/quality/80/rotate/45/background/b3Jhbmdl";
        let mogr = parse(text).unwrap();
        let crop = Crop { width: Some(256), height: Some(256), dx: 0, dy: 0, gravity: Gravity::Center };
        assert_eq!(
            mogr.ops,
            [
                MogrOp::AutoOrient,
                MogrOp::Thumbnail(Thumbnail::Cover(256, 256)),
                MogrOp::Crop(crop),
                MogrOp::Blur { radius_px: 3, sigma_px: 9.0 },
                MogrOp::Rotate(Angle::of_degrees(45)),
            ]
        );
        assert_eq!(mogr.background.map(|color| color.to_string()).as_deref(), Some("#FFA500"));
        assert_eq!(mogr.output.quality, Some(Quality::asked(80)));
        assert_ne!(parse("thumbnail/50x/crop/50x"), parse("crop/50x/thumbnail/50x"));
        assert_eq!(parse("quality/80/thumbnail/50x/strip"), parse("strip/thumbnail/50x/quality/80"));
    }

    /// Spec 4.4.
    #[test]
    fn the_legacy_form_has_quality_85() {
        let legacy = |text| ImageMogr2::parse_legacy(&mut Cursor::new("imageMogr", Some(text))).unwrap().to_string();
        assert_eq!(legacy("v2/auto-orient/thumbnail/!50p"), "imageMogr2/auto-orient/thumbnail/!50p/quality/85");
        assert_eq!(legacy("thumbnail/!50p/quality/60"), "imageMogr2/thumbnail/!50p/quality/60");
        assert_eq!(legacy("v2"), "imageMogr2/quality/85");
        let error = ImageMogr2::parse_legacy(&mut Cursor::new("imageMogr", Some("v3"))).unwrap_err();
        assert!(error.to_string().starts_with("imageMogr: unknown argument \"v3\""));
    }
}
