//! What the end of a plan comes to: the format, how it is encoded, and which ways there are to decode for it.

use super::Resolver;
use crate::color::Color;
use crate::engine::encode::{self, jpeg_turn::Turn};
use crate::engine::image::{ColorModel, Depth};
use crate::engine::program::{ImageOutput, PlanarStart, Slim, Step};
use crate::engine::view::View;
use crate::engine::{deep, planes};
use crate::geometry::Size;
use crate::plan::output::{OutputFormat, Quality, QualityTarget};

impl Resolver<'_> {
    /// Whether there is more than one frame to work on.
    pub(super) fn moves(&self) -> bool {
        self.header.is_animated() && self.frame.is_none()
    }

    /// The best format that the client takes and that holds the picture; what only newer clients show is left for what all do.
    pub(super) fn accepted_format(&self) -> OutputFormat {
        let accepts = self.rendering.accepts;
        let (moves, edge) = (self.moves(), self.size.long());
        // Without C there is no lossy WebP, and others would be larger than what they replace.
        let is_webp = accepts.webp && edge <= MAX_WEBP_EDGE && cfg!(feature = "native");
        match self.format {
            _ if accepts.avif && OutputFormat::Avif.is_built_in() && !moves => OutputFormat::Avif,
            _ if is_webp => OutputFormat::Webp,
            OutputFormat::Webp if accepts.webp => OutputFormat::Webp,
            OutputFormat::Avif | OutputFormat::Webp if moves => OutputFormat::Gif,
            OutputFormat::Avif | OutputFormat::Webp if self.header.has_alpha => OutputFormat::Png,
            OutputFormat::Avif | OutputFormat::Webp => OutputFormat::Jpeg,
            own => own,
        }
    }

    /// 16 bits where the source has them, the result holds them, and every step keeps them.
    pub(super) fn depth(&self, output: &ImageOutput) -> Depth {
        let is_kept = output.is_deep() && deep::steps(&self.steps).is_some();
        if is_kept { self.header.depth } else { Depth::Eight }
    }

    /// How the reduced decoder begins, where it reads the source at the scale that is wanted.
    pub(super) fn planes(&self, output: Option<&ImageOutput>) -> Option<PlanarStart> {
        let sampling = self.header.sampling?;
        let (view, steps) = View::of(self.header.size, &self.steps);
        let is_all = self.steps[steps..].iter().all(Step::is_mark);
        let coarseness = if is_all { output.and_then(|output| self.coarseness(output)) } else { None };
        let load = planes::Load::plan(sampling, view, coarseness.unwrap_or(1), self.rendering)?;
        Some(PlanarStart { load, steps, is_all: coarseness.is_some() })
    }

    /// The size of the first step, where that makes the picture smaller, its rows come one by one, and their numbers are those
    /// that it scales.
    pub(super) fn scaled_rows(&self, output: Option<&ImageOutput>) -> Option<Size> {
        let keeps_colors = output.map_or(!self.header.may_have_profile, |output| self.keeps_colors(output));
        match self.steps.first() {
            Some(Step::Resize(size)) if self.header.by_rows && keeps_colors && !size.exceeds(self.header.size) => {
                Some(*size)
            }
            _ => None,
        }
    }

    /// How many times coarser than luma the output's chroma is, where planes can be encoded as they are.
    fn coarseness(&self, output: &ImageOutput) -> Option<u32> {
        let QualityTarget::Fixed(quality) = output.quality else { return None };
        let coarseness = encode::chroma_coarseness(output.format, quality)?;
        (output.size_limit.is_none() && self.keeps_colors(output)).then_some(coarseness)
    }

    /// Whether the result has the source's own numbers. A profile of grays is used up by the result (see `Job::metadata`), so
    /// that its pixels have to be converted.
    fn keeps_colors(&self, output: &ImageOutput) -> bool {
        let carries_profile = output.keep.profile && self.header.color_model != ColorModel::Gray;
        carries_profile || !self.header.may_have_profile
    }

    /// The turn that the program comes to, where the result is to have the source's own quality.
    pub(super) fn lossless(&self, output: &ImageOutput) -> Option<Turn> {
        let sampling = self.header.sampling?;
        let or_smaller = output.size_limit.is_some_and(|limit| !limit.or_source);
        if output.format != OutputFormat::Jpeg || output.slim.is_some() || or_smaller || !self.keeps_colors(output) {
            return None;
        }
        let (QualityTarget::Fixed(quality), Some(own)) = (output.quality, self.header.jpeg_quality) else {
            return None;
        };
        // A smaller picture may have a higher quality than its source; one that was asked for by `!` or by a rule is made.
        let is_exact = matches!(self.quality, Quality::Asked { exact: true, .. } | Quality::Source(_));
        let (view, steps) = View::of(self.header.size, &self.steps);
        let keeps_quality = if is_exact { quality == own } else { quality >= own };
        if keeps_quality && steps == self.steps.len() { Turn::plan(sampling, view) } else { None }
    }

    fn quality_target(&self) -> QualityTarget {
        let target = self.quality.target(self.header.jpeg_quality, self.header.size, self.size);
        match target {
            QualityTarget::Fixed(quality) if self.rendering.save_data => {
                let saved = quality.saturating_sub(SAVED_QUALITY).max(LEAST_SAVED_QUALITY);
                QualityTarget::Fixed(saved.min(quality))
            }
            target => target,
        }
    }

    pub(super) fn image_output(&self) -> ImageOutput {
        ImageOutput {
            format: self.format,
            quality: self.quality_target(),
            known_quality: None,
            interlace: self.interlace,
            colors: self.colors,
            density_dpi: self.density_dpi,
            background: self.background.filter(|color| color.is_opaque()).unwrap_or(Color::WHITE),
            keep: self.keep,
            size_limit: self.size_limit,
            patient: self.rendering.patient,
            // What follows it works on another picture than the source.
            slim: self.slim.map(|slim| Slim { of_source: slim.of_source && self.first, ..slim }),
        }
    }
}

/// What `Save-Data` takes off a quality, and the least that is left of one that was higher.
const SAVED_QUALITY: u8 = 20;
const LEAST_SAVED_QUALITY: u8 = 30;

/// Longest edge of a WebP picture, in pixels.
const MAX_WEBP_EDGE: u32 = 16_383;
