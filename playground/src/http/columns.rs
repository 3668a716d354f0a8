//! The columns of built-in kinds, as `pkg/printers/internalversion/printers.go` has them.

mod events;
mod pods;
mod policies;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::table;
use crate::resources::{Resource, selector_text};

/// A column after the name.
pub(super) struct BuiltinColumn {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) description: &'static str,
    /// 0 is always shown, more only with `-o wide`.
    pub(super) priority: i64,
    pub(super) cell: Cell,
}

/// How a column's cells are made.
pub(super) enum Cell {
    /// From the creation time.
    Age,
    /// By this function, of the (stored) object and the time.
    Made(fn(&Value, Timestamp) -> Value),
}

/// The columns of a kind.
pub(super) type Printer = [BuiltinColumn];

/// The columns of a built-in kind; the age alone, where the API server has no more.
pub(super) fn printer(resource: &Resource) -> &'static Printer {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("apps", "Deployment") => DEPLOYMENT,
        ("apps", "ReplicaSet") => REPLICA_SET,
        ("", "Pod") => pods::POD,
        ("", "Service") => SERVICE,
        ("", "Secret") => SECRET,
        ("", "ConfigMap") => CONFIG_MAP,
        ("", "Namespace") => NAMESPACE,
        ("", "ServiceAccount") => SERVICE_ACCOUNT,
        ("coordination.k8s.io", "Lease") => LEASE,
        ("" | "events.k8s.io", "Event") => events::EVENT,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => DEFINITION,
        ("autoscaling", "HorizontalPodAutoscaler") => policies::AUTOSCALER,
        ("policy", "PodDisruptionBudget") => policies::BUDGET,
        ("", "ResourceQuota") => policies::QUOTA,
        ("", "LimitRange") => policies::LIMIT_RANGE,
        ("", "Endpoints") => policies::ENDPOINTS,
        ("discovery.k8s.io", "EndpointSlice") => policies::ENDPOINT_SLICE,
        ("networking.k8s.io", "NetworkPolicy") => policies::NETWORK_POLICY,
        ("scheduling.k8s.io", "PriorityClass") => policies::PRIORITY,
        ("admissionregistration.k8s.io", _) => policies::WEBHOOKS,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => ROLE,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => BINDING,
        _ => ANYTHING,
    }
}

const fn made(
    name: &'static str,
    priority: i64,
    description: &'static str,
    make: fn(&Value, Timestamp) -> Value,
) -> BuiltinColumn {
    BuiltinColumn { name, kind: "string", description, priority, cell: Cell::Made(make) }
}

const AGE: BuiltinColumn = BuiltinColumn { name: "Age", kind: "string", description: "", priority: 0, cell: Cell::Age };
const CONTAINERS: &str = "Names of each container in the template.";
const IMAGES: &str = "Images referenced by each container in the template.";

const ANYTHING: &Printer = &[AGE];

const DEPLOYMENT: &Printer = &[
    made("Ready", 0, "Number of the pod with ready state", |object, _| {
        format!("{}/{}", number(&object["status"]["readyReplicas"]), number(&object["spec"]["replicas"])).into()
    }),
    made(
        "Up-to-date",
        0,
        "Total number of non-terminating pods targeted by this deployment that have the desired template spec.",
        |object, _| number(&object["status"]["updatedReplicas"]).into(),
    ),
    made(
        "Available",
        0,
        "Total number of available non-terminating pods (ready for at least minReadySeconds) targeted by this \
         deployment.",
        |object, _| number(&object["status"]["availableReplicas"]).into(),
    ),
    AGE,
    made("Containers", 1, CONTAINERS, |object, _| containers(object, "name")),
    made("Images", 1, IMAGES, |object, _| containers(object, "image")),
    made(
        "Selector",
        1,
        "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by \
         this deployment. It must match the pod template's labels.",
        |object, _| selector_text(&object["spec"]["selector"]).into(),
    ),
];

const REPLICA_SET: &Printer = &[
    made("Desired", 0, "Replicas is the number of desired pods.", |object, _| {
        number(&object["spec"]["replicas"]).into()
    }),
    made("Current", 0, "Replicas is the most recently observed number of non-terminating pods.", |object, _| {
        number(&object["status"]["replicas"]).into()
    }),
    made(
        "Ready",
        0,
        "The number of non-terminating pods targeted by this ReplicaSet with a Ready Condition.",
        |object, _| number(&object["status"]["readyReplicas"]).into(),
    ),
    AGE,
    made("Containers", 1, CONTAINERS, |object, _| containers(object, "name")),
    made("Images", 1, IMAGES, |object, _| containers(object, "image")),
    made("Selector", 1, "The selector of the pods.", |object, _| selector_text(&object["spec"]["selector"]).into()),
];

/// What `get --subresource=scale` shows of a built-in kind.
pub(super) const SCALE: &Printer = &[
    made("Desired", 0, "desired number of instances for the scaled object.", |object, _| {
        number(&object["spec"]["replicas"]).into()
    }),
    made("Available", 0, "actual number of observed instances of the scaled object.", |object, _| {
        number(&object["status"]["replicas"]).into()
    }),
    AGE,
];

