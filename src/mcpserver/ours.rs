//! What of a live object is ours: the question behind "is there anything to write?".
//!
//! # The naive way, and how it breaks
//!
//! Compare the object that we want with the object that is there. They are never equal: the API server has filled in
//! fifty defaults, the Deployment controller has added an annotation, a sidecar injector a container. So operators
//! compare field by field, or only what they thought of, or give up and write every time. The first kind misses
//! the field that was *removed* from the wish; the last kind never lets the cluster rest.
//!
//! # The mechanism
//!
//! The API server keeps the answer already. With server-side apply, `metadata.managedFields` says which fields each manager
//! has applied:
//!
//! ```text
//! managedFields: [{manager: smooth-operator, operation: Apply, fieldsV1: {f:spec: {f:replicas: {}, ...}}}]
//! spec: {replicas: 2, strategy: {...defaulted...}, ...}
//!                     │
//!                     ▼  ours()
//! {spec: {replicas: 2, ...}}   exactly what we last applied and what still stands
//! ```
//!
//! So: cut out of the live object the fields that are ours, and compare *that* with what we want. Somebody changed one of our
//! fields: the field is theirs now, so it is missing from ours. We no longer want a field: it is in ours and not in the wish. A field
//! was defaulted or injected: it was never ours. In each case the comparison says just what the next apply would do.
//!
//! The store keeps no copy of either side, only a [`Digest`] of sixteen bytes.
//!
//! # What it does not promise
//!
//! It presumes that the API server stores what we send as we send it. A quantity of `0.5` comes back as `500m`, and would
//! differ for ever: [`build`](mod@super::build) must send canonical forms, and name the keys of list items (a port's `protocol`).

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::client::FIELD_MANAGER;

/// A fingerprint of some JSON, the same for any order of keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 16]);

impl Digest {
    /// The fingerprint of `value`.
    pub fn of(value: &Value) -> Self {
        let mut canonical = Canonical::default();
        canonical.value(value);
        canonical.digest()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes as they stand in an annotation.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// A form of some JSON in which equal values are equal and no others: what a digest is made of.
///
/// Text is preceded by its length, which spares the escapes. Maps come in the order of their keys, since
/// `serde_json` keeps them sorted unless a crate turns on its feature `preserve_order`; a test would notice.
#[derive(Default)]
struct Canonical(Vec<u8>);

impl Canonical {
    fn digest(self) -> Digest {
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(self.0)[..16]);
        Digest(digest)
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                self.0.push(b'{');
                for (key, value) in map {
                    self.text(key);
                    self.value(value);
                }
                self.0.push(b'}');
            }
            Value::Array(items) => {
                self.0.push(b'[');
                items.iter().for_each(|item| self.value(item));
                self.0.push(b']');
            }
            Value::String(content) => {
                self.0.push(b'"');
                self.text(content);
            }
            Value::Null => self.0.push(b'n'),
            Value::Bool(true) => self.0.push(b't'),
            Value::Bool(false) => self.0.push(b'f'),
            Value::Number(number) => {
                self.0.push(b'0');
                self.text(&number.to_string());
            }
        }
    }

    /// The part of a value that `fields` select, as if it had been cut out first: every event of a child passes here, and
    /// this way it costs no copy. `fields` are of the form
    /// [FieldsV1](https://kubernetes.io/docs/reference/using-api/server-side-apply/#ssa-field-ownership): `f:` a field,
    /// `k:` the item of a list with these keys, `v:` an item of a set, `.` the thing itself; `{}` all of it.
    fn part(&mut self, fields: &Map<String, Value>, live: &Value) {
        if fields.is_empty() {
            return self.value(live);
        }
        match live {
            Value::Object(members) => {
                self.0.push(b'{');
                // All selectors of fields begin alike, so they are in the order of the fields.
                for (selector, inner) in fields {
                    let Some(name) = selector.strip_prefix("f:") else { continue };
                    if let (Some(inner), Some(member)) = (inner.as_object(), members.get(name)) {
                        self.text(name);
                        self.part(inner, member);
                    }
                }
                self.0.push(b'}');
            }
            Value::Array(items) => {
                self.0.push(b'[');
                for item in items {
                    if let Some(inner) = fields.iter().find_map(|(selector, inner)| selects(selector, inner, item)) {
                        self.part(inner, item);
                    }
                }
                self.0.push(b']');
            }
            // It was a map or a list when we applied it, and is neither now: nothing of it is ours any more.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => self.0.push(b'-'),
        }
    }

    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// One manager's fields, as `metadata.managedFields` has them. The fields themselves are read only if they are ours.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedFields<'json> {
    #[serde(default)]
    manager: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    subresource: String,
    #[serde(borrow, rename = "fieldsV1")]
    fields: Option<&'json RawValue>,
}

