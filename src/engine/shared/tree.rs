//! The steps of several programs as a tree: what they begin with alike is done once.

use bytes::Bytes;

use super::{Shared, Task};
use crate::engine::image::Frame;
use crate::engine::light::Light;
use crate::engine::limits::Cancel;
use crate::engine::paint::{Prepared, prepare};
use crate::engine::program::{Program, Step};
use crate::engine::{Error, color};
use crate::geometry::Size;

/// Steps from one frame to the last frames of several programs.
pub(super) struct Tree<'a> {
    /// The profile whose numbers become those of sRGB first.
    profile: Option<&'a [u8]>,
    light: Light,
    root: Fork<'a>,
}

/// What is done with a frame.
#[derive(Default)]
struct Fork<'a> {
    /// Programs that have no further steps.
    ends: Vec<usize>,
    branches: Vec<Branch<'a>>,
}

/// A step, and what is done with the frame that it makes.
struct Branch<'a> {
    step: &'a Step,
    pictures: &'a [Bytes],
    /// Size of the frame before the step.
    size: Size,
    /// The step's picture or text.
    ready: Option<Prepared<'a>>,
    next: Fork<'a>,
}

/// Takes the last frame of each program.
type OnFrame<'a> = dyn FnMut(usize, Result<Frame, Error>) + 'a;

impl<'a> Tree<'a> {
    /// The steps of `members` behind the first `done` of each.
    pub(super) fn new(
        members: &[usize],
        tasks: &[Task<'a>],
        profile: Option<&'a [u8]>,
        done: &dyn Fn(&Program) -> usize,
    ) -> Self {
        let mut tree = Self { profile, light: Light::Mixed, root: Fork::default() };
        for &index in members {
            let Task { program, pictures } = tasks[index];
            // The same for all members.
            tree.light = program.light;
            let (before, steps) = program.steps.split_at(done(program));
            let size = before.iter().fold(program.source.size, |size, step| step.result_size(size));
            tree.root.add(index, steps, pictures, size);
        }
        tree
    }

    /// Does all steps on `frame` and hands over what each program comes to. Pictures and texts are kept for the next frame
    /// where there is one.
    pub(super) fn grow(&mut self, mut frame: Frame, is_kept: bool, shared: &Shared<'a>, on_frame: &mut OnFrame<'_>) {
        if let Some(profile) = self.profile
            && let Err(error) = color::to_srgb(&mut frame, profile, shared.cancel)
        {
            return self.root.fail(&error, on_frame);
        }
        self.root.grow(frame, &Growth { is_kept, light: self.light, shared }, on_frame);
    }
}

/// What holds for the whole tree.
struct Growth<'g, 'a> {
    is_kept: bool,
    light: Light,
    shared: &'g Shared<'a>,
}

impl<'a> Fork<'a> {
    fn add(&mut self, index: usize, steps: &'a [Step], pictures: &'a [Bytes], size: Size) {
        let Some((step, rest)) = steps.split_first() else {
            self.ends.push(index);
            return;
        };
        let at = self.branches.iter().position(|branch| branch.does(step, pictures)).unwrap_or_else(|| {
            self.branches.push(Branch { step, pictures, size, ready: None, next: Self::default() });
            self.branches.len() - 1
        });
        self.branches[at].next.add(index, rest, pictures, step.result_size(size));
    }

    fn grow(&mut self, frame: Frame, growth: &Growth<'_, 'a>, on_frame: &mut OnFrame<'_>) {
        let mut uses = self.ends.len() + self.branches.len();
        let mut frame = Some(frame);
        // The last use takes the frame itself.
        let mut next = || {
            uses -= 1;
            if uses == 0 { frame.take() } else { frame.clone() }
        };
        for &index in &self.ends {
            if let Some(frame) = next() {
                on_frame(index, growth.shared.cancel.check().map(|()| frame));
            }
        }
        for branch in &mut self.branches {
            let Some(frame) = next() else { return };
            match branch.step(frame, growth) {
                Ok(frame) => branch.next.grow(frame, growth, on_frame),
                Err(error) => branch.next.fail(&error, on_frame),
            }
        }
    }

    fn fail(&self, error: &Error, on_frame: &mut OnFrame<'_>) {
        self.ends.iter().for_each(|index| on_frame(*index, Err(error.clone())));
        self.branches.iter().for_each(|branch| branch.next.fail(error, on_frame));
    }
}

impl<'a> Branch<'a> {
    /// Whether this is the same step, with the same picture where it paints one.
    fn does(&self, step: &Step, pictures: &[Bytes]) -> bool {
        let is_same_picture = match step {
            Step::Mark { picture, .. } | Step::TileMark { picture, .. } | Step::Blend { picture, .. } => {
                self.pictures.get(*picture) == pictures.get(*picture)
            }
            _ => true,
        };
        self.step == step && is_same_picture
    }

    fn step(&mut self, frame: Frame, growth: &Growth<'_, 'a>) -> Result<Frame, Error> {
        let cancel: &Cancel = growth.shared.cancel;
        cancel.check()?;
        let ready = match self.ready.take() {
            Some(ready) => ready,
            None => prepare(self.step, self.size, growth.light, self.pictures, growth.shared.limits, cancel)?,
        };
        let made = ready.apply(frame, growth.light, cancel)?;
        self.ready = growth.is_kept.then_some(ready);
        cancel.check()?;
        Ok(made)
    }
}
