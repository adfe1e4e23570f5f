//! A program: a plan made concrete for one source, with exact sizes, the decoder's scale and the cost.

use std::fmt;
use std::time::Duration;

use super::decode;
use super::encode::jpeg_turn::Turn;
use super::encode::{self, search};
use super::image::{Depth, Header};
use super::light::Light;
use super::planes;
use crate::color::Color;
use crate::geometry::{Angle, Orientation, Rect, Size};
use crate::plan::Seen;
use crate::plan::adjust::Change;
use crate::plan::composite::BlendOp;
use crate::plan::draw::Draw;
use crate::plan::facts::Facts;
use crate::plan::filter::Filter;
use crate::plan::image_mogr2::SizeLimit;
use crate::plan::output::{Accepts, OutputFormat, QualityTarget};
use crate::plan::watermark::{TextMark, TiledText};

/// A plan made concrete for one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The source's header.
    pub source: Header,
    /// How a still JPEG is loaded with its first steps done, as planes; where that fails, or for other sources, the whole
    /// picture is decoded and all steps are done one by one.
    pub planes: Option<PlanarStart>,
    /// The size that the first step scales the source to while it is decoded, row by row; where that fails, the whole picture
    /// is decoded first.
    pub scaled_rows: Option<Size>,
    /// How a JPEG becomes the result without loss: nothing is asked for but turns and cuts of whole units of coefficients, at a
    /// quality that the source does not exceed. Where that fails, the picture is decoded and encoded.
    pub lossless: Option<Turn>,
    /// By the general decoder JPEG sources are decoded at this many eighths of their size (1, 2, 4 or 8).
    pub eighths: u8,
    /// How pixels are averaged.
    pub light: Light,
    /// How deep the samples are that frames are decoded to, worked on and encoded with.
    pub depth: Depth,
    /// Whether every frame is worked on and the result is animated; else only the first.
    pub animated: bool,
    /// The frame that is worked on where it is one, counted from 0.
    pub frame: u32,
    /// What is done to each frame, in order, with exact sizes.
    pub steps: Vec<Step>,
    /// What the answer is.
    pub answer: Answer,
    /// Size of the result in pixels.
    pub size: Size,
    /// What it takes.
    pub cost: Cost,
}

/// The first steps of a program, done while the source is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanarStart {
    /// What is loaded.
    pub load: planes::Load,
    /// How many steps that comes to.
    pub steps: usize,
    /// Whether no frame is made of the planes: they are encoded, with the marks on them that are left to paint.
    pub is_all: bool,
}

/// How pictures are made where requests leave it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Rendering {
    /// In which numbers pixels are averaged.
    pub light: Light,
    /// How much is decoded for a smaller result.
    pub speed: Speed,
    /// What the client takes, for results whose format is left to that.
    pub accepts: Accepts,
    /// Formats that nobody names are left to what the client takes, as with `format/auto`.
    pub auto_format: bool,
    /// The client would rather have fewer bytes: qualities are lower.
    pub save_data: bool,
    /// Results tell who made the picture also where they carry no other EXIF.
    pub keep_copyright: bool,
    /// Nobody waits for it: what is slow to encode may take longer and becomes smaller.
    pub patient: bool,
}

impl Default for Rendering {
    fn default() -> Self {
        Self {
            light: Light::Mixed,
            speed: Speed::Balanced,
            accepts: Accepts::default(),
            auto_format: false,
            save_data: false,
            keep_copyright: false,
            patient: false,
        }
    }
}

/// How much of a JPEG is decoded for a smaller result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Speed {
    /// As little as looks well.
    Fast,
    /// What cannot be told from everything.
    Balanced,
    /// Everything.
    Best,
}

