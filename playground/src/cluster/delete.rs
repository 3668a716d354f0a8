//! Deleting: at once, or first marked, where finalizers, dependents or a pod's grace have a say.
//!
//! ```text
//!              nothing holds it                       last finalizer removed,
//!  standing ----------------------------> gone        or grace over (a second delete)
//!     |                                     ^
//!     +--> marked (deletionTimestamp) ------+
//! ```
//!
//! `Orphan` and `Foreground` become finalizers, as in Kubernetes; the garbage collector acts on them.

use std::sync::Arc;

use serde_json::Value;

use super::Cluster;
use super::attempt::{Attempt, Step, Write};
use super::commit::{Decision, Live};
use super::definitions;
use super::write::Target;
use crate::resources::{Resource, Trait};
use crate::status::Status;
use crate::storage::Object;

/// `DeleteOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Delete only the object of this uid.
    pub uid: Option<String>,
    /// Delete only this state of the object.
    pub resource_version: Option<String>,
    /// What happens to dependents.
    pub propagation: Option<Propagation>,
    /// For pods: how long they may take; 0 is at once.
    pub grace_period_seconds: Option<u64>,
    /// Do everything but delete.
    pub dry_run: bool,
}

/// What happens to an object's dependents when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are kept, without their owner.
    Orphan,
    /// They are deleted after it.
    Background,
    /// They are deleted before it.
    Foreground,
}

impl Propagation {
    /// The finalizer that tells the garbage collector.
    fn finalizer(self) -> Option<&'static str> {
        match self {
            Self::Orphan => Some("orphan"),
            Self::Background => None,
            Self::Foreground => Some("foregroundDeletion"),
        }
    }
}

/// What a delete led to.
#[derive(Debug, Clone)]
pub enum Deleted {
    /// The object is gone; this was its last state.
    Gone(Arc<Object>),
    /// The object is marked and stands until what holds it lets go.
    Marked(Arc<Object>),
}

impl Deleted {
    /// The object, where it still stands.
    pub fn standing(self) -> Option<Arc<Object>> {
        match self {
            Self::Gone(_) => None,
            Self::Marked(object) => Some(object),
        }
    }
}

impl Cluster {
    /// DELETE of one object.
    pub fn write_delete(&self, target: &Target, options: &DeleteOptions) -> Result<Deleted, Status> {
        if target.stored.kind == "Namespace" {
            return self.delete_namespace(target, options);
        }
        if target.stored.kind == "CustomResourceDefinition" && !options.dry_run {
            let marked = self.finish(self.plan_delete(target, options)).map(Deleted::from)?;
            self.empty_definition(target);
            return Ok(marked);
        }
        self.finish(self.plan_delete(target, options)).map(Deleted::from)
    }

    /// Whether others go with it, which makes deleting it more than one write.
    pub(crate) fn takes_others_along(target: &Target) -> bool {
        matches!(target.stored.kind.as_str(), "Namespace" | "CustomResourceDefinition")
    }

    /// DELETE of an object that takes no others along.
    pub(crate) fn plan_delete<'a>(&'a self, target: &'a Target, options: &'a DeleteOptions) -> Write<'a> {
        let attempt = move || {
            let live = self.check_delete(target, options)?;
            let decision = decide(&target.stored, &Live::of(&live), options, &self.timestamp(), |grace| {
                let deadline = self.now().saturating_add(jiff::SignedDuration::from_secs(grace));
                deadline.unwrap_or_else(|_| self.now()).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
            });
            let step = Step::Delete { live, decision };
            Ok(Attempt { target: target.clone(), dry_run: options.dry_run, step, warnings: Vec::new() })
        };
        Write { subresource: None, attempt: Box::new(attempt) }
    }

    /// The same without a decision: for those who have to be asked before an object goes that takes others along.
    pub(crate) fn announce_delete(&self, target: &Target, options: &DeleteOptions) -> Result<Attempt, Status> {
        let step = Step::Delete { live: self.check_delete(target, options)?, decision: Decision::Keep };
        Ok(Attempt { target: target.clone(), dry_run: options.dry_run, step, warnings: Vec::new() })
    }

    pub(super) fn check_delete(&self, target: &Target, options: &DeleteOptions) -> Result<Arc<Object>, Status> {
        let live = self.live(target)?;
        check_preconditions(&target.resource, &live.value(), options)?;
        Ok(live)
    }
}

fn check_preconditions(resource: &Resource, live: &Value, options: &DeleteOptions) -> Result<(), Status> {
    let metadata = &live["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    let fails = |what: &str, wanted: &str, found: &str| {
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object might \
             have been {}",
            if what == "UID" { "deleted and then recreated" } else { "modified" }
        );
        Err(Status::precondition(resource, text("name"), &why))
    };
    match (&options.uid, &options.resource_version) {
        (Some(uid), _) if uid != text("uid") => fails("UID", uid, text("uid")),
        (_, Some(version)) if version != text("resourceVersion") => {
            fails("ResourceVersion", version, text("resourceVersion"))
        }
        _ => Ok(()),
    }
}

/// Removes the object, marks it, or leaves a mark as it is.
fn decide(
    resource: &Resource,
    live: &Live<'_>,
    options: &DeleteOptions,
    now: &str,
    deadline: impl Fn(i64) -> String,
) -> Decision {
    let mut object = (*live.value).clone();
    let marked = object["metadata"]["deletionTimestamp"].is_string();
    if resource.kind == "CustomResourceDefinition" && !marked {
        definitions::terminate(&mut object, now);
        return Decision::Put(live.with(object));
    }
    set_propagation(&mut object, options.propagation);
    let metadata = &object["metadata"];
    let held = metadata["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    let grace = grace_seconds(resource, &object, options);
    let left = if marked { metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0).min(grace) } else { grace };
    if !held && left == 0 {
        if marked {
            object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        }
        return Decision::Remove(live.with(object));
    }
    if !marked {
        object["metadata"]["deletionTimestamp"] = if grace == 0 { now.into() } else { deadline(grace).into() };
        if resource.has(Trait::Generation) {
            let generation = object["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            object["metadata"]["generation"] = generation.into();
        }
    }
    object["metadata"]["deletionGracePeriodSeconds"] = left.into();
    if object == *live.value { Decision::Keep } else { Decision::Put(live.with(object)) }
}

/// Only pods that run somewhere get time to end; everything else has a grace of 0.
fn grace_seconds(resource: &Resource, object: &Value, options: &DeleteOptions) -> i64 {
    let ended = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let placed = object["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    if resource.kind != "Pod" || !resource.group.is_empty() || ended || !placed {
        return 0;
    }
    match options.grace_period_seconds {
        Some(asked) => i64::try_from(asked).unwrap_or(i64::MAX),
        None => object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30),
    }
}

fn set_propagation(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    let mut finalizers = match metadata.remove("finalizers") {
        Some(Value::Array(finalizers)) => finalizers,
        _ => Vec::new(),
    };
    finalizers.retain(|name| name != "orphan" && name != "foregroundDeletion");
    finalizers.extend(propagation.finalizer().map(Value::from));
    if !finalizers.is_empty() {
        metadata.insert("finalizers".into(), finalizers.into());
    }
}
