//! The composition root: configuration in, a running server out. The only place where modules are wired together.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{BucketConfig, Config};
use crate::http::target::{BucketRules, Delivery};
use crate::http::{api, server};
use crate::plan::Plan;
use crate::plan::style::StyleFile;
use crate::settings::Mistake;
use crate::store::guard::AddressGuard;
use crate::store::objects::Objects;
use crate::store::origin::Origin;
use crate::store::{Bucket, Buckets, Remote, Timeouts};
use crate::transform::{self, Transformer};

/// How often the styles file is looked at. Looking costs one `stat`; unlike notifications it also works on network
/// mounts and where the file is swapped for another one.
const STYLES_POLL: Duration = Duration::from_millis(500);

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
    let timeouts = Timeouts { connect: config.fetch.connect_timeout, read: config.fetch.timeout };
    let remote = Remote::new(AddressGuard::new(config.fetch.allow.clone(), config.fetch.ports.clone()), timeouts);
    let mut buckets = Buckets::default();
    for (name, bucket) in &config.buckets {
        let opened = open_bucket(name, bucket, &remote, timeouts)
            .map_err(|error| anyhow::anyhow!("bucket {name:?} at {}: {error}", bucket.url))?;
        buckets.add(opened, &bucket.domains);
    }
    let settings = transform::Config {
        cache_bytes: config.cache.memory_bytes,
        source_bytes: config.limits.source_bytes,
        picture_bytes: config.fetch.max_bytes,
        limits: config.limits.image.clone(),
        rendering: config.images,
        workers: config.limits.workers.get(),
        queue: config.limits.queue.get(),
        deadline: config.limits.time,
    };
    Ok(Transformer::new(Arc::new(buckets), remote, settings))
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
        protected: bucket.protected,
        prefer_style_as_key: bucket.prefer_style_as_key,
        max_age: bucket.max_age.unwrap_or(config.cache.max_age),
    };
    Ok(Delivery {
        transformer: transformer(config)?,
        styles: Arc::new(styles),
        keys: config.key_ring(),
        rules: config.buckets.iter().map(|(name, bucket)| (name.clone(), rules(bucket))).collect::<HashMap<_, _>>(),
    })
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
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts both listeners.
///
/// # Errors
/// An address that cannot be bound, and what [`delivery`] fails with.
pub async fn start(config: &Config, styles: PathBuf) -> anyhow::Result<Running> {
    let state = Arc::new(delivery(config, styles)?);
    let images = bind(config.listen).await?;
    let api_listener = bind(config.api_listen).await?;
    let stop = CancellationToken::new();
    let (delivery, api) = (images.local_addr()?, api_listener.local_addr()?);
    let routes = api::router(Arc::clone(&state));
    let api_stop = stop.clone();
    let tasks = vec![
        tokio::spawn(server::serve(images, Arc::clone(&state), stop.clone())),
        tokio::spawn(async move {
            let served = axum::serve(api_listener, routes).with_graceful_shutdown(api_stop.cancelled_owned());
            if let Err(error) = served.await {
                tracing::error!(%error, "the API listener failed");
            }
        }),
        tokio::spawn(watch_styles(Arc::clone(&state), stop.clone())),
    ];
    Ok(Running { delivery, api, state, stop, tasks })
}

impl Running {
    /// Stops accepting, lets open requests finish, and returns when they have.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A task that panicked has already said so.
            let _ = task.await;
        }
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))
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
