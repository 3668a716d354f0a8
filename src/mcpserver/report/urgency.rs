//! How soon a new status is written.
//!
//! The naive solution writes every status that differs from the last one. During a rollout a Deployment passes through
//! a dozen states within a second (a ReplicaSet, then each pod created, started, ready), and each write wakes everybody
//! who watches MCPServers. When a thousand servers were created at once, half of the written statuses said
//! "Progressing" and were outdated a second later.
//!
//! So a status that only says "pods are coming and nothing is wrong" waits. The wait counts from the moment at which
//! the status first differed from the written one:
//!
//! | situation | wait | why |
//! |---|---|---|
//! | the Deployment controller has not processed the last change yet | 5 s | it does so within a second or two; only if it is slow is that worth a write |
//! | it has, and the written status does not say yet that pods are coming | 3 s | until the Deployment's first burst of status updates is over; a fast rollout is then complete, and needs one write only |
//! | the written status says already that pods are coming | 5 s | how far a slow rollout has come is worth one write every five seconds |
//! | many servers wait | 50 ms for each of them, up to a minute | reports of progress are to be 20 writes per second at most, so that they don't delay the writes that bring the progress about |
//!
//! The last line is what makes the rest independent of the size of the cluster. When a thousand servers are created at
//! once, the controllers of the cluster need many seconds for the last of them. Fixed waits would be over by then, and
//! each server would be reported as "pending" at the worst possible moment.
//!
//! All other news is written at once: ready, failed, refused, without its Secret, being deleted. The durations were
//! measured, not derived: `make bench` counts the writes per server.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{ACCEPTED, SECRET_RESOLVED, says_the_same};
use crate::api::{ConditionStatus, MCPServerStatus, Phase};
use crate::object::ObjectKey;

const UNTIL_THE_CONTROLLER_ANSWERS: Duration = Duration::from_secs(5);
const UNTIL_THE_FIRST_BURST_IS_OVER: Duration = Duration::from_secs(3);
const BETWEEN_REPORTS_OF_PROGRESS: Duration = Duration::from_secs(5);

/// How much longer everybody waits for each server that waits.
const PER_WAITING_SERVER: Duration = Duration::from_millis(50);
/// However many wait, nobody waits longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How soon a new status is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Not at all: it says what is written already.
    None,
    /// At once.
    Now,
    /// If it still differs after this time, or later if many servers wait.
    Patient(Duration),
}

/// How soon `new` is to be written, if `old` is what is written. `controller_spoke` says whether the Deployment
/// controller has processed the last change.
pub fn urgency(old: Option<&MCPServerStatus>, new: &MCPServerStatus, controller_spoke: bool) -> Urgency {
    if old.is_some_and(|old| says_the_same(old, new)) {
        return Urgency::None;
    }
    if !pods_are_coming(new) {
        return Urgency::Now;
    }
    let known = old.is_some_and(|old| pods_are_coming(old) && old.observed_generation == new.observed_generation);
    Urgency::Patient(match (controller_spoke, known) {
        (false, _) => UNTIL_THE_CONTROLLER_ANSWERS,
        (true, false) => UNTIL_THE_FIRST_BURST_IS_OVER,
        (true, true) => BETWEEN_REPORTS_OF_PROGRESS,
    })
}

/// Whether all that a status says is that pods are coming, and that nothing is wrong.
fn pods_are_coming(status: &MCPServerStatus) -> bool {
    let holds = |condition| status.condition(condition).is_some_and(|found| found.status == ConditionStatus::True);
    matches!(status.phase, Some(Phase::Pending | Phase::Progressing)) && holds(ACCEPTED) && holds(SECRET_RESOLVED)
}

/// The servers whose news waits, each with the moment at which its status first differed from the written one.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<BTreeMap<ObjectKey, Instant>>);

impl Waiting {
    /// How much longer this server's news waits, if it is worth `patience`; zero when the time has come.
    pub fn rest(&self, key: &ObjectKey, patience: Duration, now: Instant) -> Duration {
        let mut waiting = self.lock();
        let since = *waiting.entry(key.clone()).or_insert(now);
        let many = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let wait = patience.max(PER_WAITING_SERVER.saturating_mul(many).min(LONGEST_WAIT));
        wait.saturating_sub(now.duration_since(since))
    }

    /// This server's news doesn't wait any more: it is written, it is none any more, or the server is gone.
    pub fn end(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: usize) -> ObjectKey {
        ObjectKey::new("n", format!("web-{number}"))
    }

    #[test]
    fn news_waits_since_it_first_was_news_until_it_is_none_any_more() {
        let (waiting, start) = (Waiting::default(), Instant::now());
        assert_eq!(waiting.rest(&key(0), 5 * SECOND, start), 5 * SECOND);
        assert_eq!(waiting.rest(&key(0), 3 * SECOND, start + 2 * SECOND), SECOND, "whatever it says meanwhile");
        assert_eq!(waiting.rest(&key(0), 3 * SECOND, start + 9 * SECOND), Duration::ZERO);
        waiting.end(&key(0));
        assert_eq!(waiting.rest(&key(0), 3 * SECOND, start + 9 * SECOND), 3 * SECOND);
    }

    #[test]
    fn the_more_servers_wait_the_longer_each_waits_up_to_a_minute() {
        let (waiting, start) = (Waiting::default(), Instant::now());
        let of_so_many = |many: usize| {
            (0..many).for_each(|number| _ = waiting.rest(&key(number), 3 * SECOND, start));
            waiting.rest(&key(0), 3 * SECOND, start)
        };
        assert_eq!(of_so_many(60), 3 * SECOND, "few are no reason to wait");
        assert_eq!(of_so_many(1_000), 50 * SECOND);
        assert_eq!(of_so_many(10_000), 60 * SECOND);
        (60..10_000).for_each(|number| waiting.end(&key(number)));
        assert_eq!(waiting.rest(&key(0), 3 * SECOND, start), 3 * SECOND, "the others are done");
    }
}
