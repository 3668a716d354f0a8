//! The rules of `metadata`, the same for every kind.
//!
//! Which fields the server owns, which may not change, and what names, labels and owners must look like
//! (`apimachinery/pkg/api/validation/objectmeta.go`).

use serde_json::Value;

use super::admit::Context;
use crate::resources::Trait;
use crate::schema::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
/// Sum of all annotation keys and values.
const MAX_ANNOTATIONS: usize = 256 << 10;

/// Gives a new object what only the server may set.
pub(super) fn begin(context: &Context<'_>, object: &mut Value) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    for server_owned in ["resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        metadata.remove(server_owned);
    }
    metadata.insert("name".into(), context.key.name.as_str().into());
    metadata.insert("uid".into(), context.uid.as_str().into());
    metadata.insert("creationTimestamp".into(), context.now.as_str().into());
    if context.stored.namespaced {
        metadata.insert("namespace".into(), context.key.namespace.as_str().into());
    } else {
        metadata.remove("namespace");
    }
    if context.stored.has(Trait::Generation) {
        metadata.insert("generation".into(), 1.into());
    }
    drop_empty(metadata);
}

/// Carries over from the live object what an update can't change; a uid that was sent stays, to be compared.
pub(super) fn carry_on(live: &Value, object: &mut Value) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    for server_owned in [
        "name",
        "namespace",
        "generateName",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ] {
        match live["metadata"].get(server_owned) {
            Some(value) => metadata.insert(server_owned.into(), value.clone()),
            None => metadata.remove(server_owned),
        };
    }
    if metadata.get("uid").and_then(Value::as_str).is_none_or(str::is_empty) {
        metadata.insert("uid".into(), live["metadata"]["uid"].clone());
    }
    metadata.remove("selfLink");
    drop_empty(metadata);
}

/// An empty map or list of metadata is no map or list: it is not stored.
fn drop_empty(metadata: &mut serde_json::Map<String, Value>) {
    for name in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let empty = match metadata.get(name) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if empty {
            metadata.remove(name);
        }
    }
}

/// All faults of an object's metadata.
pub(super) fn validate(context: &Context<'_>, object: &Value, live: Option<&Value>) -> Vec<Cause> {
    let metadata = &object["metadata"];
    let mut causes = Vec::new();
    match live {
        None => causes.extend(name_causes(context)),
        Some(live) => {
            // The API server finds this twice: in the generic and in the kind's own validation of updates.
            let changed = uid_causes(&live["metadata"], metadata);
            causes.extend(changed.iter().chain(&changed).cloned());
        }
    }
    let owners = owner_causes(metadata);
    let times = if live.is_some() { 3 } else { 2 };
    (0..times).for_each(|_| causes.extend(owners.iter().cloned()));
    causes.extend(label_causes(metadata));
    causes.extend(annotation_causes(metadata));
    let of_kubernetes = context.stored.custom().is_none() && context.stored.kind != "CustomResourceDefinition";
    causes.extend(finalizer_causes(metadata, live.map(|live| &live["metadata"]), of_kubernetes));
    causes
}

fn name_causes(context: &Context<'_>) -> Vec<Cause> {
    let name = &context.key.name;
    if name.is_empty() {
        let message = "Required value: name or generateName is required";
        return vec![cause("FieldValueRequired", "metadata.name", message)];
    }
    let (limit, valid, rule) = match (context.stored.group.as_str(), context.stored.kind.as_str()) {
        // Any path segment will do for a role; a Service's name is validated with the Service.
        ("rbac.authorization.k8s.io", _) | ("", "Service") => return Vec::new(),
        ("", "Namespace") => (63, is_label(name), LABEL),
        _ => (253, name.split('.').all(is_label), SUBDOMAIN),
    };
    let mut causes = Vec::new();
    if name.len() > limit {
        causes.push(invalid("metadata.name", name, &format!("must be no more than {limit} characters")));
    }
    if !valid {
        causes.push(invalid("metadata.name", name, rule));
    }
    causes
}

fn uid_causes(live: &Value, metadata: &Value) -> Vec<Cause> {
    if live["uid"] == metadata["uid"] {
        return Vec::new();
    }
    let uid = metadata["uid"].as_str().unwrap_or_default();
    vec![invalid("metadata.uid", uid, "field is immutable")]
}

