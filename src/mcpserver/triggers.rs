//! From a change of any object to the keys of the servers that it concerns.
//!
//! | what changed | which servers it concerns |
//! |---|---|
//! | an MCPServer | itself |
//! | a Deployment or Service | the server that controls it, found by uid; and the server of the same name, which may have waited for it to go away |
//! | a Secret | the servers that name it |
//!
//! The keys of the first state have a lower priority than all others: after a restart ten thousand servers are looked
//! at again, most of which need nothing, and a change that somebody makes at that moment should not have to wait for
//! them.

use std::sync::Arc;

use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::children::{Deployment, Secret, Service};
use super::observe::{BY_SECRET, BY_UID, Stores};
use crate::api::MCPServer;
use crate::client::Client;
use crate::informer::{Change, Informer, Origin, Synced};
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
}

impl Informers {
    /// The stores to read from.
    pub fn stores(&self) -> Stores {
        let Self { servers, deployments, services, secrets } = self;
        Stores {
            servers: servers.store(),
            deployments: deployments.store(),
            services: services.store(),
            secrets: secrets.store(),
        }
    }

    /// Tells for each resource when it has synced.
    pub fn synced(&self) -> Vec<(&'static str, Synced)> {
        let Self { servers, deployments, services, secrets } = self;
        vec![
            (MCPServer::RESOURCE.plural, servers.synced()),
            (Deployment::RESOURCE.plural, deployments.synced()),
            (Service::RESOURCE.plural, services.synced()),
            (Secret::RESOURCE.plural, secrets.synced()),
        ]
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
        fn start<K: Object>(
            informer: Informer<K>,
            client: &Client,
            metrics: &Metrics,
            seeds: &mut StdRng,
            tasks: &mut JoinSet<()>,
            stop: &CancellationToken,
        ) {
            informer.start(client, &metrics.informer(K::RESOURCE.plural), seeds.random(), tasks, stop);
        }
        let Self { servers, deployments, services, secrets } = self;
        start(servers, client, metrics, seeds, tasks, stop);
        start(deployments, client, metrics, seeds, tasks, stop);
        start(services, client, metrics, seeds, tasks, stop);
        start(secrets, client, metrics, seeds, tasks, stop);
    }

    /// Puts the keys of the servers that a change concerns into `queue`, for every change from now on.
    pub fn enqueue_on_change(&mut self, queue: &Workqueue<ObjectKey>) {
        let stores = self.stores();
        let to = queue.clone();
        self.servers.subscribe(move |change: &Change<MCPServer>| {
            if let Some(entry) = change.states().next() {
                to.add_with_priority(entry.key().clone(), priority(change));
            }
        });
        enqueue_owners(&mut self.deployments, queue, &stores);
        enqueue_owners(&mut self.services, queue, &stores);
        let to = queue.clone();
        self.secrets.subscribe(move |change: &Change<Secret>| {
            let Some(entry) = change.states().next() else { return };
            for server in stores.servers.by_index(BY_SECRET, &entry.key().to_string()) {
                to.add_with_priority(server, priority(change));
            }
        });
    }
}

fn enqueue_owners<K: Object>(informer: &mut Informer<K>, queue: &Workqueue<ObjectKey>, stores: &Stores) {
    let (to, servers) = (queue.clone(), Arc::clone(&stores.servers));
    informer.subscribe(move |change: &Change<K>| {
        for entry in change.states() {
            let owner = entry.valid().and_then(|child| child.meta().controller.as_ref());
            for server in owner.map(|owner| servers.by_index(BY_UID, owner.uid.as_str())).unwrap_or_default() {
                to.add_with_priority(server, priority(change));
            }
            if servers.get(entry.key()).is_some() {
                to.add_with_priority(entry.key().clone(), priority(change));
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
