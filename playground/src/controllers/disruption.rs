//! The disruption controller: how many pods of a budget may go at this moment.
//!
//! ```text
//!   expected    the scale of whatever controls the pods (a number as minAvailable: the pods there are)
//!   desired     minAvailable, or expected - maxUnavailable; shares are of the expected, rounded up
//!   healthy     the pods that are ready and not on their way out
//!   allowed     healthy - desired, never below 0, and 0 while nothing is expected
//! ```
//!
//! The expected count is not that of the pods on purpose: a Deployment that is short of pods has already spent some of
//! its budget. Whatever has a scale counts: a Deployment for the pods of its ReplicaSets, a ReplicaSet of its own,
//! any custom resource that controls pods and has the subresource.
//!
//! A scale that changes is noticed by the pods that come and go for it, as in Kubernetes: owners are read and not
//! watched.
//!
//! Nobody is held to a budget here: `pods/eviction` is not served, and a delete asks no budget, in Kubernetes neither.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::MANAGER;
use super::harness::{Change, Control};
use super::labelled::{Index, labels_in, labels_of};
use super::meta::{condition, int, is_deleting, stamp, text, uid, with_status};
use super::queue::Queue;
use crate::Cluster;
use crate::builtin::selector;
use crate::resources::{Registry, Resource, scale_of};
use crate::status::Status;
use crate::storage::{EventKind, Key};

const BUDGETS: &str = "poddisruptionbudgets.policy";
const PODS: &str = "pods";
const REPLICA_SETS: &str = "replicasets.apps";
const CONDITION: &str = "DisruptionAllowed";

/// What a budget says, applied to the pods that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// How many pods there should be.
    pub expected: i64,
    /// How many pods are ready.
    pub healthy: i64,
    /// How many have to be.
    pub desired: i64,
}

impl Counts {
    /// Counts for the spec of a budget, `pods` being there of which `healthy` are ready. `scale` says what their owners
    /// ask for, and is only asked where that counts.
    ///
    /// # Errors
    ///
    /// The one of `scale`.
    pub fn of<E>(spec: &Value, pods: i64, healthy: i64, scale: impl FnOnce() -> Result<i64, E>) -> Result<Self, E> {
        let (expected, desired) = match (&spec["maxUnavailable"], &spec["minAvailable"]) {
            (Value::Null, Value::Null) => (0, 0),
            (Value::Null, Value::Number(number)) => (pods, number.as_i64().unwrap_or(0)),
            (Value::Null, share) => {
                let expected = scale()?;
                (expected, part_of(expected, share))
            }
            (spared, _) => {
                let expected = scale()?;
                (expected, (expected - part_of(expected, spared)).max(0))
            }
        };
        Ok(Self { expected, healthy, desired })
    }

    /// How many pods may go.
    pub fn allowed(self) -> i64 {
        if self.expected > 0 { (self.healthy - self.desired).max(0) } else { 0 }
    }
}

/// A number, or a share of `whole`, rounded up.
fn part_of(whole: i64, amount: &Value) -> i64 {
    let percent = amount.as_str().and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok());
    percent.map_or_else(|| amount.as_i64().unwrap_or(0), |percent| (whole * percent + 99) / 100)
}

/// The acting half.
#[derive(Debug)]
pub(super) struct Controller {
    cluster: Cluster,
    /// Those who ask for a label.
    budgets: Index,
    /// Those who do not, and may be about any pod of their namespace.
    broad: BTreeSet<Key>,
    pods: Index,
}

