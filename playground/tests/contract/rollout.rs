//! The controllers against the recorded rollout: a Deployment made without its Secret, the Secret, a scaling, two strangers,
//! a bad image and its mending, a field dropped, the end.
//!
//! The same requests are made again, in the same order, and what the Deployment and its pods say on the way is compared
//! state by state. Times, names and hashes differ between two runs; so does, in a few places that are listed, which of two
//! things that happen at once is seen first.

use std::collections::BTreeMap;
use std::sync::Arc;

use playground::Cluster;
use playground::cluster::{DeleteOptions, WatchCursor};
use playground::controllers::{self, Options};
use playground::storage::EventKind;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use crate::replay::{Replay, recorded, recorded_events};

const DEPLOYMENTS: &str = "deployments.apps";
const SERVER: &str = "example-server";

/// Controllers that run until the test ends.
pub(crate) struct Running {
    cluster: Cluster,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let stop = CancellationToken::new();
        let tasks = controllers::start(cluster, Options::default(), &stop);
        Self { cluster: cluster.clone(), stop, tasks }
    }

    /// Lets the controllers work until a fact holds.
    pub(crate) async fn until<T>(&self, what: &str, fact: impl Fn(&Cluster) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = fact(&self.cluster) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(3600), waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
    }

    async fn until_progressing(&self, reason: &str) -> Arc<Value> {
        let says = |cluster: &Cluster| {
            let deployment = cluster.get(DEPLOYMENTS, "default", SERVER)?;
            (condition(&deployment, "Progressing", "reason") == reason).then_some(deployment)
        };
        self.until(reason, says).await
    }

    /// Until nothing moves any more and all pods are there.
    async fn until_settled(&self, replicas: i64) {
        let settled = |cluster: &Cluster| {
            let deployment = cluster.get(DEPLOYMENTS, "default", SERVER)?;
            let count = |field: &str| deployment["status"][field].as_i64().unwrap_or(0);
            let all = ["replicas", "updatedReplicas", "availableReplicas"];
            let complete = all.iter().all(|field| count(field) == replicas);
            let observed = deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"];
            (complete && observed && count("terminatingReplicas") == 0).then_some(())
        };
        self.until("the Deployment has settled", settled).await;
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    fn apply(&self, config: &Value) {
        self.cluster.apply(DEPLOYMENTS, "default", None, config, "smooth-operator", true).unwrap();
    }
}

/// The object that a recorded request sent.
fn sent(name: &str) -> Value {
    match &recorded(name)["request"]["body"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        body => body.clone(),
    }
}

fn condition<'a>(object: &'a Value, kind: &str, field: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut found = conditions.filter(|condition| condition["type"] == kind);
    found.next().and_then(|condition| condition[field].as_str()).unwrap_or_default()
}

/// What a Deployment says at one moment. Not `terminatingReplicas`: it shows which of two ReplicaSets was counted first.
fn saying(deployment: &Value) -> String {
    let count = |field: &str| deployment["status"][field].as_i64().unwrap_or(0);
    let conditions = ["Available", "Progressing"].map(|kind| {
        let message = condition(deployment, kind, "message").replace(&set_name(deployment), "SET");
        format!("{} {} ({message})", condition(deployment, kind, "status"), condition(deployment, kind, "reason"))
    });
    format!(
        "generation {} observed {} revision {} | {} pods, {} updated, {} ready, {} available, {} unavailable | {}",
        deployment["metadata"]["generation"],
        count("observedGeneration"),
        deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        count("replicas"),
        count("updatedReplicas"),
        count("readyReplicas"),
        count("availableReplicas"),
        count("unavailableReplicas"),
        conditions.join(" | "),
    )
}

/// The ReplicaSet that the Deployment speaks of.
fn set_name(deployment: &Value) -> String {
    let message = condition(deployment, "Progressing", "message");
    message.split('"').nth(1).unwrap_or("none").to_owned()
}

fn sayings<'a>(states: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let mut sayings: Vec<String> = states.map(saying).collect();
    sayings.dedup();
    sayings
}

/// All that a watch has by now.
async fn rest(cursor: &mut WatchCursor) -> Vec<(EventKind, Value)> {
    let mut events = Vec::new();
    while let Ok(event) = timeout(Duration::from_secs(1), cursor.next()).await {
        let event = event.unwrap();
        events.push((event.kind, (*event.object).clone()));
    }
    events
}

/// Makes the recorded requests again; in between, hands out the Deployment whose rollout is stuck.
async fn tell(running: &Running) -> Arc<Value> {
    running.apply(&sent("deployments/apply-create"));
    running.until_progressing("ReplicaSetUpdated").await;
    running.cluster.create("secrets", "default", sent("secrets/create"), "kubectl").unwrap();
    running.until_progressing("NewReplicaSetAvailable").await;
    running.apply(&sent("deployments/apply-scale"));
    running.until_settled(3).await;
    for (manager, step, replicas) in [
        ("kubectl-rollout", "deployments/stranger-annotation", 3),
        ("kubectl-edit", "deployments/stranger-replicas", 6),
    ] {
        running.cluster.patch_merge(DEPLOYMENTS, "default", SERVER, None, &sent(step), manager).unwrap();
        running.until_settled(replicas).await;
    }
    running.apply(&sent("deployments/apply-takes-back"));
    running.until_settled(3).await;
    let mut bad = sent("deployments/apply-bad-image");
    bad["spec"]["template"]["spec"]["containers"][0]["image"] = "does-not-exist:1".into();
    running.apply(&bad);
    let stuck = running.until_progressing("ReplicaSetUpdated").await;
    let pulls = |cluster: &Cluster| {
        let pods = cluster.list("pods", Some("default"));
        pods.iter().any(|pod| pod_saying(pod).contains("ImagePullBackOff")).then_some(())
    };
    running.until("the bad image is backed off from", pulls).await;
    for step in ["deployments/apply-good-image", "deployments/apply-drop-field"] {
        running.apply(&sent(step));
        running.until_settled(3).await;
    }
    running.cluster.delete(DEPLOYMENTS, "default", SERVER, &DeleteOptions::default()).unwrap();
    running.until("all is gone", |cluster| cluster.list("pods", None).is_empty().then_some(())).await;
    stuck
}

