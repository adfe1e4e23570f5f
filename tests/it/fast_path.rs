//! Pictures that are decoded in part and scaled as planes come close to those that are decoded whole and scaled by the
//! definition: random files, thumbnails and cuts, in every light, at every speed.

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use mogr::engine::image::{Frame, Layout};
use mogr::engine::light::Light;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::op::{crop, rotate};
use mogr::engine::program::{Program, Rendering, Speed, Step};
use mogr::engine::{decode, resolve, run};
use mogr::geometry::{Rect, Size};
use mogr::plan::Plan;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::reference;
use crate::server::{frame, photos};

/// A JPEG: a part of the landscape.
#[derive(Clone, Debug)]
struct Source {
    size: (u16, u16),
    offset: (u32, u32),
    sampling: SamplingFactor,
    gray: bool,
    progressive: bool,
    restart: Option<u16>,
}

/// What is asked of it.
#[derive(Clone, Debug)]
struct Request {
    fops: String,
    quarter_turns: u8,
    output: Output,
}

/// How the answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Png,
    /// JPEG of quality 100, which keeps the planes as they are.
    FineJpeg,
    /// JPEG of quality 94, with chroma at half of luma's resolution.
    CoarseJpeg,
}

static LAKE: LazyLock<Frame> = LazyLock::new(|| frame(&std::fs::read(photos().join("lake.jpg")).unwrap()));

fn sources() -> impl Strategy<Value = Source> {
    let sampling = prop_oneof![
        Just(SamplingFactor::F_1_1),
        Just(SamplingFactor::F_2_1),
        Just(SamplingFactor::F_2_2),
        Just(SamplingFactor::F_1_2),
        Just(SamplingFactor::F_4_1),
    ];
    let size = (16..480_u16, 16..360_u16);
    let offset = (0..2400_u32 - 480, 0..1600_u32 - 360);
    let kinds = (prop::bool::weighted(0.15), prop::bool::weighted(0.2), prop::option::weighted(0.3, 1..40_u16));
    (size, offset, sampling, kinds).prop_map(|(size, offset, sampling, (gray, progressive, restart))| Source {
        size,
        offset,
        sampling,
        gray,
        progressive,
        restart,
    })
}

impl Source {
    fn file(&self) -> Bytes {
        let (width, height) = self.size;
        let size = Size::new(width.into(), height.into());
        let layout = if self.gray { Layout::Gray } else { Layout::Rgb };
        let part = crop::crop(LAKE.clone(), Rect { x: self.offset.0, y: self.offset.1, size }).into_layout(layout);
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 92);
        encoder.set_sampling_factor(self.sampling);
        encoder.set_progressive(self.progressive);
        if let Some(interval) = self.restart {
            encoder.set_restart_interval(interval);
        }
        let color = if self.gray { ColorType::Luma } else { ColorType::Rgb };
        encoder.encode(part.pixels(), width, height, color).unwrap();
        file.into()
    }
}

/// Thumbnails and cuts of a picture of `size`, with at most one change of scale.
fn requests(size: (u16, u16)) -> impl Strategy<Value = Request> {
    let (width, height) = (u32::from(size.0), u32::from(size.1));
    // Small results more often: of those, less is decoded.
    let edge = |most: u32| prop_oneof![1..=most, 1..=most.div_ceil(8)];
    let edges = move || (edge(width), edge(height));
    let part = || edges().prop_flat_map(move |(w, h)| (Just((w, h)), 0..=width - w, 0..=height - h));
    let fops = prop_oneof![
        (0..=5_u8, edges()).prop_map(|(mode, (w, h))| format!("imageView2/{mode}/w/{w}/h/{h}")),
        edge(width).prop_map(|w| format!("imageMogr2/thumbnail/{w}x")),
        edges().prop_map(|(w, h)| format!("imageMogr2/thumbnail/{w}x{h}!")),
        edge(130).prop_map(|percent| format!("imageMogr2/thumbnail/!{percent}p")),
        part().prop_map(|((w, h), x, y)| format!("imageMogr2/crop/!{w}x{h}a{x}a{y}")),
        (part(), edge(100)).prop_map(|(((w, h), x, y), percent)| {
            format!("imageMogr2/crop/!{w}x{h}a{x}a{y}/thumbnail/!{percent}p")
        }),
        (edges(), edges()).prop_map(|((w, h), (cut_w, cut_h))| {
            format!("imageMogr2/thumbnail/!{w}x{h}r/gravity/Center/crop/{cut_w}x{cut_h}")
        }),
    ];
    let output = prop_oneof![Just(Output::Png), Just(Output::FineJpeg), Just(Output::CoarseJpeg)];
    (fops, 0..4_u8, output).prop_map(|(fops, quarter_turns, output)| Request { fops, quarter_turns, output })
}

