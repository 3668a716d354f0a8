//! The environment of containers: variables, and where they come from.

use serde_json::{Value, json};

use super::field::{Causes, list, text};
use super::names;
use super::quantity::Quantity;

/// What of its own pod a variable may be.
const OF_POD: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// What of a pod has a name at all.
const NAMED: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"];
const OF_CONTAINER: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// Checks `env` and `envFrom`.
pub(super) fn validate(container: &Value, path: &str, causes: &mut Causes) {
    for (index, variable) in list(container, "env").iter().enumerate() {
        let path = format!("{path}.env[{index}]");
        let name = text(variable, "name");
        let field = format!("{path}.name");
        if name.is_empty() {
            causes.required(&field, "");
        } else {
            causes.complaints(&field, name, &names::env_name(name));
        }
        if let Some(source) = variable.get("valueFrom") {
            validate_source(variable, source, &format!("{path}.valueFrom"), causes);
        }
    }
    validate_from(container, path, causes);
}

fn validate_source(variable: &Value, source: &Value, path: &str, causes: &mut Causes) {
    let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let given = kinds.into_iter().filter(|kind| source.get(kind).is_some()).count();
    for kind in kinds {
        let Some(reference) = source.get(kind) else { continue };
        let path = format!("{path}.{kind}");
        match kind {
            "fieldRef" => validate_field(reference, &OF_POD, &path, causes),
            "resourceFieldRef" => validate_resource(reference, false, &path, causes),
            "configMapKeyRef" | "secretKeyRef" => validate_key(reference, &path, causes),
            _ => {}
        }
    }
    if given == 0 {
        let detail =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        causes.invalid_text(path, "", detail);
    } else if !text(variable, "value").is_empty() {
        causes.invalid_text(path, "", "may not be specified when `value` is not empty");
    } else if given > 1 {
        causes.invalid_text(path, "", "may not have more than one field specified at a time");
    }
}

/// Checks a reference to a field of the pod, which must be one of those `known`.
pub(super) fn validate_field(reference: &Value, known: &[&str], path: &str, causes: &mut Causes) {
    let field = format!("{path}.fieldPath");
    let version = text(reference, "apiVersion");
    let place = text(reference, "fieldPath");
    if place.is_empty() {
        return causes.required(&field, "");
    }
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        return causes.invalid_text(&field, place, &detail);
    }
    let inner = place.split_once("['").and_then(|(name, rest)| Some((name, rest.strip_suffix("']")?)));
    match inner.filter(|(_, key)| !key.is_empty()) {
        Some(("metadata.labels", key)) => causes.complaints(path, key, &names::qualified(key)),
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            causes.complaints(path, &key, &names::qualified(&key));
        }
        Some(_) => {
            let detail = format!("error converting fieldPath: field label does not support subscript: {place}");
            causes.invalid_text(&field, place, &detail);
        }
        None if known.contains(&place) => {}
        None if OF_POD.contains(&place) || NAMED.contains(&place) => causes.not_supported(&field, place, known),
        None => {
            let detail = format!("error converting fieldPath: field label not supported: {place}");
            causes.invalid_text(&field, place, &detail);
        }
    }
}

/// Checks a reference to what a container asks for; a volume names the container, too.
pub(super) fn validate_resource(reference: &Value, of_volume: bool, path: &str, causes: &mut Causes) {
    let resource = text(reference, "resource");
    let huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if of_volume && text(reference, "containerName").is_empty() {
        causes.required(&format!("{path}.containerName"), "");
    } else if resource.is_empty() {
        causes.required(&format!("{path}.resource"), "");
    } else if !OF_CONTAINER.contains(&resource) && !huge {
        causes.not_supported(&format!("{path}.resource"), resource, &OF_CONTAINER);
    }
    validate_divisor(reference, resource, path, causes);
}

fn validate_divisor(reference: &Value, resource: &str, path: &str, causes: &mut Causes) {
    const OF_BYTES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let Some(divisor) = reference.get("divisor").and_then(Value::as_str).and_then(Quantity::parse) else { return };
    if divisor.nanos() == 0 {
        return;
    }
    let divisor = divisor.canonical();
    let field = format!("{path}.divisor");
    let bytes = |what: &str| format!("only divisor's values {} are supported with the {what}", OF_BYTES.join(", "));
    let (fine, detail) = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => {
            let fine = ["1m", "1"].contains(&divisor.as_str());
            (fine, "only divisor's values 1m and 1 are supported with the cpu resource".to_owned())
        }
        "memory" => (OF_BYTES.contains(&divisor.as_str()), bytes("memory resource")),
        "ephemeral-storage" => (OF_BYTES.contains(&divisor.as_str()), bytes("local ephemeral storage resource")),
        name if name.starts_with("hugepages-") => (OF_BYTES.contains(&divisor.as_str()), bytes("hugepages resource")),
        _ => return,
    };
    if !fine {
        causes.invalid(&field, &json!(resource), &detail);
    }
}

/// One key of a Secret or ConfigMap.
fn validate_key(reference: &Value, path: &str, causes: &mut Causes) {
    let (name, key) = (text(reference, "name"), text(reference, "key"));
    causes.complaints(&format!("{path}.name"), name, &names::dns_subdomain(name));
    let field = format!("{path}.key");
    if key.is_empty() {
        causes.required(&field, "");
    } else {
        causes.complaints(&field, key, &names::config_key(key));
    }
}

fn validate_from(container: &Value, path: &str, causes: &mut Causes) {
    // Of what is wrong with the number of sources, Kubernetes does not say in which place.
    let all = format!("{path}.envFrom");
    for (index, source) in list(container, "envFrom").iter().enumerate() {
        let path = format!("{all}[{index}]");
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            causes.complaints(&format!("{path}.prefix"), prefix, &names::env_name(prefix));
        }
        let mut given = 0;
        for kind in ["configMapRef", "secretRef"] {
            let Some(reference) = source.get(kind) else { continue };
            given += 1;
            let name = text(reference, "name");
            let field = format!("{path}.{kind}.name");
            if name.is_empty() {
                causes.required(&field, "");
            } else {
                causes.complaints(&field, name, &names::dns_subdomain(name));
            }
        }
        match given {
            0 => causes.invalid_text(&all, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => causes.invalid_text(&all, "", "may not have more than one field specified at a time"),
        }
    }
}
