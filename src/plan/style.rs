//! Styles: names for pipelines.
