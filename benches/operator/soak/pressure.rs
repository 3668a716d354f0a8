//! What is done to the operator during a soak: servers change, and its watches break.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use smooth_operator::object::ObjectKey;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use crate::api::Api;
use crate::stages::{FIRST_IMAGE, OTHER_IMAGE};

/// In this time each server is changed once.
const ROUND: Duration = Duration::from_secs(10 * 60);
/// Between two cuts of all watches, in milliseconds.
const CUTS: std::ops::Range<u64> = 3_000..7_000;

/// The tasks that do it. They end with an error, or when they are told to stop.
pub(crate) struct Pressure {
    tasks: JoinSet<anyhow::Result<()>>,
    follower: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
    cut: Arc<AtomicU64>,
}

impl Pressure {
    /// Begins. All chance comes from the seed: which server is changed when, and when watches are cut.
    pub(crate) async fn begin(api: &Api, keys: &Arc<[ObjectKey]>, seed: u64, ledger: &Ledger) -> anyhow::Result<Self> {
        let (stop, cut) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let mut random = StdRng::seed_from_u64(seed);
        let mut order: Vec<ObjectKey> = keys.to_vec();
        order.shuffle(&mut random);
        let mut watch = api.watch_deployments().await?;
        let (mut tasks, mut follower) = (JoinSet::new(), JoinSet::new());
        let book = ledger.clone();
        follower.spawn(async move {
            loop {
                let change = watch.next().await?;
                book.sees(&change.key(), change.image(), Instant::now());
            }
        });
        tasks.spawn(change(api.clone(), order, ledger.clone(), stop.clone()));
        tasks.spawn(cut_watches(api.clone(), random, Arc::clone(&cut), stop.clone()));
        Ok(Self { tasks, follower, stop, cut })
    }

    /// How many watches were cut so far.
    pub(crate) fn watches_cut(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.cut)
    }

    /// Returns when something went wrong.
    pub(crate) async fn trouble(&mut self) -> anyhow::Error {
        let ended = tokio::select! {
            Some(ended) = self.tasks.join_next() => ended,
            Some(ended) = self.follower.join_next() => ended,
            else => return std::future::pending().await,
        };
        match ended {
            Ok(Ok(())) => anyhow::anyhow!("the pressure has ended by itself"),
            Ok(Err(error)) => error,
            Err(error) => error.into(),
        }
    }

    /// Changes and cuts nothing any more. What was changed is still followed.
    pub(crate) async fn relax(&mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// Gives one server after the other its other image, and begins again with the first one. Two images are enough: each
/// change is a rollout, and the API server keeps two ReplicaSets for each, not ten.
async fn change(api: Api, order: Vec<ObjectKey>, ledger: Ledger, stop: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = interval(ROUND / u32::try_from(order.len()).context("so many servers")?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for image in [OTHER_IMAGE, FIRST_IMAGE].into_iter().cycle() {
        for key in &order {
            // Not in the middle of a change: it would be waited for.
            if stop.run_until_cancelled(ticks.tick()).await.is_none() {
                return Ok(());
            }
            ledger.sends(key, image, Instant::now());
            api.change_image(key, image).await?;
        }
    }
    Ok(())
}

async fn cut_watches(api: Api, mut random: StdRng, cut: Arc<AtomicU64>, stop: CancellationToken) -> anyhow::Result<()> {
    while stop.run_until_cancelled(sleep(Duration::from_millis(random.random_range(CUTS)))).await.is_some() {
        cut.fetch_add(api.cut_watches().await?, Ordering::Relaxed);
    }
    Ok(())
}
