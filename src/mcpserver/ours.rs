//! Which fields of a live object are ours: the question behind "is there anything to write?".
//!
//! # The naive solution, and how it breaks
//!
//! Compare the object that we want with the live object. They are never equal: the API server has filled in fifty
//! defaults and written `0.5` as `500m`, the Deployment controller has added an annotation, a sidecar injector a
//! container, and a policy has replaced the image's tag by its digest. So operators compare field by field, or only the
//! fields somebody thought of, or give up and write every time. Comparing fields misses one that was *removed* from the
//! desired state; comparing values never ends where somebody rewrites them; writing every time never lets the cluster
//! settle.
//!
//! # The mechanism
//!
//! The API server has the answer already. With server-side apply, `metadata.managedFields` says which fields each
//! manager has applied, and *whoever changes the value of a field takes it away from its manager*:
//!
//! ```text
//! managedFields: [{manager: smooth-operator, operation: Apply, fieldsV1: {f:spec: {f:replicas: {}, ...}}}]
//!                                                                              │
//!      annotation applied-hash: 5d41...                                        ▼
//!      ├─ says *what* we applied last                    OwnFields: *where* it still stands
//! ```
//!
//! So values need not be compared at all. If the annotation names the desired state, and every field of the desired
//! state is still ours, then the object has what we applied, in whatever form the API server keeps it:
//!
//! - Another client changed one of our fields: that client manages the field now, so it is missing from ours.
//! - We no longer want a field: the desired state has another digest than the one in the annotation.
//! - A field was defaulted, normalized or injected, or rewritten by an admission webhook while we applied it: nobody
//!   has taken anything from us.
//!
//! In each case the comparison predicts what the next apply would do. It needs no schema: both sides are walked side by
//! side, and where the API server's description ends (at a value, or at a list that it treats as one), ours ends too.
//!
//! # What it does not promise
//!
//! To notice a change in an object whose `managedFields` somebody has forged. They can do so only by changing the
//! object, and nobody gains anything by it.
//!
//! # Equivalents
//!
//! client-go: `applyconfigurations` with their `Extract…` functions, which return the fields of one manager.
//! kube-runtime has none.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

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

/// The fields of an object that this operator has applied and that nobody has changed since.
///
/// It is the text that the API server sends, in the form
/// [FieldsV1](https://kubernetes.io/docs/reference/using-api/server-side-apply/#ssa-field-ownership): `f:` a field,
/// `k:` the list item with these keys, `v:` an item of a set, `.` the value itself; `{}` all of it. It names no values,
/// so ten thousand Deployments of one form share one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFields(Arc<str>);

impl OwnFields {
    /// The fields of ours among these.
    ///
    /// # Errors
    ///
    /// `managedFields` does not have the documented form.
    pub fn among(managed: &[ManagedFields<'_>]) -> Result<Self, serde_json::Error> {
        let applied = |entry: &&ManagedFields| {
            entry.manager == FIELD_MANAGER && entry.operation == "Apply" && entry.subresource.is_empty()
        };
        let mut fields: Map<String, Value> = match managed.iter().find(applied).and_then(|entry| entry.fields) {
            Some(fields) => serde_json::from_str(fields.get())?,
            None => Map::new(),
        };
        // The key of an owner reference is a uid: the only part that is another one in each object. Who the owner is,
        // is decided elsewhere.
        if let Some(owners) = fields.get_mut("f:metadata").and_then(|metadata| metadata.get_mut("f:ownerReferences")) {
            *owners = Value::Object(Map::new());
        }
        Ok(Self(shared(&Value::Object(fields).to_string())))
    }

    /// Whether the field at this path is among them.
    pub fn include(&self, path: &[&str]) -> bool {
        let Ok(mut fields) = serde_json::from_str::<Value>(&self.0) else { return false };
        path.iter().all(|name| match fields.get_mut(format!("f:{name}")) {
            Some(inner) => {
                fields = inner.take();
                true
            }
            None => false,
        })
    }

    /// Whether these are exactly the fields of `wish`.
    pub fn are_those_of(&self, wish: &Value) -> bool {
        // At the root, `{}` does not mean "all of it" but "nothing".
        serde_json::from_str::<Map<String, Value>>(&self.0)
            .is_ok_and(|fields| !fields.is_empty() && are_those_of(&fields, wish))
    }
}

fn are_those_of(fields: &Map<String, Value>, wish: &Value) -> bool {
    if fields.is_empty() {
        return true;
    }
    let below = |inner: &Value, wish: &Value| inner.as_object().is_some_and(|inner| are_those_of(inner, wish));
    let selectors = fields.iter().filter(|(selector, _)| *selector != ".");
    match wish {
        Value::Object(members) => {
            let owned = |(name, member): (&String, &Value)| {
                fields.get(&format!("f:{name}")).is_some_and(|inner| below(inner, member))
            };
            selectors.count() == members.len() && members.iter().all(owned)
        }
        Value::Array(items) => {
            let owned =
                |item: &Value| fields.iter().any(|(selector, inner)| selects(selector, item) && below(inner, item));
            selectors.count() == items.len() && items.iter().all(owned)
        }
        // Something within it is ours, but we want one value.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether a selector of a list means this item. A key that the item lacks has a default.
fn selects(selector: &str, item: &Value) -> bool {
    match selector.split_once(':') {
        Some(("k", keys)) => serde_json::from_str::<Map<String, Value>>(keys)
            .is_ok_and(|keys| keys.iter().all(|(key, value)| item.get(key).is_none_or(|found| found == value))),
        Some(("v", value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item),
        Some(_) | None => false,
    }
}

/// The same text in one place, however many objects have it.
fn shared(text: &str) -> Arc<str> {
    /// The texts in use, and some that no longer are.
    static TEXTS: Mutex<BTreeSet<Arc<str>>> = Mutex::new(BTreeSet::new());
    /// Objects of more forms than this share nothing. That is no harm: it only takes memory.
    const MOST: usize = 1024;
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text) {
        return Arc::clone(known);
    }
    let new: Arc<str> = text.into();
    if texts.len() >= MOST {
        texts.retain(|text| Arc::strong_count(text) > 1);
    }
    if texts.len() < MOST {
        texts.insert(Arc::clone(&new));
    }
    new
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn own(fields: &Value) -> OwnFields {
        let managed = json!([
            {"manager": "smooth-operator", "operation": "Update", "fieldsV1": {"f:spec": {}}},
            {"manager": "smooth-operator", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "smooth-operator", "operation": "Apply", "fieldsV1": fields},
            {"manager": "other", "operation": "Apply", "fieldsV1": {"f:spec": {}}},
        ])
        .to_string();
        OwnFields::among(&serde_json::from_str::<Vec<ManagedFields>>(&managed).unwrap()).unwrap()
    }

    #[test]
    fn each_field_of_the_wish_must_be_ours_and_no_other() {
        let fields = own(&json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:replicas": {}}}));
        let wish = |labels: Value, spec: Value| json!({"metadata": {"labels": labels}, "spec": spec});
        assert!(fields.are_those_of(&wish(json!({"a": "1"}), json!({"replicas": 2}))));
        assert!(!fields.are_those_of(&wish(json!({"a": "1"}), json!({"replicas": 2, "paused": true}))), "taken away");
        assert!(!fields.are_those_of(&wish(json!({}), json!({"replicas": 2}))), "not wanted any more");
        assert!(!fields.are_those_of(&wish(json!({"b": "1"}), json!({"replicas": 2}))), "another one");
    }

    #[test]
    fn a_single_field_is_found_by_its_path() {
        let fields = own(&json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {}}}}));
        assert!(fields.include(&["spec", "replicas"]) && fields.include(&["spec", "template", "spec"]));
        assert!(!fields.include(&["spec", "paused"]) && !fields.include(&["replicas"]));
    }

