//! Who waits for the next deadline?
//!
//! The naive solution gives every waiting worker a timer of its own: ten timers for one deadline, and ten workers that
//! wake up for one key. A separate task that sleeps until the deadline is better, but needs an owner, a stop signal and
//! a join. And only a *waiting* worker needs to know about deadlines: a busy one checks them when it comes back.
//!
//! So one of the waiting workers is the timekeeper. It sleeps until the earliest deadline; the others sleep until
//! they are woken. When the timekeeper leaves, with a key or because its future was dropped, it wakes another worker,
//! which takes over. There is at most one timer, and none while nobody waits.
//!
//! ```text
//!   worker 1   get --> claims the role --> sleeps until the deadline --> key! --> leaves, wakes worker 2
//!   worker 2   get --> the role is taken --> sleeps ........................... wakes, claims the role
//!   worker 3   get --> the role is taken --> sleeps .......................................
//! ```
//!
//! # The invariant
//!
//! While a key is delayed and workers wait, one of the waiting workers has the role or is being woken.
//!
//! Three kinds of worker could break it, and each wakes another one when it leaves:
//!
//! - *The timekeeper itself.* Dropping [`Timekeeper`] gives the role back and wakes a successor.
//! - *A woken worker.* There is one `Notify` for "a key is ready" and "a timekeeper is needed". A woken worker that
//!   finds a ready key may have consumed the wake-up meant for the next timekeeper. So when it leaves with a key while
//!   keys are delayed and the role is free, it wakes another worker.
//! - *A cancelled worker.* `Notify` itself passes the wake-up of a dropped waiter on to the next one.
//!
//! Without the second rule, a delayed key could wait for ever while idle workers sleep:
//!
//! ```text
//!   worker 1 (timekeeper)   leaves with key a, wakes worker 2
//!   worker 2                wakes up, finds key b ready, leaves with it           the wake-up is used up
//!   worker 3                sleeps, without the role: nobody waits for c's deadline
//! ```

use std::future::pending;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, sleep_until};

use super::sync::{AtomicBool, Notified, Notify};

/// The timekeeper's role; each queue has one.
#[derive(Debug)]
pub(super) struct Role {
    taken: AtomicBool,
    /// Wakes the timekeeper because a delay was added that is due before the one it sleeps for.
    rearm: Notify,
}

impl Role {
    pub(super) fn new() -> Self {
        Self { taken: AtomicBool::new(false), rearm: Notify::new() }
    }

    /// Takes the role, unless another worker has it. `successor` wakes the worker that may take it next.
    pub(super) fn claim<'a>(&'a self, successor: &'a Notify) -> Option<Timekeeper<'a>> {
        let free = self.taken.compare_exchange(false, true, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        // `then`, not `then_some`: a `Timekeeper` that is created only to be dropped would give away another worker's
        // role.
        free.then(|| Timekeeper { role: self, successor })
    }

    pub(super) fn is_free(&self) -> bool {
        !self.taken.load(Ordering::SeqCst)
    }

    /// Tells the timekeeper (or the next one, if there is none now) that the earliest deadline has changed.
    pub(super) fn rearm(&self) {
        self.rearm.notify_one();
    }
}

/// The role in the hands of one worker.
#[derive(Debug)]
pub(super) struct Timekeeper<'a> {
    role: &'a Role,
    successor: &'a Notify,
}

impl Timekeeper<'_> {
    /// Waits until `woken`, until the deadline, or until the earliest deadline may have changed.
    pub(super) async fn wait(&self, woken: Notified<'_>, due: Option<Instant>) {
        let deadline = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = woken => {}
            () = self.role.rearm.notified() => {}
            () = deadline => {}
        }
    }
}

impl Drop for Timekeeper<'_> {
    fn drop(&mut self) {
        self.role.taken.store(false, Ordering::SeqCst);
        self.successor.notify_one();
    }
}
