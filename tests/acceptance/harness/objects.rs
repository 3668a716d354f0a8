//! The kinds that the tests deal with, and words for what is often asked of an object.

use serde_json::{Value, json};

/// A kind of object, as its path is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    group_version: &'static str,
    plural: &'static str,
    namespaced: bool,
}

impl Kind {
    pub(crate) const fn namespaced(group_version: &'static str, plural: &'static str) -> Self {
        Self { group_version, plural, namespaced: true }
    }

    pub(crate) const fn cluster_wide(group_version: &'static str, plural: &'static str) -> Self {
        Self { group_version, plural, namespaced: false }
    }

    /// The path of all of them in a namespace.
    pub(crate) fn collection(self, namespace: &str) -> String {
        let Self { group_version, plural, namespaced } = self;
        let root = if group_version.contains('/') { "apis" } else { "api" };
        let place = if namespaced { format!("namespaces/{namespace}/") } else { String::new() };
        format!("/{root}/{group_version}/{place}{plural}")
    }

    /// The path of one.
    pub(crate) fn path(self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(namespace))
    }
}

pub(crate) const SERVERS: Kind = Kind::namespaced("mcp.mcp.dev/v1alpha1", "mcpservers");
pub(crate) const DEPLOYMENTS: Kind = Kind::namespaced("apps/v1", "deployments");
pub(crate) const REPLICA_SETS: Kind = Kind::namespaced("apps/v1", "replicasets");
pub(crate) const SERVICES: Kind = Kind::namespaced("v1", "services");
pub(crate) const PODS: Kind = Kind::namespaced("v1", "pods");
pub(crate) const SECRETS: Kind = Kind::namespaced("v1", "secrets");
pub(crate) const CONFIG_MAPS: Kind = Kind::namespaced("v1", "configmaps");
pub(crate) const EVENTS: Kind = Kind::namespaced("events.k8s.io/v1", "events");
pub(crate) const LEASES: Kind = Kind::namespaced("coordination.k8s.io/v1", "leases");
pub(crate) const BUDGETS: Kind = Kind::namespaced("policy/v1", "poddisruptionbudgets");
pub(crate) const POLICIES: Kind = Kind::namespaced("networking.k8s.io/v1", "networkpolicies");
pub(crate) const AUTOSCALERS: Kind = Kind::namespaced("autoscaling/v2", "horizontalpodautoscalers");
pub(crate) const NAMESPACES: Kind = Kind::cluster_wide("v1", "namespaces");
pub(crate) const ENDPOINT_SLICES: Kind = Kind::namespaced("discovery.k8s.io/v1", "endpointslices");
pub(crate) const WEBHOOK_CONFIGURATIONS: Kind =
    Kind::cluster_wide("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations");
pub(crate) const CRDS: Kind = Kind::cluster_wide("apiextensions.k8s.io/v1", "customresourcedefinitions");

/// An MCPServer; `spec` may leave out the image. Unless it says otherwise, nobody asks the server whether it speaks MCP:
/// most pods of these tests listen nowhere.
pub(crate) fn server(name: &str, mut spec: Value) -> Value {
    if spec["image"].is_null() {
        spec["image"] = super::image().into();
    }
    if spec["mcp"]["verify"].is_null() {
        spec["mcp"]["verify"] = "Off".into();
    }
    json!({"apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer", "metadata": {"name": name}, "spec": spec})
}

/// A Secret with one value.
pub(crate) fn secret(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"TOKEN": value}})
}

/// A Deployment as somebody else would make it.
pub(crate) fn foreign_deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": super::image()}]},
            },
        },
    })
}

/// A Service as somebody else would make it.
pub(crate) fn foreign_service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    })
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

pub(crate) fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

pub(crate) fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or_default()
}

/// The condition of this type; null where there is none.
pub(crate) fn condition<'a>(object: &'a Value, condition_type: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == condition_type).unwrap_or(&Value::Null)
}

/// `True Available`: a condition in short.
pub(crate) fn says(object: &Value, condition_type: &str) -> String {
    let condition = condition(object, condition_type);
    let text = |field: &str| condition[field].as_str().unwrap_or("-").to_owned();
    format!("{} {}", text("status"), text("reason"))
}

/// The first container of a Deployment's pods.
pub(crate) fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

/// Whether a Deployment's controller has looked at its newest state and has all pods as they should be.
pub(crate) fn rolled_out(deployment: &Value) -> bool {
    let status = &deployment["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or_default();
    count("observedGeneration") >= generation(deployment)
        && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|field| count(field) == wanted)
}
