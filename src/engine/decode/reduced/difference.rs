//! For the fuzz targets: what this decoder reads, the general one reads too, and at 1/8 to the same bytes.

use turbojpeg_sys as tj;

use super::*;
use crate::engine::decode::turbo::{Complaint, Turbo};

/// Decodes `jpeg` with both at 1/8, and at the other scales with this one.
///
/// There the two differ: libjpeg averages, and its 16-bit arithmetic wraps around at coefficients that only damage makes.
///
/// # Panics
/// Where they differ at 1/8.
pub fn check(jpeg: &[u8]) {
    if !jpeg.starts_with(&[0xFF, 0xD8]) {
        return;
    }
    let Some(sampling) = sampling(jpeg).filter(|sampling| sampling.size.area() <= 1 << 20) else { return };
    for eighths in 2..=8 {
        let _samples_or_none = luma(jpeg, eighths, &sampling);
    }
    if let Some((samples, stride)) = luma(jpeg, 1, &sampling) {
        compare(jpeg, &samples, stride, sampling.progressive);
    }
}

fn luma(jpeg: &[u8], eighths: u8, sampling: &Sampling) -> Option<(Vec<u8>, usize)> {
    let part = Rect { x: 0, y: 0, size: sampling.size };
    let mut reduced = Reduced::new(jpeg, &Request::of([eighths; 3], part), &Cancel::default()).ok()?;
    let (mut samples, mut stride) = (Vec::new(), 0);
    while reduced.next_band().ok()? {
        samples.extend_from_slice(reduced.rows(0, eighths).samples);
        stride = reduced.rows(0, eighths).stride;
    }
    Some((samples, stride))
}

fn compare(jpeg: &[u8], samples: &[u8], stride: usize, progressive: bool) {
    let mut turbo = Turbo::decompressor().expect("a decompressor");
    accept(turbo.read_header(jpeg));
    let edge = |parameter| (turbo.get(parameter) as usize).div_ceil(8);
    let (width, height) = (edge(tj::TJPARAM_TJPARAM_JPEGWIDTH), edge(tj::TJPARAM_TJPARAM_JPEGHEIGHT));
    let mut reference = vec![0; width * height];
    let read = turbo.decompress(jpeg, &mut reference, 1, tj::TJPF_TJPF_GRAY);
    if progressive && read.is_err() {
        // It reads the other scans too, and what is wrong there changes its pixels.
        return;
    }
    accept(read);
    for (row, (own, other)) in samples.chunks(stride).zip(reference.chunks(width)).enumerate() {
        for (column, (own, other)) in own.iter().zip(other).enumerate() {
            // Out of range both clip, but libjpeg wraps around far outside.
            assert!(matches!(own, 0 | 255) || own == other, "{own} for {other} at {column},{row}");
        }
    }
}

/// Stray bytes between segments and odd version numbers change no pixels.
fn accept(read: Result<(), Complaint>) {
    if let Err(Complaint { warning, text }) = read {
        let harmless =
            ["extraneous bytes before marker", "JFIF revision"].iter().any(|harmless| text.contains(harmless));
        assert!(warning && harmless, "the other says: {text}");
    }
}
