//! What containers ask for and are limited to.

use serde_json::Value;

use super::field::{Causes, entries, text};
use super::names;
use super::quantity::Quantity;

/// What has no prefix and that containers may ask for, beside `hugepages-*`.
const OF_CONTAINERS: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
/// What has no prefix and that others may speak of: quotas, nodes.
const OF_OTHERS: [&str; 17] = [
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
];

/// What comes in whole pieces only.
const COUNTS: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Writes all amounts of an object as the server does.
pub(super) fn canonicalize(amounts: &mut Value) {
    amounts.as_object_mut().into_iter().flatten().for_each(|(_, amount)| canonicalize_one(amount));
}

/// Writes these of an object's fields as the server does.
pub(super) fn canonicalize_some(object: &mut Value, keys: &[&str]) {
    for key in keys {
        object.get_mut(key).into_iter().for_each(canonicalize_one);
    }
}

fn canonicalize_one(amount: &mut Value) {
    let text = match &*amount {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return,
    };
    if let Some(quantity) = Quantity::parse(&text) {
        *amount = quantity.canonical().into();
    }
}

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

/// Checks the name of what a container may ask for.
pub(super) fn validate_name(name: &str, field: &str, causes: &mut Causes) {
    validate_any_name(name, field, causes);
    if !name.contains('/') {
        if !is_of_containers(name) {
            causes.invalid_text(field, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        causes.invalid_text(field, name, "doesn't follow extended resource name standard");
    }
}

/// Checks the name of what a quota may count.
pub(super) fn validate_counted_name(name: &str, field: &str, causes: &mut Causes) {
    validate_any_name(name, field, causes);
    if !name.contains('/') && !is_counted(name) {
        causes.invalid_text(field, name, "must be a standard resource for quota");
    }
}

/// Checks the name of any resource.
pub(super) fn validate_any_name(name: &str, field: &str, causes: &mut Causes) {
    let complaints = names::qualified(name);
    causes.complaints(field, name, &complaints);
    if complaints.is_empty() && !name.contains('/') && !is_counted(name) && name != "storage" {
        causes.invalid_text(field, name, "must be a standard resource type or fully qualified");
    }
}

/// Checks an amount that is held against a quota.
pub(super) fn validate_counted(name: &str, amount: &Value, field: &str, causes: &mut Causes) {
    validate_counted_name(name, field, causes);
    let Some(quantity) = parse(amount) else { return };
    if quantity.nanos() < 0 {
        causes.invalid_text(field, &quantity.canonical(), "must be greater than or equal to 0");
    }
    if (COUNTS.contains(&name) || is_extended(name)) && quantity.millis() % 1000 != 0 {
        causes.invalid_text(field, &quantity.canonical(), "must be an integer");
    }
}

/// A request is at most the limit; of what can't be shared out twice it is the limit.
fn validate_request(resources: &Value, name: &str, request: &Value, path: &str, causes: &mut Causes) {
    let shared_out = can_be_shared_out(name);
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

/// The quantity that is written here.
pub(super) fn parse(amount: &Value) -> Option<Quantity> {
    amount.as_str().and_then(Quantity::parse)
}

fn is_of_containers(name: &str) -> bool {
    OF_CONTAINERS.contains(&name) || is_huge(name)
}

/// Whether a quota can count it without a prefix to its name.
pub(super) fn is_counted(name: &str) -> bool {
    is_of_containers(name) || name.starts_with("requests.hugepages-") || OF_OTHERS.contains(&name) && name != "storage"
}

/// Whether more of it can be promised than there is.
pub(super) fn can_be_shared_out(name: &str) -> bool {
    is_native(name) && !is_huge(name)
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
