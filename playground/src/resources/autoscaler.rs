//! The two faces of a HorizontalPodAutoscaler.
//!
//! `autoscaling/v1`, which `kubectl autoscale` writes, knows one number: how busy the processors should be. All else that
//! `v2` knows travels through `v1` as annotations, so that a client of the older version takes nothing away by writing
//! back what it read (`pkg/apis/autoscaling/v1/conversion.go`; what stands in the annotations is v2's JSON here).

use serde_json::{Map, Value, json};

/// (the annotation, where its content stands in v2)
const CARRIED: [(&str, [&str; 2]); 4] = [
    ("autoscaling.alpha.kubernetes.io/metrics", ["spec", "metrics"]),
    ("autoscaling.alpha.kubernetes.io/behavior", ["spec", "behavior"]),
    ("autoscaling.alpha.kubernetes.io/conditions", ["status", "conditions"]),
    ("autoscaling.alpha.kubernetes.io/current-metrics", ["status", "currentMetrics"]),
];

/// From v2 to v1.
pub(super) fn to_first(autoscaler: &mut Value) {
    let metrics = autoscaler["spec"]["metrics"].as_array().cloned().unwrap_or_default();
    let (busy, others): (Vec<Value>, Vec<Value>) = metrics.into_iter().partition(|metric| busy(metric).is_some());
    if let Some(percent) = busy.first().and_then(self::busy) {
        autoscaler["spec"]["targetCPUUtilizationPercentage"] = percent.into();
    }
    if let Some(spec) = autoscaler["spec"].as_object_mut() {
        spec.remove("metrics");
        if !others.is_empty() {
            spec.insert("metrics".to_owned(), others.into());
        }
    }
    for (annotation, [holder, field]) in CARRIED {
        let content = autoscaler[holder].as_object_mut().and_then(|holder| holder.remove(field));
        if let Some(content) = content.filter(|content| !content.is_null()) {
            autoscaler["metadata"]["annotations"][annotation] = content.to_string().into();
        }
    }
}

/// From v1 to v2. An annotation that holds no JSON stays one.
pub(super) fn to_second(autoscaler: &mut Value) {
    for (annotation, [holder, field]) in CARRIED {
        let annotations = autoscaler["metadata"]["annotations"].as_object();
        let text = annotations.and_then(|annotations| annotations.get(annotation)?.as_str());
        let Some(content) = text.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { continue };
        autoscaler[holder][field] = content;
        if let Some(annotations) = autoscaler["metadata"]["annotations"].as_object_mut() {
            annotations.remove(annotation);
        }
    }
    let percent = autoscaler["spec"].as_object_mut().and_then(|spec| spec.remove("targetCPUUtilizationPercentage"));
    if let Some(percent) = percent.as_ref().and_then(Value::as_i64) {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        match &mut autoscaler["spec"]["metrics"] {
            Value::Array(metrics) => metrics.insert(0, metric),
            other => *other = json!([metric]),
        }
    }
    if autoscaler["metadata"]["annotations"].as_object().is_some_and(Map::is_empty)
        && let Some(metadata) = autoscaler["metadata"].as_object_mut()
    {
        metadata.remove("annotations");
    }
}

/// The number that v1 knows, where the metric is that one.
fn busy(metric: &Value) -> Option<i64> {
    let resource = &metric["resource"];
    (resource["name"] == "cpu").then(|| resource["target"]["averageUtilization"].as_i64())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_the_older_version_takes_nothing_away() {
        let metric = |name: &str| {
            let target = json!({"type": "Utilization", "averageUtilization": 50});
            json!({"type": "Resource", "resource": {"name": name, "target": target}})
        };
        let newer = json!({
            "metadata": {"name": "x"},
            "spec": {"maxReplicas": 3, "metrics": [metric("cpu"), metric("memory")], "behavior": {"scaleUp": {}}},
            "status": {"conditions": [{"type": "AbleToScale"}]},
        });
        let mut object = newer.clone();
        to_first(&mut object);
        assert_eq!(object["spec"], json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 50}));
        assert_eq!(object["status"], json!({}));
        to_second(&mut object);
        assert_eq!(object, newer);
    }
}
