//! AVIF, by libavif (container, colour) and libaom (AV1).
//!
//! One call encodes a picture, on one thread: it cannot be stopped, and the limits of results bound how long it takes.

use std::ffi::{CStr, c_int};

use libavif_sys as avif;

use super::{Effort, FULL_CHROMA_QUALITY, Settings, is_translucent, unencodable};
use crate::engine::Error;
use crate::engine::decode::avif::result_text;
use crate::engine::image::{Frame, Layout};
use crate::plan::output::OutputFormat;

/// Decoders built on libavif refuse longer edges unless told otherwise.
const MAX_EDGE: u32 = avif::AVIF_DEFAULT_IMAGE_DIMENSION_LIMIT;

/// libaom's speed, 0 (slowest) to 9: 800 × 600 pixels take 0.12 s at 6, and some 0.7 s at 5 for about 3 % fewer bytes at equal
/// SSIMULACRA2. 9 takes 0.03 s a megapixel and a tenth more bytes; 7 is no better than 9, and 8 needs half as much again.
const SPEED_FAST: c_int = 6;
const SPEED_SMALL: c_int = 5;
const SPEED_LARGE: c_int = 9;

/// One encode cannot be stopped, so that larger pictures are encoded at [`SPEED_LARGE`]: under a second for the largest result
/// that the default limits allow.
const LARGE_PIXELS: u64 = 1_000_000;

/// The same where nobody waits: up to [`PATIENT_LARGE_PIXELS`] it is done as fast as smaller ones are elsewhere.
const PATIENT_LARGE_PIXELS: u64 = 4_000_000;

/// libaom's quantisation matrices save a few percent of the bytes at equal SSIMULACRA2. libavif already tunes for SSIM, without
/// which 5 to 11 % more are needed.
const MATRICES: (&CStr, &CStr) = (c"enable-qm", c"1");

/// Without identity and flipped transforms, on which no matrix acts, photographs need 10 to 13 % fewer bytes at equal
/// SSIMULACRA2; drawings and text, which are what those are made for, up to 30 % more.
const PHOTOGRAPH_SMALL: (&CStr, &CStr) = (c"enable-flip-idtx", c"0");

/// The cosine transform alone needs 1 to 2 % more bytes again, and three quarters of the time.
const PHOTOGRAPH_FAST: (&CStr, &CStr) = (c"use-intra-dct-only", c"1");

/// Quality here to quality there; between the rows it is linear. A picture of 800 × 600 then scores one to two points less
/// SSIMULACRA2 than a JPEG of that quality by our tables, and more than one by the standard's; at 50 it has fewer bytes than
/// sharp writes at a like speed. 100 there would be libaom's lossless mode.
const QUALITIES: [(c_int, c_int); 7] = [(1, 8), (30, 42), (50, 52), (75, 70), (85, 84), (90, 89), (100, 99)];

/// What [`SPEED_LARGE`] needs to score as much.
const LARGE_EXTRA_QUALITY: c_int = 3;

pub(super) fn encode(frame: &Frame, settings: &Settings) -> Result<Vec<u8>, Error> {
    if frame.size().long() > MAX_EDGE {
        return Err(failed(format_args!("{} is over {MAX_EDGE} pixels", frame.size())));
    }
    let mut image = Image::new(frame, settings)?;
    image.fill(frame)?;
    image.embed(settings, frame.layout())?;
    Encoder::new(settings, frame)?.write(&image)
}

/// libavif's quality for ours.
fn quality(quality: u8, speed: c_int) -> c_int {
    let quality = c_int::from(quality.clamp(1, 100));
    let above = QUALITIES.iter().position(|row| row.0 >= quality).unwrap_or(QUALITIES.len() - 1).max(1);
    let ((from, low), (to, high)) = (QUALITIES[above - 1], QUALITIES[above]);
    let equal = low + ((quality - from) * (high - low) + (to - from) / 2) / (to - from);
    if speed == SPEED_LARGE { (equal + LARGE_EXTRA_QUALITY).min(QUALITIES[QUALITIES.len() - 1].1) } else { equal }
}

/// The speed for a picture of so many pixels.
const fn speed(pixels: u64, effort: Effort) -> c_int {
    match (effort, pixels) {
        (Effort::Fast, ..=LARGE_PIXELS) => SPEED_FAST,
        (Effort::Small, ..=LARGE_PIXELS) => SPEED_SMALL,
        (Effort::Small, ..=PATIENT_LARGE_PIXELS) => SPEED_FAST,
        _ => SPEED_LARGE,
    }
}

