//! PSD: the merged picture that Photoshop stores for programs like this one.
//!
//! By Adobe's "Photoshop File Formats Specification". Read here and not by `zune-psd`, whose 0.5 takes only part of
//! the samples of an uncompressed 8-bit file and swaps the bytes of 16-bit ones.

use super::{broken, unsupported};
use crate::engine::image::{ColorModel, Deep, Depth, Format, Frame, Header, Layout, Sample};
use crate::engine::limits::{Cancel, Limits};
use crate::engine::metadata::{self, Metadata};
use crate::engine::{Error, color};
use crate::geometry::Size;

/// Pixels that are put together between two looks at the flag.
const BATCH_PIXELS: usize = 1 << 16;

const RESOURCE_RESOLUTION: u16 = 0x03ED;
const RESOURCE_ICC: u16 = 0x040F;
const RESOURCE_EXIF: u16 = 0x0422;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Gray,
    Indexed,
    Rgb,
    Cmyk,
}

/// The sections of a file, found but not decoded.
struct Psd<'a> {
    size: Size,
    channels: usize,
    bytes_per_sample: usize,
    mode: Mode,
    palette: &'a [u8],
    resources: &'a [u8],
    /// Whether the first channel behind the colours is the transparency of the merged picture.
    transparent: bool,
    pixels: &'a [u8],
}

pub(super) fn probe(bytes: &[u8]) -> Result<Header, Error> {
    let psd = Psd::open(bytes)?;
    Ok(Header {
        format: Format::Psd,
        size: psd.size,
        orientation: psd.resource(RESOURCE_EXIF).and_then(metadata::orientation),
        frames: 1,
        color_model: match (psd.mode, psd.has_alpha()) {
            (Mode::Gray, false) => ColorModel::Gray,
            (Mode::Gray, true) => ColorModel::GrayAlpha,
            (Mode::Indexed, _) => ColorModel::Palette,
            (Mode::Rgb, false) => ColorModel::Rgb,
            (Mode::Rgb, true) => ColorModel::Nrgba,
            (Mode::Cmyk, _) => ColorModel::Cmyk,
        },
        depth: psd.depth(),
        has_alpha: psd.has_alpha(),
        bytes: bytes.len() as u64,
        jpeg_quality: None,
        sampling: None,
        may_have_profile: true,
        by_rows: false,
    })
}

pub(super) fn still(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    let psd = Psd::open(bytes)?;
    limits.check_source(psd.size)?;
    let planes = psd.planes(cancel)?;
    let colors = psd.colors();
    let mut pixels = interleave(&planes[..colors], cancel)?;
    let layout = match psd.mode {
        Mode::Gray => Layout::Gray,
        Mode::Rgb => Layout::Rgb,
        Mode::Indexed => {
            pixels = psd.look_up(&pixels, cancel)?;
            Layout::Rgb
        }
        Mode::Cmyk => {
            // Stored inverted: 255 is no ink.
            pixels.iter_mut().for_each(|value| *value = !*value);
            pixels = color::cmyk_to_srgb(&pixels, psd.resource(RESOURCE_ICC), cancel)?;
            Layout::Rgb
        }
    };
    psd.frame(layout, pixels, planes.get(colors), cancel)
}

