//! The reduced JPEG decoder beside the general one, and several views of a file at once beside each alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mogr::engine::internals::{check_reduced, check_together};

fuzz_target!(|bytes: &[u8]| {
    check_reduced(bytes);
    check_together(bytes);
});
