//! One job (spec 4): its tree becomes paths from the source to each save, and a path is operators joined by `|`.

use std::time::SystemTime;

use regex_lite::Regex;
use serde_json::Value;

use super::save::{self, BUCKET, Terms};
use super::values::Fields;
use super::wording::Wording;
use super::{Blitline, Refusal, functions, source};
use crate::auth::blitline::{SignedJob, signer};
use crate::geometry::Size;
use crate::jobs::model::{Destination, JobSpec, Notify, OutputSpec, Source};
use crate::jobs::task::Task;
use crate::plan::Plan;
use crate::plan::facts::{Digest, Facts};

/// Most characters of a job.
pub(super) const MAX_JOB_BYTES: usize = 250_000;

/// Most saves of a job.
const MAX_SAVES: usize = 100;

/// Deepest nesting of functions; a pipeline has no more operators.
const MAX_DEPTH: usize = 30;

/// Most bytes of all paths: what functions have in common is written once for each save.
const MAX_PATHS_BYTES: usize = 1 << 20;

/// The queue of all jobs of this API.
pub(super) const QUEUE: &str = "default";

/// The priority of jobs that say they take long: behind all others.
const SLOW_PRIORITY: i32 = -1;

/// Seconds between the attempts of a postback with `retry_postback`.
const PAUSES: [u32; 3] = [1, 15, 600];

/// Colours that are told where nobody says how many.
const MOST_COLORS: i64 = 8;

/// Edge of the picture whose colours are counted, in pixels.
const COUNTED_EDGE: u32 = 400;

/// No operator has this name: what cannot be done fails when it is its turn, under the text that its promise has.
const IMPOSSIBLE: &str = "impossible";

const NO_APPLICATION: &str =
    "An application ID is required to process any job: application_id is an access key of this server";
const NO_FUNCTIONS: &str = "Functions are required to process a job: functions is missing or empty";

/// Reads jobs of one request.
pub(super) struct Reader<'a> {
    pub(super) blitline: &'a Blitline,
    /// The application id of the request's query.
    pub(super) application: Option<&'a str>,
    /// What URLs begin with.
    pub(super) base: &'a str,
    pub(super) now: SystemTime,
}

/// A job as it was read.
pub(super) struct Read {
    pub(super) owner: String,
    pub(super) spec: JobSpec,
    pub(super) priority: i32,
    pub(super) wording: Wording,
}

/// Whose job it is.
struct Owner {
    access_key: String,
    /// What the keys of its results have to match.
    pattern: Option<Regex>,
}

