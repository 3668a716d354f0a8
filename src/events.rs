//! Kubernetes Events: what happened, for people who run `kubectl describe`.
//!
//! # The naive solution, and how it breaks
//!
//! Something happens in a reconcile, so the reconcile POSTs an Event and continues. Then:
//!
//! - A server crash-loops for a night. Each crash is an Event, each Event an object in etcd: ten thousand of them push
//!   out the one that would have explained the first crash.
//! - The API server is slow. The reconcile waits for an answer that it does not need.
//! - The namespace is being deleted, so the POST is refused, so the reconcile fails and is retried, and each retry
//!   creates another Event.
//!
//! An Event is a courtesy. Nothing may wait for it, fail because of it, or grow because of it.
//!
//! # The mechanism
//!
//! ```text
//!  reconcile ──publish──► queue (1,000) ──► Correlator ──► POST   the first time
//!    never waits          full: dropped        │   └─────► PATCH  again within 6 min: series {count, lastObservedTime}
//!                                              └─────────► nothing, if this object has said too much
//! ```
//!
//! - [`Recorder::publish`] puts what happened into a bounded queue, and drops it if that is full. It can't block,
//!   since it isn't async, and it can't fail, since it returns nothing.
//! - [`correlate`] decides, without I/O: a repetition becomes part of a *series*, one object with a counter. And each
//!   object has a token bucket for 25 writes, which gets one token back every five minutes, however many objects there
//!   are.
//! - [`delivery`] sends one Event at a time, with a few tries each, in a task of its own. At a stop it has a few
//!   seconds to finish.
//!
//! # What it does not promise
//!
//! - That an Event arrives. Dropped ones are counted in a log line.
//! - That the count in `series` is up to date: repetitions without a token are counted, and written with the next
//!   repetition that gets one.
//! - That messages which differ in one word are recognized as the same. A note should not contain anything that changes
//!   each time, such as a duration or a random name; the token bucket limits the damage.
//! - That a restarted operator continues a series.
//!
//! # Equivalents
//!
//! client-go: `tools/events` (the series) and the spam filter of `tools/record` (the token bucket). kube-runtime:
//! `events::Recorder`, which is awaited.
//!
//! # What to try
//!
//! In `make playground`:
//!
//! ```sh
//! for i in 1 2 3; do kubectl scale deployment fetch --replicas=7; sleep 1; done
//! kubectl get events.events.k8s.io -o custom-columns=REASON:.reason,COUNT:.series.count,NOTE:.note
//! ```
//!
//! There is one `DriftCorrected` whose series counts to three, instead of three Events.

pub mod correlate;
pub mod delivery;
mod lru;
pub mod token_buckets;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::sync::mpsc;

pub use delivery::{Delivery, EventApi, EventError};

use crate::client::Client;
use crate::clock::WallClock;
use crate::object::{ObjectKey, Resource, Uid};

/// The `reportingController` of all Events.
pub const REPORTING_CONTROLLER: &str = "mcp.mcp.dev/smooth-operator";

/// The largest number of Events that may wait to be sent.
const QUEUE: usize = 1_000;
/// The longest reason, action or reporting instance that the API server accepts, in bytes.
const LONGEST_NAME: usize = 128;
/// The longest note that the API server accepts, in bytes.
const LONGEST_NOTE: usize = 1_024;

/// Whether an Event needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// It does not.
    Normal,
    /// Somebody should look at it.
    Warning,
}

impl EventType {
    /// The value of `type`.
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
    /// Whether it needs attention.
    pub event_type: EventType,
    /// What happened, in one word for programs, such as `SecretNotFound`. Not empty.
    pub reason: &'static str,
    /// What the operator was doing, in one word for programs, such as `Reconcile`. Not empty.
    pub action: &'static str,
    /// What happened, in a sentence for people. It is truncated to 1,024 bytes.
    pub note: String,
}

/// The object that an Event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Regarding {
    /// Its kind.
    pub resource: Resource,
    /// Its name; the Event is created in its namespace.
    pub key: ObjectKey,
    /// Its identity: Events about a later object of the same name are another series.
    pub uid: Uid,
}

/// Records Events. Clones use the same queue.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Occurrence>,
    /// How many Events were dropped since that was last logged.
    dropped: Arc<AtomicU64>,
    wall: WallClock,
}

/// One occurrence of an Event.
#[derive(Debug, Clone)]
struct Occurrence {
    /// What is the same for each repetition.
    what: What,
    /// When it happened, by the wall clock.
    at: Timestamp,
}

/// Occurrences with equal values are repetitions of each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct What {
    regarding: Regarding,
    /// Within the API server's limits.
    event: Event,
}

impl Recorder {
    /// A recorder, and the task that sends its Events through `client`. `instance` is the name of this operator
    /// instance.
    ///
    /// Events are ordinary writes and pass the client's fence: an instance that doesn't lead has nothing to report.
    /// Call it within a tokio runtime.
    pub fn new(client: &Client, instance: &str) -> (Self, Delivery) {
        Self::over(client.clone(), instance, WallClock::system())
    }

    /// The same with any API and any wall clock.
    pub fn over(api: impl EventApi, instance: &str, wall: WallClock) -> (Self, Delivery) {
        let (queue, queued) = mpsc::channel(QUEUE);
        let dropped = Arc::default();
        let delivery = Delivery::start(api, cut(instance, LONGEST_NAME), queued, Arc::clone(&dropped));
        (Self { queue, dropped, wall }, delivery)
    }

    /// Records that `event` happened to `regarding`. If too many are waiting already, it is dropped.
    pub fn publish(&self, regarding: &Regarding, event: Event) {
        let Event { event_type, reason, action, note } = event;
        let event = Event {
            event_type,
            reason: cut(reason, LONGEST_NAME),
            action: cut(action, LONGEST_NAME),
            note: cut(&note, LONGEST_NOTE).to_owned(),
        };
        let what = What { regarding: regarding.clone(), event };
        match self.queue.try_send(Occurrence { what, at: self.wall.now() }) {
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            // If the queue is closed, the process is stopping.
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

/// The longest prefix of `text` with at most `bytes` bytes and only whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rfind(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests;
