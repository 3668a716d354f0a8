//! Probes: what they do, and when.

use serde_json::json;

use super::Rule;

pub(super) fn rules() -> Vec<Rule> {
    let [exec, grpc] = ["io.k8s.api.core.v1.ExecAction", "io.k8s.api.core.v1.GRPCAction"];
    let [http, header] = ["io.k8s.api.core.v1.HTTPGetAction", "io.k8s.api.core.v1.HTTPHeader"];
    let mut rules = vec![
        (exec, "", json!({"required": ["command"]})),
        (exec, "command", json!({"minItems": 1})),
        (grpc, "port", json!({"minimum": 1, "maximum": 65535})),
        (http, "scheme", json!({"enum": ["HTTP", "HTTPS"]})),
        (header, "name", json!({"pattern": "^[-A-Za-z0-9]+$"})),
        ("Probe", "terminationGracePeriodSeconds", json!({"minimum": 1})),
    ];
    let times = ["periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold", "initialDelaySeconds"];
    rules.extend(times.map(|time| ("Probe", time, json!({"minimum": 0}))));
    rules
}
