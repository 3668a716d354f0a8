//! What every namespace has: a ServiceAccount `default`, and the authority that the API server's certificate is from.
//!
//! Two of Kubernetes' controllers in one, `serviceaccount` and `root-ca-cert-publisher`: what is gone is made again,
//! and what was written into the ConfigMap is taken back, as long as the namespace stays. A playground without HTTPS
//! has no authority, and publishes none.

use serde_json::{Value, json};

use super::MANAGER;
use super::harness::{Change, Control};
use super::meta::{is_deleting, text};
use super::queue::Queue;
use crate::Cluster;
use crate::resources::Registry;
use crate::status::Status;
use crate::storage::EventKind;

const NAMESPACES: &str = "namespaces";
const ACCOUNTS: &str = "serviceaccounts";
const CONFIG_MAPS: &str = "configmaps";
const ACCOUNT: &str = "default";
const AUTHORITY: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
    endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
    distributions of Kubernetes clusters.";

/// The acting half.
#[derive(Debug)]
pub(super) struct Controller {
    cluster: Cluster,
}

impl Controller {
    /// Furnishes the namespaces that are there, so that nobody comes before it is done.
    pub(super) fn new(cluster: Cluster) -> Self {
        let controller = Self { cluster };
        for namespace in controller.cluster.list(NAMESPACES, None) {
            if let Err(status) = controller.furnish(text(&namespace, &["metadata", "name"])) {
                tracing::warn!(%status, "a namespace could not be furnished");
            }
        }
        controller
    }

    fn furnish(&self, namespace: &str) -> Result<(), Status> {
        let stands = self.cluster.get(NAMESPACES, "", namespace).is_some_and(|found| !is_deleting(&found));
        if !stands {
            return Ok(());
        }
        if self.cluster.get(ACCOUNTS, namespace, ACCOUNT).is_none() {
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}});
            self.cluster.create(ACCOUNTS, namespace, account, MANAGER)?;
        }
        let Some(authority) = self.cluster.authority() else { return Ok(()) };
        let data = json!({"ca.crt": authority});
        let Some(found) = self.cluster.get(CONFIG_MAPS, namespace, AUTHORITY) else {
            let metadata = json!({"name": AUTHORITY, "annotations": {"kubernetes.io/description": DESCRIPTION}});
            let published = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
            return self.cluster.create(CONFIG_MAPS, namespace, published, MANAGER).map(drop);
        };
        if found["data"] == data {
            return Ok(());
        }
        let mut mended: Value = (*found).clone();
        mended["data"] = data;
        self.cluster.update(CONFIG_MAPS, namespace, mended, MANAGER).map(drop)
    }
}

impl Control for Controller {
    /// A namespace.
    type Key = String;

    fn tables(&self, _: &Registry) -> Vec<String> {
        [NAMESPACES, ACCOUNTS, CONFIG_MAPS].map(str::to_owned).into()
    }

    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<String>) {
        let key = &change.object.key;
        match (change.table, key.name.as_str()) {
            (NAMESPACES, name) if change.kind == EventKind::Added => queue.add(name.to_owned()),
            (ACCOUNTS, ACCOUNT) if change.kind == EventKind::Deleted => queue.add(key.namespace.clone()),
            (CONFIG_MAPS, AUTHORITY) if change.kind != EventKind::Added => queue.add(key.namespace.clone()),
            _ => {}
        }
    }

    fn sync(&mut self, namespace: &String, _: &mut Queue<String>) -> Result<(), Status> {
        self.furnish(namespace)
    }

    fn reset(&mut self) {}
}
