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

pub mod reason;
mod urgency;

use jiff::Timestamp;

pub use reason::Reason;
pub use urgency::{Urgency, Waiting, urgency};

use super::apply::Applied;
use super::build::selector;
use super::children::{Child, Deployment, Service};
use super::observe::{Observed, SecretState};
use super::pods::{Trouble, TroubleKind, in_trouble};
use super::validate::HandsOff;
use super::verify;
use crate::api::{Condition, ConditionStatus, MCPServerStatus, Phase, ServerInfo};
use crate::verification::{Outcome as Verified, Report as Verification};

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

/// Two of the reasons in a Deployment's condition `Progressing`.
const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
const NEW_REPLICA_SET_AVAILABLE: &str = "NewReplicaSetAvailable";

/// What lifts the most common reason for a container that can't be created.
const AS_ROOT: &str =
    "; spec.podSecurityContext decides that: set runAsUser to a user other than 0, or runAsNonRoot to false";

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
    let server = &observed.server;
    let (deployment, service) = match outcome {
        Outcome::Applied(applied) => (applied.deployment.as_deref(), applied.service.as_deref()),
        Outcome::Suspended { .. } | Outcome::HandsOff(_) => {
            (observed.deployment.as_deref(), observed.service.as_deref())
        }
    };
    // An object with the server's name may belong to somebody else, and then it says nothing about this server.
    let own = |child: &Child| child.meta.is_controlled_by(&server.meta.uid);
    let deployment = deployment.filter(|deployment| own(&deployment.child));
    let service = service.filter(|service| own(&service.child));
    let view = View { observed, outcome, deployment, service, verification };
    let mut findings = vec![view.accepted(), view.secret_resolved(), view.available()];
    findings.extend(view.progressing());
    findings.insert(0, view.ready(&findings));
    findings.push(view.verified());
    let counts = deployment.map(|deployment| deployment.status.clone()).unwrap_or_default();
    MCPServerStatus {
        observed_generation: server.meta.generation,
        phase: Some(view.phase(&findings)),
        replicas: counts.replicas,
        ready_replicas: counts.ready_replicas,
        available_replicas: counts.available_replicas,
        updated_replicas: counts.updated_replicas,
        selector: selector(server.meta.key.name()),
        url: view.url(&findings),
        server: match verification {
            Some(verification) => verify::info(verification, now).or_else(|| view.told_before()),
            None if server.spec.is_err() => view.told_before(),
            None => None,
        },
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

/// Everything that the report is based on. Statements about pods and the port are statements about the children as they
/// are: the spec says what is wanted, and may not have been applied.
struct View<'a> {
    observed: &'a Observed,
    outcome: &'a Outcome<'a>,
    deployment: Option<&'a Deployment>,
    service: Option<&'a Service>,
    /// `None` if the server is not to be verified.
    verification: Option<&'a Verification>,
}

