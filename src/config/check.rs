//! Settings compared with one another.

use std::net::SocketAddr;

use super::Config;
use super::read::References;
use crate::settings::mistake::Report;
use crate::settings::section::Placed;

/// Two listeners cannot have one address, unless the system chooses their ports.
pub(super) fn listeners(delivery: Option<&Placed<SocketAddr>>, api: Option<&Placed<SocketAddr>>, report: &Report) {
    let (Some(delivery), Some(api)) = (delivery, api) else { return };
    if delivery.value == api.value && api.value.port() != 0 {
        report.add(api.mistake("is the address of listen too").with_hint("give each listener its own port"));
    }
}

/// Buckets and access keys that other settings name must be there.
pub(super) fn references(references: &References, config: &Config, report: &Report) {
    for named in &references.buckets {
        if !config.buckets.contains_key(&named.value) {
            let mistake = named.mistake(format!("there is no bucket {:?}", named.value));
            report.add(mistake.with_nearest(&named.value, config.buckets.keys().map(String::as_str)));
        }
    }
    for named in &references.keys {
        if !config.keys.contains_key(&named.value) {
            let mistake = named.mistake(format!("there is no access key {:?}", named.value));
            report.add(mistake.with_nearest(&named.value, config.keys.keys().map(String::as_str)));
        }
    }
}
