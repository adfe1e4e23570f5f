//! Image requests of the IIIF Image API 3.0 and 2.1 as plans (spec iiif-image 2 and 3): first their grammar, then, once the
//! picture's size is known, what they come to. Requests that come to the same have one plan and one canonical text.

mod region;
mod size;

use std::fmt;

use self::region::Region;
use self::size::SizeRequest;
use super::image_view2::MAX_EDGE;
use super::output::OutputFormat;
use super::scan::{encode_base64, integer};
use super::{ParseError, Plan};
use crate::error::ErrorKind;
use crate::geometry::{Angle, Size};

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// 2.1.
    Two,
    /// 3.0.
    Three,
}

/// What this server gives at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Pixels along an edge.
    pub edge: u32,
    /// Pixels.
    pub area: u64,
    /// Whether a box of `!w,h` that is larger than the region is a mistake, as the validator has it, and not the region.
    pub strict: bool,
}

impl Bounds {
    /// Bounds of results, as far as sizes can be written.
    pub fn new(edge: u32, area: u64, strict: bool) -> Self {
        Self { edge: edge.min(MAX_EDGE), area, strict }
    }
}

/// A parsed image request.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRequest {
    region: Region,
    size: SizeRequest,
    mirrors: bool,
    angle: Angle,
    quality: Quality,
    format: Format,
}

/// What a request comes to for a picture of a known size.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The operators.
    pub plan: Plan,
    /// `region/size/rotation/quality.format` as the standard spells it best.
    pub canonical: String,
    /// What the region is scaled to.
    pub size: Size,
    /// Whether the region is the whole picture.
    pub is_whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quality {
    Default,
    Gray,
    Bitonal,
}

/// A format by the standard's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// `jpg`, `png`, `tif`, `gif`, `webp`, `avif`.
    pub name: &'static str,
    output: OutputFormat,
}

/// The formats that are offered. AVIF is none of the standard's; servers may have others.
pub const FORMATS: [Format; 6] = [
    Format { name: "jpg", output: OutputFormat::Jpeg },
    Format { name: "png", output: OutputFormat::Png },
    Format { name: "tif", output: OutputFormat::Tiff },
    Format { name: "gif", output: OutputFormat::Gif },
    Format { name: "webp", output: OutputFormat::Webp },
    Format { name: "avif", output: OutputFormat::Avif },
];

impl Format {
    /// Those that this build makes besides `jpg` and `png`, which every server makes.
    pub fn extra() -> impl Iterator<Item = &'static str> {
        FORMATS.iter().skip(2).filter(|format| format.output.is_built_in()).map(|format| format.name)
    }

    /// What a turned picture leaves open, as JPEG has no transparency.
    const fn background(self) -> &'static str {
        if matches!(self.output, OutputFormat::Jpeg) { "white" } else { "none" }
    }
}

/// Why a request is none, or cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A part of the URL is not in the grammar.
    #[error("{part} is {value:?}; expected {expected}")]
    Invalid {
        /// Which one.
        part: &'static str,
        /// As written.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A region without pixels.
    #[error("region is {value:?}, which has no pixel of the picture of {source_size}")]
    Empty {
        /// As written.
        value: String,
        /// The picture's size.
        source_size: Size,
    },
    /// More pixels than there are, without asking for that.
    #[error("size is {value:?}, which enlarges the region of {region}")]
    Enlarges {
        /// As written.
        value: String,
        /// The region's size.
        region: Size,
    },
    /// More pixels than there are, asked for by `^`.
    #[error("size is {value:?}, which enlarges the region of {region}; pictures are not enlarged here")]
    NotOffered {
        /// As written.
        value: String,
        /// The region's size.
        region: Size,
    },
    /// More than is given.
    #[error("size is {value:?}, which is {size}; at most {edge} pixels along an edge and {area} in all are given")]
    OverBounds {
        /// As written.
        value: String,
        /// What it comes to.
        size: Size,
        /// Pixels along an edge.
        edge: u32,
        /// Pixels.
        area: u64,
    },
    /// What it comes to is no plan.
    #[error(transparent)]
    Plan(#[from] ParseError),
}

impl Refusal {
    /// What kind of failure it is: [`ErrorKind::Unsupported`] where only another server would do it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotOffered { .. } => ErrorKind::Unsupported,
            Self::Plan(error) => error.kind(),
            _ => ErrorKind::Invalid,
        }
    }
}

