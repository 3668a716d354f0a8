//! The wiring: which parts there are, and the order in which they start and stop.
//!
//! # The naive solution, and how it breaks
//!
//! Start everything, and drop everything at the end. At the start, workers then read caches that are still empty, and
//! create objects that exist already. At the end, the Lease is released while a worker is still writing, and for a
//! moment two instances act; or it is not released, and the next instance waits fifteen seconds for nothing.
//!
//! # The mechanism
//!
//! Up in one order, down in the other:
//!
//! ```text
//!  1 health, metrics,    a port that is in use is reported before anything else happens
//!    webhook
//!  2 informers           every instance keeps its caches warm, followers too
//!  3 the Lease           (with --leader-elect) the fence opens; specs and Secrets are read again: a cache that is behind
//!                        would undo what the leader before has done
//!  4 caches synced       nothing is decided about a namespace before all of it is known
//!  5 the queue           of a follower it stays empty: nobody would take the keys of servers that come and go
//!    workers, checks     ═════════════════ work ═════════════════
//!    workers             stop: no new reconcile starts; running ones may finish, for a limited time
//!    events              the queued Events are sent
//!    informers           and the keeper of the webhook's certificate
//!    the Lease           the fence closes, then the Lease is released: nobody waits, nobody overlaps.
//!                        If a reconcile was aborted, its last write may still arrive: then the Lease expires by itself
//!    health, metrics, webhook
//! ```
//!
//! If leadership is lost, there is no order to keep: the fence is closed already, so no write can follow. The workers
//! are dropped wherever they are, and the process ends with an error, so that its Pod restarts it without any memory.
//!
//! # What it does not promise
//!
//! To survive its own bugs: if a task ends too early, the whole process ends. A process that half works is
//! worse than one that doesn't run.
//!
//! # Equivalents
//!
//! controller-runtime: `manager.Manager`. kube-runtime: `Controller` does a part of it.
//!
//! # What to try
//!
//! Start an API server and two operators, as in the chapter on [leader election](crate::leader_election), and stop the
//! leader with Ctrl-C: its log shows the order above, and the other operator leads within two seconds.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Connection, Fence};
use crate::clock::WallClock;
use crate::controller::{Controller, Options, Stopped};
use crate::events::{Delivery, Recorder};
use crate::http::{BindAddress, BindError};
use crate::informer::{Refresher, Scope, Timing as WatchTiming};
use crate::leader_election::config::hostname;
use crate::leader_election::{ClientLease, Elector, Identity, LeaseApi, StepDown, Term, Timing as LeaseTiming};
use crate::mcp::{Dialer, Limits, Prober};
use crate::mcpserver::Reconciler;
use crate::mcpserver::triggers::{Informers, Inlet};
use crate::object::ObjectKey;
use crate::telemetry::{Metrics, VerificationMetrics};
use crate::tls::{FilesError, Keeper, PairError};
use crate::verification::{self, Verification};
use crate::workqueue::{RateLimit, Workqueue};
use served::{OnlyServed, Served};

mod served;

mod serving;

use serving::{Opening, Sites};
pub use serving::{Serving, Webhook};

/// The name of the controller and of its queue, in metrics.
const NAME: &str = "mcpserver";

/// The settings of an operator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The namespaces to serve; an empty list means all.
    pub namespaces: Vec<String>,
    /// How many servers may be reconciled at the same time, and how long they may take to finish at a stop.
    pub work: Options,
    /// The election to win before anything is written; without one, this is the only instance.
    pub election: Option<Election>,
    /// The address for metrics.
    pub metrics: BindAddress,
    /// The address for health.
    pub health: BindAddress,
    /// What is served over TLS.
    pub serving: Serving,
    /// After how many seconds the API server ends a watch.
    pub watch_seconds: RangeInclusive<u64>,
    /// How often every server is reconciled again even though nothing seems to have happened.
    pub resync: Duration,
    /// The seed of all random numbers.
    pub seed: u64,
    /// What is not the API server.
    pub surroundings: Surroundings,
}

/// The world around an operator. The default is the real one; a test has a small one of its own.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The time of day.
    pub wall_clock: WallClock,
    /// The way to the pods.
    pub dialer: Dialer,
    /// Where everything is counted.
    pub metrics: Metrics,
}

/// The settings of a leader election.
#[derive(Debug, Clone)]
pub struct Election {
    /// The Lease.
    pub lease: ObjectKey,
    /// The durations.
    pub timing: LeaseTiming,
}

