//! Before an instance acts for the first time it reads again what it will decide from.

use serde_json::json;
use smooth_operator::informer::{Informer, Refresher};

use crate::fixture::recorded;
use crate::thing::{Thing, added, initial_end, modified, page, thing};
use crate::world::{World, unhurried};

async fn world() -> (World<Thing>, Refresher) {
    let mut refresher = None;
    let world = World::start(vec![None], unhurried(), |informer| refresher = Some(informer.refresher())).await;
    (world, refresher.unwrap())
}

#[tokio::test]
async fn a_refreshed_cache_is_synced_again_once_the_newest_state_is_complete() {
    let (mut world, refresher) = world().await;
    let stream = world.settled().await;
    assert!(world.synced.now());
    refresher.refresh();
    assert!(!world.synced.now(), "at once: nobody acts on what may be outdated");
    let mut fresh = world.asked("stream").await.stream().await;
    stream.hung_up().await;
    fresh.line(&added(&thing("a", 12))).await;
    fresh.line(&added(&thing("b", 6))).await;
    assert!(!world.synced.now());
    fresh.line(&initial_end(13)).await;
    world.synced.wait().await;
    world.tells(&["~n/a@12"]).await;
    fresh.line(&modified(&thing("b", 14))).await;
    world.tells(&["~n/b@14"]).await;
    assert!(world.counts(r#"smooth_operator_informer_relists_total{resource="things",reason="takeover"} 1"#));
}

/// A list that may be of any version is answered by an API server whose own cache may be behind.
#[tokio::test]
async fn without_streams_it_asks_for_the_newest_list_and_not_for_any() {
    let (mut world, refresher) = world().await;
    let refusal = recorded("watch/streaming-list-forbidden").response;
    world.asked("stream").await.json(refusal.status, &refusal.body).await;
    let first = world.asked("list 500 since 0").await;
    refresher.refresh();
    let newest = world.asked("list 500").await;
    first.hung_up().await;
    newest.json(200, &page(&[thing("a", 5)], 10, "")).await;
    world.synced.wait().await;
    world.tells(&["+n/a@5 low"]).await;
}

#[tokio::test]
async fn a_cache_that_was_refreshed_before_it_began_reads_the_newest_state_once() {
    let prepare = |informer: &mut Informer<Thing>| informer.refresher().refresh();
    let mut world = World::start(vec![None], unhurried(), prepare).await;
    let unsupported = json!({"kind": "Status", "code": 422, "reason": "Invalid"});
    world.asked("stream").await.json(422, &unsupported).await;
    world.asked("list 500").await.json(200, &page(&[thing("a", 5)], 10, "")).await;
    world.tells(&["+n/a@5 low"]).await;
    world.synced.wait().await;
    assert!(world.counts(r#"smooth_operator_informer_relists_total{resource="things",reason="takeover"} 0"#));
}
