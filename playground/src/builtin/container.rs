//! Containers: images, ports, environment, mounts, resources.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::field::{Causes, default, entries, int, list, list_mut, text};
use super::quantity::Quantity;
use super::{names, probe};

/// Fills in one container.
pub(super) fn default_container(container: &mut Value) {
    let policy = pull_policy(text(container, "image"));
    default(container, "imagePullPolicy", policy);
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    default(container, "resources", json!({}));
    for port in list_mut(container, "ports") {
        default(port, "protocol", "TCP");
    }
    for variable in list_mut(container, "env") {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            default(field, "apiVersion", "v1");
        }
    }
    for kind in ["limits", "requests"] {
        if let Some(amounts) = container.get_mut("resources").and_then(|resources| resources.get_mut(kind)) {
            canonicalize(amounts);
        }
    }
    probe::default_probes(container);
    for hook in ["postStart", "preStop"] {
        if let Some(hook) = container.get_mut("lifecycle").and_then(|hooks| hooks.get_mut(hook)) {
            probe::default_handler(hook);
        }
    }
}

/// `latest`, said or unsaid, is pulled anew each time; a tag or a digest is not.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or_default();
    let moving = match name.split_once('@') {
        Some(_) => false,
        None => name.split_once(':').is_none_or(|(_, tag)| tag == "latest"),
    };
    if moving { "Always" } else { "IfNotPresent" }
}

fn canonicalize(amounts: &mut Value) {
    for (_, amount) in amounts.as_object_mut().into_iter().flatten() {
        let text = match &*amount {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => continue,
        };
        if let Some(quantity) = Quantity::parse(&text) {
            *amount = quantity.canonical().into();
        }
    }
}

/// Checks all containers of one kind (`containers`, `initContainers`).
pub(super) fn validate_all(containers: &[Value], volumes: &BTreeSet<&str>, path: &str, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        validate(container, volumes, &path, causes);
        let name = text(container, "name");
        if !seen.insert(name) {
            causes.duplicate(&format!("{path}.name"), name);
        }
        probe::validate_probes(container, &path, causes);
    }
}

fn validate(container: &Value, volumes: &BTreeSet<&str>, path: &str, causes: &mut Causes) {
    let name = text(container, "name");
    let field = format!("{path}.name");
    if name.is_empty() {
        causes.required(&field, "");
    } else {
        causes.complaints(&field, name, &names::dns_label(name));
    }
    let image = text(container, "image");
    let field = format!("{path}.image");
    if image.is_empty() {
        causes.required(&field, "");
    } else if image.trim() != image {
        causes.invalid_text(&field, image, "must not have leading or trailing whitespace");
    }
    validate_ports(container, path, causes);
    validate_env(container, path, causes);
    validate_env_from(container, path, causes);
    validate_mounts(container, volumes, path, causes);
    let policy = text(container, "imagePullPolicy");
    let policies = ["Always", "IfNotPresent", "Never"];
    if !policies.contains(&policy) {
        causes.not_supported(&format!("{path}.imagePullPolicy"), policy, &policies);
    }
    validate_resources(container, path, causes);
}

fn validate_ports(container: &Value, path: &str, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for (index, port) in list(container, "ports").iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            let complaints = names::port_name(name);
            causes.complaints(&format!("{path}.name"), name, &complaints);
            if complaints.is_empty() && !seen.insert(name) {
                causes.duplicate(&format!("{path}.name"), name);
            }
        }
        let number = int(port, "containerPort").unwrap_or(0);
        let field = format!("{path}.containerPort");
        if number == 0 {
            causes.required(&field, "");
        } else {
            for complaint in names::port_number(number) {
                causes.invalid(&field, &json!(number), &complaint);
            }
        }
        let host = int(port, "hostPort").unwrap_or(1);
        for complaint in names::port_number(host) {
            causes.invalid(&format!("{path}.hostPort"), &json!(host), &complaint);
        }
        validate_protocol(port, &path, causes);
    }
}

