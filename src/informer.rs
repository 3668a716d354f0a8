//! Informers: a cache that knows the state of the cluster, and reports when it changes.
//!
//! # The naive solution, and how it breaks
//!
//! Ask for all Deployments every ten seconds and compare. That is ten thousand objects, a hundred megabytes, six times
//! a minute, for every operator: the API server spends its day on answers that say "nothing new". So watch instead: ask
//! once, then receive changes. That breaks, too, in ways that show only in production:
//!
//! - *The missed delete.* The connection breaks; meanwhile an object is deleted. The new watch begins after that, and
//!   no event will ever mention the deletion. An operator that does not remember what existed keeps a ghost for ever.
//! - *The lost place.* A watch continues from a `resourceVersion`, and the server forgets old ones after five minutes
//!   (410). Then everything has to be listed again and compared, without reporting every object as changed.
//! - *The silent stream.* A connection whose other end is gone looks just like a quiet cluster.
//! - *The slow consumer.* If reading waits for the handlers of events, a slow handler fills the server's buffers, and
//!   the server cuts the watch: the more there is to do, the less you learn about it.
//!
//! # The mechanism
//!
//! ```text
//!                     ┌────────────────────────── Informer ─────────────────────────┐
//!   API server ──────►│ Reflector ── objects ────► Store ──► Change ──► handlers     │──► keys, into the work queue
//!     LIST, WATCH     │ (Machine decides,          + indexes  (old, new)             │
//!                     │  Reflector acts)              ▲                              │
//!                     └───────────────────────────────┼──────────────────────────────┘
//!                                                     └── anybody reads, at any time
//! ```
//!
//! - The [reflector] keeps one list-and-watch running for ever. A pure state machine decides what to ask next.
//! - The [store] is changed first, then the handlers are called with the old and the new state. After a relist they
//!   receive only the *differences*, deletions included.
//! - A handler turns a [`Change`] into keys and puts them into a queue that drops duplicates, so it never waits,
//!   and ten thousand changes of one object are one entry.
//! - [`Synced`] tells when the first complete state is in the store *and* its keys were passed on. A worker that starts
//!   earlier takes "not in my cache" for "does not exist", and creates the object a second time.
//! - An object that can't be decoded is [kept as invalid](store::Invalid), and does not affect the others.
//!
//! # Who owns whom
//!
//! ```text
//!  Informer<K>          what the caller builds: store(), subscribe(), synced(); consumed by start()
//!    │
//!    │ start() spawns one task per scope (a namespace, or the whole cluster)
//!    ├──► Reflector<K>  run.rs: sends the requests, reads the lines, fills the store, calls the handlers
//!    │      ├─ Machine          reflector.rs: the state of this list-and-watch; decides what to ask next, without I/O
//!    │      ├─ Replacement<K>   store.rs: the complete new state, while it is being read
//!    │      └─ Backoff          how long to wait after a failure
//!    ├──► Reflector<K>  the next namespace
//!    └──► resync        repeats every object once in a while
//!
//!  shared by all of them: Arc<Store<K>>, the handlers, and the set of scopes that have not synced yet
//! ```
//!
//! With several namespaces, the reflectors fill one store together, and nothing outside of these namespaces is ever
//! requested. Each [syncs](Synced::covers) by itself, because one may have no Role for this operator (yet), or may not
//! exist, and the others must not wait for it.
//!
//! # What it does not promise
//!
//! That the cache is current. It is always a little behind, and the caches of two kinds are behind by different
//! amounts. After a write, check [`Store::has_seen`] before trusting what you read. Nor does it report every state that
//! an object went through: only that it changed, and its state now.
//!
//! # Equivalents
//!
//! client-go: `tools/cache` with Reflector, DeltaFIFO, Indexer and SharedIndexInformer. kube-runtime: `watcher` and
//! `reflector::Store`.
//!
//! # What to try
//!
//! Start `make playground ARGS="--metrics-bind-address 127.0.0.1:8080"`, and in another terminal delete a server while
//! its watches are cut:
//!
//! ```sh
//! curl -X POST http://127.0.0.1:7443/playground/watches/cut & kubectl delete mcp fetch; wait
//! curl -s localhost:8080/metrics | grep informer_relists_total | grep -v ' 0$'
//! ```
//!
//! The server's objects are gone all the same, and the relists still have no other reason than `initial`: each watch
//! was opened again where it had stopped, and nothing had to be listed.

pub mod reflector;
pub mod run;
pub mod store;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use run::Timing;
pub use store::{Change, Entry, Indexer, Invalid, Origin, Scope, Store};

use crate::client::Client;
use crate::object::Object;
use crate::telemetry::InformerMetrics;
use reflector::Reason;
use run::{Parts, Reflector};

/// Called for each change, on the reflector's own task. It must not block: it turns the change into keys and puts them
/// into a queue.
pub type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// A cache of one kind, kept current. See the [module](self).
pub struct Informer<K> {
    store: Arc<Store<K>>,
    scopes: Vec<Scope>,
    handlers: Vec<Handler<K>>,
    /// The scopes that have not synced yet.
    waiting: watch::Sender<BTreeSet<Scope>>,
    /// Cancelled when the state has to be read again.
    refresh: CancellationToken,
    timing: Timing,
    resync: Option<Duration>,
}

