//! WebP, by libwebp: stills and animations, lossy and lossless.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::time::Duration;

use libwebp_sys as webp;

use super::webp_file::{check_size, failed, fitting};
use super::{Effort, Settings, is_translucent};
use crate::engine::Error;
use crate::engine::decode::riff;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;
use crate::engine::metadata::Metadata;
use crate::engine::planes::Planes;
use crate::geometry::Size;

/// How many times coarser than luma chroma is in lossy files.
pub(super) const CHROMA_COARSENESS: Option<u32> = Some(2);

/// Effort of the search, 0–6: at 2 files are 3 % larger than at 4 and take half the time (800 × 600).
const METHOD_FAST: c_int = 2;
/// Drawings and cut-outs, which have alpha, gain 6 % by 4.
const METHOD_FAST_ALPHA: c_int = 4;
const METHOD_SMALL: c_int = 5;

pub(super) fn encode(frame: &Frame, settings: &Settings) -> Result<Vec<u8>, Error> {
    check_size(frame.size())?;
    let is_translucent = is_translucent(frame);
    let config = config(settings, is_translucent)?;
    let mut picture = Picture::import(frame, settings.lossless)?;
    let file = picture.encode(&config, &settings.cancel)?;
    Ok(riff::with_metadata(file, frame.size(), is_translucent, &fitting(settings, frame.layout())))
}

pub(super) fn encode_planes(planes: &Planes, settings: &Settings) -> Result<Vec<u8>, Error> {
    check_size(planes.size())?;
    let config = config(settings, false)?;
    let file = Picture::of_planes(planes)?.encode(&config, &settings.cancel)?;
    Ok(riff::with_metadata(file, planes.size(), false, &fitting(settings, Layout::Rgb)))
}

/// Collects the frames of an animation; libwebp finds out what changed between them.
pub(super) struct Writer {
    encoder: *mut webp::WebPAnimEncoder,
    config: webp::WebPConfig,
    size: Size,
    metadata: Metadata,
    clock_ms: u64,
    frames: u32,
    translucent: bool,
}

impl Writer {
    pub(super) fn new(size: Size, loops: u32, settings: &Settings) -> Result<Self, Error> {
        check_size(size)?;
        let config = config(settings, false)?;
        let version = webp::WebPGetMuxABIVersion();
        let mut options = MaybeUninit::<webp::WebPAnimEncoderOptions>::zeroed();
        // SAFETY: `options` may be written; the call fills it with defaults or answers 0.
        if unsafe { webp::WebPAnimEncoderOptionsInitInternal(options.as_mut_ptr(), version) } == 0 {
            return Err(failed("the encoder does not start"));
        }
        // SAFETY: the call above has filled it.
        let mut options = unsafe { options.assume_init() };
        // The file has 16 bits for it.
        options.anim_params.loop_count = loops.min(u32::from(u16::MAX)) as c_int;
        let (width, height) = (size.width as c_int, size.height as c_int);
        // SAFETY: `options` is filled and copied by the call; a bad size answers null.
        let encoder = unsafe { webp::WebPAnimEncoderNewInternal(width, height, &raw const options, version) };
        if encoder.is_null() {
            return Err(failed("the encoder does not start"));
        }
        let metadata = fitting(settings, Layout::Rgba);
        Ok(Self { encoder, config, size, metadata, clock_ms: 0, frames: 0, translucent: false })
    }

