//! Step four: write what differs, and nothing else.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::build::{Children, Desired};
use super::children::{Child, Deployment, InjectedSecret, Service};
use super::memory::{Memory, REFUSED_FOR, Refused, Written};
use super::observe::Observed;
use super::validate::{Slot, Wanted};
use crate::client::{Client, Error, Request};
use crate::object::{DEPLOYMENTS, Object, ObjectKey, SERVICES, Uid};
use crate::watch::{Status, StatusCause};

/// The children are as the spec calls for, as far as the API server allows. Comes only from [`apply`], or from a
/// reconcile whose [memory](Memory::is_settled) says that `apply` would find nothing to do.
#[derive(Debug)]
pub struct Applied {
    /// The current Deployment, from the API server's answer or from the store.
    pub deployment: Option<Arc<Deployment>>,
    /// The current Service, likewise.
    pub service: Option<Arc<Service>>,
    /// A write that the API server refused for good.
    pub refused: Option<Refused>,
    /// The error of a write that failed this time and will be tried again.
    pub failed: Option<String>,
    /// The writes that were done.
    pub done: Vec<Done>,
}

/// One write that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The kind of the object that was written.
    pub kind: ChildKind,
    /// The reason for the write.
    pub why: Why,
}

/// The kinds of children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildKind {
    /// The Deployment.
    Deployment,
    /// The Service.
    Service,
}

impl ChildKind {
    /// The kind in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => DEPLOYMENTS.kind,
            Self::Service => SERVICES.kind,
        }
    }
}

/// The reason for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The object did not exist.
    Created,
    /// The object existed without an owner.
    Adopted,
    /// The desired state has changed.
    Updated,
    /// Of the desired state only the Secret's data has changed.
    SecretRotated,
    /// The desired state has not changed: another client changed the object.
    DriftCorrected,
}

/// A write to be done.
#[derive(Debug, PartialEq, Eq)]
struct Write {
    why: Why,
    precondition: Precondition,
}

/// What must hold for a write to be done. Without a precondition, an apply creates what does not exist and changes
/// whatever does.
#[derive(Debug, PartialEq, Eq)]
enum Precondition {
    /// No object has the name.
    Absent,
    /// The object with the name is this one.
    Is(Uid),
}

/// No object ever has this version, so an apply that names it conflicts with any existing object and creates an absent
/// one. It is the only way to say "create" with server-side apply, and so to become the manager of the fields.
const NEVER: &str = "1";

/// Writes the Deployment, then the Service, each only if it differs.
///
/// If the second write fails, the first one is done nevertheless and has to be announced. So both results are returned.
///
/// # Errors
///
/// A write failed, and another try may help. A final refusal is not an error but [`Applied::refused`].
pub async fn apply(
    client: &Client,
    memory: &Memory,
    observed: &Observed,
    wanted: &Wanted<'_>,
    children: &Children,
) -> (Applied, Result<(), Error>) {
    let mut applied = Applied::unchanged(observed);
    let written = applied.write(client, memory, observed, wanted, children).await;
    match &written {
        Ok(()) if nothing_to_do(wanted, children) => memory.settle(&observed.server, wanted),
        Err(error) if is_news(error) => applied.failed = Some(error.to_string()),
        Ok(()) | Err(_) => {}
    }
    (applied, written)
}

impl Applied {
    /// There was nothing to do.
    pub(super) fn unchanged(observed: &Observed) -> Self {
        let (deployment, service) = (observed.deployment.clone(), observed.service.clone());
        Self { deployment, service, refused: None, failed: None, done: Vec::new() }
    }

    async fn write(
        &mut self,
        client: &Client,
        memory: &Memory,
        observed: &Observed,
        wanted: &Wanted<'_>,
        children: &Children,
    ) -> Result<(), Error> {
        let key = &observed.server.meta.key;
        if let Some(mut write) = plan(&wanted.deployment, &children.deployment) {
            if write.why == Why::Updated && only_secret_changed(observed, wanted) {
                write.why = Why::SecretRotated;
            }
            match put::<Deployment>(client, memory, key, Written::Deployment, &write, &children.deployment).await? {
                Put::Done(deployment, changed) => {
                    self.deployment = Some(Arc::new(deployment));
                    self.done.extend(changed.then_some(Done { kind: ChildKind::Deployment, why: write.why }));
                }
                Put::Refused(refused) => {
                    self.refused = Some(refused);
                    return Ok(());
                }
            }
        }
        if let Some(write) = plan(&wanted.service, &children.service) {
            match put::<Service>(client, memory, key, Written::Service, &write, &children.service).await? {
                Put::Done(service, changed) => {
                    self.service = Some(Arc::new(service));
                    self.done.extend(changed.then_some(Done { kind: ChildKind::Service, why: write.why }));
                }
                Put::Refused(refused) => self.refused = Some(refused),
            }
        }
        Ok(())
    }
}

/// Whether both children exist and are as the spec calls for.
pub fn nothing_to_do(wanted: &Wanted<'_>, children: &Children) -> bool {
    let settled = |slot: &Slot<'_>, desired| matches!(slot, Slot::Taken(_)) && plan(slot, desired).is_none();
    settled(&wanted.deployment, &children.deployment) && settled(&wanted.service, &children.service)
}

