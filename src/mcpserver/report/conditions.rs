//! What most of the conditions say, in the order in which they are asked: each presumes the one before.

use super::super::apply::Applied;
use super::super::kind::ChildKind;
use super::super::observe::SecretState;
use super::super::validate::HandsOff;
use super::view::View;
use super::{ACCEPTED, AVAILABLE, Finding, NOT_PROCESSED, Outcome, READY, Reason, SECRET_RESOLVED, finding};
use crate::api::ConditionStatus;

/// What to do about an object that is not the server's own.
const MAKE_ROOM: &str = "delete or rename it, or choose another name for this MCPServer";

const SUSPENDED: &str = "suspended: nothing is created or changed until spec.suspend is false";

impl View<'_> {
    pub(super) fn accepted(&self) -> Finding {
        let yes = |message: &str| finding(ACCEPTED, ConditionStatus::True, Reason::Accepted, message);
        let no = |reason, message: &str| finding(ACCEPTED, ConditionStatus::False, reason, message);
        let conflict = |conflict: &str, rest: &str| no(Reason::NameConflict, &format!("{conflict}; {MAKE_ROOM}{rest}"));
        match self.outcome {
            Outcome::HandsOff(HandsOff::Undecodable(error)) => no(Reason::UndecodableObject, error),
            Outcome::HandsOff(HandsOff::NameConflict(what)) => conflict(what, ""),
            Outcome::HandsOff(HandsOff::Terminating) => {
                yes(&format!("being deleted; {} of its objects still exist", self.observed.children))
            }
            Outcome::Suspended { followed: _, conflict: Some(what) } => conflict(what, &format!("; {SUSPENDED}")),
            Outcome::Suspended { followed: _, conflict: None } => yes(SUSPENDED),
            Outcome::Applied(applied @ Applied { refused: Some(refused), .. }) => {
                let rest = if applied.is_refused() { "" } else { "; all else goes on" };
                no(Reason::InvalidSpec, &format!("{}{rest}", refused.message))
            }
            Outcome::Applied(Applied { refused: None, obstacles, .. }) => match &obstacles.conflict {
                Some(what) => conflict(what, "; all that does not need this name goes on"),
                None => yes("the spec is valid"),
            },
        }
    }

    pub(super) fn secret_resolved(&self) -> Finding {
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

    pub(super) fn available(&self) -> Finding {
        let found = |holds: bool, reason, message: &str| finding(AVAILABLE, holds.into(), reason, message);
        let Some(deployment) = self.deployment else {
            let why = match self.outcome {
                Outcome::Applied(Applied { failed: Some(failed), .. }) => Some(failed),
                Outcome::Applied(applied) => applied.obstacles.departing.get(&ChildKind::Deployment),
                Outcome::Suspended { .. } | Outcome::HandsOff(_) => None,
            };
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            return found(false, Reason::DeploymentMissing, &format!("the server has no Deployment{why}"));
        };
        if deployment.replicas == 0 {
            return found(true, Reason::ScaledToZero, "scaled to zero");
        }
        if self.lags() {
            // Repeats what was known last. `ready` says that it may be outdated.
            if self.before(AVAILABLE).is_some_and(|before| Reason::MinimumReplicasAvailable.is_of(before)) {
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

    /// Ready copies the first condition that is not True.
    pub(super) fn ready(&self, findings: &[Finding]) -> Finding {
        if let Some(first) = findings.iter().find(|finding| finding.status != ConditionStatus::True) {
            let reason = if first.status == ConditionStatus::Unknown { Reason::Unknown } else { first.reason };
            return finding(READY, first.status, reason, &first.message);
        }
        let lags = || self.lags().then(|| NOT_PROCESSED.to_owned());
        if let Some(why) = self.held_up().map(str::to_owned).or_else(|| self.awaited()).or_else(lags) {
            return finding(READY, ConditionStatus::Unknown, Reason::Unknown, &why);
        }
        let said = |reason: Reason| findings.iter().find(|finding| finding.reason == reason);
        let said = |reason: Reason| said(reason).map(|finding| finding.message.as_str());
        let available = said(Reason::MinimumReplicasAvailable).or(said(Reason::ScaledToZero)).unwrap_or_default();
        // The pods serve, but some of them may still serve what the spec called for before.
        let message = match said(Reason::RollingOut) {
            Some(rolling) => format!("{available}; {rolling}"),
            None => available.to_owned(),
        };
        finding(READY, ConditionStatus::True, Reason::Available, &message)
    }
}
