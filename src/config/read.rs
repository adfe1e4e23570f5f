//! The settings of a document and of variables, one function for each table.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::{
    AltizureConfig, BlitlineConfig, CacheConfig, Config, DeliveryConfig, DlcsConfig, DlcsCustomer, FetchConfig,
    JobsConfig, KeptMetadata, LimitsConfig, NOT_SETTINGS, OverBudget, TencentConfig, bucket, check, server,
};
use crate::auth::Key;
use crate::engine::limits::Limits;
use crate::engine::program::Rendering;
use crate::settings::document::Node;
use crate::settings::mistake::{Place, Report};
use crate::settings::section::{Placed, Section};
use crate::settings::value::{Bytes, Span};
use crate::settings::{Mistake, Secret, StoreUrl};

/// Everything that can be read of a document, with defaults for the rest, and every mistake. `validate` checks
/// pipelines. A configuration with mistakes is fit for finding more of them, and not for use.
pub(crate) fn read(
    document: Result<Node, Mistake>,
    env: impl IntoIterator<Item = (String, String)>,
    validate: &dyn Fn(&str) -> Result<(), String>,
) -> (Config, Vec<Mistake>) {
    let report = Report::default();
    let mut root = document.unwrap_or_else(|mistake| {
        report.add(mistake);
        Node::empty(Place::whole("defaults"))
    });
    for (variable, text) in env {
        if let Some(path) = setting_path(&variable) {
            root.set_variable(&path, &variable, text);
        }
    }
    let config = read_config(Section::root(root, &report), validate);
    (config, report.into_sorted())
}

/// The names that a variable sets: `MOGR_CACHE__MEMORY_BYTES` is `cache`, `memory_bytes`.
///
/// Names are in lower case, but access keys as the variable spells them.
fn setting_path(variable: &str) -> Option<Vec<String>> {
    let (prefix, names) = variable.split_at_checked("MOGR_".len())?;
    if !prefix.eq_ignore_ascii_case("MOGR_") || NOT_SETTINGS.iter().any(|it| variable.eq_ignore_ascii_case(it)) {
        return None;
    }
    let mut path: Vec<String> = names.split("__").map(str::to_lowercase).collect();
    if let ([group, access_key, ..], Some(spelled)) = (&mut path[..], names.split("__").nth(1))
        && group == "keys"
    {
        spelled.clone_into(access_key);
    }
    Some(path)
}

/// Settings in which other settings are named, to be compared once all are read.
pub(super) struct References {
    /// Buckets that keys, customers and the Altizure API name.
    pub(super) buckets: Vec<Placed<String>>,
    /// Access keys that customers name.
    pub(super) keys: Vec<Placed<String>>,
}

fn read_config(mut root: Section<'_>, validate: &dyn Fn(&str) -> Result<(), String>) -> Config {
    let report = root.report();
    let mut references = References { buckets: Vec::new(), keys: Vec::new() };
    let listen = root.placed("listen");
    let api_listen = root.placed("api_listen");
    check::listeners(listen.as_ref(), api_listen.as_ref(), report);
    let config = Config {
        listen: listen.map_or(SocketAddr::from(([127, 0, 0, 1], 8080)), |it| it.value),
        api_listen: api_listen.map_or(SocketAddr::from(([127, 0, 0, 1], 8081)), |it| it.value),
        work_listen: root.get("work_listen"),
        data_dir: root.or("data_dir", PathBuf::from("data")),
        database: root.get("database"),
        server: server::read(root.section("server")),
        tls: server::read_tls(&mut root),
        log: server::read_log(root.section("log")),
        keys: read_keys(&mut root, &mut references),
        buckets: bucket::read_all(&mut root),
        cache: read_cache(root.section("cache")),
        limits: read_limits(root.section("limits")),
        delivery: read_delivery(root.section("delivery")),
        images: read_images(root.section("images")),
        fetch: read_fetch(root.section("fetch")),
        jobs: read_jobs(root.section("jobs")),
        program: None,
        dlcs: read_dlcs(root.section("dlcs"), &mut references),
        altizure: read_altizure(&mut root, &mut references, validate),
        blitline: read_blitline(root.section("blitline")),
        tencent: read_tencent(root.section("tencent"), &mut references),
    };
    root.finish();
    check::references(&references, &config, report);
    config
}

