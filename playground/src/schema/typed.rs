//! Whether values have the types that a schema gives them, as structured-merge-diff asks before it merges an apply.
//!
//! It knows less than the validation of the object does (strings with a format pass, and integers with a fraction), and
//! words it otherwise, in terms of Go's values; what it refuses never gets as far as the validation. A `null` has every
//! type. Items that should have a key and have none are told where lists are merged.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::node::Node;

/// What an object's metadata hold, of which no schema of a custom resource speaks.
static METADATA: LazyLock<Node> = LazyLock::new(|| {
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    let texts = json!({"type": "object", "additionalProperties": text});
    let owner = json!({
        "type": "object",
        "properties": {
            "apiVersion": text, "kind": text, "name": text, "uid": text,
            "controller": {"type": "boolean"}, "blockOwnerDeletion": {"type": "boolean"},
        },
    });
    let metadata = json!({
        "type": "object",
        "properties": {
            "name": text, "generateName": text, "namespace": text, "selfLink": text, "uid": text,
            "resourceVersion": text, "generation": number, "deletionGracePeriodSeconds": number,
            "labels": texts, "annotations": texts,
            "finalizers": {"type": "array", "items": text},
            "ownerReferences": {"type": "array", "items": owner},
        },
    });
    serde_json::from_value(metadata).unwrap_or_default()
});

/// The paths (`spec.list[0].name`) of values of the wrong type, and what is said of each.
pub(super) fn mistyped(root: &Node, object: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    look(root, object, "", true, &mut found);
    found
}

/// `resource`: the value is a whole object, with metadata of its own.
fn look(node: &Node, value: &Value, at: &str, resource: bool, found: &mut Vec<(String, String)>) {
    if let Some(why) = fault(node, value) {
        found.push((at.to_owned(), why));
        return;
    }
    match value {
        Value::Array(items) => {
            let Some(below) = &node.items else { return };
            for (index, item) in items.iter().enumerate() {
                // Of an item that should have a key and can't the merge itself speaks.
                if node.list_type != "map" || item.is_object() {
                    look(below, item, &format!("{at}[{index}]"), below.embedded, found);
                }
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let below = if resource && name == "metadata" { Some(&*METADATA) } else { node.member(name) };
                let dot = if at.is_empty() { "" } else { "." };
                if let Some(below) = below {
                    look(below, value, &format!("{at}{dot}{name}"), below.embedded, found);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fault(node: &Node, value: &Value) -> Option<String> {
    match (node.type_name.as_str(), value) {
        (_, Value::Null)
        | ("object", Value::Object(_))
        | ("array", Value::Array(_))
        | ("string", Value::String(_))
        | ("integer" | "number", Value::Number(_))
        | ("boolean", Value::Bool(_)) => None,
        ("string", _) if !matches!(node.format.as_str(), "" | "byte") => None,
        ("object", other) => Some(format!("expected map, got &{{{}}}", shown(other))),
        ("array", other) => Some(format!("expected list, got &{{{}}}", shown(other))),
        ("boolean", other) => Some(format!("expected boolean, got &{{{}}}", shown(other))),
        ("string", other) => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(other)))
        }
        ("integer" | "number", other) => Some(format!("expected numeric (int or float), got {}", go_type(other))),
        _ => None,
    }
}

/// A value as Go's `%v` prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(name, value)| format!("{name}:{}", shown(value))).collect();
            members.sort();
            format!("map[{}]", members.join(" "))
        }
    }
}

/// A value as Go's `%#v` prints it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(items) => {
            format!("{}{{{}}}", go_type(value), items.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, value)| format!("{name:?}:{}", go_syntax(value))).collect();
            members.sort();
            format!("{}{{{}}}", go_type(value), members.join(", "))
        }
    }
}

/// The type of a value as Go's `%T` prints it.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
