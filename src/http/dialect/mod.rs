//! APIs of other services: thin adapters from their words to ours and back. A dialect owns no rule about images, queues or
//! storage.

pub mod altizure;
pub mod blitline;
pub mod dlcs;
pub mod qiniu;
pub mod tencent;

use crate::jobs::model::{Api, Job};
use crate::jobs::notify::Message;

/// What the owner of a job is told when it has ended, in the words of the API that it came in by.
pub fn message(job: &Job) -> Message {
    match job.api {
        Api::Blitline => blitline::reply::message(job),
        Api::Tencent => tencent::spelling::message(job),
        _ => Message { content_type: "application/json", body: qiniu::prefop::document(job).to_string().into() },
    }
}
