//! The frame: pixels in memory, and what a file's header says of them.

use crate::geometry::{Orientation, Size};
use crate::plan::output::OutputFormat;

/// How many bits a sample has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Depth {
    /// 8, and what is stored with fewer.
    #[default]
    Eight,
    /// 16.
    Sixteen,
}

impl Depth {
    /// Bytes a sample.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }
}

/// A sample of 16 bits: two bytes, the high one first, as PNG stores them.
///
/// No `u16`, so that the pixels of a frame are bytes to the codecs without a copy.
pub type Deep = [u8; 2];

/// A sample of a frame: `u8` or [`Deep`].
pub trait Sample: Copy + Default + PartialEq {
    /// White, and opaque.
    const MOST: Self;

    /// [`Sample::MOST`] as a number.
    const MOST_NUMBER: f32;

    /// As a number.
    fn number(self) -> f32;

    /// The sample nearest to a number, half up; what lies outside is clipped.
    fn nearest(number: f32) -> Self;

    /// The sample that stands for the same part of [`Sample::MOST`] as `code` of 255.
    fn widened(code: u8) -> Self;

    /// BT.601 luma, rounded.
    fn luma(r: Self, g: Self, b: Self) -> Self;

    /// `share`/255 of it, rounded.
    fn part(self, share: u8) -> Self;

    /// As far away from `other` again as it is, clipped: `2 × self − other`.
    fn away_from(self, other: Self) -> Self;
}

impl Sample for u8 {
    const MOST: Self = 255;
    const MOST_NUMBER: f32 = 255.0;

    #[inline(always)]
    fn number(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn nearest(number: f32) -> Self {
        // A float-to-integer cast saturates, so that only the rounding is left to do.
        (number + 0.5) as Self
    }

    fn widened(code: u8) -> Self {
        code
    }

    fn luma(r: Self, g: Self, b: Self) -> Self {
        luma(r, g, b)
    }

    fn part(self, share: u8) -> Self {
        ((u32::from(self) * u32::from(share) + 127) / 255) as Self
    }

    fn away_from(self, other: Self) -> Self {
        (2 * i16::from(self) - i16::from(other)).clamp(0, 255) as Self
    }
}

impl Sample for Deep {
    const MOST: Self = [255; 2];
    const MOST_NUMBER: f32 = 65535.0;

    #[inline(always)]
    fn number(self) -> f32 {
        f32::from(u16::from_be_bytes(self))
    }

    #[inline(always)]
    fn nearest(number: f32) -> Self {
        ((number + 0.5) as u16).to_be_bytes()
    }

    fn widened(code: u8) -> Self {
        [code; 2]
    }

    fn luma(r: Self, g: Self, b: Self) -> Self {
        let [r, g, b] = [r, g, b].map(|sample| u64::from(u16::from_be_bytes(sample)));
        let luma = (r * 19595 + g * 38470 + b * 7471 + 32768) >> 16;
        (luma as u16).to_be_bytes()
    }

    fn part(self, share: u8) -> Self {
        let part = (u32::from(u16::from_be_bytes(self)) * u32::from(share) + 127) / 255;
        (part as u16).to_be_bytes()
    }

    fn away_from(self, other: Self) -> Self {
        let [value, other] = [self, other].map(|sample| i32::from(u16::from_be_bytes(sample)));
        ((2 * value - other).clamp(0, 65535) as u16).to_be_bytes()
    }
}

/// How a frame's samples are laid out. Always row-major, interleaved, rows without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// One sample a pixel.
    Gray,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue and straight (not premultiplied) alpha.
    Rgba,
}

impl Layout {
    /// Samples a pixel.
    pub const fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// Pixels, of 8 bits a channel unless `Frame<Deep>` is said. `pixels.len()` is always `width × height × channels`.
///
/// Most of the engine takes 8 bits only; `deep.rs` says what keeps 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<S = u8> {
    size: Size,
    layout: Layout,
    pixels: Vec<S>,
}

