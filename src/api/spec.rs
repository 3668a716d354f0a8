//! What people ask for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is wanted of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MCPServerSpec {
    /// The container image of the server: any reference that a registry takes, with a tag, a digest or neither.
    /// The container runs as the image's user, which must not be root, and without any capabilities.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// How many pods run the server. 0 stops it; that is no failure.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// The port that the server listens on. The container port is named `mcp`.
    #[serde(default = "port_8080")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The name of a Secret in the same namespace. Every key of it becomes an environment variable of the server, and
    /// a change of its data restarts the pods, once. Until the Secret exists, no pod is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub secret_name: Option<String>,
    /// How the server is reached within the cluster, and from outside.
    #[serde(default)]
    pub service: ServiceSpec,
    /// While true, the operator makes and changes nothing: the server stays as it is, and its status goes on to say how
    /// that is.
    #[serde(default)]
    pub suspend: bool,
}

/// The Service of the server's own name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// From where the server can be reached.
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    /// The port of the Service. By default the same as `spec.port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Annotations of the Service, for load balancers mostly.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Whether one client always reaches the same pod, which servers that keep sessions need when there is more than one.
    pub session_affinity: SessionAffinity,
}

/// From where a Service can be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// `ClusterIP`: from within the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// `NodePort`: through a port of every node, too.
    NodePort,
    /// `LoadBalancer`: through a load balancer of the cloud, too.
    LoadBalancer,
}

impl ServiceType {
    /// The word in `service.spec.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Whether one client always reaches the same pod.
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
    /// The word in `service.spec.sessionAffinity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::ClientIp => "ClientIP",
        }
    }
}

/// A DNS-1123 subdomain, as the API server wants Secrets to be named.
pub const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

fn one() -> i32 {
    1
}

fn port_8080() -> i32 {
    8080
}
