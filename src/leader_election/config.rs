//! Three durations, the rule between them, and the name of an instance.
//!
//! ```text
//! lease duration  15 s   how long the others wait while the Lease does not change
//!   − margin     1.5 s   room for a write that was sent at the last moment
//! renew deadline  10 s   how long the leader tries to renew, from its last success, before it gives up
//! retry period     2 s   from one attempt to the next; the leader renews at this interval
//! ```
//!
//! Between the renew deadline and the margin the workers have to stop. Durations that leave no time for that
//! lead to two leaders or none, so a [`Timing`] that breaks the rule can't be created.

use std::fmt;
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

/// The longest pause of a follower is this many times the shortest one.
pub const JITTER: f64 = 1.2;

/// The longest time to wait for a request, however long the durations are.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);

/// The durations of an election. All instances that compete for a Lease should use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Whole seconds; longer than `renew_deadline` + margin.
    lease_duration: Duration,
    /// Longer than `JITTER` * `retry_period`.
    renew_deadline: Duration,
    /// Not zero.
    retry_period: Duration,
}

impl Default for Timing {
    /// client-go's: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// Checks the durations against each other.
    pub fn new(
        lease_duration: Duration,
        renew_deadline: Duration,
        retry_period: Duration,
    ) -> Result<Self, InvalidTiming> {
        let timing = Self { lease_duration, renew_deadline, retry_period };
        let violations = timing.violations();
        if violations.is_empty() { Ok(timing) } else { Err(InvalidTiming(violations)) }
    }

    fn violations(&self) -> Vec<Violation> {
        let Self { lease_duration, renew_deadline, retry_period } = *self;
        let mut violations = Vec::new();
        if lease_duration.subsec_nanos() != 0 || !(1..=i32::MAX as u64).contains(&lease_duration.as_secs()) {
            violations.push(Violation::NoWholeSeconds { lease_duration });
        }
        if renew_deadline >= self.write_time() {
            violations.push(Violation::RenewsTooLong { renew_deadline, lease_duration, margin: self.margin() });
        }
        if retry_period.is_zero() {
            violations.push(Violation::NoPause);
        }
        if renew_deadline <= retry_period.saturating_mul(6) / 5 {
            violations.push(Violation::RetriesTooSeldom { renew_deadline, retry_period });
        }
        violations
    }

    /// How long the others wait while the Lease does not change.
    pub fn lease_duration(&self) -> Duration {
        self.lease_duration
    }

    /// The same in seconds, for the Lease.
    pub fn lease_duration_seconds(&self) -> i32 {
        i32::try_from(self.lease_duration.as_secs()).unwrap_or(i32::MAX)
    }

    /// How long the leader tries to renew, from its last success.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// From one attempt to the next.
    pub fn retry_period(&self) -> Duration {
        self.retry_period
    }

    /// Until when a leader may write if it sent its last successful renewal at `sent`.
    pub fn write_until(&self, sent: Instant) -> Instant {
        sent + self.write_time()
    }

    /// How long to wait for one request: at most 5 s, and short enough that after a hung request there is time for
    /// another one before the renew deadline.
    pub fn request_timeout(&self) -> Duration {
        LONGEST_REQUEST.min(self.renew_deadline.saturating_sub(self.retry_period) / 2)
    }

    /// The pause of a follower between two reads. It is never longer than the retry period, so that a released Lease is
    /// taken within one; it is shorter by up to [`JITTER`], so that many followers don't ask in step for ever.
    pub fn follower_pause(&self, rng: &mut impl Rng) -> Duration {
        self.retry_period.div_f64(rng.random_range(1.0..=JITTER))
    }

    fn margin(&self) -> Duration {
        self.lease_duration / 10
    }

    fn write_time(&self) -> Duration {
        self.lease_duration.saturating_sub(self.margin())
    }
}

/// The durations don't fit together. One line for each violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTiming(pub Vec<Violation>);

impl std::error::Error for InvalidTiming {}

