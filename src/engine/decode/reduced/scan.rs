//! The one scan of a baseline file: blocks of coefficients to rows of samples.

use std::ops::Range;
use std::rc::Rc;
use std::sync::LazyLock;

use super::bits::Bits;
use super::headers::{FrameHeader, ScanHeader, Tables, Unclaimed, natural};
use super::huffman::{AcTable, Huffman};
use super::idct::{BLOCK, Basis, Block, UNUSED, Waves, mean_sample, spill};
use super::several::{Coefficients, several};
use super::{Request, Rows, Scales};
use crate::geometry::Rect;

/// The minimum coded units that cover the part that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Units of the whole picture, across and down.
    pub(super) units: (usize, usize),
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl Window {
    pub(super) fn new(frame: &FrameHeader, part: Rect) -> Self {
        let (across, down) = frame.unit_blocks();
        let units = frame.units();
        let range = |start: u32, length: u32, unit: usize, count: usize| {
            let first = (start as usize / unit).min(count - 1);
            let end = (start as usize + length as usize).div_ceil(unit);
            first..end.clamp(first + 1, count)
        };
        Self {
            units,
            columns: range(part.x, part.size.width, 8 * across, units.0),
            rows: range(part.y, part.size.height, 8 * down, units.1),
        }
    }
}

/// One component, and what it is reduced to: at least one layer.
pub(super) struct Component {
    pub(super) across: usize,
    pub(super) down: usize,
    pub(super) layers: Vec<Layer>,
}

/// A component at one scale: the rows of its current band.
pub(super) struct Layer {
    pub(super) points: usize,
    pub(super) stride: usize,
    pub(super) samples: Vec<u8>,
}

impl Component {
    pub(super) fn all(frame: &FrameHeader, request: &Request, window: &Window) -> Option<Vec<Self>> {
        let component = |(header, scales): (&super::headers::ComponentHeader, Scales)| {
            let layer = |points: usize| {
                let stride = window.columns.len() * header.across * points + spill(points);
                Layer { points, stride, samples: vec![0; stride * header.down * points] }
            };
            let layers: Vec<Layer> = scales.iter().map(layer).collect();
            (!layers.is_empty()).then_some(Self { across: header.across, down: header.down, layers })
        };
        frame.components.iter().zip(request.scales).map(component).collect()
    }

    /// Whether it is reduced to the means of its blocks alone.
    pub(super) fn is_means(&self) -> bool {
        self.layers.iter().all(|layer| layer.points == 1)
    }

    /// The rows of row `row` of units at that many points; no rows where nobody asked for these.
    pub(super) fn rows(&self, window: &Window, row: usize, points: usize) -> Rows<'_> {
        let layer = self.layers.iter().find(|layer| layer.points == points);
        Rows {
            samples: layer.map_or(&[], |layer| &layer.samples),
            stride: layer.map_or(1, |layer| layer.stride),
            left: window.columns.start * self.across * points,
            top: row * self.down * points,
        }
    }
}

/// Where the coefficients of a block go that has N × N samples, and the last of them that is needed.
pub(super) struct Selection {
    pub(super) slot: [u8; 64],
    pub(super) last: usize,
}

/// Tables for each N; index 0 is not used.
pub(super) static SELECTIONS: LazyLock<[Selection; 9]> = LazyLock::new(|| {
    std::array::from_fn(|points| {
        let is_needed = |at: usize| natural(at) / 8 < points && natural(at) % 8 < points;
        Selection {
            slot: std::array::from_fn(|at| if is_needed(at) { natural(at) as u8 } else { UNUSED }),
            last: (0..64).rev().find(|at| is_needed(*at)).unwrap_or(0),
        }
    })
});

pub(super) struct Bases(pub(super) Basis<5>, pub(super) Basis<6>, pub(super) Basis<7>, pub(super) Basis<8>);

static BASES: LazyLock<Bases> = LazyLock::new(|| Bases(Basis::new(), Basis::new(), Basis::new(), Basis::new()));

/// How a component is coded.
pub(super) struct Coder {
    pub(super) dc: Huffman,
    pub(super) ac: Rc<AcTable>,
    /// In zigzag order.
    pub(super) quantisation: [i32; 64],
    /// Blocks a unit.
    blocks: usize,
    /// One a layer of the component.
    pub(super) inverses: Vec<Inverse>,
}

/// How coefficients become samples: a few are added up as they are read, many are transformed together.
pub(super) enum Inverse {
    One,
    Two(Box<Waves<2>>),
    Three(Box<Waves<3>>),
    Four(Box<Waves<4>>),
    Five,
    Six,
    Seven,
    Eight,
}

impl Inverse {
    /// To `points` × `points` samples a block.
    fn new(points: usize, quantisation: &[i32; 64]) -> Self {
        match points {
            1 => Self::One,
            2 => Self::Two(Waves::new(quantisation)),
            3 => Self::Three(Waves::new(quantisation)),
            4 => Self::Four(Waves::new(quantisation)),
            5 => Self::Five,
            6 => Self::Six,
            7 => Self::Seven,
            _ => Self::Eight,
        }
    }
}

