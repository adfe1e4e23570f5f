//! A job in Tencent's words, for queries and for callbacks (Tencent spec 2.2, 2.3, 5).

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::Failure;
use super::host::objects_host;
use super::queues::wrong;
use super::xml::{Element, leaf, tree};
use crate::error::ErrorKind;
use crate::geometry::Orientation;
use crate::jobs::model::{Failure as Failed, Job, JobId, Outcome, State, Stored, vendor_time};
use crate::jobs::notify::Message;

/// Stands before a job's own name, so that there are as many digits as the vendor's ids have.
const ID_PREFIX: &str = "c00000000";

/// Positions of a job's outputs: the result, and where they were asked for, the facts of the source.
const RESULT: usize = 0;
const INFO: usize = 1;
const AVERAGE: usize = 2;

/// The facts about a source that are told, in that order.
pub(super) const SOURCE_FACTS: [&str; 2] = ["facts/quality/1", "imageAve"];

/// The quality that is told of files that have none.
const WHOLE_QUALITY: u8 = 100;

/// What is kept of a request to spell its job again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wording {
    pub(super) bucket: String,
    pub(super) region: String,
    pub(super) object: String,
    pub(super) etag: String,
    pub(super) template: Option<(String, String)>,
    pub(super) rule: String,
    pub(super) is_described: bool,
    pub(super) output: (String, String, String),
    pub(super) callback_format: String,
}

/// The vendor's name of a job.
pub(super) fn job_name(id: &JobId) -> String {
    format!("{ID_PREFIX}{id}")
}

/// The job that a vendor's name is of.
pub(super) fn job_id(name: &str) -> Option<JobId> {
    JobId::parse(name.strip_prefix(ID_PREFIX)?)
}

/// A time as the vendor writes it.
pub(super) fn time_text(time: SystemTime) -> String {
    vendor_time(time).format("%Y-%m-%dT%H:%M:%S%z").to_string()
}

/// Refuses what is not about pictures.
pub(super) fn check_tag(request: &Element) -> Result<(), Failure> {
    match request.text_at("Tag") {
        Some("PicProcess") => Ok(()),
        other => Err(wrong("Request/Tag", other, "PicProcess")),
    }
}

/// The rule of a `PicProcess`, and whether facts about the source are told.
pub(super) fn rule_of(parent: &Element, path: &str) -> Result<(String, bool), Failure> {
    let rule = parent.text_at("PicProcess/ProcessRule");
    let rule = rule.ok_or_else(|| Failure::invalid(format!("{path}/PicProcess/ProcessRule is missing")))?;
    let is_described = match parent.text_at("PicProcess/IsPicInfo") {
        None | Some("false") => false,
        Some("true") => true,
        other => return Err(wrong(&format!("{path}/PicProcess/IsPicInfo"), other, "true or false")),
    };
    Ok((rule.to_owned(), is_described))
}

/// A rule as it stands in templates and jobs.
pub(super) fn process(rule: &str, is_described: bool) -> Element {
    let described = if is_described { "true" } else { "false" };
    tree("PicProcess", vec![leaf("IsPicInfo", described), leaf("ProcessRule", rule)])
}

fn state_of(job: &Job, is_paused: bool) -> &'static str {
    match job.state {
        State::Waiting if is_paused => "Pause",
        State::Waiting => "Submitted",
        State::Running => "Running",
        State::Succeeded => "Success",
        State::Failed => "Failed",
        State::Cancelled => "Cancel",
    }
}

/// `JobsDetail` of a job.
pub(super) fn details(job: &Job, is_paused: bool) -> Element {
    let wording = wording(job);
    let time = |time: Option<SystemTime>| time.map_or_else(|| "-".to_owned(), time_text);
    let (code, message) = problem(job);
    let input =
        vec![leaf("BucketId", &*wording.bucket), leaf("Object", &*wording.object), leaf("Region", &*wording.region)];
    let children = vec![
        leaf("Code", code),
        leaf("Message", message),
        leaf("JobId", job_name(&job.id)),
        leaf("State", state_of(job, is_paused)),
        leaf("CreationTime", time_text(job.created)),
        leaf("StartTime", time(job.started)),
        leaf("EndTime", time(job.finished)),
        leaf("QueueId", &*job.queue),
        leaf("Tag", "PicProcess"),
        tree("Input", input),
        operation(job, &wording),
    ];
    tree("JobsDetail", children)
}

fn wording(job: &Job) -> Wording {
    job.spec.wording.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn problem(job: &Job) -> (&'static str, String) {
    let failure = job.outcomes.iter().flatten().find_map(|outcome| match outcome {
        Outcome::Failed(failure) => Some(failure),
        _ => None,
    });
    match (job.state, failure) {
        (State::Failed, Some(failure)) => (code_of(failure), failure.message.clone()),
        (State::Failed, None) => ("InternalError", "the job failed".to_owned()),
        _ => ("Success", String::new()),
    }
}

/// The error code of CI (Tencent spec 10) that is nearest to what failed.
fn code_of(failure: &Failed) -> &'static str {
    use ErrorKind::{
        BadImage, Forbidden, Invalid, NotFound, TooLarge, Unauthorized, Unsupported, Upstream, UpstreamTimeout,
    };
    match (failure.kind, failure.of_source) {
        (Some(NotFound), _) => "ResourceNotFound",
        (Some(Forbidden | Unauthorized), true) => "ResourceAccessDenied",
        (Some(Forbidden | Unauthorized), false) => "WriteTargetBucketDenied",
        (Some(Upstream | UpstreamTimeout), true) => "ResourceDownloadFailed",
        (Some(BadImage | Unsupported | TooLarge), _) => "ResourceNotSupported",
        (Some(Invalid), _) => "InvalidArgument",
        _ => "InternalError",
    }
}

