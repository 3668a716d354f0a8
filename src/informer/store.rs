//! The cache: the state of the cluster as of the last message from the API server.
//!
//! ```text
//!               ┌ objects   key ─► Valid(Arc<K>) | Invalid(Arc<Invalid>)
//! Store ─ lock ─┼ indexes   name ─► value ─► {keys}        changed in one step with `objects`
//!               └ progress  scope ─► resourceVersion       how far each reflector has come
//! ```
//!
//! Readers get an `Arc` and release the lock at once, so readers can't hold up the reflector.
//!
//! Invariants:
//!
//! - A key is in an index bucket exactly if its object is valid and the index gives it that value.
//! - No bucket is empty. A cluster that creates and deletes owners all day would otherwise collect
//!   empty buckets for ever ([kubernetes#84959](https://github.com/kubernetes/kubernetes/issues/84959)).
//! - `progress` of a scope is at least the `resourceVersion` of each of its objects.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::object::{Object, ObjectKey, ResourceVersion, Uid};
use crate::watch::Identity;

/// Which part of the cluster a reflector follows: one namespace, or all of them.
pub type Scope = Option<Arc<str>>;

/// One object in the cache.
#[derive(Debug)]
pub enum Entry<K> {
    /// A decoded object.
    Valid(Arc<K>),
    /// An object that exists but can't be decoded.
    Invalid(Arc<Invalid>),
}

impl<K> Clone for Entry<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Valid(object) => Self::Valid(Arc::clone(object)),
            Self::Invalid(invalid) => Self::Invalid(Arc::clone(invalid)),
        }
    }
}

impl<K: Object> Entry<K> {
    /// Namespace and name.
    pub fn key(&self) -> &ObjectKey {
        match self {
            Self::Valid(object) => &object.meta().key,
            Self::Invalid(invalid) => &invalid.identity.key,
        }
    }

    /// The object's identity.
    pub fn uid(&self) -> &Uid {
        match self {
            Self::Valid(object) => &object.meta().uid,
            Self::Invalid(invalid) => &invalid.identity.uid,
        }
    }

    /// The state of the object that this is.
    pub fn resource_version(&self) -> &ResourceVersion {
        match self {
            Self::Valid(object) => &object.meta().resource_version,
            Self::Invalid(invalid) => &invalid.identity.resource_version,
        }
    }

    /// Whether both are the same state of the same object, where versions can be compared.
    fn is_version(&self, other: &Self) -> bool {
        self.uid() == other.uid() && self.resource_version() == other.resource_version()
    }

    /// Whether both are the same state of the same object. The versions are not enough: after a restore the server
    /// counts them a second time. So the decoded contents are compared.
    fn is(&self, other: &Self) -> bool {
        self.uid() == other.uid()
            && match (self, other) {
                (Self::Valid(one), Self::Valid(other)) => one == other,
                (Self::Invalid(one), Self::Invalid(other)) => one == other,
                (Self::Valid(_), Self::Invalid(_)) | (Self::Invalid(_), Self::Valid(_)) => false,
            }
    }

    /// The object, if it could be decoded.
    pub fn valid(&self) -> Option<&Arc<K>> {
        match self {
            Self::Valid(object) => Some(object),
            Self::Invalid(_) => None,
        }
    }
}

/// An object that exists but can't be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Which object it is.
    pub identity: Identity,
    /// What is wrong with it: the field and the value, as far as the decoder can tell.
    pub error: String,
}

/// A change of the store. The store has changed already when this is delivered.
#[derive(Debug)]
pub struct Change<K> {
    /// The state before; `None` if the object is new. If it is gone, the last state that is known; `origin` says whether
    /// that was the final one.
    pub old: Option<Entry<K>>,
    /// The state now; `None` if the object is gone.
    pub new: Option<Entry<K>>,
    /// How the change became known.
    pub origin: Origin,
}

