//! Several namespaces, several readers, one store; and the end of it all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use smooth_operator::informer::{Informer, Scope};
use smooth_operator::telemetry::Metrics;
use smooth_operator::workqueue::{RateLimit, Workqueue};
use tokio::sync::oneshot;

use crate::fixture::recorded;
use crate::scripted::LONG;
use crate::thing::{THINGS, Thing, added, deleted, error, initial_end, key, modified, thing, with};
use crate::world::{World, unhurried, until};

fn of(namespace: &str) -> String {
    format!("/apis/test.dev/v1/namespaces/{namespace}/things")
}

#[tokio::test]
async fn several_namespaces_share_one_store_and_nothing_else_is_asked_for() {
    let scopes: Vec<Scope> = vec![Some("n".into()), Some("m".into())];
    let mut world = World::<Thing>::start(scopes, unhurried(), |_| {}).await;
    let (n, m) = (world.server.next_to(&of("n")).await, world.server.next_to(&of("m")).await);
    let (mut n, mut m) = (n.stream().await, m.stream().await);
    n.line(&added(&thing("a", 5))).await;
    n.line(&initial_end(10)).await;
    world.tells(&["+n/a@5 low"]).await;
    assert!(!world.synced.now(), "one namespace is not known yet");
    m.line(&added(&with(thing("a", 7), "/metadata/namespace", "m".into()))).await;
    m.line(&initial_end(9)).await;
    world.tells(&["+m/a@7 low"]).await;
    world.synced.wait().await;

    n.line(&error(410, &serde_json::json!({}))).await;
    let again = world.server.next_to(&of("n")).await;
    assert_eq!(again.what(), "stream since 10");
    again.stream().await.line(&initial_end(30)).await;
    world.tells(&["-n/a@5 or later"]).await;
    assert_eq!(world.holds(), ["m/a@7"], "a relist of one namespace says nothing about another");
    assert!(world.synced.now() && world.server.was_asked_nothing_more());
}

#[tokio::test]
async fn one_namespace_that_may_not_be_read_does_not_hold_up_the_other() {
    let scopes: Vec<Scope> = vec![Some("n".into()), Some("m".into())];
    let mut world = World::<Thing>::start(scopes, unhurried(), |_| {}).await;
    let forbidden = recorded("auth/forbidden-list").response;
    world.server.next_to(&of("m")).await.json(403, &forbidden.body).await;
    let mut n = world.server.next_to(&of("n")).await.stream().await;
    n.line(&added(&thing("a", 5))).await;
    n.line(&initial_end(10)).await;
    world.tells(&["+n/a@5 low"]).await;
    n.line(&modified(&thing("a", 11))).await;
    world.tells(&["~n/a@11"]).await;
    assert!(!world.synced.now());
}

/// A worker that never finishes, while ten thousand changes of two objects come: the reader has read them all, and what waits is one
/// key for each object.
#[tokio::test]
async fn a_slow_consumer_holds_up_nobody_and_makes_nothing_pile_up() {
    let queue = Workqueue::new(RateLimit::default(), Metrics::new().queue("things"));
    let (to, deepest) = (queue.clone(), Arc::new(AtomicUsize::new(0)));
    let depth = Arc::clone(&deepest);
    let mut world = World::<Thing>::start(vec![None], unhurried(), |informer| {
        informer.subscribe(move |change| {
            change.states().take(1).for_each(|entry| to.add(entry.key().clone()));
            depth.fetch_max(to.len(), Ordering::Relaxed);
        });
    })
    .await;
    let mut stream = world.settled().await;
    let busy = queue.get().await.unwrap();
    let mut changes = String::new();
    for version in 11..=10_010 {
        let name = if version % 2 == 0 { "a" } else { "b" };
        changes += &modified(&thing(name, version)).to_string();
        changes.push('\n');
    }
    stream.bytes(changes.as_bytes()).await;
    until("everything is read", || world.store.has_seen(&key("a"), &"10010".into())).await;
    assert_eq!((queue.len(), deepest.load(Ordering::Relaxed)), (1, 2), "one waits, one is being worked on");
    queue.done(busy);
    assert_eq!(queue.len(), 2, "and has changed meanwhile");
}

#[tokio::test]
async fn all_namespaces_are_one_request() {
    let mut world = World::of_things().await;
    assert_eq!(world.server.next().await.path, THINGS);
}

/// A handler that reads the store would wait for ever for a lock that is held around it.
#[tokio::test]
async fn a_handler_finds_the_new_state_in_the_store_and_no_lock_in_its_way() {
    let found = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&found);
    let mut world = World::start(vec![None], unhurried(), |informer: &mut Informer<Thing>| {
        let store = informer.store();
        informer.subscribe(move |change| {
            let key = change.states().next().unwrap().key().clone();
            let version = store.get(&key).map(|entry| entry.resource_version().to_string());
            seen.lock().unwrap().push((key.to_string(), version, store.len()));
        });
    })
    .await;
    let mut stream = world.settled().await;
    stream.line(&modified(&thing("a", 11))).await;
    stream.line(&deleted(&thing("b", 12))).await;
    until("all are told", || found.lock().unwrap().len() == 4).await;
    let expected = [("n/a", Some("5"), 2), ("n/b", Some("6"), 2), ("n/a", Some("11"), 2), ("n/b", None, 1)];
    let expected = expected.map(|(key, version, len)| (key.to_owned(), version.map(str::to_owned), len));
    assert_eq!(*found.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_stop_ends_every_task_wherever_it_waits() {
    let scopes: Vec<Scope> =
        ["streams", "lists", "backs-off", "has-no-answer"].map(|namespace| Some(namespace.into())).to_vec();
    let mut world =
        World::start(scopes, unhurried(), |informer: &mut Informer<Thing>| informer.resync_every(LONG)).await;
    assert_eq!(world.tasks(), 5, "one for each namespace, and the resync");
    let mut streams = world.server.next_to(&of("streams")).await.stream().await;
    streams.line(&initial_end(10)).await;
    let refusal = recorded("watch/streaming-list-forbidden").response;
    world.server.next_to(&of("lists")).await.json(refusal.status, &refusal.body).await;
    let mut lists = world.server.next_to(&of("lists")).await.stream().await;
    lists.bytes(b"{\"items\":[").await;
    world.server.next_to(&of("backs-off")).await.json(500, &serde_json::json!({})).await;
    let unanswered = world.server.next_to(&of("has-no-answer")).await;
    until("the stream is read", || {
        world.counts(r#"smooth_operator_informer_relists_total{resource="things",reason="initial"} 1"#)
    })
    .await;
    let (told, hangs_up) = oneshot::channel();
    tokio::spawn(async move {
        streams.hung_up().await;
        lists.hung_up().await;
        unanswered.hung_up().await;
        told.send(()).unwrap_or_default();
    });
    world.stops().await;
    hangs_up.await.expect("every connection in use is closed");
}
