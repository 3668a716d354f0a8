//! Everything that a report is based on, and what several of its parts ask of it.

use super::super::apply::Applied;
use super::super::children::{Child, Deployment, Service};
use super::super::observe::Observed;
use super::super::pods::{Trouble, TroubleKind, in_trouble};
use super::super::validate::HandsOff;
use super::{Outcome, Verification};
use crate::api::Condition;

/// What lifts the most common reason for a container that can't be created.
const AS_ROOT: &str =
    "; spec.podSecurityContext decides that: set runAsUser to a user other than 0, or runAsNonRoot to false";

const NOT_APPLIED: &str = "the current spec has not been applied";

/// Everything that the report is based on. Statements about pods and the port are statements about the children as they
/// are: the spec says what is wanted, and may not have been applied.
pub(super) struct View<'a> {
    pub(super) observed: &'a Observed,
    pub(super) outcome: &'a Outcome<'a>,
    /// The server's own Deployment.
    pub(super) deployment: Option<&'a Deployment>,
    /// The server's own Service.
    pub(super) service: Option<&'a Service>,
    /// `None` if the server is not to be verified.
    pub(super) verification: Option<&'a Verification>,
}

impl<'a> View<'a> {
    pub(super) fn new(
        observed: &'a Observed,
        outcome: &'a Outcome<'a>,
        verification: Option<&'a Verification>,
    ) -> Self {
        let (deployment, service) = match outcome {
            Outcome::Applied(applied) => (applied.deployment.as_deref(), applied.service.as_deref()),
            Outcome::Suspended { .. } | Outcome::HandsOff(_) => {
                (observed.deployment.as_deref(), observed.service.as_deref())
            }
        };
        // An object with the server's name may belong to somebody else, and then it says nothing about this server.
        let own = |child: &Child| child.meta.is_controlled_by(&observed.server.meta.uid);
        let deployment = deployment.filter(|deployment| own(&deployment.child));
        let service = service.filter(|service| own(&service.child));
        Self { observed, outcome, deployment, service, verification }
    }

    /// What the written status says in this condition.
    pub(super) fn before(&self, condition: &str) -> Option<&'a Condition> {
        self.observed.server.status.as_ref()?.condition(condition)
    }

    /// Whether the Deployment's status describes an earlier generation.
    pub(super) fn lags(&self) -> bool {
        self.deployment
            .is_some_and(|deployment| deployment.status.observed_generation < deployment.child.meta.generation)
    }

    /// Why the spec is not going to be applied until somebody does something about it.
    pub(super) fn held_up(&self) -> Option<&'static str> {
        match self.outcome {
            Outcome::HandsOff(HandsOff::Undecodable(_) | HandsOff::NameConflict(_)) => Some(NOT_APPLIED),
            Outcome::Applied(applied) => applied.is_refused().then_some(NOT_APPLIED),
            Outcome::Suspended { followed: false, conflict: _ } => {
                Some("suspended: the current spec has not been applied")
            }
            Outcome::Suspended { followed: true, conflict: _ } | Outcome::HandsOff(HandsOff::Terminating) => None,
        }
    }

    /// What has to happen by itself before all children are what the spec calls for.
    pub(super) fn awaited(&self) -> Option<String> {
        match self.outcome {
            Outcome::Applied(Applied { failed: Some(failed), .. }) => Some(format!("retrying: {failed}")),
            Outcome::Suspended { followed: false, conflict: _ } | Outcome::HandsOff(_) => None,
            Outcome::Applied(applied) if applied.is_refused() => None,
            Outcome::Applied(applied) => {
                let departing = applied.obstacles.departing.values().next();
                departing.map_or_else(|| self.without_service(), |what| Some(format!("waiting: {what}")))
            }
            Outcome::Suspended { followed: true, conflict: _ } => self.without_service(),
        }
    }

    fn without_service(&self) -> Option<String> {
        self.service.is_none().then(|| "the server has no Service yet".to_owned())
    }

    /// What keeps a pod from being ready, in the pod's own words, and what can be done about it here.
    pub(super) fn trouble(&self) -> Option<(TroubleKind, String)> {
        let (pod, trouble) = in_trouble(&self.observed.pods)?;
        let Trouble { kind, message } = trouble;
        let remedy = if message.contains("runAsNonRoot") { AS_ROOT } else { "" };
        Some((*kind, format!("pod {}: {message}{remedy}", pod.meta.key.name())))
    }
}