impl Reader<'_> {
    /// Reads a job.
    pub(super) fn read(&self, job: &Value) -> Result<Read, Refusal> {
        if !job.is_object() {
            return Err(Refusal::invalid("a job is an object"));
        }
        if job.to_string().chars().count() > MAX_JOB_BYTES {
            return Err(Refusal::of_long_job());
        }
        let fields = Fields::of(Some(job));
        let owner = self.owner(fields)?;
        let source::Read { source, canvas, pages } = source::read(fields).map_err(Refusal::invalid)?;
        let version = fields.number("v").ok().flatten().unwrap_or_default();
        let lies = fields.flag("suppress_auto_orient");
        let terms = Terms { base: self.base, version, suppresses_orientation: lies, page: None, now: self.now };
        let mut tree =
            Tree { terms, outputs: Vec::new(), blanks: Vec::new(), wording: Wording::default(), saves: 0, bytes: 0 };
        let functions = fields.get("functions").and_then(Value::as_array).filter(|list| !list.is_empty());
        let functions = functions.ok_or_else(|| Refusal::invalid(NO_FUNCTIONS))?;
        let first = match canvas {
            Some(Size { width, height }) => format!("size/exact/w/{width}/h/{height}"),
            None if lies => String::new(),
            None => "imageMogr2/auto-orient".to_owned(),
        };
        if pages.is_empty() {
            tree.grow(functions, &Ok(first.clone()), 1)?;
        }
        for page in pages {
            tree.terms.page = Some(page);
            tree.grow(functions, &Ok(joined(&format!("frame/{page}"), &first)), 1)?;
        }
        let Tree { mut outputs, mut wording, blanks, .. } = tree;
        outputs.push(told(fields)?);
        outputs.extend(colors(fields).map_err(Refusal::invalid)?);
        wording.colors = outputs.len() > wording.saves.len() + 1;
        wording.canvas = canvas.map(|size| (size.width, size.height));
        outputs.extend(blanks);
        self.check_buckets(&owner, &source, &outputs)?;
        let notify = notify(fields)?;
        wording.version = version;
        wording.json = fields.flag("content_type_json");
        wording.polls = notify.is_none() || fields.flag("force_longpoll_cache");
        wording.exif = fields.flag("get_exif");
        wording.extended = fields.flag("extended_metadata");
        wording.lies = lies;
        wording.src = match &source {
            Source::Url(url) => url.clone(),
            Source::Object { bucket, key } => format!("{bucket}/{key}"),
            Source::Inline(_) => "the job itself".to_owned(),
        };
        let kept = serde_json::to_string(&wording).map_err(|_| Refusal::invalid("the job cannot be kept"))?;
        let spec = JobSpec {
            source,
            outputs,
            notify,
            force: true,
            user_data: None,
            wording: Some(kept),
            request_id: String::new(),
        };
        let priority = if fields.flag("long_running") { SLOW_PRIORITY } else { 0 };
        Ok(Read { owner: owner.access_key, spec, priority, wording })
    }

    /// Who submits a job: by the id of an application, or by a signature.
    fn owner(&self, job: Fields<'_>) -> Result<Owner, Refusal> {
        let keys = &self.blitline.keys;
        if let Some(signature) = job.text("signature") {
            let field = |name| job.text(name).unwrap_or_default();
            let (token, expires, pattern) = (field("public_token"), field("expires"), field("key_transform"));
            let signed =
                SignedJob { public_token: &token, expires: &expires, key_transform: &pattern, signature: &signature };
            let access_key = signer(keys, signed, self.now)?.to_owned();
            let pattern = Regex::new(&pattern);
            let pattern = pattern.map_err(|_| Refusal::invalid("key_transform is no regular expression"))?;
            return Ok(Owner { access_key, pattern: Some(pattern) });
        }
        let id = job.text("application_id").or_else(|| self.application.map(str::to_owned));
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| Refusal::invalid(NO_APPLICATION))?;
        match keys.get(&id) {
            Some(_) => Ok(Owner { access_key: id, pattern: None }),
            None => Err(Refusal::new(http::StatusCode::UNAUTHORIZED, "there is no application of this application_id")),
        }
    }

    /// Refuses a job whose buckets are not there or not open to its owner, which looks the same, and keys that do not match.
    fn check_buckets(&self, owner: &Owner, source: &Source, outputs: &[OutputSpec]) -> Result<(), Refusal> {
        let is_open = |bucket: &str| {
            self.blitline.transformer.buckets().named(bucket).is_ok()
                && self.blitline.keys.allows(&owner.access_key, bucket)
        };
        if let Source::Object { bucket, .. } = source {
            require(is_open(bucket), bucket)?;
        }
        for output in outputs {
            if let Destination::Object { bucket, key } = output.destination.place() {
                let is_own = matches!(output.destination, Destination::ForDays { .. });
                if is_own && !is_open(bucket) {
                    let message = format!("a save without a destination needs a bucket named {BUCKET} on this server");
                    return Err(Refusal::invalid(message));
                }
                require(is_open(bucket), bucket)?;
                if owner.pattern.as_ref().is_some_and(|pattern| !is_own && !pattern.is_match(key)) {
                    return Err(Refusal::invalid(format!("the key {key:?} does not match key_transform")));
                }
            }
            for bucket in self.painted_from(output) {
                require(is_open(&bucket), &bucket)?;
            }
        }
        Ok(())
    }

    /// The buckets that an output's pictures are read from, also those that are not there.
    fn painted_from(&self, output: &OutputSpec) -> Vec<String> {
        use crate::plan::ImageRef;
        let Ok(task) = Task::parse(&output.pipeline) else { return Vec::new() };
        let images = task.plan().into_iter().flat_map(Plan::images);
        let named = images.filter_map(|image| match image {
            ImageRef::Entry { bucket, .. } => Some(bucket.clone()),
            other => self.blitline.transformer.bucket_named_by(other).map(|bucket| bucket.name().to_owned()),
        });
        named.collect()
    }
}

fn require(is_open: bool, bucket: &str) -> Result<(), Refusal> {
    if is_open { Ok(()) } else { Err(Refusal::invalid(format!("there is no bucket named {bucket:?}"))) }
}

/// The output that tells of the source.
fn told(job: Fields<'_>) -> Result<OutputSpec, Refusal> {
    let digest = match job.text("hash").filter(|name| !name.is_empty()) {
        None => None,
        Some(name) => {
            let known = Digest::ALL.into_iter().find(|digest| digest.name() == name);
            Some(known.ok_or_else(|| Refusal::invalid(format!("hash is {name:?}; expected md5, crc32 or sha256")))?)
        }
    };
    let facts =
        Facts { exif: job.flag("get_exif") || job.flag("extended_metadata"), digest, ..Facts::default() }.to_string();
    Ok(fact(facts))
}

