//! Decoded planes of large JPEGs, kept from one run to the next.
//!
//! To make a picture smaller takes two steps: N × N coefficients of each block are decoded, the same for every size that needs
//! this N, and the samples are averaged down to the size that is wanted. The first takes nearly all of the time. What comes out
//! of it is a rung: another size on the same rung only does the second step, and comes to the same bytes as without.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use super::Error;
use super::decode::reduced::{Reduced, Request};
use super::image::Sampling;
use super::limits::Cancel;
use super::op::resample::Resampler;
use crate::geometry::{Rect, Size};

/// Sources of fewer pixels are decoded in a few milliseconds.
const LEAST_PIXELS: u64 = 2_000_000;

/// Rungs of more eighths are not kept: what needs them is nearly as large as the source.
const MOST_EIGHTHS: u8 = 4;

/// How many rows are handed on between looks at the flag that stops the work.
const ROWS_AT_ONCE: usize = 64;

/// Rungs of one source.
pub trait Ladder: Debug + Send + Sync {
    /// The rung at these eighths of Y, Cb and Cr, where it is kept.
    fn get(&self, eighths: [u8; 3]) -> Option<Arc<Rung>>;

    /// Keeps a rung.
    fn put(&self, eighths: [u8; 3], rung: Arc<Rung>);

    /// Most bytes of a rung that it keeps.
    fn rung_bytes(&self) -> u64;
}

/// All samples of a JPEG, each plane at its scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    planes: Vec<Plane>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Plane {
    /// Samples a row.
    width: usize,
    samples: Vec<u8>,
}

impl Rung {
    /// Bytes of the rung of a JPEG at these eighths, where it is one that is kept.
    pub(in crate::engine) fn bytes_of(sampling: Sampling, eighths: [u8; 3]) -> Option<u64> {
        let is_kept = sampling.size.area() >= LEAST_PIXELS && eighths.iter().all(|eighths| *eighths <= MOST_EIGHTHS);
        let planes = if sampling.gray { 1 } else { 3 };
        let bytes = |index: usize| plane_size(sampling, index, eighths[index]).area();
        is_kept.then(|| (0..planes).map(bytes).sum())
    }

    /// Decodes a whole JPEG; `Ok(None)` where any of it is to be left to the general decoder.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(in crate::engine) fn decode(
        jpeg: &[u8],
        sampling: Sampling,
        eighths: [u8; 3],
        cancel: &Cancel,
    ) -> Result<Option<Self>, Error> {
        let request = Request::of(eighths, Rect { x: 0, y: 0, size: sampling.size });
        let decoded =
            Reduced::new(jpeg, &request, cancel).and_then(|reduced| Self::read(reduced, sampling, eighths, cancel));
        cancel.check()?;
        Ok(decoded.ok())
    }

    fn read(
        mut reduced: Reduced<'_>,
        sampling: Sampling,
        eighths: [u8; 3],
        cancel: &Cancel,
    ) -> Result<Self, super::decode::reduced::Unclaimed> {
        let empty = |index: usize| {
            let Size { width, height } = plane_size(sampling, index, eighths[index]);
            let width = width as usize;
            (Plane { width, samples: Vec::with_capacity(width * height as usize) }, width * height as usize)
        };
        let mut planes: Vec<(Plane, usize)> = (0..if sampling.gray { 1 } else { 3 }).map(empty).collect();
        while cancel.check().is_ok() && reduced.next_band()? {
            for (index, (plane, samples)) in planes.iter_mut().enumerate() {
                let rows = reduced.rows(index, eighths[index]);
                for row in rows.samples.chunks_exact(rows.stride) {
                    // The last rows of the last band are padding.
                    if plane.samples.len() < *samples {
                        plane.samples.extend_from_slice(&row[..plane.width]);
                    }
                }
            }
        }
        Ok(Self { planes: planes.into_iter().map(|(plane, _)| plane).collect() })
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.planes.iter().map(|plane| plane.samples.len() as u64).sum()
    }

    /// Hands plane `index` to its resampler.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(in crate::engine) fn push(
        &self,
        index: usize,
        resampler: &mut Resampler,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let (plane, columns) = (&self.planes[index], resampler.columns_needed());
        let Range { start, end } = resampler.rows_needed();
        for row in start..end {
            if row % ROWS_AT_ONCE == 0 {
                cancel.check()?;
            }
            let samples = &plane.samples[row * plane.width..][..plane.width];
            resampler.push(&samples[columns.clone()]);
        }
        Ok(())
    }
}

