//! How clients reach the server.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ANNOTATION_KEYS, annotation_keys};

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
    #[schemars(extend(
        "maxProperties" = 64,
        "x-kubernetes-validations" = [{"rule": annotation_keys(), "message": ANNOTATION_KEYS}],
    ))]
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
