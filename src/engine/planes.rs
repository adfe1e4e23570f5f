//! Pictures as planes of Y, Cb and Cr: JPEG files are scaled as they store colour, and written that way again.
//!
//! Chroma then never takes the way through RGB, at up to four times its samples.

mod marks;

use std::sync::Arc;

use super::Error;
use super::decode::reduced::{Reduced, Request, Rows};
use super::image::{Frame, Layout, Sampling};
use super::light::Light;
use super::limits::Cancel;
use super::op::resample::{self, Axis, Resampler, Samples};
use super::op::rotate;
use super::program::{Rendering, Speed};
use super::rungs::{Ladder, Rung};
use super::view::View;
use crate::geometry::{Orientation, Rect, Size};

/// How a view of a JPEG is loaded as planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// How the file is sampled.
    pub sampling: Sampling,
    /// What is shown of it.
    pub view: View,
    /// Eighths of their stored resolution that Y, Cb and Cr are decoded at.
    pub eighths: [u8; 3],
    /// How many times coarser the result's chroma is, across and down: 1 or 2.
    pub coarseness: u32,
}

/// A picture in full-range BT.601 Y, Cb and Cr, as JFIF defines them; one plane where it is gray.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Y.
    pub luma: Frame,
    /// Cb and Cr, each sample in the middle of `coarseness` × `coarseness` pixels.
    pub chroma: Option<[Frame; 2]>,
    /// 1 or 2.
    pub coarseness: u32,
}

/// Decoded samples a scaled sample, at least, of luma and of chroma; `None` for all that there are.
///
/// A reduced block averages stored numbers, so that linear light needs more to be left to the resampler. The scores are in
/// `docs/performance.md`: `Balanced` loses less than half a point to decoding everything, by the reference of its own light;
/// `Mixed` by that of stored numbers, and up to two points by that of light.
const fn least_samples(rendering: Rendering) -> Option<(f64, f64)> {
    match (rendering.speed, rendering.light) {
        (Speed::Best, _) => None,
        (Speed::Balanced, Light::Gamma | Light::Mixed) => Some((1.25, 1.0)),
        (Speed::Balanced, Light::Linear) => Some((3.0, 1.25)),
        (Speed::Fast, Light::Gamma | Light::Mixed) => Some((1.1, 0.9)),
        (Speed::Fast, Light::Linear) => Some((1.5, 1.0)),
    }
}

/// The same for the means of a progressive file, which take a twentieth of the time of everything else in it.
const LEAST_OF_MEANS: (f64, f64) = (1.1, 0.6);

impl Load {
    /// The cheapest decode that keeps enough samples for `view`; `None` where the file does not decode at that scale, and for
    /// what becomes larger: the resampler would hold all rows that a source row takes part in.
    pub(in crate::engine) fn plan(
        sampling: Sampling,
        view: View,
        coarseness: u32,
        rendering: Rendering,
    ) -> Option<Self> {
        if view.is_enlarged() {
            return None;
        }
        let whole = Self { sampling, view, eighths: [8; 3], coarseness };
        if sampling.progressive {
            let (luma, chroma) = LEAST_OF_MEANS;
            let suffices = rendering.speed != Speed::Best
                && view.is_resized()
                && whole.fewest_eighths(0, luma) == 1
                && (sampling.gray || whole.fewest_eighths(1, chroma) == 1);
            return suffices.then_some(Self { eighths: [1; 3], ..whole });
        }
        Some(match least_samples(rendering) {
            Some((luma, chroma)) if view.is_resized() => {
                let chroma = whole.fewest_eighths(1, chroma);
                Self { eighths: [whole.fewest_eighths(0, luma), chroma, chroma], ..whole }
            }
            _ => whole,
        })
    }

    const fn planes(&self) -> usize {
        if self.sampling.gray { 1 } else { 3 }
    }

