//! The reconcile: make the cluster what an MCPServer asks for, and report its state.
//!
//! # The naive solution, and how it breaks
//!
//! React to events: "created" creates a Deployment, "updated" changes it, "deleted" deletes it. Such an operator is
//! correct as long as it sees every event once and in order. It never does. It is restarted between the event and the
//! write; two events are merged into one; somebody edits the Deployment, which is not an event of the MCPServer at all.
//! Each of these gaps leaves something wrong that no later event will correct.
//!
//! # The mechanism
//!
//! Ignore *what happened*. Whatever it was, the question is always the same: what is wanted, what exists, what is the
//! difference? This is called "level-triggered", as opposed to "edge-triggered": the terms come from electronics, where
//! a circuit may react to a signal's level or to its changes. A key comes out of the queue, and its server goes through
//! six steps:
//!
//! ```text
//!  observe ───► validate ───► build ───► apply ───► report ───► tell
//!  the stores   may it have   the        writes     a status    Events
//!     │         children?     objects    what       │
//!     │             │         (pure)     differs    (pure)
//!     ▼             ▼            ▼          ▼          ▼
//!  Observed ──► Verdict ──► Children ──► Applied ──► Status, written if it says something new
//! ```
//!
//! Each step takes the result of the previous one, so their order can't be confused: an [`Applied`] comes
//! only from `apply`, which takes a [`Wanted`], which comes only from `validate`.
//! Only `apply` and the end of the reconcile (`publish`) write; everything else can be tested without a cluster.
//!
//! If nothing differs, nothing is written. On a settled cluster a reconcile only reads from memory.
//!
//! # What it does not promise
//!
//! To clean up after a deleted server. Children have an owner reference, and the cluster's garbage collector does the
//! rest, even while this operator is not running. So there is no finalizer that could keep a namespace from being deleted.
//! The operator itself deletes only what a spec has stopped to call for: a budget, a policy or an autoscaler.
//!
//! # Equivalents
//!
//! client-go has none; controller-runtime: an implementation of `reconcile.Reconciler`. kube-runtime: the reconcile
//! function that is passed to `Controller::run`.
//!
//! # What to try
//!
//! In `make playground`: `kubectl delete deployment example-server`,
//! `kubectl scale deployment example-server --replicas=7`, `kubectl rollout restart deployment example-server`. The
//! operator corrects the first two and leaves the last one alone. Why?

pub mod apply;
pub mod build;
pub mod children;
pub mod extras;
mod failure;
pub mod kind;
pub mod memory;
pub mod observe;
pub mod ours;
pub mod pods;
mod publish;
pub mod report;
pub mod tell;
#[cfg(test)]
mod testing;
pub mod triggers;
pub mod validate;
pub mod verify;

use tokio::time::Instant;

use crate::client::Client;
use crate::clock::WallClock;
use crate::controller::{self, Action, Reconcile};
use crate::events::Recorder;
use crate::object::ObjectKey;
use crate::telemetry::ServerMetrics;
use crate::verification::Verification;
use apply::{Applied, apply, nothing_to_do};
use build::{BuildError, build};
use failure::{Failure, judge};
use memory::{Memory, Standing};
use observe::{Observed, Stores, observe};
use report::{Outcome, Waiting};
use validate::{Verdict, Wanted, validate};

/// Reconciles MCPServers. See the [module](self).
#[derive(Debug)]
pub struct Reconciler {
    client: Client,
    stores: Stores,
    recorder: Recorder,
    metrics: ServerMetrics,
    verification: Verification,
    memory: Memory,
    waiting: Waiting,
    /// The time of day, which is written down for people. No decision depends on it.
    wall_clock: WallClock,
}

impl Reconciler {
    /// A reconciler that reads these stores and writes through this client.
    pub fn new(
        client: Client,
        stores: Stores,
        recorder: Recorder,
        metrics: ServerMetrics,
        verification: Verification,
    ) -> Self {
        Self {
            client,
            stores,
            recorder,
            metrics,
            verification,
            memory: Memory::default(),
            waiting: Waiting::default(),
            wall_clock: WallClock::system(),
        }
    }

    /// Uses another wall clock than this machine's.
    #[must_use]
    pub fn with_wall_clock(self, wall_clock: WallClock) -> Self {
        Self { wall_clock, ..self }
    }
}

impl Reconcile<ObjectKey> for Reconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, controller::Error> {
        let action = self.six_steps(key).await.or_else(judge)?;
        Ok(self.until_seen(key, action))
    }
}

