//! What the server counts, as Prometheus reads it. Labels come from small fixed sets, never from keys, paths or clients; names
//! of queues, which operators and owners choose, are bounded in number.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::cache::Origin;
use crate::jobs::queue::Backlog;
use crate::transform::{Load, Timings};

/// The type of what [`Metrics::text`] writes.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Queues that have lines of their own; all others are counted together.
const NAMED_QUEUES: usize = 100;
const OTHER_QUEUES: &str = "(others)";

type Label = (&'static str, &'static str);
type Seconds<const N: usize> = Family<[Label; N], Histogram, fn() -> Histogram>;
type Level = Gauge<f64, AtomicU64>;

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// `delivery` or `api`.
    pub listener: &'static str,
    /// One of the usual methods, or `other`.
    pub method: &'static str,
    /// The status.
    pub status: u16,
    /// From the complete head of the request to the head of the answer.
    pub time: Duration,
}

/// What requests are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requests {
    listener: &'static str,
    method: &'static str,
    status: u16,
}

/// Levels, as they are when somebody looks.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    /// Of rendering.
    pub load: Load,
    /// Of jobs, where there are any.
    pub backlog: Option<Backlog>,
}

/// Counters since the start, and the levels of the last look.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Requests, Counter>,
    request_seconds: Seconds<1>,
    stage_seconds: Seconds<1>,
    results: Family<[Label; 1], Counter>,
    sent_bytes: Family<[Label; 1], Counter>,
    connections: Family<[Label; 1], Gauge>,
    refused_connections: Family<[Label; 2], Counter>,
    waiting: Gauge,
    workers: Gauge,
    busy_workers: Gauge,
    cache_bytes: Gauge,
    cache_entries: Gauge,
    ladder_bytes: Gauge,
    ladder_rungs: Gauge,
    resident_bytes: Gauge,
    start_seconds: Level,
    jobs: Family<[(&'static str, String); 2], Gauge>,
    notifications: Family<[Label; 1], Gauge>,
}

/// From 1 ms to half a minute.
fn request_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

/// From a quarter of a millisecond to eight seconds.
fn stage_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.00025, 2.0, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            registry: Registry::with_prefix("mogr"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(request_histogram),
            stage_seconds: Family::new_with_constructor(stage_histogram),
            results: Family::default(),
            sent_bytes: Family::default(),
            connections: Family::default(),
            refused_connections: Family::default(),
            waiting: Gauge::default(),
            workers: Gauge::default(),
            busy_workers: Gauge::default(),
            cache_bytes: Gauge::default(),
            cache_entries: Gauge::default(),
            ladder_bytes: Gauge::default(),
            ladder_rungs: Gauge::default(),
            resident_bytes: Gauge::default(),
            start_seconds: Gauge::default(),
            jobs: Family::default(),
            notifications: Family::default(),
        }
    }
}

impl Metrics {
    /// Nothing counted yet. `start_seconds` is the time, in seconds since 1970.
    pub fn new(start_seconds: f64) -> Self {
        let mut metrics = Self::default();
        metrics.start_seconds.set(start_seconds);
        let (all, seconds) = (&mut metrics.registry, || Unit::Seconds);
        all.register("requests", "Requests answered", metrics.requests.clone());
        let help = "From the head of a request to the head of its answer";
        all.register_with_unit("request", help, seconds(), metrics.request_seconds.clone());
        let help = "Parts of making a result, those from the cache left out";
        all.register_with_unit("stage", help, seconds(), metrics.stage_seconds.clone());
        all.register("results", "Results answered with, by whether the cache had them", metrics.results.clone());
        all.register("sent_bytes", "Bytes of bodies that were answered with", metrics.sent_bytes.clone());
        all.register("connections", "Open connections", metrics.connections.clone());
        let help = "Connections that had no place";
        all.register("refused_connections", help, metrics.refused_connections.clone());
        all.register("queue_length", "Requests that wait for a worker", metrics.waiting.clone());
        all.register("workers", "Threads for pixel work", metrics.workers.clone());
        all.register("workers_busy", "Threads at work", metrics.busy_workers.clone());
        all.register("cache_bytes", "Bytes of results in memory", metrics.cache_bytes.clone());
        all.register("cache_entries", "Results in memory", metrics.cache_entries.clone());
        all.register("ladder_bytes", "Bytes of decoded planes in memory", metrics.ladder_bytes.clone());
        all.register("ladder_rungs", "Decodes whose planes are in memory", metrics.ladder_rungs.clone());
        all.register("resident_memory_bytes", "Memory of the process", metrics.resident_bytes.clone());
        all.register("start_time_seconds", "When the server started, since 1970", metrics.start_seconds.clone());
        all.register("jobs", "Jobs by queue and state", metrics.jobs.clone());
        all.register("notifications", "Notifications by state", metrics.notifications.clone());
        metrics
    }

    /// A request was answered.
    pub fn answered(&self, answered: Answered) {
        let Answered { listener, method, status, time } = answered;
        self.requests.get_or_create(&Requests { listener, method, status }).inc();
        self.request_seconds.get_or_create(&[("listener", listener)]).observe(time.as_secs_f64());
    }

