//! Frames to palettes, by quantette (Oklab, Wu's cut or k-means with a fixed seed, Floyd–Steinberg dithering).

use quantette::deps::palette::Srgb;
use quantette::kmeans::KmeansOptions;
use quantette::{ImageRef, PaletteBuf, PaletteSize, Pipeline, QuantizeMethod};

use super::Effort;
use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;

/// Alpha from which a pixel of a one-bit mask is opaque.
pub(super) const OPAQUE_FROM: u8 = 128;

/// Levels of alpha in a palette with soft edges: these, and fully transparent.
const ALPHA_LEVELS: [u8; 4] = [64, 128, 192, 255];

/// Pixels that are looked through between two looks at the flag.
const BATCH_PIXELS: usize = 1 << 16;

/// Fewest colours that are worth sharing with alpha levels.
const FEWEST_SOFT_COLORS: u16 = 16;

/// A picture as indices into a palette of straight RGBA.
pub(super) struct Indexed {
    /// At most as many entries as were asked for, at least one.
    pub(super) palette: Vec<[u8; 4]>,
    /// One index a pixel.
    pub(super) indices: Vec<u8>,
}

impl Indexed {
    /// Index of the fully transparent entry.
    pub(super) fn transparent(&self) -> Option<u8> {
        self.palette.iter().position(|entry| entry[3] == 0).map(|index| index as u8)
    }
}

/// How alpha gets into the palette.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    /// One transparent entry, the rest opaque.
    Mask,
    /// Entries with levels of alpha, where the picture has soft edges and the palette room.
    Levels,
}

/// Reduces `frame` to at most `colors` (2–256) palette entries.
///
/// # Errors
/// [`Error::Cancelled`], looked for between passes over the picture; quantette's own are not stopped.
pub(super) fn quantize(
    frame: &Frame,
    colors: u16,
    alpha: Alpha,
    effort: Effort,
    cancel: &Cancel,
) -> Result<Indexed, Error> {
    let colors = colors.clamp(2, 256);
    let pixels: Vec<[u8; 4]> = rgba(frame);
    cancel.check()?;
    let soft = pixels.iter().any(|pixel| (1..=254).contains(&pixel[3]));
    if alpha == Alpha::Levels && soft && colors >= FEWEST_SOFT_COLORS {
        return with_levels(frame, &pixels, colors, effort, cancel);
    }
    with_mask(frame, &pixels, colors, effort, cancel)
}

/// `frame` in at most `colors` (2–256) colours, dithered; alpha stays. Grey frames become RGB.
///
/// # Errors
/// [`Error::Cancelled`], looked for between passes over the picture.
pub fn posterized(frame: Frame, colors: u16, cancel: &Cancel) -> Result<Frame, Error> {
    let mut frame = if frame.layout() == Layout::Gray { frame.into_layout(Layout::Rgb) } else { frame };
    let pixels = rgba(&frame);
    // All of them count: which are seen is for whoever comes next to say.
    let visible = vec![true; pixels.len()];
    let (palette, indices) = reduce(&frame, &pixels, &visible, colors.clamp(2, 256), Effort::Fast, cancel)?;
    let channels = frame.layout().channels();
    for (pixel, index) in frame.pixels_mut().chunks_exact_mut(channels).zip(indices) {
        pixel[..3].copy_from_slice(&palette[usize::from(index)]);
    }
    Ok(frame)
}

fn with_mask(
    frame: &Frame,
    pixels: &[[u8; 4]],
    colors: u16,
    effort: Effort,
    cancel: &Cancel,
) -> Result<Indexed, Error> {
    let visible: Vec<bool> = pixels.iter().map(|pixel| pixel[3] >= OPAQUE_FROM).collect();
    let masked = visible.contains(&false);
    let (palette, mut indices) = reduce(frame, pixels, &visible, colors - u16::from(masked), effort, cancel)?;
    let mut palette: Vec<[u8; 4]> = palette.into_iter().map(|[r, g, b]| [r, g, b, 255]).collect();
    if masked {
        let transparent = palette.len() as u8;
        palette.push([0; 4]);
        for (index, visible) in indices.iter_mut().zip(visible) {
            if !visible {
                *index = transparent;
            }
        }
    }
    Ok(Indexed { palette, indices })
}

