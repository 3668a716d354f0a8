//! The queue as a pure machine: every method takes the time and returns a value; nothing here waits,
//! wakes, locks or measures.
//!
//! ```text
//!                 add                      take                     done
//!   (nothing) ----------> queue + dirty ----------> processing ----------> (nothing)
//!       |                       ^                    |      ^
//!       | add_after             |           add      v      | take (never: a key in
//!       v                       |                  + dirty  |       processing is not
//!    delayed ---(deadline)------+                    |      |       in `queue`)
//!                               +-------- done ------+
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Priority;
use super::delayed::{Delay, Delays, Reason};
use super::rate_limit::{RateLimit, RateLimiter};
use crate::telemetry::QueueSnapshot;

/// The position of a ready key: higher priorities first, and the order of arrival within a priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: Reverse<Priority>,
    turn: u64,
}

/// A key that needs a run.
#[derive(Clone, Copy, Debug)]
struct Need {
    priority: Priority,
    since: Instant,
    /// Its place in `queue`; `None` while the key is being processed.
    place: Option<Place>,
}

/// A key that a worker has.
#[derive(Clone, Copy, Debug)]
struct Run {
    priority: Priority,
    started: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    ShuttingDown,
}

/// What [`State::take`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Take<K> {
    /// A key to work on, and how long it waited in the queue.
    Key { key: K, priority: Priority, waited: Duration },
    /// No key is ready. The next deadline of a delayed key, if there is one.
    Wait(Option<Instant>),
    /// No key is ready, and none is accepted any more.
    Finished,
}

/// The complete state of the queue.
#[derive(Debug)]
pub(super) struct State<K> {
    /// The ready keys in the order in which workers get them. Each is in `dirty`, with the same place, and
    /// not in `processing`.
    queue: BTreeMap<Place, K>,
    /// The keys that need a run: those in `queue`, and those that changed while a worker has them.
    dirty: BTreeMap<K, Need>,
    /// The keys that a worker has. They may be dirty; they are never in `queue`.
    processing: BTreeMap<K, Run>,
    /// The keys that will be dirty later. None of them is dirty now.
    delayed: Delays<K>,
    limiter: RateLimiter<K>,
    /// Grows with each key that enters `queue`: the order within a priority.
    turn: u64,
    phase: Phase,
}

