//! Ownership after every write that is not an apply: who changes a field owns it, alone.

use serde_json::{Value, json};

use super::compare::compare;
use super::managed::{self, Entry, Manager, Managers, Operation};
use super::schema::Schema;
use super::set::FieldSet;

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Updater<'a> {
    /// The `fieldManager`, or what the server makes of the User-Agent.
    pub manager: &'a str,
    /// The version of the request.
    pub api_version: &'a str,
    /// The subresource of the request's path.
    pub subresource: Option<&'a str>,
    /// The time of the request, RFC 3339 in UTC to the second.
    pub now: &'a str,
}

/// The new object with the managed fields that the write leads to.
///
/// `new` is the object as it will be stored, its defaults filled in. Managed fields that it carries
/// are taken for the live ones, so that a client can edit them; an empty list, or one empty entry,
/// forgets them all, and nothing is tracked from there on until the next apply. Through a subresource
/// the live ones count.
pub fn track_update(old: Option<&Value>, new: Value, by: Updater<'_>, schema: &Schema) -> Value {
    let mut managers = start(old, &new, by.subresource);
    let mut object = managed::without(new);
    if old.is_none() || !managers.is_empty() {
        let before = old.cloned().map_or_else(|| json!({}), managed::without);
        track(&mut managers, &before, &object, by, schema);
        managers.fold();
    }
    managers.encode_into(&mut object);
    object
}

/// The entries to start from.
fn start(old: Option<&Value>, new: &Value, subresource: Option<&str>) -> Managers {
    let live = || old.and_then(managed::decode).unwrap_or_default();
    if subresource.is_some() {
        return live();
    }
    match new["metadata"]["managedFields"].as_array().map(Vec::as_slice) {
        Some([]) => Managers::default(),
        Some([only]) if only.as_object().is_some_and(serde_json::Map::is_empty) => Managers::default(),
        Some(_) => managed::decode(new).unwrap_or_else(live),
        None => live(),
    }
}

/// Gives what differs to the manager and takes it from all others. Equal objects change nothing.
pub(super) fn track(managers: &mut Managers, old: &Value, new: &Value, by: Updater<'_>, schema: &Schema) {
    let difference = compare(schema, old, new).excluding(&schema.reset_by(by.subresource));
    let changed = difference.changed();
    managers.take(&changed.union(&difference.removed), None);
    let changed = changed.difference(&never_owned());
    if changed.is_empty() {
        return;
    }
    let manager = Manager::new(by.manager, Operation::Update, by.api_version, by.subresource);
    let previous = managers.0.remove(&manager).map(|entry| entry.set).unwrap_or_default();
    let entry =
        Entry { api_version: by.api_version.to_owned(), set: previous.union(&changed), time: Some(by.now.to_owned()) };
    managers.0.insert(manager, entry);
}

/// Removes from a manager's set what belongs to the server.
pub(super) fn strip(managers: &mut Managers, manager: &Manager) {
    if let Some(entry) = managers.0.get_mut(manager) {
        entry.set = entry.set.difference(&never_owned());
        if entry.set.is_empty() {
            managers.0.remove(manager);
        }
    }
}

fn never_owned() -> FieldSet {
    FieldSet::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

/// Gives back the old managed fields where the new object differs from the old one by their times
/// only: such a write is no write, and the resourceVersion stays.
pub fn keep_times(old: &Value, new: &mut Value) {
    // Most writes change something, and that is found sooner than whether the entries differ.
    if !managed::same_beside(old, new) {
        return;
    }
    let timeless = |object: &Value| {
        let mut managers = managed::decode(object)?;
        for entry in managers.0.values_mut() {
            entry.time = None;
        }
        Some(managers)
    };
    let (before, after) = (timeless(old), timeless(new));
    if before.is_some() && before == after {
        *new = old.clone();
    }
}

#[cfg(test)]
mod tests;
