//! A node without containers: scheduler and kubelet in one.
//!
//! ```text
//!  Pending --scheduled--> ContainerCreating --ready_delay--> Running, ready
//!     |                        |       \--- what the image's name says goes wrong ([`script`])
//!     +-- unschedulable        +-- CreateContainerConfigError, until the Secret or ConfigMap comes
//!
//!  deletionTimestamp --terminate_delay--> gone
//! ```
//!
//! What a pod does is a function of its spec and its age on the node ([`next`]); the pods' ages and addresses are all
//! that this file remembers. Where it is asked for, a container that runs also answers at its pod's address, as the MCP
//! server that its image's name says ([`crate::mcp::behaviour`]).

mod addresses;
mod doors;
mod probes;
pub mod script;
mod sources;
mod status;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::harness::{self, Change, Control};
use super::meta::{is_deleting, name, namespace, text, uid, with_status};
use super::queue::Queue;
use super::recorder::{Recorder, Word};
use super::{Listening, Options};
use crate::Cluster;
use crate::cluster::DeleteOptions;
use crate::resources::Registry;
use crate::status::Status;
use crate::storage::{EventKind, Key};
use addresses::Addresses;
use doors::Doors;

pub use status::{Moment, next, unschedulable};

/// The only node.
pub const NODE: &str = "playground";

const PODS: &str = "pods";
const SCHEDULER: &str = "kube-scheduler";
const KUBELET: &str = "kubelet";
/// Until what could not be had (an address, a port) is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the node knows of a pod.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// `None` while all are taken.
    address: Option<Ipv4Addr>,
    /// Since when the pod has all it needs to start, on both clocks; `None` while something is missing.
    since: Option<(Instant, Timestamp)>,
    /// Since when the pod is on its way out.
    leaving: Option<Instant>,
}

/// The acting half.
#[derive(Debug)]
pub(super) struct Kubelet {
    cluster: Cluster,
    recorder: Recorder,
    options: Options,
    /// By the pod's uid.
    records: BTreeMap<String, Record>,
    /// Which pods wait for a Secret or ConfigMap: by table and key. No set is empty.
    waiting: BTreeMap<(String, Key), BTreeSet<Key>>,
    addresses: Addresses,
    /// Where pods are listened to.
    doors: Option<Doors>,
    /// Whether the end of pods may have gone unobserved that `records` and `doors` still have.
    has_missed_some: bool,
}

/// Runs the node until it is stopped, and joins all that listened.
pub(super) async fn run(cluster: Cluster, options: Options, stop: CancellationToken) {
    let listeners = TaskTracker::new();
    let kubelet = Kubelet::new(cluster.clone(), options, listeners.clone(), &stop);
    harness::run(cluster, kubelet, stop).await;
    listeners.close();
    listeners.wait().await;
}

impl Kubelet {
    fn new(cluster: Cluster, options: Options, listeners: TaskTracker, stop: &CancellationToken) -> Self {
        let (records, waiting) = (BTreeMap::new(), BTreeMap::new());
        let recorder = Recorder::new(&cluster, options.events, KUBELET);
        let doors = |sockets| Doors::new(cluster.clone(), sockets, listeners, stop.clone());
        let (addresses, doors) = match options.listening {
            Listening::Nowhere => (Addresses::silent(), None),
            Listening::InProcess => (Addresses::silent(), Some(doors(None))),
            Listening::OnSockets(most) => {
                if let Some(addresses) = Addresses::claimed() {
                    (addresses, Some(doors(Some(most))))
                } else {
                    tracing::warn!("pods have no addresses of their own here, and nothing listens for them");
                    (Addresses::silent(), None)
                }
            }
        };
        Self { cluster, recorder, options, records, waiting, addresses, doors, has_missed_some: false }
    }

    /// The record of a pod; a new one keeps the address that the pod's status already has.
    fn record(&mut self, pod: &Value) -> &mut Record {
        let known = text(pod, &["status", "podIP"]).parse().ok();
        let fresh = || Record { address: None, since: None, leaving: None };
        let record = self.records.entry(uid(pod).to_owned()).or_insert_with(fresh);
        if record.address.is_none() {
            record.address = self.addresses.take(known);
        }
        record
    }

    fn schedule(&self, pod: &Value) -> Result<(), Status> {
        let mut pod = pod.clone();
        if script::is_unschedulable(&pod) {
            let status = unschedulable(&pod, self.cluster.now());
            if pod["status"] != status {
                let message = text(&status["conditions"][0], &["message"]);
                self.scheduler_says(&pod, &Word::warning("FailedScheduling", message));
            }
            return self.write_status(&pod, status, SCHEDULER);
        }
        pod["spec"]["nodeName"] = NODE.into();
        let namespace = namespace(&pod).to_owned();
        let pod = self.cluster.update(PODS, &namespace, pod, SCHEDULER)?;
        let message = format!("Successfully assigned {namespace}/{} to {NODE}", name(&pod));
        self.scheduler_says(&pod, &Word::normal("Scheduled", message));
        Ok(())
    }

    fn scheduler_says(&self, pod: &Value, word: &Word) {
        self.recorder.as_component("default-scheduler").say(pod, None, word);
    }

    fn write_status(&self, pod: &Value, status: Value, manager: &str) -> Result<(), Status> {
        if pod["status"] == status {
            return Ok(());
        }
        self.cluster.update_status(PODS, namespace(pod), with_status(pod, status), manager).map(drop)
    }

