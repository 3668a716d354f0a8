//! What people, strangers and the weather do.
//!
//! [`act`] does it, where it still makes sense: people, too, type the name of something that is gone.

use std::fmt;

use playground::cluster::{DeleteOptions, Propagation};
use playground::faults::{Break, Matcher, Rule};
use serde_json::{Value, json};
use tokio::time::Duration;

use crate::timeline::CANARY;
use crate::truth::Foreign;
use crate::world::{CHILDREN, DEPLOYMENTS, SECRETS, SERVERS, SERVICES, World};

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// A server is made, or its spec is replaced.
    Server(Place, Value),
    /// Something in a server's spec is changed.
    Edit(Place, Value),
    /// A server is deleted, in this way.
    DeleteServer(Place, Propagation),
    /// A Secret is made, or gets this value.
    Secret(Place, u32),
    /// Something about a Secret changes that is none of its data.
    TouchSecret(Place, u32),
    /// A Secret is deleted.
    DeleteSecret(Place),
    /// A stranger adds an annotation of their own to a child.
    Annotate(&'static str, Place, u32),
    /// A stranger overrides what the operator wrote.
    Drift(Drift, Place),
    /// A stranger deletes a child.
    DeleteChild(&'static str, Place),
    /// `kubectl rollout restart`.
    Restart(Place, u32),
    /// A stranger makes something under the name of a server that is not there.
    Squat(&'static str, Place),
    /// A stranger takes it away again.
    Unsquat(&'static str, Place),
    /// A pod is deleted.
    DeletePod(Place),
    /// The tools of all servers change.
    ChangeTools,
    /// No pod answers the operators.
    SilentPods(Duration),
    /// Requests go wrong like this, from now on.
    Fault(Box<Rule>),
    /// No request goes wrong any more.
    NoFaults,
    /// How long requests take, at most.
    Latency(Duration),
    /// The watches of a resource show things later.
    Late(&'static str, Duration),
    /// Open watches break; of one resource, or all.
    Break(Option<&'static str>, Break),
    /// The history is forgotten.
    Compact,
    /// The API server is away, and has forgotten its history when it comes back.
    Outage(Duration),
    /// This happens while nobody looks, and no event will tell of it.
    Unseen(Box<Act>),
    /// One operator can't reach the API server.
    CutOff(usize, Duration),
    /// An operator dies at one of its next requests; before it, or after.
    Crash(usize, u64, bool),
    /// An operator is asked to stop, and started again.
    Stop(usize),
}

/// What a stranger overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drift {
    /// The number of pods.
    Replicas,
    /// The image.
    Image,
    /// A label of ours is taken away.
    Label,
    /// The Service's port.
    Port,
    /// The owner reference is taken away.
    Owner,
}

/// Does it. What it concerns may be gone; then nothing happens.
pub(crate) fn act(world: &World, act: &Act, foreign: &mut Foreign) {
    let cluster = &world.cluster;
    world.timeline.note("act", format_args!("{act:?}"));
    match act {
        Act::Server(place, spec) => make_server(world, place, spec),
        Act::Edit(Place { namespace, name }, change) => {
            _ = cluster.patch_merge(SERVERS, namespace, name, None, &json!({"spec": change}), "kubectl-edit");
        }
        Act::DeleteServer(Place { namespace, name }, how) => {
            let options = DeleteOptions { propagation: Some(*how), ..DeleteOptions::default() };
            _ = cluster.delete(SERVERS, namespace, name, &options);
        }
        Act::Secret(place, value) => set_secret(world, place, *value),
        Act::TouchSecret(Place { namespace, name }, number) => {
            let patch = json!({"metadata": {"labels": {"touched": number.to_string()}}});
            _ = cluster.patch_merge(SECRETS, namespace, name, None, &patch, "kubectl-label");
        }
        Act::DeleteSecret(Place { namespace, name }) => delete(world, SECRETS, namespace, name),
        Act::Annotate(kind, Place { namespace, name }, number) => {
            let patch = json!({"metadata": {"annotations": {"stranger.example/note": number.to_string()}}});
            if let Ok(object) = cluster.patch_merge(kind, namespace, name, None, &patch, "stranger") {
                foreign.annotated(kind, &object, *number);
            }
        }
        Act::Drift(drift, place) => drifts(world, *drift, place),
        Act::DeleteChild(kind, Place { namespace, name }) => {
            delete(world, kind, namespace, name);
            foreign.deleted(kind, namespace, name);
        }
        Act::Restart(Place { namespace, name }, number) => {
            let annotation = json!({"kubectl.kubernetes.io/restartedAt": number.to_string()});
            let patch = json!({"spec": {"template": {"metadata": {"annotations": annotation}}}});
            if cluster.get(DEPLOYMENTS, namespace, name).is_some_and(|object| is_squatter(&object)) {
                return;
            }
            _ = cluster.patch_merge(DEPLOYMENTS, namespace, name, None, &patch, "kubectl-rollout");
        }
        Act::Squat(kind, place) => squat(world, kind, place, foreign),
        Act::Unsquat(kind, Place { namespace, name }) => {
            let object = cluster.get(kind, namespace, name);
            if object.is_some_and(|object| is_squatter(&object)) {
                delete(world, kind, namespace, name);
                foreign.deleted(kind, namespace, name);
            }
        }
        Act::DeletePod(Place { namespace, name }) => {
            let pods = cluster.list("pods", Some(namespace));
            let its = |pod: &&std::sync::Arc<Value>| pod["metadata"]["labels"]["app.kubernetes.io/instance"] == *name;
            if let Some(pod) = pods.iter().find(its) {
                delete(world, "pods", namespace, pod["metadata"]["name"].as_str().unwrap_or_default());
            }
        }
        Act::ChangeTools => world.change_tools(),
        Act::SilentPods(time) => world.silence_pods(*time),
        Act::Fault(rule) => _ = cluster.faults().add((**rule).clone().user_agent("smooth-operator")),
        Act::NoFaults => cluster.faults().clear(),
        Act::Latency(most) => world.set_latency(*most),
        Act::Late(resource, late) => world.delay_watches(None, resource, *late),
        Act::Break(resource, how) => {
            let resource = resource.map(|resource| group_resource(resource).to_owned());
            cluster.faults().strike_watches(&Matcher { resource, ..Matcher::default() }, *how);
        }
        Act::Compact => cluster.compact(),
        Act::Outage(time) => {
            world.cut_off(None, *time);
            cluster.cut_watches();
            cluster.compact();
        }
        Act::Unseen(what) => {
            world.cut_off(None, Duration::from_secs(1));
            cluster.cut_watches();
            self::act(world, what, foreign);
            cluster.compact();
        }
        Act::CutOff(instance, time) => world.cut_off(Some(*instance), *time),
        Act::Crash(instance, requests, before) => {
            if let Some(life) = world.newest_lives().iter().find(|life| life.instance == *instance) {
                life.crashes_soon(*requests, *before);
            }
        }
        Act::Stop(instance) => {
            if let Some(life) = world.newest_lives().iter().find(|life| life.instance == *instance) {
                life.stop.cancel();
            }
        }
    }
    world.rolls.lock().unwrap().look(cluster);
}

/// `deployments.apps` for `deployments`.
fn group_resource(plural: &'static str) -> &'static str {
    let kinds = [SERVERS, SECRETS].into_iter().chain(CHILDREN);
    kinds.into_iter().find(|kind| kind.split('.').next() == Some(plural)).unwrap_or(plural)
}

pub(crate) fn make_server(world: &World, Place { namespace, name }: &Place, spec: &Value) {
    let cluster = &world.cluster;
    let metadata = json!({"namespace": namespace, "name": name});
    let server = json!({"apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer", "metadata": metadata, "spec": spec});
    if let Err(status) = cluster.apply(SERVERS, namespace, None, &server, "kubectl", true) {
        world.timeline.note("people", format_args!("{namespace}/{name}: {}", status.message));
    }
}

pub(crate) fn set_secret(world: &World, Place { namespace, name }: &Place, value: u32) {
    let data = json!({"TOKEN": format!("{CANARY}{value}"), "USER": format!("{CANARY}user")});
    let metadata = json!({"namespace": namespace, "name": name});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
    let cluster = &world.cluster;
    if cluster.get(SECRETS, namespace, name).is_some() {
        let patch = json!({"stringData": data});
        _ = cluster.patch_merge(SECRETS, namespace, name, None, &patch, "kubectl");
    } else if let Err(status) = cluster.create(SECRETS, namespace, secret, "kubectl") {
        world.timeline.note("people", status.message);
    }
}

pub(crate) fn delete(world: &World, kind: &str, namespace: &str, name: &str) {
    _ = world.cluster.delete(kind, namespace, name, &DeleteOptions::default());
}

fn is_squatter(object: &Value) -> bool {
    object["metadata"]["labels"]["squatter"] == "yes"
}

/// A stranger changes what is the operator's: it has to be put right.
fn drifts(world: &World, drift: Drift, Place { namespace, name }: &Place) {
    let cluster = &world.cluster;
    let kind = if drift == Drift::Port { SERVICES } else { DEPLOYMENTS };
    let Some(object) = cluster.get(kind, namespace, name) else { return };
    if is_squatter(&object) {
        return;
    }
    let mut object = (*object).clone();
    match drift {
        Drift::Replicas => object["spec"]["replicas"] = json!(7),
        Drift::Image => {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("example.com/other:1");
            world.rolls.lock().unwrap().disturb(&object);
        }
        Drift::Label => object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = Value::Null,
        Drift::Port => object["spec"]["ports"][0]["port"] = json!(7777),
        Drift::Owner => object["metadata"]["ownerReferences"] = json!([]),
    }
    if let Err(status) = cluster.update(kind, namespace, object, "stranger") {
        world.timeline.note("stranger", status.message);
    }
}

/// Takes the name of a server before its server is there.
fn squat(world: &World, kind: &'static str, Place { namespace, name }: &Place, foreign: &mut Foreign) {
    let cluster = &world.cluster;
    if cluster.get(SERVERS, namespace, name).is_some() || cluster.get(kind, namespace, name).is_some() {
        return;
    }
    let labels = json!({"squatter": "yes"});
    let selector = json!({"matchLabels": labels});
    let spec = match kind {
        DEPLOYMENTS => {
            let pod = json!({"containers": [{"name": "c", "image": "example.com/theirs:1"}]});
            json!({"replicas": 1, "selector": selector, "template": {"metadata": {"labels": labels}, "spec": pod}})
        }
        SERVICES => json!({"selector": labels, "ports": [{"port": 80}]}),
        crate::world::BUDGETS => json!({"selector": selector, "minAvailable": 0}),
        crate::world::POLICIES => json!({"podSelector": selector}),
        _ => {
            json!({"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}})
        }
    };
    let (group, version_and_kind) = match kind {
        DEPLOYMENTS => ("apps/v1", "Deployment"),
        SERVICES => ("v1", "Service"),
        crate::world::BUDGETS => ("policy/v1", "PodDisruptionBudget"),
        crate::world::POLICIES => ("networking.k8s.io/v1", "NetworkPolicy"),
        _ => ("autoscaling/v2", "HorizontalPodAutoscaler"),
    };
    let metadata = json!({"namespace": namespace, "name": name, "labels": labels});
    let object = json!({"apiVersion": group, "kind": version_and_kind, "metadata": metadata, "spec": spec});
    match cluster.create(kind, namespace, object, "squatter") {
        Ok(object) => foreign.made(kind, &object),
        Err(status) => world.timeline.note("squatter", status.message),
    }
}
