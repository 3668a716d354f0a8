//! Namespaces: they must be there before their objects, and take their objects with them.
//!
//! What the namespace controller does in a real cluster happens here within the write: a deleted namespace is marked
//! `Terminating` and its content deleted; it goes when the last of its objects has gone.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Cluster;
use super::commit::Decision;
use super::delete::{DeleteOptions, Deleted};
use super::write::{Target, WriteOptions};
use crate::schema::Cause;
use crate::status::Status;
use crate::storage::{Key, Object};

const STANDARD: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

impl Cluster {
    pub(super) fn create_standard_namespaces(&self) {
        for name in STANDARD {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            let made = self.create("namespaces", "", namespace, "kube-apiserver");
            debug_assert!(made.is_ok(), "{made:?}");
        }
    }

    /// An object can be made only in a namespace that is there and stays.
    pub(super) fn check_namespace(&self, target: &Target, object: &Value) -> Result<(), Status> {
        if !target.stored.namespaced {
            return Ok(());
        }
        let namespace = &target.key.namespace;
        let Some(found) = self.namespace(namespace) else { return Err(Status::namespace_not_found(namespace)) };
        if found.value()["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = Cause {
            reason: "NamespaceTerminating".into(),
            field: "metadata.namespace".into(),
            message: format!("namespace {namespace} is being terminated"),
        };
        Err(Status::forbidden(&target.resource, name, &why, vec![cause]))
    }

    pub(super) fn delete_namespace(&self, target: &Target, options: &DeleteOptions) -> Result<Deleted, Status> {
        let live = self.check_delete(target, options)?;
        if STANDARD[..1].contains(&target.key.name.as_str()) || target.key.name == "kube-system" {
            let why = "this namespace may not be deleted";
            return Err(Status::forbidden(&target.resource, &target.key.name, why, Vec::new()));
        }
        if options.dry_run {
            return Ok(Deleted::Marked(live));
        }
        let marked = self.settle(target, |live| {
            let mut object = (*live.value).clone();
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = self.timestamp().into();
                object["status"]["phase"] = "Terminating".into();
            }
            if object == *live.value { Decision::Keep } else { Decision::Put(live.with(object)) }
        })?;
        self.delete_content(&target.key.name);
        self.finish_namespace(&target.key.name);
        Ok(Deleted::Marked(marked))
    }

    fn delete_content(&self, namespace: &str) {
        for (target, _) in self.content(namespace) {
            // An object that is gone already is as good as deleted, and nothing else can go wrong without preconditions.
            drop(self.write_delete(&target, &DeleteOptions::default()));
        }
    }

    /// Removes a namespace that is being deleted, once it is empty.
    pub(super) fn finish_namespace(&self, name: &str) {
        let Some(namespace) = self.namespace(name) else { return };
        let value = namespace.value();
        if value["metadata"]["deletionTimestamp"].is_null() || !self.content(name).is_empty() {
            return;
        }
        if let Ok(target) = self.target("namespaces", "", name) {
            drop(self.settle(&target, |live| Decision::Remove(live.with((*live.value).clone()))));
        }
    }

    fn content(&self, namespace: &str) -> Vec<(Target, Arc<Object>)> {
        let mut found = Vec::new();
        for resource in self.registry().all().filter(|resource| resource.namespaced) {
            let target = self.target_of(Arc::clone(resource), namespace, "");
            if !Arc::ptr_eq(&target.resource, &target.stored) {
                continue;
            }
            let objects = self.store().list(&target.stored.table(), Some(namespace)).objects;
            for object in objects {
                found.push((Target { key: object.key.clone(), ..target.clone() }, object));
            }
        }
        found
    }

    fn namespace(&self, name: &str) -> Option<Arc<Object>> {
        self.store().get("namespaces", &Key::new("", name))
    }

    /// Options for writes that the server makes by itself.
    pub(super) fn own_options() -> WriteOptions {
        WriteOptions::by("kube-apiserver")
    }
}
