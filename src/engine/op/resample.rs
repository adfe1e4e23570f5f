//! Scaling row by row: rows go in as they are decoded, and the scaled picture comes out at the end.
//!
//! A Lanczos kernel of three lobes, widened for shrinking, first down the columns and then along the rows. Each row that
//! goes in is added to the few rows that it takes part in, so that the memory is that of a dozen rows however far the
//! picture shrinks. Sums are in single precision, in a fixed order and without fused operations: every processor comes
//! to the same bytes.

mod axis;

use std::ops::Range;

pub(in crate::engine) use axis::Axis;
use axis::LOBES;

use crate::engine::light::Curve;
use crate::geometry::Size;

/// Rows that are filtered along their length at once.
const BATCH: usize = 8;

/// Rows that are added to the sums at once: each sum is loaded and stored once for all of them.
const GROUP: usize = 4;

/// Samples of a row that are weighed by their alpha at once.
const PIECE: usize = 128;

/// Numbers of a row that are added at once: those of a group stay in the nearest cache.
const BLOCK: usize = 1024;

/// Numbers that are added in one step. Rows of numbers are filled up to whole ones.
const STEP: usize = 32;

/// Bytes that a [`Resampler`] holds beside the scaled picture, from sizes alone.
pub(in crate::engine) fn scratch_bytes(source: Size, target: Size, channels: u64) -> u64 {
    let axis = |source: u32, target: u32| {
        let stretch = (f64::from(source) / f64::from(target)).max(1.0);
        let taps = (2.0 * LOBES * stretch + 1.0).min(f64::from(source));
        (taps, (taps + GROUP as f64) * f64::from(target) / f64::from(source) + 1.0)
    };
    let (columns, _) = axis(source.width, target.width);
    let (rows, overlap) = axis(source.height, target.height);
    let weights = columns * f64::from(target.width) + rows * f64::from(target.height);
    // A group of rows as numbers, unfinished sums, and a batch that is turned.
    let lines = GROUP as f64 + overlap + 2.0 * BATCH as f64;
    let stride = (u64::from(source.width) * channels).next_multiple_of(STEP as u64);
    let numbers = stride as f64 * lines + weights;
    // The batch when it is scaled, as numbers and as codes.
    let scaled = u64::from(target.width) * channels * (BATCH * (size_of::<f32>() + 1)) as u64;
    (numbers * size_of::<f32>() as f64) as u64 + scaled
}

/// How many samples a pixel has, and which of them weighs the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Samples {
    /// One.
    One,
    /// Three.
    Three,
    /// Three and straight alpha, which weighs them.
    Four,
}

impl Samples {
    pub(in crate::engine) const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Three => 3,
            Self::Four => 4,
        }
    }
}

/// Scales one plane or interleaved picture.
pub(in crate::engine) struct Resampler {
    columns: Axis,
    rows: Axis,
    samples: Samples,
    curve: &'static Curve,
    /// Numbers in a row as it goes in.
    width: usize,
    /// Numbers from one row to the next.
    stride: usize,
    /// The rows that went in last, as numbers.
    group: Vec<f32>,
    /// How many of them are not in the sums yet.
    pending: usize,
    /// Sums of unfinished rows; scaled row y has slot y modulo `slots`.
    sums: Vec<f32>,
    slots: usize,
    /// Finished rows of a batch, turned: pixel by pixel, each of all rows.
    turned: Vec<f32>,
    /// The same of the scaled rows, as numbers and as codes.
    filtered: Vec<f32>,
    codes: Vec<u8>,
    /// Source row that comes next.
    next_row: usize,
    /// First scaled row that is not filtered along its length yet.
    next_scaled: usize,
    scaled: Vec<u8>,
}

