//! Step two: decide whether this server may have children, and which.

use std::collections::BTreeMap;

use super::children::{Child, InjectedSecret};
use super::kind::ChildKind;
use super::observe::{Observed, Relation, SecretState, relation};
use crate::api::MCPServerSpec;

/// What to do for a server.
#[derive(Debug)]
pub enum Verdict<'observed> {
    /// Create and change its children as the spec calls for.
    Wanted(Wanted<'observed>),
    /// Do nothing, because the spec says `suspend`. What would be wanted serves for comparison; or the conflict with an
    /// object that is not the server's own, which is there all the same.
    Suspended(Result<Wanted<'observed>, String>),
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
    /// What is in the way of some of the children.
    pub obstacles: Obstacles,
}

/// Objects that have the server's name and keep some of its children from being created, while the others are looked
/// after. In the words for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// One that is not the server's own, in the place of a child that the server can do without.
    pub conflict: Option<String>,
    /// Those that are going away. Their places are waited for.
    pub departing: BTreeMap<ChildKind, String>,
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
    /// It does not exist, and something that it needs is missing: leave its place empty.
    Waiting,
    /// The existing object is going away: leave it alone until it is gone.
    Departing,
    /// The existing object is not the server's own: leave it alone.
    Foreign,
}

/// Why nothing is created or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandsOff {
    /// The server is being deleted.
    Terminating,
    /// Its spec can't be decoded.
    Undecodable(String),
    /// An object that is not the server's own has the name of a child that the server can't do without.
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
    match (wanted(observed, spec), spec.suspend) {
        (wanted, true) => Verdict::Suspended(wanted),
        (Ok(wanted), false) => Verdict::Wanted(wanted),
        (Err(conflict), false) => Verdict::HandsOff(HandsOff::NameConflict(conflict)),
    }
}

/// What is wanted, or the conflict over a child that the server can't do without.
fn wanted<'observed>(
    observed: &'observed Observed,
    spec: &'observed MCPServerSpec,
) -> Result<Wanted<'observed>, String> {
    let (mut slots, mut obstacles) = (BTreeMap::new(), Obstacles::default());
    for kind in ChildKind::ALL {
        let slot =
            if kind.is_in(spec) { wanted_slot(observed, kind, &mut obstacles)? } else { other_slot(observed, kind) };
        slots.insert(kind, slot);
    }
    // Without its Secret a Deployment is not created, because its pods could not start.
    if observed.deployment.is_none() && observed.secret.is_lacking() {
        slots.insert(ChildKind::Deployment, Slot::Waiting);
    }
    Ok(Wanted { spec, slots: Slots(slots), secret: secret(observed, spec), obstacles })
}

/// What to do about a child that the spec calls for.
fn wanted_slot<'observed>(
    observed: &'observed Observed,
    kind: ChildKind,
    obstacles: &mut Obstacles,
) -> Result<Slot<'observed>, String> {
    let conflict = match (observed.unreadable.get(&kind), observed.child(kind)) {
        (Some(unreadable), _) => unreadable.clone(),
        (None, None) => return Ok(Slot::Empty),
        (None, Some(child)) => match relation(child, kind, &observed.server.meta.uid) {
            Relation::Ours => return Ok(Slot::Taken(child)),
            Relation::Orphan => return Ok(Slot::Adopted(child)),
            Relation::Departing(what) => {
                obstacles.departing.insert(kind, what);
                return Ok(Slot::Departing);
            }
            Relation::Foreign(conflict) => conflict,
        },
    };
    if !kind.is_extra() {
        return Err(conflict);
    }
    obstacles.conflict.get_or_insert(conflict);
    Ok(Slot::Foreign)
}

/// What to do about a child that the spec does not call for. What has our labels but no owner may be kept by somebody on
/// purpose.
fn other_slot(observed: &Observed, kind: ChildKind) -> Slot<'_> {
    let ours = |child: &&Child| relation(child, kind, &observed.server.meta.uid) == Relation::Ours;
    observed.child(kind).filter(ours).map_or(Slot::Unwanted, Slot::Surplus)
}

/// The Secret for the pods. While it is lacking, a Deployment keeps the one that it has: when a Secret is deleted and
/// created again, or the spec names one that does not exist yet, no pod is restarted in between.
fn secret(observed: &Observed, spec: &MCPServerSpec) -> Option<InjectedSecret> {
    match &observed.secret {
        SecretState::NotRequired => None,
        SecretState::Resolved(hash) => {
            let hash = Some(hash.as_str().to_owned());
            spec.secret_name.clone().map(|name| InjectedSecret { name, hash })
        }
        SecretState::Missing(_) | SecretState::Unreadable(..) => observed.deployment.as_ref()?.secret.clone(),
    }
}

#[cfg(test)]
mod tests;
