//! The composition root: configuration in, a running server out. The only place where modules are wired together.

mod dialects;
mod node;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::dialects::Shared;
pub use self::node::work;
use self::node::{job_tasks, open_purges, open_queue};
use crate::cache::sources::Freshness;
use crate::cache::tier::{Folder, Tier};
use crate::config::{BucketConfig, Config, TlsConfig};
use crate::engine::limits::Limits;
use crate::helpers;
use crate::http::dialect::dlcs::delivery::Published;
use crate::http::health::{self, Health};
use crate::http::metrics::{self as metrics_api, Watched};
use crate::http::observe::Listener;
use crate::http::purge::{self, Purging};
use crate::http::recent::Recent;
use crate::http::server::Endpoint;
use crate::http::target::{BucketRules, Delivery, unix_now};
use crate::http::tls::{self, Certificate};
use crate::http::{api, jobs as jobs_api, server};
use crate::jobs::queue::Queue;
use crate::metrics::Metrics;
use crate::plan::style::StyleFile;
use crate::plan::{Plan, iiif};
use crate::settings::Mistake;
use crate::store::guard::AddressGuard;
use crate::store::objects::Objects;
use crate::store::origin::Origin;
use crate::store::parts::Uploads;
use crate::store::spool::Spool;
use crate::store::{Bucket, Buckets, Remote, Timeouts};
use crate::transform::two_speeds::Interactive;
use crate::transform::{self, Transformer};

/// How often the styles file is looked at. Looking costs one `stat`; unlike notifications it also works on network
/// mounts and where the file is swapped for another one.
const STYLES_POLL: Duration = Duration::from_millis(500);

/// How often the files of the certificate are looked at; they are small.
const CERTIFICATE_POLL: Duration = Duration::from_secs(1);

/// How often files are looked for that nobody needs any more.
const SWEEP_PERIOD: Duration = Duration::from_secs(3600);

/// Makes rustls usable: cloud stores and origins speak TLS through it. May be called more than once.
pub fn install_tls() {
    #[cfg(feature = "ring")]
    let provider = rustls::crypto::ring::default_provider();
    #[cfg(not(feature = "ring"))]
    let provider = rustls_graviola::default_provider();
    // Fails only where a provider is installed already, which is what is wanted.
    let _ = provider.install_default();
}

/// Whether a style's pipeline is one; the text says what is wrong.
///
/// # Errors
/// The parser's message.
pub fn validate_pipeline(text: &str) -> Result<(), String> {
    Plan::parse(text).map(|_| ()).map_err(|error| error.to_string())
}

/// Buckets, cache and engine, wired as configured.
///
/// # Errors
/// A bucket whose store cannot be opened.
pub fn transformer(config: &Config) -> anyhow::Result<Transformer> {
    install_tls();
    let timeouts = timeouts(config);
    let remote = remote(config);
    let mut buckets = Buckets::default();
    for (name, bucket) in &config.buckets {
        let opened = open_bucket(name, bucket, &remote, timeouts)
            .map_err(|error| anyhow::anyhow!("bucket {name:?} at {}: {error}", bucket.url))?;
        buckets.add(opened, &bucket.domains);
    }
    let settings = transform::Config {
        cache_bytes: config.cache.memory_bytes,
        cached_source_bytes: config.cache.source_memory_bytes,
        ladder_bytes: config.cache.ladder_bytes,
        freshness: config.buckets.iter().map(|(name, bucket)| (name.clone(), freshness(config, bucket))).collect(),
        source_bytes: config.limits.source_bytes,
        output_bytes: config.limits.output_bytes,
        picture_bytes: config.fetch.max_bytes,
        limits: config.limits.image.clone(),
        rendering: config.images,
        workers: config.limits.workers.get(),
        queue: config.limits.queue.get(),
        memory_bytes: config.limits.memory_bytes,
        deadline: config.limits.time,
        helpers: config.program.clone().map(|program| helpers::Settings {
            program,
            formats: config.limits.helper_formats.clone(),
            memory_bytes: config.limits.helper_memory_bytes,
        }),
        interactive: interactive(config),
    };
    Ok(Transformer::new(Arc::new(buckets), remote, settings))
}

