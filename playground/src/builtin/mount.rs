//! Where containers see the pod's volumes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::field::{Causes, list, text};

/// Checks `volumeMounts`.
pub(super) fn validate(container: &Value, volumes: &BTreeSet<&str>, path: &str, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    // Of some faults Kubernetes does not say in which mount.
    let all = format!("{path}.volumeMounts");
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let path = format!("{all}[{index}]");
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
        let (below, computed) = (text(mount, "subPath"), text(mount, "subPathExpr"));
        if !below.is_empty() {
            validate_descending(below, &format!("{all}.subPath"), causes);
        }
        if !computed.is_empty() {
            if !below.is_empty() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                causes.invalid_text(&format!("{path}.subPathExpr"), computed, detail);
            }
            validate_descending(computed, &format!("{all}.subPathExpr"), causes);
        }
        validate_propagation(mount, container, &format!("{all}.mountPropagation"), causes);
    }
}

fn validate_propagation(mount: &Value, container: &Value, field: &str, causes: &mut Causes) {
    let Some(propagation) = mount.get("mountPropagation").and_then(Value::as_str) else { return };
    let known = ["Bidirectional", "HostToContainer", "None"];
    if !known.contains(&propagation) {
        causes.not_supported(field, propagation, &known);
    }
    let privileged = container.pointer("/securityContext/privileged") == Some(&Value::Bool(true));
    if propagation == "Bidirectional" && !privileged {
        causes.forbidden(field, "Bidirectional mount propagation is available only to privileged containers");
    }
}

/// A path that leads nowhere but down.
pub(super) fn validate_descending(path: &str, field: &str, causes: &mut Causes) {
    if path.starts_with('/') {
        causes.invalid_text(field, path, "must be a relative path");
    }
    validate_no_steps_back(path, field, causes);
}

/// A path without `..` in it.
pub(super) fn validate_no_steps_back(path: &str, field: &str, causes: &mut Causes) {
    if path.split('/').any(|part| part == "..") {
        causes.invalid_text(field, path, "must not contain '..'");
    }
}
