//! A kind for tests, and the lines of its watch.

use serde::Deserialize;
use serde_json::{Value, json};
use smooth_operator::object::{Meta, Object, ObjectKey, Resource};

/// An object with one field that can be wrong.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Thing {
    metadata: Meta,
    pub(crate) size: u8,
}

impl Object for Thing {
    const RESOURCE: Resource = Resource { group: "test.dev", version: "v1", plural: "things", kind: "Thing" };

    fn decode(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// The path of all of them.
pub(crate) const THINGS: &str = "/apis/test.dev/v1/things";

/// The key of `name` in the namespace of these tests.
pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("n", name)
}

/// `name` at `version`; its size is 1.
pub(crate) fn thing(name: &str, version: u64) -> Value {
    json!({"metadata": {"namespace": "n", "name": name, "uid": format!("uid of {name}"), "resourceVersion": version.to_string()}, "size": 1})
}

/// `name` in a state that no [`Thing`] can be in.
pub(crate) fn bad_thing(name: &str, version: u64) -> Value {
    with(thing(name, version), "/size", json!("large"))
}

/// `object` with another value at `pointer`.
pub(crate) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

pub(crate) fn added(object: &Value) -> Value {
    json!({"type": "ADDED", "object": object})
}

pub(crate) fn modified(object: &Value) -> Value {
    json!({"type": "MODIFIED", "object": object})
}

pub(crate) fn deleted(object: &Value) -> Value {
    json!({"type": "DELETED", "object": object})
}

pub(crate) fn bookmark(version: u64) -> Value {
    json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version.to_string()}}})
}

/// The bookmark that ends the initial events of a streaming list.
pub(crate) fn initial_end(version: u64) -> Value {
    let annotations = json!({"k8s.io/initial-events-end": "true"});
    json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version.to_string(), "annotations": annotations}}})
}

/// The server's last word on a watch.
pub(crate) fn error(code: u16, details: &Value) -> Value {
    json!({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": code, "message": "no", "details": details}})
}

/// A page of a list; the last one has no token.
pub(crate) fn page(items: &[Value], version: u64, token: &str) -> Value {
    json!({"kind": "ThingList", "metadata": {"resourceVersion": version.to_string(), "continue": token}, "items": items})
}
