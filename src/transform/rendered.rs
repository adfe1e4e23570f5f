//! A result, and what making it took.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cache::Weigh;
use crate::engine::decode;
use crate::engine::run::{Content, Output, Stage};

/// How long each part of a computation took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Reading source and pictures.
    pub fetch: Duration,
    /// Waiting for a turn and a thread.
    pub wait: Duration,
    /// Decoding.
    pub decode: Duration,
    /// Working on pixels.
    pub ops: Duration,
    /// Encoding.
    pub encode: Duration,
}

/// A finished result.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The bytes.
    pub body: Bytes,
    /// Their media type.
    pub media_type: String,
    /// What making them took.
    pub timings: Timings,
    /// Whether they were made before, and lay in the store behind the cache.
    pub is_stored: bool,
    /// Whether they are the source, which stands in for what could not be made.
    pub is_stand_in: bool,
}

impl Weigh for Rendered {
    fn bytes(&self) -> usize {
        self.body.len()
    }
}

pub(super) fn rendered(output: Output, timings: Timings) -> Rendered {
    Rendered {
        body: output.body,
        media_type: output.content.media_type().to_owned(),
        timings,
        is_stored: false,
        is_stand_in: false,
    }
}

/// The media type of an object's bytes: what they are, else what the key's extension says.
pub fn media_type_of(body: &[u8], key: &str) -> String {
    match decode::sniff(body) {
        Some(format) => Content::Image(format).media_type().to_owned(),
        None => mime_guess::from_path(key).first_or_octet_stream().to_string(),
    }
}

/// Adds up the time spent in each stage.
#[derive(Default)]
pub(super) struct StageClock {
    current: Option<(Stage, Instant)>,
    timings: Timings,
}

impl StageClock {
    pub(super) fn enter(&mut self, stage: Stage) {
        self.leave();
        self.current = Some((stage, Instant::now()));
    }

    fn leave(&mut self) {
        let Some((stage, since)) = self.current.take() else { return };
        let total = match stage {
            Stage::Decode => &mut self.timings.decode,
            Stage::Ops => &mut self.timings.ops,
            Stage::Encode => &mut self.timings.encode,
        };
        *total += since.elapsed();
    }

    pub(super) fn stop(mut self) -> Timings {
        self.leave();
        self.timings
    }
}
