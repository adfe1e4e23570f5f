//! Scaling row by row: rows go in as they are decoded, and the scaled picture comes out at the end.
//!
//! A Lanczos kernel of three lobes, widened for shrinking, first down the columns and then along the rows. Each row that
//! goes in is added to the few rows that it takes part in, so that the memory is that of a dozen rows however far the
//! picture shrinks. Sums are in single precision, in a fixed order and without fused operations: every processor comes
//! to the same bytes.

use std::ops::Range;

use crate::engine::light::Curve;
use crate::geometry::Size;

/// Lobes of the kernel on each side.
const LOBES: f64 = 3.0;

/// Rows that are filtered along their length at once.
const BATCH: usize = 8;

/// Rows that are added to the sums at once: each sum is loaded and stored once for all of them.
const GROUP: usize = 4;

/// Samples of a row that are weighed by their alpha at once.
const PIECE: usize = 128;

/// Numbers of a row that are added at once: those of a group stay in the nearest cache.
const BLOCK: usize = 1024;

/// Which samples along one axis make up each scaled sample, and with which weights.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct Axis {
    /// First source sample of each scaled one; never falls.
    first: Vec<u32>,
    /// `taps` weights for each scaled sample; they add up to 1.
    weights: Vec<f32>,
    taps: usize,
}

impl Axis {
    /// `scaled` samples that cover the interval from `start` to `end`, made of the source samples in `source`. The interval
    /// may reach beyond these; what lies outside has no weight.
    pub(in crate::engine) fn new(source: Range<usize>, (start, end): (f64, f64), scaled: u32) -> Self {
        let step = (end - start) / f64::from(scaled);
        let stretch = step.max(1.0);
        let reach = if is_identity(step, start) { 0.5 } else { LOBES * stretch };
        let taps = ((2.0 * reach).ceil() as usize + 1).min(source.len());
        let kernel = Kernel::new(stretch);
        let mut axis = Self { first: Vec::new(), weights: Vec::new(), taps };
        let mut weights = vec![0.0; taps];
        for index in 0..scaled {
            let center = start + (f64::from(index) + 0.5) * step;
            let lowest = (center - reach + 0.5).floor().max(0.0) as usize;
            let first = lowest.clamp(source.start, source.end - taps);
            let distance = first as f64 + 0.5 - center;
            if reach == 0.5 {
                nearest(distance, &mut weights);
            } else {
                kernel.fill(distance, &mut weights);
            }
            axis.push(first, distance, &weights);
        }
        axis
    }

    /// Adds a scaled sample; `distance` is that of its first source sample from its middle.
    fn push(&mut self, first: usize, distance: f64, weights: &[f64]) {
        let sum: f64 = weights.iter().sum();
        self.first.push(first as u32);
        if sum.abs() < 1e-6 {
            // Nothing of the source is near: the nearest sample stands for it.
            let nearest = if distance > 0.0 { 0 } else { self.taps - 1 };
            self.weights.extend((0..self.taps).map(|at| f32::from(u8::from(at == nearest))));
        } else {
            self.weights.extend(weights.iter().map(|weight| (weight / sum) as f32));
        }
    }

    /// Number of scaled samples.
    fn len(&self) -> usize {
        self.first.len()
    }

    /// The source samples that any scaled one is made of.
    pub(in crate::engine) fn needed(&self) -> Range<usize> {
        let start = self.first.first().map_or(0, |first| *first as usize);
        let end = self.first.last().map_or(0, |first| *first as usize + self.taps);
        start..end
    }

    fn taps_of(&self, index: usize) -> (usize, &[f32]) {
        (self.first[index] as usize, &self.weights[index * self.taps..(index + 1) * self.taps])
    }

    /// Most scaled samples that wait for source samples at one time, where these come in groups: a scaled sample whose
    /// last source sample went in may stand until the group is full.
    fn overlap(&self) -> usize {
        let end = |at: usize| self.first[at] as usize + self.taps + GROUP - 1;
        let mut oldest = 0;
        let mut most = 0;
        for at in 0..self.len() {
            while end(oldest) <= self.first[at] as usize {
                oldest += 1;
            }
            most = most.max(at + 1 - oldest);
        }
        most
    }
}

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
    let numbers = f64::from(source.width) * channels as f64 * lines + weights;
    // The batch when it is scaled, as numbers and as codes.
    let scaled = u64::from(target.width) * channels * (BATCH * (size_of::<f32>() + 1)) as u64;
    (numbers * size_of::<f32>() as f64) as u64 + scaled
}

