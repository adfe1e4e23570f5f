//! Stands in for `avif` in builds without that feature: files are told by their first bytes and refused by name.

use super::unsupported;
use crate::engine::Error;
use crate::engine::image::{Format, Frame, Header};
use crate::engine::limits::Limits;
use crate::engine::metadata::Metadata;

const MISSING: &str = "this server was built without it";

pub(super) fn probe(_: &[u8]) -> Result<Header, Error> {
    Err(unsupported(Format::Avif, MISSING))
}

pub(super) fn still(_: &[u8], _: &Limits) -> Result<Frame, Error> {
    Err(unsupported(Format::Avif, MISSING))
}

pub(in crate::engine) fn metadata(_: &[u8]) -> Metadata {
    Metadata::default()
}
