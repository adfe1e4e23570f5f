//! APIs of other services: thin adapters from their words to ours and back. A dialect owns no rule about images, queues or
//! storage.

pub mod dlcs;
pub mod qiniu;

use crate::jobs::model::Job;
use crate::jobs::notify::Message;

/// What the owner of a job is told when it has ended, in the words of the API that it came in by.
pub fn message(job: &Job) -> Message {
    Message { content_type: "application/json", body: qiniu::prefop::document(job).to_string().into() }
}