/// Two ReplicaSets move at once where the bad image is mended, and two pods get ready at once in the beginning: there the
/// order is chance, in the recording as here.
const BY_CHANCE: [&str; 4] = [
    "generation 1 observed 1 revision \"1\" | 2 pods, 2 updated, 1 ready,",
    "generation 7 observed 7 revision \"4\" | 4 pods, 0 updated, 3 ready, 3 available, 1 unavailable |",
    "generation 7 observed 7 revision \"4\" | 5 pods, 1 updated, 3 ready, 3 available, 1 unavailable |",
    "generation 7 observed 7 revision \"4\" | 3 pods, 0 updated, 3 ready, 3 available, 1 unavailable |",
];

#[tokio::test(start_paused = true)]
async fn a_deployment_and_its_pods_live_through_the_recorded_story() {
    let cluster = Cluster::new(7, Duration::from_secs(60));
    let mut deployments = cluster.watch(DEPLOYMENTS, cluster.revision()).unwrap();
    let mut pods = cluster.watch("pods", cluster.revision()).unwrap();
    let running = Running::start(&cluster);
    let stuck = tell(&running).await;
    running.end().await;

    let certain = |saying: &String| !BY_CHANCE.iter().any(|by_chance| saying.starts_with(by_chance));
    let ours: Vec<Value> = rest(&mut deployments).await.into_iter().map(|(_, object)| object).collect();
    let ours: Vec<String> = sayings(ours.iter()).into_iter().filter(certain).collect();
    let events = recorded_events("rollout/deployments");
    let theirs = events.iter().filter(|event| event["type"] != "BOOKMARK").map(|event| &event["object"]);
    let theirs: Vec<String> = sayings(theirs).into_iter().filter(certain).collect();
    assert_eq!(ours.join("\n"), theirs.join("\n"));

    let theirs = recorded("deployments/get-stuck-rollout")["response"]["body"].clone();
    let revision = |saying: &str| saying.split_once(" | ").map(|(_, counts)| counts.to_owned());
    assert_eq!(revision(&saying(&stuck)), revision(&saying(&theirs)));

    let ours = rest(&mut pods).await.into_iter().map(|(kind, pod)| (kind == EventKind::Deleted, pod));
    let events = recorded_events("rollout/pods");
    let theirs = events.iter().filter(|event| event["type"] != "BOOKMARK");
    let theirs = theirs.map(|event| (event["type"] == "DELETED", event["object"].clone()));
    assert_eq!(lives(ours), lives(theirs));
}

/// What a pod says at one moment.
fn pod_saying(pod: &Value) -> String {
    let state = &pod["status"]["containerStatuses"][0]["state"];
    let state = state
        .as_object()
        .and_then(|state| state.iter().next())
        .map_or_else(String::new, |(kind, inside)| format!("{kind} {}", inside["reason"].as_str().unwrap_or_default()));
    let leaving = if pod["metadata"]["deletionTimestamp"].is_string() { "leaving" } else { "staying" };
    let placed = if pod["spec"]["nodeName"].is_string() { "placed" } else { "unplaced" };
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    format!("{leaving} {placed} {phase} {state} {}", condition(pod, "Ready", "status"))
}

/// How many pods lived which life. The recorded node pulled no images and made no containers, so those moments of ours
/// are left out.
fn lives(events: impl Iterator<Item = (bool, Value)>) -> BTreeMap<String, usize> {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (gone, pod) in events {
        let life = by_name.entry(pod["metadata"]["name"].to_string()).or_default();
        let saying = pod_saying(&pod);
        let between = ["ContainerCreating", "ErrImagePull"].iter().any(|word| saying.contains(word));
        let saying = if gone { format!("gone {saying}") } else { saying };
        if !between && life.last() != Some(&saying) {
            life.push(saying);
        }
    }
    let mut lives = BTreeMap::new();
    for life in by_name.into_values() {
        *lives.entry(life.join("\n")).or_insert(0) += 1;
    }
    lives
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_holds_its_bounds_as_recorded() {
    let mut replay = Replay::new();
    let definition = sent("crd/create");
    let definitions = "customresourcedefinitions.apiextensions.k8s.io";
    replay.cluster.create(definitions, "", definition, "test").unwrap();
    let target = json!({"apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer",
        "metadata": {"name": "hpa-target"}, "spec": {"image": "img"}});
    replay.cluster.create("mcpservers.mcp.mcp.dev", "default", target, "test").unwrap();
    replay.step("hpa/create").await;
    let running = Running::start(&replay.cluster);
    let autoscaler = "horizontalpodautoscalers.autoscaling";
    running
        .until("the autoscaler has looked", |cluster| {
            let found = cluster.get(autoscaler, "default", "h")?;
            found["status"]["conditions"].is_array().then_some(())
        })
        .await;
    replay.step("hpa/get").await;
    let scaled = replay.cluster.get("mcpservers.mcp.mcp.dev", "default", "hpa-target").unwrap();
    assert_eq!(scaled["spec"]["replicas"], 2);
    running
        .until("it says what is missing", |cluster| {
            let found = cluster.get(autoscaler, "default", "h")?;
            (condition(&found, "ScalingActive", "reason") == "InvalidSelector").then_some(())
        })
        .await;
    running.end().await;
}
