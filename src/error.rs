//! What kind of failure something is: the one thing every layer's error can say about itself.
//!
//! Each layer has its own typed error with the fields that explain it, and a `kind()` that answers with an
//! [`ErrorKind`]. HTTP maps kinds to status codes once (`http::respond`); a job worker asks the same kind
//! whether trying again can help.

use serde::{Deserialize, Serialize};

/// Whose fault a failure is, and what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request is malformed or asks for something out of range.
    Invalid,
    /// The request asks for something that this server does not do.
    Unsupported,
    /// The source bytes are not an image, or a broken one.
    BadImage,
    /// The request would pass a limit of this server.
    TooLarge,
    /// Credentials are missing, wrong or expired.
    Unauthorized,
    /// The caller is known and may not do this.
    Forbidden,
    /// The object, watermark or bucket does not exist.
    NotFound,
    /// An origin or store answered with a failure or could not be reached.
    Upstream,
    /// An origin or store did not answer in time.
    UpstreamTimeout,
    /// A disk or store has no room left for what is to be written.
    Full,
    /// The server has no capacity for the request now.
    Busy,
    /// The work took longer than its deadline, or its caller went away.
    Deadline,
    /// A fault of the server itself.
    Internal,
}

impl ErrorKind {
    /// Whether the same request may succeed later without being changed.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Upstream | Self::UpstreamTimeout | Self::Full | Self::Busy | Self::Deadline)
    }
}
