//! Which part of a live object is ours: the question behind "is there anything to write?".
//!
//! # The naive solution, and how it breaks
//!
//! Compare the object that we want with the live object. They are never equal: the API server has filled in fifty
//! defaults, the Deployment controller has added an annotation, a sidecar injector a container. So operators compare
//! field by field, or only the fields somebody thought of, or give up and write every time. Comparing fields misses one
//! that was *removed* from the desired state; writing every time never lets the cluster settle.
//!
//! # The mechanism
//!
//! The API server has the answer already. With server-side apply, `metadata.managedFields` says which fields each
//! manager has applied:
//!
//! ```text
//! managedFields: [{manager: smooth-operator, operation: Apply, fieldsV1: {f:spec: {f:replicas: {}, ...}}}]
//! spec: {replicas: 2, strategy: {...defaulted...}, ...}
//!                     │
//!                     ▼  ours()
//! {spec: {replicas: 2, ...}}   exactly what we applied last and nobody has changed since
//! ```
//!
//! So take from the live object the fields that are ours, and compare *them* with what we want:
//!
//! - Another client changed one of our fields: that client manages the field now, so it is missing from ours.
//! - We no longer want a field: it is in ours, but not in the desired state.
//! - A field was defaulted or injected: it was never ours.
//!
//! In each case the comparison predicts what the next apply would do. The store keeps no copy of either side, only a
//! [`Digest`] of sixteen bytes.
//!
//! # What it does not promise
//!
//! To normalize values. It assumes that the API server stores what we send unchanged. A quantity of `0.5` comes back as
//! `500m`, and would differ for ever: [`build`](mod@super::build) must send canonical forms, including the keys of list
//! items (a port's `protocol`).
//!
//! # Equivalents
//!
//! client-go: `applyconfigurations` with their `Extract…` functions, which return the fields of one manager.
//! kube-runtime has none.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::client::FIELD_MANAGER;

/// A fingerprint of a JSON value, independent of the order of keys.
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

/// Bytes in the notation of the annotations.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// The input of a digest: a form of JSON that is the same for equal values, and only for those.
///
/// Text is preceded by its length, so it needs no escapes. Maps are in the order of their keys, since
/// `serde_json` keeps them sorted unless a crate enables its feature `preserve_order`; a test would fail then.
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
                for item in items {
                    self.value(item);
                }
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

    /// Adds the part of a value that `fields` selects, without a copy of that part: this runs for every event of a
    /// child. `fields` has the form
    /// [FieldsV1](https://kubernetes.io/docs/reference/using-api/server-side-apply/#ssa-field-ownership): `f:` a field,
    /// `k:` the list item with these keys, `v:` an item of a set, `.` the value itself; `{}` all of it.
    fn part(&mut self, fields: &Map<String, Value>, live: &Value) {
        if fields.is_empty() {
            return self.value(live);
        }
        match live {
            Value::Object(members) => {
                self.0.push(b'{');
                // All selectors of fields have the same prefix, so they are in the order of the fields.
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
            // It was a map or a list when we applied it, and is neither now: no part of it is ours any more.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => self.0.push(b'-'),
        }
    }

    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// An entry of `metadata.managedFields`: the fields of one manager. They are decoded only if they are ours.
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
/// `managedFields` does not have the documented form.
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

/// The fields below `selector`, if it selects `item`.
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
