//! Pods, and the pod templates of Deployments and ReplicaSets.
//!
//! A template gets only the defaults of the API; a pod also gets what the scheduler's
//! and the service account's admission plugins add. There is no token volume: nothing
//! in here could mount it.

use serde_json::{Value, json};

use super::field::{Causes, child, default, entries, int, list, list_mut, text};
use super::{container, labels, names, volume};

/// Fills in the spec of a template or pod.
pub(super) fn default_spec(spec: &mut Value) {
    volume::default_volumes(spec);
    for key in ["initContainers", "containers"] {
        for one in list_mut(spec, key) {
            container::default_container(one);
        }
    }
    default(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "securityContext", json!({}));
    default(spec, "schedulerName", "default-scheduler");
    // Two names of one field: the old one mirrors the new one.
    let account = match (text(spec, "serviceAccountName"), text(spec, "serviceAccount")) {
        ("", "") => return,
        ("", old) => old.to_owned(),
        (new, _) => new.to_owned(),
    };
    spec["serviceAccountName"] = account.clone().into();
    spec["serviceAccount"] = account.into();
}

/// Fills in a pod.
pub(super) fn default_pod(pod: &mut Value) {
    if let Some(spec) = child(pod, "spec") {
        default_spec(spec);
        for key in ["initContainers", "containers"] {
            list_mut(spec, key).iter_mut().for_each(request_limits);
        }
        default(spec, "enableServiceLinks", true);
        admit(spec);
    }
    let class = qos_class(&pod["spec"]);
    if let Some(status) = child(pod, "status") {
        default(status, "phase", "Pending");
        default(status, "qosClass", class);
    }
}

/// A limit without a request is also the request.
fn request_limits(container: &mut Value) {
    let Some(limits) = container.pointer("/resources/limits").cloned() else {
        return;
    };
    if let Some(requests) = child(&mut container["resources"], "requests") {
        for (name, amount) in limits.as_object().into_iter().flatten() {
            default(requests, name, amount.clone());
        }
    }
}

/// What admission adds: the account, a priority, patience with a sick node.
fn admit(spec: &mut Value) {
    default(spec, "serviceAccountName", "default");
    default(spec, "serviceAccount", "default");
    default(spec, "priority", 0);
    default(spec, "preemptionPolicy", "PreemptLowerPriority");
    let Some(map) = spec.as_object_mut() else {
        return;
    };
    let tolerations = map.entry("tolerations").or_insert_with(|| json!([]));
    let Some(tolerations) = tolerations.as_array_mut() else {
        return;
    };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !tolerations.iter().any(|t| text(t, "key") == key) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

/// BestEffort asks for nothing, Guaranteed for exactly its limits, the rest is Burstable.
fn qos_class(spec: &Value) -> &'static str {
    let containers = || list(spec, "initContainers").iter().chain(list(spec, "containers"));
    let resources = |container: &Value| container.get("resources").cloned().unwrap_or_default();
    let asks = |c: &Value| {
        let resources = resources(c);
        let some = |kind| entries(&resources, kind).next().is_some();
        some("limits") || some("requests")
    };
    if !containers().any(asks) {
        return "BestEffort";
    }
    let exact = |c: &Value| {
        let resources = resources(c);
        let amount = |kind: &str, name: &str| resources.get(kind)?.get(name).cloned();
        ["cpu", "memory"].iter().all(|name| {
            let limit = amount("limits", name);
            limit.is_some() && limit == amount("requests", name)
        })
    };
    if containers().all(exact) { "Guaranteed" } else { "Burstable" }
}

/// Checks the spec of a template or pod.
pub(super) fn validate_spec(spec: &Value, path: &str, causes: &mut Causes) {
    let volumes = volume::validate(spec, path, causes);
    let containers = list(spec, "containers");
    if containers.is_empty() {
        causes.required(&format!("{path}.containers"), "");
    }
    container::validate_all(containers, &volumes, &format!("{path}.containers"), causes);
    let init = list(spec, "initContainers");
    container::validate_all(init, &volumes, &format!("{path}.initContainers"), causes);
    for (index, one) in init.iter().enumerate() {
        let name = text(one, "name");
        if containers.iter().any(|c| text(c, "name") == name) {
            causes.duplicate(&format!("{path}.initContainers[{index}].name"), name);
        }
    }
    one_of(spec, path, "restartPolicy", &["Always", "OnFailure", "Never"], causes);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(spec, path, "dnsPolicy", &policies, causes);
    labels::validate(spec, "nodeSelector", &format!("{path}.nodeSelector"), causes);
    let account = text(spec, "serviceAccountName");
    if !account.is_empty() {
        let field = format!("{path}.serviceAccountName");
        causes.complaints(&field, account, &names::dns_subdomain(account));
    }
    if let Some(seconds) = int(spec, "activeDeadlineSeconds").filter(|s| *s < 1) {
        let field = format!("{path}.activeDeadlineSeconds");
        let detail = "must be between 1 and 2147483647, inclusive";
        causes.invalid(&field, &json!(seconds), detail);
    }
    let grace = int(spec, "terminationGracePeriodSeconds");
    causes.non_negative(&format!("{path}.terminationGracePeriodSeconds"), grace);
}

fn one_of(spec: &Value, path: &str, key: &str, supported: &[&str], causes: &mut Causes) {
    let value = text(spec, key);
    if !supported.contains(&value) {
        causes.not_supported(&format!("{path}.{key}"), value, supported);
    }
}

/// Checks a pod.
pub(super) fn validate_pod(new: &Value, old: Option<&Value>, causes: &mut Causes) {
    let spec = &new["spec"];
    validate_spec(spec, "spec", causes);
    if let Some(old) = old.map(|old| &old["spec"])
        && frozen(spec) != frozen(old)
    {
        let detail = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        causes.forbidden("spec", detail);
    }
}

/// What of a pod's spec may never change.
///
/// The node is left out: binding is the scheduler's own write in here.
fn frozen(spec: &Value) -> Value {
    let mut frozen = spec.clone();
    for key in ["containers", "initContainers"] {
        for container in list_mut(&mut frozen, key) {
            if let Some(container) = container.as_object_mut() {
                container.remove("image");
            }
        }
    }
    if let Some(map) = frozen.as_object_mut() {
        for key in ["activeDeadlineSeconds", "tolerations", "nodeName"] {
            map.remove(key);
        }
    }
    frozen
}