/// A quarter of the entries are colours; each may appear at every level of alpha. Only pairs in use take an entry.
fn with_levels(
    frame: &Frame,
    pixels: &[[u8; 4]],
    colors: u16,
    effort: Effort,
    cancel: &Cancel,
) -> Result<Indexed, Error> {
    let levels: Vec<Option<usize>> = pixels.iter().map(|pixel| level(pixel[3])).collect();
    let visible: Vec<bool> = levels.iter().map(Option::is_some).collect();
    let share = (colors - 1) / ALPHA_LEVELS.len() as u16;
    let (palette, bases) = reduce(frame, pixels, &visible, share.max(1), effort, cancel)?;

    let mut entries = vec![[0; 4]];
    let mut known = vec![[None; ALPHA_LEVELS.len()]; palette.len()];
    let indices = bases
        .iter()
        .zip(levels)
        .map(|(base, level)| {
            let Some(level) = level else { return 0 };
            let base = usize::from(*base);
            *known[base][level].get_or_insert_with(|| {
                let [r, g, b] = palette[base];
                entries.push([r, g, b, ALPHA_LEVELS[level]]);
                (entries.len() - 1) as u8
            })
        })
        .collect();
    Ok(Indexed { palette: entries, indices })
}

/// The nearest level of alpha; `None` is transparent.
fn level(alpha: u8) -> Option<usize> {
    let rounded = (usize::from(alpha) + 32) / 64;
    rounded.checked_sub(1)
}

/// Opaque palette and indices. The palette is made from the visible pixels; the others take its first colour, so that
/// their colour, which nobody sees, disturbs no neighbour through dithering.
fn reduce(
    frame: &Frame,
    pixels: &[[u8; 4]],
    visible: &[bool],
    colors: u16,
    effort: Effort,
    cancel: &Cancel,
) -> Result<(Vec<[u8; 3]>, Vec<u8>), Error> {
    let seen: Vec<Srgb<u8>> = zip_visible(pixels, visible).map(srgb).collect();
    let exact = exact_palette(&seen, colors, cancel)?;
    let palette = exact.clone().unwrap_or_else(|| best_palette(&seen, colors, effort));
    cancel.check()?;
    let Some(filler) = palette.first().copied() else {
        return Ok((vec![[0; 3]], vec![0; pixels.len()]));
    };
    let colors: Vec<Srgb<u8>> =
        pixels.iter().zip(visible).map(|(pixel, visible)| if *visible { srgb(pixel) } else { filler }).collect();
    let size = frame.size();
    let image = ImageRef::new(size.width, size.height, colors.as_slice());
    let (Ok(image), Ok(custom)) = (image, PaletteBuf::new(palette)) else {
        return Ok((vec![[0; 3]], vec![0; pixels.len()]));
    };
    let mut pipeline = Pipeline::new().quantize_method(QuantizeMethod::from(custom));
    if exact.is_some() {
        pipeline = pipeline.ditherer(None);
    }
    let (palette, indices) = pipeline.input_image(image).output_srgb8_indexed_image().into_parts();
    cancel.check()?;
    Ok((palette.into_iter().map(|color| [color.red, color.green, color.blue]).collect(), indices))
}

/// All colours, where there are no more than `limit`: then nothing needs to be reduced.
fn exact_palette(pixels: &[Srgb<u8>], limit: u16, cancel: &Cancel) -> Result<Option<Vec<Srgb<u8>>>, Error> {
    let mut found: Vec<[u8; 3]> = Vec::new();
    for batch in pixels.chunks(BATCH_PIXELS) {
        cancel.check()?;
        for pixel in batch {
            let color = [pixel.red, pixel.green, pixel.blue];
            if let Err(at) = found.binary_search(&color) {
                if found.len() == usize::from(limit) {
                    return Ok(None);
                }
                found.insert(at, color);
            }
        }
    }
    Ok(Some(found.into_iter().map(|[r, g, b]| Srgb::new(r, g, b)).collect()))
}

fn best_palette(pixels: &[Srgb<u8>], colors: u16, effort: Effort) -> Vec<Srgb<u8>> {
    let method = match effort {
        Effort::Fast => QuantizeMethod::Wu,
        Effort::Small => QuantizeMethod::Kmeans(KmeansOptions::new().seed(0)),
    };
    Pipeline::new()
        .palette_size(PaletteSize::from_u16_clamped(colors.max(1)))
        .quantize_method(method)
        .input_slice(pixels)
        .map(|pipeline| pipeline.output_srgb8_palette().into_vec())
        .unwrap_or_default()
}

fn zip_visible<'a>(pixels: &'a [[u8; 4]], visible: &'a [bool]) -> impl Iterator<Item = &'a [u8; 4]> {
    pixels.iter().zip(visible).filter(|(_, visible)| **visible).map(|(pixel, _)| pixel)
}

fn srgb(pixel: &[u8; 4]) -> Srgb<u8> {
    Srgb::new(pixel[0], pixel[1], pixel[2])
}

fn rgba(frame: &Frame) -> Vec<[u8; 4]> {
    let pixels = frame.pixels();
    match frame.layout() {
        Layout::Gray => pixels.iter().map(|v| [*v, *v, *v, 255]).collect(),
        Layout::Rgb => pixels.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect(),
        Layout::Rgba => pixels.chunks_exact(4).map(|pixel| [pixel[0], pixel[1], pixel[2], pixel[3]]).collect(),
    }
}
