//! Optimistic writes: read, decide, commit only if nobody wrote in between, else again.
//!
//! Each round that fails means that somebody else's write succeeded, so the loop ends as soon as the others pause; there
//! is no lock to wait for and no order to deadlock on.

use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::Cluster;
use super::write::Target;
use crate::resources::{Form, core_event_fields};
use crate::status::Status;
use crate::storage::{Draft, Object, Refused};

/// What a decision function wants to happen.
pub(super) enum Decision {
    /// Nothing differs.
    Keep,
    /// The object becomes this.
    Put(Value),
    /// The object goes; this is its last state.
    Remove(Value),
}

impl Cluster {
    /// Reads, decides and commits until nobody is faster: for what the cluster does by itself.
    pub(super) fn settle(
        &self,
        target: &Target,
        mut decide: impl FnMut(&Value) -> Decision,
    ) -> Result<Arc<Object>, Status> {
        loop {
            let live = self.live(target)?;
            let decision = decide(&live.full());
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
            Decision::Put(value) => self.put(target, Some(live), value, dry_run),
            Decision::Remove(_) if dry_run => Ok(Arc::clone(live)),
            Decision::Remove(value) => self.take_away(target, live, value),
        }
    }

    pub(super) fn put(
        &self,
        target: &Target,
        live: Option<&Arc<Object>>,
        value: Value,
        dry_run: bool,
    ) -> Result<Arc<Object>, Refused> {
        if dry_run {
            let draft = Draft { fields: selectable(target, &value), value };
            return Ok(Arc::new(draft.dry(target.key.clone())));
        }
        let object = self.store_draft(target, live, value)?;
        self.after_put(target, live, &object);
        Ok(object)
    }

    /// Stores and tells, and nothing follows from it.
    pub(super) fn store_draft(
        &self,
        target: &Target,
        live: Option<&Arc<Object>>,
        value: Value,
    ) -> Result<Arc<Object>, Refused> {
        let table = target.stored.table();
        let draft = Draft { fields: selectable(target, &value), value };
        let object = self.store().commit(&table, &target.key, live.map(|live| live.revision), draft)?;
        self.tell(&table, object.revision);
        Ok(object)
    }

    fn take_away(&self, target: &Target, live: &Arc<Object>, last: Value) -> Result<Arc<Object>, Refused> {
        let table = target.stored.table();
        let draft = Draft { fields: selectable(target, &last), value: last };
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

fn selectable(target: &Target, value: &Value) -> Vec<(String, String)> {
    // An Event is selected by the names of both its forms, so both are kept with it.
    let mut fields = target.stored.selectable_fields(value);
    if target.resource.form == Form::CoreEvent || target.stored.group == "events.k8s.io" {
        fields.extend(core_event_fields(value));
    }
    fields
}