impl Resampler {
    pub(in crate::engine) fn new(columns: Axis, rows: Axis, samples: Samples, curve: &'static Curve) -> Self {
        let width = columns.needed().len() * samples.count();
        let stride = width.next_multiple_of(STEP);
        let slots = rows.overlap(GROUP) + BATCH;
        let scaled = columns.len() * samples.count();
        Self {
            width,
            stride,
            group: vec![0.0; stride * GROUP],
            pending: 0,
            sums: vec![0.0; stride * slots],
            slots,
            turned: vec![0.0; width * BATCH],
            filtered: vec![0.0; scaled * BATCH],
            codes: vec![0; scaled * BATCH],
            next_row: rows.needed().start,
            next_scaled: 0,
            scaled: vec![0; columns.len() * rows.len() * samples.count()],
            columns,
            rows,
            samples,
            curve,
        }
    }

    /// The source row that has to go in next; `None` once all did.
    pub(in crate::engine) fn next_row(&self) -> Option<usize> {
        self.rows.needed().contains(&self.next_row).then_some(self.next_row)
    }

    /// The source rows that have to go in, in this order.
    pub(in crate::engine) fn rows_needed(&self) -> Range<usize> {
        self.rows.needed()
    }

    /// The part of each source row that has to go in, in pixels.
    pub(in crate::engine) fn columns_needed(&self) -> Range<usize> {
        self.columns.needed()
    }

    /// Takes the needed part of the next row; rows behind the last are ignored.
    ///
    /// # Panics
    /// Where the part has another length.
    pub(in crate::engine) fn push(&mut self, row: &[u8]) {
        #[cfg(target_arch = "x86_64")]
        if has_avx512() {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { self.push_avx512(row) };
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { self.push_avx2(row) };
        }
        self.push_row(row);
    }

