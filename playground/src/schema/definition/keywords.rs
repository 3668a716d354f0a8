//! What a schema may not hold, and what its extensions require of each other.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::cause::{Cause, Place};
use super::super::rules::steps;

const UNSUPPORTED: [&str; 7] =
    ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref", "$schema"];
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// Whether a keyword stands anywhere that makes the schema unreadable.
pub(super) fn unsupported(schema: &Value) -> bool {
    UNSUPPORTED.iter().any(|name| schema.get(name).is_some_and(|value| !value.is_null()))
        || schema["items"].is_array()
        || below(schema, &Place::default()).iter().any(|below| unsupported(below.schema))
}

/// Every fault of the keywords, here and below.
pub(super) fn check(schema: &Value, at: &Place) -> Vec<Cause> {
    let mut causes = Vec::new();
    value(schema, at, Around { root: true, metadata: None }, &mut causes);
    causes
}

/// What a schema is inside of.
#[derive(Clone, Copy)]
struct Around<'a> {
    root: bool,
    /// The member of the metadata of an object that this is in, and whether it is the root's.
    metadata: Option<(&'a str, bool)>,
}

struct Below<'a> {
    schema: &'a Value,
    at: Place,
    property: Option<&'a str>,
}

fn below<'a>(schema: &'a Value, at: &Place) -> Vec<Below<'a>> {
    let mut all = Vec::new();
    let mut push = |schema: &'a Value, at: Place, property: Option<&'a str>| {
        if schema.is_object() {
            all.push(Below { schema, at, property });
        }
    };
    push(&schema["additionalProperties"], at.child("additionalProperties"), None);
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        push(schema, at.child("properties").key(name), Some(name));
    }
    push(&schema["not"], at.child("not"), None);
    for name in ["allOf", "oneOf", "anyOf"] {
        for (index, schema) in schema[name].as_array().into_iter().flatten().enumerate() {
            push(schema, at.child(name).index(index), None);
        }
    }
    push(&schema["items"], at.child("items"), None);
    all
}

fn value(schema: &Value, at: &Place, around: Around<'_>, causes: &mut Vec<Cause>) {
    keywords(schema, at, around, causes);
    if schema["uniqueItems"] == true {
        let says = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(at.child("uniqueItems"), says));
    }
    let entries = &schema["additionalProperties"];
    let has_properties = schema["properties"].as_object().is_some_and(|properties| !properties.is_empty());
    if has_properties && (entries == false || entries.is_object()) {
        let says = "additionalProperties and properties are mutual exclusive";
        causes.push(Cause::forbidden(at.child("additionalProperties"), says));
    }
    let resource = around.root || schema["x-kubernetes-embedded-resource"] == true;
    for Below { schema, at, property } in below(schema, at) {
        let metadata = match property {
            Some(name) if resource && ["metadata", "kind", "apiVersion"].contains(&name) => Some((name, around.root)),
            Some(_) | None => around.metadata,
        };
        value(schema, &at, Around { root: false, metadata }, causes);
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let at = at.child("x-kubernetes-preserve-unknown-fields");
        causes.push(Cause::invalid(at, json!(false), "must be true or undefined"));
    }
    merging(schema, at, causes);
    list_map(schema, at, causes);
    rules(schema, at, causes);
}

fn keywords(schema: &Value, at: &Place, around: Around<'_>, causes: &mut Vec<Cause>) {
    let type_name = schema["type"].as_str().unwrap_or_default();
    if !type_name.is_empty() && !TYPES.contains(&type_name) {
        causes.push(Cause::not_supported(at.child("type"), &json!(type_name), &TYPES.map(str::to_owned)));
    }
    if let Some((member, true)) = around.metadata
        && !schema["default"].is_null()
    {
        causes.push(Cause::forbidden(at.child("default"), &format!("must not be set in top-level {member}")));
    }
    for name in UNSUPPORTED {
        if schema.get(name).is_some_and(|value| !value.is_null()) {
            causes.push(Cause::forbidden(at.child(name), &format!("{name} is not supported")));
        }
    }
    if type_name == "null" {
        let says = "type cannot be set to null, use nullable as an alternative";
        causes.push(Cause::forbidden(at.child("type"), says));
    }
    if schema["items"].is_array() {
        causes.push(Cause::forbidden(at.child("items"), "items must be a schema object and not an array"));
    }
    if around.metadata.is_some() && schema["x-kubernetes-embedded-resource"] == true {
        let at = at.child("x-kubernetes-embedded-resource");
        causes.push(Cause::forbidden(at, "must not be used inside of resource meta"));
    }
}

/// `x-kubernetes-map-type` and `x-kubernetes-list-type`.
fn merging(schema: &Value, at: &Place, causes: &mut Vec<Cause>) {
    let type_name = schema["type"].as_str().unwrap_or_default();
    for (extension, wanted, known) in [
        ("x-kubernetes-map-type", "object", &["atomic", "granular"][..]),
        ("x-kubernetes-list-type", "array", &["atomic", "set", "map"][..]),
    ] {
        let Some(value) = schema[extension].as_str() else { continue };
        if type_name != wanted {
            let says = format!("must be {wanted} if {extension} is specified");
            causes.push(match type_name {
                "" => Cause::required(at.child("type"), &says),
                name => Cause::invalid(at.child("type"), json!(name), &says),
            });
        }
        if !known.contains(&value) {
            let known: Vec<_> = known.iter().map(|name| (*name).to_owned()).collect();
            causes.push(Cause::not_supported(at.child(extension), &json!(value), &known));
        }
    }
    let items = &schema["items"];
    if schema["x-kubernetes-list-type"] == "set" && items.is_object() {
        let atomic = |extension: &str| items[extension] == "atomic";
        let unset = items["x-kubernetes-list-type"].is_null();
        let wrong = match items["type"].as_str() {
            Some("array") if !unset && !atomic("x-kubernetes-list-type") => "x-kubernetes-list-type",
            Some("object") if !atomic("x-kubernetes-map-type") => "x-kubernetes-map-type",
            Some(_) | None => return,
        };
        let says = "must be atomic as item of a list with x-kubernetes-list-type=set";
        causes.push(Cause::invalid(at.child("items").child(wrong), &items["x-kubernetes-list-type"], says));
    }
}

