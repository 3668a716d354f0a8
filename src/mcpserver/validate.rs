//! Step two: decide whether this server may have children, and which.

use super::children::{Child, InjectedSecret, SecretHash};
use super::observe::{Observed, Relation, SecretState, relation};
use crate::api::MCPServerSpec;
use crate::object::{DEPLOYMENTS, SERVICES};

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
    /// What to do about the Deployment.
    pub deployment: Slot<'observed>,
    /// What to do about the Service.
    pub service: Slot<'observed>,
    /// The Secret for the pods.
    pub secret: Option<InjectedSecret>,
}

/// What to do about a child.
#[derive(Debug, Clone, Copy)]
pub enum Slot<'observed> {
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
    match (slots(observed), spec.suspend) {
        (slots, true) => Verdict::Suspended(slots.ok().map(|slots| with_secret(observed, spec, slots))),
        (Ok(slots), false) => Verdict::Wanted(with_secret(observed, spec, slots)),
        (Err(conflict), false) => Verdict::HandsOff(HandsOff::NameConflict(conflict)),
    }
}

/// What to do about the Deployment and the Service, or the conflict with an object that is not the server's own.
fn slots(observed: &Observed) -> Result<(Slot<'_>, Slot<'_>), String> {
    if let Some(unreadable) = &observed.unreadable {
        return Err(unreadable.clone());
    }
    let deployment = observed.deployment.as_ref().map(|deployment| &deployment.child);
    let service = observed.service.as_ref().map(|service| &service.child);
    Ok((slot(observed, DEPLOYMENTS.kind, deployment)?, slot(observed, SERVICES.kind, service)?))
}

fn slot<'observed>(
    observed: &Observed,
    kind: &str,
    child: Option<&'observed Child>,
) -> Result<Slot<'observed>, String> {
    let Some(child) = child else { return Ok(Slot::Empty) };
    match relation(child, kind, &observed.server.meta.uid) {
        Relation::Ours => Ok(Slot::Taken(child)),
        Relation::Orphan => Ok(Slot::Adopted(child)),
        Relation::Departing => Ok(Slot::Waiting),
        Relation::Foreign(conflict) => Err(conflict),
    }
}

/// Without its Secret a Deployment is not created, because its pods could not start. An existing one keeps the Secret
/// that it has: when a Secret is deleted and created again, or the spec names one that does not exist yet, no pod is
/// restarted in between.
fn with_secret<'observed>(
    observed: &'observed Observed,
    spec: &'observed MCPServerSpec,
    (deployment, service): (Slot<'observed>, Slot<'observed>),
) -> Wanted<'observed> {
    let named = |hash: &SecretHash| {
        let hash = Some(hash.as_str().to_owned());
        spec.secret_name.clone().map(|name| InjectedSecret { name, hash })
    };
    let (deployment, secret) = match (&observed.secret, deployment) {
        (SecretState::NotRequired, slot) => (slot, None),
        (SecretState::Resolved(hash), slot) => (slot, named(hash)),
        (SecretState::Missing(_) | SecretState::Unreadable(..), Slot::Empty) => (Slot::Waiting, None),
        (SecretState::Missing(_) | SecretState::Unreadable(..), slot) => {
            (slot, observed.deployment.as_ref().and_then(|deployment| deployment.secret.clone()))
        }
    };
    Wanted { spec, deployment, service, secret }
}

#[cfg(test)]
mod tests;
