//! What the server remembers: the newest objects, and a bounded history of what led there.
//!
//! One counter numbers every write of every resource, as etcd's revision does; a resourceVersion *is* that number.
//! Each resource has a table: its objects by namespace and name, and a ring of its latest events.
//!
//! ```text
//!  floor                                        revision
//!    |   e  e      e   e e          e             |
//! ---+--------------------------------------------+--> writes
//!  gone        the ring: watches and lists         now
//!              may start anywhere in here
//! ```
//!
//! A list at an older revision is the newest state with the events since undone; a watch from an older revision is the
//! ring from there. Both need the ring to reach back far enough; where it doesn't, the answer is [`Expired`].
//!
//! The store is pure: no clock, no I/O, no lock, no waiting. It promises no durability: the playground ends, all is gone.

mod history;
mod object;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use history::History;
use serde_json::Value;

pub use history::{Event, EventKind, line};
pub use object::{Draft, Meta, Object, OwnerReference};

/// The number of a write; what clients see as resourceVersion.
pub type Revision = u64;

/// Namespace (empty for cluster-scoped objects) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// The history does not reach back to the revision that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Everything at or before this revision is gone.
    pub floor: Revision,
}

/// Why [`Store::commit`] did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The object is no longer what the writer had read: read again, decide again.
    Changed,
}

/// So many parsed objects are kept for those who are about to ask; at 20 KiB each they are 10 MiB.
const RECENT: usize = 512;

/// All tables and the counter that orders their writes.
#[derive(Debug, Default)]
pub struct Store {
    revision: Revision,
    compacted: Revision,
    /// Counts the restores: what was read in another epoch may never have happened.
    epoch: u64,
    tables: BTreeMap<String, Table>,
    /// The parsed forms of the newest objects: whoever is told of a write asks for them at once. Bounded.
    recent: VecDeque<Arc<Value>>,
}

/// One resource's objects and its history.
#[derive(Debug, Default)]
struct Table {
    objects: BTreeMap<Key, Arc<Object>>,
    history: History,
}

/// A consistent cut through one table.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The revision at which the objects stood like this.
    pub revision: Revision,
    /// The objects in the order of their keys.
    pub objects: Vec<Arc<Object>>,
}

impl Store {
    /// The number of the newest write, of any resource.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The newest state of one object.
    pub fn get(&self, table: &str, key: &Key) -> Option<Arc<Object>> {
        self.tables.get(table)?.objects.get(key).cloned()
    }

    /// The newest state of a resource, or of its part in one namespace.
    pub fn list(&self, table: &str, namespace: Option<&str>) -> Snapshot {
        let objects = match self.tables.get(table) {
            Some(table) => table.within(namespace).cloned().collect(),
            None => Vec::new(),
        };
        Snapshot { revision: self.revision, objects }
    }

    /// The state at an older revision, made by undoing what came after.
    pub fn list_at(&self, table: &str, namespace: Option<&str>, at: Revision) -> Result<Snapshot, Expired> {
        let mut objects: BTreeMap<Key, Arc<Object>> = BTreeMap::new();
        let floor = self.floor(table);
        if at < floor {
            return Err(Expired { floor });
        }
        if let Some(table) = self.tables.get(table) {
            objects.extend(table.within(namespace).map(|object| (object.key.clone(), Arc::clone(object))));
            for event in table.history.newest_first().take_while(|event| event.revision > at) {
                if namespace.is_some_and(|namespace| namespace != event.object.key.namespace) {
                    continue;
                }
                match &event.previous {
                    Some(previous) => objects.insert(previous.key.clone(), Arc::clone(previous)),
                    None => objects.remove(&event.object.key),
                };
            }
        }
        Ok(Snapshot { revision: at, objects: objects.into_values().collect() })
    }

