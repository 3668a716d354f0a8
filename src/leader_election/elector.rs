//! Carries out what the election decides, and operates the fence.
//!
//! There is one loop: ask [`Election`] what to do, do it, report the result back. Three types represent the phases
//! around that loop; each can only become the next one:
//!
//! ```text
//! Elector ──acquire──► Leader ──hold──► Retired ──release──► (the Lease is free)
//!    │                   │
//!    └► None: stopped    └► Lost: exit non-zero
//! ```
//!
//! Invariant: the fence is open only while the `Standing` that opened it exists, and at most for the lease duration
//! minus the margin after the last successful write was *sent*. However leadership ends (stopped, lost, task aborted or
//! panicking), the gauge falls to 0 and the fence closes.
//!
//! The requests for the Lease itself don't pass the fence, because they open it.

use std::ops::ControlFlow;

use k8s_openapi::api::coordination::v1::Lease;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::api::{LeaseApi, LeaseError};
use super::config::{Identity, Timing};
use super::decision::{Decision, Election, StepDown};
use super::record::{self, Claim, Holder};
use crate::client::Fence;
use crate::clock::WallClock;
use crate::object::ObjectKey;

/// How often a release is tried: two are needed if a renewal of our own arrives late, and one more is a reserve.
const RELEASE_ATTEMPTS: usize = 3;

/// Called with whether this instance leads: the gauge `leader_election_master_status`.
pub type Gauge = Box<dyn Fn(bool) + Send + Sync>;

/// A candidate for the Lease.
pub struct Elector<A>(Box<Core<A>>);

/// The holder of the Lease. Call [`hold`](Leader::hold) at once: nothing else renews the Lease.
pub struct Leader<A>(Box<Core<A>>);

/// The holder of the Lease after its work: it does not write any more.
pub struct Retired<A>(Box<Core<A>>);

/// How leadership ended.
pub enum Term<A> {
    /// This instance was asked to stop. The Lease is still ours; [release](Retired::release) it.
    Completed(Retired<A>),
    /// The Lease is not ours any more, or may not be.
    Lost(StepDown),
}

impl<A: LeaseApi> Elector<A> {
    /// A candidate for the Lease `key`, reached through `api`.
    ///
    /// `fence` should be [closed](Fence::closed); it is open while this instance may write. `gauge` is called with
    /// whether it leads, with false at the start. `rng` spreads the attempts of many candidates.
    pub fn new(
        api: A,
        key: ObjectKey,
        identity: Identity,
        timing: Timing,
        fence: Fence,
        gauge: Gauge,
        rng: StdRng,
    ) -> Self {
        let election = Election::new(identity, timing, Instant::now());
        let standing = Standing { fence, gauge };
        standing.resign();
        let wall = WallClock::system();
        let (reported_state, reported_failure) = (String::new(), String::new());
        Self(Box::new(Core { api, key, election, standing, wall, rng, reported_state, reported_failure }))
    }

    /// Uses another wall clock than this machine's.
    #[must_use]
    pub fn with_wall_clock(mut self, wall: WallClock) -> Self {
        self.0.wall = wall;
        self
    }

    /// Waits until the Lease is ours; `None` if `stop` came first.
    ///
    /// It never fails: if the API server can't be reached, or refuses, that is logged once and tried again.
    ///
    /// If it is stopped after it has created the Lease and before it leads, it does not release the Lease. A released
    /// Lease is taken at once, by an instance that does not know what the founder was waiting for: that the leader of
    /// an earlier, deleted Lease has lost. So the next candidate waits instead, for a lease duration.
    pub async fn acquire(mut self, stop: &CancellationToken) -> Option<Leader<A>> {
        while self.0.election.leads_since().is_none() {
            if stop.is_cancelled() {
                return None;
            }
            self.0.step(stop).await;
        }
        tracing::info!(lease = %self.0.key, identity = %self.0.election.identity(), "leading");
        Some(Leader(self.0))
    }
}

impl<A: LeaseApi> Leader<A> {
    /// Renews the Lease until `stop`, or until it is lost.
    ///
    /// When this returns, the fence is closed and the gauge is 0. Cancel `stop` only after the workers have ended:
    /// their last writes need an open fence.
    pub async fn hold(mut self, stop: &CancellationToken) -> Term<A> {
        loop {
            // Checked before the stop signal: a lost Lease can't be released any more.
            if let Decision::StepDown(reason) = self.0.election.decide(Instant::now()) {
                self.0.standing.resign();
                tracing::error!(lease = %self.0.key, %reason, "leadership is lost");
                return Term::Lost(reason);
            }
            if stop.is_cancelled() {
                self.0.standing.resign();
                return Term::Completed(Retired(self.0));
            }
            self.0.step(stop).await;
        }
    }
}

impl<A: LeaseApi> Retired<A> {
    /// Releases the Lease, so that the next leader does not have to wait for it to expire.
    ///
    /// Returns whether it is free now. If it isn't, a log line says why, and the Lease will expire by itself.
    pub async fn release(self) -> bool {
        let mut core = self.0;
        for _ in 0..RELEASE_ATTEMPTS {
            match core.try_release().await {
                Ok(ControlFlow::Break(released)) => return released,
                // A late renewal of our own arrived between the two requests: read the Lease again.
                Ok(ControlFlow::Continue(())) => {}
                Err(error) => {
                    tracing::warn!(lease = %core.key, %error, "the lease was not released, and will expire by itself");
                    return false;
                }
            }
        }
        tracing::warn!(lease = %core.key, "the lease was not released: it keeps changing");
        false
    }
}