/// Whether most pixels are as the one before them: a drawing, text, a screenshot. Even photographs on plain grounds are not.
fn is_drawn(frame: &Frame) -> bool {
    let pixel_bytes = frame.layout().channels();
    let pixels = frame.pixels().chunks_exact(pixel_bytes);
    let repeated = pixels.clone().zip(pixels.skip(1)).filter(|(pixel, next)| pixel == next).count() as u64;
    repeated * 3 > frame.size().area() * 2
}

/// An owned picture of libavif.
struct Image(*mut avif::avifImage);

impl Image {
    fn new(frame: &Frame, settings: &Settings) -> Result<Self, Error> {
        let format = match (frame.layout(), settings.quality) {
            (Layout::Gray, _) => avif::AVIF_PIXEL_FORMAT_YUV400,
            (_, FULL_CHROMA_QUALITY..) => avif::AVIF_PIXEL_FORMAT_YUV444,
            _ => avif::AVIF_PIXEL_FORMAT_YUV420,
        };
        let size = frame.size();
        // SAFETY: no precondition; null is checked below.
        let image = unsafe { avif::avifImageCreate(size.width, size.height, 8, format) };
        if image.is_null() {
            return Err(failed("the encoder does not start"));
        }
        Ok(Self(image))
    }

    /// Converts the pixels in, as full-range BT.601 like JPEG's, marked as sRGB.
    fn fill(&mut self, frame: &Frame) -> Result<(), Error> {
        let widened;
        let frame = match frame.layout() {
            Layout::Gray => {
                widened = frame.clone().into_layout(Layout::Rgb);
                &widened
            }
            _ => frame,
        };
        // SAFETY: the image is live, and nothing else refers to it.
        let image = unsafe { &mut *self.0 };
        image.yuvRange = avif::AVIF_RANGE_FULL;
        image.colorPrimaries = avif::AVIF_COLOR_PRIMARIES_BT709 as avif::avifColorPrimaries;
        image.transferCharacteristics = avif::AVIF_TRANSFER_CHARACTERISTICS_SRGB as avif::avifTransferCharacteristics;
        image.matrixCoefficients = avif::AVIF_MATRIX_COEFFICIENTS_BT601 as avif::avifMatrixCoefficients;
        let mut rgb = avif::avifRGBImage::default();
        // SAFETY: both images are live; the call fills `rgb` with the size of the other, which is the frame's.
        unsafe { avif::avifRGBImageSetDefaults(&raw mut rgb, self.0) };
        rgb.depth = 8;
        rgb.format = match frame.layout() {
            Layout::Rgba => avif::AVIF_RGB_FORMAT_RGBA,
            _ => avif::AVIF_RGB_FORMAT_RGB,
        };
        rgb.ignoreAlpha = c_int::from(!is_translucent(frame));
        rgb.pixels = frame.pixels().as_ptr().cast_mut();
        rgb.rowBytes = frame.stride() as u32;
        // SAFETY: the frame holds height rows of `stride` bytes (its invariant) in that format, and is only read.
        let converted = unsafe { avif::avifImageRGBToYUV(self.0, &raw const rgb) };
        check(converted)
    }

    /// Puts the profile and the EXIF data in.
    fn embed(&mut self, settings: &Settings, layout: Layout) -> Result<(), Error> {
        if let Some(icc) = settings.icc_for(layout) {
            // SAFETY: the image is live; the call copies the bytes.
            check(unsafe { avif::avifImageSetProfileICC(self.0, icc.as_ptr(), icc.len()) })?;
            // SAFETY: the image is live, and nothing else refers to it. The profile says what the codes cannot.
            let image = unsafe { &mut *self.0 };
            image.colorPrimaries = avif::AVIF_COLOR_PRIMARIES_UNSPECIFIED as avif::avifColorPrimaries;
            image.transferCharacteristics =
                avif::AVIF_TRANSFER_CHARACTERISTICS_UNSPECIFIED as avif::avifTransferCharacteristics;
        }
        if let Some(exif) = &settings.metadata.exif {
            // It also writes the orientation as boxes, which is where readers of AVIF look for it.
            // SAFETY: the image is live; the call copies the bytes.
            check(unsafe { avif::avifImageSetMetadataExif(self.0, exif.as_ptr(), exif.len()) })?;
        }
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: the image came from avifImageCreate and is destroyed once.
        unsafe { avif::avifImageDestroy(self.0) };
    }
}