/// The protocol of a container's or a Service's port.
pub(super) fn validate_protocol(port: &Value, path: &str, causes: &mut Causes) {
    let protocols = ["SCTP", "TCP", "UDP"];
    let protocol = text(port, "protocol");
    let field = format!("{path}.protocol");
    if protocol.is_empty() {
        causes.required(&field, "");
    } else if !protocols.contains(&protocol) {
        causes.not_supported(&field, protocol, &protocols);
    }
}

fn validate_env(container: &Value, path: &str, causes: &mut Causes) {
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
            validate_env_source(variable, source, &format!("{path}.valueFrom"), causes);
        }
    }
}

fn validate_env_source(variable: &Value, source: &Value, path: &str, causes: &mut Causes) {
    let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let given: Vec<&str> = kinds.into_iter().filter(|kind| source.get(kind).is_some()).collect();
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let Some(reference) = source.get(kind) else {
            continue;
        };
        for key in ["name", "key"] {
            if text(reference, key).is_empty() {
                causes.required(&format!("{path}.{kind}.{key}"), "");
            }
        }
    }
    if given.is_empty() {
        let detail =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        causes.invalid_text(path, "", detail);
    } else if !text(variable, "value").is_empty() {
        causes.invalid_text(path, "", "may not be specified when `value` is not empty");
    } else if given.len() > 1 {
        causes.invalid_text(path, "", "may not have more than one field specified at a time");
    }
}

fn validate_env_from(container: &Value, path: &str, causes: &mut Causes) {
    for (index, source) in list(container, "envFrom").iter().enumerate() {
        let path = format!("{path}.envFrom[{index}]");
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            causes.complaints(&format!("{path}.prefix"), prefix, &names::env_name(prefix));
        }
        let mut given = 0;
        for kind in ["configMapRef", "secretRef"] {
            let Some(reference) = source.get(kind) else {
                continue;
            };
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
            0 => causes.invalid_text(&path, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => causes.invalid_text(&path, "", "may not have more than one field specified at a time"),
        }
    }
}

fn validate_mounts(container: &Value, volumes: &BTreeSet<&str>, path: &str, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let path = format!("{path}.volumeMounts[{index}]");
        let name = text(mount, "name");
        if name.is_empty() {
            causes.required(&format!("{path}.name"), "");
        }
        if !volumes.contains(name) {
            causes.not_found(&format!("{path}.name"), name);
        }
        let at = text(mount, "mountPath");
        let field = format!("{path}.mountPath");
        if at.is_empty() {
            causes.required(&field, "");
        }
        if !seen.insert(at) {
            causes.invalid_text(&field, at, "must be unique");
        }
    }
}

fn validate_resources(container: &Value, path: &str, causes: &mut Causes) {
    let Some(resources) = container.get("resources") else {
        return;
    };
    let parse = |amount: &Value| amount.as_str().and_then(Quantity::parse);
    for kind in ["limits", "requests"] {
        for (name, amount) in entries(resources, kind) {
            let field = format!("{path}.resources.{kind}[{name}]");
            if parse(amount).is_some_and(|quantity| quantity.nanos() < 0) {
                causes.invalid(&field, amount, "must be greater than or equal to 0");
            }
        }
    }
    for (name, request) in entries(resources, "requests") {
        let limit = resources.get("limits").and_then(|limits| limits.get(name));
        let (Some(limit), Some(request_amount)) = (limit, parse(request)) else {
            continue;
        };
        if parse(limit).is_some_and(|limit| request_amount.nanos() > limit.nanos()) {
            let field = format!("{path}.resources.requests");
            let limit = limit.as_str().unwrap_or_default();
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            causes.invalid(&field, request, &detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn only_a_moving_image_is_always_pulled() {
        assert_eq!(pull_policy("x"), "Always");
        assert_eq!(pull_policy("host:5000/x"), "Always");
        assert_eq!(pull_policy("host:5000/x:latest"), "Always");
        assert_eq!(pull_policy("x:1"), "IfNotPresent");
        assert_eq!(pull_policy("x@sha256:0"), "IfNotPresent");
    }
}
