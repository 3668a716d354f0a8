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

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{Connection, Fence};
use crate::controller::{Controller, Options, Stopped};
use crate::events::Recorder;
use crate::http::{BindAddress, BindError, Health, Server};
use crate::informer::{Informer, Scope, Synced, Timing as WatchTiming};
use crate::leader_election::{ClientLease, Elector, Identity, StepDown, Term, Timing as LeaseTiming};
use crate::leader_election::config::hostname;
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
    let queue = Workqueue::new(RateLimit::default(), seeds.random(), metrics.queue(NAME));
    informers.feed(&queue);
    let synced = informers.synced();
    let stores = informers.stores();

    let served = CancellationToken::new();
    let mut servers = JoinSet::new();
    for server in [
        Server::bind(&settings.metrics, "--metrics-bind-address", metrics.clone()).await?,
        Server::bind(&settings.health, "--health-bind-address", health(&synced)).await?,
    ] {
        if let Some(server) = server {
            servers.spawn(server.run(served.clone()));
        }
    }

    let watched = CancellationToken::new();
    let mut watches = JoinSet::new();
    informers.start(&client, &metrics, &mut seeds, &mut watches, &watched);

    let (recorder, events) = Recorder::new(&client, identity.as_str());
    let reconciler = Reconciler::new(client.clone(), stores, recorder, metrics.servers());
    let work = async {
        let all_synced = async {
            for (_resource, mut synced) in synced {
                synced.wait().await;
            }
        };
        if stop.run_until_cancelled(all_synced).await.is_some() {
            let reconciler = Arc::new(reconciler);
            let controller = Controller::new(NAME, queue, reconciler, settings.work, metrics.controller(NAME));
            if let Stopped::Aborted(workers) = controller.run(stop.clone()).await {
                tracing::warn!(workers, "what was being done did not finish in time and was cut off");
            }
        }
        events.flush().await;
        watched.cancel();
        join_all(watches).await;
    };
    let ended = match settings.election {
        None => {
            work.await;
            Ok(())
        }
        Some(election) => {
            let gauge = metrics.leader(election.lease.name());
            let elector = Elector::new(
                ClientLease::new(&client, election.lease.clone()),
                election.lease.clone(),
                identity,
                election.timing,
                fence,
                Box::new(move |leading| gauge.leading(leading)),
                StdRng::from_rng(&mut seeds),
            );
            lead(elector, &election.lease, work, &stop).await
        }
    };
    served.cancel();
    join_all(servers).await;
    if ended.is_ok() {
        tracing::info!("stopped");
    }
    ended
}

/// Works while holding the Lease, and gives it back when the work is done.
async fn lead(
    elector: Elector<ClientLease>,
    lease: &ObjectKey,
    work: impl Future<Output = ()>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let Some(leader) = elector.acquire(stop).await else { return Ok(()) };
    let done = CancellationToken::new();
    let work = async {
        work.await;
        done.cancel();
    };
    let hold = leader.hold(&done);
    tokio::pin!(work, hold);
    let term = tokio::select! {
        term = &mut hold => term,
        () = &mut work => hold.await,
    };
    match term {
        Term::Completed(retired) => {
            retired.release().await;
            Ok(())
        }
        Term::Lost(reason) => Err(Error::LeadershipLost { lease: lease.clone(), reason }),
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
        let waiting: Vec<&str> = synced.iter().filter(|(_, synced)| !synced.now()).map(|(resource, _)| *resource).collect();
        if waiting.is_empty() { Ok(()) } else { Err(format!("waiting for {}", waiting.join(", "))) }
    })
}

/// Waits for the end of all tasks. One that panicked has said so already.
async fn join_all(mut tasks: JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}
