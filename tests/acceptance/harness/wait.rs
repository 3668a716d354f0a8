//! Waiting for a fact.

use std::time::{Duration, Instant};

/// From one look to the next.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// Far longer than anything takes: it only ends what will never be.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The same on a cluster that pulls images.
const PATIENCE_WITH_A_REAL_CLUSTER: Duration = Duration::from_secs(180);

/// Looks again and again until `look` says Ok. Fails with the last reason when there is no progress: when the reason has
/// been the same for [`patience`], or another one again and again for four times as long.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    let (mut last, mut since) = (String::new(), started);
    loop {
        let looked = Instant::now();
        let reason = match look().await {
            Ok(found) => return found,
            Err(reason) => reason,
        };
        if reason != last {
            (last, since) = (reason, Instant::now());
        }
        let given_up = since.elapsed() > patience() || started.elapsed() > 4 * patience();
        assert!(!given_up, "after {:?} it is still not so that {what}: {last}", started.elapsed());
        // A look that takes long, at a thousand objects say, must not be all that the machine does.
        tokio::time::sleep(PAUSE.max(looked.elapsed() * 2)).await;
    }
}

/// How long to wait for what should be.
pub(crate) fn patience() -> Duration {
    if super::on_a_real_cluster() { PATIENCE_WITH_A_REAL_CLUSTER } else { PATIENCE }
}
