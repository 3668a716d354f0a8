//! Step four: write what differs, and nothing else.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::build::{Children, Desired};
use super::children::{Child, Deployment, InjectedSecret, Service};
use super::failure::namespace_is_terminating;
use super::kind::ChildKind;
use super::memory::{Memory, REFUSED_FOR, Refused, Written};
use super::observe::Observed;
use super::validate::{Obstacles, Slot, Wanted};
use crate::client::{Client, Error, Operation, Request};
use crate::object::{Object, ObjectKey, ResourceVersion, Uid};
use crate::watch::{Identity, Status, StatusCause};

/// The children are as the spec calls for, as far as the API server allows. Comes only from [`apply`], or from a
/// reconcile whose [memory](Memory::standing) says that `apply` would find nothing to do.
#[derive(Debug)]
pub struct Applied {
    /// The current Deployment, from the API server's answer or from the store.
    pub deployment: Option<Arc<Deployment>>,
    /// The current Service, likewise.
    pub service: Option<Arc<Service>>,
    /// What is in the way of children that were left out.
    pub obstacles: Obstacles,
    /// The first write that the API server refused for good.
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
    /// The spec does not call for the object any more.
    Removed,
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
    /// It is this one, and still as it was seen.
    IsStill(Uid, ResourceVersion),
}

impl Precondition {
    /// The object that is to be changed.
    fn uid(&self) -> Option<&Uid> {
        match self {
            Self::Absent => None,
            Self::Is(uid) | Self::IsStill(uid, _) => Some(uid),
        }
    }

    /// The same, and the Deployment must not have changed since it was seen.
    fn and_unchanged(self, deployment: Option<&Deployment>) -> Self {
        match (self, deployment) {
            (Self::Is(uid), Some(seen)) => Self::IsStill(uid, seen.meta().resource_version.clone()),
            (other, _) => other,
        }
    }
}

/// No object ever has this version, so an apply that names it conflicts with any existing object and creates an absent
/// one. It is the only way to say "create" with server-side apply, and so to become the manager of the fields.
const NEVER: &str = "1";

