//! What one reconcile must remember for the next. All of it may be lost at any time: a restart loses it.
//!
//! A reconcile has no memory, in principle: it reads the world and acts. Three things can't be read from
//! the world, though, or only at a price:
//!
//! - **What was written and is not in the stores yet.** A cache is behind its own operator. Reconcile on it, and
//!   the Deployment that was just made is made again. So a key waits until the stores have seen its own last writes.
//! - **Since when a status is about to change.** A rollout passes through a dozen states in a second. Each is true, none
//!   is worth a write; but one that stays is.
//! - **What was found to be in order.** Most reconciles are about a status that moved: the children are still what the
//!   spec calls for. Comparing them again would mean building both anew, so the digests that agreed last are kept.
//! - **What the API server has refused.** Sending it again at once makes it no better. But what says no may be a policy, of whose
//!   change no event tells: so each refusal is asked about again after a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::children::InjectedSecret;
use super::observe::Stores;
use super::ours::Digest;
use super::validate::{Slot, Wanted};
use crate::api::MCPServer;
use crate::object::{ObjectKey, ResourceVersion, Uid};

/// A write that the stores have not seen for so long is not waited for any more: the watch has trouble, and
/// that must not stop what goes well.
const STALE: Duration = Duration::from_secs(10);

/// For how long a refused wish is not sent again, unless it or the object that it is about becomes another.
pub const REFUSED_FOR: Duration = Duration::from_secs(5 * 60);

/// The memories of all keys. What few have is boxed: the map is as large as the cluster. Bounded by the number of servers: [`forget`](Self::forget) follows their deletion.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<ObjectKey, Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    /// Writes that are not in the stores yet, as far as is known.
    writes: Vec<(Written, ResourceVersion)>,
    /// When the last of them was done; `None` once they are no longer waited for.
    written_at: Option<Instant>,
    /// Since when the status differs from what is written.
    differs_since: Option<Instant>,
    /// The wish that the API server refused, and what it said.
    refused: Option<Box<Refused>>,
    /// The last wish whose children were found to be as they are wanted.
    settled: Option<Box<Settled>>,
}

/// A wish, and children that are as it wants them. Where both are still the same, there is nothing to build or compare.
#[derive(Debug, PartialEq, Eq)]
struct Settled {
    /// Identity and generation of the server say which spec it is.
    server: (Uid, i64),
    secret: Option<InjectedSecret>,
    deployment: Digest,
    service: Digest,
}

impl Settled {
    /// What there is to remember, if both children stand where they belong.
    fn of(server: &MCPServer, wanted: &Wanted<'_>) -> Option<Self> {
        let Wanted { spec: _, deployment, service, secret } = wanted;
        let (Slot::Taken(deployment), Slot::Taken(service)) = (deployment, service) else { return None };
        Some(Self {
            server: (server.meta.uid.clone(), server.meta.generation),
            secret: secret.clone(),
            deployment: deployment.ours,
            service: service.ours,
        })
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Written {
    /// The Deployment.
    Deployment,
    /// The Service.
    Service,
    /// The server's status.
    Status,
}

/// A wish that the API server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The digest of the wish.
    pub hash: String,
    /// The object that was to be changed; `None` where one was to be made.
    pub of: Option<Uid>,
    /// What the API server said.
    pub message: String,
    /// When it is worth another try.
    pub until: Instant,
}

impl Memory {
    /// This was written, and is this version now. False if it was this version after the last write already: where the
    /// stores stay behind for long, the same is written again, and changes nothing.
    pub fn wrote(&self, key: &ObjectKey, what: Written, version: ResourceVersion, now: Instant) -> bool {
        let mut memories = self.lock();
        let memory = memories.entry(key.clone()).or_default();
        let write = (what, version);
        if memory.writes.contains(&write) {
            return false;
        }
        memory.writes.retain(|(written, _)| *written != what);
        memory.writes.push(write);
        memory.written_at = Some(now);
        true
    }

    /// How long to wait before the stores may be read for this key: `None` if they have seen all its writes.
    /// The events of those writes wake the key earlier; the wait only bounds it.
    pub fn behind(&self, key: &ObjectKey, stores: &Stores, now: Instant) -> Option<Duration> {
        let mut memories = self.lock();
        let memory = memories.get_mut(key)?;
        memory.writes.retain(|(what, version)| !match what {
            Written::Deployment => stores.deployments.has_seen(key, version),
            Written::Service => stores.services.has_seen(key, version),
            Written::Status => stores.servers.has_seen(key, version),
        });
        let rest = STALE.saturating_sub(now.duration_since(memory.written_at?));
        if memory.writes.is_empty() || rest.is_zero() {
            memory.written_at = None;
            return None;
        }
        Some(rest)
    }

