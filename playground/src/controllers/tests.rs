//! The controllers together, on paused time: against the rules. The recorded story is told in `tests/contract`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use super::meta::{condition, int, name, text, uid};
use super::{Options, start};
use crate::Cluster;
use crate::cluster::{DeleteOptions, Propagation, WatchCursor};

const DEPLOYMENTS: &str = "deployments.apps";
const REPLICA_SETS: &str = "replicasets.apps";

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

    /// Lets the controllers work until a fact holds.
    async fn until<T>(&self, what: &str, fact: impl Fn(&Cluster) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = fact(&self.cluster) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(3600), waiting)
            .await
            .unwrap_or_else(|_| panic!("never: {what}; {:#?}", self.standing()))
    }

    /// What there is, for a test's last words.
    fn standing(&self) -> Vec<String> {
        let pods = self.cluster.list("pods", None);
        let pods = pods.iter().map(|pod| format!("{} {}", name(pod), pod["status"]));
        let deployments = self.cluster.list(DEPLOYMENTS, None);
        pods.chain(deployments.iter().map(|deployment| saying(deployment))).collect()
    }

    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    fn apply(&self, config: &Value) {
        self.cluster.apply(DEPLOYMENTS, "default", None, config, "smooth-operator", true).unwrap();
    }

    async fn until_reason(&self, name: &str, kind: &str, reason: &str) -> Arc<Value> {
        self.until(&format!("{kind} is {reason}"), |cluster| {
            let deployment = cluster.get(DEPLOYMENTS, "default", name)?;
            let observed = int(&deployment, &["status", "observedGeneration"]);
            let current = observed == int(&deployment, &["metadata", "generation"]);
            (current && reason_of(&deployment, kind) == reason).then_some(deployment)
        })
        .await
    }
}

fn reason_of(deployment: &Value, kind: &str) -> String {
    let conditions = deployment["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    condition(conditions, kind).map_or_else(String::new, |found| text(found, &["reason"]).to_owned())
}

fn deployment(name: &str, replicas: i64, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
        },
    })
}

/// What a Deployment says at one moment, without what two runs can't agree on: which of two ReplicaSets was counted
/// first shows in `terminatingReplicas`, and times, names and hashes differ anyway.
fn saying(deployment: &Value) -> String {
    let status = &deployment["status"];
    let count = |field: &str| int(status, &[field]);
    format!(
        "generation {} observed {} | {} pods, {} updated, {} ready, {} available, {} unavailable | {} {}",
        int(deployment, &["metadata", "generation"]),
        count("observedGeneration"),
        count("replicas"),
        count("updatedReplicas"),
        count("readyReplicas"),
        count("availableReplicas"),
        count("unavailableReplicas"),
        reason_of(deployment, "Available"),
        reason_of(deployment, "Progressing"),
    )
}

/// All that a watch has by now.
fn rest(cursor: &mut WatchCursor) -> Vec<Value> {
    std::iter::from_fn(|| cursor.poll_event().unwrap()).map(|event| (*event.object.value()).clone()).collect()
}

fn owner_reference(owner: &Value, blocking: bool) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": blocking,
    })
}

fn config_map(name: &str, owner: Option<&Value>) -> Value {
    let owners: Vec<Value> = owner.into_iter().map(|owner| owner_reference(owner, true)).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owners}})
}

impl World {
    fn make_map(&self, namespace: &str, map: Value) -> Arc<Value> {
        self.cluster.create("configmaps", namespace, map, "test").unwrap()
    }

    fn delete(&self, table: &str, name: &str, propagation: Propagation) {
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        self.cluster.delete(table, "default", name, &options).unwrap();
    }

