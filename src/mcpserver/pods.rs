//! What pods say about themselves: why a server is not available.
//!
//! A Deployment's status counts pods. That one of them is missing is in the count; that its image can't be pulled is
//! only in the pod's own status. So the pods of the servers are watched, too, and of each is kept whether it is ready,
//! where it can be reached, and its trouble.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::children::{CONTAINER, INSTANCE, MANAGED_BY, PORT, SMOOTH_OPERATOR};
use crate::object::{Meta, Object, PODS, Resource};

/// What is kept of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its metadata.
    pub meta: Meta,
    /// The server whose pod it is, by its label.
    pub server: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The pod template that it was made from, by the Deployment controller's label.
    pub template: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Where the server in it listens. During a rollout two pods of one server may listen on different ports.
    pub address: Option<SocketAddr>,
    /// What keeps it from being ready.
    pub trouble: Option<Trouble>,
}

/// What keeps a pod from being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its kind.
    pub kind: TroubleKind,
    /// What the pod says about it.
    pub message: String,
}

/// The kinds of trouble that people tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The image can't be pulled.
    Image,
    /// The container can't be created: a Secret or ConfigMap is missing, or the image runs as root.
    Config,
    /// The container was killed for using too much memory.
    OutOfMemory,
    /// The container ends again and again.
    Crash,
    /// No node can take the pod.
    Unschedulable,
}

impl Object for Pod {
    const RESOURCE: Resource = PODS;
    const SELECTOR: Option<&'static str> = Some("app.kubernetes.io/managed-by=smooth-operator");

