//! Step one: read everything that concerns a server from the stores.

use std::sync::Arc;

use super::children::{Child, Deployment, Secret, SecretHash, Service};
use crate::api::MCPServer;
use crate::informer::{Entry, Indexer, Store};
use crate::object::{Object, ObjectKey, Uid};

/// The index of children by the uid of their controller.
pub const BY_OWNER: &str = "owner-uid";
/// The index of MCPServers by the key of the Secret that they name.
pub const BY_SECRET: &str = "secret";
/// The index of MCPServers by their own uid, for finding the owner of a child.
pub const BY_UID: &str = "uid";

/// The caches that a reconcile reads.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The servers, indexed [by Secret](BY_SECRET) and [by uid](BY_UID).
    pub servers: Arc<Store<MCPServer>>,
    /// The Deployments, indexed [by owner](BY_OWNER).
    pub deployments: Arc<Store<Deployment>>,
    /// The Services, indexed [by owner](BY_OWNER).
    pub services: Arc<Store<Service>>,
    /// The Secrets.
    pub secrets: Arc<Store<Secret>>,
}

/// Indexes for a store of children.
pub fn child_indexes<K: Object>() -> Vec<Indexer<K>> {
    vec![Indexer { name: BY_OWNER, value: |child| child.meta().controller.as_ref().map(|owner| owner.uid.shared()) }]
}

/// Indexes for the store of servers.
pub fn server_indexes() -> Vec<Indexer<MCPServer>> {
    vec![
        Indexer { name: BY_UID, value: |server| Some(server.meta.uid.shared()) },
        Indexer {
            name: BY_SECRET,
            value: |server| {
                let secret = server.spec.as_ref().ok()?.secret_name.as_deref()?;
                Some(server.meta.key.sibling(secret).to_string().into())
            },
        },
    ]
}

/// Everything that a reconcile knows.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The server.
    pub server: Arc<MCPServer>,
    /// The Deployment with the server's name, whoever owns it.
    pub deployment: Option<Arc<Deployment>>,
    /// The Service with the server's name, whoever owns it.
    pub service: Option<Arc<Service>>,
    /// A Deployment or Service with the server's name that can't be decoded, and why. Its owner is unknown.
    pub unreadable: Option<String>,
    /// The Secret that the spec names.
    pub secret: SecretState,
    /// How many children the server controls.
    pub children: usize,
}

/// The Secret that a server names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretState {
    /// The spec names none.
    NotRequired,
    /// The Secret exists; the digest of its data.
    Resolved(SecretHash),
    /// The Secret of this name does not exist.
    Missing(String),
    /// The Secret of this name can't be decoded, for this reason.
    Unreadable(String, String),
}

/// Reads the stores. `None` if the server does not exist (any more).
pub fn observe(stores: &Stores, key: &ObjectKey) -> Option<Observed> {
    let Stores { servers, deployments, services, secrets } = stores;
    let server = Arc::clone(servers.get(key)?.valid()?);
    let uid = server.meta.uid.as_str();
    let children = deployments.by_index(BY_OWNER, uid).len() + services.by_index(BY_OWNER, uid).len();
    let name = server.spec.as_ref().ok().and_then(|spec| spec.secret_name.as_deref());
    let secret = name.map_or(SecretState::NotRequired, |name| find_secret(secrets, &key.sibling(name)));
    let (deployment, service) = (deployments.get(key), services.get(key));
    let unreadable = deployment.as_ref().and_then(unreadable).or_else(|| service.as_ref().and_then(unreadable));
    let deployment = deployment.and_then(|entry| entry.valid().cloned());
    let service = service.and_then(|entry| entry.valid().cloned());
    Some(Observed { server, deployment, service, unreadable, secret, children })
}

/// An object that exists but can't be decoded must not be taken for absent.
fn unreadable<K: Object>(child: &Entry<K>) -> Option<String> {
    match child {
        Entry::Valid(_) => None,
        Entry::Invalid(invalid) => {
            Some(format!("{} {} can't be read: {}", K::RESOURCE.kind, invalid.identity.key.name(), invalid.error))
        }
    }
}

fn find_secret(secrets: &Store<Secret>, key: &ObjectKey) -> SecretState {
    match secrets.get(key) {
        Some(Entry::Valid(secret)) => SecretState::Resolved(secret.hash.clone()),
        Some(Entry::Invalid(invalid)) => SecretState::Unreadable(key.name().to_owned(), invalid.error.clone()),
        None => SecretState::Missing(key.name().to_owned()),
    }
}

/// How an object with a server's name is related to that server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// It is the server's own.
    Ours,
    /// This operator created it, and it has lost its owner (`kubectl delete --cascade=orphan` does that). It is
    /// adopted.
    Orphan,
    /// It belongs to an earlier server of the same name and is about to be collected, or it is being deleted. The
    /// operator waits until it is gone.
    Departing,
    /// It belongs to somebody else, and is left alone. The reason, for people.
    Foreign(String),
}

/// How `child` is related to the server with this uid.
pub fn relation(child: &Child, kind: &str, server: &Uid) -> Relation {
    let Child { meta, labelled, applied: _, fields: _ } = child;
    match &meta.controller {
        Some(owner) if owner.uid == *server && !meta.deleting => Relation::Ours,
        Some(owner) if owner.is_a(&MCPServer::RESOURCE) && owner.name == meta.key.name() => Relation::Departing,
        Some(owner) => {
            Relation::Foreign(format!("{kind} {} is controlled by {} {}", meta.key.name(), owner.kind, owner.name))
        }
        None if *labelled && meta.deleting => Relation::Departing,
        None if *labelled => Relation::Orphan,
        None => Relation::Foreign(format!("{kind} {} exists and was not created by this operator", meta.key.name())),
    }
}
