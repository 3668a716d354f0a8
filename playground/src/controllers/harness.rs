//! What every controller needs: to follow resources, to keep a queue, to be stopped.
//!
//! ```text
//!   store --events--> observe --keys--> queue --one key--> sync --writes--> store
//!      ^                                                                      |
//!      +----------------------------------------------------------------------+
//! ```
//!
//! The invariant that spares the controllers client-go's "expectations": before a key is synced, *all* events that were
//! told have been observed, the controller's own writes among them. In one process that costs nothing; it is how a
//! ReplicaSet never makes the same pod twice.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use crate::Cluster;
use crate::cluster::WatchCursor;
use crate::resources::Registry;
use crate::status::Status;
use crate::storage::{Event, EventKind, Expired, Object};

/// After a conflict the next attempt reads the newest state; it is only a matter of manners to let others go first.
const AFTER_CONFLICT: Duration = Duration::from_millis(5);
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// A change of one object, as a controller observes it.
pub(super) struct Change<'a> {
    /// The table: `pods`, `deployments.apps`.
    pub(super) table: &'a str,
    /// What happened; `Added` for what was there before the controller came.
    pub(super) kind: EventKind,
    /// The object after the change, or its last state.
    pub(super) object: &'a Arc<Object>,
    /// The object before the change.
    pub(super) previous: Option<&'a Arc<Object>>,
}

impl Change<'_> {
    /// Does the object ask for the same as before, by the same names, and stays? Then only its status is new, or some
    /// annotation, and whoever writes that status needs not look.
    pub(super) fn asks_nothing_new(&self) -> bool {
        let before = self.previous.filter(|before| before.uid == self.object.uid);
        before.is_some_and(|before| before.meta == self.object.meta)
    }
}

/// The part of a controller that differs from the others.
pub(super) trait Control: Send + 'static {
    /// What stands in the queue.
    type Key: Ord + Clone + Send;

    /// The tables that the controller follows, given what is served.
    fn tables(&self, registry: &Registry) -> Vec<String>;

    /// Takes note of a change, and queues what has to be looked at because of it.
    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<Self::Key>);

    /// Brings one thing closer to what it should be. A failure is retried.
    fn sync(&mut self, key: &Self::Key, queue: &mut Queue<Self::Key>) -> Result<(), Status>;

    /// Forgets everything that was observed: all objects will be observed again.
    fn reset(&mut self);
}

/// Runs a controller until it is stopped.
pub(super) async fn run<C: Control>(cluster: Cluster, mut controller: C, stop: CancellationToken) {
    let mut queue = Queue::default();
    let mut feeds = Feeds { cluster, registry: None, open: Vec::new() };
    while !stop.is_cancelled() {
        feeds.drain(&mut controller, &mut queue);
        if let Some(key) = queue.pop(Instant::now()) {
            let outcome = controller.sync(&key, &mut queue);
            settle(key, outcome, &mut queue);
            tokio::task::yield_now().await;
            continue;
        }
        let due = queue.next_due();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = feeds.news() => {}
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
    }
}

fn settle<K: Ord + Clone>(key: K, outcome: Result<(), Status>, queue: &mut Queue<K>) {
    match outcome {
        Ok(()) => {}
        // Something was gone or changed meanwhile: the next attempt sees it.
        Err(status) if matches!(status.code, 404 | 409) => queue.add_at(key, Instant::now() + AFTER_CONFLICT),
        Err(status) => {
            tracing::warn!(reason = &*status.reason, message = status.message, "a controller's write was refused");
            queue.add_at(key, Instant::now() + AFTER_ERROR);
        }
    }
}

/// One resource's events.
struct Feed {
    table: String,
    cursor: WatchCursor,
    /// What came while waiting.
    pending: Option<Result<Arc<Event>, Expired>>,
}

impl Feed {
    fn poll(&mut self) -> Result<Option<Arc<Event>>, Expired> {
        match self.pending.take() {
            Some(event) => event.map(Some),
            None => self.cursor.poll_told(),
        }
    }
}

/// All resources that a controller follows.
struct Feeds {
    cluster: Cluster,
    /// For which registry `open` was made.
    registry: Option<Arc<Registry>>,
    open: Vec<Feed>,
}

impl Feeds {
    /// Hands over everything that has happened so far.
    fn drain<C: Control>(&mut self, controller: &mut C, queue: &mut Queue<C::Key>) {
        while self.follow(controller, queue) | self.pass(controller, queue) {}
    }

    /// One round through all feeds; true if there was anything.
    fn pass<C: Control>(&mut self, controller: &mut C, queue: &mut Queue<C::Key>) -> bool {
        let mut any = false;
        for feed in &mut self.open {
            loop {
                match feed.poll() {
                    Ok(None) => break,
                    Ok(Some(event)) => {
                        let Event { kind, object, previous, .. } = &*event;
                        let (table, kind, previous) = (feed.table.as_str(), *kind, previous.as_ref());
                        controller.observe(&Change { table, kind, object, previous }, queue);
                        any = true;
                    }
                    Err(Expired { floor }) => {
                        tracing::debug!(table = feed.table, floor, "history is gone, reading everything again");
                        controller.reset();
                        self.open.clear();
                        self.registry = None;
                        return true;
                    }
                }
            }
        }
        any
    }

    /// Opens and closes feeds as resources come and go; true if one was opened.
    fn follow<C: Control>(&mut self, controller: &mut C, queue: &mut Queue<C::Key>) -> bool {
        let registry = self.cluster.registry();
        if self.registry.as_ref().is_some_and(|known| Arc::ptr_eq(known, &registry)) {
            return false;
        }
        // What happened before a kind went is told before its feed is closed.
        self.pass(controller, queue);
        let tables = controller.tables(&registry);
        self.open.retain(|feed| tables.contains(&feed.table));
        self.registry = Some(registry);
        let mut opened = false;
        for table in tables {
            if self.open.iter().any(|feed| feed.table == table) {
                continue;
            }
            // The revision is read first: what is written in between is seen twice, which harms nobody.
            let revision = self.cluster.revision();
            let Ok(cursor) = self.cluster.watch(&table, revision) else { continue };
            let snapshot = self.cluster.store().list(&table, None);
            for object in &snapshot.objects {
                let (table, kind, previous) = (table.as_str(), EventKind::Added, None);
                controller.observe(&Change { table, kind, object, previous }, queue);
            }
            self.open.push(Feed { table, cursor, pending: None });
            opened = true;
        }
        opened
    }

    /// Waits until one of the feeds has an event, which [`drain`](Self::drain) then hands over.
    async fn news(&mut self) {
        type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
        fn wait(Feed { table: _, cursor, pending }: &mut Feed) -> Wait<'_> {
            Box::pin(async move { *pending = Some(cursor.next_event().await) })
        }
        let mut waits: Vec<Wait<'_>> = self.open.iter_mut().map(wait).collect();
        poll_fn(|context| {
            let any = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