    /// Most bytes held at once by [`Load::run`], from sizes alone.
    pub(in crate::engine) fn memory_bytes(&self) -> u64 {
        let planes = 0..self.planes();
        let target = |index: usize| self.target(index).area();
        let scratch = |index: usize| {
            let (across, down) = self.sampling.ratio(index);
            let eighths = u32::from(self.eighths[index]);
            let samples = |pixels: u32, ratio: u32| (pixels.div_ceil(ratio) * eighths).div_ceil(8).max(1);
            let part = self.view.part.size;
            let source = Size::new(samples(part.width, across), samples(part.height, down));
            // A band is a row of units, of two blocks at most in the files that cameras write.
            let band = u64::from(source.width) * u64::from(eighths * 2);
            resample::scratch_bytes(source, self.target(index), 1) + band
        };
        let blocks = |index: usize| {
            let (across, down) = self.sampling.ratio(index);
            self.sampling.size.area() / 64 / u64::from(across * down)
        };
        let means = if self.sampling.progressive { planes.clone().map(blocks).sum::<u64>() * 2 } else { 0 };
        let loading = means + planes.clone().map(|index| target(index) + scratch(index)).sum::<u64>();
        let turning = planes.map(target).sum::<u64>() + target(0);
        if self.view.orientation == Orientation::TopLeft { loading } else { loading.max(turning) }
    }

    /// The fewest eighths that leave at least `least` samples for each wanted one of a plane.
    fn fewest_eighths(&self, index: usize, least: f64) -> u8 {
        let (across, down) = self.sampling.ratio(index);
        let coarseness = self.coarseness_of(index);
        let View { part, scaled, .. } = self.view;
        let samples = |part: u32, scaled: u32, ratio: u32| {
            f64::from(part) / f64::from(ratio) / (f64::from(scaled) / f64::from(coarseness))
        };
        let stored = samples(part.size.width, scaled.width, across).min(samples(part.size.height, scaled.height, down));
        ((least / stored * 8.0 - 1e-9).ceil() as u8).clamp(1, 8)
    }

    /// Decodes and resamples; `Ok(None)` where the file is to be left to the general decoder.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(in crate::engine) fn run(&self, jpeg: &[u8], light: Light, cancel: &Cancel) -> Result<Option<Planes>, Error> {
        Ok(run_all(&[(*self, light)], jpeg, cancel)?.and_then(|mut made| made.pop()))
    }

    /// [`Load::run`] by way of a rung of `ladder`, where there may be one.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(in crate::engine) fn run_on(
        &self,
        jpeg: &[u8],
        light: Light,
        ladder: Option<&dyn Ladder>,
        cancel: &Cancel,
    ) -> Result<Option<Planes>, Error> {
        let fits = |ladder: &&dyn Ladder| self.rung_bytes().is_some_and(|bytes| bytes <= ladder.rung_bytes());
        let Some(ladder) = ladder.filter(fits) else { return self.run(jpeg, light, cancel) };
        if let Some(rung) = ladder.get(self.eighths) {
            return self.on_rung(&rung, light, cancel).map(Some);
        }
        let Some(rung) = Rung::decode(jpeg, self.sampling, self.eighths, cancel)? else {
            // What is broken may lie where nobody looks.
            return self.run(jpeg, light, cancel);
        };
        let rung = Arc::new(rung);
        ladder.put(self.eighths, Arc::clone(&rung));
        self.on_rung(&rung, light, cancel).map(Some)
    }

    /// Bytes of the rung that it may use: one of the whole picture.
    pub(in crate::engine) fn rung_bytes(&self) -> Option<u64> {
        let is_whole = self.view.part.size == self.sampling.size;
        if is_whole { Rung::bytes_of(self.sampling, self.eighths) } else { None }
    }

    fn on_rung(&self, rung: &Rung, light: Light, cancel: &Cancel) -> Result<Planes, Error> {
        let mut planes = self.resamplers(light);
        for (index, plane) in planes.iter_mut().enumerate() {
            rung.push(index, plane, cancel)?;
        }
        Ok(self.finish(planes))
    }

    fn resamplers(&self, light: Light) -> Vec<Resampler> {
        (0..self.planes()).map(|index| self.resampler(index, light)).collect()
    }

    fn finish(&self, planes: Vec<Resampler>) -> Planes {
        let mut upright = planes.into_iter().enumerate().map(|(index, plane)| {
            let frame =
                Frame::new(self.target(index), Layout::Gray, plane.finish()).expect("the axes have these sizes");
            rotate::orient(frame, self.view.orientation)
        });
        let luma = upright.next().expect("every picture has luma");
        let chroma = upright.next().zip(upright.next()).map(|(cb, cr)| [cb, cr]);
        Planes { luma, chroma, coarseness: self.coarseness }
    }

    /// Pixels of the result a sample of a plane, across and down.
    const fn coarseness_of(&self, index: usize) -> u32 {
        if index == 0 { 1 } else { self.coarseness }
    }

    /// Size of the resampled plane, as stored.
    fn target(&self, index: usize) -> Size {
        let Size { width, height } = self.view.cut.size;
        let coarseness = self.coarseness_of(index);
        Size::new(width.div_ceil(coarseness), height.div_ceil(coarseness))
    }

    fn resampler(&self, index: usize, light: Light) -> Resampler {
        let View { part, scaled, cut, orientation } = self.view;
        let (across, down) = self.sampling.ratio(index);
        let target = self.target(index);
        let eighths = self.eighths[index];
        let coarseness = self.coarseness_of(index);
        let columns = PlaneAxis {
            stored: self.sampling.size.width,
            part: (part.x, part.size.width),
            scaled: scaled.width,
            cut: (cut.x, cut.size.width),
            backwards: orientation.columns_backwards(),
            ratio: across,
            eighths,
            target: target.width,
            coarseness,
        };
        let rows = PlaneAxis {
            stored: self.sampling.size.height,
            part: (part.y, part.size.height),
            scaled: scaled.height,
            cut: (cut.y, cut.size.height),
            backwards: orientation.rows_backwards(),
            ratio: down,
            eighths,
            target: target.height,
            coarseness,
        };
        // Chroma is a difference of coded values, which no light corresponds to.
        let light = if index == 0 { light } else { Light::Gamma };
        Resampler::new(columns.axis(), rows.axis(), Samples::One, light.curve())
    }

    /// The pixels that the planes are made of.
    fn needed(&self, planes: &[Resampler]) -> Rect {
        let mut left = u32::MAX;
        let mut top = u32::MAX;
        let (mut right, mut bottom) = (0, 0);
        for (index, plane) in planes.iter().enumerate() {
            let (across, down) = self.sampling.ratio(index);
            let eighths = u32::from(self.eighths[index]);
            let (columns, rows) = (plane.columns_needed(), plane.rows_needed());
            let first = |sample: usize, ratio: u32| sample as u32 * 8 * ratio / eighths;
            let behind = |sample: usize, ratio: u32| (sample as u32 * 8 * ratio).div_ceil(eighths);
            left = left.min(first(columns.start, across));
            top = top.min(first(rows.start, down));
            right = right.max(behind(columns.end, across));
            bottom = bottom.max(behind(rows.end, down));
        }
        Rect { x: left, y: top, size: Size::new(right - left, bottom - top) }
    }
}

