//! Any bytes have a header or are refused; a header's size is never empty.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mogr::engine::decode::probe;

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = probe(bytes) else { return };
    assert!(header.size.width > 0 && header.size.height > 0, "an empty picture: {header:?}");
});
