//! Step two: may this server have children at all, and which?

use super::children::{Child, InjectedSecret, SecretHash};
use super::observe::{Observed, Relation, SecretState, relation};
use crate::api::MCPServerSpec;
use crate::object::{DEPLOYMENTS, SERVICES};

/// What there is to do for a server.
#[derive(Debug)]
pub enum Verdict<'observed> {
    /// Its children are to be as it wants them.
    Wanted(Wanted<'observed>),
    /// Nothing is made or changed, because its owner said so. What would be wanted is there to be compared.
    Suspended(Option<Wanted<'observed>>),
    /// Nothing is made or changed, and this is why.
    HandsOff(HandsOff),
}

/// A server whose children may be made and changed. Only [`validate`] makes one, so whatever is built from it was validated.
#[derive(Debug)]
pub struct Wanted<'observed> {
    /// What it wants.
    pub spec: &'observed MCPServerSpec,
    /// What becomes of the Deployment.
    pub deployment: Slot<'observed>,
    /// What becomes of the Service.
    pub service: Slot<'observed>,
    /// The Secret that the pods are to have.
    pub secret: Option<InjectedSecret>,
}

/// The place where a child stands or is to stand.
#[derive(Debug, Clone, Copy)]
pub enum Slot<'observed> {
    /// There is none: it is made.
    Empty,
    /// It stands there: it is changed where it differs.
    Taken(&'observed Child),
    /// It stands there without an owner: it is adopted.
    Adopted(&'observed Child),
    /// It must not be touched now: what stands there is going away, or something it needs is not there yet.
    Waiting,
}

/// Why nothing is made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandsOff {
    /// The server is being deleted.
    Terminating,
    /// Its spec can't be read.
    Undecodable(String),
    /// Something that is not ours has its name.
    NameConflict(String),
}

/// Decides what there is to do.
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

/// The places of the Deployment and of the Service, or what stands in one of them that must not.
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

/// Without its Secret a Deployment is not made, for its pods could not start. One that exists goes on with the Secret that
/// it has: neither one that is deleted and made again nor a new name without a Secret may restart anything in between.
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
