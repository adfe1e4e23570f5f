//! Jobs: what takes long or must be kept, accepted once and never lost.
//!
//! [`model`] has the words; [`queue::Queue`] keeps jobs in SQLite or PostgreSQL: accepted means committed. A worker's claim is
//! a lease with an attempt number, not an open transaction; what an attempt writes counts only while it holds the job
//! ([`worker`]). Telling the owner is a record of its own, made in the transaction that ends the job ([`notify`]).

mod database;
pub mod destination;
pub mod model;
pub mod notify;
pub mod purges;
pub mod queue;
pub mod records;
pub mod sink;
pub mod task;
pub mod template;
pub mod work;
pub mod worker;