/// The picture of a gray or RGB file with 16 bits a sample.
pub(super) fn still_deep(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Frame<Deep>, Error> {
    let psd = Psd::open(bytes)?;
    limits.check_source(psd.size)?;
    if psd.depth() != Depth::Sixteen {
        return Err(broken(Format::Psd, "its depth has no meaning"));
    }
    let planes = psd.planes(cancel)?;
    let colors = psd.colors();
    let layout = if psd.mode == Mode::Gray { Layout::Gray } else { Layout::Rgb };
    psd.frame(layout, interleave(&planes[..colors], cancel)?, planes.get(colors), cancel)
}

/// ICC profile, EXIF data and density from the image resources.
pub(in crate::engine) fn metadata(bytes: &[u8]) -> Metadata {
    let Ok(psd) = Psd::open(bytes) else { return Metadata::default() };
    Metadata {
        icc: psd.resource(RESOURCE_ICC).map(<[u8]>::to_vec),
        exif: psd.resource(RESOURCE_EXIF).map(<[u8]>::to_vec),
        // A fixed-point number, 16 bits before the point.
        density_dpi: psd
            .resource(RESOURCE_RESOLUTION)
            .and_then(|resource| resource.first_chunk().copied())
            .map(u16::from_be_bytes)
            .filter(|dpi| *dpi > 0),
    }
}

impl<'a> Psd<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        let psd = Self::read(&mut reader).ok_or_else(|| broken(Format::Psd, "it is cut short"))??;
        Ok(psd)
    }

    /// `None` where the file ends too early.
    fn read(reader: &mut Reader<'a>) -> Option<Result<Self, Error>> {
        reader.take(4)?;
        let version = reader.u16()?;
        reader.take(6)?;
        let channels = usize::from(reader.u16()?);
        let height = reader.u32()?;
        let width = reader.u32()?;
        let depth = reader.u16()?;
        let mode = match reader.u16()? {
            1 | 8 => Mode::Gray,
            2 => Mode::Indexed,
            3 => Mode::Rgb,
            4 => Mode::Cmyk,
            other => return Some(Err(unsupported(Format::Psd, format_args!("colour mode {other}")))),
        };
        if version != 1 || !matches!(depth, 8 | 16) {
            let problem = format_args!("version {version} with {depth} bits").to_string();
            return Some(Err(unsupported(Format::Psd, problem)));
        }
        let palette = reader.section()?;
        let resources = reader.section()?;
        let layers = reader.section()?;
        let psd = Self {
            size: Size::new(width, height),
            channels,
            bytes_per_sample: usize::from(depth / 8),
            mode,
            palette,
            resources,
            transparent: layer_count(layers).is_some_and(|count| count < 0),
            pixels: reader.0,
        };
        Some(psd.checked())
    }

    fn checked(self) -> Result<Self, Error> {
        if self.size.area() == 0 || self.channels < self.colors() || self.channels > 56 {
            return Err(broken(Format::Psd, "its size or number of channels has no meaning"));
        }
        if self.mode == Mode::Indexed && self.palette.len() < 768 {
            return Err(broken(Format::Psd, "its palette is cut short"));
        }
        Ok(self)
    }

    /// Number of channels that are colours.
    fn colors(&self) -> usize {
        match self.mode {
            Mode::Gray | Mode::Indexed => 1,
            Mode::Rgb => 3,
            Mode::Cmyk => 4,
        }
    }

    fn has_alpha(&self) -> bool {
        self.transparent && self.channels > self.colors()
    }

    /// Inks are converted with 8 bits.
    fn depth(&self) -> Depth {
        match self.mode {
            Mode::Gray | Mode::Rgb if self.bytes_per_sample == 2 => Depth::Sixteen,
            _ => Depth::Eight,
        }
    }

    /// The picture, made of its colours and of the plane behind them.
    fn frame<S: Stored>(
        &self,
        layout: Layout,
        colors: Vec<S>,
        behind: Option<&Vec<S>>,
        cancel: &Cancel,
    ) -> Result<Frame<S>, Error> {
        let frame =
            Frame::of(self.size, layout, colors).ok_or_else(|| broken(Format::Psd, "its size has no meaning"))?;
        match behind {
            Some(alpha) if self.has_alpha() => with_alpha(frame, alpha, cancel),
            _ => Ok(frame),
        }
    }

    /// Data of the image resource with this number.
    fn resource(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut reader = Reader(self.resources);
        loop {
            reader.take(4)?;
            let id = reader.u16()?;
            // A name, its length in front, padded to even.
            let name = usize::from(*reader.take(1)?.first()?);
            reader.take(name + (name + 1) % 2)?;
            let length = usize::try_from(reader.u32()?).ok()?;
            let data = reader.take(length)?;
            if id == wanted {
                return Some(data);
            }
            reader.take(length % 2)?;
        }
    }

    /// The channels that are needed, one plane each.
    fn planes<S: Stored>(&self, cancel: &Cancel) -> Result<Vec<Vec<S>>, Error> {
        let mut reader = Reader(self.pixels);
        let needed = self.colors() + usize::from(self.has_alpha());
        match reader.u16() {
            Some(0) => self.raw_planes(reader.0, needed, cancel),
            Some(1) => self.packed_planes(reader, needed, cancel),
            Some(other) => Err(unsupported(Format::Psd, format_args!("compression {other}"))),
            None => Err(broken(Format::Psd, "it is cut short")),
        }
    }

    fn raw_planes<S: Stored>(&self, samples: &[u8], needed: usize, cancel: &Cancel) -> Result<Vec<Vec<S>>, Error> {
        let length = self.row_bytes() * self.size.height as usize;
        let planes = samples.get(..length * needed).ok_or_else(|| broken(Format::Psd, "it is cut short"))?;
        let plane = |samples: &[u8]| {
            let mut plane = Vec::with_capacity(self.size.area() as usize);
            for row in samples.chunks_exact(self.row_bytes()) {
                cancel.check()?;
                plane.extend(S::samples(row, self.bytes_per_sample));
            }
            Ok(plane)
        };
        planes.chunks_exact(length).map(plane).collect()
    }

    /// PackBits, row by row; the lengths of all rows of all channels stand in front.
    fn packed_planes<S: Stored>(
        &self,
        mut reader: Reader<'_>,
        needed: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<S>>, Error> {
        let cut_short = || broken(Format::Psd, "it is cut short");
        let rows = self.size.height as usize;
        let lengths = reader.take(2 * rows * self.channels).ok_or_else(cut_short)?;
        let mut planes = Vec::with_capacity(needed);
        for lengths in lengths.chunks_exact(2 * rows).take(needed) {
            let mut plane = Vec::with_capacity(self.size.area() as usize);
            for length in lengths.chunks_exact(2) {
                cancel.check()?;
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                let packed = reader.take(length).ok_or_else(cut_short)?;
                let row =
                    unpack_bits(packed, self.row_bytes()).ok_or_else(|| broken(Format::Psd, "a row is broken"))?;
                plane.extend_from_slice(&S::samples(&row, self.bytes_per_sample));
            }
            planes.push(plane);
        }
        Ok(planes)
    }

    fn row_bytes(&self) -> usize {
        self.size.width as usize * self.bytes_per_sample
    }

    /// Palette colours; the palette is stored red first, then green, then blue.
    fn look_up(&self, indices: &[u8], cancel: &Cancel) -> Result<Vec<u8>, Error> {
        let color = |index: u8| [0, 256, 512].map(|plane| self.palette[plane + usize::from(index)]);
        let mut pixels = Vec::with_capacity(indices.len() * 3);
        for indices in indices.chunks(BATCH_PIXELS) {
            cancel.check()?;
            pixels.extend(indices.iter().flat_map(|index| color(*index)));
        }
        Ok(pixels)
    }
}