    /// [`Resampler::push_row`] compiled for the newest processors; the same source, hence the same sums.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn push_avx512(&mut self, row: &[u8]) {
        self.push_row(row);
    }

    /// [`Resampler::push_row`] compiled for newer processors; the same source, hence the same sums.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn push_avx2(&mut self, row: &[u8]) {
        self.push_row(row);
    }

    /// The scaled picture, once all rows went in.
    pub(in crate::engine) fn finish(self) -> Vec<u8> {
        self.scaled
    }

    #[inline(always)]
    fn push_row(&mut self, row: &[u8]) {
        if self.next_row >= self.rows.needed().end {
            return;
        }
        assert_eq!(row.len(), self.width, "a row is as long as the axis needs");
        self.decode(row);
        self.next_row += 1;
        self.pending += 1;
        if self.pending == GROUP || self.next_row == self.rows.needed().end {
            self.add_group();
            self.emit();
        }
    }

    /// Adds the pending rows to the sums of the scaled rows that they take part in.
    #[inline(always)]
    fn add_group(&mut self) {
        for from in (0..self.stride).step_by(BLOCK) {
            self.add_block(from..(from + BLOCK).min(self.stride));
        }
        self.pending = 0;
    }

    /// The same for some of the numbers in a row.
    #[inline(always)]
    fn add_block(&mut self, block: Range<usize>) {
        let start = self.next_row - self.pending;
        let rows = std::array::from_fn(|place| &self.group[place * self.stride..][block.clone()]);
        for scaled in self.next_scaled..self.rows.len() {
            let (first, taps) = self.rows.taps_of(scaled);
            if first >= self.next_row {
                break;
            }
            if first + taps.len() <= start {
                continue;
            }
            // Of a group that is not full, rows from long ago stand in the other places.
            let weight = |place: usize| (start + place).checked_sub(first).filter(|_| place < self.pending);
            let weights = std::array::from_fn(|place| weight(place).and_then(|tap| taps.get(tap)).map_or(0.0, |w| *w));
            let slot = scaled % self.slots * self.stride;
            let sums = &mut self.sums[slot..][block.clone()];
            if first >= start {
                sums.fill(0.0);
            }
            add_rows(sums, rows, weights);
        }
    }

    #[inline(always)]
    fn decode(&mut self, row: &[u8]) {
        let curve = self.curve;
        let place = self.pending * self.stride;
        let numbers = &mut self.group[place..place + self.width];
        match self.samples {
            Samples::One | Samples::Three => curve.decode_all(row, numbers),
            Samples::Four if matches!(curve, Curve::Straight) => weighed_by_alpha(row, numbers),
            Samples::Four => {
                for (numbers, row) in numbers.chunks_mut(PIECE).zip(row.chunks(PIECE)) {
                    curve.decode_all(row, numbers);
                    weigh_by_alpha(row, numbers);
                }
            }
        }
    }

    /// Filters the batches whose rows are all finished.
    #[inline(always)]
    fn emit(&mut self) {
        while self.next_scaled < self.rows.len() {
            let end = (self.next_scaled + BATCH).min(self.rows.len());
            let (first, weights) = self.rows.taps_of(end - 1);
            if self.next_row < first + weights.len() {
                return;
            }
            match self.samples {
                Samples::One => self.filter_columns::<1>(end),
                Samples::Three => self.filter_columns::<3>(end),
                Samples::Four => self.filter_columns::<4>(end),
            }
            self.next_scaled = end;
        }
    }

    /// Scales the rows of a batch, which ends at `end`, along their length.
    #[inline(always)]
    fn filter_columns<const N: usize>(&mut self, end: usize) {
        // Of a batch that is not full the last row stands for those that are missing.
        let slot = |lane: usize| (self.next_scaled + lane).min(end - 1) % self.slots * self.stride;
        let rows = std::array::from_fn(|lane| self.sums[slot(lane)..slot(lane) + self.width].as_chunks().0);
        let pixels = self.turned.as_chunks_mut::<N>().0.as_chunks_mut::<BATCH>().0;
        turn(pixels, rows);
        let offset = self.columns.needed().start;
        let filtered = self.filtered.as_chunks_mut::<N>().0.as_chunks_mut::<BATCH>().0;
        for (column, sums) in filtered.iter_mut().enumerate() {
            let (first, weights) = self.columns.taps_of(column);
            weigh(&pixels[first - offset..][..weights.len()], weights, sums);
        }
        if N == 4 {
            straighten(&mut self.filtered);
        }
        encode::<N>(self.curve, &self.filtered, &mut self.codes);
        let codes = self.codes.as_chunks::<N>().0.as_chunks::<BATCH>().0;
        let row_bytes = self.columns.len() * N;
        let rows = &mut self.scaled[self.next_scaled * row_bytes..end * row_bytes];
        for (lane, row) in rows.chunks_exact_mut(row_bytes).enumerate() {
            for (pixel, codes) in row.as_chunks_mut::<N>().0.iter_mut().zip(codes) {
                *pixel = codes[lane];
            }
        }
    }
}

/// The sum of pixels, each times its weight.
#[inline(always)]
fn weigh<const N: usize>(pixels: &[[[f32; N]; BATCH]], weights: &[f32], sum: &mut [[f32; N]; BATCH]) {
    let (numbers, sum) = (pixels.as_flattened().as_flattened(), sum.as_flattened_mut());
    let (wide, narrow) = sum.as_chunks_mut();
    for (at, sum) in wide.iter_mut().enumerate() {
        weigh_numbers::<{ 2 * BATCH }>(&numbers[at * 2 * BATCH..], N * BATCH, weights, sum);
    }
    if let Some(sum) = narrow.first_chunk_mut() {
        weigh_numbers::<BATCH>(&numbers[(N - 1) * BATCH..], N * BATCH, weights, sum);
    }
}

