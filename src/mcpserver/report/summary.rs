//! What the conditions come to, for people: the phase and the URL.

use super::super::validate::HandsOff;
use super::view::View;
use super::{ACCEPTED, AVAILABLE, Finding, Outcome, PROGRESSING, Reason, SECRET_RESOLVED};
use crate::api::{ConditionStatus, Phase};

impl View<'_> {
    pub(super) fn phase(&self, findings: &[Finding]) -> Phase {
        match self.outcome {
            Outcome::HandsOff(HandsOff::Terminating) => return Phase::Terminating,
            Outcome::Suspended { .. } => return Phase::Suspended,
            Outcome::HandsOff(HandsOff::Undecodable(_) | HandsOff::NameConflict(_)) => return Phase::Failed,
            Outcome::Applied(applied) if applied.is_refused() => return Phase::Failed,
            Outcome::Applied(_) => {}
        }
        let Some(deployment) = self.deployment else { return Phase::Pending };
        let found = |condition| findings.iter().find(|finding| finding.condition == condition);
        let holds = |condition| found(condition).is_some_and(|finding| finding.status == ConditionStatus::True);
        let (pods, available) = (deployment.status.replicas, deployment.status.available_replicas);
        let wanted = deployment.replicas;
        match found(PROGRESSING).map(|progressing| progressing.reason) {
            Some(Reason::ProgressDeadlineExceeded) if available == 0 => Phase::Failed,
            Some(Reason::ProgressDeadlineExceeded) => Phase::Degraded,
            Some(Reason::RollingOut) if pods == 0 && wanted > 0 => Phase::Pending,
            Some(Reason::RollingOut) => Phase::Progressing,
            // Complete: Progressing has no other reason.
            Some(_) | None if wanted == 0 => Phase::ScaledToZero,
            Some(_) | None if available < wanted || !holds(SECRET_RESOLVED) || !holds(ACCEPTED) => Phase::Degraded,
            Some(_) | None => Phase::Running,
        }
    }

    pub(super) fn url(&self, findings: &[Finding]) -> Option<String> {
        let available = findings
            .iter()
            .any(|finding| finding.condition == AVAILABLE && finding.reason == Reason::MinimumReplicasAvailable);
        let key = &self.observed.server.meta.key;
        let port = self.service.filter(|_| available)?.port?;
        // Where a spec that can't be read would have the endpoint, nobody knows.
        let path = &self.observed.server.spec.as_ref().ok()?.mcp.path;
        Some(format!("http://{}.{}.svc:{port}{path}", key.name(), key.namespace()))
    }
}