impl Request {
    fn program(&self, source: &Bytes, rendering: Rendering) -> Program {
        let turn = if self.quarter_turns == 0 { String::new() } else { format!("/rotate/{}", self.degrees()) };
        let output = match self.output {
            Output::Png => "/format/png",
            Output::FineJpeg => "/format/jpg/quality/100!",
            Output::CoarseJpeg => "/format/jpg/quality/94!",
        };
        let plan = Plan::parse(&format!("{}|imageMogr2{turn}{output}", self.fops)).unwrap();
        let header = decode::probe(source).unwrap();
        resolve::resolve(&plan, &header, &[], &Limits::default(), rendering).unwrap()
    }

    fn degrees(&self) -> u32 {
        u32::from(self.quarter_turns) * 90
    }

    /// The answer, turned back.
    fn answer(&self, source: &Bytes, program: &Program) -> Frame {
        let limits = Limits::default();
        let output = run::run(program, source, &[], &limits, &Cancel::default(), &mut |_| {}).unwrap();
        rotate::quarter_turns(frame(&output.body), 4 - self.quarter_turns)
    }
}

/// Y, Cb and Cr by JFIF's formulas.
fn planes(picture: &Frame) -> Vec<Frame> {
    if picture.layout() == Layout::Gray {
        return vec![picture.clone()];
    }
    let plane = |[r, g, b]: [f64; 3], middle: f64| {
        let sum = |pixel: &[u8]| r * f64::from(pixel[0]) + g * f64::from(pixel[1]) + b * f64::from(pixel[2]) + middle;
        let pixels = picture.pixels().chunks_exact(3).map(|pixel| sum(pixel).round().clamp(0.0, 255.0) as u8);
        Frame::new(picture.size(), Layout::Gray, pixels.collect()).unwrap()
    };
    vec![
        plane([0.299, 0.587, 0.114], 0.0),
        plane([-0.168_736, -0.331_264, 0.5], 128.0),
        plane([0.5, -0.418_688, -0.081_312], 128.0),
    ]
}

/// One plane after the cuts and the one resize of `steps`, by the definition.
fn by_definition(plane: &Frame, steps: &[Step], light: Light) -> Vec<f64> {
    let mut part = reference::whole(plane);
    let mut scaled: Option<(Vec<f64>, Size)> = None;
    for step in steps {
        match (step.clone(), &mut scaled) {
            (Step::Crop(rect), None) => part = Rect { x: part.x + rect.x, y: part.y + rect.y, size: rect.size },
            (Step::Crop(rect), Some((values, size))) => (*values, *size) = (cut(values, *size, rect), rect.size),
            (Step::Resize(size), None) => {
                // What grows is scaled in its stored numbers, which is documented behaviour.
                let light = if size.exceeds(part.size) { Light::Gamma } else { light };
                scaled = Some((reference::scaled(plane, part, size, light), size));
            }
            (Step::Rotate { angle, .. }, _) => assert!(angle.quarter_turns().is_some()),
            (step, _) => panic!("{step:?} is not asked for"),
        }
    }
    scaled.map_or_else(|| reference::scaled(plane, part, part.size, light), |(values, _)| values)
}

fn cut(values: &[f64], size: Size, rect: Rect) -> Vec<f64> {
    let rows = values.chunks_exact(size.width as usize).skip(rect.y as usize).take(rect.size.height as usize);
    rows.flat_map(|row| &row[rect.x as usize..(rect.x + rect.size.width) as usize]).copied().collect()
}

/// Differences of samples.
#[derive(Clone, Copy, Default)]
struct Distance {
    mean: f64,
    max: f64,
}

impl Distance {
    fn between(is: &Frame, should: &[f64]) -> Self {
        assert_eq!(is.pixels().len(), should.len());
        let differences = is.pixels().iter().zip(should).map(|(is, should)| (f64::from(*is) - should).abs());
        let (sum, max) = differences.fold((0.0, 0.0_f64), |(sum, max), next| (sum + next, max.max(next)));
        Self { mean: sum / should.len() as f64, max }
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.2} in the mean, {:.1} at most", self.mean, self.max)
    }
}

/// How a picture was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As planes, in part.
    Planes(Speed),
    /// Whole, or at 1/8, 1/4 or 1/2, by the general decoder: files of many scans, and pictures that grow.
    General,
}

