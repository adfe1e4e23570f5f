//! Colours survive: patches in the spaces that cameras and telephones write, once with the profile kept and once converted
//! to sRGB, measured as they look (CIEDE2000).
//!
//! Colours are worked out here from the spaces' published primaries, not by the library that the server converts with.

use bytes::Bytes;
use jpeg_encoder::{ColorType, Encoder};
use mogr::engine::image::{Frame, Layout};
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::metadata::{self, Metadata};
use mogr::engine::program::Rendering;
use mogr::engine::{decode, encode, resolve, run};
use mogr::geometry::Size;
use mogr::plan::Plan;
use mogr::plan::output::OutputFormat;
use moxcms::ColorProfile;

use crate::delta_e::{Lab, ciede2000, lab};
use crate::server::frame;

/// The 24 colours of a ColorChecker in sRGB; all of them are in the other spaces, too.
const PATCHES: [[u8; 3]; 24] = [
    [115, 82, 68],
    [194, 150, 130],
    [98, 122, 157],
    [87, 108, 67],
    [133, 128, 177],
    [103, 189, 170],
    [214, 126, 44],
    [80, 91, 166],
    [193, 90, 99],
    [94, 60, 108],
    [157, 188, 64],
    [224, 163, 46],
    [56, 61, 150],
    [70, 148, 73],
    [175, 54, 60],
    [231, 199, 31],
    [187, 86, 149],
    [8, 133, 161],
    [243, 243, 242],
    [200, 200, 200],
    [160, 160, 160],
    [122, 122, 121],
    [85, 85, 85],
    [52, 52, 52],
];

/// Edge of a patch: two of JPEG's units, and one once the picture is half as large.
const PATCH: u32 = 32;
const COLUMNS: u32 = 6;
const ROWS: u32 = 4;

const D65: [f64; 3] = [0.950_47, 1.0, 1.088_83];

/// How a space's numbers (0–1) become light.
#[derive(Clone, Copy)]
enum Curve {
    Srgb,
    Power(f64),
}

/// A colour space: its numbers are light by `curve`, and light is CIE XYZ by `matrix`, with white at D65.
struct Space {
    name: &'static str,
    matrix: [[f64; 3]; 3],
    curve: Curve,
    profile: fn() -> ColorProfile,
}

/// IEC 61966-2-1.
const SRGB: Space = Space {
    name: "sRGB",
    matrix: [
        [0.412_456_4, 0.357_576_1, 0.180_437_5],
        [0.212_672_9, 0.715_152_2, 0.072_175_0],
        [0.019_333_9, 0.119_192_0, 0.950_304_1],
    ],
    curve: Curve::Srgb,
    profile: ColorProfile::new_srgb,
};

/// The primaries of SMPTE RP 431-2 with the white and the curve of sRGB.
const DISPLAY_P3: Space = Space {
    name: "Display P3",
    matrix: [
        [0.486_570_9, 0.265_667_7, 0.198_217_3],
        [0.228_974_6, 0.691_738_5, 0.079_286_9],
        [0.0, 0.045_113_4, 1.043_944_4],
    ],
    curve: Curve::Srgb,
    profile: ColorProfile::new_display_p3,
};

/// Adobe RGB (1998) Color Image Encoding, 4.3.
const ADOBE_RGB: Space = Space {
    name: "Adobe RGB",
    matrix: [
        [0.576_730_9, 0.185_554_0, 0.188_185_2],
        [0.297_376_9, 0.627_349_1, 0.075_274_1],
        [0.027_034_3, 0.070_687_2, 0.991_108_5],
    ],
    curve: Curve::Power(563.0 / 256.0),
    profile: ColorProfile::new_adobe_rgb,
};

const SPACES: [Space; 3] = [SRGB, DISPLAY_P3, ADOBE_RGB];

impl Curve {
    fn to_light(self, value: f64) -> f64 {
        match self {
            Self::Srgb if value <= 0.04045 => value / 12.92,
            Self::Srgb => ((value + 0.055) / 1.055).powf(2.4),
            Self::Power(power) => value.powf(power),
        }
    }

