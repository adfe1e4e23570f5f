//! Pixels of WebP files, by image-webp: stills, and animations composited here.
//!
//! Its decoder sees one picture at a time, in a file of its own, whose size was held against what the container says:
//! it takes memory for the size in the picture's own header.

use std::io::Cursor;
use std::time::Duration;

use image_webp::WebPDecoder;

use super::webp::Features;
use super::{broken, gif, riff};
use crate::engine::Error;
use crate::engine::image::{Format, Frame, Layout};
use crate::engine::limits::{Cancel, Limits};
use crate::engine::op::composite;
use crate::geometry::{Rect, Size};

/// In the flags of the extended header.
const FLAG_ANIMATION: u8 = 0x02;
const FLAG_ALPHA: u8 = 0x10;

/// In the flags of an animation's frame: it replaces what is below it; its place is cleared when it has been shown.
const FLAG_REPLACES: u8 = 0x02;
const FLAG_CLEARED: u8 = 0x01;

/// What stands before the chunks of a frame.
const FRAME_HEADER_BYTES: usize = 16;

/// Reads the first chunks.
pub(super) fn features(bytes: &[u8]) -> Result<Features, Error> {
    let extended = Extended::read(bytes)?;
    if let Some(Extended { size, flags }) = extended.filter(|extended| extended.flags & FLAG_ANIMATION != 0) {
        return Ok(Features { size, has_alpha: flags & FLAG_ALPHA != 0, animated: true, lossless: false });
    }
    let picture = Picture::of_chunks(riff::chunks(bytes))?;
    if extended.is_some_and(|extended| extended.size != picture.size) {
        return Err(broken(Format::Webp, "its picture has another size than its canvas"));
    }
    let says_alpha = !picture.lossless && extended.is_some_and(|extended| extended.flags & FLAG_ALPHA != 0);
    Ok(Features {
        size: picture.size,
        has_alpha: picture.has_alpha || says_alpha,
        animated: false,
        lossless: picture.lossless,
    })
}

/// The pixels of a still picture, RGBA where it has alpha, else RGB.
pub(super) fn pixels(bytes: &[u8], features: &Features, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    cancel.check()?;
    let layout = if features.has_alpha { Layout::Rgba } else { Layout::Rgb };
    let frame = Picture::of_chunks(riff::chunks(bytes))?.decode()?;
    Ok(frame.into_layout(layout).into_pixels())
}

/// Plays an animation; it keeps one canvas.
pub(super) struct Player<'a> {
    chunks: Box<dyn Iterator<Item = riff::Chunk<'a>> + 'a>,
    canvas: Frame,
    loops: u32,
    /// What is cleared before the next frame.
    shown: Option<Rect>,
}

impl<'a> Player<'a> {
    pub(super) fn new(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        let size = features(bytes)?.size;
        limits.check_source(size)?;
        if !is_whole(bytes) {
            return Err(broken(Format::Webp, "it is cut short"));
        }
        // Without the chunk that says how often, it plays once.
        let loops =
            riff::chunk(bytes, b"ANIM").and_then(|data| Some(u16::from_le_bytes([*data.get(4)?, *data.get(5)?])));
        let chunks = Box::new(riff::chunks(bytes).filter(|(name, _)| name == b"ANMF"));
        let canvas = Frame::filled(size, Layout::Rgba, [0; 4]);
        Ok(Self { chunks, canvas, loops: loops.map_or(1, u32::from), shown: None })
    }

    pub(super) fn loops(&self) -> u32 {
        self.loops
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<(Frame, Duration)>, Error> {
        let Some((_, data)) = self.chunks.next() else { return Ok(None) };
        let part = Part::read(data, self.canvas.size())?;
        let picture = Picture::of_chunks(riff::chunks(&data[FRAME_HEADER_BYTES - riff::HEADER_BYTES..]))?;
        if picture.size != part.area.size {
            return Err(broken(Format::Webp, "a picture has another size than its frame"));
        }
        let frame = picture.decode()?;
        if let Some(area) = self.shown.take() {
            gif::clear(&mut self.canvas, area);
        }
        if part.replaces {
            replace(&mut self.canvas, part.area, &frame.into_layout(Layout::Rgba));
        } else {
            composite::over(&mut self.canvas, &frame, (part.area.x.into(), part.area.y.into()), 100);
        }
        self.shown = part.cleared.then_some(part.area);
        Ok(Some((self.canvas.clone(), part.duration)))
    }
}

/// Whether the file is as long as its header says.
fn is_whole(bytes: &[u8]) -> bool {
    let length = bytes.get(4..).and_then(|rest| rest.first_chunk::<4>()).map(|length| u32::from_le_bytes(*length));
    length.is_some_and(|length| bytes.len() as u64 >= u64::from(length) + 8)
}

/// The extended header, where there is one.
#[derive(Clone, Copy)]
struct Extended {
    size: Size,
    flags: u8,
}

impl Extended {
    fn read(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let Some((name, data)) = riff::chunks(bytes).next() else {
            return Err(broken(Format::Webp, "it is cut short"));
        };
        if &name != b"VP8X" {
            return Ok(None);
        }
        let &[flags, _, _, _, w0, w1, w2, h0, h1, h2] =
            data.first_chunk().ok_or_else(|| broken(Format::Webp, "its header is broken"))?;
        Ok(Some(Self { size: Size::new(number([w0, w1, w2]) + 1, number([h0, h1, h2]) + 1), flags }))
    }
}

/// A frame of an animation: where it stands, and how it is shown.
struct Part {
    area: Rect,
    duration: Duration,
    replaces: bool,
    cleared: bool,
}

impl Part {
    fn read(data: &[u8], canvas: Size) -> Result<Self, Error> {
        let header: &[u8; FRAME_HEADER_BYTES] =
            data.first_chunk().ok_or_else(|| broken(Format::Webp, "a frame is cut short"))?;
        let number = |at: usize| number([header[at], header[at + 1], header[at + 2]]);
        let area = Rect { x: 2 * number(0), y: 2 * number(3), size: Size::new(number(6) + 1, number(9) + 1) };
        if area.x + area.size.width > canvas.width || area.y + area.size.height > canvas.height {
            return Err(broken(Format::Webp, "a frame reaches out of the canvas"));
        }
        let flags = header[15];
        Ok(Self {
            area,
            duration: Duration::from_millis(u64::from(number(12))),
            replaces: flags & FLAG_REPLACES != 0,
            cleared: flags & FLAG_CLEARED != 0,
        })
    }
}

/// One coded picture: a chunk with its pixels, and one with the alpha of lossy ones.
struct Picture<'a> {
    alpha: Option<&'a [u8]>,
    data: &'a [u8],
    lossless: bool,
    size: Size,
    has_alpha: bool,
}