impl fmt::Display for InvalidTiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(Violation::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// What is wrong with a set of durations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A Lease counts in whole seconds.
    #[error("--lease-duration must be a whole number of seconds, at least one, but is {lease_duration:?}")]
    NoWholeSeconds {
        /// The given value.
        lease_duration: Duration,
    },
    /// The leader would still try to renew when the next one starts.
    #[error(
        "--renew-deadline {renew_deadline:?} must be shorter than --lease-duration {lease_duration:?} minus a margin of {margin:?}"
    )]
    RenewsTooLong {
        /// The given value.
        renew_deadline: Duration,
        /// The given value.
        lease_duration: Duration,
        /// A tenth of the lease duration.
        margin: Duration,
    },
    /// The leader would renew in a hot loop.
    #[error("--retry-period must be longer than zero")]
    NoPause,
    /// One failure would cost the Lease.
    #[error("--renew-deadline {renew_deadline:?} must be longer than 1.2 times --retry-period {retry_period:?}")]
    RetriesTooSeldom {
        /// The given value.
        renew_deadline: Duration,
        /// The given value.
        retry_period: Duration,
    },
}

/// The name of one run of one instance, `hostname_uuid`.
///
/// The host name is for people. The uuid makes a restarted process another instance: it must not consider its
/// predecessor's Lease its own, since the predecessor's last writes may still be on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(String);

impl Identity {
    /// A new name. It is as unique as the numbers from `rng`.
    pub fn new(hostname: &str, rng: &mut impl Rng) -> Self {
        // The length of a DNS label. A longer name would not fit into an Event's reportingInstance.
        let hostname: String = hostname.chars().filter(char::is_ascii).take(63).collect();
        Self(format!("{hostname}_{}", uuid(rng)))
    }

    /// The text in the Lease.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of this host; in a pod, the name of the pod.
pub fn hostname() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// A random UUID, version 4 of RFC 9562.
fn uuid(rng: &mut impl Rng) -> String {
    let bits = rng.random::<u128>() & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn lines(lease: f64, renew: f64, retry: f64) -> Vec<String> {
        let [lease, renew, retry] = [lease, renew, retry].map(Duration::from_secs_f64);
        Timing::new(lease, renew, retry)
            .map_or_else(|invalid| invalid.to_string().lines().map(str::to_owned).collect(), |_| Vec::new())
    }

    /// By the name that the kernel has, or that the pod was given.
    #[test]
    fn the_host_has_its_own_name() {
        let given = std::env::var("HOSTNAME").ok().filter(|name| !name.trim().is_empty());
        let named = given.unwrap_or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap());
        assert_eq!(hostname(), named.trim());
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Timing::default().violations(), []);
    }

    #[test]
    fn each_violation_is_one_line_that_names_both_durations() {
        let renew = lines(15.0, 13.5, 2.0);
        assert_eq!(renew, ["--renew-deadline 13.5s must be shorter than --lease-duration 15s minus a margin of 1.5s"]);
        let retry = lines(15.0, 10.0, 8.4);
        assert_eq!(retry, ["--renew-deadline 10s must be longer than 1.2 times --retry-period 8.4s"]);
        assert_eq!(
            lines(1.5, 1.0, 0.2),
            ["--lease-duration must be a whole number of seconds, at least one, but is 1.5s"]
        );
        assert_eq!(lines(0.0, 0.0, 0.0).len(), 4);
    }

    #[test]
    fn a_hung_request_leaves_as_much_time_for_the_next() {
        for (lease, renew, retry) in [(15, 10, 2), (137, 107, 26), (4, 3, 2)] {
            let timing =
                Timing::new(Duration::from_secs(lease), Duration::from_secs(renew), Duration::from_secs(retry))
                    .unwrap();
            assert!(timing.request_timeout() <= Duration::from_secs(5));
            assert!(timing.retry_period() + 2 * timing.request_timeout() <= timing.renew_deadline());
        }
    }

    #[test]
    fn followers_ask_within_a_retry_period_but_not_in_step() {
        let (timing, mut rng) = (Timing::default(), StdRng::seed_from_u64(1));
        let pauses: Vec<_> = (0..1_000).map(|_| timing.follower_pause(&mut rng)).collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(2) && *pause >= Duration::from_secs_f64(1.66)));
        assert!(pauses.iter().max() > pauses.iter().min());
    }

    #[test]
    fn an_identity_is_the_host_and_a_uuid_and_fits_into_an_event() {
        let mut rng = StdRng::seed_from_u64(1);
        let (first, second) = (Identity::new("pod-a", &mut rng), Identity::new("pod-a", &mut rng));
        assert_ne!(first, second);
        let uuid = first.as_str().strip_prefix("pod-a_").expect("the host's name comes first");
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4", "the version");
        assert!("89ab".contains(&uuid[19..20]), "the variant");
        assert!(Identity::new(&"ü-host".repeat(40), &mut rng).as_str().len() <= 128);
    }
}
