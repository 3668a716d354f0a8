//! The garbage collector: what belongs to somebody goes with them.
//!
//! ```text
//!  owner deleted     dependents                               finalizer on the owner
//!  in background     deleted once the owner is gone           -
//!  in foreground     deleted, and the owner waits for them    foregroundDeletion
//!  orphaning         kept, without the owner's reference      orphan
//! ```
//!
//! A graph of uids follows every resource; an event touches only its object's neighbours, never a list. Where the graph
//! knows no owner of a reference's uid, the owner is looked up by name before anything is deleted: absent, of another
//! uid, or in another namespace, it counts as gone. Of a kind that nobody serves nothing can be said: its dependents
//! are asked about again and again, and stay until it is served. But an owner that was seen going is gone, whatever
//! became of its kind: that is how a definition takes along what its objects own. (`attemptToDeleteItem` and the
//! `absentOwnerCache` of Kubernetes' garbage collector.)

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::MANAGER;
use super::harness::{Change, Control};
use super::meta;
use super::queue::Queue;
use crate::Cluster;
use crate::cluster::{DeleteOptions, Propagation};
use crate::resources::Registry;
use crate::status::Status;
use crate::storage::{EventKind, Key, Meta, OwnerReference};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// How long after an attempt that met a kind which nobody serves comes the next one.
const UNKNOWN_KIND_RETRY: Duration = Duration::from_secs(1);
/// Nobody owns or is owned by an Event, and there are many.
const IGNORED: [&str; 2] = ["events", "events.events.k8s.io"];

type Uid = String;

/// One object in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    table: String,
    key: Key,
    meta: Meta,
}

impl Node {
    /// Whether it stands in the graph as the change tells it.
    fn is(&self, change: &Change<'_>) -> bool {
        let Meta { owner_references, finalizers, deletion_timestamp, generation: _ } = &change.object.meta;
        self.table == change.table
            && self.key == change.object.key
            && self.meta.owner_references == *owner_references
            && self.meta.finalizers == *finalizers
            && self.meta.deletion_timestamp == *deletion_timestamp
    }

    fn is_leaving_with(&self, finalizer: &str) -> bool {
        self.meta.is_deleting() && self.meta.has_finalizer(finalizer)
    }
}

/// What has become of an owner.
enum Owner {
    /// It is there, and so its dependents stay.
    Standing,
    /// It waits for its dependents to go.
    Waiting,
    /// It is gone.
    Absent,
    /// Nobody serves its kind.
    Unknown,
}

/// Graph and hands of the garbage collector.
#[derive(Debug)]
pub(super) struct Collector {
    cluster: Cluster,
    nodes: BTreeMap<Uid, Node>,
    /// By owner, whether the owner is in `nodes` or not. No set is empty.
    dependents: BTreeMap<Uid, BTreeSet<Uid>>,
    /// Owners that were seen going. All of them are in `dependents`, and none is in `nodes`.
    gone: BTreeSet<Uid>,
}