struct Encoder(*mut avif::avifEncoder);

impl Encoder {
    /// An encoder for such a picture.
    fn new(settings: &Settings, frame: &Frame) -> Result<Self, Error> {
        // SAFETY: no precondition; null is checked below.
        let encoder = Self(unsafe { avif::avifEncoderCreate() });
        if encoder.0.is_null() {
            return Err(failed("the encoder does not start"));
        }
        // SAFETY: the encoder is live, and nothing else refers to it.
        let set = unsafe { &mut *encoder.0 };
        set.codecChoice = avif::AVIF_CODEC_CHOICE_AOM;
        set.maxThreads = 1;
        set.speed = speed(frame.size().area(), settings.effort);
        set.quality = quality(settings.quality, set.speed);
        set.qualityAlpha = set.quality;
        encoder.set(MATRICES)?;
        if !is_drawn(frame) {
            encoder.set(if settings.effort == Effort::Small { PHOTOGRAPH_SMALL } else { PHOTOGRAPH_FAST })?;
        }
        Ok(encoder)
    }

    /// Sets an option of libaom's own.
    fn set(&self, (name, value): (&CStr, &CStr)) -> Result<(), Error> {
        // SAFETY: the encoder is live; the call copies both strings.
        check(unsafe { avif::avifEncoderSetCodecSpecificOption(self.0, name.as_ptr(), value.as_ptr()) })
    }

    fn write(&self, image: &Image) -> Result<Vec<u8>, Error> {
        let mut output = avif::avifRWData::default();
        // SAFETY: encoder and image are live, `output` may be written.
        let written = unsafe { avif::avifEncoderWrite(self.0, image.0, &raw mut output) };
        let file = if output.data.is_null() {
            Vec::new()
        } else {
            // SAFETY: `output` holds `size` bytes behind a pointer that is not null.
            unsafe { std::slice::from_raw_parts(output.data, output.size) }.to_vec()
        };
        // SAFETY: the bytes are libavif's and not used again.
        unsafe { avif::avifRWDataFree(&raw mut output) };
        check(written)?;
        Ok(file)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the encoder came from avifEncoderCreate and is destroyed once.
        unsafe { avif::avifEncoderDestroy(self.0) };
    }
}

fn check(result: avif::avifResult) -> Result<(), Error> {
    if result == avif::AVIF_RESULT_OK { Ok(()) } else { Err(failed(result_text(result))) }
}

fn failed(problem: impl std::fmt::Display) -> Error {
    unencodable(OutputFormat::Avif, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn larger_pictures_are_encoded_faster() {
        for (pixels, fast, small) in
            [(1, 6, 5), (1_000_000, 6, 5), (1_000_001, 9, 6), (4_000_000, 9, 6), (4_000_001, 9, 9), (u64::MAX, 9, 9)]
        {
            assert_eq!((speed(pixels, Effort::Fast), speed(pixels, Effort::Small)), (fast, small), "{pixels}");
        }
    }

    #[test]
    fn qualities_follow_jpegs() {
        for (ours, theirs, large) in [
            (0, 8, 11),
            (1, 8, 11),
            (30, 42, 45),
            (50, 52, 55),
            (75, 70, 73),
            (90, 89, 92),
            (97, 96, 99),
            (255, 99, 99),
        ] {
            assert_eq!((quality(ours, SPEED_FAST), quality(ours, SPEED_LARGE)), (theirs, large), "{ours}");
        }
        assert!((1..100).all(|value| quality(value, SPEED_FAST) <= quality(value + 1, SPEED_FAST)));
    }

    #[test]
    fn drawings_repeat_their_pixels() {
        let size = Size::new(40, 30);
        let frame = |value: fn(usize) -> u8| {
            let pixels = (0..size.area() as usize).flat_map(|at| [value(at); 3]).collect();
            Frame::new(size, Layout::Rgb, pixels).expect("as many pixels as the size says")
        };
        assert!(is_drawn(&frame(|_| 255)));
        assert!(is_drawn(&frame(|at| if at % 40 < 10 { at as u8 } else { 255 })));
        assert!(!is_drawn(&frame(|at| if at % 40 < 20 { at as u8 } else { 255 })));
    }
}
