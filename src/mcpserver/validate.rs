//! Step two: may this server have children at all, and which?

use super::children::Child;
use super::observe::{Observed, Relation, SecretState, relation};
use crate::api::MCPServerSpec;
use crate::object::{DEPLOYMENTS, SERVICES};

/// What there is to do for a server.
#[derive(Debug)]
pub enum Verdict<'observed> {
    /// Its children are to be as it wants them.
    Wanted(Wanted<'observed>),
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
    /// The digest for the pod template.
    pub secret_hash: Option<String>,
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
    /// Its owner said so.
    Suspended,
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
    if spec.suspend {
        return Verdict::HandsOff(HandsOff::Suspended);
    }
    if let Some(unreadable) = &observed.unreadable {
        return Verdict::HandsOff(HandsOff::NameConflict(unreadable.clone()));
    }
    let deployment = observed.deployment.as_ref().map(|deployment| &deployment.child);
    let service = observed.service.as_ref().map(|service| &service.child);
    let slots =
        slot(observed, DEPLOYMENTS.kind, deployment).and_then(|d| Ok((d, slot(observed, SERVICES.kind, service)?)));
    match slots {
        Ok((deployment, service)) => Verdict::Wanted(with_secret(observed, spec, deployment, service)),
        Err(conflict) => Verdict::HandsOff(HandsOff::NameConflict(conflict)),
    }
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

/// Without its Secret a Deployment is not made, for its pods could not start. One that exists goes on with what it last had:
/// a Secret that is deleted and made again must not restart anything in between.
fn with_secret<'observed>(
    observed: &'observed Observed,
    spec: &'observed MCPServerSpec,
    deployment: Slot<'observed>,
    service: Slot<'observed>,
) -> Wanted<'observed> {
    let (deployment, secret_hash) = match (&observed.secret, deployment) {
        (SecretState::NotRequired, slot) => (slot, None),
        (SecretState::Resolved(hash), slot) => (slot, Some(hash.as_str().to_owned())),
        (SecretState::Missing(_) | SecretState::Unreadable(..), Slot::Empty) => (Slot::Waiting, None),
        (SecretState::Missing(_) | SecretState::Unreadable(..), slot) => {
            (slot, observed.deployment.as_ref().and_then(|deployment| deployment.secret_hash.clone()))
        }
    };
    Wanted { spec, deployment, service, secret_hash }
}

#[cfg(test)]
mod tests;
