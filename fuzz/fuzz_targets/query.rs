//! Any query string is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = mogr::plan::query::Query::parse(text);
});
