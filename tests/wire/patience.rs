//! Every wait has an end, every answer a greatest size, and an error says what it was about.

use std::time::Duration;

use serde_json::{Value, json};
use smooth_operator::client::{Client, Error, ListParams, Request, StreamError, WatchParams};
use smooth_operator::object::{DEPLOYMENTS, ObjectKey, SECRETS};
use smooth_operator::telemetry::Metrics;
use tokio::net::TcpListener;

use crate::fixture::client_of;
use crate::scripted::Server;
use crate::thing::{bookmark, page, thing};

const SHORT: Duration = Duration::from_millis(300);

async fn world() -> (Server, Client) {
    let server = Server::start().await;
    let client = client_of(&server.url).await;
    (server, client)
}

fn get() -> Request {
    Request::get(&DEPLOYMENTS, &ObjectKey::new("n", "web"))
}

fn list() -> Request {
    Request::list(&SECRETS, Some("n"), None, &ListParams::default())
}

fn watch() -> Request {
    Request::watch(
        &SECRETS,
        None,
        None,
        &WatchParams { resource_version: None, send_initial_events: false, timeout: Duration::from_secs(300) },
    )
}

#[tokio::test]
async fn an_answer_that_never_comes_is_an_error_that_says_so() {
    let (mut server, client) = world().await;
    let hurried = client.with_timeout(SHORT);
    let (sent, ()) = tokio::join!(hurried.send::<Value>(get()), async { server.next().await.hung_up().await });
    assert_eq!(sent.unwrap_err().to_string(), "get deployments.apps n/web: no answer within 300ms");
    let (listed, ()) = tokio::join!(hurried.list(list(), |_| {}), async { server.next().await.hung_up().await });
    assert_eq!(listed.unwrap_err().to_string(), "list secrets in namespace n: no answer within 300ms");
    let (watched, ()) = tokio::join!(hurried.watch(watch()), async { server.next().await.hung_up().await });
    assert_eq!(watched.unwrap_err().to_string(), "watch secrets in all namespaces: no answer within 300ms");
}

