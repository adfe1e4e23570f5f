//! For the fuzz targets: what this decoder reads, the general one reads without a complaint, and at 1/8 to the same bytes.

use turbojpeg_sys as tj;

use super::*;
use crate::engine::decode::turbo::Turbo;

/// Samples at full size may differ by so much: the transforms round differently.
const ROUNDING: u8 = 3;

/// Decodes `jpeg` with both at 1/8 and at full size.
///
/// # Panics
/// Where they differ.
pub fn check(jpeg: &[u8]) {
    let Some(sampling) = sampling(jpeg) else { return };
    if sampling.size.area() > 1 << 20 {
        return;
    }
    let eighths: &[u8] = if sampling.progressive { &[1] } else { &[1, 8] };
    for eighths in eighths {
        if let Some((samples, stride)) = luma(jpeg, *eighths, &sampling) {
            compare(jpeg, *eighths, &samples, stride);
        }
    }
}

fn luma(jpeg: &[u8], eighths: u8, sampling: &Sampling) -> Option<(Vec<u8>, usize)> {
    let part = Rect { x: 0, y: 0, size: sampling.size };
    let mut reduced = Reduced::new(jpeg, &Request { eighths: [eighths; 3], part }, &Cancel::default()).ok()?;
    let (mut samples, mut stride) = (Vec::new(), 0);
    while reduced.next_band().ok()? {
        samples.extend_from_slice(reduced.rows(0).samples);
        stride = reduced.rows(0).stride;
    }
    Some((samples, stride))
}

fn compare(jpeg: &[u8], eighths: u8, samples: &[u8], stride: usize) {
    let mut turbo = Turbo::decompressor().expect("a decompressor");
    turbo.set(tj::TJPARAM_TJPARAM_STOPONWARNING, 1).expect("a parameter");
    turbo.read_header(jpeg).expect("a header that the other reads");
    let edge = |parameter| (turbo.get(parameter) as usize * usize::from(eighths)).div_ceil(8);
    let (width, height) = (edge(tj::TJPARAM_TJPARAM_JPEGWIDTH), edge(tj::TJPARAM_TJPARAM_JPEGHEIGHT));
    let mut reference = vec![0; width * height];
    turbo.decompress(jpeg, &mut reference, eighths, tj::TJPF_TJPF_GRAY).expect("a file that the other reads");
    let tolerance = if eighths == 1 { 0 } else { ROUNDING };
    for (row, (own, other)) in samples.chunks(stride).zip(reference.chunks(width)).enumerate() {
        for (column, (own, other)) in own.iter().zip(other).enumerate() {
            // Out of range both clip, but libjpeg wraps around far outside.
            let clipped = matches!(own, 0 | 255);
            assert!(clipped || own.abs_diff(*other) <= tolerance, "{own} for {other} at {column},{row}, {eighths}/8");
        }
    }
}
