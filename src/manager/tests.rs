//! Unexpected ends, and stops that come very early. What a cluster sees of start and stop is tested in
//! `tests/acceptance`.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::coordination::v1::Lease;
use kube_client::client::Body;
use serde_json::json;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::leader_election::api::LeaseError;
use crate::leader_election::record::{self, Holder};

/// An API server that never answers.
fn silent() -> Client {
    let never = |_: http::Request<Body>| pending::<Result<http::Response<Body>, Infallible>>();
    Client::new(kube_client::Client::new(tower::service_fn(never), "default"))
}

fn settings() -> Settings {
    Settings {
        namespaces: Vec::new(),
        work: Options::default(),
        election: None,
        metrics: BindAddress::Disabled,
        health: BindAddress::Disabled,
        serving: Serving::default(),
        watch_seconds: 300..=600,
        resync: Duration::ZERO,
        seed: 0,
        surroundings: Surroundings::default(),
    }
}

/// A cluster with one server that has no children yet. A write gets an error after this time, a watch never gets an
/// answer.
fn answers_writes_after(time: Duration) -> (Client, Arc<Notify>) {
    let writing = Arc::new(Notify::new());
    let write = Arc::clone(&writing);
    let answer = move |request: http::Request<Body>| {
        let write = Arc::clone(&write);
        async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            if request.method() != http::Method::GET {
                write.notify_one();
                tokio::time::sleep(time).await;
                return Ok(answered(503, &json!({"kind": "Status", "code": 503, "reason": "ServiceUnavailable"})));
            }
            if query.contains("sendInitialEvents") {
                return Ok(answered(422, &json!({"kind": "Status", "code": 422, "reason": "Invalid"})));
            }
            if query.contains("watch=true") {
                return pending().await;
            }
            let server = json!({
                "metadata": {"namespace": "prod", "name": "web", "uid": "u", "resourceVersion": "5", "generation": 1},
                "spec": {"image": "web:1"},
            });
            let items = if request.uri().path().ends_with("/mcpservers") { json!([server]) } else { json!([]) };
            Ok::<_, Infallible>(answered(200, &json!({"metadata": {"resourceVersion": "9"}, "items": items})))
        }
    };
    (Client::new(kube_client::Client::new(tower::service_fn(answer), "default")), writing)
}

fn answered(code: u16, body: &serde_json::Value) -> http::Response<Body> {
    http::Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
}

fn work() -> Work {
    work_on(&silent())
}

fn work_on(client: &Client) -> Work {
    work_of(client, &settings())
}

fn work_of(client: &Client, settings: &Settings) -> Work {
    let (metrics, mut seeds) = (Metrics::new(), StdRng::seed_from_u64(0));
    let queue = Workqueue::new(RateLimit::default(), metrics.queue(NAME));
    let caches = Caches::new(settings, &queue);
    let identity = Identity::new("host", &mut seeds);
    Work::begin(caches, queue, settings, client, &metrics, &identity, &mut seeds)
}

/// Its queue used to keep a key of every server that there ever was.
#[tokio::test(start_paused = true)]
async fn the_queue_of_a_follower_stays_empty_and_a_leader_begins_with_all_servers() {
    let allowed = Arc::new(AtomicBool::new(true));
    let (client, mut written) = two_namespaces(&allowed);
    let (metrics, mut seeds) = (Metrics::new(), StdRng::seed_from_u64(0));
    let queue = Workqueue::new(RateLimit::default(), metrics.queue(NAME));
    let caches = Caches::new(&settings(), &queue);
    let identity = Identity::new("host", &mut seeds);
    let work = Work::begin(caches, queue.clone(), &settings(), &client, &metrics, &identity, &mut seeds);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(work.served.ready(), Ok(()));
    assert!(queue.is_empty());

    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { work.run(&stop).await.ended }
    });
    assert!(written.recv().await.unwrap().contains("/namespaces/b/"));
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// A task that records whether it was joined, and not merely dropped.
fn joined_at_the_end(work: &mut Work) -> Arc<AtomicBool> {
    let joined = Arc::<AtomicBool>::default();
    let (said, stop_reflectors) = (Arc::clone(&joined), work.stop_reflectors.clone());
    work.reflectors.spawn(async move {
        stop_reflectors.cancelled().await;
        tokio::task::yield_now().await;
        said.store(true, Ordering::Relaxed);
    });
    joined
}

