//! What the controllers say that they do: Events, as `kubectl describe` shows them.
//!
//! The same said again is not another Event: the recorder remembers what it said of whom under which name, and counts
//! (client-go's `EventCorrelator`). An Event's name ends in the time, so that a list shows an object's story in order.
//! Nobody waits for an Event, and nothing fails because one could not be written.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::meta::{int, name, namespace, stamp, text, uid};
use crate::Cluster;

/// The core group's door, which the controllers of Kubernetes use: it asks for less than that of `events.k8s.io`.
const EVENTS: &str = "events";
/// How many Events are remembered; what was said before them is said anew.
const REMEMBERED: usize = 4096;

/// Of what kind a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Normal,
    Warning,
}

/// One thing to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) tone: Tone,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Word {
    pub(super) fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { tone: Tone::Normal, reason, message: message.into() }
    }

    pub(super) fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { tone: Tone::Warning, reason, message: message.into() }
    }
}

/// What was said last.
#[derive(Debug, Default)]
struct Memory {
    /// The names of the Events, by a hash of what they say of whom. Its keys are the elements of `order`.
    names: BTreeMap<u64, String>,
    /// The oldest first.
    order: VecDeque<u64>,
}

impl Memory {
    fn remember(&mut self, said: u64, name: String) {
        if self.names.insert(said, name).is_none() {
            self.order.push_back(said);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.names.remove(&oldest);
            }
        }
    }
}

/// Writes Events, if it is told to.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    cluster: Cluster,
    on: bool,
    component: &'static str,
    memory: Arc<Mutex<Memory>>,
}

impl Recorder {
    /// `component` is who speaks: `deployment-controller`.
    pub(super) fn new(cluster: &Cluster, on: bool, component: &'static str) -> Self {
        Self { cluster: cluster.clone(), on, component, memory: Arc::default() }
    }

    /// The same voice under another name.
    pub(super) fn as_component(&self, component: &'static str) -> Self {
        Self { component, ..self.clone() }
    }

    /// Says something about an object, about its container perhaps.
    pub(super) fn say(&self, about: &Value, container: Option<&str>, word: &Word) {
        if !self.on {
            return;
        }
        let path = container.map(|container| format!("spec.containers{{{container}}}")).unwrap_or_default();
        let said = fnv(&[uid(about), &path, word.reason, &word.message]);
        let namespace = namespace(about);
        let known = self.memory().names.get(&said).cloned();
        let before = known.and_then(|name| Some((self.cluster.get(EVENTS, namespace, &name)?, name)));
        let refused = match before {
            None => {
                let event_name = self.free_name(about);
                let event = self.event(about, &path, word, &event_name);
                self.memory().remember(said, event_name);
                self.cluster.create(EVENTS, namespace, event, self.component).map(drop)
            }
            Some((before, event_name)) => {
                let again = json!({
                    "count": int(&before, &["deprecatedCount"]) + 1,
                    "lastTimestamp": stamp(self.cluster.now()),
                });
                self.cluster.patch_merge(EVENTS, namespace, &event_name, None, &again, self.component).map(drop)
            }
        };
        if let Err(status) = refused {
            tracing::debug!(reason = word.reason, message = status.message, "an Event was not written");
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object's name and the time, or the next moment at which nobody said anything of it.
    fn free_name(&self, about: &Value) -> String {
        let now = self.cluster.now().as_nanosecond();
        let names = (now..).map(|nanos| format!("{}.{nanos:016x}", name(about)));
        let mut free = names.filter(|name| self.cluster.get(EVENTS, namespace(about), name).is_none());
        free.next().unwrap_or_default()
    }

    fn event(&self, about: &Value, path: &str, Word { tone, reason, message }: &Word, event_name: &str) -> Value {
        let now = stamp(self.cluster.now());
        let mut event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event_name, "namespace": namespace(about)},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": name(about),
                "namespace": namespace(about),
                "uid": uid(about),
                "resourceVersion": text(about, &["metadata", "resourceVersion"]),
            },
            "type": match tone { Tone::Normal => "Normal", Tone::Warning => "Warning" },
            "reason": reason,
            "message": message,
            "reportingComponent": self.component,
            "source": {"component": self.component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        });
        if !path.is_empty() {
            event["involvedObject"]["fieldPath"] = path.into();
        }
        event
    }
}

/// FNV-1a, 64 bits.
fn fnv(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use tokio::time::Duration;

    use super::*;

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut memory = Memory::default();
        for said in 0..=REMEMBERED as u64 {
            memory.remember(said, String::new());
            memory.remember(said, String::new());
        }
        assert_eq!((memory.names.len(), memory.order.len()), (REMEMBERED, REMEMBERED));
        assert!(!memory.names.contains_key(&0), "the oldest is forgotten first");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_twice_is_counted_and_what_is_said_of_another_stands_alone() {
        let cluster = Cluster::new(1, Duration::from_secs(60));
        let recorder = Recorder::new(&cluster, true, "tester");
        let about = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "uid": name}});
        for (name, message) in [("a", "x"), ("a", "x"), ("a", "y"), ("b", "x")] {
            recorder.say(&about(name), Some("c"), &Word::warning("BackOff", message));
        }
        let events = cluster.list(EVENTS, Some("default"));
        let counts: Vec<_> = events
            .iter()
            .map(|event| {
                (text(event, &["regarding", "name"]), text(event, &["note"]), int(event, &["deprecatedCount"]))
            })
            .collect();
        assert_eq!(counts, [("a", "x", 2), ("a", "y", 1), ("b", "x", 1)], "in the order in which they were said");
        Recorder::new(&cluster, false, "tester").say(&about("c"), None, &Word::normal("Started", ""));
        assert_eq!(cluster.list(EVENTS, None).len(), 3);
    }
}