/// Decides whether a child has to be written.
fn plan(slot: &Slot<'_>, desired: &Desired) -> Option<Write> {
    let on = |child: &Child, why| Write { why, precondition: Precondition::Is(child.meta.uid.clone()) };
    match slot {
        Slot::Waiting => None,
        Slot::Empty => Some(Write { why: Why::Created, precondition: Precondition::Absent }),
        Slot::Adopted(child) => Some(on(child, Why::Adopted)),
        Slot::Taken(child) if desired.is_state_of(child) => None,
        Slot::Taken(child) if child.applied.as_ref() == Some(&desired.hash) => Some(on(child, Why::DriftCorrected)),
        Slot::Taken(child) => Some(on(child, Why::Updated)),
    }
}

/// Whether only the Secret's data has changed: the status reports on this generation already, so the spec is the same.
fn only_secret_changed(observed: &Observed, wanted: &Wanted<'_>) -> bool {
    let reported = observed.server.status.as_ref().map(|status| status.observed_generation);
    let before = observed.deployment.as_ref().and_then(|deployment| deployment.secret.as_ref());
    let rotated = |(before, wanted): (&InjectedSecret, &InjectedSecret)| {
        before.name == wanted.name && before.hash.is_some() && before.hash != wanted.hash
    };
    reported == Some(observed.server.meta.generation) && before.zip(wanted.secret.as_ref()).is_some_and(rotated)
}

/// The result of a write.
enum Put<K> {
    /// The write was done: the object as it is now, and whether that changed it.
    Done(K, bool),
    /// The write was refused, and would be refused again.
    Refused(Refused),
}

/// Applies one child.
async fn put<K: Object>(
    client: &Client,
    memory: &Memory,
    key: &ObjectKey,
    what: Written,
    write: &Write,
    desired: &Desired,
) -> Result<Put<K>, Error> {
    let of = match &write.precondition {
        Precondition::Absent => None,
        Precondition::Is(uid) => Some(uid),
    };
    if let Some(refused) = memory.refused(key, &desired.hash, of, Instant::now()) {
        return Ok(Put::Refused(refused));
    }
    let mut answer = send::<K>(client, key, write, &desired.object).await;
    if let (Err(Error::Api { status, .. }), Some(uid)) = (&answer, of)
        && is_about_a_foreign_port(status)
    {
        answer = match client.send::<Box<RawValue>>(replace_ports::<K>(key, uid, &desired.object)).await {
            Ok(_replaced) => send::<K>(client, key, write, &desired.object).await,
            Err(error) => Err(error),
        };
    }
    match answer {
        Ok(object) => {
            let changed = memory.wrote(key, what, object.meta().resource_version.clone(), Instant::now());
            Ok(Put::Done(object, changed))
        }
        Err(Error::Api { status, .. }) if is_refusal(&status) => {
            let refused = Refused {
                hash: desired.hash.clone(),
                of: of.cloned(),
                message: status.message.clone(),
                until: Instant::now() + REFUSED_FOR,
            };
            memory.refuse(key, refused.clone());
            Ok(Put::Refused(refused))
        }
        Err(error) => Err(error),
    }
}

async fn send<K: Object>(client: &Client, key: &ObjectKey, write: &Write, object: &Value) -> Result<K, Error> {
    let request = request::<K>(key, write, object);
    let operation = request.operation.clone();
    let answer = client.send::<Box<RawValue>>(request).await?;
    K::decode(answer.get()).map_err(|source| Error::Answer { operation: Box::new(operation), source: source.into() })
}

/// Whether an apply was refused because another client has changed the port of the Service.
///
/// An apply identifies the items of `spec.ports` by their number. A client that changes the number of our port has in
/// effect removed ours and added its own port with the same name; ours can't be added beside it.
fn is_about_a_foreign_port(status: &Status) -> bool {
    let duplicate =
        |cause: &StatusCause| cause.reason == "FieldValueDuplicate" && cause.field.starts_with("spec.ports");
    status.code == 422 && status.details.iter().flat_map(|details| &details.causes).any(duplicate)
}

/// Replaces the whole list of ports, which an apply can't do.
fn replace_ports<K: Object>(key: &ObjectKey, uid: &Uid, object: &Value) -> Request {
    let patch = json!({"metadata": {"uid": uid.as_str()}, "spec": {"ports": object["spec"]["ports"]}});
    Request::merge_patch(&K::RESOURCE, key, &patch)
}

/// Whether the API server or a policy refuses the desired state itself. A missing permission or a full quota is not
/// such a refusal: it may pass without another spec.
fn is_refusal(status: &Status) -> bool {
    // A policy's author chooses the status code. The first phrase comes from admission webhooks, the second from a
    // ValidatingAdmissionPolicy.
    let by_policy = status.message.contains("denied the request") || status.message.contains("denied request:");
    let mut causes = status.details.iter().flat_map(|details| &details.causes).peekable();
    // Another object has taken the name since the stores were read; they will receive it.
    let replaced = causes.peek().is_some() && causes.all(|cause| cause.field == "metadata.uid");
    by_policy || (matches!(status.code, 400 | 422) && !replaced)
}

/// Whether a failed write is worth reporting. A conflict, a busy server and a lost connection pass by themselves.
fn is_news(error: &Error) -> bool {
    match error {
        Error::Api { status, .. } => !matches!(status.code, 409 | 429 | 502..=504),
        Error::Transport { .. } | Error::Timeout { .. } | Error::Answer { .. } | Error::Fenced { .. } => false,
    }
}

fn request<K: Object>(key: &ObjectKey, write: &Write, object: &Value) -> Request {
    let mut object = object.clone();
    match &write.precondition {
        Precondition::Absent => object["metadata"]["resourceVersion"] = NEVER.into(),
        Precondition::Is(uid) => object["metadata"]["uid"] = uid.as_str().into(),
    }
    Request::apply(&K::RESOURCE, key, &object)
}

#[cfg(test)]
mod tests;
