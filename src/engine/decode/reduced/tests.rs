//! The reduced decoder beside the general one.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use turbojpeg_sys as tj;

use super::*;
use crate::engine::decode::turbo::Turbo;

/// A picture with edges, gradients and noise in all channels.
fn picture(width: u16, height: u16, channels: usize) -> Vec<u8> {
    let mut noise = 7_u32;
    let mut pixels = Vec::new();
    for y in 0..u32::from(height) {
        for x in 0..u32::from(width) {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let edge = if (x / 11 + y / 7).is_multiple_of(2) { 90 } else { 0 };
            let values = [x * 3 + edge, y * 2 + (noise >> 27), 255 - (x + y) % 256];
            pixels.extend(values.iter().take(channels).map(|value| (*value % 256) as u8));
        }
    }
    pixels
}

struct Variant {
    sampling: SamplingFactor,
    gray: bool,
    restart: Option<u16>,
    optimised: bool,
    progressive: bool,
}

const PLAIN: Variant =
    Variant { sampling: SamplingFactor::F_2_2, gray: false, restart: None, optimised: false, progressive: false };

fn jpeg(width: u16, height: u16, variant: &Variant) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 88);
    encoder.set_sampling_factor(variant.sampling);
    encoder.set_optimized_huffman_tables(variant.optimised);
    encoder.set_progressive(variant.progressive);
    if let Some(interval) = variant.restart {
        encoder.set_restart_interval(interval);
    }
    let (channels, color) = if variant.gray { (1, ColorType::Luma) } else { (3, ColorType::Rgb) };
    encoder.encode(&picture(width, height, channels), width, height, color).expect("a JPEG");
    file
}

/// One plane, as wide as bands are, and the number of its columns.
struct Plane {
    samples: Vec<u8>,
    stride: usize,
    left: usize,
    top: usize,
}

fn decode(jpeg: &[u8], eighths: u8, part: Rect) -> Result<Vec<Plane>, Unclaimed> {
    let sampling = sampling(jpeg).ok_or(Unclaimed)?;
    let request = Request::of([eighths; 3], part);
    let mut reduced = Reduced::new(jpeg, &request, &Cancel::default())?;
    let count = if sampling.gray { 1 } else { 3 };
    let mut planes: Vec<Plane> = Vec::new();
    while reduced.next_band()? {
        for index in 0..count {
            let rows = reduced.rows(index, eighths);
            let stride = rows.stride - idct::spill(eighths.into());
            if planes.len() == index {
                planes.push(Plane { samples: Vec::new(), stride, left: rows.left, top: rows.top });
            }
            let samples = rows.samples.chunks(rows.stride).flat_map(|row| &row[..stride]);
            planes[index].samples.extend(samples);
        }
    }
    Ok(planes)
}

fn whole(width: u16, height: u16) -> Rect {
    Rect { x: 0, y: 0, size: Size::new(width.into(), height.into()) }
}

/// Luma by the general decoder: samples and width.
fn reference(jpeg: &[u8], eighths: u8) -> (Vec<u8>, usize) {
    let mut turbo = Turbo::decompressor().expect("a decompressor");
    turbo.read_header(jpeg).expect("a header");
    let edge = |parameter| (turbo.get(parameter) as usize * usize::from(eighths)).div_ceil(8);
    let (width, height) = (edge(tj::TJPARAM_TJPARAM_JPEGWIDTH), edge(tj::TJPARAM_TJPARAM_JPEGHEIGHT));
    let mut samples = vec![0; width * height];
    turbo.decompress(jpeg, &mut samples, eighths, tj::TJPF_TJPF_GRAY).expect("a picture");
    (samples, width)
}

fn largest_difference(plane: &Plane, samples: &[u8], width: usize) -> u8 {
    let rows = plane.samples.chunks(plane.stride).zip(samples.chunks(width));
    rows.flat_map(|(own, other)| own.iter().zip(other)).map(|(own, other)| own.abs_diff(*other)).max().unwrap_or(0)
}

/// At 1/8 both come to the same bytes; at full size they round differently. Between, the general decoder averages.
#[test]
fn luma_is_that_of_the_general_decoder() {
    for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2] {
        for (width, height) in [(1, 1), (8, 8), (17, 9), (64, 48), (35, 70)] {
            for (restart, optimised, gray) in [(None, false, false), (Some(3), false, false), (None, true, true)] {
                let variant = Variant { sampling, restart, optimised, gray, progressive: false };
                let file = jpeg(width, height, &variant);
                for (eighths, tolerance) in [(1, 0), (8, 2)] {
                    let planes = decode(&file, eighths, whole(width, height)).expect("a plain file");
                    let (samples, columns) = reference(&file, eighths);
                    let difference = largest_difference(&planes[0], &samples, columns);
                    assert!(difference <= tolerance, "{sampling:?} {width}x{height} at {eighths}/8: {difference}");
                }
            }
        }
    }
}

#[test]
fn the_means_of_progressive_files_are_those_of_the_general_decoder() {
    for gray in [false, true] {
        for restart in [None, Some(2)] {
            let file = jpeg(83, 59, &Variant { gray, restart, progressive: true, ..PLAIN });
            let planes = decode(&file, 1, whole(83, 59)).expect("a progressive file");
            let (samples, columns) = reference(&file, 1);
            assert_eq!(largest_difference(&planes[0], &samples, columns), 0);
            assert!(decode(&file, 2, whole(83, 59)).is_err(), "only the means are to be had");
        }
    }
}