/// Samples of a plane, across and down.
fn plane_size(sampling: Sampling, index: usize, eighths: u8) -> Size {
    let (across, down) = sampling.ratio(index);
    let samples = |pixels: u32, ratio: u32| (pixels.div_ceil(ratio) * u32::from(eighths)).div_ceil(8);
    Size::new(samples(sampling.size.width, across), samples(sampling.size.height, down))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::*;
    use crate::engine::decode;
    use crate::engine::decode::tests::{card, settings};
    use crate::engine::encode;
    use crate::engine::image::{Format, Layout};
    use crate::engine::limits::Limits;
    use crate::engine::program::{Program, Rendering};
    use crate::engine::resolve::resolve;
    use crate::engine::run::{Output, run_on};
    use crate::plan::Plan;
    use crate::plan::output::OutputFormat;

    #[derive(Debug, Default)]
    struct Kept {
        rungs: Mutex<HashMap<[u8; 3], Arc<Rung>>>,
        used: Mutex<usize>,
    }

    impl Ladder for Kept {
        fn get(&self, eighths: [u8; 3]) -> Option<Arc<Rung>> {
            let rung = self.rungs.lock().unwrap().get(&eighths).cloned();
            *self.used.lock().unwrap() += usize::from(rung.is_some());
            rung
        }

        fn put(&self, eighths: [u8; 3], rung: Arc<Rung>) {
            assert!(self.rungs.lock().unwrap().insert(eighths, rung).is_none(), "it was not kept before");
        }

        fn rung_bytes(&self) -> u64 {
            1 << 20
        }
    }

    fn program(file: &[u8], plan: &str) -> Program {
        let header = decode::probe(file).expect("our own file");
        let plan = Plan::parse(plan).expect("a plan");
        resolve(&plan, &header, &[], &Limits::default(), Rendering::default()).expect("a program")
    }

    fn run(file: &[u8], plan: &str, ladder: Option<&dyn Ladder>) -> Result<Output, Error> {
        let source = bytes::Bytes::copy_from_slice(file);
        let cancel = Cancel::default();
        run_on(&program(file, plan), &source, &[], &Limits::default(), ladder, &cancel, &mut |_| {})
    }

    fn jpegs() -> [(&'static str, Vec<u8>); 3] {
        let file = |layout, interlace| {
            let settings = encode::Settings { interlace, quality: 85, ..settings(OutputFormat::Jpeg) };
            encode::still(&card(layout, 1783, 1203), &settings).expect("a JPEG")
        };
        [
            ("baseline", file(Layout::Rgb, false)),
            ("gray", file(Layout::Gray, false)),
            ("progressive", file(Layout::Rgb, true)),
        ]
    }

    /// Whatever is kept, in whatever order sizes are asked for, the bytes are those of a server that keeps nothing.
    #[test]
    fn rungs_change_no_bytes() {
        let plans = [
            "imageView2/2/w/400",
            "imageView2/2/w/150",
            "imageView2/1/w/160/h/160",
            "imageMogr2/thumbnail/!20p/rotate/90",
            "imageMogr2/crop/900x900/thumbnail/100x",
            "imageMogr2/thumbnail/401x/blur/3x2",
            "imageView2/2/w/397/format/webp",
            "imageAve",
            "imageView2/2/w/1500",
        ];
        for (name, file) in jpegs() {
            let kept = Kept::default();
            for plan in plans {
                let alone = run(&file, plan, None).expect(plan);
                for _ in 0..2 {
                    assert!(run(&file, plan, Some(&kept)).expect(plan) == alone, "{name}: {plan}");
                }
            }
            let (rungs, used) = (kept.rungs.lock().unwrap().len(), *kept.used.lock().unwrap());
            // Progressive files are read here at 1/8 alone.
            let least = if name == "progressive" { 1 } else { plans.len() / 2 };
            assert!((1..=4).contains(&rungs) && used >= least, "{name}: {rungs} rungs, used {used} times");
        }
    }

    #[test]
    fn rungs_are_as_large_as_predicted() {
        for (name, file) in jpegs() {
            let program = program(&file, "imageView2/2/w/150");
            let load = program.planes.expect("planes").load;
            let rung = Rung::decode(&file, load.sampling, load.eighths, &Cancel::default()).expect("time");
            assert_eq!(rung.map(|rung| rung.bytes()), program.rung_bytes(), "{name}");
        }
        let small = encode::still(&card(Layout::Rgb, 900, 600), &settings(OutputFormat::Jpeg)).expect("a JPEG");
        assert_eq!(decode::probe(&small).map(|header| header.format), Ok(Format::Jpeg));
        assert_eq!(program(&small, "imageView2/2/w/50").rung_bytes(), None);
    }

    /// What is broken behind a part that is needed makes no rung, and the part is made as ever.
    #[test]
    fn damage_is_nothing_to_keep() {
        let [(_, mut file), ..] = jpegs();
        let end = file.len();
        file.truncate(end - end / 8);
        let kept = Kept::default();
        for plan in ["imageView2/1/w/300/h/40", "imageView2/2/w/300"] {
            let (with, without) = (run(&file, plan, Some(&kept)), run(&file, plan, None));
            assert_eq!(with.is_ok(), without.is_ok(), "{plan}");
            assert!(with == without, "{plan}");
        }
        assert!(kept.rungs.lock().unwrap().is_empty());
    }
}