/// Two namespaces with a server each. In `b` nothing may be read before `allowed`. Writes fail, and are told by their
/// path.
fn two_namespaces(allowed: &Arc<AtomicBool>) -> (Client, UnboundedReceiver<String>) {
    let (tell, told) = unbounded_channel();
    let allowed = Arc::clone(allowed);
    let answer = move |request: http::Request<Body>| {
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        let refused = path.contains("/namespaces/b/") && !allowed.load(Ordering::Relaxed);
        let writes = request.method() != http::Method::GET;
        if writes {
            tell.send(path.clone()).unwrap();
        }
        async move {
            if writes {
                return Ok(answered(503, &json!({"kind": "Status", "code": 503, "reason": "ServiceUnavailable"})));
            }
            if refused {
                return Ok(answered(403, &json!({"kind": "Status", "code": 403, "message": "x cannot list y"})));
            }
            if query.contains("sendInitialEvents") {
                return Ok(answered(422, &json!({"kind": "Status", "code": 422, "reason": "Invalid"})));
            }
            if query.contains("watch=true") {
                return pending().await;
            }
            let namespace = if path.contains("/namespaces/a/") { "a" } else { "b" };
            let server = json!({
                "metadata": {
                    "namespace": namespace, "name": "web", "uid": namespace, "resourceVersion": "5", "generation": 1,
                },
                "spec": {"image": "web:1"},
            });
            let items = if path.ends_with("/mcpservers") { json!([server]) } else { json!([]) };
            Ok::<_, Infallible>(answered(200, &json!({"metadata": {"resourceVersion": "9"}, "items": items})))
        }
    };
    (Client::new(kube_client::Client::new(tower::service_fn(answer), "default")), told)
}

/// Nothing was done in any namespace until all were known everywhere: for ever, where one had no Role.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_may_not_be_read_does_not_stop_the_others_and_is_served_when_it_may() {
    let (allowed, stop) = (Arc::<AtomicBool>::default(), CancellationToken::new());
    let (client, mut written) = two_namespaces(&allowed);
    let work = work_of(&client, &Settings { namespaces: vec!["a".into(), "b".into()], ..settings() });
    let health = work.served.clone();
    assert!(health.ready().unwrap_err().contains("deployments"));
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { work.run(&stop).await.ended }
    });
    let next = async |written: &mut UnboundedReceiver<String>| {
        tokio::time::timeout(Duration::from_secs(600), written.recv()).await.expect("it writes").unwrap()
    };
    assert!(next(&mut written).await.contains("/namespaces/a/"));
    assert_eq!(health.ready(), Ok(()));
    let shortfall = health.shortfall().unwrap();
    assert!(shortfall.starts_with("not served: b (waiting for mcpservers, deployments, "), "{shortfall}");

    tokio::time::sleep(Duration::from_secs(120)).await;
    while let Ok(path) = written.try_recv() {
        assert!(path.contains("/namespaces/a/"), "{path}");
    }
    allowed.store(true, Ordering::Relaxed);
    while !next(&mut written).await.contains("/namespaces/b/") {}
    assert_eq!(health.shortfall(), None);
    stop.cancel();
    running.await.unwrap().unwrap();
}

fn lease() -> ObjectKey {
    ObjectKey::new("ops", "smooth-operator")
}

fn elector(api: Lone) -> Elector<Lone> {
    let mut seeds = StdRng::seed_from_u64(0);
    let identity = Identity::new("host", &mut seeds);
    Elector::new(api, lease(), identity, LeaseTiming::default(), Fence::closed(), Box::new(|_| ()), seeds)
}

/// A Lease that no other instance competes for.
#[derive(Clone)]
struct Lone(Arc<Mutex<Lease>>);

impl Lone {
    fn held_by(holder: &str) -> Self {
        let lease = json!({
            "metadata": {"uid": "u", "resourceVersion": "1"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 1_000_000},
        });
        Self(Arc::new(Mutex::new(serde_json::from_value(lease).unwrap())))
    }

