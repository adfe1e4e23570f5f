//! Pixel work on files that the server itself does not decode: helper processes do it.

use std::sync::Arc;

use bytes::Bytes;

use super::{Error, Transformer};
use crate::engine;
use crate::engine::limits::{Cancel, Limits};
use crate::engine::program::{Program, Rendering};
use crate::engine::run::{Output, Stage};
use crate::error::ErrorKind;
use crate::helpers::{self, Event, Helpers, Lost};
use crate::plan::Plan;
use crate::workers;

/// A program, what it was resolved from, and the pictures that it paints.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) plan: Plan,
    pub(super) rendering: Rendering,
    pub(super) known_quality: Option<u8>,
    pub(super) program: Program,
    pub(super) pictures: Vec<Bytes>,
}

impl Task {
    fn for_helpers(&self) -> helpers::Task<'_> {
        let Self { plan, rendering, known_quality, pictures, .. } = self;
        helpers::Task { plan, rendering: *rendering, known_quality: *known_quality, pictures }
    }
}

/// Why work has no result.
#[derive(Debug)]
pub(super) enum Failure {
    Engine(engine::Error),
    /// A helper ended while it was at it.
    Crashed,
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Cancelled => Self::Engine(engine::Error::Cancelled),
            Lost::Crashed(status) => {
                tracing::error!(%status, "a helper process ended at its work");
                Self::Crashed
            }
            Lost::Unavailable(error) => {
                tracing::error!(%error, "no helper process could be started");
                Self::Engine(engine::Error::InHelper { kind: ErrorKind::Busy, message: error.to_string() })
            }
        }
    }
}

impl Transformer {
    /// What has to do the work on these files; none where the server does it.
    pub(super) fn helpers_for<'a>(
        &self,
        source: &'a Bytes,
        pictures: impl IntoIterator<Item = &'a Bytes>,
    ) -> Option<Arc<Helpers>> {
        let files = std::iter::once(source).chain(pictures);
        self.helpers.clone().filter(|helpers| helpers.are_for(files))
    }
}

/// [`engine::run::run`] in a helper.
pub(super) fn run(
    helpers: &Helpers,
    task: &Task,
    source: &Bytes,
    limits: &Limits,
    cancel: &Cancel,
    stage: &mut dyn FnMut(Stage),
) -> Result<Output, Failure> {
    let mut output = None;
    helpers.run(&[task.for_helpers()], source, limits, 0, cancel, &mut |event| match event {
        Event::Stage(entered) => stage(entered),
        Event::Done(_, done) => output = Some(done),
    })?;
    Ok(output.ok_or(Failure::Crashed)??)
}

/// [`engine::shared::run_all`] in a helper.
pub(super) fn run_all(
    helpers: &Helpers,
    tasks: &[Arc<Task>],
    source: &Bytes,
    limits: &Limits,
    shared_bytes: u64,
    cancel: &Cancel,
    done: &mut dyn FnMut(usize, Result<Output, engine::Error>),
) -> Result<(), Failure> {
    let tasks: Vec<helpers::Task<'_>> = tasks.iter().map(|task| task.for_helpers()).collect();
    helpers.run(&tasks, source, limits, shared_bytes, cancel, &mut |event| {
        if let Event::Done(index, output) = event {
            done(index, output);
        }
    })?;
    Ok(())
}

/// What work came to; a crash is one, whichever process it took down.
pub(super) fn settled<T>(
    done: Result<Result<T, Failure>, workers::Error>,
) -> Result<Result<T, engine::Error>, workers::Error> {
    match done? {
        Ok(made) => Ok(Ok(made)),
        Err(Failure::Engine(error)) => Ok(Err(error)),
        Err(Failure::Crashed) => Err(workers::Error::Crashed),
    }
}

/// [`settled`] of work that is not remembered.
pub(super) fn flat<T>(done: Result<Result<T, Failure>, workers::Error>) -> Result<T, Error> {
    Ok(settled(done)??)
}
