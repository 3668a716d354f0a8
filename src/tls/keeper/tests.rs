//! Keepers against an API server of three objects' worth, in virtual time.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use kube_client::client::Body;
use tokio::task::JoinHandle;

use super::super::pair::is_accepted;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const PACE: Pace = Pace {
    poll: Duration::from_secs(30),
    retry: SECOND,
    lifetime: Duration::from_secs(120 * 60),
    renew_before: Duration::from_secs(40 * 60),
    overlap: Duration::from_secs(10 * 60),
};

/// A Secret and a ValidatingWebhookConfiguration.
#[derive(Default)]
struct Objects {
    secret: Option<Value>,
    configuration: Option<Value>,
    writes: Vec<String>,
    version: u64,
    /// Answers nothing but 500, and how often.
    broken: Option<u32>,
}

#[derive(Clone, Default)]
struct Api(Arc<Mutex<Objects>>);

impl Api {
    fn with_configuration() -> Self {
        let api = Self::default();
        let webhooks = json!([{"name": "a.b.c", "clientConfig": {"service": {"name": "hook"}}}]);
        let configuration = json!({"metadata": {"name": "smooth-operator", "uid": "u"}, "webhooks": webhooks});
        api.0.lock().unwrap().configuration = Some(configuration);
        api
    }

    fn client(&self) -> Client {
        let api = self.clone();
        let answer = move |request: http::Request<Body>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                // Others may come in between.
                tokio::task::yield_now().await;
                let (code, body) = api.answer(parts.method.as_str(), parts.uri.path(), &body);
                Ok::<_, Infallible>(
                    http::Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap(),
                )
            }
        };
        Client::new(kube_client::Client::new(tower::service_fn(answer), "default"))
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let mut objects = self.0.lock().unwrap();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let refused = |code: u16| (code, json!({"kind": "Status", "code": code, "reason": "", "message": ""}));
        if let Some(asked) = &mut objects.broken {
            *asked += 1;
            return refused(500);
        }
        if method != "GET" {
            objects.writes.push(format!("{method} {path}"));
        }
        objects.version += 1;
        let version = objects.version.to_string();
        let is_secret = path.contains("/namespaces/ops/secrets");
        let stored = if is_secret { &mut objects.secret } else { &mut objects.configuration };
        match (method, stored.as_mut()) {
            ("POST", Some(_)) => return refused(409),
            ("POST", None) => *stored = Some(body),
            (_, None) => return refused(404),
            ("GET", Some(object)) => return (200, object.clone()),
            ("PUT", Some(object)) if object["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] => {
                return refused(409);
            }
            ("PUT", Some(object)) => *object = body,
            ("PATCH", Some(object)) => {
                assert_eq!(body["metadata"]["uid"], object["metadata"]["uid"]);
                let bundle = body["webhooks"][0]["clientConfig"]["caBundle"].clone();
                object["webhooks"][0]["clientConfig"]["caBundle"] = bundle;
            }
            (method, Some(_)) => panic!("{method} {path}"),
        }
        let object = stored.as_mut().unwrap();
        object["metadata"]["resourceVersion"] = version.into();
        (200, object.clone())
    }

    fn state(&self) -> (Option<Value>, Option<Value>) {
        let objects = self.0.lock().unwrap();
        (objects.secret.clone(), objects.configuration.clone())
    }

    fn kept(&self) -> Option<Kept> {
        match Stored::read(self.0.lock().unwrap().secret.as_ref()) {
            Stored::Kept(kept) => Some(kept),
            Stored::Absent | Stored::Unusable => None,
        }
    }

    /// Whom the API server trusts.
    fn trusted(&self) -> Vec<Authority> {
        let objects = self.0.lock().unwrap();
        let bundle = objects.configuration.as_ref().unwrap()["webhooks"][0]["clientConfig"]["caBundle"].clone();
        let text =
            serde_json::from_value(bundle).map(|k8s_openapi::ByteString(bytes)| String::from_utf8(bytes).unwrap());
        text.ok().and_then(|text| Authority::read_all(&text)).unwrap_or_default()
    }
}

/// A time of day that passes as tokio's clock does.
fn clock() -> impl Fn() -> Timestamp + Clone + Send + Sync + 'static {
    let began = Instant::now();
    move || "2026-11-23T08:00:00Z".parse::<Timestamp>().unwrap() + began.elapsed()
}

struct Replica {
    slot: Slot,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(api: &Api, fence: &Fence, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let (slot, stop) = (Slot::default(), CancellationToken::new());
        let place = Place::of(ObjectKey::new("ops", "hook"));
        let client = api.client().behind(fence.clone());
        let keeper = Keeper::new(&client, fence.clone(), place, slot.clone(), PACE, WallClock::new(clock), 7).unwrap();
        let task = tokio::spawn(keeper.run(stop.clone()));
        Self { slot, stop, task }
    }

    fn shows(&self, kept: &Kept) -> bool {
        self.slot.shown().is_some_and(|shown| shown.cert == kept.serving.loaded().cert)
    }

