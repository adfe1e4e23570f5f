//! What a job is, for every API alike: the words that the adapters translate into and out of.

mod names;
mod queues;

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::error::ErrorKind;
pub use names::{JobId, clock, vendor_time};
pub(crate) use names::{millis, time};
pub use queues::{QUEUE_NAME, QueueSettings, QueueStatus, is_queue_name};

/// Gives an enum without fields its names in the database and in answers.
macro_rules! named {
    ($(#[$of:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$doc])* $variant),+ }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the database and in answers.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.name() == name)
            }
        }
    };
}

named! {
    /// The API that a job came in by; it is spelled in that API's words when its owner is told.
    Api {
        /// Qiniu's pfop, and its uploads.
        Qiniu = "qiniu",
        /// Tencent CI.
        Tencent = "tencent",
        /// Blitline.
        Blitline = "blitline",
        /// DLCS.
        Dlcs = "dlcs",
        /// Altizure.
        Altizure = "altizure",
    }
}

named! {
    /// Where a job stands. Waiting → running → one of the others; a waiting one may be cancelled, and a running one whose
    /// worker died waits again.
    State {
        /// Accepted; a worker will take it.
        Waiting = "waiting",
        /// A worker holds it.
        Running = "running",
        /// Every output is done.
        Succeeded = "succeeded",
        /// An output failed.
        Failed = "failed",
        /// Its owner stopped it.
        Cancelled = "cancelled",
    }
}

impl State {
    /// Whether nothing will change any more.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// What is worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An object.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// Whatever a URL names.
    Url(String),
    /// These bytes, in Base64, which came with the job.
    Inline(String),
}

impl Source {
    /// Names it in the database, in 40 hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        let [kind, bucket, name] = match self {
            Self::Object { bucket, key } => ["object", bucket, key],
            Self::Url(url) => ["url", "", url],
            Self::Inline(bytes) => ["inline", "", bytes],
        };
        // No bucket's name has a NUL.
        let digest = Sha1::digest(format!("{kind}\0{bucket}\0{name}"));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// Beside the source, under a key made of command and source (Qiniu 7.4).
    Derived,
    /// An object.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// An object whose key is known once the result is: `$(etag)` and others (Qiniu 4.12).
    Template {
        /// Its bucket.
        bucket: String,
        /// The template.
        template: String,
        /// Whose variables it has.
        of: TemplateOf,
    },
    /// A place that the result is deleted from after so many days.
    ForDays {
        /// How many.
        days: u32,
        /// Which place.
        place: Box<Destination>,
    },
}

impl Destination {
    /// The place, for however long.
    pub fn place(&self) -> &Self {
        match self {
            Self::ForDays { place, .. } => place.place(),
            place => place,
        }
    }
}

/// Whose variables a template of a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateOf {
    /// The result's (`saveKey`).
    Result,
    /// The source's (`savePattern`).
    Source,
}

/// One result that is asked for: a path through the tree of operations, from the source to a save point. Paths that begin
/// alike share the work of what they have in common, so that a set of paths is a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// As the caller wrote it, for answers.
    pub command: String,
    /// The operators, as text, without where the result goes.
    pub pipeline: String,
    /// Where the result goes.
    pub destination: Destination,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Whom to tell when a job has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Where to.
    pub url: String,
    /// Headers that the caller wants the message to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Whether only failures are told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_failures: bool,
    /// Seconds between the attempts, where the API promises so many and no more; else a day is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pauses: Option<Vec<u32>>,
}

impl Notify {
    /// Every end is told to `url`, which is tried for a day.
    pub fn to(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new(), only_failures: false, pauses: None }
    }
}

/// A job as it is submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// What is worked on.
    pub source: Source,
    /// What is made of it, in the caller's order.
    pub outputs: Vec<OutputSpec>,
    /// Whom to tell.
    pub notify: Option<Notify>,
    /// Whether results that exist are made again.
    pub force: bool,
    /// The caller's own text, returned as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// What the API that it came in by keeps of the request, to speak of the job in its own words; nobody else reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wording: Option<String>,
    /// The request that submitted it, for support.
    #[serde(default)]
    pub request_id: String,
}

/// Where and for whom jobs are queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The API they came in by.
    pub api: Api,
    /// The access key that they belong to.
    pub owner: String,
    /// The queue.
    pub queue: String,
    /// Higher runs first within a queue.
    pub priority: i32,
    /// The jobs, accepted together or not at all.
    pub jobs: Vec<JobSpec>,
    /// Whether they are counted together as a batch.
    pub is_batch: bool,
}

