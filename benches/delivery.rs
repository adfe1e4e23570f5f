//! What a delivery request costs, part by part: parse, resolve, a cache hit, and every job of the table in
//! `docs/performance.md`. `cargo bench --bench delivery`; nothing depends on the times.

use std::sync::{Arc, LazyLock, mpsc};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use divan::Bencher;
use mogr::cache::Origin;
use mogr::engine::image::Header;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::program::{Program, Rendering};
use mogr::engine::run::Stage;
use mogr::engine::shared::{self, Task};
use mogr::engine::{Error, decode, encode, resolve, run};
use mogr::plan::Plan;
use mogr::plan::output::OutputFormat;
use mogr::plan::query::Query;
use mogr::store::guard::AddressGuard;
use mogr::store::objects::Objects;
use mogr::store::{Bucket, Buckets, Remote, Timeouts};
use mogr::transform::{Config, Transformer};
use mogr::workers::Lane;

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/cards.rs"]
mod cards;
mod sources;

use sources::{example, faded, file, photograph, settings};

fn main() {
    divan::main();
}

const URLS: [&str; 3] = [
    "imageView2/2/w/320",
    "imageMogr2/auto-orient/thumbnail/!256x256r/gravity/center/crop/!256x256/blur/3x9/quality/80",
    "imageView2/1/w/400/h/300/format/webp|watermark/2/text/5L2g5aW9/font/5a6L5L2T/fontsize/500/fill/d2hpdGU=",
];

/// A source, a pipeline, and the pictures that the pipeline paints.
struct Job {
    name: &'static str,
    source: &'static LazyLock<Bytes>,
    fops: &'static str,
    pictures: &'static [&'static LazyLock<Bytes>],
}

impl std::fmt::Display for Job {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

const fn job(name: &'static str, source: &'static LazyLock<Bytes>, fops: &'static str) -> Job {
    Job { name, source, fops, pictures: &[] }
}

/// The jobs of the table, in its order and with its requests; then two that resolve otherwise.
static JOBS: &[Job] = &[
    job("24mp-320", &LARGE, "imageMogr2/thumbnail/320x213!/format/jpg/quality/80!/strip"),
    job("12mp-1200", &PHOTO, "imageMogr2/thumbnail/1200x900!/format/jpg/quality/80!/strip"),
    job("2mp-600", &SMALL, "imageMogr2/thumbnail/600x450!/format/jpg/quality/80!/strip"),
    job("progressive-320", &PROGRESSIVE, "imageMogr2/thumbnail/320x240!/format/jpg/quality/80!/strip"),
    job("12mp-webp", &PHOTO, "imageMogr2/thumbnail/800x600!/format/webp/quality/80!/strip"),
    job("rgba-png", &FADED, "imageMogr2/thumbnail/800x600!/format/png/strip"),
    job("rgba-webp", &FADED, "imageMogr2/thumbnail/800x600!/format/webp/quality/80!/strip"),
    job("crop", &PHOTO, "imageMogr2/crop/!1000x1000a1200a800/thumbnail/500x500!/format/jpg/quality/80!/strip"),
    job(
        "crop-rotate",
        &PHOTO,
        "imageMogr2/crop/!1000x1000a1200a800/rotate/90/thumbnail/500x500!/format/jpg/quality/80!/strip",
    ),
    job("rotate", &PHOTO, "imageMogr2/rotate/90/thumbnail/900x1200!/format/jpg/quality/80!/strip"),
    job("orient", &TURNED, "imageMogr2/auto-orient/thumbnail/900x1200!/format/jpg/quality/80!/strip"),
    Job {
        name: "watermark",
        source: &PHOTO,
        fops: concat!(
            "imageMogr2/thumbnail/1200x900!/format/jpg/quality/80!/strip",
            "|watermark/3/image/aHR0cDovL2V4YW1wbGUuY29tL2xvZ28ucG5n/gravity/NorthWest/dx/0/dy/0",
            "/text/RXhhbXBsZSB3YXRlcm1hcmsgMjAyNg==/gravity/SouthEast/fontsize/720/fill/I2ZmZmZmZg==/dissolve/80",
            "/format/jpg"
        ),
        pictures: &[&LOGO],
    },
    #[cfg(feature = "avif")]
    job("avif", &PHOTO, "imageMogr2/thumbnail/800x600!/format/avif/quality/50!/strip"),
    job("square-200", &PHOTO, "imageView2/1/w/200/h/200"),
    job("100mp-320", &HUGE, "imageView2/2/w/320"),
];

/// A 4000×3000 photograph of quality 90, and the same in other sizes and kinds.
static PHOTO: LazyLock<Bytes> = LazyLock::new(|| jpeg(4000, 3000));
static LARGE: LazyLock<Bytes> = LazyLock::new(|| jpeg(6000, 4000));
static SMALL: LazyLock<Bytes> = LazyLock::new(|| jpeg(1600, 1200));
static PROGRESSIVE: LazyLock<Bytes> = LazyLock::new(|| {
    file(&photograph(4000, 3000), &encode::Settings { interlace: true, ..settings(OutputFormat::Jpeg) })
});
/// Stored on its side, as a telephone does.
static TURNED: LazyLock<Bytes> = LazyLock::new(|| cards::oriented(&PHOTO, 6).into());
/// Four megapixels with alpha.
static FADED: LazyLock<Bytes> = LazyLock::new(|| file(&faded(2304, 1728), &settings(OutputFormat::Png)));
static LOGO: LazyLock<Bytes> = LazyLock::new(|| example("logo.png"));
/// A hundred megapixels.
static HUGE: LazyLock<Bytes> = LazyLock::new(|| cards::tall_jpeg(10_000, 10_000).into());

fn jpeg(width: u32, height: u32) -> Bytes {
    file(&photograph(width, height), &settings(OutputFormat::Jpeg))
}

impl Job {
    fn header(&self) -> Header {
        decode::probe(self.source).expect("an image")
    }

