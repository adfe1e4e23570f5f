//! JPEG at N/8 of its size, N from 1 to 8, as separate planes of Y, Cb and Cr, a band of rows at a time.
//!
//! The general decoder spends most of its time on coefficients that a smaller picture does not show. This one decodes the
//! low N × N coefficients of each block, passes over the others, and leaves chroma at the resolution that it needs. It
//! reads baseline and extended files of one interleaved scan, and of progressive files at 1/8 the DC scans alone; whatever
//! is unusual or inconsistent it leaves to the general decoder, which also finds the words for what is wrong.

mod bits;
mod headers;
mod huffman;
mod idct;
mod means;
mod scan;
mod several;

#[cfg(all(feature = "internals", feature = "native"))]
pub(in crate::engine) mod difference;
#[cfg(feature = "internals")]
pub(in crate::engine) mod kernels;
// The general decoder that it is held against is libjpeg-turbo: the other one rounds otherwise at 1/8.
#[cfg(all(test, feature = "native"))]
mod tests;

use bits::Bits;
pub(in crate::engine) use headers::Unclaimed;
use headers::{ComponentHeader, FrameHeader, ScanHeader, Tables};
use means::Means;
use scan::{Component, Window};

use crate::engine::image::Sampling;
use crate::engine::limits::Cancel;
use crate::geometry::{Rect, Size};

/// What is to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Request {
    /// The scales that each of Y, Cb and Cr is decoded at, of its own stored resolution. Progressive files have 1/8.
    pub(in crate::engine) scales: [Scales; 3],
    /// The part of the picture that is needed, in its own pixels.
    pub(in crate::engine) part: Rect,
}

impl Request {
    /// One scale for each of Y, Cb and Cr, in eighths.
    pub(in crate::engine) fn of(eighths: [u8; 3], part: Rect) -> Self {
        Self { scales: eighths.map(Scales::one), part }
    }

    /// What this one and the other ask for together.
    pub(in crate::engine) fn and(self, other: Self) -> Self {
        let scales = std::array::from_fn(|index| self.scales[index].and(other.scales[index]));
        Self { scales, part: hull(self.part, other.part) }
    }
}

/// The smallest rectangle around both.
fn hull(one: Rect, other: Rect) -> Rect {
    let (x, y) = (one.x.min(other.x), one.y.min(other.y));
    let right = (one.x + one.size.width).max(other.x + other.size.width);
    let bottom = (one.y + one.size.height).max(other.y + other.size.height);
    Rect { x, y, size: Size::new(right - x, bottom - y) }
}

/// A set of scales N/8, N from 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Scales(u8);

impl Scales {
    /// The scale of that many eighths, 1–8.
    fn one(eighths: u8) -> Self {
        debug_assert!((1..=8).contains(&eighths), "{eighths} eighths");
        Self(1 << ((eighths - 1) & 7))
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The numbers N, rising.
    fn iter(self) -> impl Iterator<Item = usize> {
        (1..=8).filter(move |points| self.0 >> (points - 1) & 1 == 1)
    }
}

/// A band of rows of one plane.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Rows<'a> {
    /// Samples, `stride` a row.
    pub(in crate::engine) samples: &'a [u8],
    /// Samples from row to row.
    pub(in crate::engine) stride: usize,
    /// Column of the first sample in the whole plane.
    pub(in crate::engine) left: usize,
    /// Row of the first sample in the whole plane.
    pub(in crate::engine) top: usize,
}

/// A reduced decoder at work on one file.
pub(in crate::engine) struct Reduced<'a> {
    components: Vec<Component>,
    window: Window,
    next_row: usize,
    source: Source<'a>,
    cancel: Cancel,
}

enum Source<'a> {
    /// Blocks one by one.
    Sequential(Box<scan::Sequential<'a>>),
    /// All DC coefficients, decoded before.
    Means(Vec<Means>),
}

