//! Optimistic writes: read, decide, commit only if nobody wrote in between, else again.
//!
//! Each round that fails means that somebody else's write succeeded, so the loop ends as soon as the others pause; there
//! is no lock to wait for and no order to deadlock on.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use serde_json::Value;

use super::Cluster;
use super::write::Target;
use crate::fields::State;
use crate::resources::{Form, Resource, core_event_fields};
use crate::status::Status;
use crate::storage::{Draft, Object, Refused};

/// An object that a decision is about, as it stands.
pub(super) struct Live<'a> {
    pub(super) object: &'a Arc<Object>,
    /// Without its managedFields.
    pub(super) value: Arc<Value>,
    /// Its managedFields, encoded.
    pub(super) managed: Bytes,
}

impl<'a> Live<'a> {
    pub(super) fn of(object: &'a Arc<Object>) -> Self {
        Self { object, value: object.value(), managed: object.managed_json() }
    }

    /// The object as a write finds it: with the defaults that its definition has today, whatever they were when it was
    /// stored. What they fill in is no change.
    pub(super) fn today(object: &'a Arc<Object>, kind: &Resource) -> Self {
        let mut live = Self::of(object);
        if let Some(custom) = kind.custom() {
            let mut value = (*live.value).clone();
            custom.structural.default(&mut value);
            live.value = Arc::new(value);
        }
        live
    }

    pub(super) fn state(&self) -> State<'_> {
        State { object: &self.value, managed: &self.managed }
    }

    /// The object as another state, its managedFields as they were.
    pub(super) fn with(&self, value: Value) -> Next {
        Next { value, managed: self.managed.clone() }
    }

    pub(super) fn is(&self, next: &Next) -> bool {
        self.managed == next.managed && *self.value == next.value
    }
}

/// What an object becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    /// Without its managedFields.
    pub(super) value: Value,
    /// Its managedFields, encoded.
    pub(super) managed: Bytes,
}

impl Next {
    /// The whole object, managedFields included: for those who look at them.
    pub(super) fn full(&self) -> Value {
        let mut object = self.value.clone();
        if !self.managed.is_empty() {
            object["metadata"]["managedFields"] = serde_json::from_slice(&self.managed).unwrap_or_default();
        }
        object
    }
}

/// What a decision function wants to happen.
pub(super) enum Decision {
    /// Nothing differs.
    Keep,
    /// The object becomes this.
    Put(Next),
    /// The object goes; this is its last state.
    Remove(Next),
    /// The object goes, for this lets go of it; who watches sees it as it stood before.
    Finish(Next),
}

impl Cluster {
    /// Reads, decides and commits until nobody is faster: for what the cluster does by itself.
    pub(super) fn settle(
        &self,
        target: &Target,
        mut decide: impl FnMut(&Live<'_>) -> Decision,
    ) -> Result<Arc<Object>, Status> {
        loop {
            let live = self.live(target)?;
            let decision = decide(&Live::of(&live));
            if let Ok(object) = self.commit(target, &live, decision, false) {
                return Ok(object);
            }
        }
    }

    pub(super) fn commit(
        &self,
        target: &Target,
        live: &Arc<Object>,
        decision: Decision,
        dry_run: bool,
    ) -> Result<Arc<Object>, Refused> {
        match decision {
            Decision::Keep => Ok(Arc::clone(live)),
            Decision::Put(next) => self.put(target, Some(live), next, dry_run),
            Decision::Remove(_) if dry_run => Ok(Arc::clone(live)),
            Decision::Remove(last) => self.take_away(target, live, last),
            Decision::Finish(last) => {
                if !dry_run {
                    let Live { object: _, value, managed } = Live::of(live);
                    self.take_away(target, live, Next { value: (*value).clone(), managed })?;
                }
                Ok(Arc::new(draft(target, last).dry(target.key.clone())))
            }
        }
    }

    pub(super) fn put(
        &self,
        target: &Target,
        live: Option<&Arc<Object>>,
        next: Next,
        dry_run: bool,
    ) -> Result<Arc<Object>, Refused> {
        if dry_run {
            return Ok(Arc::new(draft(target, next).dry(target.key.clone())));
        }
        let object = self.store_draft(target, live, next)?;
        self.after_put(target, live, &object);
        Ok(object)
    }

    /// Stores and tells, and nothing follows from it.
    pub(super) fn store_draft(
        &self,
        target: &Target,
        live: Option<&Arc<Object>>,
        next: Next,
    ) -> Result<Arc<Object>, Refused> {
        let table = target.stored.table();
        let draft = draft(target, next);
        let object = self.store().commit(&table, &target.key, live.map(|live| live.revision), draft)?;
        self.tell(&table, object.revision);
        Ok(object)
    }

    fn take_away(&self, target: &Target, live: &Arc<Object>, last: Next) -> Result<Arc<Object>, Refused> {
        let table = target.stored.table();
        let draft = draft(target, last);
        let object = self.store().remove(&table, &target.key, live.revision, draft)?;
        self.tell(&table, object.revision);
        self.after_removal(target, &object);
        Ok(object)
    }

    /// What follows a write by itself: definitions come into force, roles are put together, namespaces finish.
    fn after_put(&self, target: &Target, live: Option<&Arc<Object>>, object: &Arc<Object>) {
        if target.stored.kind == "CustomResourceDefinition" {
            self.definition_written(live, object);
        }
        if target.stored.kind == "ClusterRole" && target.stored.custom().is_none() {
            self.aggregate_roles();
        }
    }

    fn after_removal(&self, target: &Target, object: &Arc<Object>) {
        if target.stored.kind == "CustomResourceDefinition" {
            self.definition_removed(object);
        }
        if target.stored.kind == "ClusterRole" && target.stored.custom().is_none() {
            self.aggregate_roles();
        }
        if target.stored.group_resource() == "services" {
            self.ips().lock().unwrap_or_else(PoisonError::into_inner).release(&object.value());
        }
        if target.stored.namespaced {
            self.finish_namespace(&target.key.namespace);
        }
        self.finish_definition(&target.stored);
    }
}

fn draft(target: &Target, Next { value, managed }: Next) -> Draft {
    Draft { fields: selectable(target, &value), value, managed }
}

fn selectable(target: &Target, value: &Value) -> Vec<(String, String)> {
    // An Event is selected by the names of both its forms, so both are kept with it.
    let mut fields = target.stored.selectable_fields(value);
    if target.resource.form == Form::CoreEvent || target.stored.group == "events.k8s.io" {
        fields.extend(core_event_fields(value));
    }
    fields
}
