//! Reading a Lease, and building what is written into it.
//!
//! ```yaml
//! spec:
//!   holderIdentity: pod-a_9f…            # "" after a release
//!   leaseDurationSeconds: 15             # how long the others have to wait
//!   acquireTime: 2026-11-22T20:00:00.000000Z    # when this holder took it; kept while it renews
//!   renewTime:   2026-11-22T20:00:02.000000Z    # moves with every write, and only forward
//!   leaseTransitions: 3                  # how often the holder has changed
//! ```
//!
//! The times are for people, and no decision depends on them. But `renewTime` has one function: the API server ignores
//! a write that changes nothing, and keeps the resourceVersion. The others would see an unchanged Lease, and take it
//! from a leader that is alive. So `renewTime` moves with every write, by one microsecond if the clock has stopped or
//! was set back.
//!
//! A Lease is kept and written back as a whole: its labels and annotations belong to others, and its
//! uid and resourceVersion make the API server refuse the write if the Lease is in another state.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use super::config::{Identity, Timing};
use crate::object::ObjectKey;

/// The holder that a Lease names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// This instance, or another.
    Named(&'a str),
    /// Nobody: the last holder released it, after it had stopped writing.
    Released,
    /// The Lease does not say; it was created by hand or by another program.
    Unknown,
}

/// The holder that `lease` names.
pub fn holder(lease: &Lease) -> Holder<'_> {
    match lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) {
        Some("") => Holder::Released,
        Some(name) => Holder::Named(name),
        None => Holder::Unknown,
    }
}

/// The holder, for log lines and errors.
pub fn holder_for_people(lease: &Lease) -> String {
    match holder(lease) {
        Holder::Named(name) => name.to_owned(),
        Holder::Released | Holder::Unknown => "nobody".to_owned(),
    }
}

/// How long the others have to wait; `None` if the Lease does not contain a valid duration.
pub fn duration(lease: &Lease) -> Option<Duration> {
    let seconds = lease.spec.as_ref()?.lease_duration_seconds?;
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// The state of the Lease that was read.
pub fn resource_version(lease: &Lease) -> Option<&str> {
    lease.metadata.resource_version.as_deref()
}

/// Builds the Leases that an instance writes.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The holder to write.
    pub identity: &'a Identity,
    /// Contains how long the others have to wait.
    pub timing: &'a Timing,
    /// The time of day, for people.
    pub wall: Timestamp,
}

impl Claim<'_> {
    /// A new Lease, held by this instance.
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

    /// The same Lease, taken over by this instance.
    pub fn acquire(&self, lease: Lease) -> Lease {
        write(lease, self.wall, |spec| {
            spec.holder_identity = Some(self.identity.to_string());
            spec.lease_duration_seconds = Some(self.timing.lease_duration_seconds());
            spec.acquire_time = Some(micros(self.wall));
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        })
    }

    /// The same Lease, renewed.
    pub fn renew(&self, lease: Lease) -> Lease {
        write(lease, self.wall, |spec| {
            spec.lease_duration_seconds = Some(self.timing.lease_duration_seconds());
        })
    }

    /// The same Lease, released. The duration is one second, since zero is not valid.
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

/// The wall clock's time, or one microsecond after the last time if the clock is not past that.
fn after(last: Option<&MicroTime>, wall: Timestamp) -> MicroTime {
    let now = micros(wall);
    let Some(MicroTime(last)) = last else { return now };
    let next = last.checked_add(SignedDuration::from_micros(1)).unwrap_or(*last);
    now.max(micros(next))
}

/// The times in a Lease have microseconds.
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

    /// "Never goes back" alone is not enough: if the time were only clamped, a renewal after the clock was set back
    /// would change nothing, the API server would keep the resourceVersion, and a follower would take the Lease from a
    /// leader that is alive.
    #[test]
    fn renew_time_moves_forward_even_when_the_clock_is_set_back() {
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
