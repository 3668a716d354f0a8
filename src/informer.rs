//! Informers: a cache that knows what the cluster looks like, and tells when that changes.
//!
//! # The naive way, and how it breaks
//!
//! Ask for the Deployments every ten seconds, and compare. Ten thousand objects, a hundred megabytes, six times a minute,
//! for every operator: the API server spends its day on answers that say "nothing new". So watch instead: ask once, then
//! be told. And that breaks, too, in ways that show only in production:
//!
//! - *The missed delete.* The connection breaks; meanwhile an object is deleted. The new watch begins after that,
//!   and no event will ever say so. An operator without a memory of what *was* there keeps the ghost for ever.
//! - *The lost place.* A watch goes on from a `resourceVersion`, and the server forgets those after five minutes (410). Somebody
//!   then has to list everything again and find out what changed, without telling everyone that everything did.
//! - *The silent stream.* A connection whose other end is gone looks just like a quiet cluster.
//! - *The slow consumer.* If events wait for whoever handles them, a slow handler fills the server's buffers, and the
//!   server cuts the watch: the more there is to do, the less one learns about it.
//!
//! # The mechanism
//!
//! ```text
//!                     ┌────────────────────────── Informer ─────────────────────────┐
//!   API server ──────►│ Reflector ── one state ──► Store ──► Change ──► handlers     │──► keys, into the work queue
//!     LIST, WATCH     │ (Machine decides,          + indexes  (old, new)             │
//!                     │  run acts)                    ▲                              │
//!                     └───────────────────────────────┼──────────────────────────────┘
//!                                                     └── anybody reads, at any time
//! ```
//!
//! - The [reflector] keeps one list-and-watch going for ever. What to ask next is decided by a pure state machine.
//! - The [store] is changed first, then the handlers are told, with the old state and the new one. After a relist they are
//!   told the *difference*, deletions included.
//! - A handler turns a [`Change`] into keys and puts them into a queue that swallows duplicates, so it never waits
//!   and ten thousand changes of one object are one entry.
//! - [`Synced`] says when the first whole state is in the store *and* its keys were handed over. A worker that starts
//!   earlier takes "not in my cache" for "not there", and makes it a second time.
//! - An object that can't be read is [kept as such](store::Invalid), and the others don't notice.
//!
//! One informer may follow several namespaces, each with a reflector of its own, into one store. Nothing outside of them
//! is ever asked for.
//!
//! # What it does not promise
//!
//! That the cache is current. It is always a little behind, and the caches of two kinds are behind by different amounts.
//! Whoever has just written something asks [`Store::has_seen`] before trusting what it reads.
//! Nor does it tell every state that an object went through: only that it changed, and what it is now.
//!
//! In client-go this is `tools/cache`: Reflector, DeltaFIFO, Indexer, SharedIndexInformer; in kube-runtime
//! `watcher` and `reflector::Store`.
//!
//! # What to try
//!
//! In the playground, cut the watches while a server is being deleted, and look for `reason="expired"` in
//! `smooth_operator_informer_relists_total`.

pub mod reflector;
pub mod run;
pub mod store;

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

/// Is told of changes, on the reflector's own task. It must not wait for anything: it turns the change into keys
/// and puts them into a queue.
pub type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// A cache of one kind, kept current. See the [module](self).
pub struct Informer<K> {
    store: Arc<Store<K>>,
    scopes: Vec<Scope>,
    handlers: Vec<Handler<K>>,
    waiting: watch::Sender<usize>,
    timing: Timing,
    resync: Option<Duration>,
}

impl<K: Object> Informer<K> {
    /// An informer of these scopes, with these indexes. It does nothing before [`start`](Self::start).
    pub fn new(scopes: Vec<Scope>, indexers: Vec<Indexer<K>>, timing: Timing) -> Self {
        let (waiting, _) = watch::channel(scopes.len());
        let store = Arc::new(Store::new(indexers));
        Self { store, scopes, handlers: Vec::new(), waiting, timing, resync: None }
    }

    /// Where to read.
    pub fn store(&self) -> Arc<Store<K>> {
        Arc::clone(&self.store)
    }

    /// Tells `handler` of every change from now on.
    pub fn subscribe(&mut self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.handlers.push(Box::new(handler));
    }

    /// Tells the handlers of every object again, every `period` or up to half of it later. Nothing here needs it to be correct:
    /// it is a net under mistakes of which we know nothing. Zero is never.
    pub fn resync_every(&mut self, period: Duration) {
        self.resync = Some(period).filter(|period| !period.is_zero());
    }

    /// When it has synced.
    pub fn synced(&self) -> Synced {
        Synced(self.waiting.subscribe())
    }

    /// Starts one task a scope, and one for the resync, on `tasks`. They end with `stop`.
    pub fn start(
        self,
        client: &Client,
        metrics: &InformerMetrics,
        seed: u64,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let Self { store, scopes, handlers, waiting, timing, resync } = self;
        let handlers: Arc<[Handler<K>]> = handlers.into();
        let mut seeds = StdRng::seed_from_u64(seed);
        metrics.relists_may_be_for(Reason::ALL.map(Reason::as_str));
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

/// Says whether an informer knows the whole state and has told of it. Clones say the same.
#[derive(Debug, Clone)]
pub struct Synced(watch::Receiver<usize>);

impl Synced {
    /// Whether it has.
    pub fn now(&self) -> bool {
        *self.0.borrow() == 0
    }

    /// Waits until it has. Never, if the informer has been stopped before.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|waiting| *waiting == 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests;
