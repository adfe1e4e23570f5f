//! For the fuzz targets: what this decoder reads, the general one reads too, and at 1/8 to the same bytes; and several views
//! that are read together have the samples that each has alone.

use turbojpeg_sys as tj;

use super::idct::spill;
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

/// Decodes some views of `jpeg` together, at scales and of parts that its bytes choose, and each of them alone.
///
/// # Panics
/// Where a view that is read together with others is refused alone, or has other samples.
pub fn check_together(jpeg: &[u8]) {
    let Some(sampling) = sampling(jpeg).filter(|sampling| sampling.size.area() <= 1 << 20) else { return };
    let mut choice = Choice::of(jpeg);
    let views: Vec<[u8; 3]> = (0..2 + choice.below(4)).map(|_| choice.eighths(sampling.progressive)).collect();
    let requests: Vec<Request> = views.iter().map(|view| Request::of(*view, choice.part(sampling.size))).collect();
    let Some(hull) = requests.iter().copied().reduce(Request::and) else { return };
    let planes = if sampling.gray { 1 } else { 3 };
    let Some(together) = bands(jpeg, &hull, &views, planes) else { return };
    for ((request, view), together) in requests.iter().zip(&views).zip(&together) {
        let alone = bands(jpeg, request, &[*view], planes).expect("what is read together is read alone");
        for band in alone.iter().flatten() {
            let other = together.iter().find(|other| (other.plane, other.top) == (band.plane, band.top));
            assert!(other.is_some_and(|other| other.shows(band)), "{view:?} of {views:?} differs: {band:?}");
        }
    }
}

/// Numbers that look random and follow from a file.
struct Choice(u64);

impl Choice {
    /// FNV-1a of the file's bytes.
    fn of(file: &[u8]) -> Self {
        Self(
            file.iter()
                .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)),
        )
    }

    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % end
    }

    fn eighths(&mut self, progressive: bool) -> [u8; 3] {
        if progressive { [1; 3] } else { std::array::from_fn(|_| 1 + self.below(8) as u8) }
    }

    fn part(&mut self, size: Size) -> Rect {
        let mut range = |length: u32| {
            let start = if self.below(2) == 0 { 0 } else { self.below(length) };
            (start, 1 + self.below(length - start))
        };
        let ((x, width), (y, height)) = (range(size.width), range(size.height));
        Rect { x, y, size: Size::new(width, height) }
    }
}

/// The rows of a band, without what is written behind them.
#[derive(Debug)]
struct Band {
    plane: usize,
    left: usize,
    top: usize,
    rows: Vec<Vec<u8>>,
}

impl Band {
    fn of(plane: usize, rows: Rows<'_>, eighths: u8) -> Self {
        let width = rows.stride - spill(usize::from(eighths));
        let row = |row: &[u8]| row[..width].to_vec();
        Self { plane, left: rows.left, top: rows.top, rows: rows.samples.chunks_exact(rows.stride).map(row).collect() }
    }

    /// Whether the samples of `part`, of the same plane and rows, are among its own.
    fn shows(&self, part: &Self) -> bool {
        let Some(left) = part.left.checked_sub(self.left) else { return false };
        let is_row = |(own, part): (&Vec<u8>, &Vec<u8>)| own.get(left..left + part.len()) == Some(&part[..]);
        self.rows.len() == part.rows.len() && self.rows.iter().zip(&part.rows).all(is_row)
    }
}

/// All bands of each view; `None` where the file is left to the general decoder.
fn bands(jpeg: &[u8], request: &Request, views: &[[u8; 3]], planes: usize) -> Option<Vec<Vec<Band>>> {
    let mut reduced = Reduced::new(jpeg, request, &Cancel::default()).ok()?;
    let mut bands: Vec<Vec<Band>> = views.iter().map(|_| Vec::new()).collect();
    while reduced.next_band().ok()? {
        for (bands, view) in bands.iter_mut().zip(views) {
            let plane = |index: usize| Band::of(index, reduced.rows(index, view[index]), view[index]);
            bands.extend((0..planes).map(plane));
        }
    }
    Some(bands)
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
