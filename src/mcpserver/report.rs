//! Step five: say how it is. Pure: what was observed in, a status out.
//!
//! Three rules make a status that can be trusted:
//!
//! - *The past is not the present.* Right after a change the Deployment's own status still speaks of what was before
//!   (its `observedGeneration` lags). Its counts are shown, and they make nobody ready.
//! - *A moment is not a change.* `lastTransitionTime` moves when a condition flips and at no other time, and a status that
//!   says the same as before is not written.
//! - *Nothing is claimed that was not seen.* Whether the server speaks MCP is not said here: nobody has asked it.

use jiff::Timestamp;

use super::apply::Applied;
use super::build::selector;
use super::children::{Child, Deployment, Service};
use super::observe::{Observed, SecretState};
use super::validate::HandsOff;
use crate::api::{Condition, ConditionStatus, MCPServerStatus, Phase};

/// All others hold.
pub const READY: &str = "Ready";
/// The spec can be read and followed.
pub const ACCEPTED: &str = "Accepted";
/// The Secret that the spec names can be read, if it names one.
pub const SECRET_RESOLVED: &str = "SecretResolved";
/// Enough pods serve.
pub const AVAILABLE: &str = "Available";
/// The pods are becoming, or have become, what the spec asks for.
pub const PROGRESSING: &str = "Progressing";

/// The conditions that are ours; others in the list belong to others.
pub const OURS: [&str; 5] = [READY, ACCEPTED, SECRET_RESOLVED, AVAILABLE, PROGRESSING];

/// The path at which a server is expected to speak.
const PATH: &str = "/mcp";

/// The schema takes no longer message, in characters: a refusal that quotes a whole spec must not keep the status from being written.
const LONGEST_MESSAGE: usize = 32_768;

/// What became of the server's wish.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It was followed, as far as possible.
    Applied(&'a Applied),
    /// Its owner wants nothing to be done; `followed` says whether there would be anything to do.
    Suspended {
        /// The children are what the spec calls for.
        followed: bool,
    },
    /// It was not, on purpose.
    HandsOff(&'a HandsOff),
}

/// What is said of one aspect.
struct Finding {
    condition: &'static str,
    status: ConditionStatus,
    reason: &'static str,
    message: String,
}

/// Says how the server is.
pub fn report(observed: &Observed, outcome: &Outcome<'_>, now: Timestamp) -> MCPServerStatus {
    let server = &observed.server;
    let (deployment, service) = match outcome {
        Outcome::Applied(applied) => (applied.deployment.as_deref(), applied.service.as_deref()),
        Outcome::Suspended { .. } | Outcome::HandsOff(_) => {
            (observed.deployment.as_deref(), observed.service.as_deref())
        }
    };
    // What bears its name may be somebody else's, and then it says nothing about this server.
    let own = |child: &Child| child.meta.is_controlled_by(&server.meta.uid);
    let deployment = deployment.filter(|deployment| own(&deployment.child));
    let service = service.filter(|service| own(&service.child));
    let view = View { observed, outcome, deployment, service };
    let mut findings = vec![view.accepted(), view.secret_resolved(), view.available()];
    findings.extend(view.progressing());
    findings.insert(0, view.ready(&findings));
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
        conditions: findings.into_iter().map(|finding| view.condition(finding, now)).collect(),
    }
}

/// Whether two statuses say the same. Conditions of others don't count.
pub fn says_the_same(old: &MCPServerStatus, new: &MCPServerStatus) -> bool {
    let ours = |condition: &&Condition| OURS.contains(&condition.condition_type.as_str());
    let conditions = |status: &MCPServerStatus| {
        let mut conditions: Vec<Condition> = status.conditions.iter().filter(ours).cloned().collect();
        conditions.sort_by(|a, b| a.condition_type.cmp(&b.condition_type));
        conditions
    };
    let rest = |status: &MCPServerStatus| MCPServerStatus { conditions: Vec::new(), ..status.clone() };
    rest(old) == rest(new) && conditions(old) == conditions(new)
}

/// Everything that the findings are found in. What is said of pods and of the port is said of the children as they are: the
/// spec says what is wanted, and may not have been followed.
struct View<'a> {
    observed: &'a Observed,
    outcome: &'a Outcome<'a>,
    deployment: Option<&'a Deployment>,
    service: Option<&'a Service>,
}

