//! Any bytes play, frame by frame, or are refused, within limits; every canvas has the header's size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mogr::engine::decode::{animation, probe};
use mogr::engine::limits::{Cancel, Limits};

/// Small enough that a case takes milliseconds.
fn limits() -> Limits {
    Limits { source_edge: 1024, source_pixels: 1 << 18, animation_pixels: 1 << 21, ..Limits::default() }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = probe(bytes) else { return };
    let Ok(mut animation) = animation(bytes, &header, &limits(), &Cancel::default()) else { return };
    while let Ok(Some((canvas, _shown_for))) = animation.next_frame() {
        assert_eq!(canvas.size(), header.size, "a canvas of another size: {header:?}");
    }
});
