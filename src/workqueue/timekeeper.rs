//! Who waits for the next deadline?
//!
//! The naive solution gives every waiting worker a timer of its own: ten timers for one deadline, and ten workers
//! that wake for one key. A task that sleeps until the deadline is better, but needs an owner, a stop signal and a
//! join. And only a *waiting* worker cares for deadlines at all: a busy one looks at them when it comes back.
//!
//! So one of the waiting workers is the timekeeper. It sleeps until the earliest deadline; the others sleep until
//! they are woken. When it leaves, with a key or because its future was dropped, it wakes another, which takes
//! over. There is one timer at most, and none where nobody waits.
//!
//! ```text
//!   worker 1   get --> claims the role --> sleeps until the deadline --> key! --> leaves, wakes worker 2
//!   worker 2   get --> the role is taken --> sleeps ........................... wakes, claims the role
//!   worker 3   get --> the role is taken --> sleeps .......................................
//! ```
//!
//! Invariant: while a key is delayed and workers wait, one of them has the role or is being woken. It is what a
//! *woken* worker must keep as well: the wake-up that it used up may have been the one that was to find a new
//! timekeeper, so if it leaves with a key it wakes the next.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, sleep_until};

/// The role, of which there is one for each queue.
#[derive(Debug)]
pub(super) struct Role {
    taken: AtomicBool,
    /// Wakes the timekeeper, because a delay came that is due before the one it sleeps for.
    rearm: Notify,
}

impl Role {
    pub(super) fn new() -> Self {
        Self { taken: AtomicBool::new(false), rearm: Notify::new() }
    }

    /// Takes the role, unless another has it. `successor` wakes who may have it next.
    pub(super) fn claim<'a>(&'a self, successor: &'a Notify) -> Option<Timekeeper<'a>> {
        let free = self.taken.compare_exchange(false, true, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        // Lazily: a `Timekeeper` that is made only to be dropped would give away the role that another one has.
        free.then(|| Timekeeper { role: self, successor })
    }

    pub(super) fn is_free(&self) -> bool {
        !self.taken.load(Ordering::SeqCst)
    }

    /// Tells the timekeeper that the earliest deadline is another now; the next one, where there is none yet.
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
    /// Waits until `woken`, until the deadline, or until another deadline may be the earliest.
    pub(super) async fn wait(&self, woken: Notified<'_>, due: Option<Instant>) {
        let deadline = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
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
