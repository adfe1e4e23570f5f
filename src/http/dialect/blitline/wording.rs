//! What is kept of a job to speak of it in this API's words ([`JobSpec::wording`](crate::jobs::model::JobSpec::wording)).

use serde::{Deserialize, Serialize};

/// What is kept of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Wording {
    /// The version of the protocol; 0 where none was named.
    #[serde(default)]
    pub(super) version: f64,
    /// `content_type_json`.
    #[serde(default)]
    pub(super) json: bool,
    /// Whether its end can be polled for.
    #[serde(default)]
    pub(super) polls: bool,
    /// `get_exif`.
    #[serde(default)]
    pub(super) exif: bool,
    /// `extended_metadata`.
    #[serde(default)]
    pub(super) extended: bool,
    /// Whether the source is not turned upright.
    #[serde(default)]
    pub(super) lies: bool,
    /// The size of a canvas, which is its source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) canvas: Option<(u32, u32)>,
    /// Whether there is an output behind the source's facts that tells its colours.
    #[serde(default)]
    pub(super) colors: bool,
    /// The source as failures name it.
    #[serde(default)]
    pub(super) src: String,
    /// The saves, which are the job's first outputs in this order; the one behind them is what is told of the source.
    #[serde(default)]
    pub(super) saves: Vec<Promise>,
}

/// What was said of a save when its job was taken on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Promise {
    /// The caller's name for it.
    pub(super) identifier: String,
    /// Where it will be.
    pub(super) url: String,
    /// Its key, where the caller wants to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// Whether one of the last outputs, in the order of the saves, tells if it is all of one colour.
    #[serde(default)]
    pub(super) checks_blank: bool,
    /// Why it will not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}
