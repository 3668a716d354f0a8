//! Step one: read everything that concerns a server from the stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::children::{Child, Deployment, Secret, SecretHash, Service};
use super::extras::{Autoscaler, Budget, Extra, ExtraKind, Policy};
use super::kind::ChildKind;
use super::pods::Pod;
use crate::api::MCPServer;
use crate::informer::{Entry, Indexer, Store};
use crate::object::{Object, ObjectKey, Uid};

/// The index of children by the uid of their controller.
pub const BY_OWNER: &str = "owner-uid";
/// The index of MCPServers by the key of the Secret that they name.
pub const BY_SECRET: &str = "secret";
/// The index of pods by the key of their server.
pub const BY_SERVER: &str = "server";
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
    /// The pods, indexed [by server](BY_SERVER).
    pub pods: Arc<Store<Pod>>,
    /// The PodDisruptionBudgets, indexed [by owner](BY_OWNER).
    pub budgets: Arc<Store<Extra<Budget>>>,
    /// The NetworkPolicies, indexed [by owner](BY_OWNER).
    pub policies: Arc<Store<Extra<Policy>>>,
    /// The HorizontalPodAutoscalers, indexed [by owner](BY_OWNER).
    pub autoscalers: Arc<Store<Extra<Autoscaler>>>,
}

/// Indexes for a store of children.
pub fn child_indexes<K: Object>() -> Vec<Indexer<K>> {
    vec![Indexer { name: BY_OWNER, value: |child| child.meta().controller.as_ref().map(|owner| owner.uid.shared()) }]
}

/// Indexes for the store of pods.
pub fn pod_indexes() -> Vec<Indexer<Pod>> {
    let server = |pod: &Pod| (!pod.server.is_empty()).then(|| pod.meta.key.sibling(&pod.server).to_string().into());
    vec![Indexer { name: BY_SERVER, value: server }]
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
    /// The other children with the server's name, whoever owns them.
    pub extras: BTreeMap<ChildKind, Child>,
    /// The objects with the server's name that can't be decoded, and why. Their owners are unknown.
    pub unreadable: BTreeMap<ChildKind, String>,
    /// The Secret that the spec names.
    pub secret: SecretState,
    /// The server's pods.
    pub pods: Vec<Arc<Pod>>,
    /// How many children the server controls.
    pub children: usize,
}

impl Observed {
    /// The object of this kind with the server's name, whoever owns it.
    pub fn child(&self, kind: ChildKind) -> Option<&Child> {
        match kind {
            ChildKind::Deployment => self.deployment.as_ref().map(|deployment| &deployment.child),
            ChildKind::Service => self.service.as_ref().map(|service| &service.child),
            ChildKind::DisruptionBudget | ChildKind::NetworkPolicy | ChildKind::Autoscaler => self.extras.get(&kind),
        }
    }
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

impl SecretState {
    /// Whether the spec names a Secret whose data nobody knows.
    pub fn is_lacking(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Unreadable(..) => true,
            Self::NotRequired | Self::Resolved(_) => false,
        }
    }
}

/// Reads the stores. `None` if the server does not exist (any more).
pub fn observe(stores: &Stores, key: &ObjectKey) -> Option<Observed> {
    let server = Arc::clone(stores.servers.get(key)?.valid()?);
    let mut found = Found { key, owner: server.meta.uid.as_str(), children: 0, unreadable: BTreeMap::new() };
    let deployment = found.read(ChildKind::Deployment, &stores.deployments);
    let service = found.read(ChildKind::Service, &stores.services);
    let extras = [
        found.read_extra(ChildKind::DisruptionBudget, &stores.budgets),
        found.read_extra(ChildKind::NetworkPolicy, &stores.policies),
        found.read_extra(ChildKind::Autoscaler, &stores.autoscalers),
    ];
    let extras = extras.into_iter().flatten().collect();
    let Found { children, unreadable, .. } = found;
    let name = server.spec.as_ref().ok().and_then(|spec| spec.secret_name.as_deref());
    let secret = name.map_or(SecretState::NotRequired, |name| find_secret(&stores.secrets, &key.sibling(name)));
    let own = deployment.as_ref().is_some_and(|deployment| deployment.child.meta.is_controlled_by(&server.meta.uid));
    let pods = if own { pods_of(stores, key) } else { Vec::new() };
    Some(Observed { server, deployment, service, extras, unreadable, secret, pods, children })
}

/// The pods of the server's Deployment. Anybody may give a pod our labels; so it also has to belong to a ReplicaSet with a
/// name that the Deployment controller gives.
fn pods_of(stores: &Stores, key: &ObjectKey) -> Vec<Arc<Pod>> {
    let pods = stores.pods.by_index(BY_SERVER, &key.to_string());
    let pods = pods.iter().filter_map(|pod| stores.pods.get(pod)?.valid().cloned());
    pods.filter(|pod| pod.is_of_deployment(key.name())).collect()
}

/// What is found of a server's children while the stores are read.
struct Found<'a> {
    key: &'a ObjectKey,
    owner: &'a str,
    children: usize,
    unreadable: BTreeMap<ChildKind, String>,
}

impl Found<'_> {
    /// The object with the server's name. One that exists but can't be decoded must not be taken for absent.
    fn read<K: Object>(&mut self, kind: ChildKind, store: &Store<K>) -> Option<Arc<K>> {
        self.children += store.by_index(BY_OWNER, self.owner).len();
        match store.get(self.key)? {
            Entry::Valid(child) => Some(child),
            Entry::Invalid(invalid) => {
                let name = invalid.identity.key.name();
                let why = format!("{} {name} can't be read: {}", kind.as_str(), invalid.error);
                self.unreadable.insert(kind, why);
                None
            }
        }
    }

    fn read_extra<K: ExtraKind>(&mut self, kind: ChildKind, store: &Store<Extra<K>>) -> Option<(ChildKind, Child)> {
        self.read(kind, store).map(|extra| (kind, extra.child.clone()))
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
    /// operator waits until it is gone. What it waits for, for people.
    Departing(String),
    /// It belongs to somebody else, and is left alone. The reason, for people.
    Foreign(String),
}

/// How `child` is related to the server with this uid.
pub fn relation(child: &Child, kind: ChildKind, server: &Uid) -> Relation {
    let Child { meta, labelled, applied: _, fields: _ } = child;
    let (kind, name) = (kind.as_str(), meta.key.name());
    match &meta.controller {
        Some(owner) if owner.uid == *server && !meta.deleting => Relation::Ours,
        Some(owner) if owner.uid == *server => Relation::Departing(format!("{kind} {name} is being deleted")),
        Some(owner) if owner.is_a(&MCPServer::RESOURCE) && owner.name == name => {
            Relation::Departing(format!("{kind} {name} of an earlier MCPServer is being deleted"))
        }
        Some(owner) => Relation::Foreign(format!("{kind} {name} is controlled by {} {}", owner.kind, owner.name)),
        None if *labelled && meta.deleting => Relation::Departing(format!("{kind} {name} is being deleted")),
        None if *labelled => Relation::Orphan,
        None => Relation::Foreign(format!("{kind} {name} exists and was not created by this operator")),
    }
}