/// How an output ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is stored.
    Stored(Stored),
    /// It is data, and no object.
    Data(String),
    /// It failed.
    Failed(Failure),
}

/// A result that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The vendor's hash of its bytes.
    pub hash: String,
    /// Its length.
    pub bytes: u64,
    /// Its media type.
    pub media_type: String,
    /// Its width and height, where it is a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// The quality that its file names, where it is a JPEG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
    /// Whether it was there already.
    #[serde(default)]
    pub existed: bool,
}

/// Why there is no result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A text that is safe for the owner.
    pub message: String,
    /// The operator that failed, counted from 0, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<usize>,
    /// Whether the source could not be had, so that nothing was worked on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_source: bool,
    /// Whose fault it is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ErrorKind>,
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// The API it came in by.
    pub api: Api,
    /// The access key that it belongs to.
    pub owner: String,
    /// Its queue.
    pub queue: String,
    /// The batch it came with.
    pub batch: Option<i64>,
    /// Higher runs first within a queue.
    pub priority: i32,
    /// Where it stands.
    pub state: State,
    /// What was asked.
    pub spec: JobSpec,
    /// How each output ended, in the order of the specification; `None` while it has not.
    pub outcomes: Vec<Option<Outcome>>,
    /// How often a worker took it.
    pub attempt: i32,
    /// How far the running output is, in thousandths.
    pub progress: i32,
    /// Whether its owner asked it to stop.
    pub cancel_requested: bool,
    /// When it was accepted.
    pub created: SystemTime,
    /// When a worker first took it.
    pub started: Option<SystemTime>,
    /// When it ended.
    pub finished: Option<SystemTime>,
    /// Whether its owner could not be told: every attempt failed.
    pub is_notify_dead: bool,
}

/// A worker's hold on a job, until the lease ends.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// Which attempt this is.
    pub attempt: i32,
    /// Names this claim, and no other: what others than the last say of a job is refused.
    pub holder: String,
}

/// What a worker learns when it renews its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It still holds the job.
    Held,
    /// It holds the job, and the owner asked it to stop.
    CancelRequested,
    /// Another worker has the job, or it has ended.
    Lost,
}

/// What becomes of a claimed job when its worker lets it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// All outputs have ended: it succeeded, or failed where one of them did.
    Done,
    /// The owner stopped it.
    Cancelled,
    /// A failure that may pass: it waits again for at least this long, unless it was taken as often as it may be.
    Retry(Duration),
    /// There is no room for its results, for no fault of the job: it waits again for at least this long, however often it
    /// was taken.
    Postponed(Duration),
    /// Its worker stops, for no fault of the job: it waits again.
    Released,
}

/// A message to an owner, recorded apart from its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its number.
    pub id: i64,
    /// The job that ended.
    pub job: JobId,
    /// Where to.
    pub url: String,
    /// Where it stands.
    pub state: NotificationState,
    /// How often it was sent.
    pub attempts: i32,
    /// When it is sent next.
    pub next: SystemTime,
    /// When the job ended.
    pub created: SystemTime,
    /// What came of the last attempt.
    pub last_problem: Option<String>,
}

named! {
    /// Where a notification stands.
    NotificationState {
        /// It will be sent.
        Pending = "pending",
        /// The receiver has it.
        Delivered = "delivered",
        /// Every attempt failed.
        Dead = "dead",
    }
}

/// Which jobs are listed: those that match everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this owner.
    pub owner: Option<String>,
    /// That came in by this API.
    pub api: Option<Api>,
    /// In this queue.
    pub queue: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Of this batch.
    pub batch: Option<i64>,
    /// That work on this.
    pub source: Option<Source>,
    /// In one of these states, where there are any.
    pub states: Vec<State>,
    /// Accepted then or later.
    pub created_from: Option<SystemTime>,
    /// Accepted then or earlier.
    pub created_until: Option<SystemTime>,
    /// Whether the oldest come first.
    pub is_ascending: bool,
    /// Behind this one in the list, the last of the page before: older, or where the oldest come first, younger.
    pub before: Option<(SystemTime, JobId)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::named(state.name()), Some(*state));
        }
        assert_eq!(State::named("gone"), None);
    }
}