impl ImageRequest {
    /// Reads region, size, rotation, and quality with format, each percent-decoded.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], which names the part.
    pub fn parse(version: Version, [region, size, rotation, last]: [&str; 4]) -> Result<Self, Refusal> {
        let (region, size) = (Region::parse(region)?, SizeRequest::parse(version, size)?);
        let (mirrors, angle) = rotation_of(rotation)?;
        let invalid = |part, value: &str, expected| Refusal::Invalid { part, value: value.to_owned(), expected };
        let split = last.rsplit_once('.');
        let (quality, format) = split.ok_or_else(|| invalid("quality and format", last, "<quality>.<format>"))?;
        let quality = match quality {
            "default" | "color" => Quality::Default,
            "gray" => Quality::Gray,
            "bitonal" => Quality::Bitonal,
            _ => return Err(invalid("quality", quality, "default, color, gray or bitonal")),
        };
        let known = FORMATS.into_iter().find(|known| known.name == format && known.output.is_built_in());
        let format = known.ok_or_else(|| invalid("format", format, "jpg, png, tif, gif or webp"))?;
        Ok(Self { region, size, mirrors, angle, quality, format })
    }

    /// What it comes to for a picture of size `source`, as it is shown.
    ///
    /// # Errors
    /// Any [`Refusal`] but [`Refusal::Invalid`].
    pub fn of(&self, version: Version, source: Size, bounds: &Bounds) -> Result<Resolved, Refusal> {
        let rect = self.region.rect(source)?;
        let size = self.size.of(rect.size, bounds)?;
        let is_whole = rect.size == source;
        let mut stages = vec![format!("imageView2/2/format/{}", self.format.output.name())];
        if !is_whole {
            stages.push(format!("cut/w/{}/h/{}/x/{}/y/{}", rect.size.width, rect.size.height, rect.x, rect.y));
        }
        if size != rect.size {
            stages.push(format!("size/exact/w/{}/h/{}", size.width, size.height));
        }
        if self.mirrors {
            stages.push("flip/horizontal".to_owned());
        }
        if self.angle != Angle::default() {
            let background = encode_base64(self.format.background());
            stages.push(format!("imageMogr2/rotate/{}/background/{background}", self.angle));
        }
        match self.quality {
            Quality::Default => {}
            Quality::Gray => stages.push("adjust/grayscale/1".to_owned()),
            Quality::Bitonal => stages.push("adjust/grayscale/1/threshold/50".to_owned()),
        }
        let region = match is_whole {
            true => "full".to_owned(),
            false => format!("{},{},{},{}", rect.x, rect.y, rect.size.width, rect.size.height),
        };
        let plan = Plan::parse(&stages.join("|"))?;
        let spelled = size::canonical(version, rect.size, size, bounds);
        Ok(Resolved { plan, canonical: format!("{region}/{spelled}/{self}"), size, is_whole })
    }
}

impl ImageRequest {
    /// Whether nothing is asked for but a size, as JPEG.
    pub fn is_plain(&self) -> bool {
        self.to_string() == "0/default.jpg"
    }
}

impl fmt::Display for ImageRequest {
    /// What is spelled the same for every picture: `rotation/quality.format`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mirror = if self.mirrors { "!" } else { "" };
        let quality = match self.quality {
            Quality::Default => "default",
            Quality::Gray => "gray",
            Quality::Bitonal => "bitonal",
        };
        write!(f, "{mirror}{}/{quality}.{}", self.angle, self.format.name)
    }
}

/// Whether the picture is mirrored first, and how far it is turned: to hundredths of a degree.
fn rotation_of(text: &str) -> Result<(bool, Angle), Refusal> {
    let (mirrors, number) = text.strip_prefix('!').map_or((false, text), |number| (true, number));
    let degrees = decimal(number).filter(|degrees| *degrees <= 360.0);
    let expected = "degrees from 0 to 360, after ! where the picture is to be mirrored";
    let degrees = degrees.ok_or(Refusal::Invalid { part: "rotation", value: text.to_owned(), expected })?;
    Ok((mirrors, Angle::of_hundredths((degrees * 100.0).round() as i64)))
}

/// Digits, and after a point more of them; there may be none before it.
fn decimal(text: &str) -> Option<f64> {
    let (whole, decimals) = text.split_once('.').map_or((text, None), |(whole, decimals)| (whole, Some(decimals)));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_digits(whole) && decimals.is_none_or(|decimals| !decimals.is_empty() && is_digits(decimals));
    if is_plain { text.parse().ok() } else { None }
}

/// A number of pixels; those beyond all pictures are as good as the largest there is.
fn pixels(text: &str) -> Option<u32> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| integer(text).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