impl Reconciler {
    /// The reconcile itself.
    async fn six_steps(&self, key: &ObjectKey) -> Result<Action, Failure> {
        if let Some(wait) = self.memory.behind(key, &self.stores, Instant::now()) {
            return Ok(Action::Wait(wait));
        }
        let Some(observed) = observe(&self.stores, key) else {
            self.forget(key);
            return Ok(Action::Done);
        };
        let (applied, written) = match validate(&observed) {
            Verdict::HandsOff(why) => return Ok(self.write_report(&observed, &Outcome::HandsOff(&why)).await?),
            Verdict::Suspended(wanted) => {
                let (followed, conflict) = match &wanted {
                    Ok(wanted) => (is_followed(&observed, wanted)?, wanted.obstacles.conflict.as_deref()),
                    Err(conflict) => (false, Some(conflict.as_str())),
                };
                return Ok(self.write_report(&observed, &Outcome::Suspended { followed, conflict }).await?);
            }
            Verdict::Wanted(wanted) => match self.memory.standing(&observed.server, &wanted, Instant::now()) {
                Standing::Missed(wait) => return Ok(Action::RequeueAfter(wait)),
                Standing::Settled => (Applied::unchanged(&observed, &wanted), Ok(())),
                Standing::Unknown => {
                    let children = build(&observed.server, &wanted)?;
                    apply(&self.client, &self.memory, &observed, &wanted, &children).await
                }
            },
        };
        self.publish_events(&observed, &applied.done);
        if applied.failed.is_none() {
            written?;
            return Ok(self.write_report(&observed, &Outcome::Applied(&applied)).await?);
        }
        // The status has to say what is going wrong while it is. What happens next is decided by the first error alone.
        if let Err(error) = self.write_report(&observed, &Outcome::Applied(&applied)).await {
            tracing::debug!(%error, "the failure could not be written into the status");
        }
        written?;
        Ok(Action::Done)
    }

    /// Comes back if what was written is not seen. Usually its event comes first, and this is never needed. But what was made
    /// and taken away again while a watch was broken is in no list, and no event tells of it.
    fn until_seen(&self, key: &ObjectKey, action: Action) -> Action {
        match (action, self.memory.behind(key, &self.stores, Instant::now())) {
            (Action::Done, Some(wait)) => Action::RequeueAfter(wait),
            (Action::RequeueAfter(later), Some(wait)) => Action::RequeueAfter(later.min(wait)),
            (action @ Action::Wait(_), Some(_)) | (action, None) => action,
        }
    }

    /// The server is gone. The garbage collector deletes its children.
    fn forget(&self, key: &ObjectKey) {
        self.memory.forget(key);
        self.verification.forget(key);
        self.waiting.end(key);
        self.metrics.remove(key.namespace(), key.name());
    }
}

/// Whether the children of a suspended server are what its spec calls for.
fn is_followed(observed: &Observed, wanted: &Wanted<'_>) -> Result<bool, BuildError> {
    Ok(nothing_to_do(wanted, &build(&observed.server, wanted)?))
}

#[cfg(test)]
mod tests {
    use kube_client::client::Body;
    use std::convert::Infallible;

    use super::kind::ChildKind;
    use super::memory::Written;
    use super::triggers::Informers;
    use super::*;
    use crate::informer::Timing;
    use crate::telemetry::Metrics;
    use crate::verification;

    /// It knows too little to call that a success: a failing key would lose its backoff.
    #[tokio::test(start_paused = true)]
    async fn a_key_whose_own_write_the_stores_have_not_seen_is_not_reconciled() {
        let never = |_| std::future::pending::<Result<http::Response<Body>, Infallible>>();
        let client = Client::new(kube_client::Client::new(tower::service_fn(never), "default"));
        let (recorder, _delivery) = Recorder::new(&client, "host");
        let stores = Informers::new(&[None], &Timing::default()).stores();
        let verification = Verification::new(verification::CONCURRENCY, 1);
        let reconciler = Reconciler::new(client, stores, recorder, Metrics::new().servers(), verification);
        let key = ObjectKey::new("n", "a");
        reconciler.memory.wrote(&key, Written::Child(ChildKind::Deployment), "7".into(), Instant::now());
        let action = reconciler.reconcile(&key).await.unwrap();
        assert!(matches!(action, Action::Wait(wait) if !wait.is_zero()), "{action:?}");
    }
}
