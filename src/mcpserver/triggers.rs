//! From a change of anything to the keys of the servers that it concerns.
//!
//! | what changed | whom it concerns |
//! |---|---|
//! | an MCPServer | itself |
//! | a Deployment or Service | the server that controls it, found by uid; and the server of the same name, which may have waited for it to go away |
//! | a Secret | the servers that name it |
//!
//! The keys of the first state that is learned are put behind all others: after a restart ten thousand servers
//! are looked at again, of which none needs anything, and whoever changes one just then should not wait for them.

use std::sync::Arc;

use super::children::Secret;
use super::observe::{BY_SECRET, BY_UID, Stores};
use crate::api::MCPServer;
use crate::informer::{Change, Informer};
use crate::object::{Object, ObjectKey};
use crate::workqueue::{Priority, Workqueue};
use super::children::{Deployment, Service};

/// The informers of all that a reconcile reads.
pub struct Informers {
    /// Of the servers.
    pub servers: Informer<MCPServer>,
    /// Of the Deployments.
    pub deployments: Informer<Deployment>,
    /// Of the Services.
    pub services: Informer<Service>,
    /// Of the Secrets.
    pub secrets: Informer<Secret>,
}

impl Informers {
    /// Where to read.
    pub fn stores(&self) -> Stores {
        let Self { servers, deployments, services, secrets } = self;
        Stores {
            servers: servers.store(),
            deployments: deployments.store(),
            services: services.store(),
            secrets: secrets.store(),
        }
    }

    /// Puts the keys of whatever changes from now on into `queue`.
    pub fn feed(&mut self, queue: &Workqueue<ObjectKey>) {
        let stores = self.stores();
        let to = queue.clone();
        self.servers.subscribe(move |change: &Change<MCPServer>| {
            for key in change.new.iter().chain(&change.old).map(|entry| entry.key()).take(1) {
                to.add_with_priority(key.clone(), priority(change));
            }
        });
        feed_children(&mut self.deployments, queue, &stores);
        feed_children(&mut self.services, queue, &stores);
        let to = queue.clone();
        self.secrets.subscribe(move |change: &Change<Secret>| {
            let Some(entry) = change.states().next() else { return };
            for server in stores.servers.by_index(BY_SECRET, &entry.key().to_string()) {
                to.add_with_priority(server, priority(change));
            }
        });
    }
}

fn feed_children<K: Object>(informer: &mut Informer<K>, queue: &Workqueue<ObjectKey>, stores: &Stores) {
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
    if change.initial { Priority::INITIAL } else { Priority::NORMAL }
}
