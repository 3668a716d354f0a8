//! What happened while nobody looked: deletions, replacements, a database that was restored.

use serde_json::{Value, json};

use crate::fixture::recorded;
use crate::thing::{Thing, added, bookmark, error, initial_end, key, modified, thing, with};
use crate::world::World;

#[tokio::test]
async fn a_deletion_that_was_missed_is_told_after_the_state_is_learned_anew() {
    let mut world = World::of_things().await;
    world.settled().await.cut();
    let mut watch = world.asked("watch since 10").await.stream().await;
    watch.bytes(recorded("watch/gone").body().as_bytes()).await;
    let mut stream = world.asked("stream since 10").await.stream().await;
    stream.line(&added(&thing("b", 6))).await;
    stream.line(&added(&thing("c", 48))).await;
    assert_eq!(world.holds(), ["n/a@5", "n/b@6"], "the old state is served until the new one is whole");
    stream.line(&initial_end(50)).await;
    world.tells(&["-n/a@5 or later", "+n/c@48"]).await;
    assert!(world.has_told_nothing_more(), "b has not changed");
    assert!(world.counts(r#"smooth_operator_informer_relists_total{resource="things",reason="expired"} 1"#));
    stream.line(&modified(&thing("b", 51))).await;
    world.tells(&["~n/b@51"]).await;
}

#[tokio::test]
async fn a_watch_that_is_refused_as_gone_lists_again_and_asks_for_the_newest_where_that_is_gone_too() {
    let mut world = World::of_things().await;
    world.settled().await.cut();
    let gone = recorded("mcpservers/list-exact-expired").response;
    world.asked("watch since 10").await.json(gone.status, &gone.body).await;
    let mut stream = world.asked("stream since 10").await.stream().await;
    stream.line(&error(410, &json!({}))).await;
    let mut stream = world.asked("stream").await.stream().await;
    stream.line(&initial_end(50)).await;
    world.tells(&["-n/a@5 or later", "-n/b@6 or later"]).await;
    assert!(world.store.is_empty());
}

#[tokio::test]
async fn a_name_that_was_given_to_another_object_meanwhile_is_a_deletion_and_an_addition() {
    let mut world = World::of_things().await;
    world.settled().await.cut();
    let mut watch = world.asked("watch since 10").await.stream().await;
    watch.line(&error(410, &json!({}))).await;
    let mut stream = world.asked("stream since 10").await.stream().await;
    stream.line(&added(&with(thing("a", 30), "/metadata/uid", json!("another")))).await;
    stream.line(&added(&thing("b", 6))).await;
    stream.line(&initial_end(50)).await;
    world.tells(&["-n/a@5 or later", "+n/a@30"]).await;
}

#[tokio::test]
async fn versions_that_go_backwards_are_noticed_and_the_newest_state_is_asked_for() {
    tokio::join!(goes_backwards(bookmark(9)), goes_backwards(modified(&thing("a", 9))));
}

async fn goes_backwards(line: Value) {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    stream.line(&line).await;
    let mut stream = world.asked("stream").await.stream().await;
    assert_eq!(world.holds(), ["n/a@5", "n/b@6"], "the line itself is not believed");
    stream.line(&added(&thing("a", 4))).await;
    stream.line(&initial_end(8)).await;
    world.tells(&["-n/b@6 or later", "~n/a@4"]).await;
    stream.line(&bookmark(9)).await;
    stream.line(&modified(&thing("a", 10))).await;
    world.tells(&["~n/a@10"]).await;
}

/// A restored server counts its versions a second time. What it now calls 5 may be something else than what it called 5
/// before, and a relist that goes by the version alone keeps the object that never was.
#[tokio::test]
async fn after_a_restore_the_same_version_is_not_taken_for_the_same_state() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    stream.line(&bookmark(9)).await;
    let mut stream = world.asked("stream").await.stream().await;
    stream.line(&added(&with(thing("a", 5), "/size", json!(2)))).await;
    stream.line(&added(&thing("b", 6))).await;
    stream.line(&initial_end(8)).await;
    world.tells(&["~n/a@5"]).await;
    assert!(world.has_told_nothing_more(), "b is what it was, and nobody has to look at it again");
    let size = |entry: Option<smooth_operator::informer::Entry<Thing>>| entry.unwrap().valid().unwrap().size;
    assert_eq!(size(world.store.get(&key("a"))), 2);
}
