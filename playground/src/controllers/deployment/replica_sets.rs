//! New ReplicaSets, and the annotations that carry a rollout's memory.

use serde_json::{Map, Value, json};

use super::spec::{DESIRED, HASH, MAX, REVISION, Set, Spec};
use crate::controllers::meta::{self, int, name, namespace};

const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The ReplicaSet for the Deployment's present template.
pub(super) fn new(deployment: &Value, spec: &Spec, size: i64, revision: i64) -> Value {
    let hash = template_hash(deployment);
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = hash.as_str().into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = hash.as_str().into();
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", name(deployment)),
            "namespace": namespace(deployment),
            "labels": template["metadata"]["labels"],
            "annotations": copied_annotations(deployment),
            "ownerReferences": [meta::controller_reference(deployment)],
        },
        "spec": {"replicas": size, "selector": selector, "template": template},
    });
    if spec.min_ready_seconds > 0 {
        set["spec"]["minReadySeconds"] = spec.min_ready_seconds.into();
    }
    set["metadata"]["annotations"][REVISION] = revision.to_string().into();
    note_size(&mut set, spec);
    set
}

/// The set scaled to `size`, or `None` where that changes nothing.
pub(super) fn scaled(set: &Set<'_>, size: i64, spec: &Spec) -> Option<Value> {
    let [desired, max] = sizes(spec);
    let noted = set.annotation(DESIRED) == Some(&desired) && set.annotation(MAX) == Some(&max);
    if noted && set.value["spec"]["replicas"] == size {
        return None;
    }
    let mut value = set.value.clone();
    value["spec"]["replicas"] = size.into();
    note_size(&mut value, spec);
    Some(value)
}

/// Which number of replicas the set was last scaled for: how a scaling is told from a rollout.
fn note_size(set: &mut Value, spec: &Spec) {
    let [desired, max] = sizes(spec);
    set["metadata"]["annotations"][DESIRED] = desired.into();
    set["metadata"]["annotations"][MAX] = max.into();
}

/// The desired and the largest number of pods, as annotations tell them.
fn sizes(spec: &Spec) -> [String; 2] {
    [spec.replicas, spec.replicas + spec.surge()].map(|size| size.to_string())
}

/// The set of the present template with what the Deployment says by now, or `None` where it is up to date.
pub(super) fn refreshed(set: &Set<'_>, deployment: &Value, spec: &Spec, revision: i64) -> Option<Value> {
    let mut value = set.value.clone();
    for (key, annotation) in copied_annotations(deployment) {
        value["metadata"]["annotations"][key] = annotation;
    }
    if set.revision() < revision {
        if let Some(before) = set.annotation(REVISION) {
            let history = set.annotation(HISTORY).filter(|history| !history.is_empty());
            let history = history.map_or_else(|| before.to_owned(), |history| format!("{history},{before}"));
            value["metadata"]["annotations"][HISTORY] = history.into();
        }
        value["metadata"]["annotations"][REVISION] = revision.to_string().into();
    }
    if int(set.value, &["spec", "minReadySeconds"]) != spec.min_ready_seconds {
        value["spec"]["minReadySeconds"] = spec.min_ready_seconds.into();
    }
    (value != *set.value).then_some(value)
}

fn copied_annotations(deployment: &Value) -> Map<String, Value> {
    let mut annotations = deployment["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.retain(|key, _| ![LAST_APPLIED, REVISION, HISTORY, DESIRED, MAX].contains(&key.as_str()));
    annotations
}

/// FNV-1a over the template, in the alphabet that can't spell words.
///
/// Kubernetes hashes the Go structs' dump, which nobody else can make: the names differ from a real cluster's, their
/// shape doesn't.
fn template_hash(deployment: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut text = deployment["spec"]["template"].to_string();
    let collisions = int(deployment, &["status", "collisionCount"]);
    if collisions > 0 {
        text.push_str(&collisions.to_string());
    }
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let digits = hash.to_string();
    digits.bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}
