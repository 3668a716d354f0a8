//! Who asks for pods by their labels, and who bears them.
//!
//! Whoever has a selector waits under its first label, a pod stands under each of its own; so a change of either costs a
//! look-up and not a walk over all of the others.
//!
//! ```text
//!   Service {app: web} --- (ns, app, web) --- Pod {app: web, ...}
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::storage::{Key, Object};

/// A label of a namespace's objects: namespace, name, value.
pub(super) type Label = (String, String, String);

/// Keys by label. No set is empty.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_label: BTreeMap<Label, BTreeSet<Key>>,
    /// The inverse.
    labels: BTreeMap<Key, Vec<Label>>,
}

impl Index {
    /// Has a key stand under these labels and no others.
    pub(super) fn set(&mut self, key: &Key, labels: Vec<Label>) {
        for label in self.labels.remove(key).unwrap_or_default() {
            if let Some(keys) = self.by_label.get_mut(&label) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_label.remove(&label);
                }
            }
        }
        for label in &labels {
            self.by_label.entry(label.clone()).or_default().insert(key.clone());
        }
        if !labels.is_empty() {
            self.labels.insert(key.clone(), labels);
        }
    }

    /// Who stands under a label.
    pub(super) fn of(&self, label: &Label) -> impl Iterator<Item = &Key> {
        self.by_label.get(label).into_iter().flatten()
    }

    /// How many stand there.
    pub(super) fn count(&self, label: &Label) -> usize {
        self.by_label.get(label).map_or(0, BTreeSet::len)
    }

    /// Under which labels a key stands.
    pub(super) fn labels_of(&self, key: &Key) -> &[Label] {
        self.labels.get(key).map_or(&[], Vec::as_slice)
    }
}

/// The labels that an object of labels names.
pub(super) fn labels_in(namespace: &str, labels: &Value) -> Vec<Label> {
    let labels = labels.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    labels.map(|(name, value)| (namespace.to_owned(), name.clone(), text(value))).collect()
}

/// The labels that an object bears.
pub(super) fn labels_of(object: &Object) -> Vec<Label> {
    let labels = object.labels.iter();
    labels.map(|(name, value)| (object.key.namespace.clone(), name.clone(), value.clone())).collect()
}
