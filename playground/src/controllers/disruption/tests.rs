use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use super::super::{Options, start};
use super::*;
use crate::cluster::DeleteOptions;

fn counts(spec: &Value, pods: i64, healthy: i64, scale: i64) -> (i64, i64, i64) {
    let counts = Counts::of(spec, pods, healthy, || Ok::<_, ()>(scale)).unwrap();
    (counts.expected, counts.desired, counts.allowed())
}

#[test]
fn a_number_is_of_the_pods_and_a_share_of_their_scale() {
    assert_eq!(counts(&json!({"minAvailable": 2}), 3, 3, 9), (3, 2, 1));
    assert_eq!(counts(&json!({"minAvailable": "50%"}), 3, 3, 5), (5, 3, 0));
    assert_eq!(counts(&json!({"maxUnavailable": 1}), 3, 3, 4), (4, 3, 0));
    assert_eq!(counts(&json!({"maxUnavailable": "30%"}), 4, 4, 4), (4, 2, 2));
    assert_eq!(counts(&json!({"maxUnavailable": 9}), 2, 2, 2), (2, 0, 2));
    assert_eq!(counts(&json!({}), 2, 2, 2), (0, 0, 0));
}

#[test]
fn nobody_may_go_while_nobody_is_expected_or_too_few_are_well() {
    assert_eq!(counts(&json!({"maxUnavailable": 1}), 1, 1, 0), (0, 0, 0));
    assert_eq!(counts(&json!({"minAvailable": 2}), 3, 1, 3), (3, 2, 0));
}

/// A cluster whose controllers run until the test ends.
struct World {
    cluster: Cluster,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    fn new() -> Self {
        let cluster = Cluster::new(7, Duration::from_secs(60));
        let stop = CancellationToken::new();
        let tasks = start(&cluster, Options::default(), &stop);
        Self { cluster, stop, tasks }
    }

    fn make(&self, table: &str, object: Value) -> Arc<Value> {
        self.cluster.create(table, "default", object, "test").unwrap()
    }

    fn budget(&self, name: &str, spec: &Value) -> Arc<Value> {
        let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
            "spec": spec});
        self.make(BUDGETS, budget)
    }

    fn deployment(&self, name: &str, replicas: i64) {
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [
            {"name": "c", "image": "good:1"}]}});
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template});
        self.make(
            "deployments.apps",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}),
        );
    }

    fn scale(&self, name: &str, replicas: i64) {
        let patch = json!({"spec": {"replicas": replicas}});
        self.cluster.patch_merge("deployments.apps", "default", name, None, &patch, "test").unwrap();
    }

    /// Waits until a budget has counted this: expected, healthy, desired, allowed.
    async fn until(&self, name: &str, wanted: [i64; 4]) -> Value {
        let counted = |status: &Value| {
            ["expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed"].map(|key| status[key].as_i64())
        };
        let status = || self.cluster.get(BUDGETS, "default", name).map_or(Value::Null, |one| one["status"].clone());
        let waiting = async {
            while counted(&status()) != wanted.map(Some) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(3600), waiting).await.unwrap_or_else(|_| panic!("never {wanted:?}: {}", status()));
        status()
    }

    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_follows_its_deployment_from_the_first_pod_on() {
    let world = World::new();
    world.budget("b", &json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": "d"}}}));
    let status = world.until("b", [0, 0, 0, 0]).await;
    let condition = &status["conditions"][0];
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("InsufficientPods")));
    world.deployment("other", 2);
    world.deployment("d", 3);
    let status = world.until("b", [3, 3, 2, 1]).await;
    assert_eq!(status["observedGeneration"], 1);
    let condition = &status["conditions"][0];
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!("SufficientPods")));
    assert_eq!((&condition["message"], &condition["observedGeneration"]), (&json!(""), &json!(1)));
    world.scale("d", 5);
    world.until("b", [5, 5, 4, 1]).await;
    world.scale("d", 1);
    world.until("b", [1, 1, 0, 1]).await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fails_spends_the_budget_until_it_is_well_again() {
    let world = World::new();
    world.deployment("d", 2);
    let selector = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["d"]}]});
    world.budget("b", &json!({"minAvailable": "50%", "selector": selector}));
    world.until("b", [2, 2, 1, 1]).await;
    let pod = world.cluster.list(PODS, Some("default")).remove(0);
    let name = text(&pod, &["metadata", "name"]);
    let options = DeleteOptions { grace_period_seconds: Some(30), ..DeleteOptions::default() };
    world.cluster.delete(PODS, "default", name, &options).unwrap();
    world.until("b", [2, 1, 1, 0]).await;
    world.until("b", [2, 2, 1, 1]).await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_budget_is_counted_anew_and_without_a_selector_it_is_about_nobody() {
    let world = World::new();
    world.deployment("d", 2);
    world.budget("none", &json!({"minAvailable": 0}));
    world.budget("all", &json!({"minAvailable": 1, "selector": {}}));
    world.until("all", [2, 2, 1, 1]).await;
    world.until("none", [0, 0, 0, 0]).await;
    let patch = json!({"spec": {"minAvailable": 2}});
    world.cluster.patch_merge(BUDGETS, "default", "all", None, &patch, "test").unwrap();
    let status = world.until("all", [2, 2, 2, 0]).await;
    assert_eq!(status["observedGeneration"], 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_counted_lets_nobody_go() {
    let world = World::new();
    let owner = json!({"apiVersion": "example.com/v1", "kind": "Box", "name": "box", "uid": "u", "controller": true});
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "labels": {"app": "d"}, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "c", "image": "good:1"}]}});
    world.make(PODS, pod);
    world.budget("b", &json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": "d"}}}));
    let status = world.until("b", [0, 0, 0, 0]).await;
    let condition = &status["conditions"][0];
    assert_eq!(
        (&condition["reason"], &condition["message"]),
        (&json!("SyncFailed"), &json!("found no controllers for pod \"p\""))
    );
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_settled_budget_is_not_written() {
    let world = World::new();
    world.deployment("d", 2);
    world.budget("b", &json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "d"}}}));
    world.until("b", [2, 2, 1, 1]).await;
    let before = world.cluster.get(BUDGETS, "default", "b").unwrap();
    let pod = world.cluster.list(PODS, Some("default")).remove(0);
    let patch = json!({"metadata": {"annotations": {"a": "b"}}});
    world.cluster.patch_merge(PODS, "default", text(&pod, &["metadata", "name"]), None, &patch, "test").unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.cluster.get(BUDGETS, "default", "b").unwrap(), before);
    world.end().await;
}
