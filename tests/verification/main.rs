//! One check of one server, over real sockets: servers of the protocol's own kit, the playground's, and such as no kit would
//! let anybody build.
//!
//! Sockets are real, so the clock is, too. Where a check has to run out of time it is given less of it.

mod broken;
mod hostile;
mod kit;
mod pods;

use std::net::SocketAddr;
use std::time::Duration;

use smooth_operator::mcp::{Dialer, Era, Facts, Limits, Prober, Target, Verdict};

/// Plenty for any answer that comes.
const LONG: Duration = Duration::from_secs(20);
/// For checks that are to run out of it.
const SHORT: Duration = Duration::from_millis(800);

/// Checks a server, with so much time.
async fn check_within(time: Duration, address: SocketAddr, path: &str, remembered: Option<Era>) -> Verdict {
    let target = Target::new(address, "localhost:8080", path).unwrap();
    Prober::new(Limits { time, ..Limits::default() }, Dialer::tcp()).check(&target, remembered).await
}

async fn check(address: SocketAddr) -> Verdict {
    check_within(LONG, address, "/mcp", None).await
}

fn facts(verdict: Verdict) -> Facts {
    match verdict {
        Verdict::Verified(facts) => *facts,
        Verdict::Failed { .. } => panic!("{verdict}"),
    }
}
