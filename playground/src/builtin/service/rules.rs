//! What a Service may be, in the order in which Kubernetes complains (`ValidateService`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::container::{one_of, validate_protocol};
use super::super::field::{Causes, int, list, quoted, text};
use super::super::{labels, names};

/// How long a client may be kept with its pod: a day.
const LONGEST_AFFINITY: i64 = 86_400;

/// Checks a Service.
pub(in crate::builtin) fn validate(service: &Value, causes: &mut Causes) {
    let name = text(&service["metadata"], "name");
    causes.complaints("metadata.name", name, &names::dns_label_1035(name));
    let spec = &service["spec"];
    let kind = text(spec, "type");
    let ports = list(spec, "ports");
    let headless = text(spec, "clusterIP") == "None";
    if ports.is_empty() && !headless && kind != "ExternalName" {
        causes.required("spec.ports", "");
    }
    match kind {
        "NodePort" | "LoadBalancer" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            causes.invalid_text("spec.clusterIPs[0]", "None", &detail);
        }
        "ExternalName" => validate_external(spec, causes),
        _ => {}
    }
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        validate_port(port, ports.len() > 1, &mut names, &path, causes);
    }
    labels::validate(spec, "selector", "spec.selector", causes);
    validate_affinity(spec, causes);
    validate_families(spec, causes);
    validate_external_addresses(spec, causes);
    one_of(spec, "spec", "type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], causes);
    validate_node_ports(ports, kind, causes);
    validate_distinct(ports, causes);
    validate_balancer(spec, kind, causes);
    validate_traffic(spec, kind, causes);
}

/// A name in the DNS of others: it has no address here.
fn validate_external(spec: &Value, causes: &mut Causes) {
    let addressed = !list(spec, "clusterIPs").is_empty() || !text(spec, "clusterIP").is_empty();
    if addressed {
        causes.forbidden("spec.clusterIPs", "may not be set for ExternalName services");
    }
    let name = text(spec, "externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        causes.required("spec.externalName", "");
    } else {
        causes.complaints("spec.externalName", name, &names::dns_subdomain(name));
    }
}

fn validate_affinity(spec: &Value, causes: &mut Causes) {
    one_of(spec, "spec", "sessionAffinity", &["ClientIP", "None"], causes);
    let config = spec.get("sessionAffinityConfig");
    match (text(spec, "sessionAffinity"), config) {
        ("ClientIP", Some(config)) => {
            let seconds = config.pointer("/clientIP/timeoutSeconds").and_then(Value::as_i64);
            if let Some(seconds) = seconds.filter(|seconds| !(1..=LONGEST_AFFINITY).contains(seconds)) {
                let detail = format!("must be greater than 0 and less than {LONGEST_AFFINITY}");
                causes.invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", &json!(seconds), &detail);
            }
        }
        ("None", Some(_)) => {
            causes.forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None");
        }
        _ => {}
    }
}

/// There are addresses of one family, IPv4.
fn validate_families(spec: &Value, causes: &mut Causes) {
    for (index, family) in list(spec, "ipFamilies").iter().filter_map(Value::as_str).enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        match family {
            "IPv4" => {}
            "IPv6" => causes.invalid_text(&field, family, "not configured on this cluster"),
            other => causes.not_supported(&field, other, &["IPv4", "IPv6"]),
        }
    }
    match text(spec, "ipFamilyPolicy") {
        "" | "SingleStack" | "PreferDualStack" => {}
        policy @ "RequireDualStack" => {
            let detail = "this cluster is not configured for dual-stack services";
            causes.invalid_text("spec.ipFamilyPolicy", policy, detail);
        }
        other => {
            let known = ["PreferDualStack", "RequireDualStack", "SingleStack"];
            causes.not_supported("spec.ipFamilyPolicy", other, &known);
        }
    }
}

fn validate_external_addresses(spec: &Value, causes: &mut Causes) {
    for (index, address) in list(spec, "externalIPs").iter().filter_map(Value::as_str).enumerate() {
        let field = format!("spec.externalIPs[{index}]");
        causes.complaints(&field, address, &names::address(address));
        let Ok(parsed) = address.parse::<IpAddr>() else { continue };
        causes.complaints(&field, address, &names::special_address(address, parsed));
    }
}

fn validate_node_ports(ports: &[Value], kind: &str, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    let given = |port: &Value| int(port, "nodePort").filter(|number| *number != 0);
    for (index, _) in ports.iter().enumerate().filter(|(_, port)| kind == "ClusterIP" && given(port).is_some()) {
        causes.forbidden(&format!("spec.ports[{index}].nodePort"), "may not be used when `type` is 'ClusterIP'");
    }
    for (index, port) in ports.iter().enumerate() {
        if let Some(number) = given(port)
            && !seen.insert((text(port, "protocol"), number))
        {
            causes.duplicate_json(&format!("spec.ports[{index}].nodePort"), &number.to_string());
        }
    }
}

