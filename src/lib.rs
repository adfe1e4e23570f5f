//! mogr turns the URL of an image into the image you asked for.

pub mod auth;
pub mod color;
pub mod config;
pub mod engine;
pub mod error;
pub mod geometry;
pub mod plan;
pub mod settings;
pub mod store;
