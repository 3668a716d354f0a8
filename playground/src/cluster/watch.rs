//! Following a table from inside the process.
//!
//! A cursor holds no events beyond one batch: it remembers how far it has read and asks the store for more when it is
//! told that there is more. A slow reader thus costs nothing but the ring's memory, and at worst finds its place gone.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::Cluster;
use super::signal::Listener;
use crate::storage::{Event, EventKind, Expired, Revision};

/// Events are taken from the store in batches, so that its lock is held briefly.
const BATCH: usize = 256;

/// One change, as in-process watchers see it.
#[derive(Debug, Clone)]
pub struct WatchEvent {
    /// What happened.
    pub kind: EventKind,
    /// The object after the change (for a delete: its last state), without managedFields.
    pub object: Arc<Value>,
    /// The number of the write.
    pub revision: Revision,
}

/// A place in a resource's history, moving forward.
#[derive(Debug)]
pub struct WatchCursor {
    cluster: Cluster,
    table: String,
    /// All events up to here were taken from the store.
    read: Revision,
    /// In which of the store's lives `read` was read.
    epoch: u64,
    batch: VecDeque<Arc<Event>>,
    /// The store may have more events than `batch` had room for.
    more: bool,
    news: Listener,
}

impl WatchCursor {
    pub(crate) fn new(cluster: Cluster, table: String, from: Revision) -> Self {
        let news = cluster.news(&table);
        let epoch = cluster.store().epoch();
        Self { cluster, table, read: from, epoch, batch: VecDeque::new(), more: true, news }
    }

    /// The next change; waits for it. Safe to drop while waiting.
    pub async fn next(&mut self) -> Result<WatchEvent, Expired> {
        let event = self.next_event().await?;
        Ok(WatchEvent { kind: event.kind, object: event.object.value(), revision: event.revision })
    }

    pub(crate) async fn next_event(&mut self) -> Result<Arc<Event>, Expired> {
        loop {
            // Marked as seen before the store is read: what is written in between wakes us again, for nothing at worst.
            self.news.mark_unchanged();
            if let Some(event) = self.poll_event()? {
                return Ok(event);
            }
            self.news.changed().await;
        }
    }

    /// The next change that is there already.
    pub(crate) fn poll_event(&mut self) -> Result<Option<Arc<Event>>, Expired> {
        if self.batch.is_empty() {
            let store = self.cluster.store();
            if store.epoch() != self.epoch {
                return Err(Expired { floor: store.revision() });
            }
            let (events, read) = store.events(&self.table, self.read, BATCH)?;
            drop(store);
            self.more = events.len() == BATCH;
            self.batch = events.into();
            self.read = read;
        }
        Ok(self.batch.pop_front())
    }

    /// The same for those who ask all the time: without news it costs neither lock nor look-up. A write is news before it
    /// returns to the writer.
    pub(crate) fn poll_told(&mut self) -> Result<Option<Arc<Event>>, Expired> {
        if self.batch.is_empty() && !self.more {
            if !self.news.has_changed() {
                return Ok(None);
            }
            self.news.mark_unchanged();
        }
        self.poll_event()
    }

    /// With no event left in hand: the revision up to which everything was delivered. What a bookmark says.
    pub(crate) fn position(&self) -> Revision {
        self.read
    }
}
