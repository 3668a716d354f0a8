//! A certificate that nobody verifies: made in memory, and made again in time.
//!
//! It encrypts, so that a bearer token can't be read on its way. It proves nothing about who serves. A client that wants
//! proof needs a certificate from [files](super::files).

use std::time::Duration;

use tokio::time::sleep;

use super::kept::Pace;
use super::{Pair, PairError, Slot};
use crate::clock::WallClock;

/// After a failure.
const RETRY: Duration = Duration::from_secs(60);

/// Makes a certificate for `names` and puts it into `slot`.
///
/// # Errors
///
/// [`PairError::Making`]
pub fn make(names: &[String], slot: &Slot, wall_clock: &WallClock) -> Result<(), PairError> {
    let (pair, _nobody_asks) = Pair::make(names, wall_clock.now(), Pace::default().lifetime)?;
    slot.put(&pair);
    Ok(())
}

/// Makes another one whenever two thirds of the life of the last one have passed.
pub async fn renew(names: Vec<String>, slot: Slot, wall_clock: WallClock) {
    let Pace { lifetime, renew_before, .. } = Pace::default();
    let mut pause = lifetime.saturating_sub(renew_before);
    loop {
        sleep(pause).await;
        pause = match make(&names, &slot, &wall_clock) {
            Ok(()) => lifetime.saturating_sub(renew_before),
            Err(error) => {
                tracing::warn!(%error, "the certificate was not renewed");
                RETRY
            }
        };
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_made_again_long_before_it_expires() {
        let (slot, names) = (Slot::default(), vec!["localhost".to_owned()]);
        let clock = WallClock::system;
        make(&names, &slot, &clock()).unwrap();
        let first = slot.shown().unwrap();
        let renewing = tokio::spawn(renew(names, slot.clone(), clock()));
        sleep(Duration::from_secs(59 * 24 * 3600)).await;
        assert_eq!(slot.shown().unwrap().cert, first.cert);
        sleep(Duration::from_secs(2 * 24 * 3600)).await;
        assert_ne!(slot.shown().unwrap().cert, first.cert);
        renewing.abort();
    }
}
