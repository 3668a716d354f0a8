//! A cache is behind its own operator. What is remembered of writes bridges that, for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use smooth_operator::informer::Timing;
use smooth_operator::mcpserver::children::Deployment;
use smooth_operator::mcpserver::kind::ChildKind;
use smooth_operator::mcpserver::memory::{Memory, Written};
use smooth_operator::mcpserver::observe::{Stores, observe};
use smooth_operator::mcpserver::triggers::Informers;
use tokio::time::Instant;

use crate::thing::{added, bookmark, deleted, initial_end, key, modified, with};
use crate::world::{World, unhurried, until};

fn deployment(version: u64) -> Value {
    json!({
        "metadata": {"namespace": "n", "name": "web", "uid": "d", "resourceVersion": version.to_string()},
        "spec": {},
    })
}

/// The stores of an operator of which only the Deployments are watched, settled at 10.
async fn world() -> (World<Deployment>, crate::scripted::Stream, Stores) {
    let mut world = World::<Deployment>::start(vec![None], unhurried(), |_| {}).await;
    let mut stream = world.asked("stream").await.stream().await;
    stream.line(&added(&deployment(5))).await;
    stream.line(&initial_end(10)).await;
    world.synced.wait().await;
    let others = Informers::new(&[None], &Timing::default()).stores();
    let stores = Stores { deployments: world.store.clone(), ..others };
    (world, stream, stores)
}

#[tokio::test]
async fn a_key_waits_until_the_store_has_seen_its_own_write_and_no_longer() {
    for seen in [
        modified(&deployment(12)),
        deleted(&deployment(13)),
        bookmark(12),
        added(&with(deployment(14), "/metadata/name", json!("other"))),
    ] {
        let (_world, mut stream, stores) = world().await;
        let (memory, now) = (Memory::default(), Instant::now());
        assert_eq!(memory.behind(&key("web"), &stores, now), None, "nothing was written");
        memory.wrote(&key("web"), Written::Child(ChildKind::Deployment), "12".into(), now);
        let wait = memory.behind(&key("web"), &stores, now).expect("the store is behind");
        assert!(wait <= Duration::from_secs(10));
        assert_eq!(memory.behind(&key("other"), &stores, now), None, "nobody else waits");
        stream.line(&seen).await;
        until("it was seen", || memory.behind(&key("web"), &stores, now).is_none()).await;
    }
}

#[tokio::test]
async fn an_earlier_event_does_not_end_the_wait_and_ten_seconds_do() {
    let (world, mut stream, stores) = world().await;
    let (memory, now) = (Memory::default(), Instant::now());
    memory.wrote(&key("web"), Written::Child(ChildKind::Deployment), "100".into(), now);
    stream.line(&modified(&deployment(99))).await;
    until("the event is in", || world.holds() == ["n/web@99"]).await;
    assert!(memory.behind(&key("web"), &stores, now).is_some(), "99 is less than 100, whatever their digits");
    assert_eq!(memory.behind(&key("web"), &stores, now + Duration::from_secs(9)), Some(Duration::from_secs(1)));
    assert_eq!(
        memory.behind(&key("web"), &stores, now + Duration::from_secs(10)),
        None,
        "the watch has trouble, not the key"
    );
    assert_eq!(memory.behind(&key("web"), &stores, now), None, "and that is forgotten");
    // On the old state the same is written again. It changed nothing, so nothing is told of it.
    assert!(!memory.wrote(&key("web"), Written::Child(ChildKind::Deployment), "100".into(), now));
    assert!(memory.wrote(&key("web"), Written::Child(ChildKind::Deployment), "101".into(), now));
}

/// What is there and can't be read was taken for absent, and made again and again.
#[tokio::test]
async fn a_child_that_can_not_be_read_is_observed_as_such() {
    let mut servers = World::start(vec![None], unhurried(), |_| {}).await;
    let mut stream = servers.asked("stream").await.stream().await;
    stream.line(&added(&with(with(deployment(5), "/spec", json!({"image": "x"})), "/metadata/uid", json!("s")))).await;
    stream.line(&initial_end(10)).await;
    servers.synced.wait().await;
    let (world, mut stream, stores) = world().await;
    let stores = Stores { servers: servers.store.clone(), ..stores };
    assert_eq!(observe(&stores, &key("web")).unwrap().unreadable, BTreeMap::new());
    stream
        .line(&modified(&with(
            deployment(11),
            "/metadata",
            json!({"namespace": "n", "name": "web", "uid": "d", "resourceVersion": "11", "labels": 7}),
        )))
        .await;
    until("it is in", || world.holds() == ["n/web@11 invalid"]).await;
    let observed = observe(&stores, &key("web")).unwrap();
    assert!(observed.deployment.is_none());
    let unreadable = &observed.unreadable[&ChildKind::Deployment];
    assert!(unreadable.starts_with("Deployment web can't be read: invalid type: integer `7`"), "{unreadable}");
}
