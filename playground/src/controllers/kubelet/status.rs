//! A pod's status at one moment: phase, conditions, containers.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Duration;

use super::script::{self, Exit, Scene, State};
use crate::controllers::meta::{condition, stamp, text};

/// All that a pod's status depends on, beyond its spec.
#[derive(Debug, Clone)]
pub struct Moment {
    /// How long the pod has had all it needs to start.
    pub age: Duration,
    /// The wall time at which the age was 0.
    pub since: Timestamp,
    /// The wall time.
    pub now: Timestamp,
    /// The pod's own address.
    pub address: Ipv4Addr,
    /// How long a container takes to start.
    pub ready_delay: Duration,
    /// What is missing, in the kubelet's words.
    pub blocked: Option<String>,
    /// The containers, by name, whose probes fail.
    pub failing: BTreeSet<String>,
}

impl Moment {
    /// The wall time at an age.
    fn at(&self, age: Duration) -> String {
        let age = SignedDuration::try_from(age).unwrap_or_default();
        stamp(self.since.saturating_add(age).unwrap_or(self.since))
    }
}

/// The status of a pod that finds no node.
pub fn unschedulable(pod: &Value, now: Timestamp) -> Value {
    let message = "0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 nodes \
                   are available: 1 No preemption victims found for incoming pod.";
    with_conditions(pod, now, &[("PodScheduled", "False", "Unschedulable", message)])
}

/// The status at a moment, and after how long the next one differs.
pub fn next(pod: &Value, moment: &Moment) -> (Value, Option<Duration>) {
    let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let scenes: Vec<(&Value, Scene)> = containers.iter().map(|one| (one, scene(pod, one, moment))).collect();
    let unready: Vec<&str> =
        scenes.iter().filter(|(_, scene)| !is_ready(scene)).map(|(one, _)| text(one, &["name"])).collect();
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    let ready = if unready.is_empty() { ("True", "", "") } else { ("False", "ContainersNotReady", message.as_str()) };
    let mut status = with_conditions(
        pod,
        moment.now,
        &[
            ("PodScheduled", "True", "", ""),
            ("Initialized", "True", "", ""),
            ("ContainersReady", ready.0, ready.1, ready.2),
            ("Ready", ready.0, ready.1, ready.2),
        ],
    );
    let started = scenes.iter().any(|(_, scene)| has_started(scene));
    status["phase"] = if started { "Running" } else { "Pending" }.into();
    status["hostIP"] = "127.0.0.1".into();
    status["hostIPs"] = json!([{"ip": "127.0.0.1"}]);
    if text(&status, &["startTime"]).is_empty() {
        status["startTime"] = stamp(moment.now).into();
    }
    // A pod gets its address with its sandbox, which is there as soon as anything was tried.
    if started || moment.blocked.is_some() || moment.age >= moment.ready_delay {
        status["podIP"] = moment.address.to_string().into();
        status["podIPs"] = json!([{"ip": moment.address.to_string()}]);
    }
    let statuses = scenes.iter().map(|(one, scene)| container_status(one, scene, moment));
    status["containerStatuses"] = statuses.collect();
    let until = scenes.iter().filter_map(|(_, scene)| scene.until).min();
    (status, until.map(|until| until.saturating_sub(moment.age)))
}

fn scene(pod: &Value, container: &Value, moment: &Moment) -> Scene {
    match &moment.blocked {
        None => {
            let mut scene = script::scene(pod, container, moment.age, moment.ready_delay);
            if let State::Running { since: _, ready } = &mut scene.state {
                *ready &= !moment.failing.contains(text(container, &["name"]));
            }
            scene
        }
        Some(message) => {
            let state = State::Waiting { reason: "CreateContainerConfigError", message: message.clone() };
            Scene { state, last: None, restarts: 0, until: None }
        }
    }
}

fn is_ready(scene: &Scene) -> bool {
    matches!(scene.state, State::Running { ready: true, .. })
}

fn has_started(scene: &Scene) -> bool {
    scene.last.is_some() || !matches!(scene.state, State::Waiting { .. })
}

fn container_status(container: &Value, scene: &Scene, moment: &Moment) -> Value {
    let Scene { state, last, restarts, until: _ } = scene;
    let terminated = |(since, until, exit): (Duration, Duration, Exit)| {
        json!({"terminated": {
            "exitCode": exit.code,
            "reason": exit.reason,
            "startedAt": moment.at(since),
            "finishedAt": moment.at(until),
        }})
    };
    let running = matches!(state, State::Running { .. });
    let state = match state {
        State::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
        State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running { since, ready: _ } => json!({"running": {"startedAt": moment.at(*since)}}),
        State::Terminated { since, until, exit } => terminated((*since, *until, *exit)),
    };
    json!({
        "name": container["name"],
        "state": state,
        "lastState": last.map_or_else(|| json!({}), terminated),
        "ready": is_ready(scene),
        "restartCount": restarts,
        "image": container["image"],
        "imageID": if has_started(scene) { "sha256:0" } else { "" },
        "started": running,
    })
}

/// The pod's status with these conditions set: type, status, reason, message. Their times move only when their status
/// does.
fn with_conditions(pod: &Value, now: Timestamp, set: &[(&str, &str, &str, &str)]) -> Value {
    let mut status = pod["status"].clone();
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    for (kind, wanted, reason, message) in set {
        let before = condition(&conditions, kind).filter(|before| text(before, &["status"]) == *wanted);
        let since = before.map_or_else(|| stamp(now), |before| text(before, &["lastTransitionTime"]).to_owned());
        let mut new = json!({"type": kind, "status": wanted, "lastProbeTime": null, "lastTransitionTime": since});
        for (key, value) in [("reason", reason), ("message", message)] {
            if !value.is_empty() {
                new[key] = (*value).into();
            }
        }
        match conditions.iter_mut().find(|condition| text(condition, &["type"]) == *kind) {
            Some(condition) => *condition = new,
            None => conditions.push(new),
        }
    }
    status["conditions"] = conditions.into();
    status
}
