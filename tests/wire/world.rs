//! An informer, the server that it watches, and everything that it tells.

use std::sync::Arc;
use std::time::Duration;

use smooth_operator::informer::{Change, Entry, Informer, Origin, Scope, Store, Synced, Timing};
use smooth_operator::object::Object;
use smooth_operator::telemetry::Metrics;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::fixture::client_of;
use crate::logs;
use crate::scripted::{Asked, LONG, Server, Stream};
use crate::thing::{Thing, added, initial_end, thing};

/// The first backoffs of the first scope are near their least with it: 805 ms and 1.6 s.
const SEED: u64 = 725;

/// No test waits for one of these by accident.
pub(crate) fn unhurried() -> Timing {
    Timing { watch_seconds: 300..=600, silence: LONG * 2, streaming_silence: LONG * 2 }
}

/// See the [module](self).
pub(crate) struct World<K> {
    pub(crate) server: Server,
    pub(crate) store: Arc<Store<K>>,
    pub(crate) synced: Synced,
    pub(crate) metrics: Metrics,
    told: UnboundedReceiver<String>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl World<Thing> {
    /// An informer of all things in the cluster.
    pub(crate) async fn of_things() -> Self {
        Self::start(vec![None], unhurried(), |_| {}).await
    }

    /// The state after a streaming list of `a@5` and `b@6`, complete at 10: the stream is open, everything is told.
    pub(crate) async fn settled(&mut self) -> Stream {
        let mut stream = self.asked("stream").await.stream().await;
        stream.line(&added(&thing("a", 5))).await;
        stream.line(&added(&thing("b", 6))).await;
        stream.line(&initial_end(10)).await;
        self.tells(&["+n/a@5 low", "+n/b@6 low"]).await;
        timeout(LONG, self.synced.wait()).await.expect("synced");
        stream
    }
}

impl<K: Object> World<K> {
    /// An informer that was changed by `prepare` before it was started.
    pub(crate) async fn start(scopes: Vec<Scope>, timing: Timing, prepare: impl FnOnce(&mut Informer<K>)) -> Self {
        Self::with_seed(SEED, scopes, timing, prepare).await
    }

    /// The same with other chances.
    pub(crate) async fn with_seed(
        seed: u64,
        scopes: Vec<Scope>,
        timing: Timing,
        prepare: impl FnOnce(&mut Informer<K>),
    ) -> Self {
        logs::listen();
        let server = Server::start().await;
        let client = client_of(&server.url).await;
        let mut informer = Informer::<K>::new(scopes, vec![], timing);
        let (tell, told) = unbounded_channel();
        informer.subscribe(move |change| tell.send(in_short(change)).unwrap_or_default());
        prepare(&mut informer);
        let (store, synced) = (informer.store(), informer.synced());
        let (metrics, mut tasks, stop) = (Metrics::new(), JoinSet::new(), CancellationToken::new());
        informer.start(&client, &metrics.informer(K::RESOURCE.plural), seed, &mut tasks, &stop);
        Self { server, store, synced, metrics, told, tasks, stop }
    }

    /// The next request, which has to be this one.
    pub(crate) async fn asked(&mut self, what: &str) -> Asked {
        let asked = self.server.next().await;
        assert_eq!(asked.what(), what);
        asked
    }

    /// The next changes that are told, which have to be these.
    pub(crate) async fn tells(&mut self, changes: &[&str]) {
        for change in changes {
            let told =
                timeout(LONG, self.told.recv()).await.unwrap_or_else(|_| panic!("{change} is not told")).unwrap();
            assert_eq!(told, *change);
        }
    }

    /// Whether nothing was told that was not looked at.
    pub(crate) fn has_told_nothing_more(&self) -> bool {
        self.told.is_empty()
    }

    /// The names and versions that the store holds.
    pub(crate) fn holds(&self) -> Vec<String> {
        self.store.keys().iter().filter_map(|key| self.store.get(key)).map(|entry| name(&entry)).collect()
    }

    /// Whether the metrics have this line.
    pub(crate) fn counts(&self, line: &str) -> bool {
        self.metrics.render().unwrap().lines().any(|rendered| rendered == line)
    }

    /// How many objects in the store can't be decoded.
    pub(crate) fn invalid(&self) -> usize {
        let invalid = |key| matches!(self.store.get(key), Some(Entry::Invalid(_)));
        self.store.keys().iter().filter(|key| invalid(key)).count()
    }

    /// Stops it and waits until nothing of it runs any more.
    pub(crate) async fn stops(mut self) {
        self.stop.cancel();
        let ended = timeout(LONG, async { while self.tasks.join_next().await.is_some() {} });
        ended.await.expect("every task ends with the stop");
    }

    /// How many tasks run.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.len()
    }
}

/// `+` new, `~` changed, `-` gone; then which, and the version of the newest state of it that is known.
fn in_short<K: Object>(change: &Change<K>) -> String {
    let origin = match (change.origin, &change.new) {
        (Origin::Initial | Origin::Resync, _) => " low",
        (Origin::Gap, None) => " or later",
        (Origin::Gap, Some(_)) | (Origin::Event, _) => "",
    };
    match (&change.old, &change.new) {
        (None, Some(new)) => format!("+{}{origin}", name(new)),
        (Some(_), Some(new)) => format!("~{}{origin}", name(new)),
        (Some(old), None) => format!("-{}{origin}", name(old)),
        (None, None) => "a change of nothing".to_owned(),
    }
}

fn name<K: Object>(entry: &Entry<K>) -> String {
    let bad = if entry.valid().is_some() { "" } else { " invalid" };
    format!("{}@{}{bad}", entry.key(), entry.resource_version())
}

/// Waits until `fact` holds.
pub(crate) async fn until(what: &str, fact: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !fact() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}
