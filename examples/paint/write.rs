//! Writers: developed bytes in, one file out, each with the property its format is there to show.

use std::{fs, fs::File, io::BufWriter, path::Path};

use anyhow::{Result, anyhow, ensure};
use exif::{Field, In, Rational, Tag, Value, experimental::Writer};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use quantette::{ImageRef, PaletteSize, Pipeline, QuantizeMethod, deps::palette::Srgb};

/// Interleaved samples of a picture, top row first.
pub(crate) struct Bytes {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<u8>,
}

/// How a JPEG is written.
pub(crate) struct Jpeg {
    pub(crate) quality: u8,
    pub(crate) progressive: bool,
    /// A TIFF structure, without the `Exif` prefix.
    pub(crate) exif: Option<Vec<u8>>,
    pub(crate) icc: Option<Vec<u8>>,
}

/// Baseline, no metadata.
pub(crate) const PLAIN: Jpeg = Jpeg { quality: 88, progressive: false, exif: None, icc: None };

/// Writes RGB with 4:2:0 chroma.
pub(crate) fn jpeg(path: &Path, rgb: &Bytes, style: &Jpeg) -> Result<()> {
    let mut encoder = Encoder::new_file(path, style.quality)?;
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_optimized_huffman_tables(true);
    encoder.set_progressive(style.progressive);
    if let Some(exif) = &style.exif {
        encoder.add_exif_metadata(exif)?;
    }
    if let Some(icc) = &style.icc {
        encoder.add_icc_profile(icc)?;
    }
    Ok(encoder.encode(&rgb.data, u16::try_from(rgb.width)?, u16::try_from(rgb.height)?, ColorType::Rgb)?)
}

/// Writes RGB as four inks with an Adobe marker; the encoder stores them inverted, as Adobe does.
pub(crate) fn jpeg_cmyk(path: &Path, rgb: &Bytes) -> Result<()> {
    let inks = |p: &[u8]| {
        // Grey component replacement: three quarters of the common ink becomes black.
        let all = p.iter().map(|&c| 255 - u32::from(c));
        let black = all.clone().min().unwrap_or(0) * 3 / 4;
        all.map(|ink| ((ink - black) * 255 / (255 - black)) as u8).chain([black as u8]).collect::<Vec<_>>()
    };
    let cmyk: Vec<u8> = rgb.data.chunks_exact(3).flat_map(inks).collect();
    let mut encoder = Encoder::new_file(path, 88)?;
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    Ok(encoder.encode(&cmyk, u16::try_from(rgb.width)?, u16::try_from(rgb.height)?, ColorType::Cmyk)?)
}

/// What a camera held upright by Lake Geneva would note: orientation 6, exposure, place.
pub(crate) fn camera_notes() -> Result<Vec<u8>> {
    let text = |s: &str| Value::Ascii(vec![s.as_bytes().to_vec()]);
    let ratios = |r: &[(u32, u32)]| Value::Rational(r.iter().map(|&(num, denom)| Rational { num, denom }).collect());
    let notes = [
        (Tag::Make, text("mogr")),
        (Tag::Model, text("mogr paint")),
        (Tag::Orientation, Value::Short(vec![6])),
        (Tag::DateTime, text("2024:05:18 18:42:07")),
        (Tag::DateTimeOriginal, text("2024:05:18 18:42:07")),
        (Tag::ExposureTime, ratios(&[(1, 125)])),
        (Tag::FNumber, ratios(&[(18, 10)])),
        (Tag::PhotographicSensitivity, Value::Short(vec![200])),
        (Tag::FocalLength, ratios(&[(85, 1)])),
        (Tag::GPSVersionID, Value::Byte(vec![2, 3, 0, 0])),
        // 46.5197 N, 6.6323 E in degrees, minutes, seconds.
        (Tag::GPSLatitudeRef, text("N")),
        (Tag::GPSLatitude, ratios(&[(46, 1), (31, 1), (1092, 100)])),
        (Tag::GPSLongitudeRef, text("E")),
        (Tag::GPSLongitude, ratios(&[(6, 1), (37, 1), (5628, 100)])),
    ];
    let fields = notes.map(|(tag, value)| Field { tag, ifd_num: In::PRIMARY, value });
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut tiff = std::io::Cursor::new(Vec::new());
    writer.write(&mut tiff, false)?;
    Ok(tiff.into_inner())
}

/// Writes 8- or 16-bit PNG; `data` has the samples as PNG orders them, 16-bit ones with the high byte first.
pub(crate) fn png(path: &Path, image: &Bytes, color: png::ColorType, depth: png::BitDepth) -> Result<()> {
    let mut encoder = png_encoder(path, image)?;
    encoder.set_color(color);
    encoder.set_depth(depth);
    Ok(encoder.write_header()?.write_image_data(&image.data)?)
}

fn png_encoder(path: &Path, image: &Bytes) -> Result<png::Encoder<'static, BufWriter<File>>> {
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(file, u32::try_from(image.width)?, u32::try_from(image.height)?);
    encoder.set_compression(png::Compression::High);
    Ok(encoder)
}

/// Cover from which a pixel of an indexed PNG is opaque.
const SOLID: u8 = 160;

