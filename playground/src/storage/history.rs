//! The ring of a resource's latest events.
//!
//! It is bounded twice, by count and by bytes, because what it keeps alive are the old states of objects, and nobody
//! knows how large those are. What falls out at the old end raises the floor below which a watch may no longer start.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{Object, Revision};

/// At most so many events.
const MAX_EVENTS: usize = 100_000;
/// At most so many bytes of encoded objects. At 4 KiB an object that is 8,000 writes, all that a watcher may lag behind.
const MAX_BYTES: usize = 32 << 20;

/// What a write did to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was made.
    Added,
    /// It was changed.
    Modified,
    /// It was removed.
    Deleted,
}

impl EventKind {
    /// The `type` of a watch event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One write.
#[derive(Debug)]
pub struct Event {
    /// Its number.
    pub revision: Revision,
    /// What it did.
    pub kind: EventKind,
    /// The object after the write; for a delete its last state.
    pub object: Arc<Object>,
    /// The object before the write.
    pub previous: Option<Arc<Object>>,
    /// The line that goes to unfiltered watchers: encoded by the first of them, shared by the rest.
    line: OnceLock<Bytes>,
}

impl Event {
    pub(super) fn new(revision: Revision, kind: EventKind, object: Arc<Object>, previous: Option<Arc<Object>>) -> Self {
        Self { revision, kind, object, previous, line: OnceLock::new() }
    }

    /// The event as a line of a watch stream.
    pub fn line(&self) -> Bytes {
        self.line.get_or_init(|| line(self.kind, self.object.json())).clone()
    }
}

/// One line of a watch stream, from an encoded object.
pub fn line(kind: EventKind, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 40);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_str().as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}

/// The ring itself.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Ordered by revision, all of them above `floor`.
    events: VecDeque<Arc<Event>>,
    /// Sum of the encoded objects in `events`.
    bytes: usize,
    floor: Revision,
}

impl History {
    pub(super) fn starting_at(floor: Revision) -> Self {
        Self { floor, ..Self::default() }
    }

    pub(super) fn floor(&self) -> Revision {
        self.floor
    }

    pub(super) fn push(&mut self, event: Event) {
        self.bytes += event.object.json().len();
        self.events.push_back(Arc::new(event));
        while self.events.len() > MAX_EVENTS || (self.bytes > MAX_BYTES && self.events.len() > 1) {
            self.drop_oldest();
        }
    }

    pub(super) fn forget(&mut self, up_to: Revision) {
        while self.events.front().is_some_and(|event| event.revision <= up_to) {
            self.drop_oldest();
        }
        self.floor = self.floor.max(up_to);
    }

    pub(super) fn forget_after(&mut self, last: Revision) {
        while self.events.back().is_some_and(|event| event.revision > last) {
            if let Some(event) = self.events.pop_back() {
                self.bytes -= event.object.json().len();
            }
        }
    }

    pub(super) fn after(&self, since: Revision, limit: usize) -> Vec<Arc<Event>> {
        let start = self.events.partition_point(|event| event.revision <= since);
        self.events.range(start..).take(limit).cloned().collect()
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.events.iter().rev()
    }

    fn drop_oldest(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.bytes -= event.object.json().len();
            self.floor = event.revision;
        }
    }
}
