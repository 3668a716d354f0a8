//! Mistakes in what becomes a NetworkPolicy or a HorizontalPodAutoscaler, and in quantities, most of which are there.

use serde_json::{Value, json};

use super::{Mistake, many};

pub(super) fn of_networks() -> Vec<Mistake> {
    let from = |peer: Value| json!({"networkPolicy": {"from": [peer]}});
    let block = |cidr: &str, except: &[&str]| from(json!({"ipBlock": {"cidr": cidr, "except": except}}));
    let to = |rule: Value| json!({"networkPolicy": {"egress": [rule]}});
    let port = |port: Value| to(json!({"ports": [port]}));
    let (place, outside) = ("spec.networkPolicy.from[0].ipBlock", "a smaller range within cidr");
    let (egress, range) = ("spec.networkPolicy.egress[0]", "cidr must be a range of addresses");
    let everybody = json!({"podSelector": {}});
    vec![
        (from(json!({})), "spec.networkPolicy.from[0]", "a peer is either"),
        (
            from(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
            "spec.networkPolicy.from[0]",
            "a peer is either",
        ),
        (to(json!({"to": [{}]})), "spec.networkPolicy.egress[0].to[0]", "a peer is either"),
        (block("10.0.0.0", &[]), place, range),
        (block("10.0.0.0/33", &[]), place, range),
        (block("everywhere", &[]), place, range),
        (block("10.0.0.1/8", &[]), place, range),
        (block("fd00::1/8", &[]), place, range),
        (block(&"1".repeat(44), &[]), "spec.networkPolicy.from[0].ipBlock.cidr", "may not be more than 43"),
        (block("10.0.0.0/8", &["11.0.0.0/16"]), place, outside),
        (block("10.0.0.0/8", &["10.0.0.0/8"]), place, outside),
        (block("10.0.0.0/8", &["somewhere"]), place, outside),
        (block("10.0.0.0/8", &["10.0.0.0/9"; 17]), "spec.networkPolicy.from[0].ipBlock.except", "at most 16 items"),
        (block("10.0.0.0/8", &[&"1".repeat(44)]), "spec.networkPolicy.from[0].ipBlock.except[0]", "more than 43"),
        (port(json!({"protocol": "ICMP"})), "egress[0].ports[0].protocol", "supported values"),
        (port(json!({"port": 0})), "egress[0].ports[0]", "port must be a number"),
        (port(json!({"port": 65_536})), "egress[0].ports[0]", "port must be a number"),
        (port(json!({"port": "HTTP"})), "egress[0].ports[0]", "port must be a number"),
        (port(json!({"port": "1-2"})), "egress[0].ports[0]", "port must be a number"),
        (port(json!({"port": "sixteen-letters-"})), "egress[0].ports[0].port", "may not be more than 15"),
        (port(json!({"endPort": 5})), "egress[0].ports[0]", "endPort must be a number"),
        (port(json!({"port": 5, "endPort": 4})), "egress[0].ports[0]", "endPort must be a number"),
        (port(json!({"port": 5, "endPort": 65_536})), "egress[0].ports[0]", "endPort must be a number"),
        (port(json!({"port": "http", "endPort": 5})), "egress[0].ports[0]", "endPort must be a number"),
        (to(json!({"to": many(65, &everybody)})), egress, "at most 64 items"),
        (to(json!({"ports": many(65, &json!({"port": 1}))})), egress, "at most 64 items"),
        (json!({"networkPolicy": {"from": many(257, &everybody)}}), "spec.networkPolicy.from", "at most 256 items"),
        (json!({"networkPolicy": {"egress": many(65, &json!({}))}}), "spec.networkPolicy.egress", "at most 64 items"),
    ]
}

pub(super) fn of_autoscaling() -> Vec<Mistake> {
    let of = |field: &str, value: Value| json!({"autoscaling": {"maxReplicas": 9, field: value}});
    let metric = |metric: Value| of("metrics", json!([metric]));
    let cpu = |target: Value| metric(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
    let down = |field: &str, value: Value| of("behavior", json!({"scaleDown": {field: value}}));
    let policy = |fields: Value| {
        let mut policy = json!({"type": "Pods", "value": 1, "periodSeconds": 60});
        policy.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        down("policies", json!([policy]))
    };
    let window = |seconds: i32| down("stabilizationWindowSeconds", seconds.into());
    let utilization = json!({"type": "Utilization", "averageUtilization": 50});
    vec![
        (metric(json!({"type": "Weather"})), "spec.autoscaling.metrics[0].type", "supported values"),
        (metric(json!({"type": "Resource"})), "spec.autoscaling.metrics[0]", "the field that its type names"),
        (
            metric(json!({"type": "Pods", "resource": {"name": "cpu", "target": utilization}})),
            "spec.autoscaling.metrics[0]",
            "the field that its type names",
        ),
        (cpu(json!({"type": "Sum", "averageUtilization": 50})), "resource.target.type", "supported values"),
        (cpu(json!({"type": "Utilization"})), "resource.target", "a target has a value"),
        (cpu(json!({"type": "Utilization", "averageUtilization": 0})), "averageUtilization", "or equal to 1"),
        (of("metrics", many(17, &json!({"type": "Pods"}))), "spec.autoscaling.metrics", "at most 16 items"),
        (down("policies", json!([])), "scaleDown.policies", "at least 1 item"),
        (down("selectPolicy", json!("Mean")), "scaleDown.selectPolicy", "supported values"),
        (window(-1), "stabilizationWindowSeconds", "greater than or equal to 0"),
        (window(3601), "stabilizationWindowSeconds", "less than or equal to 3600"),
        (policy(json!({"type": "Nodes"})), "policies[0].type", "supported values"),
        (policy(json!({"value": 0})), "policies[0].value", "greater than or equal to 1"),
        (policy(json!({"periodSeconds": 0})), "policies[0].periodSeconds", "greater than or equal to 1"),
        (policy(json!({"periodSeconds": 1801})), "policies[0].periodSeconds", "less than or equal to 1800"),
        (
            of("targetCPUUtilizationPercentage", json!(0)),
            "spec.autoscaling.targetCPUUtilizationPercentage",
            "or equal to 1",
        ),
        (
            of("targetMemoryUtilizationPercentage", json!(0)),
            "spec.autoscaling.targetMemoryUtilizationPercentage",
            "or equal to 1",
        ),
        (of("minReplicas", json!(10)), "spec.autoscaling", "must not be greater than maxReplicas"),
    ]
}

/// In each place where there is a quantity.
pub(super) fn of_quantities() -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (wrong, rule) in [
        (json!(-1), "greater than or equal to 0"),
        (json!("0".repeat(65)), "may not be more than 64"),
        (json!("1 MB"), "should match"),
    ] {
        let divisor = json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": wrong}});
        let metric = |target: Value| {
            let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
            json!({"autoscaling": {"maxReplicas": 2, "metrics": [metric]}})
        };
        let tolerance = json!({"scaleUp": {"tolerance": wrong}});
        mistakes.extend([
            (json!({"resources": {"limits": {"cpu": wrong}}}), "spec.resources.limits.cpu", rule),
            (json!({"env": [{"name": "A", "valueFrom": divisor}]}), "resourceFieldRef.divisor", rule),
            (json!({"volumes": [{"name": "a", "emptyDir": {"sizeLimit": wrong}}]}), "emptyDir.sizeLimit", rule),
            (metric(json!({"type": "Value", "value": wrong})), "resource.target.value", rule),
            (metric(json!({"type": "AverageValue", "averageValue": wrong})), "resource.target.averageValue", rule),
            (json!({"autoscaling": {"maxReplicas": 2, "behavior": tolerance}}), "scaleUp.tolerance", rule),
        ]);
    }
    mistakes
}
