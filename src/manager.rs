//! The wiring: what is made of what, what starts when, and what stops when.
//!
//! # The naive way, and how it breaks
//!
//! Start everything, and at the end let everything drop. At the start, workers then read caches that are still empty and
//! make what is there already. At the end, the Lease is released while a worker is still writing, and for a
//! moment two instances act; or it is not released, and the next one waits fifteen seconds for nobody.
//!
//! # The mechanism
//!
//! Up in one order, down in the other:
//!
//! ```text
//!  1 health, metrics     a taken port is known before anything else happens
//!  2 informers           every instance keeps its caches warm, the followers too
//!  3 the Lease           (with --leader-elect) the fence opens
//!  4 all caches synced   not before this is anything decided
//!  5 workers             ════════════ the time of work ════════════
//!    workers             stop: nothing new is begun, what was begun is finished, for a bounded time
//!    events              what is queued is sent
//!    informers
//!    the Lease           the fence closes, then the Lease is given back: nobody waits, nobody overlaps
//!    health, metrics
//! ```
//!
//! If leadership is lost there is no order to keep: the fence is closed already, so no write can follow. The workers are dropped
//! where they are and the process ends with an error, for its Pod to be started again with nothing remembered.
//!
//! # What it does not promise
//!
//! To survive its own surprises: a task that ends before its time ends the process. A process that half works is
//! the worst kind.
//!
//! In controller-runtime this is `manager.Manager`; kube-runtime's `Controller` does a part of it.
//!
//! # What to try
//!
//! Two operators with `--leader-elect` against the playground, `kubectl get lease -w`, and Ctrl-C in the first.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Connection, Fence};
use crate::controller::{Controller, Options, Stopped};
use crate::events::{Delivery, Recorder};
use crate::http::{BindAddress, BindError, Health, Server};
use crate::informer::{Informer, Scope, Synced, Timing as WatchTiming};
use crate::leader_election::config::hostname;
use crate::leader_election::{ClientLease, Elector, Identity, LeaseApi, StepDown, Term, Timing as LeaseTiming};
use crate::mcpserver::Reconciler;
use crate::mcpserver::observe::{child_indexes, server_indexes};
use crate::mcpserver::triggers::Informers;
use crate::object::ObjectKey;
use crate::telemetry::Metrics;
use crate::workqueue::{RateLimit, Workqueue};

/// The name of the controller and of its queue, in metrics.
const NAME: &str = "mcpserver";

/// What can be chosen about an operator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The namespaces to serve; none for all.
    pub namespaces: Vec<String>,
    /// How many servers are reconciled at the same time, and how long they may take to finish at a stop.
    pub work: Options,
    /// The election to win before anything is written; without one, this instance is alone.
    pub election: Option<Election>,
    /// Where metrics are served.
    pub metrics: BindAddress,
    /// Where health is served.
    pub health: BindAddress,
    /// After how many seconds the server ends a watch.
    pub watch_seconds: RangeInclusive<u64>,
    /// How often everything is looked at again though nothing seems to have happened.
    pub resync: Duration,
    /// Where all chance comes from.
    pub seed: u64,
}

/// An election on a Lease.
#[derive(Debug, Clone)]
pub struct Election {
    /// The Lease.
    pub lease: ObjectKey,
    /// Its durations.
    pub timing: LeaseTiming,
}

/// Why an operator ended that nobody asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Lease is another's.
    #[error("leadership of {lease} is lost: {reason}")]
    LeadershipLost {
        /// The Lease.
        lease: ObjectKey,
        /// Why.
        reason: StepDown,
    },
    /// An address could not be listened on.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// A task has ended that runs as long as the operator. Only a panic does that, and it has been told already.
    #[error("a part of the operator has broken down; a message above says where, and it is a bug")]
    BrokenDown,
}

/// Runs an operator until `stop`.
///
/// # Errors
///
/// [`Error`]: it ended though nobody asked it to.
pub async fn run(connection: &Connection, settings: Settings, stop: CancellationToken) -> Result<(), Error> {
    let mut seeds = StdRng::seed_from_u64(settings.seed);
    let metrics = Metrics::new();
    let fence = if settings.election.is_some() { Fence::closed() } else { Fence::always_open() };
    let host = connection.server.rsplit('/').next().unwrap_or_default();
    let client = connection.client.measured_by(metrics.client(host)).behind(fence.clone());
    let identity = Identity::new(&hostname(), &mut seeds);

    let mut informers = informers(&settings);
    let queue = Workqueue::new(RateLimit::default(), metrics.queue(NAME));
    informers.enqueue_on_change(&queue);
    let served = CancellationToken::new();
    let mut servers = listen(&settings, &metrics, &informers.synced(), &served).await?;

    let work = Work::begin(informers, queue, settings.work, &client, &metrics, &identity, &mut seeds);
    let working = async {
        let Some(Election { lease, timing }) = settings.election else { return work.run(&stop).await };
        let (api, gauge) = (ClientLease::new(&client, lease.clone()), metrics.leader(lease.name()));
        let gauge = Box::new(move |leading| gauge.leading(leading));
        let random = StdRng::from_rng(&mut seeds);
        let elector = Elector::new(api, lease.clone(), identity, timing, fence, gauge, random);
        Box::pin(lead(elector, lease, work, &stop)).await
    };
    let ended = tokio::select! {
        ended = Box::pin(working) => ended,
        Some(_) = servers.join_next() => Err(Error::BrokenDown),
    };
    served.cancel();
    join_all(servers).await;
    ended
}