    fn to_number(self, light: f64) -> f64 {
        match self {
            Self::Srgb if light <= 0.003_130_8 => light * 12.92,
            Self::Srgb => 1.055 * light.powf(1.0 / 2.4) - 0.055,
            Self::Power(power) => light.powf(1.0 / power),
        }
    }
}

impl Space {
    /// CIE XYZ of stored numbers.
    fn xyz(&self, numbers: [f64; 3]) -> [f64; 3] {
        times(self.matrix, numbers.map(|number| self.curve.to_light(number / 255.0)))
    }

    fn lab(&self, numbers: [f64; 3]) -> Lab {
        lab(self.xyz(numbers), D65)
    }

    /// The stored numbers of a colour, rounded.
    fn numbers(&self, xyz: [f64; 3]) -> [u8; 3] {
        let light = times(inverse(self.matrix), xyz);
        light.map(|light| {
            assert!((-0.002..1.002).contains(&light), "the colour is not in {}", self.name);
            (self.curve.to_number(light.clamp(0.0, 1.0)) * 255.0).round() as u8
        })
    }

    /// The patches as a picture in this space.
    fn card(&self) -> Frame {
        let size = Size::new(COLUMNS * PATCH, ROWS * PATCH);
        let colors = PATCHES.map(|color| self.numbers(SRGB.xyz(color.map(f64::from))));
        let at = |x: u32, y: u32| colors[(y / PATCH * COLUMNS + x / PATCH) as usize];
        let pixels = (0..size.height).flat_map(|y| (0..size.width).flat_map(move |x| at(x, y))).collect();
        Frame::new(size, Layout::Rgb, pixels).unwrap()
    }

    fn icc(&self) -> Vec<u8> {
        (self.profile)().encode().unwrap()
    }
}

fn times(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(one, other)| one * other).sum())
}

/// By cofactors.
fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let cofactor = |row: usize, column: usize| {
        let at = |down: usize, right: usize| m[(row + down) % 3][(column + right) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let determinant: f64 = (0..3).map(|column| m[0][column] * cofactor(0, column)).sum();
    std::array::from_fn(|row| std::array::from_fn(|column| cofactor(column, row) / determinant))
}

/// The mean of a patch's middle, each edge a quarter of its own.
fn patch(picture: &Frame, index: u32) -> [f64; 3] {
    let edge = picture.size().width / COLUMNS;
    let (left, top) = (index % COLUMNS * edge + edge * 3 / 8, index / COLUMNS * edge + edge * 3 / 8);
    let mut sums = [0.0; 3];
    let width = edge / 4;
    for at in 0..width * width {
        let pixel = picture.rgba_at(left + at % width, top + at / width);
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += f64::from(value) / f64::from(width * width);
        }
    }
    sums
}

/// Mean and largest difference of the patches in `picture`, a picture in `space`, to those in `card`, one in `card_space`.
fn difference((picture, space): (&Frame, &Space), (card, card_space): (&Frame, &Space)) -> (f64, f64) {
    let differences: Vec<f64> = (0..COLUMNS * ROWS)
        .map(|index| ciede2000(space.lab(patch(picture, index)), card_space.lab(patch(card, index))))
        .collect();
    (differences.iter().sum::<f64>() / differences.len() as f64, differences.iter().copied().fold(0.0, f64::max))
}

/// The file formats with a profile, without loss where they can.
const FORMATS: [OutputFormat; 4] = [OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::Webp, OutputFormat::Tiff];

fn stored(card: &Frame, icc: &[u8], format: OutputFormat) -> Bytes {
    let settings = encode::Settings {
        format,
        quality: 100,
        interlace: false,
        colors: None,
        lossless: true,
        effort: encode::Effort::Fast,
        metadata: Metadata { icc: Some(icc.to_vec()), ..Metadata::default() },
        cancel: Cancel::default(),
    };
    encode::still(card, &settings).unwrap().into()
}

/// A picture and its profile.
fn answer(source: &Bytes, fops: &str) -> (Frame, Option<Vec<u8>>) {
    let limits = Limits::default();
    let header = decode::probe(source).unwrap();
    let plan = Plan::parse(fops).unwrap();
    let program = resolve::resolve(&plan, &header, &[], &limits, Rendering::default()).unwrap();
    let output = run::run(&program, source, &[], &limits, &Cancel::default(), &mut |_| {}).unwrap();
    let header = decode::probe(&output.body).unwrap();
    (frame(&output.body), metadata::read(&output.body, &header).icc)
}

