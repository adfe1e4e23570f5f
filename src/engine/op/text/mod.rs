//! Text as pictures: shaping, fonts, antialiased glyphs (spec 4.8, modes 2 to 4).
//!
//! `fonts` chooses a face for every character, `setting` shapes, places and draws glyphs, `pattern` repeats them. A text
//! without a font name, or with one that is not installed, is set in the bundled fonts and then looks the same on every
//! machine. Characters that no font has are drawn as the empty box of the bundled Latin font; coloured and bitmap fonts
//! are never used, so that an emoji is an outline where a system font has one and a box where none has.

mod fonts;
mod pattern;
mod setting;

use self::fonts::{Fonts, fonts};
use self::pattern::Pattern;
use self::setting::Setting;
use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::geometry::Size;
use crate::plan::watermark::{Lettering, TiledText};

/// Longest edge of a text that is repeated over a smaller picture, in pixels.
const TILE_EDGE: u32 = 4096;

/// Sets text with the fonts of this process. Cheap to make and to copy; has no state that a text could change.
#[derive(Clone, Copy, Debug)]
pub struct Typesetter {
    fonts: &'static Fonts,
}

impl Default for Typesetter {
    fn default() -> Self {
        Self::new()
    }
}

impl Typesetter {
    /// A typesetter. Fonts are loaded once a process: the bundled ones now, the system's when a text first needs them
    /// (tens of milliseconds for hundreds of fonts). Of system fonts only names and character ranges stay in memory.
    pub fn new() -> Self {
        Self { fonts: fonts() }
    }

    /// Size of the picture that [`Typesetter::render`] makes.
    ///
    /// # Errors
    /// [`Error::Limit`] where it is larger than `max`.
    pub fn measure(self, lettering: &Lettering, max: Size) -> Result<Size, Error> {
        Ok(self.set(lettering, 1.0, max)?.size())
    }

    /// The text in its fill colour on transparent ground: RGBA with straight alpha, as wide as the longest line's
    /// advance and as high as its lines, more where ink reaches over that. Every pixel has the fill's colour; alpha is
    /// ink times the fill's alpha. `dissolve` is left to whoever paints the picture.
    ///
    /// # Errors
    /// [`Error::Limit`] where it is larger than `max`; found before glyphs are drawn.
    pub fn render(self, lettering: &Lettering, max: Size) -> Result<Frame, Error> {
        let mask = self.set(lettering, 1.0, max)?.draw();
        let mut frame = Frame::filled(mask.size, Layout::Rgba, lettering.fill.rgba);
        for (pixel, ink) in frame.pixels_mut().as_chunks_mut::<4>().0.iter_mut().zip(mask.ink) {
            write_ink(pixel, ink);
        }
        Ok(frame)
    }

    /// A picture of `frame_size` with the text all over it, to be painted at the top-left corner.
    ///
    /// The text's box and the gaps right of and below it, all times `scale`, make a cell; cells start in the top-left
    /// corner. The whole grid is then turned clockwise by `rotate` about the middle of the picture.
    ///
    /// # Errors
    /// [`Error::Limit`] where one copy of the text is longer than the picture's longer edge and than 4096 pixels.
    pub fn tiled(self, frame_size: Size, tiled: &TiledText) -> Result<Frame, Error> {
        let edge = frame_size.long().max(TILE_EDGE);
        let mask = self.set(&tiled.lettering, tiled.scale, Size::new(edge, edge))?.draw();
        let gap = |pixels: u32| (f64::from(pixels) * f64::from(tiled.scale)).round() as u32;
        let width = mask.size.width.saturating_add(gap(tiled.gap_width));
        let height = mask.size.height.saturating_add(gap(tiled.gap_height));
        let pattern = Pattern { mask, cell: Size::new(width, height) };
        Ok(pattern.fill(frame_size, tiled.rotate, tiled.lettering.fill))
    }

    fn set(self, lettering: &Lettering, scale: f32, max: Size) -> Result<Setting, Error> {
        let asked = lettering.font.as_deref().and_then(|name| self.fonts.named(name));
        let em_px = lettering.size_twips as f32 / 20.0 * scale;
        Setting::new(self.fonts, asked, &lettering.text, em_px, max)
    }
}

/// [`Typesetter::measure`] with the fonts of this process.
///
/// # Errors
/// As there.
pub fn measure(lettering: &Lettering, max: Size) -> Result<Size, Error> {
    Typesetter::new().measure(lettering, max)
}

/// [`Typesetter::render`] with the fonts of this process.
///
/// # Errors
/// As there.
pub fn render(lettering: &Lettering, max: Size) -> Result<Frame, Error> {
    Typesetter::new().render(lettering, max)
}

/// [`Typesetter::tiled`] with the fonts of this process.
///
/// # Errors
/// As there.
pub fn tiled(frame_size: Size, tiled: &TiledText) -> Result<Frame, Error> {
    Typesetter::new().tiled(frame_size, tiled)
}

/// Multiplies a pixel's alpha by the share of it that is ink.
fn write_ink(pixel: &mut [u8; 4], ink: u8) {
    pixel[3] = ((u32::from(pixel[3]) * u32::from(ink) + 127) / 255) as u8;
}

#[cfg(test)]
mod tests;
