//! AVIF, by libavif (container, colour) and dav1d (AV1).
//!
//! A sequence shows its first frame. A clean aperture (`clap`) is not applied, and samples of HDR transfer curves are
//! read as they stand: nothing maps their tones.

use std::ffi::CStr;

use libavif_sys as avif;

use super::{broken, unsupported};
use crate::engine::image::{ColorModel, Depth, Format, Frame, Header, Layout};
use crate::engine::limits::Limits;
use crate::engine::metadata::{self, Metadata};
use crate::engine::{Error, color};
use crate::geometry::{Orientation, Size};

/// libavif accepts no larger limit of pixels.
const MAX_PIXELS: u64 = avif::AVIF_DEFAULT_IMAGE_SIZE_LIMIT as u64;

/// Exif's number of an orientation by `irot` (quarter turns against the clock, done first) and `imir`: no mirror,
/// top with bottom, left with right (ISO/IEC 23008-12, 6.5.10 and 6.5.12).
const ORIENTATIONS: [[u32; 3]; 4] = [[1, 4, 2], [8, 5, 7], [3, 2, 4], [6, 7, 5]];

pub(super) fn probe(bytes: &[u8]) -> Result<Header, Error> {
    Ok(Decoder::open(bytes, None)?.header(bytes))
}

pub(super) fn still(bytes: &[u8], limits: &Limits) -> Result<Frame, Error> {
    let mut decoder = Decoder::open(bytes, Some(limits))?;
    let header = decoder.header(bytes);
    limits.check_source(header.size)?;
    decoder.read_pixels()?;
    // The pictures inside have headers of their own.
    let inner = decoder.header(bytes);
    if inner.size != header.size || (inner.color_model == ColorModel::Gray) != (header.color_model == ColorModel::Gray)
    {
        return Err(broken(Format::Avif, "its picture is not what its header says"));
    }
    let layout = metadata::frame_layout(&header);
    decoder.pixels(header.size, layout)
}

/// ICC profile and EXIF data. Where there is no profile but a code for primaries other than sRGB's, the profile of
/// that code.
pub(in crate::engine) fn metadata(bytes: &[u8]) -> Metadata {
    let Ok(decoder) = Decoder::open(bytes, None) else { return Metadata::default() };
    let image = decoder.image();
    let exif = data(&image.exif).map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif).to_vec());
    let icc = match data(&image.icc) {
        Some(icc) => Some(icc.to_vec()),
        None => color::profile_of_cicp(image.colorPrimaries, image.transferCharacteristics),
    };
    Metadata { icc, exif, density_dpi: None }
}

