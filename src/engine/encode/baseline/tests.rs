//! Files are TurboJPEG's, byte for byte.

use proptest::prelude::*;
use turbojpeg_sys as tj;

use super::dct::{Quantiser, Samples};
use super::*;
use crate::engine::decode::turbo::Turbo;
use crate::engine::jpeg_tables::standard;

/// A compressor for baseline files with optimised codes.
fn turbo(subsampling: tj::TJSAMP, quality: u8, heading: &Heading<'_>) -> Turbo {
    let mut turbo = Turbo::compressor().expect("a compressor");
    let mut set = |parameter, value| turbo.set(parameter, value).expect("a parameter");
    set(tj::TJPARAM_TJPARAM_QUALITY, i32::from(quality));
    set(tj::TJPARAM_TJPARAM_SUBSAMP, subsampling);
    set(tj::TJPARAM_TJPARAM_OPTIMIZE, 1);
    if let Some(dpi) = heading.density_dpi {
        set(tj::TJPARAM_TJPARAM_XDENSITY, i32::from(dpi));
        set(tj::TJPARAM_TJPARAM_YDENSITY, i32::from(dpi));
        set(tj::TJPARAM_TJPARAM_DENSITYUNITS, 1);
    }
    if let Some(icc) = heading.icc {
        turbo.set_icc(icc).expect("a profile");
    }
    turbo
}

/// Of a file with the only tables that TurboJPEG can be asked for.
fn heading(quality: u8) -> Heading<'static> {
    Heading { tables: standard(quality), density_dpi: None, icc: None }
}

/// Samples that are smooth, flat or noise, by `kind`.
fn samples(count: usize, kind: u32) -> Vec<u8> {
    let noise = |at: usize| (at as u32 ^ kind).wrapping_mul(2_654_435_761) >> 24;
    let smooth = |at: usize| (at / 7 % 256) as u32 / 2 + noise(at) / 16;
    (0..count)
        .map(|at| match kind % 3 {
            0 => noise(at) as u8,
            1 => smooth(at) as u8,
            _ => 40 + (noise(at / 40) / 128) as u8 * 150,
        })
        .collect()
}

fn own(picture: Picture<'_>, heading: &Heading<'_>) -> Vec<u8> {
    compress(picture, heading, &Cancel::default()).expect("nobody cancels")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn rgb_and_gray((width, height) in (1_usize..70, 1_usize..50), kind in 0_u32..3000, quality in 1_u8..=100) {
        let heading = heading(quality);
        let (columns, rows) = (width as u32, height as u32);
        let pixels = samples(width * height * 3, kind);
        for (coarseness, subsampling) in [(1, tj::TJSAMP_TJSAMP_444), (2, tj::TJSAMP_TJSAMP_420)] {
            let found = own(Picture::Rgb { pixels: Plane { samples: &pixels, width, height }, coarseness }, &heading);
            let expected = turbo(subsampling, quality, &heading).compress(&pixels, columns, rows, tj::TJPF_TJPF_RGB);
            prop_assert!(found == expected.expect("a file"), "{coarseness}");
        }
        let gray = &pixels[..width * height];
        let found = own(Picture::Gray(Plane { samples: gray, width, height }), &heading);
        let expected = turbo(tj::TJSAMP_TJSAMP_GRAY, quality, &heading).compress(gray, columns, rows, tj::TJPF_TJPF_GRAY);
        prop_assert!(found == expected.expect("a file"), "gray");
    }

    /// TurboJPEG wants luma as wide and high as chroma says.
    #[test]
    fn planes((columns, rows) in (1_usize..35, 1_usize..25), kind in 0_u32..3000, quality in 1_u8..=100) {
        let heading = heading(quality);
        for (coarseness, subsampling) in [(1, tj::TJSAMP_TJSAMP_444), (2, tj::TJSAMP_TJSAMP_420)] {
            let (width, height) = (columns * coarseness, rows * coarseness);
            let luma = samples(width * height, kind);
            let chroma = [1, 2].map(|more| samples(columns * rows, kind / 2 + more));
            let expected = turbo(subsampling, quality, &heading)
                .compress_planes([&luma, &chroma[0], &chroma[1]], width as u32, height as u32);
            let chroma = chroma.each_ref().map(|samples| Plane { samples, width: columns, height: rows });
            let found = own(Picture::Planes { luma: Plane { samples: &luma, width, height }, chroma, coarseness }, &heading);
            prop_assert!(found == expected.expect("a file"), "{coarseness}");
        }
    }

    /// The plain kernel, and the one for newer processors where this is one.
    #[test]
    fn kernels_agree(samples in proptest::array::uniform8(proptest::array::uniform8(any::<u8>())), quality in 1_u8..=100) {
        let quantiser = Quantiser::new(&standard(quality)[0]);
        let other: Samples = samples.map(|row| row.map(|sample| if sample < 128 { 0 } else { 255 }));
        let plane = [samples, other].as_flattened().as_flattened().to_vec();
        let mut blocks = [dct::Block::default(); 1];
        for (row, samples) in [samples, other].iter().enumerate() {
            quantiser.row(Plane { samples: &plane, width: 8, height: 16 }, row, &mut blocks);
            let plain = quantiser.transform(samples);
            prop_assert_eq!(blocks[0].values, plain.values);
            prop_assert_eq!(blocks[0].some, plain.some);
        }
    }
}

/// What is not kept from one pass to the next is made anew.
#[test]
fn busy_pictures_take_no_more_memory_and_have_the_same_files() {
    let (width, height) = (203, 301);
    let pixels = samples(width * height * 3, 0);
    let heading = heading(97);
    let plane = Plane { samples: &pixels, width, height };
    for (coarseness, subsampling) in [(1, tj::TJSAMP_TJSAMP_444), (2, tj::TJSAMP_TJSAMP_420)] {
        let picture = Picture::Rgb { pixels: plane, coarseness };
        let (scan, _) = Scan::read(picture, &heading.tables, &Cancel::default()).expect("a scan");
        assert!(scan.is_partly_kept());
        let expected =
            turbo(subsampling, 97, &heading).compress(&pixels, width as u32, height as u32, tj::TJPF_TJPF_RGB);
        assert!(own(picture, &heading) == expected.expect("a file"), "{coarseness}");
    }
}

#[test]
fn density_and_profiles_stand_where_libjpeg_puts_them() {
    let pixels = samples(30 * 20 * 3, 1);
    for length in [1, 65_519, 65_520, 200_000] {
        let icc = samples(length, 0);
        let heading = Heading { tables: standard(80), density_dpi: Some(300), icc: Some(&icc) };
        let found =
            own(Picture::Rgb { pixels: Plane { samples: &pixels, width: 30, height: 20 }, coarseness: 2 }, &heading);
        let expected = turbo(tj::TJSAMP_TJSAMP_420, 80, &heading).compress(&pixels, 30, 20, tj::TJPF_TJPF_RGB);
        assert!(found == expected.expect("a file"), "{length}");
    }
}

#[test]
fn it_stops_when_nobody_waits() {
    let cancel = Cancel::default();
    cancel.cancel();
    let pixels = Plane { samples: &[0; 64], width: 8, height: 8 };
    let heading = heading(80);
    assert_eq!(compress(Picture::Gray(pixels), &heading, &cancel), Err(Error::Cancelled));
}
