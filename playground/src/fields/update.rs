//! Ownership after every write that is not an apply: who changes a field owns it, alone.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Value, json};

use super::compare::compare;
use super::managed::{self, Claim, Entry, Manager, Managers, Operation, State};
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

/// The managed fields that a write leads to, as they are stored.
///
/// `new` is the object as it will be stored, its defaults filled in. Managed fields that the request carried (`sent`)
/// are taken for the live ones, so that a client can edit them; an empty list, or one empty entry,
/// forgets them all, and nothing is tracked from there on until the next apply. Through a subresource
/// the live ones count.
pub fn track_update(
    old: Option<State<'_>>,
    new: &Value,
    sent: Option<&Value>,
    by: Updater<'_>,
    schema: &Schema,
) -> Bytes {
    let mut managers = start(old, sent, by.subresource);
    if old.is_none() || !managers.is_empty() {
        let nothing = json!({});
        track(&mut managers, old.map_or(&nothing, |old| old.object), new, by, schema);
        managers.fold();
    }
    managers.encode()
}

/// The entries to start from.
fn start(old: Option<State<'_>>, sent: Option<&Value>, subresource: Option<&str>) -> Managers {
    let live = || old.and_then(|old| managed::decode(old.managed)).unwrap_or_default();
    if subresource.is_some() {
        return live();
    }
    match sent.and_then(Value::as_array).map(Vec::as_slice) {
        Some([]) => Managers::default(),
        Some([only]) if only.as_object().is_some_and(serde_json::Map::is_empty) => Managers::default(),
        Some(_) => sent.and_then(managed::decode_sent).unwrap_or_else(live),
        None => live(),
    }
}

/// Gives what differs to the manager and takes it from all others. Equal objects change nothing.
pub(super) fn track(managers: &mut Managers, old: &Value, new: &Value, by: Updater<'_>, schema: &Schema) {
    let difference = compare(schema, old, new).excluding(&schema.reset_by(by.subresource));
    let (changed, removed) = difference.changed_and_removed();
    managers.take(&changed, None);
    managers.take(&removed, None);
    let changed = changed.difference(&NEVER_OWNED);
    if changed.is_empty() {
        return;
    }
    let manager = Manager::new(by.manager, Operation::Update, by.api_version, by.subresource);
    let previous = managers.0.remove(&manager).map(|entry| entry.set.read().into_owned()).unwrap_or_default();
    let (set, time) = (Claim::Paths(previous.union(changed)), Some(by.now.to_owned()));
    let entry = Entry { api_version: by.api_version.to_owned(), set, time };
    managers.0.insert(manager, entry);
}

/// Removes from a manager's set what belongs to the server.
pub(super) fn strip(managers: &mut Managers, manager: &Manager) {
    if let Some(entry) = managers.0.get_mut(manager) {
        entry.set.take(&NEVER_OWNED);
        if entry.set.is_empty() {
            managers.0.remove(manager);
        }
    }
}

/// What belongs to the server, whoever writes it.
static NEVER_OWNED: LazyLock<FieldSet> = LazyLock::new(|| {
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
});

/// The managed fields of an object that a write left as it was: the old ones, where the new ones differ from them by
/// their times only. Such a write is no write, and the resourceVersion stays.
pub fn keep_times(old: &Bytes, new: Bytes) -> Bytes {
    let timeless = |text: &Bytes| {
        let mut managers = managed::decode(text)?;
        for entry in managers.0.values_mut() {
            entry.time = None;
        }
        Some(managers)
    };
    if *old == new {
        return new;
    }
    let (before, after) = (timeless(old), timeless(&new));
    if before.is_some() && before == after { old.clone() } else { new }
}

#[cfg(test)]
mod tests;
