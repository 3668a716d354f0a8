//! Whether the server speaks MCP, and what it says of itself: the condition Verified, and `status.server`.

use jiff::Timestamp;

use super::super::verify;
use super::view::View;
use super::{Finding, Reason, VERIFIED, Verification, finding};
use crate::api::{ConditionStatus, ServerInfo};
use crate::verification::Outcome as Verified;

impl View<'_> {
    pub(super) fn verified(&self) -> Finding {
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
        let before = self.before(VERIFIED)?;
        let reason = Reason::VERDICTS.into_iter().find(|reason| reason.is_of(before))?;
        let asked = self.observed.pods.iter().any(|pod| pod.ready);
        asked.then(|| finding(VERIFIED, before.status, reason, &before.message))
    }

    /// What the server says of itself. As long as nothing newer is known, that is what it said before.
    pub(super) fn server(&self, now: Timestamp) -> Option<ServerInfo> {
        let before = || self.observed.server.status.as_ref()?.server.clone();
        match self.verification {
            Some(verification) => verify::info(verification, now).or_else(before),
            None if self.observed.server.spec.is_err() => before(),
            None => None,
        }
    }
}