/// The fingerprint of the part of `live` that this operator has applied and that nobody has changed since.
///
/// # Errors
///
/// `managedFields` is not what Kubernetes documents.
pub fn ours(managed: &[ManagedFields<'_>], live: &Value) -> Result<Digest, serde_json::Error> {
    let applied = |entry: &&ManagedFields| {
        entry.manager == FIELD_MANAGER && entry.operation == "Apply" && entry.subresource.is_empty()
    };
    let mut canonical = Canonical::default();
    match managed.iter().find(applied).and_then(|entry| entry.fields) {
        Some(fields) => canonical.part(&serde_json::from_str(fields.get())?, live),
        None => canonical.value(&Value::Object(Map::new())),
    }
    Ok(canonical.digest())
}

/// The fields that `selector` gives for `item`, if it is the one that is meant.
fn selects<'fields>(selector: &str, inner: &'fields Value, item: &Value) -> Option<&'fields Map<String, Value>> {
    let meant = match selector.split_once(':')? {
        ("k", keys) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
            keys.iter().all(|(key, value)| item.get(key) == Some(value))
        }
        ("v", value) => serde_json::from_str::<Value>(value).ok()? == *item,
        _ => false,
    };
    inner.as_object().filter(|_| meant)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ours_of(object: &Value) -> Digest {
        let managed = object["metadata"]["managedFields"].to_string();
        let managed: Vec<ManagedFields> = serde_json::from_str(&managed).unwrap();
        ours(&managed, object).unwrap()
    }

    fn object(fields: &Value, mut object: Value) -> Value {
        object["metadata"]["managedFields"] = json!([
            {"manager": "smooth-operator", "operation": "Update", "fieldsV1": {"f:spec": {}}},
            {"manager": "smooth-operator", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "smooth-operator", "operation": "Apply", "fieldsV1": fields},
            {"manager": "other", "operation": "Apply", "fieldsV1": {"f:spec": {}}},
        ]);
        object
    }

    #[test]
    fn only_the_fields_we_applied_are_ours() {
        let object = object(
            &json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:replicas": {}, "f:gone": {}}}),
            json!({"metadata": {"labels": {"a": "1", "b": "2"}, "name": "x"}, "spec": {"replicas": 2, "strategy": {}}}),
        );
        let part = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 2}});
        assert_eq!(ours_of(&object), Digest::of(&part));
    }

    #[test]
    fn items_of_a_list_are_found_by_their_keys_and_values() {
        let object = object(
            &json!({"f:spec": {
                "f:containers": {r#"k:{"name":"mcp"}"#: {".": {}, "f:name": {}, "f:image": {}}},
                "f:finalizers": {".": {}, r#"v:"b""#: {}},
                "f:whole": {},
            }}),
            json!({"metadata": {}, "spec": {
                "containers": [{"name": "sidecar", "image": "s"}, {"name": "mcp", "image": "m", "tty": true}],
                "finalizers": ["a", "b"],
                "whole": [1, {"x": [2]}],
            }}),
        );
        let part = json!({"spec": {
            "containers": [{"name": "mcp", "image": "m"}],
            "finalizers": ["b"],
            "whole": [1, {"x": [2]}],
        }});
        assert_eq!(ours_of(&object), Digest::of(&part));
    }

    #[test]
    fn without_managed_fields_nothing_is_ours() {
        assert_eq!(ours(&[], &json!({"spec": {"replicas": 2}})).unwrap(), Digest::of(&json!({})));
    }

    #[test]
    fn a_map_that_became_something_else_is_not_ours_any_more() {
        let fields = json!({"f:spec": {"f:a": {"f:b": {}}}});
        let as_applied = ours_of(&object(&fields, json!({"metadata": {}, "spec": {"a": {"b": 1}}})));
        for now in [json!("text"), json!(null), json!({}), json!([])] {
            assert_ne!(ours_of(&object(&fields, json!({"metadata": {}, "spec": {"a": now}}))), as_applied);
        }
    }

    #[test]
    fn a_digest_knows_no_order_of_keys_but_the_order_of_items() {
        let (a, b): (Value, Value) = (
            serde_json::from_str(r#"{"a":1,"b":[1,2]}"#).unwrap(),
            serde_json::from_str(r#"{"b":[1,2],"a":1}"#).unwrap(),
        );
        assert_eq!(Digest::of(&a), Digest::of(&b));
        assert_ne!(Digest::of(&a), Digest::of(&json!({"a": 1, "b": [2, 1]})));
        assert_ne!(Digest::of(&json!({"a": "1"})), Digest::of(&json!({"a": 1})));
        assert_eq!(Digest::of(&a).to_string().len(), 32);
    }
}
