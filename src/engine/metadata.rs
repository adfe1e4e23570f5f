//! What files carry beside pixels: EXIF, ICC profile, density.

mod exif_text;
mod ifd;

use std::collections::HashSet;
use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Context, Field, In, Tag, Value};

use super::Error;
use super::decode::{avif, jpeg_markers::Markers, png, psd, raster, riff};
use super::image::{ColorModel, Format, Header, Layout};
use crate::geometry::Orientation;

/// Longest EXIF structure that is parsed in full; a JPEG segment holds 64 KiB.
const MAX_EXIF_BYTES: usize = 1 << 20;

/// Longest TIFF file that is searched for EXIF: the parser wants a copy of it.
const MAX_TIFF_BYTES: usize = 64 << 20;

/// Longest ICC profile that is kept.
pub(super) const MAX_ICC_BYTES: usize = 4 << 20;

/// What a file carries beside its pixels, each part as it would stand in another file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// ICC profile of the decoded pixels.
    pub icc: Option<Vec<u8>>,
    /// EXIF data: a TIFF structure, without the `Exif\0\0` of JPEG.
    pub exif: Option<Vec<u8>>,
    /// Pixels an inch.
    pub density_dpi: Option<u16>,
}

/// Reads the metadata of the file that `header` was probed from.
///
/// The profile is there only where it describes the frame that [`super::decode::still`] returns: a CMYK profile was
/// used up by the decoder, and one that does not fit the file's own channels is left out. What is broken is left out
/// too: metadata never makes a picture fail.
pub fn read(bytes: &[u8], header: &Header) -> Metadata {
    let mut found = match header.format {
        Format::Jpeg => read_jpeg(bytes),
        Format::Png => png::metadata(bytes),
        Format::Webp => riff::metadata(bytes),
        Format::Tiff => Metadata { icc: raster::tiff_icc(bytes), exif: tiff_exif(bytes), density_dpi: None },
        Format::Psd => psd::metadata(bytes),
        Format::Avif => avif::metadata(bytes),
        Format::Gif | Format::Bmp => Metadata::default(),
    };
    found.icc = found.icc.filter(|icc| icc.len() <= MAX_ICC_BYTES && describes(icc, frame_layout(header)));
    found.exif = found.exif.filter(|exif| exif.len() <= MAX_EXIF_BYTES);
    found
}

/// The orientation that EXIF data, or a TIFF file, names.
pub(super) fn orientation(tiff: &[u8]) -> Option<Orientation> {
    ifd::orientation(tiff).and_then(Orientation::from_exif)
}

/// Whether a profile is for pixels of this layout: its header names `GRAY` or `RGB ` (ICC.1, 7.2.6).
pub(super) fn describes(icc: &[u8], layout: Layout) -> bool {
    match icc.get(16..20) {
        Some(b"GRAY") => layout == Layout::Gray,
        Some(b"RGB ") => layout != Layout::Gray,
        _ => false,
    }
}

/// The EXIF fields by name (spec 4.6): `{"Model":{"type":2,"val":"Canon EOS 600D"}}`, in the order of their names.
///
/// Fields of the thumbnail, and tags without a name, are left out.
///
/// # Errors
/// [`Error::NoExif`] where there is no field to show.
pub fn exif_json(exif: &[u8]) -> Result<serde_json::Value, Error> {
    let fields = fields(exif).ok_or(Error::NoExif)?;
    let mut shown = serde_json::Map::new();
    for field in fields.iter().filter(|field| field.ifd_num == In::PRIMARY) {
        let (Some(name), Some(code)) = (exif_text::name(field.tag), exif_text::type_code(&field.value)) else {
            continue;
        };
        let text = exif_text::text(field.tag, &field.value);
        shown.insert(name, serde_json::json!({ "type": code, "val": text }));
    }
    if shown.is_empty() { Err(Error::NoExif) } else { Ok(shown.into()) }
}

/// The EXIF data that a result may carry.
///
/// Left out: where the picture was taken (GPS), the thumbnail (it shows the picture before it was changed), the maker's
/// notes (their offsets break when they move, and they too may tell the place), and what speaks of the source's own
/// storage (sizes, strips, embedded profiles and XMP). With `upright` the orientation becomes 1. `None` where nothing
/// remains or the data cannot be read.
pub fn exif_for_result(exif: &[u8], upright: bool) -> Option<Vec<u8>> {
    let mut kept: Vec<Field> = fields(exif)?.into_iter().filter(survives).collect();
    let mut seen = HashSet::new();
    kept.retain(|field| seen.insert(field.tag));
    if upright {
        for field in kept.iter_mut().filter(|field| field.tag == Tag::Orientation) {
            field.value = Value::Short(vec![1]);
        }
    }
    written(&kept)
}

