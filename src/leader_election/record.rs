//! What a Lease says, and what is written into it.
//!
//! ```yaml
//! spec:
//!   holderIdentity: pod-a_9f…            # "" once it was released
//!   leaseDurationSeconds: 15             # what the others are to wait
//!   acquireTime: 2026-11-22T20:00:00.000000Z    # of this holder; kept while it renews
//!   renewTime:   2026-11-22T20:00:02.000000Z    # moves with every write, and only forward
//!   leaseTransitions: 3                  # how often the holder has changed
//! ```
//!
//! The times are for people. Nobody decides anything by them, but `renewTime` has one duty: the API server takes
//! a write that changes nothing for no write at all, and leaves the resourceVersion as it was. The others
//! would see the Lease stand still and take it from a living leader. So `renewTime` moves with every write, by
//! one microsecond where the clock stands still or was put back.
//!
//! A Lease that was read is kept whole and written back whole: its labels and annotations are other people's, its
//! uid and resourceVersion make the API server refuse the write where it would land on another state.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use super::config::{Identity, Timing};
use crate::object::ObjectKey;

/// Who a Lease says that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// This instance, or another.
    Named(&'a str),
    /// Nobody: the last holder gave it back, after it had stopped writing.
    Released,
    /// It does not say: made by hand, or by something else.
    Unknown,
}

/// Who holds it.
pub fn holder(lease: &Lease) -> Holder<'_> {
    match lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) {
        Some("") => Holder::Released,
        Some(name) => Holder::Named(name),
        None => Holder::Unknown,
    }
}

/// Who holds it, as a log line or an error names it.
pub fn holder_for_people(lease: &Lease) -> String {
    match holder(lease) {
        Holder::Named(name) => name.to_owned(),
        Holder::Released | Holder::Unknown => "nobody".to_owned(),
    }
}

/// How long its holder wants to be left alone; `None` where it does not say anything sensible.
pub fn duration(lease: &Lease) -> Option<Duration> {
    let seconds = lease.spec.as_ref()?.lease_duration_seconds?;
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// The state of it that was read.
pub fn resource_version(lease: &Lease) -> Option<&str> {
    lease.metadata.resource_version.as_deref()
}

/// Who writes, and when by the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The name to write.
    pub identity: &'a Identity,
    /// How long the others are to wait.
    pub timing: &'a Timing,
    /// For people.
    pub wall: Timestamp,
}

impl Claim<'_> {
    /// The first Lease of this name.
    pub fn create(&self, key: &ObjectKey) -> Lease {
        let now = micros(self.wall);
        Lease {
            metadata: ObjectMeta {
                namespace: Some(key.namespace().to_owned()),
                name: Some(key.name().to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.to_string()),
                lease_duration_seconds: Some(self.timing.lease_duration_seconds()),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    }

    /// The same Lease with this holder instead of its last one.
    pub fn acquire(&self, lease: Lease) -> Lease {
        write(lease, self.wall, |spec| {
            spec.holder_identity = Some(self.identity.to_string());
            spec.lease_duration_seconds = Some(self.timing.lease_duration_seconds());
            spec.acquire_time = Some(micros(self.wall));
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        })
    }

    /// The same Lease, held on.
    pub fn renew(&self, lease: Lease) -> Lease {
        write(lease, self.wall, |spec| {
            spec.lease_duration_seconds = Some(self.timing.lease_duration_seconds());
        })
    }

    /// The same Lease, given back. One second, since none is no valid duration.
    pub fn release(&self, lease: Lease) -> Lease {
        write(lease, self.wall, |spec| {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        })
    }
}

fn write(mut lease: Lease, wall: Timestamp, change: impl FnOnce(&mut LeaseSpec)) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.renew_time = Some(after(spec.renew_time.as_ref(), wall));
    change(spec);
    lease
}

/// The wall clock's time, or the last one and a microsecond where the clock is not past it.
fn after(last: Option<&MicroTime>, wall: Timestamp) -> MicroTime {
    let now = micros(wall);
    let Some(MicroTime(last)) = last else { return now };
    let next = last.checked_add(SignedDuration::from_micros(1)).unwrap_or(*last);
    now.max(micros(next))
}

