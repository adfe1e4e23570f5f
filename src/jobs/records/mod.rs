//! What is kept beside jobs for the APIs that have more than jobs: a file a kind of record, each a few verbs over the queue's
//! database. No wire type stands here, and a rule that two APIs need stands here rather than in both.

pub mod assets;
pub mod bucket_queues;
pub mod projects;
pub mod spaces;
pub mod styles;
pub mod templates;
