//! Step one: what the stores say, all at once.

use std::sync::Arc;

use super::children::{Child, Deployment, Secret, SecretHash, Service};
use crate::api::MCPServer;
use crate::informer::{Entry, Indexer, Store};
use crate::object::{Object, ObjectKey, Uid};

/// The index of children by the uid of their controller.
pub const BY_OWNER: &str = "owner-uid";
/// The index of MCPServers by the key of the Secret that they name.
pub const BY_SECRET: &str = "secret";
/// The index of MCPServers by their own uid: the way back from a child.
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

/// All that a reconcile knows of the world.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The server that it is about.
    pub server: Arc<MCPServer>,
    /// Whatever Deployment has its name.
    pub deployment: Option<Arc<Deployment>>,
    /// Whatever Service has its name.
    pub service: Option<Arc<Service>>,
    /// What has its name and can't be read, and why: nobody can tell then whose it is.
    pub unreadable: Option<String>,
    /// The Secret that it names.
    pub secret: SecretState,
    /// How many children it controls.
    pub children: usize,
}

/// The Secret that a server names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretState {
    /// It names none.
    NotRequired,
    /// There it is.
    Resolved(SecretHash),
    /// It is not there.
    Missing(String),
    /// It is there and can't be read, for this reason.
    Unreadable(String, String),
}

/// Reads the stores. `None` if there is no such server (any more).
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

/// What is there and can't be read must not be taken for absent.
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

/// What an object that bears a server's name is to that server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// It is the server's own.
    Ours,
    /// It was made by this operator and has lost its owner: `kubectl delete --cascade=orphan` does that. It is adopted.
    Orphan,
    /// It belongs to an earlier server of the same name and is about to be collected, or it is being deleted. It is waited for.
    Departing,
    /// It is somebody else's, and stays untouched.
    Foreign(String),
}

/// What `child` is to the server with this uid.
pub fn relation(child: &Child, kind: &str, server: &Uid) -> Relation {
    let Child { meta, labelled, applied: _, ours: _ } = child;
    match &meta.controller {
        Some(owner) if owner.uid == *server && !meta.deleting => Relation::Ours,
        Some(owner) if owner.is_a(&MCPServer::RESOURCE) && owner.name == meta.key.name() => Relation::Departing,
        Some(owner) => {
            Relation::Foreign(format!("{kind} {} is controlled by {} {}", meta.key.name(), owner.kind, owner.name))
        }
        None if *labelled && meta.deleting => Relation::Departing,
        None if *labelled => Relation::Orphan,
        None => Relation::Foreign(format!("{kind} {} exists and was not made by this operator", meta.key.name())),
    }
}
