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

/// The children are as they are wanted, as far as the API server allows. Only [`apply`] makes one, or who knows from the
/// [memory](Memory::is_settled) that it would find nothing to do.
#[derive(Debug)]
pub struct Applied {
    /// The Deployment as it is now: as the API server answered, or as the store has it.
    pub deployment: Option<Arc<Deployment>>,
    /// The Service likewise.
    pub service: Option<Arc<Service>>,
    /// What the API server refused.
    pub refused: Option<Refused>,
    /// What the API server did not do, this time: it is tried again.
    pub failed: Option<String>,
    /// What was done.
    pub done: Vec<Done>,
}

/// One write that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What kind of object was written.
    pub kind: &'static str,
    /// Why.
    pub why: Why,
}

/// Why something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was not there.
    Created,
    /// It was there without an owner.
    Adopted,
    /// The wish has changed.
    Updated,
    /// The wish has changed in nothing but the Secret's data.
    SecretRotated,
    /// The wish has not changed: somebody changed the object.
    DriftCorrected,
}

/// A write that is called for.
#[derive(Debug, PartialEq, Eq)]
struct Write {
    why: Why,
    precondition: Precondition,
}

/// What must be true for a write to be done. Without one, an apply makes what is not there and changes whatever is.
#[derive(Debug, PartialEq, Eq)]
enum Precondition {
    /// No object has the name.
    Absent,
    /// The object that has the name is this one.
    Is(Uid),
}

/// No object ever has this version, so an apply that names it conflicts with whatever is there, and where
/// nothing is, it creates: the one way to say "create" and be the manager of what is created.
const NEVER: &str = "1";

/// Writes the Deployment, then the Service, each only if it differs.
///
/// What was done is done and has to be told, also where the second write failed after the first: hence both.
///
/// # Errors
///
/// The API server did not do it, and trying again may help. What it refuses for good is no error but
/// [`Applied::refused`].
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
        Ok(()) if applied.done.is_empty() && applied.refused.is_none() => memory.settle(&observed.server, wanted),
        Err(error) if is_news(error) => applied.failed = Some(error.to_string()),
        Ok(()) | Err(_) => {}
    }
    (applied, written)
}

impl Applied {
    /// Nothing was left to do.
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
                    self.done.extend(changed.then_some(Done { kind: DEPLOYMENTS.kind, why: write.why }));
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
                    self.done.extend(changed.then_some(Done { kind: SERVICES.kind, why: write.why }));
                }
                Put::Refused(refused) => self.refused = Some(refused),
            }
        }
        Ok(())
    }
}

/// Whether both children are there and as they are wanted.
pub fn nothing_to_do(wanted: &Wanted<'_>, children: &Children) -> bool {
    let settled = |slot: &Slot<'_>, desired| matches!(slot, Slot::Taken(_)) && plan(slot, desired).is_none();
    settled(&wanted.deployment, &children.deployment) && settled(&wanted.service, &children.service)
}

/// Decides whether a child is to be written.
fn plan(slot: &Slot<'_>, desired: &Desired) -> Option<Write> {
    let on = |child: &Child, why| Write { why, precondition: Precondition::Is(child.meta.uid.clone()) };
    match slot {
        Slot::Waiting => None,
        Slot::Empty => Some(Write { why: Why::Created, precondition: Precondition::Absent }),
        Slot::Adopted(child) => Some(on(child, Why::Adopted)),
        Slot::Taken(child) if child.ours == desired.ours => None,
        Slot::Taken(child) if child.applied.as_ref() == Some(&desired.hash) => Some(on(child, Why::DriftCorrected)),
        Slot::Taken(child) => Some(on(child, Why::Updated)),
    }
}

/// The generation was reported on already, so the spec is the same; what differs is the Secret.
fn only_secret_changed(observed: &Observed, wanted: &Wanted<'_>) -> bool {
    let reported = observed.server.status.as_ref().map(|status| status.observed_generation);
    let before = observed.deployment.as_ref().and_then(|deployment| deployment.secret.as_ref());
    let rotated = |(before, wanted): (&InjectedSecret, &InjectedSecret)| {
        before.name == wanted.name && before.hash.is_some() && before.hash != wanted.hash
    };
    reported == Some(observed.server.meta.generation) && before.zip(wanted.secret.as_ref()).is_some_and(rotated)
}

/// What became of a write.
enum Put<K> {
    /// It was done. This is the object now, and whether that is another state of it than before.
    Done(K, bool),
    /// It was refused, and trying again at once would not change that.
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
        && is_of_a_strangers_port(status)
    {
        answer = match client.send::<Box<RawValue>>(take_back_ports::<K>(key, uid, &desired.object)).await {
            Ok(_taken_back) => send::<K>(client, key, write, &desired.object).await,
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

/// Whether an apply was refused because of a port that somebody else has put into a Service.
///
/// An apply finds the items of `spec.ports` by their number. Somebody who changes the number of ours has thereby removed our
/// port and added one of their own, which bears our port's name; ours can't be added beside it.
fn is_of_a_strangers_port(status: &Status) -> bool {
    let duplicate =
        |cause: &StatusCause| cause.reason == "FieldValueDuplicate" && cause.field.starts_with("spec.ports");
    status.code == 422 && status.details.iter().flat_map(|details| &details.causes).any(duplicate)
}

/// Makes the list of ports what is wanted, whole: what an apply can't do.
fn take_back_ports<K: Object>(key: &ObjectKey, uid: &Uid, object: &Value) -> Request {
    let patch = json!({"metadata": {"uid": uid.as_str()}, "spec": {"ports": object["spec"]["ports"]}});
    Request::merge_patch(&K::RESOURCE, key, &patch)
}

/// Whether the API server or a policy says no to the wish itself. A missing permission and a full quota are no refusal of
/// the wish, and heal without another one.
fn is_refusal(status: &Status) -> bool {
    // The code of a policy's no is its author's choice. The first phrase is that of admission webhooks, the second that of
    // a ValidatingAdmissionPolicy.
    let by_policy = status.message.contains("denied the request") || status.message.contains("denied request:");
    let mut causes = status.details.iter().flat_map(|details| &details.causes).peekable();
    // Another object has taken the name since the stores were read: they will say so.
    let replaced = causes.peek().is_some() && causes.all(|cause| cause.field == "metadata.uid");
    by_policy || (matches!(status.code, 400 | 422) && !replaced)
}

/// Whether a failed write is worth telling people about. A conflict, a busy server and a lost connection pass.
fn is_news(error: &Error) -> bool {
    match error {
        Error::Api { status, .. } => !matches!(status.code, 409 | 429 | 503 | 504),
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
