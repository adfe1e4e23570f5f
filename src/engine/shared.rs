//! Many programs over one source: they share its decoding and the steps that they begin with.
//!
//! What an output comes to is what [`run`](super::run::run) makes of its program alone, to the byte. Programs are put into sets
//! by what their loading decodes. The views of a JPEG are loaded in one pass over its data, at as many scales as they need;
//! other sources are decoded once a scale, and the steps on their frames are a tree: what several programs begin with is done
//! once.

mod tree;

use std::collections::VecDeque;

use bytes::Bytes;

use super::encode::search::Found;
use super::image::{Depth, Frame};
use super::light::Light;
use super::limits::{Cancel, Limits};
use super::paint::Painter;
use super::planes::{self, Load, Planes};
use super::program::Program;
use super::run::{self, Job, Output};
use super::{Error, cost, decode, encode};
use tree::Tree;

/// Most programs that are decoded together.
const MOST_TOGETHER: usize = 64;

/// A program of the set, and the pictures that it paints, in painting order.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// What is made.
    pub program: &'a Program,
    /// The plan's pictures.
    pub pictures: &'a [Bytes],
}

/// Executes all programs on `source`, sharing as much as `memory_bytes` allow by prediction; what would take more is done one
/// after the other. Each output is handed over with its program's index, in whatever order they are finished.
///
/// A program alone may take more than `memory_bytes`, which [`Cost`](super::program::Cost) tells beforehand.
pub fn run_all(
    tasks: &[Task<'_>],
    source: &Bytes,
    limits: &Limits,
    memory_bytes: u64,
    cancel: &Cancel,
    on_output: &mut dyn FnMut(usize, Result<Output, Error>),
) {
    let profile = tasks.first().and_then(|task| run::profile(task.program, source));
    let shared = Shared { tasks, source, profile: profile.as_deref(), limits, cancel };
    for set in sets(tasks, memory_bytes) {
        shared.run_set(&set, on_output);
    }
}

/// Bytes that [`run_all`] takes at most at once, by prediction.
pub fn memory_bytes(tasks: &[Task<'_>], allowed_bytes: u64) -> u64 {
    sets(tasks, allowed_bytes).iter().map(|set| set.memory_bytes(tasks)).max().unwrap_or(0)
}

/// What programs have to have in common to be decoded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing is shared: no pixels are decoded, or too much memory would be needed.
    Alone,
    /// Views of a JPEG, loaded as planes.
    Views,
    /// The first frame, by the general decoder at this many eighths.
    Frame(u8, Light),
    /// The first frame with 16 bits a sample.
    Deep,
    /// All frames.
    Animation(Light),
}

impl Kind {
    fn of(program: &Program) -> Self {
        if program.is_header_only() || program.lossless.is_some() || program.frame > 0 {
            Self::Alone
        } else if program.animated {
            Self::Animation(program.light)
        } else if program.planes.is_some() {
            Self::Views
        } else if program.depth == Depth::Sixteen {
            Self::Deep
        } else {
            Self::Frame(program.eighths, program.light)
        }
    }
}

/// Programs that are decoded together, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    kind: Kind,
    members: Vec<usize>,
}

impl Set {
    /// What is held at once, by prediction.
    fn memory_bytes(&self, tasks: &[Task<'_>]) -> u64 {
        let programs = || self.members.iter().map(|index| tasks[*index].program);
        let costs = || programs().map(|program| program.cost.memory_bytes);
        let most = costs().max().unwrap_or(0);
        if self.members.len() < 2 {
            return most;
        }
        let shared: u64 = match self.kind {
            Kind::Alone => 0,
            // Every encoder waits for the next frame; the source is there once.
            Kind::Animation(_) => {
                return costs().sum::<u64>() - programs().skip(1).map(|program| program.source.bytes).sum::<u64>();
            }
            Kind::Views => distinct_loads(programs()).iter().map(|(load, _)| load.memory_bytes()).sum(),
            Kind::Frame(..) | Kind::Deep => 0,
        };
        // What is loaded, and a frame at each fork on the way to one of the programs, wait while that is finished.
        shared + programs().map(cost::frames_bytes).max().unwrap_or(0) + most
    }
}

/// Puts programs into sets that take `memory_bytes` at most; one that takes more stands alone.
fn sets(tasks: &[Task<'_>], memory_bytes: u64) -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let kind = Kind::of(task.program);
        let fits = |set: &&mut Set| {
            if kind == Kind::Alone || set.kind != kind || set.members.len() >= MOST_TOGETHER {
                return false;
            }
            let mut larger = Set { kind, members: set.members.clone() };
            larger.members.push(index);
            larger.memory_bytes(tasks) <= memory_bytes
        };
        match sets.iter_mut().find(fits) {
            Some(set) => set.members.push(index),
            None => sets.push(Set { kind, members: vec![index] }),
        }
    }
    sets
}

/// The different ways that `programs` are loaded as planes.
fn distinct_loads<'a>(programs: impl Iterator<Item = &'a Program>) -> Vec<(Load, Light)> {
    let mut loads = Vec::new();
    for program in programs {
        if let Some(start) = program.planes
            && !loads.contains(&(start.load, program.light))
        {
            loads.push((start.load, program.light));
        }
    }
    loads
}

