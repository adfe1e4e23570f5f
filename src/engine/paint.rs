//! Steps on frames: their pictures and texts are made ready once, and then painted on every frame.

use bytes::Bytes;

use super::image::Frame;
use super::light::Light;
use super::limits::{Cancel, Limits};
use super::op::adjust::Adjustment;
use super::op::{
    blend, blur, canvas, composite, crop, draw, median, pixelate, resize, rotate, round, sharpen, text, tone, vignette,
};
use super::planes::Planes;
use super::program::{Program, Step};
use super::resolve::blur_radius;
use super::{Error, color, decode, encode, metadata};
use crate::geometry::Size;
use crate::plan::composite::BlendOp;
use crate::plan::filter::Filter;

/// A program's steps with their pictures and texts ready, to be applied to every frame.
pub(super) struct Painter<'a> {
    light: Light,
    steps: Vec<Prepared<'a>>,
}

pub(super) enum Prepared<'a> {
    /// As resolved.
    Step(&'a Step),
    /// Paint once at a corner.
    Over { mark: Frame, at: (i64, i64), dissolve_percent: u8 },
    /// Change colours.
    Adjust(Adjustment),
    /// Combine at a corner.
    Blend { upper: Frame, at: (i64, i64), dissolve_percent: u8, op: BlendOp },
    /// Paint all over.
    Tile { mark: Frame, gap: (u32, u32), dissolve_percent: u8 },
}

impl<'a> Painter<'a> {
    pub(super) fn prepare(
        program: &'a Program,
        pictures: &[Bytes],
        limits: &Limits,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let mut size = program.source.size;
        let mut steps = Vec::with_capacity(program.steps.len());
        for step in &program.steps {
            cancel.check()?;
            steps.push(prepare(step, size, program.light, pictures, limits, cancel)?);
            size = step.result_size(size);
        }
        Ok(Self { light: program.light, steps })
    }

    /// Does all steps but the first `done`.
    pub(super) fn paint(&self, mut frame: Frame, done: usize, cancel: &Cancel) -> Result<Frame, Error> {
        for step in &self.steps[done..] {
            cancel.check()?;
            frame = step.apply(frame, self.light, cancel)?;
        }
        cancel.check()?;
        Ok(frame)
    }
}

impl Painter<'_> {
    /// Paints what is left behind the first `done` steps on planes: marks alone.
    pub(super) fn paint_planes(&self, planes: &mut Planes, done: usize, cancel: &Cancel) -> Result<(), Error> {
        for step in &self.steps[done..] {
            cancel.check()?;
            match step {
                Prepared::Over { mark, at, dissolve_percent }
                | Prepared::Blend { upper: mark, at, dissolve_percent, op: BlendOp::Over } => {
                    planes.paint(mark, *at, *dissolve_percent);
                }
                _ => unreachable!("a program with other steps left makes a frame of its planes"),
            }
        }
        Ok(())
    }
}

impl Prepared<'_> {
    /// Does the step.
    pub(super) fn apply(&self, mut frame: Frame, light: Light, cancel: &Cancel) -> Result<Frame, Error> {
        match self {
            Self::Step(step) => return apply(step, frame, light, cancel),
            Self::Blend { upper, at, dissolve_percent, op: BlendOp::Over } => {
                composite::over(&mut frame, upper, *at, *dissolve_percent);
            }
            Self::Blend { upper, at, dissolve_percent, op } => {
                return blend::blend(frame, upper, *at, *dissolve_percent, *op, cancel);
            }
            Self::Adjust(adjustment) => return adjustment.apply(frame, cancel),
            Self::Over { mark, at, dissolve_percent } => composite::over(&mut frame, mark, *at, *dissolve_percent),
            Self::Tile { mark, gap, dissolve_percent } => {
                composite::tile(&mut frame, mark, *gap, *dissolve_percent, cancel)?;
            }
        }
        Ok(frame)
    }
}

