//! GIF, by the `gif` crate: frames are counted without being unpacked, and composited one by one.

use std::io::{Cursor, Read};
use std::time::Duration;

use ::gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, MemoryLimit, Repeat};

use super::broken;
use super::watched::Watched;
use crate::engine::Error;
use crate::engine::image::{ColorModel, Depth, Format, Frame, Header, Layout};
use crate::engine::limits::{Cancel, Limits};
use crate::geometry::{Rect, Size};

/// Reads all blocks of the file: a GIF says how many frames it has only by having them.
pub(super) fn probe(bytes: &[u8]) -> Result<Header, Error> {
    let mut options = DecodeOptions::new();
    options.skip_frame_decoding(true);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(into_error)?;
    let size = canvas_size(&decoder)?;
    let mut frames = 0;
    let mut has_alpha = false;
    while let Some(frame) = decoder.next_frame_info().map_err(into_error)? {
        let covers = frame.left == 0
            && frame.top == 0
            && u32::from(frame.width) >= size.width
            && u32::from(frame.height) >= size.height;
        has_alpha |= frame.transparent.is_some() || (frames == 0 && !covers);
        frames += 1;
    }
    if frames == 0 {
        return Err(broken(Format::Gif, "it has no frame"));
    }
    Ok(Header {
        format: Format::Gif,
        size,
        orientation: None,
        frames,
        color_model: ColorModel::Palette,
        depth: Depth::Eight,
        has_alpha,
        bytes: bytes.len() as u64,
        jpeg_quality: None,
        sampling: None,
        may_have_profile: true,
        by_rows: false,
    })
}

pub(super) fn still(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    let first = Player::new(bytes, limits, cancel)?.next_frame()?;
    first.map(|(frame, _)| frame).ok_or_else(|| broken(Format::Gif, "it has no frame"))
}

/// Composites frames onto a canvas, by the GIF89a specification (section 23, disposal) with two rules that all browsers
/// share: the background is transparent whatever colour the file names, and a disposal of "none" keeps.
pub(super) struct Player<'a> {
    decoder: Decoder<Watched<'a>>,
    cancel: Cancel,
    canvas: Frame,
    max_pixels: u64,
    /// What is to be done with the canvas before the next frame.
    undo: Undo,
}

enum Undo {
    Nothing,
    Clear(Rect),
    Restore(Frame),
}

impl<'a> Player<'a> {
    pub(super) fn new(bytes: &'a [u8], limits: &Limits, cancel: &Cancel) -> Result<Self, Error> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::Indexed);
        // Buffers are ours; this bounds what the decoder keeps of extensions.
        options.set_memory_limit(MemoryLimit::Bytes(std::num::NonZeroU64::MIN.saturating_add(16 << 20)));
        let decoder = options.read_info(Watched::new(bytes, cancel)).map_err(into_error)?;
        let size = canvas_size(&decoder)?;
        limits.check_source(size)?;
        let canvas = Frame::filled(size, Layout::Rgba, [0; 4]);
        Ok(Self { decoder, cancel: cancel.clone(), canvas, max_pixels: limits.source_pixels, undo: Undo::Nothing })
    }

    /// GIF stores repetitions after the first play, and one play by saying nothing; 0 repetitions mean for ever.
    pub(super) fn loops(&self) -> u32 {
        match self.decoder.repeat() {
            Repeat::Infinite => 0,
            Repeat::Finite(repetitions) => u32::from(repetitions) + 1,
        }
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<(Frame, Duration)>, Error> {
        let Some(frame) = self.decoder.next_frame_info().map_err(into_error)? else { return Ok(None) };
        let size = Size::new(u32::from(frame.width), u32::from(frame.height));
        let (left, top) = (i64::from(frame.left), i64::from(frame.top));
        let (dispose, transparent) = (frame.dispose, frame.transparent);
        let delay = Duration::from_millis(10 * u64::from(frame.delay));
        let indices = self.read_indices(size)?;

        match std::mem::replace(&mut self.undo, Undo::Nothing) {
            Undo::Nothing => {}
            Undo::Clear(area) => clear(&mut self.canvas, area),
            Undo::Restore(canvas) => self.canvas = canvas,
        }
        let Some(area) = Rect::clipped(left, top, size, self.canvas.size()) else {
            return Ok(Some((self.canvas.clone(), delay)));
        };
        self.undo = match dispose {
            DisposalMethod::Any | DisposalMethod::Keep => Undo::Nothing,
            DisposalMethod::Background => Undo::Clear(area),
            DisposalMethod::Previous => Undo::Restore(self.canvas.clone()),
        };
        let palette = self.decoder.palette().map_err(into_error)?;
        let drawing = Drawing { indices: &indices, width: size.width as usize, palette, transparent };
        drawing.draw(&mut self.canvas, area, &self.cancel)?;
        Ok(Some((self.canvas.clone(), delay)))
    }

    /// The palette indices of the current frame, which may be larger than the canvas, but not than the limit.
    fn read_indices(&mut self, size: Size) -> Result<Vec<u8>, Error> {
        if size.area() > self.max_pixels {
            return Err(Error::Limit { what: "pixels of a GIF frame", value: size.area(), limit: self.max_pixels });
        }
        let mut indices = vec![0; size.area() as usize];
        if !indices.is_empty() {
            self.decoder.read_into_buffer(&mut indices).map_err(into_error)?;
        }
        Ok(indices)
    }
}

fn canvas_size<R: Read>(decoder: &Decoder<R>) -> Result<Size, Error> {
    let size = Size::new(u32::from(decoder.width()), u32::from(decoder.height()));
    if size.area() == 0 { Err(broken(Format::Gif, "its width or height is 0")) } else { Ok(size) }
}

/// A frame's pixels. Indices outside the palette show nothing.
struct Drawing<'a> {
    indices: &'a [u8],
    width: usize,
    palette: &'a [u8],
    transparent: Option<u8>,
}

impl Drawing<'_> {
    /// Draws the visible part.
    fn draw(&self, canvas: &mut Frame, area: Rect, cancel: &Cancel) -> Result<(), Error> {
        let stride = canvas.stride();
        let visible = area.x as usize * 4..(area.x + area.size.width) as usize * 4;
        let rows = canvas.pixels_mut().chunks_exact_mut(stride).skip(area.y as usize).take(area.size.height as usize);
        for (row, indices) in rows.zip(self.indices.chunks_exact(self.width)) {
            cancel.check()?;
            for (pixel, index) in row[visible.clone()].chunks_exact_mut(4).zip(indices) {
                self.paint(pixel, *index);
            }
        }
        Ok(())
    }

    fn paint(&self, pixel: &mut [u8], index: u8) {
        let at = 3 * usize::from(index);
        match self.palette.get(at..at + 3) {
            Some(color) if self.transparent != Some(index) => {
                pixel[..3].copy_from_slice(color);
                pixel[3] = 255;
            }
            _ => {}
        }
    }
}

/// Makes an area of an RGBA canvas transparent.
pub(super) fn clear(canvas: &mut Frame, area: Rect) {
    let stride = canvas.stride();
    let (start, length) = (area.x as usize * 4, area.size.width as usize * 4);
    let rows = canvas.pixels_mut().chunks_exact_mut(stride).skip(area.y as usize).take(area.size.height as usize);
    for row in rows {
        row[start..start + length].fill(0);
    }
}

fn into_error(error: DecodingError) -> Error {
    match error {
        DecodingError::UnexpectedEof => broken(Format::Gif, "it is cut short"),
        error => broken(Format::Gif, error),
    }
}
