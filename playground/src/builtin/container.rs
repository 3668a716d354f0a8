//! Containers: images, ports, environment, mounts, resources.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::field::{Causes, default, int, list, list_mut, text};
use super::{amounts, environment, mount, names, probe, security};

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
            amounts::canonicalize(amounts);
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

/// What of the pod around them containers are checked against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// The names of the volumes that may be mounted.
    pub(super) volumes: &'a BTreeSet<&'a str>,
    /// `terminationGracePeriodSeconds`
    pub(super) grace: i64,
}

/// Checks the containers that run the pod's work.
pub(super) fn validate_all(containers: &[Value], around: Around<'_>, path: &str, causes: &mut Causes) {
    if containers.is_empty() {
        return causes.required(path, "");
    }
    let mut seen = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        validate(container, around, &path, causes);
        let name = text(container, "name");
        if !seen.insert(name) {
            causes.duplicate(&format!("{path}.name"), name);
        }
        validate_hooks(container, around, &path, causes);
    }
    validate_host_ports(containers, path, causes);
}

/// Checks the containers that run before them: one with `restartPolicy: Always` stays and may be asked how it is, the
/// others end and may not.
pub(super) fn validate_init(spec: &Value, around: Around<'_>, path: &str, causes: &mut Causes) {
    let path = format!("{path}.initContainers");
    let mut seen: BTreeSet<&str> = list(spec, "containers").iter().map(|container| text(container, "name")).collect();
    for (index, container) in list(spec, "initContainers").iter().enumerate() {
        let path = format!("{path}[{index}]");
        validate(container, around, &path, causes);
        let name = text(container, "name");
        if !name.is_empty() && !seen.insert(name) {
            causes.duplicate(&format!("{path}.name"), name);
        }
        validate_host_ports(std::slice::from_ref(container), &path, causes);
        if text(container, "restartPolicy") == "Always" {
            validate_hooks(container, around, &path, causes);
            continue;
        }
        for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.get(key).is_some() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                causes.forbidden(&format!("{path}.{key}"), detail);
            }
        }
    }
}

fn validate_hooks(container: &Value, around: Around<'_>, path: &str, causes: &mut Causes) {
    probe::validate_lifecycle(container, around.grace, path, causes);
    probe::validate_probes(container, path, causes);
}

fn validate(container: &Value, around: Around<'_>, path: &str, causes: &mut Causes) {
    let name = text(container, "name");
    let field = format!("{path}.name");
    if name.is_empty() {
        causes.required(&field, "");
    } else {
        causes.complaints(&field, name, &names::dns_label(name));
    }
    if text(container, "image").is_empty() {
        causes.required(&format!("{path}.image"), "");
    }
    one_of(container, path, "terminationMessagePolicy", &["File", "FallbackToLogsOnError"], causes);
    validate_ports(container, path, causes);
    environment::validate(container, path, causes);
    mount::validate(container, around.volumes, path, causes);
    one_of(container, path, "imagePullPolicy", &["Always", "IfNotPresent", "Never"], causes);
    amounts::validate(container, path, causes);
    if let Some(context) = container.get("securityContext") {
        security::validate_container(context, &format!("{path}.securityContext"), causes);
    }
    let policy = text(container, "restartPolicy");
    if !policy.is_empty() {
        one_of(container, path, "restartPolicy", &["Always", "Never", "OnFailure"], causes);
    }
}

/// A text that is one of these, and that is there: defaults have been set.
pub(super) fn one_of(holder: &Value, path: &str, key: &str, supported: &[&str], causes: &mut Causes) {
    let (value, field) = (text(holder, key), format!("{path}.{key}"));
    if value.is_empty() {
        causes.required(&field, "");
    } else if !supported.contains(&value) {
        causes.not_supported(&field, value, supported);
    }
}

/// An image's name stands alone; a template is not asked, its pods are.
pub(super) fn validate_images(spec: &Value, path: &str, causes: &mut Causes) {
    for kind in ["containers", "initContainers"] {
        for (index, container) in list(spec, kind).iter().enumerate() {
            let image = text(container, "image");
            if image.trim() != image {
                let detail = "must not have leading or trailing whitespace";
                causes.invalid_text(&format!("{path}.{kind}[{index}].image"), image, detail);
            }
        }
    }
}

/// A port of the node is given once.
fn validate_host_ports(containers: &[Value], path: &str, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for (at, container) in containers.iter().enumerate() {
        for (index, port) in list(container, "ports").iter().enumerate() {
            let Some(number) = int(port, "hostPort").filter(|number| *number != 0) else { continue };
            let taken = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
            if !seen.insert(taken.clone()) {
                causes.duplicate(&format!("{path}[{at}].ports[{index}].hostPort"), &taken);
            }
        }
    }
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