    fn decode(json: &str) -> Result<Self, serde_json::Error> {
        let WirePod { metadata, spec, status } = serde_json::from_str(json)?;
        let meta: Meta = serde_json::from_str(metadata.get())?;
        let WireMetadata { mut labels, creation_timestamp } = serde_json::from_str(metadata.get())?;
        let ours = labels.get(MANAGED_BY).is_some_and(|manager| manager == SMOOTH_OPERATOR);
        Ok(Self {
            server: labels.remove(INSTANCE).filter(|_| ours).unwrap_or_default(),
            template: labels.remove("pod-template-hash").unwrap_or_default(),
            created: creation_timestamp,
            ready: !meta.deleting && status.says("Ready", "True"),
            address: status.address().zip(spec.port()).map(SocketAddr::from),
            trouble: if meta.deleting { None } else { status.trouble() },
            meta,
        })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Pod {
    /// Whether it was made for the Deployment of this name.
    pub fn is_of_deployment(&self, name: &str) -> bool {
        let Some(owner) = &self.meta.controller else { return false };
        let set = owner.name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        owner.kind == "ReplicaSet" && owner.group == "apps" && set == Some(self.template.as_str())
    }
}

/// The pod whose trouble explains best why a server is not available: of those made from the newest template, the first
/// by name. Pods of older templates are on their way out. (Times of creation are whole seconds, so within a second there
/// may be two newest templates.)
pub fn in_trouble(pods: &[Arc<Pod>]) -> Option<(&Pod, &Trouble)> {
    let newest = pods.iter().map(|pod| pod.created).max()?;
    let of_newest = |pod: &Pod| pods.iter().any(|other| other.created == newest && other.template == pod.template);
    let in_trouble = pods.iter().filter_map(|pod| Some((&**pod, pod.trouble.as_ref()?)));
    in_trouble.filter(|(pod, _)| of_newest(pod)).min_by(|(one, _), (other, _)| one.meta.key.cmp(&other.meta.key))
}

#[derive(Deserialize)]
struct WirePod<'json> {
    #[serde(borrow)]
    metadata: &'json RawValue,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireSpec {
    containers: Vec<WireContainerSpec>,
}

#[derive(Deserialize)]
struct WireContainerSpec {
    name: String,
    #[serde(default)]
    ports: Vec<WirePort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePort {
    #[serde(default)]
    name: String,
    container_port: u16,
}

impl WireSpec {
    fn port(&self) -> Option<u16> {
        let server = self.containers.iter().find(|container| container.name == CONTAINER)?;
        server.ports.iter().find(|port| port.name == PORT).map(|port| port.container_port)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    creation_timestamp: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireStatus {
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Vec<WireCondition>,
    init_container_statuses: Vec<WireContainer>,
    container_statuses: Vec<WireContainer>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireCondition {
    #[serde(rename = "type")]
    condition_type: String,
    status: String,
    reason: String,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireContainer {
    name: String,
    ready: bool,
    restart_count: i32,
    state: WireState,
    last_state: WireState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireState {
    waiting: Option<WireWaiting>,
    terminated: Option<WireTerminated>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireWaiting {
    reason: String,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireTerminated {
    reason: String,
    exit_code: i32,
}

impl WireStatus {
    fn address(&self) -> Option<IpAddr> {
        self.pod_ip.as_deref()?.parse().ok()
    }

    fn says(&self, condition: &str, status: &str) -> bool {
        self.conditions.iter().any(|found| found.condition_type == condition && found.status == status)
    }

    fn trouble(&self) -> Option<Trouble> {
        let unschedulable = self.conditions.iter().find(|found| {
            found.condition_type == "PodScheduled" && found.status == "False" && found.reason == "Unschedulable"
        });
        let unschedulable = unschedulable.map(|WireCondition { message, .. }| Trouble {
            kind: TroubleKind::Unschedulable,
            message: message.clone(),
        });
        let containers = || self.init_container_statuses.iter().chain(&self.container_statuses);
        unschedulable.or_else(|| containers().find_map(WireContainer::trouble))
    }
}

impl WireContainer {
    fn trouble(&self) -> Option<Trouble> {
        let Self { name, ready, restart_count, state, last_state } = self;
        if let Some(WireWaiting { reason, message }) = &state.waiting {
            let kind = match reason.as_str() {
                "ErrImagePull"
                | "ImagePullBackOff"
                | "InvalidImageName"
                | "ErrImageNeverPull"
                | "ImageInspectError"
                | "RegistryUnavailable" => Some(TroubleKind::Image),
                "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                    Some(TroubleKind::Config)
                }
                _ => None,
            };
            if let Some(kind) = kind {
                return Some(Trouble { kind, message: format!("container {name}: {reason}: {message}") });
            }
        }
        // Between two crashes the container runs for a while, or waits for its next start. That is the same trouble.
        let ended = state.terminated.as_ref().or_else(|| last_state.terminated.as_ref().filter(|_| !ready))?;
        // Its message may be the last lines of the container's log, and nobody knows what is in them.
        let WireTerminated { reason, exit_code } = ended;
        let restarts = match restart_count {
            0 => String::new(),
            1 => ", and was restarted once".to_owned(),
            times => format!(", and was restarted {times} times"),
        };
        match (reason.as_str(), *exit_code) {
            ("OOMKilled", _) => {
                let message = format!("container {name} was killed for using more memory than its limit{restarts}");
                Some(Trouble { kind: TroubleKind::OutOfMemory, message })
            }
            (_, 0) if *restart_count == 0 => None,
            (_, code) => {
                let message = format!("container {name} exited with code {code}{restarts}");
                Some(Trouble { kind: TroubleKind::Crash, message })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, template: &str, created: &str, status: &Value) -> Pod {
        let labels = json!({MANAGED_BY: SMOOTH_OPERATOR, INSTANCE: "web", "pod-template-hash": template});
        let metadata = json!({
            "namespace": "n", "name": name, "uid": name, "resourceVersion": "1", "labels": labels,
            "creationTimestamp": created,
        });
        let ports = json!([{"name": "other", "containerPort": 1}, {"name": "mcp", "containerPort": 8080}]);
        let spec = json!({"containers": [{"name": "sidecar"}, {"name": "mcp-server", "ports": ports}]});
        Pod::decode(&json!({"metadata": metadata, "spec": spec, "status": status}).to_string()).unwrap()
    }

    fn trouble(status: &Value) -> Option<(TroubleKind, String)> {
        let pod = pod("web-1", "t", "2026-11-22T20:00:00Z", status);
        pod.trouble.map(|trouble| (trouble.kind, trouble.message))
    }

    fn container(mut status: Value) -> Value {
        status["name"] = "mcp-server".into();
        json!({"containerStatuses": [status]})
    }

    fn waiting(reason: &str) -> Value {
        container(json!({"ready": false, "state": {"waiting": {"reason": reason, "message": "why"}}}))
    }

    #[test]
    fn each_trouble_is_told_in_the_pods_own_words() {
        let text = |reason: &str| format!("container mcp-server: {reason}: why");
        for reason in ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"] {
            assert_eq!(trouble(&waiting(reason)), Some((TroubleKind::Image, text(reason))));
        }
        for reason in ["CreateContainerConfigError", "RunContainerError"] {
            assert_eq!(trouble(&waiting(reason)), Some((TroubleKind::Config, text(reason))));
        }
        let unschedulable =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"});
        let told = trouble(&json!({"conditions": [unschedulable]}));
        assert_eq!(told, Some((TroubleKind::Unschedulable, "0/3 nodes".to_owned())));
    }

    #[test]
    fn a_pod_that_is_coming_or_ready_is_in_no_trouble() {
        assert_eq!(trouble(&json!({})), None);
        assert_eq!(trouble(&waiting("ContainerCreating")), None);
        assert_eq!(trouble(&container(json!({"ready": true, "state": {"running": {}}}))), None);
        let ended = json!({"terminated": {"reason": "Error", "exitCode": 1}});
        let survivor =
            container(json!({"ready": true, "restartCount": 3, "state": {"running": {}}, "lastState": ended}));
        assert_eq!(trouble(&survivor), None, "it works again");
    }

    #[test]
    fn a_crash_is_one_trouble_from_the_first_exit_through_all_restarts() {
        let ended = |code: i32| json!({"terminated": {"reason": "Error", "exitCode": code}});
        let told = |times: i32, state: Value, last: Value| {
            trouble(&container(json!({"ready": false, "restartCount": times, "state": state, "lastState": last})))
        };
        let crash = |text: &str| Some((TroubleKind::Crash, format!("container mcp-server exited with code {text}")));
        assert_eq!(told(0, ended(1), json!({})), crash("1"));
        assert_eq!(told(1, json!({"running": {}}), ended(1)), crash("1, and was restarted once"));
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}});
        assert_eq!(told(7, waiting, ended(2)), crash("2, and was restarted 7 times"));
        assert_eq!(told(1, ended(0), ended(0)), crash("0, and was restarted once"), "a server should not end");
    }

    #[test]
    fn being_killed_for_its_memory_is_told_apart_from_a_crash() {
        let killed = json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}});
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}});
        let told = trouble(&container(json!({"restartCount": 2, "state": waiting, "lastState": killed})));
        let message = "container mcp-server was killed for using more memory than its limit, and was restarted 2 times";
        assert_eq!(told, Some((TroubleKind::OutOfMemory, message.to_owned())));
    }

