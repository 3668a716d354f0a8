//! "There is a newer revision": one tells, many wait.
//!
//! `tokio::sync::watch` does as much, and wakes its waiters in an order that it draws by lot. Here they wake in the order in
//! which they began to wait, so that the same seed makes the same cluster do the same things.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::storage::Revision;

/// The end that tells.
#[derive(Debug, Default)]
pub(crate) struct Signal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    revision: AtomicU64,
    /// How often was told. Grows after `revision` has changed and before anybody is woken.
    told: AtomicU64,
    waiters: Notify,
}

impl Signal {
    /// Tells a revision. It may be an older one: after a restore.
    pub(super) fn tell(&self, revision: Revision) {
        let Shared { revision: newest, told, waiters } = &*self.0;
        newest.store(revision, Ordering::Release);
        told.fetch_add(1, Ordering::Release);
        waiters.notify_waiters();
    }

    /// The same, unless a newer one was told before.
    pub(super) fn tell_newer(&self, revision: Revision) {
        let Shared { revision: newest, told, waiters } = &*self.0;
        if newest.fetch_max(revision, Ordering::AcqRel) < revision {
            told.fetch_add(1, Ordering::Release);
            waiters.notify_waiters();
        }
    }

    /// An end that hears what is told from now on.
    pub(crate) fn subscribe(&self) -> Listener {
        Listener { seen: self.0.told.load(Ordering::Acquire), shared: Arc::clone(&self.0) }
    }
}

/// An end that hears.
#[derive(Debug)]
pub(crate) struct Listener {
    shared: Arc<Shared>,
    /// Of the tellings, how many are no news any more.
    seen: u64,
}

impl Listener {
    /// Whether something was told since the last time that somebody looked.
    pub(crate) fn has_changed(&self) -> bool {
        self.shared.told.load(Ordering::Acquire) != self.seen
    }

    /// Looks, without waiting.
    pub(crate) fn mark_unchanged(&mut self) {
        self.seen = self.shared.told.load(Ordering::Acquire);
    }

    /// Waits for news. Safe to drop while waiting.
    pub(crate) async fn changed(&mut self) {
        loop {
            // Made before the look: it also hears what is told between the two.
            let told = self.shared.waiters.notified();
            if self.has_changed() {
                break;
            }
            told.await;
        }
        self.mark_unchanged();
    }

    /// Waits until this revision was told, or a newer one.
    pub(crate) async fn reached(&mut self, revision: Revision) {
        loop {
            self.mark_unchanged();
            if self.shared.revision.load(Ordering::Acquire) >= revision {
                return;
            }
            self.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_woken_in_the_order_in_which_they_began_to_wait() {
        let (signal, order) = (Signal::default(), Arc::new(Mutex::new(Vec::new())));
        let mut waiting = Vec::new();
        for number in 0..20 {
            let (mut listener, order) = (signal.subscribe(), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                listener.changed().await;
                order.lock().unwrap().push(number);
            }));
        }
        tokio::task::yield_now().await;
        signal.tell(1);
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_was_told_between_the_look_and_the_wait_is_heard() {
        let signal = Signal::default();
        let mut listener = signal.subscribe();
        assert!(!listener.has_changed());
        signal.tell(7);
        listener.changed().await;
        assert!(!listener.has_changed());
        signal.tell_newer(7);
        assert!(!listener.has_changed(), "it is no newer one");
        signal.tell(3);
        assert!(listener.has_changed(), "a restore goes back");
        signal.tell_newer(9);
        listener.reached(8).await;
    }
}
