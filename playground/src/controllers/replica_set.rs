//! The ReplicaSet controller: as many pods as asked for, and their count.
//!
//! As in Kubernetes the status is counted before the pass's own writes take effect; the pods' events start the next.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::MANAGER;
use super::harness::{Change, Control};
use super::meta::{self, condition, int, is_deleting, name, namespace, text, time, uid, with_status};
use super::owned::Owned;
use super::queue::Queue;
use super::recorder::{Recorder, Word};
use crate::Cluster;
use crate::builtin::selector;
use crate::cluster::DeleteOptions;
use crate::resources::Registry;
use crate::status::Status;
use crate::storage::{EventKind, Key};

const REPLICA_SETS: &str = "replicasets.apps";
const PODS: &str = "pods";
/// Kubernetes' burst: one pass makes or deletes no more pods than this.
const BURST: usize = 500;
/// The condition of a set that has not got the pods it should have.
pub(super) const FAILURE: &str = "ReplicaFailure";

/// What is to be done for one ReplicaSet, in this order.
#[derive(Debug, Default)]
pub struct Plan {
    /// How many pods of [`pod`] to make.
    pub create: usize,
    /// Names and uids of the pods to delete.
    pub delete: Vec<(String, String)>,
    /// What to send for another status.
    pub status: Option<Value>,
    /// To be looked at again after this time: a pod will then have been ready for long enough.
    pub again: Option<Duration>,
}

/// Decides for a ReplicaSet, given the pods that it controls.
pub fn plan(set: &Value, pods: &[Arc<Value>], now: Timestamp) -> Plan {
    let ended = |pod: &Value| matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed");
    let (leaving, active): (Vec<&Value>, Vec<&Value>) =
        pods.iter().map(Arc::as_ref).filter(|pod| !ended(pod)).partition(|pod| is_deleting(pod));
    let mut plan = Plan::default();
    let wanted = usize::try_from(int(set, &["spec", "replicas"])).unwrap_or(0);
    if !is_deleting(set) {
        plan.create = wanted.saturating_sub(active.len()).min(BURST);
        let surplus = active.len().saturating_sub(wanted).min(BURST);
        plan.delete = least_useful(&active, surplus);
    }
    let (status, again) = count(set, &active, leaving.len(), now);
    plan.again = again;
    if status != set["status"] {
        plan.status = Some(with_status(set, status));
    }
    plan
}

/// The pods that will be missed least: the unplaced before the placed, the pending before the running, the unready
/// before the ready, the often restarted before the steady, the young before the old.
fn least_useful(pods: &[&Value], count: usize) -> Vec<(String, String)> {
    let usefulness = |pod: &&Value| {
        let restarts = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        let restarts: i64 = restarts.map(|container| int(container, &["restartCount"])).sum();
        (
            !text(pod, &["spec", "nodeName"]).is_empty(),
            text(pod, &["status", "phase"]) == "Running",
            ready_since(pod).is_some(),
            -restarts,
        )
    };
    let mut pods = pods.to_vec();
    pods.sort_by(|a, b| {
        let age = |pod: &&Value| (text(pod, &["metadata", "creationTimestamp"]).to_owned(), name(pod).to_owned());
        usefulness(a).cmp(&usefulness(b)).then_with(|| age(b).cmp(&age(a)))
    });
    pods.into_iter().take(count).map(|pod| (name(pod).to_owned(), uid(pod).to_owned())).collect()
}

fn ready_since(pod: &Value) -> Option<Timestamp> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let ready = condition(conditions, "Ready").filter(|ready| text(ready, &["status"]) == "True")?;
    time(ready, &["lastTransitionTime"])
}

/// The new status, and when it will change by itself.
fn count(set: &Value, active: &[&Value], leaving: usize, now: Timestamp) -> (Value, Option<Duration>) {
    let patience = SignedDuration::from_secs(int(set, &["spec", "minReadySeconds"]));
    let labels = &json!({"matchLabels": set["spec"]["template"]["metadata"]["labels"]});
    let labeled = active.iter().filter(|pod| selector::matches(labels, &pod["metadata"]["labels"])).count();
    let ready: Vec<Timestamp> = active.iter().filter_map(|pod| ready_since(pod)).collect();
    let left = |since: &Timestamp| patience - now.duration_since(*since);
    let waiting = ready.iter().map(left).filter(|left| left.is_positive() && !patience.is_zero());
    let waiting: Vec<SignedDuration> = waiting.collect();
    let mut status = json!({"replicas": active.len(), "terminatingReplicas": leaving});
    for (field, count) in [
        ("observedGeneration", usize::try_from(int(set, &["metadata", "generation"])).unwrap_or(0)),
        ("fullyLabeledReplicas", labeled),
        ("readyReplicas", ready.len()),
        ("availableReplicas", ready.len() - waiting.len()),
    ] {
        if count > 0 {
            status[field] = count.into();
        }
    }
    // Times are kept in whole seconds: a second more, lest the look comes too early.
    let again = waiting.into_iter().min().and_then(|left| Duration::try_from(left).ok());
    (status, again.map(|again| again + Duration::from_secs(1)))
}

