//! What the Deployment controller does next, decided from what it sees.
//!
//! ```text
//!             paused, or another size than its sets were made for?
//!                      |                         |
//!                     yes                        no
//!                      |                         |
//!               scale all sets            is there a set of the present template?
//!               in proportion                |                       |
//!                                            no                     yes
//!                                            |                       |
//!                                        make one          grow it, else shrink the old,
//!                                                          else clear away the oldest
//! ```
//!
//! Every pass ends with a status. As in Kubernetes it is counted *before* the pass's own writes take effect: the events
//! that those bring start the next pass.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Duration;

use super::spec::{REVISION, Set, Spec, Strategy, total_size};
use super::status::Status;
use super::{replica_sets, rolling, scaling};
use crate::controllers::meta::{int, is_deleting, text};

/// What is to be done for one Deployment, in this order.
#[derive(Debug, Default)]
pub struct Plan {
    /// A ReplicaSet to make.
    pub create: Option<Value>,
    /// ReplicaSets to replace with these, by resourceVersion.
    pub update: Vec<Value>,
    /// Names of ReplicaSets to delete: history beyond the limit.
    pub delete: Vec<String>,
    /// The Deployment with another status, or another revision.
    pub status: Option<Value>,
    /// To be looked at again after this time, should nothing happen until then.
    pub again: Option<Duration>,
}

/// One Deployment and its ReplicaSets.
struct View<'a> {
    deployment: &'a Value,
    spec: Spec,
    /// The set of the present template.
    new: Option<Set<'a>>,
    /// All other sets, oldest first.
    old: Vec<Set<'a>>,
    now: Timestamp,
}

/// Decides for a Deployment, given the ReplicaSets that it controls.
pub fn plan(deployment: &Value, sets: &[Arc<Value>], now: Timestamp) -> Plan {
    let view = View::new(deployment, sets, now);
    if is_deleting(deployment) {
        return view.ending(Plan::default(), false);
    }
    if let Some(plan) = view.refresh() {
        return plan;
    }
    if view.spec.paused || scaling::is_due(&view.spec, &view.all()) {
        return view.scale();
    }
    match view.spec.strategy {
        Strategy::Recreate => view.recreate(),
        Strategy::RollingUpdate { .. } => view.roll(),
    }
}

impl<'a> View<'a> {
    fn new(deployment: &'a Value, sets: &'a [Arc<Value>], now: Timestamp) -> Self {
        let template = &deployment["spec"]["template"];
        let mut old: Vec<Set<'a>> = sets.iter().map(|set| Set::of(set)).collect();
        old.sort_by_key(Set::age);
        // Should there be several of the same template, the oldest is the one that counts.
        let new = old.iter().position(|set| set.makes(template)).map(|at| old.remove(at));
        Self { deployment, spec: Spec::of(deployment), new, old, now }
    }