/// What is made while a client waits.
fn interactive(config: &Config) -> Option<Interactive> {
    let most = Duration::from_millis(config.limits.interactive_milliseconds?.into());
    Some(Interactive { most, over: config.delivery.over_budget })
}

/// Where results are kept behind those in memory.
///
/// # Errors
/// Options that make no store. A folder that cannot be used is said in the log, and done without.
fn tier(config: &Config) -> anyhow::Result<Option<Tier>> {
    let Some(store) = &config.cache.store else { return Ok(None) };
    if let Some(folder) = store.folder() {
        let opened = Folder::open(folder, config.cache.store_bytes);
        return Ok(opened
            .inspect_err(|error| tracing::warn!(%error, "results are kept in memory only: cache.store cannot be used"))
            .ok()
            .map(Tier::in_folder));
    }
    let options = config.cache.options.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    let objects = Objects::open_url(store.as_url(), &options, timeouts(config));
    Ok(Some(Tier::in_objects(objects.map_err(|error| anyhow::anyhow!("cache.store at {store}: {error}"))?)))
}

/// How long what a bucket says is good. This machine's own folders are asked in microseconds.
fn freshness(config: &Config, bucket: &BucketConfig) -> Freshness {
    let is_local = matches!(bucket.url.as_url().scheme(), "file" | "memory");
    let (fresh, while_revalidating) = if is_local { (1, 0) } else { (10, 10) };
    Freshness {
        fresh: bucket.fresh.or(config.cache.fresh).unwrap_or(Duration::from_secs(fresh)),
        while_revalidating: config.cache.stale_while_revalidate.unwrap_or(Duration::from_secs(while_revalidating)),
        if_error: config.cache.stale_if_error,
        missing: config.cache.missing,
    }
}

const fn timeouts(config: &Config) -> Timeouts {
    Timeouts { connect: config.fetch.connect_timeout, read: config.fetch.timeout }
}

/// What fetches and posts, past the address guard.
fn remote(config: &Config) -> Remote {
    install_tls();
    let guard = AddressGuard::new(config.fetch.allow.clone(), config.fetch.ports.clone());
    Remote::new(guard, timeouts(config))
}

fn open_bucket(name: &str, bucket: &BucketConfig, remote: &Remote, timeouts: Timeouts) -> anyhow::Result<Bucket> {
    let url = bucket.url.as_url();
    if matches!(url.scheme(), "http" | "https") {
        return Ok(Bucket::over_origin(name, Origin::new(remote.clone(), url.clone()), timeouts));
    }
    let options: BTreeMap<String, String> =
        bucket.options().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Bucket::over_objects(name, Objects::open_url(url, &options, timeouts)?, timeouts))
}

/// What the delivery listener serves.
///
/// # Errors
/// A bucket whose store cannot be opened, or a styles file that is wrong at the start.
pub fn delivery(config: &Config, styles: PathBuf) -> anyhow::Result<Delivery> {
    let styles =
        StyleFile::open(styles, Box::new(validate_pipeline)).map_err(|mistakes| listed("styles", &mistakes))?;
    let rules = |bucket: &BucketConfig| BucketRules {
        private: bucket.private,
        signed: bucket.signed,
        protected: bucket.protected,
        prefer_style_as_key: bucket.prefer_style_as_key,
        max_age: bucket.max_age.unwrap_or(config.cache.max_age),
        auto_format: bucket.auto_format,
        client_hints: bucket.client_hints,
        dialect: bucket.dialect,
        iiif: bucket.iiif,
    };
    Ok(Delivery {
        transformer: transformer(config)?.with_tier(tier(config)?),
        styles: Arc::new(styles),
        keys: config.key_ring(),
        rules: config.buckets.iter().map(|(name, bucket)| (name.clone(), rules(bucket))).collect::<HashMap<_, _>>(),
        interim_max_age: config.cache.interim_max_age,
        recent: Recent::default(),
        iiif_bounds: iiif_bounds(config),
        published: published(config),
        over_tls: config.tls.is_some(),
        records: OnceLock::new(),
    })
}

