//! Pixels of WebP files, by libwebp: stills piece by piece, animations by its compositing decoder.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::time::Duration;

use libwebp_sys as webp;

use super::broken;
use super::webp::Features;
use crate::engine::Error;
use crate::engine::image::{Format, Frame, Layout};
use crate::engine::limits::{Cancel, Limits};
use crate::geometry::Size;

/// Pixels that are decoded, about, between two looks at the flag: some ten milliseconds.
const PIXELS_A_PIECE: u64 = 1 << 20;

/// The pixels of a still picture, RGBA where it has alpha, else RGB.
pub(super) fn pixels(bytes: &[u8], features: &Features, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    let layout = if features.has_alpha { Layout::Rgba } else { Layout::Rgb };
    let stride = features.size.width as usize * layout.channels();
    let mut pixels = vec![0; stride * features.size.height as usize];
    decode(bytes, features.size.area().div_ceil(PIXELS_A_PIECE) as usize, &mut pixels, (layout, stride), cancel)?;
    Ok(pixels)
}

/// Decodes into `pixels`, rows of `stride` bytes. The decoder is shown the data in so many pieces.
fn decode(
    bytes: &[u8],
    pieces: usize,
    pixels: &mut [u8],
    (layout, stride): (Layout, usize),
    cancel: &Cancel,
) -> Result<(), Error> {
    let mode = if layout == Layout::Rgba { webp::WEBP_CSP_MODE::MODE_RGBA } else { webp::WEBP_CSP_MODE::MODE_RGB };
    // SAFETY: pointer and length are those of a live slice, which outlives the decoder and is not used while that lives;
    // libwebp refuses a buffer shorter than height × stride of the size it finds.
    let decoder = Incremental(unsafe { webp::WebPINewRGB(mode, pixels.as_mut_ptr(), pixels.len(), stride as c_int) });
    if decoder.0.is_null() {
        return Err(broken(Format::Webp, "the decoder does not start"));
    }
    for piece in 1..=pieces {
        cancel.check()?;
        let length = (bytes.len() as u64 * piece as u64 / pieces as u64) as usize;
        // SAFETY: the decoder is live, and `length` is at most the length of a live slice. Every call shows the same bytes
        // from their beginning, and more of them.
        match unsafe { webp::WebPIUpdate(decoder.0, bytes.as_ptr(), length) } {
            webp::VP8StatusCode::VP8_STATUS_OK => return Ok(()),
            webp::VP8StatusCode::VP8_STATUS_SUSPENDED => {}
            _ => break,
        }
    }
    Err(broken(Format::Webp, "its data is broken or cut short"))
}

/// A decoder that goes on where it stopped for want of data.
struct Incremental(*mut webp::WebPIDecoder);

impl Drop for Incremental {
    fn drop(&mut self) {
        // SAFETY: null or from WebPINewRGB, and deleted once.
        unsafe { webp::WebPIDelete(self.0) };
    }
}

/// Reads the first chunks.
pub(super) fn features(bytes: &[u8]) -> Result<Features, Error> {
    let mut found = MaybeUninit::<webp::WebPBitstreamFeatures>::zeroed();
    // SAFETY: pointer and length are those of a live slice, and the call writes only to `found`.
    let status = unsafe { webp::WebPGetFeatures(bytes.as_ptr(), bytes.len(), found.as_mut_ptr()) };
    if status != webp::VP8StatusCode::VP8_STATUS_OK {
        let cut = status == webp::VP8StatusCode::VP8_STATUS_NOT_ENOUGH_DATA;
        return Err(broken(Format::Webp, if cut { "it is cut short" } else { "its header is broken" }));
    }
    // SAFETY: it is a struct of numbers, all zero at first, which the call has filled.
    let found = unsafe { found.assume_init() };
    let size = Size::new(u32::try_from(found.width).unwrap_or(0), u32::try_from(found.height).unwrap_or(0));
    if size.area() == 0 {
        return Err(broken(Format::Webp, "its width or height is 0"));
    }
    Ok(Features {
        size,
        has_alpha: found.has_alpha != 0,
        animated: found.has_animation != 0,
        lossless: found.format == 2,
    })
}