/// How a [`Change`] became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The object is part of the first state that this process reads: nothing has just happened.
    Initial,
    /// An event of the watch. A deletion carries the final state of the object.
    Event,
    /// A comparison, after a gap in the watch. An object that is gone may have changed once more before its deletion, so
    /// its final state is unknown (client-go's `DeletedFinalStateUnknown`).
    Gap,
    /// A resync, which repeats every object: nothing has changed.
    Resync,
}

impl<K: Object> Change<K> {
    /// The states before and after. Handlers usually need both: a child may have had another owner before.
    pub fn states(&self) -> impl Iterator<Item = &Entry<K>> {
        self.old.iter().chain(&self.new)
    }

    /// A deletion that no event has reported. `seen` is the last state that was seen.
    fn missed_deletion(seen: Entry<K>) -> Self {
        Self { old: Some(seen), new: None, origin: Origin::Gap }
    }
}

/// A rule that gives an object a value by which it can be found.
#[derive(Clone, Copy)]
pub struct Indexer<K> {
    /// The name of the index.
    pub name: &'static str,
    /// The value of an object, if it has one. Shared, since most values are a uid that the object keeps anyway.
    pub value: fn(&K) -> Option<Arc<str>>,
}

/// The cache of all objects of one kind. See the [module](self).
pub struct Store<K> {
    indexers: Vec<Indexer<K>>,
    inner: Mutex<Inner<K>>,
}

struct Inner<K> {
    objects: BTreeMap<ObjectKey, Entry<K>>,
    /// Buckets are sorted. Nearly all of them have one key, and the smallest `BTreeSet` takes the memory of eleven.
    indexes: BTreeMap<&'static str, BTreeMap<Arc<str>, Vec<ObjectKey>>>,
    progress: BTreeMap<Scope, ResourceVersion>,
}

impl<K: Object> Store<K> {
    /// An empty store that keeps these indexes.
    pub fn new(indexers: Vec<Indexer<K>>) -> Self {
        let inner = Inner { objects: BTreeMap::new(), indexes: BTreeMap::new(), progress: BTreeMap::new() };
        Self { indexers, inner: Mutex::new(inner) }
    }

    /// The object with this key.
    pub fn get(&self, key: &ObjectKey) -> Option<Entry<K>> {
        self.lock().objects.get(key).cloned()
    }

