//! Ownership after a write through the scale subresource.
//!
//! Such a write sets one field of the object behind it. The scaling manager gets an entry of its own,
//! with the subresource "scale" and, a quirk of the API server that is kept here, no time; the others
//! lose the field.

use bytes::Bytes;
use serde_json::Value;

use super::managed::{self, Claim, Entry, Manager, Operation, State};
use super::path::Step;
use super::set::FieldSet;
use super::update::Updater;

/// The managed fields that a scale write leads to; `new` is the object behind it. `path` leads to the number of
/// replicas, `["spec", "replicas"]`. Where that number is as before nothing changes hands.
pub fn track_scale(old: State<'_>, new: &Value, path: &[&str], by: Updater<'_>) -> Bytes {
    let at = |object: &Value| path.iter().try_fold(object, |value, name| value.get(name)).cloned();
    let mut managers = managed::decode(old.managed).unwrap_or_default();
    if at(old.object) != at(new) && !managers.is_empty() {
        let mut replicas = FieldSet::default();
        replicas.insert(&path.iter().map(|name| Step::field(name)).collect::<Vec<_>>());
        // The entry is known by the version of the Scale object, and written with the object's own.
        let manager = Manager::new(by.manager, Operation::Update, by.api_version, by.subresource.or(Some("scale")));
        let time = managers.0.get(&manager).and_then(|entry| entry.time.clone());
        managers.take(&replicas, None);
        let api_version = by.api_version.to_owned();
        managers.0.insert(manager, Entry { api_version, set: Claim::Paths(replicas), time });
    }
    managers.encode()
}