/// Plays an animation with libwebp's own compositing; it keeps two canvases.
pub(super) struct Player<'a> {
    decoder: *mut webp::WebPAnimDecoder,
    size: Size,
    loops: u32,
    /// When the last frame ends.
    clock_ms: c_int,
    /// The decoder reads these bytes as long as it lives.
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Player<'a> {
    pub(super) fn new(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        limits.check_source(features(bytes)?.size)?;
        let data = webp::WebPData { bytes: bytes.as_ptr(), size: bytes.len() };
        let mut options = MaybeUninit::<webp::WebPAnimDecoderOptions>::zeroed();
        // SAFETY: `options` may be written; the call fills it or answers 0.
        if unsafe { webp::WebPAnimDecoderOptionsInit(options.as_mut_ptr()) } == 0 {
            return Err(broken(Format::Webp, "the decoder does not start"));
        }
        // SAFETY: the call above has filled `options` (its defaults: straight RGBA, no threads).
        let options = unsafe { options.assume_init() };
        // SAFETY: `data` points to a slice that outlives the decoder by the lifetime of `Self`; the struct itself is
        // copied by the call.
        let decoder = unsafe { webp::WebPAnimDecoderNew(&raw const data, &raw const options) };
        if decoder.is_null() {
            return Err(broken(Format::Webp, "its frames are broken or cut short"));
        }
        let mut player = Self { decoder, size: Size::new(0, 0), loops: 0, clock_ms: 0, bytes: PhantomData };
        let mut info = webp::WebPAnimInfo::default();
        // SAFETY: the decoder is live and `info` may be written.
        if unsafe { webp::WebPAnimDecoderGetInfo(player.decoder, &raw mut info) } == 0 {
            return Err(broken(Format::Webp, "its frames are broken or cut short"));
        }
        player.size = Size::new(info.canvas_width, info.canvas_height);
        player.loops = info.loop_count;
        limits.check_source(player.size)?;
        Ok(player)
    }

    pub(super) fn loops(&self) -> u32 {
        self.loops
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<(Frame, Duration)>, Error> {
        // SAFETY: the decoder is live until drop.
        if unsafe { webp::WebPAnimDecoderHasMoreFrames(self.decoder) } == 0 {
            return Ok(None);
        }
        let mut canvas: *mut u8 = std::ptr::null_mut();
        let mut end_ms = 0;
        // SAFETY: the decoder is live, and both out-parameters may be written.
        let done = unsafe { webp::WebPAnimDecoderGetNext(self.decoder, &raw mut canvas, &raw mut end_ms) };
        if done == 0 || canvas.is_null() {
            return Err(broken(Format::Webp, "a frame is broken or cut short"));
        }
        // SAFETY: on success `canvas` points to width × height RGBA pixels of the canvas size that GetInfo told; they
        // stay until the next call on this decoder, and are copied here.
        let pixels = unsafe { std::slice::from_raw_parts(canvas, self.size.area() as usize * 4) }.to_vec();
        let shown_ms = end_ms.saturating_sub(self.clock_ms).max(0);
        self.clock_ms = end_ms;
        let frame = Frame::new(self.size, Layout::Rgba, pixels)
            .ok_or_else(|| broken(Format::Webp, "its canvas has no size"))?;
        Ok(Some((frame, Duration::from_millis(shown_ms as u64))))
    }
}

impl Drop for Player<'_> {
    fn drop(&mut self) {
        // SAFETY: the decoder came from WebPAnimDecoderNew and is deleted once.
        unsafe { webp::WebPAnimDecoderDelete(self.decoder) };
    }
}
