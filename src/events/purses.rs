//! What each object may still write: 25 Events in a row, then one in five minutes.
//!
//! # The naive way, and how it breaks
//!
//! A map from objects to purses grows with every object that there ever was. So bound it, and forget what was not used
//! for longest: now a thousand and twenty-five noisy objects take turns in pushing each other out, and each comes back
//! with a full purse. Just when there is most to say, nothing bounds what is said.
//!
//! # The mechanism
//!
//! - A purse that is full again says nothing that a new one wouldn't: *these* are forgotten, and no others.
//! - Where all places are taken by purses that are not full, newcomers pay from one common purse.
//! - Whoever gets a purse of its own may have paid from the common one before. So it gets one that is as empty.
//!
//! Hence no object ever has more than its due, whatever others do. A purse costs 24 bytes: an object is known by a hash
//! alone, and two that share one share a purse.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// So many writes an object may cause in a row ...
pub const BURST: u32 = 25;
/// ... and then one in this time.
pub const REFILL: Duration = Duration::from_secs(5 * 60);

/// The purses of all objects that have spoken lately.
#[derive(Debug)]
pub(super) struct Purses {
    /// By the hash of the object.
    own: BTreeMap<u64, Purse>,
    /// `own` never holds more.
    capacity: usize,
    /// For who finds no place in `own`.
    common: Purse,
    /// Not before this is `own` searched for purses that are full again: that takes a look at each.
    sweep_at: Instant,
}

/// A bucket of [`BURST`] tokens, one more every [`REFILL`], kept as the instant when it is full again.
#[derive(Clone, Copy, Debug)]
struct Purse {
    full_at: Instant,
}

impl Purse {
    fn pay(&mut self, now: Instant) -> bool {
        let after = self.full_at.max(now) + REFILL;
        let can_pay = after <= now + REFILL * BURST;
        if can_pay {
            self.full_at = after;
        }
        can_pay
    }
}

impl Purses {
    /// Full purses for all; at most `capacity` of them will be told apart.
    pub(super) fn new(capacity: usize, now: Instant) -> Self {
        Self { own: BTreeMap::new(), capacity, common: Purse { full_at: now }, sweep_at: now + REFILL }
    }

    /// Pays for a write of this object, if it can.
    pub(super) fn pay(&mut self, object: u64, now: Instant) -> bool {
        if let Some(purse) = self.own.get_mut(&object) {
            return purse.pay(now);
        }
        if now >= self.sweep_at {
            self.own.retain(|_, purse| purse.full_at > now);
            self.sweep_at = now + REFILL;
        }
        if self.own.len() >= self.capacity {
            return self.common.pay(now);
        }
        self.own.entry(object).or_insert(self.common).pay(now)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_object_has_more_than_its_due_whatever_the_others_do() {
        for seed in 0..50 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut now = Instant::now();
            let mut purses = Purses::new(2, now);
            let mut paid: BTreeMap<u64, Vec<Instant>> = BTreeMap::new();
            for _ in 0..2_000 {
                now += SECOND * if random.random_ratio(1, 100) { 10_000 } else { random.random_range(0..30) };
                let object = random.random_range(0..4);
                if purses.pay(object, now) {
                    paid.entry(object).or_default().push(now);
                }
                assert!(purses.own.len() <= 2);
            }
            for times in paid.values() {
                for pair in times.windows(BURST as usize + 1) {
                    assert!(pair[BURST as usize] - pair[0] >= REFILL, "seed {seed}: the 26th within five minutes");
                }
            }
        }
    }

    #[test]
    fn all_the_others_together_do_not_refill_a_purse() {
        let now = Instant::now();
        let mut purses = Purses::new(1_000, now);
        assert_eq!((0..100).filter(|_| purses.pay(0, now)).count(), 25);
        let others = (1..100_000).filter(|object| purses.pay(*object, now)).count();
        assert_eq!(others, 999 + 25, "those that found a place, and what the common purse had");
        assert!(!purses.pay(0, now + REFILL - SECOND));
        assert!(purses.pay(0, now + REFILL));
    }

    #[test]
    fn who_has_emptied_the_common_purse_does_not_get_a_full_one_after_it() {
        let start = Instant::now();
        let mut purses = Purses::new(1, start);
        assert!(purses.pay(0, start), "it takes the only place");
        assert_eq!((0..100).filter(|_| purses.pay(1, start)).count(), 25);
        let later = start + REFILL;
        assert_eq!((0..100).filter(|_| purses.pay(1, later)).count(), 1, "the place is free, and no gain");
        assert!(purses.own.contains_key(&1));
    }

    #[test]
    fn purses_that_are_full_again_are_forgotten() {
        let start = Instant::now();
        let mut purses = Purses::new(1_000, start);
        for object in 0..1_000 {
            assert!(purses.pay(object, start));
        }
        assert!(purses.pay(1_000, start + REFILL));
        assert_eq!(purses.own.len(), 1);
    }
}