/// Takes each output as it is finished.
type OnOutput<'a> = dyn FnMut(usize, Result<Output, Error>) + 'a;

/// A source, and what is made of it.
struct Shared<'a> {
    tasks: &'a [Task<'a>],
    source: &'a Bytes,
    profile: Option<&'a [u8]>,
    limits: &'a Limits,
    cancel: &'a Cancel,
}

impl Shared<'_> {
    fn run_set(&self, set: &Set, on_output: &mut OnOutput<'_>) {
        if set.members.len() < 2 || set.kind == Kind::Alone {
            set.members.iter().for_each(|index| on_output(*index, self.alone(*index)));
            return;
        }
        let done = match set.kind {
            Kind::Views => self.views(&set.members, on_output),
            Kind::Frame(eighths, _) => self.frames(&set.members, eighths, on_output),
            Kind::Deep => self.deep_frames(&set.members, on_output),
            Kind::Animation(_) => self.animations(&set.members, on_output),
            Kind::Alone => Ok(()),
        };
        if let Err(error) = done {
            fail(&set.members, &error, on_output);
        }
    }

    fn alone(&self, index: usize) -> Result<Output, Error> {
        let Task { program, pictures } = self.tasks[index];
        run::run(program, self.source, pictures, self.limits, self.cancel, &mut |_| {})
    }

    /// Does the rest of a program's work: `work` gets it as if it were alone.
    fn job<T>(&self, index: usize, work: impl FnOnce(&mut Job<'_>) -> T) -> T {
        let Self { source, profile, limits, cancel, .. } = *self;
        let program = self.tasks[index].program;
        work(&mut Job { program, source, profile, limits, ladder: None, cancel, stage: &mut |_| {} })
    }

    fn program(&self, index: usize) -> &Program {
        self.tasks[index].program
    }

    /// Loads all views at once; an error is that of all members.
    fn views(&self, members: &[usize], on_output: &mut OnOutput<'_>) -> Result<(), Error> {
        let loads = distinct_loads(members.iter().map(|index| self.program(*index)));
        let Some(loaded) = planes::run_all(&loads, self.source, self.cancel)? else {
            return self.views_one_by_one(members, &loads, on_output);
        };
        let mut loaded: VecDeque<Planes> = loaded.into();
        for load in loads {
            let Some(planes) = loaded.pop_front() else { break };
            self.view(&self.loaded_as(members, load), planes, on_output);
        }
        Ok(())
    }

    /// Where a part of the file is damaged, each view is loaded alone: some may not need that part. What is left goes to the
    /// general decoder.
    fn views_one_by_one(
        &self,
        members: &[usize],
        loads: &[(Load, Light)],
        on_output: &mut OnOutput<'_>,
    ) -> Result<(), Error> {
        let mut left: Vec<usize> = Vec::new();
        for &(load, light) in loads {
            let viewers = self.loaded_as(members, (load, light));
            match load.run(self.source, light, self.cancel) {
                Ok(Some(planes)) => self.view(&viewers, planes, on_output),
                Ok(None) => left.extend(viewers),
                Err(error) => fail(&viewers, &error, on_output),
            }
        }
        // One by one: such files are rare, and their frames may be larger than what was predicted for planes.
        left.iter().for_each(|index| on_output(*index, self.alone(*index)));
        Ok(())
    }

    fn loaded_as(&self, members: &[usize], wanted: (Load, Light)) -> Vec<usize> {
        let is_wanted = |index: &usize| {
            let program = self.program(*index);
            program.planes.is_some_and(|start| (start.load, program.light) == wanted)
        };
        members.iter().copied().filter(is_wanted).collect()
    }

    /// What comes of one view: some programs encode it, others go on with a frame.
    fn view(&self, members: &[usize], planes: Planes, on_output: &mut OnOutput<'_>) {
        let is_all = |index: &usize| self.program(*index).planes.is_some_and(|start| start.is_all);
        let (finished, unfinished): (Vec<usize>, Vec<usize>) = members.iter().copied().partition(is_all);
        for index in finished {
            let output = self.cancel.check().and_then(|()| self.finished(index, &planes));
            on_output(index, output);
        }
        if !unfinished.is_empty() {
            let done = |program: &Program| program.planes.map_or(0, |start| start.steps);
            self.still(&unfinished, planes.into_frame(), &done, on_output);
        }
    }

    /// What one of them makes of the planes, which it paints its marks on.
    fn finished(&self, index: usize, planes: &Planes) -> Result<Output, Error> {
        let Task { program, pictures } = &self.tasks[index];
        let done = program.planes.map_or(0, |start| start.steps);
        if done == program.steps.len() {
            return self.job(index, |job| job.planes_output(planes));
        }
        let mut planes = planes.clone();
        Painter::prepare(program, pictures, self.limits, self.cancel)?.paint_planes(&mut planes, done, self.cancel)?;
        self.job(index, |job| job.planes_output(&planes))
    }

    fn frames(&self, members: &[usize], eighths: u8, on_output: &mut OnOutput<'_>) -> Result<(), Error> {
        let Some(&first) = members.first() else { return Ok(()) };
        let frame = decode::still(self.source, &self.program(first).source, eighths, self.limits, self.cancel)?;
        self.still(members, frame, &|_| 0, on_output);
        Ok(())
    }

    /// The steps behind the first `done` of each program, on `frame`.
    fn still(&self, members: &[usize], frame: Frame, done: &dyn Fn(&Program) -> usize, on_output: &mut OnOutput<'_>) {
        let trees = self.trees(members, &frame, done);
        let last = trees.len() - 1;
        let mut frame = Some(frame);
        for (at, mut tree) in trees.into_iter().enumerate() {
            let Some(frame) = (if at == last { frame.take() } else { frame.clone() }) else { break };
            tree.grow(frame, false, self, &mut |index, frame| {
                let output = frame.and_then(|frame| self.job(index, |job| job.frame_output(frame)));
                on_output(index, output);
            });
        }
    }

    /// The members' steps as trees: one on the frame's own numbers, one on those of sRGB.
    fn trees<'b>(&'b self, members: &[usize], frame: &Frame, done: &dyn Fn(&Program) -> usize) -> Vec<Tree<'b>> {
        let converts = |index: &usize| {
            let settings = |job: &Job<'_>| job.program.image_output().map(|output| job.settings(output));
            self.job(*index, |job| job.used_up_profile(frame.layout(), settings(job).as_ref()).is_some())
        };
        let (converted, as_stored): (Vec<usize>, Vec<usize>) = members.iter().copied().partition(converts);
        [(converted, self.profile), (as_stored, None)]
            .into_iter()
            .filter(|(members, _)| !members.is_empty())
            .map(|(members, profile)| Tree::new(&members, self.tasks, profile, done))
            .collect()
    }

    fn deep_frames(&self, members: &[usize], on_output: &mut OnOutput<'_>) -> Result<(), Error> {
        let Some((&last, _)) = members.split_last() else { return Ok(()) };
        let header = &self.program(last).source;
        let mut frame = Some(decode::still_deep(self.source, header, self.limits, self.cancel)?);
        for &index in members {
            let Some(frame) = (if index == last { frame.take() } else { frame.clone() }) else { break };
            let output = self.job(index, |job| match job.deep_steps() {
                Some(steps) => job.deep_output(frame, &steps),
                None => self.alone(index),
            });
            on_output(index, output);
        }
        Ok(())
    }

    /// All animations frame by frame; those that fail drop out.
    fn animations(&self, members: &[usize], on_output: &mut OnOutput<'_>) -> Result<(), Error> {
        let Some(&first) = members.first() else { return Ok(()) };
        let header = &self.program(first).source;
        let mut frames = decode::animation(self.source, header, self.limits, self.cancel)?;
        let mut writers: Vec<Option<encode::AnimationWriter>> = Vec::new();
        writers.resize_with(self.tasks.len(), || None);
        for &index in members {
            match self.writer(index, frames.loops()) {
                Ok(writer) => writers[index] = Some(writer),
                Err(error) => on_output(index, Err(error)),
            }
        }
        let mut trees: Option<Vec<Tree<'_>>> = None;
        loop {
            let (frame, delay) = match frames.next_frame() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) => {
                    let left: Vec<usize> = members.iter().copied().filter(|index| writers[*index].is_some()).collect();
                    fail(&left, &error, on_output);
                    return Ok(());
                }
            };
            for tree in trees.get_or_insert_with(|| self.trees(members, &frame, &|_| 0)) {
                tree.grow(frame.clone(), true, self, &mut |index, frame| {
                    let Some(writer) = &mut writers[index] else { return };
                    if let Err(error) = frame.and_then(|frame| writer.push(&frame, delay)) {
                        writers[index] = None;
                        on_output(index, Err(error));
                    }
                });
            }
        }
        for &index in members {
            if let Some(writer) = writers[index].take() {
                on_output(index, writer.finish().and_then(|file| self.animated(index, file)));
            }
        }
        Ok(())
    }

    fn writer(&self, index: usize, loops: u32) -> Result<encode::AnimationWriter, Error> {
        let program = self.program(index);
        let output = program.image_output().ok_or(Error::Cancelled)?;
        let settings = self.job(index, |job| job.settings(output));
        encode::animation(program.size, loops, &settings)
    }

    fn animated(&self, index: usize, file: Vec<u8>) -> Result<Output, Error> {
        let output = self.program(index).image_output().ok_or(Error::Cancelled)?;
        self.job(index, |job| job.output(output, Found { file, quality: None }))
    }
}

