//! What is said of jobs: when they are taken on (spec 6), and when they have ended (spec 7 and 8).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::wording::{Promise, Wording};
use crate::geometry::Orientation;
use crate::jobs::model::{Job, JobId, Outcome};
use crate::jobs::notify::Message;

/// Up to this version postbacks are forms.
const FORMS_UP_TO: f64 = 1.17;
/// Up to this version what polls answer is a text of JSON.
const TEXTS_UP_TO: f64 = 1.18;
/// Up to this version failures stand among the images.
const FAILURES_AMONG_IMAGES_UP_TO: f64 = 1.19;

/// Bytes of our names of jobs; the vendor's have four more.
const ID_BYTES: usize = 12;

/// A job's name as this API has it: a digit and 22 characters.
pub(super) fn spelled(id: &JobId) -> String {
    let digit = |at: usize| id.as_str().get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let mut bytes: Vec<u8> = (0..ID_BYTES).filter_map(|nth| digit(2 * nth)).collect();
    bytes.resize(16, 0);
    format!("0{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The job that a name of this API may stand for.
pub(super) fn job_id(text: &str) -> Option<JobId> {
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix('0')?).ok().filter(|bytes| bytes.len() == 16)?;
    let (id, rest) = bytes.split_at(ID_BYTES);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    if rest.iter().all(|byte| *byte == 0) { JobId::parse(&id) } else { None }
}

/// What stands under `results` when a job is taken on.
pub(super) fn submitted(id: &JobId, wording: &Wording) -> Value {
    let images: Vec<Value> = wording.saves.iter().map(|save| Value::Object(image(save))).collect();
    json!({ "images": images, "job_id": spelled(id) })
}

fn image(save: &Promise) -> Map<String, Value> {
    let mut image = Map::new();
    image.insert("image_identifier".to_owned(), save.identifier.clone().into());
    image.insert("s3_url".to_owned(), save.url.clone().into());
    if let Some(key) = &save.key {
        image.insert("s3_key".to_owned(), key.clone().into());
    }
    image
}

/// What is kept of a job's words.
pub(super) fn wording(job: &Job) -> Wording {
    job.spec.wording.as_deref().and_then(|kept| serde_json::from_str(kept).ok()).unwrap_or_default()
}

/// What the owner of a job is told.
pub fn message(job: &Job) -> Message {
    let wording = wording(job);
    let results = results(job, &wording);
    if wording.version > FORMS_UP_TO || wording.json {
        return Message { content_type: "application/json", body: json!({ "results": results }).to_string().into() };
    }
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("results", &results.to_string()).finish();
    Message { content_type: "application/x-www-form-urlencoded", body: form.into() }
}

/// What polls answer for a job that has ended.
pub(super) fn polled(job: &Job, wording: &Wording) -> Value {
    let results = results(job, wording);
    if wording.version > TEXTS_UP_TO { results } else { results.to_string().into() }
}

/// How a job ended.
fn results(job: &Job, wording: &Wording) -> Value {
    let mut images = Vec::new();
    let (mut errors, mut failed): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut blanks = job.outcomes.iter().skip(wording.saves.len() + 1 + usize::from(wording.colors));
    for (nth, save) in wording.saves.iter().enumerate() {
        let seen = if save.checks_blank { blanks.next().and_then(Option::as_ref) } else { None };
        match job.outcomes.get(nth).and_then(Option::as_ref) {
            Some(Outcome::Stored(stored)) => {
                let mut image = image(save);
                if is_blank(seen) {
                    image.insert("is_blank".to_owned(), true.into());
                }
                let (width, height) = stored.size.unwrap_or_default();
                let mut meta = json!({ "width": width, "height": height });
                if wording.extended {
                    meta["filesize"] = stored.bytes.into();
                }
                image.insert("meta".to_owned(), meta);
                images.push(Value::Object(image));
            }
            outcome => {
                let error = format!("Image processing failed. {}", problem(save, outcome, wording));
                if !errors.contains(&error) {
                    errors.push(error);
                }
                failed.push(&save.identifier);
            }
        }
    }
    let facts = job.outcomes.get(wording.saves.len()).and_then(Option::as_ref);
    // A job without saves fails with its source.
    if let (true, Some(Outcome::Failed(_))) = (wording.saves.is_empty(), facts) {
        errors.push(format!("Image processing failed. {}", problem(&Promise::default(), facts, wording)));
    }
    let mut original = original(facts, wording);
    let colors = job.outcomes.get(wording.saves.len() + 1).filter(|_| wording.colors);
    if let Some(extracted) = colors.and_then(Option::as_ref).and_then(|told| extracted(told, &original)) {
        original["extracted_colors"] = extracted;
    }
    let mut results = json!({ "original_meta": original, "images": images, "job_id": spelled(&job.id) });
    if !errors.is_empty() {
        tell_failures(&mut results, &errors, &failed, wording.version);
    }
    results
}

/// Whether all of a picture is told to be of one colour.
fn is_blank(seen: Option<&Outcome>) -> bool {
    let Some(Outcome::Data(text)) = seen else { return false };
    serde_json::from_str::<Value>(text).is_ok_and(|seen| seen["blank"] == true)
}

/// `extracted_colors`: shares of what was counted, as so many pixels of the original.
fn extracted(told: &Outcome, original: &Value) -> Option<Value> {
    let Outcome::Data(text) = told else { return None };
    let told: Value = serde_json::from_str(text).ok()?;
    let counted = told["pixels"].as_f64().filter(|counted| *counted > 0.0)?;
    let pixels = original["width"].as_f64()? * original["height"].as_f64()?;
    let color = |hex: &str| {
        let part = |at: usize| hex.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        json!({ "r": part(0), "g": part(2), "b": part(4), "hex_color": format!("#{hex}") })
    };
    let data = told["colors"].as_array()?.iter().filter_map(|one| {
        let share = one["pixels"].as_f64()? / counted;
        let percentage = (10_000.0 * share).round() / 100.0;
        Some(json!({ "percentage": percentage, "pixel_count": (share * pixels).round() as u64, "color": color(one["color"].as_str()?) }))
    });
    let data: Vec<Value> = data.collect();
    Some(json!({ "data": data, "best_guess_background": told["background"].as_str().map(color) }))
}

/// Why a save is not there.
fn problem(save: &Promise, outcome: Option<&Outcome>, wording: &Wording) -> String {
    match outcome {
        Some(Outcome::Failed(failure)) if failure.of_source => {
            format!("Failed to download file from {}: {}", wording.src, failure.message)
        }
        _ if save.problem.is_some() => save.problem.clone().unwrap_or_default(),
        Some(Outcome::Failed(failure)) => failure.message.clone(),
        _ => "the job was stopped".to_owned(),
    }
}

/// Spec 8: where failures stand.
fn tell_failures(results: &mut Value, errors: &[String], failed: &[&str], version: f64) {
    let among = match version {
        version if version > FAILURES_AMONG_IMAGES_UP_TO => {
            results["errors"] = json!(errors);
            results["failed_image_identifiers"] = json!(failed);
            return;
        }
        version if version > FORMS_UP_TO => {
            vec![json!({ "error": errors.join(" "), "failed_image_identifiers": failed })]
        }
        _ => {
            results["error"] = "true".into();
            vec![json!({ "error": errors.join(" ") }), json!({ "failed_image_identifiers": failed })]
        }
    };
    if let Some(images) = results["images"].as_array_mut() {
        images.extend(among);
    }
}

/// What is told of the source; nothing where it could not be read.
fn original(facts: Option<&Outcome>, wording: &Wording) -> Value {
    let Some(Outcome::Data(text)) = facts else { return json!({}) };
    let Ok(facts) = serde_json::from_str::<Value>(text) else { return json!({}) };
    let (mut width, mut height) = (facts["width"].clone(), facts["height"].clone());
    let orientation = facts["orientation"].as_str().unwrap_or_default();
    let transposes = (1..=8).filter_map(Orientation::from_exif).any(|it| it.name() == orientation && it.transposes());
    if transposes && !wording.lies {
        (width, height) = (height, width);
    }
    if let Some(size) = wording.canvas {
        (width, height) = (size.0.into(), size.1.into());
    }
    let mut original = json!({ "width": width, "height": height });
    let exif = facts["exif"].as_object().cloned().unwrap_or_default();
    let fields = || exif.iter().map(|(name, field)| (name.clone(), field["val"].clone()));
    if wording.exif {
        original["original_exif"] = Value::Object(fields().collect());
    }
    if wording.extended {
        original["all_exif"] = fields().map(|(name, value)| json!([name, value])).collect();
        original["filesize"] = facts["size"].clone();
        if let Some(date) = exif.get("DateTimeOriginal").or_else(|| exif.get("DateTime")) {
            original["date_created"] = date["val"].clone();
        }
    }
    if let Some(digest) = facts["digest"].as_str() {
        original["hash"] = digest.into();
    }
    original
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn names_of_jobs_go_there_and_back() {
        let id = JobId::new(SystemTime::now());
        let name = spelled(&id);
        assert_eq!((name.len(), name.as_bytes()[0]), (23, b'0'));
        assert_eq!(job_id(&name), Some(id));
        for text in ["", "0", "4weK03Kd0j-D_ttohR7GTcg", &name[1..], &format!("1{}", &name[1..]), "0ü"] {
            assert_eq!(job_id(text), None, "{text}");
        }
    }
}
