//! What a job works on (spec 4): a URL, an object of a bucket, bytes that come with it, or a canvas of one colour.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use serde_json::Value;

use super::values::Fields;
use crate::color::Color;
use crate::geometry::Size;
use crate::jobs::model::Source;

/// Base64 with padding or without.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Most pages of a job.
const MOST_PAGES: usize = 20;

/// Longest address.
const MAX_URL_BYTES: usize = 8 << 10;

/// A source as it was read.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub(super) source: Source,
    /// The size of a canvas, whose source is one pixel of its colour.
    pub(super) canvas: Option<Size>,
    /// The pages that all functions are done to, each; none where it is the source as a whole.
    pub(super) pages: Vec<u32>,
}

/// Reads `src` as `src_type` says; the text says what is wrong with it.
pub(super) fn read(job: Fields<'_>) -> Result<Read, String> {
    let kind = match job.get("src_type") {
        Some(named @ Value::Object(_)) => Fields::of(Some(named)).text("name"),
        _ => job.text("src_type"),
    };
    let src = job.get("src");
    match kind.as_deref() {
        None | Some("" | "image") if Fields::of(src).text("name").as_deref() == Some("canvas") => {
            canvas(Fields::of(src))
        }
        None | Some("" | "image") => Ok(Read { source: source(src)?, canvas: None, pages: Vec::new() }),
        Some("inline") => Ok(Read { source: inline(src)?, canvas: None, pages: Vec::new() }),
        Some("multi_page") => Ok(Read { source: source(src)?, canvas: None, pages: pages(job)? }),
        Some(other) => Err(format!("Image processing failed. Unsupported src_type '{other}'")),
    }
}

/// The pages of `multi_page`, each once. How many a source has is not known before it is read, so that they have to be named.
fn pages(job: Fields<'_>) -> Result<Vec<u32>, String> {
    let expected =
        || format!("src_type.pages is missing or wrong; expected 1 to {MOST_PAGES} numbers of pages, from 0");
    let listed = [job.get("src_type"), job.get("src_data")].into_iter().find_map(|of| Fields::of(of).get("pages"));
    let listed = listed.and_then(Value::as_array).ok_or_else(expected)?;
    let numbers = listed.iter().map(|page| page.as_u64().and_then(|page| u32::try_from(page).ok()));
    let mut pages = numbers.collect::<Option<Vec<u32>>>().ok_or_else(expected)?;
    let mut seen = std::collections::BTreeSet::new();
    pages.retain(|page| seen.insert(*page));
    match pages.len() {
        1..=MOST_PAGES => Ok(pages),
        _ => Err(expected()),
    }
}

/// Bytes in Base64, which may stand in a `data:` URL.
fn inline(src: Option<&Value>) -> Result<Source, String> {
    let text = src.and_then(Value::as_str).ok_or("src is missing; expected the picture in Base64")?;
    let data = text.strip_prefix("data:").map_or(Some(text), |data| Some(data.split_once(";base64,")?.1));
    let bytes: String = data.unwrap_or_default().chars().filter(|char| !char.is_ascii_whitespace()).collect();
    let decoded = LENIENT.decode(&bytes).ok().filter(|bytes| !bytes.is_empty());
    let decoded = decoded.ok_or("src is no picture in Base64")?;
    Ok(Source::Inline(STANDARD.encode(decoded)))
}

/// A canvas of one colour; white and 10 by 10 where nothing else is said.
fn canvas(src: Fields<'_>) -> Result<Read, String> {
    let edge = |name| match src.whole_or(name, 10)? {
        edge @ 1..=9999 => Ok(edge as u32),
        edge => Err(format!("src.{name} is {edge}; expected an integer from 1 to 9999")),
    };
    let size = Size::new(edge("width")?, edge("height")?);
    let color = src.color_or("color", Color::WHITE)?;
    Ok(Read { source: Source::Inline(STANDARD.encode(pixel(color))), canvas: Some(size), pages: Vec::new() })
}

/// A PNG of one pixel.
fn pixel(color: Color) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 1, 1);
    encoder.set_color(png::ColorType::Rgba);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&color.rgba));
    written.expect("memory takes what is written");
    file
}