/// A list with keys: its items are objects, and the keys are always there.
fn list_map(schema: &Value, at: &Place, causes: &mut Vec<Cause>) {
    let (list_type, keys) = (&schema["x-kubernetes-list-type"], &schema["x-kubernetes-list-map-keys"]);
    let names: Vec<_> = keys.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let keys_at = at.child("x-kubernetes-list-map-keys");
    let (items, items_at) = (&schema["items"], at.child("items"));
    if !names.is_empty() && list_type != "map" {
        let (at, says) = (at.child("x-kubernetes-list-type"), "must be map if x-kubernetes-list-map-keys is non-empty");
        causes.push(if list_type.is_null() { Cause::required(at, says) } else { Cause::invalid(at, list_type, says) });
    }
    if (list_type == "map" || list_type == "set") && items["nullable"] == true {
        let says = format!("cannot be nullable when x-kubernetes-list-type is {}", list_type.as_str().unwrap_or(""));
        causes.push(Cause::forbidden(items_at.child("nullable"), &says));
    }
    if list_type != "map" {
        return;
    }
    if names.is_empty() {
        causes.push(Cause::required(&keys_at, "must not be empty if x-kubernetes-list-type is map"));
    }
    if items.is_null() {
        causes.push(Cause::required(&items_at, "must have a schema if x-kubernetes-list-type is map"));
        return;
    }
    if items["type"] != "object" {
        let says = "must be object if parent array's x-kubernetes-list-type is map";
        let type_name = items["type"].as_str().unwrap_or_default();
        causes.push(Cause::invalid(items_at.child("type"), json!(type_name), says));
        return;
    }
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            causes.push(Cause::invalid(&keys_at, keys, "must not contain duplicate entries"));
        }
        match items["properties"].get(name) {
            None => causes.push(Cause::invalid(&keys_at, keys, "entries must all be names of item properties")),
            Some(key) => list_map_key(items, name, key, &items_at.child("properties").key(name), causes),
        }
    }
}

fn list_map_key(items: &Value, name: &str, key: &Value, at: &Place, causes: &mut Vec<Cause>) {
    if key["type"] == "array" || key["type"] == "object" {
        let says = "must be a scalar type if parent array's x-kubernetes-list-type is map";
        causes.push(Cause::invalid(at.child("type"), &items["type"], says));
    }
    let required = items["required"].as_array().is_some_and(|required| required.iter().any(|other| other == name));
    if !required && key["default"].is_null() {
        let says =
            "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
        causes.push(Cause::required(at.child("default"), says));
    }
    if key["nullable"] == true {
        let says = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
        causes.push(Cause::forbidden(at.child("nullable"), says));
    }
}

/// The form of rules; what they say is looked at later.
fn rules(schema: &Value, at: &Place, causes: &mut Vec<Cause>) {
    for (index, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let at = at.child("x-kubernetes-validations").index(index);
        let text = |name: &str| rule[name].as_str().unwrap_or_default();
        let blank = |name: &str| !text(name).is_empty() && text(name).trim().is_empty();
        let message = text("message").trim();
        let invalid = |name: &str, says: &str| Cause::invalid(at.child(name), json!(text(name)), says);
        if text("rule").trim().is_empty() {
            causes.push(Cause::required(at.child("rule"), "rule is not specified"));
        } else if blank("message") {
            causes.push(invalid("message", "must be non-empty if specified"));
        } else if message.contains('\n') {
            causes.push(invalid("message", "must not contain line breaks"));
        } else if text("rule").trim().contains('\n') && message.is_empty() {
            let says = "message must be specified if rule contains line breaks";
            causes.push(Cause::required(at.child("message"), says));
        }
        if blank("messageExpression") {
            let says = "messageExpression must be non-empty if specified";
            causes.push(Cause::required(at.child("messageExpression"), says));
        }
        if let Some(reason) = rule["reason"].as_str().filter(|reason| !REASONS.contains(reason)) {
            causes.push(Cause::not_supported(at.child("reason"), &json!(reason), &REASONS.map(str::to_owned)));
        }
        if blank("fieldPath") {
            causes.push(invalid("fieldPath", "must be non-empty if specified"));
        }
        if text("fieldPath").contains('\n') {
            causes.push(invalid("fieldPath", "must not contain line breaks"));
        }
        if !text("fieldPath").is_empty() && !leads_somewhere(schema, text("fieldPath")) {
            causes.push(invalid("fieldPath", "must be a valid path"));
        }
    }
}

fn leads_somewhere(schema: &Value, path: &str) -> bool {
    let step = |schema: &'_ Value, name: &String| -> Option<Value> {
        let named = schema["properties"].get(name).cloned();
        named.or_else(|| Some(schema["additionalProperties"].clone()).filter(Value::is_object))
    };
    path.starts_with(['.', '[']) && steps(path).iter().try_fold(schema.clone(), |at, name| step(&at, name)).is_some()
}