/// The output that tells the source's colours: counted in a smaller picture, as shares are what matters.
fn colors(job: Fields<'_>) -> Result<Option<OutputSpec>, String> {
    let Some(asked) = job.get("extract_colors").filter(|asked| **asked != Value::Bool(false)) else { return Ok(None) };
    let most = Fields::of(Some(asked)).whole_or("max_colors", MOST_COLORS)?.clamp(2, 64);
    Ok(Some(fact(format!("imageView2/2/w/{COUNTED_EDGE}/h/{COUNTED_EDGE}|colors/{most}"))))
}

/// An output that is told and not stored.
fn fact(pipeline: String) -> OutputSpec {
    OutputSpec { command: pipeline.clone(), pipeline, destination: Destination::Derived, name: None }
}

/// Whom to tell, how often, and in which words.
fn notify(job: Fields<'_>) -> Result<Option<Notify>, Refusal> {
    let url = match job.get("postback_url") {
        None => return Ok(None),
        Some(Value::String(url)) if url.is_empty() => return Ok(None),
        Some(Value::String(url)) => source::address(url, "postback_url").map_err(Refusal::invalid)?,
        Some(_) => return Err(Refusal::invalid("postback_url is no URL; postbacks to storage are not supported")),
    };
    let headers = Fields::of(job.get("postback_headers"));
    let headers = headers.0.into_iter().flatten().filter_map(|(name, _)| Some((name.clone(), headers.text(name)?)));
    let pauses = if job.flag("retry_postback") { PAUSES.to_vec() } else { Vec::new() };
    Ok(Some(Notify {
        headers: headers.collect(),
        only_failures: job.flag("postback_error_only") || job.flag("notify_error_only"),
        pauses: Some(pauses),
        ..Notify::to(url)
    }))
}

/// Outputs as the tree of functions is walked through, parents before children.
struct Tree<'a> {
    terms: Terms<'a>,
    outputs: Vec<OutputSpec>,
    /// What tells whether saves are of one colour.
    blanks: Vec<OutputSpec>,
    wording: Wording,
    /// Saves so far, those that are skipped too.
    saves: usize,
    /// Bytes of all paths so far.
    bytes: usize,
}

/// The operators from the source to a function, or why there are none.
type Path = Result<String, String>;

impl Tree<'_> {
    fn grow(&mut self, functions: &[Value], path: &Path, depth: usize) -> Result<(), Refusal> {
        if depth > MAX_DEPTH {
            return Err(Refusal::invalid(format!("functions nest deeper than {MAX_DEPTH}")));
        }
        for function in functions {
            let function = Fields::of(Some(function));
            let name = function.text("name").ok_or_else(|| Refusal::invalid("a function has no name"))?;
            let own = functions::operators(&name, Fields::of(function.get("params")));
            let path = path.clone().and_then(|path| own.map(|own| joined(&path, &own)));
            self.add(function.get("save"), &path)?;
            let children = function.get("functions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            self.grow(children, &path, depth + 1)?;
        }
        Ok(())
    }

    /// Adds the saves of a function: one, or a list of them.
    fn add(&mut self, save: Option<&Value>, path: &Path) -> Result<(), Refusal> {
        let saves = match save {
            None => return Ok(()),
            Some(Value::Array(saves)) => saves.as_slice(),
            Some(save) => std::slice::from_ref(save),
        };
        for save in saves {
            self.saves += 1;
            if self.saves > MAX_SAVES {
                return Err(Refusal::too_large(format!("a job has at most {MAX_SAVES} saves")));
            }
            let read = save::read(Fields::of(Some(save)), self.saves - 1, self.terms).map_err(Refusal::invalid)?;
            let Some(mut save) = read else { continue };
            let pipeline = match path {
                _ if save.promise.problem.is_some() => IMPOSSIBLE.to_owned(),
                Ok(path) => joined(path, &save.encoding),
                Err(problem) => {
                    save.promise.problem = Some(problem.clone());
                    IMPOSSIBLE.to_owned()
                }
            };
            if save.promise.checks_blank {
                let seen = path.as_ref().map_or_else(|_| IMPOSSIBLE.to_owned(), |path| joined(path, "edges"));
                self.bytes += seen.len();
                self.blanks.push(fact(seen));
            }
            self.bytes += pipeline.len();
            if self.bytes > MAX_PATHS_BYTES {
                return Err(Refusal::too_large("the functions of all saves together are too long"));
            }
            self.outputs.push(OutputSpec {
                command: pipeline.clone(),
                pipeline,
                destination: save.destination,
                name: Some(save.promise.identifier.clone()),
            });
            self.wording.saves.push(save.promise);
        }
        Ok(())
    }
}

/// Two texts of operators as one; either may be empty.
fn joined(first: &str, second: &str) -> String {
    let parts = [first, second];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("|")
}
