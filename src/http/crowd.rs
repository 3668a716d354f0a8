//! Room for a number of connections, of which the oldest makes way.
//!
//! With slots that are simply taken, a few clients that say nothing keep everybody else out until their time is up, and
//! then they come back. But a client that behaves is done within milliseconds, and what has been here for longest is
//! therefore what deserves its room least:
//!
//! ```text
//!   enter ──► room? ── yes ───────────────────────────────────────► Member
//!               │ no                                                  │ dropped: room for one more
//!               └──► somebody leaves, or the oldest has had its time
//!                    and is sent away; when it has left ──────────►
//! ```
//!
//! Everybody has a short time that nobody can take: many that behave may well come at once, and have to wait for each
//! other, not to push each other out.
//!
//! # What it does not promise
//!
//! That nobody who behaves is ever sent away. Whoever opens connections faster than the others can be answered still wins;
//! but it has to keep doing so.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Those who are here.
#[derive(Debug)]
pub(super) struct Crowd {
    room: Arc<Semaphore>,
    /// The time that nobody can take.
    patience: Duration,
    present: Arc<Mutex<Present>>,
}

#[derive(Debug, Default)]
struct Present {
    /// The number of whoever enters next.
    next: u64,
    /// Whoever is here and was not sent away yet, the oldest first, and since when. Each of them holds one permit of
    /// `room`.
    members: BTreeMap<u64, (Instant, CancellationToken)>,
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
    /// Room for so many, each of whom has this time for itself.
    pub(super) fn of(size: usize, patience: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(size)), patience, present: Arc::default() }
    }

    /// Enters, as soon as there is room. If nobody leaves in time, the oldest one is sent away.
    pub(super) async fn enter(&self) -> Member {
        let mut room = pin!(Arc::clone(&self.room).acquire_owned());
        let mut not_before = Instant::now();
        let room = loop {
            tokio::select! {
                biased;
                room = room.as_mut() => break room,
                () = sleep_until(self.next_due().max(not_before)) => if self.send_oldest_away() {
                    // It needs a moment to leave. Then somebody who has waited for longer may take its room.
                    not_before = Instant::now() + self.patience;
                },
            }
        };
        let (now, sent_away) = (Instant::now(), CancellationToken::new());
        let mut present = lock(&self.present);
        let number = present.next;
        present.next += 1;
        present.members.insert(number, (now, sent_away.clone()));
        Member { number, sent_away, present: Arc::clone(&self.present), _room: room.ok() }
    }

    /// When the oldest one has had its time. If all have been sent away, the next one to enter has it later than this.
    fn next_due(&self) -> Instant {
        let oldest = lock(&self.present).members.first_key_value().map(|(_, (since, _))| *since);
        oldest.unwrap_or_else(Instant::now) + self.patience
    }

    /// Whether there was one that has had its time. Another one who waits may have sent it away a moment ago.
    fn send_oldest_away(&self) -> bool {
        let mut present = lock(&self.present);
        let due = present.members.first_entry().filter(|oldest| oldest.get().0.elapsed() >= self.patience);
        due.map(|oldest| oldest.remove().1.cancel()).is_some()
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

    use tokio::task::{JoinSet, yield_now};
    use tokio::time::sleep;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(250);

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room_and_there_are_never_too_many() {
        let crowd = Crowd::of(2, PATIENCE);
        let first = crowd.enter().await;
        let second = crowd.enter().await;
        let began = Instant::now();
        let enters = tokio::spawn(async move { (crowd.enter().await, crowd) });
        assert_eq!(first.unless_sent_away(pending::<()>()).await, None);
        assert_eq!(began.elapsed(), PATIENCE);
        yield_now().await;
        assert!(!enters.is_finished(), "it has been told to go, and is still here");
        drop(first);
        let (third, crowd) = enters.await.unwrap();
        assert!(!second.sent_away.is_cancelled());
        drop(second);
        let fourth = crowd.enter().await;
        assert!(!third.sent_away.is_cancelled() && !fourth.sent_away.is_cancelled(), "there was room");
    }

    /// An API server that stores a hundred objects at once has a hundred questions.
    #[tokio::test(start_paused = true)]
    async fn many_that_behave_wait_for_each_other_and_none_is_sent_away() {
        let crowd = Arc::new(Crowd::of(8, PATIENCE));
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..100 {
            let crowd = Arc::clone(&crowd);
            clients.spawn(async move { crowd.enter().await.unless_sent_away(sleep(Duration::from_millis(20))).await });
        }
        assert!(clients.join_all().await.iter().all(Option::is_some));
        assert_eq!(began.elapsed(), 13 * Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_that_are_silent_each_has_its_time_and_no_more() {
        let crowd = Arc::new(Crowd::of(8, PATIENCE));
        let mut clients = JoinSet::new();
        for _ in 0..32 {
            let crowd = Arc::clone(&crowd);
            clients.spawn(async move { crowd.enter().await.unless_sent_away(pending::<()>()).await });
        }
        yield_now().await;
        let began = Instant::now();
        let _last = crowd.enter().await;
        assert!(began.elapsed() <= 8 * PATIENCE, "{:?}", began.elapsed());
    }
}
