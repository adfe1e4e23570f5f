//! Sound and film, by `ffmpeg` and `ffprobe` where they are installed: `avthumb`, `vframe`, `avinfo` (spec 4.13).
//!
//! [`Command::parse`] reads an operator into typed values; nothing that a user wrote becomes an argument of a program as it
//! is. [`run()`] works in a private [`Workspace`]: the caller writes the source there, and finds the result there. It blocks
//! until the program has ended, and belongs on a thread that may.
//!
//! What the programs read is hostile. They get one local file and no network, formats that name other files are not read,
//! the server's environment is kept from them, and time, memory and the size of the result are bounded.

mod command;
mod frame;
mod process;
mod run;
mod transcode;
mod values;

use std::time::Duration;

pub use command::{Command, Operation};
pub use frame::{FrameFormat, VideoFrame};
pub use run::{Outcome, Workspace, run};
pub use transcode::Transcode;

use crate::engine;
use crate::error::ErrorKind;
use crate::store;

/// Bounds on one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest that it may take.
    pub time: Duration,
    /// Most bytes of its result.
    pub output_bytes: u64,
    /// Most address space of a program, on Linux; elsewhere it is not bounded.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(3600), output_bytes: 2 << 30, memory_bytes: 4 << 30 }
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program that does it is not there.
    #[error("{fop} needs {program}, which is not installed on this server; install the package ffmpeg")]
    NotInstalled {
        /// The operator.
        fop: &'static str,
        /// What is missing.
        program: &'static str,
    },
    /// The source could not be worked on.
    #[error("{fop} failed: {problem}")]
    Failed {
        /// The operator.
        fop: &'static str,
        /// What the program said.
        problem: String,
    },
    /// The result would be too large.
    #[error("{fop}: the result is over the limit of {limit} bytes")]
    TooLarge {
        /// The operator.
        fop: &'static str,
        /// What is allowed.
        limit: u64,
    },
    /// It did not end in time.
    #[error("{fop} took longer than {} s", .limit.as_secs())]
    Deadline {
        /// The operator.
        fop: &'static str,
        /// What is allowed.
        limit: Duration,
    },
    /// Nobody waits for it any more.
    #[error("the work was stopped before it was done")]
    Cancelled,
    /// A fault of the server.
    #[error("the server failed on this request")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotInstalled { .. } => ErrorKind::Unsupported,
            Self::Failed { .. } => ErrorKind::BadImage,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            // The same source would take as long again.
            Self::Deadline { .. } => ErrorKind::TooLarge,
            Self::Cancelled => engine::Error::Cancelled.kind(),
            Self::Io(error) if store::is_full(error) => ErrorKind::Full,
            Self::Io(_) => ErrorKind::Internal,
        }
    }
}
