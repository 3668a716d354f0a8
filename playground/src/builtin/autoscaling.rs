//! HorizontalPodAutoscalers: whom they scale, within which bounds, by what, and how fast.
//!
//! No metric is ever measured here (see [`crate::controllers::autoscaler`]), but an autoscaler that Kubernetes would
//! refuse is refused: the [metrics](metrics) it goes by must say what they measure and what they aim at, and the
//! [behavior](behavior) must be rules that can be followed.
//!
//! Scaling to zero is behind a feature gate of Kubernetes that is off unless somebody asks for it; it is off here. Not
//! noticed: a list of policies that was given and is empty, which is filled in like one that was not given.

mod behavior;
mod metrics;

use serde_json::{Value, json};

use super::field::{Causes, child, default as fill, int, list_mut, text};
use super::{amounts, names};

/// Fills in an autoscaler.
pub(super) fn default(scaler: &mut Value) {
    if let Some(spec) = child(scaler, "spec") {
        fill(spec, "minReplicas", 1);
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        fill(spec, "metrics", json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
        for source in list_mut(spec, "metrics").iter_mut().filter_map(Value::as_object_mut) {
            for target in source.values_mut().filter_map(|source| source.get_mut("target")) {
                amounts::canonicalize_some(target, &["value", "averageValue"]);
            }
        }
        if let Some(given) = spec.get_mut("behavior") {
            behavior::default(given);
        }
    }
    if let Some(status) = child(scaler, "status") {
        fill(status, "desiredReplicas", 0);
        fill(status, "currentMetrics", Value::Null);
    }
}

/// Checks an autoscaler.
pub(super) fn validate(scaler: &Value, causes: &mut Causes) {
    let spec = &scaler["spec"];
    let min = int(spec, "minReplicas").unwrap_or(1);
    let max = int(spec, "maxReplicas").unwrap_or(0);
    if min < 1 {
        let detail = "must be greater than or equal to 1";
        causes.invalid("spec.minReplicas", &json!(min), detail);
    }
    if max < 1 {
        causes.invalid("spec.maxReplicas", &json!(max), "must be greater than 0");
    }
    if max < min {
        let detail = "must be greater than or equal to `minReplicas`";
        causes.invalid("spec.maxReplicas", &json!(max), detail);
    }
    validate_reference(&spec["scaleTargetRef"], "spec.scaleTargetRef", causes);
    metrics::validate(spec, min, causes);
    if let Some(given) = spec.get("behavior") {
        behavior::validate(given, "spec.behavior", causes);
    }
}

/// Checks a reference to an object of any kind.
fn validate_reference(reference: &Value, path: &str, causes: &mut Causes) {
    for key in ["kind", "name"] {
        let (value, field) = (text(reference, key), format!("{path}.{key}"));
        if value.is_empty() {
            causes.required(&field, "");
        } else {
            causes.complaints(&field, value, &names::path_segment(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::found;
    use super::*;

    fn faults(spec: &Value) -> Vec<String> {
        found(|causes| validate(&json!({"spec": spec}), causes))
    }

    #[test]
    fn bounds_are_in_order_and_a_target_has_a_name() {
        let of = |min: i64, max: i64, kind: &str, name: &str| {
            faults(&json!({"minReplicas": min, "maxReplicas": max, "scaleTargetRef": {"kind": kind, "name": name}}))
        };
        assert!(of(1, 1, "Deployment", "d").is_empty());
        let reached = "spec.maxReplicas: Invalid value: 1: must be greater than or equal to `minReplicas`";
        assert_eq!(of(2, 1, "Deployment", "d"), [reached]);
        assert_eq!(
            of(-1, 0, "Deployment", "d"),
            [
                "spec.minReplicas: Invalid value: -1: must be greater than or equal to 1",
                "spec.maxReplicas: Invalid value: 0: must be greater than 0",
            ]
        );
        assert_eq!(
            of(1, 1, "", "a/b"),
            [
                "spec.scaleTargetRef.kind: Required value",
                "spec.scaleTargetRef.name: Invalid value: \"a/b\": may not contain '/'",
            ]
        );
    }

    #[test]
    fn zero_replicas_need_a_metric_that_does_not_come_from_pods() {
        let of = |metrics: Value| {
            let target = json!({"kind": "Deployment", "name": "d"});
            faults(&json!({"minReplicas": 0, "maxReplicas": 1, "scaleTargetRef": target, "metrics": metrics}))
        };
        let gate = "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1";
        assert_eq!(
            of(json!([])),
            [
                gate,
                "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero \
             replicas",
            ]
        );
        let external = json!({"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}});
        assert_eq!(of(json!([{"type": "External", "external": external}])), [gate]);
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let resource = json!({"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1000m"}});
        let metrics = json!([{"type": "Resource", "resource": resource}]);
        let mut scaler = json!({"spec": {"behavior": {"scaleDown": {"selectPolicy": "Min"}}, "metrics": metrics}});
        default(&mut scaler);
        let spec = &scaler["spec"];
        assert_eq!(spec["minReplicas"], 1);
        assert_eq!(spec["metrics"][0]["resource"]["target"]["averageValue"], "1");
        let percent = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
        assert_eq!(spec["behavior"]["scaleDown"], json!({"selectPolicy": "Min", "policies": percent}));
        assert_eq!(spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"], 0);
        assert_eq!(spec["behavior"]["scaleUp"]["policies"].as_array().unwrap().len(), 2);
    }
}
