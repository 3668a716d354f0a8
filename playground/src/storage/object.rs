//! One stored object: its JSON, and the few parts of it that are asked for all the time.
//!
//! A parsed [`Value`] of a Deployment with its managedFields takes ten times the memory of its text, and ten thousand of
//! each kind should fit in a gigabyte; so the text is what is kept. The parsed form is handed out as `Arc<Value>` and
//! remembered only as long as somebody holds it.
//!
//! Its managedFields, about half of the text, are kept out of the parsed form: a write passes them on as text, and only who
//! owns what is decided on what they say.
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
use serde::{Deserialize, Serialize};
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
    /// What of the metadata decides who belongs to whom, and who stays.
    pub meta: Meta,
    json: Bytes,
    metadata: Range<usize>,
    /// The value of `managedFields`; empty where there is none.
    managed: Range<usize>,
    /// Without managedFields.
    parsed: Mutex<Weak<Value>>,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerReference {
    /// The owner's group and version.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// This owner manages the object.
    pub controller: bool,
    /// This owner waits for the object before it goes itself.
    pub block_owner_deletion: bool,
}

/// The metadata that controllers ask for at every event, read once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// `metadata.ownerReferences`
    pub owner_references: Vec<OwnerReference>,
    /// `metadata.finalizers`
    pub finalizers: Vec<String>,
    /// `metadata.deletionTimestamp`
    pub deletion_timestamp: Option<String>,
    /// Counts the changes of what the object asks for.
    pub generation: i64,
}

/// An object that has no revision yet.
#[derive(Debug)]
pub struct Draft {
    /// The whole object but for its managedFields.
    pub value: Value,
    /// `metadata.managedFields` as JSON; empty where there are none.
    pub managed: Bytes,
    /// See [`Object::fields`].
    pub fields: Vec<(String, String)>,
}

impl Draft {
    /// Stamps the revision and encodes. The parsed form comes along, for the store to keep as long as it sees fit.
    pub(super) fn at(mut self, key: Key, revision: Revision) -> (Object, Arc<Value>) {
        self.value["metadata"]["resourceVersion"] = Value::String(revision.to_string());
        self.encoded(key, revision)
    }

    /// Encodes what a dry run would have stored, with the resourceVersion that it has.
    pub fn dry(self, key: Key) -> Object {
        self.encoded(key, 0).0
    }

    fn encoded(self, key: Key, revision: Revision) -> (Object, Arc<Value>) {
        let Self { value, managed, fields } = self;
        let Encoded { json, metadata, managed } = encode(&value, &managed);
        let labels = labels(&value);
        let uid = value["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let meta = Meta::deserialize(&value["metadata"]).unwrap_or_default();
        let value = Arc::new(value);
        let parsed = Mutex::new(Arc::downgrade(&value));
        (Object { key, revision, uid, labels, fields, meta, json, metadata, managed, parsed }, value)
    }
}

impl Meta {
    /// The owner that manages the object.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Is it on its way out?
    pub fn is_deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Does this finalizer hold it?
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == name)
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

    /// Its `metadata.managedFields` as JSON; empty where there are none.
    pub fn managed_json(&self) -> Bytes {
        self.json.slice(self.managed.clone())
    }

    /// The whole object, parsed anew, managedFields included: for those who look at them.
    pub fn full(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// The object without its managedFields, shared by all who hold it.
    pub fn value(&self) -> Arc<Value> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = parsed.upgrade() {
            return value;
        }
        let value: Arc<Value> = Arc::new(self.parse_unmanaged());
        *parsed = Arc::downgrade(&value);
        value
    }

    /// Parses all but the managedFields, which are half of the text: what is left of it when they are cut out.
    fn parse_unmanaged(&self) -> Value {
        let Range { start, end } = self.managed;
        if start == end {
            return self.full();
        }
        let (before, after) = (&self.json[..start - MANAGED.len()], &self.json[end..]);
        let text = match (before.strip_suffix(b","), after.strip_prefix(b",")) {
            (_, Some(after)) => [before, after].concat(),
            (Some(before), None) => [before, after].concat(),
            (None, None) => [before, after].concat(),
        };
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

const MANAGED: &[u8] = b"\"managedFields\":";
const METADATA: &[u8] = b"\"metadata\":";

/// A text and where its parts are.
struct Encoded {
    json: Bytes,
    metadata: Range<usize>,
    managed: Range<usize>,
}

/// Encodes kind, apiVersion and metadata first, the managedFields in their place within the metadata.
fn encode(value: &Value, managed: &[u8]) -> Encoded {
    let empty = Map::new();
    let map = value.as_object().unwrap_or(&empty);
    let mut json = Vec::with_capacity(4096 + managed.len());
    json.push(b'{');
    for name in ["kind", "apiVersion"] {
        if let Some(member) = map.get(name) {
            write_member(&mut json, name, member);
            json.push(b',');
        }
    }
    json.extend_from_slice(METADATA);
    let start = json.len();
    let managed = write_metadata(&mut json, map.get("metadata").unwrap_or(&Value::Null), managed);
    let metadata = start..json.len();
    for (name, member) in map {
        if !matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
            json.push(b',');
            write_member(&mut json, name, member);
        }
    }
    json.push(b'}');
    // A copy of its length, rather than a block that was cut off and cannot be used by anything else.
    Encoded { json: Bytes::copy_from_slice(&json), metadata, managed }
}

/// Returns where the managedFields are.
fn write_metadata(json: &mut Vec<u8>, metadata: &Value, managed: &[u8]) -> Range<usize> {
    let members = match metadata {
        Value::Object(members) if !managed.is_empty() => members,
        other => {
            write(json, other);
            return 0..0;
        }
    };
    let (before, after): (Vec<_>, Vec<_>) = members.iter().partition(|(name, _)| name.as_str() < "managedFields");
    json.push(b'{');
    for (name, member) in before {
        write_member(json, name, member);
        json.push(b',');
    }
    json.extend_from_slice(MANAGED);
    let start = json.len();
    json.extend_from_slice(managed);
    let end = json.len();
    for (name, member) in after {
        json.push(b',');
        write_member(json, name, member);
    }
    json.push(b'}');
    start..end
}

fn write_member(json: &mut Vec<u8>, name: &str, member: &Value) {
    write(json, name);
    json.push(b':');
    write(json, member);
}

fn write(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing a Value into a Vec fails for no input: its keys are strings and the Vec grows.
    let written = serde_json::to_writer(&mut *json, value);
    debug_assert!(written.is_ok(), "a JSON value always encodes");
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let Some(labels) = value["metadata"]["labels"].as_object() else { return BTreeMap::new() };
    labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