impl Frame {
    /// A frame of these pixels; `None` where their number does not match.
    pub fn new(size: Size, layout: Layout, pixels: Vec<u8>) -> Option<Self> {
        Self::of(size, layout, pixels)
    }

    /// A frame of one colour; for `Rgb` the alpha is dropped, for `Gray` the colour's luma is used.
    pub fn filled(size: Size, layout: Layout, color: [u8; 4]) -> Self {
        Self::of_color(size, layout, color)
    }

    /// The pixel at column `x`, row `y`, as straight RGBA.
    pub fn rgba_at(&self, x: u32, y: u32) -> [u8; 4] {
        self.samples_at(x, y)
    }
}

impl<S: Sample> Frame<S> {
    /// A frame of these samples; `None` where their number does not match.
    pub fn of(size: Size, layout: Layout, pixels: Vec<S>) -> Option<Self> {
        let expected = size.area().checked_mul(layout.channels() as u64)?;
        (pixels.len() as u64 == expected && size.area() > 0).then_some(Self { size, layout, pixels })
    }

    /// A frame of one colour; for `Rgb` the alpha is dropped, for `Gray` the colour's luma is used.
    pub fn of_color(size: Size, layout: Layout, color: [S; 4]) -> Self {
        let [r, g, b, _] = color;
        let pixel: &[S] = match layout {
            Layout::Gray => &[S::luma(r, g, b)],
            Layout::Rgb => &color[..3],
            Layout::Rgba => &color,
        };
        let pixels = pixel.repeat(size.area() as usize);
        Self { size, layout, pixels }
    }

    /// Width and height in pixels.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Layout of the samples.
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// The samples.
    pub fn pixels(&self) -> &[S] {
        &self.pixels
    }

    /// The samples, to be changed in place.
    pub fn pixels_mut(&mut self) -> &mut [S] {
        &mut self.pixels
    }

    /// The samples, giving up the frame.
    pub fn into_pixels(self) -> Vec<S> {
        self.pixels
    }

    /// Samples in one row.
    pub const fn stride(&self) -> usize {
        self.size.width as usize * self.layout.channels()
    }

    /// The pixel at column `x`, row `y`, as straight RGBA.
    pub fn samples_at(&self, x: u32, y: u32) -> [S; 4] {
        let at = y as usize * self.stride() + x as usize * self.layout.channels();
        match self.layout {
            Layout::Gray => [self.pixels[at], self.pixels[at], self.pixels[at], S::MOST],
            Layout::Rgb => [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2], S::MOST],
            Layout::Rgba => [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2], self.pixels[at + 3]],
        }
    }

    /// The same picture in `layout`. To `Gray` it takes luma; away from `Rgba` it drops alpha without blending
    /// (flatten first where alpha matters). Free where the layout is already right.
    pub fn into_layout(self, layout: Layout) -> Self {
        if self.layout == layout {
            return self;
        }
        let count = self.size.area() as usize;
        let mut pixels = Vec::with_capacity(count * layout.channels());
        for pixel in self.pixels.chunks_exact(self.layout.channels()) {
            let [r, g, b, a] = match *pixel {
                [v] => [v, v, v, S::MOST],
                [r, g, b] => [r, g, b, S::MOST],
                [r, g, b, a] => [r, g, b, a],
                _ => unreachable!("a layout has 1, 3 or 4 channels"),
            };
            match layout {
                Layout::Gray => pixels.push(S::luma(r, g, b)),
                Layout::Rgb => pixels.extend_from_slice(&[r, g, b]),
                Layout::Rgba => pixels.extend_from_slice(&[r, g, b, a]),
            }
        }
        Self { size: self.size, layout, pixels }
    }
}

/// BT.601 luma in 8 bits, as JPEG computes Y: `0.299 R + 0.587 G + 0.114 B`, rounded.
pub fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 32768) >> 16) as u8
}

