//! Inverse DCTs of N points, 1 ≤ N ≤ 8: the low N × N coefficients of a block become N × N samples.
//!
//! This is the block as it would be had it been sampled at N/8 of its resolution behind an ideal low-pass filter, which is
//! sharper than libjpeg's averages. In single precision, in a fixed order and without fused operations, so that every
//! processor comes to the same samples.

use super::headers::natural;

/// Coefficients of a block in natural order, eight a row.
pub(super) type Block = [i32; BLOCK];
/// Length of a [`Block`].
pub(super) const BLOCK: usize = 64;
/// Where in a [`Block`] coefficients go that nobody needs: the last place is read for eight points only, which need all.
pub(super) const UNUSED: u8 = 63;

/// The inverse transform of 2 to 4 points with its quantisation: what each coefficient adds to each sample.
///
/// Few of the coefficients of such a block are not 0. Adding them up while they are read takes less than a transform of all,
/// and is done while the next code is waited for.
pub(super) struct Waves<const N: usize> {
    /// Coefficient by coefficient in zigzag order; 0 for coefficients that are not needed.
    at: [Sums; BLOCK],
}

/// Samples that are written behind each row of a block, where the next block will be, and behind the last one's.
pub(super) const fn spill(points: usize) -> usize {
    if points == 1 { 0 } else { ROW.saturating_sub(points) }
}

/// Samples that are written for a row of up to four; those behind the last point are worthless.
const ROW: usize = 4;

/// Samples before rounding: up to four rows of four, two rows at a time.
type Sums = [[f32; 8]; 2];

impl<const N: usize> Waves<N> {
    /// For a quantisation in zigzag order.
    pub(super) fn new(quantisation: &[i32; BLOCK]) -> Box<Self> {
        let mut waves = Box::new(Self { at: [[[0.0; 8]; 2]; BLOCK] });
        for (zigzag, (wave, step)) in waves.at.iter_mut().zip(quantisation).enumerate() {
            let (v, u) = (natural(zigzag) / 8, natural(zigzag) % 8);
            if u < N && v < N {
                for (at, value) in wave.as_flattened_mut().iter_mut().enumerate() {
                    *value = (f64::from(*step) * cosine::<N>(v, at / 4) * cosine::<N>(u, at % 4)) as f32;
                }
            }
        }
        waves
    }

    /// The samples of a block that has but this mean.
    #[inline(always)]
    pub(super) fn level(dc: i32) -> Sums {
        [[128.0 + dc as f32 * 0.125; 8]; 2]
    }

    /// Adds a coefficient by its place in zigzag order, below 64.
    #[inline(always)]
    pub(super) fn add(&self, sums: &mut Sums, zigzag: usize, value: i32) {
        let wave = &self.at[zigzag & (BLOCK - 1)];
        for pair in 0..N.div_ceil(2) {
            add(&mut sums[pair], &wave[pair], value as f32);
        }
    }

    /// Samples 0–255 into the N rows of `rows` the first of which begins at `left`, [`ROW`] a row.
    ///
    /// # Panics
    /// Where a row does not lie inside `rows`.
    #[inline(always)]
    pub(super) fn finish(sums: &Sums, rows: &mut [u8], left: usize, stride: usize) {
        for (pair, sums) in sums.iter().enumerate().take(N.div_ceil(2)) {
            let samples: [u8; 8] = std::array::from_fn(|at| to_sample(sums[at]));
            for (y, row) in samples.chunks_exact(ROW).enumerate().take(N - 2 * pair) {
                let start = left + (2 * pair + y) * stride;
                rows[start..start + ROW].copy_from_slice(row);
            }
        }
    }
}

/// `s(u) cos((2x + 1) u π / 2N)` with s(0) = 1/√8, else 1/2 (T.81, A.3.3; the scale keeps the mean whatever N is).
fn cosine<const N: usize>(u: usize, x: usize) -> f64 {
    let scale = if u == 0 { 0.125_f64.sqrt() } else { 0.5 };
    let angle = ((2 * x + 1) * u) as f64 * std::f64::consts::PI / (2 * N) as f64;
    scale * angle.cos()
}

/// Matrix of the inverse transform of N points: `at[u][x]` is [`cosine`]. Columns behind N are zero.
pub(super) struct Basis<const N: usize> {
    at: [[f32; 8]; N],
}

impl<const N: usize> Basis<N> {
    pub(super) fn new() -> Self {
        let mut at = [[0.0; 8]; N];
        for (u, row) in at.iter_mut().enumerate() {
            for (x, value) in row.iter_mut().take(N).enumerate() {
                *value = cosine::<N>(u, x) as f32;
            }
        }
        Self { at }
    }

    /// Samples of `block`, 0–255, into the N × N square of `rows` whose first row begins at `left`.
    ///
    /// # Panics
    /// Where the square does not lie inside `rows`.
    #[inline(always)]
    pub(super) fn inverse(&self, block: &Block, rows: &mut [u8], left: usize, stride: usize) {
        let columns = self.down_columns(block);
        for (y, numbers) in columns.iter().enumerate() {
            let mut row = [128.0_f32; 8];
            for (basis, number) in self.at.iter().zip(numbers) {
                add(&mut row, basis, *number);
            }
            let start = left + y * stride;
            let samples = row.map(to_sample);
            rows[start..start + N].copy_from_slice(&samples[..N]);
        }
    }