/// Reads a URL or an object of a bucket.
fn source(src: Option<&Value>) -> Result<Source, String> {
    match src {
        Some(Value::String(url)) => address(url, "src").map(Source::Url),
        Some(value @ Value::Object(object)) => match object.get("name").and_then(Value::as_str) {
            Some("s3") | None if object.contains_key("bucket") => {
                let (bucket, key) = s3_object(value)?;
                Ok(Source::Object { bucket, key })
            }
            name => Err(format!("src.name is {name:?}; expected s3 or canvas")),
        },
        _ => Err("src is missing; expected a URL or an S3 object".to_owned()),
    }
}

/// Bucket and key of `{"bucket":…,"key":…}`, where a bucket may have a name and a location.
pub(super) fn s3_object(value: &Value) -> Result<(String, String), String> {
    let object = Fields::of(Some(value));
    let bucket = match object.get("bucket") {
        Some(named @ Value::Object(_)) => Fields::of(Some(named)).text("name"),
        _ => object.text("bucket"),
    };
    let bucket = bucket.filter(|name| !name.is_empty()).ok_or("bucket is missing; expected its name")?;
    let key = object.text("key").map(|key| key.trim_start_matches('/').to_owned());
    let key =
        key.filter(|key| !key.is_empty() && !key.contains('\0')).ok_or("key is missing; expected that of an object")?;
    Ok((bucket, key))
}

/// An http or https URL as it is read: what was written may have characters that a database does not take.
pub(super) fn address(text: &str, name: &str) -> Result<String, String> {
    let parsed = url::Url::parse(text.trim()).ok();
    let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let address = parsed.map(String::from).filter(|url| url.len() <= MAX_URL_BYTES);
    address.ok_or_else(|| format!("{name} is no http or https URL of at most {MAX_URL_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_are_urls_and_objects() {
        let object = |bucket: &str, key: &str| Source::Object { bucket: bucket.to_owned(), key: key.to_owned() };
        for (src, expected) in [
            (json!("http://a.example/b c.jpg"), Source::Url("http://a.example/b%20c.jpg".to_owned())),
            (json!({ "name": "s3", "bucket": "b", "key": "/k/l.jpg" }), object("b", "k/l.jpg")),
            (json!({ "name": "s3", "bucket": { "name": "b", "location": "eu-west-1" }, "key": "k" }), object("b", "k")),
        ] {
            assert_eq!(source(Some(&src)), Ok(expected), "{src}");
        }
        for src in [
            json!(null),
            json!(""),
            json!("ftp://a/b"),
            json!("&ident"),
            json!({ "name": "polygon" }),
            json!({ "urls": [] }),
            json!({ "name": "s3", "bucket": "b" }),
            json!({ "name": "s3", "key": "k" }),
            json!({ "name": "s3", "bucket": "", "key": "k" }),
        ] {
            assert!(source(Some(&src)).is_err(), "{src}");
        }
    }

    #[test]
    fn pictures_come_with_their_jobs() {
        let said = |job: &Value| read(Fields::of(Some(job)));
        let inline = |src: &str| said(&json!({ "src_type": "inline", "src": src }));
        let source = Source::Inline("aGVsbG8=".to_owned());
        let expected = Ok(Read { source, canvas: None, pages: Vec::new() });
        for src in ["aGVsbG8=", "aGVsbG8", " aGVs\nbG8= ", "data:image/png;base64,aGVsbG8="] {
            assert_eq!(inline(src), expected, "{src}");
        }
        for src in ["", "data:image/png,abc", "a", "ö"] {
            assert_eq!(inline(src), Err("src is no picture in Base64".to_owned()), "{src}");
        }
        let canvas = said(&json!({ "src": { "name": "canvas", "width": "30", "color": "#f00" } })).unwrap();
        assert_eq!(canvas.canvas, Some(Size::new(30, 10)));
        let paged = |pages: Value| {
            let src_type = json!({ "name": "multi_page", "pages": pages });
            said(&json!({ "src_type": src_type, "src": "http://a.example/b.gif" })).map(|read| read.pages)
        };
        assert_eq!(paged(json!([2, 0, 2])), Ok(vec![2, 0]));
        for wrong in [json!(null), json!([]), json!([-1]), json!(["a"]), json!((0..21).collect::<Vec<u32>>())] {
            let problem = paged(wrong.clone()).unwrap_err();
            assert!(problem.starts_with("src_type.pages is missing or wrong"), "{wrong}: {problem}");
        }
        let zip = said(&json!({ "src_type": { "name": "zip" }, "src": "a" }));
        assert_eq!(zip, Err("Image processing failed. Unsupported src_type 'zip'".to_owned()));
    }
}