impl<K: Ord + Clone> State<K> {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self {
            queue: BTreeMap::new(),
            dirty: BTreeMap::new(),
            processing: BTreeMap::new(),
            delayed: Delays::new(),
            limiter: RateLimiter::new(limit),
            turn: 0,
            phase: Phase::Running,
        }
    }

    /// Marks `key` as needing a run. Returns false if it was marked already, or if nothing is accepted any more.
    pub(super) fn add(&mut self, key: K, priority: Priority, now: Instant) -> bool {
        match self.phase {
            Phase::ShuttingDown => false,
            Phase::Running => {
                // This run replaces the one that was planned for later.
                let pending = self.delayed.remove(&key);
                let priority = pending.map_or(priority, |pending| pending.priority.max(priority));
                self.mark_dirty(key, priority, now)
            }
        }
    }

    /// Adds `key` once `delay` has passed, at the priority of its current run.
    ///
    /// A key that already needs a run is left alone: that run comes earlier. Returns how many keys became
    /// dirty at once, which is one if the delay is zero.
    pub(super) fn add_after(&mut self, key: K, delay: Duration, now: Instant) -> u64 {
        self.delay(key, now, |_limiter| (delay, Reason::Requeue))
    }

    /// Adds `key` again after a failed run, as soon as the rate limit allows, but not before `at_least` has passed.
    /// Returns the same as [`State::add_after`].
    pub(super) fn add_rate_limited(&mut self, key: K, at_least: Duration, now: Instant) -> u64 {
        if self.phase == Phase::ShuttingDown {
            return 0;
        }
        let n = self.limiter.failed(&key);
        self.delay(key, now, |limiter| (limiter.delay(n, now).max(at_least), Reason::Retry))
    }

    /// Adds `key` after `pause`, or later if the bucket of all keys requires it. Returns the same as
    /// [`State::add_after`].
    pub(super) fn add_paced(&mut self, key: K, pause: Duration, now: Instant) -> u64 {
        self.delay(key, now, |limiter| (limiter.turn(now).max(pause), Reason::Requeue))
    }

    /// `wait` is called only if the key will wait: a retry that an event has overtaken takes no token.
    fn delay(&mut self, key: K, now: Instant, wait: impl FnOnce(&mut RateLimiter<K>) -> (Duration, Reason)) -> u64 {
        if self.phase == Phase::ShuttingDown || self.dirty.contains_key(&key) {
            return 0;
        }
        let (delay, reason) = wait(&mut self.limiter);
        let priority = self.processing.get(&key).map_or(Priority::NORMAL, |run| run.priority);
        self.delayed.insert(key, Delay { due: now + delay.min(FAR_FUTURE), priority, reason });
        if delay.is_zero() { self.advance(now) } else { 0 }
    }

    /// Marks the delayed keys that are due as dirty, and returns their number.
    pub(super) fn advance(&mut self, now: Instant) -> u64 {
        let mut moved = 0;
        while let Some((key, Delay { due, priority, reason })) = self.delayed.pop_due(now) {
            match reason {
                Reason::Requeue => {}
                Reason::Retry => self.limiter.waited(&key),
            }
            self.mark_dirty(key, priority, due);
            moved += 1;
        }
        moved
    }

    fn mark_dirty(&mut self, key: K, priority: Priority, since: Instant) -> bool {
        let Some(need) = self.dirty.get(&key).copied() else {
            let place = if self.processing.contains_key(&key) { None } else { Some(self.enqueue(&key, priority)) };
            self.dirty.insert(key, Need { priority, since, place });
            return true;
        };
        if priority > need.priority {
            let place = need.place.map(|old| {
                self.queue.remove(&old);
                self.enqueue(&key, priority)
            });
            self.dirty.insert(key, Need { priority, since: need.since, place });
        }
        false
    }

    /// Puts `key` at the tail of its priority level.
    fn enqueue(&mut self, key: &K, priority: Priority) -> Place {
        self.turn += 1;
        let place = Place { priority: Reverse(priority), turn: self.turn };
        self.queue.insert(place, key.clone());
        place
    }

    /// Gives out the first ready key.
    ///
    /// The key leaves `dirty` here, *before* its run starts. If it were removed at the end, a change that
    /// arrives during the run would find the key dirty, add nothing, and be lost.
    pub(super) fn take(&mut self, now: Instant) -> Take<K> {
        if let Some((place, key)) = self.queue.pop_first() {
            let since = self.dirty.remove(&key).map_or(now, |need| need.since);
            let Reverse(priority) = place.priority;
            self.processing.insert(key.clone(), Run { priority, started: now });
            return Take::Key { key, priority, waited: now.saturating_duration_since(since) };
        }
        match self.phase {
            Phase::Running => Take::Wait(self.delayed.earliest()),
            Phase::ShuttingDown => Take::Finished,
        }
    }

    /// Ends the run of `key` and returns how long it took; `None` if there is no such run.
    ///
    /// A key that became dirty meanwhile goes to the tail of its priority level. Without a run there is nothing
    /// to end: putting the key into the queue anyway would give it to two workers
    /// (kubernetes/kubernetes#141079).
    pub(super) fn done(&mut self, key: &K, now: Instant) -> Option<Duration> {
        let run = self.processing.remove(key)?;
        if let Some(Need { priority, since, place: _ }) = self.dirty.get(key).copied() {
            let place = Some(self.enqueue(key, priority));
            self.dirty.insert(key.clone(), Need { priority, since, place });
        }
        Some(now.saturating_duration_since(run.started))
    }

    /// Resets the backoff of `key`, which stays where it is.
    pub(super) fn forget(&mut self, key: &K) {
        self.limiter.forget(key);
    }

    pub(super) fn num_requeues(&self, key: &K) -> u32 {
        self.limiter.num_requeues(key)
    }

    /// Accepts nothing from now on. Keys that are ready, or become ready with `done`, are still given out; delayed keys
    /// are dropped, since the end of a delay is an add.
    pub(super) fn shut_down(&mut self) {
        self.phase = Phase::ShuttingDown;
        self.delayed.clear();
    }

    /// The number of ready keys.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no key is ready and none is with a worker.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.processing.is_empty()
    }

    /// The next deadline, for which a timer is needed.
    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        self.delayed.earliest()
    }

    pub(super) fn snapshot(&self, now: Instant) -> QueueSnapshot {
        let running = || self.processing.values().map(|run| now.saturating_duration_since(run.started));
        QueueSnapshot {
            depth: self.len(),
            unfinished: running().sum(),
            longest_running: running().max().unwrap_or_default(),
        }
    }
}

/// The longest delay. A run that comes too early does no harm, whereas adding `Duration::MAX` to an instant panics
/// (kubernetes/kubernetes#83895, kube-rs/kube#1772).
const FAR_FUTURE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
