//! Step five: report the state of the server. Pure: observations in, a status out.
//!
//! Three rules make a status trustworthy:
//!
//! - *The past is not the present.* Right after a change, the Deployment's own status still describes the time before
//!   (its `observedGeneration` lags). Its counts are shown, but they don't make the server ready.
//! - *Repeating is not changing.* `lastTransitionTime` moves only when the status of a condition flips, and a status
//!   that says the same as before is not written.
//! - *Nothing is claimed that was not observed.* Available means that the pods' probes succeed. Whether the server speaks
//!   MCP is another condition, Verified; it decides nothing, not even Ready, because the check may fail for reasons of
//!   its own, such as a NetworkPolicy between the operator and the pods.

mod conditions;
mod progress;
pub mod reason;
mod summary;
mod urgency;
mod verified;
mod view;

use jiff::Timestamp;

pub use reason::Reason;
pub use urgency::{Urgency, Waiting, urgency};

use super::apply::Applied;
use super::build::selector;
use super::observe::Observed;
use super::validate::HandsOff;
use crate::api::{Condition, ConditionStatus, MCPServerStatus, ServerInfo};
use crate::verification::Report as Verification;
use view::View;

/// Every other condition but [`VERIFIED`] is True.
pub const READY: &str = "Ready";
/// The spec is valid and can be applied.
pub const ACCEPTED: &str = "Accepted";
/// The Secret that the spec names, if it names one, can be read.
pub const SECRET_RESOLVED: &str = "SecretResolved";
/// Enough pods are available.
pub const AVAILABLE: &str = "Available";
/// The pods run the current spec, or are about to.
pub const PROGRESSING: &str = "Progressing";
/// Every ready pod speaks MCP.
pub const VERIFIED: &str = "Verified";

/// The conditions that this operator writes. Others in the list belong to other managers.
pub const OURS: [&str; 6] = [READY, ACCEPTED, SECRET_RESOLVED, AVAILABLE, PROGRESSING, VERIFIED];

/// The longest message that the schema allows, in characters: a refusal that quotes a whole spec must not keep the
/// status from being written.
const LONGEST_MESSAGE: usize = 32_768;

const NOT_PROCESSED: &str = "the Deployment controller has not processed the last change yet";

/// What was done about the server's spec.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It was applied, as far as possible.
    Applied(&'a Applied),
    /// The server is suspended, so nothing was done.
    Suspended {
        /// The children are what the spec calls for, so there would be nothing to do.
        followed: bool,
        /// An object that is not the server's own and has its name.
        conflict: Option<&'a str>,
    },
    /// Nothing was done, for this reason.
    HandsOff(&'a HandsOff),
}

/// What a condition is going to say.
struct Finding {
    condition: &'static str,
    status: ConditionStatus,
    reason: Reason,
    message: String,
}

/// Reports the state of the server.
pub fn report(
    observed: &Observed,
    outcome: &Outcome<'_>,
    verification: Option<&Verification>,
    now: Timestamp,
) -> MCPServerStatus {
    let view = View::new(observed, outcome, verification);
    let mut findings = vec![view.accepted(), view.secret_resolved(), view.available()];
    findings.extend(view.progressing());
    findings.insert(0, view.ready(&findings));
    findings.push(view.verified());
    let counts = view.deployment.map(|deployment| deployment.status.clone()).unwrap_or_default();
    let meta = &observed.server.meta;
    MCPServerStatus {
        observed_generation: meta.generation,
        phase: Some(view.phase(&findings)),
        replicas: counts.replicas,
        ready_replicas: counts.ready_replicas,
        available_replicas: counts.available_replicas,
        updated_replicas: counts.updated_replicas,
        selector: selector(meta.key.name()),
        url: view.url(&findings),
        server: view.server(now),
        conditions: findings.into_iter().map(|finding| view.condition(finding, now)).collect(),
    }
}

/// Whether two statuses say the same. Other managers' conditions don't count, nor does the order.
pub fn says_the_same(old: &MCPServerStatus, new: &MCPServerStatus) -> bool {
    let MCPServerStatus {
        observed_generation,
        phase,
        replicas,
        ready_replicas,
        available_replicas,
        updated_replicas,
        selector,
        url,
        server,
        conditions: _,
    } = old;
    // The time of a check is no news.
    let untimed =
        |server: &Option<ServerInfo>| server.clone().map(|info| ServerInfo { last_verified_time: None, ..info });
    *observed_generation == new.observed_generation
        && *phase == new.phase
        && *replicas == new.replicas
        && *ready_replicas == new.ready_replicas
        && *available_replicas == new.available_replicas
        && *updated_replicas == new.updated_replicas
        && *selector == new.selector
        && *url == new.url
        && untimed(server) == untimed(&new.server)
        && OURS.iter().all(|kind| old.condition(kind) == new.condition(kind))
}

impl View<'_> {
    fn condition(&self, finding: Finding, now: Timestamp) -> Condition {
        let Finding { condition, status, reason, message } = finding;
        let since = self
            .before(condition)
            .filter(|before| before.status == status)
            .map_or(now, |before| before.last_transition_time);
        Condition {
            condition_type: condition.to_owned(),
            status,
            observed_generation: Some(self.observed.server.meta.generation),
            last_transition_time: since,
            reason: reason.as_str().to_owned(),
            message: message.chars().take(LONGEST_MESSAGE).collect(),
        }
    }
}

fn finding(condition: &'static str, status: ConditionStatus, reason: Reason, message: &str) -> Finding {
    Finding { condition, status, reason, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