    /// Takes away a pod whose time to end is over.
    fn terminate(&mut self, pod: &Value, key: &Key, queue: &mut Queue<Key>) -> Result<(), Status> {
        if self.record(pod).leaving.is_none() {
            if let Some(doors) = &mut self.doors {
                doors.close(uid(pod));
            }
            for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
                let container = text(container, &["name"]);
                let word = Word::normal("Killing", format!("Stopping container {container}"));
                self.recorder.say(pod, Some(container), &word);
            }
        }
        let since = *self.record(pod).leaving.get_or_insert_with(Instant::now);
        let end = since + self.options.terminate_delay;
        if Instant::now() < end {
            queue.add_at(key.clone(), end);
            return Ok(());
        }
        let options =
            DeleteOptions { uid: Some(uid(pod).to_owned()), grace_period_seconds: Some(0), ..DeleteOptions::default() };
        self.cluster.delete(PODS, namespace(pod), name(pod), &options).map(drop)
    }

    fn advance(&mut self, pod: &Value, key: &Key, queue: &mut Queue<Key>) -> Result<(), Status> {
        let missing = sources::of(pod)
            .into_iter()
            .find(|source| self.cluster.get(source.table, &key.namespace, &source.name).is_none());
        let (instant, now) = (Instant::now(), self.cluster.now());
        let record = self.record(pod);
        let Some(address) = record.address else {
            let message = "Failed to create pod sandbox: no IP addresses available";
            self.recorder.say(pod, None, &Word::warning("FailedCreatePodSandBox", message));
            queue.add_at(key.clone(), instant + AGAIN);
            return Ok(());
        };
        let (age, since, blocked) = if let Some(source) = missing {
            record.since = None;
            let awaited = (source.table.to_owned(), Key::new(key.namespace.as_str(), source.name.as_str()));
            self.waiting.entry(awaited).or_default().insert(key.clone());
            (Duration::ZERO, now, Some(source.missing()))
        } else {
            let (start, since) = *record.since.get_or_insert((instant, now));
            (instant - start, since, None)
        };
        let ready_delay = self.options.ready_delay;
        let failures = self.failing_probes(pod, address);
        let failing = failures.keys().cloned().collect();
        let (status, again) = next(pod, &Moment { age, since, now, address, ready_delay, blocked, failing });
        let outcome = self.doors.as_mut().map(|doors| doors.settle(pod, &status, address)).unwrap_or_default();
        let again = if outcome.again { Some(again.map_or(AGAIN, |again| again.min(AGAIN))) } else { again };
        if let Some(again) = again {
            queue.add_at(key.clone(), instant + again);
        }
        let mut said = words::words(pod, &status, &failures);
        said.extend(outcome.words);
        self.write_status(pod, status, KUBELET)?;
        for (container, word) in said {
            self.recorder.say(pod, Some(&container), &word);
        }
        Ok(())
    }
}

impl Kubelet {
    /// Why the probes of containers fail, by the container's name. Where nobody listens they pass.
    fn failing_probes(&self, pod: &Value, address: Ipv4Addr) -> BTreeMap<String, String> {
        let listening = self.doors.is_some();
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten().filter(|_| listening);
        let failure =
            |container: &Value| Some((text(container, &["name"]).to_owned(), probes::failure(container, address)?));
        containers.filter_map(failure).collect()
    }

    /// Forgets pods whose end was not observed.
    fn forget_the_gone(&mut self) {
        let pods = self.cluster.list(PODS, None);
        let living: BTreeSet<&str> = pods.iter().map(|pod| uid(pod)).collect();
        self.records.retain(|uid, record| {
            let lives = living.contains(uid.as_str());
            if let (false, Some(address)) = (lives, record.address) {
                self.addresses.give_back(address);
            }
            lives
        });
        if let Some(doors) = &mut self.doors {
            doors.keep(|uid| living.contains(uid));
        }
    }
}

impl Control for Kubelet {
    type Key = Key;

    fn tables(&self, _: &Registry) -> Vec<String> {
        vec![PODS.into(), sources::SECRETS.into(), sources::CONFIG_MAPS.into()]
    }

    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<Key>) {
        let key = &change.object.key;
        if change.table != PODS {
            let awaited = (change.table.to_owned(), key.clone());
            let pods = if change.kind == EventKind::Deleted { None } else { self.waiting.remove(&awaited) };
            for pod in pods.into_iter().flatten() {
                queue.add(pod);
            }
        } else if change.kind == EventKind::Deleted {
            let record = self.records.remove(&change.object.uid);
            if let Some(address) = record.and_then(|record| record.address) {
                self.addresses.give_back(address);
            }
            if let Some(doors) = &mut self.doors {
                doors.close(&change.object.uid);
            }
        } else if !change.asks_nothing_new() {
            queue.add(key.clone());
        }
    }

    fn sync(&mut self, key: &Key, queue: &mut Queue<Key>) -> Result<(), Status> {
        if std::mem::take(&mut self.has_missed_some) {
            self.forget_the_gone();
        }
        let Some(pod) = self.cluster.get(PODS, &key.namespace, &key.name) else { return Ok(()) };
        if is_deleting(&pod) {
            return self.terminate(&pod, key, queue);
        }
        if text(&pod, &["spec", "nodeName"]).is_empty() {
            return self.schedule(&pod);
        }
        self.advance(&pod, key, queue)
    }

    /// What was observed is forgotten, and what the node itself knows stays: nothing has happened to the pods that live.
    fn reset(&mut self) {
        self.waiting = BTreeMap::new();
        self.forget_the_gone();
        // Others may go before events come again.
        self.has_missed_some = true;
    }
}
