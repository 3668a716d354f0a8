//! The workers: take a key, reconcile it, decide when it runs again.
//!
//! # The naive solution, and how it breaks
//!
//! `while let Some(key) = queue.get().await { reconcile(key).await? }`. The first error ends the controller. So
//! log it and continue: now every error loses an event for good. So add the key again: now a broken object is
//! a busy loop. One slow reconcile blocks all others, so spawn each: now a thousand of them hit the API server at
//! once. One bug, an index out of bounds for one odd object, and the panic takes a worker with it; after ten
//! such objects the process looks healthy while nothing is reconciled any more. And the stop: a signal
//! interrupts a reconcile between two writes that belong together.
//!
//! # The mechanism
//!
//! ```text
//!              +--------------------------- worker 1..N ---------------------------+
//!  queue.get ->| reconcile(key), panics caught                                     |
//!              |   Ok(Done)             -> forget                                  |-> done
//!              |   Ok(RequeueAfter(d))  -> forget, add_after(d)                    |
//!              |   Ok(Wait(d))          -> add_after(d): neither success nor error |
//!              |   Err(Transient), panic-> add_rate_limited                        |
//!              |   Err(Busy(d))         -> add_rate_limited, no sooner than d      |
//!              |   Err(Unreachable(d))  -> add_paced: the backoff doesn't grow     |
//!              |   Err(Permanent)       -> forget: waits for the object to change  |
//!              +-------------------------------------------------------------------+
//! ```
//!
//! * N workers limit how many reconciles run at once; the [queue](crate::workqueue) guarantees that no two of them have
//!   the same key.
//! * The outcome is a value, and only the rules above interpret it.
//! * A panic unwinds to the worker. It is counted, logged with its key, and handled like a transient error: the other
//!   keys are not affected, and the broken one backs off.
//! * The stop has an order: no new work; then running reconciles may finish within a grace period; then
//!   the rest is aborted at its next `.await`; then every worker is joined.
//!
//! `Permanent` is for input that can't work until somebody changes it. MCPServers practically never use it: what the
//! API server refuses becomes the condition `Accepted=False`, and is tried again after five minutes, since the refusal
//! may come from a policy that changes. What is left is a child that can't be serialized, which would be a bug.
//!
//! # What it does not promise
//!
//! * That a run is done completely or not at all: an aborted run may have done a part of its work. A reconcile has to
//!   cope with that anyway, since the process may die at any moment.
//! * That every run can be aborted: one that blocks its thread without an `.await` can't.
//! * That a panic leaves no trace: what the reconciler shares between runs stays as the panic left it.
//!
//! # Equivalents
//!
//! controller-runtime: `pkg/internal/controller/controller.go` (`reconcileHandler`); the names and metrics are the
//! same. kube-runtime: `Controller::run` with its `error_policy`, where users write the backoff themselves.
//!
//! # What to try
//!
//! Put `assert_ne!(key.name(), "fetch", "try me")` at the beginning of `six_steps` in `src/mcpserver.rs`, start
//! `make playground ARGS="--metrics-bind-address 127.0.0.1:8080"`, and repeat
//! `curl -s localhost:8080/metrics | grep reconcile_panics`: the count grows, more and more slowly, while the other
//! servers become Ready.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use outcome::{Action, Error};

use crate::telemetry::ControllerMetrics;
use crate::workqueue::Workqueue;
use worker::Worker;

mod outcome;
mod worker;

/// Brings the actual state of a key to its desired state.
pub trait Reconcile<K>: Send + Sync {
    /// Brings the actual state of `key` closer to the desired state, whatever the actual state is.
    ///
    /// It receives a key, not an event: it looks up the newest state itself, and must not depend on why it runs, how
    /// often, or what an earlier run left undone.
    fn reconcile(&self, key: &K) -> impl Future<Output = Result<Action, Error>> + Send;
}

/// The numbers of a [`Controller`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many reconciles may run at once.
    pub workers: NonZeroUsize,
    /// How long running reconciles may continue after the stop signal.
    pub grace: Duration,
}

impl Default for Options {
    /// Ten workers, and 20 s of the 30 s that Kubernetes gives a Pod to terminate: the rest is for everything that
    /// stops after the workers.
    fn default() -> Self {
        Self { workers: NonZeroUsize::MIN.saturating_add(9), grace: Duration::from_secs(20) }
    }
}

/// How a controller stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Stopped {
    /// Every run ended by itself.
    InOrder,
    /// The grace period was over: this many workers were aborted in the middle of a run.
    Aborted(usize),
}

/// Workers on a queue; see the [module](self).
#[derive(Debug)]
pub struct Controller<K: Ord + Clone, R> {
    name: String,
    queue: Workqueue<K>,
    reconciler: Arc<R>,
    options: Options,
    metrics: ControllerMetrics,
}

impl<K, R> Controller<K, R>
where
    K: Ord + Clone + Display + Send + Sync + 'static,
    R: Reconcile<K> + 'static,
{
    /// A controller that works on `queue`; nobody else may take keys from it. `name` is for the logs.
    pub fn new(
        name: impl Into<String>,
        queue: Workqueue<K>,
        reconciler: Arc<R>,
        options: Options,
        metrics: ControllerMetrics,
    ) -> Self {
        metrics.workers(options.workers.get());
        Self { name: name.into(), queue, reconciler, options, metrics }
    }

    /// Works until `stop`, or until somebody else shuts the queue down and it is empty. Keys that are in the queue at
    /// the stop are not worked on.
    ///
    /// Call it once the caches that the reconcile reads have synced. Dropping the future aborts the workers.
    pub async fn run(self, stop: CancellationToken) -> Stopped {
        let Self { name, queue, reconciler, options, metrics } = self;
        let worker = Arc::new(Worker {
            controller: name.clone(),
            queue: queue.clone(),
            reconciler,
            metrics,
            stop: stop.clone(),
            runs: AtomicU64::new(0),
        });
        let mut workers: JoinSet<()> = (0..options.workers.get()).map(|_| Arc::clone(&worker).run()).collect();
        info!(controller = name, workers = options.workers, "working");
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = join_all(&mut workers) => {}
        }
        // From here on nobody takes keys, so none may accumulate.
        queue.shut_down();
        let stopped = match timeout(options.grace, join_all(&mut workers)).await {
            Ok(()) => Stopped::InOrder,
            Err(_elapsed) => Stopped::Aborted(abort_all(&mut workers).await),
        };
        match stopped {
            Stopped::InOrder => info!(controller = name, "stopped"),
            Stopped::Aborted(workers) => {
                warn!(controller = name, workers, grace = ?options.grace, "aborted the reconciles that did not finish in time");
            }
        }
        stopped
    }
}

/// Waits for the end of every worker. Cancel-safe: a worker that was joined is not waited for again.
async fn join_all(workers: &mut JoinSet<()>) {
    while let Some(joined) = workers.join_next().await {
        joined.unwrap_or_else(resume);
    }
}

/// Aborts the remaining workers, joins them, and returns how many had not ended before.
async fn abort_all(workers: &mut JoinSet<()>) -> usize {
    workers.abort_all();
    let mut aborted = 0;
    while let Some(joined) = workers.join_next().await {
        match joined {
            Ok(()) => {}
            Err(error) if error.is_cancelled() => aborted += 1,
            Err(error) => resume(error),
        }
    }
    aborted
}

/// Propagates a panic of a worker itself (not of a reconcile): a bug in this module must not go unnoticed.
fn resume(error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests;