/// One operation with everything worked out.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Turn as EXIF says.
    Orient(Orientation),
    /// Resample to this size.
    Resize(Size),
    /// Cut out this rectangle.
    Crop(Rect),
    /// Turn clockwise about the centre onto a canvas of this size.
    Rotate {
        /// By how much; not 0.
        angle: Angle,
        /// Bounding box of the turned picture.
        canvas: Size,
        /// Fills what the picture does not cover.
        background: Color,
    },
    /// Put on a canvas, cutting what lies outside.
    Place {
        /// Size of the canvas.
        canvas: Size,
        /// Where the picture's top-left corner comes to stand.
        offset: (i64, i64),
        /// Fills what the picture does not cover.
        background: Color,
    },
    /// Gaussian blur.
    Blur {
        /// Kernel half-width in pixels.
        radius_px: u32,
        /// Standard deviation in pixels.
        sigma_px: f32,
    },
    /// Mild unsharp mask.
    Sharpen,
    /// Round the corners, transparent outside.
    RoundCorners {
        /// Horizontal radius in pixels.
        radius_x: u32,
        /// Vertical radius in pixels.
        radius_y: u32,
    },
    /// Change colours, in this order.
    Adjust(Vec<Change>),
    /// Paint a picture once.
    Mark {
        /// Which of the plan's pictures, in painting order.
        picture: usize,
        /// Size it is painted at.
        size: Size,
        /// Its top-left corner.
        at: (i64, i64),
        /// Opacity, 1–100.
        dissolve_percent: u8,
    },
    /// Paint a picture all over.
    TileMark {
        /// Which of the plan's pictures, in painting order.
        picture: usize,
        /// Size it is painted at.
        size: Size,
        /// Pixels between tiles, horizontally and vertically.
        gap: (u32, u32),
        /// Opacity, 1–100.
        dissolve_percent: u8,
    },
    /// Change samples by their neighbours.
    Filter(Filter),
    /// Draw a shape.
    Draw(Draw),
    /// Have at most so many colours.
    Palette(u16),
    /// Put what is transparent onto a colour.
    Flatten(Color),
    /// Combine with a picture where that lies.
    Blend {
        /// Which of the plan's pictures, in painting order.
        picture: usize,
        /// Size it is scaled to.
        size: Size,
        /// What is kept of it then.
        part: Rect,
        /// The top-left corner of that.
        at: (i64, i64),
        /// Opacity, 1–100.
        dissolve_percent: u8,
        /// How.
        op: BlendOp,
    },
    /// Set text at an anchor.
    Text(TextMark),
    /// Set text all over.
    TiledText(TiledText),
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A picture.
    Image(ImageOutput),
    /// `imageInfo` of the picture that the steps make, or of the source itself where nothing changes it.
    Info(Option<ImageOutput>),
    /// `exif` of the source.
    Exif,
    /// `facts` of the source.
    Facts(Facts),
    /// What there is to see of the picture that the steps make.
    Seen(Seen),
}

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageOutput {
    /// The format.
    pub format: OutputFormat,
    /// The quality, after the rule for JPEG sources, or the score that is searched for.
    pub quality: QualityTarget,
    /// Where a score is searched for: the quality that an earlier run of this program found (see
    /// [`Program::remember_quality`]).
    pub known_quality: Option<u8>,
    /// Progressive JPEG.
    pub interlace: bool,
    /// Palette size.
    pub colors: Option<u16>,
    /// Dots per inch to write.
    pub density_dpi: Option<u16>,
    /// Where alpha has to go, it goes onto this.
    pub background: Color,
    /// Which metadata stay.
    pub keep: Keep,
    /// `size-limit`.
    pub size_limit: Option<SizeLimit>,
    /// `imageslim` as the last operator: its level.
    pub slim: Option<Slim>,
    /// See [`Rendering::patient`].
    pub patient: bool,
}

/// `imageslim` on the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slim {
    /// 0–10, lower is better quality.
    pub level: u8,
    /// Nothing but `imageslim` was asked for: where it does not help, the source is the answer.
    pub of_source: bool,
}

/// From this level on `imageslim` reduces a PNG to a palette; below, only the compression is better.
const FIRST_PALETTE_LEVEL: u8 = 3;

impl Slim {
    /// Whether a result in `format` is reduced to a palette.
    pub fn makes_palette(self, format: OutputFormat) -> bool {
        format == OutputFormat::Png && self.level >= FIRST_PALETTE_LEVEL
    }
}

impl ImageOutput {
    /// Whether the file holds 16 bits a sample.
    pub fn is_deep(&self) -> bool {
        let has_palette = self.colors.is_some() || self.slim.is_some_and(|slim| slim.makes_palette(self.format));
        encode::is_deep(self.format) && !has_palette
    }
}

/// Which metadata a result carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The colour profile; dropped, the pixels are converted to sRGB.
    pub profile: bool,
    /// EXIF without position and preview.
    pub exif: bool,
    /// Of EXIF, who made the picture and whose it is.
    pub copyright: bool,
    /// The pixels stand upright: EXIF orientation is reset.
    pub upright: bool,
}

/// What a program takes, from its sizes alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bound on pixel memory held at once, in bytes.
    pub memory_bytes: u64,
    /// Pixels read and written by decoding and all steps, over all frames.
    pub pixels: u64,
    /// Predicted time of one idle core.
    pub time: Duration,
}

impl Program {
    /// Eighths of its stored size that a JPEG's luma is decoded at; 8 for other sources.
    pub fn scale_eighths(&self) -> u8 {
        self.planes.map_or(self.eighths, |start| start.load.eighths[0])
    }

    /// Size of what is decoded of a frame.
    pub fn decoded_size(&self) -> Size {
        let part = self.planes.map_or(self.source.size, |start| start.load.view.part.size);
        decode::scaled_size(self.source.format, part, self.scale_eighths())
    }

