//! What becomes of an occurrence: a new Event, one more in a series, or nothing. Pure.
//!
//! ```text
//!  12:00:00  SecretNotFound   POST   eventTime 12:00:00
//!  12:00:09  SecretNotFound   PATCH  series {count: 2, lastObservedTime: 12:00:09}
//!  12:00:31  SecretNotFound   PATCH  series {count: 3, lastObservedTime: 12:00:31}
//!  12:07:00  SecretNotFound   POST   after more than six minutes of quiet this is another story
//! ```
//!
//! Two bounded maps: the series that are going on, and for each object what it may still write. Both forget what was not
//! used for longest, which costs an Event too many and nothing else.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event as KubeEvent, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;

use super::lru::Lru;
use super::{Event, Occurrence, REPORTING_CONTROLLER, Regarding, What, cut};
use crate::object::ObjectKey;

/// A series ends when it was quiet for so long.
pub const QUIET: Duration = Duration::from_secs(6 * 60);
/// So many writes an object may cause in a row ...
pub const BURST: u32 = 25;
/// ... and then one in this time.
pub const REFILL: Duration = Duration::from_secs(5 * 60);

/// How many series, and how many objects, are remembered.
const REMEMBERED: usize = 1_024;
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
    series: Lru<Arc<What>, Series>,
    purses: Lru<Regarding, Purse>,
    /// What the last Event's name ends in. Names don't repeat, since this only grows.
    last_stamp: u64,
}

/// An Event that stands in the API server, as far as we know.
#[derive(Debug)]
struct Series {
    event: ObjectKey,
    /// How often it was seen, whether that was written or not.
    count: i32,
    last_seen: Instant,
}

/// A bucket of [`BURST`] tokens, one more every [`REFILL`], kept as the instant when it is full again.
#[derive(Debug)]
struct Purse {
    full_at: Instant,
}

impl Purse {
    fn pay(&mut self, now: Instant) -> bool {
        let after = self.full_at.max(now) + REFILL;
        let can_pay = after <= now + REFILL * BURST;
        if can_pay {
            self.full_at = after;
        }
        can_pay
    }
}

impl Correlator {
    pub(super) fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            series: Lru::new(REMEMBERED),
            purses: Lru::new(REMEMBERED),
            last_stamp: 0,
        }
    }

    /// Decides about an occurrence that is seen now.
    pub(super) fn correlate(&mut self, occurrence: &Occurrence, now: Instant) -> Verdict {
        let can_pay = self.pay(&occurrence.what.regarding, now);
        match self.series.get_mut(&occurrence.what) {
            Some(series) if now < series.last_seen + QUIET => {
                series.count = series.count.saturating_add(1);
                series.last_seen = now;
                if can_pay {
                    Verdict::Patch(series.event.clone(), series.state(occurrence.at))
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
        let What { regarding, event } = &*occurrence.what;
        let key = regarding.key.sibling(&self.name(regarding.key.name(), occurrence.at));
        let made = self.event(&key, regarding, event, occurrence.at);
        self.series.insert(Arc::clone(&occurrence.what), Series { event: key, count: 1, last_seen: now });
        made
    }

    /// An Event could not be made: the next occurrence tries again, instead of counting what isn't there.
    pub(super) fn forget(&mut self, occurrence: &Occurrence) {
        self.series.remove(&occurrence.what);
    }

    fn pay(&mut self, regarding: &Regarding, now: Instant) -> bool {
        if let Some(purse) = self.purses.get_mut(regarding) {
            return purse.pay(now);
        }
        let mut purse = Purse { full_at: now };
        let paid = purse.pay(now);
        self.purses.insert(regarding.clone(), purse);
        paid
    }

    /// `<object>.<hex>`, as `kubectl` users know it: the wall clock's nanoseconds, or one more than last time.
    fn name(&mut self, object: &str, at: Timestamp) -> String {
        let nanoseconds = u64::try_from(at.as_nanosecond()).unwrap_or(0);
        self.last_stamp = nanoseconds.max(self.last_stamp.saturating_add(1));
        let stamp = format!(".{:016x}", self.last_stamp);
        let object = cut(object, LONGEST_EVENT_NAME - stamp.len()).trim_end_matches(['-', '.']);
        format!("{object}{stamp}")
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

#[cfg(test)]
mod tests;
