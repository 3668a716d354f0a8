//! EndpointSlices: the addresses behind a Service.
//!
//! The controller makes them, and so may anybody else, for what does not run in the cluster. All addresses of a slice
//! are of its type, which never changes.
//!
//! One rule of Kubernetes does not hold: an address may be on the loopback, because that is where the pods of a
//! playground listen.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::container::validate_protocol;
use super::field::{Causes, default as fill, list, list_mut, text};
use super::{labels, names};

const MOST_ENDPOINTS: usize = 1000;
const MOST_ADDRESSES: usize = 100;
const MOST_PORTS: usize = 20_000;
const MOST_TOPOLOGY_LABELS: usize = 16;
const MOST_HINTS: usize = 8;

/// Fills in each port: clients read the name of one that has none.
pub(super) fn default(slice: &mut Value) {
    for port in list_mut(slice, "ports") {
        fill(port, "name", "");
        fill(port, "protocol", "TCP");
    }
}

/// Checks an EndpointSlice.
pub(super) fn validate(slice: &Value, old: Option<&Value>, causes: &mut Causes) {
    let (kind, known) = (text(slice, "addressType"), ["FQDN", "IPv4", "IPv6"]);
    if kind.is_empty() {
        causes.required("addressType", "");
    } else if !known.contains(&kind) {
        causes.not_supported("addressType", kind, &known);
    }
    let endpoints = list(slice, "endpoints");
    if endpoints.len() > MOST_ENDPOINTS {
        causes.too_many("endpoints", endpoints.len(), MOST_ENDPOINTS);
    } else {
        for (at, endpoint) in endpoints.iter().enumerate() {
            validate_endpoint(endpoint, kind, &format!("endpoints[{at}]"), causes);
        }
    }
    validate_ports(list(slice, "ports"), causes);
    if old.is_some_and(|old| text(old, "addressType") != kind) {
        causes.invalid_text("addressType", kind, "field is immutable");
    }
}

fn validate_endpoint(endpoint: &Value, kind: &str, path: &str, causes: &mut Causes) {
    let (addresses, field) = (list(endpoint, "addresses"), format!("{path}.addresses"));
    if addresses.is_empty() {
        causes.required(&field, "must contain at least 1 address");
    } else if addresses.len() > MOST_ADDRESSES {
        causes.too_many(&field, addresses.len(), MOST_ADDRESSES);
    }
    for (at, address) in addresses.iter().filter_map(Value::as_str).enumerate() {
        validate_address(address, kind, &format!("{field}[{at}]"), causes);
    }
    if let Some(node) = endpoint["nodeName"].as_str() {
        causes.complaints(&format!("{path}.nodeName"), node, &names::dns_subdomain(node));
    }
    let (topology, field) = (&endpoint["deprecatedTopology"], format!("{path}.deprecatedTopology"));
    if let Some(count) = topology.as_object().map(serde_json::Map::len).filter(|count| *count > MOST_TOPOLOGY_LABELS) {
        causes.too_many(&field, count, MOST_TOPOLOGY_LABELS);
    }
    labels::validate(endpoint, "deprecatedTopology", &field, causes);
    if let Some(host) = endpoint["hostname"].as_str() {
        causes.complaints(&format!("{path}.hostname"), host, &names::dns_label(host));
    }
    for (key, complaints) in
        [("forZones", names::label_value as fn(&str) -> Vec<String>), ("forNodes", names::dns_subdomain)]
    {
        validate_hints(list(&endpoint["hints"], key), complaints, &format!("{path}.hints.{key}"), causes);
    }
}

fn validate_address(address: &str, kind: &str, field: &str, causes: &mut Causes) {
    let wanted = match kind {
        "FQDN" => return validate_domain(address, field, causes),
        "IPv4" => "must be an IPv4 address",
        "IPv6" => "must be an IPv6 address",
        _ => return,
    };
    let Ok(parsed) = address.parse::<IpAddr>() else {
        return causes.complaints(field, address, &names::address(address));
    };
    if parsed.is_ipv4() != (kind == "IPv4") {
        causes.invalid_text(field, address, wanted);
    }
    if !parsed.is_loopback() {
        causes.complaints(field, address, &names::special_address(address, parsed));
    }
}

fn validate_domain(name: &str, field: &str, causes: &mut Causes) {
    if name.is_empty() {
        return causes.required(field, "");
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let complaints = names::dns_subdomain(name);
    if !complaints.is_empty() {
        return causes.invalid_text(field, name, &complaints.join(","));
    }
    if !name.contains('.') {
        return causes.invalid_text(field, name, "should be a domain with at least two segments separated by dots");
    }
    let long = name.split('.').map(|label| (label, names::dns_label(label))).find(|(_, found)| !found.is_empty());
    if let Some((label, complaints)) = long {
        causes.invalid_text(field, label, &complaints.join(","));
    }
}

/// For whom an endpoint is meant: one name each, none twice.
fn validate_hints(hints: &[Value], complaints: fn(&str) -> Vec<String>, path: &str, causes: &mut Causes) {
    if hints.len() > MOST_HINTS {
        return causes.too_many(path, hints.len(), MOST_HINTS);
    }
    let mut seen = BTreeSet::new();
    for (at, hint) in hints.iter().enumerate() {
        let (name, field) = (text(hint, "name"), format!("{path}[{at}].name"));
        if !seen.insert(name) {
            causes.duplicate(&field, name);
        }
        causes.complaints(&field, name, &complaints(name));
    }
}

fn validate_ports(ports: &[Value], causes: &mut Causes) {
    if ports.len() > MOST_PORTS {
        return causes.too_many("ports", ports.len(), MOST_PORTS);
    }
    let mut seen = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = format!("ports[{at}]");
        let (name, field) = (text(port, "name"), format!("{path}.name"));
        if !name.is_empty() {
            causes.complaints(&field, name, &names::dns_label(name));
        }
        if !seen.insert(name) {
            causes.duplicate(&field, name);
        }
        validate_protocol(port, &path, causes);
        if let Some(protocol) = port["appProtocol"].as_str() {
            causes.complaints(&format!("{path}.appProtocol"), protocol, &names::qualified(protocol));
        }
    }
}

#[cfg(test)]
mod tests;
