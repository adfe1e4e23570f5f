//! The reduced JPEG decoder beside the general one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mogr::engine::internals::check_reduced(bytes));