/// What results may have at most, in the words of IIIF.
fn iiif_bounds(config: &Config) -> iiif::Bounds {
    let Limits { output_edge, output_pixels, .. } = config.limits.image;
    iiif::Bounds::new(output_edge, output_pixels, config.delivery.iiif_strict)
}

/// What is served of DLCS customers' pictures.
fn published(config: &Config) -> Published {
    let buckets = config.dlcs.customers.iter().map(|(number, customer)| (*number, customer.bucket.clone()));
    Published { buckets: buckets.collect(), thumbs: config.dlcs.thumbs.clone() }
}

/// Mistakes as one error, a line each.
pub fn listed(what: &str, mistakes: &[Mistake]) -> anyhow::Error {
    let lines: Vec<String> = mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect();
    anyhow::anyhow!("the {what} have mistakes:{}", lines.concat())
}

/// A server that accepts requests.
#[derive(Debug)]
pub struct Running {
    /// Where images are served.
    pub delivery: SocketAddr,
    /// Where everything else is.
    pub api: SocketAddr,
    /// What is being served; for tests and tools in the same process.
    pub state: Arc<Delivery>,
    health: Arc<Health>,
    drain_delay: Duration,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Sockets that somebody else has opened, in place of those of the configuration.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For images.
    pub delivery: Option<std::net::TcpListener>,
    /// For everything else.
    pub api: Option<std::net::TcpListener>,
}

/// Starts both listeners.
///
/// # Errors
/// As for [`start_on`].
pub async fn start(config: &Config, styles: PathBuf) -> anyhow::Result<Running> {
    start_on(Sockets::default(), config, styles).await
}

/// Starts both listeners, on these sockets where there are some.
///
/// # Errors
/// An address that cannot be bound, a certificate that cannot be used, and what [`delivery`] fails with.
pub async fn start_on(sockets: Sockets, config: &Config, styles: PathBuf) -> anyhow::Result<Running> {
    let state = Arc::new(delivery(config, styles)?);
    let certificate = config.tls.clone().map(certificate).transpose()?;
    let images = bind(config.listen, sockets.delivery).await?;
    let api_listener = bind(config.api_listen, sockets.api).await?;
    let stop = CancellationToken::new();
    let (delivery, api) = (images.local_addr()?, api_listener.local_addr()?);
    let mut routes = api::router(Arc::clone(&state));
    let mut tasks = Vec::new();
    // Without access keys nobody could submit a job, and there is nothing to keep.
    let mut jobs = None;
    if !config.keys.is_empty() {
        let queue = open_queue(config).await?;
        tasks.extend(job_tasks(config, &queue, &state.transformer, &stop));
        // Nothing has been asked of it yet.
        let _ = state.records.set(queue.clone());
        let keys = Arc::new(config.key_ring());
        let purges = open_purges(config, &queue, &state.transformer).await?;
        tasks.push(tokio::spawn(purges.clone().run(stop.clone())));
        let purging = Purging { delivery: Arc::clone(&state), purges, keys: Arc::clone(&keys) };
        routes = routes.merge(purge::router(purging));
        routes = routes.merge(jobs_api::router(queue.clone(), Arc::clone(&keys)));
        jobs = Some((queue, keys));
    }
    let queue = jobs.as_ref().map(|(queue, _): &(Queue, _)| queue.clone());
    let health = Arc::new(Health::new(Some(Arc::clone(&state.styles)), queue.clone()));
    let (metrics, probes) = probes(&health, &state.transformer, queue);
    tasks.push(tokio::spawn(expire(Arc::clone(&state), stop.clone())));
    tasks.push(tokio::spawn(sweep(config.data_dir.clone(), stop.clone())));
    let routes = routes.merge(probes);
    let shared = Shared { config, delivery: &state, images: delivery, stop: &stop };
    let routes = dialects::add(routes, &shared, jobs, &mut tasks)?;
    if let Some(certificate) = &certificate {
        tasks.push(tokio::spawn(watch_certificate(Arc::clone(certificate), stop.clone())));
    }
    let endpoint = |listener, tcp, tls| {
        let (config, metrics) = (config.server.clone(), Arc::clone(&metrics));
        Endpoint { listener, tcp, config, metrics, tls }
    };
    tasks.extend([
        tokio::spawn(server::serve(
            endpoint(Listener::Delivery, images, certificate),
            Arc::clone(&state),
            stop.clone(),
        )),
        tokio::spawn(server::serve(endpoint(Listener::Api, api_listener, None), routes, stop.clone())),
        tokio::spawn(watch_styles(Arc::clone(&state), stop.clone())),
    ]);
    let drain_delay = config.server.drain_delay;
    Ok(Running { delivery, api, state, health, drain_delay, stop, tasks })
}

