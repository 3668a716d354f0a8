//! The rules of the election, without any I/O: observations in, decisions out.
//!
//! ```text
//!              wrote                                        observed: still ours
//!  ┌► Follower ─────────────────────────────────► Leader ◄────────────────────────┐
//!  └────┘ ▲ │ observed: our own, new object         │  ▲  failed, refused          │
//!         │ ▼                                       │  └─────────────► (look first) ┘
//!        Founder ───────────────────────────────────│──┘
//!              wrote, a lease duration later        ▼
//!                                                  Lost  (deadline passed, or another holder observed)
//! ```
//!
//! - A *Follower* reads the Lease once per retry period, and remembers since when it has seen the current state.
//! - A *Leader* does not read: it renews the state that it wrote itself, and the API server refuses the write if that
//!   is not the current state any more. After a write that was refused or got no answer, the state of the Lease is
//!   unknown. The leader then reads before it writes again, and never repeats a write blindly.
//! - A *Founder* has created the Lease but does not lead yet. Where there is no Lease, there may have been one a second
//!   ago, and its leader may not have noticed the deletion. So the founder renews the Lease like a leader and writes
//!   nothing else until this object (by its uid) has existed for a lease duration: by then the leader of a deleted one
//!   has lost. For the same reason, a leader that recreates its own deleted Lease gains no time by that, only by the
//!   next renewal.
//! - *Lost* is final: an instance that has lost leadership exits and comes back with another identity.
//!
//! Every instant that is passed in is one of two kinds, and confusing them leads to two leaders. `sent` is taken before
//! a request leaves: a *leader's* right to write counts from it. `at` is taken after its answer arrived: a
//! *follower's* observations count from it.

use std::fmt;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::{Duration, Instant};

use super::config::{Identity, Timing};
use super::record::{self, Holder};

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Read the Lease.
    Look,
    /// Create the Lease: it has been absent for long enough.
    Create,
    /// Replace this state of the Lease with one that names this instance.
    Acquire(Lease),
    /// Replace this state of the Lease, which names this instance already, with a newer one.
    Renew(Lease),
    /// Do nothing until then.
    Wait(Instant),
    /// Stop all work: leadership is lost.
    StepDown(StepDown),
}

/// Why leadership is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepDown {
    /// No renewal has succeeded for too long.
    #[error("the lease could not be renewed for {0:?}")]
    DeadlinePassed(Duration),
    /// The Lease names another holder, or none.
    #[error("the lease is held by {0}")]
    HolderChanged(String),
}

/// One instance's part in an election.
#[derive(Debug)]
pub struct Election {
    identity: Identity,
    timing: Timing,
    state: State,
    /// The Lease as it was last read or written.
    sighting: Sighting,
    /// The earliest time of the next write: attempts are a retry period apart.
    write_at: Instant,
}

/// In `Founder` and `Leader`, `look_at` is set while it is unknown whether the last write was done: read before the
/// next.
#[derive(Debug)]
enum State {
    /// As far as is known, the Lease is not ours.
    Follower { look_at: Instant },
    /// We created the Lease; it has been the same object, and ours, since `since`.
    Founder { since: Instant, look_at: Option<Instant> },
    /// The Lease is ours because of a write that was sent at `sent`.
    Leader { sent: Instant, look_at: Option<Instant> },
    /// The Lease was ours.
    Lost(StepDown),
}

/// The content of the Lease, and since when *this instance* has seen it.
#[derive(Debug)]
enum Sighting {
    /// Not read yet.
    Nothing,
    /// The Lease does not exist. Until `free_at` the leader of a deleted one has time to create it again.
    Absent { free_at: Instant },
    /// `since` is when an answer showed this resourceVersion for the first time.
    Present { lease: Box<Lease>, since: Instant },
}

impl Election {
    /// A follower that has seen nothing yet.
    pub fn new(identity: Identity, timing: Timing, now: Instant) -> Self {
        let state = State::Follower { look_at: now };
        Self { identity, timing, state, sighting: Sighting::Nothing, write_at: now }
    }

    /// What to do now.
    pub fn decide(&self, now: Instant) -> Decision {
        match &self.state {
            State::Follower { look_at } => self.follow(*look_at, now),
            State::Founder { since: _, look_at } => self.renew(*look_at, now),
            State::Leader { sent, look_at } => self.lead(*sent, *look_at, now),
            State::Lost(reason) => Decision::StepDown(reason.clone()),
        }
    }

