//! The same request gives the same bytes, however many others are served at the same time.

use std::sync::Barrier;
use std::thread;

use bytes::Bytes;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::program::{Program, Rendering};
use mogr::engine::{decode, resolve, run};
use mogr::plan::Plan;

use crate::server::photos;

/// Files and requests of all kinds: decoded in part and whole, painted, turned, quantised, searched for, moving.
const REQUESTS: [(&str, &str); 10] = [
    ("lake.jpg", "imageView2/2/w/320"),
    ("lake.jpg", "imageView2/1/w/100/h/100/format/webp"),
    ("portrait.jpg", "imageMogr2/auto-orient/thumbnail/!10p/quality/96!"),
    ("harbour.jpg", "imageMogr2/crop/!200x120a100a50/rotate/12/format/png"),
    ("harbour.jpg", "imageMogr2/thumbnail/150x/blur/5x2|watermark/2/text/aGVsbG8=/gravity/Center"),
    ("flower-p3.jpg", "imageMogr2/thumbnail/100x/format/png/strip"),
    ("fruit-cmyk.jpg", "imageView2/2/w/100"),
    ("badge.webp", "imageView2/2/w/60/format/gif"),
    ("palette.png", "imageView2/2/w/200|roundPic/radius/40"),
    ("a b+c%20d.jpg", "imageView2/2/w/80/format/png/q/75|imageslim"),
];

struct Job {
    source: Bytes,
    program: Program,
}

impl Job {
    fn new((name, fops): (&str, &str)) -> Self {
        let source = Bytes::from(std::fs::read(photos().join(name)).unwrap());
        let header = decode::probe(&source).unwrap();
        let plan = Plan::parse(fops).unwrap();
        let program = resolve::resolve(&plan, &header, &[], &Limits::default(), Rendering::default()).unwrap();
        Self { source, program }
    }

    fn run(&self) -> Bytes {
        let limits = Limits::default();
        run::run(&self.program, &self.source, &[], &limits, &Cancel::default(), &mut |_| {}).unwrap().body
    }
}

#[test]
fn the_same_bytes_on_any_number_of_threads() {
    let jobs = REQUESTS.map(Job::new);
    let alone = jobs.each_ref().map(Job::run);
    for threads in [1, 2, 8] {
        let start = Barrier::new(threads);
        let work = |thread: usize| {
            start.wait();
            // Each begins elsewhere, so that different requests meet.
            for at in (0..jobs.len()).map(|index| (index + thread) % jobs.len()) {
                let (name, fops) = REQUESTS[at];
                assert!(jobs[at].run() == alone[at], "{name} {fops} on one of {threads} threads");
            }
        };
        thread::scope(|scope| {
            for thread in 0..threads {
                let work = &work;
                scope.spawn(move || work(thread));
            }
        });
    }
}
