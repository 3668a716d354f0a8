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
//! | the Deployment controller has not processed the last change yet | 8 s | it does so within a second or two; only if it is slow is that worth a write |
//! | it has, and the written status does not say yet that pods are coming | 4 s | until the Deployment's first burst of status updates is over; a fast rollout is then complete, and needs one write only |
//! | the written status says already that pods are coming | 5 s | how far a slow rollout has come is worth one write every five seconds |
//!
//! All other news is written at once: ready, failed, refused, without its Secret, being deleted. The durations were
//! measured, not derived: `make bench` counts the writes per server.

use std::time::Duration;

use super::{ACCEPTED, SECRET_RESOLVED, says_the_same};
use crate::api::{ConditionStatus, MCPServerStatus, Phase};

const UNTIL_THE_CONTROLLER_ANSWERS: Duration = Duration::from_secs(8);
const UNTIL_THE_FIRST_BURST_IS_OVER: Duration = Duration::from_secs(4);
const BETWEEN_REPORTS_OF_PROGRESS: Duration = Duration::from_secs(5);

/// How soon a new status is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Not at all: it says what is written already.
    None,
    /// At once.
    Now,
    /// If it still differs after this time.
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
