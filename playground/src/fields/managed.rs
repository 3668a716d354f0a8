//! `metadata.managedFields`: who owns what, as it is kept with the object.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::set::FieldSet;

/// More entries of updates than this are folded into one of this name, the oldest first.
const MAX_UPDATERS: usize = 10;
const FOLDED: &str = "ancient-changes";

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Server-side apply: it says all that it wants.
    Apply,
    /// Everything else: it says what it changes.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What tells one entry from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Empty for an applier: whatever version it applies, it is the same one.
    pub(super) api_version: String,
    pub(super) subresource: String,
}

impl Manager {
    pub(super) fn new(name: &str, operation: Operation, api_version: &str, subresource: Option<&str>) -> Self {
        let api_version = match operation {
            Operation::Apply => String::new(),
            Operation::Update => api_version.to_owned(),
        };
        let subresource = subresource.unwrap_or_default().to_owned();
        Self { name: name.to_owned(), operation, api_version, subresource }
    }
}

/// What a manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) api_version: String,
    pub(super) set: FieldSet,
    pub(super) time: Option<String>,
}

/// The entries of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managers(pub(super) BTreeMap<Manager, Entry>);

/// The entries of an object; `None` where they are not what a server writes.
pub(super) fn decode(object: &Value) -> Option<Managers> {
    let mut managers = Managers::default();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let api_version = text("apiVersion");
        if api_version.is_empty() || text("fieldsType") != "FieldsV1" {
            return None;
        }
        let set = match &entry["fieldsV1"] {
            Value::Null => FieldSet::default(),
            fields => FieldSet::decode(fields)?,
        };
        let manager = Manager::new(text("manager"), operation, api_version, entry["subresource"].as_str());
        let time = entry["time"].as_str().map(str::to_owned);
        managers.0.insert(manager, Entry { api_version: api_version.to_owned(), set, time });
    }
    Some(managers)
}

/// The object without its entries.
pub(super) fn without(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// Whether two objects are equal beside their entries.
pub(super) fn same_beside(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return old == new };
    let metadata = |object: &Map<String, Value>| object.get("metadata").and_then(Value::as_object).cloned();
    let rest = |object: &Map<String, Value>| object.iter().filter(|(name, _)| *name != "metadata").count();
    let same = |name: &String, value: &Value| name == "metadata" || new.get(name) == Some(value);
    if rest(old) != rest(new) || !old.iter().all(|(name, value)| same(name, value)) {
        return false;
    }
    let (mut before, mut after) = (metadata(old).unwrap_or_default(), metadata(new).unwrap_or_default());
    before.remove("managedFields");
    after.remove("managedFields");
    before == after
}

impl Managers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the paths from every manager but one; an entry with nothing left goes.
    pub(super) fn take(&mut self, paths: &FieldSet, but: Option<&Manager>) {
        for (manager, entry) in &mut self.0 {
            if Some(manager) != but {
                entry.set = entry.set.difference(paths);
            }
        }
        self.0.retain(|_, entry| !entry.set.is_empty());
    }

    /// Folds the oldest updates of a version together until there are few enough entries.
    pub(super) fn fold(&mut self) {
        let mut updaters: Vec<_> = self.0.keys().cloned().collect();
        updaters.retain(|manager| manager.operation == Operation::Update);
        updaters.sort_by_key(|manager| (self.0[manager].time.clone(), manager.clone()));
        let mut left = updaters.len();
        let mut first_of: BTreeMap<String, Manager> = BTreeMap::new();
        for manager in updaters {
            if left <= MAX_UPDATERS {
                return;
            }
            let version = manager.api_version.clone();
            let Some(first) = first_of.get(&version) else {
                first_of.insert(version, manager);
                continue;
            };
            let bucket = Manager::new(FOLDED, Operation::Update, &version, None);
            if let Some(entry) = self.0.remove(first) {
                self.0.insert(bucket.clone(), entry);
            }
            if let Some(folded) = self.0.remove(&manager)
                && let Some(entry) = self.0.get_mut(&bucket)
            {
                entry.set = entry.set.union(&folded.set);
                entry.time = folded.time;
            }
            first_of.insert(version, bucket);
            left -= 1;
        }
    }

    /// The object with these entries.
    pub(super) fn encode_into(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        if self.is_empty() {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
            return;
        }
        let metadata = object.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("managedFields".to_owned(), self.encode());
        }
    }

    fn encode(&self) -> Value {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by(|a, b| order(*a, *b));
        entries.into_iter().map(|(manager, entry)| encode(manager, entry)).collect()
    }
}