    /// How many steps are done when the source is loaded.
    pub const fn steps_while_loading(&self) -> usize {
        match (&self.planes, self.scaled_rows) {
            (Some(start), _) => start.steps,
            (None, Some(_)) => 1,
            (None, None) => 0,
        }
    }

    /// Number of frames that are worked on.
    pub const fn frames(&self) -> u32 {
        if self.animated { self.source.frames } else { 1 }
    }

    /// Bytes of the decoded planes that other programs on the same source may use too; `None` where it makes none.
    pub fn rung_bytes(&self) -> Option<u64> {
        self.planes.filter(|_| self.lossless.is_none()).and_then(|start| start.load.rung_bytes())
    }

    /// Hands a search the [`found_quality`](super::run::Output::found_quality) of an earlier run of the same program on
    /// the same bytes: if it still has the score, it is taken without searching. The result is the same.
    pub const fn remember_quality(&mut self, quality: u8) {
        if let Answer::Image(output) | Answer::Info(Some(output)) = &mut self.answer {
            output.known_quality = Some(quality);
        }
    }

    /// Whether the result's quality is searched for by its score; animations and lossless formats are not.
    pub fn is_scored(&self) -> bool {
        match &self.answer {
            Answer::Image(output) | Answer::Info(Some(output)) => {
                !self.animated && matches!(output.quality, QualityTarget::Ssim(_)) && search::has_quality(output.format)
            }
            _ => false,
        }
    }

    /// How the result is encoded, where it is a picture or told of as one.
    pub const fn image_output(&self) -> Option<&ImageOutput> {
        match &self.answer {
            Answer::Image(output) | Answer::Info(Some(output)) => Some(output),
            Answer::Info(None) | Answer::Exif | Answer::Facts(_) | Answer::Seen(_) => None,
        }
    }

    /// Whether the answer needs no pixels of the source.
    pub const fn is_header_only(&self) -> bool {
        matches!(self.answer, Answer::Info(None) | Answer::Exif | Answer::Facts(_))
    }
}

impl Step {
    /// Whether it paints once over what is there. What is painted many times meets itself in one coarse sample of chroma, and
    /// is left to frames.
    pub(in crate::engine) const fn is_mark(&self) -> bool {
        matches!(self, Self::Mark { .. } | Self::Text(_) | Self::TiledText(_) | Self::Blend { op: BlendOp::Over, .. })
    }

    /// Size after the step of a picture that was `size` before it.
    pub fn result_size(&self, size: Size) -> Size {
        match self {
            Self::Orient(orientation) => orientation.display_size(size),
            Self::Resize(size) => *size,
            Self::Crop(rect) => rect.size,
            Self::Rotate { canvas, .. } | Self::Place { canvas, .. } => *canvas,
            _ => size,
        }
    }
}

impl fmt::Display for Step {
    /// One line for people, as `explain` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orient(orientation) => write!(f, "turn from {}", orientation.name()),
            Self::Resize(size) => write!(f, "resize to {size}"),
            Self::Crop(Rect { x, y, size }) => write!(f, "crop {size} at {x},{y}"),
            Self::Rotate { angle, canvas, background } => {
                write!(f, "rotate by {angle} degrees onto {canvas} of {background}")
            }
            Self::Place { canvas, offset: (x, y), background } => {
                write!(f, "place at {x},{y} on {canvas} of {background}")
            }
            Self::Blur { radius_px, sigma_px } => write!(f, "blur with radius {radius_px}, sigma {sigma_px}"),
            Self::Sharpen => f.write_str("sharpen"),
            Self::RoundCorners { radius_x, radius_y } => write!(f, "round corners by {radius_x},{radius_y}"),
            Self::Adjust(changes) => {
                f.write_str("adjust")?;
                changes.iter().try_for_each(|change| write!(f, " {change}"))
            }
            Self::Mark { picture, size, at: (x, y), dissolve_percent } => {
                write!(f, "paint picture {picture} of {size} at {x},{y} with {dissolve_percent} %")
            }
            Self::TileMark { picture, size, gap: (x, y), dissolve_percent } => {
                write!(f, "tile picture {picture} of {size}, gaps {x},{y}, with {dissolve_percent} %")
            }
            Self::Filter(filter) => write!(f, "filter {filter}"),
            Self::Draw(draw) => write!(f, "{draw}"),
            Self::Palette(colors) => write!(f, "reduce to {colors} colours"),
            Self::Flatten(color) => write!(f, "flatten onto {color}"),
            Self::Blend { picture, size, at: (x, y), op, dissolve_percent, .. } => {
                let op = op.name();
                write!(f, "combine with picture {picture} of {size} at {x},{y} by {op} with {dissolve_percent} %")
            }
            Self::Text(mark) => write!(f, "set {:?} at {}", mark.lettering.text, mark.placement.gravity.name()),
            Self::TiledText(tiled) => write!(f, "tile {:?}", tiled.lettering.text),
        }
    }
}