/// Whatever part is asked for, its samples are those of the whole picture.
#[test]
fn a_part_is_a_part_of_the_whole() {
    let file = jpeg(150, 110, &Variant { restart: Some(4), ..PLAIN });
    for eighths in 1..=8 {
        let all = decode(&file, eighths, whole(150, 110)).expect("a plain file");
        for (x, y, width, height) in [(0, 0, 1, 1), (149, 109, 1, 1), (40, 33, 50, 20), (3, 96, 147, 14)] {
            let part = Rect { x, y, size: Size::new(width, height) };
            let planes = decode(&file, eighths, part).expect("a plain file");
            for (part, all) in planes.iter().zip(&all) {
                for (row, samples) in part.samples.chunks(part.stride).enumerate() {
                    let start = (part.top + row) * all.stride + part.left;
                    assert_eq!(samples, &all.samples[start..start + part.stride], "{eighths}/8, row {row}");
                }
            }
            let (left, top) = (planes[0].left as u32, planes[0].top as u32);
            let right = left + planes[0].stride as u32;
            assert!(left * 8 <= x * u32::from(eighths) && top * 8 <= y * u32::from(eighths));
            assert!(right * 8 >= (x + width) * u32::from(eighths) || right as usize == all[0].stride);
        }
    }
}

#[test]
fn what_lies_behind_a_part_is_not_read() {
    let file = jpeg(150, 110, &PLAIN);
    let half = &file[..file.len() * 2 / 3];
    let top = Rect { x: 0, y: 0, size: Size::new(150, 16) };
    assert!(decode(half, 8, top).is_ok());
    assert!(decode(half, 8, whole(150, 110)).is_err());
}

/// Cut short, a file is left to the general decoder; with any byte changed, there are samples or none, but no panic.
#[test]
fn broken_files_do_no_harm() {
    for variant in
        [PLAIN, Variant { restart: Some(2), optimised: true, ..PLAIN }, Variant { progressive: true, ..PLAIN }]
    {
        let file = jpeg(40, 40, &variant);
        for length in 0..file.len() - 2 {
            assert!(decode(&file[..length], 1, whole(40, 40)).is_err(), "cut to {length} of {}", file.len());
        }
        for at in 0..file.len() {
            for value in [0x00, 0xFF, file[at] ^ 0x10, file[at].wrapping_add(1)] {
                let mut broken = file.clone();
                broken[at] = value;
                let Some(sampling) = sampling(&broken) else { continue };
                // Larger sizes are refused before they come here.
                if sampling.size.area() > 1 << 20 {
                    continue;
                }
                let part = Rect { x: 0, y: 0, size: sampling.size };
                for eighths in [1, 4] {
                    let _either = decode(&broken, eighths, part).is_ok();
                }
            }
        }
    }
}

/// The code for newer processors comes to the samples of the portable code.
#[test]
fn kernels_agree() {
    let file = jpeg(150, 110, &PLAIN);
    for eighths in 1..=8 {
        let request = Request::of([eighths; 3], whole(150, 110));
        let mut fast = Reduced::new(&file, &request, &Cancel::default()).expect("a plain file");
        let mut plain = Reduced::new(&file, &request, &Cancel::default()).expect("a plain file");
        while fast.next_band().expect("a whole file") {
            let Source::Sequential(sequential) = &mut plain.source else { panic!("it is sequential") };
            sequential.decode_row(&mut plain.components, &plain.window).expect("a whole file");
            for (fast, plain) in fast.components.iter().zip(&plain.components) {
                assert_eq!(fast.layers[0].samples, plain.layers[0].samples, "{eighths}/8");
            }
        }
    }
}

/// At several scales together each has the samples that it has alone, whatever part the others need.
#[test]
fn scales_share_what_is_read() {
    let size = whole(150, 110);
    let corner = Rect { x: 90, y: 61, size: Size::new(33, 20) };
    for variant in [PLAIN, Variant { restart: Some(3), ..PLAIN }] {
        let file = jpeg(150, 110, &variant);
        let requests = (1..=8_u8).map(|eighths| {
            Request::of([eighths, 9 - eighths, 4.min(eighths)], if eighths % 2 == 0 { size } else { corner })
        });
        let together = requests.clone().reduce(Request::and).expect("eight requests");
        let mut together = Reduced::new(&file, &together, &Cancel::default()).expect("a plain file");
        let mut alone: Vec<Reduced> = requests
            .map(|request| Request { part: size, ..request })
            .map(|request| Reduced::new(&file, &request, &Cancel::default()).expect("a plain file"))
            .collect();
        while together.next_band().expect("a whole file") {
            for (eighths, alone) in (1..=8_u8).zip(&mut alone) {
                assert!(alone.next_band().expect("a whole file"));
                for (index, eighths) in [eighths, 9 - eighths, 4.min(eighths)].into_iter().enumerate() {
                    let (one, all) = (alone.rows(index, eighths), together.rows(index, eighths));
                    assert!(!one.samples.is_empty());
                    assert_eq!((one.samples, one.left, one.top), (all.samples, all.left, all.top), "{eighths}/8");
                }
            }
        }
    }
}