    /// The transform down the columns. The basis is even or odd about the middle, so that two rows share their sums.
    #[inline(always)]
    fn down_columns(&self, block: &Block) -> [[f32; 8]; N] {
        let coefficients: [[f32; 8]; N] = std::array::from_fn(|u| std::array::from_fn(|v| block[u * 8 + v] as f32));
        let mut columns = [[0.0_f32; 8]; N];
        for y in 0..N.div_ceil(2) {
            let (mut even, mut odd) = ([0.0_f32; 8], [0.0_f32; 8]);
            for u in (0..N).step_by(2) {
                add(&mut even, &coefficients[u], self.at[u][y]);
            }
            for u in (1..N).step_by(2) {
                add(&mut odd, &coefficients[u], self.at[u][y]);
            }
            for v in 0..8 {
                columns[y][v] = even[v] + odd[v];
            }
            if y < N / 2 {
                for v in 0..8 {
                    columns[N - 1 - y][v] = even[v] - odd[v];
                }
            }
        }
        columns
    }
}

/// Adds `numbers` times `factor`.
#[inline(always)]
fn add<const L: usize>(sums: &mut [f32; L], numbers: &[f32; L], factor: f32) {
    for (sum, number) in sums.iter_mut().zip(numbers) {
        *sum += number * factor;
    }
}

/// Rounds to the nearest of 0–255.
#[inline(always)]
fn to_sample(value: f32) -> u8 {
    /// Adding it leaves the rounded integer in the low bits of the mantissa.
    const SHIFT: f32 = 8_388_608.0;
    (value.clamp(0.0, 255.0) + SHIFT).to_bits() as u8
}

/// The sample of a block of which only the mean is known, as libjpeg computes it at 1/8.
#[inline(always)]
pub(super) fn mean_sample(dc: i32) -> u8 {
    (((dc + 4) >> 3) + 128).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of T.81, A.3.3, with the cosines of N points.
    fn plain<const N: usize>(block: &Block, x: usize, y: usize) -> f64 {
        let scale = |at: usize| if at == 0 { 0.125_f64.sqrt() } else { 0.5 };
        let cosine =
            |at: usize, of: usize| ((2 * at + 1) as f64 * of as f64 * std::f64::consts::PI / (2 * N) as f64).cos();
        let mut sum = 128.0;
        for u in 0..N {
            for v in 0..N {
                sum += scale(u) * scale(v) * f64::from(block[u * 8 + v]) * cosine(y, u) * cosine(x, v);
            }
        }
        sum
    }

    /// Blocks of small, usual and damaged coefficients.
    fn blocks() -> impl Iterator<Item = Block> {
        let mut state = 5_u32;
        [8, 200, 3000].into_iter().map(move |spread| {
            std::array::from_fn(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 8) as i32 % spread) / (1 + at as i32 / 8)
            })
        })
    }

    /// Holds what `inverse` writes into rows of 11 samples, from the fifth on, against the plain sum.
    fn check<const N: usize>(inverse: impl Fn(&Block, &mut [u8])) {
        for block in blocks() {
            let mut samples = vec![0; 100];
            inverse(&block, &mut samples);
            for y in 0..N {
                for x in 0..N {
                    let exact = plain::<N>(&block, x, y).clamp(0.0, 255.0);
                    let sample = samples[5 + 11 * y + x];
                    assert!((f64::from(sample) - exact).abs() < 0.51, "{N} points at {x},{y}: {sample} for {exact}");
                }
            }
        }
    }

    fn check_basis<const N: usize>() {
        check::<N>(|block, samples| Basis::<N>::new().inverse(block, samples, 5, 11));
    }

    fn check_waves<const N: usize>() {
        check::<N>(|block, samples| {
            let waves = Waves::<N>::new(&[1; BLOCK]);
            let mut sums = Waves::<N>::level(block[0]);
            (1..BLOCK).for_each(|zigzag| waves.add(&mut sums, zigzag, block[natural(zigzag)]));
            Waves::<N>::finish(&sums, samples, 5, 11);
        });
    }

    #[test]
    fn it_is_the_plain_sum() {
        check_waves::<2>();
        check_waves::<3>();
        check_waves::<4>();
        check_basis::<5>();
        check_basis::<6>();
        check_basis::<7>();
        check_basis::<8>();
    }

    #[test]
    fn quantisation_is_part_of_the_waves() {
        let waves = Waves::<4>::new(&std::array::from_fn(|zigzag| zigzag as i32));
        let (mut sums, mut plain) = ([[0.0; 8]; 2], [[0.0; 8]; 2]);
        waves.add(&mut sums, 5, 3);
        Waves::<4>::new(&[1; BLOCK]).add(&mut plain, 5, 15);
        for (sum, plain) in sums.as_flattened().iter().zip(plain.as_flattened()) {
            assert!((sum - plain).abs() < 1e-5, "{sum} {plain}");
        }
    }

    #[test]
    fn means_round_as_libjpeg_rounds() {
        for (dc, sample) in [(0, 128), (3, 128), (4, 129), (-4, 128), (-5, 127), (-1024, 0), (2000, 255)] {
            assert_eq!(mean_sample(dc), sample, "{dc}");
        }
    }
}
