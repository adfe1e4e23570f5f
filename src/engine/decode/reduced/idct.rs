//! Inverse DCTs of N points, 1 ≤ N ≤ 8: the low N × N coefficients of a block become N × N samples.
//!
//! This is the block as it would be had it been sampled at N/8 of its resolution behind an ideal low-pass filter, which is
//! sharper than libjpeg's averages. In single precision, in a fixed order and without fused operations, so that every
//! processor comes to the same samples.

/// Coefficients of a block in natural order, eight a row.
pub(super) type Block = [i32; BLOCK];
/// Length of a [`Block`].
pub(super) const BLOCK: usize = 64;
/// Where in a [`Block`] coefficients go that nobody needs: the last place is read for eight points only, which need all.
pub(super) const UNUSED: u8 = 63;

/// Matrix of the inverse transform: `at[u][x] = s(u) cos((2x + 1) u π / 2N)` with s(0) = 1/√8, else 1/2 (T.81, A.3.3; the
/// scale keeps the mean whatever N is). Columns behind N are zero.
pub(super) struct Basis<const N: usize> {
    at: [[f32; 8]; N],
}

impl<const N: usize> Basis<N> {
    pub(super) fn new() -> Self {
        let mut at = [[0.0; 8]; N];
        for (u, row) in at.iter_mut().enumerate() {
            let scale = if u == 0 { 0.125_f64.sqrt() } else { 0.5 };
            for (x, value) in row.iter_mut().take(N).enumerate() {
                let angle = ((2 * x + 1) * u) as f64 * std::f64::consts::PI / (2 * N) as f64;
                *value = (scale * angle.cos()) as f32;
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
fn add(sums: &mut [f32; 8], numbers: &[f32; 8], factor: f32) {
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

    fn check<const N: usize>() {
        let mut state = 5_u32;
        for spread in [8, 200, 3000] {
            let block: Block = std::array::from_fn(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 8) as i32 % spread) / (1 + at as i32 / 8)
            });
            let mut samples = vec![0; 100];
            Basis::<N>::new().inverse(&block, &mut samples, 5, 11);
            for y in 0..N {
                for x in 0..N {
                    let exact = plain::<N>(&block, x, y).clamp(0.0, 255.0);
                    let sample = samples[5 + 11 * y + x];
                    assert!((f64::from(sample) - exact).abs() < 0.51, "{N} points at {x},{y}: {sample} for {exact}");
                }
            }
        }
    }

    #[test]
    fn it_is_the_plain_sum() {
        check::<2>();
        check::<3>();
        check::<4>();
        check::<5>();
        check::<6>();
        check::<7>();
        check::<8>();
    }

    #[test]
    fn means_round_as_libjpeg_rounds() {
        for (dc, sample) in [(0, 128), (3, 128), (4, 129), (-4, 128), (-5, 127), (-1024, 0), (2000, 255)] {
            assert_eq!(mean_sample(dc), sample, "{dc}");
        }
    }
}