/// What only a load balancer has.
fn validate_balancer(spec: &Value, kind: &str, causes: &mut Causes) {
    let ranges = list(spec, "loadBalancerSourceRanges");
    if !ranges.is_empty() && kind != "LoadBalancer" {
        causes.forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'");
    }
    for (index, range) in ranges.iter().filter_map(Value::as_str).enumerate() {
        let range = range.trim();
        if !is_range(range) {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            causes.invalid_text(&format!("spec.LoadBalancerSourceRanges[{index}]"), range, detail);
        }
    }
    if spec.get("allocateLoadBalancerNodePorts").is_some() && kind != "LoadBalancer" {
        let detail = "may only be used when `type` is 'LoadBalancer'";
        causes.forbidden("spec.allocateLoadBalancerNodePorts", detail);
    }
    if let Some(class) = spec.get("loadBalancerClass").and_then(Value::as_str) {
        if kind == "LoadBalancer" {
            causes.complaints("spec.loadBalancerClass", class, &names::qualified(class));
        } else {
            causes.forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'");
        }
    }
}

/// An address and how many of its bits count.
fn is_range(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn validate_traffic(spec: &Value, kind: &str, causes: &mut Causes) {
    let external = text(spec, "externalTrafficPolicy");
    let reachable =
        matches!(kind, "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && !list(spec, "externalIPs").is_empty());
    if reachable {
        one_of(spec, "spec", "externalTrafficPolicy", &["Cluster", "Local"], causes);
    } else if !external.is_empty() {
        let detail = "may only be set for externally-accessible services";
        causes.invalid_text("spec.externalTrafficPolicy", external, detail);
    }
    let asked = kind == "LoadBalancer" && external == "Local";
    if let Some(port) = int(spec, "healthCheckNodePort").filter(|port| *port != 0 && !asked) {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        causes.invalid("spec.healthCheckNodePort", &json!(port), detail);
    }
    if spec.get("internalTrafficPolicy").is_some() {
        one_of(spec, "spec", "internalTrafficPolicy", &["Cluster", "Local"], causes);
    }
    let distribution = text(spec, "trafficDistribution");
    let known = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    if !distribution.is_empty() && !known.contains(&distribution) {
        causes.not_supported("spec.trafficDistribution", distribution, &known);
    }
}

fn validate_port<'a>(port: &'a Value, needs_name: bool, seen: &mut BTreeSet<&'a str>, path: &str, causes: &mut Causes) {
    let name = text(port, "name");
    let field = format!("{path}.name");
    if name.is_empty() {
        if needs_name {
            causes.required(&field, "");
        }
    } else {
        causes.complaints(&field, name, &names::dns_label(name));
        if !seen.insert(name) {
            causes.duplicate(&field, name);
        }
    }
    let number = int(port, "port").unwrap_or(0);
    for complaint in names::port_number(number) {
        causes.invalid(&format!("{path}.port"), &json!(number), &complaint);
    }
    validate_protocol(port, path, causes);
    let field = format!("{path}.targetPort");
    match port.get("targetPort") {
        Some(Value::String(target)) => causes.complaints(&field, target, &names::port_name(target)),
        other => {
            let target = other.and_then(Value::as_i64).unwrap_or(0);
            for complaint in names::port_number(target) {
                causes.invalid(&field, &json!(target), &complaint);
            }
        }
    }
    let protocol = text(port, "appProtocol");
    if !protocol.is_empty() {
        let field = format!("{path}.appProtocol");
        causes.complaints(&field, protocol, &names::qualified(protocol));
    }
}

/// No two ports may share number and protocol.
fn validate_distinct(ports: &[Value], causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let number = int(port, "port").unwrap_or(0);
        let protocol = text(port, "protocol");
        if !seen.insert((protocol, number)) {
            // The internal type has no JSON names, so Go's field names show.
            let json = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\"NodePort\":0}}",
                quoted(protocol)
            );
            causes.duplicate_json(&format!("spec.ports[{index}]"), &json);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(mut spec: Value) -> Vec<String> {
        for (key, value) in [("type", json!("ClusterIP")), ("sessionAffinity", json!("None")), ("ports", json!([]))] {
            if spec.get(key).is_none() {
                spec[key] = value;
            }
        }
        for port in super::super::list_mut(&mut spec, "ports") {
            super::super::fill(port, "protocol", "TCP");
            super::super::fill(port, "targetPort", 80);
        }
        let mut causes = Causes::default();
        validate(&json!({"metadata": {"name": "s"}, "spec": spec}), &mut causes);
        let causes = causes.into_result().err().unwrap_or_default();
        causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn each_kind_of_service_has_its_own_fields() {
        let ports = json!([{"port": 80, "nodePort": 30000}]);
        for (spec, fault) in [
            (json!({"ports": ports}), "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"),
            (
                json!({"type": "NodePort", "externalTrafficPolicy": "Cluster", "clusterIP": "None", "ports": ports}),
                "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
            ),
            (
                json!({"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.96.0.9"}),
                "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
            ),
            (
                json!({"clusterIP": "None", "externalTrafficPolicy": "Local"}),
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
            ),
            (
                json!({"clusterIP": "None", "loadBalancerClass": "a/b"}),
                "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
            ),
            (
                json!({"clusterIP": "None", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}),
                "spec.sessionAffinityConfig: Forbidden: must not be set when session affinity is None",
            ),
            (
                json!({"clusterIP": "None", "ipFamilies": ["IPv6"]}),
                "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
            ),
        ] {
            assert_eq!(faults(spec.clone()), [fault], "{spec}");
        }
    }

    #[test]
    fn a_range_of_addresses_is_an_address_and_bits() {
        for (text, fine) in
            [("10.0.0.0/8", true), ("::/0", true), ("10.0.0.0/33", false), ("10.0.0.0", false), ("x/8", false)]
        {
            assert_eq!(is_range(text), fine, "{text}");
        }
    }
}