impl Collector {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, nodes: BTreeMap::new(), dependents: BTreeMap::new(), gone: BTreeSet::new() }
    }

    fn dependents(&self, uid: &str) -> impl Iterator<Item = &Uid> {
        self.dependents.get(uid).into_iter().flatten()
    }

    fn link(&mut self, uid: &str, node: Node) {
        for owner in &node.meta.owner_references {
            self.dependents.entry(owner.uid.clone()).or_default().insert(uid.to_owned());
        }
        self.nodes.insert(uid.to_owned(), node);
    }

    fn unlink(&mut self, uid: &str) -> Option<Node> {
        let node = self.nodes.remove(uid)?;
        for owner in &node.meta.owner_references {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        Some(node)
    }

    /// Nobody asks any more about an owner without dependents.
    fn forget_gone(&mut self, owners: &[Uid]) {
        for owner in owners.iter().filter(|owner| !self.dependents.contains_key(*owner)) {
            self.gone.remove(owner);
        }
    }

    fn owner(&self, dependent: &Node, reference: &OwnerReference) -> Owner {
        if let Some(node) = self.nodes.get(&reference.uid)
            && (node.key.namespace.is_empty() || node.key.namespace == dependent.key.namespace)
        {
            return if node.is_leaving_with(FOREGROUND) { Owner::Waiting } else { Owner::Standing };
        }
        if self.gone.contains(&reference.uid) {
            return Owner::Absent;
        }
        let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
        let registry = self.cluster.registry();
        let Some(resource) = registry.all().find(|r| r.group == group && r.kind == reference.kind) else {
            return Owner::Unknown;
        };
        let namespace = if resource.namespaced { dependent.key.namespace.as_str() } else { "" };
        match self.cluster.get(&resource.table(), namespace, &reference.name) {
            Some(owner) if meta::uid(&owner) == reference.uid => Owner::Standing,
            _ => Owner::Absent,
        }
    }

    /// Deletes an object whose owners are all gone or waiting for it; frees one that has another owner left. As long as
    /// the kind of one of them is unknown, nothing is done, and the object comes up again.
    fn collect(&self, uid: &str, node: &Node, queue: &mut Queue<Uid>) -> Result<(), Status> {
        let (mut standing, mut waiting, mut lost) = (false, false, BTreeSet::new());
        for reference in &node.meta.owner_references {
            match self.owner(node, reference) {
                Owner::Standing => standing = true,
                Owner::Waiting => {
                    waiting = true;
                    lost.insert(reference.uid.as_str());
                }
                Owner::Absent => {
                    lost.insert(reference.uid.as_str());
                }
                Owner::Unknown => {
                    queue.add_at(uid.to_owned(), Instant::now() + UNKNOWN_KIND_RETRY);
                    return Ok(());
                }
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        if standing {
            return self.disown(node, &lost);
        }
        let propagation = if node.meta.has_finalizer(ORPHAN) {
            Propagation::Orphan
        } else if node.meta.has_finalizer(FOREGROUND) || waiting && self.dependents(uid).next().is_some() {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        let options =
            DeleteOptions { uid: Some(uid.to_owned()), propagation: Some(propagation), ..DeleteOptions::default() };
        self.cluster.delete(&node.table, &node.key.namespace, &node.key.name, &options).map(drop)
    }

    /// An owner in foreground deletion goes when none of its dependents blocks it any more.
    fn finish_foreground(&self, uid: &str, node: &Node, queue: &mut Queue<Uid>) -> Result<(), Status> {
        let blocks = |dependent: &&Uid| {
            let references = self.nodes.get(*dependent).map(|node| node.meta.owner_references.as_slice());
            references.unwrap_or_default().iter().any(|owner| owner.uid == uid && owner.block_owner_deletion)
        };
        let blocking: Vec<&Uid> = self.dependents(uid).filter(blocks).collect();
        if blocking.is_empty() {
            return self.remove_finalizer(node, FOREGROUND);
        }
        for dependent in blocking {
            queue.add(dependent.clone());
        }
        Ok(())
    }

    /// Frees all dependents, then the owner.
    fn finish_orphan(&self, uid: &str, node: &Node) -> Result<(), Status> {
        for dependent in self.dependents(uid) {
            if let Some(dependent) = self.nodes.get(dependent) {
                self.disown(dependent, &BTreeSet::from([uid]))?;
            }
        }
        self.remove_finalizer(node, ORPHAN)
    }

    fn disown(&self, node: &Node, lost: &BTreeSet<&str>) -> Result<(), Status> {
        self.change_list(node, "ownerReferences", |reference| {
            !lost.contains(reference["uid"].as_str().unwrap_or_default())
        })
    }

    fn remove_finalizer(&self, node: &Node, finalizer: &str) -> Result<(), Status> {
        self.change_list(node, "finalizers", |one| one != finalizer)
    }

    /// Keeps of a list in the metadata what `keep` says; a conflict where somebody changed the object meanwhile.
    fn change_list(&self, node: &Node, list: &str, keep: impl Fn(&Value) -> bool) -> Result<(), Status> {
        let Some(object) = self.cluster.get(&node.table, &node.key.namespace, &node.key.name) else { return Ok(()) };
        let items = object["metadata"][list].as_array().map(Vec::as_slice).unwrap_or_default();
        let kept: Vec<&Value> = items.iter().filter(|item| keep(item)).collect();
        if kept.len() == items.len() {
            return Ok(());
        }
        let version = &object["metadata"]["resourceVersion"];
        let mut patch = json!({"metadata": {"uid": meta::uid(&object), "resourceVersion": version}});
        patch["metadata"][list] = json!(kept);
        let Key { namespace, name } = &node.key;
        self.cluster.patch_merge(&node.table, namespace, name, None, &patch, MANAGER).map(drop)
    }
}

impl Control for Collector {
    type Key = Uid;

    fn tables(&self, registry: &Registry) -> Vec<String> {
        let tables: BTreeSet<String> = registry.all().map(|resource| resource.table()).collect();
        tables.into_iter().filter(|table| !IGNORED.contains(&table.as_str())).collect()
    }

    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<Uid>) {
        let uid = change.object.uid.as_str();
        if change.kind != EventKind::Deleted && self.nodes.get(uid).is_some_and(|node| node.is(change)) {
            return;
        }
        let before = self.unlink(uid);
        let owners_before = before.iter().flat_map(|node| &node.meta.owner_references);
        let waiting: Vec<Uid> = owners_before.map(|owner| owner.uid.clone()).collect();
        if change.kind == EventKind::Deleted {
            if self.dependents.contains_key(uid) {
                self.gone.insert(uid.to_owned());
            }
            self.forget_gone(&waiting);
            for concerned in self.dependents(uid).cloned().chain(waiting) {
                queue.add(concerned);
            }
            return;
        }
        let meta = Meta { generation: 0, ..change.object.meta.clone() };
        let node = Node { table: change.table.to_owned(), key: change.object.key.clone(), meta };
        let disowned = before.is_some_and(|before| before.meta.owner_references != node.meta.owner_references);
        if node.meta.is_deleting() || !node.meta.owner_references.is_empty() {
            queue.add(uid.to_owned());
        }
        self.link(uid, node);
        if disowned {
            self.forget_gone(&waiting);
            for owner in waiting {
                queue.add(owner);
            }
        }
    }

    fn sync(&mut self, uid: &Uid, queue: &mut Queue<Uid>) -> Result<(), Status> {
        let Some(node) = self.nodes.get(uid) else { return Ok(()) };
        if node.is_leaving_with(ORPHAN) {
            return self.finish_orphan(uid, node);
        }
        if node.is_leaving_with(FOREGROUND) {
            return self.finish_foreground(uid, node, queue);
        }
        if node.meta.is_deleting() { Ok(()) } else { self.collect(uid, node, queue) }
    }

    fn reset(&mut self) {
        self.nodes = BTreeMap::new();
        self.dependents = BTreeMap::new();
        self.gone = BTreeSet::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the graph's types honest without a cluster's tasks: links are undone completely.
    #[tokio::test(start_paused = true)]
    async fn a_graph_forgets_what_is_gone() {
        let cluster = Cluster::new(1, std::time::Duration::from_secs(60));
        let mut collector = Collector::new(cluster);
        let reference = OwnerReference { uid: "owner".into(), ..OwnerReference::default() };
        let meta = Meta { owner_references: vec![reference], ..Meta::default() };
        collector.link("child", Node { table: "pods".into(), key: Key::new("n", "c"), meta });
        assert_eq!(collector.dependents("owner").count(), 1);
        collector.unlink("child");
        assert!(collector.dependents.is_empty() && collector.nodes.is_empty());
    }
}