/// Appliers first, then by age, then by name.
fn order((a, a_entry): (&Manager, &Entry), (b, b_entry): (&Manager, &Entry)) -> Ordering {
    let key = |manager: &Manager| manager.operation;
    key(a)
        .cmp(&key(b))
        .then_with(|| a_entry.time.cmp(&b_entry.time))
        .then_with(|| a.name.cmp(&b.name))
        .then_with(|| a_entry.api_version.cmp(&b_entry.api_version))
        .then_with(|| a.subresource.cmp(&b.subresource))
}

fn encode(manager: &Manager, entry: &Entry) -> Value {
    let Manager { name, operation, api_version: _, subresource } = manager;
    let Entry { api_version, set, time } = entry;
    let mut out = json!({
        "manager": name,
        "operation": operation.name(),
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": set.encode(),
    });
    if let Some(time) = time {
        out["time"] = json!(time);
    }
    if !subresource.is_empty() {
        out["subresource"] = json!(subresource);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(entries: &Value) -> Value {
        json!({"metadata": {"managedFields": entries}})
    }

    fn entry(manager: &str, operation: &str, time: &str) -> Value {
        json!({
            "manager": manager,
            "operation": operation,
            "apiVersion": "v1",
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": {format!("f:{manager}"): {}},
        })
    }

    #[test]
    fn appliers_come_first_then_the_oldest_then_by_name() {
        let sorted = json!([
            entry("z", "Apply", "2026-01-02T00:00:00Z"),
            entry("c", "Update", "2026-01-01T00:00:00Z"),
            entry("a", "Update", "2026-01-02T00:00:00Z"),
            entry("b", "Update", "2026-01-02T00:00:00Z"),
        ]);
        let mut shuffled = sorted.as_array().unwrap().clone();
        shuffled.reverse();
        let managers = decode(&object(&json!(shuffled))).unwrap();
        let mut out = json!({});
        managers.encode_into(&mut out);
        assert_eq!(out, object(&sorted));
    }

    #[test]
    fn entries_that_no_server_writes_are_refused() {
        let cases = [
            json!([{"manager": "a"}]),
            json!([{"manager": "a", "operation": "Apply", "apiVersion": "v1"}]),
            json!([{"manager": "a", "operation": "Apply", "fieldsType": "FieldsV1"}]),
        ];
        for entries in cases {
            assert_eq!(decode(&object(&entries)), None, "{entries}");
        }
    }

    #[test]
    fn an_eleventh_updater_folds_the_two_oldest() {
        let entries: Vec<_> =
            (0..11).map(|i| entry(&format!("m{i:02}"), "Update", &format!("2026-01-{:02}T00:00:00Z", i + 1))).collect();
        let mut managers = decode(&object(&json!(entries))).unwrap();
        managers.fold();
        let names: Vec<_> = managers.0.keys().map(|manager| manager.name.as_str()).collect();
        assert_eq!(names[..2], ["ancient-changes", "m02"]);
        assert_eq!(names.len(), 10);
        let folded = managers.0.values().next().unwrap();
        assert_eq!(folded.set, FieldSet::of_fields(&[&["m00"], &["m01"]]));
        assert_eq!(folded.time.as_deref(), Some("2026-01-02T00:00:00Z"));
    }
}
