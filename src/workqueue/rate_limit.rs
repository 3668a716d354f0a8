//! When a key whose run failed may run again.
//!
//! Two limits, and the later of the two counts:
//!
//! * Per key: `min(5 ms * 2^n, 1000 s)`. One broken object must not eat the workers.
//! * Over all keys: a token bucket, 10 per second with a burst of 100. A thousand broken objects
//!   (the registry is down, a webhook refuses everything) must not eat the API server.
//!
//! # What `n` counts
//!
//! client-go raises `n` with *every* failed run. That looks right until events come in: the object changes
//! ten times during its first backoff, each event runs the key at once, each run fails, and
//! the delay is 5 s before a single retry was made; a hundred events and it is 17 minutes
//! (kubernetes/kubernetes#132805). The delay should grow with evidence that *waiting* did not help, so here `n`
//! counts failed **retries**: runs that came because a delay had passed.
//!
//! ```text
//!              fails: delay(0)
//!   no entry ------------------> Backoff(n) --- the delay passes ---> Retry(n)
//!       ^                         ^   |  ^                              |
//!       | forget (success,        |   |  |      fails: delay(n+1)       |
//!       |  requeue-after)         +---+  +------------------------------+
//!       |                   an event's run fails:
//!   (anywhere)              the same delay(n)
//! ```
//!
//! What is *not* promised: events themselves are never slowed down. A key that changes once a
//! millisecond runs as often as a worker is free.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

/// The numbers of the rate limit; the default ones are client-go's
/// (`workqueue.DefaultTypedControllerRateLimiter`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// The delay of a key's first failure; it doubles with each failed retry.
    pub base: Duration,
    /// No key waits longer on its own account.
    pub cap: Duration,
    /// How much of a key's delay may be added at random: 0.1 gives `[d, 1.1d)`. Zero, the default, is
    /// enough where the bucket spreads the herd.
    pub jitter: f64,
    /// One token of the bucket shared by all keys comes back in this time.
    pub refill: Duration,
    /// How many tokens the full bucket holds.
    pub burst: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(5),
            cap: Duration::from_secs(1000),
            jitter: 0.0,
            refill: Duration::from_millis(100),
            burst: 100,
        }
    }
}

/// What is remembered of a key that failed and was not forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failures {
    /// `n` retries failed; the delay that follows from it was set, and has not passed.
    Backoff(u32),
    /// That delay has passed: the next run is a retry, and if it fails, `n` grows.
    Retry(u32),
}

/// The failures of each key, and the bucket of all.
#[derive(Debug)]
pub(super) struct RateLimiter<K> {
    limit: RateLimit,
    /// Only keys that failed since they were last forgotten: success is what keeps this small.
    failures: BTreeMap<K, Failures>,
    bucket: Bucket,
    random: StdRng,
}

impl<K: Ord + Clone> RateLimiter<K> {
    pub(super) fn new(limit: RateLimit, seed: u64) -> Self {
        Self { limit, failures: BTreeMap::new(), bucket: Bucket::default(), random: StdRng::seed_from_u64(seed) }
    }

    /// Notes that a run of `key` failed, and returns the `n` of its next delay.
    pub(super) fn failed(&mut self, key: &K) -> u32 {
        let n = match self.failures.get(key) {
            None => 0,
            Some(Failures::Backoff(n)) => *n,
            Some(Failures::Retry(n)) => n.saturating_add(1),
        };
        self.failures.insert(key.clone(), Failures::Backoff(n));
        n
    }

    /// Notes that the delay of `key` has passed: its next run is a retry.
    pub(super) fn waited(&mut self, key: &K) {
        if let Some(failures) = self.failures.get_mut(key) {
            let (Failures::Backoff(n) | Failures::Retry(n)) = *failures;
            *failures = Failures::Retry(n);
        }
    }

