//! What a Deployment asks for, and its ReplicaSets as the controller sees them.

use serde_json::Value;

use crate::controllers::meta::{self, int, text};

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
pub(super) const HASH: &str = "pod-template-hash";

/// How pods are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// All old ones go before the first new one comes.
    Recreate,
    /// Some more than wanted, and some fewer available, at any time.
    RollingUpdate { surge: i64, unavailable: i64 },
}

/// The numbers of a Deployment's spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) replicas: i64,
    pub(super) strategy: Strategy,
    pub(super) paused: bool,
    /// Seconds; `None` where progress is nobody's concern.
    pub(super) progress_deadline: Option<i64>,
    pub(super) history_limit: Option<i64>,
    pub(super) min_ready_seconds: i64,
}

impl Spec {
    pub(super) fn of(deployment: &Value) -> Self {
        let spec = &deployment["spec"];
        let replicas = spec["replicas"].as_i64().unwrap_or(1);
        Self {
            replicas,
            strategy: strategy(&spec["strategy"], replicas),
            paused: spec["paused"] == true,
            progress_deadline: spec["progressDeadlineSeconds"]
                .as_i64()
                .filter(|seconds| *seconds < i64::from(i32::MAX)),
            history_limit: spec["revisionHistoryLimit"].as_i64(),
            min_ready_seconds: int(spec, &["minReadySeconds"]),
        }
    }

    pub(super) fn surge(&self) -> i64 {
        match self.strategy {
            Strategy::Recreate => 0,
            Strategy::RollingUpdate { surge, .. } => surge,
        }
    }

    /// How many of the wanted pods may be missing.
    pub(super) fn unavailable(&self) -> i64 {
        match self.strategy {
            Strategy::Recreate => 0,
            Strategy::RollingUpdate { unavailable, .. } => unavailable.min(self.replicas),
        }
    }
}

/// Percentages of the replicas, the surge rounded up and the unavailable down; both can't be nothing.
fn strategy(strategy: &Value, replicas: i64) -> Strategy {
    if text(strategy, &["type"]) == "Recreate" {
        return Strategy::Recreate;
    }
    let resolve = |key: &str, round: fn(i64) -> i64| {
        let value = &strategy["rollingUpdate"][key];
        let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok());
        percent.map_or_else(|| value.as_i64().unwrap_or(0), |percent| round(percent * replicas))
    };
    let surge = resolve("maxSurge", |hundredths| (hundredths + 99) / 100);
    let unavailable = resolve("maxUnavailable", |hundredths| hundredths / 100);
    Strategy::RollingUpdate { surge, unavailable: if surge + unavailable == 0 { 1 } else { unavailable } }
}

/// One ReplicaSet of the Deployment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) value: &'a Value,
    /// How many pods it shall have.
    pub(super) size: i64,
    /// How many of them are available.
    pub(super) available: i64,
}

impl<'a> Set<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        Self { value, size: int(value, &["spec", "replicas"]), available: int(value, &["status", "availableReplicas"]) }
    }

    pub(super) fn name(&self) -> &'a str {
        meta::name(self.value)
    }

    /// Creation time, then name: no two sets are equal.
    pub(super) fn age(&self) -> (&'a str, &'a str) {
        (text(self.value, &["metadata", "creationTimestamp"]), self.name())
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.value["metadata"]["annotations"][key].as_str()
    }

    pub(super) fn revision(&self) -> i64 {
        self.annotation(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Does it make pods of this template?
    pub(super) fn makes(&self, template: &Value) -> bool {
        let own = &self.value["spec"]["template"];
        same_fields(own, template, "metadata", |own, wanted| {
            same_fields(own, wanted, "labels", |own, wanted| same_fields(own, wanted, HASH, |_, _| true))
        })
    }
}

/// Whether two objects are equal, where one field has an equality of its own. What is missing there is null.
fn same_fields(one: &Value, other: &Value, apart: &str, same: impl FnOnce(&Value, &Value) -> bool) -> bool {
    let (Some(these), Some(others)) = (one.as_object(), other.as_object()) else { return one == other };
    let is_usual = |field: &(&String, &Value)| field.0 != apart;
    these.iter().filter(is_usual).eq(others.iter().filter(is_usual)) && same(&one[apart], &other[apart])
}

/// How many pods these sets shall have together.
pub(super) fn total_size(sets: &[Set<'_>]) -> i64 {
    sets.iter().map(|set| set.size).sum()
}

/// How many pods of these sets are available.
pub(super) fn total_available(sets: &[Set<'_>]) -> i64 {
    sets.iter().map(|set| set.available).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolved(replicas: i64, surge: &Value, unavailable: &Value) -> (i64, i64) {
        let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": rolling});
        let spec = Spec::of(&json!({"spec": {"replicas": replicas, "strategy": strategy}}));
        (spec.surge(), spec.unavailable())
    }

    #[test]
    fn surge_is_rounded_up_and_unavailable_down_and_one_of_them_is_something() {
        let quarter = json!("25%");
        assert_eq!(resolved(3, &quarter, &quarter), (1, 0));
        assert_eq!(resolved(4, &quarter, &quarter), (1, 1));
        assert_eq!(resolved(10, &quarter, &quarter), (3, 2));
        assert_eq!(resolved(3, &json!(0), &quarter), (0, 1));
        assert_eq!(resolved(2, &json!(0), &json!(5)), (0, 2));
        assert_eq!(resolved(0, &quarter, &quarter), (0, 0));
    }
}