/// Decodes once and resamples for each of `loads`, in its light: each comes to the planes of [`Load::run`]. `Ok(None)` where
/// a part that one of them needs is to be left to the general decoder.
///
/// # Errors
/// [`Error::Cancelled`].
pub(in crate::engine) fn run_all(
    loads: &[(Load, Light)],
    jpeg: &[u8],
    cancel: &Cancel,
) -> Result<Option<Vec<Planes>>, Error> {
    let mut all: Vec<Vec<Resampler>> = loads.iter().map(|(load, light)| load.resamplers(*light)).collect();
    let requests = loads.iter().zip(&all).map(|((load, _), planes)| Request::of(load.eighths, load.needed(planes)));
    let Some(request) = requests.reduce(Request::and) else { return Ok(Some(Vec::new())) };
    let Ok(mut reduced) = Reduced::new(jpeg, &request, cancel) else {
        cancel.check()?;
        return Ok(None);
    };
    loop {
        cancel.check()?;
        match reduced.next_band() {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => {
                cancel.check()?;
                return Ok(None);
            }
        }
        for ((load, _), planes) in loads.iter().zip(&mut all) {
            for (index, plane) in planes.iter_mut().enumerate() {
                push_band(plane, reduced.rows(index, load.eighths[index]));
            }
        }
    }
    Ok(Some(loads.iter().zip(all).map(|((load, _), planes)| load.finish(planes)).collect()))
}

/// Hands a band to the resampler of its plane; what lies outside that one's part is passed over.
fn push_band(plane: &mut Resampler, rows: Rows<'_>) {
    let columns = plane.columns_needed();
    for (row, samples) in (rows.top..).zip(rows.samples.chunks_exact(rows.stride)) {
        if plane.next_row() == Some(row) {
            plane.push(&samples[columns.start - rows.left..columns.end - rows.left]);
        }
    }
}