/// libavif's decoder on a file that outlives it.
struct Decoder<'a> {
    decoder: *mut avif::avifDecoder,
    bytes: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> Decoder<'a> {
    /// Reads the boxes of the file; no pixels.
    fn open(bytes: &'a [u8], limits: Option<&Limits>) -> Result<Self, Error> {
        // SAFETY: no precondition; null is checked below.
        let decoder = unsafe { avif::avifDecoderCreate() };
        if decoder.is_null() {
            return Err(broken(Format::Avif, "the decoder does not start"));
        }
        let opened = Self { decoder, bytes: std::marker::PhantomData };
        // SAFETY: the decoder is live, and nothing else refers to it.
        let settings = unsafe { &mut *decoder };
        settings.codecChoice = avif::AVIF_CODEC_CHOICE_DAV1D;
        settings.maxThreads = 1;
        settings.ignoreXMP = 1;
        // Writers that leave out `pixi` are many, and nothing here needs it.
        settings.strictFlags = avif::AVIF_STRICT_ENABLED & !avif::AVIF_STRICT_PIXI_REQUIRED;
        settings.imageDimensionLimit = 0;
        if let Some(limits) = limits {
            settings.imageSizeLimit = limits.source_pixels.clamp(1, MAX_PIXELS) as u32;
            settings.imageDimensionLimit = limits.source_edge.max(1);
        }
        // SAFETY: the decoder is live; the bytes outlive it (lifetime of the type).
        let set = unsafe { avif::avifDecoderSetIOMemory(decoder, bytes.as_ptr(), bytes.len()) };
        opened.check(set)?;
        // SAFETY: the decoder is live and has its input.
        let parsed = unsafe { avif::avifDecoderParse(decoder) };
        opened.check(parsed)?;
        Ok(opened)
    }

    fn image(&self) -> &avif::avifImage {
        // SAFETY: after a successful parse the decoder owns an image, which lives as long as it.
        unsafe { &*(*self.decoder).image }
    }

    fn header(&self, bytes: &[u8]) -> Header {
        let image = self.image();
        // SAFETY: the decoder is live.
        let has_alpha = unsafe { (*self.decoder).alphaPresent } != 0;
        let color_model = match (image.yuvFormat, has_alpha) {
            (avif::AVIF_PIXEL_FORMAT_YUV400, false) => ColorModel::Gray,
            (avif::AVIF_PIXEL_FORMAT_YUV400, true) => ColorModel::GrayAlpha,
            (_, true) => ColorModel::Nrgba,
            _ if u32::from(image.matrixCoefficients) == avif::AVIF_MATRIX_COEFFICIENTS_IDENTITY => ColorModel::Rgb,
            _ => ColorModel::Ycbcr,
        };
        Header {
            format: Format::Avif,
            size: Size::new(image.width, image.height),
            orientation: orientation(image),
            frames: 1,
            color_model,
            depth: Depth::Eight,
            has_alpha,
            bytes: bytes.len() as u64,
            jpeg_quality: None,
            sampling: None,
            may_have_profile: true,
            by_rows: false,
        }
    }

    fn read_pixels(&mut self) -> Result<(), Error> {
        // SAFETY: the decoder is live and has parsed its input.
        let read = unsafe { avif::avifDecoderNextImage(self.decoder) };
        self.check(read)
    }

    /// The decoded picture in 8 bits a channel.
    fn pixels(&self, size: Size, layout: Layout) -> Result<Frame, Error> {
        let shown = if layout == Layout::Gray { Layout::Rgb } else { layout };
        let length = usize::try_from(size.area()).ok().and_then(|area| area.checked_mul(shown.channels()));
        let row = size.width.checked_mul(shown.channels() as u32);
        let (Some(length), Some(row)) = (length, row) else {
            return Err(broken(Format::Avif, "its size has no meaning"));
        };
        let mut pixels = vec![0; length];
        let mut rgb = avif::avifRGBImage::default();
        // SAFETY: both images are live; the call fills `rgb` with the size of the other, which `still` has compared.
        unsafe { avif::avifRGBImageSetDefaults(&raw mut rgb, self.image()) };
        rgb.depth = 8;
        rgb.format = if shown == Layout::Rgba { avif::AVIF_RGB_FORMAT_RGBA } else { avif::AVIF_RGB_FORMAT_RGB };
        rgb.pixels = pixels.as_mut_ptr();
        rgb.rowBytes = row;
        // SAFETY: `pixels` holds `height` rows of `row` bytes, each of `width` pixels in that format.
        let converted = unsafe { avif::avifImageYUVToRGB(self.image(), &raw mut rgb) };
        if converted != avif::AVIF_RESULT_OK {
            return Err(unsupported(Format::Avif, format_args!("its colours: {}", result_text(converted))));
        }
        if layout == Layout::Gray {
            pixels = pixels.chunks_exact(3).map(|pixel| pixel[0]).collect();
        }
        Frame::new(size, layout, pixels).ok_or_else(|| broken(Format::Avif, "its size has no meaning"))
    }

    fn check(&self, result: avif::avifResult) -> Result<(), Error> {
        match result {
            avif::AVIF_RESULT_OK => Ok(()),
            avif::AVIF_RESULT_TRUNCATED_DATA => Err(broken(Format::Avif, "it is cut short")),
            avif::AVIF_RESULT_NOT_IMPLEMENTED | avif::AVIF_RESULT_UNSUPPORTED_DEPTH => {
                Err(unsupported(Format::Avif, result_text(result)))
            }
            _ => Err(broken(Format::Avif, result_text(result))),
        }
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: the decoder came from avifDecoderCreate and is destroyed once.
        unsafe { avif::avifDecoderDestroy(self.decoder) };
    }
}

/// What the boxes say; where there is none, what the EXIF data says.
fn orientation(image: &avif::avifImage) -> Option<Orientation> {
    let turned = image.transformFlags & avif::AVIF_TRANSFORM_IROT != 0;
    let mirrored = image.transformFlags & avif::AVIF_TRANSFORM_IMIR != 0;
    if !turned && !mirrored {
        return data(&image.exif).and_then(metadata::orientation);
    }
    let turns = if turned { usize::from(image.irot.angle % 4) } else { 0 };
    let mirror = if mirrored { 1 + usize::from(image.imir.axis % 2) } else { 0 };
    Orientation::from_exif(ORIENTATIONS[turns][mirror])
}

fn data(raw: &avif::avifRWData) -> Option<&[u8]> {
    if raw.data.is_null() || raw.size == 0 {
        return None;
    }
    // SAFETY: libavif keeps `size` bytes behind a pointer that is not null, as long as the image that holds it.
    Some(unsafe { std::slice::from_raw_parts(raw.data, raw.size) })
}

/// libavif's words for a result.
pub(in crate::engine) fn result_text(result: avif::avifResult) -> String {
    // SAFETY: for every number the call answers a static string.
    let text = unsafe { CStr::from_ptr(avif::avifResultToString(result)) };
    text.to_string_lossy().to_lowercase()
}
