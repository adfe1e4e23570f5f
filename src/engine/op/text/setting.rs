//! Lines of text to placed glyphs to a mask of ink.

use cosmic_text::fontdb::Database;
use cosmic_text::{
    Attrs, AttrsList, CacheKey, Family, FontSystem, Hinting, LayoutGlyph, LayoutLine, PhysicalGlyph, Placement,
    ShapeLine, Shaping, SwashCache, SwashContent, SwashImage, Wrap,
};

use super::fonts::{Face, Fonts};
use crate::engine::Error;
use crate::geometry::Size;

/// Bytes of glyph images that are kept while one text is drawn.
const GLYPH_CACHE_BYTES: usize = 16 << 20;

/// How much of each pixel is ink, 0–255, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    pub(super) size: Size,
    pub(super) ink: Vec<u8>,
}

/// A text that is shaped and laid out: every glyph in its place.
pub(super) struct Setting {
    fonts: FontSystem,
    images: GlyphImages,
    glyphs: Vec<PhysicalGlyph>,
    bounds: Bounds,
}

impl Setting {
    /// Sets `text` in glyphs of `em_px` pixels, lines one below the other as `\n` and its kin break them.
    ///
    /// The box is as wide as the widest line's advance and as high as its lines (ascent plus descent of the faces
    /// they use, each in whole pixels), and wider where ink reaches over it. Lines of right-to-left text are flush
    /// right.
    ///
    /// # Errors
    /// [`Error::Limit`] where the box is larger than `max`; found before any glyph is drawn.
    pub(super) fn new(fonts: &Fonts, asked: Option<&Face>, text: &str, em_px: f32, max: Size) -> Result<Self, Error> {
        let mut shaper = Shaper::new(fonts, asked);
        let lines: Vec<Line> = lines_of(text).map(|line| shaper.line(&line, em_px)).collect();
        let width = lines.iter().map(|line| line.width).fold(0.0, f32::max);
        let height: i64 = lines.iter().map(Line::height).sum();
        let bounds = Bounds { left: 0, top: 0, right: (width.ceil() as i64).max(1), bottom: height.max(1) };
        bounds.size_within(max)?;
        let mut top = 0;
        let mut glyphs = Vec::new();
        for line in &lines {
            let left = if line.right_to_left { bounds.right as f32 - line.width } else { 0.0 };
            let baseline = (top + line.ascent) as f32;
            glyphs.extend(line.glyphs.iter().map(|glyph| glyph.physical((left, baseline), 1.0)));
            top += line.height();
        }
        let mut setting = Self { fonts: shaper.into_fonts(), images: GlyphImages::new(), glyphs, bounds };
        setting.grow_to_ink();
        setting.bounds.size_within(max)?;
        Ok(setting)
    }

    /// Size of the box.
    pub(super) fn size(&self) -> Size {
        self.bounds.size()
    }

    /// Draws the glyphs. Where they overlap, ink adds up as independent layers do.
    pub(super) fn draw(mut self) -> Mask {
        let size = self.size();
        let mut mask = Mask { size, ink: vec![0; size.area() as usize] };
        for glyph in &self.glyphs {
            if let Some(image) = self.images.get(&mut self.fonts, glyph.cache_key) {
                let bounds = Bounds::of(glyph, &image.placement);
                let (x, y) = (bounds.left - self.bounds.left, bounds.top - self.bounds.top);
                mask.add(image, x, y);
            }
        }
        mask
    }

    fn grow_to_ink(&mut self) {
        for glyph in &self.glyphs {
            if let Some(image) = self.images.get(&mut self.fonts, glyph.cache_key) {
                self.bounds = self.bounds.joined(Bounds::of(glyph, &image.placement));
            }
        }
    }
}

impl Mask {
    /// Adds a glyph whose top-left corner is at (`x`, `y`), cut at the edges.
    fn add(&mut self, image: &SwashImage, x: i64, y: i64) {
        let bytes = match image.content {
            SwashContent::Mask => 1,
            // Alpha is the last of four; such fonts are not chosen, but a file may lie about itself.
            SwashContent::Color | SwashContent::SubpixelMask => 4,
        };
        let width = self.size.width as usize;
        let image_rows = image.data.chunks_exact((image.placement.width as usize * bytes).max(1));
        for (nth, image_row) in (y..).zip(image_rows) {
            let Some(row) = usize::try_from(nth).ok().and_then(|nth| self.ink.chunks_exact_mut(width).nth(nth)) else {
                continue;
            };
            for (at, pixel) in (x..).zip(image_row.chunks_exact(bytes)) {
                let Some(ink) = usize::try_from(at).ok().and_then(|at| row.get_mut(at)) else {
                    continue;
                };
                let (under, over) = (u32::from(*ink), u32::from(pixel[bytes - 1]));
                *ink = (under + over - (under * over + 127) / 255) as u8;
            }
        }
    }
}

