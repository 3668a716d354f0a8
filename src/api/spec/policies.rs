//! Objects beside the Deployment and the Service that a server can have.

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec};
use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::verbatim::Verbatim;

/// How many pods a voluntary disruption, such as draining a node, may take away at the same time. One of the two fields
/// is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.minAvailable) != has(self.maxUnavailable)",
    "message": "set either minAvailable or maxUnavailable",
}]))]
pub struct DisruptionBudget {
    /// The number or percentage of pods that must stay available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 8, "x-kubernetes-validations" = [{"rule": COUNT_OR_PERCENTAGE, "message": COUNT_OR_PERCENTAGE_MESSAGE}]))]
    pub min_available: Option<Verbatim<IntOrString>>,
    /// The number or percentage of pods that may be unavailable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 8, "x-kubernetes-validations" = [{"rule": COUNT_OR_PERCENTAGE, "message": COUNT_OR_PERCENTAGE_MESSAGE}]))]
    pub max_unavailable: Option<Verbatim<IntOrString>>,
}

const COUNT_OR_PERCENTAGE: &str = "string(self).matches('^([0-9]+|(100|[0-9]{1,2})%)$')";
const COUNT_OR_PERCENTAGE_MESSAGE: &str = "must be a number of pods, or a percentage such as 50%";

/// Who may connect to the server, and to what it may connect. Only a network plug-in that implements NetworkPolicies
/// enforces it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Who may connect to the server's port: peers as in a NetworkPolicy. By default all pods of the same namespace; if the
    /// list is empty, nobody. To verify the server, the operator has to be among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 256))]
    pub from: Option<Verbatim<Vec<NetworkPolicyPeer>>>,
    /// To what the server may connect: rules as in a NetworkPolicy. If there are none here, to everything; if the list
    /// is empty, to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 64))]
    pub egress: Option<Verbatim<Vec<NetworkPolicyEgressRule>>>,
}

/// A HorizontalPodAutoscaler for the server's Deployment. Without any target or metric, it aims at a CPU utilization of
/// 80 percent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.minReplicas <= self.maxReplicas",
    "message": "minReplicas must not be greater than maxReplicas",
}]))]
pub struct Autoscaling {
    /// The least number of pods.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub min_replicas: i32,
    /// The greatest number of pods.
    #[schemars(range(min = 1))]
    pub max_replicas: i32,
    /// The average CPU utilization to aim at, in percent of what the pods request. They must request some, in
    /// `resources`.
    #[serde(default, rename = "targetCPUUtilizationPercentage", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub target_cpu_utilization_percentage: Option<i32>,
    /// The average memory utilization to aim at, in percent of what the pods request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub target_memory_utilization_percentage: Option<i32>,
    /// More metrics, as in a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 16))]
    pub metrics: Option<Verbatim<Vec<MetricSpec>>>,
    /// How fast to scale up and down, as in a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Verbatim<HorizontalPodAutoscalerBehavior>>,
}

fn one() -> i32 {
    1
}
