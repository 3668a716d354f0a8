//! CustomResourceDefinitions: from the write to being served, within the write.
//!
//! In a real cluster controllers set the conditions a moment later. Here they are set before the answer leaves, by a
//! second write of their own, so that watchers see the same two steps. The answer shows the first one.

mod check;
mod names;

use std::sync::Arc;

use serde_json::{Value, json};

use super::Cluster;
use super::commit::Decision;
use super::delete::DeleteOptions;
use super::write::Target;
use crate::resources::{Registry, Resource, parse_definition};
use crate::schema::Cause;
use crate::storage::Object;
pub(super) use names::is_established;

pub(super) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// What holds a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Defaults and validation of a definition; of a change, too, if it was there before.
pub(super) fn prepare(definition: &mut Value, live: Option<&Value>) -> Vec<Cause> {
    set_defaults(definition);
    let mut causes = check::check(definition, live);
    if let Err(found) = parse_definition(definition) {
        causes.extend(found);
    }
    causes
}

fn set_defaults(definition: &mut Value) {
    let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    if let Some(names) = definition["spec"]["names"].as_object_mut().filter(|_| !kind.is_empty()) {
        names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
        names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    }
    let storage =
        versions(definition).find(|version| version["storage"] == true).map(|version| version["name"].clone());
    if let Some(spec) = definition["spec"].as_object_mut() {
        spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    }
    if definition["status"].is_null()
        && let Some(map) = definition.as_object_mut()
    {
        let stored: Vec<Value> = storage.into_iter().collect();
        let status = json!({
            "conditions": null,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": stored,
        });
        map.insert("status".into(), status);
    }
}

fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    definition["spec"]["versions"].as_array().into_iter().flatten()
}

impl Cluster {
    /// Serves what a definition says now, and says so in its status.
    pub(super) fn definition_written(&self, before: Option<&Arc<Object>>, object: &Arc<Object>) {
        let definition = object.value();
        if before.is_none_or(|before| before.value()["spec"] != definition["spec"]) {
            self.establish(&definition);
        }
    }

    /// Serves a definition, unless others of its group have its names already; its status tells which.
    fn establish(&self, definition: &Value) {
        let of_group = |other: &&Arc<Value>| other["spec"]["group"] == definition["spec"]["group"];
        let others = self.list(DEFINITIONS, None);
        let others = others.iter().filter(of_group);
        let others = others.filter(|other| other["metadata"]["name"] != definition["metadata"]["name"]);
        let taken = others.map(|other| other["status"]["acceptedNames"].clone()).collect::<Vec<_>>();
        let mut status = definition["status"].clone();
        names::settle(&mut status, &definition["spec"]["names"], &taken, &self.timestamp());
        if names::is_established(&status) {
            self.set_registry(|registry| serve(registry, definition));
        }
        let name = text(&definition["metadata"]["name"]);
        let changed = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": name},
            "status": status,
        });
        // The definition may be gone again already; then there is no status to set.
        if let Ok(target) = self.target(DEFINITIONS, "", &name) {
            let kind = super::PatchKind::Merge;
            drop(self.write_patch(&target, Some("status"), kind, &changed, &Self::own_options()));
        }
    }

    /// Nothing of it is served any more, and its names are free for those that wait for them.
    pub(super) fn definition_removed(&self, object: &Arc<Object>) {
        let spec = &object.value()["spec"];
        let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
        self.set_registry(|registry| registry.remove_custom(&group, &plural));
        for waiting in self.list(DEFINITIONS, None) {
            if waiting["spec"]["group"] == spec["group"] && !names::are_accepted(&waiting["status"]) {
                self.establish(&waiting);
            }
        }
    }

    /// A definition takes its objects with it: it has been marked, and goes with the last of them.
    pub(super) fn empty_definition(&self, target: &Target) {
        if let Some(resource) = self.registry().by_name(&target.key.name) {
            let objects = self.store().list(&resource.table(), None).objects;
            for object in objects {
                let victim = self.target_of(Arc::clone(&resource), &object.key.namespace, &object.key.name);
                drop(self.write_delete(&victim, &DeleteOptions::default()));
            }
            self.finish_definition(&resource);
        } else {
            // None of its versions is served, so there is no object either.
            self.let_go(target);
        }
    }

    /// Lets a definition that is being deleted go, once no object of its kind is left.
    pub(super) fn finish_definition(&self, resource: &Resource) {
        let Some(custom) = resource.custom() else { return };
        let name = &custom.definition;
        let Some(definition) = self.get(DEFINITIONS, "", name) else { return };
        if definition["metadata"]["deletionTimestamp"].is_null()
            || !self.store().list(&resource.table(), None).objects.is_empty()
        {
            return;
        }
        if let Ok(target) = self.target(DEFINITIONS, "", name) {
            self.let_go(&target);
        }
    }

    /// Takes the server's own finalizer off; a definition that nobody else holds is gone.
    fn let_go(&self, target: &Target) {
        // Somebody else may have removed it in the meantime, which is what is wanted.
        drop(self.settle(target, |live| {
            let mut object = (*live.value).clone();
            let finalizers = object["metadata"]["finalizers"].as_array_mut();
            let held = finalizers.is_some_and(|names| {
                names.retain(|name| name != CLEANUP);
                !names.is_empty()
            });
            if held {
                return Decision::Put(live.with(object));
            }
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("finalizers");
            }
            Decision::Remove(live.with(object))
        }));
    }
}

/// Marks a definition: it is held until its objects are gone, and says so.
pub(super) fn terminate(definition: &mut Value, now: &str) {
    let metadata = &mut definition["metadata"];
    metadata["deletionTimestamp"] = now.into();
    match metadata["finalizers"].as_array_mut() {
        Some(finalizers) if finalizers.iter().any(|name| name == CLEANUP) => {}
        Some(finalizers) => finalizers.push(CLEANUP.into()),
        None => metadata["finalizers"] = json!([CLEANUP]),
    }
    let terminating = json!({
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    });
    match definition["status"]["conditions"].as_array_mut() {
        Some(conditions) => {
            conditions.retain(|condition| condition["type"] != "Terminating");
            conditions.push(terminating);
        }
        None => definition["status"]["conditions"] = json!([terminating]),
    }
}

/// Serves the resources that a definition defines, and no others of its name.
pub(super) fn serve(registry: &mut Registry, definition: &Value) {
    let Ok(resources) = parse_definition(definition) else { return };
    registry.remove_custom(&text(&definition["spec"]["group"]), &text(&definition["spec"]["names"]["plural"]));
    for resource in resources {
        registry.insert(resource);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