    fn is_free(&self) -> bool {
        record::holder(&self.0.lock().unwrap()) == Holder::Released
    }
}

impl LeaseApi for Lone {
    fn get(&self) -> impl Future<Output = Result<Option<Lease>, LeaseError>> + Send {
        ready(Ok(Some(self.0.lock().unwrap().clone())))
    }

    fn create(&self, _: Lease) -> impl Future<Output = Result<Lease, LeaseError>> + Send {
        ready(Err(LeaseError::Changed))
    }

    fn replace(&self, mut lease: Lease) -> impl Future<Output = Result<Lease, LeaseError>> + Send {
        lease.metadata.resource_version = lease.metadata.resource_version.map(|version| version + "0");
        *self.0.lock().unwrap() = lease.clone();
        ready(Ok(lease))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_caches_are_filled_ends_all_in_order() {
    let (mut work, stop) = (work(), CancellationToken::new());
    let joined = joined_at_the_end(&mut work);
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { work.run(&stop).await.ended }
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!running.is_finished(), "nothing is decided before all is known, however long that takes");
    stop.cancel();
    running.await.unwrap().unwrap();
    assert!(joined.load(Ordering::Relaxed));
}

/// They used to be dropped: they were stopped, but nobody waited for their end.
#[tokio::test(start_paused = true)]
async fn a_follower_that_is_stopped_waits_for_the_end_of_its_reflectors() {
    let (mut work, stop) = (work(), CancellationToken::new());
    let joined = joined_at_the_end(&mut work);
    let following = tokio::spawn({
        let stop = stop.clone();
        async move { Box::pin(lead(elector(Lone::held_by("another")), lease(), work, &stop)).await }
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!following.is_finished());
    stop.cancel();
    following.await.unwrap().unwrap();
    assert!(joined.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_reflector_that_breaks_down_ends_the_operator_whether_it_leads_or_not() {
    for leads in [false, true] {
        let (mut work, stop) = (work(), CancellationToken::new());
        work.reflectors.spawn(tokio::time::sleep(Duration::from_secs(60)));
        let joined = joined_at_the_end(&mut work);
        let api = Lone::held_by(if leads { "" } else { "another" });
        let ended = Box::pin(lead(elector(api.clone()), lease(), work, &stop)).await;
        assert!(matches!(ended, Err(Error::BrokenDown)), "{ended:?}");
        assert_eq!((joined.load(Ordering::Relaxed), api.is_free()), (leads, leads), "who leads tidies up");
    }
    let mut work = work();
    work.reflectors.spawn(ready(()));
    assert!(matches!(work.run(&CancellationToken::new()).await.ended, Err(Error::BrokenDown)));
}

/// A write that hung for 25 s used to outlive the grace period of 20 s and the release of the Lease, and arrived when
/// the next leader had written already.
#[tokio::test(start_paused = true)]
async fn the_lease_is_given_back_only_where_no_write_was_cut_off() {
    for (seconds, breaks_down) in [(4, false), (25, false), (4, true), (25, true)] {
        let (client, writing) = answers_writes_after(Duration::from_secs(seconds));
        let (mut work, stop, broken) = (work_on(&client), CancellationToken::new(), CancellationToken::new());
        let (stop_reflectors, breaks) = (work.stop_reflectors.clone(), broken.clone());
        work.reflectors.spawn(async move {
            stop_reflectors.run_until_cancelled(breaks.cancelled()).await;
        });
        let api = Lone::held_by("");
        let leading = tokio::spawn({
            let (api, stop) = (api.clone(), stop.clone());
            async move { Box::pin(lead(elector(api), lease(), work, &stop)).await }
        });
        tokio::time::timeout(Duration::from_secs(600), writing.notified()).await.expect("it writes");
        if breaks_down {
            broken.cancel();
        } else {
            stop.cancel();
        }
        assert_eq!(leading.await.unwrap().is_err(), breaks_down);
        assert_eq!(api.is_free(), seconds < 20, "a write takes {seconds} s, breaks down: {breaks_down}");
    }
}