/// Counts units from restart marker to restart marker.
pub(super) struct Restarts {
    interval: usize,
    left: usize,
    number: u8,
}

impl Restarts {
    pub(super) fn new(interval: usize) -> Self {
        Self { interval, left: interval, number: 0 }
    }

    /// To be called before each unit; `Some(true)` where a marker was passed, after which predictions begin anew.
    #[inline(always)]
    pub(super) fn before_unit(&mut self, bits: &mut Bits<'_>) -> Option<bool> {
        if self.interval == 0 {
            return Some(false);
        }
        let due = self.left == 0;
        if due {
            *bits = bits.restarted(self.number)?;
            self.number = (self.number + 1) & 7;
            self.left = self.interval;
        }
        self.left -= 1;
        Some(due)
    }
}

/// The one scan of a baseline file.
pub(super) struct Sequential<'a> {
    bits: Bits<'a>,
    coders: Vec<Coder>,
    predictions: [i32; 3],
    restarts: Restarts,
    units: usize,
}

impl<'a> Sequential<'a> {
    /// Blocks become as many samples as `components` say; `None` where a table is missing or makes no sense.
    pub(super) fn new(
        bits: Bits<'a>,
        tables: &Tables,
        frame: &FrameHeader,
        scan: &ScanHeader,
        components: &[Component],
    ) -> Option<Self> {
        // Cb and Cr share their tables, which take a while to make.
        let mut made: Vec<(usize, Rc<AcTable>)> = Vec::new();
        let mut coders = Vec::with_capacity(3);
        for ((&(_, dc, ac), header), component) in scan.components.iter().zip(&frame.components).zip(components) {
            let table = match made.iter().find(|(slot, _)| *slot == ac) {
                Some((_, table)) => Rc::clone(table),
                None => {
                    let table = Rc::new(AcTable::new(tables.ac[ac].as_ref()?)?);
                    made.push((ac, Rc::clone(&table)));
                    table
                }
            };
            let quantisation = tables.quantisation[header.table]?;
            coders.push(Coder {
                dc: Huffman::for_differences(tables.dc[dc].as_ref()?)?,
                ac: table,
                inverses: component.layers.iter().map(|layer| Inverse::new(layer.points, &quantisation)).collect(),
                quantisation,
                blocks: header.across * header.down,
            });
        }
        let restarts = Restarts::new(tables.restart_interval);
        Some(Self { bits, coders, predictions: [0; 3], restarts, units: frame.units().0 })
    }

    /// Decodes one row of units into the components' rows.
    pub(super) fn row(&mut self, components: &mut [Component], window: &Window) -> Result<(), Unclaimed> {
        #[cfg(target_arch = "x86_64")]
        if has_newer_instructions() {
            // SAFETY: the processor has what the function was compiled for.
            let decoded = unsafe { self.row_avx2(components, window) };
            return self.settle(decoded);
        }
        let decoded = self.decode_row(components, window);
        self.settle(decoded)
    }

    /// [`Sequential::decode_row`] compiled for newer processors; the same source, hence the same samples.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn row_avx2(&mut self, components: &mut [Component], window: &Window) -> Option<()> {
        self.decode_row(components, window)
    }

    /// Passes over one row of units.
    pub(super) fn skip_row(&mut self) -> Result<(), Unclaimed> {
        let window = Window { units: (self.units, 0), columns: 0..0, rows: 0..0 };
        self.row(&mut [], &window)
    }

    fn settle(&self, decoded: Option<()>) -> Result<(), Unclaimed> {
        if decoded.is_none() || self.bits.is_overrun() { Err(Unclaimed) } else { Ok(()) }
    }

    /// Whether the image ends behind what was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.bits.is_at_end_of_image()
    }

    /// One row of units, for the processor that it is compiled for.
    #[inline(always)]
    pub(super) fn decode_row(&mut self, components: &mut [Component], window: &Window) -> Option<()> {
        let Self { coders, predictions, restarts, units, .. } = self;
        let mut local = self.bits;
        let bits = &mut local;
        let bases = &*BASES;
        let mut read = Coefficients::default();
        for unit in 0..*units {
            if restarts.before_unit(bits)? {
                *predictions = [0; 3];
            }
            if !window.columns.contains(&unit) {
                for (coder, prediction) in coders.iter().zip(predictions.iter_mut()) {
                    for _ in 0..coder.blocks {
                        *prediction = prediction.wrapping_add(coder.dc.difference(bits)?);
                        coder.ac.skip(bits, 1)?;
                    }
                }
                continue;
            }
            let column = unit - window.columns.start;
            for ((coder, prediction), component) in coders.iter().zip(predictions.iter_mut()).zip(&mut *components) {
                let Component { across, down, layers } = component;
                let ([inverse], [Layer { points, stride, samples }]) = (&coder.inverses[..], &mut layers[..]) else {
                    for at in 0..*across * *down {
                        let block = (column * *across + at % *across, at / *across);
                        several(bits, coder, prediction, bases, &mut read, (layers, block))?;
                    }
                    continue;
                };
                for y in 0..*down {
                    for x in 0..*across {
                        let left = y * *points * *stride + (column * *across + x) * *points;
                        let square = (&mut samples[..], left, *stride);
                        match inverse {
                            Inverse::One => mean(bits, coder, prediction, square)?,
                            Inverse::Two(waves) => waved(bits, coder, prediction, waves, square)?,
                            Inverse::Three(waves) => waved(bits, coder, prediction, waves, square)?,
                            Inverse::Four(waves) => waved(bits, coder, prediction, waves, square)?,
                            Inverse::Five => block(bits, coder, prediction, &bases.0, square)?,
                            Inverse::Six => block(bits, coder, prediction, &bases.1, square)?,
                            Inverse::Seven => block(bits, coder, prediction, &bases.2, square)?,
                            Inverse::Eight => block(bits, coder, prediction, &bases.3, square)?,
                        }
                    }
                }
            }
        }
        self.bits = local;
        Some(())
    }
}