fn owner_causes(metadata: &Value) -> Vec<Cause> {
    let owners = metadata["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut causes = Vec::new();
    for (at, owner) in owners.iter().enumerate() {
        for name in ["apiVersion", "kind", "name", "uid"] {
            if owner[name].as_str().is_none_or(str::is_empty) {
                let what = if name == "apiVersion" { "version " } else { "" };
                let message = format!("Invalid value: \"\": {what}must not be empty");
                let field = format!("metadata.ownerReferences[{at}].{name}");
                causes.push(cause("FieldValueInvalid", &field, &message));
            }
        }
    }
    let controllers: Vec<String> = owners
        .iter()
        .filter(|owner| owner["controller"] == true)
        .map(|owner| format!("{}/{}", owner["kind"].as_str().unwrap_or(""), owner["name"].as_str().unwrap_or("")))
        .collect();
    if let [first, second, ..] = controllers.as_slice() {
        let message = format!(
            "Invalid value: [{}]: Only one reference can have Controller set to true. Found \"true\" in references for \
             {first} and {second}",
            owners.iter().map(owner_json).collect::<Vec<_>>().join(",")
        );
        causes.push(cause("FieldValueInvalid", "metadata.ownerReferences", &message));
    }
    causes
}

/// In the order in which the API server prints an OwnerReference.
fn owner_json(owner: &Value) -> String {
    let members = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"]
        .into_iter()
        .filter(|name| !owner[name].is_null())
        .map(|name| format!("\"{name}\":{}", owner[name]));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn label_causes(metadata: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        causes.extend(qualified_cause("metadata.labels", key));
        let Some(value) = value.as_str() else {
            causes.push(cause("FieldValueTypeInvalid", "metadata.labels", "Invalid value: must be a string"));
            continue;
        };
        if value.len() > 63 {
            causes.push(invalid("metadata.labels", value, "must be no more than 63 characters"));
        }
        if !value.is_empty() && !is_name_part(value) {
            causes.push(invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
    causes
}

fn annotation_causes(metadata: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut size = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        causes.extend(qualified_cause("metadata.annotations", &key.to_ascii_lowercase()));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS {
        let message = format!("Too long: may not be more than {MAX_ANNOTATIONS} bytes");
        causes.push(cause("FieldValueTooLong", "metadata.annotations", &message));
    }
    causes
}

fn finalizer_causes(metadata: &Value, live: Option<&Value>, of_kubernetes: bool) -> Vec<Cause> {
    let finalizers = |metadata: &Value| {
        let list = metadata["finalizers"].as_array().cloned().unwrap_or_default();
        list.into_iter().filter_map(|name| name.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let named = finalizers(metadata);
    let mut causes: Vec<Cause> = named.iter().filter_map(|name| qualified_cause("metadata.finalizers", name)).collect();
    if of_kubernetes {
        let known = ["foregroundDeletion", "kubernetes", "orphan"];
        let strange = |name: &str| !name.contains('/') && !known.contains(&name);
        let strange = named.iter().enumerate().filter(|(_, name)| strange(name.as_str()));
        causes.extend(strange.map(|(at, name)| {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            invalid(&format!("metadata.finalizers[{at}]"), name, why)
        }));
    }
    if let Some(live) = live.filter(|live| live["deletionTimestamp"].is_string()) {
        let known = finalizers(live);
        let added: Vec<_> = named.iter().filter(|name| !known.contains(name)).map(String::as_str).collect();
        if !added.is_empty() {
            let message = format!(
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{\"{}\"}}",
                added.join("\", \"")
            );
            causes.push(cause("FieldValueForbidden", "metadata.finalizers", &message));
        }
    }
    causes
}

fn qualified_cause(field: &str, key: &str) -> Option<Cause> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix
        && !(prefix.len() <= 253 && prefix.split('.').all(is_label))
    {
        return Some(invalid(field, key, &format!("prefix part {SUBDOMAIN}")));
    }
    if name.len() > 63 {
        return Some(invalid(field, key, "name part must be no more than 63 characters"));
    }
    (!is_name_part(name)).then(|| invalid(field, key, QUALIFIED))
}

fn is_label(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    inner && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

fn is_name_part(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && ends(text.bytes().next())
        && ends(text.bytes().next_back())
}

fn invalid(field: &str, value: &str, rule: &str) -> Cause {
    cause("FieldValueInvalid", field, &format!("Invalid value: {}: {rule}", Value::String(value.to_owned())))
}

fn cause(reason: &str, field: &str, message: &str) -> Cause {
    Cause { reason: reason.into(), field: field.into(), message: message.into() }
}
