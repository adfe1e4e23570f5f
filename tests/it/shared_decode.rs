//! Many outputs of one source at once come to the bytes that each comes to alone.

use bytes::Bytes;
use image::imageops::FilterType;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::program::{Program, Rendering};
use mogr::engine::run::Output;
use mogr::engine::shared::{self, Task};
use mogr::engine::{Error, decode, resolve, run};
use mogr::plan::Plan;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::cards;
use crate::server::{frame, photos};

const PLENTY: u64 = 1 << 30;

fn lake(width: u32, height: u32) -> image::RgbImage {
    let lake = frame(&std::fs::read(photos().join("lake.jpg")).unwrap());
    let size = lake.size();
    let lake = image::RgbImage::from_raw(size.width, size.height, lake.into_pixels()).unwrap();
    image::imageops::resize(&lake, width, height, FilterType::Nearest)
}

/// A file of every kind that is decoded in a way of its own.
fn sources() -> Vec<(&'static str, Bytes)> {
    let example = |name: &str| std::fs::read(photos().join(name)).unwrap();
    let jpeg = cards::jpeg(&lake(601, 403), 90);
    let mut damaged = jpeg.clone();
    let middle = damaged.len() * 2 / 3;
    damaged[middle..middle + 40].fill(0xA5);
    let mut progressive = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut progressive, 85);
    encoder.set_progressive(true);
    encoder.encode(&lake(480, 320), 480, 320, jpeg_encoder::ColorType::Rgb).unwrap();
    [
        ("a turned photograph", cards::oriented(&jpeg, 6)),
        ("a photograph cut short", jpeg[..jpeg.len() / 2].to_vec()),
        ("a damaged photograph", damaged),
        ("a photograph", jpeg),
        ("a progressive file", progressive),
        ("a file with a profile", example("flower-p3.jpg")),
        ("inks", example("fruit-cmyk.jpg")),
        ("transparent", example("logo.png")),
        ("a palette", example("palette.png")),
        ("16 bits", example("gradient-16.png")),
        ("a GIF", cards::animation(60, 40, 4, mogr::plan::output::OutputFormat::Gif)),
        ("a WebP", cards::moving_webp(60, 40)),
        ("no picture", b"nothing".to_vec()),
    ]
    .map(|(name, file)| (name, file.into()))
    .into()
}

/// Pipelines that begin alike now and then.
fn pipelines() -> impl Strategy<Value = String> {
    const MARK: &str = "watermark/2/text/5L2g5aW9/fontsize/300/dissolve/60";
    const LOGO: &str = "watermark/1/image/aHR0cDovL2V4YW1wbGUuY29tL2xvZ28ucG5n/gravity/NorthWest/ws/0.3";
    let first = prop_oneof![
        3 => (8..400_u32).prop_map(|width| format!("imageView2/2/w/{width}")),
        2 => prop::sample::select(vec!["imageView2/2/w/200", "imageView2/1/w/120/h/90", "imageMogr2/auto-orient"])
            .prop_map(str::to_owned),
        1 => (5..90_u32, 0..60_u32).prop_map(|(edge, at)| format!("imageMogr2/crop/!{edge}x{edge}a{at}a{at}/thumbnail/40x")),
        1 => prop::sample::select(vec!["imageInfo", "imageAve", "exif", "imageslim"]).prop_map(str::to_owned),
    ];
    let more = prop::sample::select(vec![
        "imageMogr2/blur/3x2",
        "imageMogr2/rotate/90",
        "imageMogr2/rotate/20",
        "imageMogr2/crop/!30x30a5a5",
        "roundPic/radius/!20p",
        MARK,
        LOGO,
        "imageMogr2/strip",
    ]);
    let output = prop::sample::select(vec![
        "",
        "",
        "",
        "|imageMogr2/format/png",
        "|imageMogr2/format/jpg/quality/96!",
        "|imageMogr2/format/webp",
        "|imageMogr2/format/gif",
        "|imageInfo",
        "|imageMogr2/size-limit/2k",
    ]);
    (first, prop::collection::vec(more, 0..3), output).prop_map(|(first, more, output)| {
        let is_told = ["imageInfo", "imageAve", "exif"].contains(&first.as_str());
        if is_told { first } else { format!("{}{output}", [vec![first.as_str()], more].concat().join("|")) }
    })
}

fn program(fops: &str, source: &Bytes, logo: &Bytes) -> Option<(Program, Vec<Bytes>)> {
    let plan = Plan::parse(fops).unwrap_or_else(|error| panic!("{fops}: {error}"));
    let pictures: Vec<Bytes> = plan.images().map(|_| logo.clone()).collect();
    let headers: Vec<_> = pictures.iter().map(|logo| decode::probe(logo).unwrap()).collect();
    let header = decode::probe(source).ok()?;
    let program = resolve::resolve(&plan, &header, &headers, &Limits::default(), Rendering::default()).ok()?;
    Some((program, pictures))
}

fn alone(task: Task<'_>, source: &Bytes) -> Result<Output, Error> {
    run::run(task.program, source, task.pictures, &Limits::default(), &Cancel::default(), &mut |_| {})
}

fn together(tasks: &[Task<'_>], source: &Bytes, memory_bytes: u64, cancel: &Cancel) -> Vec<Result<Output, Error>> {
    let mut outputs = vec![None; tasks.len()];
    shared::run_all(tasks, source, &Limits::default(), memory_bytes, cancel, &mut |index, output| {
        assert!(outputs[index].replace(output).is_none(), "an output comes once");
    });
    outputs.into_iter().map(|output| output.expect("an output")).collect()
}

#[test]
fn outputs_are_those_of_single_runs() {
    let mut runner = TestRunner::deterministic();
    let logo = Bytes::from(std::fs::read(photos().join("badge.webp")).unwrap());
    for (name, source) in sources() {
        for memory_bytes in [PLENTY, 3 << 20] {
            let texts = prop::collection::vec(pipelines(), 1..9).new_tree(&mut runner).unwrap().current();
            let made: Vec<_> = texts.iter().filter_map(|fops| Some((fops, program(fops, &source, &logo)?))).collect();
            let tasks: Vec<Task<'_>> = made.iter().map(|(_, (program, pictures))| Task { program, pictures }).collect();
            let outputs = together(&tasks, &source, memory_bytes, &Cancel::default());
            for ((output, task), (fops, _)) in outputs.into_iter().zip(&tasks).zip(&made) {
                // No assert_eq: nobody reads the bytes of pictures.
                let expected = alone(*task, &source);
                let lengths = (output.as_ref().map(|it| it.body.len()), expected.as_ref().map(|it| it.body.len()));
                assert!(output == expected, "{name}: {fops} of {texts:?}: {lengths:?}");
            }
        }
    }
}

#[test]
fn a_flag_stops_all() {
    let source = Bytes::from(cards::jpeg(&lake(300, 200), 90));
    let made: Vec<_> = ["imageView2/2/w/100", "imageView2/2/w/50", "imageMogr2/rotate/20"]
        .map(|fops| program(fops, &source, &Bytes::new()).unwrap())
        .into();
    let tasks: Vec<Task<'_>> = made.iter().map(|(program, pictures)| Task { program, pictures }).collect();
    let cancel = Cancel::default();
    cancel.cancel();
    for output in together(&tasks, &source, PLENTY, &cancel) {
        assert_eq!(output.map(drop), Err(Error::Cancelled));
    }
}