    /// An answer's body ended.
    pub fn sent(&self, listener: &'static str, bytes: u64) {
        self.sent_bytes.get_or_create(&[("listener", listener)]).inc_by(bytes);
    }

    /// A result was answered with; its timings count where it was made for this request.
    pub fn result(&self, origin: Origin, timings: Timings) {
        let cache = if origin == Origin::Hit { "hit" } else { "miss" };
        self.results.get_or_create(&[("cache", cache)]).inc();
        if origin == Origin::Hit {
            return;
        }
        for (stage, time) in [
            ("fetch", timings.fetch),
            ("wait", timings.wait),
            ("decode", timings.decode),
            ("ops", timings.ops),
            ("encode", timings.encode),
        ] {
            self.stage_seconds.get_or_create(&[("stage", stage)]).observe(time.as_secs_f64());
        }
    }

    /// A connection was opened; it is open until the guard is dropped.
    pub fn connected(&self, listener: &'static str) -> Connected {
        let gauge = self.connections.get_or_create_owned(&[("listener", listener)]);
        gauge.inc();
        Connected(gauge)
    }

    /// A connection had no place.
    pub fn refused(&self, listener: &'static str, limit: &'static str) {
        self.refused_connections.get_or_create(&[("listener", listener), ("limit", limit)]).inc();
    }

    /// Everything, with these levels, as text.
    pub fn text(&self, levels: &Levels) -> String {
        self.set(levels);
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn set(&self, levels: &Levels) {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let load = levels.load;
        self.waiting.set(count(load.waiting as u64));
        self.workers.set(count(load.workers as u64));
        self.busy_workers.set(count(load.busy as u64));
        self.cache_bytes.set(count(load.cache_bytes));
        self.cache_entries.set(count(load.cache_entries));
        self.ladder_bytes.set(count(load.ladder_bytes));
        self.ladder_rungs.set(count(load.ladder_rungs));
        self.resident_bytes.set(count(resident_bytes().unwrap_or_default()));
        let Some(backlog) = &levels.backlog else { return };
        self.jobs.clear();
        for (queue, waiting, running) in bounded(backlog) {
            for (state, jobs) in [("waiting", waiting), ("running", running)] {
                self.jobs.get_or_create(&[("queue", queue.clone()), ("state", state.to_owned())]).set(jobs);
            }
        }
        for (state, messages) in [("pending", backlog.pending), ("dead", backlog.dead)] {
            self.notifications.get_or_create(&[("state", state)]).set(messages);
        }
    }
}

/// The fullest queues by name, and the others together.
fn bounded(backlog: &Backlog) -> Vec<(String, i64, i64)> {
    let mut queues = backlog.queues.clone();
    queues.sort_by_key(|(_, waiting, running)| std::cmp::Reverse(waiting + running));
    let others = queues.split_off(queues.len().min(NAMED_QUEUES));
    if !others.is_empty() {
        let sum = |of: fn(&(String, i64, i64)) -> i64| others.iter().map(of).sum();
        queues.push((OTHER_QUEUES.to_owned(), sum(|it| it.1), sum(|it| it.2)));
    }
    queues
}

/// Memory of this process, where Linux tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// A connection that is open, until dropped.
#[derive(Debug)]
pub struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_bounded() {
        let queues = (0..150).map(|n| (format!("q{n}"), n, 1)).collect();
        let bounded = bounded(&Backlog { queues, pending: 0, dead: 0 });
        assert_eq!(bounded.len(), NAMED_QUEUES + 1);
        assert_eq!(bounded[0], ("q149".to_owned(), 149, 1));
        assert_eq!(bounded[NAMED_QUEUES], (OTHER_QUEUES.to_owned(), (0..50).sum(), 50));
    }

    #[test]
    fn what_is_counted_is_written() {
        let metrics = Metrics::new(1.5);
        let time = Duration::from_millis(3);
        metrics.answered(Answered { listener: "delivery", method: "GET", status: 200, time });
        metrics.result(Origin::Miss, Timings { decode: time, ..Timings::default() });
        metrics.result(Origin::Hit, Timings::default());
        metrics.sent("delivery", 10);
        let connected = metrics.connected("api");
        let text = metrics.text(&Levels::default());
        for line in [
            "mogr_requests_total{listener=\"delivery\",method=\"GET\",status=\"200\"} 1",
            "mogr_request_seconds_bucket{le=\"0.004\",listener=\"delivery\"} 1",
            "mogr_stage_seconds_count{stage=\"decode\"} 1",
            "mogr_results_total{cache=\"hit\"} 1",
            "mogr_sent_bytes_total{listener=\"delivery\"} 10",
            "mogr_connections{listener=\"api\"} 1",
            "mogr_start_time_seconds 1.5",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        drop(connected);
        assert!(metrics.text(&Levels::default()).contains("mogr_connections{listener=\"api\"} 0"));
    }
}