    fn all(&self) -> Vec<Set<'a>> {
        self.old.iter().copied().chain(self.new).collect()
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(Set::revision).max().unwrap_or(0) + 1
    }

    /// Brings the present set's annotations, the Deployment's revision and its pause up to date, before all else.
    fn refresh(&self) -> Option<Plan> {
        let mut status = Status::standing(self.deployment, self.now);
        status.note_pause(&self.spec);
        let Some(new) = &self.new else {
            let deployment = status.in_place(self.deployment, None)?;
            return Some(Plan { status: Some(deployment), ..Plan::default() });
        };
        if let Some(set) = replica_sets::refreshed(new, self.deployment, &self.spec, self.next_revision()) {
            return Some(Plan { update: vec![set], ..Plan::default() });
        }
        if self.spec.progress_deadline.is_some() && !status.has("Progressing") {
            let message = format!("Found new replica set \"{}\"", new.name());
            status.set("Progressing", "True", "FoundNewReplicaSet", &message);
        }
        let deployment = status.in_place(self.deployment, new.annotation(REVISION))?;
        Some(Plan { status: Some(deployment), ..Plan::default() })
    }

    fn scale(&self) -> Plan {
        let sizes = scaling::sizes(&self.spec, self.new, &self.old);
        let update = self.resized(sizes);
        let delete = if update.is_empty() && self.spec.paused { self.outdated() } else { Vec::new() };
        self.ending(Plan { update, delete, ..Plan::default() }, false)
    }

    fn roll(&self) -> Plan {
        let Some(new) = self.new else { return self.make_new() };
        let size = rolling::new_size(&self.spec, total_size(&self.all()), new.size);
        if size != new.size {
            return self.ending(Plan { update: self.resized(vec![(new, size)]), ..Plan::default() }, true);
        }
        let update = self.resized(rolling::shrink_old(&self.spec, &new, &self.old));
        let delete = if update.is_empty() { self.outdated() } else { Vec::new() };
        self.ending(Plan { update, delete, ..Plan::default() }, true)
    }

    fn recreate(&self) -> Plan {
        let shrunk = self.resized(self.old.iter().filter(|set| set.size > 0).map(|set| (*set, 0)).collect());
        let still_there = |set: &Set<'_>| {
            int(set.value, &["status", "replicas"]) + int(set.value, &["status", "terminatingReplicas"]) > 0
        };
        if !shrunk.is_empty() || self.old.iter().any(still_there) {
            return self.ending(Plan { update: shrunk, ..Plan::default() }, true);
        }
        let Some(new) = self.new else { return self.make_new() };
        let update = self.resized(vec![(new, self.spec.replicas)]);
        let delete = if update.is_empty() { self.outdated() } else { Vec::new() };
        self.ending(Plan { update, delete, ..Plan::default() }, true)
    }

    /// Makes the set of the present template, and makes room for it at once.
    fn make_new(&self) -> Plan {
        let size = rolling::new_size(&self.spec, total_size(&self.old), 0);
        let revision = self.next_revision();
        let set = replica_sets::new(self.deployment, &self.spec, size, revision);
        let update = self.resized(rolling::shrink_old(&self.spec, &Set::of(&set), &self.old));
        let mut status = Status::standing(self.deployment, self.now);
        if self.spec.progress_deadline.is_some() {
            let message = format!("Created new replica set \"{}\"", text(&set, &["metadata", "name"]));
            status.set("Progressing", "True", "NewReplicaSetCreated", &message);
        }
        let status = status.in_place(self.deployment, Some(&revision.to_string()));
        Plan { create: Some(set), update, status, ..Plan::default() }
    }

    fn resized(&self, sizes: Vec<(Set<'a>, i64)>) -> Vec<Value> {
        let all = self.all();
        let original = |set: &Set<'a>| all.iter().copied().find(|one| one.name() == set.name());
        let resize = |(set, size)| replica_sets::scaled(&original(&set)?, size, &self.spec);
        sizes.into_iter().filter_map(resize).collect()
    }

    /// The oldest sets beyond the history limit, as far as nothing is left of them.
    fn outdated(&self) -> Vec<String> {
        let Some(limit) = self.spec.history_limit.and_then(|limit| usize::try_from(limit).ok()) else {
            return Vec::new();
        };
        let idle = |set: &&Set<'_>| {
            set.size == 0
                && int(set.value, &["status", "replicas"]) == 0
                && int(set.value, &["metadata", "generation"]) <= int(set.value, &["status", "observedGeneration"])
                && !is_deleting(set.value)
        };
        let beyond = self.old.len().saturating_sub(limit);
        self.old.iter().take(beyond).filter(idle).map(|set| set.name().to_owned()).collect()
    }

    /// Adds the status to a plan; `rollout`: with a word on its progress.
    fn ending(&self, plan: Plan, rollout: bool) -> Plan {
        let all = self.all();
        let mut status = Status::counted(self.deployment, &self.spec, self.new.as_ref(), &all, self.now);
        if rollout {
            status.judge_progress(self.deployment, &self.spec, self.new.as_ref(), self.now);
            status.note_failure(self.new.as_ref(), &all);
        }
        let again = status.deadline(&self.spec, self.now).filter(|_| rollout);
        Plan { status: status.in_place(self.deployment, None), again, ..plan }
    }
}
