//! The fence: the last gate before a write leaves this process.
//!
//! Leader election alone does not keep two instances from writing. The leader is told that it has lost *by its
//! own clock and its own tasks*, and a worker may be anywhere when that happens: just past its last check,
//! suspended with the whole process while the laptop slept, waiting in a connection pool. So the check belongs
//! where nothing can come after it: each write asks the fence in the moment it is sent.
//!
//! The fence does not say "you are the leader", which can be outdated by the time it is read. It says "you may
//! write *until* this instant", and the instant was computed from before the lease was renewed. An instance that
//! learns nothing any more, not even that it lost, is stopped by its own clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Says whether a write may be sent now. Clones share one gate.
#[derive(Debug, Clone)]
pub struct Fence(Arc<Mutex<Gate>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// There is no election: this instance is alone.
    Open,
    /// The lease is ours up to here.
    OpenUntil(Instant),
    /// The lease is not ours.
    Closed,
}

impl Fence {
    /// A fence for an instance that is alone: it lets everything pass.
    pub fn always_open() -> Self {
        Self(Arc::new(Mutex::new(Gate::Open)))
    }

    /// A fence for a candidate: nothing passes before [`open_until`](Self::open_until).
    pub fn closed() -> Self {
        Self(Arc::new(Mutex::new(Gate::Closed)))
    }

    /// Lets writes pass until `deadline`, and none after it.
    pub fn open_until(&self, deadline: Instant) {
        self.set(Gate::OpenUntil(deadline));
    }

    /// Lets nothing pass from now on.
    pub fn close(&self) {
        self.set(Gate::Closed);
    }

    /// How much longer writes may be sent: `None` means now is already too late, [`Duration::MAX`] that there
    /// is no end.
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
