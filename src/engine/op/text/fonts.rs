//! Which font draws which character.
//!
//! Three fonts are part of the program and come first, so that text they cover looks the same on every machine. The
//! system's fonts are listed when a text first asks for one by name or has a character that the three do not cover.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use cosmic_text::fontdb::{Database, FaceInfo, ID, Language, Source, Stretch, Style, Weight};
use cosmic_text::skrifa::{FontRef, MetadataProvider, Tag, raw::TableProvider};

/// The bundled fonts in the order in which they are tried: Latin, Greek and Cyrillic; Arabic; Chinese, Japanese and
/// Korean. Their origins are in `assets/fonts/README.md`.
const BUNDLED: [&[u8]; 3] = [
    include_bytes!("../../../../assets/fonts/NotoSans-Regular.ttf"),
    include_bytes!("../../../../assets/fonts/NotoSansArabic-Regular.ttf"),
    include_bytes!("../../../../assets/fonts/DroidSansFallback.ttf"),
];

/// One face of one font file.
#[derive(Debug)]
pub(super) struct Face {
    info: FaceInfo,
    /// Characters with an outline, as sorted ranges that do not touch; read from the file at first need.
    coverage: OnceLock<Vec<Range<u32>>>,
}

impl Face {
    fn new(info: FaceInfo) -> Self {
        Self { info, coverage: OnceLock::new() }
    }

    /// The face as a font database takes it, under another family name and as its family's regular.
    pub(super) fn renamed(&self, family: &str) -> FaceInfo {
        FaceInfo {
            families: vec![(family.to_owned(), Language::English_UnitedStates)],
            style: Style::Normal,
            weight: Weight::NORMAL,
            stretch: Stretch::Normal,
            monospaced: false,
            ..self.info.clone()
        }
    }

    /// Its family's names in every language, and its PostScript name.
    fn names(&self) -> impl Iterator<Item = &str> {
        let families = self.info.families.iter().map(|(name, _)| name.as_str());
        families.chain([self.info.post_script_name.as_str()])
    }

    /// Whether the face draws `character`.
    fn covers(&self, character: char) -> bool {
        let code = u32::from(character);
        let ranges = self.coverage();
        let at = ranges.partition_point(|range| range.end <= code);
        ranges.get(at).is_some_and(|range| range.contains(&code))
    }

    fn coverage(&self) -> &[Range<u32>] {
        self.coverage.get_or_init(|| {
            let mut database = Database::new();
            let id = database.push_face_info(self.info.clone());
            database.with_face_data(id, read_coverage).flatten().unwrap_or_default()
        })
    }

    /// Sort key among faces of one family: the nearest to an upright regular first.
    fn distance(&self) -> (bool, u16, u16, String, u32) {
        let info = &self.info;
        let place = match &info.source {
            Source::File(path) | Source::SharedFile(path, _) => path.to_string_lossy().into_owned(),
            Source::Binary(_) => String::new(),
        };
        let stretch = info.stretch.to_number().abs_diff(Stretch::Normal.to_number());
        (info.style != Style::Normal, info.weight.0.abs_diff(400), stretch, place, info.index)
    }
}

/// The characters that a font file has plain outlines for. `None` for what cannot be read, and for fonts whose glyphs
/// are bitmaps or coloured: marks have one colour, that of their text.
fn read_coverage(data: &[u8], index: u32) -> Option<Vec<Range<u32>>> {
    let font = FontRef::from_index(data, index).ok()?;
    let has = |tag: &[u8; 4]| font.data_for_tag(Tag::new(tag)).is_some();
    let outlined = has(b"glyf") || has(b"CFF ") || has(b"CFF2");
    if !outlined || has(b"COLR") || has(b"CBDT") || has(b"sbix") || has(b"SVG ") {
        return None;
    }
    let mappings = font.charmap().mappings().filter(|(_, glyph)| glyph.to_u32() != 0);
    let mut codes: Vec<u32> = mappings.map(|(code, _)| code).collect();
    codes.sort_unstable();
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for code in codes {
        match ranges.last_mut() {
            Some(range) if code <= range.end => range.end = range.end.max(code + 1),
            _ => ranges.push(code..code + 1),
        }
    }
    Some(ranges)
}

/// All fonts there are. One per process; see [`fonts`].
#[derive(Debug)]
pub(super) struct Fonts {
    bundled: Vec<Face>,
    system: OnceLock<System>,
}

