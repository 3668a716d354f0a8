//! The limit on each object's Events: 25 in a row, then one every five minutes.
//!
//! # The naive solution, and how it breaks
//!
//! A map from objects to token buckets grows with every object that has ever existed. So limit its size and evict the
//! least recently used bucket: now, with one object more than there is room for, noisy objects evict each other in
//! turn, and each comes back with a full bucket. Just when there are the most Events, nothing limits them.
//!
//! # The mechanism
//!
//! - A bucket that is full again is the same as a new one: *these* are forgotten, and no others.
//! - If all places are taken by buckets that are not full, other objects share one common bucket.
//! - An object that gets its own bucket may have used the common one before. So its own bucket starts as a copy of the
//!   common one.
//!
//! Hence no object ever gets more than its limit, whatever other objects do. A bucket takes 24 bytes: an object is
//! identified by a hash alone, and two objects with the same hash share a bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The number of writes that an object may cause in a row ...
pub const BURST: u32 = 25;
/// ... and then one per this time.
pub const REFILL: Duration = Duration::from_secs(5 * 60);

/// The buckets of all objects with recent Events.
#[derive(Debug)]
pub(super) struct TokenBuckets {
    /// By the hash of the object.
    own: BTreeMap<u64, TokenBucket>,
    /// The largest size of `own`.
    capacity: usize,
    /// For objects that find no place in `own`.
    common: TokenBucket,
    /// The next time to remove full buckets from `own`, which has to look at each of them.
    sweep_at: Instant,
}

/// A bucket of [`BURST`] tokens that gets one back every [`REFILL`], stored as the instant at which it is full again.
#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    full_at: Instant,
}

impl TokenBucket {
    /// Takes a token, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let after = self.full_at.max(now) + REFILL;
        let available = after <= now + REFILL * BURST;
        if available {
            self.full_at = after;
        }
        available
    }
}

impl TokenBuckets {
    /// Full buckets for all objects; at most `capacity` objects have their own.
    pub(super) fn new(capacity: usize, now: Instant) -> Self {
        Self { own: BTreeMap::new(), capacity, common: TokenBucket { full_at: now }, sweep_at: now + REFILL }
    }

    /// Takes a token for a write of this object, if there is one.
    pub(super) fn take(&mut self, object: u64, now: Instant) -> bool {
        if let Some(bucket) = self.own.get_mut(&object) {
            return bucket.take(now);
        }
        if now >= self.sweep_at {
            self.own.retain(|_, bucket| bucket.full_at > now);
            self.sweep_at = now + REFILL;
        }
        if self.own.len() >= self.capacity {
            return self.common.take(now);
        }
        self.own.entry(object).or_insert(self.common).take(now)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_object_gets_more_than_its_limit_whatever_the_others_do() {
        for seed in 0..50 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut now = Instant::now();
            let mut buckets = TokenBuckets::new(2, now);
            let mut paid: BTreeMap<u64, Vec<Instant>> = BTreeMap::new();
            for _ in 0..2_000 {
                now += SECOND * if random.random_ratio(1, 100) { 10_000 } else { random.random_range(0..30) };
                let object = random.random_range(0..4);
                if buckets.take(object, now) {
                    paid.entry(object).or_default().push(now);
                }
                assert!(buckets.own.len() <= 2);
            }
            for times in paid.values() {
                for pair in times.windows(BURST as usize + 1) {
                    assert!(pair[BURST as usize] - pair[0] >= REFILL, "seed {seed}: the 26th within five minutes");
                }
            }
        }
    }

    #[test]
    fn all_the_others_together_do_not_refill_a_bucket() {
        let now = Instant::now();
        let mut buckets = TokenBuckets::new(1_000, now);
        assert_eq!((0..100).filter(|_| buckets.take(0, now)).count(), 25);
        let others = (1..100_000).filter(|object| buckets.take(*object, now)).count();
        assert_eq!(others, 999 + 25, "those that found a place, and what the common bucket had");
        assert!(!buckets.take(0, now + REFILL - SECOND));
        assert!(buckets.take(0, now + REFILL));
    }

    #[test]
    fn an_object_that_emptied_the_common_bucket_does_not_get_a_full_one_afterwards() {
        let start = Instant::now();
        let mut buckets = TokenBuckets::new(1, start);
        assert!(buckets.take(0, start), "it takes the only place");
        assert_eq!((0..100).filter(|_| buckets.take(1, start)).count(), 25);
        let later = start + REFILL;
        assert_eq!((0..100).filter(|_| buckets.take(1, later)).count(), 1, "the place is free, and no gain");
        assert!(buckets.own.contains_key(&1));
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let start = Instant::now();
        let mut buckets = TokenBuckets::new(1_000, start);
        for object in 0..1_000 {
            assert!(buckets.take(object, start));
        }
        assert!(buckets.take(1_000, start + REFILL));
        assert_eq!(buckets.own.len(), 1);
    }
}
