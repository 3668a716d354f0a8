//! A map with a fixed capacity, which evicts the entry that was not used for the longest time.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// At most `capacity` entries.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    capacity: usize,
    /// The next place in `order`. It grows with every use; 64 bits last longer than any process.
    next: u64,
    /// Each value with its place in `order`.
    entries: HashMap<K, (V, u64)>,
    /// Exactly the keys of `entries`, the least recently used first.
    order: BTreeMap<u64, K>,
}

impl<K: Eq + Hash + Clone, V> Lru<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, next: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    /// The value, which becomes the most recently used one.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (value, place) = self.entries.get_mut(key)?;
        if let Some(key) = self.order.remove(place) {
            *place = self.next;
            self.order.insert(self.next, key);
            self.next += 1;
        }
        Some(value)
    }

    /// Inserts a value. If there are `capacity` entries already, the least recently used one is evicted.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        if self.entries.len() >= self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.order.insert(self.next, key.clone());
        self.entries.insert(key, (value, self.next));
        self.next += 1;
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((_, place)) = self.entries.remove(key) {
            self.order.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_is_evicted() {
        let mut lru = Lru::new(2);
        lru.insert("a", 1);
        lru.insert("b", 2);
        assert_eq!(lru.get_mut(&"a"), Some(&mut 1));
        lru.insert("c", 3);
        assert_eq!(lru.get_mut(&"a"), Some(&mut 1));
        assert_eq!(lru.get_mut(&"b"), None);
        lru.insert("a", 4);
        lru.insert("d", 5);
        assert_eq!(lru.get_mut(&"a"), Some(&mut 4));
        assert_eq!(lru.get_mut(&"c"), None);
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let mut lru = Lru::new(10);
        for key in 0..1_000 {
            lru.insert(key % 37, key);
            lru.get_mut(&(key % 11));
            lru.remove(&(key % 7));
            assert!(lru.entries.len() <= 10);
            assert_eq!(lru.entries.len(), lru.order.len());
        }
    }
}
