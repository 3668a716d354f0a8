//! The queue between "something changed" and "make it right".
//!
//! # The naive solution, and how it breaks
//!
//! Put events into a channel and let workers read from it. Then a Deployment rolls out and sends
//! forty events within a second: forty entries for the same object and forty reconciles, thirty-nine of them
//! for nothing. Two workers read two of the entries and reconcile the same object at the
//! same time, each from what it saw, each undoing the other's work. One object fails, is added again, fails, is added
//! again: a core at 100 % and an API server that gets the same refused write a thousand times a second. And the
//! ten thousand objects of the initial list are ahead of the one that a person has just changed.
//!
//! # The mechanism
//!
//! The queue holds *keys*, in three sets:
//!
//! ```text
//!            +----------------------------- dirty: needs a run ------------------------------+
//!            |                                                                               |
//!   add ---> |   queue: ready, in order                          changed while processed     |
//!            |   [ c | a | f ]                                   { b }                       |
//!            +-----|-----------------------------------------------^-------------------------+
//!                  | get                                           |
//!                  v                                               |
//!            +--- processing: a worker has it ----+                |
//!            |   { b, d }                         | --- add(b) ----+      done(b): b goes to the tail
//!            +------------------------------------+                       done(d): d leaves
//!
//!   delayed: { e: in 3 s, g: in 17 min } ---- the one timer, set to the earliest ----> add
//! ```
//!
//! 1. A key is in the queue at most once: many adds, one run.
//! 2. A key is never with two workers: the reconcile needs no lock of its own.
//! 3. An add while the key is processed causes exactly one more run, after the current one: no change is lost,
//!    because a key leaves `dirty` *before* its run starts.
//! 4. First in, first out within a [`Priority`]; fresh changes come before the initial list.
//! 5. A key waits for at most one deadline: of two delays the earlier one counts, and an immediate add cancels it.
//! 6. A key that keeps failing waits longer each time, and the rate of all retries together is limited: see
//!    [`RateLimit`].
//!
//! The rules are a pure machine in `state`, which takes the time and returns values; `timekeeper` explains who waits
//! for the deadlines. This file adds the lock, the waiting and the metrics. In `interleavings`, a test of it, every
//! order in which a few threads can do a few things with a queue is tried.
//!
//! # What it does not promise
//!
//! * Durability: a restart loses everything, and the initial list brings everything back.
//! * Fairness between priorities: while there is work of a higher priority, a lower one waits.
//! * Exact deadlines: a key that is due runs when a worker is free.
//! * Objects: the queue carries keys only. A run reads the *newest* state of its key (level-triggered).
//!
//! # Equivalents
//!
//! client-go: `util/workqueue` (`queue.go`, `delaying_queue.go`, `rate_limiting_queue.go`), three types that wrap each
//! other; the priorities are those of controller-runtime's `priorityqueue`. kube-runtime: `scheduler` and `runner`,
//! which deduplicate and delay, but have neither a backoff per key nor a depth.
//!
//! # What to try
//!
//! Move `self.dirty.remove` from `take` to `done` in `workqueue/state.rs` and run `cargo test workqueue`: the failing
//! `a_change_that_arrives_right_after_the_get_is_not_lost` shows the lost update.

use std::ops::Deref;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use rate_limit::RateLimit;

use crate::telemetry::{QueueMetrics, QueueProbe, QueueSnapshot};
use state::{State, Take};
use sync::{Mutex, Notify};
use timekeeper::Role;

mod delayed;
mod rate_limit;
mod state;
mod sync;
mod timekeeper;

/// How urgent a key is. Higher runs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(pub i32);

impl Priority {
    /// For keys that have just changed.
    pub const NORMAL: Self = Self(0);
    /// For keys from the initial list or a resync, which most likely need nothing.
    /// The number is controller-runtime's `handler.LowPriority`.
    pub const LOW: Self = Self(-100);
}

