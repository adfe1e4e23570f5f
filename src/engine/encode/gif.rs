//! GIF, by the `gif` crate: a palette for each frame, and of a frame only what changed.

use std::borrow::Cow;
use std::time::Duration;

use ::gif::{DisposalMethod, Encoder, EncodingError, Frame as GifFrame, Repeat};

use super::palette::{Alpha, OPAQUE_FROM, quantize};
use super::{Effort, Settings, unencodable};
use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;
use crate::geometry::{Rect, Size};
use crate::plan::output::OutputFormat;

/// Palette size where none is asked for.
const DEFAULT_COLORS: u16 = 128;

/// Writes frames one behind the other. The last is held back: how it is disposed of depends on the next.
pub(super) struct Writer {
    encoder: Encoder<Vec<u8>>,
    colors: u16,
    effort: Effort,
    cancel: Cancel,
    held: Option<Held>,
}

struct Held {
    frame: Frame,
    /// The part that is to be written.
    area: Rect,
    duration: Duration,
}

impl Writer {
    pub(super) fn new(size: Size, loops: u32, settings: &Settings) -> Result<Self, Error> {
        let (Ok(width), Ok(height)) = (u16::try_from(size.width), u16::try_from(size.height)) else {
            let problem = format_args!("{size} is over {} pixels", u16::MAX).to_string();
            return Err(unencodable(OutputFormat::Gif, problem));
        };
        let mut encoder = Encoder::new(Vec::new(), width, height, &[]).map_err(into_error)?;
        // The file counts repetitions after the first play; a single play is said by saying nothing.
        let repeat = match loops {
            0 => Some(Repeat::Infinite),
            1 => None,
            plays => Some(Repeat::Finite(u16::try_from(plays - 1).unwrap_or(u16::MAX))),
        };
        if let Some(repeat) = repeat {
            encoder.set_repeat(repeat).map_err(into_error)?;
        }
        let colors = settings.colors.unwrap_or(DEFAULT_COLORS);
        Ok(Self { encoder, colors, effort: settings.effort, cancel: settings.cancel.clone(), held: None })
    }

    pub(super) fn push(&mut self, frame: &Frame, duration: Duration) -> Result<(), Error> {
        let whole = Rect { x: 0, y: 0, size: frame.size() };
        let area = match self.held.take() {
            None => whole,
            Some(held) if uncovers(&held.frame, frame) => {
                // What was opaque becomes transparent: only clearing the canvas can do that.
                self.write(&Held { area: whole, ..held }, DisposalMethod::Background)?;
                whole
            }
            Some(held) => {
                let area = changed_area(&held.frame, frame);
                self.write(&held, DisposalMethod::Keep)?;
                area
            }
        };
        self.held = Some(Held { frame: frame.clone(), area, duration });
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, Error> {
        let held = self.held.take().ok_or_else(|| unencodable(OutputFormat::Gif, "it needs at least one frame"))?;
        self.write(&held, DisposalMethod::Keep)?;
        self.encoder.into_inner().map_err(|error| unencodable(OutputFormat::Gif, error))
    }

    fn write(&mut self, held: &Held, dispose: DisposalMethod) -> Result<(), Error> {
        let part = cut(&held.frame, held.area);
        let indexed = quantize(&part, self.colors, Alpha::Mask, self.effort, &self.cancel)?;
        // A duration that rounds to no time at all means "as fast as you can" to viewers, and so does 0.
        let hundredths = (held.duration.as_millis() + 5) / 10;
        let frame = GifFrame {
            delay: u16::try_from(hundredths).unwrap_or(u16::MAX),
            dispose,
            transparent: indexed.transparent(),
            left: held.area.x as u16,
            top: held.area.y as u16,
            width: held.area.size.width as u16,
            height: held.area.size.height as u16,
            palette: Some(indexed.palette.iter().flat_map(|entry| [entry[0], entry[1], entry[2]]).collect()),
            buffer: Cow::Owned(indexed.indices),
            ..GifFrame::default()
        };
        self.encoder.write_frame(&frame).map_err(into_error)
    }
}

fn is_opaque(pixel: &[u8]) -> bool {
    pixel.get(3).is_none_or(|alpha| *alpha >= OPAQUE_FROM)
}

/// Whether a pixel that `before` shows is transparent in `after`.
fn uncovers(before: &Frame, after: &Frame) -> bool {
    if after.layout() != Layout::Rgba {
        return false;
    }
    let before_pixels = before.pixels().chunks_exact(before.layout().channels());
    before_pixels.zip(after.pixels().chunks_exact(4)).any(|(before, after)| is_opaque(before) && !is_opaque(after))
}

/// The smallest rectangle around all pixels that differ; one pixel where none does.
fn changed_area(before: &Frame, after: &Frame) -> Rect {
    let size = after.size();
    if before.layout() != after.layout() {
        return Rect { x: 0, y: 0, size };
    }
    let channels = after.layout().channels();
    let (mut left, mut right, mut top, mut bottom) = (size.width, 0, size.height, 0);
    let rows = before.pixels().chunks_exact(before.stride()).zip(after.pixels().chunks_exact(after.stride()));
    for (y, (before, after)) in (0..).zip(rows) {
        if before == after {
            continue;
        }
        let differs = |(before, after): (&[u8], &[u8])| before != after;
        let mut pixels = before.chunks_exact(channels).zip(after.chunks_exact(channels));
        let first = pixels.position(differs).unwrap_or(0) as u32;
        let mut pixels = before.chunks_exact(channels).zip(after.chunks_exact(channels));
        let last = pixels.rposition(differs).unwrap_or(0) as u32;
        (left, right) = (left.min(first), right.max(last + 1));
        (top, bottom) = (top.min(y), y + 1);
    }
    if left >= right {
        return Rect { x: 0, y: 0, size: Size::new(1, 1) };
    }
    Rect { x: left, y: top, size: Size::new(right - left, bottom - top) }
}

fn cut(frame: &Frame, area: Rect) -> Frame {
    let channels = frame.layout().channels();
    let (start, length) = (area.x as usize * channels, area.size.width as usize * channels);
    let rows = frame.pixels().chunks_exact(frame.stride()).skip(area.y as usize).take(area.size.height as usize);
    let pixels = rows.flat_map(|row| row[start..start + length].iter().copied()).collect();
    Frame::new(area.size, frame.layout(), pixels).expect("the area lies in the frame and is not empty")
}

fn into_error(error: EncodingError) -> Error {
    unencodable(OutputFormat::Gif, error)
}
