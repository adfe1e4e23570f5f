//! Client hints: what a client tells of its screen, and that it saves data.

use http::HeaderMap;

use crate::plan::hints::{Density, Hints};
use crate::plan::{Fop, Plan};

/// `Accept-CH`: what clients are asked to tell, under the names of today and the older ones.
pub(super) const ACCEPT_CH: &str = "Sec-CH-DPR, Sec-CH-Width, DPR, Width, Save-Data";

const DENSITY: [&str; 2] = ["Sec-CH-DPR", "DPR"];
const WIDTH: [&str; 2] = ["Sec-CH-Width", "Width"];
const SAVE_DATA: [&str; 1] = ["Save-Data"];

/// What a client tells that matters for `plan`. What makes no sense was not told.
pub(super) fn told(headers: &HeaderMap, plan: &Plan) -> Hints {
    let told = |names: &[&str]| names.iter().find_map(|name| headers.get(*name)?.to_str().ok()).map(str::trim);
    let density = told(&DENSITY).filter(|_| plan.scales()).and_then(Density::parse);
    Hints {
        density: density.unwrap_or_default(),
        width: told(&WIDTH).filter(|_| plan.leaves_width()).and_then(Hints::width_of),
        save_data: is_lossy(plan) && told(&SAVE_DATA).is_some_and(|value| value.eq_ignore_ascii_case("on")),
    }
}

/// `Vary`: the hints that matter for `plan`, told or not.
pub(super) fn vary(plan: &Plan) -> impl Iterator<Item = &'static str> {
    let names = |names: &'static [&'static str], matters: bool| if matters { names } else { &[] }.iter().copied();
    names(&DENSITY, plan.scales()).chain(names(&WIDTH, plan.leaves_width())).chain(names(&SAVE_DATA, is_lossy(plan)))
}

/// Whether the result may have a quality.
fn is_lossy(plan: &Plan) -> bool {
    !plan.fops.last().is_some_and(Fop::is_metadata)
}
