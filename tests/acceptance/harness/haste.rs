//! Time that passes faster than outside.
//!
//! Operator, playground and test share one runtime, and with it one clock: that of tokio, which decides everything. So
//! minutes of backoff or silence need not be waited for. The sockets between them know nothing of it, so the clock is
//! not simply stopped (a stopped one jumps to the next timer whenever an answer is on its way) but pushed on a bit from
//! time to time.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{advance, pause, resume, sleep};

/// How long the network has between two pushes, in real time.
const TURN: Duration = Duration::from_millis(3);

/// While this lives, time passes faster. Needs the runtime of `#[tokio::test]`, which has one thread.
pub(crate) struct Haste(JoinHandle<()>);

impl Haste {
    /// So many times as fast.
    pub(crate) fn times(factor: u32) -> Self {
        Self(tokio::spawn(async move {
            loop {
                sleep(TURN).await;
                push(TURN * (factor - 1)).await;
            }
        }))
    }
}

impl Drop for Haste {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets so much time pass, in steps of half a second, so that what is due in between has its turn.
pub(crate) async fn pass(time: Duration) {
    const STEP: Duration = Duration::from_millis(500);
    let mut left = time;
    while !left.is_zero() {
        let step = STEP.min(left);
        push(step).await;
        sleep(TURN).await;
        left -= step;
    }
}

/// Pushes the clock on, in a single poll. Two may do so at once, and either may be aborted: were there an await between the
/// stop of the clock and its going on, one would find it stopped by the other, or it would stay stopped.
async fn push(time: Duration) {
    let mut advance = pin!(advance(time));
    poll_fn(|context| {
        pause();
        // It advances at once. What it then waits for is that others have their turn, as the caller does, too.
        _ = advance.as_mut().poll(context);
        resume();
        Poll::Ready(())
    })
    .await;
}