/// Whether scaled samples fall onto source samples one by one.
fn is_identity(step: f64, start: f64) -> bool {
    (step - 1.0).abs() < 1e-9 && (start - start.round()).abs() < 1e-9
}

/// A weight for the source sample that a scaled one falls onto.
fn nearest(distance: f64, weights: &mut [f64]) {
    for (tap, weight) in weights.iter_mut().enumerate() {
        *weight = f64::from(u8::from((distance + tap as f64).abs() < 0.5));
    }
}

/// sinc(x) sinc(x / 3) inside three lobes, for samples that are 1/`stretch` apart.
struct Kernel {
    stretch: f64,
    /// Sine and cosine of π / 3 of the distance between two samples.
    turn: (f64, f64),
}

impl Kernel {
    fn new(stretch: f64) -> Self {
        Self { stretch, turn: (std::f64::consts::FRAC_PI_3 / stretch).sin_cos() }
    }

    /// The weights of samples the first of which is `distance` from the middle, in samples.
    ///
    /// The angle is turned on from sample to sample, and sin 3a = 3 sin a − 4 sin³ a, so that one sine does for all.
    fn fill(&self, distance: f64, weights: &mut [f64]) {
        let (sine_of_turn, cosine_of_turn) = self.turn;
        let (mut sine, mut cosine) = (distance / self.stretch * std::f64::consts::FRAC_PI_3).sin_cos();
        for (tap, weight) in weights.iter_mut().enumerate() {
            let x = (distance + tap as f64) / self.stretch;
            let angle = x * std::f64::consts::FRAC_PI_3;
            *weight = match x.abs() {
                LOBES.. => 0.0,
                ..1e-6 => 1.0,
                _ => sine * (3.0 - 4.0 * sine * sine) * sine / (3.0 * angle * angle),
            };
            (sine, cosine) =
                (sine * cosine_of_turn + cosine * sine_of_turn, cosine * cosine_of_turn - sine * sine_of_turn);
        }
    }
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
    /// The rows that went in last, as numbers.
    group: Vec<f32>,
    /// How many of them are not in the sums yet.
    pending: usize,
    /// Sums of unfinished rows; scaled row y has slot y modulo `slots`.
    sums: Vec<f32>,
    slots: usize,
    /// Finished rows of a batch, turned: number by number, each of all rows.
    turned: Vec<[f32; BATCH]>,
    /// The same of the scaled rows, as numbers and as codes.
    filtered: Vec<[f32; BATCH]>,
    codes: Vec<[u8; BATCH]>,
    /// Source row that comes next.
    next_row: usize,
    /// First scaled row that is not filtered along its length yet.
    next_scaled: usize,
    scaled: Vec<u8>,
}

impl Resampler {
    pub(in crate::engine) fn new(columns: Axis, rows: Axis, samples: Samples, curve: &'static Curve) -> Self {
        let width = columns.needed().len() * samples.count();
        let slots = rows.overlap() + BATCH;
        Self {
            width,
            group: vec![0.0; width * GROUP],
            pending: 0,
            sums: vec![0.0; width * slots],
            slots,
            turned: vec![[0.0; BATCH]; width],
            filtered: vec![[0.0; BATCH]; columns.len() * samples.count()],
            codes: vec![[0; BATCH]; columns.len() * samples.count()],
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
        for from in (0..self.width).step_by(BLOCK) {
            self.add_block(from..(from + BLOCK).min(self.width));
        }
        self.pending = 0;
    }

    /// The same for some of the numbers in a row.
    #[inline(always)]
    fn add_block(&mut self, block: Range<usize>) {
        let start = self.next_row - self.pending;
        let rows = std::array::from_fn(|place| &self.group[place * self.width..][block.clone()]);
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
            let slot = scaled % self.slots * self.width;
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
        let place = self.pending * self.width;
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
            // Of a batch that is not full the last row stands for those that are missing.
            let slot = |lane: usize| (self.next_scaled + lane).min(end - 1) % self.slots * self.width;
            turn(&mut self.turned, std::array::from_fn(|lane| &self.sums[slot(lane)..slot(lane) + self.width]));
            match self.samples {
                Samples::One => self.filter_columns::<1>(end - self.next_scaled),
                Samples::Three => self.filter_columns::<3>(end - self.next_scaled),
                Samples::Four => self.filter_columns::<4>(end - self.next_scaled),
            }
            self.next_scaled = end;
        }
    }