impl View<'_> {
    fn accepted(&self) -> Finding {
        let no = |reason, message: &str| finding(ACCEPTED, ConditionStatus::False, reason, message);
        match self.outcome {
            Outcome::HandsOff(HandsOff::Undecodable(error)) => no("UndecodableObject", &format!("spec: {error}")),
            Outcome::HandsOff(HandsOff::NameConflict(conflict)) => no(
                "NameConflict",
                &format!("{conflict}; delete or rename it, or choose another name for this MCPServer"),
            ),
            Outcome::Applied(Applied { refused: Some(refused), .. }) => no("InvalidSpec", &refused.message),
            Outcome::HandsOff(HandsOff::Terminating) => {
                let left = self.observed.children;
                let message = format!("it is being deleted; {left} of its objects are still there");
                finding(ACCEPTED, ConditionStatus::True, "Accepted", &message)
            }
            Outcome::Suspended { .. } => {
                let message = "suspended: nothing is made or changed until spec.suspend is false";
                finding(ACCEPTED, ConditionStatus::True, "Accepted", message)
            }
            Outcome::Applied(Applied { refused: None, .. }) => {
                finding(ACCEPTED, ConditionStatus::True, "Accepted", "the spec can be followed")
            }
        }
    }

    fn secret_resolved(&self) -> Finding {
        let found = |status, reason, message: &str| finding(SECRET_RESOLVED, status, reason, message);
        match &self.observed.secret {
            SecretState::NotRequired => found(ConditionStatus::True, "NotRequired", "the spec names no Secret"),
            SecretState::Resolved(_) => found(ConditionStatus::True, "Resolved", "the Secret is there"),
            SecretState::Missing(name) => {
                let going_on = if self.deployment.is_some() {
                    "the pods go on with what they have"
                } else {
                    "no pod is started before it is"
                };
                let message = format!("Secret {name} does not exist in this namespace; {going_on}");
                found(ConditionStatus::False, "SecretNotFound", &message)
            }
            SecretState::Unreadable(name, error) => {
                found(ConditionStatus::Unknown, "SecretUnreadable", &format!("Secret {name} can't be read: {error}"))
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
            return found(false, "DeploymentMissing", &format!("there is no Deployment of this server{failed}"));
        };
        if deployment.replicas == 0 {
            return found(true, "ScaledToZero", "no pods are wanted");
        }
        if self.lags() {
            // The last that was known. That it is the last is what `ready` says.
            let before = self.observed.server.status.as_ref().and_then(|status| status.condition(AVAILABLE));
            if before.is_some_and(|before| before.reason == "MinimumReplicasAvailable") {
                return found(true, "MinimumReplicasAvailable", "enough pods served before the last change");
            }
            return found(
                false,
                "MinimumReplicasUnavailable",
                "the Deployment's controller has not looked at the last change yet",
            );
        }
        let message = format!("{} of {} pods are available", deployment.status.available_replicas, deployment.replicas);
        let of_deployment = |kind| deployment.status.condition(kind).filter(|condition| condition.status == "True");
        match (of_deployment("Available"), of_deployment("ReplicaFailure")) {
            (Some(_), _) => found(true, "MinimumReplicasAvailable", &message),
            (None, None) => found(false, "MinimumReplicasUnavailable", &message),
            (None, Some(failure)) => {
                found(false, "MinimumReplicasUnavailable", &format!("{message}: {}", failure.message))
            }
        }
    }

    fn progressing(&self) -> Option<Finding> {
        let found = |holds: bool, reason, message: &str| finding(PROGRESSING, holds.into(), reason, message);
        let deployment = self.deployment?;
        let rolling = |message: &str| Some(found(true, "RollingOut", message));
        if let Some(why) = self.not_followed() {
            return rolling(&why);
        }
        if self.lags() {
            return rolling("the Deployment's controller has not looked at the last change yet");
        }
        let Deployment { status, replicas, .. } = deployment;
        match status.condition("Progressing").filter(|condition| condition.status == "False") {
            Some(stuck) if stuck.reason == "ProgressDeadlineExceeded" => {
                Some(found(false, "ProgressDeadlineExceeded", &stuck.message))
            }
            // It may pass: a ReplicaSet could not be made, say. When it lasts, the deadline says so.
            Some(trouble) => rolling(&trouble.message),
            None if is_complete(deployment, self.observed) => {
                Some(found(true, "Complete", "all pods are of the current spec"))
            }
            None => {
                let updated = status.updated_replicas.min(*replicas);
                rolling(&format!("{updated} of {replicas} pods are of the current spec"))
            }
        }
    }

    /// Why the children are not what the spec calls for, if they are not.
    fn not_followed(&self) -> Option<String> {
        match self.outcome {
            Outcome::Applied(Applied { failed: Some(failed), .. }) => Some(format!("it is tried again: {failed}")),
            Outcome::Suspended { followed: false } => {
                Some("suspended: the current spec has not been followed".to_owned())
            }
            Outcome::Applied(Applied { refused: Some(_), .. })
            | Outcome::HandsOff(HandsOff::Undecodable(_) | HandsOff::NameConflict(_)) => {
                Some("the current spec has not been followed".to_owned())
            }
            Outcome::HandsOff(HandsOff::Terminating) => None,
            Outcome::Applied(Applied { refused: None, failed: None, .. }) | Outcome::Suspended { followed: true } => {
                self.service.is_none().then(|| "there is no Service of this server yet".to_owned())
            }
        }
    }

    /// Ready says what the first condition says that is not as it should be.
    fn ready(&self, findings: &[Finding]) -> Finding {
        if let Some(first) = findings.iter().find(|finding| finding.status != ConditionStatus::True) {
            let reason = if first.status == ConditionStatus::Unknown { "Unknown" } else { first.reason };
            return finding(READY, first.status, reason, &first.message);
        }
        let lags =
            || self.lags().then(|| "the Deployment's controller has not looked at the last change yet".to_owned());
        if let Some(message) = self.not_followed().or_else(lags) {
            return finding(READY, ConditionStatus::Unknown, "Unknown", &message);
        }
        let available = findings.iter().find(|finding| finding.condition == AVAILABLE);
        finding(READY, ConditionStatus::True, "Available", available.map_or("", |available| &available.message))
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
        let reason =
            |condition| findings.iter().find(|finding| finding.condition == condition).map(|finding| finding.reason);
        let (pods, available) = (deployment.status.replicas, deployment.status.available_replicas);
        let wanted = deployment.replicas;
        match reason(PROGRESSING) {
            Some("ProgressDeadlineExceeded") if available == 0 => Phase::Failed,
            Some("ProgressDeadlineExceeded") => Phase::Degraded,
            Some("RollingOut") if pods == 0 && wanted > 0 => Phase::Pending,
            Some("RollingOut") => Phase::Progressing,
            _ if wanted == 0 => Phase::ScaledToZero,
            _ if available < wanted || reason(SECRET_RESOLVED) != Some(self.expected_secret()) => Phase::Degraded,
            _ => Phase::Running,
        }
    }

    fn expected_secret(&self) -> &'static str {
        if self.observed.secret == SecretState::NotRequired { "NotRequired" } else { "Resolved" }
    }

    fn url(&self, findings: &[Finding]) -> Option<String> {
        let available = findings
            .iter()
            .any(|finding| finding.condition == AVAILABLE && finding.reason == "MinimumReplicasAvailable");
        let key = &self.observed.server.meta.key;
        let port = self.service.filter(|_| available)?.port?;
        Some(format!("http://{}.{}.svc:{port}{PATH}", key.name(), key.namespace()))
    }

    /// The Deployment's status speaks of an earlier generation of it.
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
            reason: reason.to_owned(),
            message: message.chars().take(LONGEST_MESSAGE).collect(),
        }
    }
}

