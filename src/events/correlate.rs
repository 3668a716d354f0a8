//! What to do about an occurrence: create an Event, count in a series, or nothing. Pure.
//!
//! ```text
//!  12:00:00  SecretNotFound   POST   eventTime 12:00:00
//!  12:00:09  SecretNotFound   PATCH  series {count: 2, lastObservedTime: 12:00:09}
//!  12:00:31  SecretNotFound   PATCH  series {count: 3, lastObservedTime: 12:00:31}
//!  12:07:00  SecretNotFound   POST   more than six minutes later, so this is a new series
//! ```
//!
//! There are two bounded maps: the current series, and a [token bucket](super::token_buckets) for each object. The
//! series that was not used for the longest time is evicted; at worst that causes one Event too many.
//!
//! Both maps use hashes as keys: the text of the Events is in the API server already, and a thousand notes need not be
//! kept here, too. A collision of two hashes is less likely than the loss of an Event on its way.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event as KubeEvent, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;

use super::lru::Lru;
use super::token_buckets::TokenBuckets;
use super::{Event, Occurrence, REPORTING_CONTROLLER, Regarding, What, cut};
use crate::object::ObjectKey;

/// A series ends after this long without a repetition.
pub const QUIET: Duration = Duration::from_secs(6 * 60);
/// The number of series that are remembered.
const SERIES: usize = 1_024;
/// The number of objects with a token bucket of their own; further ones share a bucket.
const BUCKETS: usize = 65_536;
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
    hashes: RandomState,
    /// By the hash of [`What`].
    series: Lru<u64, Series>,
    buckets: TokenBuckets,
    /// The end of the last Event's name: the nanoseconds of the wall clock, or one more than the last time. Names don't
    /// repeat, since this only grows.
    last_stamp: u64,
}

/// An Event that exists in the API server, as far as is known.
#[derive(Debug)]
struct Series {
    /// The end of its name.
    stamp: u64,
    /// How often it was seen, whether that was written or not.
    count: i32,
    last_seen: Instant,
}

impl Correlator {
    /// A correlator that has not seen any Event yet.
    pub(super) fn new(instance: &str, now: Instant) -> Self {
        Self {
            instance: instance.to_owned(),
            hashes: RandomState::new(),
            series: Lru::new(SERIES),
            buckets: TokenBuckets::new(BUCKETS, now),
            last_stamp: 0,
        }
    }

    /// Decides about an occurrence.
    pub(super) fn correlate(&mut self, occurrence: &Occurrence, now: Instant) -> Verdict {
        let may_write = self.buckets.take(self.hashes.hash_one(&occurrence.what.regarding), now);
        match self.series.get_mut(&self.hashes.hash_one(&occurrence.what)) {
            Some(series) if now < series.last_seen + QUIET => {
                series.count = series.count.saturating_add(1);
                series.last_seen = now;
                if may_write {
                    Verdict::Patch(event_key(&occurrence.what.regarding.key, series.stamp), series.state(occurrence.at))
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
        let What { regarding, event } = &occurrence.what;
        let stamp = self.stamp(occurrence.at);
        self.series.insert(self.hashes.hash_one(&occurrence.what), Series { stamp, count: 1, last_seen: now });
        self.event(&event_key(&regarding.key, stamp), regarding, event, occurrence.at)
    }

    /// An Event could not be created: the next occurrence tries again, instead of counting in an Event that does not
    /// exist.
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

/// The key of the Event: `<object>.<hex>`, the usual form.
fn event_key(object: &ObjectKey, stamp: u64) -> ObjectKey {
    let stamp = format!(".{stamp:016x}");
    let name = cut(object.name(), LONGEST_EVENT_NAME - stamp.len()).trim_end_matches(['-', '.']);
    object.sibling(&format!("{name}{stamp}"))
}

#[cfg(test)]
mod tests;
