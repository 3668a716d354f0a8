//! What happens in the cluster, as lines: one for each interesting change.
//!
//! A watch reports every write, and most of them change nothing that a person would notice: a status is written three
//! times until a pod is ready. So a [`Teller`] remembers the last line about each object, and says only what is new.
//! It takes events and returns lines; who prints or draws them is not its business.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use playground::Cluster;
use playground::cluster::WatchEvent;
use playground::storage::EventKind;
use serde_json::Value;
use tokio::sync::mpsc;

/// The kinds that are told about, and how their lines begin.
pub(crate) const KINDS: [(&str, &str); 5] = [
    ("mcpservers.mcp.mcp.dev", "MCPServer"),
    ("deployments.apps", "Deployment"),
    ("services", "Service"),
    ("pods", "Pod"),
    ("events.events.k8s.io", "Event"),
];

/// Everything that happens from now on, in order for each kind: the kind as in [`KINDS`], and the change.
pub(crate) struct Story(mpsc::UnboundedReceiver<(&'static str, WatchEvent)>);

impl Story {
    /// The next change; waits for it.
    pub(crate) async fn next(&mut self) -> Option<(&'static str, WatchEvent)> {
        self.0.recv().await
    }

    /// The next change, if it has happened already.
    pub(crate) fn next_now(&mut self) -> Option<(&'static str, WatchEvent)> {
        self.0.try_recv().ok()
    }
}

/// Begins to watch these resources.
pub(crate) fn begin(cluster: &Cluster, kinds: &[(&'static str, &'static str)]) -> Story {
    let (to, news) = mpsc::unbounded_channel();
    for &(resource, kind) in kinds {
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
                    // The cluster has forgotten its history: continue from now.
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

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// When, since the start.
    pub(crate) at: Duration,
    /// The kind of what it happened to, or who did it.
    pub(crate) kind: &'static str,
    /// The name of what it happened to.
    pub(crate) name: String,
    /// What.
    pub(crate) text: String,
}

/// As it is printed where there is no view.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, kind, name, text } = self;
        write!(f, "  {:7.2}s  {kind:<10}  {name:<32}  {text}", at.as_secs_f32())
    }
}

/// Turns changes into lines, and leaves out what it has said already.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    /// The last line about each object that exists.
    told: BTreeMap<(&'static str, String), String>,
    /// How often each fault had struck when it was last told.
    struck: BTreeMap<&'static str, u64>,
}

impl Teller {
    /// The line about a change that happened `at`, if there is something new to say.
    pub(crate) fn line(&mut self, kind: &'static str, event: &WatchEvent, at: Duration) -> Option<Line> {
        let name = event.object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let gone = matches!(event.kind, EventKind::Deleted);
        let text = if gone { "deleted".to_owned() } else { state(kind, &event.object)? };
        let shown = if kind == "Event" { event.object["regarding"]["name"].as_str().unwrap_or(&name) } else { &name };
        let line = Line { at, kind, name: shown.to_owned(), text };
        let said = self.told.get(&(kind, name.clone())) == Some(&line.text);
        if gone {
            self.told.remove(&(kind, name));
        } else {
            self.told.insert((kind, name), line.text.clone());
        }
        (!said).then_some(line)
    }

    /// The lines about faults that have struck since the last call, from how often each has struck in all.
    pub(crate) fn strikes(&mut self, totals: &BTreeMap<&'static str, u64>, at: Duration) -> Vec<Line> {
        let mut lines = Vec::new();
        for (&class, &total) in totals {
            let before = self.struck.insert(class, total).unwrap_or(0);
            if total > before {
                let text = format!("struck {}x, {total}x in all", total - before);
                lines.push(Line { at, kind: "Fault", name: class.to_owned(), text });
            }
        }
        lines
    }
}

/// How many pods an MCPServer is to have: what its spec says, or, where that is left to an autoscaler, how many there are.
pub(crate) fn wanted(server: &Value) -> i64 {
    let (spec, status) = (&server["spec"], &server["status"]);
    if spec["autoscaling"].is_object() {
        return status["replicas"].as_i64().unwrap_or(0);
    }
    spec["replicas"].as_i64().unwrap_or(1)
}

/// The interesting part of an object's current state.
fn state(kind: &str, object: &Value) -> Option<String> {
    let status = &object["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    match kind {
        "MCPServer" => {
            let Some(phase) = status["phase"].as_str() else { return Some("created".to_owned()) };
            let wanted = wanted(object);
            let ready = condition(object, "Ready").and_then(|ready| ready["status"].as_str()).unwrap_or("Unknown");
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
        "Pod" if condition(object, "Ready").is_some_and(|ready| ready["status"] == "True") => Some("ready".to_owned()),
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

/// A condition of an object.
pub(crate) fn condition<'a>(object: &'a Value, condition_type: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == condition_type)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    const AT: Duration = Duration::from_millis(1950);

    fn event(kind: EventKind, object: Value) -> WatchEvent {
        WatchEvent { kind, object: Arc::new(object), revision: 1 }
    }

    fn pod(ready: &str) -> Value {
        json!({"metadata": {"name": "fetch-1"}, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    #[test]
    fn a_line_is_printed_in_columns() {
        let ready = event(EventKind::Modified, pod("True"));
        let line = Teller::default().line("Pod", &ready, AT).unwrap();
        assert_eq!(line.to_string(), "     1.95s  Pod         fetch-1                           ready");
    }

    #[test]
    fn the_same_is_not_told_twice_until_the_object_is_another_one() {
        let mut teller = Teller::default();
        let ready = event(EventKind::Modified, pod("True"));
        assert!(teller.line("Pod", &ready, AT).is_some());
        assert_eq!(teller.line("Pod", &ready, AT), None);
        assert_eq!(teller.line("Pod", &event(EventKind::Deleted, pod("True")), AT).unwrap().text, "deleted");
        assert!(teller.line("Pod", &ready, AT).is_some());
    }

    #[test]
    fn an_event_is_told_under_the_name_of_what_it_regards() {
        let object =
            json!({"metadata": {"name": "fetch.1"}, "regarding": {"name": "fetch"}, "reason": "A", "note": "b"});
        let line = Teller::default().line("Event", &event(EventKind::Added, object), AT).unwrap();
        assert_eq!((line.name.as_str(), line.text.as_str()), ("fetch", "A: b"));
    }

    #[test]
    fn a_fault_is_told_when_it_has_struck_again() {
        let mut teller = Teller::default();
        let told: Vec<String> = [1, 1, 4]
            .into_iter()
            .flat_map(|total| teller.strikes(&BTreeMap::from([("delay", total)]), AT))
            .map(|line| line.text)
            .collect();
        assert_eq!(told, ["struck 1x, 1x in all", "struck 3x, 4x in all"]);
    }
}
