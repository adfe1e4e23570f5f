//! The APIs of other services, each wired by one function and added to the routes by one line.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::remote;
use crate::auth::KeyRing;
use crate::config::Config;
use crate::http::dialect::altizure::{self, Altizure};
use crate::http::dialect::blitline::{self, Blitline};
use crate::http::dialect::dlcs::{self, Dlcs};
use crate::http::dialect::qiniu::pfop::Pfops;
use crate::http::dialect::qiniu::{self, Qiniu};
use crate::http::dialect::tencent::{self, Tencent};
use crate::http::served::Served;
use crate::http::target::Delivery;
use crate::jobs::queue::Queue;
use crate::jobs::records::projects::Limits;
use crate::store::parts::Uploads;
use crate::store::spool::Spool;
use crate::store::turns::Turns;

/// What all of them are made of.
pub(super) struct Shared<'a> {
    pub(super) config: &'a Config,
    pub(super) delivery: &'a Arc<Delivery>,
    /// Where images are served.
    pub(super) images: SocketAddr,
    pub(super) stop: &'a CancellationToken,
}

/// Where jobs go, and who may submit them; servers without access keys have none.
type Jobs = (Queue, Arc<KeyRing>);

/// All routes with those of every API. Nothing may be added to them after this: two of the APIs look at requests before any
/// route does.
///
/// # Errors
/// A secret that tokens cannot be signed with.
pub(super) fn add(
    routes: Router,
    shared: &Shared<'_>,
    jobs: Option<Jobs>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> anyhow::Result<Router> {
    let routes = routes.merge(qiniu::router(Arc::new(qiniu(shared, jobs.clone()))));
    let Some(jobs) = jobs else { return Ok(routes) };
    let routes = routes.merge(dlcs(shared, &jobs)).merge(blitline::router(blitline(shared, &jobs)));
    let routes = with_altizure(routes, shared, &jobs, tasks)?;
    // By host, not by path: on the vendor's hosts every path is an object's or a call's.
    Ok(routes.layer(from_fn_with_state(Arc::new(tencent(shared, jobs)), tencent::divert)))
}

fn qiniu(shared: &Shared<'_>, jobs: Option<Jobs>) -> Qiniu {
    let Shared { config, delivery, .. } = shared;
    let settings = qiniu::Settings {
        data_dir: config.data_dir.clone(),
        upload_bytes: config.limits.upload_bytes,
        unsigned_bytes: qiniu::Settings::UNSIGNED_BYTES,
        patience: config.server.body_timeout,
        served: served(shared),
    };
    let pfops = jobs.map(|(queue, keys)| Pfops { queue, transformer: delivery.transformer.clone(), keys });
    Qiniu::new(Arc::clone(delivery), remote(config), pfops, settings)
}

fn served(shared: &Shared<'_>) -> Served {
    let domains = shared.config.buckets.iter().map(|(name, bucket)| (name.clone(), bucket.domains.clone()));
    Served { domains: domains.collect(), delivery_port: shared.images.port() }
}

/// Servers without customers have no routes of theirs.
fn dlcs(shared: &Shared<'_>, (queue, keys): &Jobs) -> Router {
    let config = &shared.config.dlcs;
    if config.customers.is_empty() {
        return Router::new();
    }
    let buckets = shared.delivery.transformer.shared_buckets();
    dlcs::router(Dlcs {
        queue: queue.clone(),
        buckets,
        keys: Arc::clone(keys),
        config: Arc::new(config.clone()),
        delivery_port: shared.images.port(),
    })
}

fn blitline(shared: &Shared<'_>, (queue, keys): &Jobs) -> Blitline {
    Blitline {
        queue: queue.clone(),
        transformer: shared.delivery.transformer.clone(),
        keys: Arc::clone(keys),
        url: shared.config.blitline.url.clone(),
        listen: shared.config.blitline.listen,
        delivery_port: shared.images.port(),
    }
}

/// The routes with Altizure's and with the storage that its images are put to, where it is configured.
fn with_altizure(
    routes: Router,
    shared: &Shared<'_>,
    (queue, keys): &Jobs,
    tasks: &mut Vec<JoinHandle<()>>,
) -> anyhow::Result<Router> {
    let Shared { config, delivery, stop, .. } = shared;
    let Some(configured) = &config.altizure else { return Ok(routes) };
    let settings = altizure::Settings {
        bucket: configured.bucket.clone(),
        pipeline: configured.pipeline.clone(),
        data_dir: config.data_dir.clone(),
        upload_bytes: config.limits.upload_bytes.min(config.limits.source_bytes),
        patience: config.server.body_timeout,
        limits: Limits {
            projects_per_owner: i64::from(configured.max_projects),
            images_per_project: i64::from(configured.max_images),
            ..Limits::default()
        },
        served: served(shared),
    };
    let altizure = Altizure::new(Arc::clone(delivery), Arc::clone(keys), remote(config), queue, settings)?;
    let altizure = Arc::new(altizure);
    tasks.push(tokio::spawn(altizure.keeper().clone().run((*stop).clone())));
    altizure.intake().clear();
    tasks.push(tokio::spawn(altizure.fetcher().clone().run((*stop).clone())));
    Ok(altizure::with_storage(routes.merge(altizure::router(Arc::clone(&altizure))), altizure))
}

fn tencent(shared: &Shared<'_>, (queue, keys): Jobs) -> Tencent {
    let Shared { config, delivery, .. } = shared;
    Tencent {
        delivery: Arc::clone(delivery),
        queue,
        keys,
        spool: Spool::new(config.data_dir.join("spool")),
        uploads: Uploads::new(config.data_dir.join("uploads")),
        completions: Turns::default(),
        default_bucket: config.tencent.bucket.clone(),
        upload_bytes: config.limits.upload_bytes,
        patience: config.server.body_timeout,
        has_broker: config.jobs.amqp.is_some(),
    }
}