    pub(super) fn push(&mut self, frame: &Frame, duration: Duration) -> Result<(), Error> {
        // The animation encoder compares frames as ARGB; from YUV it would convert back.
        let mut picture = Picture::import(frame, true)?;
        // SAFETY: encoder, picture and configuration are live; the encoder may change the picture, which is ours.
        let added = unsafe {
            webp::WebPAnimEncoderAdd(self.encoder, &raw mut picture.0, self.timestamp()?, &raw const self.config)
        };
        if added == 0 {
            return Err(failed("a frame was refused"));
        }
        self.translucent |= is_translucent(frame);
        self.frames += 1;
        self.clock_ms += u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, Error> {
        if self.frames == 0 {
            return Err(failed("it needs at least one frame"));
        }
        // SAFETY: the encoder is live; a null frame says when the last one ends.
        let ended = unsafe {
            webp::WebPAnimEncoderAdd(self.encoder, std::ptr::null_mut(), self.timestamp()?, std::ptr::null())
        };
        let mut data = webp::WebPData::default();
        // SAFETY: the encoder is live and `data` may be written.
        if ended == 0 || unsafe { webp::WebPAnimEncoderAssemble(self.encoder, &raw mut data) } == 0 {
            return Err(failed("the animation could not be put together"));
        }
        // SAFETY: on success `data` points to `size` bytes.
        let file = unsafe { std::slice::from_raw_parts(data.bytes, data.size) }.to_vec();
        // SAFETY: the bytes were allocated by libwebp and are not used again.
        unsafe { webp::WebPDataClear(&mut data) };
        Ok(riff::with_metadata(file, self.size, self.translucent, &self.metadata))
    }

    /// libwebp's clock has 31 bits of milliseconds.
    fn timestamp(&self) -> Result<c_int, Error> {
        c_int::try_from(self.clock_ms).map_err(|_| failed("it lasts more than 24 days"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // SAFETY: the encoder came from WebPAnimEncoderNew and is deleted once.
        unsafe { webp::WebPAnimEncoderDelete(self.encoder) };
    }
}

/// An owned picture of libwebp.
struct Picture(webp::WebPPicture);

impl Picture {
    /// Copies the pixels in, as ARGB or as YUV.
    fn import(frame: &Frame, argb: bool) -> Result<Self, Error> {
        let mut picture = Self(webp::WebPPicture::new().map_err(|()| failed("the encoder does not start"))?);
        picture.0.use_argb = c_int::from(argb);
        picture.0.width = frame.size().width as c_int;
        picture.0.height = frame.size().height as c_int;
        let colored;
        let frame = match frame.layout() {
            Layout::Gray => {
                colored = frame.clone().into_layout(Layout::Rgb);
                &colored
            }
            _ => frame,
        };
        let import = match frame.layout() {
            Layout::Rgba => webp::WebPPictureImportRGBA,
            _ => webp::WebPPictureImportRGB,
        };
        // SAFETY: the frame holds height rows of `stride` bytes (its invariant) in the layout that `import` reads; the
        // call copies them into memory that the picture owns.
        let imported = unsafe { import(&raw mut picture.0, frame.pixels().as_ptr(), frame.stride() as c_int) };
        if imported == 0 { Err(failed("there is no memory for its pixels")) } else { Ok(picture) }
    }

    /// Copies planes in, from full range to the range that WebP has (BT.601: 16–235 for Y, 16–240 for chroma).
    fn of_planes(planes: &Planes) -> Result<Self, Error> {
        if planes.chroma.is_some() && planes.coarseness != 2 {
            return Err(failed("its chroma is not half as fine as its luma"));
        }
        let mut picture = Self(webp::WebPPicture::new().map_err(|()| failed("the encoder does not start"))?);
        picture.0.use_argb = 0;
        picture.0.width = planes.size().width as c_int;
        picture.0.height = planes.size().height as c_int;
        // SAFETY: the picture is initialised and has its size; the call allocates its planes, which it owns.
        if unsafe { webp::WebPPictureAlloc(&raw mut picture.0) } == 0 {
            return Err(failed("there is no memory for its pixels"));
        }
        let luma: [u8; 256] = std::array::from_fn(|value| (16.0 + value as f32 * (219.0 / 255.0)).round() as u8);
        let chroma: [u8; 256] =
            std::array::from_fn(|value| (128.0 + (value as f32 - 128.0) * (224.0 / 255.0)).round() as u8);
        let webp::WebPPicture { y, u, v, y_stride, uv_stride, .. } = picture.0;
        let coarse = Size::new(planes.size().width.div_ceil(2), planes.size().height.div_ceil(2));
        let gray = vec![128; if planes.chroma.is_none() { coarse.area() as usize } else { 0 }];
        let (cb, cr) = planes.chroma.as_ref().map_or((&gray[..], &gray[..]), |[cb, cr]| (cb.pixels(), cr.pixels()));
        for (target, stride, samples, size, range) in [
            (y, y_stride, planes.luma.pixels(), planes.size(), &luma),
            (u, uv_stride, cb, coarse, &chroma),
            (v, uv_stride, cr, coarse, &chroma),
        ] {
            for (row, samples) in samples.chunks_exact(size.width as usize).enumerate() {
                // SAFETY: the call above allocated planes of this size, `stride` bytes a row, and `row` is one of its
                // rows: the samples are as many as the plane has.
                let target =
                    unsafe { std::slice::from_raw_parts_mut(target.add(row * stride as usize), size.width as usize) };
                for (target, sample) in target.iter_mut().zip(samples) {
                    *target = range[usize::from(*sample)];
                }
            }
        }
        Ok(picture)
    }

    fn encode(&mut self, config: &webp::WebPConfig, cancel: &Cancel) -> Result<Vec<u8>, Error> {
        let mut memory = MaybeUninit::<webp::WebPMemoryWriter>::zeroed();
        // SAFETY: `memory` may be written; the call fills it.
        unsafe { webp::WebPMemoryWriterInit(memory.as_mut_ptr()) };
        // SAFETY: filled by the call above.
        let mut memory = unsafe { memory.assume_init() };
        self.0.writer = Some(webp::WebPMemoryWrite);
        self.0.custom_ptr = (&raw mut memory).cast();
        self.0.progress_hook = Some(goes_on);
        self.0.user_data = (&raw const *cancel).cast_mut().cast();
        // SAFETY: configuration and picture are live; the writer's memory and the flag outlive this call, their only user.
        let encoded = unsafe { webp::WebPEncode(config, &raw mut self.0) };
        self.0.custom_ptr = std::ptr::null_mut();
        self.0.progress_hook = None;
        self.0.user_data = std::ptr::null_mut();
        let file = if encoded == 0 || memory.mem.is_null() {
            Vec::new()
        } else {
            // SAFETY: after success `mem` points to `size` bytes.
            unsafe { std::slice::from_raw_parts(memory.mem, memory.size) }.to_vec()
        };
        // SAFETY: frees what the writer allocated; it is not used again.
        unsafe { webp::WebPMemoryWriterClear(&raw mut memory) };
        cancel.check()?;
        if encoded == 0 { Err(failed(format!("{:?}", self.0.error_code))) } else { Ok(file) }
    }
}

/// libwebp asks before each hundredth of its work whether to go on.
unsafe extern "C" fn goes_on(_percent: c_int, picture: *const webp::WebPPicture) -> c_int {
    // SAFETY: libwebp calls it with the picture it was set in, or a copy, during `Picture::encode`, which made `user_data`
    // point to a flag that is live until then and only read.
    let cancel = unsafe { &*(*picture).user_data.cast::<Cancel>() };
    c_int::from(cancel.check().is_ok())
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the picture was initialised and is freed once; the call frees only what the picture owns.
        unsafe { webp::WebPPictureFree(&raw mut self.0) };
    }
}

/// libwebp's quality for the one asked for. The fast method spends some twentieth more bytes on a quality than libwebp's usual
/// one, and our resampler leaves more detail to be coded than libvips does; a little less quality up to 90 leaves the bytes as
/// they are wont to be, at a score that is no lower. With alpha the method is the usual one, and what it saves beside libvips
/// goes into a little more quality.
fn quality(settings: &Settings, has_alpha: bool) -> f32 {
    const FULL_FROM: f32 = 90.0;
    let even = if has_alpha { 1.009 } else { 0.957 };
    let asked = f32::from(settings.quality.clamp(1, 100));
    match settings.effort {
        Effort::Small => asked,
        Effort::Fast if asked <= FULL_FROM => asked * even,
        Effort::Fast => 100.0 - (100.0 - asked) * (100.0 - FULL_FROM * even) / (100.0 - FULL_FROM),
    }
}

fn config(settings: &Settings, has_alpha: bool) -> Result<webp::WebPConfig, Error> {
    let mut config = webp::WebPConfig::new().map_err(|()| failed("the encoder does not start"))?;
    config.lossless = c_int::from(settings.lossless);
    config.method = match settings.effort {
        Effort::Small => METHOD_SMALL,
        Effort::Fast if has_alpha && !settings.lossless => METHOD_FAST_ALPHA,
        Effort::Fast => METHOD_FAST,
    };
    if settings.effort == Effort::Fast {
        // Alpha is compressed once more with a filter before it, which takes a third of the encode and gains nothing mostly.
        config.alpha_filtering = 0;
    }
    // For lossless pictures libwebp reads quality as effort.
    config.quality = if settings.lossless { 75.0 } else { quality(settings, has_alpha) };
    config.thread_level = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::tests::settings;
    use crate::plan::output::OutputFormat;

    #[test]
    fn qualities_are_evened_out() {
        for (asked, fast) in [(1, 0.957), (75, 71.775), (90, 86.13), (95, 93.065), (100, 100.0)] {
            let of = |effort| quality(&Settings { quality: asked, effort, ..settings(OutputFormat::Webp) }, false);
            assert!((of(Effort::Fast) - fast).abs() < 1e-3, "{asked} became {}", of(Effort::Fast));
            assert!((of(Effort::Small) - f32::from(asked)).abs() < 1e-3);
        }
    }
}
