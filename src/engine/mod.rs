//! Plan and bytes in, bytes out: synchronous, deterministic, no network, no clock.
//!
//! [`probe`](decode::probe) reads a header, [`resolve`](resolve::resolve) turns plan and header into a
//! [`Program`](program::Program) of exact steps with a cost, [`run`](run::run) decodes, applies the steps and encodes. The same plan over the same bytes gives the same
//! bytes, whatever the load or the number of threads.

pub mod color;
mod cost;
pub mod decode;
mod deep;
pub mod encode;
pub mod image;
#[cfg(feature = "internals")]
pub mod internals;
mod jpeg_tables;
pub mod light;
pub mod limits;
pub mod metadata;
pub mod op;
mod paint;
pub mod planes;
mod predict;
pub mod program;
pub mod resolve;
pub mod run;
pub mod rungs;
pub mod shared;
pub mod told;
pub mod view;

use crate::error::ErrorKind;

/// Why a picture could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are in no format that this server reads.
    #[error(
        "not an image: the first bytes are those of no format read here (jpeg, png, gif, webp, bmp, tiff, psd, avif)"
    )]
    NotAnImage,
    /// The file is broken or cut short.
    #[error("the {format} is broken: {problem}")]
    Broken {
        /// Name of its format.
        format: &'static str,
        /// What the decoder said, without addresses or paths.
        problem: String,
    },
    /// The file uses a part of its format that is not read here.
    #[error("the {format} cannot be read: {problem}")]
    UnsupportedFeature {
        /// Name of its format.
        format: &'static str,
        /// What it uses.
        problem: String,
    },
    /// A limit would be passed.
    #[error("{what}: {value}, over the limit of {limit}")]
    Limit {
        /// What is limited, with its unit.
        what: &'static str,
        /// What the request or file would need.
        value: u64,
        /// What is allowed.
        limit: u64,
    },
    /// An argument that only the picture shows to be wrong.
    #[error("{fop}: {argument} is {value:?}; expected {expected}")]
    Argument {
        /// The operator.
        fop: &'static str,
        /// Its argument.
        argument: &'static str,
        /// Its value.
        value: String,
        /// What would fit this picture.
        expected: String,
    },
    /// The picture has no EXIF data.
    #[error("no exif data")]
    NoExif,
    /// The output format cannot hold this picture.
    #[error("{format} cannot hold the result: {problem}")]
    Unencodable {
        /// The output format.
        format: &'static str,
        /// Why.
        problem: String,
    },
    /// The deadline passed or nobody waits for the result any more.
    #[error("the work was stopped before it was done")]
    Cancelled,
    /// The work was done in a helper process, which told this.
    #[error("{message}")]
    InHelper {
        /// What kind of failure it was there.
        kind: ErrorKind,
        /// What it was.
        message: String,
    },
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAnImage | Self::Broken { .. } | Self::NoExif => ErrorKind::BadImage,
            Self::UnsupportedFeature { .. } => ErrorKind::Unsupported,
            Self::Limit { .. } | Self::Unencodable { .. } => ErrorKind::TooLarge,
            Self::Argument { .. } => ErrorKind::Invalid,
            Self::Cancelled => ErrorKind::Deadline,
            Self::InHelper { kind, .. } => *kind,
        }
    }
}
