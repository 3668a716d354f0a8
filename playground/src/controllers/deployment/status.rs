//! A Deployment's status: counts and conditions, with Kubernetes' reasons and messages.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tokio::time::Duration;

use super::spec::{REVISION, Set, Spec, total_available, total_size};
use crate::controllers::meta::{condition, int, name, stamp, text, time};
use crate::controllers::replica_set::FAILURE;

/// A status in the making.
#[derive(Debug, Clone)]
pub(super) struct Status {
    counts: Map<String, Value>,
    conditions: Vec<Value>,
    now: String,
}

/// The sum of a status field over some sets.
fn sum(sets: &[Set<'_>], field: &str) -> i64 {
    sets.iter().map(|set| int(set.value, &["status", field])).sum()
}

impl Status {
    /// The status as it stands.
    pub(super) fn standing(deployment: &Value, now: Timestamp) -> Self {
        let mut counts = deployment["status"].as_object().cloned().unwrap_or_default();
        let conditions = match counts.remove("conditions") {
            Some(Value::Array(conditions)) => conditions,
            _ => Vec::new(),
        };
        Self { counts, conditions, now: stamp(now) }
    }

    /// The counts of today, and whether that is enough to be available.
    pub(super) fn counted(
        deployment: &Value,
        spec: &Spec,
        new: Option<&Set<'_>>,
        all: &[Set<'_>],
        now: Timestamp,
    ) -> Self {
        let mut status = Self::standing(deployment, now);
        let available = total_available(all);
        status.counts.retain(|key, _| key == "collisionCount");
        for (field, count) in [
            ("observedGeneration", int(deployment, &["metadata", "generation"])),
            ("replicas", sum(all, "replicas")),
            ("updatedReplicas", new.map_or(0, |new| int(new.value, &["status", "replicas"]))),
            ("readyReplicas", sum(all, "readyReplicas")),
            ("availableReplicas", available),
            ("unavailableReplicas", (total_size(all) - available).max(0)),
        ] {
            if count != 0 {
                status.counts.insert(field.to_owned(), count.into());
            }
        }
        status.counts.insert("terminatingReplicas".to_owned(), sum(all, "terminatingReplicas").into());
        if available >= spec.replicas - spec.unavailable() {
            status.set("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.");
        } else {
            let message = "Deployment does not have minimum availability.";
            status.set("Available", "False", "MinimumReplicasUnavailable", message);
        }
        status
    }

    fn count(&self, field: &str) -> i64 {
        self.counts.get(field).and_then(Value::as_i64).unwrap_or(0)
    }

    /// Sets a condition, unless it already says so. What changes moves to the end, as in Kubernetes.
    pub(super) fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let before = condition(&self.conditions, kind);
        if before.is_some_and(|c| text(c, &["status"]) == status && text(c, &["reason"]) == reason) {
            return;
        }
        self.replace(kind, status, reason, message);
    }

    /// Sets a condition even if it says the same, to move its lastUpdateTime.
    fn replace(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let before = condition(&self.conditions, kind).filter(|c| text(c, &["status"]) == status);
        let since = before.map_or(self.now.as_str(), |c| text(c, &["lastTransitionTime"])).to_owned();
        self.remove(kind);
        self.conditions.push(json!({
            "type": kind,
            "status": status,
            "lastUpdateTime": self.now,
            "lastTransitionTime": since,
            "reason": reason,
            "message": message,
        }));
    }

    fn remove(&mut self, kind: &str) {
        self.conditions.retain(|condition| text(condition, &["type"]) != kind);
    }

    /// How the rollout is getting on, for a status that was just counted.
    pub(super) fn judge_progress(&mut self, deployment: &Value, spec: &Spec, new: Option<&Set<'_>>, now: Timestamp) {
        let Some(deadline) = spec.progress_deadline else { return self.remove("Progressing") };
        let current = condition(&self.conditions, "Progressing").cloned();
        let reason = current.as_ref().map_or("", |condition| text(condition, &["reason"]));
        if self.count("replicas") == self.count("updatedReplicas") && reason == "NewReplicaSetAvailable" {
            return;
        }
        let who = new.map_or_else(
            || format!("Deployment \"{}\"", name(deployment)),
            |new| format!("ReplicaSet \"{}\"", new.name()),
        );
        if self.is_complete(spec) {
            let message = format!("{who} has successfully progressed.");
            self.set("Progressing", "True", "NewReplicaSetAvailable", &message);
        } else if self.has_progressed(&deployment["status"]) {
            self.replace("Progressing", "True", "ReplicaSetUpdated", &format!("{who} is progressing."));
        } else if current.as_ref().is_some_and(|condition| is_late(condition, deadline, now)) {
            let message = format!("{who} has timed out progressing.");
            self.set("Progressing", "False", "ProgressDeadlineExceeded", &message);
        }
    }

    /// Takes over what keeps a ReplicaSet from having its pods; of several the newest set's word counts.
    pub(super) fn note_failure(&mut self, new: Option<&Set<'_>>, all: &[Set<'_>]) {
        let failure = |set: &Set<'_>| {
            let conditions = set.value["status"]["conditions"].as_array()?;
            condition(conditions, FAILURE).cloned()
        };
        match new.and_then(failure).or_else(|| all.iter().find_map(failure)) {
            Some(failure) => self.set(FAILURE, "True", text(&failure, &["reason"]), text(&failure, &["message"])),
            None => self.remove(FAILURE),
        }
    }

    fn is_complete(&self, spec: &Spec) -> bool {
        ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|field| self.count(field) == spec.replicas)
    }

    fn has_progressed(&self, before: &Value) -> bool {
        let grew = |field: &str| self.count(field) > int(before, &[field]);
        let old = self.count("replicas") - self.count("updatedReplicas");
        let old_before = int(before, &["replicas"]) - int(before, &["updatedReplicas"]);
        grew("updatedReplicas") || grew("readyReplicas") || grew("availableReplicas") || old < old_before
    }

    /// When a rollout that isn't complete has to be looked at again, lest nobody notices that nothing happens.
    pub(super) fn deadline(&self, spec: &Spec, now: Timestamp) -> Option<Duration> {
        let current = condition(&self.conditions, "Progressing")?;
        if self.is_complete(spec) || text(current, &["reason"]) == "ProgressDeadlineExceeded" {
            return None;
        }
        let limit = SignedDuration::from_secs(spec.progress_deadline? + 1);
        let left = time(current, &["lastUpdateTime"])?.saturating_add(limit).ok()?.duration_since(now);
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO).max(Duration::from_secs(1)))
    }

    /// Notes that the Deployment is paused, or no longer.
    pub(super) fn note_pause(&mut self, spec: &Spec) {
        let current = condition(&self.conditions, "Progressing");
        let reason = current.map_or("", |condition| text(condition, &["reason"]));
        match (spec.paused, reason) {
            _ if spec.progress_deadline.is_none() => {}
            (_, "ProgressDeadlineExceeded") | (true, "DeploymentPaused") => {}
            (true, _) => self.set("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"),
            (false, "DeploymentPaused") => {
                self.set("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
            }
            (false, _) => {}
        }
    }

    pub(super) fn has(&self, kind: &str) -> bool {
        condition(&self.conditions, kind).is_some()
    }

    /// The Deployment with this status, and of this revision unless `None`; if anything in it differs.
    pub(super) fn in_place(self, deployment: &Value, revision: Option<&str>) -> Option<Value> {
        let Self { mut counts, conditions, now: _ } = self;
        if !conditions.is_empty() {
            counts.insert("conditions".to_owned(), conditions.into());
        }
        let standing = deployment["metadata"]["annotations"][REVISION].as_str();
        let revision = revision.filter(|revision| standing != Some(*revision));
        if revision.is_none() && deployment["status"].as_object() == Some(&counts) {
            return None;
        }
        let mut deployment = deployment.clone();
        deployment["status"] = counts.into();
        if let Some(revision) = revision {
            deployment["metadata"]["annotations"][REVISION] = revision.into();
        }
        Some(deployment)
    }
}

/// Complete is never late, and late stays late.
fn is_late(progressing: &Value, deadline: i64, now: Timestamp) -> bool {
    match text(progressing, &["reason"]) {
        "NewReplicaSetAvailable" => false,
        "ProgressDeadlineExceeded" => true,
        _ => time(progressing, &["lastUpdateTime"])
            .is_some_and(|at| now.duration_since(at) > SignedDuration::from_secs(deadline)),
    }
}
