//! Server-side apply.
//!
//! ```text
//! merged  = live + config
//! pruned  = merged - what this manager applied last time and nobody claims now
//! changed = pruned - live          claimed by others: conflicts, or, forced, taken from them
//! ```
//!
//! Nothing here fills in defaults: the caller does, on the result. A field that goes and comes back as
//! a default is therefore nobody's, as in the API server.

use std::fmt;

use bytes::Bytes;
use serde_json::{Value, json};

use super::check::check;
use super::compare::compare;
use super::managed::{self, Claim, Entry, Manager, Managers, Operation, State};
use super::merge::merge;
use super::owned::{owned, remove, with_structs};
use super::path;
use super::schema::Schema;
use super::set::FieldSet;
use super::update;

/// The manager of what an object had before anybody's fields were tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Why a configuration was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Others own what the configuration wants to change: HTTP 409, reason `Conflict`.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The request carries managed fields, which are the server's to write: HTTP 400.
    #[error("metadata.managedFields must be nil")]
    ManagedFields,
    /// The configuration can't be merged, a list holding the same item twice: HTTP 500.
    #[error("failed to create typed patch object: {}", .0.join("\n"))]
    Untyped(Vec<String>),
    /// The live object's own entries are broken: HTTP 500.
    #[error("failed to decode managed fields of the live object")]
    Live,
}

/// A field that another manager owns and that would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it.
    pub manager: String,
    /// How it got it.
    pub operation: Operation,
    /// Through which version; empty for an applier.
    pub api_version: String,
    /// Through which subresource; empty for the object itself.
    pub subresource: String,
    /// The path, `.spec.replicas`: the `field` of the cause.
    pub field: String,
}

impl Conflict {
    /// The `message` of the cause: `conflict with "kubectl-edit" using apps/v1`.
    pub fn cause(&self) -> String {
        format!("conflict with {}", self.owner())
    }

    fn owner(&self) -> String {
        let Self { manager, operation, api_version, subresource, field: _ } = self;
        let mut owner = format!("{manager:?}");
        if !subresource.is_empty() {
            owner = format!("{owner} with subresource {subresource:?}");
        }
        match operation {
            Operation::Apply => owner,
            Operation::Update => format!("{owner} using {api_version}"),
        }
    }
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: {}: {}", only.cause(), only.field);
    }
    let mut lines: Vec<String> = Vec::new();
    let mut owner = String::new();
    for conflict in conflicts {
        if conflict.owner() != owner {
            owner = conflict.owner();
            lines.push(format!("conflicts with {owner}:"));
        }
        lines.push(format!("- {}", conflict.field));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// Who applies, and how.
#[derive(Clone, Copy, Debug)]
pub struct Applier<'a> {
    /// The `fieldManager`.
    pub manager: &'a str,
    /// Takes what others own instead of failing.
    pub force: bool,
    /// The version of the request.
    pub api_version: &'a str,
    /// The subresource of the request's path.
    pub subresource: Option<&'a str>,
    /// The time of the request, RFC 3339 in UTC to the second.
    pub now: &'a str,
}

/// Applies a configuration to the live object, or makes the object where there is none.
///
/// The result is the object without any new defaults, and its managed fields as they are stored. A configuration that
/// changes nothing gives back the live object; what only differs by a time is settled by
/// [`keep_times`](super::keep_times) once the caller has filled in the defaults.
pub fn apply(
    live: Option<State<'_>>,
    config: &Value,
    by: Applier<'_>,
    schema: &Schema,
) -> Result<(Value, Bytes), ApplyError> {
    if !config["metadata"]["managedFields"].is_null() {
        return Err(ApplyError::ManagedFields);
    }
    check(schema, config).map_err(ApplyError::Untyped)?;
    let nothing = json!({});
    let nobodys = Bytes::new();
    let State { object: live, managed } = live.unwrap_or(State { object: &nothing, managed: &nobodys });
    let mut managers = managed::decode(managed).ok_or(ApplyError::Live)?;
    if managers.is_empty() {
        let by = update::Updater { manager: BEFORE_FIRST_APPLY, ..by.as_updater() };
        update::track(&mut managers, &nothing, live, by, schema);
    }

    let manager = Manager::new(by.manager, Operation::Apply, by.api_version, by.subresource);
    let reset = schema.reset_by(by.subresource);
    let last = managers.0.remove(&manager);
    let entry = Entry {
        api_version: by.api_version.to_owned(),
        set: Claim::Paths(owned(schema, config).recursive_difference(&reset)),
        time: last.as_ref().and_then(|last| last.time.clone()),
    };
    managers.0.insert(manager.clone(), entry);
    let merged = merge(schema, live, config);
    let object = match last {
        Some(last) => prune(schema, &merged, &last.set.read(), &managers),
        None => merged,
    };

    settle(&mut managers, &manager, live, &object, by, schema)?;
    if object != *live
        && let Some(entry) = managers.0.get_mut(&manager)
    {
        entry.time = Some(by.now.to_owned());
    }
    Ok((object, managers.encode()))
}

impl Applier<'_> {
    fn as_updater(&self) -> update::Updater<'_> {
        let Self { manager, force: _, api_version, subresource, now } = *self;
        update::Updater { manager, api_version, subresource, now }
    }
}

/// Finds the conflicts, or takes the fields.
fn settle(
    managers: &mut Managers,
    manager: &Manager,
    live: &Value,
    object: &Value,
    by: Applier<'_>,
    schema: &Schema,
) -> Result<(), ApplyError> {
    let difference = compare(schema, live, object).excluding(&schema.reset_by(by.subresource));
    let (changed, removed) = difference.changed_and_removed();
    let others = managers.0.iter().filter(|(other, _)| *other != manager);
    let conflicts: Vec<_> =
        others.flat_map(|(other, entry)| conflicts(other, &entry.set.shared_with(&changed))).collect();
    if !by.force && !conflicts.is_empty() {
        return Err(ApplyError::Conflicts(conflicts));
    }
    managers.take(&changed, Some(manager));
    managers.take(&removed, Some(manager));
    update::strip(managers, manager);
    Ok(())
}

fn conflicts(owner: &Manager, fields: &FieldSet) -> Vec<Conflict> {
    let Manager { name, operation, api_version, subresource } = owner;
    let conflict = |field: Vec<path::Step>| Conflict {
        manager: name.clone(),
        operation: *operation,
        api_version: api_version.clone(),
        subresource: subresource.clone(),
        field: path::print(&field),
    };
    fields.paths().into_iter().map(conflict).collect()
}

/// Removes what the manager owned last time, does not send now, and nobody else owns either.
///
/// What it owned goes with all that is inside; from that, all that is still owned comes back, and so
/// does what was never its own: a stranger's field inside a list item keeps the item.
fn prune(schema: &Schema, merged: &Value, last: &FieldSet, managers: &Managers) -> Value {
    let all = with_structs(schema, &owned(schema, merged));
    let last = with_structs(schema, last);
    let left = |object: &Value, gone: &FieldSet| remove(&schema.root, object, gone).unwrap_or_else(|| json!({}));
    let set_of = |object: &Value| with_structs(schema, &owned(schema, object));

    let without_last = left(merged, &last);
    let claimed = managers.0.values().fold(FieldSet::default(), |all, entry| all.union(entry.set.read().into_owned()));
    let kept = set_of(&without_last).union(with_structs(schema, &claimed));
    let with_claimed = left(merged, &all.clone().difference(&kept));
    let gone = all.difference(&set_of(&with_claimed)).intersection(&last);
    left(merged, &gone)
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause(), self.field)
    }
}

#[cfg(test)]
mod tests;
