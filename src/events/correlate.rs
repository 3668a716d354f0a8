//! What to do about an occurrence: create an Event, count in a series, or nothing. Pure.
//!
//! ```text
//!  12:00:00  SecretNotFound   POST   eventTime 12:00:00
//!  12:00:09  SecretNotFound   PATCH  series {count: 2, lastObservedTime: 12:00:09}
//!  12:00:31  SecretNotFound   PATCH  series {count: 3, lastObservedTime: 12:00:31}
//!  12:07:00  SecretNotFound   POST   more than six minutes later, so this is a new series
//! ```
//!
//! There are two bounded maps: the current series, and a token bucket for each object. Both evict the entry that was
//! not used for the longest time; at worst that causes one Event too many.

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

/// A series ends after this long without a repetition.
pub const QUIET: Duration = Duration::from_secs(6 * 60);
/// The number of writes that an object may cause in a row ...
pub const BURST: u32 = 25;
/// ... and then one per this time.
pub const REFILL: Duration = Duration::from_secs(5 * 60);

/// The size of each of the two maps.
const REMEMBERED: usize = 1_024;
/// The longest name of an Event: it is a DNS subdomain.
const LONGEST_EVENT_NAME: usize = 253;

/// What to send.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Create this Event.
    Create(Box<KubeEvent>),
    /// Write this count into an existing Event.
    Patch(ObjectKey, EventSeries),
    /// Nothing: the object's token bucket is empty.
    Nothing,
}

/// The recent Events.
#[derive(Debug)]
pub(super) struct Correlator {
    /// The value of `reportingInstance`.
    instance: String,
    series: Lru<Arc<What>, Series>,
    buckets: Lru<Regarding, TokenBucket>,
    /// The end of the last Event's name. Names don't repeat, since this only grows.
    last_stamp: u64,
}

/// An Event that exists in the API server, as far as is known.
#[derive(Debug)]
struct Series {
    event: ObjectKey,
    /// How often it was seen, whether that was written or not.
    count: i32,
    last_seen: Instant,
}

/// A bucket of [`BURST`] tokens that gets one back every [`REFILL`], stored as the instant at which it is full again.
#[derive(Debug)]
struct TokenBucket {
    full_at: Instant,
}

impl TokenBucket {
    /// Takes a token, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let after = self.full_at.max(now) + REFILL;
        let available = after <= now + REFILL * BURST;
        if available {
            self.full_at = after;
        }
        available
    }
}

impl Correlator {
    pub(super) fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            series: Lru::new(REMEMBERED),
            buckets: Lru::new(REMEMBERED),
            last_stamp: 0,
        }
    }

    /// Decides about an occurrence.
    pub(super) fn correlate(&mut self, occurrence: &Occurrence, now: Instant) -> Verdict {
        let may_write = self.take_token(&occurrence.what.regarding, now);
        match self.series.get_mut(&occurrence.what) {
            Some(series) if now < series.last_seen + QUIET => {
                series.count = series.count.saturating_add(1);
                series.last_seen = now;
                if may_write {
                    Verdict::Patch(series.event.clone(), series.state(occurrence.at))
                } else {
                    Verdict::Nothing
                }
            }
            Some(_) | None if may_write => Verdict::Create(Box::new(self.begin(occurrence, now))),
            Some(_) | None => Verdict::Nothing,
        }
    }

    /// Begins a new series. That is also necessary if the Event of a series no longer exists: the API server deletes
    /// Events after an hour.
    pub(super) fn begin(&mut self, occurrence: &Occurrence, now: Instant) -> KubeEvent {
        let What { regarding, event } = &*occurrence.what;
        let key = regarding.key.sibling(&self.name(regarding.key.name(), occurrence.at));
        let made = self.event(&key, regarding, event, occurrence.at);
        self.series.insert(Arc::clone(&occurrence.what), Series { event: key, count: 1, last_seen: now });
        made
    }

    /// An Event could not be created: the next occurrence tries again, instead of counting in an Event that does not
    /// exist.
    pub(super) fn forget(&mut self, occurrence: &Occurrence) {
        self.series.remove(&occurrence.what);
    }

    fn take_token(&mut self, regarding: &Regarding, now: Instant) -> bool {
        if let Some(bucket) = self.buckets.get_mut(regarding) {
            return bucket.take(now);
        }
        let mut bucket = TokenBucket { full_at: now };
        let taken = bucket.take(now);
        self.buckets.insert(regarding.clone(), bucket);
        taken
    }

    /// `<object>.<hex>`, the usual form: the nanoseconds of the wall clock, or one more than the last time.
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
