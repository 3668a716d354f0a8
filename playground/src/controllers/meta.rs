//! What controllers read of objects and write of conditions.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The text at a path of keys, empty where there is none.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().fold(value, |value, key| &value[*key]).as_str().unwrap_or_default()
}

/// The number at a path of keys, 0 where there is none.
pub(super) fn int(value: &Value, path: &[&str]) -> i64 {
    path.iter().fold(value, |value, key| &value[*key]).as_i64().unwrap_or(0)
}

pub(super) fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"])
}

pub(super) fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"])
}

pub(super) fn uid(object: &Value) -> &str {
    text(object, &["metadata", "uid"])
}

pub(super) fn is_deleting(object: &Value) -> bool {
    !text(object, &["metadata", "deletionTimestamp"]).is_empty()
}

/// A reference from a child to `owner`, which controls it.
pub(super) fn controller_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// What a write of another status sends: of everything else nothing counts.
pub(super) fn with_status(object: &Value, status: Value) -> Value {
    let head = ["apiVersion", "kind", "metadata"].into_iter();
    let mut sent: Map<String, Value> = head.map(|name| (name.to_owned(), object[name].clone())).collect();
    sent.insert("status".to_owned(), status);
    Value::Object(sent)
}

/// The time as objects bear it: RFC 3339, whole seconds.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time at a path of keys.
pub(super) fn time(value: &Value, path: &[&str]) -> Option<Timestamp> {
    text(value, path).parse().ok()
}

/// The condition of this type.
pub(super) fn condition<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions.iter().find(|condition| text(condition, &["type"]) == kind)
}
