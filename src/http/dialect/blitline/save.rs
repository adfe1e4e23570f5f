//! Save objects (spec 5): where a result goes, what its URL will be, and the operators that encode it.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::source::s3_object;
use super::values::Fields;
use super::wording::Promise;
use crate::jobs::model::Destination;

/// Results without a destination go to the bucket of this name.
pub(super) const BUCKET: &str = "blitline";

/// And are deleted from it after so many days.
const KEPT_DAYS: u32 = 1;

/// Quality where nobody names one.
const QUALITY: f64 = 80.0;

/// The version above which profiles are kept.
const KEEPS_PROFILES_ABOVE: f64 = 1.19;

/// What stands in a path as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// What holds for all saves of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    /// What URLs begin with.
    pub(super) base: &'a str,
    /// The version of the protocol.
    pub(super) version: f64,
    /// Whether sources are not turned upright.
    pub(super) suppresses_orientation: bool,
    /// The page that is saved, which is part of its names.
    pub(super) page: Option<u32>,
    pub(super) now: SystemTime,
}

/// A save as it was read.
#[derive(Debug, PartialEq)]
pub(super) struct Save {
    pub(super) promise: Promise,
    /// Where it goes; nowhere where the promise says why it cannot be kept.
    pub(super) destination: Destination,
    /// What stands behind the functions.
    pub(super) encoding: String,
}

/// Reads the save of the result `number` of a job; `None` where it is to be skipped. The text says why it cannot be asked for.
pub(super) fn read(save: Fields<'_>, number: usize, terms: Terms<'_>) -> Result<Option<Save>, String> {
    let identifier = save.text("image_identifier").filter(|identifier| !identifier.is_empty());
    let identifier = identifier.ok_or("image_identifier is missing; every save needs one")?;
    let identifier = paged(identifier, terms.page);
    if save.flag("skip") {
        return Ok(None);
    }
    let (destination, problem, format) = match save.get("s3_destination") {
        Some(s3) => {
            let (bucket, key) =
                s3_object(s3).map_err(|problem| format!("s3_destination of {identifier:?}: {problem}"))?;
            let key = paged(key, terms.page);
            let format = format_of(&key, Fields::of(Some(s3)).text("force_type").as_deref());
            (Destination::Object { bucket, key }, None, format)
        }
        None => {
            let extension = save.text("extension").unwrap_or_default();
            let format = named(extension.trim_start_matches('.')).unwrap_or("jpg");
            let place = Destination::Object { bucket: BUCKET.to_owned(), key: key(number, format, terms.now) };
            let other = ["signed_destination", "azure_destination", "ftp_destination"];
            let other = other.into_iter().find(|name| save.get(name).is_some());
            let problem = other.map(|name| format!("{name} is not supported by this server"));
            (Destination::ForDays { days: KEPT_DAYS, place: Box::new(place) }, problem, format)
        }
    };
    let encoding = encoding(save, format, terms)?;
    let s3 = Fields::of(save.get("s3_destination"));
    let mut promise = promise(identifier, destination.place(), s3.flag("return_keys"), problem, terms.base);
    promise.checks_blank = save.flag("check_blank");
    Ok(Some(Save { promise, destination, encoding }))
}

/// A name with the page before its extension.
fn paged(name: String, page: Option<u32>) -> String {
    let Some(page) = page else { return name };
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[start..].rfind('.') {
        Some(dot) => format!("{}_{page}{}", &name[..start + dot], &name[start + dot..]),
        None => format!("{name}_{page}"),
    }
}

fn promise(identifier: String, place: &Destination, tells_key: bool, problem: Option<String>, base: &str) -> Promise {
    let (bucket, key) = match place {
        Destination::Object { bucket, key } => (bucket.as_str(), key.as_str()),
        _ => ("", ""),
    };
    let path = |text| utf8_percent_encode(text, PATH);
    let url = format!("{base}/{}/{}", path(bucket), path(key));
    Promise { identifier, url, key: tells_key.then(|| key.to_owned()), checks_blank: false, problem }
}

/// `{YYYYMMDDHH}/{n}/{unique}.jpg`.
fn key(number: usize, format: &str, now: SystemTime) -> String {
    let mut unique = [0; 16];
    getrandom::fill(&mut unique).expect("the system has random numbers");
    let unique: String = unique.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}/{number}/{unique}.{format}", DateTime::<Utc>::from(now).format("%Y%m%d%H"))
}

/// The format of a key: by its extension, else by the type that is forced, else JPEG.
fn format_of(key: &str, force_type: Option<&str>) -> &'static str {
    let file = key.rsplit('/').next().unwrap_or_default();
    let by_extension = file.rsplit_once('.').and_then(|(_, extension)| named(extension));
    let by_type = force_type.and_then(|media_type| named(media_type.strip_prefix("image/")?));
    by_extension.or(by_type).unwrap_or("jpg")
}

/// The format of an extension.
fn named(extension: &str) -> Option<&'static str> {
    Some(match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "jpg",
        "png" => "png",
        "gif" => "gif",
        "webp" => "webp",
        "bmp" => "bmp",
        "tif" | "tiff" => "tiff",
        "avif" => "avif",
        _ => return None,
    })
}