    /// The delay for a key with `n` failed retries: the later of its own and of the bucket's, which this takes
    /// a token from.
    pub(super) fn delay(&mut self, n: u32, now: Instant) -> Duration {
        let RateLimit { base, cap, jitter, refill, burst } = self.limit;
        let factor = 1_u32.checked_shl(n);
        let own = factor.and_then(|factor| base.checked_mul(factor)).map_or(cap, |delay| delay.min(cap));
        let own = own.mul_f64(1.0 + jitter * self.random.random::<f64>()).min(cap);
        own.max(self.bucket.take(refill, burst, now))
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// 0 for a key that did not fail, 1 after the first failure, one more with each failed retry.
    pub(super) fn num_requeues(&self, key: &K) -> u32 {
        match self.failures.get(key) {
            None => 0,
            Some(Failures::Backoff(n) | Failures::Retry(n)) => n.saturating_add(1),
        }
    }
}

/// A token bucket without tokens: it keeps how long it would take to fill up again. Durations are whole
/// nanoseconds, so that unlike a count of fractional tokens it can't drift.
#[derive(Debug, Default)]
struct Bucket {
    /// The time until the bucket is full, as of `at`.
    debt: Duration,
    /// None until the first token is taken.
    at: Option<Instant>,
}

impl Bucket {
    /// Takes a token, if need be one of the future, and returns how long it takes until that one is there.
    fn take(&mut self, refill: Duration, burst: u32, now: Instant) -> Duration {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.debt = self.debt.saturating_sub(passed).saturating_add(refill);
        self.debt.saturating_sub(refill.saturating_mul(burst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits of one key alone: a bucket that never empties.
    const OWN: RateLimit = RateLimit {
        base: Duration::from_millis(5),
        cap: Duration::from_secs(1000),
        jitter: 0.0,
        refill: Duration::ZERO,
        burst: 1,
    };

    #[test]
    fn the_delay_of_a_key_is_5_ms_doubled_n_times_up_to_1000_s() {
        let mut limiter = RateLimiter::<u8>::new(OWN, 0);
        let now = Instant::now();
        let millis: Vec<_> = (0..5).map(|n| limiter.delay(n, now).as_millis()).collect();
        assert_eq!(millis, [5, 10, 20, 40, 80]);
        assert_eq!(limiter.delay(17, now), Duration::from_millis(655_360));
        assert_eq!(limiter.delay(18, now), Duration::from_secs(1000));
    }

    #[test]
    fn the_delay_of_a_key_does_not_overflow_for_any_n() {
        let mut limiter = RateLimiter::<u8>::new(OWN, 0);
        for n in [19, 30, 31, 32, 33, 63, 64, 1_000_000, u32::MAX] {
            assert_eq!(limiter.delay(n, Instant::now()), Duration::from_secs(1000), "n = {n}");
        }
    }

    #[test]
    fn n_stops_at_its_largest_value_instead_of_starting_over() {
        let mut limiter = RateLimiter::new(OWN, 0);
        limiter.failures.insert("a", Failures::Retry(u32::MAX));
        assert_eq!(limiter.failed(&"a"), u32::MAX);
        assert_eq!(limiter.num_requeues(&"a"), u32::MAX);
    }

    #[test]
    fn n_counts_failed_retries_and_not_failed_events() {
        let mut limiter = RateLimiter::new(OWN, 0);
        assert_eq!(limiter.failed(&"a"), 0, "the first failure");
        assert_eq!((limiter.failed(&"a"), limiter.failed(&"a")), (0, 0), "events during the backoff");
        limiter.waited(&"a");
        assert_eq!(limiter.failed(&"a"), 1, "the retry failed");
        assert_eq!(limiter.failed(&"a"), 1, "an event again");
    }

    #[test]
    fn forget_starts_n_from_zero() {
        let mut limiter = RateLimiter::new(OWN, 0);
        limiter.failed(&"a");
        limiter.waited(&"a");
        limiter.failed(&"a");
        assert_eq!(limiter.num_requeues(&"a"), 2);
        limiter.forget(&"a");
        assert_eq!((limiter.num_requeues(&"a"), limiter.failed(&"a")), (0, 0));
    }

    #[test]
    fn a_passed_delay_of_a_forgotten_key_leaves_no_trace() {
        let mut limiter = RateLimiter::new(OWN, 0);
        limiter.waited(&"a");
        assert!(limiter.failures.is_empty());
    }

    #[test]
    fn all_keys_share_a_bucket_of_100_that_refills_10_a_second() {
        let mut limiter = RateLimiter::<u8>::new(RateLimit { base: Duration::ZERO, ..RateLimit::default() }, 0);
        let now = Instant::now();
        let burst: Vec<_> = (0..100).map(|_| limiter.delay(0, now)).collect();
        assert!(burst.iter().all(Duration::is_zero), "the burst is free");
        assert_eq!(limiter.delay(0, now), Duration::from_millis(100));
        assert_eq!(limiter.delay(0, now), Duration::from_millis(200));
        // 102 taken; after a second 10 are back, so 8 are free.
        let later = now + Duration::from_secs(1);
        let free = (0..20).take_while(|_| limiter.delay(0, later).is_zero()).count();
        assert_eq!(free, 8);
        // After an hour the bucket is full, not overfull.
        let much_later = now + Duration::from_secs(3600);
        let free = (0..200).take_while(|_| limiter.delay(0, much_later).is_zero()).count();
        assert_eq!(free, 100);
    }

    #[test]
    fn the_later_of_the_two_limits_counts() {
        let mut limiter = RateLimiter::<u8>::new(RateLimit { burst: 1, ..RateLimit::default() }, 0);
        let now = Instant::now();
        assert_eq!(limiter.delay(0, now), Duration::from_millis(5), "a token is there: the key's own delay");
        assert_eq!(limiter.delay(0, now), Duration::from_millis(100), "the bucket is later");
        assert_eq!(limiter.delay(10, now), Duration::from_millis(5_120), "the key is later");
    }

    #[test]
    fn jitter_replays_from_its_seed_and_stays_within_its_share() {
        let run = |seed| {
            let mut limiter = RateLimiter::<u8>::new(RateLimit { jitter: 0.1, ..OWN }, seed);
            (0..20).map(|n| limiter.delay(n, Instant::now())).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        for (jittered, bare) in
            run(3).iter().zip((0..20).map(|n| RateLimiter::<u8>::new(OWN, 0).delay(n, Instant::now())))
        {
            assert!(*jittered >= bare && *jittered <= bare.mul_f64(1.1).min(OWN.cap), "{jittered:?} of {bare:?}");
        }
    }
}
