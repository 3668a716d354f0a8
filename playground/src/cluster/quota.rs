//! ResourceQuotas of object counts: how many there are, and whether there may be one more.
//!
//! Kubernetes keeps count in the quota's status and raises it before each create; a failed create leaves it too high
//! until its controller counts again. Here what is there is counted, with the object stored before anybody else
//! counts, so that no two creates take the last place and none is lost.
//!
//! Counted are `count/RESOURCE` for all that is served (`count/deployments.apps`, `count/mcpservers.mcp.mcp.dev`), and
//! under their old names the kinds of [`OLD_NAMES`]. Quotas of CPU, memory and storage, and those with scopes, are
//! stored and hold nobody to anything: they have no status, so that nobody takes them for kept.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use serde_json::Value;

use super::{Cluster, Target};
use crate::builtin::quantity::Quantity;
use crate::status::Status;

const QUOTAS: &str = "resourcequotas";
const PODS: &str = "pods";
/// What a quota may also name without `count/`.
const OLD_NAMES: [&str; 5] = ["configmaps", PODS, QUOTAS, "secrets", "services"];

/// One line of a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    /// As the quota says it.
    pub(crate) hard: String,
    /// How many there are.
    pub(crate) used: u64,
}

impl Cluster {
    /// How much of a quota is used, by what it names; without what is not kept.
    pub(crate) fn quota_usage(&self, quota: &Value) -> BTreeMap<String, Usage> {
        let namespace = quota["metadata"]["namespace"].as_str().unwrap_or_default();
        let lines = hard(quota).filter_map(|(name, hard)| {
            let table = self.registry().by_name(counted(name)?)?.table();
            let used = self.count(&table, namespace, name == PODS);
            Some((name.to_owned(), Usage { hard: hard.to_owned(), used }))
        });
        lines.collect()
    }

    /// Refuses what would be one too many. Whoever makes an object of a namespace with quotas holds the guard until it
    /// is stored, so that the next one counts it.
    pub(super) fn check_quota(&self, target: &Target) -> Result<Option<MutexGuard<'_, ()>>, Status> {
        let quotas = if target.stored.namespaced { self.list(QUOTAS, Some(&target.key.namespace)) } else { Vec::new() };
        if quotas.is_empty() {
            return Ok(None);
        }
        let guard = self.inner.quota.lock().unwrap_or_else(PoisonError::into_inner);
        let resource = target.stored.group_resource();
        for quota in &quotas {
            let about = |name: &str| counted(name) == Some(resource.as_str());
            let usage = self.quota_usage(quota).into_iter().filter(|(name, _)| about(name));
            let exceeded: Vec<(String, Usage)> = usage.filter(|(_, usage)| usage.is_full()).collect();
            if !exceeded.is_empty() {
                let why = refusal(quota["metadata"]["name"].as_str().unwrap_or_default(), &exceeded);
                return Err(Status::forbidden(&target.resource, &target.key.name, &why, Vec::new()));
            }
        }
        Ok(Some(guard))
    }

    fn count(&self, table: &str, namespace: &str, only_running: bool) -> u64 {
        let objects = self.store().list(table, Some(namespace)).objects;
        let ended = |phase: &str| matches!(phase, "Succeeded" | "Failed");
        let counts = objects.iter().filter(|object| {
            let phase = || object.fields.iter().find(|(label, _)| label == "status.phase");
            !only_running || phase().is_none_or(|(_, phase)| !ended(phase))
        });
        counts.count() as u64
    }
}

impl Usage {
    fn is_full(&self) -> bool {
        let hard = Quantity::parse(&self.hard).map_or(0, Quantity::nanos);
        i128::from(self.used + 1) * 1_000_000_000 > hard
    }
}

/// What a quota without scopes names, and how much of it there may be.
fn hard(quota: &Value) -> impl Iterator<Item = (&str, &str)> {
    let spec = &quota["spec"];
    let scoped = spec["scopes"].is_array() || spec["scopeSelector"].is_object();
    let lines = spec["hard"].as_object().filter(|_| !scoped).into_iter().flatten();
    lines.filter_map(|(name, hard)| Some((name.as_str(), hard.as_str()?)))
}

/// The resource that a line counts.
fn counted(name: &str) -> Option<&str> {
    name.strip_prefix("count/").or_else(|| OLD_NAMES.contains(&name).then_some(name))
}

/// `exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`
fn refusal(quota: &str, exceeded: &[(String, Usage)]) -> String {
    let list = |amount: &dyn Fn(&Usage) -> String| {
        let parts = exceeded.iter().map(|(name, usage)| format!("{name}={}", amount(usage)));
        parts.collect::<Vec<_>>().join(",")
    };
    let (requested, used) = (list(&|_| "1".to_owned()), list(&|usage| usage.used.to_string()));
    let limited = list(&|usage| usage.hard.clone());
    format!("exceeded quota: {quota}, requested: {requested}, used: {used}, limited: {limited}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_that_are_not_kept_count_nothing() {
        for (name, wanted) in [
            ("pods", Some("pods")),
            ("count/pods", Some("pods")),
            ("count/deployments.apps", Some("deployments.apps")),
            ("requests.cpu", None),
            ("services.nodeports", None),
        ] {
            assert_eq!(counted(name), wanted);
        }
        let scoped = json!({"spec": {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}});
        assert_eq!(hard(&scoped).count(), 0);
    }

    #[test]
    fn a_refusal_names_every_line_that_is_full() {
        let full = |used| Usage { hard: "2".into(), used };
        let lines = [("count/pods".to_owned(), full(3)), ("pods".to_owned(), full(2))];
        let words = "exceeded quota: q, requested: count/pods=1,pods=1, used: count/pods=3,pods=2, limited: \
                     count/pods=2,pods=2";
        assert_eq!(refusal("q", &lines), words);
        assert!(full(2).is_full());
        assert!(!full(1).is_full());
    }
}
