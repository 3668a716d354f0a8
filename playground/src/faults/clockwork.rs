//! What goes wrong by itself, every so often.

use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::asked::Matcher;
use super::rule::Break;
use crate::cluster::Cluster;

/// What happens to the server as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lever {
    /// All open watches that match break like this.
    Watches(Break),
    /// The history is forgotten.
    Compact,
}

/// A lever, and how often it is pulled.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    /// From one pull to the next; the first comes after this time.
    pub every: Duration,
    /// What.
    pub lever: Lever,
    /// Whose watches.
    pub matcher: Matcher,
}

/// Pulls the levers until it is stopped.
pub(crate) async fn run(cluster: Cluster, beats: Vec<Beat>, stop: CancellationToken) {
    let started = Instant::now();
    let mut due: Vec<(Instant, Beat)> = beats.into_iter().map(|beat| (started + beat.every, beat)).collect();
    while let Some((at, beat)) = due.iter_mut().min_by_key(|(at, _)| *at) {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(*at) => {}
        }
        pull(&cluster, beat);
        // From now, not from when it was due: after a pause of the whole process there is no catching up.
        *at = Instant::now() + beat.every;
    }
}

fn pull(cluster: &Cluster, beat: &Beat) {
    match beat.lever {
        Lever::Watches(how) => {
            cluster.faults().strike_watches(&beat.matcher, how);
        }
        Lever::Compact => {
            cluster.compact();
            cluster.faults().note("compact");
        }
    }
}