    /// It may hold the last lines of a log, and with them a token.
    #[test]
    fn what_a_container_wrote_before_it_ended_is_not_repeated() {
        let ended = json!({"terminated": {"reason": "Error", "exitCode": 1, "message": "token sesame is invalid"}});
        assert!(!trouble(&container(json!({"state": ended}))).unwrap().1.contains("sesame"));
    }

    #[test]
    fn a_pod_on_its_way_out_is_neither_ready_nor_in_trouble() {
        let status = json!({"conditions": [{"type": "Ready", "status": "True"}], "podIP": "10.0.0.7"});
        let ready = pod("web-1", "t", "2026-11-22T20:00:00Z", &status);
        assert_eq!((ready.ready, ready.address), (true, Some("10.0.0.7:8080".parse().unwrap())));
        let metadata = json!({"namespace": "n", "name": "a", "uid": "a", "resourceVersion": "1", "deletionTimestamp": "2026-11-22T20:00:00Z"});
        let leaving = Pod::decode(&json!({"metadata": metadata, "status": status}).to_string()).unwrap();
        assert_eq!((leaving.ready, leaving.trouble), (false, None));
    }

    /// Found in a review: a stranger's pod with our labels was verified in the name of a server that had none.
    #[test]
    fn a_pod_with_our_labels_is_the_servers_only_if_its_deployment_made_it() {
        let owned = |kind: &str, name: &str| {
            let labels = json!({MANAGED_BY: SMOOTH_OPERATOR, INSTANCE: "web", "pod-template-hash": "7f"});
            let owner = json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "r", "controller": true});
            let metadata = json!({
                "namespace": "n", "name": "web-7f-1", "uid": "p", "resourceVersion": "1", "labels": labels,
                "ownerReferences": [owner],
            });
            Pod::decode(&json!({"metadata": metadata}).to_string()).unwrap().is_of_deployment("web")
        };
        assert!(owned("ReplicaSet", "web-7f"));
        assert!(!owned("ReplicaSet", "stranger-7f") && !owned("ReplicaSet", "web-80") && !owned("Job", "web-7f"));
        assert!(!pod("web-1", "7f", "2026-11-22T20:00:00Z", &json!({})).is_of_deployment("web"), "nobody's");
    }

    #[test]
    fn only_pods_of_the_newest_template_explain_anything() {
        let (broken, fine) = (waiting("ImagePullBackOff"), json!({}));
        let old = pod("web-a", "old", "2026-11-22T20:00:00Z", &broken);
        let new = |name, status| pod(name, "new", "2026-11-22T20:00:09Z", status);
        let (first, second) = (new("web-b", &broken), new("web-c", &broken));
        let name = |pods: &[&Pod]| {
            let pods: Vec<_> = pods.iter().map(|pod| Arc::new(Pod::clone(pod))).collect();
            in_trouble(&pods).map(|(pod, _)| pod.meta.key.name().to_owned())
        };
        assert_eq!(name(&[&old]), Some("web-a".to_owned()));
        assert_eq!(name(&[&old, &new("web-b", &fine)]), None, "it is being replaced");
        assert_eq!(name(&[&second, &old, &first]), Some("web-b".to_owned()), "whatever the order");
        assert_eq!(name(&[]), None);
    }
}
