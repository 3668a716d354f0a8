//! The children that a spec may call for beside the Deployment and the Service.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ResourceMetricSource,
};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Error, Value, json};

use super::super::children::PORT;
use super::{metadata, put, selector_labels};
use crate::api::verbatim::Verbatim;
use crate::api::{MCPServer, MCPServerSpec};
use crate::object::DEPLOYMENTS;

/// The CPU utilization to aim at if the spec names no aim.
const CPU_UTILIZATION: i32 = 80;

fn selector(server: &MCPServer) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(server.meta.key.name())), ..LabelSelector::default() }
}

pub(super) fn disruption_budget(server: &MCPServer, spec: &MCPServerSpec) -> Option<Result<Value, Error>> {
    let budget = spec.disruption_budget.as_ref()?;
    let object = serde_json::to_value(PodDisruptionBudget {
        metadata: metadata(server, BTreeMap::new()),
        spec: Some(PodDisruptionBudgetSpec { selector: Some(selector(server)), ..PodDisruptionBudgetSpec::default() }),
        status: None,
    });
    Some(object.map(|mut object| {
        put(&mut object["spec"], "minAvailable", budget.min_available.as_ref());
        put(&mut object["spec"], "maxUnavailable", budget.max_unavailable.as_ref());
        object
    }))
}

pub(super) fn network_policy(server: &MCPServer, spec: &MCPServerSpec) -> Option<Result<Value, Error>> {
    let policy = spec.network_policy.as_ref()?;
    let types = ["Ingress"].into_iter().chain(policy.egress.is_some().then_some("Egress"));
    let everybody_here =
        NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() };
    let object = serde_json::to_value(NetworkPolicy {
        metadata: metadata(server, BTreeMap::new()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(server)),
            policy_types: Some(types.map(str::to_owned).collect()),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: policy.from.is_none().then(|| vec![everybody_here]),
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::String(PORT.to_owned())),
                    protocol: Some("TCP".to_owned()),
                    end_port: None,
                }]),
            }]),
            egress: None,
        }),
    });
    Some(object.map(|mut object| {
        put(&mut object["spec"]["ingress"][0], "from", policy.from.as_ref());
        // A rule without peers would admit everybody.
        if object["spec"]["ingress"][0]["from"].as_array().is_some_and(Vec::is_empty) {
            object["spec"]["ingress"] = json!([]);
        }
        put(&mut object["spec"], "egress", policy.egress.as_ref());
        object
    }))
}

pub(super) fn autoscaler(server: &MCPServer, spec: &MCPServerSpec) -> Option<Result<Value, Error>> {
    let autoscaling = spec.autoscaling.as_ref()?;
    let (cpu, memory) =
        (autoscaling.target_cpu_utilization_percentage, autoscaling.target_memory_utilization_percentage);
    let no_aim = cpu.is_none() && memory.is_none() && autoscaling.metrics.is_none();
    let cpu = cpu.or(no_aim.then_some(CPU_UTILIZATION)).map(|percent| utilization("cpu", percent));
    let memory = memory.map(|percent| utilization("memory", percent));
    let metrics: Vec<MetricSpec> = cpu.into_iter().chain(memory).collect();
    let object = serde_json::to_value(HorizontalPodAutoscaler {
        metadata: metadata(server, BTreeMap::new()),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(DEPLOYMENTS.api_version()),
                kind: DEPLOYMENTS.kind.to_owned(),
                name: server.meta.key.name().to_owned(),
            },
            min_replicas: Some(autoscaling.min_replicas),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(metrics),
            behavior: None,
        }),
        status: None,
    });
    Some(object.map(|mut object| {
        if let (Some(metrics), Some(Value::Array(more))) =
            (object["spec"]["metrics"].as_array_mut(), autoscaling.metrics.as_ref().map(Verbatim::value))
        {
            metrics.extend(more);
        }
        put(&mut object["spec"], "behavior", autoscaling.behavior.as_ref());
        object
    }))
}

fn utilization(resource: &str, percent: i32) -> MetricSpec {
    let target =
        MetricTarget { type_: "Utilization".to_owned(), average_utilization: Some(percent), ..MetricTarget::default() };
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource { name: resource.to_owned(), target }),
        ..MetricSpec::default()
    }
}
