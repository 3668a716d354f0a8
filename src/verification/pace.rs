//! When a pod is asked again.
//!
//! ```text
//!  became ready     within 1 s, at random: after a rollout not all at once
//!  verified         after the interval, give or take a tenth: or all servers that were made together stay together
//!  401              the same: nothing has failed, and asking more often opens no door
//!  failed           after 5 s, 10 s, 20 s, ... up to the interval: it may have been a hiccup
//! ```
//!
//! A modern server says for how long its answer may be remembered (`ttlMs`). That may bring the next question forward, to
//! half the interval at most, and never put it off. The interval is the user's promise of how old a verdict can be, and a
//! server must not break it; nor may a server turn itself into a load on the operator. Zero, which servers without an
//! opinion send, means nothing.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;

use crate::mcp::{Reason, Verdict};

/// No pod is asked twice within this time, whatever the interval is.
pub const FLOOR: Duration = Duration::from_secs(5);
/// Within this time a pod that became ready is asked.
pub const SOON: Duration = Duration::from_secs(1);
/// How much an interval is longer or shorter, at random.
const JITTER: f64 = 0.1;

/// How long a pod that became ready waits.
pub(super) fn first(random: &mut StdRng) -> Duration {
    SOON.mul_f64(random.random_range(0.0..1.0))
}

/// How long a pod waits after this verdict, which was its `failures`th failure in a row.
pub(super) fn next(verdict: Option<&Verdict>, failures: u32, interval: Duration, random: &mut StdRng) -> Duration {
    let interval = interval.max(FLOOR);
    let pause = match verdict {
        Some(Verdict::Verified(facts)) => facts.ttl.map_or(interval, |ttl| ttl.clamp(interval / 2, interval)),
        Some(Verdict::Failed { reason: Reason::AuthenticationRequired, message: _ }) | None => interval,
        Some(Verdict::Failed {
            reason: Reason::NotMcp | Reason::UnsupportedVersion | Reason::Unreachable,
            message: _,
        }) => {
            let doublings = failures.saturating_sub(1).min(16);
            interval.min(FLOOR * (1 << doublings))
        }
    };
    pause.mul_f64(random.random_range(1.0 - JITTER..1.0 + JITTER)).max(FLOOR)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::super::testing::{facts, failed, verified};
    use super::*;

    /// The shortest and the longest of many pauses, in milliseconds.
    fn range(verdict: &Verdict, failures: u32, interval: u64) -> (u128, u128) {
        let mut random = StdRng::seed_from_u64(1);
        let mut pause = || next(Some(verdict), failures, Duration::from_secs(interval), &mut random).as_millis();
        (0..1000).map(|_| pause()).fold((u128::MAX, 0), |(low, high), pause| (low.min(pause), high.max(pause)))
    }

    fn within((low, high): (u128, u128), expected: std::ops::Range<u128>) {
        let width = (expected.end - expected.start) / 20;
        assert!((expected.start..=expected.start + width).contains(&low), "{low} of {expected:?}");
        assert!((expected.end - width..=expected.end).contains(&high), "{high} of {expected:?}");
    }

    #[test]
    fn a_verified_pod_is_asked_after_the_interval_give_or_take_a_tenth() {
        within(range(&verified("h"), 0, 60), 54_000..66_000);
        within(range(&failed(Reason::AuthenticationRequired), 9, 60), 54_000..66_000);
        assert_eq!(range(&verified("h"), 0, 1).0, FLOOR.as_millis(), "an interval below the floor is the floor");
    }

    #[test]
    fn a_failure_is_looked_at_again_soon_and_then_less_and_less_often() {
        for reason in [Reason::NotMcp, Reason::Unreachable, Reason::UnsupportedVersion] {
            within(range(&failed(reason), 1, 60), 5_000..5_500);
            within(range(&failed(reason), 2, 60), 9_000..11_000);
            within(range(&failed(reason), 4, 60), 36_000..44_000);
            within(range(&failed(reason), 5, 60), 54_000..66_000);
            within(range(&failed(reason), u32::MAX, 3600), 3_240_000..3_960_000);
            within(range(&failed(reason), 3, 10), 9_000..11_000);
        }
    }

    #[test]
    fn a_server_can_ask_to_be_asked_twice_as_often_and_never_less() {
        let with_ttl = |seconds| {
            let ttl = Some(Duration::from_secs(seconds));
            Verdict::Verified(Box::new(crate::mcp::Facts { ttl, ..facts("h") }))
        };
        within(range(&with_ttl(1), 0, 60), 27_000..33_000);
        within(range(&with_ttl(45), 0, 60), 40_500..49_500);
        within(range(&with_ttl(86_400), 0, 60), 54_000..66_000);
    }

    #[test]
    fn pods_that_become_ready_together_are_not_asked_together() {
        let mut random = StdRng::seed_from_u64(1);
        let pauses: Vec<_> = (0..1000).map(|_| first(&mut random)).collect();
        assert!(pauses.iter().all(|pause| *pause < SOON));
        assert!(pauses.iter().any(|pause| *pause < SOON / 10) && pauses.iter().any(|pause| *pause > SOON * 9 / 10));
    }
}