    async fn until_gone(&self, table: &str, namespace: &str, name: &str) {
        self.until(&format!("{table} {name} is gone"), |cluster| {
            cluster.get(table, namespace, name).is_none().then_some(())
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_dependents_goes_with_its_owner() {
    let world = World::new();
    let first = world.make_map("default", config_map("first", None));
    let second = world.make_map("default", config_map("second", Some(&first)));
    world.make_map("default", config_map("third", Some(&second)));
    world.make_map("default", config_map("bystander", None));
    world.delete("configmaps", "first", Propagation::Background);
    world.until_gone("configmaps", "default", "third").await;
    assert!(world.cluster.get("configmaps", "default", "second").is_none());
    assert!(world.cluster.get("configmaps", "default", "bystander").is_some());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_absent_or_elsewhere_is_no_owner() {
    let world = World::new();
    let owner = world.make_map("default", config_map("owner", None));
    let mut ghost = (*owner).clone();
    ghost["metadata"]["uid"] = "11111111-2222-4333-8444-555555555555".into();
    world.make_map("default", config_map("ghostly", Some(&ghost)));
    world.make_map("kube-public", config_map("far", Some(&owner)));
    let mut unknown = (*owner).clone();
    unknown["apiVersion"] = "example.com/v1".into();
    unknown["metadata"]["uid"] = "11111111-2222-4333-8444-555555555556".into();
    world.make_map("default", config_map("of-unknown-kind", Some(&unknown)));
    world.until_gone("configmaps", "default", "ghostly").await;
    world.until_gone("configmaps", "kube-public", "far").await;
    assert!(world.cluster.get("configmaps", "default", "of-unknown-kind").is_some());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_foreground_deletion_takes_the_dependents_first() {
    let world = World::new();
    world.apply(&deployment("d", 2, "good:1"));
    world.until_reason("d", "Progressing", "NewReplicaSetAvailable").await;
    let mut sets = world.cluster.watch(REPLICA_SETS, world.cluster.revision()).unwrap();
    world.delete(DEPLOYMENTS, "d", Propagation::Foreground);
    assert!(world.cluster.get(DEPLOYMENTS, "default", "d").is_some());
    world.until_gone(DEPLOYMENTS, "default", "d").await;
    assert!(world.cluster.list("pods", None).is_empty() && world.cluster.list(REPLICA_SETS, None).is_empty());
    let last = rest(&mut sets).pop().unwrap();
    assert_eq!(last["metadata"]["deletionGracePeriodSeconds"], 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn orphaned_pods_stay_and_are_adopted_by_the_next_deployment() {
    let world = World::new();
    world.apply(&deployment("d", 2, "good:1"));
    world.until_reason("d", "Progressing", "NewReplicaSetAvailable").await;
    let names = |world: &World| {
        let pods = world.cluster.list("pods", None);
        pods.iter().map(|pod| name(pod).to_owned()).collect::<Vec<_>>()
    };
    let before = names(&world);
    world.delete(DEPLOYMENTS, "d", Propagation::Orphan);
    world.until_gone(DEPLOYMENTS, "default", "d").await;
    let orphan = &world.cluster.list(REPLICA_SETS, None)[0];
    assert_eq!(orphan["metadata"]["ownerReferences"], Value::Null);
    world.apply(&deployment("d", 2, "good:1"));
    let adopter = world.until_reason("d", "Progressing", "NewReplicaSetAvailable").await;
    let set = &world.cluster.list(REPLICA_SETS, None)[0];
    assert_eq!(set["metadata"]["ownerReferences"][0]["uid"], uid(&adopter));
    assert_eq!(names(&world), before);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_with_everything_in_it() {
    let world = World::new();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short"}});
    world.cluster.create("namespaces", "", namespace, "test").unwrap();
    let mut inside = deployment("d", 2, "good:1");
    inside["metadata"]["namespace"] = "short".into();
    world.cluster.create(DEPLOYMENTS, "short", inside, "test").unwrap();
    world
        .until("two pods run", |cluster| {
            let pods = cluster.list("pods", Some("short"));
            (pods.iter().filter(|pod| text(pod, &["status", "phase"]) == "Running").count() == 2).then_some(())
        })
        .await;
    world.cluster.delete("namespaces", "", "short", &DeleteOptions::default()).unwrap();
    world.until_gone("namespaces", "", "short").await;
    assert!(world.cluster.list("pods", None).is_empty() && world.cluster.list(DEPLOYMENTS, None).is_empty());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn pods_have_addresses_of_their_own() {
    let world = World::new();
    world.apply(&deployment("d", 20, "good:1"));
    world.until_reason("d", "Progressing", "NewReplicaSetAvailable").await;
    let pods = world.cluster.list("pods", None);
    let addresses: std::collections::BTreeSet<_> = pods.iter().map(|pod| text(pod, &["status", "podIP"])).collect();
    assert_eq!(addresses.len(), 20);
    assert!(addresses.iter().all(|address| address.starts_with("127.1.0.")));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_settled_cluster_is_silent() {
    let world = World::new();
    world.apply(&deployment("good", 3, "good:1"));
    world.apply(&deployment("bad", 3, "does-not-exist:1"));
    world.until_reason("good", "Progressing", "NewReplicaSetAvailable").await;
    world.until_reason("bad", "Progressing", "ProgressDeadlineExceeded").await;
    let revision = world.cluster.revision();
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(world.cluster.revision(), revision);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_deployments_comes_and_goes() {
    let world = World::new();
    for number in 0..200 {
        world.apply(&deployment(&format!("d-{number}"), 1, "good:1"));
    }
    world
        .until("all pods run", |cluster| {
            let pods = cluster.list("pods", None);
            (pods.iter().filter(|pod| text(pod, &["status", "phase"]) == "Running").count() == 200).then_some(())
        })
        .await;
    for number in 0..200 {
        world.delete(DEPLOYMENTS, &format!("d-{number}"), Propagation::Background);
    }
    world.until("all pods are gone", |cluster| cluster.list("pods", None).is_empty().then_some(())).await;
    assert!(world.cluster.list(REPLICA_SETS, None).is_empty());
    world.end().await;
}

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.test.dev"},
        "spec": {
            "group": "test.dev",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    })
}

impl World {
    fn create(&self, resource: &str, object: &Value) -> Arc<Value> {
        self.cluster.create(resource, "default", object.clone(), "test").unwrap()
    }

    fn define(&self) {
        self.cluster.create(DEFINITIONS, "", definition(), "test").unwrap();
    }

    fn create_thing(&self) -> Arc<Value> {
        let thing = json!({"apiVersion": "test.dev/v1", "kind": "Thing", "metadata": {"name": "x"}});
        self.create("things.test.dev", &thing)
    }

    fn create_owned(&self, name: &str, owner: &str) {
        let owner = json!({"apiVersion": "test.dev/v1", "kind": "Thing", "name": "x", "uid": owner});
        let metadata = json!({"name": name, "ownerReferences": [owner]});
        self.create("configmaps", &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}));
    }
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_an_unknown_kind_stays_until_the_kind_is_known_and_the_owner_is_not() {
    let world = World::new();
    world.create_owned("x", "somebody");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.cluster.get("configmaps", "default", "x").is_some(), "nobody knows what became of its owner");
    world.define();
    world.until_gone("configmaps", "default", "x").await;
    let thing = world.create_thing();
    world.create_owned("y", uid(&thing));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.cluster.get("configmaps", "default", "y").is_some(), "its owner stands");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_takes_along_what_its_objects_own_and_nothing_of_those_that_come_after() {
    let world = World::new();
    world.define();
    let first = uid(&world.create_thing()).to_owned();
    world.create_owned("x", &first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.cluster.delete(DEFINITIONS, "", "things.test.dev", &DeleteOptions::default()).unwrap();
    world.until_gone("configmaps", "default", "x").await;
    world.create_owned("late", &first);
    world.define();
    let second = uid(&world.create_thing()).to_owned();
    world.create_owned("x", &second);
    world.until_gone("configmaps", "default", "late").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.cluster.get("configmaps", "default", "x").is_some(), "its owner stands");
    world.end().await;
}