impl<K: Object> Informer<K> {
    /// An informer for these scopes, with these indexes. It does nothing before [`start`](Self::start).
    pub fn new(scopes: Vec<Scope>, indexers: Vec<Indexer<K>>, timing: Timing) -> Self {
        let (waiting, _) = watch::channel(scopes.iter().cloned().collect());
        let store = Arc::new(Store::new(indexers));
        let refresh = CancellationToken::new();
        Self { store, scopes, handlers: Vec::new(), waiting, refresh, timing, resync: None }
    }

    /// The store to read from.
    pub fn store(&self) -> Arc<Store<K>> {
        Arc::clone(&self.store)
    }

    /// Calls `handler` for every change.
    pub fn subscribe(&mut self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.handlers.push(Box::new(handler));
    }

    /// Passes every object to the handlers again after each `period`, or up to half a period later. Correctness does
    /// not depend on it: it is a safety net against unknown bugs. Zero disables it.
    pub fn resync_every(&mut self, period: Duration) {
        self.resync = Some(period).filter(|period| !period.is_zero());
    }

    /// Tells when the informer has synced.
    pub fn synced(&self) -> Synced {
        Synced(self.waiting.subscribe())
    }

    /// Makes it read the newest state, once.
    pub fn refresher(&self) -> Refresher {
        let Self { scopes, waiting, refresh, .. } = self;
        Refresher { scopes: scopes.iter().cloned().collect(), waiting: waiting.clone(), refresh: refresh.clone() }
    }

    /// Starts one task per scope, and one for the resync, on `tasks`. `stop` ends them.
    pub fn start(
        self,
        client: &Client,
        metrics: &InformerMetrics,
        seed: u64,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let Self { store, scopes, handlers, waiting, refresh, timing, resync } = self;
        let handlers: Arc<[Handler<K>]> = handlers.into();
        let mut seeds = StdRng::seed_from_u64(seed);
        metrics.expect_relists(Reason::ALL.map(Reason::as_str));
        if let Some(period) = resync {
            let again = resync_forever(period, seeds.random(), Arc::clone(&store), Arc::clone(&handlers));
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(again).await.unwrap_or_default() });
        }
        for scope in scopes {
            let reflector = Reflector::new(Parts {
                client: client.clone(),
                metrics: metrics.reflector(scope.as_deref()),
                scope,
                store: Arc::clone(&store),
                handlers: Arc::clone(&handlers),
                timing: timing.clone(),
                synced: waiting.clone(),
                refresh: refresh.clone(),
                seed: seeds.random(),
            });
            tasks.spawn(reflector.run(stop.clone()));
        }
    }
}

async fn resync_forever<K: Object>(period: Duration, seed: u64, store: Arc<Store<K>>, handlers: Arc<[Handler<K>]>) {
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        sleep(period.mul_f64(random.random_range(1.0..1.5))).await;
        for key in store.keys() {
            let Some(entry) = store.get(&key) else { continue };
            let change = Change { old: Some(entry.clone()), new: Some(entry), origin: Origin::Resync };
            handlers.iter().for_each(|handler| handler(&change));
        }
    }
}

/// Makes an informer read the newest state, once in its life.
///
/// A cache may be behind, by as much as a dead connection takes to be noticed, and it can't know by how much. As long as
/// one instance acts, that only makes it late. But a follower whose cache is behind, and who becomes the leader, would
/// undo what the leader before it has done since. So whoever begins to act first reads what it will decide from.
#[derive(Debug)]
pub struct Refresher {
    scopes: BTreeSet<Scope>,
    waiting: watch::Sender<BTreeSet<Scope>>,
    refresh: CancellationToken,
}

impl Refresher {
    /// From now on nothing is [synced](Synced) until it was read again.
    pub fn refresh(self) {
        // In this order: what is complete between the two was requested before, and does not count.
        self.refresh.cancel();
        self.waiting.send_replace(self.scopes);
    }
}

/// Tells whether an informer knows the complete state and has passed it to its handlers. Clones are equivalent.
///
/// With several namespaces each syncs by itself: one that the operator may not read says nothing about the others.
#[derive(Debug, Clone)]
pub struct Synced(watch::Receiver<BTreeSet<Scope>>);

impl Synced {
    /// Whether all scopes have synced.
    pub fn now(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Whether the scope that this namespace belongs to has synced.
    pub fn covers(&self, namespace: &str) -> bool {
        let of_namespace = |scope: &Scope| scope.as_deref().is_none_or(|scope| scope == namespace);
        !self.0.borrow().iter().any(of_namespace)
    }

    /// The scopes that have not synced yet.
    pub fn waiting(&self) -> BTreeSet<Scope> {
        self.0.borrow().clone()
    }

    /// Waits until all scopes have synced. If the informer was stopped before that, this waits for ever.
    pub async fn wait(&mut self) {
        if self.0.wait_for(BTreeSet::is_empty).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until another scope has synced than at the last look. If the informer was stopped, this waits for ever.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