    /// The identity of this instance.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The durations of the election.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// If this instance leads: when it sent the write that made it the leader, or the last renewal.
    pub fn leads_since(&self) -> Option<Instant> {
        match self.state {
            State::Leader { sent, look_at: _ } => Some(sent),
            State::Follower { look_at: _ } | State::Founder { since: _, look_at: _ } | State::Lost(_) => None,
        }
    }

    /// Until when to wait for a request: a leader that gets no answer before its deadline has lost.
    pub fn patience(&self, sent: Instant) -> Instant {
        let answer_by = sent + self.timing.request_timeout();
        self.leads_since().map_or(answer_by, |since| answer_by.min(since + self.timing.renew_deadline()))
    }

    /// Reads the Lease at `look_at`; takes it once it is free.
    fn follow(&self, look_at: Instant, now: Instant) -> Decision {
        if now >= look_at {
            return Decision::Look;
        }
        let Some(free_at) = self.free_at() else { return Decision::Wait(look_at) };
        let write_at = free_at.max(self.write_at);
        if now < write_at { Decision::Wait(look_at.min(write_at)) } else { self.write() }
    }

    /// Renews until the deadline.
    fn lead(&self, sent: Instant, look_at: Option<Instant>, now: Instant) -> Decision {
        let deadline = sent + self.timing.renew_deadline();
        if now >= deadline {
            return Decision::StepDown(StepDown::DeadlinePassed(self.timing.renew_deadline()));
        }
        match self.renew(look_at, now) {
            Decision::Wait(until) => Decision::Wait(until.min(deadline)),
            decision => decision,
        }
    }

    /// Writes once per retry period; reads first if it is unknown whether the last write was done.
    fn renew(&self, look_at: Option<Instant>, now: Instant) -> Decision {
        match look_at {
            Some(look_at) if now < look_at => Decision::Wait(look_at),
            Some(_) => Decision::Look,
            None if now < self.write_at => Decision::Wait(self.write_at),
            None => self.write(),
        }
    }

    /// The write that makes the Lease ours, or keeps it ours.
    fn write(&self) -> Decision {
        match &self.sighting {
            Sighting::Nothing => Decision::Look,
            Sighting::Absent { free_at: _ } => Decision::Create,
            Sighting::Present { lease, since: _ } if self.names_us(lease) => Decision::Renew(Lease::clone(lease)),
            Sighting::Present { lease, since: _ } => Decision::Acquire(Lease::clone(lease)),
        }
    }

    /// From when a follower may take the Lease; `None` while it has not read it.
    ///
    /// Only the times of its own observations count. The timestamps in the Lease come from another clock, and are
    /// ignored.
    fn free_at(&self) -> Option<Instant> {
        match &self.sighting {
            Sighting::Nothing => None,
            Sighting::Absent { free_at } => Some(*free_at),
            Sighting::Present { lease, since } => Some(match record::holder(lease) {
                Holder::Released => *since,
                // We took the Lease, and the answer was lost. Nobody else can have it, but we lead only after a renewal
                // whose answer we have seen.
                Holder::Named(name) if name == self.identity.as_str() => *since,
                Holder::Named(_) | Holder::Unknown => {
                    *since + record::duration(lease).unwrap_or(self.timing.lease_duration())
                }
            }),
        }
    }

    /// The Lease was read (`None`: it does not exist); the answer arrived `at`. A follower reads it again after
    /// `pause`.
    pub fn observed(&mut self, lease: Option<Lease>, at: Instant, pause: Duration) {
        let ours = lease.as_ref().is_some_and(|lease| self.names_us(lease));
        let same_object = lease.as_ref().is_some_and(|lease| self.known().is_some_and(|known| same_uid(lease, known)));
        let exists = lease.is_some();
        self.sighting = self.sight(lease, at);
        self.state = match &self.state {
            // An object that we have not seen before, and it is ours: we created it.
            State::Follower { look_at: _ } | State::Founder { .. } if ours && !same_object => {
                State::Founder { since: at, look_at: None }
            }
            State::Founder { since, look_at: _ } if ours => State::Founder { since: *since, look_at: None },
            State::Follower { look_at: _ } | State::Founder { .. } => State::Follower { look_at: at + pause },
            State::Leader { sent, look_at: _ } if ours || !exists => State::Leader { sent: *sent, look_at: None },
            State::Leader { .. } => State::Lost(StepDown::HolderChanged(self.holder_for_people())),
            State::Lost(reason) => State::Lost(reason.clone()),
        };
    }

