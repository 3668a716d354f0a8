//! Kubernetes Events: what happened, for people who ask `kubectl describe`.
//!
//! # The naive way, and how it breaks
//!
//! Something happens in a reconcile, so the reconcile POSTs an Event and goes on. Then:
//!
//! - A server crash-loops for a night. Each turn is an Event, each Event an object in etcd: ten thousand of them push
//!   out the one that would have explained the first crash.
//! - The API server is slow. The reconcile waits for an answer that it does not need.
//! - The namespace is being deleted, the POST is refused, the reconcile fails for it and is tried again, and each try
//!   makes an Event.
//!
//! An Event is a courtesy. Nothing may wait for it, fail by it, or grow by it.
//!
//! # The mechanism
//!
//! ```text
//!  reconcile ──publish──► queue (1,000) ──► Correlator ──► POST   the first time
//!    never waits          full: dropped        │   └─────► PATCH  again within 6 min: series {count, lastObservedTime}
//!                                              └─────────► nothing, if this object has said too much
//! ```
//!
//! - [`Recorder::publish`] puts what happened into a bounded queue, and drops it where that is full. It can't block,
//!   since it isn't async, and can't fail, since it returns nothing.
//! - [`correlate`] decides, pure: what is the same as before becomes a *series*, one object that counts. And each object
//!   has a purse of 25 writes, into which one comes back every five minutes, however many objects there are.
//! - [`delivery`] sends, one at a time, each a few times at most, in a task of its own that a stop gives a few seconds
//!   to finish.
//!
//! # What it does not promise
//!
//! - That an Event arrives. Dropped ones are counted in a log line.
//! - That the count in `series` is up to date: what an empty purse keeps back is counted, and written with the next
//!   repetition that can be paid.
//! - That two messages are seen to be the same that differ in one word. A note should not hold what changes each time,
//!   such as a duration or a name made by chance; the purse bounds what that costs.
//! - That a restarted operator goes on with a series of the one before.
//!
//! In client-go these are `tools/events` (the series) and the spam filter of `tools/record` (the purse); kube-runtime
//! has `events::Recorder`, which is awaited.
//!
//! # What to try
//!
//! In the playground: give an MCPServer an image that can't be pulled, then `kubectl get events -w`. Edit its
//! Deployment by hand a few times, and see one `DriftCorrected` count instead of many.

pub mod correlate;
pub mod delivery;
mod lru;
pub mod purses;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::sync::mpsc;

pub use delivery::{Delivery, EventApi, EventError};

use crate::client::Client;
use crate::object::{ObjectKey, Resource, Uid};

/// Who speaks, in `reportingController`.
pub const REPORTING_CONTROLLER: &str = "mcp.mcp.dev/smooth-operator";

/// How much may wait to be sent.
const QUEUE: usize = 1_000;
/// The API server takes no longer reason, action or reporting instance, in bytes.
const LONGEST_NAME: usize = 128;
/// The API server takes no longer note, in bytes.
const LONGEST_NOTE: usize = 1_024;

/// The wall clock. It is written down for people, and decides nothing.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// It is.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventType {
    /// As it stands in `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// Whether it is as it should be.
    pub event_type: EventType,
    /// Why, in one word for programs: `SecretNotFound`. Not empty.
    pub reason: &'static str,
    /// What was done, in one word for programs: `Reconcile`. Not empty.
    pub action: &'static str,
    /// The same for people. Longer than 1,024 bytes, it is cut.
    pub note: String,
}

/// The object that it happened to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Regarding {
    /// Its kind.
    pub resource: Resource,
    /// Its name; the Event lives in its namespace.
    pub key: ObjectKey,
    /// Its identity: what a later object of the same name does is another series.
    pub uid: Uid,
}

/// Takes down what happened. Clones write into the same queue.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Occurrence>,
    /// How many found the queue full since this was last logged.
    dropped: Arc<AtomicU64>,
    wall: WallClock,
}

/// One thing that happened, once.
#[derive(Debug, Clone)]
struct Occurrence {
    /// What is the same each time that it happens again.
    what: What,
    /// When, by the wall clock.
    at: Timestamp,
}

/// What makes two occurrences the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct What {
    regarding: Regarding,
    /// Within the API server's bounds.
    event: Event,
}

impl Recorder {
    /// A recorder that sends through `client`, as the instance of this name, and the task that does so.
    ///
    /// Events are writes like others and pass the client's fence: an instance that doesn't lead has nothing to tell.
    /// To be called within a tokio runtime.
    pub fn new(client: &Client, instance: &str) -> (Self, Delivery) {
        Self::over(client.clone(), instance, Arc::new(Timestamp::now))
    }

    /// The same over any API, and with any wall clock.
    pub fn over(api: impl EventApi, instance: &str, wall: WallClock) -> (Self, Delivery) {
        let (queue, queued) = mpsc::channel(QUEUE);
        let dropped = Arc::default();
        let delivery = Delivery::start(api, cut(instance, LONGEST_NAME), queued, Arc::clone(&dropped));
        (Self { queue, dropped, wall }, delivery)
    }

    /// Takes down that `event` happened to `regarding`. Where too much waits already, it is dropped.
    pub fn publish(&self, regarding: &Regarding, event: Event) {
        let Event { event_type, reason, action, note } = event;
        let event = Event {
            event_type,
            reason: cut(reason, LONGEST_NAME),
            action: cut(action, LONGEST_NAME),
            note: cut(&note, LONGEST_NOTE).to_owned(),
        };
        let what = What { regarding: regarding.clone(), event };
        match self.queue.try_send(Occurrence { what, at: (self.wall)() }) {
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            // Where it is closed, the process is stopping.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, dropped, wall: _ } = self;
        f.debug_struct("Recorder").field("queue", queue).field("dropped", dropped).finish_non_exhaustive()
    }
}

/// The longest beginning of `text` that has at most `bytes` bytes and no half character.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rfind(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests;