impl<'a> Picture<'a> {
    fn of_chunks(chunks: impl Iterator<Item = riff::Chunk<'a>>) -> Result<Self, Error> {
        let mut alpha = None;
        for (name, data) in chunks {
            let lossless = match &name {
                b"VP8L" => true,
                b"VP8 " => false,
                b"ALPH" => {
                    alpha = alpha.or(Some(data));
                    continue;
                }
                _ => continue,
            };
            let header = if lossless { lossless_header(data) } else { lossy_header(data) };
            let (size, bit) = header.ok_or_else(|| broken(Format::Webp, "the header of a picture is broken"))?;
            if size.area() == 0 {
                return Err(broken(Format::Webp, "its width or height is 0"));
            }
            // A lossless picture has its alpha inside.
            let alpha = alpha.filter(|_| !lossless);
            return Ok(Self { alpha, data, lossless, size, has_alpha: bit || alpha.is_some() });
        }
        Err(broken(Format::Webp, "it is cut short: no picture is whole"))
    }

    /// The picture as `Rgba` where it has alpha, else as `Rgb`.
    fn decode(&self) -> Result<Frame, Error> {
        let file = match self.alpha {
            _ if self.lossless => riff::file(&[(*b"VP8L", self.data)]),
            None => riff::file(&[(*b"VP8 ", self.data)]),
            Some(alpha) => {
                let header = riff::extended_header(FLAG_ALPHA, self.size);
                riff::file(&[(*b"VP8X", &header), (*b"ALPH", alpha), (*b"VP8 ", self.data)])
            }
        };
        let into_error = |error| broken(Format::Webp, format_args!("its data is broken or cut short: {error}"));
        let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(into_error)?;
        let layout = if self.has_alpha { Layout::Rgba } else { Layout::Rgb };
        let mut pixels = vec![0; self.size.area() as usize * layout.channels()];
        decoder.read_image(&mut pixels).map_err(into_error)?;
        Frame::new(self.size, layout, pixels).ok_or_else(|| broken(Format::Webp, "its size has no meaning"))
    }
}

/// Size of a key frame of VP8 (RFC 6386, section 9.1); no alpha.
fn lossy_header(data: &[u8]) -> Option<(Size, bool)> {
    let &[tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = data.first_chunk()? else { return None };
    let edge = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    (tag & 1 == 0).then_some((Size::new(edge(w0, w1), edge(h0, h1)), false))
}

/// Size and alpha of a lossless picture (RFC 9649, section 3.4).
fn lossless_header(data: &[u8]) -> Option<(Size, bool)> {
    let &[0x2F, b0, b1, b2, b3] = data.first_chunk()? else { return None };
    let bits = u32::from_le_bytes([b0, b1, b2, b3]);
    let size = Size::new((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1);
    (bits >> 29 == 0).then_some((size, bits >> 28 & 1 != 0))
}

/// A number of 24 bits.
const fn number([low, middle, high]: [u8; 3]) -> u32 {
    u32::from_le_bytes([low, middle, high, 0])
}

/// Puts `frame` at `area`, which lies in the canvas and has its size; alpha too.
fn replace(canvas: &mut Frame, area: Rect, frame: &Frame) {
    let stride = canvas.stride();
    let start = area.x as usize * 4;
    let rows = canvas.pixels_mut().chunks_exact_mut(stride).skip(area.y as usize);
    for (row, pixels) in rows.zip(frame.pixels().chunks_exact(frame.stride())) {
        row[start..start + pixels.len()].copy_from_slice(pixels);
    }
}
