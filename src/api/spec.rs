//! The desired state: what people ask for.
//!
//! The first fields are all that most servers need. The others have the names, types and meanings that they have in a
//! pod; the operator [passes them on](Verbatim).

mod mcp;
mod policies;
mod probes;
mod service;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, LocalObjectReference, PodSecurityContext, ResourceRequirements, SecurityContext, Toleration,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use mcp::{Interval, McpSpec, Verify};
pub use policies::{Autoscaling, DisruptionBudget, NetworkPolicy};
pub(crate) use probes::ACTIONS;
pub use probes::{Probe, Probes};
pub use service::{ServiceSpec, ServiceType, SessionAffinity};

use super::verbatim::Verbatim;

/// The desired state of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
    "message": "each of volumeMounts must name one of volumes",
}]))]
pub struct MCPServerSpec {
    /// The container image of the server: any reference that a registry accepts, with a tag, a digest or neither.
    /// Unless podSecurityContext or securityContext say otherwise, the image must set a numeric, non-zero USER, and the
    /// container runs as that user, without any capabilities.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^\S*$"))]
    pub image: String,
    /// The number of pods that run the server. 0 stops it, which is not a failure. With autoscaling, this number is not
    /// used.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// The port that the server listens on. The container port is named `mcp`.
    #[serde(default = "port_8080")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The name of a Secret in the same namespace. Each of its keys becomes an environment variable of the server, and
    /// a change of its data restarts the pods once. Until the Secret exists, no pod is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub secret_name: Option<String>,
    /// The command to run instead of the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The arguments of the command, instead of the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables. They win over the keys of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 512, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Option<Verbatim<Vec<EnvVar>>>,
    /// When the image is pulled: by default always if the tag is `latest` or missing, and otherwise if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// The Secrets with which the image is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 64, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Option<Verbatim<Vec<LocalObjectReference>>>,
    /// What the container needs of CPU, memory and other resources, and the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Verbatim<ResourceRequirements>>,
    /// How the kubelet finds out whether the server has started, is alive, and is ready. By default it checks whether
    /// the port accepts connections. An MCP server answers no GET that would say more.
    #[serde(default)]
    pub probes: Probes,
    /// How clients reach the server, inside the cluster and from outside.
    #[serde(default)]
    pub service: ServiceSpec,
    /// The ServiceAccount of the pods. Only if it is named, the pods get a token for the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub service_account_name: Option<String>,
    /// The security settings of the pod. What is not set here is as the Pod Security profile "restricted" wants it:
    /// runAsNonRoot is true, seccompProfile is RuntimeDefault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security_context: Option<Verbatim<PodSecurityContext>>,
    /// The security settings of the container. What is not set here is as the Pod Security profile "restricted" wants
    /// it: allowPrivilegeEscalation is false, capabilities drops ALL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<Verbatim<SecurityContext>>,
    /// The volumes of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 64, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub volumes: Option<Verbatim<Vec<Volume>>>,
    /// Where the container finds the volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 64, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"]))]
    pub volume_mounts: Option<Verbatim<Vec<VolumeMount>>>,
    /// The labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 64,
        "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
        "x-kubernetes-validations" = [{"rule": label_keys(), "message": LABEL_KEYS}],
    ))]
    pub node_selector: BTreeMap<String, String>,
    /// The taints of nodes that the pods tolerate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 64))]
    pub tolerations: Option<Verbatim<Vec<Toleration>>>,
    /// On which nodes, and near which other pods, the pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Verbatim<Affinity>>,
    /// How the pods spread over zones and nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "maxItems" = 64,
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["topologyKey", "whenUnsatisfiable"],
    ))]
    pub topology_spread_constraints: Option<Verbatim<Vec<TopologySpreadConstraint>>>,
    /// The PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub priority_class_name: Option<String>,
    /// How many seconds a pod has between SIGTERM and SIGKILL; 30 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub termination_grace_period_seconds: Option<i64>,
    /// More labels for the pods. The operator's own labels win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 64,
        "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
        "x-kubernetes-validations" = [{"rule": label_keys(), "message": LABEL_KEYS}],
    ))]
    pub pod_labels: BTreeMap<String, String>,
    /// More annotations for the pods. The operator's own annotations win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 64,
        "x-kubernetes-validations" = [{"rule": annotation_keys(), "message": ANNOTATION_KEYS}],
    ))]
    pub pod_annotations: BTreeMap<String, String>,
    /// Where the server speaks MCP, and whether the operator asks it.
    #[serde(default)]
    pub mcp: McpSpec,
    /// A PodDisruptionBudget: how many pods a drained node may take away at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption_budget: Option<DisruptionBudget>,
    /// A NetworkPolicy: who may connect to the server, and to what it may connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,
    /// A HorizontalPodAutoscaler, which decides on the number of pods instead of `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// While true, the operator creates and changes nothing: the server stays as it is, and its status is still
    /// updated.
    #[serde(default)]
    pub suspend: bool,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// `Always`: at each start of a container.
    Always,
    /// `IfNotPresent`: if the node does not have it.
    IfNotPresent,
    /// `Never`: the node has it already.
    Never,
}

impl PullPolicy {
    /// The value of `imagePullPolicy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// A DNS-1123 subdomain, which the API server requires of the names of Secrets.
pub const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The name of a label or annotation.
pub(super) const QUALIFIED_NAME: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// The value of a label.
const LABEL_VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

/// What is wrong with labels.
const LABEL_KEYS: &str = "each key must be the name of a label: [prefix/]name";
/// What is wrong with annotations.
const ANNOTATION_KEYS: &str = "each key must be the name of an annotation: [prefix/]name";

/// Holds of labels whose names the API server accepts.
fn label_keys() -> String {
    format!("self.all(key, key.indexOf('/') <= 253 && key.matches('{QUALIFIED_NAME}'))")
}

/// Holds of annotations whose names the API server accepts: it does not look at their case.
fn annotation_keys() -> String {
    format!("self.all(key, key.indexOf('/') <= 253 && key.matches('(?i){QUALIFIED_NAME}'))")
}

fn one() -> i32 {
    1
}

fn port_8080() -> i32 {
    8080
}