/// The operators that encode a result. `imageView2` drops EXIF and keeps the profile, `imageMogr2` keeps both or, by `strip`,
/// neither. The former turns pictures upright, so that it is not for those that are to lie as they were stored.
fn encoding(save: Fields<'_>, format: &str, terms: Terms<'_>) -> Result<String, String> {
    let quality = save.number_or("quality", QUALITY)?.round().clamp(1.0, 100.0);
    let keeps_profile = match save.get("save_profiles") {
        Some(_) => save.flag("save_profiles"),
        None => terms.version > KEEPS_PROFILES_ABOVE,
    };
    let keeps_all = save.flag("save_metadata");
    let operator = match keeps_profile && !keeps_all && !terms.suppresses_orientation {
        true => "imageView2/2",
        false if keeps_all => "imageMogr2",
        false => "imageMogr2/strip",
    };
    let mut encoding =
        format!("{operator}/format/{format}/{}/{quality}!", if operator == "imageView2/2" { "q" } else { "quality" });
    let interlace = save.text("interlace").unwrap_or_default();
    let interlace = interlace.strip_suffix("Interlace").unwrap_or(&interlace);
    if !matches!(interlace, "" | "No" | "Undefined") {
        encoding += "/interlace/1";
    }
    if save.flag("png_quantize") {
        encoding += "/colors/256";
    }
    match save.whole("max_filesize")? {
        Some(bytes) if bytes > 0 => Ok(format!("imageMogr2/size-limit/{bytes}|{encoding}")),
        _ => Ok(encoding),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::Plan;

    const TERMS: Terms<'static> = Terms {
        base: "http://images",
        version: 1.22,
        suppresses_orientation: false,
        page: None,
        now: SystemTime::UNIX_EPOCH,
    };

    fn read_as(save: &Value, terms: Terms<'_>) -> Result<Option<Save>, String> {
        read(Fields::of(Some(save)), 2, terms)
    }

    fn saved(save: &Value) -> Save {
        read_as(save, TERMS).unwrap().unwrap()
    }

    #[test]
    fn results_have_a_place_and_a_promise() {
        let save = saved(&json!({ "image_identifier": "ID" }));
        let Destination::ForDays { days: 1, place } = &save.destination else { panic!("{save:?}") };
        let Destination::Object { bucket, key } = place.as_ref() else { panic!("{save:?}") };
        assert_eq!(bucket, "blitline");
        assert!(key.starts_with("1970010100/2/") && key.ends_with(".jpg") && key.len() == 49, "{key}");
        assert_eq!(save.promise.url, format!("http://images/blitline/{key}"));
        assert_eq!((save.promise.key, save.promise.problem), (None, None));

        let s3 = json!({ "bucket": { "name": "b", "location": "x" }, "key": "a b/ü.png", "return_keys": true });
        let save = saved(&json!({ "image_identifier": 7, "s3_destination": s3 }));
        assert_eq!(save.destination, Destination::Object { bucket: "b".to_owned(), key: "a b/ü.png".to_owned() });
        assert_eq!(save.promise.url, "http://images/b/a%20b/%C3%BC.png");
        assert_eq!((save.promise.key.as_deref(), save.promise.identifier.as_str()), (Some("a b/ü.png"), "7"));
        assert!(save.encoding.contains("/format/png/"), "{}", save.encoding);
    }

    #[test]
    fn saves_are_encoded_as_they_say() {
        for (save, expected) in [
            (json!({}), "imageView2/2/format/jpg/q/80!"),
            (json!({ "quality": "75", "interlace": "PlaneInterlace" }), "imageView2/2/format/jpg/q/75!/interlace/1"),
            (json!({ "quality": 0, "interlace": "NoInterlace" }), "imageView2/2/format/jpg/q/1!"),
            (json!({ "extension": ".png", "png_quantize": true }), "imageView2/2/format/png/q/80!/colors/256"),
            (json!({ "extension": "webp" }), "imageView2/2/format/webp/q/80!"),
            (json!({ "extension": "exe" }), "imageView2/2/format/jpg/q/80!"),
            (json!({ "save_metadata": true }), "imageMogr2/format/jpg/quality/80!"),
            (json!({ "save_profiles": "false" }), "imageMogr2/strip/format/jpg/quality/80!"),
            (json!({ "max_filesize": 5000 }), "imageMogr2/size-limit/5000|imageView2/2/format/jpg/q/80!"),
            (
                json!({ "s3_destination": { "bucket": "b", "key": "x", "force_type": "image/gif" } }),
                "imageView2/2/format/gif/q/80!",
            ),
        ] {
            let mut save = save;
            save["image_identifier"] = "ID".into();
            let encoding = saved(&save).encoding;
            assert_eq!(encoding, expected, "{save}");
            assert!(Plan::parse(&encoding).is_ok(), "{encoding}");
        }
        let plain = json!({ "image_identifier": "ID" });
        for terms in [Terms { version: 1.19, ..TERMS }, Terms { suppresses_orientation: true, ..TERMS }] {
            assert!(read_as(&plain, terms).unwrap().unwrap().encoding.starts_with("imageMogr2/strip/"), "{terms:?}");
        }
    }

    #[test]
    fn pages_are_part_of_names() {
        let s3 = json!({ "bucket": "b", "key": "v1.2/scan.png" });
        let save = json!({ "image_identifier": "scan", "s3_destination": s3 });
        let save = read_as(&save, Terms { page: Some(3), ..TERMS }).unwrap().unwrap();
        assert_eq!(
            (save.promise.identifier.as_str(), save.promise.url.as_str()),
            ("scan_3", "http://images/b/v1.2/scan_3.png")
        );
    }

    #[test]
    fn what_is_not_done_is_named() {
        let ftp = saved(&json!({ "image_identifier": "ID", "ftp_destination": { "server": "x" } }));
        assert_eq!(ftp.promise.problem.as_deref(), Some("ftp_destination is not supported by this server"));
        assert_eq!(read_as(&json!({ "image_identifier": "ID", "skip": true }), TERMS), Ok(None));
        assert!(read_as(&json!({}), TERMS).is_err());
        assert!(read_as(&json!({ "image_identifier": "a", "s3_destination": {} }), TERMS).is_err());
    }
}