/// Why an operator ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Lease is not this instance's any more.
    #[error("leadership of {lease} is lost: {reason}")]
    LeadershipLost {
        /// The Lease.
        lease: ObjectKey,
        /// The reason.
        reason: StepDown,
    },
    /// The operator can't listen on an address.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// The certificate can't be read from the given files.
    #[error("the certificate for --metrics-secure and the webhook can't be used: {0}")]
    Certificate(#[from] FilesError),
    /// No certificate can be made.
    #[error("TLS can't be served: {0}")]
    Pair(#[from] PairError),
    /// The TLS library refuses its own defaults.
    #[error("TLS can't be served: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// A task that should run as long as the operator has ended. Only a panic does that, and it has been printed
    /// already.
    #[error("a part of the operator has panicked; this is a bug, and the message above says where")]
    BrokenDown,
}

/// Runs an operator until `stop`.
///
/// # Errors
///
/// [`Error`]: it ended without being asked to.
pub async fn run(connection: &Connection, settings: Settings, stop: CancellationToken) -> Result<(), Error> {
    let mut seeds = StdRng::seed_from_u64(settings.seed);
    let metrics = settings.surroundings.metrics.clone();
    let fence = if settings.election.is_some() { Fence::closed() } else { Fence::always_open() };
    let host = connection.server.rsplit('/').next().unwrap_or_default();
    let client = connection.client.measured_by(metrics.client(host)).behind(fence.clone());
    let identity = Identity::new(&hostname(), &mut seeds);

    let queue = Workqueue::new(RateLimit::default(), metrics.queue(NAME));
    let caches = Caches::new(&settings, &queue);
    let stop_http = CancellationToken::new();
    let opening = Opening {
        settings: &settings,
        client: &client,
        fence: &fence,
        metrics: &metrics,
        secrets: &caches.informers.secrets,
        served: &caches.served,
        seed: seeds.random(),
        stop: &stop_http,
    };
    let Sites { tasks: mut servers, keeper } = opening.serve().await?;

    let mut work = Work::begin(caches, queue, &settings, &client, &metrics, &identity, &mut seeds);
    work.keep(keeper);
    let working = async {
        let Some(Election { lease, timing }) = settings.election else {
            return work.refreshed().run(&stop).await.ended;
        };
        let (api, gauge) = (ClientLease::new(&client, lease.clone()), metrics.leader(lease.name()));
        let gauge = Box::new(move |leading| gauge.leading(leading));
        let random = StdRng::from_rng(&mut seeds);
        let elector = Elector::new(api, lease.clone(), identity, timing, fence, gauge, random)
            .with_wall_clock(settings.surroundings.wall_clock);
        Box::pin(lead(elector, lease, work, &stop)).await
    };
    let ended = tokio::select! {
        biased;
        ended = Box::pin(working) => ended,
        Some(_) = servers.join_next() => Err(Error::BrokenDown),
    };
    stop_http.cancel();
    join_all(servers).await;
    ended
}

/// Everything that works while the Lease is held: caches, which are being filled already, and a controller, which waits
/// for them.
struct Work {
    served: Served,
    inlet: Inlet,
    controller: Controller<ObjectKey, OnlyServed<Reconciler>>,
    verifier: Verifier,
    events: Delivery,
    /// Of the caches that what is written is decided from.
    refreshers: Vec<Refresher>,
    reflectors: JoinSet<()>,
    stop_reflectors: CancellationToken,
}

impl Work {
    /// Begins to fill the caches.
    fn begin(
        caches: Caches,
        queue: Workqueue<ObjectKey>,
        settings: &Settings,
        client: &Client,
        metrics: &Metrics,
        identity: &Identity,
        seeds: &mut StdRng,
    ) -> Self {
        let Caches { informers, served, inlet } = caches;
        let (stores, refreshers) = (informers.stores(), informers.refreshers());
        let (stop_reflectors, mut reflectors) = (CancellationToken::new(), JoinSet::new());
        informers.start(client, metrics, seeds, &mut reflectors, &stop_reflectors);
        let Surroundings { wall_clock, dialer, metrics: _ } = settings.surroundings.clone();
        let (recorder, events) = Recorder::over(client.clone(), identity.as_str(), wall_clock.clone());
        let verification = Verification::new(verification::CONCURRENCY, seeds.random());
        let verifier = Verifier {
            verification: verification.clone(),
            prober: Prober::new(Limits::default(), dialer),
            metrics: metrics.verification(),
            queue: queue.clone(),
        };
        let reconciler = Reconciler::new(client.clone(), stores, recorder, metrics.servers(), verification)
            .with_wall_clock(wall_clock);
        let reconciler = Arc::new(OnlyServed { served: served.clone(), reconciler });
        let controller = Controller::new(NAME, queue, reconciler, settings.work, metrics.controller(NAME));
        Self { served, inlet, controller, verifier, events, refreshers, reflectors, stop_reflectors }
    }

    /// Also keeps the webhook's certificate. It writes, so it has to end before the Lease is released.
    fn keep(&mut self, keeper: Option<Keeper>) {
        if let Some(keeper) = keeper {
            self.reflectors.spawn(keeper.run(self.stop_reflectors.clone()));
        }
    }

    /// Works from when the caches of a namespace have synced until `stop`, and cleans up.
    ///
    /// A panic of a reflector is a stop, too: its part of the cache is not updated any more, and nothing else would
    /// notice.
    async fn run(self, stop: &CancellationToken) -> Worked {
        let Self { mut served, inlet, controller, verifier, events, refreshers: _, mut reflectors, stop_reflectors } =
            self;
        let stop = stop.child_token();
        let work = async {
            // Before any worker starts: what it drops from now on, it drops of these.
            let Some(unserved) = stop.run_until_cancelled(served.anything()).await else { return Stopped::InOrder };
            inlet.open();
            let working = async { tokio::join!(controller.run(stop.clone()), verifier.run(stop.clone())).0 };
            tokio::select! {
                biased;
                stopped = working => stopped,
                never = served.follow(unserved, |scope| inlet.add_all(scope)) => match never {},
            }
        };
        tokio::pin!(work);
        let (workers, ended) = tokio::select! {
            biased;
            workers = &mut work => (workers, Ok(())),
            Some(_) = reflectors.join_next() => {
                stop.cancel();
                (work.await, Err(Error::BrokenDown))
            }
        };
        events.flush().await;
        stop_reflectors.cancel();
        join_all(reflectors).await;
        Worked { workers, ended }
    }

    /// Reads again what may have changed, unnoticed, while another instance acted on it.
    fn refreshed(mut self) -> Self {
        for refresher in std::mem::take(&mut self.refreshers) {
            refresher.refresh();
        }
        self
    }

    /// Waits until a reflector panics: a reflector never ends by itself.
    async fn breaks_down(&mut self) {
        self.reflectors.join_next().await;
    }
}

/// Asks servers whether they speak MCP, and queues those of which there is news.
struct Verifier {
    verification: Verification,
    prober: Prober,
    metrics: VerificationMetrics,
    queue: Workqueue<ObjectKey>,
}

impl Verifier {
    async fn run(self, stop: CancellationToken) {
        let Self { verification, prober, metrics, queue } = self;
        verification.run(prober, &metrics, |key| queue.add(key.clone()), stop).await;
    }
}

/// How the work ended.
struct Worked {
    /// Whether every reconcile has ended.
    workers: Stopped,
    /// Whether the operator was asked to stop.
    ended: Result<(), Error>,
}

/// Works while holding the Lease, and releases it when the work is done.
async fn lead<A: LeaseApi>(
    elector: Elector<A>,
    lease: ObjectKey,
    mut work: Work,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let leader = tokio::select! {
        biased;
        leader = elector.acquire(stop) => leader,
        () = work.breaks_down() => return Err(Error::BrokenDown),
    };
    // Stopped before it led: there is no work, but the caches have to be stopped in order.
    let Some(leader) = leader else { return work.run(stop).await.ended };
    let release_lease = CancellationToken::new();
    let work = work.refreshed();
    let work = async {
        let worked = work.run(stop).await;
        release_lease.cancel();
        worked
    };
    let hold = leader.hold(&release_lease);
    tokio::pin!(work, hold);
    let (worked, term) = tokio::select! {
        // Whoever has lost the Lease has lost it, even if the work ended in the same moment.
        biased;
        term = &mut hold => (None, term),
        worked = &mut work => (Some(worked), hold.await),
    };
    match (term, worked) {
        (Term::Completed(retired), Some(Worked { workers: Stopped::InOrder, ended })) => {
            retired.release().await;
            ended
        }
        (Term::Completed(_), worked) => {
            tracing::warn!(%lease, "the lease was not released, because a write of an aborted reconcile may still arrive; it will expire by itself");
            worked.map_or(Ok(()), |worked| worked.ended)
        }
        (Term::Lost(reason), _) => Err(Error::LeadershipLost { lease, reason }),
    }
}

/// The caches for these settings, which are not being filled yet.
struct Caches {
    informers: Informers,
    served: Served,
    inlet: Inlet,
}

impl Caches {
    fn new(settings: &Settings, queue: &Workqueue<ObjectKey>) -> Self {
        let scopes: Vec<Scope> = match settings.namespaces.as_slice() {
            [] => vec![None],
            names => names.iter().map(|name| Some(Arc::from(name.as_str()))).collect(),
        };
        let timing = WatchTiming { watch_seconds: settings.watch_seconds.clone(), ..WatchTiming::default() };
        let mut informers = Informers::new(&scopes, &timing);
        informers.servers.resync_every(settings.resync);
        let inlet = informers.enqueue_on_change(queue.clone());
        let served = Served::new(informers.synced(), scopes);
        Self { informers, served, inlet }
    }
}

/// Waits for the end of all tasks. If one panicked, that has been printed already.
async fn join_all(mut tasks: JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
