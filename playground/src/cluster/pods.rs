//! What is looked up when a pod is made: its ServiceAccount and its PriorityClass.
//!
//! Two of Kubernetes' admission plugins, before a pod's own rules are asked. A name that leads nowhere refuses the pod, which
//! a ReplicaSet then tells of in its Events. Not looked up is the account `default`, which each namespace is going to have.

use serde_json::Value;

use super::{Cluster, Target};
use crate::status::Status;

const ACCOUNTS: &str = "serviceaccounts";
const CLASSES: &str = "priorityclasses.scheduling.k8s.io";
/// The classes that every cluster has, and what they are worth.
const OF_THE_SYSTEM: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

impl Cluster {
    /// Checks a pod's references, and notes what its class is worth. Other objects are left alone.
    pub(super) fn admit_pod(&self, target: &Target, object: &mut Value) -> Result<(), Status> {
        if target.stored.group_resource() != "pods" {
            return Ok(());
        }
        let refused = |object: &Value, why: &str| {
            let metadata = &object["metadata"];
            let given = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty());
            let name = given.unwrap_or_else(|| metadata["name"].as_str().unwrap_or_default());
            Err(Status::forbidden(&target.resource, name, why, Vec::new()))
        };
        let text = |object: &Value, key: &str| object["spec"][key].as_str().unwrap_or_default().to_owned();
        let namespace = &target.key.namespace;
        let account = text(object, "serviceAccountName");
        if !matches!(account.as_str(), "" | "default") && self.get(ACCOUNTS, namespace, &account).is_none() {
            let why = format!(
                "error looking up service account {namespace}/{account}: serviceaccount \"{account}\" not found"
            );
            return refused(object, &why);
        }
        let class = text(object, "priorityClassName");
        let (worth, preemption) = match self.class(&class) {
            Some(found) => found,
            None if class.is_empty() => (0, None),
            None => return refused(object, &format!("no PriorityClass with name {class} was found")),
        };
        if let Some(given) = object["spec"]["priority"].as_i64().filter(|given| *given != worth) {
            let why = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
                 computed {worth} from the given PriorityClass name"
            );
            return refused(object, &why);
        }
        if let Some(spec) = object["spec"].as_object_mut().filter(|_| !class.is_empty()) {
            spec.insert("priority".into(), worth.into());
            spec.entry("preemptionPolicy").or_insert_with(|| preemption.unwrap_or("PreemptLowerPriority".into()));
        }
        Ok(())
    }

    fn class(&self, name: &str) -> Option<(i64, Option<Value>)> {
        if let Some((_, worth)) = OF_THE_SYSTEM.iter().find(|(known, _)| *known == name) {
            return Some((*worth, None));
        }
        let class = self.get(CLASSES, "", name)?;
        Some((class["value"].as_i64().unwrap_or(0), class.get("preemptionPolicy").cloned()))
    }
}