/// Number of layers; negative where the merged picture has transparency.
fn layer_count(layers: &[u8]) -> Option<i16> {
    let mut reader = Reader(layers);
    reader.u32()?;
    reader.u16().map(|count| count as i16)
}

/// How a file's samples are taken.
trait Stored: Sample {
    /// Those of bytes as they are stored, the high byte first.
    fn samples(bytes: &[u8], bytes_per_sample: usize) -> Vec<Self>;

    /// A colour that was blended with white by `alpha`, which is not 0, without the white.
    fn without_white(self, alpha: Self) -> Self;
}

impl Stored for u8 {
    /// Of 16 bits the high ones.
    fn samples(bytes: &[u8], bytes_per_sample: usize) -> Vec<Self> {
        bytes.iter().step_by(bytes_per_sample).copied().collect()
    }

    fn without_white(self, alpha: Self) -> Self {
        without_white(255, self.into(), alpha.into()) as Self
    }
}

impl Stored for Deep {
    /// Of two bytes a sample; others are not asked for.
    fn samples(bytes: &[u8], _bytes_per_sample: usize) -> Vec<Self> {
        bytes.as_chunks().0.to_vec()
    }

    fn without_white(self, alpha: Self) -> Self {
        let [value, alpha] = [self, alpha].map(|sample| i64::from(u16::from_be_bytes(sample)));
        (without_white(65535, value, alpha) as u16).to_be_bytes()
    }
}

fn without_white(white: i64, value: i64, alpha: i64) -> i64 {
    ((white * (value - white) + alpha / 2).div_euclid(alpha) + white).clamp(0, white)
}

/// Unpacks to exactly `length` bytes.
fn unpack_bits(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut row = Vec::with_capacity(length);
    let mut reader = Reader(packed);
    while row.len() < length {
        match *reader.take(1)?.first()? {
            literal @ 0..=127 => row.extend_from_slice(reader.take(usize::from(literal) + 1)?),
            128 => {}
            repeat => row.resize(row.len() + 257 - usize::from(repeat), *reader.take(1)?.first()?),
        }
    }
    (row.len() == length).then_some(row)
}

fn interleave<S: Sample>(planes: &[Vec<S>], cancel: &Cancel) -> Result<Vec<S>, Error> {
    if let [plane] = planes {
        return Ok(plane.clone());
    }
    let count = planes.len();
    let mut pixels = vec![S::default(); planes.iter().map(Vec::len).sum()];
    for (channel, plane) in planes.iter().enumerate() {
        for (pixels, samples) in pixels.chunks_mut(BATCH_PIXELS * count).zip(plane.chunks(BATCH_PIXELS)) {
            cancel.check()?;
            for (pixel, sample) in pixels.chunks_exact_mut(count).zip(samples) {
                pixel[channel] = *sample;
            }
        }
    }
    Ok(pixels)
}

/// Puts `alpha` on a frame whose colours Photoshop has blended with white, and takes the white out again.
fn with_alpha<S: Stored>(frame: Frame<S>, alpha: &[S], cancel: &Cancel) -> Result<Frame<S>, Error> {
    let mut frame = frame.into_layout(Layout::Rgba);
    for (pixels, alpha) in frame.pixels_mut().chunks_mut(BATCH_PIXELS * 4).zip(alpha.chunks(BATCH_PIXELS)) {
        cancel.check()?;
        for (pixel, alpha) in pixels.as_chunks_mut().0.iter_mut().zip(alpha) {
            take_white_out(pixel, *alpha);
        }
    }
    Ok(frame)
}

fn take_white_out<S: Stored>(pixel: &mut [S; 4], alpha: S) {
    pixel[3] = alpha;
    if alpha == S::default() {
        return;
    }
    for value in &mut pixel[..3] {
        *value = value.without_white(alpha);
    }
}

/// A cursor that answers `None` at the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().copied().map(u32::from_be_bytes)
    }

    /// A section with its length in front.
    fn section(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }
}
