//! Room for a number of connections, of which the oldest makes way.
//!
//! With slots that are simply taken, a few clients that say nothing keep everybody else out until their time is up, and
//! then they come back. A shorter time does not help, since they come back sooner. But a client that behaves is
//! done within milliseconds, and what has been here for longest is therefore what deserves its room least:
//!
//! ```text
//!   enter ──► room? ── yes ──────────────────────────────► Member
//!               │ no                                         │ dropped: room for one more
//!               └──► the oldest is sent away; when it has left ──►
//! ```
//!
//! # What it does not promise
//!
//! That nobody who behaves is ever sent away. Whoever opens connections faster than the others can be answered still wins;
//! but it has to keep doing so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Those who are here.
#[derive(Debug)]
pub(super) struct Crowd {
    room: Arc<Semaphore>,
    present: Arc<Mutex<Present>>,
}

#[derive(Debug, Default)]
struct Present {
    /// The number of whoever enters next.
    next: u64,
    /// Whoever is here and was not sent away yet, the oldest first. Each of them holds one permit of `room`.
    members: BTreeMap<u64, CancellationToken>,
}

/// One of them; dropping it makes room.
#[derive(Debug)]
pub(super) struct Member {
    number: u64,
    sent_away: CancellationToken,
    present: Arc<Mutex<Present>>,
    /// `None` would mean that the semaphore was closed, which never happens.
    _room: Option<OwnedSemaphorePermit>,
}

impl Crowd {
    /// Room for so many.
    pub(super) fn of(size: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(size)), present: Arc::default() }
    }

    /// Enters. If there is no room, the oldest one is sent away, and this waits until somebody has left.
    pub(super) async fn enter(&self) -> Member {
        let room = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => Some(room),
            Err(_none) => {
                if let Some((_, oldest)) = lock(&self.present).members.pop_first() {
                    oldest.cancel();
                }
                Arc::clone(&self.room).acquire_owned().await.ok()
            }
        };
        let sent_away = CancellationToken::new();
        let mut present = lock(&self.present);
        let number = present.next;
        present.next += 1;
        present.members.insert(number, sent_away.clone());
        Member { number, sent_away, present: Arc::clone(&self.present), _room: room }
    }
}

impl Member {
    /// Does this, until it is done or this member is sent away.
    pub(super) async fn unless_sent_away<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.sent_away.run_until_cancelled(work).await
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.present).members.remove(&self.number);
    }
}

fn lock(present: &Mutex<Present>) -> MutexGuard<'_, Present> {
    present.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room_and_there_are_never_too_many() {
        let crowd = Crowd::of(2);
        let first = crowd.enter().await;
        let second = crowd.enter().await;
        let enters = tokio::spawn(async move { (crowd.enter().await, crowd) });
        assert_eq!(first.unless_sent_away(pending::<()>()).await, None);
        yield_now().await;
        assert!(!enters.is_finished(), "it has been told to go, and is still here");
        drop(first);
        let (third, crowd) = enters.await.unwrap();
        assert!(!second.sent_away.is_cancelled());
        drop(second);
        let fourth = crowd.enter().await;
        assert!(!third.sent_away.is_cancelled() && !fourth.sent_away.is_cancelled(), "there was room");
    }
}