    /// Whether the API server would accept what it shows.
    fn is_accepted(&self, api: &Api, now: Timestamp) -> bool {
        let name = ServerName::try_from("hook.ops.svc").unwrap();
        self.slot.shown().is_some_and(|shown| is_accepted(&shown.cert, &api.trusted(), &name, now))
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_start_at_once_show_the_same_certificate() {
    let api = Api::with_configuration();
    let (one, other) = (Fence::closed(), Fence::closed());
    let replicas = [Replica::start(&api, &one, clock()), Replica::start(&api, &other, clock())];
    sleep(MINUTE).await;
    let kept = api.kept().unwrap();
    assert!(replicas.iter().all(|replica| replica.shows(&kept)));
    let writes = api.0.lock().unwrap().writes.clone();
    assert_eq!(writes, ["POST /api/v1/namespaces/ops/secrets"; 2], "both tried, neither leads");
    for replica in replicas {
        replica.stop().await;
    }
}

/// Half a day of certificates that live two hours, with two replicas that look at different times and take turns to lead.
#[tokio::test(start_paused = true)]
async fn at_every_moment_the_api_server_trusts_what_each_replica_shows() {
    let (api, clock) = (Api::with_configuration(), clock());
    let fences = [Fence::always_open(), Fence::closed()];
    let first = Replica::start(&api, &fences[0], clock.clone());
    sleep(17 * SECOND).await;
    let replicas = [first, Replica::start(&api, &fences[1], clock.clone())];
    sleep(5 * SECOND).await;
    let (mut shown, mut last) = (Vec::new(), None);
    for turn in 0..12 * 60 * 4 {
        if turn % (100 * 4) == 0 {
            let leader = turn / (100 * 4) % 2;
            fences[1 - leader].close();
            fences[leader].open_until(Instant::now() + Duration::from_secs(24 * 3600));
        }
        sleep(15 * SECOND).await;
        // Verification takes most of this test's time, so only a new state is verified, and each one once in a while.
        let certificates = replicas.iter().map(|replica| replica.slot.shown().unwrap().cert.clone());
        let state = (api.state(), certificates.collect::<Vec<_>>());
        if last.as_ref() == Some(&state) && turn % 40 != 0 {
            continue;
        }
        last = Some(state);
        for (number, replica) in replicas.iter().enumerate() {
            assert!(replica.is_accepted(&api, clock()), "replica {number} at {}", clock());
        }
        let current = api.kept().unwrap().serving;
        if shown.last() != Some(&current) {
            shown.push(current);
        }
    }
    // Each lives 80 minutes before it is renewed; a new leader waits the overlap anew.
    assert!((8..=10).contains(&shown.len()), "{} certificates", shown.len());
    assert!(api.trusted().len() <= 2);
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_settled_certificate_is_read_and_never_written() {
    let api = Api::with_configuration();
    let replica = Replica::start(&api, &Fence::always_open(), clock());
    sleep(MINUTE).await;
    let writes = api.0.lock().unwrap().writes.clone();
    assert_eq!(writes.len(), 2, "the Secret and the configuration: {writes:?}");
    sleep(60 * MINUTE).await;
    assert_eq!(api.0.lock().unwrap().writes, writes);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_applied_again_is_told_again() {
    let api = Api::with_configuration();
    let replica = Replica::start(&api, &Fence::always_open(), clock());
    sleep(MINUTE).await;
    assert_eq!(api.trusted(), api.kept().unwrap().trusted);
    let fresh = Api::with_configuration().0.lock().unwrap().configuration.take();
    api.0.lock().unwrap().configuration = fresh;
    assert!(api.trusted().is_empty());
    sleep(MINUTE).await;
    assert_eq!(api.trusted(), api.kept().unwrap().trusted);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_configuration_there_is_a_certificate_all_the_same() {
    let api = Api::default();
    let replica = Replica::start(&api, &Fence::always_open(), clock());
    sleep(MINUTE).await;
    assert!(replica.shows(&api.kept().unwrap()));
    assert_eq!(api.0.lock().unwrap().writes.len(), 1, "a configuration is not made");
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn contents_that_somebody_has_spoilt_are_replaced_by_the_leader_and_served_meanwhile_from_memory() {
    let (api, fence) = (Api::with_configuration(), Fence::closed());
    let replica = Replica::start(&api, &fence, clock());
    sleep(MINUTE).await;
    let before = api.kept().unwrap();
    api.0.lock().unwrap().secret.as_mut().unwrap()["data"]["tls.key"] = json!("eA==");
    sleep(10 * MINUTE).await;
    assert!(api.kept().is_none() && replica.shows(&before), "a follower leaves it to the leader");
    fence.open_until(Instant::now() + 60 * MINUTE);
    sleep(2 * MINUTE).await;
    let after = api.kept().unwrap();
    assert!(after != before && replica.shows(&after));
    assert_eq!(api.trusted(), after.trusted);
    replica.stop().await;
}

/// It asked every second, for as long as it took.
#[tokio::test(start_paused = true)]
async fn without_a_certificate_it_asks_less_and_less_often_and_at_least_once_in_a_minute() {
    let api = Api::with_configuration();
    api.0.lock().unwrap().broken = Some(0);
    let replica = Replica::start(&api, &Fence::always_open(), clock());
    let asked = |api: &Api| api.0.lock().unwrap().broken.unwrap();
    sleep(10 * SECOND).await;
    assert!((3..=5).contains(&asked(&api)), "{} questions in the first seconds", asked(&api));
    sleep(60 * MINUTE).await;
    assert!((60..=130).contains(&asked(&api)), "{} questions in an hour", asked(&api));
    api.0.lock().unwrap().broken = None;
    sleep(MINUTE).await;
    assert!(replica.shows(&api.kept().unwrap()));
    replica.stop().await;
}