impl View<'_> {
    fn accepted(&self) -> Finding {
        let yes = |message: &str| finding(ACCEPTED, ConditionStatus::True, Reason::Accepted, message);
        let no = |reason, message: &str| finding(ACCEPTED, ConditionStatus::False, reason, message);
        match self.outcome {
            Outcome::HandsOff(HandsOff::Undecodable(error)) => no(Reason::UndecodableObject, error),
            Outcome::HandsOff(HandsOff::NameConflict(conflict)) => no(
                Reason::NameConflict,
                &format!("{conflict}; delete or rename it, or choose another name for this MCPServer"),
            ),
            Outcome::Applied(Applied { refused: Some(refused), .. }) => no(Reason::InvalidSpec, &refused.message),
            Outcome::HandsOff(HandsOff::Terminating) => {
                yes(&format!("being deleted; {} of its objects still exist", self.observed.children))
            }
            Outcome::Suspended { .. } => yes("suspended: nothing is created or changed until spec.suspend is false"),
            Outcome::Applied(Applied { refused: None, .. }) => yes("the spec is valid"),
        }
    }

    fn secret_resolved(&self) -> Finding {
        let found = |status, reason, message: &str| finding(SECRET_RESOLVED, status, reason, message);
        match &self.observed.secret {
            SecretState::NotRequired => found(ConditionStatus::True, Reason::NotRequired, "the spec names no Secret"),
            SecretState::Resolved(_) => found(ConditionStatus::True, Reason::Resolved, "the Secret exists"),
            SecretState::Missing(name) => {
                let meanwhile = if self.deployment.is_some() {
                    "existing pods keep the environment that they have"
                } else {
                    "no pod is started until it exists"
                };
                let message = format!("Secret {name} does not exist in this namespace; {meanwhile}");
                found(ConditionStatus::False, Reason::SecretNotFound, &message)
            }
            SecretState::Unreadable(name, error) => {
                let message = format!("Secret {name} can't be read: {error}");
                found(ConditionStatus::Unknown, Reason::SecretUnreadable, &message)
            }
        }
    }

    fn available(&self) -> Finding {
        let found = |holds: bool, reason, message: &str| finding(AVAILABLE, holds.into(), reason, message);
        let Some(deployment) = self.deployment else {
            let failed = match self.outcome {
                Outcome::Applied(Applied { failed: Some(failed), .. }) => format!(": {failed}"),
                Outcome::Applied(_) | Outcome::Suspended { .. } | Outcome::HandsOff(_) => String::new(),
            };
            return found(false, Reason::DeploymentMissing, &format!("the server has no Deployment{failed}"));
        };
        if deployment.replicas == 0 {
            return found(true, Reason::ScaledToZero, "scaled to zero");
        }
        if self.lags() {
            // Repeats what was known last. `ready` says that it may be outdated.
            let before = self.observed.server.status.as_ref().and_then(|status| status.condition(AVAILABLE));
            if before.is_some_and(|before| Reason::MinimumReplicasAvailable.is_of(before)) {
                let message = "enough pods were available before the last change";
                return found(true, Reason::MinimumReplicasAvailable, message);
            }
            return found(false, Reason::MinimumReplicasUnavailable, NOT_PROCESSED);
        }
        let message = format!("{} of {} pods are available", deployment.status.available_replicas, deployment.replicas);
        let of_deployment = |kind| deployment.status.condition(kind).filter(|condition| condition.status == "True");
        if of_deployment("Available").is_some() {
            return found(true, Reason::MinimumReplicasAvailable, &message);
        }
        if let Some((kind, trouble)) = self.trouble() {
            return found(false, kind.into(), &format!("{message}: {trouble}"));
        }
        let failure = of_deployment("ReplicaFailure").map(|failure| format!(": {}", failure.message));
        let message = message + failure.as_deref().unwrap_or_default();
        found(false, Reason::MinimumReplicasUnavailable, &message)
    }

    /// What keeps a pod from being ready, in the pod's own words, and what can be done about it here.
    fn trouble(&self) -> Option<(TroubleKind, String)> {
        let (pod, trouble) = in_trouble(&self.observed.pods)?;
        let Trouble { kind, message } = trouble;
        let remedy = if message.contains("runAsNonRoot") { AS_ROOT } else { "" };
        Some((*kind, format!("pod {}: {message}{remedy}", pod.meta.key.name())))
    }

    fn progressing(&self) -> Option<Finding> {
        let found = |holds: bool, reason, message: &str| finding(PROGRESSING, holds.into(), reason, message);
        let deployment = self.deployment?;
        let rolling = |message: &str| Some(found(true, Reason::RollingOut, message));
        if let Some(why) = self.not_followed() {
            return rolling(&why);
        }
        if self.lags() {
            return rolling(NOT_PROCESSED);
        }
        let Deployment { status, replicas, .. } = deployment;
        match status.condition("Progressing").filter(|condition| condition.status == "False") {
            Some(stuck) if stuck.reason == DEADLINE_EXCEEDED => {
                let trouble = self.trouble().map(|(_, trouble)| format!(" {trouble}")).unwrap_or_default();
                let message = format!("{}{trouble}", stuck.message);
                Some(found(false, Reason::ProgressDeadlineExceeded, &message))
            }
            // Any other failure may pass, such as a ReplicaSet that could not be created. If it lasts, the deadline
            // passes.
            Some(trouble) => rolling(&trouble.message),
            None if is_complete(deployment, self.observed) => {
                Some(found(true, Reason::Complete, "all pods run the current spec"))
            }
            None => {
                let updated = status.updated_replicas.min(*replicas);
                let trouble = self.trouble().map(|(_, trouble)| format!("; {trouble}")).unwrap_or_default();
                rolling(&format!("{updated} of {replicas} pods run the current spec{trouble}"))
            }
        }
    }

    /// Why the children are not what the spec calls for, if they are not.
    fn not_followed(&self) -> Option<String> {
        match self.outcome {
            Outcome::Applied(Applied { failed: Some(failed), .. }) => Some(format!("retrying: {failed}")),
            Outcome::Suspended { followed: false } => {
                Some("suspended: the current spec has not been applied".to_owned())
            }
            Outcome::Applied(Applied { refused: Some(_), .. })
            | Outcome::HandsOff(HandsOff::Undecodable(_) | HandsOff::NameConflict(_)) => {
                Some("the current spec has not been applied".to_owned())
            }
            Outcome::HandsOff(HandsOff::Terminating) => None,
            Outcome::Applied(Applied { refused: None, failed: None, .. }) | Outcome::Suspended { followed: true } => {
                self.service.is_none().then(|| "the server has no Service yet".to_owned())
            }
        }
    }

    fn verified(&self) -> Finding {
        let found = |status, reason, message: &str| finding(VERIFIED, status, reason, message);
        let unknown = || found(ConditionStatus::Unknown, Reason::NotYetVerified, "no ready pod has been asked yet");
        if self.observed.server.spec.is_err() {
            return self.verified_before().unwrap_or_else(unknown);
        }
        let Some(Verification { outcome, facts, .. }) = self.verification else {
            return found(
                ConditionStatus::Unknown,
                Reason::VerificationOff,
                "the server is not asked whether it speaks MCP",
            );
        };
        match (outcome, facts) {
            (Verified::Failed { reason, message }, _) => found(ConditionStatus::False, (*reason).into(), message),
            (Verified::Verified, Some(facts)) => {
                let warning = verify::session_warning(self.observed, facts);
                found(ConditionStatus::True, Reason::Verified, &format!("the server {facts}{warning}"))
            }
            (Verified::NotYetVerified, _) | (Verified::Verified, None) => {
                self.verified_before().unwrap_or_else(unknown)
            }
        }
    }

    /// What was reported before this operator started, as long as there are pods of which it may be true. Otherwise each
    /// restart would write the status of every server twice, and once say less than was known.
    fn verified_before(&self) -> Option<Finding> {
        let before = self.observed.server.status.as_ref()?.condition(VERIFIED)?;
        let reason = Reason::VERDICTS.into_iter().find(|reason| reason.is_of(before))?;
        let asked = self.observed.pods.iter().any(|pod| pod.ready);
        asked.then(|| finding(VERIFIED, before.status, reason, &before.message))
    }

    /// What the server said when it was last verified.
    fn told_before(&self) -> Option<ServerInfo> {
        self.observed.server.status.as_ref()?.server.clone()
    }

    /// Ready copies the first condition that is not True.
    fn ready(&self, findings: &[Finding]) -> Finding {
        if let Some(first) = findings.iter().find(|finding| finding.status != ConditionStatus::True) {
            let reason = if first.status == ConditionStatus::Unknown { Reason::Unknown } else { first.reason };
            return finding(READY, first.status, reason, &first.message);
        }
        let lags = || self.lags().then(|| NOT_PROCESSED.to_owned());
        if let Some(message) = self.not_followed().or_else(lags) {
            return finding(READY, ConditionStatus::Unknown, Reason::Unknown, &message);
        }
        let available = findings.iter().find(|finding| finding.condition == AVAILABLE);
        finding(READY, ConditionStatus::True, Reason::Available, available.map_or("", |available| &available.message))
    }

    fn phase(&self, findings: &[Finding]) -> Phase {
        match self.outcome {
            Outcome::HandsOff(HandsOff::Terminating) => return Phase::Terminating,
            Outcome::Suspended { .. } => return Phase::Suspended,
            Outcome::HandsOff(HandsOff::Undecodable(_) | HandsOff::NameConflict(_))
            | Outcome::Applied(Applied { refused: Some(_), .. }) => return Phase::Failed,
            Outcome::Applied(Applied { refused: None, .. }) => {}
        }
        let Some(deployment) = self.deployment else { return Phase::Pending };
        let found = |condition| findings.iter().find(|finding| finding.condition == condition);
        let (pods, available) = (deployment.status.replicas, deployment.status.available_replicas);
        let wanted = deployment.replicas;
        let has_its_secret = found(SECRET_RESOLVED).is_some_and(|secret| secret.status == ConditionStatus::True);
        match found(PROGRESSING).map(|progressing| progressing.reason) {
            Some(Reason::ProgressDeadlineExceeded) if available == 0 => Phase::Failed,
            Some(Reason::ProgressDeadlineExceeded) => Phase::Degraded,
            Some(Reason::RollingOut) if pods == 0 && wanted > 0 => Phase::Pending,
            Some(Reason::RollingOut) => Phase::Progressing,
            // Complete: Progressing has no other reason.
            Some(_) | None if wanted == 0 => Phase::ScaledToZero,
            Some(_) | None if available < wanted || !has_its_secret => Phase::Degraded,
            Some(_) | None => Phase::Running,
        }
    }

    fn url(&self, findings: &[Finding]) -> Option<String> {
        let available = findings
            .iter()
            .any(|finding| finding.condition == AVAILABLE && finding.reason == Reason::MinimumReplicasAvailable);
        let key = &self.observed.server.meta.key;
        let port = self.service.filter(|_| available)?.port?;
        // Where a spec that can't be read would have the endpoint, nobody knows.
        let path = &self.observed.server.spec.as_ref().ok()?.mcp.path;
        Some(format!("http://{}.{}.svc:{port}{path}", key.name(), key.namespace()))
    }

    /// Whether the Deployment's status describes an earlier generation.
    fn lags(&self) -> bool {
        self.deployment
            .is_some_and(|deployment| deployment.status.observed_generation < deployment.child.meta.generation)
    }

    fn condition(&self, finding: Finding, now: Timestamp) -> Condition {
        let Finding { condition, status, reason, message } = finding;
        let before = self.observed.server.status.as_ref().and_then(|status| status.condition(condition));
        let since = before.filter(|before| before.status == status).map_or(now, |before| before.last_transition_time);
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

/// Whether a rollout is complete: every pod has the current template, and all pods have been available at least once
/// since the spec changed. A pod that is lost later is not a rollout, though for a moment there is one pod less. But
/// the Deployment must agree: one that was deleted and created again has no pods of an older template either, and is
/// rolling out nevertheless.
fn is_complete(deployment: &Deployment, observed: &Observed) -> bool {
    let Deployment { status, replicas, .. } = deployment;
    if status.updated_replicas != status.replicas {
        return false;
    }
    let before = observed.server.status.as_ref().and_then(|status| status.condition(PROGRESSING));
    let generation = Some(observed.server.meta.generation);
    let was_complete =
        before.is_some_and(|before| Reason::Complete.is_of(before) && before.observed_generation == generation);
    let still = status.condition("Progressing").is_some_and(|found| found.reason == NEW_REPLICA_SET_AVAILABLE);
    (status.replicas == *replicas && status.available_replicas >= *replicas) || (was_complete && still)
}

fn finding(condition: &'static str, status: ConditionStatus, reason: Reason, message: &str) -> Finding {
    Finding { condition, status, reason, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
