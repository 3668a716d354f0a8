//! All servers, asked again and again.
//!
//! # The naive solution, and how it breaks
//!
//! The reconcile asks the server and waits for the answer. Then ten servers that hang occupy all ten workers, five seconds
//! each, and nothing else is reconciled. Or a timer per server asks every minute: ten thousand timers that were started
//! together fire together, for ever. The Service is asked instead of the pods, so of three pods two are broken and
//! nobody notices. A server that fails for a second is reported, a new pod makes the condition flap, and each check that
//! finds the same as before writes a new timestamp into a status, ten thousand times a minute. And when the operator
//! restarts, it takes the tools that it finds for the ones that were always there, on the one occasion that mattered.
//!
//! # The mechanism
//!
//! ```text
//!   reconcile ──observe(key, ready pods)──► State ──start──► Job ──► Probe::check ──► Verdict
//!       ▲  ◄──────────── Report ────────────  │ ▲                                       │
//!       │                                     │ └────────────────finish─────────────────┘
//!       └── work queue ◄── changed(key) ◄─────┘ only if there is something new to report
//! ```
//!
//! - A reconcile never waits. It says which pods are ready ([`Verification::observe`]) and gets back what is known. When more
//!   is known, its key is put into the queue, and the next reconcile reads it.
//! - The `state` decides: which pod is asked when, what follows from an answer. It is a value that takes the time and
//!   returns values. [`Verification::run`] acts: one task, which starts a limited number of checks and waits for them.
//! - A server is verified if *every* ready pod is. If one fails, the worst reason counts. While a new pod has not been asked,
//!   nothing changes, so the condition does not flap with each rollout.
//! - The [pace](FLOOR) is random enough that servers spread out, quicker after a failure, and never quicker than every
//!   five seconds for one pod, whatever readiness, intervals or servers do.
//! - The tools of a server are told together with the revision that has them ([`Baseline`]): others of the *same revision*
//!   are a change that somebody should look at. The first ones come from the status, so a restart of the operator
//!   forgets nothing. In the middle of a rollout, with pods of two revisions, they stay what they were.
//! - What is known depends only on the pods, and a [`Report`] contains no time: as long as nothing happens, nothing is
//!   new, and nothing is written.
//!
//! # What it does not promise
//!
//! - That every change of the tools is seen: a server may show others between two checks, or to other clients.
//! - That the interval is kept while many servers hang: each occupies one of the places for five seconds, and the others
//!   are asked later, in the order in which it was their turn.
//! - Anything on an instance that does not lead: only [`Verification::run`] asks, and only the leader runs it.
//!
//! # Equivalents
//!
//! The kubelet's `prober` (`pkg/kubelet/prober`), with a worker per container. client-go and kube-runtime have none.
//!
//! # What to try
//!
//! Let `judgement` in `verification/server.rs` look only at the first pod and run `cargo test verification`: the test
//! `one_pod_of_three_that_does_not_speak_is_enough` shows what a check through the Service would miss.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

pub use pace::{FLOOR, SOON};
pub use report::{Baseline, Desired, Outcome, Pod, Report};

use crate::mcp::{Era, Prober, Reason, Target, Verdict};
use crate::object::ObjectKey;
use crate::telemetry::{VerificationMetrics, VerifyResult};
use state::{Job, Question, State};

mod pace;
mod report;
mod server;
mod state;
#[cfg(test)]
mod testing;

/// Checks one pod.
pub trait Probe: Send + Sync + 'static {
    /// Asks the server at `target`, beginning with the era that the last check found. It must end by itself.
    fn check(&self, target: &Target, remembered: Option<Era>) -> impl Future<Output = Verdict> + Send;
}

impl Probe for Prober {
    fn check(&self, target: &Target, remembered: Option<Era>) -> impl Future<Output = Verdict> + Send {
        Self::check(self, target, remembered)
    }
}

/// How many checks may run at once, unless somebody says otherwise. A check of a healthy server takes a few milliseconds,
/// so this is enough for thousands a minute.
pub const CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// The verification of all servers; see the [chapter](self). Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Verification(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The schedule may have got an earlier entry.
    moved: Notify,
}