const SERVICE: &Printer = &[
    made("Type", 0, "type determines how the Service is exposed.", |object, _| object["spec"]["type"].clone()),
    made("Cluster-IP", 0, "clusterIP is the IP address of the service.", |object, _| {
        text_or_none(&object["spec"]["clusterIP"])
    }),
    made("External-IP", 0, "Where the service is reached from outside.", |object, _| external_address(object).into()),
    made("Port(s)", 0, "The list of ports that are exposed by this service.", |object, _| ports(object).into()),
    AGE,
    made("Selector", 1, "Route service traffic to pods with these labels.", |object, _| {
        let selector = selector_text(&json!({"matchLabels": object["spec"]["selector"]}));
        if selector.is_empty() { "<none>".into() } else { selector.into() }
    }),
];

const SECRET: &Printer = &[
    made("Type", 0, "Used to facilitate programmatic handling of secret data.", |object, _| object["type"].clone()),
    made("Data", 0, "The number of entries.", |object, _| entries(&object["data"]).into()),
    AGE,
];

const CONFIG_MAP: &Printer = &[
    made("Data", 0, "The number of entries.", |object, _| {
        (entries(&object["data"]) + entries(&object["binaryData"])).into()
    }),
    AGE,
];

const NAMESPACE: &Printer =
    &[made("Status", 0, "The status of the namespace", |object, _| object["status"]["phase"].clone()), AGE];

const SERVICE_ACCOUNT: &Printer =
    &[made("Secrets", 0, "The number of secrets.", |object, _| list(&object["secrets"]).len().into()), AGE];

const LEASE: &Printer = &[
    made("Holder", 0, "holderIdentity contains the identity of the holder of a current lease.", |object, _| {
        object["spec"]["holderIdentity"].as_str().unwrap_or_default().into()
    }),
    AGE,
];

const DEFINITION: &Printer =
    &[made("Created At", 0, "When it was made.", |object, _| object["metadata"]["creationTimestamp"].clone())];

const ROLE: &Printer =
    &[made("Created At", 0, table::CREATED_DESCRIPTION, |object, _| object["metadata"]["creationTimestamp"].clone())];

const BINDING: &Printer = &[
    made("Role", 0, "RoleRef can reference a role in the current namespace or a global one.", |object, _| {
        let text = |key: &str| object["roleRef"][key].as_str().unwrap_or_default();
        format!("{}/{}", text("kind"), text("name")).into()
    }),
    AGE,
    made("Users", 1, "Users in the binding", |object, _| subjects(object, "User")),
    made("Groups", 1, "Groups in the binding", |object, _| subjects(object, "Group")),
    made("ServiceAccounts", 1, "ServiceAccounts in the binding", |object, _| subjects(object, "ServiceAccount")),
];

fn subjects(binding: &Value, kind: &str) -> Value {
    let text = |subject: &Value, key: &str| subject[key].as_str().unwrap_or_default().to_owned();
    let found = list(&binding["subjects"]).iter().filter(|subject| subject["kind"] == kind);
    let named = found.map(|subject| match kind {
        "ServiceAccount" => format!("{}/{}", text(subject, "namespace"), text(subject, "name")),
        _ => text(subject, "name"),
    });
    named.collect::<Vec<_>>().join(", ").into()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn entries(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

fn text_or_none(value: &Value) -> Value {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or("<none>").into()
}

fn containers(object: &Value, field: &str) -> Value {
    let containers = list(&object["spec"]["template"]["spec"]["containers"]).iter();
    containers.map(|container| container[field].as_str().unwrap_or_default()).collect::<Vec<_>>().join(",").into()
}

/// Where a Service is reached from outside, by its type; a load balancer's addresses come when they come.
fn external_address(service: &Value) -> String {
    let (spec, balancer) = (&service["spec"], &service["status"]["loadBalancer"]);
    let given = list(&spec["externalIPs"]).iter().filter_map(Value::as_str);
    let nothing = match spec["type"].as_str() {
        Some("ExternalName") => return spec["externalName"].as_str().unwrap_or_default().to_owned(),
        Some("LoadBalancer") => "<pending>",
        _ => "<none>",
    };
    let assigned = list(&balancer["ingress"]).iter().filter_map(|one| one["ip"].as_str().or(one["hostname"].as_str()));
    let assigned: BTreeSet<&str> = assigned.collect();
    let all: Vec<&str> = assigned.into_iter().chain(given).collect();
    if all.is_empty() { nothing.to_owned() } else { all.join(",") }
}

fn ports(service: &Value) -> String {
    let ports = list(&service["spec"]["ports"]).iter().map(|port| {
        let node = number(&port["nodePort"]);
        let node = if node > 0 { format!(":{node}") } else { String::new() };
        format!("{}{node}/{}", number(&port["port"]), port["protocol"].as_str().unwrap_or("TCP"))
    });
    let ports = ports.collect::<Vec<_>>().join(",");
    if ports.is_empty() { "<none>".into() } else { ports }
}
