//! The Deployment controller: from a Deployment to its ReplicaSets, and back to its status.
//!
//! This file acts; what is to be done is decided in [`plan`](plan()), which knows no cluster.

mod plan;
mod replica_sets;
mod rolling;
mod scaling;
mod spec;
mod status;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::MANAGER;
use super::harness::{Change, Control};
use super::meta::{self, is_deleting, name, namespace, uid};
use super::owned::Owned;
use super::queue::Queue;
use super::recorder::{Recorder, Word};
use crate::Cluster;
use crate::builtin::selector;
use crate::cluster::DeleteOptions;
use crate::resources::Registry;
use crate::status::Status;
use crate::storage::{EventKind, Key};

pub use plan::{Plan, plan};

const DEPLOYMENTS: &str = "deployments.apps";
const REPLICA_SETS: &str = "replicasets.apps";
/// A pass that changed its sets is followed by another at once, which counts what the first one did before the sets' own
/// controller sees it: whoever watches sees a rollout begin with no pod updated, and can tell from there that it is
/// getting on. Three are enough; should there be more to do, the sets' events will say so.
const PASSES: usize = 3;

/// The acting half.
#[derive(Debug)]
pub(super) struct Controller {
    cluster: Cluster,
    recorder: Recorder,
    sets: Owned,
}

impl Controller {
    pub(super) fn new(cluster: Cluster, recorder: Recorder) -> Self {
        Self { cluster, recorder, sets: Owned::default() }
    }

    fn sets_of(&self, deployment: &Value) -> Vec<Arc<Value>> {
        let get = |key: &Key| self.cluster.get(REPLICA_SETS, &key.namespace, &key.name);
        self.sets.of(uid(deployment)).filter_map(get).collect()
    }

    /// Takes in ReplicaSets that the selector takes in and nobody controls: those of a Deployment that was deleted with
    /// `--cascade=orphan` and made again. True if there was one.
    fn adopt(&self, deployment: &Value) -> Result<bool, Status> {
        let mut adopted = false;
        for key in self.sets.orphans(namespace(deployment)) {
            let Some(set) = self.cluster.get(REPLICA_SETS, &key.namespace, &key.name) else { continue };
            if is_deleting(deployment)
                || !selector::matches(&deployment["spec"]["selector"], &set["metadata"]["labels"])
            {
                continue;
            }
            let patch = json!({"metadata": {
                "uid": uid(&set),
                "ownerReferences": [meta::controller_reference(deployment)],
            }});
            self.cluster.patch_merge(REPLICA_SETS, &key.namespace, &key.name, None, &patch, MANAGER)?;
            adopted = true;
        }
        Ok(adopted)
    }

    /// Plans and acts once; returns the ReplicaSets that this made or changed.
    fn pass(&self, deployment: &Value, sets: &[Arc<Value>], queue: &mut Queue<Key>) -> Result<Vec<Arc<Value>>, Status> {
        let Plan { create, update, delete, status, again } = plan(deployment, sets, self.cluster.now());
        let namespace = namespace(deployment);
        if let Some(again) = again {
            queue.add_at(Key::new(namespace, name(deployment)), Instant::now() + again);
        }
        let mut changed = Vec::new();
        if let Some(set) = create {
            match self.cluster.create(REPLICA_SETS, namespace, set.clone(), MANAGER) {
                Ok(set) => {
                    self.tell_size(deployment, &set, 0);
                    changed.push(set);
                }
                Err(refused) => return self.resolve_collision(deployment, &set, refused).map(|()| Vec::new()),
            }
        }
        for set in update {
            let before = sets.iter().find(|before| uid(before) == uid(&set)).map(|before| size(before));
            let set = self.cluster.update(REPLICA_SETS, namespace, set, MANAGER)?;
            self.tell_size(deployment, &set, before.unwrap_or(0));
            changed.push(set);
        }
        for name in delete {
            self.cluster.delete(REPLICA_SETS, namespace, &name, &DeleteOptions::default())?;
        }
        if let Some(deployment) = status {
            self.cluster.update_status(DEPLOYMENTS, namespace, deployment, MANAGER)?;
        }
        Ok(changed)
    }

    fn tell_size(&self, deployment: &Value, set: &Value, before: i64) {
        let now = size(set);
        let direction = match now.cmp(&before) {
            Ordering::Greater => "up",
            Ordering::Less => "down",
            Ordering::Equal => return,
        };
        let message = format!("Scaled {direction} replica set {} from {before} to {now}", name(set));
        self.recorder.say(deployment, None, &Word::normal("ScalingReplicaSet", message));
    }

    /// Two templates may have the same hash, and a stranger may have taken the name: then the hash gets another seed.
    fn resolve_collision(&self, deployment: &Value, set: &Value, refused: Status) -> Result<(), Status> {
        let taken = self.cluster.get(REPLICA_SETS, namespace(deployment), name(set));
        if refused.reason != "AlreadyExists" || taken.is_none() {
            return Err(refused);
        }
        let mut deployment = deployment.clone();
        let count = meta::int(&deployment, &["status", "collisionCount"]);
        deployment["status"]["collisionCount"] = (count + 1).into();
        let namespace = namespace(&deployment).to_owned();
        self.cluster.update_status(DEPLOYMENTS, &namespace, deployment, MANAGER).map(drop)
    }
}

fn size(set: &Value) -> i64 {
    meta::int(set, &["spec", "replicas"])
}

impl Control for Controller {
    type Key = Key;

    fn tables(&self, _: &Registry) -> Vec<String> {
        vec![DEPLOYMENTS.into(), REPLICA_SETS.into()]
    }

    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<Key>) {
        if change.table == REPLICA_SETS {
            let owners = self.sets.observe(change.kind, change.object, "Deployment");
            for owner in owners {
                queue.add(owner.key);
            }
        } else if change.kind != EventKind::Deleted {
            queue.add(change.object.key.clone());
        }
    }

    fn sync(&mut self, key: &Key, queue: &mut Queue<Key>) -> Result<(), Status> {
        let Some(deployment) = self.cluster.get(DEPLOYMENTS, &key.namespace, &key.name) else { return Ok(()) };
        if self.adopt(&deployment)? {
            queue.add(key.clone());
            return Ok(());
        }
        let mut sets = self.sets_of(&deployment);
        for _ in 0..PASSES {
            let Some(deployment) = self.cluster.get(DEPLOYMENTS, &key.namespace, &key.name) else { break };
            let changed = self.pass(&deployment, &sets, queue)?;
            if changed.is_empty() {
                break;
            }
            sets.retain(|set| changed.iter().all(|changed| uid(changed) != uid(set)));
            sets.extend(changed);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.sets = Owned::default();
    }
}
