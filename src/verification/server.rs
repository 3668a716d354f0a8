//! One server: its pods, what was found out about each, and what follows for all of them together.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::report::{Baseline, Outcome, Pod, Report};
use crate::mcp::{Era, Facts, Reason, ToolList, Verdict};
use crate::object::Uid;

/// A server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) interval: std::time::Duration,
    pub(super) pods: BTreeMap<Uid, Asked>,
    /// Pods that have left, and before when they are not asked again if they come back: readiness may flap
    /// every second, and the questions must not.
    pub(super) left: BTreeMap<Uid, Instant>,
    pub(super) report: Report,
}

/// A pod that is asked again and again.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) pod: Pod,
    pub(super) phase: Phase,
    /// When the last question began.
    pub(super) last: Option<Instant>,
    /// How many questions in a row it has failed.
    pub(super) failures: u32,
    pub(super) found: Option<Found>,
}

/// Where a pod is in its round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It stands in the schedule, at this time.
    Waiting(Instant),
    /// It is being asked. An answer with another ticket is one to an older question.
    Running(Ticket),
}

/// Names one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(pub(super) u64);

/// What was last found out about a pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// In most servers all pods say the same, and share it.
    Verified(Arc<Facts>),
    Failed {
        reason: Reason,
        message: Box<str>,
    },
}

impl Asked {
    /// The era to begin with: that of the last answer. After a failure there is none: the server may have become another.
    pub(super) fn era(&self) -> Option<Era> {
        match &self.found {
            Some(Found::Verified(facts)) => Some(facts.era),
            Some(Found::Failed { .. }) | None => None,
        }
    }
}

/// What follows from all pods together.
enum Judgement<'a> {
    /// Nothing yet: some have not been asked. It is no reason to take back what was said before.
    Pending,
    NoPods,
    Failed(Reason, String),
    Verified(&'a Arc<Facts>),
}

impl Server {
    pub(super) fn new(interval: std::time::Duration, baseline: Option<Baseline>) -> Self {
        let report = Report { outcome: Outcome::NotYetVerified, facts: None, baseline };
        Self { interval, pods: BTreeMap::new(), left: BTreeMap::new(), report }
    }

    /// What to keep of a verdict. Facts that are known already are shared.
    pub(super) fn found(&self, verdict: Verdict) -> Found {
        match verdict {
            Verdict::Failed { reason, message } => Found::Failed { reason, message: message.into() },
            Verdict::Verified(mut facts) => {
                // It has been used, for the schedule. As a part of the report it would be a change that means nothing.
                facts.ttl = None;
                let known = self.pods.values().filter_map(|asked| match &asked.found {
                    Some(Found::Verified(known)) => Some(known),
                    Some(Found::Failed { .. }) | None => None,
                });
                let same = known.chain(&self.report.facts).find(|known| ***known == *facts);
                Found::Verified(same.map_or_else(|| Arc::new(*facts), Arc::clone))
            }
        }
    }

    /// Draws the conclusions. Returns whether there is anything new.
    pub(super) fn judge(&mut self) -> bool {
        let outcome = match self.judgement() {
            Judgement::Pending => return false,
            Judgement::NoPods => Outcome::NotYetVerified,
            Judgement::Failed(reason, message) => Outcome::Failed { reason, message },
            Judgement::Verified(facts) => {
                let tools = self.tools();
                let facts = if facts.tools == tools {
                    Arc::clone(facts)
                } else {
                    Arc::new(Facts { tools: tools.clone(), ..(**facts).clone() })
                };
                return self.verified(facts, tools);
            }
        };
        let new = self.report.outcome != outcome;
        self.report.outcome = outcome;
        new
    }

    fn judgement(&self) -> Judgement<'_> {
        let failed = self.pods.values().filter_map(|asked| match &asked.found {
            Some(Found::Failed { reason, message }) => Some((*reason, &asked.pod.name, message)),
            Some(Found::Verified(_)) | None => None,
        });
        let count = failed.clone().count();
        if let Some((reason, pod, message)) = failed.min() {
            let others = match count {
                1 => String::new(),
                count => format!("; {count} of {} pods fail", self.pods.len()),
            };
            return Judgement::Failed(reason, format!("pod {pod}: {message}{others}"));
        }
        if self.pods.values().any(|asked| asked.found.is_none()) {
            return Judgement::Pending;
        }
        let first = self.pods.values().min_by(|one, other| one.pod.name.cmp(&other.pod.name));
        match first.and_then(|asked| asked.found.as_ref()) {
            Some(Found::Verified(facts)) => Judgement::Verified(facts),
            Some(Found::Failed { .. }) | None => Judgement::NoPods,
        }
    }

    /// The tools of all pods. `None` if one of them doesn't show any.
    fn tools(&self) -> Option<ToolList> {
        let lists = self.pods.values().map(|asked| match &asked.found {
            Some(Found::Verified(facts)) => facts.tools.as_ref(),
            Some(Found::Failed { .. }) | None => None,
        });
        ToolList::of_pods(lists.collect::<Option<Vec<_>>>()?)
    }

    /// The revision of all pods. `None` in the middle of a rollout: then nobody can say what the tools should be.
    fn revision(&self) -> Option<Arc<str>> {
        let mut revisions = self.pods.values().map(|asked| &asked.pod.revision);
        let first = revisions.next()?;
        revisions.all(|revision| revision == first).then(|| Arc::clone(first))
    }

    fn verified(&mut self, facts: Arc<Facts>, tools: Option<ToolList>) -> bool {
        let mut report = Report { outcome: Outcome::Verified, facts: Some(facts), ..self.report.clone() };
        if let (Some(revision), Some(ToolList { count: _, hash: tools_hash })) = (self.revision(), tools) {
            report.baseline = Some(Baseline { revision, tools_hash });
        }
        let new = self.report != report;
        self.report = report;
        new
    }
}