    /// Writes one object, if it still stands at the revision `seen` (`None`: if there is none).
    ///
    /// The draft gets the new revision as its resourceVersion.
    pub fn commit(
        &mut self,
        table: &str,
        key: &Key,
        seen: Option<Revision>,
        draft: Draft,
    ) -> Result<Arc<Object>, Refused> {
        let revision = self.revision + 1;
        let compacted = self.compacted;
        let table = self.tables.entry(table.to_owned()).or_insert_with(|| Table::starting_at(compacted));
        let previous = table.objects.get(key).cloned();
        if previous.as_ref().map(|object| object.revision) != seen {
            return Err(Refused::Changed);
        }
        let (object, parsed) = draft.at(key.clone(), revision);
        let object = Arc::new(object);
        table.objects.insert(key.clone(), Arc::clone(&object));
        let kind = if previous.is_some() { EventKind::Modified } else { EventKind::Added };
        table.history.push(Event::new(revision, kind, Arc::clone(&object), previous));
        self.revision = revision;
        self.keep(parsed);
        Ok(object)
    }

    /// Removes one object, if it still stands at the revision `seen`. The draft is its last state, as watchers see it.
    pub fn remove(&mut self, table: &str, key: &Key, seen: Revision, last: Draft) -> Result<Arc<Object>, Refused> {
        let revision = self.revision + 1;
        let Some(table) = self.tables.get_mut(table) else { return Err(Refused::Changed) };
        let Some(previous) = table.objects.get(key).filter(|object| object.revision == seen).cloned() else {
            return Err(Refused::Changed);
        };
        table.objects.remove(key);
        let (object, parsed) = last.at(key.clone(), revision);
        let object = Arc::new(object);
        table.history.push(Event::new(revision, EventKind::Deleted, Arc::clone(&object), Some(previous)));
        self.revision = revision;
        self.keep(parsed);
        Ok(object)
    }

    /// The next events of a resource after `since`, oldest first and at most `limit`, and the revision up to which the
    /// answer is complete.
    pub fn events(&self, table: &str, since: Revision, limit: usize) -> Result<(Vec<Arc<Event>>, Revision), Expired> {
        let floor = self.floor(table);
        if since < floor {
            return Err(Expired { floor });
        }
        let events = match self.tables.get(table) {
            Some(table) => table.history.after(since, limit),
            None => Vec::new(),
        };
        let complete = match events.last() {
            Some(last) if events.len() == limit => last.revision,
            _ => self.revision.max(since),
        };
        Ok((events, complete))
    }

    /// Forgets all history up to now.
    pub fn compact(&mut self) {
        self.compacted = self.revision;
        for table in self.tables.values_mut() {
            table.history.forget(self.revision);
        }
    }

    /// Goes back to an older revision, as when etcd is restored from a backup: what came after never happened, and its
    /// revisions will be given again.
    pub fn restore(&mut self, to: Revision) -> Result<(), Expired> {
        let floor = self.tables.values().map(|table| table.history.floor()).fold(self.compacted, Revision::max);
        if !(floor..=self.revision).contains(&to) {
            return Err(Expired { floor });
        }
        let names: Vec<String> = self.tables.keys().cloned().collect();
        for name in names {
            let then = self.list_at(&name, None, to)?.objects;
            if let Some(table) = self.tables.get_mut(&name) {
                table.objects = then.into_iter().map(|object| (object.key.clone(), object)).collect();
                table.history.forget_after(to);
            }
        }
        self.revision = to;
        self.epoch += 1;
        Ok(())
    }

    /// Which of its lives the store is in; another one after each [`restore`](Self::restore).
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The oldest revision at which a table can still be seen.
    pub fn oldest(&self, table: &str) -> Revision {
        self.floor(table)
    }

    fn keep(&mut self, parsed: Arc<Value>) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(parsed);
    }

    fn floor(&self, table: &str) -> Revision {
        self.tables.get(table).map_or(self.compacted, |table| table.history.floor())
    }
}

impl Table {
    fn starting_at(floor: Revision) -> Self {
        Self { objects: BTreeMap::new(), history: History::starting_at(floor) }
    }

    fn within(&self, namespace: Option<&str>) -> impl Iterator<Item = &Arc<Object>> {
        let first = Key::new(namespace.unwrap_or_default(), "");
        self.objects
            .range(first..)
            .map(|(_, object)| object)
            .take_while(move |object| namespace.is_none_or(|namespace| object.key.namespace == namespace))
    }
}

#[cfg(test)]
mod tests;
