//! The rules of `metadata`, the same for every kind.
//!
//! Which fields the server owns, which may not change, and what names, labels and owners must look like
//! (`apimachinery/pkg/api/validation/objectmeta.go`).

use serde_json::Value;

use super::admit::Context;
use crate::builtin::names;
use crate::resources::Trait;
use crate::schema::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
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
        None => {
            causes.extend(prefix_causes(context, metadata["generateName"].as_str().unwrap_or_default()));
            causes.extend(name_causes(context));
        }
        Some(live) => {
            // The API server finds this twice: in the generic and in the kind's own validation of updates.
            let changed = uid_causes(&live["metadata"], metadata);
            causes.extend(changed.iter().chain(&changed).cloned());
        }
    }
    let owners = owner_causes(metadata);
    // An update is validated by what all kinds share, once as an object and once as a change, and by the kind itself.
    let custom = context.stored.custom().is_some();
    let times = match live {
        Some(_) => 3,
        None if custom => 1,
        None => 2,
    };
    (0..times).for_each(|_| causes.extend(owners.iter().cloned()));
    let texts: Vec<_> = label_causes(metadata).into_iter().chain(annotation_causes(metadata)).collect();
    (0..if live.is_some() { 3 } else { 1 }).for_each(|_| causes.extend(texts.iter().cloned()));
    let of_kubernetes = !custom && context.stored.kind != "CustomResourceDefinition";
    causes.extend(finalizer_causes(metadata, live.map(|live| &live["metadata"]), of_kubernetes));
    causes
}

/// A mark of deletion is made by a delete alone.
pub(super) fn mark_causes(live: &Value, object: &Value) -> Vec<Cause> {
    let (mark, before) = (&object["metadata"]["deletionTimestamp"], &live["metadata"]["deletionTimestamp"]);
    if mark.is_null() || mark == before {
        return Vec::new();
    }
    vec![Cause::invalid("metadata.deletionTimestamp", mark, "field is immutable"); 2]
}

/// What is taken of a custom resource's metadata, and had better been given otherwise.
pub(super) fn warnings(object: &Value, live: Option<&Value>) -> Vec<String> {
    let finalizers = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let known = live.map(finalizers).unwrap_or_default();
    let added = finalizers(object).into_iter().filter(|name| !known.contains(name));
    let plain = added.filter(|name| name.as_str().is_some_and(is_unqualified));
    let warn = |name: Value| {
        let path = if name.as_str().is_some_and(|name| name.contains('.')) { " including a path (/)" } else { "" };
        format!(
            "metadata.finalizers: {name}: prefer a domain-qualified finalizer name{path} to avoid accidental conflicts \
             with other finalizer writers"
        )
    };
    plain.map(warn).collect()
}

/// What a name is made from must begin one; that it may end in a dash is all the difference.
fn prefix_causes(context: &Context<'_>, prefix: &str) -> Vec<Cause> {
    if prefix.is_empty() || context.stored.custom().is_none() {
        return Vec::new();
    }
    let masked = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |stem| format!("{stem}a"));
    let mut causes = Vec::new();
    if prefix.len() > 253 {
        causes.push(invalid("metadata.generateName", prefix, "must be no more than 253 characters"));
    }
    if !masked.split('.').all(is_label) {
        causes.push(invalid("metadata.generateName", prefix, SUBDOMAIN));
    }
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
    let mut controller: Option<String> = None;
    for owner in owners {
        causes.extend(one_owner_causes(owner));
        if owner["controller"] != true {
            continue;
        }
        let text = |name: &str| owner[name].as_str().unwrap_or_default();
        let name = format!("{}/{}", text("kind"), text("name"));
        let Some(first) = &controller else {
            controller = Some(name);
            continue;
        };
        let shown = format!("[{}]", owners.iter().map(owner_json).collect::<Vec<_>>().join(","));
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
        );
        causes.push(Cause::invalid("metadata.ownerReferences", shown, &why));
    }
    causes
}

fn one_owner_causes(owner: &Value) -> Vec<Cause> {
    let text = |name: &str| owner[name].as_str().unwrap_or_default();
    let field = |name: &str| format!("metadata.ownerReferences.{name}");
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let mut causes = Vec::new();
    if api_version.is_empty() || api_version.matches('/').count() > 1 || api_version.ends_with('/') {
        causes.push(invalid(&field("apiVersion"), api_version, "version must not be empty"));
    }
    for name in ["kind", "name", "uid"].into_iter().filter(|name| text(name).is_empty()) {
        causes.push(invalid(&field(name), "", "must not be empty"));
    }
    if (api_version, kind) == ("v1", "Event") {
        let why = "/v1, Kind=Event is disallowed from being an owner";
        causes.push(Cause::invalid("metadata.ownerReferences", owner_json(owner), why));
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
        causes.extend(faults("metadata.labels", key, &names::qualified(key)));
        let Some(value) = value.as_str() else {
            causes.push(cause("FieldValueTypeInvalid", "metadata.labels", "Invalid value: must be a string"));
            continue;
        };
        causes.extend(faults("metadata.labels", value, &names::label_value(value)));
    }
    causes
}

fn faults(field: &str, value: &str, rules: &[String]) -> Vec<Cause> {
    rules.iter().map(|rule| invalid(field, value, rule)).collect()
}

fn annotation_causes(metadata: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut size = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        let key = key.to_ascii_lowercase();
        causes.extend(faults("metadata.annotations", &key, &names::qualified(&key)));
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
    let mut causes: Vec<Cause> =
        named.iter().flat_map(|name| faults("metadata.finalizers", name, &names::qualified(name))).collect();
    if of_kubernetes {
        let strange = named.iter().enumerate().filter(|(_, name)| is_unqualified(name));
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

/// Whether a finalizer is neither one of Kubernetes' own nor named after a domain.
fn is_unqualified(finalizer: &str) -> bool {
    !finalizer.contains('/') && !matches!(finalizer, "foregroundDeletion" | "kubernetes" | "orphan")
}

fn is_label(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    inner && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

fn invalid(field: &str, value: &str, rule: &str) -> Cause {
    cause("FieldValueInvalid", field, &format!("Invalid value: {}: {rule}", Value::String(value.to_owned())))
}

fn cause(reason: &str, field: &str, message: &str) -> Cause {
    Cause { reason: reason.into(), field: field.into(), message: message.into() }
}
