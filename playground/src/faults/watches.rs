//! The watches that are open, and how orders reach them.
//!
//! A watch's stream lives in the connection that pulls it. Whoever wants to break it from outside leaves an order; the
//! stream finds it the next time it is polled, which the order itself brings about.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::asked::{Asked, Matcher};
use super::rule::Break;

/// The open watches.
#[derive(Debug, Default)]
pub(super) struct Watches {
    next: u64,
    open: BTreeMap<u64, (Asked, mpsc::UnboundedSender<Break>)>,
}

/// A watch's own end. Dropping it says that the watch is closed.
#[derive(Debug)]
pub(super) struct Orders {
    id: u64,
    watches: Arc<Mutex<Watches>>,
    pub(super) receiver: mpsc::UnboundedReceiver<Break>,
}

impl Watches {
    pub(super) fn open(watches: &Arc<Mutex<Self>>, asked: Asked) -> Orders {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut all = watches.lock().unwrap_or_else(PoisonError::into_inner);
        all.next += 1;
        let id = all.next;
        all.open.insert(id, (asked, sender));
        Orders { id, watches: Arc::clone(watches), receiver }
    }

    pub(super) fn order(&self, matcher: &Matcher, how: Break) -> usize {
        let matching = self.open.values().filter(|(asked, _)| matcher.matches(asked));
        matching.filter(|(_, orders)| orders.send(how).is_ok()).count()
    }

    pub(super) fn count(&self, matcher: &Matcher) -> usize {
        self.open.values().filter(|(asked, _)| matcher.matches(asked)).count()
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&self.id);
    }
}
