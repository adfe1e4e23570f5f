//! Stands in for turns of JPEG without loss where there is no libjpeg-turbo to do them: there are none.

use super::Settings;
use crate::engine::image::Sampling;
use crate::engine::view::View;

/// None.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {}

impl Turn {
    pub(in crate::engine) const fn plan(_sampling: Sampling, _view: View) -> Option<Self> {
        None
    }

    pub(in crate::engine) const fn memory_bytes(&self, _file: u64) -> u64 {
        match *self {}
    }

    pub(in crate::engine) const fn run(&self, _jpeg: &[u8], _settings: &Settings) -> Option<Vec<u8>> {
        match *self {}
    }
}
