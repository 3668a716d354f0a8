//! From a change of any object to the keys of the servers that it concerns.
//!
//! | what changed | which servers it concerns |
//! |---|---|
//! | an MCPServer | itself |
//! | a Deployment or Service | the server that controls it, found by uid; and the server of the same name, which may have waited for it to go away |
//! | another child | likewise |
//! | a Secret | the servers that name it |
//! | a pod | the server that its label names |
//!
//! The keys of the first state have a lower priority than all others: after a restart ten thousand servers are looked
//! at again, most of which need nothing, and a change that somebody makes at that moment should not have to wait for
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::children::{Deployment, Secret, Service};
use super::extras::{Autoscaler, Budget, Extra, Policy};
use super::observe::{BY_SECRET, BY_UID, Stores, child_indexes, pod_indexes, server_indexes};
use super::pods::Pod;
use crate::api::MCPServer;
use crate::client::Client;
use crate::informer::{Change, Indexer, Informer, Origin, Refresher, Scope, Store, Synced, Timing};
use crate::object::{Object, ObjectKey};
use crate::telemetry::Metrics;
use crate::workqueue::{Priority, Workqueue};

/// The informers for everything that a reconcile reads.
pub struct Informers {
    /// The MCPServers.
    pub servers: Informer<MCPServer>,
    /// The Deployments.
    pub deployments: Informer<Deployment>,
    /// The Services.
    pub services: Informer<Service>,
    /// The Secrets.
    pub secrets: Informer<Secret>,
    /// The servers' pods.
    pub pods: Informer<Pod>,
    /// The PodDisruptionBudgets.
    pub budgets: Informer<Extra<Budget>>,
    /// The NetworkPolicies.
    pub policies: Informer<Extra<Policy>>,
    /// The HorizontalPodAutoscalers.
    pub autoscalers: Informer<Extra<Autoscaler>>,
}

/// How to start an informer.
struct Start<'a> {
    client: &'a Client,
    metrics: &'a Metrics,
    seeds: &'a mut StdRng,
    tasks: &'a mut JoinSet<()>,
    stop: &'a CancellationToken,
}

impl Start<'_> {
    fn informer<K: Object>(&mut self, informer: Informer<K>) {
        let Self { client, metrics, seeds, tasks, stop } = self;
        informer.start(client, &metrics.informer(K::RESOURCE.plural), seeds.random(), tasks, stop);
    }
}

impl Informers {
    /// Informers for these scopes, which are not started yet.
    pub fn new(scopes: &[Scope], timing: &Timing) -> Self {
        fn informer<K: Object>(scopes: &[Scope], timing: &Timing, indexers: Vec<Indexer<K>>) -> Informer<K> {
            Informer::new(scopes.to_vec(), indexers, timing.clone())
        }
        Self {
            servers: informer(scopes, timing, server_indexes()),
            deployments: informer(scopes, timing, child_indexes()),
            services: informer(scopes, timing, child_indexes()),
            secrets: informer(scopes, timing, Vec::new()),
            pods: informer(scopes, timing, pod_indexes()),
            budgets: informer(scopes, timing, child_indexes()),
            policies: informer(scopes, timing, child_indexes()),
            autoscalers: informer(scopes, timing, child_indexes()),
        }
    }

    /// The stores to read from.
    pub fn stores(&self) -> Stores {
        let Self { servers, deployments, services, secrets, pods, budgets, policies, autoscalers } = self;
        Stores {
            servers: servers.store(),
            deployments: deployments.store(),
            services: services.store(),
            secrets: secrets.store(),
            pods: pods.store(),
            budgets: budgets.store(),
            policies: policies.store(),
            autoscalers: autoscalers.store(),
        }
    }

    /// Tells for each resource when it has synced.
    pub fn synced(&self) -> Vec<(&'static str, Synced)> {
        fn of<K: Object>(informer: &Informer<K>) -> (&'static str, Synced) {
            (K::RESOURCE.plural, informer.synced())
        }
        let Self { servers, deployments, services, secrets, pods, budgets, policies, autoscalers } = self;
        vec![
            of(servers),
            of(deployments),
            of(services),
            of(secrets),
            of(pods),
            of(budgets),
            of(policies),
            of(autoscalers),
        ]
    }