/// Runs `check` with a pipeline and its source for every space, stored in every format and asked for in every format, as it
/// is and half as large.
fn for_all_ways(mut check: impl FnMut(&str, &Way)) {
    for space in SPACES {
        let (card, icc) = (space.card(), space.icc());
        for source in FORMATS {
            let file = stored(&card, &icc, source);
            for result in FORMATS {
                let quality =
                    if matches!(result, OutputFormat::Jpeg | OutputFormat::Webp) { "/quality/100!" } else { "" };
                let is_lossless = source != OutputFormat::Jpeg && quality.is_empty();
                for thumbnail in ["", "/thumbnail/!50p"] {
                    let fops = format!("imageMogr2{thumbnail}/format/{}{quality}", result.name());
                    check(&fops, &Way { space: &space, card: &card, icc: &icc, source, file: &file, is_lossless });
                }
            }
        }
    }
}

/// A card, how it is stored, and whether nothing is lost on the way to the answer.
struct Way<'a> {
    space: &'a Space,
    card: &'a Frame,
    icc: &'a [u8],
    source: OutputFormat,
    file: &'a Bytes,
    is_lossless: bool,
}

impl Way<'_> {
    /// Holds `picture`, in `space`, against the card.
    fn check(&self, fops: &str, picture: &Frame, space: &Space, limits: Limit) {
        let (mean, max) = difference((picture, space), (self.card, self.space));
        let what = format!("{} in {:?}: {fops}", self.space.name, self.source);
        assert!(mean <= limits.mean && max <= limits.max, "{what}: ΔE2000 {mean:.3} in the mean, {max:.3} at most");
    }
}

/// Of differences in CIEDE2000.
#[derive(Clone, Copy)]
struct Limit {
    mean: f64,
    max: f64,
}

/// Eight bits of Y, Cb and Cr move a dark gray by two, without anything being wrong.
const LOSSY: Limit = Limit { mean: 1.0, max: 2.5 };

#[test]
fn kept_profiles_still_say_what_was_meant() {
    for_all_ways(|fops, way| {
        let (picture, icc) = answer(way.file, fops);
        assert_eq!(icc.as_deref(), Some(way.icc), "{} in {:?}: {fops}", way.space.name, way.source);
        let limit = if way.is_lossless { Limit { mean: 0.0, max: 0.0 } } else { LOSSY };
        way.check(fops, &picture, way.space, limit);
    });
}

#[test]
fn stripped_profiles_leave_the_same_colours() {
    for_all_ways(|fops, way| {
        let (picture, icc) = answer(way.file, &format!("{fops}/strip"));
        assert_eq!(icc, None, "{} in {:?}: {fops}", way.space.name, way.source);
        // The conversion itself is off by less than one of 255.
        let limit = if way.is_lossless { Limit { mean: 0.35, max: 1.0 } } else { LOSSY };
        way.check(fops, &picture, &SRGB, limit);
    });
}

/// A file without a profile: half of black ink, and the inks that make up a gray without it, in plain inks, of which
/// `(255 − C)(255 − K) / 255` is left of red; YCCK is the same inks with three of them as luma and differences.
#[test]
fn gray_ink_stays_gray() {
    for (ink, gray) in [([0, 0, 0, 127], 128.0), ([127, 127, 127, 0], 128.0), ([64, 64, 64, 100], 116.1)] {
        for kind in [ColorType::Cmyk, ColorType::CmykAsYcck] {
            let mut file = Vec::new();
            Encoder::new(&mut file, 95).encode(&ink.repeat(64 * 64), 64, 64, kind).unwrap();
            let (picture, _) = answer(&file.into(), "imageMogr2/thumbnail/32x/format/png");
            let [r, g, b, _] = picture.rgba_at(16, 16);
            let off = ciede2000(SRGB.lab([r, g, b].map(f64::from)), SRGB.lab([gray; 3]));
            assert!(off <= 5.0, "{ink:?} as {kind:?} became {:?}, ΔE2000 {off:.2}", [r, g, b]);
        }
    }
}
