//! The fence: no write is sent once it is closed, and none outlives it.

use std::time::Duration;

use serde_json::{Value, json};
use smooth_operator::client::{Client, Error, Fence, ListParams, Request, WatchParams};
use smooth_operator::object::{DEPLOYMENTS, LEASES, ObjectKey};
use tokio::time::Instant;

use crate::fixture::client_of;
use crate::scripted::Server;

fn web() -> ObjectKey {
    ObjectKey::new("n", "web")
}

/// One of each way to change the cluster.
fn writes() -> [Request; 5] {
    let object = json!({"metadata": {"name": "web"}});
    [
        Request::create(&LEASES, &web(), &object),
        Request::replace(&LEASES, &web(), &object),
        Request::merge_patch(&DEPLOYMENTS, &web(), &object),
        Request::apply(&DEPLOYMENTS, &web(), &object),
        Request::apply_status(&DEPLOYMENTS, &web(), &object),
    ]
}

async fn world() -> (Server, Client) {
    let server = Server::start().await;
    let client = client_of(&server.url).await;
    (server, client)
}

/// Asks, and lets the server answer with an empty object.
async fn passes(server: &mut Server, client: &Client, request: Request) -> String {
    let uri = request.uri().to_owned();
    let answer = async {
        let asked = server.next().await;
        let method = asked.method.clone();
        asked.json(200, &json!({})).await;
        method
    };
    let (sent, method) = tokio::join!(client.send::<Value>(request), answer);
    sent.unwrap_or_else(|error| panic!("{uri}: {error}"));
    method
}

#[tokio::test]
async fn nothing_that_writes_leaves_a_closed_fence_and_everything_that_reads_does() {
    let (mut server, client) = world().await;
    let fenced = client.behind(Fence::closed());
    for write in writes() {
        let operation = write.operation.to_string();
        let error = fenced.send::<Value>(write).await.unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }), "{error}");
        assert_eq!(error.to_string(), format!("{operation}: not sent, this instance does not hold the lease"));
    }
    assert_eq!(
        passes(&mut server, &fenced, Request::get(&DEPLOYMENTS, &web())).await,
        "GET",
        "the first that the server hears of"
    );
    let list = fenced.list(Request::list(&DEPLOYMENTS, None, None, &ListParams::default()), |_| {});
    let answer =
        async { server.next().await.json(200, &json!({"metadata": {"resourceVersion": "7"}, "items": []})).await };
    assert_eq!(tokio::join!(list, answer).0.unwrap().resource_version.as_str(), "7");
    let params = WatchParams { resource_version: None, send_initial_events: false, timeout: Duration::from_secs(300) };
    let watch = fenced.watch(Request::watch(&DEPLOYMENTS, None, None, &params));
    let (watch, _stream) = tokio::join!(watch, async { server.next().await.stream().await });
    watch.unwrap();
}

#[tokio::test]
async fn every_kind_of_write_passes_an_open_fence() {
    let (mut server, client) = world().await;
    let fence = Fence::closed();
    let fenced = client.behind(fence.clone());
    fence.open_until(Instant::now() + Duration::from_secs(60));
    for (write, method) in writes().into_iter().zip(["POST", "PUT", "PATCH", "PATCH", "PATCH"]) {
        assert_eq!(passes(&mut server, &fenced, write).await, method);
    }
    fence.close();
    let [create, ..] = writes();
    assert!(matches!(fenced.send::<Value>(create).await, Err(Error::Fenced { .. })));
    assert!(server.was_asked_nothing_more());
}

#[tokio::test]
async fn a_write_that_hangs_is_cut_when_the_fence_closes_and_not_thirty_seconds_later() {
    let (mut server, client) = world().await;
    let fence = Fence::closed();
    let deadline = Instant::now() + Duration::from_millis(500);
    fence.open_until(deadline);
    let fenced = client.behind(fence);
    let [.., apply, _] = writes();
    let hangs = async { server.next().await.hung_up().await };
    let (sent, ()) = tokio::join!(fenced.send::<Value>(apply), hangs);
    let Err(Error::Timeout { after, .. }) = sent else { panic!("{sent:?}") };
    assert!(after <= Duration::from_millis(500) && Instant::now() >= deadline, "{after:?}");
    let [create, ..] = writes();
    assert!(matches!(fenced.send::<Value>(create).await, Err(Error::Fenced { .. })), "its time is over");
}

#[tokio::test]
async fn an_answer_that_stalls_in_its_middle_does_not_outlive_the_fence_either() {
    let (mut server, client) = world().await;
    let fence = Fence::closed();
    fence.open_until(Instant::now() + Duration::from_millis(500));
    let [create, ..] = writes();
    let stalls = async {
        let mut answer = server.next().await.stream().await;
        answer.bytes(b"{\"metadata\":").await;
        answer.hung_up().await;
    };
    let (sent, ()) = tokio::join!(async { client.behind(fence).send::<Value>(create).await }, stalls);
    assert!(matches!(sent, Err(Error::Timeout { .. })), "{sent:?}");
}

#[tokio::test]
async fn a_client_behind_a_fence_shares_the_connection_and_not_the_fence() {
    let (mut server, client) = world().await;
    let fenced = client.behind(Fence::closed());
    let [create, replace, ..] = writes();
    assert_eq!(passes(&mut server, &client, create).await, "POST", "the original has none");
    assert!(
        matches!(fenced.clone().send::<Value>(replace).await, Err(Error::Fenced { .. })),
        "a clone has the same one"
    );
    let reopened = fenced.behind(Fence::always_open());
    let [_, replace, ..] = writes();
    assert_eq!(passes(&mut server, &reopened, replace).await, "PUT");
}
