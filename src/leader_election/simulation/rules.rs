//! What holds for the Lease itself, whoever writes it and whatever happened before. The API server of the simulation
//! looks at each write that it accepts; it knows the true time, which no instance does.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use crate::leader_election::record::{Holder, duration, holder};

/// The rules that a write breaks. `unchanged` is how long the Lease has been as it was.
pub(super) fn of_a_write(old: &Lease, new: &Lease, unchanged: Option<Duration>) -> Vec<String> {
    let specs = (old.spec.clone().unwrap_or_default(), new.spec.clone().unwrap_or_default());
    let broken = [nobody_loses_it_early(old, new, unchanged), transitions_are_counted(&specs), time_moves_on(&specs)];
    broken.into_iter().flatten().map(|rule| format!("{rule}: {:?} became {:?}", specs.0, specs.1)).collect()
}

/// A holder has its whole duration, unless it gives the Lease back.
fn nobody_loses_it_early(old: &Lease, new: &Lease, unchanged: Option<Duration>) -> Option<&'static str> {
    let (Holder::Named(before), Holder::Named(after)) = (holder(old), holder(new)) else { return None };
    let early = before != after && unchanged < duration(old);
    early.then_some("the Lease was taken from its holder before its time")
}

/// `leaseTransitions` and `acquireTime` tell people about changes of the holder, and about nothing else.
fn transitions_are_counted((old, new): &(LeaseSpec, LeaseSpec)) -> Option<&'static str> {
    let taken = new.holder_identity.as_deref() != Some("") && old.holder_identity != new.holder_identity;
    if taken {
        let counted = new.lease_transitions == Some(old.lease_transitions.unwrap_or(0) + 1);
        (!counted).then_some("a change of the holder is one transition")
    } else {
        let kept = (old.lease_transitions, &old.acquire_time) == (new.lease_transitions, &new.acquire_time);
        (!kept).then_some("a renewal or release keeps the transitions and the time of the last one")
    }
}

/// A write that changes nothing is ignored by the API server, and the others see a Lease that stands still.
fn time_moves_on((old, new): &(LeaseSpec, LeaseSpec)) -> Option<&'static str> {
    let moved = new.renew_time.as_ref().map(|time| time.0) > old.renew_time.as_ref().map(|time| time.0);
    (!moved).then_some("renewTime moves forward")
}