/// Of EXIF data, who made the picture and whose it is: `Artist` and `Copyright`. `None` where neither is told.
pub fn copyright_for_result(exif: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<Field> = fields(exif)?.into_iter().filter(survives).collect();
    let mut seen = HashSet::new();
    kept.retain(|field| [Tag::Artist, Tag::Copyright].contains(&field.tag) && seen.insert(field.tag));
    written(&kept)
}

/// Fields as a structure of their own; `None` where there are none.
fn written(fields: &[Field]) -> Option<Vec<u8>> {
    if fields.is_empty() {
        return None;
    }
    let mut writer = Writer::new();
    for field in fields {
        writer.push_field(field);
    }
    let mut written = Cursor::new(Vec::new());
    writer.write(&mut written, false).ok()?;
    Some(written.into_inner())
}

/// Tags of the first directory that describe the file's own storage, hold whole other blocks, or point elsewhere.
const STORAGE_TAGS: [u16; 29] = [
    0x00FE, 0x00FF, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C, 0x013D,
    0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x0152, 0x0153, 0x015B, 0x02BC, 0x83BB, 0x8649, 0x8773, 0xC4A5,
    0xEA1C,
];

fn survives(field: &Field) -> bool {
    let stored = match field.tag.context() {
        Context::Tiff => STORAGE_TAGS.contains(&field.tag.number()),
        Context::Exif => {
            [Tag::MakerNote, Tag::PixelXDimension, Tag::PixelYDimension].contains(&field.tag)
                || field.tag.number() == 0xEA1C
        }
        Context::Gps => true,
        _ => false,
    };
    field.ifd_num == In::PRIMARY && !stored && exif_text::type_code(&field.value).is_some()
}

/// All fields, as far as they can be read.
///
/// Values may overlap, so a small file can declare any number of bytes; such a file is not parsed.
fn fields(exif: &[u8]) -> Option<Vec<Field>> {
    if ifd::declared_bytes(exif) > exif.len() as u64 + MAX_EXIF_BYTES as u64 {
        return None;
    }
    let parsed = exif::Reader::new()
        .continue_on_error(true)
        .read_raw(exif.to_vec())
        .or_else(|error| error.distill_partial_result(|_| ()))
        .ok()?;
    Some(parsed.fields().cloned().collect())
}

fn read_jpeg(bytes: &[u8]) -> Metadata {
    Markers::read(bytes)
        .map(|markers| Metadata {
            icc: markers.icc(),
            exif: markers.exif.map(<[u8]>::to_vec),
            density_dpi: markers.density_dpi,
        })
        .unwrap_or_default()
}

/// The EXIF fields of a TIFF file without its pixels.
fn tiff_exif(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > MAX_TIFF_BYTES {
        return None;
    }
    exif_for_result(bytes, false)
}