/// Every pod is of the current template, and all of them have been available at least once since the spec changed: a
/// pod that is lost later is not a rollout, though for a moment there is one pod less. The Deployment's own word
/// counts, too: one that was made again has no pods of an older template either, and is rolling out all the same.
fn is_complete(deployment: &Deployment, observed: &Observed) -> bool {
    let Deployment { status, replicas, .. } = deployment;
    if status.updated_replicas != status.replicas {
        return false;
    }
    let before = observed.server.status.as_ref().and_then(|status| status.condition(PROGRESSING));
    let generation = Some(observed.server.meta.generation);
    let was_complete =
        before.is_some_and(|before| before.reason == "Complete" && before.observed_generation == generation);
    let still = status.condition("Progressing").is_some_and(|found| found.reason == "NewReplicaSetAvailable");
    (status.replicas == *replicas && status.available_replicas >= *replicas) || (was_complete && still)
}

fn finding(condition: &'static str, status: ConditionStatus, reason: &'static str, message: &str) -> Finding {
    Finding { condition, status, reason, message: message.to_owned() }
}

/// How soon a new status is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It says what is written already.
    None,
    /// At once.
    Now,
    /// When it still differs after so long.
    Patient(std::time::Duration),
}

/// How soon `new` is to be written.
///
/// What is merely on its way changes many times a second, and every write wakes whoever watches. So while pods are coming and
/// nothing is wrong, a status waits until it is worth reading: for the Deployment's controller to speak at all,
/// and then for the crowd of its first words to end. Once it is said that pods are coming, how far they have come is
/// no great news either.
pub fn urgency(old: Option<&MCPServerStatus>, new: &MCPServerStatus, controller_spoke: bool) -> Urgency {
    const UNTIL_IT_SPEAKS: std::time::Duration = std::time::Duration::from_secs(8);
    const UNTIL_IT_ROLLS: std::time::Duration = std::time::Duration::from_secs(4);
    const WHILE_IT_ROLLS: std::time::Duration = std::time::Duration::from_secs(5);
    if old.is_some_and(|old| says_the_same(old, new)) {
        return Urgency::None;
    }
    let fine = |status: &MCPServerStatus, condition| {
        status.condition(condition).is_some_and(|found| found.status == ConditionStatus::True)
    };
    let coming = |status: &MCPServerStatus| {
        matches!(status.phase, Some(Phase::Pending | Phase::Progressing))
            && fine(status, ACCEPTED)
            && fine(status, SECRET_RESOLVED)
    };
    if !coming(new) {
        return Urgency::Now;
    }
    let known = old.is_some_and(|old| coming(old) && old.observed_generation == new.observed_generation);
    Urgency::Patient(match (controller_spoke, known) {
        (false, _) => UNTIL_IT_SPEAKS,
        (true, false) => UNTIL_IT_ROLLS,
        (true, true) => WHILE_IT_ROLLS,
    })
}

#[cfg(test)]
mod tests;
