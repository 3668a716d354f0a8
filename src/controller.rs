//! The workers: take a key, reconcile it, decide when it runs again.
//!
//! # The naive solution, and how it breaks
//!
//! `while let Some(key) = queue.get().await { reconcile(key).await? }`. The first error ends the controller. So
//! log it and go on: now an error is an event that is lost for good. So add the key again: now a broken object is
//! a busy loop. One slow reconcile stops all others, so spawn each: now a thousand of them meet the API server at
//! once. One bug, an index out of bounds for one odd object, and the panic takes a worker with it; ten
//! such objects and the process looks healthy while nothing is reconciled any more. And the stop: a signal
//! cuts a reconcile between two writes that belong together.
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
//!              |   Err(Permanent)       -> forget: waits for the object to change  |
//!              +-------------------------------------------------------------------+
//! ```
//!
//! * N workers bound what runs at once; that no two have the same key is the [queue's](crate::workqueue) promise.
//! * The outcome is a value, and the rules above are the only place that reads it.
//! * A panic unwinds as far as the worker, is counted and logged with its key, and counts as a transient error: the other
//!   keys don't notice, and the broken one backs off.
//! * The stop has an order: no new work, then the runs in flight may end within a grace period, then
//!   what is left is aborted at its next `.await`, then every worker is joined.
//!
//! # What it does not promise
//!
//! * An aborted run may have done a part of its work: a reconcile has to cope with that anyway, since the process
//!   may die at any instant.
//! * A reconcile that blocks its thread without an `.await` can't be aborted.
//! * After a panic, what the reconciler shares between runs is as the panic left it.
//!
//! # Equivalents
//!
//! controller-runtime: `pkg/internal/controller/controller.go` (`reconcileHandler`), whose names and metrics these are.
//! kube-runtime: `Controller::run` with its `error_policy`, where backoff is the user's to write.
//!
//! # What to try
//!
//! In the playground: put `panic!("try me")` into the reconcile for one name, create that object and another, and
//! watch `controller_runtime_reconcile_panics_total` grow, slower and slower, while the other becomes Ready.

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

/// What makes the world as a key wants it.
pub trait Reconcile<K>: Send + Sync {
    /// Brings the world closer to what `key` wants, from whatever state it is in.
    ///
    /// It gets a key and not an event: it looks up the newest state itself, and must not care why it runs, how often,
    /// or what an earlier run left undone.
    fn reconcile(&self, key: &K) -> impl Future<Output = Result<Action, Error>> + Send;
}

/// The numbers of a [`Controller`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many reconciles may run at once.
    pub workers: NonZeroUsize,
    /// How long the reconciles in flight may go on after the stop signal.
    pub grace: Duration,
}

impl Default for Options {
    /// Ten workers, and 20 s of the 30 s that Kubernetes gives a Pod to end: the rest is for what has to
    /// stop after the workers.
    fn default() -> Self {
        Self { workers: NonZeroUsize::MIN.saturating_add(9), grace: Duration::from_secs(20) }
    }
}

/// How a controller came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Stopped {
    /// Every run that was begun has ended by itself.
    InOrder,
    /// The grace period was over: so many workers were aborted in the middle of a run.
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
    /// A controller that works on `queue` and nobody else does. `name` is for the logs.
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

    /// Works until `stop`, or until somebody else shuts the queue down and it is empty. Keys that are in the queue at the
    /// stop stay undone.
    ///
    /// To be called once the caches that the reconcile reads are complete. Dropping the future aborts the workers.
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
            () = stop.cancelled() => {}
            () = join_all(&mut workers) => {}
        }
        // From here on nobody takes a key any more, so none may gather.
        queue.shut_down();
        let stopped = match timeout(options.grace, join_all(&mut workers)).await {
            Ok(()) => Stopped::InOrder,
            Err(_elapsed) => Stopped::Aborted(abort_all(&mut workers).await),
        };
        match stopped {
            Stopped::InOrder => info!(controller = name, "stopped"),
            Stopped::Aborted(workers) => {
                warn!(controller = name, workers, grace = ?options.grace, "aborted what did not end in time");
            }
        }
        stopped
    }
}

/// Waits for the end of every worker. Cancel-safe: who was joined is not waited for again.
async fn join_all(workers: &mut JoinSet<()>) {
    while let Some(joined) = workers.join_next().await {
        joined.unwrap_or_else(resume);
    }
}

/// Aborts the workers that are left, joins them, and returns how many did not come to their end before.
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

/// A panic of the worker itself, not of a reconcile: a bug in this module, which must not go unnoticed.
fn resume(error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests;
