//! Pods, and the pod templates of Deployments and ReplicaSets.
//!
//! A template gets only the defaults of the API; a pod also gets what the scheduler's
//! and the service account's admission plugins add. There is no token volume: nothing
//! in here could mount it.

use serde_json::{Value, json};

use super::container::{Around, one_of};
use super::field::{Causes, child, default, entries, int, list, list_mut, text};
use super::{amounts, container, labels, names, placement, security, volume};

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

/// Checks the spec of a template or pod, in Kubernetes' order.
pub(super) fn validate_spec(spec: &Value, of_pod: bool, path: &str, causes: &mut Causes) {
    let volumes = volume::validate(spec, path, causes);
    let grace = int(spec, "terminationGracePeriodSeconds").unwrap_or(0);
    let around = Around { volumes: &volumes, grace };
    container::validate_all(list(spec, "containers"), around, &format!("{path}.containers"), causes);
    container::validate_init(spec, around, path, causes);
    validate_host_network(spec, of_pod, path, causes);
    one_of(spec, path, "restartPolicy", &["Always", "OnFailure", "Never"], causes);
    one_of(spec, path, "dnsPolicy", &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], causes);
    labels::validate(spec, "nodeSelector", &format!("{path}.nodeSelector"), causes);
    security::validate_pod(spec, path, causes);
    placement::validate_affinity(spec, path, causes);
    validate_dns(spec, path, causes);
    placement::validate_gates(spec, path, causes);
    placement::validate_spread(spec, path, causes);
    validate_names(spec, path, causes);
    placement::validate_tolerations(spec, path, causes);
    validate_aliases(spec, path, causes);
    for key in ["priorityClassName", "runtimeClassName"] {
        let name = text(spec, key);
        if !name.is_empty() {
            causes.complaints(&format!("{path}.{key}"), name, &names::dns_subdomain(name));
        }
    }
    if spec.get("preemptionPolicy").is_some() {
        one_of(spec, path, "preemptionPolicy", &["PreemptLowerPriority", "Never"], causes);
    }
    amounts::validate_overhead(spec, path, causes);
}

/// On the node's network a container's port is the node's.
fn validate_host_network(spec: &Value, of_pod: bool, path: &str, causes: &mut Causes) {
    if spec.get("hostNetwork") != Some(&Value::Bool(true)) {
        return;
    }
    for (at, container) in list(spec, "containers").iter().enumerate() {
        for (index, port) in list(container, "ports").iter().enumerate() {
            let (host, own) = (int(port, "hostPort").unwrap_or(0), int(port, "containerPort").unwrap_or(0));
            if (of_pod || host != 0) && host != own {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                causes.invalid(&format!("{path}.containers[{at}].ports[{index}].hostPort"), &json!(host), detail);
            }
        }
    }
}

fn validate_dns(spec: &Value, path: &str, causes: &mut Causes) {
    let servers = spec.get("dnsConfig").map(|config| list(config, "nameservers"));
    let path = format!("{path}.dnsConfig");
    if text(spec, "dnsPolicy") == "None" {
        match servers {
            None => return causes.required(&path, "must provide `dnsConfig` when `dnsPolicy` is None"),
            Some([]) => {
                let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
                return causes.required(&format!("{path}.nameservers"), detail);
            }
            Some(_) => {}
        }
    }
    for (index, server) in servers.unwrap_or_default().iter().enumerate() {
        let address = server.as_str().unwrap_or_default();
        causes.complaints(&format!("{path}.nameservers[{index}]"), address, &names::address(address));
    }
}

/// The complaints about a name.
type Check = fn(&str) -> Vec<String>;

/// What a pod is called by, and after whom.
fn validate_names(spec: &Value, path: &str, causes: &mut Causes) {
    let checks: [(&str, Check); 4] = [
        ("serviceAccountName", names::dns_subdomain),
        ("nodeName", names::dns_subdomain),
        ("hostname", names::dns_label),
        ("subdomain", names::dns_label),
    ];
    for (key, check) in checks {
        // The deadline stands between the node and the host name.
        if key == "hostname" {
            validate_deadline(spec, path, causes);
        }
        let name = text(spec, key);
        if !name.is_empty() {
            causes.complaints(&format!("{path}.{key}"), name, &check(name));
        }
    }
}

fn validate_deadline(spec: &Value, path: &str, causes: &mut Causes) {
    let deadline = int(spec, "activeDeadlineSeconds");
    if let Some(seconds) = deadline.filter(|seconds| !(1..=i64::from(i32::MAX)).contains(seconds)) {
        let field = format!("{path}.activeDeadlineSeconds");
        causes.invalid(&field, &json!(seconds), "must be between 1 and 2147483647, inclusive");
    }
}

fn validate_aliases(spec: &Value, path: &str, causes: &mut Causes) {
    for (index, alias) in list(spec, "hostAliases").iter().enumerate() {
        let path = format!("{path}.hostAliases[{index}]");
        let address = text(alias, "ip");
        causes.complaints(&format!("{path}.ip"), address, &names::address(address));
        for (index, host) in list(alias, "hostnames").iter().filter_map(Value::as_str).enumerate() {
            causes.complaints(&format!("{path}.hostnames[{index}]"), host, &names::dns_subdomain(host));
        }
    }
}

/// Checks a pod.
pub(super) fn validate_pod(new: &Value, old: Option<&Value>, causes: &mut Causes) {
    let spec = &new["spec"];
    validate_spec(spec, true, "spec", causes);
    container::validate_images(spec, "spec", causes);
    let Some(old) = old.map(|old| &old["spec"]) else {
        if !list(spec, "ephemeralContainers").is_empty() {
            causes.forbidden("spec.ephemeralContainers", "cannot be set on create");
        }
        return;
    };
    for kind in ["containers", "initContainers"] {
        if list(spec, kind).len() != list(old, kind).len() {
            return causes.forbidden(&format!("spec.{kind}"), "pod updates may not add or remove containers");
        }
    }
    if frozen(spec) != frozen(old) {
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
