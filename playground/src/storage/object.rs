//! One stored object: its JSON, and the few parts of it that are asked for all the time.
//!
//! A parsed [`Value`] of a Deployment with its managedFields takes ten times the memory of its text, and ten thousand of
//! each kind should fit in a gigabyte; so the text is what is kept. The parsed form is handed out as `Arc<Value>` and
//! remembered only as long as somebody holds it.
//!
//! The text is laid out so that its three derived forms are slices of it, never a second encoding:
//!
//! ```text
//! {"kind":"Secret","apiVersion":"v1","metadata":{...},"data":{...}}
//! ^------------- head --------------^           ^---^ metadata only
//!                                    ^------------------------------ item of a built-in's list (it has no kind)
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Key, Revision};

/// A stored object at one revision; never changed afterwards.
#[derive(Debug)]
pub struct Object {
    /// Namespace and name.
    pub key: Key,
    /// The revision of the write that made this state.
    pub revision: Revision,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`, for selectors.
    pub labels: BTreeMap<String, String>,
    /// The values of the fields that a field selector may name, beyond name and namespace.
    pub fields: Vec<(String, String)>,
    json: Bytes,
    metadata: Range<usize>,
    /// Without managedFields: nobody in the process reads them, and they are most of the memory.
    parsed: Mutex<Weak<Value>>,
}

/// An object that has no revision yet.
#[derive(Debug)]
pub struct Draft {
    /// The whole object.
    pub value: Value,
    /// See [`Object::fields`].
    pub fields: Vec<(String, String)>,
}

impl Draft {
    /// Stamps the revision and encodes. The parsed form comes along, for the store to keep as long as it sees fit.
    pub(super) fn at(self, key: Key, revision: Revision) -> (Object, Arc<Value>) {
        let Self { mut value, fields } = self;
        value["metadata"]["resourceVersion"] = Value::String(revision.to_string());
        Self::encoded(value, fields, key, revision)
    }

    /// Encodes what a dry run would have stored, with the resourceVersion that it has.
    pub fn dry(self, key: Key) -> Object {
        Self::encoded(self.value, self.fields, key, 0).0
    }

    fn encoded(mut value: Value, fields: Vec<(String, String)>, key: Key, revision: Revision) -> (Object, Arc<Value>) {
        let (json, metadata) = encode(&value);
        let labels = labels(&value);
        let uid = value["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        drop_managed_fields(&mut value);
        let value = Arc::new(value);
        let parsed = Mutex::new(Arc::downgrade(&value));
        (Object { key, revision, uid, labels, fields, json, metadata, parsed }, value)
    }
}

impl Object {
    /// The whole object as JSON.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// Its `metadata` as JSON.
    pub fn metadata_json(&self) -> &[u8] {
        &self.json[self.metadata.clone()]
    }

    /// The object's members from `metadata` on, without the opening brace: a built-in's list item after a `{`.
    pub fn members_after_head(&self) -> &[u8] {
        &self.json[self.metadata.start - METADATA.len()..]
    }

    /// The whole object, parsed anew, managedFields included: the start of a write.
    pub fn full(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// The object without its managedFields, shared by all who hold it.
    pub fn value(&self) -> Arc<Value> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = parsed.upgrade() {
            return value;
        }
        let mut value = self.full();
        drop_managed_fields(&mut value);
        let value = Arc::new(value);
        *parsed = Arc::downgrade(&value);
        value
    }
}

fn drop_managed_fields(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

const METADATA: &[u8] = b"\"metadata\":";

/// Encodes kind, apiVersion and metadata first; the position of the metadata comes back with the text.
fn encode(value: &Value) -> (Bytes, Range<usize>) {
    let empty = Map::new();
    let map = value.as_object().unwrap_or(&empty);
    let mut json = Vec::with_capacity(1024);
    json.push(b'{');
    for name in ["kind", "apiVersion"] {
        if let Some(member) = map.get(name) {
            write_member(&mut json, name, member);
            json.push(b',');
        }
    }
    json.extend_from_slice(METADATA);
    let start = json.len();
    write(&mut json, map.get("metadata").unwrap_or(&Value::Null));
    let end = json.len();
    for (name, member) in map {
        if !matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
            json.push(b',');
            write_member(&mut json, name, member);
        }
    }
    json.push(b'}');
    json.shrink_to_fit();
    (json.into(), start..end)
}

fn write_member(json: &mut Vec<u8>, name: &str, member: &Value) {
    write(json, &Value::String(name.to_owned()));
    json.push(b':');
    write(json, member);
}

fn write(json: &mut Vec<u8>, value: &Value) {
    // Writing a Value into a Vec fails for no input: its keys are strings and the Vec grows.
    let written = serde_json::to_writer(&mut *json, value);
    debug_assert!(written.is_ok(), "a JSON value always encodes");
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let Some(labels) = value["metadata"]["labels"].as_object() else { return BTreeMap::new() };
    labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
