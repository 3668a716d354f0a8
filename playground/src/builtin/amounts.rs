//! What containers ask for and are limited to.

use serde_json::Value;

use super::field::{Causes, entries, text};
use super::names;
use super::quantity::Quantity;

/// What has no prefix and that containers may ask for, beside `hugepages-*`.
const OF_CONTAINERS: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
/// What has no prefix and that others may speak of: quotas, nodes.
const OF_OTHERS: [&str; 18] = [
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "services.nodeports",
    "services.loadbalancers",
    "count",
];

/// Checks `resources`.
pub(super) fn validate(container: &Value, path: &str, causes: &mut Causes) {
    let Some(resources) = container.get("resources") else { return };
    let path = format!("{path}.resources");
    for (name, amount) in entries(resources, "limits") {
        validate_amount(name, amount, &format!("{path}.limits[{name}]"), causes);
    }
    for (name, amount) in entries(resources, "requests") {
        validate_amount(name, amount, &format!("{path}.requests[{name}]"), causes);
        validate_request(resources, name, amount, &path, causes);
    }
    let named = |wanted: fn(&str) -> bool| {
        ["limits", "requests"].iter().any(|kind| entries(resources, kind).any(|(name, _)| wanted(name)))
    };
    if named(is_huge) && !named(|name| name == "cpu" || name == "memory") {
        causes.forbidden(&path, "HugePages require cpu or memory");
    }
}

fn validate_amount(name: &str, amount: &Value, field: &str, causes: &mut Causes) {
    validate_name(name, field, causes);
    let Some(quantity) = parse(amount) else { return };
    if quantity.nanos() < 0 {
        causes.invalid(field, amount, "must be greater than or equal to 0");
    }
    if is_extended(name) && quantity.nanos() % 1_000_000_000 != 0 {
        causes.invalid(field, amount, "must be an integer");
    }
}

fn validate_name(name: &str, field: &str, causes: &mut Causes) {
    let complaints = names::qualified(name);
    causes.complaints(field, name, &complaints);
    if !complaints.is_empty() {
        return;
    }
    if !name.contains('/') {
        let of_containers = OF_CONTAINERS.contains(&name) || is_huge(name);
        if !of_containers && !OF_OTHERS.contains(&name) {
            causes.invalid_text(field, name, "must be a standard resource type or fully qualified");
        }
        if !of_containers {
            causes.invalid_text(field, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        causes.invalid_text(field, name, "doesn't follow extended resource name standard");
    }
}

/// A request is at most the limit; of what can't be shared out twice it is the limit.
fn validate_request(resources: &Value, name: &str, request: &Value, path: &str, causes: &mut Causes) {
    let shared_out = is_native(name) && !is_huge(name);
    let Some(limit) = resources.get("limits").and_then(|limits| limits.get(name)) else {
        if !shared_out {
            causes.required(&format!("{path}.limits"), "Limit must be set for non overcommitable resources");
        }
        return;
    };
    let (Some(wanted), Some(most)) = (parse(request), parse(limit)) else { return };
    let words = if !shared_out && wanted.nanos() != most.nanos() {
        "equal to"
    } else if wanted.nanos() > most.nanos() {
        "less than or equal to"
    } else {
        return;
    };
    let most = limit.as_str().unwrap_or_default();
    causes.invalid(&format!("{path}.requests"), request, &format!("must be {words} {name} limit of {most}"));
}

/// Checks the overhead of a pod: amounts of nothing but what containers may ask for.
pub(super) fn validate_overhead(spec: &Value, path: &str, causes: &mut Causes) {
    for (name, amount) in entries(spec, "overhead") {
        validate_amount(name, amount, &format!("{path}.overhead.limits[{name}]"), causes);
    }
}

fn parse(amount: &Value) -> Option<Quantity> {
    amount.as_str().and_then(Quantity::parse)
}

fn is_huge(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && names::qualified(&format!("requests.{name}")).is_empty()
}

/// A label selector's or container's resource that is a whole number of bytes, else how it is written.
pub(super) fn fraction_of_a_byte<'a>(resources: &'a Value, kind: &str, name: &str) -> Option<&'a str> {
    let amount = text(resources.get(kind)?, name);
    let quantity = Quantity::parse(amount)?;
    (quantity.nanos() % 1_000_000_000 != 0).then_some(amount)
}