/// A format that sources are read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the formats' own")]
pub enum Format {
    Jpeg,
    Png,
    Gif,
    Webp,
    Bmp,
    Tiff,
    Psd,
    Avif,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Jpeg, Self::Png, Self::Gif, Self::Webp, Self::Bmp, Self::Tiff, Self::Psd, Self::Avif];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The vendor's name in `imageInfo`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Webp => "webp",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
            Self::Psd => "psd",
            Self::Avif => "avif",
        }
    }

    /// The format that results keep where none is asked for; formats that are only read become PNG.
    pub const fn default_output(self) -> OutputFormat {
        match self {
            Self::Jpeg => OutputFormat::Jpeg,
            Self::Png | Self::Psd => OutputFormat::Png,
            Self::Gif => OutputFormat::Gif,
            Self::Webp => OutputFormat::Webp,
            Self::Bmp => OutputFormat::Bmp,
            Self::Tiff => OutputFormat::Tiff,
            #[cfg(feature = "avif")]
            Self::Avif => OutputFormat::Avif,
            #[cfg(not(feature = "avif"))]
            Self::Avif => OutputFormat::Png,
        }
    }
}

/// How a file stores colour, in the vendor's vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names explain themselves")]
pub enum ColorModel {
    Ycbcr,
    Cmyk,
    Gray,
    GrayAlpha,
    Rgb,
    Nrgba,
    Palette,
}

impl ColorModel {
    /// The vendor's name in `imageInfo`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ycbcr => "ycbcr",
            Self::Cmyk => "cmyk",
            Self::Gray => "gray",
            Self::GrayAlpha => "graya",
            Self::Rgb => "rgb",
            Self::Nrgba => "nrgba",
            Self::Palette => "palette16",
        }
    }
}

/// How a JPEG that the reduced decoder reads is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Stored size in pixels.
    pub size: Size,
    /// Coefficients come in many scans: only the mean of each block is to be had without them all.
    pub progressive: bool,
    /// Y alone.
    pub gray: bool,
    /// How many times coarser chroma is than luma, across and down.
    pub chroma: (u32, u32),
}

impl Sampling {
    /// Pixels a sample across and down, of plane `index` (0 is Y).
    pub const fn ratio(self, index: usize) -> (u32, u32) {
        if index == 0 { (1, 1) } else { self.chroma }
    }
}

/// What a file's header says, read without decoding pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Of the file.
    pub format: Format,
    /// Stored size, before orientation; of the canvas where the file is animated.
    pub size: Size,
    /// EXIF orientation, where the file has one.
    pub orientation: Option<Orientation>,
    /// Number of frames, at least 1.
    pub frames: u32,
    /// How colour is stored.
    pub color_model: ColorModel,
    /// How deep its samples can be decoded.
    pub depth: Depth,
    /// Whether any pixel may be transparent.
    pub has_alpha: bool,
    /// Length of the file.
    pub bytes: u64,
    /// Quality estimated from the quantisation tables; JPEG only, 1–100.
    pub jpeg_quality: Option<u8>,
    /// How its planes are sampled; JPEG only, where the reduced decoder reads it.
    pub sampling: Option<Sampling>,
    /// Whether the file has a colour profile; known of JPEG and PNG only, else `true`.
    pub may_have_profile: bool,
    /// Whether rows can be had one by one from the top, so that they are scaled while they are decoded; PNG only.
    pub by_rows: bool,
}

impl Header {
    /// Size after the EXIF orientation, if any, was applied.
    pub fn display_size(&self) -> Size {
        self.orientation.map_or(self.size, |orientation| orientation.display_size(self.size))
    }

    /// Layout that its frames are decoded to.
    pub const fn layout(&self) -> Layout {
        match self.color_model {
            _ if self.has_alpha || self.is_animated() || matches!(self.format, Format::Gif) => Layout::Rgba,
            ColorModel::Gray => Layout::Gray,
            _ => Layout::Rgb,
        }
    }

    /// Whether the file has more than one frame.
    pub const fn is_animated(&self) -> bool {
        self.frames > 1
    }
}