/// The same for the first numbers of each pixel. Two sums at once: an addition has to wait for the one before.
#[inline(always)]
fn weigh_numbers<const M: usize>(numbers: &[f32], stride: usize, weights: &[f32], sum: &mut [f32; M]) {
    let (mut sums, mut others) = ([0.0; M], [0.0; M]);
    let (pairs, last) = weights.as_chunks::<2>();
    for (at, [weight, other_weight]) in pairs.iter().enumerate() {
        add(&mut sums, &numbers[2 * at * stride..][..M], *weight);
        add(&mut others, &numbers[(2 * at + 1) * stride..][..M], *other_weight);
    }
    if let [weight] = last {
        add(&mut sums, &numbers[2 * pairs.len() * stride..][..M], *weight);
    }
    for ((sum, number), other) in sum.iter_mut().zip(sums).zip(others) {
        *sum = number + other;
    }
}

/// Turns rows of pixels into pixels of rows.
#[inline(always)]
fn turn<const N: usize>(turned: &mut [[[f32; N]; BATCH]], rows: [&[[f32; N]]; BATCH]) {
    for (at, pixels) in turned.iter_mut().enumerate() {
        for (pixel, row) in pixels.iter_mut().zip(rows) {
            *pixel = row[at];
        }
    }
}

/// The codes of pixels; the fourth number of a pixel is alpha, which is a number as it is.
#[inline(always)]
fn encode<const N: usize>(curve: &Curve, numbers: &[f32], codes: &mut [u8]) {
    for (codes, numbers) in codes.as_chunks_mut::<BATCH>().0.iter_mut().zip(numbers.as_chunks().0) {
        *codes = curve.encode_all(*numbers);
        if N == 4 && !matches!(curve, Curve::Straight) {
            let alphas = Curve::Straight.encode_all([numbers[3], numbers[7]]);
            (codes[3], codes[7]) = (alphas[0], alphas[1]);
        }
    }
}

/// Whether [`Resampler::push_avx512`] may be called.
#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Stored numbers, colour times alpha, in one go.
#[inline(always)]
fn weighed_by_alpha(row: &[u8], numbers: &mut [f32]) {
    for (numbers, pixel) in numbers.as_chunks_mut::<4>().0.iter_mut().zip(row.as_chunks::<4>().0) {
        let [r, g, b, alpha] = pixel.map(|sample| f32::from(sample) * (1.0 / 255.0));
        *numbers = [r * alpha, g * alpha, b * alpha, alpha];
    }
}

/// Multiplies colour by alpha, which is a number as it is.
#[inline(always)]
fn weigh_by_alpha(row: &[u8], numbers: &mut [f32]) {
    let mut weights = [1.0_f32; PIECE];
    for (weights, pixel) in weights.as_chunks_mut::<4>().0.iter_mut().zip(row.as_chunks::<4>().0) {
        let alpha = f32::from(pixel[3]) * (1.0 / 255.0);
        *weights = [alpha; 4];
    }
    for (number, weight) in numbers.iter_mut().zip(&weights) {
        *number *= weight;
    }
    for (number, weight) in numbers.as_chunks_mut::<4>().0.iter_mut().zip(weights.as_chunks::<4>().0) {
        number[3] = weight[3];
    }
}

/// Divides colour by alpha, of which there is no more than all: where the kernel overshoots, colour overshoots alone, as in
/// libvips (`vips_unpremultiply`) and Pillow.
#[inline(always)]
fn straighten(numbers: &mut [f32]) {
    for numbers in numbers.as_chunks_mut::<{ 4 * BATCH }>().0 {
        let alphas: [f32; 4 * BATCH] = std::array::from_fn(|at| numbers[at | 3]);
        for (at, (number, alpha)) in numbers.iter_mut().zip(alphas).enumerate() {
            let straight = if alpha > 1e-4 { *number / alpha.min(1.0) } else { 0.0 };
            *number = if at % 4 == 3 { alpha } else { straight };
        }
    }
}