/// Hands the same error to all.
fn fail(members: &[usize], error: &Error, on_output: &mut OnOutput<'_>) {
    members.iter().for_each(|index| on_output(*index, Err(error.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::image::{Frame, Layout};
    use crate::engine::program::Rendering;
    use crate::engine::resolve::resolve;
    use crate::geometry::Size;
    use crate::plan::Plan;

    fn programs(source: &[u8], texts: &[&str]) -> Vec<Program> {
        let header = decode::probe(source).expect("a picture");
        let program = |text: &&str| {
            let plan = Plan::parse(text).expect("a plan");
            resolve(&plan, &header, &[], &Limits::default(), Rendering::default()).expect("a program")
        };
        texts.iter().map(program).collect()
    }

    fn sets_of(source: &[u8], texts: &[&str], memory_bytes: u64) -> Vec<Vec<usize>> {
        let programs = programs(source, texts);
        let tasks: Vec<Task<'_>> = programs.iter().map(|program| Task { program, pictures: &[] }).collect();
        sets(&tasks, memory_bytes).into_iter().map(|set| set.members).collect()
    }

    #[test]
    fn programs_are_together_by_what_they_decode() {
        let frame = Frame::new(Size::new(400, 300), Layout::Rgb, vec![90; 360_000]).expect("three bytes a pixel");
        let mut jpeg = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut jpeg, 90);
        encoder.encode(frame.pixels(), 400, 300, jpeg_encoder::ColorType::Rgb).expect("a JPEG");
        let texts = [
            "imageView2/2/w/50",
            "imageInfo",
            "imageView2/2/w/200|imageMogr2/blur/3x2",
            "imageView2/2/w/50/format/png",
            "imageMogr2/thumbnail/800x",
        ];
        assert_eq!(sets_of(&jpeg, &texts, 1 << 30), [vec![0, 2, 3], vec![1], vec![4]]);
        assert_eq!(sets_of(&jpeg, &texts, 0), [[0], [1], [2], [3], [4]]);

        let png = include_bytes!("../../examples/photos/logo.png");
        let texts = ["imageView2/2/w/50", "imageMogr2/rotate/90", "imageAve", "imageInfo"];
        assert_eq!(sets_of(png, &texts, 1 << 30), [vec![0, 1, 2], vec![3]]);
    }

    #[test]
    fn a_set_is_bounded() {
        let png = include_bytes!("../../examples/photos/logo.png");
        let sets = sets_of(png, &["imageView2/2/w/50"; MOST_TOGETHER + 1], u64::MAX);
        assert_eq!(sets.iter().map(Vec::len).collect::<Vec<_>>(), [MOST_TOGETHER, 1]);
    }
}
