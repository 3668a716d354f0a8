//! The queue between "something changed" and "make it right".
//!
//! # The naive solution, and how it breaks
//!
//! Events come in, so put them into a channel and let workers read it. Then a Deployment rolls out and sends
//! forty events within a second: forty entries for the same object, and forty reconciles of which
//! thirty-nine find nothing to do. Two workers read two of them and reconcile the same object at the
//! same time, each from what it saw, each undoing the other. One object fails, is put back, fails, is put
//! back: a core at 100 % and an API server that gets the same refused write a thousand times a second. And the
//! ten thousand objects of the initial list stand in front of the one that a person just changed.
//!
//! # The mechanism
//!
//! The queue holds *keys*, and three sets of them make all the difference:
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
//! 1. A key stands in the queue at most once: many adds, one run.
//! 2. A key is never with two workers: the reconcile needs no lock of its own.
//! 3. An add while the key is processed gives exactly one more run, after the present one: no change is lost,
//!    because a key leaves `dirty` *before* its run starts.
//! 4. First in, first out within a [`Priority`]; what just changed comes before the initial list.
//! 5. A key waits at most once: of two delays the earlier counts, and an immediate add cancels it.
//! 6. What fails waits longer each time, and all failures together are bounded: see [`RateLimit`].
//!
//! The rules are a pure machine in `state`, which takes the time and returns values; who waits for the deadlines is
//! told in `timekeeper`. This file adds the lock, the waiting and the metrics.
//!
//! # What it does not promise
//!
//! * It is not durable: a restart loses it all, and the initial list brings it all back.
//! * It is not fair between priorities: while there is work of a higher one, a lower one waits.
//! * Deadlines are not exact: a key that is due comes when a worker is free.
//! * An object is not carried along. By the time of the run the key's *newest* state counts (level-triggered).
//!
//! # Equivalents
//!
//! client-go: `util/workqueue` (`queue.go`, `delaying_queue.go`, `rate_limiting_queue.go`), three types around each
//! other; the priorities are controller-runtime's `priorityqueue`. kube-runtime: `scheduler` and `runner`,
//! which deduplicate and delay, but know neither backoff per key nor depth.
//!
//! # What to try
//!
//! Move `self.dirty.remove` from `take` to `done` in `workqueue/state.rs` and run `cargo test workqueue`: the failing
//! `a_change_that_arrives_right_after_the_get_is_not_lost` tells the story of the lost update.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use rate_limit::RateLimit;

use crate::telemetry::{QueueMetrics, QueueProbe, QueueSnapshot};
use state::{State, Take};
use timekeeper::Role;

mod delayed;
mod rate_limit;
mod state;
mod timekeeper;

/// How urgent a key is. Higher runs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(pub i32);

impl Priority {
    /// What just changed.
    pub const NORMAL: Self = Self(0);
    /// What was found in the initial list or by a resync, and most likely needs nothing.
    /// The number is controller-runtime's `handler.LowPriority`.
    pub const INITIAL: Self = Self(-100);
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
    /// Wakes all who wait for the queue to be idle.
    idle: Notify,
    metrics: QueueMetrics,
}

impl<K: Ord + Clone> Clone for Workqueue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Ord + Clone + Send + 'static> Workqueue<K> {
    /// An empty queue. `seed` is that of the rate limit's jitter.
    pub fn new(limit: RateLimit, seed: u64, metrics: QueueMetrics) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(limit, seed)),
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
    /// Asks for a run of `key`, as soon as a worker is free.
    pub fn add(&self, key: K) {
        self.add_with_priority(key, Priority::NORMAL);
    }

    /// Asks for a run of `key` at this priority. A key that is ready already keeps its place, unless this is higher.
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

    /// Asks for a run of `key` once `delay` has passed, at the priority of the run that asks; at once where it is zero.
    /// A delay beyond a year is a year.
    ///
    /// A run that comes earlier, for whatever reason, serves for this one too.
    pub fn add_after(&self, key: K, delay: Duration) {
        self.shared.delay(|state, now| state.add_after(key, delay, now));
    }

    /// Asks for another run of `key`, whose run failed, when the [`RateLimit`] allows.
    pub fn add_rate_limited(&self, key: K) {
        self.add_rate_limited_after(key, Duration::ZERO);
    }

    /// The same, but not before `at_least` has passed, however early the [`RateLimit`] would allow it: somebody has said
    /// when another run makes sense. It is told the same to everybody, so it can't stand in for the limit.
    pub fn add_rate_limited_after(&self, key: K, at_least: Duration) {
        self.shared.delay(|state, now| state.add_rate_limited(key, at_least, now));
    }

    /// Ends the backoff of `key`, because a run succeeded. It stays in the queue, if it is there.
    pub fn forget(&self, key: &K) {
        self.shared.lock().forget(key);
    }

    /// How often `key` was rate-limited since it was last forgotten, not counting the failures of runs that an
    /// event brought about during the backoff.
    pub fn num_requeues(&self, key: &K) -> u32 {
        self.shared.lock().num_requeues(key)
    }

    /// Waits for a key and takes it. None once the queue is shut down and nothing is ready any more.
    ///
    /// Cancel-safe: a key leaves the queue in the very poll that returns it, so a future that is
    /// dropped while it waits has taken nothing, and hands on what it was woken for.
    pub async fn get(&self) -> Option<Item<K>> {
        let mut role = None;
        loop {
            // Before looking, so that what happens after the look is not missed.
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

    /// Ends the run of a key: the same as dropping the [`Item`].
    pub fn done(&self, item: Item<K>) {
        drop(item);
    }

    /// Ignores every add from here on. What is ready is still given out, then [`get`](Self::get) returns None;
    /// what is delayed is dropped.
    pub fn shut_down(&self) {
        self.shared.lock().shut_down();
        self.shared.ready.notify_waiters();
    }

    /// Waits until no key is ready and none is with a worker. Delayed keys don't count.
    ///
    /// Somebody has to work for that: with a key in the queue and no worker this waits for ever.
    pub async fn drained(&self) {
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// [`shut_down`](Self::shut_down), then [`drained`](Self::drained).
    pub async fn shut_down_with_drain(&self) {
        self.shut_down();
        self.drained().await;
    }

    /// The number of keys that a worker could take right now; delayed ones and those in processing don't count.
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
        // Nothing in the critical sections panics, short of the keys' own `Ord`.
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

    /// So many delayed keys became ready. One wake-up is enough: who takes a key and leaves others, wakes the next.
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
            // The wake-up that led here may have been meant for the next key, or for the next timekeeper.
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

/// A key that a worker has, and nobody else. Dropping it ends the run, however the worker ends: a key can't stay
/// in processing for ever because of a panic or an abort, nor can a run be ended twice.
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
mod tests;
