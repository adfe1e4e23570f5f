//! What runs jobs in this process, and a node that does nothing else.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{bind, probes, remote, sweep, transformer};
use crate::config::Config;
use crate::http::dialect;
use crate::http::health::Health;
use crate::http::observe::Listener;
use crate::http::server::{self, Endpoint};
use crate::jobs::model::JobId;
use crate::jobs::notify::Notifier;
use crate::jobs::purges::Purges;
use crate::jobs::queue::{self, Queue};
use crate::jobs::sink::Sink;
#[cfg(feature = "amqp")]
use crate::jobs::sink::amqp::Broker;
use crate::jobs::work::{self, Work};
use crate::jobs::worker::Worker;
use crate::media;
use crate::transform::Transformer;

/// How often jobs that ended long ago are forgotten.
const RETENTION_PERIOD: Duration = Duration::from_secs(600);

/// A node that only runs jobs, until `stop`.
///
/// # Errors
/// An address that cannot be bound, a bucket whose store cannot be opened, and a database.
pub async fn work(config: &Config, stop: CancellationToken) -> anyhow::Result<()> {
    let transformer = transformer(config)?;
    let queue = open_queue(config).await?;
    let purges = open_purges(config, &queue, &transformer).await?;
    let mut tasks = vec![tokio::spawn(sweep(config.data_dir.clone(), stop.clone()))];
    let health = Arc::new(Health::new(None, Some(queue.clone())));
    // Probes are answered until the last job has been put back.
    let is_done = CancellationToken::new();
    let mut answers = None;
    if let Some(address) = config.work_listen {
        let (metrics, routes) = probes(&health, &transformer, Some(queue.clone()));
        let tcp = bind(address, None).await?;
        tracing::info!(address = %tcp.local_addr()?, "probes are answered");
        let endpoint = Endpoint { listener: Listener::Api, tcp, config: config.server.clone(), metrics, tls: None };
        answers = Some(tokio::spawn(server::serve(endpoint, routes, is_done.clone())));
    }
    tasks.push(tokio::spawn(purges.run(stop.clone())));
    tasks.extend(job_tasks(config, &queue, &transformer, &stop));
    let drain = async {
        stop.cancelled().await;
        health.drain();
        Ok(())
    };
    tokio::try_join!(futures::future::try_join_all(tasks), drain)?;
    is_done.cancel();
    if let Some(answers) = answers {
        answers.await?;
    }
    queue.close().await;
    Ok(())
}

pub(super) async fn open_queue(config: &Config) -> anyhow::Result<Queue> {
    let limit = |count: NonZeroUsize| i32::try_from(count.get()).unwrap_or(i32::MAX);
    let settings = queue::Settings {
        lease: config.jobs.lease,
        max_waiting: limit(config.jobs.max_waiting).into(),
        max_waiting_per_owner: limit(config.jobs.max_waiting_per_owner()).into(),
        max_queues: limit(config.jobs.max_queues).into(),
        max_attempts: limit(config.jobs.max_attempts),
    };
    Ok(Queue::open(&config.database_url(), settings).await?)
}

/// What was purged is not used by this node's transformer, as long as [`Purges::run`] runs.
pub(super) async fn open_purges(config: &Config, queue: &Queue, transformer: &Transformer) -> anyhow::Result<Purges> {
    Ok(Purges::open(queue, &config.database_url(), transformer.sources().generations().clone()).await?)
}

/// What runs jobs, tells their owners and forgets them after a while.
pub(super) fn job_tasks(
    config: &Config,
    queue: &Queue,
    transformer: &Transformer,
    stop: &CancellationToken,
) -> [JoinHandle<()>; 3] {
    let work = work::Settings {
        max_attempts: queue.settings().max_attempts,
        spool: config.data_dir.join("spool"),
        picture_source_bytes: config.limits.source_bytes,
        media_source_bytes: config.limits.upload_bytes,
        media: media::Limits::default(),
    };
    let worker = Worker {
        queue: queue.clone(),
        work: Arc::new(Work::new(transformer.clone(), remote(config), work)),
        name: format!("{}-{}", std::process::id(), JobId::new(SystemTime::now())),
        slots: config.jobs.workers.get(),
    };
    let notifier = Notifier {
        queue: queue.clone(),
        remote: remote(config),
        keys: Arc::new(config.key_ring()),
        spell: Arc::new(dialect::message),
        sink: sink(config),
        per_target: config.jobs.notify_per_target.get(),
    };
    [
        tokio::spawn(worker.run(stop.clone())),
        tokio::spawn(notifier.run(stop.clone())),
        tokio::spawn(forget_finished(queue.clone(), config.jobs.keep, stop.clone())),
    ]
}

/// Message queues that owners may be told by.
#[cfg(feature = "amqp")]
fn sink(config: &Config) -> Option<Arc<dyn Sink>> {
    config.jobs.amqp.clone().map(|url| Arc::new(Broker::new(url)) as Arc<dyn Sink>)
}

/// Settings refuse a broker that this build could not speak to.
#[cfg(not(feature = "amqp"))]
const fn sink(_: &Config) -> Option<Arc<dyn Sink>> {
    None
}

async fn forget_finished(queue: Queue, keep: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(RETENTION_PERIOD);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        match queue.delete_finished(SystemTime::now() - keep).await {
            Ok(0) => {}
            Ok(jobs) => tracing::info!(jobs, "finished jobs were forgotten"),
            Err(error) => tracing::error!(%error, "finished jobs could not be forgotten"),
        }
    }
}
