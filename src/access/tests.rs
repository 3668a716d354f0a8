//! The gate in front of an API server that knows three tokens.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt as _;
use kube_client::client::Body;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::telemetry::{Heard, LogFormat};

/// An API server that takes `time` for each answer and counts what it is asked, all in all and at the same time.
#[derive(Clone, Default)]
struct Api {
    time: Duration,
    asked: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

impl Api {
    fn slow(time: Duration) -> Self {
        Self { time, ..Self::default() }
    }

    fn gate(&self) -> Gate {
        let api = self.clone();
        let answer = move |request: http::Request<Body>| {
            let api = api.clone();
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                api.asked.fetch_add(1, Ordering::Relaxed);
                let now = api.at_once.fetch_add(1, Ordering::Relaxed) + 1;
                api.most_at_once.fetch_max(now, Ordering::Relaxed);
                sleep(api.time).await;
                api.at_once.fetch_sub(1, Ordering::Relaxed);
                let (code, body) = answer(&path, &serde_json::from_slice(&body).unwrap());
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(http::Response::builder().status(code).body(body).unwrap())
            }
        };
        let client = Client::new(kube_client::Client::new(tower::service_fn(answer), "default"));
        Gate::new(&client.behind(Fence::closed()))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(path: &str, question: &Value) -> (u16, Value) {
    match path {
        "/apis/authentication.k8s.io/v1/tokenreviews" => match question["spec"]["token"].as_str().unwrap() {
            "broken" => (500, json!({"kind": "Status", "code": 500, "message": "etcd is on fire"})),
            token if token.starts_with("of-") => {
                let user = json!({"username": &token[3..], "groups": ["g"], "uid": "u", "extra": {"a": ["b"]}});
                (201, json!({"status": {"authenticated": true, "user": user}}))
            }
            _ => (201, json!({"status": {"error": "invalid bearer token"}})),
        },
        "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
            let spec = &question["spec"];
            assert_eq!(spec["nonResourceAttributes"], json!({"path": "/metrics", "verb": "get"}));
            assert_eq!(
                (&spec["groups"], &spec["uid"], &spec["extra"]),
                (&json!(["g"]), &json!("u"), &json!({"a": ["b"]}))
            );
            (201, json!({"status": {"allowed": spec["user"] == "prometheus"}}))
        }
        other => panic!("{other}"),
    }
}

async fn admit(gate: &Gate, token: &str) -> Result<(), Refusal> {
    gate.admit(Some(&format!("Bearer {token}"))).await
}

#[tokio::test(start_paused = true)]
async fn who_may_read_the_metrics_passes_and_nobody_else() {
    let (api, gate) = (Api::default(), Api::default().gate());
    assert_eq!(admit(&gate, "of-prometheus").await, Ok(()));
    assert_eq!(admit(&gate, "of-mallory").await, Err(Refusal::Forbidden("mallory".to_owned())));
    assert_eq!(admit(&gate, "nobodys").await, Err(Refusal::Unknown));
    assert_eq!(admit(&gate, "broken").await, Err(Refusal::Unavailable));
    for header in
        [None, Some(""), Some("Bearer"), Some("Bearer  "), Some("Basic b2Y6cHJvbWV0aGV1cw=="), Some("of-prometheus")]
    {
        assert_eq!(api.gate().admit(header).await, Err(Refusal::NoToken), "{header:?}");
    }
    assert_eq!(api.asked(), 0, "without a token nobody is asked");
    assert_eq!(gate.admit(Some("bearer of-prometheus")).await, Ok(()), "the scheme may have any case");
}

#[tokio::test(start_paused = true)]
async fn the_same_token_is_not_looked_up_again_for_a_while() {
    let api = Api::default();
    let gate = api.gate();
    for _ in 0..5 {
        assert_eq!(admit(&gate, "of-prometheus").await, Ok(()));
    }
    assert_eq!(api.asked(), 2);
    sleep(Duration::from_secs(61)).await;
    assert_eq!(admit(&gate, "of-prometheus").await, Ok(()));
    assert_eq!(api.asked(), 4);
    for _ in 0..5 {
        assert_eq!(admit(&gate, "broken").await, Err(Refusal::Unavailable));
    }
    assert_eq!(api.asked(), 5, "an API server in trouble is asked once");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(admit(&gate, "broken").await, Err(Refusal::Unavailable));
    assert_eq!(api.asked(), 6, "and again after a few seconds");
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_few_for_the_api_server_and_none_waits_longer_than_its_patience() {
    let api = Api::slow(Duration::from_secs(1));
    let gate = Arc::new(api.gate());
    let mut clients = JoinSet::new();
    let started = Instant::now();
    for number in 0..100 {
        let gate = Arc::clone(&gate);
        clients.spawn(async move { admit(&gate, &format!("nobodys-{number}")).await });
    }
    let answers = clients.join_all().await;
    assert!(started.elapsed() <= PATIENCE, "{:?}", started.elapsed());
    assert_eq!(api.most_at_once.load(Ordering::Relaxed), LOOKUPS);
    let unavailable = answers.iter().filter(|answer| **answer == Err(Refusal::Unavailable)).count();
    assert!((75..=85).contains(&unavailable), "{unavailable} of 100 were not looked up");
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_server_is_a_refusal_in_time() {
    let gate = Api::slow(Duration::from_secs(3600)).gate();
    let started = Instant::now();
    assert_eq!(admit(&gate, "of-prometheus").await, Err(Refusal::Unavailable));
    assert!(started.elapsed() <= PATIENCE);
}

/// Prometheus scrapes again and again, and each line of a log costs somebody money.
#[tokio::test(start_paused = true)]
async fn that_nobody_can_be_asked_is_logged_once_until_somebody_can() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.subscriber(LogFormat::Json, "info"));
    let levels = || heard.lines().iter().map(|line| line["level"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let gate = Api::default().gate();
    for _ in 0..5 {
        assert_eq!(admit(&gate, "broken").await, Err(Refusal::Unavailable));
        sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(levels(), ["WARN"]);
    assert_eq!(admit(&gate, "of-prometheus").await, Ok(()));
    assert_eq!(admit(&gate, "broken").await, Err(Refusal::Unavailable));
    assert_eq!(levels(), ["WARN", "INFO", "WARN"]);
}
