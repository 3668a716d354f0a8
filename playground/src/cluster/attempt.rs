//! A write that can be tried as often as it takes, and one such try.
//!
//! ```text
//!  Write --attempt--> Attempt --[reviewed: may take seconds]--> commit --> Settled
//!    ^                                                            |
//!    +----------------- somebody else was faster -----------------+
//! ```
//!
//! What is decided in an attempt is decided upon one state of the object, and is stored only if that state still
//! stands. So whoever has to be asked in between (see [`crate::webhooks`]) is asked without any lock, for as long as
//! it takes, and what is stored is what they have seen.

use std::sync::Arc;

use serde_json::Value;

use super::commit::{Decision, Next};
use super::delete::Deleted;
use super::write::{Target, Written};
use super::{Cluster, PoisonError};
use crate::status::Status;
use crate::storage::Object;

/// What an attempt does, in the words of an AdmissionReview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

/// What it means that somebody else was faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rival {
    /// There is a new state to decide upon.
    Again,
    /// The name is taken.
    AlreadyExists,
}

/// What is to become of the state that was found.
pub(super) enum Step {
    /// There was nothing, and this is to be.
    Make { object: Next, rival: Rival },
    /// There was this object.
    Change { live: Arc<Object>, decision: Decision },
    /// The same, on behalf of a delete.
    Delete { live: Arc<Object>, decision: Decision },
}

/// One try: decided, and not yet done.
pub(crate) struct Attempt {
    pub(crate) target: Target,
    pub(crate) dry_run: bool,
    pub(super) step: Step,
    pub(super) warnings: Vec<String>,
}

/// A write, for as many attempts as it takes.
pub(crate) struct Write<'a> {
    /// `None` for the object itself.
    pub(crate) subresource: Option<&'a str>,
    pub(super) attempt: Box<dyn FnMut() -> Result<Attempt, Status> + Send + 'a>,
}

/// How a write ended for its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Created,
    Stands,
    Gone,
}

/// A write that is done.
pub(crate) struct Settled {
    object: Arc<Object>,
    end: End,
    warnings: Vec<String>,
}

impl Write<'_> {
    /// Decides upon the state as it is now.
    pub(crate) fn attempt(&mut self) -> Result<Attempt, Status> {
        (self.attempt)()
    }
}

impl Attempt {
    pub(crate) fn operation(&self) -> Operation {
        match &self.step {
            Step::Make { .. } => Operation::Create,
            Step::Change { .. } => Operation::Update,
            Step::Delete { .. } => Operation::Delete,
        }
    }

    /// The object as it would be after the write, in its stored form; `None` for a delete.
    pub(crate) fn object(&self) -> Option<Value> {
        match &self.step {
            Step::Delete { .. } => None,
            Step::Make { object, .. } => Some(object.full()),
            Step::Change { live, decision } => Some(match decision {
                Decision::Keep => live.full(),
                Decision::Put(next) | Decision::Remove(next) | Decision::Finish(next) => next.full(),
            }),
        }
    }

    /// The object as it was found, in its stored form.
    pub(crate) fn old_object(&self) -> Option<Value> {
        match &self.step {
            Step::Make { .. } => None,
            Step::Change { live, .. } | Step::Delete { live, .. } => Some(live.full()),
        }
    }
}

impl Settled {
    fn of(object: Arc<Object>, end: End, warnings: Vec<String>) -> Self {
        Self { object, end, warnings }
    }
}

impl From<Settled> for Written {
    fn from(Settled { object, end, warnings }: Settled) -> Self {
        Self { object, created: end == End::Created, warnings }
    }
}

impl From<Settled> for Deleted {
    fn from(Settled { object, end, warnings: _ }: Settled) -> Self {
        if end == End::Gone { Self::Gone(object) } else { Self::Marked(object) }
    }
}

impl Cluster {
    /// Tries until nobody else is faster.
    pub(super) fn finish(&self, mut write: Write<'_>) -> Result<Settled, Status> {
        loop {
            if let Some(settled) = self.commit_attempt(write.attempt()?)? {
                return Ok(settled);
            }
        }
    }

    /// Does what was decided; `None` where it has to be decided again.
    pub(crate) fn commit_attempt(&self, attempt: Attempt) -> Result<Option<Settled>, Status> {
        let Attempt { target, dry_run, step, warnings } = attempt;
        match step {
            Step::Make { object, rival } => self.commit_new(&target, object, rival, dry_run, warnings),
            Step::Change { live, decision } | Step::Delete { live, decision } => {
                let end = match decision {
                    Decision::Remove(_) | Decision::Finish(_) => End::Gone,
                    Decision::Keep | Decision::Put(_) => End::Stands,
                };
                let done = self.commit(&target, &live, decision, dry_run);
                Ok(done.ok().map(|object| Settled::of(object, end, warnings)))
            }
        }
    }

    fn commit_new(
        &self,
        target: &Target,
        object: Next,
        rival: Rival,
        dry_run: bool,
        warnings: Vec<String>,
    ) -> Result<Option<Settled>, Status> {
        let taken = self.store().get(&target.stored.table(), &target.key).is_some();
        if taken && rival == Rival::Again {
            return Ok(None);
        }
        let counted = self.check_quota(target).inspect_err(|_| self.give_back(target, &object.value))?;
        let made = if taken { None } else { self.put(target, None, object, dry_run).ok() };
        drop(counted);
        match (made, rival) {
            (Some(object), _) => Ok(Some(Settled::of(object, End::Created, warnings))),
            (None, Rival::Again) => Ok(None),
            (None, Rival::AlreadyExists) => Err(Status::already_exists(&target.resource, &target.key.name)),
        }
    }

    /// Forgets an attempt that somebody has refused.
    pub(crate) fn abandon(&self, attempt: &Attempt) {
        if let Step::Make { object, .. } = &attempt.step {
            self.give_back(&attempt.target, &object.value);
        }
    }

    /// Gives back what was booked for an object that is not made after all.
    fn give_back(&self, target: &Target, object: &Value) {
        let stands = || self.store().get(&target.stored.table(), &target.key).is_some();
        if target.stored.group_resource() == "services" && !stands() {
            self.ips().lock().unwrap_or_else(PoisonError::into_inner).release(object);
        }
    }

    /// The object of this key as it is now.
    pub(super) fn live(&self, target: &Target) -> Result<Arc<Object>, Status> {
        let found = self.store().get(&target.stored.table(), &target.key);
        found.ok_or_else(|| Status::not_found(&target.resource, &target.key.name))
    }
}
