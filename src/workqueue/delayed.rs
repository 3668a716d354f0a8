//! Keys that wait for a deadline.
//!
//! The naive solution starts a timer per delayed key. A key that is delayed for a year then needs a timer
//! for a year, and when a key is added *now*, its old timer keeps ticking and later runs the key
//! a second time for nothing. Here a delay is an entry in an ordered set: the earliest comes first, and
//! only that one needs a timer. To cancel a delay is to remove its entry.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::Priority;

/// Why a key waits. It decides how the run after the deadline is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A run was requested for that time.
    Requeue,
    /// The last run failed; the run after the deadline is its retry.
    Retry,
}

/// The delay of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delay {
    pub(super) due: Instant,
    pub(super) priority: Priority,
    pub(super) reason: Reason,
}

/// All delayed keys, by key and by deadline.
#[derive(Debug)]
pub(super) struct Delays<K> {
    by_key: BTreeMap<K, Delay>,
    /// Exactly the pairs of `by_key`: no deadline outlives its key, so nothing leaks.
    by_deadline: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone> Delays<K> {
    pub(super) fn new() -> Self {
        Self { by_key: BTreeMap::new(), by_deadline: BTreeSet::new() }
    }

    /// Delays `key`. Of two delays the earlier deadline wins (with its reason), and the higher priority.
    pub(super) fn insert(&mut self, key: K, mut delay: Delay) {
        if let Some(old) = self.remove(&key) {
            let priority = old.priority.max(delay.priority);
            delay = Delay { priority, ..if old.due <= delay.due { old } else { delay } };
        }
        self.by_deadline.insert((delay.due, key.clone()));
        self.by_key.insert(key, delay);
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<Delay> {
        let (key, delay) = self.by_key.remove_entry(key)?;
        self.by_deadline.remove(&(delay.due, key));
        Some(delay)
    }

    /// Removes one key whose deadline has passed, the earliest first.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(K, Delay)> {
        if self.earliest()? > now {
            return None;
        }
        let (_due, key) = self.by_deadline.pop_first()?;
        self.by_key.remove_entry(&key)
    }

    /// The deadline for the one timer.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(due, _key)| *due)
    }

    pub(super) fn clear(&mut self) {
        self.by_key.clear();
        self.by_deadline.clear();
    }
}

#[cfg(test)]
impl<K: Ord + Clone> Delays<K> {
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.by_key.keys()
    }

    pub(super) fn check_invariants(&self) {
        let pairs: BTreeSet<_> = self.by_key.iter().map(|(key, delay)| (delay.due, key.clone())).collect();
        assert!(pairs == self.by_deadline, "the two orders hold the same delays");
    }
}