/// A Lease knows no nanoseconds.
fn micros(time: Timestamp) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::{Value, json};

    use super::*;

    fn identity(name: &str) -> Identity {
        Identity::new(name, &mut StdRng::seed_from_u64(1))
    }

    fn claim<'a>(identity: &'a Identity, timing: &'a Timing, wall: &str) -> Claim<'a> {
        Claim { identity, timing, wall: wall.parse().unwrap() }
    }

    fn json(lease: &Lease) -> Value {
        serde_json::to_value(lease).unwrap()
    }

    #[test]
    fn the_holder_changes_with_a_transition_and_an_acquire_time_and_a_renewal_keeps_both() {
        let (a, b, timing) = (identity("a"), identity("b"), Timing::default());
        let made = claim(&a, &timing, "2026-11-22T20:00:00.1234567Z").create(&ObjectKey::new("ops", "smooth-operator"));
        assert_eq!(
            json(&made),
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"namespace": "ops", "name": "smooth-operator"},
                "spec": {
                    "holderIdentity": a.as_str(), "leaseDurationSeconds": 15, "leaseTransitions": 0,
                    "acquireTime": "2026-11-22T20:00:00.123456Z", "renewTime": "2026-11-22T20:00:00.123456Z",
                },
            })
        );
        let renewed = claim(&a, &timing, "2026-11-22T20:00:02Z").renew(made);
        assert_eq!(json(&renewed)["spec"]["acquireTime"], "2026-11-22T20:00:00.123456Z");
        assert_eq!(json(&renewed)["spec"]["renewTime"], "2026-11-22T20:00:02.000000Z");
        assert_eq!(json(&renewed)["spec"]["leaseTransitions"], 0);
        let taken = claim(&b, &timing, "2026-11-22T20:00:30Z").acquire(renewed);
        assert_eq!(json(&taken)["spec"]["holderIdentity"], b.as_str());
        assert_eq!(json(&taken)["spec"]["acquireTime"], "2026-11-22T20:00:30.000000Z");
        assert_eq!(json(&taken)["spec"]["leaseTransitions"], 1);
    }

    /// "Never goes back" alone is not enough: clamped to the last time, a renewal by a clock that was put back would
    /// change nothing, the API server would leave the resourceVersion as it was, and a follower would take the Lease
    /// from a living leader.
    #[test]
    fn renew_time_moves_forward_even_when_the_clock_is_put_back() {
        let (a, timing) = (identity("a"), Timing::default());
        let made = claim(&a, &timing, "2026-11-22T20:00:00Z").create(&ObjectKey::new("ops", "x"));
        let renewed = claim(&a, &timing, "2026-11-22T17:00:00Z").renew(made);
        assert_eq!(json(&renewed)["spec"]["renewTime"], "2026-11-22T20:00:00.000001Z");
        let again = claim(&a, &timing, "2026-11-22T20:00:00.0000019Z").renew(renewed);
        assert_eq!(json(&again)["spec"]["renewTime"], "2026-11-22T20:00:00.000002Z");
    }

    #[test]
    fn a_release_empties_the_holder_and_keeps_what_others_put_on_the_lease() {
        let (a, timing) = (identity("a"), Timing::default());
        let mut lease = claim(&a, &timing, "2026-11-22T20:00:00Z").create(&ObjectKey::new("ops", "x"));
        lease.metadata.resource_version = Some("7".into());
        lease.metadata.uid = Some("u".into());
        lease.metadata.labels = Some([("team".to_owned(), "ops".to_owned())].into());
        let released = claim(&a, &timing, "2026-11-22T20:00:01Z").release(lease.clone());
        assert_eq!(released.metadata, lease.metadata);
        assert_eq!(holder(&released), Holder::Released);
        assert_eq!(json(&released)["spec"]["holderIdentity"], "");
        assert_eq!(json(&released)["spec"]["leaseDurationSeconds"], 1);
    }

    #[test]
    fn a_lease_without_holder_or_times_is_read_as_not_saying() {
        let empty: Lease = serde_json::from_value(json!({"metadata": {"name": "x"}})).unwrap();
        assert_eq!((holder(&empty), duration(&empty)), (Holder::Unknown, None));
        let odd: Lease = serde_json::from_value(json!({"metadata": {}, "spec": {"leaseDurationSeconds": -5}})).unwrap();
        assert_eq!((holder(&odd), duration(&odd)), (Holder::Unknown, None));
        let (a, timing) = (identity("a"), Timing::default());
        let taken = claim(&a, &timing, "2026-11-22T20:00:00Z").acquire(empty);
        assert_eq!((holder(&taken), duration(&taken)), (Holder::Named(a.as_str()), Some(Duration::from_secs(15))));
        assert_eq!(json(&taken)["spec"]["leaseTransitions"], 1);
    }
}
