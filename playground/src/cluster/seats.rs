//! How many HTTP requests are answered at a time: flow control in its simplest form, one counter for everybody.
//!
//! Watches have no seat: they stay, and would keep all others out.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Cluster;

/// The seats of a cluster.
#[derive(Debug)]
pub(super) struct Seats {
    /// How many requests are being answered.
    taken: AtomicUsize,
    /// How many of them there may be.
    limit: AtomicUsize,
}

impl Default for Seats {
    fn default() -> Self {
        Self { taken: AtomicUsize::new(0), limit: AtomicUsize::new(usize::MAX) }
    }
}

impl Cluster {
    /// How many HTTP requests may be answered at a time, watches aside; by default there is no limit. What comes beyond it
    /// gets 429 and is asked to come again.
    pub fn set_max_in_flight(&self, limit: usize) {
        self.inner.seats.limit.store(limit, Ordering::Relaxed);
    }

    /// Takes a seat for a request; `None` where all are taken.
    pub(crate) fn seat(&self) -> Option<Seat> {
        let taken = self.inner.seats.taken.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self.clone());
        (taken < self.inner.seats.limit.load(Ordering::Relaxed)).then_some(seat)
    }
}

/// A place among the requests that are being answered; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Cluster);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.inner.seats.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
