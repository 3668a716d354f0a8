//! HorizontalPodAutoscalers.

use serde_json::{Value, json};

use super::field::{Causes, child, default as fill, int, text};
use super::names;

/// Fills in an autoscaler.
pub(super) fn default(scaler: &mut Value) {
    if let Some(spec) = child(scaler, "spec") {
        fill(spec, "minReplicas", 1);
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        fill(spec, "metrics", json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    }
    if let Some(status) = child(scaler, "status") {
        fill(status, "desiredReplicas", 0);
        fill(status, "currentMetrics", Value::Null);
    }
}

/// Checks an autoscaler's bounds.
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
    for key in ["kind", "name"] {
        let (value, field) = (text(&spec["scaleTargetRef"], key), format!("spec.scaleTargetRef.{key}"));
        if value.is_empty() {
            causes.required(&field, "");
        } else {
            causes.complaints(&field, value, &names::path_segment(value));
        }
    }
}