/// What all three types contain.
struct Core<A> {
    api: A,
    key: ObjectKey,
    election: Election,
    standing: Standing,
    wall: WallClock,
    rng: StdRng,
    /// The state of the election that was logged last, so that only changes are logged.
    reported_state: String,
    /// The failure that was logged last, so that only changes are logged.
    reported_failure: String,
}

impl<A: LeaseApi> Core<A> {
    /// Carries out one decision. `stop` interrupts a wait or a read; for a write that was sent, the answer is awaited.
    async fn step(&mut self, stop: &CancellationToken) {
        match self.election.decide(Instant::now()) {
            Decision::Wait(until) => {
                stop.run_until_cancelled(sleep_until(until)).await;
            }
            Decision::Look => {
                stop.run_until_cancelled(self.look()).await;
            }
            Decision::Create => {
                let lease = self.claim().create(&self.key);
                let (sent, answer) = self.send(self.api.create(lease)).await;
                self.learn(sent, answer, Election::created);
                self.report_state();
            }
            Decision::Acquire(lease) => {
                let lease = self.claim().acquire(lease);
                let (sent, answer) = self.send(self.api.replace(lease)).await;
                self.learn(sent, answer, Election::wrote);
            }
            Decision::Renew(lease) => {
                let lease = self.claim().renew(lease);
                let (sent, answer) = self.send(self.api.replace(lease)).await;
                self.learn(sent, answer, Election::wrote);
            }
            // Nothing to do here: `Leader::hold` checks for this decision before each step, and stops.
            Decision::StepDown(_) => {}
        }
    }

    async fn look(&mut self) {
        let (sent, answer) = self.send(self.api.get()).await;
        let (at, pause) = (Instant::now(), self.election.timing().follower_pause(&mut self.rng));
        match answer {
            Ok(lease) => {
                self.election.observed(lease, at, pause);
                self.reported_failure.clear();
                self.report_state();
            }
            Err(error) => self.failed(&error, sent, at),
        }
    }

    /// Passes the result of a write to the election.
    fn learn(
        &mut self,
        sent: Instant,
        answer: Result<Lease, LeaseError>,
        done: fn(&mut Election, Lease, Instant, Instant),
    ) {
        let at = Instant::now();
        match answer {
            Ok(lease) => {
                done(&mut self.election, lease, sent, at);
                self.reported_failure.clear();
            }
            Err(LeaseError::Changed) => self.election.refused(sent, at),
            Err(error @ LeaseError::Failed(_)) => self.failed(&error, sent, at),
        }
        if let Some(sent) = self.election.leads_since() {
            self.standing.lead_until(self.election.timing().write_until(sent));
        }
    }

    fn failed(&mut self, error: &LeaseError, sent: Instant, at: Instant) {
        self.election.failed(sent, at);
        let failure = error.to_string();
        if failure != self.reported_failure {
            tracing::warn!(lease = %self.key, error = failure, "leader election can't access its lease; it keeps trying");
            self.reported_failure = failure;
        }
    }

    /// Sends a request and waits for its answer as long as that makes sense. Returns the instant before it was sent,
    /// too.
    async fn send<T>(&self, request: impl Future<Output = Result<T, LeaseError>>) -> (Instant, Result<T, LeaseError>) {
        let sent = Instant::now();
        let answer_by = self.election.patience(sent);
        let answer = timeout_at(answer_by, request).await.unwrap_or_else(|_elapsed| {
            Err(LeaseError::Failed(format!("no answer within {:?}", answer_by - sent).into()))
        });
        (sent, answer)
    }

    /// One GET and, if the Lease is still ours, one PUT. `Continue` if the Lease changed in between.
    async fn try_release(&mut self) -> Result<ControlFlow<bool>, LeaseError> {
        let Some(lease) = self.send_in_retirement(self.api.get()).await? else {
            return Ok(ControlFlow::Break(false));
        };
        if record::holder(&lease) != Holder::Named(self.election.identity().as_str()) {
            tracing::info!(lease = %self.key, holder = record::holder_for_people(&lease), "the lease is not ours to release");
            return Ok(ControlFlow::Break(false));
        }
        let released = self.claim().release(lease);
        match self.send_in_retirement(self.api.replace(released)).await {
            Ok(_) => {
                tracing::info!(lease = %self.key, "the lease is released");
                Ok(ControlFlow::Break(true))
            }
            Err(LeaseError::Changed) => Ok(ControlFlow::Continue(())),
            Err(error) => Err(error),
        }
    }

    /// Like [`send`](Self::send), but without the leader's deadline, which does not matter any more.
    async fn send_in_retirement<T>(
        &self,
        request: impl Future<Output = Result<T, LeaseError>>,
    ) -> Result<T, LeaseError> {
        let after = self.election.timing().request_timeout();
        tokio::time::timeout(after, request)
            .await
            .unwrap_or_else(|_elapsed| Err(LeaseError::Failed(format!("no answer within {after:?}").into())))
    }

    fn claim(&self) -> Claim<'_> {
        Claim { identity: self.election.identity(), timing: self.election.timing(), wall: self.wall.now() }
    }

    /// Logs who holds the Lease, whenever that changes.
    fn report_state(&mut self) {
        let state = self.election.to_string();
        if state != self.reported_state {
            tracing::info!(lease = %self.key, "{state}");
            self.reported_state = state;
        }
    }
}

/// This instance's right to write, and the gauge that shows it. Dropping it ends the right and sets the gauge to 0.
struct Standing {
    fence: Fence,
    gauge: Gauge,
}

impl Standing {
    fn lead_until(&self, deadline: Instant) {
        self.fence.open_until(deadline);
        (self.gauge)(true);
    }

    /// The gauge comes first: it may show 0 too early, but not too late.
    fn resign(&self) {
        (self.gauge)(false);
        self.fence.close();
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.resign();
    }
}
