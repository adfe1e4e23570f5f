//! What a delivery request costs, part by part: parse, resolve, a cache hit, and the most common transforms of a
//! 12-megapixel photograph. `cargo bench --bench delivery`; nothing depends on the times.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use divan::Bencher;
use mogr::cache::Origin;
use mogr::engine::image::{Frame, Header, Layout};
use mogr::engine::light::Light;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::metadata::Metadata;
use mogr::engine::program::Rendering;
use mogr::engine::{decode, encode, resolve, run};
use mogr::geometry::Size;
use mogr::plan::Plan;
use mogr::plan::output::OutputFormat;
use mogr::plan::query::Query;
use mogr::store::guard::AddressGuard;
use mogr::store::objects::Objects;
use mogr::store::{Bucket, Buckets, Remote, Timeouts};
use mogr::transform::{Config, Transformer};

fn main() {
    divan::main();
}

const URLS: [&str; 3] = [
    "imageView2/2/w/320",
    "imageMogr2/auto-orient/thumbnail/!256x256r/gravity/center/crop/!256x256/blur/3x9/quality/80",
    "imageView2/1/w/400/h/300/format/webp|watermark/2/text/5L2g5aW9/font/5a6L5L2T/fontsize/500/fill/d2hpdGU=",
];

/// The most common transforms, on a 12-megapixel JPEG.
const TRANSFORMS: [&str; 5] = [
    "imageView2/2/w/320",
    "imageView2/1/w/200/h/200",
    "imageView2/2/w/1200",
    "imageView2/2/w/800/format/webp",
    "imageView2/2/w/1200|watermark/2/text/bW9ncg==/fontsize/800/fill/d2hpdGU=",
];

/// A 4000×3000 photograph: the landscape of the examples, enlarged, with grain so that its entropy is a camera's.
static PHOTO: LazyLock<Bytes> = LazyLock::new(|| {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos/lake.jpg")).expect("an example");
    let header = decode::probe(&file).expect("an image");
    let frame = decode::still(&file, &header, 8, &Limits::default(), &Cancel::default()).expect("a picture");
    let large = mogr::engine::op::resize::resize(frame, Size::new(4000, 3000), Light::Gamma, &Cancel::default())
        .expect("nobody cancels");
    let mut state = 1_u32;
    let mut grain = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as i16 % 9 - 4
    };
    let pixels = large.pixels().iter().map(|value| (i16::from(*value) + grain()).clamp(0, 255) as u8).collect();
    let frame = Frame::new(Size::new(4000, 3000), Layout::Rgb, pixels).expect("as many pixels as before");
    let settings = encode::Settings {
        format: OutputFormat::Jpeg,
        quality: 90,
        interlace: false,
        colors: None,
        lossless: false,
        effort: encode::Effort::Fast,
        metadata: Metadata::default(),
    };
    encode::still(&frame, &settings).expect("a JPEG").into()
});

fn header() -> Header {
    decode::probe(&PHOTO).expect("an image")
}

fn plan(fops: &str) -> Plan {
    Plan::parse(fops).expect("a pipeline")
}

#[divan::bench(args = URLS)]
fn parse(fops: &str) -> Plan {
    let query = Query::parse(divan::black_box(fops)).expect("a query");
    plan(query.pipeline.as_deref().expect("a pipeline"))
}

#[divan::bench]
fn probe(bencher: Bencher) {
    let photo = PHOTO.clone();
    bencher.bench(|| decode::probe(divan::black_box(&photo)));
}

#[divan::bench(args = TRANSFORMS)]
fn resolve(bencher: Bencher, fops: &str) {
    let (plan, header, limits) = (plan(fops), header(), Limits::default());
    bencher.bench(|| resolve::resolve(divan::black_box(&plan), &header, &[], &limits, Rendering::default()));
}

/// Identify (a stat of the source, a hash) and find the result in memory.
#[divan::bench]
fn cache_hit(bencher: Bencher) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("photo.jpg"), &*PHOTO).expect("a file");
    let transformer = transformer(folder.path());
    let bucket = Arc::clone(transformer.buckets().named("photos").expect("the bucket"));
    let hit = || async {
        let identity = transformer.identify(&bucket, "photo.jpg", plan(URLS[0])).await.expect("an identity");
        transformer.render(&identity).await.expect("a result")
    };
    runtime.block_on(hit());
    bencher.bench_local(|| {
        let (rendered, origin) = runtime.block_on(hit());
        assert_eq!(origin, Origin::Hit);
        rendered
    });
}

fn transformer(folder: &std::path::Path) -> Transformer {
    mogr::app::install_tls();
    let timeouts = Timeouts::default();
    let url = url::Url::from_directory_path(folder).expect("an absolute path");
    let objects = Objects::open_url(&url, &std::collections::BTreeMap::new(), timeouts).expect("a store");
    let mut buckets = Buckets::default();
    buckets.add(Bucket::over_objects("photos", objects, timeouts), &[]);
    Transformer::new(buckets.into(), Remote::new(AddressGuard::default(), timeouts), Config::default())
}

#[divan::bench(args = TRANSFORMS, sample_count = 10)]
fn transform(bencher: Bencher, fops: &str) {
    let (photo, limits) = (PHOTO.clone(), Limits::default());
    let program = resolve::resolve(&plan(fops), &header(), &[], &limits, Rendering::default()).expect("a program");
    bencher.bench(|| run::run(&program, &photo, &[], &limits, &Cancel::default(), &mut |_| {}).expect("a result"));
}