/// Makes a step's picture or text ready; `size` is the picture's size when the step begins.
pub(super) fn prepare<'a>(
    step: &'a Step,
    size: Size,
    light: Light,
    pictures: &[Bytes],
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Prepared<'a>, Error> {
    let load = |picture: usize, size| {
        let bytes = pictures.get(picture).ok_or(Error::NotAnImage)?;
        mark(bytes, size, light, limits, cancel)
    };
    Ok(match step {
        Step::Mark { picture, size, at, dissolve_percent } => {
            Prepared::Over { mark: load(*picture, *size)?, at: *at, dissolve_percent: *dissolve_percent }
        }
        Step::TileMark { picture, size, gap, dissolve_percent } => {
            Prepared::Tile { mark: load(*picture, *size)?, gap: *gap, dissolve_percent: *dissolve_percent }
        }
        Step::Blend { picture, size, part, at, dissolve_percent, op } => {
            let upper = crop::crop(load(*picture, *size)?, *part);
            Prepared::Blend { upper, at: *at, dissolve_percent: *dissolve_percent, op: *op }
        }
        Step::Text(text) => {
            let mark = text::render(&text.lettering, TEXT_LIMIT)?;
            let placement = text.placement;
            let at = placement.gravity.place(mark.size(), size, placement.dx.into(), placement.dy.into());
            Prepared::Over { mark, at, dissolve_percent: text.lettering.dissolve }
        }
        Step::TiledText(tiled) => {
            let mark = text::tiled(size, tiled)?;
            Prepared::Over { mark, at: (0, 0), dissolve_percent: tiled.lettering.dissolve }
        }
        Step::Adjust(changes) => Prepared::Adjust(Adjustment::new(changes)),
        step => Prepared::Step(step),
    })
}

/// The largest box that text may fill; more of it would not show on any result.
const TEXT_LIMIT: Size = Size::new(9_999, 9_999);

/// A picture to paint: upright, in sRGB, at the size it is painted at.
fn mark(bytes: &Bytes, size: Size, light: Light, limits: &Limits, cancel: &Cancel) -> Result<Frame, Error> {
    let header = decode::probe(bytes)?;
    let mut frame = decode::still(bytes, &header, 8, limits, cancel)?;
    if let Some(profile) = metadata::read(bytes, &header).icc {
        color::to_srgb(&mut frame, &profile, cancel)?;
    }
    if let Some(orientation) = header.orientation {
        frame = rotate::orient(frame, orientation);
    }
    resize::resize(frame, size, light, cancel)
}

fn apply(step: &Step, frame: Frame, light: Light, cancel: &Cancel) -> Result<Frame, Error> {
    Ok(match *step {
        Step::Orient(orientation) => rotate::orient(frame, orientation),
        Step::Resize(size) => resize::resize(frame, size, light, cancel)?,
        Step::Crop(rect) => crop::crop(frame, rect),
        Step::Rotate { angle, canvas, background } => match angle.quarter_turns() {
            Some(turns) => rotate::quarter_turns(frame, turns),
            None => rotate::rotate(frame, angle, canvas, background, cancel)?,
        },
        Step::Place { canvas, offset, background } => canvas::place(frame, canvas, offset, background),
        Step::Blur { radius_px, sigma_px } => blur::blur(frame, radius_px, sigma_px, cancel)?,
        Step::Sharpen => sharpen::sharpen(frame, cancel)?,
        Step::RoundCorners { radius_x, radius_y } => round::round_corners(frame, radius_x, radius_y),
        Step::Filter(filter) => apply_filter(filter, frame, cancel)?,
        Step::Draw(ref shape) => draw::draw(frame, shape, cancel)?,
        Step::Palette(colors) => encode::posterized(frame, colors, cancel)?,
        Step::Flatten(color) => canvas::flatten(frame, color),
        // Prepared before the first frame.
        Step::Mark { .. }
        | Step::TileMark { .. }
        | Step::Blend { .. }
        | Step::Text(_)
        | Step::TiledText(_)
        | Step::Adjust(_) => frame,
    })
}

fn apply_filter(filter: Filter, frame: Frame, cancel: &Cancel) -> Result<Frame, Error> {
    match filter {
        Filter::Blur(sigma_px) => blur::blur(frame, blur_radius(sigma_px), sigma_px, cancel),
        Filter::Unsharp(unsharp) => sharpen::unsharp(frame, unsharp, blur_radius(unsharp.sigma_px), cancel),
        Filter::Median(radius) => median::median(&frame, radius, cancel),
        Filter::Pixelate(edge) => pixelate::pixelate(frame, edge, cancel),
        Filter::Vignette(vignette) => vignette::vignette(frame, vignette, cancel),
        Filter::Tone(tone) => tone::tone(frame, tone, cancel),
    }
}
