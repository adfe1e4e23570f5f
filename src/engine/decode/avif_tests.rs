//! AVIF as other programs write it: deep, limited range, codes for colours, turned by boxes, moving.

use libavif_sys as avif;

use super::tests::decode;
use super::*;
use crate::engine::color::to_srgb;
use crate::engine::metadata;
use crate::geometry::Orientation;

/// How a test file differs from what this crate writes.
#[derive(Clone, Copy)]
struct Kind {
    depth: u32,
    format: avif::avifPixelFormat,
    range: avif::avifRange,
    /// Primaries, transfer curve, matrix (H.273).
    codes: [u16; 3],
    /// Quarter turns against the clock; mirror axis.
    turned: (Option<u8>, Option<u8>),
    frames: u32,
}

const PLAIN: Kind = Kind {
    depth: 8,
    format: avif::AVIF_PIXEL_FORMAT_YUV444,
    range: avif::AVIF_RANGE_FULL,
    codes: [1, 13, 6],
    turned: (None, None),
    frames: 1,
};

/// A file of 16 x 8 pixels of one colour.
fn file(kind: Kind, color: [u8; 3]) -> Vec<u8> {
    let pixels = color.repeat(16 * 8);
    // SAFETY: every object is made here, checked, and destroyed once; `pixels` has 8 rows of 48 bytes, only read.
    unsafe {
        let image = avif::avifImageCreate(16, 8, kind.depth, kind.format);
        let encoder = avif::avifEncoderCreate();
        assert!(!image.is_null() && !encoder.is_null());
        let set = &mut *image;
        set.yuvRange = kind.range;
        [set.colorPrimaries, set.transferCharacteristics, set.matrixCoefficients] = kind.codes;
        if let Some(angle) = kind.turned.0 {
            set.transformFlags |= avif::AVIF_TRANSFORM_IROT;
            set.irot.angle = angle;
        }
        if let Some(axis) = kind.turned.1 {
            set.transformFlags |= avif::AVIF_TRANSFORM_IMIR;
            set.imir.axis = axis;
        }
        let mut rgb = avif::avifRGBImage::default();
        avif::avifRGBImageSetDefaults(&raw mut rgb, image);
        rgb.depth = 8;
        rgb.format = avif::AVIF_RGB_FORMAT_RGB;
        rgb.pixels = pixels.as_ptr().cast_mut();
        rgb.rowBytes = 48;
        assert_eq!(avif::avifImageRGBToYUV(image, &raw const rgb), avif::AVIF_RESULT_OK);
        (*encoder).speed = 9;
        (*encoder).quality = 95;
        (*encoder).timescale = 10;
        let flags = if kind.frames == 1 { avif::AVIF_ADD_IMAGE_FLAG_SINGLE } else { avif::AVIF_ADD_IMAGE_FLAG_NONE };
        for _ in 0..kind.frames {
            assert_eq!(avif::avifEncoderAddImage(encoder, image, 1, flags), avif::AVIF_RESULT_OK);
        }
        let mut output = avif::avifRWData::default();
        assert_eq!(avif::avifEncoderFinish(encoder, &raw mut output), avif::AVIF_RESULT_OK);
        let file = std::slice::from_raw_parts(output.data, output.size).to_vec();
        avif::avifRWDataFree(&raw mut output);
        avif::avifEncoderDestroy(encoder);
        avif::avifImageDestroy(image);
        file
    }
}

