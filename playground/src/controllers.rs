//! The controllers: what makes a playground move.
//!
//! Kubernetes is an API server, which only remembers, and controllers, which act on what it remembers. Here are those
//! that an operator for Deployments meets:
//!
//! ```text
//!  Deployment --[deployment]--> ReplicaSet --[replica_set]--> Pod --[kubelet]--> its status, without any container
//!       ^                            |                         |
//!       +------- counts -------------+------- counts ----------+          [garbage]: whose owner is gone, goes
//! ```
//!
//! Each is a task with a queue of keys of its own (see the `harness` module), each decides in a pure function and acts
//! thinly, and all write through the same door as everybody else, under Kubernetes' own manager names.
//!
//! Beside it [endpoint slices](endpoints) follow the Services' pods, an [autoscaler] holds its bounds, budgets for
//! [disruptions](disruption) and quotas say how much of them is used, and each namespace has its `default`
//! ServiceAccount.
//!
//! Not here: nodes, the Endpoints of old. A scheduler is part of the kubelet: there is one node, and
//! it takes whatever it is given.

pub mod autoscaler;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
mod garbage;
mod harness;
pub mod kubelet;
mod labelled;
mod meta;
mod namespace;
mod owned;
mod queue;
mod quota;
mod recorder;
pub mod replica_set;

use tokio::task::JoinHandle;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::Cluster;

/// Under which name the Deployment and ReplicaSet controllers write, and the garbage collector.
const MANAGER: &str = "kube-controller-manager";

/// How fast the playground's node works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// From a pod's arrival on the node until it is ready; also the pace of everything that goes wrong.
    pub ready_delay: Duration,
    /// From a pod's deletion until it is gone, instead of its grace period.
    pub terminate_delay: Duration,
    /// Whether the controllers write Events about what they do.
    pub events: bool,
    /// Where a container that runs is reached. See [`crate::mcp`].
    pub listening: Listening,
}

/// Where a container that runs is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Nowhere: a pod is its status and nothing more.
    Nowhere,
    /// At its pod's address, from all over this machine; so many of them at most.
    OnSockets(usize),
    /// From this process alone, by [`Servers::connect`](crate::mcp::Servers::connect).
    InProcess,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ready_delay: Duration::from_millis(300),
            terminate_delay: Duration::from_millis(50),
            events: false,
            listening: Listening::Nowhere,
        }
    }
}

/// Starts all controllers; they run until `stop` is cancelled, and then their handles join.
///
/// Must be called within a tokio runtime.
pub fn start(cluster: &Cluster, options: Options, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    let recorder = |component| recorder::Recorder::new(cluster, options.events, component);
    vec![
        tokio::spawn(harness::run(
            cluster.clone(),
            deployment::Controller::new(cluster.clone(), recorder("deployment-controller")),
            stop.clone(),
        )),
        tokio::spawn(harness::run(
            cluster.clone(),
            replica_set::Controller::new(cluster.clone(), recorder("replicaset-controller")),
            stop.clone(),
        )),
        tokio::spawn(kubelet::run(cluster.clone(), options, stop.clone())),
        tokio::spawn(harness::run(cluster.clone(), endpoints::Controller::new(cluster.clone()), stop.clone())),
        tokio::spawn(harness::run(
            cluster.clone(),
            autoscaler::Controller::new(cluster.clone(), recorder("horizontal-pod-autoscaler")),
            stop.clone(),
        )),
        tokio::spawn(harness::run(cluster.clone(), disruption::Controller::new(cluster.clone()), stop.clone())),
        tokio::spawn(harness::run(cluster.clone(), namespace::Controller::new(cluster.clone()), stop.clone())),
        tokio::spawn(harness::run(cluster.clone(), quota::Controller::new(cluster.clone()), stop.clone())),
        tokio::spawn(harness::run(cluster.clone(), garbage::Collector::new(cluster.clone()), stop.clone())),
    ]
}

#[cfg(test)]
mod tests;