/// A key without a list of buckets opens every bucket.
fn read_keys(root: &mut Section<'_>, references: &mut References) -> BTreeMap<String, Key> {
    let mut keys = BTreeMap::new();
    for (access_key, mut section) in root.sections("keys") {
        if access_key.is_empty() || access_key.contains([':', '/', '&']) {
            section.report().add(section.place().mistake(section.path(), "is no access key: it is empty or has : / &"));
        }
        let secret = section.required("secret", r#"write secret = "…""#);
        let buckets = section.list::<String>("buckets");
        section.finish();
        let names =
            buckets.as_ref().map_or(vec!["*".to_owned()], |list| list.iter().map(|it| it.value.clone()).collect());
        references.buckets.extend(buckets.into_iter().flatten().filter(|it| it.value != "*"));
        // Kept without a secret, so that what names the key is not reported as a mistake too.
        let secret = secret.map_or_else(|| Secret::new(""), |it| it.value);
        keys.insert(access_key, Key { secret, buckets: names });
    }
    keys
}

fn read_cache(mut section: Section<'_>) -> CacheConfig {
    let default = CacheConfig::default();
    let store = section.placed::<StoreUrl>("store");
    if let Some(store) = store.as_ref().filter(|store| matches!(store.value.as_url().scheme(), "http" | "https")) {
        let hint = "write file:///…, s3://…, gs://… or az://…";
        section.report().add(store.mistake("is a place that nothing can be stored in").with_hint(hint));
    }
    let config = CacheConfig {
        memory_bytes: section.or("memory_bytes", Bytes(default.memory_bytes)).0,
        options: bucket::read_options(section.section("options"), store.as_ref().map(|it| &it.value)),
        store: store.map(|it| it.value),
        store_bytes: section.or("store_bytes", Bytes(default.store_bytes)).0,
        max_age: section.or("max_age", default.max_age),
        interim_max_age: section.or("interim_max_age", default.interim_max_age),
        source_memory_bytes: section.or("source_memory_bytes", Bytes(default.source_memory_bytes)).0,
        ladder_bytes: section.or("ladder_bytes", Bytes(default.ladder_bytes)).0,
        fresh: section.get("fresh").map(|Span(span)| span),
        stale_while_revalidate: section.get("stale_while_revalidate").map(|Span(span)| span),
        stale_if_error: section.or("stale_if_error", Span(default.stale_if_error)).0,
        missing: section.or("missing", Span(default.missing)).0,
    };
    section.finish();
    config
}

fn read_limits(mut section: Section<'_>) -> LimitsConfig {
    let default = LimitsConfig::default();
    let config = LimitsConfig {
        source_bytes: section.or("source_bytes", Bytes(default.source_bytes)).0,
        upload_bytes: section.or("upload_bytes", Bytes(default.upload_bytes)).0,
        output_bytes: section.or("output_bytes", Bytes(default.output_bytes)).0,
        image: Limits {
            source_edge: section.or("source_edge", default.image.source_edge),
            source_pixels: section.or("source_pixels", default.image.source_pixels),
            gif_frames: section.or("gif_frames", default.image.gif_frames),
            webp_frames: section.or("webp_frames", default.image.webp_frames),
            animation_pixels: section.or("animation_pixels", default.image.animation_pixels),
            output_edge: section.or("output_edge", default.image.output_edge),
            output_pixels: section.or("output_pixels", default.image.output_pixels),
        },
        time: section.or("time", default.time),
        queue: section.or("queue", default.queue),
        memory_bytes: section.or("memory_bytes", Bytes(default.memory_bytes)).0,
        workers: section.or("workers", default.workers),
        helper_formats: section.list("helper_formats").map_or(default.helper_formats, |list| values(Some(list))),
        helper_memory_bytes: section.or("helper_memory_bytes", Bytes(default.helper_memory_bytes)).0,
        interactive_milliseconds: section.get("interactive_milliseconds"),
    };
    section.finish();
    config
}

fn read_delivery(mut section: Section<'_>) -> DeliveryConfig {
    let config = DeliveryConfig {
        over_budget: section.or("over_budget", OverBudget::default()),
        iiif_strict: section.or("iiif_strict", false),
    };
    section.finish();
    config
}

fn read_images(mut section: Section<'_>) -> Rendering {
    let default = Rendering::default();
    let rendering = Rendering {
        light: section.or("resize", default.light),
        speed: section.or("speed", default.speed),
        keep_copyright: section.or("keep", KeptMetadata::AsAsked) == KeptMetadata::Copyright,
        ..default
    };
    section.finish();
    rendering
}

fn read_fetch(mut section: Section<'_>) -> FetchConfig {
    let default = FetchConfig::default();
    let config = FetchConfig {
        allow: values(section.list("allow")),
        ports: values(section.list("ports")),
        connect_timeout: section.or("connect_timeout", default.connect_timeout),
        timeout: section.or("timeout", default.timeout),
        max_bytes: section.or("max_bytes", Bytes(default.max_bytes)).0,
    };
    section.finish();
    config
}

pub(super) fn values<T>(list: Option<Vec<Placed<T>>>) -> Vec<T> {
    list.into_iter().flatten().map(|placed| placed.value).collect()
}

fn read_jobs(mut section: Section<'_>) -> JobsConfig {
    let default = JobsConfig::default();
    let config = JobsConfig {
        lease: section.or("lease", default.lease),
        workers: section.or("workers", default.workers),
        max_attempts: section.or("max_attempts", default.max_attempts),
        max_waiting: section.or("max_waiting", default.max_waiting),
        max_waiting_per_owner: section.get("max_waiting_per_owner"),
        max_queues: section.or("max_queues", default.max_queues),
        amqp: section.get("amqp"),
        notify_per_target: section.or("notify_per_target", default.notify_per_target),
        keep: section.or("keep", default.keep),
    };
    section.finish();
    config
}

/// Most pictures that a batch may be allowed to have.
const LARGEST_BATCH: usize = 1000;

fn read_dlcs(mut section: Section<'_>, references: &mut References) -> DlcsConfig {
    let default = DlcsConfig::default();
    let max_batch = section.placed::<NonZeroUsize>("max_batch");
    if let Some(wrong) = max_batch.as_ref().filter(|it| it.value.get() > LARGEST_BATCH) {
        section.report().add(wrong.mistake("is no size of a batch").with_hint("write a number from 1 to 1000"));
    }
    let mut customers = BTreeMap::new();
    for (number, mut customer) in section.sections("customers") {
        let key = customer.required("key", "name an access key of [keys]");
        let bucket = customer.required("bucket", "name a bucket of [buckets]");
        let max_images = customer.get("max_images");
        references.keys.extend(key.clone());
        references.buckets.extend(bucket.clone());
        match (number.parse(), key, bucket) {
            (Err(_), ..) => customer.report().add(
                customer.place().mistake(customer.path(), "is no customer").with_hint("write [dlcs.customers.NUMBER]"),
            ),
            (Ok(number), Some(key), Some(bucket)) => {
                customers.insert(number, DlcsCustomer { key: key.value, bucket: bucket.value, max_images });
            }
            _ => {}
        }
        customer.finish();
    }
    let mut address = |name| section.get::<String>(name).map(|url| url.trim_end_matches('/').to_owned());
    let (url, images_url) = (address("url"), address("images_url"));
    let config = DlcsConfig {
        customers,
        max_batch: max_batch.map_or(default.max_batch, |it| it.value.get()),
        legacy: section.or("legacy", default.legacy),
        thumbs: section.list("thumbs").map_or(default.thumbs, |list| values(Some(list))),
        url,
        images_url,
    };
    section.finish();
    config
}

fn read_blitline(mut section: Section<'_>) -> BlitlineConfig {
    let written = section.placed::<String>("url");
    let url = written.as_ref().and_then(|it| url::Url::parse(&it.value).ok());
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none());
    if let (Some(written), None) = (&written, &url) {
        let hint = "write http://HOST or https://HOST, with a path or without";
        section
            .report()
            .add(written.mistake("is no address that the URLs of results could begin with").with_hint(hint));
    }
    let listen = section.get("listen").map_or(BlitlineConfig::default().listen, |Span(span)| span);
    section.finish();
    BlitlineConfig { url, listen }
}

fn read_tencent(mut section: Section<'_>, references: &mut References) -> TencentConfig {
    let bucket = section.placed::<String>("bucket");
    section.finish();
    references.buckets.extend(bucket.clone());
    TencentConfig { bucket: bucket.map(|it| it.value) }
}

fn read_altizure(
    root: &mut Section<'_>,
    references: &mut References,
    validate: &dyn Fn(&str) -> Result<(), String>,
) -> Option<AltizureConfig> {
    let is_there = root.has("altizure");
    let mut section = root.section("altizure");
    if !is_there {
        return None;
    }
    let bucket = section.required("bucket", "name a bucket of [buckets]");
    let pipeline = section.placed::<String>("pipeline");
    if let Some(pipeline) = &pipeline
        && let Err(problem) = validate(&pipeline.value)
    {
        section.report().add(pipeline.mistake(problem));
    }
    let max_projects = section.or("max_projects", 1000);
    let max_images = section.or("max_images", 10_000);
    section.finish();
    references.buckets.extend(bucket.clone());
    Some(AltizureConfig { bucket: bucket?.value, pipeline: pipeline.map(|it| it.value), max_projects, max_images })
}
