//! How settings are read: TOML text and environment variables in, typed values and every mistake out.
//!
//! A leaf that knows no setting by name. [`document`] makes a tree in which each value remembers where it was written,
//! [`section`] takes typed values out of that tree and reports what is left over, [`value`] says what a size, a
//! duration or an address range looks like, and [`mistake`] is how a wrong setting is told to its author.

pub mod cidr;
pub mod document;
pub mod mistake;
pub mod section;
pub mod value;

pub use cidr::Cidr;
pub use mistake::{Mistake, Position};
pub use value::{Secret, StoreUrl};
