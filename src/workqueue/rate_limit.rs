//! When a key may run again after a failed run.
//!
//! There are two limits, and the later of the two times counts:
//!
//! * Per key: `min(5 ms * 2^n, 1000 s)`. One broken object must not keep the workers busy.
//! * Over all keys: a token bucket, 10 per second with a burst of 100. A thousand broken objects
//!   (the registry is down, a webhook refuses everything) must not overload the API server.
//!
//! # What `n` counts
//!
//! client-go raises `n` with *every* failed run. That looks right until events arrive: the object changes
//! ten times during its first backoff, each event runs the key at once, each run fails, and
//! the delay is 5 s before a single retry was made; after a hundred events it is 17 minutes
//! (kubernetes/kubernetes#132805). The delay should grow with evidence that *waiting* did not help, so here `n`
//! counts failed **retries**: runs that started because a delay had passed.
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
//! What it does *not* promise: to slow down events. A key that changes once a millisecond runs whenever a worker is
//! free.
//!
//! There is no jitter per key: the bucket spreads the retries of many keys already.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The numbers of the rate limit; the defaults are client-go's
/// (`workqueue.DefaultTypedControllerRateLimiter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The delay after a key's first failure; it doubles with each failed retry.
    pub base: Duration,
    /// The longest delay of a key, apart from the bucket's.
    pub cap: Duration,
    /// The bucket that all keys share gets one token back in this time.
    pub refill: Duration,
    /// The number of tokens in a full bucket.
    pub burst: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(5),
            cap: Duration::from_secs(1000),
            refill: Duration::from_millis(100),
            burst: 100,
        }
    }
}

/// The state of a key that has failed and was not forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failures {
    /// `n` retries have failed. The delay for this `n` was set, and has not passed yet.
    Backoff(u32),
    /// The delay has passed: the next run is a retry, and if it fails, `n` grows.
    Retry(u32),
}

/// The failures of each key, and the bucket that all keys share.
#[derive(Debug)]
pub(super) struct RateLimiter<K> {
    limit: RateLimit,
    /// Only keys that have failed since they were last forgotten: a success removes its key.
    failures: BTreeMap<K, Failures>,
    bucket: Bucket,
}

impl<K: Ord + Clone> RateLimiter<K> {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, failures: BTreeMap::new(), bucket: Bucket::default() }
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

    /// The delay for a key with `n` failed retries: the longer of its own and the bucket's. Takes a token from the
    /// bucket.
    pub(super) fn delay(&mut self, n: u32, now: Instant) -> Duration {
        let RateLimit { base, cap, refill: _, burst: _ } = self.limit;
        let factor = 1_u32.checked_shl(n);
        let own = factor.and_then(|factor| base.checked_mul(factor)).map_or(cap, |delay| delay.min(cap));
        own.max(self.turn(now))
    }

    /// The delay from the bucket of all keys. Takes a token from it.
    pub(super) fn turn(&mut self, now: Instant) -> Duration {
        self.bucket.take(self.limit.refill, self.limit.burst, now)
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// 0 for a key that has not failed, 1 after the first failure, one more with each failed retry.
    pub(super) fn num_requeues(&self, key: &K) -> u32 {
        match self.failures.get(key) {
            None => 0,
            Some(Failures::Backoff(n) | Failures::Retry(n)) => n.saturating_add(1),
        }
    }
}

/// A token bucket that stores no tokens, but how long it would take to fill up again. Durations are whole
/// nanoseconds, so unlike a count of fractional tokens it can't drift.
#[derive(Debug, Default)]
struct Bucket {
    /// The time until the bucket is full, as of `at`.
    debt: Duration,
    /// `None` until the first token is taken.
    at: Option<Instant>,
}

impl Bucket {
    /// Takes a token, from the future if necessary, and returns how long it takes until that token is there.
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

    /// Only the limit per key: a bucket that never empties.
    const OWN: RateLimit =
        RateLimit { base: Duration::from_millis(5), cap: Duration::from_secs(1000), refill: Duration::ZERO, burst: 1 };

    #[test]
    fn the_delay_of_a_key_is_5_ms_doubled_n_times_up_to_1000_s() {
        let mut limiter = RateLimiter::<u8>::new(OWN);
        let now = Instant::now();
        let millis: Vec<_> = (0..5).map(|n| limiter.delay(n, now).as_millis()).collect();
        assert_eq!(millis, [5, 10, 20, 40, 80]);
        assert_eq!(limiter.delay(17, now), Duration::from_millis(655_360));
        assert_eq!(limiter.delay(18, now), Duration::from_secs(1000));
    }

    #[test]
    fn the_delay_of_a_key_does_not_overflow_for_any_n() {
        let mut limiter = RateLimiter::<u8>::new(OWN);
        for n in [19, 30, 31, 32, 33, 63, 64, 1_000_000, u32::MAX] {
            assert_eq!(limiter.delay(n, Instant::now()), Duration::from_secs(1000), "n = {n}");
        }
    }

    #[test]
    fn n_stops_at_its_largest_value_instead_of_starting_over() {
        let mut limiter = RateLimiter::new(OWN);
        limiter.failures.insert("a", Failures::Retry(u32::MAX));
        assert_eq!(limiter.failed(&"a"), u32::MAX);
        assert_eq!(limiter.num_requeues(&"a"), u32::MAX);
    }

    #[test]
    fn n_counts_failed_retries_and_not_failed_events() {
        let mut limiter = RateLimiter::new(OWN);
        assert_eq!(limiter.failed(&"a"), 0, "the first failure");
        assert_eq!((limiter.failed(&"a"), limiter.failed(&"a")), (0, 0), "events during the backoff");
        limiter.waited(&"a");
        assert_eq!(limiter.failed(&"a"), 1, "the retry failed");
        assert_eq!(limiter.failed(&"a"), 1, "an event again");
    }

    #[test]
    fn forget_starts_n_from_zero() {
        let mut limiter = RateLimiter::new(OWN);
        limiter.failed(&"a");
        limiter.waited(&"a");
        limiter.failed(&"a");
        assert_eq!(limiter.num_requeues(&"a"), 2);
        limiter.forget(&"a");
        assert_eq!((limiter.num_requeues(&"a"), limiter.failed(&"a")), (0, 0));
    }

    #[test]
    fn a_passed_delay_of_a_forgotten_key_leaves_no_trace() {
        let mut limiter = RateLimiter::new(OWN);
        limiter.waited(&"a");
        assert!(limiter.failures.is_empty());
    }

    #[test]
    fn all_keys_share_a_bucket_of_100_that_refills_10_a_second() {
        let mut limiter = RateLimiter::<u8>::new(RateLimit { base: Duration::ZERO, ..RateLimit::default() });
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
        let mut limiter = RateLimiter::<u8>::new(RateLimit { burst: 1, ..RateLimit::default() });
        let now = Instant::now();
        assert_eq!(limiter.delay(0, now), Duration::from_millis(5), "a token is there: the key's own delay");
        assert_eq!(limiter.delay(0, now), Duration::from_millis(100), "the bucket is later");
        assert_eq!(limiter.delay(10, now), Duration::from_millis(5_120), "the key is later");
    }
}