    /// For what is wished for: the specs, and the Secrets. What is known of the children may be late: it decides whether
    /// anything is written, and not what.
    pub fn refreshers(&self) -> Vec<Refresher> {
        vec![self.servers.refresher(), self.secrets.refresher()]
    }

    /// Starts all informers on `tasks`. `stop` ends them.
    pub fn start(
        self,
        client: &Client,
        metrics: &Metrics,
        seeds: &mut StdRng,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let Self { servers, deployments, services, secrets, pods, budgets, policies, autoscalers } = self;
        let mut start = Start { client, metrics, seeds, tasks, stop };
        start.informer(servers);
        start.informer(deployments);
        start.informer(services);
        start.informer(secrets);
        start.informer(pods);
        start.informer(budgets);
        start.informer(policies);
        start.informer(autoscalers);
    }

    /// Puts the keys of the servers that a change concerns into `queue`, once the [`Inlet`] is open.
    pub fn enqueue_on_change(&mut self, queue: Workqueue<ObjectKey>) -> Inlet {
        let stores = self.stores();
        let inlet = Inlet { queue, servers: Arc::clone(&stores.servers), open: Arc::default() };
        let to = inlet.clone();
        self.servers.subscribe(move |change: &Change<MCPServer>| {
            if let Some(entry) = change.states().next() {
                to.add(entry.key().clone(), priority(change));
            }
        });
        enqueue_owners(&mut self.deployments, &inlet);
        enqueue_owners(&mut self.services, &inlet);
        enqueue_owners(&mut self.budgets, &inlet);
        enqueue_owners(&mut self.policies, &inlet);
        enqueue_owners(&mut self.autoscalers, &inlet);
        let to = inlet.clone();
        self.pods.subscribe(move |change: &Change<Pod>| {
            let Some(pod) = change.states().last().and_then(|entry| entry.valid().cloned()) else { return };
            let server = pod.meta.key.sibling(&pod.server);
            if to.servers.get(&server).is_some() {
                to.add(server, priority(change));
            }
        });
        let to = inlet.clone();
        self.secrets.subscribe(move |change: &Change<Secret>| {
            let Some(entry) = change.states().next() else { return };
            for server in to.servers.by_index(BY_SECRET, &entry.key().to_string()) {
                to.add(server, priority(change));
            }
        });
        inlet
    }
}

/// The way into the queue. A follower's is closed: nobody takes keys from its queue, so every server that comes and goes
/// would leave one there, for as long as the follower lives.
#[derive(Debug, Clone)]
pub struct Inlet {
    queue: Workqueue<ObjectKey>,
    servers: Arc<Store<MCPServer>>,
    open: Arc<AtomicBool>,
}

impl Inlet {
    /// From now on every change goes through. What has come before is made up for by the keys of all servers.
    ///
    /// No change falls in between: it is in the store before it comes here, and the keys are read after the opening.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.add_all(&None);
    }

    /// All servers of a scope, behind whatever people have just changed.
    pub fn add_all(&self, scope: &Scope) {
        let keys = self.servers.keys().into_iter();
        for key in keys.filter(|key| scope.as_deref().is_none_or(|namespace| namespace == key.namespace())) {
            self.add(key, Priority::LOW);
        }
    }

    fn add(&self, server: ObjectKey, priority: Priority) {
        if self.open.load(Ordering::Acquire) {
            self.queue.add_with_priority(server, priority);
        }
    }
}

fn enqueue_owners<K: Object>(informer: &mut Informer<K>, inlet: &Inlet) {
    let to = inlet.clone();
    informer.subscribe(move |change: &Change<K>| {
        for entry in change.states() {
            let owner = entry.valid().and_then(|child| child.meta().controller.as_ref());
            for server in owner.map(|owner| to.servers.by_index(BY_UID, owner.uid.as_str())).unwrap_or_default() {
                to.add(server, priority(change));
            }
            if to.servers.get(entry.key()).is_some() {
                to.add(entry.key().clone(), priority(change));
            }
        }
    });
}

fn priority<K>(change: &Change<K>) -> Priority {
    match change.origin {
        Origin::Initial | Origin::Resync => Priority::LOW,
        Origin::Event | Origin::Gap => Priority::NORMAL,
    }
}
