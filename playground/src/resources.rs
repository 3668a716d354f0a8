//! The resources that are served: the built-in ones, and those that CustomResourceDefinitions add at run time.
//!
//! A [`Resource`] is everything that the generic machinery (writes, lists, watches, discovery, tables) needs to know
//! about a kind. There is no code per kind beyond it: what differs stands here as data or behind [`Origin`].

mod autoscaler;
mod builtin;
mod conversion;
mod custom;
mod scale;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub use conversion::{Form, core_event_fields};
pub use custom::{Column, Custom, parse_definition};
pub(crate) use scale::{scale_of, selector_text};

use crate::fields;

/// One kind in one version of its group.
#[derive(Debug)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Kind of its objects.
    pub kind: String,
    /// Kind of its lists.
    pub list_kind: String,
    /// The plural, as in paths.
    pub plural: String,
    /// The singular, as kubectl accepts it.
    pub singular: String,
    /// Short names, as kubectl accepts them.
    pub short_names: Vec<String>,
    /// Categories (`all`), as kubectl accepts them.
    pub categories: Vec<String>,
    /// False for cluster-scoped kinds.
    pub namespaced: bool,
    /// Which optional behaviours it has.
    pub traits: Vec<Trait>,
    /// The scale subresource, where there is one.
    pub scale: Option<Scale>,
    /// Which lists are maps, sets or atomic: what server-side apply needs to know.
    pub schema: Arc<fields::Schema>,
    /// Field selectors beyond metadata.name and metadata.namespace: (label, dotted path in the stored form).
    pub selectable: Vec<(String, String)>,
    /// How this version's form differs from the stored one.
    pub form: Form,
    /// Built in, or defined by a CustomResourceDefinition.
    pub origin: Origin,
}

/// An optional behaviour of a kind, as the `strategy.go` of each kind in Kubernetes has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trait {
    /// `status` is written through its own subresource only.
    Status,
    /// `metadata.generation` counts changes of the spec.
    Generation,
    /// PUT to a name that is not there creates.
    CreateOnUpdate,
    /// PUT without a resourceVersion is refused.
    NeedsVersion,
    /// A whole collection can be deleted.
    DeleteCollection,
}

/// Where the scale subresource finds its values: paths from the root, already split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// The number of replicas wanted.
    pub spec_replicas: Vec<String>,
    /// The number of replicas seen.
    pub status_replicas: Vec<String>,
    /// The selector of their pods.
    pub selector: ScaleSelector,
}

/// Where a scale's selector comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScaleSelector {
    /// There is none.
    Absent,
    /// A string at this path.
    Text(Vec<String>),
    /// A structured LabelSelector at this path.
    Structured(Vec<String>),
}

/// Who defined a resource.
#[derive(Debug)]
pub enum Origin {
    /// Kubernetes itself: defaults and validation are code.
    Builtin,
    /// A CustomResourceDefinition: defaults and validation are a schema.
    Custom(Box<Custom>),
}

impl Resource {
    /// `deployments.apps`, or `pods` in the core group: how messages and [`Cluster`](crate::Cluster) name a resource.
    pub fn group_resource(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// `Deployment.apps`, or `Pod` in the core group: how messages name a kind.
    pub fn group_kind(&self) -> String {
        qualified(&self.kind, self.kind_group())
    }

    /// The group that messages put with the kind: an Event of either form is the core group's there.
    pub fn kind_group(&self) -> &str {
        if self.group == "events.k8s.io" { "" } else { &self.group }
    }

    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Has it this behaviour?
    pub fn has(&self, wanted: Trait) -> bool {
        self.traits.contains(&wanted)
    }

    /// The name of its table in the store. All versions of a kind share one.
    pub fn table(&self) -> String {
        match self.form {
            Form::Stored | Form::Renamed | Form::Autoscaler => self.group_resource(),
            Form::CoreEvent => "events.events.k8s.io".into(),
        }
    }

    /// The schema-driven half of a custom resource; `None` for built-in kinds.
    pub fn custom(&self) -> Option<&Custom> {
        match &self.origin {
            Origin::Builtin => None,
            Origin::Custom(custom) => Some(custom),
        }
    }

    /// The values that field selectors may ask of this (stored) object.
    pub fn selectable_fields(&self, object: &Value) -> Vec<(String, String)> {
        let found = self.selectable.iter().map(|(label, path)| {
            let value = path.split('.').fold(object, |value, part| &value[part]);
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (label.clone(), text)
        });
        found.collect()
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// All that is served right now; replaced as a whole when a CustomResourceDefinition changes.
#[derive(Debug, Clone)]
pub struct Registry {
    /// By group, version and plural.
    resources: BTreeMap<(String, String, String), Arc<Resource>>,
    /// By plural and group, `deployments.apps`: of several versions that in which the objects are stored.
    stored: BTreeMap<String, Arc<Resource>>,
}

impl Default for Registry {
    fn default() -> Self {
        let mut registry = Self { resources: BTreeMap::new(), stored: BTreeMap::new() };
        for resource in builtin::all() {
            registry.insert(resource);
        }
        registry
    }
}

impl Registry {
    /// Adds a resource, or replaces it.
    pub fn insert(&mut self, resource: Resource) {
        let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
        let (plural, group) = (resource.plural.clone(), resource.group.clone());
        self.resources.insert(key, Arc::new(resource));
        self.settle_stored(&plural, &group);
    }

    /// Takes all versions of a custom resource away.
    pub fn remove_custom(&mut self, group: &str, plural: &str) {
        self.resources
            .retain(|_, resource| resource.custom().is_none() || resource.group != group || resource.plural != plural);
        self.settle_stored(plural, group);
    }

    fn settle_stored(&mut self, plural: &str, group: &str) {
        let mut versions = self.all().filter(|resource| resource.plural == plural && resource.group == group);
        let first = versions.next();
        let stored =
            first.map(|first| versions.find(|resource| resource.form == Form::Stored).unwrap_or(first)).cloned();
        drop(versions);
        let name = qualified(plural, group);
        match stored {
            Some(stored) => self.stored.insert(name, stored),
            None => self.stored.remove(&name),
        };
    }

    /// The resource at a path's group, version and plural.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.resources.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// Is this very resource still served, and not another one in its place? A built-in one always is.
    pub fn serves(&self, resource: &Arc<Resource>) -> bool {
        let found = || self.find(&resource.group, &resource.version, &resource.plural);
        resource.custom().is_none() || found().is_some_and(|found| Arc::ptr_eq(&found, resource))
    }

    /// The resource that `deployments.apps` or `pods` names, in the version that its objects are stored in.
    pub fn by_name(&self, name: &str) -> Option<Arc<Resource>> {
        self.stored.get(name).cloned()
    }

    /// Everything, ordered by group, version and plural.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }
}

#[cfg(test)]
mod tests {
    use super::Registry;

    #[test]
    fn resources_are_found_by_path_and_by_name() {
        let registry = Registry::default();
        let deployments = registry.find("apps", "v1", "deployments").unwrap();
        assert_eq!(deployments.group_kind(), "Deployment.apps");
        assert_eq!(registry.by_name("deployments.apps").unwrap().api_version(), "apps/v1");
        assert_eq!(registry.by_name("pods").unwrap().api_version(), "v1");
        assert!(registry.find("apps", "v2", "deployments").is_none());
    }

    #[test]
    fn both_versions_of_an_event_live_in_one_table() {
        let registry = Registry::default();
        let core = registry.find("", "v1", "events").unwrap();
        let modern = registry.find("events.k8s.io", "v1", "events").unwrap();
        assert_eq!(core.table(), modern.table());
    }
}
