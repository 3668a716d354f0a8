//! Volumes: their default modes, and that each has exactly one source.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::field::{Causes, default, list, list_mut, text};
use super::names;

/// Octal 0644.
const MODE: i32 = 420;

/// Fills in the volumes of a pod.
pub(super) fn default_volumes(spec: &mut Value) {
    for volume in list_mut(spec, "volumes") {
        if source(volume).is_none() {
            default(volume, "emptyDir", json!({}));
        }
        for kind in ["secret", "configMap", "downwardAPI", "projected"] {
            if let Some(source) = volume.get_mut(kind) {
                default(source, "defaultMode", MODE);
            }
        }
        if let Some(path) = volume.get_mut("hostPath") {
            default(path, "type", "");
        }
        if let Some(projected) = volume.get_mut("projected") {
            for part in list_mut(projected, "sources") {
                if let Some(token) = part.get_mut("serviceAccountToken") {
                    default(token, "expirationSeconds", 3600);
                }
            }
        }
    }
}

/// The kind of a volume: its first key that isn't `name`.
fn source(volume: &Value) -> Option<&str> {
    let keys = volume.as_object()?.keys();
    keys.map(String::as_str).find(|key| *key != "name")
}

/// Checks the volumes and returns the names that containers may mount.
pub(super) fn validate<'a>(spec: &'a Value, path: &str, causes: &mut Causes) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let path = format!("{path}.volumes[{index}]");
        validate_source(volume, &path, causes);
        let name = text(volume, "name");
        let field = format!("{path}.name");
        if name.is_empty() {
            causes.required(&field, "");
        } else {
            causes.complaints(&field, name, &names::dns_label(name));
        }
        if !seen.insert(name) {
            causes.duplicate(&field, name);
        }
    }
    seen
}

fn validate_source(volume: &Value, path: &str, causes: &mut Causes) {
    let sources = volume.as_object().into_iter().flatten();
    let mut sources = sources.map(|(key, _)| key).filter(|key| *key != "name");
    let first = sources.next();
    for extra in sources {
        causes.forbidden(&format!("{path}.{extra}"), "may not specify more than 1 volume type");
    }
    let required = match first.map(String::as_str) {
        None => return causes.required(path, "must specify a volume type"),
        Some("secret") => "secretName",
        Some("configMap") => "name",
        Some("persistentVolumeClaim") => "claimName",
        Some("hostPath") => "path",
        Some(_) => return,
    };
    let kind = first.map(String::as_str).unwrap_or_default();
    if text(&volume[kind], required).is_empty() {
        causes.required(&format!("{path}.{kind}.{required}"), "");
    }
}