/// The bounds on one plane of one picture, found by trial with 850 random requests and widened by a tenth: differences are
/// largest in results of some ten pixels, and at edges that a coarser grid rings at. Where everything is decoded only rounding
/// and the two ways to upsample chroma are left.
const fn bound(way: Way, is_luma: bool, output: Output) -> Distance {
    let (mean, max) = match (way, is_luma) {
        (Way::Planes(Speed::Best), true) => (0.5, 8.0),
        (Way::Planes(Speed::Balanced), true) => (2.6, 21.0),
        (Way::Planes(Speed::Fast), true) => (2.6, 35.0),
        (Way::Planes(_), false) => (1.1, 11.0),
        (Way::General, true) => (3.3, 36.0),
        (Way::General, false) => (1.7, 16.0),
    };
    match output {
        Output::Png | Output::FineJpeg => Distance { mean, max },
        // The encoder rounds coefficients to multiples of 1 to 12, and chroma is a mean of four.
        Output::CoarseJpeg if is_luma => Distance { mean: mean + 2.2, max: max + 10.0 },
        Output::CoarseJpeg => Distance { mean: mean + 4.2, max: max + 10.0 },
    }
}

const SPEEDS: [Speed; 3] = [Speed::Best, Speed::Balanced, Speed::Fast];
const LIGHTS: [Light; 3] = [Light::Gamma, Light::Mixed, Light::Linear];
const CASES: usize = 60;

/// One request at one speed: how it was decoded, and how far its planes are from those of the file, scaled by the definition.
fn measured(file: &Bytes, decoded: &[Frame], request: &Request, rendering: Rendering) -> (Way, Vec<Distance>) {
    let program = request.program(file, rendering);
    let way = if program.planes.is_some() { Way::Planes(rendering.speed) } else { Way::General };
    let answer = planes(&request.answer(file, &program));
    assert_eq!(answer.len(), decoded.len(), "{request:?}");
    let distance = |index: usize| {
        // Chroma is no light.
        let light = if index == 0 { rendering.light } else { Light::Gamma };
        Distance::between(&answer[index], &by_definition(&decoded[index], &program.steps, light))
    };
    (way, (0..answer.len()).map(distance).collect())
}

#[track_caller]
fn check(is: &Distance, bound: Distance, what: &str) {
    assert!(is.mean <= bound.mean && is.max <= bound.max, "{what}: {is}, where {bound} are allowed");
}

#[test]
fn what_is_decoded_in_part_is_close_to_the_definition() {
    let mut runner = TestRunner::deterministic();
    // Mean differences of luma at each speed, of the requests that are decoded in part at all of them.
    let mut comparable: Vec<[f64; 3]> = Vec::new();
    for light in LIGHTS.into_iter().cycle().take(CASES) {
        let source = sources().new_tree(&mut runner).unwrap().current();
        let request = requests(source.size).new_tree(&mut runner).unwrap().current();
        let file = source.file();
        let decoded = planes(&frame(&file));
        let all =
            SPEEDS.map(|speed| measured(&file, &decoded, &request, Rendering { light, speed, ..Rendering::default() }));
        for ((way, distances), speed) in all.iter().zip(SPEEDS) {
            for (index, is) in distances.iter().enumerate() {
                let what = format!("plane {index}, {light:?}, {speed:?}, {source:?}, {request:?}");
                check(is, bound(*way, index == 0, request.output), &what);
            }
        }
        if all.iter().all(|(way, _)| *way != Way::General) && request.output != Output::CoarseJpeg {
            comparable.push(all.map(|(_, distances)| distances[0].mean));
        }
    }
    assert!(comparable.len() >= CASES / 4, "{} of {CASES} were decoded in part", comparable.len());
    let [best, balanced, fast] = [0, 1, 2]
        .map(|speed| comparable.iter().map(|distances| distances[speed]).sum::<f64>() / comparable.len() as f64);
    // Rounding alone is 0.25.
    assert!(best <= balanced && balanced <= fast, "{best:.3}, {balanced:.3}, {fast:.3}");
    assert!(best <= 0.28 && balanced <= 0.38 && fast <= 0.45, "{best:.3}, {balanced:.3}, {fast:.3}");
}

/// One scan of minimum coded units that are four blocks wide, which the encoder above does not write: a cut of `lake.jpg`
/// (235 × 171 pixels from 1500, 1100) by TurboJPEG at 4:1:1 and quality 92.
#[test]
fn four_blocks_side_by_side_are_decoded_in_part() {
    let file = Bytes::from_static(include_bytes!("files/411.jpg"));
    let decoded = planes(&frame(&file));
    for fops in ["imageView2/2/w/24", "imageMogr2/thumbnail/!40p", "imageMogr2/crop/!101x77a33a51/thumbnail/60x"] {
        for (light, quarter_turns) in LIGHTS.into_iter().zip([0, 1, 2]) {
            let request = Request { fops: fops.to_owned(), quarter_turns, output: Output::Png };
            for speed in SPEEDS {
                let (way, distances) =
                    measured(&file, &decoded, &request, Rendering { light, speed, ..Rendering::default() });
                assert_eq!(way, Way::Planes(speed), "{fops}");
                for (index, is) in distances.iter().enumerate() {
                    check(
                        is,
                        bound(way, index == 0, request.output),
                        &format!("plane {index}, {light:?}, {request:?}"),
                    );
                }
            }
        }
    }
}