impl Controller {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, budgets: Index::default(), broad: BTreeSet::new(), pods: Index::default() }
    }

    fn note(&mut self, change: &Change<'_>) {
        let key = &change.object.key;
        let gone = change.kind == EventKind::Deleted;
        let spec = if gone { Value::Null } else { change.object.value()["spec"].clone() };
        let mut labels = labels_in(&key.namespace, &spec["selector"]["matchLabels"]);
        labels.truncate(1);
        self.broad.remove(key);
        if labels.is_empty() && spec["selector"].is_object() {
            self.broad.insert(key.clone());
        }
        self.budgets.set(key, labels);
    }

    fn queue_budgets_of(&self, pod: &Key, queue: &mut Queue<Key>) {
        let first = Key::new(pod.namespace.as_str(), "");
        let broad = self.broad.range(first..).take_while(|key| key.namespace == pod.namespace);
        let asking = self.pods.labels_of(pod).iter().flat_map(|label| self.budgets.of(label));
        for budget in broad.chain(asking) {
            queue.add(budget.clone());
        }
    }

    /// The pods that a budget is about: none without a selector, all with an empty one.
    fn pods_of(&self, budget: &Value, namespace: &str) -> Vec<Arc<Value>> {
        let chosen = &budget["spec"]["selector"];
        let labels = labels_in(namespace, &chosen["matchLabels"]);
        let mut pods: Vec<Arc<Value>> = match labels.iter().min_by_key(|label| self.pods.count(label)) {
            Some(rarest) => {
                let get = |key: &Key| self.cluster.get(PODS, &key.namespace, &key.name);
                self.pods.of(rarest).filter_map(get).collect()
            }
            None if chosen.is_object() => self.cluster.list(PODS, Some(namespace)),
            None => Vec::new(),
        };
        pods.retain(|pod| selector::matches(chosen, &pod["metadata"]["labels"]));
        pods
    }

    /// How many pods the owners of these ask for, each owner counted once. Pods without an owner count for nothing.
    fn scale_of(&self, pods: &[Arc<Value>], namespace: &str) -> Result<i64, String> {
        let mut scales = BTreeMap::new();
        for pod in pods {
            let Some(owner) = controller_of(pod) else { continue };
            let missing = || format!("found no controllers for pod {}", pod["metadata"]["name"]);
            let (uid, scale) = self.scaled(owner, namespace).ok_or_else(missing)?;
            scales.insert(uid, scale);
        }
        Ok(scales.values().sum())
    }

    /// Who scales the pods of this owner, and to how many.
    fn scaled(&self, owner: &Value, namespace: &str) -> Option<(String, i64)> {
        let registry = self.cluster.registry();
        let (kind, api_version) = (text(owner, &["kind"]), text(owner, &["apiVersion"]));
        let named = |resource: &&Arc<Resource>| {
            resource.kind == kind && resource.api_version() == api_version && resource.scale.is_some()
        };
        let resource = registry.all().find(named)?;
        let table = resource.group_resource();
        let object = self.cluster.get(&table, namespace, text(owner, &["name"]))?;
        if uid(&object) != text(owner, &["uid"]) {
            return None;
        }
        // A ReplicaSet of a Deployment is but one of its revisions.
        match controller_of(&object).filter(|above| table == REPLICA_SETS && text(above, &["kind"]) == "Deployment") {
            Some(deployment) => self.scaled(deployment, namespace),
            None => Some((uid(&object).to_owned(), int(&scale_of(resource, &object), &["spec", "replicas"]))),
        }
    }

    /// The status that a budget should have.
    fn status_of(&self, budget: &Value, namespace: &str) -> Value {
        let pods = self.pods_of(budget, namespace);
        let healthy = pods.iter().filter(|pod| is_healthy(pod)).count();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let scale = || self.scale_of(&pods, namespace);
        let mut next = budget["status"].clone();
        let generation = &budget["metadata"]["generation"];
        let (condition, allowed) = match Counts::of(&budget["spec"], number(pods.len()), number(healthy), scale) {
            Ok(counts) => {
                let Counts { expected, healthy, desired } = counts;
                let allowed = counts.allowed();
                next["currentHealthy"] = healthy.into();
                next["desiredHealthy"] = desired.into();
                next["expectedPods"] = expected.into();
                next["observedGeneration"] = generation.clone();
                let (status, reason) =
                    if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
                (json!({"type": CONDITION, "status": status, "reason": reason, "message": ""}), allowed)
            }
            // What could not be counted is no reason to let anybody go.
            Err(why) => (json!({"type": CONDITION, "status": "False", "reason": "SyncFailed", "message": why}), 0),
        };
        next["disruptionsAllowed"] = allowed.into();
        for count in ["currentHealthy", "desiredHealthy", "expectedPods"] {
            if next[count].is_null() {
                next[count] = 0.into();
            }
        }
        let observed = next["observedGeneration"].clone();
        self.set(&mut next, condition, observed);
        next
    }

    fn set(&self, status: &mut Value, mut new: Value, observed: Value) {
        let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let before = condition(&conditions, CONDITION).filter(|before| before["status"] == new["status"]);
        let now = || json!(stamp(self.cluster.now()));
        new["lastTransitionTime"] = before.map_or_else(now, |before| before["lastTransitionTime"].clone());
        if !observed.is_null() {
            new["observedGeneration"] = observed;
        }
        match conditions.iter_mut().find(|one| text(one, &["type"]) == CONDITION) {
            Some(standing) => *standing = new,
            None => conditions.push(new),
        }
        status["conditions"] = conditions.into();
    }
}

/// The reference to whoever controls an object.
fn controller_of(object: &Value) -> Option<&Value> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().find(|owner| owner["controller"] == true)
}

fn is_healthy(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = condition(conditions, "Ready").is_some_and(|ready| ready["status"] == "True");
    ready && !is_deleting(pod)
}

impl Control for Controller {
    type Key = Key;

    fn tables(&self, _: &Registry) -> Vec<String> {
        vec![PODS.into(), BUDGETS.into()]
    }

    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<Key>) {
        let key = &change.object.key;
        if change.table == BUDGETS {
            self.note(change);
            queue.add(key.clone());
            return;
        }
        self.queue_budgets_of(key, queue);
        self.pods.set(key, if change.kind == EventKind::Deleted { Vec::new() } else { labels_of(change.object) });
        self.queue_budgets_of(key, queue);
    }

    fn sync(&mut self, key: &Key, _: &mut Queue<Key>) -> Result<(), Status> {
        let Some(budget) = self.cluster.get(BUDGETS, &key.namespace, &key.name) else { return Ok(()) };
        let next = self.status_of(&budget, &key.namespace);
        if next == budget["status"] {
            return Ok(());
        }
        self.cluster.update_status(BUDGETS, &key.namespace, with_status(&budget, next), MANAGER).map(drop)
    }

    fn reset(&mut self) {
        *self = Self::new(self.cluster.clone());
    }
}

#[cfg(test)]
mod tests;