    /// The keys of the objects that the index gives this value, in order.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<ObjectKey> {
        let inner = self.lock();
        inner.indexes.get(index).and_then(|index| index.get(value)).into_iter().flatten().cloned().collect()
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.lock().objects.keys().cloned().collect()
    }

    /// The number of objects, valid or not.
    pub fn len(&self) -> usize {
        self.lock().objects.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this store has the state of `key` at `version` or later. It answers "I have written this version: can I
    /// trust what I read now?". Either the object itself is that new, or the reflector of its namespace has come that
    /// far (and the object is unchanged, or gone).
    pub fn has_seen(&self, key: &ObjectKey, version: &ResourceVersion) -> bool {
        let inner = self.lock();
        let reached = |scope: Scope| inner.progress.get(&scope).is_some_and(|progress| progress >= version);
        inner.objects.get(key).is_some_and(|entry| entry.resource_version() >= version)
            || reached(None)
            || reached(Some(Arc::from(key.namespace())))
    }

    /// Puts a new state of one object in.
    pub(super) fn upsert(&self, scope: &Scope, entry: Entry<K>) -> Vec<Change<K>> {
        let mut inner = self.lock();
        inner.advance(scope, entry.resource_version().clone());
        inner.put(&self.indexers, entry, Origin::Event)
    }

    /// Takes an object out. `last` is its final state; if that can't be read, the change carries the state before it.
    pub(super) fn remove(&self, scope: &Scope, last: Entry<K>) -> Option<Change<K>> {
        let mut inner = self.lock();
        inner.advance(scope, last.resource_version().clone());
        let before = inner.take(&self.indexers, last.key())?;
        let old = if last.valid().is_some() && last.uid() == before.uid() { last } else { before };
        Some(Change { old: Some(old), new: None, origin: Origin::Event })
    }

    /// Notes that the reflector of this scope has come to this version, without any change.
    pub(super) fn advance(&self, scope: &Scope, version: ResourceVersion) {
        self.lock().advance(scope, version);
    }

    /// Adds one object to the complete state that is being read. If the store has it in the same state, only its key is
    /// kept: a relist takes the memory of what changed, not a second copy of the cache.
    pub(super) fn note(&self, replacement: &mut Replacement<K>, entry: Entry<K>) {
        let inner = self.lock();
        let same = |live: &Entry<K>| if replacement.continues { live.is_version(&entry) } else { live.is(&entry) };
        let key = entry.key().clone();
        let found = if inner.objects.get(&key).is_some_and(same) { Found::Unchanged } else { Found::New(entry) };
        replacement.found.insert(key, found);
    }

    /// Replaces the state of the scope, and returns the differences: nothing for what is unchanged, a deletion for what
    /// is gone.
    pub(super) fn commit(&self, replacement: Replacement<K>, version: ResourceVersion) -> Vec<Change<K>> {
        let Replacement { scope, continues: _, found } = replacement;
        let mut inner = self.lock();
        let first = inner.progress.insert(scope.clone(), version).is_none();
        let origin = if first { Origin::Initial } else { Origin::Gap };
        let covers = |key: &ObjectKey| scope.as_deref().is_none_or(|namespace| namespace == key.namespace());
        let gone = |key: &&ObjectKey| covers(key) && !found.contains_key(*key);
        let gone: Vec<ObjectKey> = inner.objects.keys().filter(gone).cloned().collect();
        let mut changes: Vec<Change<K>> =
            gone.iter().filter_map(|key| inner.take(&self.indexers, key)).map(Change::missed_deletion).collect();
        for found in found.into_values() {
            match found {
                Found::Unchanged => {}
                Found::New(entry) => changes.extend(inner.put(&self.indexers, entry, origin)),
            }
        }
        changes
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Object> Inner<K> {
    fn advance(&mut self, scope: &Scope, version: ResourceVersion) {
        self.progress.insert(scope.clone(), version);
    }

    /// An object with the name of another one but its own uid is not a change of the other one: that one is gone, and
    /// this one is new.
    fn put(&mut self, indexers: &[Indexer<K>], entry: Entry<K>, origin: Origin) -> Vec<Change<K>> {
        let key = entry.key().clone();
        let mut changes = Vec::with_capacity(1);
        let mut old = self.objects.get(&key).cloned();
        if old.as_ref().is_some_and(|old| old.uid() != entry.uid()) {
            changes.extend(self.take(indexers, &key).map(Change::missed_deletion));
            old = None;
        }
        if let Some(old) = &old {
            self.unindex(indexers, old);
        }
        self.index(indexers, &entry);
        self.objects.insert(key, entry.clone());
        changes.push(Change { old, new: Some(entry), origin });
        changes
    }

    fn take(&mut self, indexers: &[Indexer<K>], key: &ObjectKey) -> Option<Entry<K>> {
        let old = self.objects.remove(key)?;
        self.unindex(indexers, &old);
        Some(old)
    }

    fn index(&mut self, indexers: &[Indexer<K>], entry: &Entry<K>) {
        let Some(object) = entry.valid() else { return };
        for Indexer { name, value } in indexers {
            if let Some(value) = value(object) {
                let bucket =
                    self.indexes.entry(name).or_default().entry(value).or_insert_with(|| Vec::with_capacity(1));
                if let Err(place) = bucket.binary_search(entry.key()) {
                    bucket.insert(place, entry.key().clone());
                }
            }
        }
    }

    fn unindex(&mut self, indexers: &[Indexer<K>], entry: &Entry<K>) {
        let Some(object) = entry.valid() else { return };
        for Indexer { name, value } in indexers {
            let Some(value) = value(object) else { continue };
            let Some(index) = self.indexes.get_mut(name) else { continue };
            let Some(bucket) = index.get_mut(&value) else { continue };
            if let Ok(place) = bucket.binary_search(entry.key()) {
                bucket.remove(place);
            }
            if bucket.is_empty() {
                index.remove(&value);
            }
        }
    }
}

impl<K> fmt::Debug for Store<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// The complete state of a scope, while it is being read. Meanwhile the store serves the old one.
#[derive(Debug)]
pub(super) struct Replacement<K> {
    scope: Scope,
    /// The versions can be compared with those in the store. A server that was restored from a backup counts them a
    /// second time, and then the same number means another state.
    continues: bool,
    found: BTreeMap<ObjectKey, Found<K>>,
}

#[derive(Debug)]
enum Found<K> {
    Unchanged,
    New(Entry<K>),
}

impl<K> Replacement<K> {
    /// Begins to read the complete state of a scope. `continues` says that it is a later state of the same history.
    pub(super) fn new(scope: Scope, continues: bool) -> Self {
        Self { scope, continues, found: BTreeMap::new() }
    }

    /// An object was deleted while the state was being read.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.found.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Thing;
    use super::*;

    fn owner(thing: &Thing) -> Option<Arc<str>> {
        thing.0.controller.as_ref().map(|controller| controller.uid.shared())
    }

    fn store() -> Store<Thing> {
        Store::new(vec![Indexer { name: "owner", value: owner }])
    }

    fn thing(name: &str, uid: &str, version: &str, owner: &str) -> Entry<Thing> {
        let json = serde_json::json!({
            "namespace": "n", "name": name, "uid": uid, "resourceVersion": version,
            "ownerReferences": [{"apiVersion": "x/v1", "kind": "X", "name": "x", "uid": owner, "controller": true}],
        });
        Entry::Valid(Arc::new(Thing::decode(&json.to_string()).unwrap()))
    }

    fn unreadable(name: &str, error: &str) -> Entry<Thing> {
        let identity = Identity { key: key(name), uid: "1".into(), resource_version: "9".into() };
        Entry::Invalid(Arc::new(Invalid { identity, error: error.to_owned() }))
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("n", name)
    }

    /// `+name` for an addition, `~name` for an update, `-name` for a deletion.
    fn told(changes: &[Change<Thing>]) -> Vec<String> {
        let sign = |change: &Change<Thing>| match (&change.old, &change.new) {
            (None, Some(new)) => format!("+{}", new.key().name()),
            (Some(_), Some(new)) => format!("~{}", new.key().name()),
            (Some(old), None) => format!("-{}", old.key().name()),
            (None, None) => unreachable!("a change of nothing"),
        };
        changes.iter().map(sign).collect()
    }

    fn replace(store: &Store<Thing>, things: Vec<Entry<Thing>>, version: &str) -> Vec<Change<Thing>> {
        let mut replacement = Replacement::new(None, true);
        for thing in things {
            store.note(&mut replacement, thing);
        }
        store.commit(replacement, version.into())
    }

    #[test]
    fn a_relist_tells_the_difference_and_nothing_else() {
        let store = store();
        replace(
            &store,
            vec![thing("gone", "1", "1", "o"), thing("same", "2", "2", "o"), thing("changed", "3", "3", "o")],
            "9",
        );
        let changes = replace(
            &store,
            vec![thing("same", "2", "2", "o"), thing("changed", "3", "11", "o"), thing("new", "4", "12", "o")],
            "20",
        );
        assert_eq!(told(&changes), ["-gone", "~changed", "+new"]);
        assert!(changes.iter().all(|change| change.origin == Origin::Gap));
    }

    #[test]
    fn a_relist_that_can_not_go_by_versions_goes_by_what_is_in_the_objects() {
        let store = store();
        replace(&store, vec![thing("same", "1", "2", "o"), thing("counted-again", "2", "3", "o")], "9");
        for name in ["no size", "no colour"] {
            store.upsert(&None, unreadable(name, "no size"));
        }
        let mut replacement = Replacement::new(None, false);
        for thing in [
            thing("same", "1", "2", "o"),
            thing("counted-again", "2", "3", "another"),
            unreadable("no size", "no size"),
            unreadable("no colour", "no colour"),
        ] {
            store.note(&mut replacement, thing);
        }
        assert_eq!(told(&store.commit(replacement, "8".into())), ["~counted-again", "~no colour"]);
    }

    #[test]
    fn what_was_deleted_while_the_state_was_read_is_not_in_it() {
        let store = store();
        assert!(store.is_empty());
        let mut replacement = Replacement::new(None, true);
        for name in ["stays", "stays, too", "goes"] {
            store.note(&mut replacement, thing(name, name, "1", "o"));
        }
        replacement.forget(&key("goes"));
        assert_eq!(told(&store.commit(replacement, "5".into())), ["+stays", "+stays, too"]);
        assert!(store.len() == 2 && !store.is_empty());
    }

    /// A child may have had another owner before, and both have to know.
    #[test]
    fn a_change_has_the_state_before_and_the_state_now() {
        let store = store();
        store.upsert(&None, thing("a", "1", "1", "first"));
        let change = store.upsert(&None, thing("a", "1", "2", "second")).remove(0);
        let owners: Vec<Arc<str>> = change.states().filter_map(|entry| owner(entry.valid()?)).collect();
        assert_eq!(owners, ["first".into(), "second".into()] as [Arc<str>; 2]);
    }

    #[test]
    fn the_first_state_is_of_low_priority_and_later_changes_are_not() {
        let store = store();
        assert_eq!(replace(&store, vec![thing("a", "1", "1", "o")], "5")[0].origin, Origin::Initial);
        assert_eq!(store.upsert(&None, thing("b", "2", "6", "o"))[0].origin, Origin::Event);
    }

    /// What a deletion says of the object: its version, and how the deletion became known.
    fn last_state(change: &Change<Thing>) -> (&str, Origin) {
        (change.old.as_ref().unwrap().resource_version().as_str(), change.origin)
    }

    #[test]
    fn a_deletion_carries_the_final_state_and_after_a_gap_says_that_it_is_unknown() {
        let store = store();
        replace(&store, vec![thing("told", "1", "1", "o"), thing("missed", "2", "2", "o")], "5");
        let told = store.remove(&None, thing("told", "1", "9", "o")).unwrap();
        assert_eq!(last_state(&told), ("9", Origin::Event));
        let missed = replace(&store, vec![], "12");
        assert_eq!(last_state(&missed[0]), ("2", Origin::Gap));
    }

    #[test]
    fn a_deletion_whose_final_state_can_not_be_used_carries_the_state_before() {
        let store = store();
        for last in [unreadable("a", "no size"), thing("a", "another", "9", "o")] {
            store.upsert(&None, thing("a", "1", "1", "o"));
            assert_eq!(last_state(&store.remove(&None, last).unwrap()), ("1", Origin::Event));
        }
    }

    #[test]
    fn the_same_name_with_another_uid_is_a_deletion_and_an_addition() {
        let store = store();
        store.upsert(&None, thing("a", "old", "1", "first"));
        let changes = store.upsert(&None, thing("a", "new", "2", "second"));
        assert_eq!(told(&changes), ["-a", "+a"]);
        assert_eq!(changes[0].old.as_ref().unwrap().uid().as_str(), "old");
        assert_eq!((store.by_index("owner", "first"), store.by_index("owner", "second")), (vec![], vec![key("a")]));
    }

    #[test]
    fn a_relist_notices_that_a_name_has_another_object_now() {
        let store = store();
        replace(&store, vec![thing("a", "old", "1", "o")], "5");
        assert_eq!(told(&replace(&store, vec![thing("a", "new", "8", "o")], "9")), ["-a", "+a"]);
    }

    #[test]
    fn an_index_follows_its_objects_and_keeps_no_empty_bucket() {
        let store = store();
        store.upsert(&None, thing("a", "1", "1", "x"));
        store.upsert(&None, thing("b", "2", "2", "x"));
        assert_eq!(store.by_index("owner", "x"), [key("a"), key("b")]);
        store.upsert(&None, thing("a", "1", "3", "y"));
        assert_eq!((store.by_index("owner", "x"), store.by_index("owner", "y")), (vec![key("b")], vec![key("a")]));
        store.remove(&None, thing("b", "2", "4", "x"));
        assert_eq!(store.lock().indexes["owner"].keys().map(AsRef::as_ref).collect::<Vec<&str>>(), ["y"]);
    }

    #[test]
    fn a_relist_replaces_only_its_own_namespace() {
        let store = store();
        store.upsert(&Some("other".into()), thing("a", "1", "1", "o"));
        let replacement = Replacement::new(Some("other".into()), true);
        assert_eq!(told(&store.commit(replacement, "5".into())), [""; 0]);
        let replacement = Replacement::new(Some("n".into()), true);
        assert_eq!(told(&store.commit(replacement, "5".into())), ["-a"]);
    }

    #[test]
    fn an_unchanged_object_is_not_held_twice_while_listing() {
        let store = store();
        replace(&store, vec![thing("a", "1", "1", "o")], "5");
        for continues in [true, false] {
            let mut replacement = Replacement::new(None, continues);
            store.note(&mut replacement, thing("a", "1", "1", "o"));
            assert!(matches!(replacement.found[&key("a")], Found::Unchanged));
        }
    }

    #[test]
    fn the_old_state_is_served_until_the_new_one_is_whole() {
        let store = store();
        replace(&store, vec![thing("a", "1", "1", "o")], "5");
        let mut replacement = Replacement::new(None, true);
        store.note(&mut replacement, thing("b", "2", "7", "o"));
        assert!(store.get(&key("a")).is_some() && store.get(&key("b")).is_none());
        store.commit(replacement, "8".into());
        assert!(store.get(&key("a")).is_none() && store.get(&key("b")).is_some());
    }

    #[test]
    fn a_write_is_seen_when_its_object_or_its_reflector_has_come_that_far() {
        let store = store();
        replace(&store, vec![thing("a", "1", "90", "o")], "99");
        assert!(store.has_seen(&key("a"), &"99".into()), "the reflector is there");
        assert!(!store.has_seen(&key("a"), &"100".into()));
        store.upsert(&None, thing("b", "2", "100", "o"));
        assert!(store.has_seen(&key("a"), &"100".into()), "an event behind it came");
        store.advance(&None, "200".into());
        assert!(store.has_seen(&key("gone"), &"150".into()), "a bookmark says that nothing more is to come");
    }

    #[test]
    fn an_invalid_object_is_kept_and_in_no_index() {
        let store = store();
        let identity = Identity { key: key("bad"), uid: "1".into(), resource_version: "3".into() };
        store.upsert(&None, Entry::Invalid(Arc::new(Invalid { identity, error: "spec.port: 7.5".into() })));
        assert!(matches!(store.get(&key("bad")), Some(Entry::Invalid(_))));
        assert_eq!(store.by_index("owner", "o"), []);
        store.upsert(&None, thing("bad", "1", "4", "o"));
        assert!(matches!(store.get(&key("bad")), Some(Entry::Valid(_))));
        assert_eq!(store.by_index("owner", "o"), [key("bad")]);
    }
}
