//! `metadata`, which every kind shares.
//!
//! On an update Kubernetes checks labels, annotations and owners three times over
//! (twice in the generic registry, once in the kind's own strategy) and reports a
//! mistake as often; see the recorded `deployments/two-controllers`.

use serde_json::Value;

use super::field::{Causes, entries, list, quoted, struct_json, text};
use super::{Cause, names};

const ANNOTATIONS_LIMIT: usize = 256 * 1024;
const OWNER_ORDER: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];

/// Checks the metadata of an object of any kind, custom resources included.
///
/// `resource` decides what a name may look like, `old` is the object it replaces.
pub fn validate(resource: &str, new: &Value, old: Option<&Value>) -> Result<(), Vec<Cause>> {
    let mut causes = Causes::default();
    validate_into(resource, new, old, &mut causes);
    causes.into_result()
}

pub(super) fn validate_into(resource: &str, new: &Value, old: Option<&Value>, causes: &mut Causes) {
    let meta = new.get("metadata").unwrap_or(&Value::Null);
    let Some(old) = old else {
        validate_name(resource, meta, causes);
        validate_parts(meta, causes);
        validate_finalizers(meta, causes);
        return;
    };
    validate_finalizers(meta, causes);
    validate_new_finalizers(meta, old.get("metadata").unwrap_or(&Value::Null), causes);
    for _ in 0..3 {
        validate_parts(meta, causes);
    }
}

fn validate_name(resource: &str, meta: &Value, causes: &mut Causes) {
    let check = match resource {
        "services" => names::dns_label_1035,
        "namespaces" => names::dns_label,
        // RBAC names are path segments: "system:node" is one of them.
        _ if resource.ends_with(".rbac.authorization.k8s.io") => path_segment,
        _ => names::dns_subdomain,
    };
    let generate = text(meta, "generateName");
    let name = text(meta, "name");
    if !generate.is_empty() && name.is_empty() {
        let prefix = generate.trim_end_matches('-');
        causes.complaints("metadata.generateName", generate, &check(prefix));
    }
    if name.is_empty() {
        causes.required("metadata.name", "name or generateName is required");
    } else {
        causes.complaints("metadata.name", name, &check(name));
    }
}

fn path_segment(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name == "." || name == ".." {
        complaints.push(format!("may not be '{name}'"));
    }
    for forbidden in ['/', '%'] {
        if name.contains(forbidden) {
            complaints.push(format!("may not contain '{forbidden}'"));
        }
    }
    complaints
}

fn validate_parts(meta: &Value, causes: &mut Causes) {
    validate_labels(meta, "labels", "metadata.labels", causes);
    validate_annotations(meta, causes);
    validate_owners(meta, causes);
}

/// The labels at `key` of `holder`: also a node selector, a Service's selector.
pub(super) fn validate_labels(holder: &Value, key: &str, path: &str, causes: &mut Causes) {
    for (name, value) in entries(holder, key) {
        causes.complaints(path, name, &names::qualified(name));
        let value = value.as_str().unwrap_or_default();
        causes.complaints(path, value, &names::label_value(value));
    }
}

fn validate_annotations(meta: &Value, causes: &mut Causes) {
    let path = "metadata.annotations";
    let mut size = 0;
    for (name, value) in entries(meta, "annotations") {
        causes.complaints(path, name, &names::qualified(&name.to_lowercase()));
        size += name.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        causes.too_long(path, ANNOTATIONS_LIMIT);
    }
}

fn validate_owners(meta: &Value, causes: &mut Causes) {
    let path = "metadata.ownerReferences";
    let owners = list(meta, "ownerReferences");
    let mut controller: Option<&Value> = None;
    for owner in owners {
        validate_owner(path, owner, causes);
        if owner.get("controller") != Some(&Value::Bool(true)) {
            continue;
        }
        if let Some(first) = controller {
            let name = |owner: &Value| format!("{}/{}", text(owner, "kind"), text(owner, "name"));
            let detail = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                name(first),
                name(owner)
            );
            let all = struct_json(&Value::from(owners), &OWNER_ORDER);
            causes.invalid_json(path, &all, &detail);
        }
        controller = Some(owner);
    }
}

fn validate_owner(path: &str, owner: &Value, causes: &mut Causes) {
    let version = text(owner, "apiVersion");
    if version.rsplit('/').next().is_none_or(str::is_empty) {
        let field = format!("{path}.apiVersion");
        causes.invalid_text(&field, version, "version must not be empty");
    }
    for key in ["kind", "name", "uid"] {
        if text(owner, key).is_empty() {
            causes.invalid_text(&format!("{path}.{key}"), "", "must not be empty");
        }
    }
    if version == "v1" && text(owner, "kind") == "Event" {
        let json = struct_json(owner, &OWNER_ORDER);
        let detail = "/v1, Kind=Event is disallowed from being an owner";
        causes.invalid_json(path, &json, detail);
    }
}

fn validate_finalizers(meta: &Value, causes: &mut Causes) {
    let path = "metadata.finalizers";
    let finalizers = list(meta, "finalizers");
    let has = |name: &str| finalizers.iter().any(|f| f == name);
    for finalizer in finalizers.iter().filter_map(Value::as_str) {
        causes.complaints(path, finalizer, &names::qualified(finalizer));
        let standard = ["orphan", "foregroundDeletion", "kubernetes"];
        if !finalizer.contains('/') && !standard.contains(&finalizer) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            causes.invalid_text(path, finalizer, detail);
        }
    }
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion are conflicting";
        causes.invalid(path, &Value::from(finalizers), detail);
    }
}

/// An object that is on its way out can only lose finalizers.
fn validate_new_finalizers(new: &Value, old: &Value, causes: &mut Causes) {
    if text(old, "deletionTimestamp").is_empty() {
        return;
    }
    let known = list(old, "finalizers");
    let extra: Vec<String> =
        list(new, "finalizers").iter().filter(|f| !known.contains(f)).filter_map(Value::as_str).map(quoted).collect();
    if !extra.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            extra.join(", ")
        );
        causes.forbidden("metadata.finalizers", &detail);
    }
}
