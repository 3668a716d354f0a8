//! Keys that wait for a deadline.
//!
//! The naive solution starts a timer per delayed key. A key that is delayed for a year then costs a timer
//! for a year, and a key that is wanted *now* still has the old timer ticking, which runs it
//! a second time for nothing. Here a delay is an entry in an ordered set: the earliest stands first, and
//! only that one needs a timer. Cancelling is removing.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::Priority;

/// Why a key waits, which decides what its run counts as once the deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Somebody asked for a run at that time.
    Requeue,
    /// The last run failed; what comes at the deadline is its retry.
    Retry,
}

/// The wait of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delay {
    pub(super) due: Instant,
    pub(super) priority: Priority,
    pub(super) reason: Reason,
}

/// All keys that wait, by key and by deadline.
#[derive(Debug)]
pub(super) struct Delays<K> {
    by_key: BTreeMap<K, Delay>,
    /// Exactly the pairs of `by_key`: no deadline outlives its key, so nothing can leak.
    by_deadline: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone> Delays<K> {
    pub(super) fn new() -> Self {
        Self { by_key: BTreeMap::new(), by_deadline: BTreeSet::new() }
    }

    /// Lets `key` wait. Of two delays the earlier deadline wins (with its reason), and the higher priority.
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

    /// Takes out one key whose deadline has passed, the earliest first.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(K, Delay)> {
        if self.earliest()? > now {
            return None;
        }
        let (_due, key) = self.by_deadline.pop_first()?;
        self.by_key.remove_entry(&key)
    }

    /// The deadline that the one timer is set to.
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