    /// The Lease was created by a request sent at `sent`; the answer arrived `at`.
    pub fn created(&mut self, lease: Lease, sent: Instant, at: Instant) {
        self.write_at = sent + self.timing.retry_period();
        self.observed(Some(lease), at, self.timing.retry_period());
    }

    /// The Lease was replaced by a request sent at `sent`; the answer arrived `at`.
    ///
    /// It counts only if the Lease names us and its version has changed. An unchanged Lease looks dead to the others.
    pub fn wrote(&mut self, lease: Lease, sent: Instant, at: Instant) {
        let moved = self.known().is_none_or(|known| !same_state(&lease, known));
        if !moved || !self.names_us(&lease) {
            return self.failed(sent, at);
        }
        self.write_at = sent + self.timing.retry_period();
        self.sighting = Sighting::Present { lease: Box::new(lease), since: at };
        self.state = match &self.state {
            State::Founder { since, look_at: _ } if sent < *since + self.timing.lease_duration() => {
                self.write_at = self.write_at.min(*since + self.timing.lease_duration());
                State::Founder { since: *since, look_at: None }
            }
            State::Follower { .. } | State::Founder { .. } | State::Leader { .. } => {
                State::Leader { sent, look_at: None }
            }
            State::Lost(reason) => State::Lost(reason.clone()),
        };
    }

    /// A write was refused, because the Lease has changed: read it at once.
    pub fn refused(&mut self, sent: Instant, at: Instant) {
        self.write_at = sent + self.timing.retry_period();
        self.look_again(at);
    }

    /// A request failed, or got no answer. A write may have been done nevertheless: read before the next one,
    /// a retry period after this one was sent.
    pub fn failed(&mut self, sent: Instant, at: Instant) {
        self.write_at = sent + self.timing.retry_period();
        self.look_again(at.max(self.write_at));
    }

    fn look_again(&mut self, at: Instant) {
        match &mut self.state {
            State::Follower { look_at } => *look_at = at,
            State::Founder { since: _, look_at } | State::Leader { sent: _, look_at } => *look_at = Some(at),
            State::Lost(_) => {}
        }
    }

    /// What we see now, and since when. The wait for a free Lease starts again only if the Lease has changed.
    fn sight(&self, lease: Option<Lease>, at: Instant) -> Sighting {
        match (lease, &self.sighting) {
            (None, Sighting::Nothing) => Sighting::Absent { free_at: at },
            (None, Sighting::Absent { free_at }) => Sighting::Absent { free_at: *free_at },
            (None, Sighting::Present { .. }) => Sighting::Absent { free_at: at + self.timing.renew_deadline() },
            (Some(lease), Sighting::Present { lease: known, since }) if same_state(&lease, known) => {
                Sighting::Present { lease: Box::new(lease), since: *since }
            }
            (Some(lease), _) => Sighting::Present { lease: Box::new(lease), since: at },
        }
    }

    fn known(&self) -> Option<&Lease> {
        match &self.sighting {
            Sighting::Present { lease, since: _ } => Some(lease),
            Sighting::Nothing | Sighting::Absent { free_at: _ } => None,
        }
    }

    fn names_us(&self, lease: &Lease) -> bool {
        record::holder(lease) == Holder::Named(self.identity.as_str())
    }

    fn holder_for_people(&self) -> String {
        self.known().map_or_else(|| "nobody".to_owned(), record::holder_for_people)
    }
}

/// Whether two reads show the same state. API servers always send a version; a Lease without one counts as a new
/// state each time, which makes the follower wait.
fn same_state(one: &Lease, other: &Lease) -> bool {
    record::resource_version(one).is_some() && record::resource_version(one) == record::resource_version(other)
}

/// Whether two reads show the same object, in whatever state.
fn same_uid(one: &Lease, other: &Lease) -> bool {
    one.metadata.uid.is_some() && one.metadata.uid == other.metadata.uid
}

/// The state of the election, for the log.
impl fmt::Display for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.state, &self.sighting) {
            (State::Founder { .. }, _) => write!(
                f,
                "this instance has created the lease, and leads after {:?}, when no holder of an earlier, deleted lease \
                 can be leading any more",
                self.timing.lease_duration()
            ),
            (_, Sighting::Nothing) => f.write_str("the lease has not been read yet"),
            (_, Sighting::Absent { free_at: _ }) => f.write_str("there is no lease"),
            (_, Sighting::Present { .. }) => write!(f, "the lease is held by {}", self.holder_for_people()),
        }
    }
}

#[cfg(test)]
mod tests;
