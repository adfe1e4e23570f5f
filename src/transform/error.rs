//! Why there is no result.

use std::time::Duration;

use bytes::Bytes;

use crate::engine;
use crate::error::ErrorKind;
use crate::store::{self, Meta};
use crate::workers;

/// Why a result could not be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The source could not be read.
    #[error(transparent)]
    Source(store::Error),
    /// A watermark's picture could not be read.
    #[error("watermark: image {reference} cannot be used: {problem}")]
    Picture {
        /// As the request names it.
        reference: String,
        /// Kind of the failure, as the caller sees it.
        kind: ErrorKind,
        /// What is wrong with it.
        problem: String,
    },
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// Too many requests wait already.
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// The work did not end in time.
    #[error("the request took longer than {} s", .0.as_secs_f32())]
    Deadline(Duration),
    /// The work would take more memory than there is for all.
    #[error("the request would take {bytes} bytes of memory by prediction, over the limit of {limit}")]
    Memory {
        /// Predicted bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// It would take longer, by prediction, than a client is kept waiting.
    #[error(
        "the request would take {} ms by prediction, over the limit of {} ms for interactive requests",
        .predicted.as_millis(), .limit.as_millis()
    )]
    OverBudget {
        /// The prediction.
        predicted: Duration,
        /// The limit.
        limit: Duration,
    },
    /// A fault of the server.
    #[error("the server failed on this request")]
    Crashed,
    /// What was read is another version than the result was named by: the source, which is at hand then, or a picture.
    #[error("a source changed while it was read; try again")]
    Changed(Option<Box<Source>>),
}

/// A source as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) meta: Meta,
    pub(super) body: Bytes,
}

impl From<workers::Error> for Error {
    fn from(error: workers::Error) -> Self {
        match error {
            workers::Error::Busy => Self::Busy,
            workers::Error::TooLarge { bytes, limit } => Self::Memory { bytes, limit },
            workers::Error::Crashed => Self::Crashed,
        }
    }
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Source(error) => error.kind(),
            Self::Picture { kind, .. } => *kind,
            Self::Engine(error) => error.kind(),
            Self::Busy | Self::Changed(_) => ErrorKind::Busy,
            Self::Deadline(_) => ErrorKind::Deadline,
            Self::Memory { .. } | Self::OverBudget { .. } => ErrorKind::TooLarge,
            Self::Crashed => ErrorKind::Internal,
        }
    }

    /// Whether it says nothing of the result, but of when and by whom it was asked for.
    pub(super) const fn is_of_asker(&self) -> bool {
        matches!(self, Self::Busy | Self::Deadline(_))
    }

    /// Whether `ignore-error` answers with the source instead: whenever the fault lies in the request or its files, and is none
    /// of how soon it is wanted.
    pub(super) fn is_ignorable(&self) -> bool {
        !self.kind().is_transient() && !matches!(self, Self::Source(_) | Self::OverBudget { .. })
    }

    /// Whether the same bytes and the same plan always fail so.
    pub(super) fn is_final(&self) -> bool {
        let lies_in_the_source = matches!(self, Self::Engine(_) | Self::Source(store::Error::TooLarge { .. }));
        let kinds = [ErrorKind::BadImage, ErrorKind::TooLarge, ErrorKind::Invalid, ErrorKind::Unsupported];
        lies_in_the_source && kinds.contains(&self.kind())
    }
}
