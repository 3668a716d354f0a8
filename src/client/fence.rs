//! The fence: the last gate before a write leaves this process.
//!
//! Leader election alone does not keep two instances from writing. The leader learns that it has lost *from its own
//! clock and its own tasks*, and a worker may be anywhere when that happens: just past its last check, stopped for a
//! minute with the whole process (`kill -STOP`, a starved node), or waiting for a pooled connection. So the check
//! belongs where nothing can come after it: each write asks the fence at the moment it is sent.
//!
//! The fence does not say "you are the leader", which may be outdated by the time it is read. It says "you may
//! write *until* this instant", and the instant is computed from the time before the renewal of the Lease was sent. An
//! instance that learns nothing any more, not even that it has lost, is stopped by its own clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Decides whether a write may be sent now. Clones share one gate.
#[derive(Debug, Clone)]
pub struct Fence(Arc<Mutex<Gate>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// There is no election: this is the only instance.
    Open,
    /// This instance holds the Lease until this instant.
    OpenUntil(Instant),
    /// This instance does not hold the Lease.
    Closed,
}

impl Fence {
    /// A fence for a single instance: every write passes.
    pub fn always_open() -> Self {
        Self(Arc::new(Mutex::new(Gate::Open)))
    }

    /// A fence for a candidate: no write passes before [`open_until`](Self::open_until).
    pub fn closed() -> Self {
        Self(Arc::new(Mutex::new(Gate::Closed)))
    }

    /// Lets writes pass until `deadline`, but not after it.
    pub fn open_until(&self, deadline: Instant) {
        self.set(Gate::OpenUntil(deadline));
    }

    /// Lets no write pass from now on.
    pub fn close(&self) {
        self.set(Gate::Closed);
    }

    /// How much longer writes may be sent: `None` means not even now, [`Duration::MAX`] means without limit.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Gate::Open => Some(Duration::MAX),
            Gate::OpenUntil(deadline) if now < deadline => Some(deadline - now),
            Gate::OpenUntil(_) | Gate::Closed => None,
        }
    }

    fn set(&self, gate: Gate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = gate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_fence_closes_by_itself_when_its_time_has_come() {
        let fence = Fence::closed();
        assert_eq!(fence.remaining(Instant::now()), None);
        fence.open_until(Instant::now() + Duration::from_secs(10));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert_eq!(fence.remaining(Instant::now()), Some(Duration::from_millis(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(fence.remaining(Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn all_clones_share_one_gate() {
        let fence = Fence::always_open();
        let clone = fence.clone();
        fence.close();
        assert_eq!(clone.remaining(Instant::now()), None);
    }
}