pub(super) fn frame_layout(header: &Header) -> Layout {
    match header.color_model {
        ColorModel::Gray => Layout::Gray,
        _ if header.has_alpha => Layout::Rgba,
        _ => Layout::Rgb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::probe;
    use crate::engine::decode::tests::{card, exif_with_orientation, settings};
    use crate::engine::encode;
    use crate::plan::output::OutputFormat;

    fn field(tag: Tag, value: Value) -> Field {
        Field { tag, ifd_num: In::PRIMARY, value }
    }

    fn exif(fields: &[Field], thumbnail: Option<&[u8]>) -> Vec<u8> {
        let mut writer = Writer::new();
        for field in fields {
            writer.push_field(field);
        }
        if let Some(thumbnail) = thumbnail {
            writer.set_jpeg(thumbnail, In::THUMBNAIL);
        }
        let mut written = Cursor::new(Vec::new());
        writer.write(&mut written, true).expect("a vector");
        written.into_inner()
    }

    fn camera() -> Vec<u8> {
        let fields = [
            field(Tag::Model, Value::Ascii(vec![b"Canon EOS 600D".to_vec()])),
            field(Tag::Orientation, Value::Short(vec![6])),
            field(Tag::ImageWidth, Value::Long(vec![4000])),
            field(Tag::ExposureTime, Value::Rational(vec![(1, 50).into()])),
            field(Tag::PhotographicSensitivity, Value::Short(vec![3200])),
            field(Tag::PixelXDimension, Value::Long(vec![4000])),
            field(Tag::MakerNote, Value::Undefined(b"here: 31.2N 121.5E".to_vec(), 0)),
            field(Tag::GPSLatitudeRef, Value::Ascii(vec![b"N".to_vec()])),
            field(Tag::GPSLatitude, Value::Rational(vec![(31, 1).into(), (13, 1).into(), (2284, 100).into()])),
        ];
        exif(&fields, Some(b"\xFF\xD8thumbnail\xFF\xD9"))
    }

    fn holds(bytes: &[u8], needle: &[u8]) -> bool {
        bytes.windows(needle.len()).any(|window| window == needle)
    }

    #[test]
    fn exif_json_is_the_vendors() {
        let json = exif_json(&camera()).expect("there is EXIF");
        assert_eq!(json["Model"], serde_json::json!({ "type": 2, "val": "Canon EOS 600D" }));
        assert_eq!(json["ExposureTime"], serde_json::json!({ "type": 5, "val": "1/50 sec." }));
        assert_eq!(json["ISOSpeedRatings"], serde_json::json!({ "type": 3, "val": "3200" }));
        assert_eq!(json["Orientation"], serde_json::json!({ "type": 3, "val": "Right-top" }));
        assert_eq!(json["GPSLatitude"], serde_json::json!({ "type": 5, "val": "31, 13, 22.84" }));
        assert_eq!(json.get("JPEGInterchangeFormat"), None);
    }

    #[test]
    fn no_exif_is_an_error() {
        for bytes in [&b""[..], b"MM\0*", b"MM\0*\0\0\0\x08\0\0\0\0\0\0", b"garbage in, nothing out"] {
            assert_eq!(exif_json(bytes), Err(Error::NoExif), "{bytes:?}");
            assert_eq!(exif_for_result(bytes, true), None, "{bytes:?}");
        }
    }

    #[test]
    fn results_carry_no_place_and_no_thumbnail() {
        let source = camera();
        assert!(holds(&source, b"31.2N") && holds(&source, b"thumbnail"));
        for (upright, orientation) in [(true, Orientation::TopLeft), (false, Orientation::RightTop)] {
            let kept = exif_for_result(&source, upright).expect("fields remain");
            assert!(!holds(&kept, b"31.2N") && !holds(&kept, b"thumbnail"));
            assert_eq!(super::orientation(&kept), Some(orientation));
            let json = exif_json(&kept).expect("fields remain");
            let names: Vec<&String> = json.as_object().expect("an object").keys().collect();
            assert_eq!(names, ["ExposureTime", "ISOSpeedRatings", "Model", "Orientation"]);
        }
    }

    #[test]
    fn of_credits_nothing_else_is_told() {
        let ascii = |tag, text: &str| field(tag, Value::Ascii(vec![text.as_bytes().to_vec()]));
        let credits = [ascii(Tag::Artist, "Lin"), ascii(Tag::Copyright, "2024 Lin")];
        let mut all = credits.to_vec();
        all.push(ascii(Tag::Model, "Canon"));
        all.push(field(Tag::GPSLatitude, Value::Rational(vec![(31, 1).into(), (13, 1).into(), (0, 1).into()])));
        let kept = copyright_for_result(&exif(&all, Some(b"\xFF\xD8thumbnail\xFF\xD9"))).expect("both");
        let json = exif_json(&kept).expect("fields");
        let names: Vec<&String> = json.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["Artist", "Copyright"]);
        assert_eq!(json["Copyright"]["val"], "2024 Lin");
        assert!(!holds(&kept, b"thumbnail") && !holds(&kept, b"Canon"));
        for none in [camera(), b"garbage".to_vec()] {
            assert_eq!(copyright_for_result(&none), None);
        }
    }

    #[test]
    fn values_that_overlap_are_not_copied() {
        // 5000 entries that all claim the same 60 kB.
        let mut hostile = b"MM\0*\0\0\0\x08".to_vec();
        hostile.extend_from_slice(&5000_u16.to_be_bytes());
        for tag in 0..5000_u16 {
            hostile.extend_from_slice(&tag.to_be_bytes());
            hostile.extend_from_slice(&[0, 7, 0, 0, 0xEA, 0x60, 0, 0, 0, 0]);
        }
        hostile.resize(64_000, 0);
        assert_eq!(exif_json(&hostile), Err(Error::NoExif));
        assert!(ifd::declared_bytes(&hostile) > 100_000_000);
    }

    #[test]
    fn directories_that_point_at_themselves_end() {
        let mut looped = exif_with_orientation(6);
        let last = looped.len() - 1;
        looped[last] = 8;
        assert_eq!(ifd::declared_bytes(&looped), 2);
        assert_eq!(super::orientation(&looped), Some(Orientation::RightTop));
    }

    #[test]
    fn tiff_exif_is_without_pixels() {
        let file = encode::still(&card(Layout::Rgb, 100, 100), &settings(OutputFormat::Tiff)).expect("a TIFF");
        let found = read(&file, &probe(&file).expect("our own file"));
        assert!(found.exif.is_none_or(|exif| exif.len() < 1000));
    }

    #[test]
    fn profiles_are_sorted_by_channels() {
        let gray = moxcms::ColorProfile::new_gray_with_gamma(2.2).encode().expect("a built-in profile");
        let rgb = moxcms::ColorProfile::new_display_p3().encode().expect("a built-in profile");
        for (icc, layout, expected) in [
            (&gray, Layout::Gray, true),
            (&gray, Layout::Rgb, false),
            (&rgb, Layout::Gray, false),
            (&rgb, Layout::Rgb, true),
            (&rgb, Layout::Rgba, true),
        ] {
            assert_eq!(describes(icc, layout), expected, "{layout:?}");
        }
        assert!(!describes(b"short", Layout::Rgb));
    }
}
