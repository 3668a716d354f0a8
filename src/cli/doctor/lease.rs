//! Who holds the Lease?
//!
//! Any answer is fine: a free Lease can be taken, a held one says that an operator runs, and an expired one will be
//! taken over. Only for people are the times of a Lease compared with the clock of this machine. An operator never does
//! that, since clocks may be hours apart.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;

use super::finding::Finding;
use crate::leader_election::record::{Holder, duration, holder};
use crate::object::ObjectKey;

/// What is examined.
pub const WHAT: &str = "Lease";

/// What a Lease says at the time `now`. `used` says whether the operator would use it.
pub fn judge(key: &ObjectKey, lease: Option<&Lease>, used: bool, now: Timestamp) -> Finding {
    let unused = if used { "" } else { " (not used without --leader-elect)" };
    let state = match lease {
        None => "free: it does not exist yet".to_owned(),
        Some(lease) => match holder(lease) {
            Holder::Released => "free: its last holder has released it".to_owned(),
            Holder::Unknown => "free: it names no holder".to_owned(),
            Holder::Named(name) => held(lease, name, now),
        },
    };
    Finding::ok(WHAT, format!("{key} is {state}{unused}"))
}

fn held(lease: &Lease, name: &str, now: Timestamp) -> String {
    let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref());
    let (Some(renewed), Some(lasts)) = (renewed, duration(lease)) else {
        return format!("held by {name}, which does not say for how long");
    };
    let age = now.duration_since(renewed.0);
    let ago = if age < SignedDuration::ZERO {
        format!("{} s from now, by the clock of this machine", age.unsigned_abs().as_secs())
    } else {
        format!("{} s ago", age.as_secs())
    };
    if age.unsigned_abs() > lasts && age > SignedDuration::ZERO {
        return format!("expired: {name} renewed it {ago}, for {} s; the next operator takes it over", lasts.as_secs());
    }
    format!("held by {name}, renewed {ago}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::finding::Verdict;
    use super::*;

    fn told(spec: Option<Value>) -> String {
        let lease = spec.map(|spec| serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap());
        let now = "2026-11-22T20:00:10Z".parse().unwrap();
        let found = judge(&ObjectKey::new("ops", "smooth-operator"), lease.as_ref(), true, now);
        assert_eq!(found.verdict, Verdict::Ok);
        found.found
    }

    #[test]
    fn a_lease_is_free_or_held_or_expired() {
        let held_since =
            |at: &str| told(Some(json!({"holderIdentity": "pod-a_1", "leaseDurationSeconds": 15, "renewTime": at})));
        assert_eq!(told(None), "ops/smooth-operator is free: it does not exist yet");
        let released = json!({"holderIdentity": "", "leaseDurationSeconds": 1});
        assert_eq!(told(Some(released)), "ops/smooth-operator is free: its last holder has released it");
        assert_eq!(told(Some(json!({}))), "ops/smooth-operator is free: it names no holder");
        assert_eq!(
            held_since("2026-11-22T20:00:07.000000Z"),
            "ops/smooth-operator is held by pod-a_1, renewed 3 s ago"
        );
        assert_eq!(
            held_since("2026-11-22T19:59:00.000000Z"),
            "ops/smooth-operator is expired: pod-a_1 renewed it 70 s ago, for 15 s; the next operator takes it over"
        );
    }

    /// The clocks of two machines may be hours apart.
    #[test]
    fn a_lease_from_the_future_is_held() {
        let spec = json!({
            "holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-11-22T21:00:10.000000Z",
        });
        let told = told(Some(spec));
        assert!(told.ends_with("held by a, renewed 3600 s from now, by the clock of this machine"), "{told}");
    }

    #[test]
    fn a_lease_that_says_half_is_held_by_whom_it_names() {
        let told = told(Some(json!({"holderIdentity": "a"})));
        assert!(told.ends_with("held by a, which does not say for how long"), "{told}");
    }

    #[test]
    fn a_lease_that_is_not_used_is_shown_and_said_to_be() {
        let found = judge(&ObjectKey::new("n", "a"), None, false, Timestamp::UNIX_EPOCH);
        assert!(found.found.ends_with("(not used without --leader-elect)"), "{}", found.found);
    }
}
