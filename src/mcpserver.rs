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
//! Only `apply` and the end of the reconcile write; everything else can be tested without a cluster.
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
pub mod kind;
pub mod memory;
pub mod observe;
pub mod ours;
pub mod pods;
pub mod report;
pub mod tell;
#[cfg(test)]
mod testing;
pub mod triggers;
pub mod validate;
pub mod verify;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{MCPSERVERS, MCPServer, MCPServerSpec, MCPServerStatus, Phase};
use crate::client::{Client, Error, Request};
use crate::clock::WallClock;
use crate::controller::{self, Action, Reconcile};
use crate::events::{Recorder, Regarding};
use crate::object::{ObjectKey, ResourceVersion};
use crate::telemetry::{ServerMetrics, ServerReport};
use crate::verification::{self, Verification};
use apply::{Applied, Done, Why, apply, nothing_to_do};
use build::{BuildError, build};
use memory::{Memory, Refused, Written};
use observe::{Observed, Stores, observe};
use report::{Outcome, Urgency, Waiting, report, urgency};
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
        self.six_steps(key).await.map_err(judge)
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
                let followed = wanted.map_or(Ok(false), |wanted| is_followed(&observed, &wanted))?;
                return Ok(self.write_report(&observed, &Outcome::Suspended { followed }).await?);
            }
            Verdict::Wanted(wanted) if self.memory.is_settled(&observed.server, &wanted) => {
                (Applied::unchanged(&observed), Ok(()))
            }
            Verdict::Wanted(wanted) => {
                if let Some(wait) = self.memory.vanished(&observed.server, &wanted, Instant::now()) {
                    return Ok(Action::RequeueAfter(wait));
                }
                let children = build(&observed.server, &wanted)?;
                apply(&self.client, &self.memory, &observed, &wanted, &children).await
            }
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

    /// Reports the server's state, and writes it if it says something new that is worth a write by now.
    async fn write_report(&self, observed: &Observed, outcome: &Outcome<'_>) -> Result<Action, Error> {
        let server = &observed.server;
        let key = &server.meta.key;
        let verification = self.verify(observed);
        let status = report(observed, outcome, verification.as_ref(), whole_seconds(self.wall_clock.now()));
        self.metrics.report(key.namespace(), key.name(), metrics(server, &status));
        match urgency(server.status.as_ref(), &status, controller_spoke(outcome)) {
            Urgency::None => self.waiting.end(key),
            Urgency::Now => self.write_status(server, &status).await?,
            Urgency::Patient(patience) => {
                let rest = self.waiting.rest(key, patience, Instant::now());
                if !rest.is_zero() {
                    return Ok(Action::RequeueAfter(rest));
                }
                self.write_status(server, &status).await?;
            }
        }
        Ok(next(outcome, Instant::now()))
    }

    /// Says which pods are to be asked whether they speak MCP, and reads what is known of them.
    fn verify(&self, observed: &Observed) -> Option<verification::Report> {
        let key = &observed.server.meta.key;
        let Some(desired) = verify::desired(observed) else {
            self.verification.forget(key);
            return None;
        };
        Some(self.verification.observe(key, desired))
    }

    async fn write_status(&self, server: &MCPServer, status: &MCPServerStatus) -> Result<(), Error> {
        let key = &server.meta.key;
        let request = Request::apply_status(&MCPSERVERS, key, &status_object(server, status));
        let operation = request.operation.clone();
        let answer = match self.client.send::<Box<RawValue>>(request).await {
            // The server was deleted a moment ago, and the event about that is on its way.
            Err(error) if is_gone(&error) => return Ok(()),
            answer => answer?,
        };
        let version = resource_version(&answer)
            .map_err(|source| Error::Answer { operation: Box::new(operation), source: source.into() })?;
        let _changed = self.memory.wrote(key, Written::Status, version, Instant::now());
        self.waiting.end(key);
        let phase = status.phase.map_or("", Phase::as_str);
        tracing::info!(phase, available = status.available_replicas, "wrote the status");
        for event in tell::events_of_change(server.status.as_ref(), status) {
            self.recorder.publish(&regarding(server), event);
        }
        if tell::tools_changed(server.status.as_ref(), status) {
            self.metrics.tools_changed(key.namespace(), key.name());
        }
        Ok(())
    }

    fn publish_events(&self, observed: &Observed, done: &[Done]) {
        let server = &observed.server;
        for event in tell::events_of_writes(server.meta.key.name(), done) {
            self.recorder.publish(&regarding(server), event);
        }
        for Done { kind, why } in done {
            tracing::info!(kind = kind.as_str(), ?why, "wrote a child");
            if *why == Why::DriftCorrected {
                self.metrics.drift_corrected(kind.as_str());
            }
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

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A request failed.
    #[error(transparent)]
    Request(#[from] Error),
    /// The children can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Decides when a failed reconcile is tried again. A busy server names a time, which is taken within limits: neither at
/// once nor in an hour. One that can't be reached is tried every few seconds, however long it stays away.
fn judge(failure: Failure) -> controller::Error {
    const AWAY: Duration = Duration::from_secs(5);
    const SOONEST: Duration = Duration::from_secs(1);
    const LATEST: Duration = Duration::from_secs(5 * 60);
    match failure {
        Failure::Request(error) => match error.retry_after() {
            Some(wait) => controller::Error::busy(error, wait.clamp(SOONEST, LATEST)),
            None if is_away(&error) => controller::Error::unreachable(error, AWAY),
            None => controller::Error::transient(error),
        },
        Failure::Build(error) => controller::Error::permanent(error),
    }
}

/// Whether the API server did not answer: nobody did, or only a proxy.
fn is_away(error: &Error) -> bool {
    match error {
        Error::Transport { .. } | Error::Timeout { .. } => true,
        Error::Api { status, .. } => matches!(status.code, 502..=504),
        Error::Answer { .. } | Error::Fenced { .. } => false,
    }
}

/// Whether the children of a suspended server are what its spec calls for.
fn is_followed(observed: &Observed, wanted: &Wanted<'_>) -> Result<bool, BuildError> {
    Ok(nothing_to_do(wanted, &build(&observed.server, wanted)?))
}

/// Whether the object no longer exists: there is none with its name, or none with its uid.
fn is_gone(error: &Error) -> bool {
    error.code() == 404 || (error.code() == 409 && error.status().is_some_and(|s| s.message.contains("uid mismatch")))
}

/// The whole status as an object for server-side apply. The uid makes sure that it is written to this server and not to
/// a later one with the same name.
fn status_object(server: &MCPServer, status: &MCPServerStatus) -> Value {
    json!({
        "apiVersion": MCPSERVERS.api_version(),
        "kind": MCPSERVERS.kind,
        "metadata": {
            "name": server.meta.key.name(),
            "namespace": server.meta.key.namespace(),
            "uid": server.meta.uid,
        },
        "status": status,
    })
}

fn resource_version(answer: &RawValue) -> Result<ResourceVersion, serde_json::Error> {
    crate::watch::Identity::decode(answer.get()).map(|identity| identity.resource_version)
}

/// When to look again without an event: after a refusal.
fn next(outcome: &Outcome<'_>, now: Instant) -> Action {
    match outcome {
        Outcome::Applied(Applied { refused: Some(Refused { until, .. }), .. }) => Action::RequeueAfter(*until - now),
        Outcome::Applied(Applied { refused: None, .. }) | Outcome::Suspended { .. } | Outcome::HandsOff(_) => {
            Action::Done
        }
    }
}

/// Times in Kubernetes objects have no fractions, so the ones that are compared with them must not have any either.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Whether the Deployment controller has processed the current generation of the Deployment.
fn controller_spoke(outcome: &Outcome<'_>) -> bool {
    match outcome {
        Outcome::Applied(applied) => applied
            .deployment
            .as_ref()
            .is_some_and(|deployment| deployment.status.observed_generation >= deployment.child.meta.generation),
        Outcome::Suspended { .. } | Outcome::HandsOff(_) => true,
    }
}

fn regarding(server: &MCPServer) -> Regarding {
    Regarding { resource: MCPSERVERS, key: server.meta.key.clone(), uid: server.meta.uid.clone() }
}

fn metrics(server: &MCPServer, status: &MCPServerStatus) -> ServerReport {
    let counts = [
        ("current", status.replicas),
        ("updated", status.updated_replicas),
        ("ready", status.ready_replicas),
        ("available", status.available_replicas),
    ];
    // If the spec can't be read, nobody knows how many pods it asks for; with an autoscaler, that is not in the spec.
    let fixed = |spec: &&MCPServerSpec| spec.autoscaling.is_none();
    let desired = server.spec.iter().filter(fixed).map(|spec| ("desired", spec.replicas));
    ServerReport {
        phase: status.phase.map_or("", Phase::as_str),
        conditions: report::OURS
            .into_iter()
            .filter_map(|kind| Some((kind, status.condition(kind)?.status.as_str())))
            .collect(),
        replicas: desired.chain(counts).collect(),
    }
}

#[cfg(test)]
mod tests {
    use kube_client::client::Body;
    use std::convert::Infallible;

    use super::kind::ChildKind;
    use super::triggers::Informers;
    use super::*;
    use crate::informer::Timing;
    use crate::telemetry::Metrics;
    use crate::watch::Status;

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

    #[test]
    fn a_busy_server_is_asked_again_when_it_says_but_neither_at_once_nor_in_an_hour() {
        let answered = |retry_after: Option<u64>| {
            let operation = Request::get(&MCPSERVERS, &ObjectKey::new("n", "a")).operation;
            let status = Box::new(Status { code: 429, ..Status::default() });
            let retry_after = retry_after.map(Duration::from_secs);
            judge(Error::Api { operation: Box::new(operation), status, retry_after }.into())
        };
        let wait = |seconds| match answered(Some(seconds)) {
            controller::Error::Busy(_, wait) => wait.as_secs(),
            other => panic!("{other}"),
        };
        assert_eq!([wait(0), wait(9), wait(86_400)], [1, 9, 300]);
        assert!(matches!(answered(None), controller::Error::Transient(_)));
    }
}
