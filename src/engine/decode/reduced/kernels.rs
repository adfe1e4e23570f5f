//! For the benches: the parts of this decoder on their own.

use super::headers::natural;
use super::idct::{Basis, Waves, mean_sample, spill};
use super::*;

/// The samples of `blocks` (coefficients in natural order, dequantised), N × N each, side by side in one row of blocks.
///
/// Compiled for newer processors, as the decoder is, where there is one.
pub fn inverse_dct<const N: usize>(blocks: &[[i32; 64]]) -> Vec<u8> {
    let width = blocks.len() * N;
    let stride = width + spill(N);
    let mut samples = vec![0; stride * N];
    into_rows::<N>(blocks, &mut samples, stride);
    samples.chunks_exact(stride).flat_map(|row| &row[..width]).copied().collect()
}

fn into_rows<const N: usize>(blocks: &[[i32; 64]], samples: &mut [u8], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { inverse_avx2::<N>(blocks, samples, stride) };
    }
    inverse::<N>(blocks, samples, stride);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn inverse_avx2<const N: usize>(blocks: &[[i32; 64]], samples: &mut [u8], stride: usize) {
    inverse::<N>(blocks, samples, stride);
}

#[inline(always)]
fn inverse<const N: usize>(blocks: &[[i32; 64]], samples: &mut [u8], stride: usize) {
    let (basis, waves) = (Basis::<N>::new(), Waves::<N>::new(&[1; 64]));
    for (index, block) in blocks.iter().enumerate() {
        match N {
            1 => samples[index] = mean_sample(block[0]),
            2..=4 => {
                let mut sums = Waves::<N>::level(block[0]);
                for zigzag in (1..64).filter(|zigzag| block[natural(*zigzag)] != 0) {
                    waves.add(&mut sums, zigzag, block[natural(zigzag)]);
                }
                Waves::<N>::finish(&sums, samples, index * N, stride);
            }
            _ => basis.inverse(block, samples, index * N, stride),
        }
    }
}

/// Decodes all planes at `eighths`/8, band by band, as a thumbnail does; how many samples these were. `None` where this
/// decoder does not read the file.
pub fn decode_planes(jpeg: &[u8], eighths: u8) -> Option<usize> {
    let sampling = sampling(jpeg)?;
    let part = Rect { x: 0, y: 0, size: sampling.size };
    let mut reduced = Reduced::new(jpeg, &Request::of([eighths; 3], part), &Cancel::default()).ok()?;
    let planes = if sampling.gray { 1 } else { 3 };
    let mut samples = 0;
    while reduced.next_band().ok()? {
        samples += (0..planes).map(|index| reduced.rows(index, eighths).samples.len()).sum::<usize>();
    }
    Some(samples)
}