/// Writes RGBA as an indexed PNG: 32 levels of see-through black, then `colors` opaque ones.
///
/// What covers less than [`SOLID`] counts as black shadow, the rest as opaque.
pub(crate) fn png_indexed(path: &Path, rgba: &Bytes, colors: u16) -> Result<()> {
    const LEVELS: u8 = 32;
    const STEP: u8 = SOLID / LEVELS;
    let opaque: Vec<u8> = rgba.data.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    let (mut palette, mut indices) = reduce(&Bytes { data: opaque, ..*rgba }, colors)?;
    for (index, pixel) in indices.iter_mut().zip(rgba.data.chunks_exact(4)) {
        *index = if pixel[3] < SOLID { pixel[3] / STEP } else { *index + LEVELS };
    }
    palette.splice(0..0, [0; LEVELS as usize * 3]);
    let mut encoder = png_encoder(path, rgba)?;
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.set_trns((0..LEVELS).map(|i| i * STEP).collect::<Vec<_>>());
    Ok(encoder.write_header()?.write_image_data(&indices)?)
}

/// The best `colors` colors for RGB pixels, and each pixel's index among them, dithered.
fn reduce(rgb: &Bytes, colors: u16) -> Result<(Vec<u8>, Vec<u8>)> {
    let pixels: Vec<_> = rgb.data.chunks_exact(3).map(|p| Srgb::new(p[0], p[1], p[2])).collect();
    let image = ImageRef::new(u32::try_from(rgb.width)?, u32::try_from(rgb.height)?, &pixels)
        .map_err(|refused| anyhow!("{refused}"))?;
    let (palette, indices) = Pipeline::new()
        .palette_size(PaletteSize::try_from(colors)?)
        .quantize_method(QuantizeMethod::Wu)
        .input_image(image)
        .output_srgb8_indexed_image()
        .into_parts();
    Ok((palette.iter().flat_map(|c| [c.red, c.green, c.blue]).collect(), indices))
}

/// Writes RGB frames as a GIF that loops for ever, each frame with its own palette of `colors`.
pub(crate) fn gif(path: &Path, frames: &[Bytes], delay_ms: u16, colors: u16) -> Result<()> {
    let (width, height) = (u16::try_from(frames[0].width)?, u16::try_from(frames[0].height)?);
    let mut encoder = gif::Encoder::new(BufWriter::new(File::create(path)?), width, height, &[])?;
    encoder.set_repeat(gif::Repeat::Infinite)?;
    for frame in frames {
        let (palette, indices) = reduce(frame, colors)?;
        let mut frame = gif::Frame::from_palette_pixels(width, height, indices, palette, None);
        frame.delay = delay_ms / 10;
        encoder.write_frame(&frame)?;
    }
    Ok(())
}

/// Writes RGB as lossy WebP.
pub(crate) fn webp_lossy(path: &Path, rgb: &Bytes, quality: f32) -> Result<()> {
    Ok(fs::write(path, encode_webp(rgb, 3, Some(quality))?)?)
}

/// Writes RGBA as lossless WebP.
pub(crate) fn webp_lossless(path: &Path, rgba: &Bytes) -> Result<()> {
    Ok(fs::write(path, encode_webp(rgba, 4, None)?)?)
}

fn encode_webp(image: &Bytes, channels: usize, quality: Option<f32>) -> Result<Vec<u8>> {
    ensure!(image.data.len() == image.width * image.height * channels, "pixels do not fill the picture");
    let (width, height) = (i32::try_from(image.width)?, i32::try_from(image.height)?);
    let (stride, pixels) = (width * channels as i32, image.data.as_ptr());
    let mut out = std::ptr::null_mut();
    // SAFETY: `pixels` holds `height` rows of `stride` bytes (checked above); on success `out` owns `size` bytes,
    // which are copied before they are freed, once, by the library's own function.
    let encoded = unsafe {
        let size = match quality {
            Some(quality) => libwebp_sys::WebPEncodeRGB(pixels, width, height, stride, quality, &mut out),
            None => libwebp_sys::WebPEncodeLosslessRGBA(pixels, width, height, stride, &mut out),
        };
        let bytes = if size == 0 { Vec::new() } else { std::slice::from_raw_parts(out, size).to_vec() };
        libwebp_sys::WebPFree(out.cast());
        bytes
    };
    ensure!(!encoded.is_empty(), "libwebp refused the picture");
    Ok(encoded)
}

/// Writes RGBA frames as an animated WebP that loops for ever (container layout: RFC 9649, section 2.7).
pub(crate) fn webp_animated(path: &Path, frames: &[Bytes], delay_ms: u32) -> Result<()> {
    let u24 = |n: usize| (n as u32).to_le_bytes()[..3].to_vec();
    let size = [u24(frames[0].width - 1), u24(frames[0].height - 1)].concat();
    // Flags: alpha 0x10, animation 0x02. ANIM: background colour, then 0 loops, which is for ever.
    let mut body = [b"WEBP".to_vec(), chunk(b"VP8X", &[&[0x12, 0, 0, 0][..], &size].concat())].concat();
    body.extend(chunk(b"ANIM", &[0; 6]));
    for frame in frames {
        let still = encode_webp(frame, 4, None)?;
        // At the origin, replacing what was there (do not blend: 0x02); the still's RIFF header is left out.
        let head = [vec![0; 6], size.clone(), u24(delay_ms as usize), vec![0x02]].concat();
        body.extend(chunk(b"ANMF", &[&head[..], &still[12..]].concat()));
    }
    Ok(fs::write(path, chunk(b"RIFF", &body))?)
}

fn chunk(name: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&name[..], &(payload.len() as u32).to_le_bytes(), payload].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}
