//! Namespaces: a finalizer of their own, and a label with their own name.

use serde_json::{Value, json};

use super::field::{child, default as fill, text};

/// Fills in a Namespace.
pub(super) fn default(namespace: &mut Value) {
    let name = text(&namespace["metadata"], "name").to_owned();
    if !name.is_empty()
        && let Some(meta) = child(namespace, "metadata")
        && let Some(labels) = child(meta, "labels")
    {
        labels["kubernetes.io/metadata.name"] = name.into();
    }
    let leaving = namespace.pointer("/metadata/deletionTimestamp").is_some();
    if let Some(spec) = child(namespace, "spec")
        && !leaving
    {
        fill(spec, "finalizers", json!(["kubernetes"]));
    }
    if let Some(status) = child(namespace, "status") {
        fill(status, "phase", "Active");
    }
}