    fn pictures(&self) -> Vec<Bytes> {
        self.pictures.iter().map(|picture| Bytes::clone(picture)).collect()
    }

    fn picture_headers(&self) -> Vec<Header> {
        self.pictures.iter().map(|picture| decode::probe(picture).expect("an image")).collect()
    }

    fn program(&self, limits: &Limits) -> Program {
        let pictures = self.picture_headers();
        resolve::resolve(&plan(self.fops), &self.header(), &pictures, limits, Rendering::default()).expect("a program")
    }
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

#[divan::bench(args = JOBS)]
fn resolve(bencher: Bencher, job: &Job) {
    let (plan, header, pictures, limits) = (plan(job.fops), job.header(), job.picture_headers(), Limits::default());
    bencher.bench(|| resolve::resolve(divan::black_box(&plan), &header, &pictures, &limits, Rendering::default()));
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
        let mut identity = transformer.identify(&bucket, "photo.jpg", plan(URLS[0])).await.expect("an identity");
        transformer.render(&mut identity, transformer.asker(Lane::default())).await.expect("a result")
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

#[divan::bench(args = JOBS, sample_count = 10)]
fn transform(bencher: Bencher, job: &Job) {
    let (limits, pictures) = (Limits::default(), job.pictures());
    let program = job.program(&limits);
    bencher.bench(|| {
        run::run(&program, job.source, &pictures, &limits, &Cancel::default(), &mut |_| {}).expect("a result")
    });
}

/// The sizes of a job with ten outputs of a 24-megapixel photograph: from the first in steps of itself.
const SETS: [u32; 2] = [100, 200];

fn set(first: u32) -> Vec<Program> {
    let limits = Limits::default();
    let fops = (1..=10).map(|index| format!("imageView2/2/w/{}", first * index));
    let header = decode::probe(&LARGE).expect("an image");
    fops.map(|fops| resolve::resolve(&plan(&fops), &header, &[], &limits, Rendering::default()).expect("a program"))
        .collect()
}

#[divan::bench(args = SETS, sample_count = 10)]
fn ten_sizes_at_once(bencher: Bencher, first: u32) {
    let (programs, limits) = (set(first), Limits::default());
    let tasks: Vec<Task<'_>> = programs.iter().map(|program| Task { program, pictures: &[] }).collect();
    bencher.bench(|| {
        shared::run_all(&tasks, &LARGE, &limits, 1 << 30, &Cancel::default(), &mut |_, output| {
            divan::black_box(output.expect("a result"));
        });
    });
}

#[divan::bench(args = SETS, sample_count = 10)]
fn ten_sizes_one_by_one(bencher: Bencher, first: u32) {
    let (programs, limits) = (set(first), Limits::default());
    bencher.bench(|| {
        for program in &programs {
            let output = run::run(program, &LARGE, &[], &limits, &Cancel::default(), &mut |_| {});
            divan::black_box(output.expect("a result"));
        }
    });
}

/// From asking a decode of a hundred megapixels to stop until it has.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn cancel_100_megapixels(bencher: Bencher) {
    bencher.with_inputs(decoding).bench_values(|(cancel, work)| {
        cancel.cancel();
        let outcome = work.join().expect("no panic");
        assert_eq!(outcome, Err(Error::Cancelled));
    });
}

/// A decode of everything that has just begun, on a thread of its own.
fn decoding() -> (Cancel, JoinHandle<Result<run::Output, Error>>) {
    let job = job("", &HUGE, "imageMogr2/thumbnail/4900x");
    let cancel = Cancel::default();
    let (begun, wait) = mpsc::channel();
    let flag = cancel.clone();
    let work = thread::spawn(move || {
        let limits = Limits::default();
        let program = job.program(&limits);
        let mut tell = |stage| {
            if stage == Stage::Decode {
                // Nobody but the bench listens, and it hears this once.
                let _told = begun.send(());
            }
        };
        run::run(&program, job.source, &[], &limits, &flag, &mut tell)
    });
    wait.recv().expect("decoding begins");
    (cancel, work)
}
