//! Who is controlled by whom: the index that spares the controllers every full list.

use std::collections::{BTreeMap, BTreeSet};

use crate::storage::{EventKind, Key, Object};

/// An object's controlling owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: String,
    /// Where the owner is found.
    pub(super) key: Key,
}

/// The objects of one resource by the uid of their controlling owner.
#[derive(Debug, Default)]
pub(super) struct Owned {
    /// No set is empty.
    by_uid: BTreeMap<String, BTreeSet<Key>>,
    /// The inverse of `by_uid`.
    owners: BTreeMap<Key, Owner>,
    /// The objects without a controlling owner, which wait for one.
    orphans: BTreeSet<Key>,
}

impl Owned {
    /// Takes note of a change; returns whose objects it concerns: the owner before and the owner now.
    pub(super) fn observe(&mut self, kind: EventKind, object: &Object, owner_kind: &str) -> Vec<Owner> {
        let meta = &object.meta;
        let key = &object.key;
        let now = meta
            .controller()
            .filter(|owner| owner.kind == owner_kind)
            .map(|owner| Owner { uid: owner.uid.clone(), key: Key::new(key.namespace.as_str(), owner.name.as_str()) });
        let gone = kind == EventKind::Deleted;
        self.orphans.remove(key);
        if meta.controller().is_none() && !gone && !meta.is_deleting() {
            self.orphans.insert(key.clone());
        }
        let before = self.owners.get(key).cloned();
        let mut concerned: Vec<Owner> = before.clone().into_iter().collect();
        if before != now {
            self.unlink(key);
            concerned.extend(now.clone());
        }
        match now {
            Some(_) if gone => self.unlink(key),
            Some(owner) => self.link(key, owner),
            None => {}
        }
        concerned
    }

    fn link(&mut self, key: &Key, owner: Owner) {
        self.by_uid.entry(owner.uid.clone()).or_default().insert(key.clone());
        self.owners.insert(key.clone(), owner);
    }

    fn unlink(&mut self, key: &Key) {
        let Some(owner) = self.owners.remove(key) else { return };
        if let Some(keys) = self.by_uid.get_mut(&owner.uid) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_uid.remove(&owner.uid);
            }
        }
    }

    /// The objects that this owner controls.
    pub(super) fn of(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.by_uid.get(uid).into_iter().flatten()
    }

    /// The objects of a namespace that nobody controls.
    pub(super) fn orphans(&self, namespace: &str) -> impl Iterator<Item = &Key> {
        let first = Key::new(namespace, "");
        self.orphans.range(first..).take_while(move |key| key.namespace == namespace)
    }
}
