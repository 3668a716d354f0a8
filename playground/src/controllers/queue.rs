//! A queue of keys: each stands in it at most once, now or at a time.
//!
//! It belongs to one task, which is why it needs neither lock nor waker, and takes the time as an argument.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::Instant;

/// What is to be looked at, and when.
#[derive(Debug)]
pub(super) struct Queue<K> {
    /// In the order of arrival.
    ready: VecDeque<K>,
    /// The elements of `ready`.
    queued: BTreeSet<K>,
    /// What waits for its time. No element is in `queued`.
    due: BTreeMap<K, Instant>,
    /// The inverse of `due`.
    timers: BTreeSet<(Instant, K)>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { ready: VecDeque::new(), queued: BTreeSet::new(), due: BTreeMap::new(), timers: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Queue<K> {
    /// To be looked at now. Cancels a pending delay: whoever looks now decides anew when to look again.
    pub(super) fn add(&mut self, key: K) {
        if let Some(at) = self.due.remove(&key) {
            self.timers.remove(&(at, key.clone()));
        }
        if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    /// To be looked at then; of several times the earliest counts.
    pub(super) fn add_at(&mut self, key: K, at: Instant) {
        if self.queued.contains(&key) || self.due.get(&key).is_some_and(|earlier| *earlier <= at) {
            return;
        }
        if let Some(later) = self.due.insert(key.clone(), at) {
            self.timers.remove(&(later, key.clone()));
        }
        self.timers.insert((at, key));
    }

    /// The next key whose time has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<K> {
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.timers.pop_first() {
                self.due.remove(&key);
                self.add(key);
            }
        }
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        Some(key)
    }

    /// When the next delay ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Duration;

    #[test]
    fn a_key_stands_in_the_queue_once_and_the_earliest_time_counts() {
        let now = Instant::now();
        let later = |ms| now + Duration::from_millis(ms);
        let mut queue = Queue::default();
        queue.add("a");
        queue.add("a");
        queue.add_at("a", later(1));
        queue.add_at("b", later(5));
        queue.add_at("b", later(2));
        queue.add_at("b", later(9));
        assert_eq!(queue.pop(now), Some("a"));
        assert_eq!(queue.pop(now), None);
        assert_eq!(queue.next_due(), Some(later(2)));
        assert_eq!(queue.pop(later(2)), Some("b"));
        assert_eq!(queue.pop(later(60)), None);
    }

    #[test]
    fn an_add_cancels_the_pending_delay() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add_at("a", now + Duration::from_secs(1));
        queue.add("a");
        assert_eq!(queue.next_due(), None);
        assert_eq!(queue.pop(now), Some("a"));
    }
}
