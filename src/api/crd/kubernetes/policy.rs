//! What goes into a NetworkPolicy and a HorizontalPodAutoscaler.

use serde_json::{Value, json};

use super::{Rule, validations};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = network();
    rules.extend(autoscaling());
    rules
}

/// The API server computes beforehand what the rules in CEL may cost, and has a limit: so lists and texts have one, too.
fn network() -> Vec<Rule> {
    let [block, egress] = ["io.k8s.api.networking.v1.IPBlock", "io.k8s.api.networking.v1.NetworkPolicyEgressRule"];
    let [peer, port] = ["io.k8s.api.networking.v1.NetworkPolicyPeer", "io.k8s.api.networking.v1.NetworkPolicyPort"];
    let one_peer = validations(&[(
        "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
        "a peer is either an ipBlock, or a podSelector, a namespaceSelector or both",
    )]);
    vec![
        (block, "", addresses()),
        (block, "cidr", json!({"maxLength": 43})),
        (block, "except", json!({"maxItems": 16, "items": {"type": "string", "maxLength": 43}})),
        (peer, "", one_peer),
        (egress, "to", json!({"maxItems": 64})),
        (egress, "ports", json!({"maxItems": 64})),
        (port, "protocol", json!({"enum": ["TCP", "UDP", "SCTP"]})),
        (port, "port", json!({"maxLength": 15})),
        (port, "", ports()),
    ]
}

/// Bits beyond the prefix are refused, as by an API server with `StrictIPCIDRValidation`: `10.0.0.1/8` was meant
/// to be something else.
fn addresses() -> Value {
    validations(&[
        (
            "isCIDR(self.cidr) && cidr(self.cidr) == cidr(self.cidr).masked()",
            "cidr must be a range of addresses such as 10.1.0.0/16 or fd00::/8, without bits beyond the prefix",
        ),
        (
            "!has(self.except) || !isCIDR(self.cidr) || self.except.all(part, isCIDR(part) && \
             cidr(self.cidr).containsCIDR(part) && cidr(part).prefixLength() > cidr(self.cidr).prefixLength())",
            "each of except must be a smaller range within cidr",
        ),
    ])
}

fn ports() -> Value {
    validations(&[
        (
            "!has(self.port) || (type(self.port) == int ? self.port >= 1 && self.port <= 65535 : \
             self.port.matches('^([a-z0-9]+-)*[a-z0-9]+$') && self.port.matches('[a-z]'))",
            "port must be a number from 1 to 65535, or the name of a port",
        ),
        (
            "!has(self.endPort) || (has(self.port) && type(self.port) == int && \
             self.endPort >= self.port && self.endPort <= 65535)",
            "endPort must be a number from port to 65535",
        ),
    ])
}

fn autoscaling() -> Vec<Rule> {
    let [metric, target] = ["io.k8s.api.autoscaling.v2.MetricSpec", "io.k8s.api.autoscaling.v2.MetricTarget"];
    let [scaling, policy] = ["io.k8s.api.autoscaling.v2.HPAScalingRules", "io.k8s.api.autoscaling.v2.HPAScalingPolicy"];
    let sources = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    let of_its_type = sources.map(|source| {
        let field = source[..1].to_lowercase() + &source[1..];
        format!("(self.type == '{source}') == has(self.{field})")
    });
    let one_source = validations(&[(
        &*of_its_type.join(" && "),
        "a metric has the field that its type names, such as pods for Pods, and none of the others",
    )]);
    let some_target = validations(&[(
        "has(self.value) || has(self.averageValue) || has(self.averageUtilization)",
        "a target has a value, averageValue or averageUtilization",
    )]);
    vec![
        (metric, "type", json!({"enum": sources})),
        (metric, "", one_source),
        (target, "type", json!({"enum": ["Utilization", "Value", "AverageValue"]})),
        (target, "averageUtilization", json!({"minimum": 1})),
        (target, "", some_target),
        (scaling, "policies", json!({"minItems": 1})),
        (scaling, "selectPolicy", json!({"enum": ["Max", "Min", "Disabled"]})),
        (scaling, "stabilizationWindowSeconds", json!({"minimum": 0, "maximum": 3600})),
        (policy, "type", json!({"enum": ["Pods", "Percent"]})),
        (policy, "value", json!({"minimum": 1})),
        (policy, "periodSeconds", json!({"minimum": 1, "maximum": 1800})),
    ]
}