    #[test]
    fn items_of_a_list_are_found_by_their_keys_and_values_in_any_order() {
        let fields = own(&json!({"f:spec": {
            "f:containers": {r#"k:{"name":"mcp"}"#: {".": {}, "f:name": {}, "f:image": {}}},
            "f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {".": {}, "f:port": {}}},
            "f:finalizers": {".": {}, r#"v:"a""#: {}, r#"v:"b""#: {}},
            "f:whole": {},
        }}));
        let wish = |containers: Value, port: i32, finalizers: Value| {
            let ports = json!([{"port": port}]);
            json!({"spec": {"containers": containers, "ports": ports, "finalizers": finalizers, "whole": [1, {"x": 2}]}})
        };
        let mcp = json!([{"name": "mcp", "image": "m"}]);
        assert!(fields.are_those_of(&wish(mcp.clone(), 80, json!(["b", "a"]))));
        assert!(!fields.are_those_of(&wish(mcp.clone(), 81, json!(["b", "a"]))), "another key");
        assert!(!fields.are_those_of(&wish(mcp.clone(), 80, json!(["a"]))), "one too few");
        assert!(!fields.are_those_of(&wish(mcp, 80, json!(["a", "c"]))), "another item");
        let other = json!([{"name": "other", "image": "m"}]);
        assert!(!fields.are_those_of(&wish(other, 80, json!(["a", "b"]))));
    }

    #[test]
    fn without_managed_fields_nothing_is_ours() {
        assert!(!OwnFields::among(&[]).unwrap().are_those_of(&json!({"spec": {"replicas": 2}})));
    }

    #[test]
    fn a_map_that_we_want_as_something_else_is_not_as_we_want_it() {
        let fields = own(&json!({"f:spec": {"f:a": {"f:b": {}}}}));
        assert!(fields.are_those_of(&json!({"spec": {"a": {"b": 1}}})));
        for wish in [json!("text"), json!(null), json!({}), json!([])] {
            assert!(!fields.are_those_of(&json!({"spec": {"a": wish}})), "{wish}");
        }
    }

    #[test]
    fn objects_of_one_form_share_one_text_whoever_owns_them() {
        let of = |uid: &str| {
            let owner = format!(r#"k:{{"uid":"{uid}"}}"#);
            own(&json!({"f:metadata": {"f:ownerReferences": {owner: {}}}, "f:spec": {"f:shared": {}}}))
        };
        let (one, other) = (of("1"), of("2"));
        assert!(Arc::ptr_eq(&one.0, &other.0));
        assert!(one.are_those_of(&json!({"metadata": {"ownerReferences": [{"uid": "1"}]}, "spec": {"shared": 1}})));
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
