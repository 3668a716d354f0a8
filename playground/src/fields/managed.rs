//! `metadata.managedFields`: who owns what, as it is kept with the object.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::set::{self, FieldSet};

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
    pub(super) set: Claim,
    pub(super) time: Option<String>,
}

/// The fields of an entry. Most writes touch one entry and pass the others on as they are.
#[derive(Clone, Debug)]
pub(super) enum Claim {
    /// As they were stored.
    Text(Bytes),
    /// As they were read, or made.
    Paths(FieldSet),
}

impl Claim {
    /// The fields.
    pub(super) fn read(&self) -> Cow<'_, FieldSet> {
        match self {
            Self::Text(text) => Cow::Owned(serde_json::from_slice(text).unwrap_or_default()),
            Self::Paths(set) => Cow::Borrowed(set),
        }
    }

    /// The fields that are among these, too.
    pub(super) fn shared_with(&self, paths: &FieldSet) -> FieldSet {
        if self.may_touch(paths) { self.read().intersection(paths) } else { FieldSet::default() }
    }

    /// Takes these from the fields.
    pub(super) fn take(&mut self, paths: &FieldSet) {
        if self.may_touch(paths) {
            *self = Self::Paths(self.read().into_owned().difference(paths));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => **text == *b"{}",
            Self::Paths(set) => set.is_empty(),
        }
    }

    fn may_touch(&self, paths: &FieldSet) -> bool {
        match self {
            Self::Text(text) => set::may_touch(text, paths),
            Self::Paths(_) => true,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Paths(set) => set.write(out),
        }
    }
}

impl PartialEq for Claim {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) if one == other => true,
            _ => self.read() == other.read(),
        }
    }
}

impl Eq for Claim {}

/// The entries of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managers(pub(super) BTreeMap<Manager, Entry>);

/// An object as it stands, and apart from it the text of its managed fields: they are as long as the object itself, most
/// of a write has no use for them, and what is apart is neither copied nor compared.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// The object without its `metadata.managedFields`.
    pub object: &'a Value,
    /// `metadata.managedFields` as JSON; empty where there are none.
    pub managed: &'a Bytes,
}

/// An entry as it is read, with its fields as text or as what a request says they are.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de>"), rename_all = "camelCase")]
struct Wire<F> {
    api_version: Option<String>,
    fields_type: Option<String>,
    #[serde(rename = "fieldsV1")]
    fields: Option<F>,
    manager: Option<String>,
    operation: Option<String>,
    subresource: Option<String>,
    time: Option<String>,
}

/// Reads entries as they are stored; `None` where they are not what a server writes.
pub(super) fn decode(text: &Bytes) -> Option<Managers> {
    if text.is_empty() {
        return Some(Managers::default());
    }
    let entries: Vec<Wire<&RawValue>> = serde_json::from_slice(text).ok()?;
    read(entries, |fields| Claim::Text(text.slice_ref(fields.get().as_bytes())))
}

/// Reads entries as a request carries them; `None` where they are not what a server writes.
pub(super) fn decode_sent(entries: &Value) -> Option<Managers> {
    read(Vec::<Wire<FieldSet>>::deserialize(entries).ok()?, Claim::Paths)
}

fn read<F>(entries: Vec<Wire<F>>, claim: impl Fn(F) -> Claim) -> Option<Managers> {
    let mut managers = Managers::default();
    for Wire { api_version, fields_type, fields, manager, operation, subresource, time } in entries {
        let operation = match operation.as_deref() {
            Some("Apply") => Operation::Apply,
            Some("Update") => Operation::Update,
            _ => return None,
        };
        let api_version = api_version.filter(|version| !version.is_empty())?;
        if fields_type.as_deref() != Some("FieldsV1") {
            return None;
        }
        let manager = Manager::new(&manager.unwrap_or_default(), operation, &api_version, subresource.as_deref());
        let set = fields.map_or_else(|| Claim::Paths(FieldSet::default()), &claim);
        managers.0.insert(manager, Entry { api_version, set, time });
    }
    Some(managers)
}

impl Managers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the paths from every manager but one; an entry with nothing left goes.
    pub(super) fn take(&mut self, paths: &FieldSet, but: Option<&Manager>) {
        for (manager, entry) in &mut self.0 {
            if Some(manager) != but {
                entry.set.take(paths);
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
                entry.set = Claim::Paths(entry.set.read().into_owned().union(folded.set.read().into_owned()));
                entry.time = folded.time;
            }
            first_of.insert(version, bucket);
            left -= 1;
        }
    }

    /// The entries as they are stored: nothing at all where there is none.
    pub(super) fn encode(&self) -> Bytes {
        if self.is_empty() {
            return Bytes::new();
        }
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by(|a, b| order(*a, *b));
        let mut out = Vec::with_capacity(1024);
        for (at, (manager, entry)) in entries.into_iter().enumerate() {
            out.push(if at == 0 { b'[' } else { b',' });
            write(manager, entry, &mut out);
        }
        out.push(b']');
        out.into()
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

/// Writes an entry, its members in the order of their names.
fn write(manager: &Manager, entry: &Entry, out: &mut Vec<u8>) {
    let Manager { name, operation, api_version: _, subresource } = manager;
    let Entry { api_version, set, time } = entry;
    let text = |text: &str| Value::from(text).to_string();
    out.extend_from_slice(
        format!(r#"{{"apiVersion":{},"fieldsType":"FieldsV1","fieldsV1":"#, text(api_version)).as_bytes(),
    );
    set.write(out);
    out.extend_from_slice(format!(r#","manager":{},"operation":"{}""#, text(name), operation.name()).as_bytes());
    if !subresource.is_empty() {
        out.extend_from_slice(format!(r#","subresource":{}"#, text(subresource)).as_bytes());
    }
    if let Some(time) = time {
        out.extend_from_slice(format!(r#","time":{}"#, text(time)).as_bytes());
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        let managers = decode(&json!(shuffled).to_string().into()).unwrap();
        assert_eq!(managers.encode(), sorted.to_string());
    }

    #[test]
    fn entries_that_no_server_writes_are_refused() {
        let cases = [
            json!([{"manager": "a"}]),
            json!([{"manager": "a", "operation": "Apply", "apiVersion": "v1"}]),
            json!([{"manager": "a", "operation": "Apply", "fieldsType": "FieldsV1"}]),
        ];
        for entries in cases {
            assert_eq!(decode_sent(&entries), None, "{entries}");
        }
    }

    #[test]
    fn an_eleventh_updater_folds_the_two_oldest() {
        let entries: Vec<_> =
            (0..11).map(|i| entry(&format!("m{i:02}"), "Update", &format!("2026-01-{:02}T00:00:00Z", i + 1))).collect();
        let mut managers = decode_sent(&json!(entries)).unwrap();
        managers.fold();
        let names: Vec<_> = managers.0.keys().map(|manager| manager.name.as_str()).collect();
        assert_eq!(names[..2], ["ancient-changes", "m02"]);
        assert_eq!(names.len(), 10);
        let folded = managers.0.values().next().unwrap();
        assert_eq!(*folded.set.read(), FieldSet::of_fields(&[&["m00"], &["m01"]]));
        assert_eq!(folded.time.as_deref(), Some("2026-01-02T00:00:00Z"));
    }
}