/// The system's fonts: one face a family, in the order in which they are tried, and where each name is.
#[derive(Debug)]
struct System {
    faces: Vec<Face>,
    by_name: HashMap<String, usize>,
}

/// The fonts of this process.
///
/// Memory: the bundled fonts are part of the program's image. Listing the system's fonts keeps their names and, for
/// those that a character was looked up in, the ranges of their characters: about a kilobyte a family. Files are
/// mapped while a text is set, and not kept.
pub(super) fn fonts() -> &'static Fonts {
    static FONTS: OnceLock<Fonts> = OnceLock::new();
    FONTS.get_or_init(|| Fonts { bundled: bundled_faces(), system: OnceLock::new() })
}

fn bundled_faces() -> Vec<Face> {
    let mut database = Database::new();
    let ids: Vec<ID> =
        BUNDLED.iter().flat_map(|bytes| database.load_font_source(Source::Binary(Arc::new(*bytes)))).collect();
    ids.into_iter().filter_map(|id| database.face(id).cloned()).map(Face::new).collect()
}

impl System {
    fn list() -> Self {
        let mut database = Database::new();
        database.load_system_fonts();
        Self::of(database.faces().cloned().map(Face::new))
    }

    fn of(faces: impl Iterator<Item = Face>) -> Self {
        let mut families: HashMap<String, Face> = HashMap::new();
        for face in faces {
            let name = family_name(&face.info).to_owned();
            match families.get(&name) {
                Some(known) if known.distance() <= face.distance() => {}
                _ => _ = families.insert(name, face),
            }
        }
        let mut faces: Vec<Face> = families.into_values().collect();
        faces.sort_by_cached_key(|face| (rank(family_name(&face.info)), family_name(&face.info).to_owned()));
        let mut by_name = HashMap::new();
        for (at, face) in faces.iter().enumerate() {
            for name in face.names() {
                by_name.entry(plain(name)).or_insert(at);
            }
        }
        Self { faces, by_name }
    }
}

fn family_name(info: &FaceInfo) -> &str {
    info.families.first().map_or(&info.post_script_name, |(name, _)| name)
}

/// Fallback goes to faces that match the bundled ones first, then to other sans-serifs, then to anything.
fn rank(family: &str) -> u8 {
    match family {
        _ if family.starts_with("Noto Sans") => 0,
        _ if family.contains("Sans") => 1,
        _ => 2,
    }
}

/// A font name without case, spaces and hyphens, which people leave out or put in as they like.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).flat_map(char::to_lowercase).collect()
}

impl Fonts {
    fn system(&self) -> &System {
        self.system.get_or_init(System::list)
    }

    /// The face whose family (in any language) or PostScript name is `name`; `None` where there is none that draws
    /// plain outlines.
    pub(super) fn named(&self, name: &str) -> Option<&Face> {
        let name = plain(name);
        let bundled = self.bundled.iter().find(|face| face.names().any(|known| plain(known) == name));
        let face = bundled.or_else(|| {
            let system = self.system();
            system.by_name.get(&name).map(|at| &system.faces[*at])
        });
        face.filter(|face| !face.coverage().is_empty())
    }

    /// The face that draws what no face has, as an empty box.
    pub(super) fn primary(&self) -> &Face {
        &self.bundled[0]
    }