/// The text's lines. A trailing break does not begin another line; controls are dropped, tabs are four spaces.
fn lines_of(text: &str) -> impl Iterator<Item = String> {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<String> = text.trim_end_matches(is_break).split(is_break).map(printable).collect();
    lines.into_iter()
}

/// Unicode's mandatory breaks and paragraph separators.
fn is_break(character: char) -> bool {
    matches!(character, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn printable(line: &str) -> String {
    line.replace('\t', "    ").chars().filter(|character| !character.is_control()).collect()
}

/// Shapes lines with the faces chosen for them.
///
/// Every text gets a font database of its own that holds just the faces it uses, under the names "0", "1" and so on:
/// the choice of faces is made in one place, and no text's result depends on the texts before it.
struct Shaper<'a> {
    fonts: &'a Fonts,
    asked: Option<&'a Face>,
    faces: Vec<&'a Face>,
    system: FontSystem,
}

/// A shaped line, in pixels.
struct Line {
    width: f32,
    ascent: i64,
    descent: i64,
    right_to_left: bool,
    glyphs: Vec<LayoutGlyph>,
}

impl Line {
    fn height(&self) -> i64 {
        self.ascent + self.descent
    }
}

impl<'a> Shaper<'a> {
    fn new(fonts: &'a Fonts, asked: Option<&'a Face>) -> Self {
        let system = FontSystem::new_with_locale_and_db("en-US".to_owned(), Database::new());
        let mut shaper = Self { fonts, asked, faces: Vec::new(), system };
        // The face of empty lines, and of what no face has.
        shaper.family(asked.unwrap_or_else(|| fonts.primary()));
        shaper
    }

    fn into_fonts(self) -> FontSystem {
        self.system
    }

    /// The name of `face` in the text's own database.
    fn family(&mut self, face: &'a Face) -> String {
        let known = self.faces.iter().position(|known| std::ptr::eq(*known, face));
        let at = known.unwrap_or(self.faces.len());
        let name = at.to_string();
        if known.is_none() {
            self.faces.push(face);
            self.system.db_mut().push_face_info(face.renamed(&name));
        }
        name
    }

    fn line(&mut self, text: &str, em_px: f32) -> Line {
        if text.is_empty() {
            // An empty line is as high as a line of the first face.
            return Line { width: 0.0, glyphs: Vec::new(), ..self.line(" ", em_px) };
        }
        let mut attributes = AttrsList::new(&Attrs::new().family(Family::Name("0")));
        for (range, face) in self.fonts.assign(text, self.asked) {
            let name = self.family(face);
            attributes.add_span(range, &Attrs::new().family(Family::Name(&name)));
        }
        let shape = ShapeLine::new(&mut self.system, text, &attributes, Shaping::Advanced, 4);
        let layout = shape.layout(em_px, None, Wrap::None, None, None, Hinting::Disabled);
        let layout = layout.into_iter().next().unwrap_or_else(empty_layout);
        Line {
            width: layout.w,
            ascent: layout.max_ascent.ceil() as i64,
            descent: layout.max_descent.ceil() as i64,
            right_to_left: shape.rtl,
            glyphs: layout.glyphs,
        }
    }
}

fn empty_layout() -> LayoutLine {
    LayoutLine {
        w: 0.0,
        max_ascent: 0.0,
        max_descent: 0.0,
        line_height_opt: None,
        glyphs: Vec::new(),
        decorations: Vec::new(),
    }
}

/// A rectangle that may reach to the left of and above the origin.
#[derive(Clone, Copy)]
struct Bounds {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Bounds {
    /// Where a glyph's image lies.
    fn of(glyph: &PhysicalGlyph, placement: &Placement) -> Self {
        let left = i64::from(glyph.x) + i64::from(placement.left);
        let top = i64::from(glyph.y) - i64::from(placement.top);
        Self { left, top, right: left + i64::from(placement.width), bottom: top + i64::from(placement.height) }
    }

    fn joined(self, other: Self) -> Self {
        if other.right <= other.left || other.bottom <= other.top {
            return self;
        }
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    fn size(self) -> Size {
        Size::new((self.right - self.left) as u32, (self.bottom - self.top) as u32)
    }

    fn size_within(self, max: Size) -> Result<Size, Error> {
        let edges = [
            ("text width in pixels", self.right - self.left, max.width),
            ("text height in pixels", self.bottom - self.top, max.height),
        ];
        for (what, edge, limit) in edges {
            if edge > i64::from(limit) {
                return Err(Error::Limit { what, value: edge.unsigned_abs(), limit: u64::from(limit) });
            }
        }
        let size = self.size();
        if size.area() > MAX_TEXT_PIXELS {
            return Err(Error::Limit { what: "text area in pixels", value: size.area(), limit: MAX_TEXT_PIXELS });
        }
        Ok(size)
    }
}

/// The most pixels a text may fill: as many as a result may have.
const MAX_TEXT_PIXELS: u64 = 24_999_999;

/// Images of glyphs, drawn once each while they fit in [`GLYPH_CACHE_BYTES`].
struct GlyphImages {
    cache: SwashCache,
    bytes: usize,
}

impl GlyphImages {
    fn new() -> Self {
        Self { cache: SwashCache::new(), bytes: 0 }
    }

    fn get(&mut self, fonts: &mut FontSystem, key: CacheKey) -> Option<&SwashImage> {
        if !self.cache.image_cache.contains_key(&key) {
            if self.bytes > GLYPH_CACHE_BYTES {
                self.cache.image_cache.clear();
                self.bytes = 0;
            }
            let image = self.cache.get_image(fonts, key);
            self.bytes += image.as_ref().map_or(0, |image| image.data.len());
        }
        self.cache.get_image(fonts, key).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fonts::fonts;
    use super::*;

    fn shaped(text: &str) -> Vec<LayoutGlyph> {
        Shaper::new(fonts(), None).line(text, 20.0).glyphs
    }

    fn ids(text: &str) -> Vec<u16> {
        shaped(text).iter().map(|glyph| glyph.glyph_id).collect()
    }

    #[test]
    fn arabic_letters_join_and_run_right_to_left() {
        // beh, teh: initial and final forms, other glyphs than the isolated ones.
        let (beh, teh, joined) = (ids("ب"), ids("ت"), ids("بت"));
        assert!(joined.iter().all(|id| !beh.contains(id) && !teh.contains(id)), "{joined:?} {beh:?} {teh:?}");
        let glyphs = shaped("ابجد");
        let first = glyphs.iter().find(|glyph| glyph.start == 0).expect("the first letter");
        assert!(glyphs.iter().all(|glyph| glyph.x <= first.x), "the first letter stands rightmost");
        assert!(Shaper::new(fonts(), None).line("ابجد", 20.0).right_to_left);
    }

    #[test]
    fn lam_alef_is_a_ligature() {
        assert!(ids("لا").len() < 2 || ids("لا") != [ids("ل"), ids("ا")].concat());
    }

    #[test]
    fn latin_inside_arabic_runs_left_to_right() {
        let glyphs = shaped("سلام ab سلام");
        let x_of = |start: usize| glyphs.iter().find(|glyph| glyph.start == start).map(|glyph| glyph.x);
        let (a, b) = ("سلام ".len(), "سلام a".len());
        assert!(x_of(a) < x_of(b));
        assert!(x_of(0) > x_of(b), "the first word stands to the right");
    }

    #[test]
    fn latin_is_kerned() {
        let width = |text| Shaper::new(fonts(), None).line(text, 100.0).width;
        assert!(width("AV") < width("A") + width("V") - 1.0);
    }

    #[test]
    fn text_breaks_into_lines() {
        let rows: [(&str, &[&str]); 6] = [
            ("a", &["a"]),
            ("a\nb", &["a", "b"]),
            ("a\r\nb\rc\u{2028}d", &["a", "b", "c", "d"]),
            ("a\n\nb\n\n", &["a", "", "b"]),
            ("\n", &[""]),
            ("a\tb\u{7}c\u{0}", &["a    bc"]),
        ];
        for (text, expected) in rows {
            assert_eq!(lines_of(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