/// A queue of keys; see the [module](self). Clones are handles to the same queue.
#[derive(Debug)]
pub struct Workqueue<K: Ord + Clone> {
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K: Ord + Clone> {
    state: Mutex<State<K>>,
    /// Wakes one waiting `get`. Invariant: while a key is ready and a `get` waits, one of them is being woken.
    ready: Notify,
    timekeeper: Role,
    /// Wakes everybody who waits for the queue to be idle.
    idle: Notify,
    metrics: QueueMetrics,
}

impl<K: Ord + Clone> Clone for Workqueue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Ord + Clone + Send + 'static> Workqueue<K> {
    /// An empty queue.
    pub fn new(limit: RateLimit, metrics: QueueMetrics) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(limit)),
            ready: Notify::new(),
            timekeeper: Role::new(),
            idle: Notify::new(),
            metrics,
        });
        let probe = Arc::downgrade(&shared);
        shared.metrics.attach(probe);
        Self { shared }
    }
}

impl<K: Ord + Clone> Workqueue<K> {
    /// Requests a run of `key` as soon as a worker is free.
    pub fn add(&self, key: K) {
        self.add_with_priority(key, Priority::NORMAL);
    }

    /// Requests a run of `key` at this priority. A key that is ready already keeps its place, unless this priority is
    /// higher.
    pub fn add_with_priority(&self, key: K, priority: Priority) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        let added = state.add(key, priority, now);
        drop(state);
        if added {
            self.shared.metrics.added(1);
            self.shared.ready.notify_one();
        }
    }

    /// Requests a run of `key` after `delay`, at the priority of its current run; at once if the delay is zero.
    /// A delay of more than a year counts as a year.
    ///
    /// A run that comes earlier, for whatever reason, replaces this one.
    pub fn add_after(&self, key: K, delay: Duration) {
        self.shared.delay(|state, now| state.add_after(key, delay, now));
    }

    /// Requests another run of `key` after a failed one, as soon as the [`RateLimit`] allows.
    pub fn add_rate_limited(&self, key: K) {
        self.add_rate_limited_after(key, Duration::ZERO);
    }

    /// The same, but not before `at_least` has passed. It is for a server that says when to come back. Since the server
    /// may say the same to everybody, its time can't replace the [`RateLimit`].
    pub fn add_rate_limited_after(&self, key: K, at_least: Duration) {
        self.shared.delay(|state, now| state.add_rate_limited(key, at_least, now));
    }

    /// Requests another run of `key` after `pause`, or later if the bucket of all keys requires it. For a run that
    /// failed for a reason which has nothing to do with its key: the backoff of the key does not change.
    pub fn add_paced(&self, key: K, pause: Duration) {
        self.shared.delay(|state, now| state.add_paced(key, pause, now));
    }

    /// Resets the backoff of `key`, because a run succeeded. If the key is in the queue, it stays there.
    pub fn forget(&self, key: &K) {
        self.shared.lock().forget(key);
    }

    /// How often `key` was rate-limited since it was last forgotten, not counting failed runs that an event caused
    /// during the backoff.
    pub fn num_requeues(&self, key: &K) -> u32 {
        self.shared.lock().num_requeues(key)
    }

    /// Waits for a key and takes it. `None` once the queue is shut down and no key is ready.
    ///
    /// Cancel-safe: a key leaves the queue in the poll that returns it. A future that is
    /// dropped while it waits has taken nothing, and passes its wake-up on.
    pub async fn get(&self) -> Option<Item<K>> {
        let mut role = None;
        loop {
            // Created before the look, so that what happens after it is not missed.
            let woken = self.shared.ready.notified();
            match self.shared.take() {
                Take::Key { key, priority, waited: _ } => {
                    return Some(Item { key, priority, shared: Arc::clone(&self.shared) });
                }
                Take::Finished => return None,
                Take::Wait(due) => {
                    role = role.or_else(|| self.shared.timekeeper.claim(&self.shared.ready));
                    match &role {
                        None => woken.await,
                        Some(timekeeper) => timekeeper.wait(woken, due).await,
                    }
                }
            }
        }
    }

    /// Ends the run of a key, like dropping the [`Item`].
    pub fn done(&self, item: Item<K>) {
        drop(item);
    }

    /// Ignores every add from now on. Ready keys are still given out, then [`get`](Self::get) returns `None`;
    /// delayed keys are dropped.
    pub fn shut_down(&self) {
        self.shared.lock().shut_down();
        self.shared.ready.notify_waiters();
    }

    /// [Shuts down](Self::shut_down), then waits until no key is ready and none is with a worker.
    ///
    /// Workers must be running: with a key in the queue and no worker this waits for ever. The
    /// [controller](crate::controller) doesn't use it: its workers leave ready keys undone at a stop.
    pub async fn shut_down_with_drain(&self) {
        self.shut_down();
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// The number of keys that a worker could take now, without delayed keys and keys in processing.
    pub fn len(&self) -> usize {
        self.shared.snapshot().depth
    }

    /// Whether no key is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Ord + Clone> Shared<K> {
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // Nothing in the critical sections panics, except perhaps the keys' own `Ord`.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delay(&self, act: impl FnOnce(&mut State<K>, Instant) -> u64) {
        let mut state = self.lock();
        let before = state.earliest_deadline();
        let moved = act(&mut state, Instant::now());
        let sooner = state.earliest_deadline() != before;
        drop(state);
        self.metrics.retried();
        self.moved(moved);
        if sooner {
            self.timekeeper.rearm();
        }
    }

    /// This many delayed keys became ready. One wake-up is enough: a worker that takes a key and leaves others wakes
    /// the next worker.
    fn moved(&self, keys: u64) {
        self.metrics.added(keys);
        if keys > 0 {
            self.ready.notify_one();
        }
    }

    fn take(&self) -> Take<K> {
        let now = Instant::now();
        let mut state = self.lock();
        let moved = state.advance(now);
        let take = state.take(now);
        let (more, deadlines) = (state.len() > 0, state.earliest_deadline().is_some());
        drop(state);
        self.metrics.added(moved);
        if let Take::Key { waited, .. } = &take {
            self.metrics.taken(*waited);
            // The wake-up that led here may have been meant for another key, or for the next timekeeper.
            if more || (deadlines && self.timekeeper.is_free()) {
                self.ready.notify_one();
            }
        }
        take
    }

    fn done(&self, key: &K) {
        let mut state = self.lock();
        let worked = state.done(key, Instant::now());
        let (ready, idle) = (state.len() > 0, state.is_idle());
        drop(state);
        if let Some(worked) = worked {
            self.metrics.worked(worked);
        }
        if ready {
            self.ready.notify_one();
        }
        if idle {
            self.idle.notify_waiters();
        }
    }
}

impl<K: Ord + Clone> Shared<K> {
    fn snapshot(&self) -> QueueSnapshot {
        let now = Instant::now();
        let mut state = self.lock();
        let moved = state.advance(now);
        let snapshot = state.snapshot(now);
        drop(state);
        self.moved(moved);
        snapshot
    }
}

impl<K: Ord + Clone + Send> QueueProbe for Shared<K> {
    fn snapshot(&self) -> QueueSnapshot {
        Self::snapshot(self)
    }
}

/// A key in the hands of one worker. Dropping it ends the run, however the worker ends: a panic or an abort can't leave
/// a key in processing for ever, and no run can be ended twice.
#[derive(Debug)]
pub struct Item<K: Ord + Clone> {
    key: K,
    priority: Priority,
    shared: Arc<Shared<K>>,
}

impl<K: Ord + Clone> Item<K> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The priority that the key had in the queue.
    pub fn priority(&self) -> Priority {
        self.priority
    }
}

impl<K: Ord + Clone> Deref for Item<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.key
    }
}

impl<K: Ord + Clone> Drop for Item<K> {
    fn drop(&mut self) {
        self.shared.done(&self.key);
    }
}

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;
