//! `imageMogr2/…` (spec 4.3) and the legacy `imageMogr` (4.4), which is read as its modern form.

use super::output::OutputSettings;
use crate::color::Color;
use crate::geometry::Gravity;

/// A parsed `imageMogr2`: geometry and filters in the order written, and settings whose place does not matter.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageMogr2 {
    /// Operations, first to last.
    pub ops: Vec<MogrOp>,
    /// `background/…`: fills what rotate and extent add, wherever in the command it stands; the last one wins.
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
    /// `rotate/…`: clockwise degrees, 0–359 (the value modulo 360).
    Rotate(u16),
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

/// A thumbnail geometry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Thumbnail {
    /// `!Np`: both edges to N percent, 1–999.
    Percent(u32),
    /// `!Npx`: the width to N percent.
    PercentWidth(u32),
    /// `!xNp`: the height to N percent.
    PercentHeight(u32),
    /// `Wx`, `xH`, `WxH`: fit inside, enlarging if needed. At least one edge is given.
    Fit(Option<u32>, Option<u32>),
    /// `!WxHr`: cover.
    Cover(u32, u32),
    /// `WxH!`: exactly, distorting. A missing edge keeps the current one.
    Exact(Option<u32>, Option<u32>),
    /// `WxH>`: fit inside, only shrinking.
    Shrink(Option<u32>, Option<u32>),
    /// `WxH<`: fit inside, only if both edges are smaller.
    Enlarge(Option<u32>, Option<u32>),
    /// `N@`: at most N pixels in all.
    Area(u32),
}

/// A crop box with its anchor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Box width; `None` is the current width.
    pub width: Option<u32>,
    /// Box height; `None` is the current height.
    pub height: Option<u32>,
    /// Horizontal offset, inwards from the anchor.
    pub dx: i32,
    /// Vertical offset, inwards from the anchor.
    pub dy: i32,
    /// The anchor; NorthWest by default.
    pub gravity: Gravity,
}

/// A canvas to put the image on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// `WxH`: image centred.
    Centered {
        /// Canvas width.
        width: u32,
        /// Canvas height.
        height: u32,
    },
    /// `!WxHadxady`: canvas pixel (0,0) is image pixel (dx,dy).
    Origin {
        /// Canvas width.
        width: u32,
        /// Canvas height.
        height: u32,
        /// Image column at the canvas's left edge.
        dx: i32,
        /// Image row at the canvas's top edge.
        dy: i32,
    },
    /// `!-3a0`: pad by the named sides; negative pads left or top, positive right or bottom.
    Pad {
        /// Signed columns.
        dx: i32,
        /// Signed rows.
        dy: i32,
    },
}

/// `size-limit/<n>[k|m][!]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimit {
    /// The most bytes the result may have.
    pub bound: SizeBound,
    /// `!`: any format; over the bound, answer with the source. Without: JPEG only, by choosing the quality.
    pub or_source: bool,
}

/// The bound of a [`SizeLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeBound {
    /// So many bytes.
    Bytes(u64),
    /// `$(fsize)`: the source's own size.
    SourceBytes,
}