fn operation(job: &Job, wording: &Wording) -> Element {
    let mut children = Vec::new();
    match &wording.template {
        Some((id, name)) => children.extend([leaf("TemplateId", &**id), leaf("TemplateName", &**name)]),
        None => children.push(process(&wording.rule, wording.is_described)),
    }
    let (region, bucket, object) = &wording.output;
    children
        .push(tree("Output", vec![leaf("Bucket", &**bucket), leaf("Object", &**object), leaf("Region", &**region)]));
    children.push(leaf("UserData", job.spec.user_data.clone().unwrap_or_default()));
    children.push(leaf("JobLevel", job.priority.to_string()));
    if let Some(Some(Outcome::Stored(stored))) = job.outcomes.get(RESULT) {
        children.push(result(job, stored, wording));
    }
    tree("Operation", children)
}

fn result(job: &Job, stored: &Stored, wording: &Wording) -> Element {
    let mut original = vec![leaf("Etag", &*wording.etag)];
    let data = |position: usize| match job.outcomes.get(position) {
        Some(Some(Outcome::Data(text))) => serde_json::from_str::<Value>(text).ok(),
        _ => None,
    };
    let info = data(INFO).map(|info| image_info(&info, data(AVERAGE).as_ref()));
    original.extend(info.clone());
    let (width, height) = stored.size.unwrap_or_default();
    let processed = vec![
        leaf("Etag", format!("\"{}\"", stored.hash)),
        leaf("Format", format_of(&stored.media_type)),
        leaf("Height", height.to_string()),
        leaf("Quality", stored.quality.unwrap_or(WHOLE_QUALITY).to_string()),
        leaf("Size", stored.bytes.to_string()),
        leaf("Width", width.to_string()),
    ];
    let (region, bucket, object) = &wording.output;
    let host = objects_host(&wording.bucket, &wording.region);
    let source = upload_original((&host, &wording.object), &wording.etag, info);
    let object_of_result = upload_object((&objects_host(bucket, region), object), stored);
    let children = vec![
        leaf("ObjectName", &**object),
        tree("OriginalInfo", original),
        tree("ProcessResult", processed),
        // Some clients look here.
        upload_result(source, vec![object_of_result]),
    ];
    tree("PicProcessResult", children)
}

/// `UploadResult` (Tencent spec 6.3).
pub(super) fn upload_result(original: Element, objects: Vec<Element>) -> Element {
    tree("UploadResult", vec![original, tree("ProcessResults", objects)])
}

/// `OriginalInfo` of an object at a host and under a key.
pub(super) fn upload_original((host, key): (&str, &str), etag: &str, info: Option<Element>) -> Element {
    let mut children = vec![leaf("Key", key), leaf("Location", format!("{host}/{key}")), leaf("ETag", etag)];
    children.extend(info);
    tree("OriginalInfo", children)
}

/// A result that is stored at a host and under a key.
pub(super) fn upload_object((host, key): (&str, &str), stored: &Stored) -> Element {
    let (width, height) = stored.size.unwrap_or_default();
    let children = vec![
        leaf("Key", key),
        leaf("Location", format!("{host}/{key}")),
        leaf("Format", format_of(&stored.media_type).to_ascii_lowercase()),
        leaf("Width", width.to_string()),
        leaf("Height", height.to_string()),
        leaf("Size", stored.bytes.to_string()),
        leaf("Quality", stored.quality.unwrap_or(WHOLE_QUALITY).to_string()),
        leaf("ETag", format!("\"{}\"", stored.hash)),
    ];
    tree("Object", children)
}

/// Facts about a source, of `imageInfo` and `imageAve`.
pub(super) fn image_info(info: &Value, average: Option<&Value>) -> Element {
    let text = |name: &str| match &info[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let average = average.and_then(|it| it["RGB"].as_str()).unwrap_or_default();
    let orientation = Orientation::ALL.iter().position(|it| info["orientation"] == it.name()).unwrap_or_default() + 1;
    let mut children = vec![
        leaf("Ave", average),
        leaf("Format", text("format").to_ascii_uppercase()),
        leaf("Height", text("height")),
        leaf("Orientation", orientation.to_string()),
    ];
    // Told by `facts` alone.
    if !info["quality"].is_null() {
        children.push(leaf("Quality", text("quality")));
    }
    children.push(leaf("Width", text("width")));
    tree("ImageInfo", children)
}

/// The format of a media type, in the vendor's spelling.
fn format_of(media_type: &str) -> String {
    media_type.rsplit('/').next().unwrap_or_default().to_ascii_uppercase()
}

/// The callback about a job that has ended.
pub fn message(job: &Job) -> Message {
    let document = tree("Response", vec![leaf("EventName", "TaskFinish"), details(job, false)]);
    if wording(job).callback_format == "JSON" {
        let body = document.json(&["JobsDetail"], &["JobLevel"]).to_string();
        return Message { content_type: "application/json", body: body.into() };
    }
    Message { content_type: "application/xml", body: document.document().into() }
}