    #[inline(always)]
    fn filter_columns<const N: usize>(&mut self, lanes: usize) {
        let offset = self.columns.needed().start;
        let stride = self.columns.len() * N;
        let top = self.next_scaled * stride;
        let pixels = self.turned.as_chunks::<N>().0;
        for (column, sums) in self.filtered.as_chunks_mut::<N>().0.iter_mut().enumerate() {
            let (first, weights) = self.columns.taps_of(column);
            weigh(&pixels[first - offset..], weights, sums);
            if N == 4 {
                straighten(sums);
            }
        }
        for (at, (codes, numbers)) in self.codes.iter_mut().zip(&self.filtered).enumerate() {
            *codes = if at % N == 3 { Curve::Straight.encode_all(*numbers) } else { self.curve.encode_all(*numbers) };
        }
        for (lane, row) in self.scaled[top..top + lanes * stride].chunks_exact_mut(stride).enumerate() {
            for (code, codes) in row.iter_mut().zip(&self.codes) {
                *code = codes[lane];
            }
        }
    }
}

/// The sum of the first pixels, each times its weight. Two sums at once: an addition has to wait for the one before.
///
/// It goes to memory: the compiler keeps numbers side by side for which it finds a place there.
#[inline(always)]
fn weigh<const N: usize>(pixels: &[[[f32; BATCH]; N]], weights: &[f32], sum: &mut [[f32; BATCH]; N]) {
    let (mut sums, mut others) = ([[0.0_f32; BATCH]; N], [[0.0_f32; BATCH]; N]);
    let (pairs, last) = weights.as_chunks::<2>();
    for ([pixel, other], [weight, other_weight]) in pixels.as_chunks::<2>().0.iter().zip(pairs) {
        for at in 0..N {
            add(&mut sums[at], &pixel[at], *weight);
            add(&mut others[at], &other[at], *other_weight);
        }
    }
    for (pixel, weight) in pixels[2 * pairs.len()..].iter().zip(last) {
        for at in 0..N {
            add(&mut sums[at], &pixel[at], *weight);
        }
    }
    for at in 0..N {
        for lane in 0..BATCH {
            sum[at][lane] = sums[at][lane] + others[at][lane];
        }
    }
}

/// Turns rows of numbers into numbers of rows.
#[inline(always)]
fn turn(turned: &mut [[f32; BATCH]], rows: [&[f32]; BATCH]) {
    let (squares, rest) = turned.as_chunks_mut::<BATCH>();
    let done = squares.len() * BATCH;
    for (at, square) in squares.iter_mut().enumerate() {
        let mut numbers = [[0.0; BATCH]; BATCH];
        for (numbers, row) in numbers.iter_mut().zip(rows) {
            numbers.copy_from_slice(&row[at * BATCH..(at + 1) * BATCH]);
        }
        *square = std::array::from_fn(|x| std::array::from_fn(|lane| numbers[lane][x]));
    }
    for (at, numbers) in rest.iter_mut().enumerate() {
        *numbers = std::array::from_fn(|lane| rows[lane][done + at]);
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
fn straighten(sums: &mut [[f32; BATCH]]) {
    let [colors @ .., alpha] = sums else { return };
    for color in colors {
        for (value, alpha) in color.iter_mut().zip(&*alpha) {
            *value = if *alpha > 1e-4 { *value / alpha.min(1.0) } else { 0.0 };
        }
    }
}

/// Adds the rows of a group, each times its weight.
#[inline(always)]
fn add_rows(sums: &mut [f32], rows: [&[f32]; GROUP], weights: [f32; GROUP]) {
    let [first, second, third, fourth] = rows.map(|row| &row[..sums.len()]);
    let [w0, w1, w2, w3] = weights;
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum = *sum + first[at] * w0 + second[at] * w1 + third[at] * w2 + fourth[at] * w3;
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