/// Writes the children one after the other, each only if it differs.
///
/// If a later write fails, the first one is done nevertheless and has to be announced. So both results are returned.
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
    let mut applied = Applied::unchanged(observed, wanted);
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
    pub(super) fn unchanged(observed: &Observed, wanted: &Wanted<'_>) -> Self {
        let (deployment, service) = (observed.deployment.clone(), observed.service.clone());
        let obstacles = wanted.obstacles.clone();
        Self { deployment, service, obstacles, refused: None, failed: None, done: Vec::new() }
    }

    /// Whether the Deployment or the Service was refused. Then pods and clients are where they were.
    pub fn is_refused(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| !refused.kind.is_extra())
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
        // First what is not wanted any more: an autoscaler must not scale a Deployment whose size is the spec's again.
        for kind in ChildKind::ALL {
            if let Slot::Surplus(child) = wanted.slots.get(kind) {
                let uid = &child.meta.uid;
                if memory.has_removed(key, kind, uid, Instant::now()) {
                    continue;
                }
                let was_there = delete(client, key, kind, uid).await?;
                memory.removed(key, kind, uid.clone(), Instant::now());
                self.done.extend(was_there.then_some(Done { kind, why: Why::Removed }));
            }
        }
        for (kind, desired) in children {
            let (kind, slot) = (*kind, wanted.slots.get(*kind));
            let Some(mut write) = plan(&slot, desired) else { continue };
            if write.why == Why::Updated && only_secret_changed(observed, wanted) {
                write.why = Why::SecretRotated;
            }
            // It keeps the Secret that it has, as far as the store knows. The store may be behind, and what the Deployment had
            // once must not overwrite what it has by now.
            if kind == ChildKind::Deployment && observed.secret.is_lacking() {
                write.precondition = write.precondition.and_unchanged(observed.deployment.as_deref());
            }
            if let (ChildKind::Deployment, Slot::Taken(child) | Slot::Adopted(child)) = (kind, slot) {
                hand_over_replicas(client, key, child, desired, observed).await?;
            }
            match put(client, memory, key, kind, &write, desired).await? {
                Put::Done(answer, changed) => {
                    self.keep(kind, &answer)?;
                    self.done.extend(changed.then_some(Done { kind, why: write.why }));
                }
                Put::Refused(refused) => {
                    self.refused.get_or_insert(refused);
                    // A Service that follows a spec whose Deployment can't would lead away from the pods that there are.
                    if !kind.is_extra() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Keeps what the status is about, as it is now.
    fn keep(&mut self, kind: ChildKind, answer: &Answer) -> Result<(), Error> {
        match kind {
            ChildKind::Deployment => self.deployment = Some(Arc::new(answer.decode()?)),
            ChildKind::Service => self.service = Some(Arc::new(answer.decode()?)),
            ChildKind::DisruptionBudget | ChildKind::NetworkPolicy | ChildKind::Autoscaler => {}
        }
        Ok(())
    }
}

/// Whether the children exist and are as the spec calls for, and no others do.
pub fn nothing_to_do(wanted: &Wanted<'_>, children: &Children) -> bool {
    ChildKind::ALL.into_iter().all(|kind| match (wanted.slots.get(kind), children.get(&kind)) {
        (Slot::Unwanted, None) => true,
        (Slot::Taken(child), Some(desired)) => desired.is_state_of(child),
        (
            Slot::Unwanted
            | Slot::Surplus(_)
            | Slot::Empty
            | Slot::Taken(_)
            | Slot::Adopted(_)
            | Slot::Waiting
            | Slot::Departing
            | Slot::Foreign,
            None | Some(_),
        ) => false,
    })
}

/// Decides whether a child has to be written.
fn plan(slot: &Slot<'_>, desired: &Desired) -> Option<Write> {
    let on = |child: &Child, why| Write { why, precondition: Precondition::Is(child.meta.uid.clone()) };
    match slot {
        Slot::Waiting | Slot::Departing | Slot::Foreign | Slot::Unwanted | Slot::Surplus(_) => None,
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
enum Put {
    /// The write was done: the API server's answer, and whether that changed the object.
    Done(Answer, bool),
    /// The write was refused, and would be refused again.
    Refused(Refused),
}

/// The object as it is after a write.
struct Answer {
    operation: Operation,
    json: Box<RawValue>,
}

impl Answer {
    fn decode<K: Object>(&self) -> Result<K, Error> {
        K::decode(self.json.get()).map_err(|source| self.unreadable(source))
    }

    fn resource_version(&self) -> Result<ResourceVersion, Error> {
        let identity = Identity::decode(self.json.get()).map_err(|source| self.unreadable(source))?;
        Ok(identity.resource_version)
    }

    fn unreadable(&self, source: serde_json::Error) -> Error {
        Error::Answer { operation: Box::new(self.operation.clone()), source: source.into() }
    }
}

/// Applies one child.
async fn put(
    client: &Client,
    memory: &Memory,
    key: &ObjectKey,
    kind: ChildKind,
    write: &Write,
    desired: &Desired,
) -> Result<Put, Error> {
    let of = write.precondition.uid();
    if let Some(refused) = memory.refused(key, kind, &desired.hash, of, Instant::now()) {
        return Ok(Put::Refused(refused));
    }
    let mut answer = send(client, request(kind, key, write, &desired.object)).await;
    if let (Err(Error::Api { status, .. }), Some(uid)) = (&answer, of)
        && is_about_a_foreign_port(status)
    {
        answer = match send(client, replace_ports(kind, key, uid, &desired.object)).await {
            Ok(_replaced) => send(client, request(kind, key, write, &desired.object)).await,
            Err(error) => Err(error),
        };
    }
    match answer {
        Ok(answer) => {
            let version = answer.resource_version()?;
            let changed = memory.wrote(key, Written::Child(kind), version, Instant::now());
            Ok(Put::Done(answer, changed))
        }
        Err(Error::Api { status, .. }) if is_refusal(&status) => {
            let refused = Refused {
                kind,
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

async fn send(client: &Client, request: Request) -> Result<Answer, Error> {
    let operation = request.operation.clone();
    let json = client.send::<Box<RawValue>>(request).await?;
    Ok(Answer { operation, json })
}

/// Deletes one child. Returns whether it was there: if it is gone already, or replaced, the event about that is on its
/// way.
async fn delete(client: &Client, key: &ObjectKey, kind: ChildKind, uid: &Uid) -> Result<bool, Error> {
    match send(client, Request::delete(kind.resource(), key, uid)).await {
        Err(error) if matches!(error.code(), 404 | 409) => Ok(false),
        answer => answer.map(|_deleted| true),
    }
}

/// Before this operator stops managing the number of replicas, it gives the field a second manager.
///
/// With server-side apply, a field that its only manager no longer sends is removed, and the API server fills in the
/// default: the autoscaler would begin with one pod, whatever the load. (The way to do this is
/// [documented](https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership).) When the
/// autoscaler changes the number, it becomes the field's only manager.
async fn hand_over_replicas(
    client: &Client,
    key: &ObjectKey,
    child: &Child,
    desired: &Desired,
    observed: &Observed,
) -> Result<(), Error> {
    let stays = !desired.object["spec"]["replicas"].is_null() || !child.fields.include(&["spec", "replicas"]);
    let Some(deployment) = observed.deployment.as_ref().filter(|_| !stays) else { return Ok(()) };
    // A Deployment of no pods is none of an autoscaler's business: it would stay as it is for ever.
    let autoscaling = observed.server.spec.as_ref().ok().and_then(|spec| spec.autoscaling.as_ref());
    let least = autoscaling.map_or(0, |autoscaling| autoscaling.min_replicas);
    let starts = deployment.replicas == 0;
    let replicas = if starts { least } else { deployment.replicas };
    let object = json!({
        "apiVersion": desired.object["apiVersion"],
        "kind": desired.object["kind"],
        "metadata": {"name": key.name(), "namespace": key.namespace(), "uid": child.meta.uid.as_str()},
        "spec": {"replicas": replicas},
    });
    send(client, Request::hand_over(ChildKind::Deployment.resource(), key, &object, starts)).await.map(drop)
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
fn replace_ports(kind: ChildKind, key: &ObjectKey, uid: &Uid, object: &Value) -> Request {
    let patch = json!({"metadata": {"uid": uid.as_str()}, "spec": {"ports": object["spec"]["ports"]}});
    Request::merge_patch(kind.resource(), key, &patch)
}

/// Whether the API server or a policy refuses the desired state itself. A missing permission or a full quota is not
/// such a refusal: it may pass without another spec.
fn is_refusal(status: &Status) -> bool {
    // A policy's author chooses the status code. The first phrase comes from admission webhooks, the second from a
    // ValidatingAdmissionPolicy.
    let by_policy = status.message.contains("denied the request") || status.message.contains("denied request:");
    // Before anything is validated, an apply is held against the schema, and what fails there is an internal error: two
    // items with one key, or a field that this API server does not know yet.
    let untyped = status.code == 500 && status.message.contains("failed to create typed patch object");
    let mut causes = status.details.iter().flat_map(|details| &details.causes).peekable();
    // Another object has taken the name since the stores were read; they will receive it.
    let replaced = causes.peek().is_some() && causes.all(|cause| cause.field == "metadata.uid");
    by_policy || untyped || (matches!(status.code, 400 | 422) && !replaced)
}

/// Whether a failed write is worth reporting. A conflict, a busy server and a lost connection pass by themselves; and with
/// a namespace its servers are deleted, too.
fn is_news(error: &Error) -> bool {
    match error {
        Error::Api { .. } if namespace_is_terminating(error) => false,
        Error::Api { status, .. } => !matches!(status.code, 409 | 429 | 502..=504),
        Error::Transport { .. } | Error::Timeout { .. } | Error::Answer { .. } | Error::Fenced { .. } => false,
    }
}

fn request(kind: ChildKind, key: &ObjectKey, write: &Write, object: &Value) -> Request {
    let mut object = object.clone();
    match &write.precondition {
        Precondition::Absent => object["metadata"]["resourceVersion"] = NEVER.into(),
        Precondition::Is(uid) => object["metadata"]["uid"] = uid.as_str().into(),
        Precondition::IsStill(uid, version) => {
            object["metadata"]["uid"] = uid.as_str().into();
            object["metadata"]["resourceVersion"] = version.as_str().into();
        }
    }
    Request::apply(kind.resource(), key, &object)
}

#[cfg(test)]
mod tests;
