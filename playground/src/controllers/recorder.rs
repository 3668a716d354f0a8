//! What the controllers say that they do: Events, as `kubectl describe` shows them.
//!
//! The same said again is not another Event: its name is made of what it says and of whom, so the second time finds the
//! first and counts (client-go's `EventCorrelator` remembers instead). Nobody waits for an Event, and nothing fails
//! because one could not be written.

use serde_json::{Value, json};

use super::meta::{int, name, namespace, stamp, text, uid};
use crate::Cluster;

/// The core group's door, which the controllers of Kubernetes use: it asks for less than that of `events.k8s.io`.
const EVENTS: &str = "events";

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

/// Writes Events, if it is told to.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    cluster: Cluster,
    on: bool,
    component: &'static str,
}

impl Recorder {
    /// `component` is who speaks: `deployment-controller`.
    pub(super) fn new(cluster: &Cluster, on: bool, component: &'static str) -> Self {
        Self { cluster: cluster.clone(), on, component }
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
        let event = self.event(about, container, word);
        let (namespace, event_name) = (namespace(about), name(&event).to_owned());
        let refused = match self.cluster.get(EVENTS, namespace, &event_name) {
            None => self.cluster.create(EVENTS, namespace, event, self.component).map(drop),
            Some(before) => {
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

    fn event(&self, about: &Value, container: Option<&str>, Word { tone, reason, message }: &Word) -> Value {
        let path = container.map(|container| format!("spec.containers{{{container}}}")).unwrap_or_default();
        let hash = fnv(&[uid(about), &path, reason, message]);
        let now = stamp(self.cluster.now());
        let mut event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": format!("{}.{hash:016x}", name(about)), "namespace": namespace(about)},
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

    #[tokio::test(start_paused = true)]
    async fn what_is_said_twice_is_counted_and_what_is_said_of_another_stands_alone() {
        let cluster = Cluster::new(1, Duration::from_secs(60));
        let recorder = Recorder::new(&cluster, true, "tester");
        let about = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "uid": name}});
        for (name, message) in [("a", "x"), ("a", "x"), ("a", "y"), ("b", "x")] {
            recorder.say(&about(name), Some("c"), &Word::warning("BackOff", message));
        }
        let events = cluster.list(EVENTS, Some("default"));
        let mut counts: Vec<_> = events
            .iter()
            .map(|event| {
                (text(event, &["regarding", "name"]), text(event, &["note"]), int(event, &["deprecatedCount"]))
            })
            .collect();
        counts.sort_unstable();
        assert_eq!(counts, [("a", "x", 2), ("a", "y", 1), ("b", "x", 1)]);
        Recorder::new(&cluster, false, "tester").say(&about("c"), None, &Word::normal("Started", ""));
        assert_eq!(cluster.list(EVENTS, None).len(), 3);
    }
}
