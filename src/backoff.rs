//! How long to wait before asking the API server again.
//!
//! # The naive loop, and how it breaks
//!
//! `loop { if list().is_err() { sleep(1s) } }` has two faults. It asks too often: an API server that
//! has just come back from an outage gets a request from every client once a second, falls over and gets them again.
//! And all clients ask in step: those that lost their watch at the same instant come back at the same
//! instant, for ever. So the pause must *grow* while requests fail, and it must be *random*, so that
//! the clients spread out.
//!
//! # The mechanism
//!
//! ```text
//!  attempt     0        1        2        3        4        5        6 ...
//!  base d    800 ms    1.6 s    3.2 s    6.4 s   12.8 s   25.6 s    30 s ...   (x2, capped)
//!  pause    [d, 2d)   [d, 2d)    ...                                           (jitter on top)
//! ```
//!
//! If no pause was needed for two minutes, the next one starts from 800 ms again. There is deliberately no reset on
//! success: a watch that is accepted and cut off within a millisecond is a success each time, and a loop that resets on
//! success spins.
//!
//! # What it does not promise
//!
//! To sleep, to give up, or to limit the number of attempts. It returns a duration; the caller, which also knows about
//! `Retry-After` and the stop signal, does the waiting.
//!
//! # Why only one module uses the crate
//!
//! The growth itself (multiply, cap, no overflow) is [`backoff::exponential::ExponentialBackoff`]. Two
//! properties of that crate must not leak into the operator, so this is the only module that uses it:
//!
//! * It measures time with the clock of the standard library. Here it gets tokio's clock, which
//!   tests can pause; and since `max_elapsed_time` is `None`, that clock decides nothing anyway.
//! * It draws its jitter from the thread's own random generator, so no simulation could be replayed.
//!   Here its jitter is switched off and its return value ignored: only its current interval is
//!   read, and the jitter comes from a generator with a seed.
//!
//! # Equivalents
//!
//! client-go: `wait.NewExponentialBackoffManager(800ms, 30s, 2min, 2.0, 1.0, clock)` in
//! `tools/cache/reflector.go`; kube-runtime: `watcher::DefaultBackoff`, with the same numbers.
//!
//! # What to try
//!
//! Start an operator where no API server is, but give it one that goes away:
//!
//! ```sh
//! cargo run -p playground -- --listen 127.0.0.1:7001 --kubeconfig /tmp/playground.kubeconfig &
//! export KUBECONFIG=/tmp/playground.kubeconfig && make install
//! cargo run -- run --metrics-bind-address=0 --health-bind-address=0 --log-level smooth_operator=debug
//! ```
//!
//! Kill the playground, and read the times of the lines `connection refused`: the four watches fail together, come back
//! at four different times, and after a minute only every 30 to 60 seconds. Set `jitter` of [`Policy::REFLECTOR`] to
//! zero and try again: now the four come back in step.

use std::time::Duration;

use backoff::Clock;
use backoff::backoff::Backoff as _;
use backoff::exponential::ExponentialBackoff;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

/// The numbers of a [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// The first pause, before jitter.
    pub initial: Duration,
    /// Each pause is the previous one multiplied by this.
    pub factor: f64,
    /// The longest pause, before jitter.
    pub cap: Duration,
    /// How much may be added at random, as a share of the pause: 1.0 gives `[d, 2d)`, 0.0 nothing.
    pub jitter: f64,
    /// After this long without a call the pauses start from `initial` again.
    pub quiet: Duration,
}

impl Policy {
    /// How long a reflector waits between failed lists and watches: client-go's numbers.
    pub const REFLECTOR: Self = Self {
        initial: Duration::from_millis(800),
        factor: 2.0,
        cap: Duration::from_secs(30),
        jitter: 1.0,
        quiet: Duration::from_secs(120),
    };
}