/// The routes that machines ask, and the counters that one of them tells.
fn probes(health: &Arc<Health>, transformer: &Transformer, queue: Option<Queue>) -> (Arc<Metrics>, axum::Router) {
    let metrics = Arc::new(Metrics::new(unix_now() as f64));
    let watched = Watched { metrics: Arc::clone(&metrics), transformer: transformer.clone(), queue };
    (metrics, health::router(Arc::clone(health)).merge(metrics_api::router(watched)))
}

impl Running {
    /// Says that it goes away, stops accepting, lets open requests finish, and returns when they have.
    pub async fn stop(self) {
        self.health.drain();
        tokio::time::sleep(self.drain_delay).await;
        self.stop.cancel();
        for task in self.tasks {
            // A task that panicked has already said so.
            let _ = task.await;
        }
    }
}

fn certificate(config: TlsConfig) -> anyhow::Result<Arc<Certificate>> {
    install_tls();
    let files = tls::Files { certificate: config.certificate, key: config.key };
    Ok(Arc::new(Certificate::open(files)?))
}

async fn bind(address: SocketAddr, opened: Option<std::net::TcpListener>) -> anyhow::Result<TcpListener> {
    if let Some(socket) = opened {
        socket.set_nonblocking(true)?;
        return Ok(TcpListener::from_std(socket)?);
    }
    TcpListener::bind(address).await.map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))
}

/// Deletes what dead processes have left in `data_dir` and uploads that have expired: at the start and every hour, as a server
/// may run for longer than an upload lives.
async fn sweep(data_dir: PathBuf, stop: CancellationToken) {
    let (spool, uploads) = (Spool::new(data_dir.join("spool")), Uploads::new(data_dir.join("uploads")));
    let mut ticks = tokio::time::interval(SWEEP_PERIOD);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let (spool, uploads) = (spool.clone(), uploads.clone());
        let sweep = move || {
            spool.sweep(SystemTime::now());
            uploads.sweep(SystemTime::now());
        };
        let _ = tokio::task::spawn_blocking(sweep).await;
    }
}

/// Deletes objects that have expired: at the start, and when an hour begins, as the vendor's days end on one.
async fn expire(delivery: Arc<Delivery>, stop: CancellationToken) {
    loop {
        for bucket in delivery.transformer.buckets().all() {
            match bucket.sweep_expired(SystemTime::now()).await {
                Ok(0) => {}
                Ok(objects) => tracing::info!(bucket = bucket.name(), objects, "expired objects were deleted"),
                Err(error) => tracing::warn!(bucket = bucket.name(), %error, "expired objects could not be looked for"),
            }
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let rest = Duration::from_secs(SWEEP_PERIOD.as_secs() - now.as_secs() % SWEEP_PERIOD.as_secs());
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn watch_certificate(certificate: Arc<Certificate>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(CERTIFICATE_POLL);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let certificate = Arc::clone(&certificate);
        let _ = tokio::task::spawn_blocking(move || certificate.poll()).await;
    }
}

async fn watch_styles(delivery: Arc<Delivery>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(STYLES_POLL);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let styles = Arc::clone(&delivery.styles);
        // Reading a file may block; the ticker waits for it, requests do not.
        let _ = tokio::task::spawn_blocking(move || styles.poll()).await;
    }
}