/// Adds the rows of a group, each times its weight.
#[inline(always)]
fn add_rows(sums: &mut [f32], rows: [&[f32]; GROUP], weights: [f32; GROUP]) {
    let [w0, w1, w2, w3] = weights;
    let rows = rows.map(|row| row.as_chunks::<STEP>().0);
    for (at, sums) in sums.as_chunks_mut::<STEP>().0.iter_mut().enumerate() {
        let [first, second, third, fourth] = rows.map(|row| &row[at]);
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = *sum + first[at] * w0 + second[at] * w1 + third[at] * w2 + fourth[at] * w3;
        }
    }
}

#[inline(always)]
fn add(sums: &mut [f32], row: &[f32], weight: f32) {
    for (sum, number) in sums.iter_mut().zip(row) {
        *sum += number * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::light::Light;

    /// Codes of a plane that changes in all directions.
    fn plane(width: usize, height: usize) -> Vec<u8> {
        (0..width * height).map(|at| ((at % width * 37) ^ (at / width * 91)) as u8).collect()
    }

    fn scaled(plane: &[u8], (width, height): (usize, usize), target: (u32, u32)) -> Vec<u8> {
        let axis = |from: usize, to: u32| Axis::new(0..from, (0.0, from as f64), to);
        let (columns, rows) = (axis(width, target.0), axis(height, target.1));
        let mut resampler = Resampler::new(columns, rows, Samples::One, Light::Gamma.curve());
        for (index, row) in plane.chunks_exact(width).enumerate() {
            if resampler.next_row() == Some(index) {
                resampler.push(&row[resampler.columns_needed()]);
            }
        }
        resampler.finish()
    }

    /// The definition: each sample a sum over all that its kernel reaches, in double precision.
    fn plain(plane: &[u8], (width, height): (usize, usize), (columns, rows): (u32, u32)) -> Vec<f64> {
        let weights = |from: usize, to: u32, at: u32| {
            let step = from as f64 / f64::from(to);
            let stretch = step.max(1.0);
            let sinc =
                |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
            let lanczos = |x: f64| if x.abs() < LOBES { sinc(x) * sinc(x / LOBES) } else { 0.0 };
            let weights: Vec<f64> =
                (0..from).map(|tap| lanczos((tap as f64 + 0.5 - (f64::from(at) + 0.5) * step) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(move |weight| weight / sum).collect::<Vec<_>>()
        };
        let across: Vec<Vec<f64>> = (0..columns).map(|at| weights(width, columns, at)).collect();
        let down: Vec<Vec<f64>> = (0..rows).map(|at| weights(height, rows, at)).collect();
        let sample = |down: &[f64], across: &[f64]| -> f64 {
            let row = |row: &[u8]| row.iter().zip(across).map(|(code, weight)| f64::from(*code) * weight).sum::<f64>();
            plane.chunks_exact(width).zip(down).map(|(samples, weight)| row(samples) * weight).sum()
        };
        down.iter().flat_map(|down| across.iter().map(move |across| sample(down, across))).collect()
    }

    /// Chroma may become larger where luma does not: up to four times in files that store every fourth sample.
    #[test]
    fn it_is_the_plain_sum_at_every_ratio() {
        let targets = [(41, 53), (30, 40), (13, 17), (5, 3), (1, 1), (41, 105), (60, 106), (90, 211)];
        let mut cases: Vec<_> = targets.into_iter().map(|target| ((41, 53), target)).collect();
        for height in [1, 2, 7, 14, 26, 31, 58] {
            cases.extend((0..9).map(|more| ((5, height), (5, 4 * height as u32 + 3 - more * height as u32 / 4))));
        }
        for (size, target) in cases {
            let plane = plane(size.0, size.1);
            let (found, expected) = (scaled(&plane, size, target), plain(&plane, size, target));
            for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let far = (f64::from(*found) - expected.clamp(0.0, 255.0)).abs();
                assert!(far < 0.51, "{size:?} to {target:?} at {at}: {found} for {expected}");
            }
        }
    }
}
