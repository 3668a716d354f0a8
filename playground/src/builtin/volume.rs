//! Volumes: their default modes, that each has exactly one source, and what the sources say.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::field::{Causes, default, int, list, list_mut, text};
use super::quantity::Quantity;
use super::{environment, mount, names};

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
        for item in volume.get_mut("downwardAPI").map_or(&mut [][..], |source| list_mut(source, "items")) {
            if let Some(field) = item.get_mut("fieldRef") {
                default(field, "apiVersion", "v1");
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
    let Some(kind) = first.map(String::as_str) else {
        return causes.required(path, "must specify a volume type");
    };
    let (source, path) = (&volume[kind], format!("{path}.{kind}"));
    let required = match kind {
        "secret" => "secretName",
        "configMap" => "name",
        "persistentVolumeClaim" => "claimName",
        "hostPath" => "path",
        "emptyDir" => return validate_empty(source, &path, causes),
        "downwardAPI" => return validate_downward(source, &path, causes),
        "projected" => return validate_mode(source, "defaultMode", &path, causes),
        _ => return,
    };
    let named = text(source, required);
    let field = format!("{path}.{required}");
    if named.is_empty() {
        causes.required(&field, "");
    }
    match kind {
        "secret" | "configMap" => validate_items(source, &path, causes),
        "hostPath" => validate_host_path(source, &path, causes),
        _ => {}
    }
}

fn validate_empty(source: &Value, path: &str, causes: &mut Causes) {
    let size = text(source, "sizeLimit");
    if Quantity::parse(size).is_some_and(|size| size.nanos() < 0) {
        let detail = "SizeLimit field must be a valid resource quantity";
        causes.forbidden(&format!("{path}.sizeLimit"), detail);
    }
}

fn validate_host_path(source: &Value, path: &str, causes: &mut Causes) {
    const KINDS: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    mount::validate_no_steps_back(text(source, "path"), &format!("{path}.path"), causes);
    let kind = text(source, "type");
    if !KINDS.contains(&kind) {
        causes.not_supported(&format!("{path}.type"), kind, &KINDS);
    }
}

fn validate_mode(holder: &Value, key: &str, path: &str, causes: &mut Causes) {
    if let Some(mode) = int(holder, key).filter(|mode| !(0..=0o777).contains(mode)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        causes.invalid(&format!("{path}.{key}"), &json!(mode), detail);
    }
}

/// Which keys become which files.
fn validate_items(source: &Value, path: &str, causes: &mut Causes) {
    validate_mode(source, "defaultMode", path, causes);
    for (index, item) in list(source, "items").iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        if text(item, "key").is_empty() {
            causes.required(&format!("{path}.key"), "");
        }
        validate_file(item, &path, causes);
    }
}

fn validate_file(item: &Value, path: &str, causes: &mut Causes) {
    let (file, field) = (text(item, "path"), format!("{path}.path"));
    if file.is_empty() {
        causes.required(&field, "");
    }
    mount::validate_descending(file, &field, causes);
    if file.starts_with("..") && !file.starts_with("../") && file != ".." {
        causes.invalid_text(&field, file, "must not start with '..'");
    }
    validate_mode(item, "mode", path, causes);
}

fn validate_downward(source: &Value, path: &str, causes: &mut Causes) {
    const OF_POD: [&str; 5] =
        ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
    validate_mode(source, "defaultMode", path, causes);
    for (index, item) in list(source, "items").iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        validate_file(item, &path, causes);
        match (item.get("fieldRef"), item.get("resourceFieldRef")) {
            (None, None) => causes.required(&path, "one of fieldRef and resourceFieldRef is required"),
            (Some(_), Some(_)) => {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                causes.invalid_text(&path, "resource", detail);
            }
            (Some(field), None) => {
                environment::validate_field(field, &OF_POD, &format!("{path}.fieldRef"), causes);
            }
            (None, Some(resource)) => {
                environment::validate_resource(resource, true, &format!("{path}.resourceFieldRef"), causes);
            }
        }
    }
}
