//! Which changes were sent, and which of them the operator has written since.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smooth_operator::object::ObjectKey;
use tokio::time::Instant;

/// Shared by whoever changes servers and whoever watches their Deployments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    sent: u64,
    /// The newest change of each server that is not written yet.
    open: BTreeMap<ObjectKey, Open>,
    /// Of the changes that were written since somebody asked.
    latencies: Vec<Duration>,
}

#[derive(Debug)]
struct Open {
    image: &'static str,
    since: Instant,
}

impl Ledger {
    /// A change is about to be sent. So its time is that of the request, too: a little more than from the commit.
    pub(crate) fn sends(&self, key: &ObjectKey, image: &'static str, now: Instant) {
        let mut state = self.state();
        state.sent += 1;
        // One that is overtaken was not written in time for anybody: its time goes on.
        let since = state.open.get(key).map_or(now, |open| open.since);
        state.open.insert(key.clone(), Open { image, since });
    }

    /// A Deployment has this image.
    pub(crate) fn sees(&self, key: &ObjectKey, image: &str, now: Instant) {
        let mut state = self.state();
        if state.open.get(key).is_some_and(|open| open.image == image)
            && let Some(Open { image: _, since }) = state.open.remove(key)
        {
            state.latencies.push(now - since);
        }
    }

    /// How many changes were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.state().sent
    }

    /// How many servers have a change that is not written.
    pub(crate) fn unwritten(&self) -> usize {
        self.state().open.len()
    }

    /// The times of all changes that were written since this was asked last.
    pub(crate) fn take_latencies(&self) -> Vec<Duration> {
        mem::take(&mut self.state().latencies)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
