//! Step two: decide whether this server may have children, and which.

use std::collections::BTreeMap;

use super::children::{Child, InjectedSecret, SecretHash};
use super::kind::ChildKind;
use super::observe::{Observed, Relation, SecretState, relation};
use crate::api::MCPServerSpec;

/// What to do for a server.
#[derive(Debug)]
pub enum Verdict<'observed> {
    /// Create and change its children as the spec calls for.
    Wanted(Wanted<'observed>),
    /// Do nothing, because the spec says `suspend`. What would be wanted, if that is known, serves for comparison.
    Suspended(Option<Wanted<'observed>>),
    /// Do nothing, for this reason.
    HandsOff(HandsOff),
}

/// A server whose children may be created and changed. Only [`validate`] makes one, so whatever is built from it was
/// validated.
#[derive(Debug)]
pub struct Wanted<'observed> {
    /// The spec.
    pub spec: &'observed MCPServerSpec,
    /// What to do about each child.
    pub slots: Slots<'observed>,
    /// The Secret for the pods.
    pub secret: Option<InjectedSecret>,
}

/// What to do about the children of each kind.
#[derive(Debug)]
pub struct Slots<'observed>(BTreeMap<ChildKind, Slot<'observed>>);

impl<'observed> Slots<'observed> {
    /// What to do about the child of this kind.
    pub fn get(&self, kind: ChildKind) -> Slot<'observed> {
        self.0.get(&kind).copied().unwrap_or(Slot::Unwanted)
    }
}

/// What to do about a child.
#[derive(Debug, Clone, Copy)]
pub enum Slot<'observed> {
    /// The spec does not call for it, and there is none of ours.
    Unwanted,
    /// The spec does not call for it any more: delete it.
    Surplus(&'observed Child),
    /// It does not exist: create it.
    Empty,
    /// It exists: change it where it differs.
    Taken(&'observed Child),
    /// It exists without an owner: adopt it.
    Adopted(&'observed Child),
    /// Leave it alone for now: the existing object is going away, or something that the child needs is missing.
    Waiting,
}

/// Why nothing is created or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandsOff {
    /// The server is being deleted.
    Terminating,
    /// Its spec can't be decoded.
    Undecodable(String),
    /// An object that is not the server's own has its name.
    NameConflict(String),
}

/// Decides what to do.
pub fn validate(observed: &Observed) -> Verdict<'_> {
    let server = &observed.server;
    if server.meta.deleting {
        return Verdict::HandsOff(HandsOff::Terminating);
    }
    let spec = match &server.spec {
        Ok(spec) => spec,
        Err(error) => return Verdict::HandsOff(HandsOff::Undecodable(error.clone())),
    };
    match (slots(observed, spec), spec.suspend) {
        (slots, true) => Verdict::Suspended(slots.ok().map(|slots| with_secret(observed, spec, slots))),
        (Ok(slots), false) => Verdict::Wanted(with_secret(observed, spec, slots)),
        (Err(conflict), false) => Verdict::HandsOff(HandsOff::NameConflict(conflict)),
    }
}

/// What to do about each child, or the conflict with an object that is not the server's own.
fn slots<'observed>(observed: &'observed Observed, spec: &MCPServerSpec) -> Result<Slots<'observed>, String> {
    if let Some(unreadable) = &observed.unreadable {
        return Err(unreadable.clone());
    }
    let slot = |kind: ChildKind| Ok((kind, slot(observed, kind, kind.is_in(spec))?));
    Ok(Slots(ChildKind::ALL.into_iter().map(slot).collect::<Result<_, String>>()?))
}

fn slot(observed: &Observed, kind: ChildKind, wanted: bool) -> Result<Slot<'_>, String> {
    let child = observed.child(kind).map(|child| (child, relation(child, kind.as_str(), &observed.server.meta.uid)));
    Ok(match (child, wanted) {
        (None, true) => Slot::Empty,
        (Some((child, Relation::Ours)), true) => Slot::Taken(child),
        (Some((child, Relation::Orphan)), true) => Slot::Adopted(child),
        (Some((_, Relation::Departing)), true) => Slot::Waiting,
        (Some((_, Relation::Foreign(conflict))), true) => return Err(conflict),
        (Some((child, Relation::Ours)), false) => Slot::Surplus(child),
        // What has our labels but no owner may be kept by somebody on purpose.
        (Some((_, Relation::Orphan | Relation::Departing | Relation::Foreign(_))) | None, false) => Slot::Unwanted,
    })
}

/// Without its Secret a Deployment is not created, because its pods could not start. An existing one keeps the Secret
/// that it has: when a Secret is deleted and created again, or the spec names one that does not exist yet, no pod is
/// restarted in between.
fn with_secret<'observed>(
    observed: &'observed Observed,
    spec: &'observed MCPServerSpec,
    mut slots: Slots<'observed>,
) -> Wanted<'observed> {
    let named = |hash: &SecretHash| {
        let hash = Some(hash.as_str().to_owned());
        spec.secret_name.clone().map(|name| InjectedSecret { name, hash })
    };
    let (deployment, secret) = match (&observed.secret, slots.get(ChildKind::Deployment)) {
        (SecretState::NotRequired, slot) => (slot, None),
        (SecretState::Resolved(hash), slot) => (slot, named(hash)),
        (SecretState::Missing(_) | SecretState::Unreadable(..), Slot::Empty) => (Slot::Waiting, None),
        (SecretState::Missing(_) | SecretState::Unreadable(..), slot) => {
            (slot, observed.deployment.as_ref().and_then(|deployment| deployment.secret.clone()))
        }
    };
    slots.0.insert(ChildKind::Deployment, deployment);
    Wanted { spec, slots, secret }
}

#[cfg(test)]
mod tests;