#[test]
fn depths_ranges_and_matrices_are_read() {
    let limited = avif::AVIF_RANGE_LIMITED;
    for (name, kind) in [
        ("plain", PLAIN),
        ("10 bits", Kind { depth: 10, ..PLAIN }),
        ("12 bits", Kind { depth: 12, ..PLAIN }),
        ("limited", Kind { range: limited, ..PLAIN }),
        ("limited, 10 bits", Kind { range: limited, depth: 10, ..PLAIN }),
        ("BT.709", Kind { codes: [1, 13, 1], ..PLAIN }),
        ("BT.2020", Kind { codes: [1, 13, 9], range: limited, ..PLAIN }),
        ("4:2:2", Kind { format: avif::AVIF_PIXEL_FORMAT_YUV422, ..PLAIN }),
        ("4:2:0", Kind { format: avif::AVIF_PIXEL_FORMAT_YUV420, ..PLAIN }),
        ("RGB", Kind { codes: [1, 13, 0], ..PLAIN }),
        ("a sequence", Kind { frames: 3, ..PLAIN }),
    ] {
        let bytes = file(kind, [200, 100, 50]);
        let header = probe(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((header.size, header.frames, header.has_alpha), (Size::new(16, 8), 1, false), "{name}");
        let [r, g, b, _] = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}")).rgba_at(7, 3);
        let far = [r, g, b].into_iter().zip([200_u8, 100, 50]).any(|(found, meant)| found.abs_diff(meant) > 4);
        assert!(!far, "{name}: {:?}", [r, g, b]);
        for length in [0, 20, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(&bytes[..length]).is_err(), "{name}: {length} of {} bytes", bytes.len());
        }
    }
    let gray = Kind { format: avif::AVIF_PIXEL_FORMAT_YUV400, depth: 10, range: limited, ..PLAIN };
    let frame = decode(&file(gray, [90; 3])).expect("a gray picture");
    assert!(frame.rgba_at(0, 0)[0].abs_diff(90) <= 2, "{:?}", frame.rgba_at(0, 0));
}

#[test]
fn boxes_turn_the_picture() {
    // By composition: a quarter turn against the clock is LeftBottom, then the mirror.
    for (turned, orientation) in [
        ((None, None), None),
        ((Some(1), None), Some(Orientation::LeftBottom)),
        ((Some(2), None), Some(Orientation::BottomRight)),
        ((Some(3), None), Some(Orientation::RightTop)),
        ((None, Some(0)), Some(Orientation::BottomLeft)),
        ((None, Some(1)), Some(Orientation::TopRight)),
        ((Some(1), Some(0)), Some(Orientation::LeftTop)),
        ((Some(3), Some(0)), Some(Orientation::RightBottom)),
        ((Some(2), Some(0)), Some(Orientation::TopRight)),
        ((Some(1), Some(1)), Some(Orientation::RightBottom)),
    ] {
        let header = probe(&file(Kind { turned, ..PLAIN }, [9; 3])).expect("our own file");
        assert_eq!((header.orientation, header.size), (orientation, Size::new(16, 8)), "{turned:?}");
    }
}

#[test]
fn codes_of_colours_become_profiles() {
    // Primaries and curve; whether a profile is needed, and what the colour is in sRGB.
    for (codes, expected) in [
        ([1, 13, 6], None),
        ([1, 1, 6], None),
        ([2, 2, 6], None),
        ([12, 13, 6], Some([215, 93, 31])),
        ([1, 8, 6], Some([229, 169, 122])),
    ] {
        let bytes = file(Kind { codes, ..PLAIN }, [200, 100, 50]);
        let icc = metadata::read(&bytes, &probe(&bytes).expect("our own file")).icc;
        assert_eq!(icc.is_some(), expected.is_some(), "{codes:?}");
        let (Some(icc), Some(expected)) = (icc, expected) else { continue };
        let mut frame = decode(&bytes).expect("our own file");
        to_srgb(&mut frame, &icc, &Cancel::default()).expect("nothing stops it");
        let [r, g, b, _] = frame.rgba_at(7, 3);
        let far = [r, g, b].into_iter().zip(expected).any(|(found, meant): (u8, u8)| found.abs_diff(meant) > 5);
        assert!(!far, "{codes:?}: {:?}", [r, g, b]);
    }
}

#[test]
fn pictures_larger_than_their_boxes_say_are_refused() {
    // The container says 8 x 8, the AV1 data 16 x 8.
    let mut bytes = file(PLAIN, [9; 3]);
    let at = bytes.windows(4).position(|window| window == b"ispe").expect("a size");
    bytes[at + 8..at + 12].copy_from_slice(&[0, 0, 0, 8]);
    assert_eq!(probe(&bytes).expect("a sound container").size, Size::new(8, 8));
    assert!(matches!(decode(&bytes), Err(Error::Broken { format: "avif", .. })));
}
