//! How far the pods are: the condition Progressing.
//!
//! It speaks of the Deployment. Where the current spec is not applied, and won't be until somebody does something, nothing
//! rolls out; then it is about the spec that was applied last, and says so.

use super::super::children::Deployment;
use super::view::View;
use super::{Finding, NOT_PROCESSED, PROGRESSING, Reason, finding};
use crate::api::{Condition, Phase};

/// Two of the reasons in a Deployment's condition `Progressing`.
const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
const NEW_REPLICA_SET_AVAILABLE: &str = "NewReplicaSetAvailable";

impl View<'_> {
    /// `None` without a Deployment: there is nothing that could make progress.
    pub(super) fn progressing(&self) -> Option<Finding> {
        let found = |holds: bool, reason, message: &str| finding(PROGRESSING, holds.into(), reason, message);
        let deployment = self.deployment?;
        let rolling = |message: &str| Some(found(true, Reason::RollingOut, message));
        if let Some(why) = self.awaited() {
            return rolling(&why);
        }
        if self.lags() {
            return rolling(NOT_PROCESSED);
        }
        let Deployment { status, replicas, .. } = deployment;
        let (spec, held_up) = match self.held_up() {
            Some(why) => ("the spec that was applied last", format!("; {why}")),
            None => ("the current spec", String::new()),
        };
        let trouble = || self.trouble().map(|(_, trouble)| trouble);
        match status.condition("Progressing").filter(|condition| condition.status == "False") {
            Some(stuck) if stuck.reason == DEADLINE_EXCEEDED => {
                let trouble = trouble().map(|trouble| format!(" {trouble}")).unwrap_or_default();
                let message = format!("{}{trouble}", stuck.message);
                Some(found(false, Reason::ProgressDeadlineExceeded, &message))
            }
            // Any other failure may pass, such as a ReplicaSet that could not be created. If it lasts, the deadline
            // passes.
            Some(trouble) => rolling(&trouble.message),
            None if self.is_complete(deployment) => {
                Some(found(true, Reason::Complete, &format!("all pods run {spec}{held_up}")))
            }
            None => {
                let updated = status.updated_replicas.min(*replicas);
                let trouble = trouble().map(|trouble| format!("; {trouble}")).unwrap_or_default();
                rolling(&format!("{updated} of {replicas} pods run {spec}{trouble}{held_up}"))
            }
        }
    }

    /// Whether a rollout is complete: every pod has the newest template, and all pods have been available at least once
    /// since the spec changed. A pod that is lost later is not a rollout, though for a moment there is one pod less. But
    /// the Deployment must agree: one that was deleted and created again has no pods of an older template either, and is
    /// rolling out nevertheless.
    fn is_complete(&self, deployment: &Deployment) -> bool {
        let Deployment { status, replicas, .. } = deployment;
        if status.updated_replicas != status.replicas {
            return false;
        }
        let all = status.replicas == *replicas && status.available_replicas >= *replicas;
        let still = status.condition("Progressing").is_some_and(|found| found.reason == NEW_REPLICA_SET_AVAILABLE);
        all || (still && (self.held_up().is_some() || self.was_complete()))
    }

    /// Whether the written status says that this spec's rollout is complete. While a spec is held up, "complete" is said
    /// of the one before.
    fn was_complete(&self) -> bool {
        let held_up = matches!(
            self.observed.server.status.as_ref().and_then(|status| status.phase),
            Some(Phase::Failed | Phase::Suspended)
        );
        let generation = Some(self.observed.server.meta.generation);
        let complete = |before: &Condition| Reason::Complete.is_of(before) && before.observed_generation == generation;
        !held_up && self.before(PROGRESSING).is_some_and(complete)
    }
}
