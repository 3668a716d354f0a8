//! Prints what happens in the cluster, one line per interesting change.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use playground::Cluster;
use playground::cluster::WatchEvent;
use playground::storage::EventKind;
use serde_json::Value;
use tokio::sync::mpsc;

/// The kinds that are printed, and how their lines begin.
const KINDS: [(&str, &str); 5] = [
    ("mcpservers.mcp.mcp.dev", "MCPServer"),
    ("deployments.apps", "Deployment"),
    ("services", "Service"),
    ("pods", "Pod"),
    ("events.events.k8s.io", "Event"),
];

/// Everything that happens from now on, in order.
pub(crate) struct Story(mpsc::UnboundedReceiver<(&'static str, WatchEvent)>);

/// Begins to watch.
pub(crate) fn begin(cluster: &Cluster) -> Story {
    let (to, news) = mpsc::unbounded_channel();
    for (resource, kind) in KINDS {
        let Ok(mut cursor) = cluster.watch(resource, cluster.revision()) else { continue };
        let (to, from) = (to.clone(), cluster.clone());
        tokio::spawn(async move {
            loop {
                match cursor.next().await {
                    Ok(event) => {
                        if to.send((kind, event)).is_err() {
                            return;
                        }
                    }
                    // History was forgotten: the story goes on from here.
                    Err(_expired) => match from.watch(resource, from.revision()) {
                        Ok(fresh) => cursor = fresh,
                        Err(_gone) => return,
                    },
                }
            }
        });
    }
    Story(news)
}

/// Prints which faults have struck, for ever: of each kind a line a second at most, however often it strikes.
pub(crate) async fn tell_strikes(cluster: Cluster, began: Instant) {
    let mut told: BTreeMap<&str, u64> = BTreeMap::new();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (class, total) in cluster.faults().strikes() {
            let before = told.insert(class, total).unwrap_or(0);
            if total > before {
                let line = format!("struck {}x, {total}x in all", total - before);
                println!("  {:7.2}s  {:<10}  {class:<32}  {line}", began.elapsed().as_secs_f32(), "Fault");
            }
        }
    }
}

/// Prints it, for ever.
pub(crate) async fn tell(Story(mut news): Story, began: Instant) {
    let mut told: BTreeMap<(&str, String), String> = BTreeMap::new();
    while let Some((kind, event)) = news.recv().await {
        let name = event.object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let line = match event.kind {
            EventKind::Deleted => Some("deleted".to_owned()),
            EventKind::Added | EventKind::Modified => state(kind, &event.object),
        };
        let Some(line) = line else { continue };
        let gone = matches!(event.kind, EventKind::Deleted);
        let shown = if kind == "Event" { event.object["regarding"]["name"].as_str().unwrap_or(&name) } else { &name };
        if told.get(&(kind, name.clone())) != Some(&line) {
            println!("  {:7.2}s  {kind:<10}  {shown:<32}  {line}", began.elapsed().as_secs_f32());
        }
        if gone {
            told.remove(&(kind, name));
        } else {
            told.insert((kind, name), line);
        }
    }
}

/// The interesting part of an object's current state.
fn state(kind: &str, object: &Value) -> Option<String> {
    let status = &object["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    match kind {
        "MCPServer" => {
            let Some(phase) = status["phase"].as_str() else { return Some("created".to_owned()) };
            let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
            let ready = condition(object, "Ready").unwrap_or("Unknown");
            Some(format!("{phase}, {} of {wanted} available, Ready={ready}", count("availableReplicas")))
        }
        "Deployment" => {
            let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
            let image = object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            let replicas = if wanted == 1 { "replica" } else { "replicas" };
            Some(format!("{wanted} {replicas} of {}", image.rsplit('/').next().unwrap_or(image)))
        }
        "Service" => Some(format!("port {}", object["spec"]["ports"][0]["port"])),
        "Pod" if object["metadata"]["deletionTimestamp"].is_string() => Some("terminating".to_owned()),
        "Pod" if condition(object, "Ready") == Some("True") => Some("ready".to_owned()),
        "Pod" => waiting(status).map(str::to_owned),
        "Event" => {
            let text = |field: &str| object[field].as_str().unwrap_or_default();
            Some(format!("{}: {}", text("reason"), text("note")))
        }
        _ => None,
    }
}

/// Why a pod's container does not run, if the pod says so.
fn waiting(status: &Value) -> Option<&str> {
    let reason = status["containerStatuses"][0]["state"]["waiting"]["reason"].as_str()?;
    (reason != "ContainerCreating").then_some(reason)
}

/// The status of a condition.
pub(crate) fn condition<'a>(object: &'a Value, condition_type: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == condition_type)?["status"].as_str()
}

/// The documents of a YAML file.
pub(crate) fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).context("a document")).collect()
}
