//! Work that nobody waits for any more stops.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::program::Rendering;
use mogr::engine::run::Stage;
use mogr::engine::{Error, decode, resolve, run};
use mogr::plan::Plan;

use crate::cards;

/// The flag is set from another thread once decoding has begun. How soon it is obeyed, the bench `cancel_100_megapixels`
/// measures.
#[test]
fn decoding_stops_within_a_picture() {
    let source = Bytes::from(cards::tall_jpeg(10_000, 10_000));
    let header = decode::probe(&source).unwrap();
    // Without a step in planes; scaled to nearly everything that may come out; a part far down.
    for fops in ["imageMogr2/thumbnail/4900x/blur/3x1", "imageMogr2/thumbnail/4900x", "imageMogr2/crop/!500x500a0a9500"]
    {
        let limits = Limits::default();
        let plan = Plan::parse(fops).unwrap();
        let program = resolve::resolve(&plan, &header, &[], &limits, Rendering::default()).unwrap();
        let cancel = Cancel::default();
        let (begun, wait) = mpsc::channel();
        let flag = cancel.clone();
        let stopper = thread::spawn(move || {
            wait.recv().unwrap();
            flag.cancel();
            Instant::now()
        });
        let mut stages = Vec::new();
        let outcome = run::run(&program, &source, &[], &limits, &cancel, &mut |stage| {
            stages.push(stage);
            if stages.len() == 1 {
                begun.send(()).unwrap();
            }
        });
        let stopped = Instant::now();
        let asked = stopper.join().unwrap();
        eprintln!("{fops}: stopped after {:?}", stopped.saturating_duration_since(asked));
        assert_eq!(outcome, Err(Error::Cancelled), "{fops}");
        assert_eq!(stages, [Stage::Decode], "{fops}");
    }
}

/// The flag is set when encoding begins: what looks at it between rows or parts ends there.
#[test]
fn encoding_stops_within_a_picture() {
    let source = Bytes::from(cards::png(cards::quadrants(300, 200)));
    let header = decode::probe(&source).unwrap();
    for fops in ["imageMogr2/format/png", "imageMogr2/format/png/colors/16", "imageMogr2/format/gif"] {
        let limits = Limits::default();
        let plan = Plan::parse(fops).unwrap();
        let program = resolve::resolve(&plan, &header, &[], &limits, Rendering::default()).unwrap();
        let cancel = Cancel::default();
        let outcome = run::run(&program, &source, &[], &limits, &cancel, &mut |stage| {
            if stage == Stage::Encode {
                cancel.cancel();
            }
        });
        assert_eq!(outcome, Err(Error::Cancelled), "{fops}");
    }
}