/// A sequence of growing, jittered pauses; see the [module](self).
///
/// The same policy, seed and instants give the same pauses.
#[derive(Debug)]
pub struct Backoff {
    policy: Policy,
    /// Only its `current_interval` is ever read: the next pause, before jitter.
    growth: ExponentialBackoff<TokioClock>,
    /// When the last pause was returned.
    last: Option<Instant>,
    random: StdRng,
}

impl Backoff {
    /// A backoff whose jitter comes from `seed`.
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self {
            policy,
            growth: ExponentialBackoff {
                current_interval: policy.initial,
                initial_interval: policy.initial,
                randomization_factor: 0.0,
                multiplier: policy.factor,
                max_interval: policy.cap,
                start_time: TokioClock.now(),
                max_elapsed_time: None,
                clock: TokioClock,
            },
            last: None,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// The pause before the next attempt, asked for at `now`. The one after it will be longer.
    pub fn next_delay(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now.duration_since(last) > self.policy.quiet) {
            self.growth.reset();
        }
        self.last = Some(now);
        let base = self.growth.current_interval;
        // Advances `current_interval`. The return value is ignored: it contains unseeded randomness.
        let _unseeded = self.growth.next_backoff();
        base + base.mul_f64(self.policy.jitter * self.random.random::<f64>())
    }
}

/// tokio's clock behind the trait of the `backoff` crate.
#[derive(Clone, Copy, Debug)]
struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: Policy = Policy { jitter: 0.0, ..Policy::REFLECTOR };

    /// Pauses asked for one after the other, each after the one before was waited out.
    fn pauses(backoff: &mut Backoff, count: usize) -> Vec<Duration> {
        let mut now = Instant::now();
        let mut step = || {
            let pause = backoff.next_delay(now);
            now += pause;
            pause
        };
        (0..count).map(|_| step()).collect()
    }

    #[test]
    fn pauses_double_from_800_ms_to_the_cap_of_30_s() {
        let millis: Vec<_> = pauses(&mut Backoff::new(BARE, 1), 8).iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn jitter_adds_up_to_the_whole_pause_and_never_takes_away() {
        let (mut low, mut high) = (f64::MAX, f64::MIN);
        for seed in 0..200 {
            let pauses = pauses(&mut Backoff::new(Policy::REFLECTOR, seed), 8);
            let bases = pauses_without_jitter();
            for (pause, base) in pauses.iter().zip(bases) {
                let share = pause.as_secs_f64() / base.as_secs_f64();
                assert!((1.0..2.0).contains(&share), "{pause:?} is not in [{base:?}, 2 x {base:?})");
                (low, high) = (low.min(share), high.max(share));
            }
        }
        assert!(low < 1.05 && high > 1.95, "the whole range is used: {low}..{high}");
    }

    fn pauses_without_jitter() -> Vec<Duration> {
        pauses(&mut Backoff::new(BARE, 0), 8)
    }

    #[test]
    fn the_same_seed_replays_the_same_pauses_and_another_does_not() {
        let run = |seed| pauses(&mut Backoff::new(Policy::REFLECTOR, seed), 10);
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn more_than_two_minutes_of_quiet_start_over_and_two_minutes_do_not() {
        let start = Instant::now();
        let mut backoff = Backoff::new(BARE, 1);
        backoff.next_delay(start);
        let second = start + Duration::from_secs(120);
        assert_eq!(backoff.next_delay(second), Duration::from_millis(1_600));
        let third = second + Duration::from_millis(120_001);
        assert_eq!(backoff.next_delay(third), Duration::from_millis(800));
    }

    /// Upstream adds a random fraction of a nanosecond even with its jitter off; ten thousand pauses
    /// must neither drift nor overflow.
    #[test]
    fn the_cap_holds_for_ever() {
        let last = pauses(&mut Backoff::new(BARE, 1), 10_000).pop();
        assert_eq!(last, Some(Duration::from_secs(30)));
    }
}