    /// The status differs from what is written: for how long already.
    pub fn differs_for(&self, key: &ObjectKey, now: Instant) -> Duration {
        let mut memories = self.lock();
        now.duration_since(*memories.entry(key.clone()).or_default().differs_since.get_or_insert(now))
    }

    /// The status is as it is written.
    pub fn agrees(&self, key: &ObjectKey) {
        if let Some(memory) = self.lock().get_mut(key) {
            memory.differs_since = None;
        }
    }

    /// Both children are as they are wanted.
    pub fn settle(&self, server: &MCPServer, wanted: &Wanted<'_>) {
        if let Some(settled) = Settled::of(server, wanted) {
            self.lock().entry(server.meta.key.clone()).or_default().settled = Some(Box::new(settled));
        }
    }

    /// Whether this very wish was found to be settled with these very children.
    pub fn is_settled(&self, server: &MCPServer, wanted: &Wanted<'_>) -> bool {
        let Some(now) = Settled::of(server, wanted) else { return false };
        self.lock().get(&server.meta.key).is_some_and(|memory| memory.settled.as_deref() == Some(&now))
    }

    /// The API server has refused this wish.
    pub fn refuse(&self, key: &ObjectKey, refused: Refused) {
        self.lock().entry(key.clone()).or_default().refused = Some(Box::new(refused));
    }

    /// What the API server said of this very wish for this very object, if that was not too long ago.
    pub fn refused(&self, key: &ObjectKey, hash: &str, of: Option<&Uid>, now: Instant) -> Option<Refused> {
        let same = |refused: &Refused| refused.hash == hash && refused.of.as_ref() == of && now < refused.until;
        self.lock().get(key)?.refused.as_deref().filter(|refused| same(refused)).cloned()
    }

    /// The server is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::build::build;
    use super::super::observe::Observed;
    use super::super::testing::{as_wanted, observed, secret, wanted};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key() -> ObjectKey {
        ObjectKey::new("n", "web")
    }

    #[test]
    fn a_status_differs_since_it_first_did_until_it_agrees() {
        let (memory, start) = (Memory::default(), Instant::now());
        assert_eq!(memory.differs_for(&key(), start), Duration::ZERO);
        assert_eq!(memory.differs_for(&key(), start + 3 * SECOND), 3 * SECOND, "whatever it says meanwhile");
        memory.agrees(&key());
        assert_eq!(memory.differs_for(&key(), start + 9 * SECOND), Duration::ZERO);
    }

    #[test]
    fn a_settled_wish_is_another_with_another_generation_secret_or_child() {
        let mut world = observed(&json!({"image": "x", "secretName": "s"}));
        world.secret = secret("eA==");
        let (deployment, service) = as_wanted(&build(&world.server, &wanted(&world)).unwrap());
        (world.deployment, world.service) = (Some(Arc::new(deployment)), Some(Arc::new(service)));
        let memory = Memory::default();
        let settled = |world: &_| memory.is_settled(&Observed::clone(world).server, &wanted(world));
        assert!(!settled(&world), "nobody has said so");
        memory.settle(&world.server, &wanted(&world));
        assert!(settled(&world));
        let (mut edited, mut rotated, mut drifted, mut gone) = (world.clone(), world.clone(), world.clone(), world);
        Arc::make_mut(&mut edited.server).meta.generation += 1;
        rotated.secret = secret("eQ==");
        Arc::make_mut(drifted.service.as_mut().unwrap()).child.ours = Digest::of(&json!({}));
        gone.deployment = None;
        for (what, world) in [("edited", edited), ("rotated", rotated), ("drifted", drifted), ("gone", gone)] {
            assert!(!settled(&world), "{what}");
        }
    }

    #[test]
    fn a_refusal_counts_for_its_wish_its_object_and_its_time_alone() {
        let (memory, start) = (Memory::default(), Instant::now());
        let (one, other) = (Uid::from("one"), Uid::from("other"));
        let until = start + REFUSED_FOR;
        let refused = Refused { hash: "h".to_owned(), of: Some(one.clone()), message: "no".to_owned(), until };
        memory.refuse(&key(), refused.clone());
        assert_eq!(memory.refused(&key(), "h", Some(&one), until - SECOND), Some(refused));
        assert_eq!(memory.refused(&key(), "h", Some(&one), until), None);
        assert_eq!(memory.refused(&key(), "another", Some(&one), start), None);
        assert_eq!(memory.refused(&key(), "h", Some(&other), start), None);
        assert_eq!(memory.refused(&key(), "h", None, start), None);
        memory.forget(&key());
        assert_eq!(memory.refused(&key(), "h", Some(&one), start), None);
    }
}