/// Whether [`Sequential::row_avx2`] may be called.
#[cfg(target_arch = "x86_64")]
fn has_newer_instructions() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
}

/// The samples that a block goes to: rows, index of the first sample, samples from row to row.
pub(super) type Square<'a> = (&'a mut [u8], usize, usize);

/// The DC coefficient, which libjpeg keeps in 16 bits.
#[inline(always)]
pub(super) fn dequantised(prediction: i32, coder: &Coder) -> i32 {
    i32::from(prediction as i16).wrapping_mul(coder.quantisation[0])
}

/// Decodes a block to its mean.
#[inline(always)]
fn mean(bits: &mut Bits<'_>, coder: &Coder, prediction: &mut i32, square: Square<'_>) -> Option<()> {
    *prediction = prediction.wrapping_add(coder.dc.difference(bits)?);
    coder.ac.skip(bits, 1)?;
    let (samples, left, _) = square;
    samples[left] = mean_sample(dequantised(*prediction, coder));
    Some(())
}

/// Decodes a block to N × N samples, few enough to add up what each coefficient makes of them.
#[inline(always)]
fn waved<const N: usize>(
    bits: &mut Bits<'_>,
    coder: &Coder,
    prediction: &mut i32,
    waves: &Waves<N>,
    (samples, left, stride): Square<'_>,
) -> Option<()> {
    *prediction = prediction.wrapping_add(coder.dc.difference(bits)?);
    let mut sums = Waves::<N>::level(dequantised(*prediction, coder));
    coefficients(bits, &coder.ac, SELECTIONS[N].last, |at, value| waves.add(&mut sums, at, value))?;
    Waves::<N>::finish(&sums, samples, left, stride);
    Some(())
}

/// Decodes a block to N × N samples.
#[inline(always)]
fn block<const N: usize>(
    bits: &mut Bits<'_>,
    coder: &Coder,
    prediction: &mut i32,
    basis: &Basis<N>,
    square: Square<'_>,
) -> Option<()> {
    let selection = &SELECTIONS[N];
    *prediction = prediction.wrapping_add(coder.dc.difference(bits)?);
    let dc = dequantised(*prediction, coder);
    let mut block: Block = [0; BLOCK];
    let mut is_flat = true;
    coefficients(bits, &coder.ac, selection.last, |at, value| {
        block[usize::from(selection.slot[at] & 63)] = value.wrapping_mul(coder.quantisation[at]);
        is_flat = false;
    })?;
    finish_block(&mut block, dc, is_flat, basis, square);
    Some(())
}

/// The samples of a block whose AC coefficients are in place; where it has none, all are its mean.
#[inline(always)]
pub(super) fn finish_block<const N: usize>(
    block: &mut Block,
    dc: i32,
    is_flat: bool,
    basis: &Basis<N>,
    (samples, left, stride): Square<'_>,
) {
    if is_flat {
        for row in samples[left..].chunks_mut(stride).take(N) {
            row[..N].fill(mean_sample(dc));
        }
        return;
    }
    block[0] = dc;
    basis.inverse(block, samples, left, stride);
}

/// Hands over the AC coefficients up to `last` with their places (1–63) in zigzag order, and passes over the others;
/// `None` where the codes make no block.
#[inline(always)]
pub(super) fn coefficients(
    bits: &mut Bits<'_>,
    table: &AcTable,
    last: usize,
    mut take: impl FnMut(usize, i32),
) -> Option<()> {
    let mut at = 1;
    loop {
        bits.ensure_32();
        let short = table.coefficient(bits.window());
        let (run, value) = if short.value() != 0 {
            bits.consume(short.total());
            (short.run(), short.value())
        } else {
            let symbol = table.codes.symbol(bits.window())?;
            let value = symbol.value(bits.window());
            bits.consume(symbol.total());
            if symbol.size() == 0 && symbol.run() != 15 {
                return Some(());
            }
            (symbol.run(), value)
        };
        at += run;
        if at > 63 {
            return None;
        }
        take(at, value);
        at += 1;
        if at > last {
            return if at < 64 { table.skip(bits, at) } else { Some(()) };
        }
    }
}
