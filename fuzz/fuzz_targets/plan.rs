//! Any text is a plan or a refusal, and a plan's canonical text is the same plan.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mogr::plan::Plan;

fuzz_target!(|text: &str| {
    let Ok(plan) = Plan::parse(text) else { return };
    let canonical = plan.to_string();
    let again = Plan::parse(&canonical).unwrap_or_else(|error| panic!("{canonical:?} is refused: {error}"));
    assert_eq!(plan, again, "{canonical:?} is another plan");
    assert_eq!(canonical, again.to_string(), "the canonical text is not stable");
});
