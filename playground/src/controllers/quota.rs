//! The ResourceQuota controller: keeps in each quota's status how much of it is used.
//!
//! What counts is told by [`Cluster::quota_usage`], which is also what a create is held against; so a status that is a
//! moment old misleads readers, and lets nobody exceed the quota.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::MANAGER;
use super::harness::{Change, Control};
use super::queue::Queue;
use crate::Cluster;
use crate::resources::Registry;
use crate::status::Status;
use crate::storage::{EventKind, Key};

const QUOTAS: &str = "resourcequotas";
const PODS: &str = "pods";

/// The acting half.
#[derive(Debug)]
pub(super) struct Controller {
    cluster: Cluster,
    /// The quotas of each namespace that has any. No set is empty.
    quotas: BTreeMap<String, BTreeSet<String>>,
}

impl Controller {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, quotas: BTreeMap::new() }
    }

    fn note(&mut self, key: &Key, stands: bool) {
        let names = self.quotas.entry(key.namespace.clone()).or_default();
        if stands {
            names.insert(key.name.clone());
        } else {
            names.remove(&key.name);
        }
        if names.is_empty() {
            self.quotas.remove(&key.namespace);
        }
    }
}

impl Control for Controller {
    type Key = Key;

    fn tables(&self, registry: &Registry) -> Vec<String> {
        let tables: BTreeSet<String> =
            registry.all().filter(|resource| resource.namespaced).map(|resource| resource.table()).collect();
        tables.into_iter().collect()
    }

    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<Key>) {
        let key = &change.object.key;
        if change.table == QUOTAS {
            self.note(key, change.kind != EventKind::Deleted);
            queue.add(key.clone());
        }
        // A pod that has ended counts no more, and is still there.
        if change.kind == EventKind::Modified && change.table != PODS {
            return;
        }
        for name in self.quotas.get(&key.namespace).into_iter().flatten() {
            queue.add(Key::new(key.namespace.as_str(), name.as_str()));
        }
    }

    fn sync(&mut self, key: &Key, _: &mut Queue<Key>) -> Result<(), Status> {
        let Some(quota) = self.cluster.get(QUOTAS, &key.namespace, &key.name) else { return Ok(()) };
        let (mut hard, mut used) = (json!({}), json!({}));
        for (name, usage) in self.cluster.quota_usage(&quota) {
            hard[&name] = usage.hard.into();
            used[&name] = usage.used.to_string().into();
        }
        let status = json!({"hard": hard, "used": used});
        if quota["status"] == status {
            return Ok(());
        }
        let mut quota = (*quota).clone();
        quota["status"] = status;
        self.cluster.update_status(QUOTAS, &key.namespace, quota, MANAGER).map(drop)
    }

    fn reset(&mut self) {
        self.quotas.clear();
    }
}