/// The sampling of a file whose segments up to the first scan are all right, and whose first scan is one that is read here.
pub(in crate::engine) fn sampling(jpeg: &[u8]) -> Option<Sampling> {
    let mut tables = Tables::default();
    let scan = tables.next_scan(jpeg, 2).ok()??;
    let frame = tables.frame.as_ref()?;
    if !frame.progressive && !is_whole(frame, &scan) {
        return None;
    }
    let (across, down) = frame.unit_blocks();
    let ratio = |component: &ComponentHeader| (across / component.across, down / component.down);
    let mut chroma = frame.components.iter().skip(1).map(ratio);
    let (x, y) = chroma.next().unwrap_or((1, 1));
    // Cb and Cr share one resolution in every file that anybody writes.
    chroma.all(|ratio| ratio == (x, y)).then_some(Sampling {
        size: Size::new(frame.width as u32, frame.height as u32),
        progressive: frame.progressive,
        gray: frame.components.len() == 1,
        chroma: (x as u32, y as u32),
    })
}

/// Whether the scan holds all coefficients of all components, in their order.
fn is_whole(frame: &FrameHeader, scan: &ScanHeader) -> bool {
    let in_order = scan.components.iter().map(|(index, _, _)| *index).eq(0..frame.components.len());
    in_order && scan.spectrum == (0, 63) && scan.approximation == (0, 0)
}

impl<'a> Reduced<'a> {
    /// Starts on `jpeg`. For a progressive file all DC scans are read here, which takes two bytes of memory a block.
    ///
    /// # Errors
    /// [`Unclaimed`] where the file is none that is read here, or is not in order.
    pub(in crate::engine) fn new(jpeg: &'a [u8], request: &Request, cancel: &Cancel) -> Result<Self, Unclaimed> {
        let mut tables = Tables::default();
        let scan = tables.next_scan(jpeg, 2)?.ok_or(Unclaimed)?;
        let frame = tables.frame.clone().ok_or(Unclaimed)?;
        let window = Window::new(&frame, request.part);
        let components = Component::all(&frame, request, &window).ok_or(Unclaimed)?;
        let source = if frame.progressive {
            if components.iter().any(|component| !component.is_means()) {
                return Err(Unclaimed);
            }
            Source::Means(Means::read(jpeg, tables, &frame, scan, cancel)?)
        } else {
            if !is_whole(&frame, &scan) {
                return Err(Unclaimed);
            }
            let bits = Bits::new(jpeg, scan.data);
            Source::Sequential(Box::new(
                scan::Sequential::new(bits, &tables, &frame, &scan, &components).ok_or(Unclaimed)?,
            ))
        };
        Ok(Self { components, window, next_row: 0, source, cancel: cancel.clone() })
    }

    /// Decodes the next band: the rows of one row of minimum coded units, of each plane. `Ok(false)` behind the last.
    ///
    /// # Errors
    /// [`Unclaimed`] where the data is cut short or makes no sense, or the work was cancelled. Bands before it may be wrong
    /// then, too.
    pub(in crate::engine) fn next_band(&mut self) -> Result<bool, Unclaimed> {
        if self.next_row >= self.window.rows.end {
            return Ok(false);
        }
        match &mut self.source {
            Source::Sequential(sequential) => {
                // Rows above the part are passed over: their DC differences add up.
                while self.next_row < self.window.rows.start {
                    self.cancel.check().map_err(|_| Unclaimed)?;
                    sequential.skip_row()?;
                    self.next_row += 1;
                }
                sequential.row(&mut self.components, &self.window)?;
                // Stray bytes and further scans are the general decoder's business.
                if self.next_row + 1 == self.window.units.1 && !sequential.is_at_end() {
                    return Err(Unclaimed);
                }
            }
            Source::Means(means) => {
                self.next_row = self.next_row.max(self.window.rows.start);
                for (component, means) in self.components.iter_mut().zip(means) {
                    means.row(component, &self.window, self.next_row);
                }
            }
        }
        self.next_row += 1;
        Ok(true)
    }

    /// The rows of plane `index` in the band that was decoded last, at a scale that was asked for.
    pub(in crate::engine) fn rows(&self, index: usize, eighths: u8) -> Rows<'_> {
        let component = &self.components[index];
        component.rows(&self.window, self.next_row.saturating_sub(1), usize::from(eighths))
    }
}
