//! mogr turns the URL of an image into the image you asked for.

pub mod color;
pub mod engine;
pub mod error;
pub mod geometry;
pub mod plan;
pub mod settings;
pub mod store;