/// Serves health and metrics until `served`.
async fn listen(
    settings: &Settings,
    metrics: &Metrics,
    synced: &[(&'static str, Synced)],
    served: &CancellationToken,
) -> Result<JoinSet<()>, BindError> {
    let bound = [
        Server::bind(&settings.metrics, "--metrics-bind-address", metrics.clone()).await?,
        Server::bind(&settings.health, "--health-bind-address", health(synced)).await?,
    ];
    let mut servers = JoinSet::new();
    for server in bound.into_iter().flatten() {
        servers.spawn(server.run(served.clone()));
    }
    Ok(servers)
}

/// What works once the Lease is held: caches that are being filled already, and a controller that waits for them.
struct Work {
    synced: Vec<(&'static str, Synced)>,
    controller: Controller<ObjectKey, Reconciler>,
    events: Delivery,
    reflectors: JoinSet<()>,
    /// Stops the reflectors.
    watched: CancellationToken,
}

impl Work {
    /// Begins to fill the caches.
    fn begin(
        informers: Informers,
        queue: Workqueue<ObjectKey>,
        options: Options,
        client: &Client,
        metrics: &Metrics,
        identity: &Identity,
        seeds: &mut StdRng,
    ) -> Self {
        let (synced, stores) = (informers.synced(), informers.stores());
        let (watched, mut reflectors) = (CancellationToken::new(), JoinSet::new());
        informers.start(client, metrics, seeds, &mut reflectors, &watched);
        let (recorder, events) = Recorder::new(client, identity.as_str());
        let reconciler = Arc::new(Reconciler::new(client.clone(), stores, recorder, metrics.servers()));
        let controller = Controller::new(NAME, queue, reconciler, options, metrics.controller(NAME));
        Self { synced, controller, events, reflectors, watched }
    }

    /// Works from when all caches are filled until `stop`, and tidies up.
    ///
    /// # Errors
    ///
    /// A reflector has broken down: what it follows is not known any more, and nobody else would notice.
    async fn run(self, stop: &CancellationToken) -> Result<(), Error> {
        let Self { synced, controller, events, mut reflectors, watched } = self;
        let all_synced = async {
            for (_resource, mut synced) in synced {
                synced.wait().await;
            }
        };
        let work = async {
            if stop.run_until_cancelled(all_synced).await.is_some()
                && let Stopped::Aborted(workers) = controller.run(stop.clone()).await
            {
                tracing::warn!(workers, "what was being done did not finish in time and was cut off");
            }
        };
        let ended = tokio::select! {
            () = work => Ok(()),
            Some(_) = reflectors.join_next() => Err(Error::BrokenDown),
        };
        events.flush().await;
        watched.cancel();
        join_all(reflectors).await;
        ended
    }

    /// Waits for the end of a reflector, which has none of its own.
    async fn breaks_down(&mut self) {
        self.reflectors.join_next().await;
    }
}

/// Works while holding the Lease, and gives it back when the work is done.
async fn lead<A: LeaseApi>(
    elector: Elector<A>,
    lease: ObjectKey,
    mut work: Work,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let leader = tokio::select! {
        leader = elector.acquire(stop) => leader,
        () = work.breaks_down() => return Err(Error::BrokenDown),
    };
    // Stopped before it led: there is nothing to work on, but caches to be let go in order.
    let Some(leader) = leader else { return work.run(stop).await };
    let done = CancellationToken::new();
    let work = async {
        let worked = work.run(stop).await;
        done.cancel();
        worked
    };
    let hold = leader.hold(&done);
    tokio::pin!(work, hold);
    let (worked, term) = tokio::select! {
        term = &mut hold => (Ok(()), term),
        worked = &mut work => (worked, hold.await),
    };
    match term {
        Term::Completed(retired) => {
            retired.release().await;
            worked
        }
        Term::Lost(reason) => Err(Error::LeadershipLost { lease, reason }),
    }
}

/// The informers of these settings, not yet started.
fn informers(settings: &Settings) -> Informers {
    let scopes: Vec<Scope> = match settings.namespaces.as_slice() {
        [] => vec![None],
        names => names.iter().map(|name| Some(Arc::from(name.as_str()))).collect(),
    };
    let timing = WatchTiming { watch_seconds: settings.watch_seconds.clone(), ..WatchTiming::default() };
    let mut servers = Informer::new(scopes.clone(), server_indexes(), timing.clone());
    servers.resync_every(settings.resync);
    Informers {
        servers,
        deployments: Informer::new(scopes.clone(), child_indexes(), timing.clone()),
        services: Informer::new(scopes.clone(), child_indexes(), timing.clone()),
        secrets: Informer::new(scopes, Vec::new(), timing),
    }
}

/// Ready means that the caches are filled. A follower is ready, too: it waits for nothing but the Lease.
fn health(synced: &[(&'static str, Synced)]) -> Health {
    let synced = synced.to_vec();
    Health::new().with_check("informers-synced", move || {
        let waiting: Vec<&str> =
            synced.iter().filter(|(_, synced)| !synced.now()).map(|(resource, _)| *resource).collect();
        if waiting.is_empty() { Ok(()) } else { Err(format!("waiting for {}", waiting.join(", "))) }
    })
}

/// Waits for the end of all tasks. One that panicked has said so already.
async fn join_all(mut tasks: JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
