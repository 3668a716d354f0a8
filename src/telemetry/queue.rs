//! `workqueue_*`: the metrics of client-go's work queues.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::gauge;

/// The state of a queue at the time of a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSnapshot {
    /// The number of keys that a worker could take now.
    pub depth: usize,
    /// How long the current runs have been going on, added up.
    pub unfinished: Duration,
    /// How long the longest current run has been going on.
    pub longest_running: Duration,
}

/// A queue that can be asked for its current state.
pub trait QueueProbe: Send + Sync {
    /// The current state.
    fn snapshot(&self) -> QueueSnapshot;
}

/// The metrics of one queue.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    name: String,
    adds: Counter,
    retries: Counter,
    queue_duration: Histogram,
    work_duration: Histogram,
    probes: Arc<Probes>,
}

impl QueueMetrics {
    /// This many keys were added.
    pub fn added(&self, keys: u64) {
        self.adds.inc_by(keys);
    }

    /// A key was added with a delay, by the rate limit or by request; client-go calls both a retry.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// A worker took a key after it had waited this long.
    pub fn taken(&self, waited: Duration) {
        self.queue_duration.observe(waited.as_secs_f64());
    }

    /// A run ended after `duration`.
    pub fn worked(&self, duration: Duration) {
        self.work_duration.observe(duration.as_secs_f64());
    }

    /// Lets scrapes ask `queue` for as long as it lives. It replaces an earlier queue of the same name.
    pub fn attach(&self, queue: Weak<dyn QueueProbe>) {
        self.probes.insert(&self.name, Some(queue));
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    name: String,
}

impl Labels {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

#[derive(Debug)]
pub(super) struct Families {
    adds: Family<Labels, Counter>,
    retries: Family<Labels, Counter>,
    queue_duration: Family<Labels, Histogram>,
    work_duration: Family<Labels, Histogram>,
    probes: Arc<Probes>,
}

impl Families {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let families = Self {
            adds: Family::default(),
            retries: Family::default(),
            queue_duration: Family::new_with_constructor(buckets),
            work_duration: Family::new_with_constructor(buckets),
            probes: Arc::default(),
        };
        let Self { adds, retries, queue_duration, work_duration, probes } = &families;
        registry.register("workqueue_adds", "Total number of adds handled by workqueue", adds.clone());
        registry.register("workqueue_retries", "Total number of retries handled by workqueue", retries.clone());
        registry.register(
            "workqueue_queue_duration_seconds",
            "How long in seconds an item stays in workqueue before being requested",
            queue_duration.clone(),
        );
        registry.register(
            "workqueue_work_duration_seconds",
            "How long in seconds processing an item from workqueue takes",
            work_duration.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(probes)));
        families
    }

    pub(super) fn handle(&self, name: &str) -> QueueMetrics {
        self.probes.insert(name, None);
        let labels = Labels::new(name);
        QueueMetrics {
            name: name.to_owned(),
            adds: self.adds.get_or_create_owned(&labels),
            retries: self.retries.get_or_create_owned(&labels),
            queue_duration: self.queue_duration.get_or_create_owned(&labels),
            work_duration: self.work_duration.get_or_create_owned(&labels),
            probes: Arc::clone(&self.probes),
        }
    }
}

/// From 10 ns to 1000 s in steps of ten, as in controller-runtime's `pkg/metrics/workqueue.go`.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(10e-9, 10.0, 12))
}

/// The queues to ask at a scrape, by name. A queue that does not exist yet, or any more, counts as empty.
#[derive(Default)]
struct Probes(Mutex<BTreeMap<String, Option<Weak<dyn QueueProbe>>>>);

impl Probes {
    fn insert(&self, name: &str, queue: Option<Weak<dyn QueueProbe>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), queue);
    }

    fn snapshots(&self) -> Vec<(Labels, QueueSnapshot)> {
        // Copied first: no queue is asked under this lock.
        let probes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ask = |queue: Option<Weak<dyn QueueProbe>>| queue?.upgrade().map(|queue| queue.snapshot());
        probes.into_iter().map(|(name, queue)| (Labels { name }, ask(queue).unwrap_or_default())).collect()
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshots()).finish()
    }
}

impl Collector for Probes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshots = self.snapshots();
        let mut family = |name, help, value: fn(&QueueSnapshot) -> f64| {
            let series = snapshots.iter().map(|(labels, snapshot)| (labels.clone(), value(snapshot)));
            gauge::encode(&mut encoder, name, help, series)
        };
        family("workqueue_depth", "Current depth of workqueue.", |snapshot| gauge::count(snapshot.depth))?;
        family(
            "workqueue_unfinished_work_seconds",
            "How many seconds of work is in progress and hasn't been observed by work_duration.",
            |snapshot| snapshot.unfinished.as_secs_f64(),
        )?;
        family(
            "workqueue_longest_running_processor_seconds",
            "How many seconds has the longest running processor for workqueue been running.",
            |snapshot| snapshot.longest_running.as_secs_f64(),
        )
    }
}