/// A server that hangs was invisible: what was given up had neither an answer nor an error to be counted by.
#[tokio::test]
async fn every_request_is_counted_once_and_one_without_an_answer_as_an_error() {
    let (mut server, client) = world().await;
    let metrics = Metrics::new();
    let measured = client.with_timeout(SHORT).measured_by(metrics.client("here"));
    let (answered, ()) =
        tokio::join!(measured.send::<Value>(get()), async { server.next().await.json(200, &json!({})).await });
    answered.unwrap();
    let (refused, ()) =
        tokio::join!(measured.send::<Value>(get()), async { server.next().await.json(404, &json!({})).await });
    refused.unwrap_err();
    let (given_up, ()) = tokio::join!(measured.send::<Value>(get()), async { server.next().await.hung_up().await });
    given_up.unwrap_err();
    let (broken, ()) = tokio::join!(measured.send::<Value>(get()), async { drop(server.next().await) });
    broken.unwrap_err();
    let text = metrics.render().unwrap();
    for (code, count) in [("200", 1), ("404", 1), ("<error>", 2)] {
        let line = format!("rest_client_requests_total{{code=\"{code}\",method=\"GET\",host=\"here\"}} {count}");
        assert!(text.lines().any(|rendered| rendered == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn an_answer_that_stops_in_its_middle_is_no_answer() {
    let (mut server, client) = world().await;
    let hurried = client.with_timeout(SHORT);
    let stalls = async |server: &mut Server| {
        let mut body = server.next().await.stream().await;
        body.bytes(b"{\"items\":[").await;
        body.hung_up().await;
    };
    let (sent, ()) = tokio::join!(hurried.send::<Value>(get()), stalls(&mut server));
    assert!(matches!(sent, Err(Error::Timeout { .. })), "{sent:?}");
    let (listed, ()) = tokio::join!(hurried.list(list(), |_| {}), stalls(&mut server));
    assert!(matches!(listed, Err(Error::Timeout { .. })), "{listed:?}");
}

/// All objects of a large cluster over a slow line took longer than any answer may, each time anew.
#[tokio::test]
async fn a_list_may_take_longer_than_any_answer_as_long_as_it_goes_on() {
    let (mut server, client) = world().await;
    let hurried = client.with_timeout(SHORT);
    let text = page(&[thing("a", 5), thing("b", 6)], 10, "").to_string();
    let trickles = async {
        let mut body = server.next().await.stream().await;
        for part in text.as_bytes().chunks(text.len() / 6) {
            body.bytes(part).await;
            tokio::time::sleep(SHORT / 3).await;
        }
        body.end().await;
    };
    let mut items = 0;
    let (listed, ()) = tokio::join!(hurried.list(list(), |_| items += 1), trickles);
    assert_eq!((listed.unwrap().resource_version.as_str(), items), ("10", 2));
}

#[tokio::test]
async fn an_open_watch_may_be_silent_for_longer_than_any_answer_may_take() {
    let (mut server, client) = world().await;
    let hurried = client.with_timeout(SHORT);
    let (watched, mut stream) = tokio::join!(hurried.watch(watch()), async { server.next().await.stream().await });
    let mut watched = watched.unwrap();
    assert!(tokio::time::timeout(SHORT * 2, watched.next_line()).await.is_err(), "nothing comes");
    stream.line(&bookmark(7)).await;
    assert!(watched.next_line().await.unwrap().unwrap().starts_with(b"{"), "waiting for it in vain has lost nothing");
    stream.end().await;
    assert!(watched.next_line().await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_that_is_cut_is_not_mistaken_for_one_that_ended() {
    let (mut server, client) = world().await;
    for reset in [false, true] {
        let (watched, stream) = tokio::join!(client.watch(watch()), async { server.next().await.stream().await });
        if reset {
            stream.reset();
        } else {
            stream.cut();
        }
        let error = watched.unwrap().next_line().await.unwrap_err();
        assert!(matches!(error, StreamError::Broken(_)), "{error}");
    }
}

#[tokio::test]
async fn a_refused_connection_names_the_operation_and_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client_of(&url).await.send::<Value>(get()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert!(error.to_string().starts_with("get deployments.apps n/web: Connection refused"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_an_error_and_not_a_second_try() {
    let (mut server, client) = world().await;
    let create = Request::create(&DEPLOYMENTS, &ObjectKey::new("n", "web"), &json!({}));
    let (sent, ()) = tokio::join!(client.send::<Value>(create), async { drop(server.next().await) });
    assert!(matches!(sent, Err(Error::Transport { .. })), "{sent:?}");
    assert!(server.was_asked_nothing_more(), "whether to write again is not the client's to decide");
}

#[tokio::test]
async fn no_code_makes_the_client_ask_again_by_itself() {
    let (mut server, client) = world().await;
    for code in [429, 500, 502, 503, 504] {
        let (sent, ()) = tokio::join!(client.send::<Value>(get()), async {
            server.next().await.answer(code, &[("retry-after", "0")], "").await;
        });
        assert_eq!(sent.unwrap_err().code(), code);
        assert!(server.was_asked_nothing_more());
    }
}

#[tokio::test]
async fn an_answer_that_is_no_json_says_so_and_for_what() {
    let (mut server, client) = world().await;
    let (sent, ()) =
        tokio::join!(client.send::<Value>(get()), async { server.next().await.answer(200, &[], "<html>").await });
    let error = sent.unwrap_err();
    assert!(matches!(error, Error::Answer { .. }), "{error:?}");
    assert!(
        error.to_string().starts_with("get deployments.apps n/web: the answer can't be read: expected value"),
        "{error}"
    );
    let half = page(&[thing("a", 5)], 10, "").to_string();
    let (listed, ()) = tokio::join!(client.list(list(), |_| {}), async {
        server.next().await.answer(200, &[], half.split_at(90).0).await;
    });
    assert_eq!(
        listed.unwrap_err().to_string(),
        "list secrets in namespace n: the answer can't be read: the list is cut short or malformed"
    );
}

/// A proxy's error page can be of any length, and may break off. The code has been said by then, and is what counts.
#[tokio::test]
async fn a_refusal_keeps_its_code_however_long_or_broken_its_text() {
    let (mut server, client) = world().await;
    let long = "no ".repeat(100_000);
    let (sent, ()) =
        tokio::join!(client.send::<Value>(get()), async { server.next().await.answer(403, &[], &long).await });
    let error = sent.unwrap_err();
    assert_eq!(error.code(), 403, "{error}");
    assert!(error.to_string().len() < 400, "{error}");
    let broken = async {
        let asked = server.next().await;
        asked.answer_in_part(409, r#"{"kind":"Status","#).await;
    };
    let (sent, ()) = tokio::join!(client.send::<Value>(get()), broken);
    assert_eq!(sent.unwrap_err().code(), 409);
}

#[tokio::test]
async fn an_answer_past_the_bound_is_refused() {
    let (mut server, client) = world().await;
    let endless = async {
        let mut body = server.next().await.stream().await;
        body.bytes(&vec![b' '; Client::MAX_OBJECT]).await;
        body.bytes(b"  ").await;
        body.hung_up().await;
    };
    let (sent, ()) = tokio::join!(client.send::<Value>(get()), endless);
    assert!(matches!(sent, Err(Error::Transport { .. })), "{sent:?}");
}