impl Verification {
    /// Verifies nothing yet. `seed` is for the jitter.
    pub fn new(concurrency: NonZeroUsize, seed: u64) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(State::new(concurrency.get(), seed)), moved: Notify::new() }))
    }

    /// From now on, this is what is to be verified of the server `key`; and what is known of it so far.
    ///
    /// To be called in each reconcile of a server that is to be verified: saying the same again costs little and
    /// changes nothing.
    pub fn observe(&self, key: &ObjectKey, desired: Desired) -> Report {
        let report = self.lock().observe(key, desired, Instant::now());
        self.0.moved.notify_one();
        report
    }

    /// The server is gone, or is not to be verified any more. Everything about it is forgotten.
    pub fn forget(&self, key: &ObjectKey) {
        self.lock().forget(key);
    }

    /// What is known of a server; `None` if it is not observed.
    pub fn report(&self, key: &ObjectKey) -> Option<Report> {
        self.lock().report(key)
    }

    /// Asks until `stop`. Then no new check begins, and those that have begun are waited for, a few seconds at most: if they
    /// were dropped, they would leave their sessions behind. Only one may run at a time.
    ///
    /// `changed` is called when there is something new in the report of a server. It must not wait for anything.
    pub async fn run<P: Probe>(
        &self,
        probe: P,
        metrics: &VerificationMetrics,
        changed: impl Fn(&ObjectKey),
        stop: CancellationToken,
    ) {
        let probe = Arc::new(probe);
        let mut checks = Checks::default();
        loop {
            let next = self.start(&probe, &mut checks);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = checks.ended() => self.finish(ended, metrics, &changed),
                () = self.0.moved.notified() => {}
                () = until(next) => {}
            }
        }
        while let Some(ended) = checks.ended().await {
            self.finish(ended, metrics, &changed);
        }
    }

    /// Starts what is due. Returns when more will be.
    fn start<P: Probe>(&self, probe: &Arc<P>, checks: &mut Checks) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.lock();
        while let Some(job) = state.start(now) {
            checks.begin(Arc::clone(probe), job);
        }
        state.next_due()
    }

    fn finish(&self, ended: Ended, metrics: &VerificationMetrics, changed: &impl Fn(&ObjectKey)) {
        let Ended { question: Question { ticket, server, pod }, verdict, took } = ended;
        if let Some(verdict) = &verdict {
            debug!(%server, pod = &*pod, %verdict, ?took, "a check has ended");
            metrics.checked(result(verdict), took);
        }
        let news = self.lock().finish(ticket, verdict, Instant::now());
        // After the lock is released.
        if let Some(key) = news {
            changed(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The checks that are running.
#[derive(Default)]
struct Checks {
    tasks: JoinSet<(Verdict, Duration)>,
    /// What each task is about. A panic says in which task it was, and no more.
    questions: HashMap<Id, Question>,
}

/// A check that has ended; without a verdict if it panicked.
struct Ended {
    question: Question,
    verdict: Option<Verdict>,
    took: Duration,
}

impl Checks {
    fn begin<P: Probe>(&mut self, probe: Arc<P>, job: Job) {
        let Job { question, target, remembered } = job;
        let task = self.tasks.spawn(async move {
            let started = Instant::now();
            let verdict = probe.check(&target, remembered).await;
            (verdict, started.elapsed())
        });
        self.questions.insert(task.id(), question);
    }

    /// The next one to end. `None` if none is running. Cancel-safe.
    async fn ended(&mut self) -> Option<Ended> {
        match self.tasks.join_next_with_id().await? {
            Ok((id, (verdict, took))) => {
                Some(Ended { question: self.questions.remove(&id)?, verdict: Some(verdict), took })
            }
            Err(error) => self.panicked(&error),
        }
    }

    /// A bug, and perhaps one that a server can trigger at will. It must not take the other servers with it.
    fn panicked(&mut self, error: &JoinError) -> Option<Ended> {
        let question = self.questions.remove(&error.id())?;
        error!(server = %question.server, pod = &*question.pod, %error, "a check has panicked; this is a bug");
        Some(Ended { question, verdict: None, took: Duration::ZERO })
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn result(verdict: &Verdict) -> VerifyResult {
    match verdict {
        Verdict::Verified(_) => VerifyResult::Verified,
        Verdict::Failed { reason, message: _ } => match reason {
            Reason::NotMcp => VerifyResult::NotMcp,
            Reason::UnsupportedVersion => VerifyResult::UnsupportedVersion,
            Reason::Unreachable => VerifyResult::Unreachable,
            Reason::AuthenticationRequired => VerifyResult::AuthenticationRequired,
        },
    }
}

#[cfg(test)]
mod tests;
