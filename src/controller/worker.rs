//! One worker: the loop, and the rules for each outcome.

use std::any::Any;
use std::fmt::Display;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, error_span, warn};

use super::{Action, Error, Reconcile};
use crate::telemetry::{ControllerMetrics, ReconcileResult};
use crate::workqueue::{Item, Workqueue};

/// How a run ended: what the reconcile returned, or its panic.
#[derive(Debug)]
enum Outcome {
    Done,
    RequeueAfter(Duration),
    Wait(Duration),
    Transient(Error),
    Busy(Error, Duration),
    Unreachable(Error, Duration),
    Permanent(Error),
    /// The message of the panic.
    Panic(String),
}

/// What the workers of a controller share.
pub(super) struct Worker<K: Ord + Clone, R> {
    pub(super) controller: String,
    pub(super) queue: Workqueue<K>,
    pub(super) reconciler: Arc<R>,
    pub(super) metrics: ControllerMetrics,
    pub(super) stop: CancellationToken,
    /// The number of runs so far. It is the id that the log lines of one run share.
    pub(super) runs: AtomicU64,
}

impl<K, R> Worker<K, R>
where
    K: Ord + Clone + Display,
    R: Reconcile<K>,
{
    /// Works until the stop, or until the queue is shut down and empty.
    pub(super) async fn run(self: Arc<Self>) {
        while let Some(item) = self.next().await {
            let id = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
            let span = error_span!("reconcile", controller = self.controller, key = %*item, id);
            self.work(item).instrument(span).await;
        }
    }

    async fn next(&self) -> Option<Item<K>> {
        tokio::select! {
            // In this order: after the stop no key is taken, even if many are ready.
            biased;
            () = self.stop.cancelled() => None,
            item = self.queue.get() => item,
        }
    }

    async fn work(&self, item: Item<K>) {
        let _active = self.metrics.active();
        let started = Instant::now();
        let outcome = self.reconcile(item.key()).await;
        self.count(&outcome, started);
        self.requeue(&outcome, item.key());
        self.log(&outcome, item.key());
        // After the requeue, so that the new run has the priority of this one.
        self.queue.done(item);
    }

    async fn reconcile(&self, key: &K) -> Outcome {
        // The block makes the call itself part of what is caught.
        match caught(async { self.reconciler.reconcile(key).await }).await {
            Ok(Ok(Action::Done)) => Outcome::Done,
            Ok(Ok(Action::RequeueAfter(delay))) => Outcome::RequeueAfter(delay),
            Ok(Ok(Action::Wait(delay))) => Outcome::Wait(delay),
            Ok(Err(error @ Error::Transient(_))) => Outcome::Transient(error),
            Ok(Err(error @ Error::Busy(_, wait))) => Outcome::Busy(error, wait),
            Ok(Err(error @ Error::Unreachable(_, pause))) => Outcome::Unreachable(error, pause),
            Ok(Err(error @ Error::Permanent(_))) => Outcome::Permanent(error),
            Err(panic) => Outcome::Panic(message(&*panic)),
        }
    }

    fn requeue(&self, outcome: &Outcome, key: &K) {
        match outcome {
            Outcome::Done | Outcome::Permanent(_) => self.queue.forget(key),
            Outcome::RequeueAfter(delay) => {
                self.queue.forget(key);
                self.queue.add_after(key.clone(), *delay);
            }
            Outcome::Wait(delay) => self.queue.add_after(key.clone(), *delay),
            // An overloaded server says "in a second" to ten thousand keys. If each took it at its word, all of them
            // would be back in a second, every second. So the server's time is a lower bound, and the rate limit still
            // applies.
            Outcome::Busy(_, wait) => self.queue.add_rate_limited_after(key.clone(), *wait),
            Outcome::Unreachable(_, pause) => self.queue.add_paced(key.clone(), *pause),
            Outcome::Transient(_) | Outcome::Panic(_) => self.queue.add_rate_limited(key.clone()),
        }
    }

    fn count(&self, outcome: &Outcome, started: Instant) {
        let result = match outcome {
            Outcome::Done => ReconcileResult::Success,
            Outcome::RequeueAfter(_) | Outcome::Wait(_) => ReconcileResult::RequeueAfter,
            Outcome::Transient(_)
            | Outcome::Busy(..)
            | Outcome::Unreachable(..)
            | Outcome::Permanent(_)
            | Outcome::Panic(_) => ReconcileResult::Error,
        };
        self.metrics.reconciled(result, started.elapsed());
        if let Outcome::Panic(_) = outcome {
            self.metrics.panicked();
        }
    }

    /// Logs one line for each failure; the key is a field of the span.
    fn log(&self, outcome: &Outcome, key: &K) {
        let failures = self.queue.num_requeues(key);
        match outcome {
            Outcome::Done => debug!("reconciled"),
            Outcome::RequeueAfter(delay) => debug!(?delay, "reconciled, will run again"),
            Outcome::Wait(delay) => debug!(?delay, "not reconciled yet, waiting for the caches"),
            Outcome::Transient(error) => warn!(%error, failures, "reconcile failed, will be retried"),
            Outcome::Busy(error, wait) => {
                warn!(%error, failures, ?wait, "reconcile failed, will be retried when the server allows");
            }
            Outcome::Unreachable(error, pause) => warn!(%error, ?pause, "reconcile failed, will be retried"),
            Outcome::Permanent(error) => warn!(%error, "reconcile failed, waiting for the object to change"),
            Outcome::Panic(panic) => error!(%panic, failures, "reconcile panicked, will be retried"),
        }
    }
}

/// Polls `future` to its end, or until it panics.
///
/// A task of its own would catch the panic as well, but then each run is a task that has to be aborted and joined.
/// `AssertUnwindSafe` asserts that nobody sees a broken value: the future is not polled again, and what the reconciler
/// shares between runs is behind locks, which detect panics themselves.
async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// The text of a panic, if it has one.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)").to_owned()
}
