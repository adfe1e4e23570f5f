//! The commands of `mogr` beside `serve` and `work`: plain functions that `main` calls with parsed arguments.
//!
//! They answer with what to print, and print nothing themselves.

pub mod check;
pub mod health;
pub mod pfop;
pub mod run;
pub mod sign;
pub mod style;
