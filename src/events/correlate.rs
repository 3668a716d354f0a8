//! What becomes of an occurrence: a new Event, one more in a series, or nothing. Pure.
//!
//! ```text
//!  12:00:00  SecretNotFound   POST   eventTime 12:00:00
//!  12:00:09  SecretNotFound   PATCH  series {count: 2, lastObservedTime: 12:00:09}
//!  12:00:31  SecretNotFound   PATCH  series {count: 3, lastObservedTime: 12:00:31}
//!  12:07:00  SecretNotFound   POST   after more than six minutes of quiet this is another story
//! ```
//!
//! Two bounded maps: the series that are going on, and for each object [what it may still write](super::purses). Of the
//! series the one that was not seen for longest is forgotten, which costs an Event too many and nothing else.
//!
//! Both know what they remember by a hash: what was said stands in the API server, and a thousand notes are better kept
//! there alone. That two different ones have the same hash is less likely than that the Event is lost on its way.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event as KubeEvent, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;

use super::lru::Lru;
use super::purses::Purses;
use super::{Event, Occurrence, REPORTING_CONTROLLER, Regarding, What, cut};
use crate::object::ObjectKey;

/// A series ends when it was quiet for so long.
pub const QUIET: Duration = Duration::from_secs(6 * 60);
/// How many series are remembered.
const SERIES: usize = 1_024;
/// How many objects may have spoken in the last hours before newcomers share a purse.
const PURSES: usize = 65_536;
/// A DNS subdomain may be so long, an Event's name is one.
const LONGEST_EVENT_NAME: usize = 253;

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Make this Event.
    Create(Box<KubeEvent>),
    /// Count on in this one.
    Patch(ObjectKey, EventSeries),
    /// Nothing: the object has said too much.
    Nothing,
}

/// What was said lately.
#[derive(Debug)]
pub(super) struct Correlator {
    /// In `reportingInstance`.
    instance: String,
    hashes: RandomState,
    /// By the hash of what happens again and again.
    series: Lru<u64, Series>,
    purses: Purses,
    /// What the last Event's name ends in: the wall clock's nanoseconds, or one more than last time. Names don't repeat,
    /// since this only grows.
    last_stamp: u64,
}

/// An Event that stands in the API server, as far as we know.
#[derive(Debug)]
struct Series {
    /// What its name ends in.
    stamp: u64,
    /// How often it was seen, whether that was written or not.
    count: i32,
    last_seen: Instant,
}

impl Correlator {
    /// It has not seen anything yet.
    pub(super) fn new(instance: &str, now: Instant) -> Self {
        Self {
            instance: instance.to_owned(),
            hashes: RandomState::new(),
            series: Lru::new(SERIES),
            purses: Purses::new(PURSES, now),
            last_stamp: 0,
        }
    }

    /// Decides about an occurrence that is seen now.
    pub(super) fn correlate(&mut self, occurrence: &Occurrence, now: Instant) -> Verdict {
        let can_pay = self.purses.pay(self.hashes.hash_one(&occurrence.what.regarding), now);
        match self.series.get_mut(&self.hashes.hash_one(&occurrence.what)) {
            Some(series) if now < series.last_seen + QUIET => {
                series.count = series.count.saturating_add(1);
                series.last_seen = now;
                if can_pay {
                    Verdict::Patch(event_key(&occurrence.what.regarding.key, series.stamp), series.state(occurrence.at))
                } else {
                    Verdict::Nothing
                }
            }
            Some(_) | None if can_pay => Verdict::Create(Box::new(self.begin(occurrence, now))),
            Some(_) | None => Verdict::Nothing,
        }
    }

    /// The Event of a series was not there any more: the API server deletes Events after an hour. It begins anew.
    pub(super) fn begin(&mut self, occurrence: &Occurrence, now: Instant) -> KubeEvent {
        let What { regarding, event } = &occurrence.what;
        let stamp = self.stamp(occurrence.at);
        self.series.insert(self.hashes.hash_one(&occurrence.what), Series { stamp, count: 1, last_seen: now });
        self.event(&event_key(&regarding.key, stamp), regarding, event, occurrence.at)
    }

    /// An Event could not be made: the next occurrence tries again, instead of counting what isn't there.
    pub(super) fn forget(&mut self, occurrence: &Occurrence) {
        self.series.remove(&self.hashes.hash_one(&occurrence.what));
    }

    fn stamp(&mut self, at: Timestamp) -> u64 {
        let nanoseconds = u64::try_from(at.as_nanosecond()).unwrap_or(0);
        self.last_stamp = nanoseconds.max(self.last_stamp.saturating_add(1));
        self.last_stamp
    }

    fn event(&self, key: &ObjectKey, regarding: &Regarding, event: &Event, at: Timestamp) -> KubeEvent {
        let Regarding { resource, key: object, uid } = regarding;
        let Event { event_type, reason, action, note } = event;
        KubeEvent {
            metadata: ObjectMeta {
                namespace: Some(key.namespace().to_owned()),
                name: Some(key.name().to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(at)),
            reporting_controller: Some(REPORTING_CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(event_type.as_str().to_owned()),
            reason: Some((*reason).to_owned()),
            action: Some((*action).to_owned()),
            note: Some(note.clone()),
            regarding: Some(ObjectReference {
                api_version: Some(resource.api_version()),
                kind: Some(resource.kind.to_owned()),
                namespace: Some(object.namespace().to_owned()),
                name: Some(object.name().to_owned()),
                uid: Some(uid.to_string()),
                ..ObjectReference::default()
            }),
            ..KubeEvent::default()
        }
    }
}

impl Series {
    fn state(&self, at: Timestamp) -> EventSeries {
        EventSeries { count: self.count, last_observed_time: MicroTime(at) }
    }
}

/// The Event's own key: `<object>.<hex>`, as `kubectl` users know it.
fn event_key(object: &ObjectKey, stamp: u64) -> ObjectKey {
    let stamp = format!(".{stamp:016x}");
    let name = cut(object.name(), LONGEST_EVENT_NAME - stamp.len()).trim_end_matches(['-', '.']);
    object.sibling(&format!("{name}{stamp}"))
}

#[cfg(test)]
mod tests;
