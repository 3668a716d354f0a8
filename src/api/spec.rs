//! The desired state: what people ask for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The desired state of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MCPServerSpec {
    /// The container image of the server: any reference that a registry accepts, with a tag, a digest or neither.
    /// The image must set a numeric, non-zero USER. The container runs as that user, without any capabilities.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// The number of pods that run the server. 0 stops it, which is not a failure.
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
    /// How clients reach the server, inside the cluster and from outside.
    #[serde(default)]
    pub service: ServiceSpec,
    /// While true, the operator creates and changes nothing: the server stays as it is, and its status is still
    /// updated.
    #[serde(default)]
    pub suspend: bool,
}

/// The Service with the name of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// From where clients can reach the server.
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    /// The port of the Service. By default the same as `spec.port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Annotations of the Service, mostly for load balancers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Whether a client always reaches the same pod. Servers that keep sessions in memory need that if there is more
    /// than one pod.
    pub session_affinity: SessionAffinity,
}

/// From where clients can reach a Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// `ClusterIP`: from within the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// `NodePort`: also through a port of every node.
    NodePort,
    /// `LoadBalancer`: also through a load balancer of the cloud.
    LoadBalancer,
}

impl ServiceType {
    /// The value of `service.spec.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Whether a client always reaches the same pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionAffinity {
    /// `None`: any pod.
    #[default]
    None,
    /// `ClientIP`: the same pod for the same address.
    #[serde(rename = "ClientIP")]
    ClientIp,
}

impl SessionAffinity {
    /// The value of `service.spec.sessionAffinity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::ClientIp => "ClientIP",
        }
    }
}

/// A DNS-1123 subdomain, which the API server requires of the names of Secrets.
pub const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

fn one() -> i32 {
    1
}

fn port_8080() -> i32 {
    8080
}
