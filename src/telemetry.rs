//! What the operator says about itself: logs for single events, metrics for totals.
//!
//! # The naive solution, and how it breaks
//!
//! A global registry and a macro at each place that counts. That works until a test starts two operators in
//! one process and reads the sum of both; until a deleted `MCPServer` is still "Running" on the
//! dashboard, because somebody set its gauge and nobody removed it; and until the queue is stuck and
//! the gauge that should show it has the last value from *before* it got stuck.
//!
//! # The mechanism
//!
//! ```text
//!   Metrics::new() --- owns ---> Registry <--- render() --- GET /metrics
//!       |                          ^   ^
//!       | queue("mcpserver")       |   | read at the scrape: depth, unfinished work, ages,
//!       v                          |   | everything about one MCPServer
//!   QueueMetrics -- counts into ---+   +--- Weak<dyn QueueProbe>, the last report of each server
//! ```
//!
//! * **No globals.** The [manager](crate::manager) creates a [`Metrics`] and hands it down; each module gets a small
//!   handle with only its own families ([`QueueMetrics`], [`ControllerMetrics`], [`ClientMetrics`],
//!   [`InformerMetrics`], [`LeaderMetrics`], [`ServerMetrics`], [`VerificationMetrics`]). Handles are cheap to clone and count into the same
//!   series.
//! * **No value is stored twice.** Gauges that depend on the time or on another data structure are computed when they
//!   are scraped. They can't be stale, negative, or left behind.
//! * **Every series with fixed labels exists at 0 from the start**: `rate()` over a counter that appears with its first
//!   increment never sees that increment.
//! * **No label value comes from data**, except the namespace and name of an `MCPServer`; those series are removed with
//!   it.
//!
//! # What it does not promise
//!
//! That the numbers of one scrape belong to one instant. Each is correct at the moment it is read.
//!
//! # Equivalents
//!
//! Names, labels and buckets are the ones that existing dashboards use, from client-go (`workqueue_*`, `rest_client_*`,
//! `leader_election_*`) and controller-runtime (`controller_runtime_*`). kube-runtime has no metrics.
//! A counter is registered *without* `_total`: in the OpenMetrics text format only the sample has the suffix, and
//! prometheus-client appends it.
//!
//! # What to try
//!
//! Start `make playground ARGS="--metrics-bind-address 127.0.0.1:8080"`. In another terminal:
//!
//! ```sh
//! curl -s localhost:8080/metrics | grep ^workqueue
//! curl -s localhost:8080/metrics | grep mcpserver_info
//! kubectl delete mcp fetch
//! curl -s localhost:8080/metrics | grep mcpserver_info
//! ```
//!
//! Changes move the queue's counters, and the series of `fetch` are gone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

pub use client::ClientMetrics;
pub use controller::{ControllerMetrics, ReconcileResult};
pub use informer::{InformerMetrics, ReflectorMetrics};
pub use leader::LeaderMetrics;
#[cfg(test)]
pub(crate) use logs::heard::Heard;
pub use logs::{LogFilter, LogFormat, LogsError, init_logs, init_logs_to};
pub use queue::{QueueMetrics, QueueProbe, QueueSnapshot};
pub use server::{ServerMetrics, ServerReport};
pub use verification::{VerificationMetrics, VerifyResult};

mod client;
mod controller;
mod gauge;
mod informer;
mod leader;
mod logs;
mod queue;
mod server;
mod verification;

/// The content type of [`Metrics::render`].
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of one operator. Clones share everything.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    /// Never changes after `new`: the families are fixed, only their series come and go.
    registry: Registry,
    queues: queue::Families,
    controllers: controller::Families,
    clients: client::Families,
    informers: informer::Families,
    leaders: leader::Families,
    servers: ServerMetrics,
    verification: VerificationMetrics,
    /// How long the text of all of them was when it was written last.
    rendered: AtomicUsize,
}

impl Metrics {
    /// A registry with every family of the operator, and no series yet except those without labels.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        Self(Arc::new(Families {
            queues: queue::Families::register(&mut registry),
            controllers: controller::Families::register(&mut registry),
            clients: client::Families::register(&mut registry),
            informers: informer::Families::register(&mut registry),
            leaders: leader::Families::register(&mut registry),
            servers: server::register(&mut registry),
            verification: verification::register(&mut registry),
            rendered: AtomicUsize::new(0),
            registry,
        }))
    }

    /// The metrics of the work queue `name`, all at 0.
    pub fn queue(&self, name: &str) -> QueueMetrics {
        self.0.queues.handle(name)
    }

    /// The metrics of the controller `name`, all at 0.
    pub fn controller(&self, name: &str) -> ControllerMetrics {
        self.0.controllers.handle(name)
    }

    /// The metrics of a client that talks to `host`.
    pub fn client(&self, host: &str) -> ClientMetrics {
        self.0.clients.handle(host)
    }

    /// The metrics of the informer of `resource` (the plural, such as `deployments`).
    pub fn informer(&self, resource: &str) -> InformerMetrics {
        self.0.informers.handle(resource)
    }

    /// The metrics of the leader election on the Lease `name`; not leading yet.
    pub fn leader(&self, name: &str) -> LeaderMetrics {
        self.0.leaders.handle(name)
    }

    /// The metrics about the `MCPServer`s themselves.
    pub fn servers(&self) -> ServerMetrics {
        self.0.servers.clone()
    }

    /// The metrics of the verification, all at 0.
    pub fn verification(&self) -> VerificationMetrics {
        self.0.verification.clone()
    }

    /// Everything in the OpenMetrics text format; see [`OPENMETRICS`] for the content type.
    pub fn render(&self) -> Result<String, fmt::Error> {
        // With ten thousand servers it is 13 MB. A text that doubles as it grows would need, and copy, four times as much.
        let last = self.0.rendered.load(Ordering::Relaxed);
        let mut text = String::with_capacity(last + last / 8);
        text::encode(&mut text, &self.0.registry)?;
        self.0.rendered.store(text.len(), Ordering::Relaxed);
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