/// A pod of the set's template, named by the API server.
pub fn pod(set: &Value) -> Value {
    let template = &set["spec"]["template"];
    let mut metadata = template["metadata"].as_object().cloned().unwrap_or_default();
    metadata.retain(|key, _| matches!(key.as_str(), "labels" | "annotations" | "finalizers"));
    metadata.insert("generateName".to_owned(), format!("{}-", name(set)).into());
    metadata.insert("namespace".to_owned(), namespace(set).into());
    metadata.insert("ownerReferences".to_owned(), json!([meta::controller_reference(set)]));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// The acting half.
#[derive(Debug)]
pub(super) struct Controller {
    cluster: Cluster,
    recorder: Recorder,
    pods: Owned,
}

impl Controller {
    pub(super) fn new(cluster: Cluster, recorder: Recorder) -> Self {
        Self { cluster, recorder, pods: Owned::default() }
    }

    /// Takes in pods that the selector takes in and nobody controls. True if there was one.
    fn adopt(&self, set: &Value) -> Result<bool, Status> {
        let mut adopted = false;
        for key in self.pods.orphans(namespace(set)) {
            let Some(pod) = self.cluster.get(PODS, &key.namespace, &key.name) else { continue };
            if is_deleting(set) || !selector::matches(&set["spec"]["selector"], &pod["metadata"]["labels"]) {
                continue;
            }
            let patch = json!({"metadata": {
                "uid": uid(&pod),
                "ownerReferences": [meta::controller_reference(set)],
            }});
            self.cluster.patch_merge(PODS, &key.namespace, &key.name, None, &patch, MANAGER)?;
            adopted = true;
        }
        Ok(adopted)
    }

    /// What could not be made or deleted is told in an Event and in the status, and tried again later.
    fn act(&self, set: &Value, plan: Plan) -> Result<(), Status> {
        let Plan { create, delete, status, again: _ } = plan;
        let made = self.make(set, create).map_err(|status| ("FailedCreate", status));
        let done = made.and_then(|()| self.unmake(set, delete).map_err(|status| ("FailedDelete", status)));
        let refused = done.as_ref().err().map(|(reason, status)| (*reason, status.message.as_str()));
        let counted = status.map_or_else(|| set["status"].clone(), |mut counted| counted["status"].take());
        let counted = with_failure(set, counted, refused, self.cluster.now());
        if counted != set["status"] {
            self.cluster.update_status(REPLICA_SETS, namespace(set), with_status(set, counted), MANAGER)?;
        }
        done.map_err(|(_, status)| status)
    }

    fn make(&self, set: &Value, count: usize) -> Result<(), Status> {
        for _ in 0..count {
            let made = self.cluster.create(PODS, namespace(set), pod(set), MANAGER).inspect_err(|status| {
                let message = format!("Error creating: {}", status.message);
                self.recorder.say(set, None, &Word::warning("FailedCreate", message));
            })?;
            let message = format!("Created pod: {}", meta::name(&made));
            self.recorder.say(set, None, &Word::normal("SuccessfulCreate", message));
        }
        Ok(())
    }

    fn unmake(&self, set: &Value, pods: Vec<(String, String)>) -> Result<(), Status> {
        for (name, uid) in pods {
            let options = DeleteOptions { uid: Some(uid), ..DeleteOptions::default() };
            self.cluster.delete(PODS, namespace(set), &name, &options).inspect_err(|status| {
                let message = format!("Error deleting: {}", status.message);
                self.recorder.say(set, None, &Word::warning("FailedDelete", message));
            })?;
            self.recorder.say(set, None, &Word::normal("SuccessfulDelete", format!("Deleted pod: {name}")));
        }
        Ok(())
    }
}

/// The counted status with the condition that says why there are not as many pods as there should be. Once it is there
/// it stays as it is until all goes well.
fn with_failure(set: &Value, mut counted: Value, refused: Option<(&str, &str)>, now: Timestamp) -> Value {
    let conditions = set["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut kept: Vec<Value> =
        conditions.iter().filter(|one| text(one, &["type"]) != FAILURE || refused.is_some()).cloned().collect();
    if let Some((reason, message)) = refused.filter(|_| condition(conditions, FAILURE).is_none()) {
        kept.push(json!({"type": FAILURE, "status": "True", "lastTransitionTime": meta::stamp(now), "reason": reason,
            "message": message}));
    }
    if let Some(status) = counted.as_object_mut() {
        status.remove("conditions");
        if !kept.is_empty() {
            status.insert("conditions".into(), kept.into());
        }
    }
    counted
}

impl Control for Controller {
    type Key = Key;

    fn tables(&self, _: &Registry) -> Vec<String> {
        // Pods first: a set whose pods have changed is counted before another one begins to grow.
        vec![PODS.into(), REPLICA_SETS.into()]
    }

    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<Key>) {
        if change.table == PODS {
            let owners = self.pods.observe(change.kind, change.object, "ReplicaSet");
            for owner in owners {
                queue.add(owner.key);
            }
        } else if change.kind != EventKind::Deleted && !change.asks_nothing_new() {
            queue.add(change.object.key.clone());
        }
    }

    fn sync(&mut self, key: &Key, queue: &mut Queue<Key>) -> Result<(), Status> {
        let Some(set) = self.cluster.get(REPLICA_SETS, &key.namespace, &key.name) else { return Ok(()) };
        if self.adopt(&set)? {
            queue.add(key.clone());
            return Ok(());
        }
        let get = |key: &Key| self.cluster.get(PODS, &key.namespace, &key.name);
        let pods: Vec<Arc<Value>> = self.pods.of(uid(&set)).filter_map(get).collect();
        let plan = plan(&set, &pods, self.cluster.now());
        let more = plan.create == BURST || plan.delete.len() == BURST;
        if more {
            queue.add(key.clone());
        } else if let Some(again) = plan.again {
            queue.add_at(key.clone(), Instant::now() + again);
        }
        self.act(&set, plan)
    }

    fn reset(&mut self) {
        self.pods = Owned::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i64) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "s", "namespace": "n", "uid": "u", "generation": 2},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {}}},
            "status": {"replicas": 0},
        })
    }

    fn member(name: &str, ready: bool) -> Arc<Value> {
        let status = if ready { "True" } else { "False" };
        let condition = json!({"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"});
        Arc::new(json!({
            "metadata": {"name": name, "uid": name, "labels": {"a": "b"}},
            "spec": {"nodeName": "x"},
            "status": {"phase": "Running", "conditions": [condition]},
        }))
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:10Z".parse().unwrap()
    }

    #[test]
    fn missing_pods_are_made_and_the_unready_go_first() {
        let pods = [member("a", true), member("b", false), member("c", true)];
        assert_eq!(plan(&set(5), &pods, now()).create, 2);
        let deleted = plan(&set(1), &pods, now()).delete;
        let names: Vec<_> = deleted.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "c"]);
    }

    #[test]
    fn a_pod_is_available_only_after_it_was_ready_for_long_enough() {
        let mut patient = set(1);
        patient["spec"]["minReadySeconds"] = 15.into();
        let plan = plan(&patient, &[member("a", true)], now());
        let status = &plan.status.unwrap()["status"];
        assert_eq!((status["readyReplicas"].as_i64(), status["availableReplicas"].as_i64()), (Some(1), None));
        assert_eq!(plan.again, Some(Duration::from_secs(6)));
    }

    #[test]
    fn a_leaving_pod_is_replaced_and_counted_apart() {
        let mut leaving = (*member("a", true)).clone();
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let plan = plan(&set(1), &[Arc::new(leaving)], now());
        assert_eq!(plan.create, 1);
        let status = &plan.status.unwrap()["status"];
        assert_eq!((&status["replicas"], &status["terminatingReplicas"]), (&json!(0), &json!(1)));
    }

    #[test]
    fn a_failure_is_noted_once_and_forgotten_when_all_goes_well() {
        let counted = json!({"replicas": 0});
        let failed = with_failure(&set(1), counted.clone(), Some(("FailedCreate", "why")), now());
        assert_eq!(failed["conditions"][0]["message"], "why");
        let mut failing = set(1);
        failing["status"] = failed.clone();
        let again = with_failure(&failing, counted.clone(), Some(("FailedCreate", "another")), now());
        assert_eq!(again, failed);
        assert_eq!(with_failure(&failing, counted.clone(), None, now()), counted);
    }

    #[test]
    fn a_set_that_goes_makes_no_pods() {
        let mut going = set(3);
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(plan(&going, &[], now()).create, 0);
    }
}