    /// The face for each part of `line`, in order, covering it without gaps.
    ///
    /// A character is drawn by the first face that has it: `asked`, the bundled ones, then the system's. Marks and
    /// punctuation, and what only the system's fonts have, stay with the face before them where it has them, so that
    /// accents keep their letters and joined scripts stay joined.
    pub(super) fn assign<'a>(&'a self, line: &str, asked: Option<&'a Face>) -> Vec<(Range<usize>, &'a Face)> {
        let mut parts: Vec<(Range<usize>, &Face)> = Vec::new();
        for (at, character) in line.char_indices() {
            let end = at + character.len_utf8();
            let previous = parts.last().map(|(_, face)| *face);
            let face = self.choose(character, asked, previous);
            match parts.last_mut() {
                Some((range, last)) if std::ptr::eq(*last, face) => range.end = end,
                _ => parts.push((at..end, face)),
            }
        }
        parts
    }

    fn choose<'a>(&'a self, character: char, asked: Option<&'a Face>, previous: Option<&'a Face>) -> &'a Face {
        let has = |face: &&Face| face.covers(character);
        let previous = previous.filter(has);
        let follows = !character.is_alphanumeric() && !character.is_whitespace();
        let preferred = || asked.into_iter().chain(&self.bundled).find(has);
        previous
            .filter(|_| follows)
            .or_else(preferred)
            .or(previous)
            .or_else(|| self.system().faces.iter().find(has))
            .unwrap_or_else(|| self.primary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(face: &Face) -> &str {
        family_name(&face.info)
    }

    #[test]
    fn the_bundled_fonts_cover_what_they_are_there_for() {
        let rows = [
            ("Hello, Wörld: Ελλάδα Привет €©™", "Noto Sans"),
            ("مرحبابالعالم۱۲۳", "Noto Sans Arabic"),
            ("中文图片水印宋体黑体你好世界，。！？", "Droid Sans Fallback"),
            ("こんにちはカタカナ안녕하세요", "Droid Sans Fallback"),
        ];
        for (text, name) in rows {
            let face = fonts().bundled.iter().find(|face| family(face) == name).expect(name);
            for character in text.chars().filter(|character| !character.is_whitespace()) {
                assert!(face.covers(character), "{name} lacks {character:?}");
            }
        }
    }

    #[test]
    fn each_script_goes_to_its_face() {
        let rows: [(&str, &[(&str, &str)]); 5] = [
            ("Hello", &[("Hello", "Noto Sans")]),
            ("Hi 你好!", &[("Hi ", "Noto Sans"), ("你好", "Droid Sans Fallback"), ("!", "Noto Sans")]),
            ("سلام، ok", &[("سلام،", "Noto Sans Arabic"), (" ok", "Noto Sans")]),
            // A zero-width non-joiner must not cut its word in two.
            ("می\u{200c}خواهم", &[("می\u{200c}خواهم", "Noto Sans Arabic")]),
            ("", &[]),
        ];
        for (line, expected) in rows {
            let parts = fonts().assign(line, None);
            let parts: Vec<_> = parts.iter().map(|(range, face)| (&line[range.clone()], family(face))).collect();
            assert_eq!(parts, expected, "{line}");
        }
    }

    #[test]
    fn default_text_that_the_bundled_fonts_cover_never_looks_at_the_system() {
        let fonts = Fonts { bundled: bundled_faces(), system: OnceLock::new() };
        assert_eq!(fonts.named("Noto Sans").map(family), Some("Noto Sans"));
        fonts.assign("Hello, 中文水印 مرحبا ©2024", None);
        assert!(fonts.system.get().is_none());
    }

    #[test]
    fn what_no_face_has_is_left_to_the_primary() {
        let fonts = Fonts { bundled: bundled_faces(), system: System::of(std::iter::empty()).into() };
        let parts = fonts.assign("a\u{1f600}\u{e000}", None);
        assert_eq!(parts.len(), 1);
        assert_eq!(family(parts[0].1), "Noto Sans");
    }

    #[test]
    fn names_are_found_in_any_case_and_spacing() {
        let faces = bundled_faces().into_iter().map(|mut face| {
            face.info.families.push(("宋体".to_owned(), Language::Chinese_PeoplesRepublicOfChina));
            face.info.families[0].0.insert_str(0, "My ");
            face.info.post_script_name.insert_str(0, "My");
            face
        });
        let fonts = Fonts { bundled: bundled_faces(), system: System::of(faces).into() };
        let rows = [
            ("Noto Sans", Some("Noto Sans")),
            ("notosans", Some("Noto Sans")),
            ("droid-sans-fallback", Some("Droid Sans Fallback")),
            ("my noto sans arabic", Some("My Noto Sans Arabic")),
            ("MyNotoSans-Regular", Some("My Noto Sans")),
            // Listed under a Chinese name; the first family in order that has it.
            ("宋体", Some("My Droid Sans Fallback")),
            ("NotoSansArabic-Regular", Some("Noto Sans Arabic")),
            ("no such font", None),
            ("", None),
        ];
        for (name, expected) in rows {
            assert_eq!(fonts.named(name).map(family), expected, "{name}");
        }
    }

    #[test]
    fn an_asked_face_comes_first_and_the_bundled_ones_fill_in() {
        let droid = fonts().named("Droid Sans Fallback").expect("it is bundled");
        let parts = fonts().assign("图Ａa", Some(droid));
        let names: Vec<_> = parts.iter().map(|(_, face)| family(face)).collect();
        assert_eq!(names, ["Droid Sans Fallback", "Noto Sans"]);
    }
}
