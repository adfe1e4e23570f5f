//! Any bytes are decoded or refused, within limits, whatever their header promises.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mogr::engine::decode::{probe, scaled_size, still, still_deep};
use mogr::engine::image::Depth;
use mogr::engine::limits::{Cancel, Limits};

/// Small enough that a case takes milliseconds, large enough for every code path.
fn limits() -> Limits {
    Limits { source_edge: 4096, source_pixels: 1 << 20, animation_pixels: 1 << 22, ..Limits::default() }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = probe(bytes) else { return };
    if header.depth == Depth::Sixteen
        && let Ok(frame) = still_deep(bytes, &header, &limits(), &Cancel::default())
    {
        assert_eq!(frame.size(), header.size, "not the size that was promised: {header:?}");
    }
    // The decode scale comes from the data too, so that every one is met.
    let eighths = 1 << (bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) % 4);
    if let Ok(frame) = still(bytes, &header, eighths, &limits(), &Cancel::default()) {
        assert_eq!(
            frame.size(),
            scaled_size(header.format, header.size, eighths),
            "not the size that was promised: {header:?}"
        );
    }
});
