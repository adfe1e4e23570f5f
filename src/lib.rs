//! mogr turns the URL of an image into the image you asked for.
//!
//! The library is the whole server; `main.rs` only reads arguments. Its modules in layers, imports pointing down:
//!
//! - [`app`] wires [`config`] to listeners; [`cli`] is what the other commands do.
//! - [`http`] turns requests into answers: bucket, key, plan; conditions, ranges, errors.
//! - [`jobs`] keeps what takes long until it is done and its owner knows.
//! - [`transform`] is the use case: name a result, answer it from the [`cache`] or compute it.
//! - [`helpers`] are processes that do pixel work where a decoder in C reads what strangers send.
//! - [`store`] reads and writes objects; [`auth`] checks signatures.
//! - [`engine`] makes bytes of bytes: headers, programs, pixels. It knows no request, no store and no clock.
//! - [`plan`] reads URLs and styles into typed pipelines, purely; [`settings`] reads TOML with positions.
//! - [`geometry`], [`color`] and [`error`] are leaves.
//!
//! A request in one line: `http::target` finds bucket, key and style, [`plan::Plan::parse`] reads the operators,
//! [`transform::Transformer::identify`] names the result (that name is the ETag), and
//! [`transform::Transformer::render`] fetches, resolves and runs it unless the cache has it. `docs/architecture.md`
//! traces it at length.
//!
//! ```
//! use mogr::engine::{decode, limits::{Cancel, Limits}, program::Rendering, resolve, run};
//! use mogr::plan::Plan;
//!
//! let source = bytes::Bytes::from_static(include_bytes!("../examples/photos/logo.png"));
//! let plan = Plan::parse("imageView2/2/w/100|imageInfo")?;
//! let limits = Limits::default();
//! let program = resolve::resolve(&plan, &decode::probe(&source)?, &[], &limits, Rendering::default())?;
//! let output = run::run(&program, &source, &[], &limits, &Cancel::default(), &mut |_| {})?;
//! assert!(std::str::from_utf8(&output.body)?.contains(r#""width":100"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod app;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod color;
pub mod config;
pub mod engine;
pub mod error;
pub mod geometry;
pub mod helpers;
pub mod http;
pub mod jobs;
pub mod media;
pub mod metrics;
pub mod plan;
pub mod settings;
pub mod store;
#[cfg(feature = "otel")]
pub mod traces;
pub mod transform;
pub mod workers;