/// One axis of one plane, in whole pixels of the picture.
struct PlaneAxis {
    /// Pixels of the whole stored picture.
    stored: u32,
    /// First pixel and length of the part.
    part: (u32, u32),
    /// Length that the part is scaled to.
    scaled: u32,
    /// First scaled pixel and length of the cut.
    cut: (u32, u32),
    /// Whether the axis is turned around later.
    backwards: bool,
    /// Stored pixels a stored sample.
    ratio: u32,
    /// Eighths that stored samples are decoded at.
    eighths: u8,
    /// Samples wanted.
    target: u32,
    /// Scaled pixels a wanted sample.
    coarseness: u32,
}

impl PlaneAxis {
    fn axis(&self) -> Axis {
        let to_samples = |pixel: f64| pixel * f64::from(self.eighths) / (8.0 * f64::from(self.ratio));
        let (part_start, part_length) = (f64::from(self.part.0), f64::from(self.part.1));
        let to_stored = |scaled: f64| part_start + scaled * part_length / f64::from(self.scaled);
        let cut_start = f64::from(self.cut.0);
        let cut_end = cut_start + f64::from(self.cut.1);
        let reach = f64::from(self.target * self.coarseness);
        // Where the length is no multiple of the coarseness, the last sample stands for fewer pixels: upright.
        let (start, end) = if self.backwards { (cut_end - reach, cut_end) } else { (cut_start, cut_start + reach) };
        let interval = (to_samples(to_stored(start)), to_samples(to_stored(end)));
        let samples = (self.stored.div_ceil(self.ratio) * u32::from(self.eighths)).div_ceil(8) as usize;
        let first = (to_samples(part_start).floor() as usize).min(samples - 1);
        let behind = (to_samples(part_start + part_length).ceil() as usize).clamp(first + 1, samples);
        Axis::new(first..behind, interval, self.target)
    }
}

impl Planes {
    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.luma.size()
    }

    /// The picture as `Rgb`, or as `Gray` where it has no chroma. Of coarser chroma the nearest sample is taken.
    pub fn into_frame(self) -> Frame {
        let Some([cb, cr]) = self.chroma else { return self.luma };
        let Size { width, height } = self.luma.size();
        let (width, coarseness) = (width as usize, self.coarseness as usize);
        let mut pixels = vec![0; width * height as usize * 3];
        let chroma_stride = cb.stride();
        for (y, (row, luma)) in
            pixels.chunks_exact_mut(3 * width).zip(self.luma.pixels().chunks_exact(width)).enumerate()
        {
            let start = y / coarseness * chroma_stride;
            let cb = &cb.pixels()[start..start + chroma_stride];
            let cr = &cr.pixels()[start..start + chroma_stride];
            for (x, (pixel, luma)) in row.as_chunks_mut::<3>().0.iter_mut().zip(luma).enumerate() {
                *pixel = rgb(*luma, cb[x / coarseness], cr[x / coarseness]);
            }
        }
        Frame::new(self.luma.size(), Layout::Rgb, pixels).expect("three samples a pixel")
    }
}

/// Full-range BT.601 Y, Cb and Cr of R, G and B, as JFIF defines them: in 16-bit fixed point, rounded as libjpeg does.
#[inline(always)]
pub(in crate::engine) fn ycc(pixel: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    const MIDDLE: i32 = 128 << 16;
    let [r, g, b] = pixel.map(i32::from);
    let y = 19_595 * r + 38_470 * g + 7_471 * b + HALF;
    let cb = -11_059 * r - 21_709 * g + 32_768 * b + MIDDLE + HALF - 1;
    let cr = 32_768 * r - 27_439 * g - 5_329 * b + MIDDLE + HALF - 1;
    [y, cb, cr].map(|value| (value >> 16) as u8)
}

/// JFIF's `R = Y + 1.402 Cr'`, `G = Y − 0.344136 Cb' − 0.714136 Cr'`, `B = Y + 1.772 Cb'` in 16-bit fixed point, rounded.
#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((91_881 * cr + HALF) >> 16);
    let green = y + ((-22_554 * cb - 46_802 * cr + HALF) >> 16);
    let blue = y + ((116_130 * cb + HALF) >> 16);
    [red, green, blue].map(|value| value.clamp(0, 255) as u8)
}
