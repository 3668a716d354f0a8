//! How an informer learns the whole state: by a streaming list where it can, in pages where it must.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use smooth_operator::informer::{Informer, Origin, Synced, Timing};

use crate::fixture::recorded;
use crate::logs::lines_with;
use crate::thing::{Thing, added, bad_thing, bookmark, deleted, error, initial_end, key, modified, page, thing, with};
use crate::world::{World, unhurried, until};

/// A world whose server has refused to stream lists.
async fn without_streams() -> World<Thing> {
    let mut world = World::of_things().await;
    let refusal = recorded("watch/streaming-list-forbidden").response;
    world.asked("stream").await.json(refusal.status, &refusal.body).await;
    world
}

#[tokio::test]
async fn a_streaming_list_comes_first_and_goes_on_as_the_watch() {
    let mut world = World::of_things().await;
    let asked = world.asked("stream").await;
    assert!((300..=600).contains(&asked.timeout_seconds()));
    let mut stream = asked.stream().await;
    stream.line(&added(&thing("b", 9))).await;
    stream.line(&added(&thing("a", 5))).await;
    stream.line(&initial_end(10)).await;
    world.tells(&["+n/a@5 low", "+n/b@9 low"]).await;
    stream.line(&modified(&thing("a", 11))).await;
    stream.line(&deleted(&thing("b", 12))).await;
    stream.line(&added(&thing("c", 13))).await;
    world.tells(&["~n/a@11", "-n/b@12", "+n/c@13"]).await;
    assert_eq!(world.holds(), ["n/a@11", "n/c@13"]);
    assert!(world.server.was_asked_nothing_more(), "it is one stream");
}

#[tokio::test]
async fn the_bookmark_at_the_end_of_the_initial_events_makes_the_state_whole_and_nothing_before_it() {
    let mut world = World::of_things().await;
    let mut stream = world.asked("stream").await.stream().await;
    stream.line(&added(&thing("a", 5))).await;
    stream.line(&bookmark(7)).await;
    stream.line(&deleted(&thing("a", 8))).await;
    stream.line(&added(&thing("b", 9))).await;
    until("the lines are read", || {
        world.counts(r#"smooth_operator_informer_events_total{resource="things",type="BOOKMARK"} 1"#)
    })
    .await;
    assert!(world.store.is_empty() && world.has_told_nothing_more() && !world.synced.now());
    stream.line(&initial_end(10)).await;
    world.tells(&["+n/b@9 low"]).await;
    world.synced.wait().await;
}

#[tokio::test]
async fn synced_means_that_every_key_was_handed_over_before() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let mut world = World::start(vec![None], unhurried(), |informer: &mut Informer<Thing>| {
        let synced: Synced = informer.synced();
        informer.subscribe(move |change| told.lock().unwrap().push((change.origin, synced.now())));
    })
    .await;
    world.settled().await;
    assert_eq!(
        *seen.lock().unwrap(),
        [(Origin::Initial, false), (Origin::Initial, false)],
        "told as initial, and not synced yet"
    );
}

#[tokio::test]
async fn an_empty_state_is_a_state_too() {
    let mut world = World::of_things().await;
    let mut stream = world.asked("stream").await.stream().await;
    assert!(!world.synced.now());
    stream.line(&initial_end(10)).await;
    world.synced.wait().await;
    assert!(world.store.is_empty() && world.has_told_nothing_more());
}

#[tokio::test]
async fn a_server_that_refuses_to_stream_is_asked_for_pages_now_and_ever_after() {
    let mut world = without_streams().await;
    world.asked("list 500 since 0").await.json(200, &page(&[thing("a", 5)], 10, "")).await;
    world.tells(&["+n/a@5 low"]).await;
    let mut watch = world.asked("watch since 10").await.stream().await;
    watch.line(&error(410, &json!({}))).await;
    world.asked("list 500 since 10").await.json(200, &page(&[], 20, "")).await;
    world.tells(&["-n/a@5 or later"]).await;
    world.asked("watch since 20").await;
}

#[tokio::test]
async fn a_server_that_accepts_to_stream_and_then_can_not_is_asked_for_pages() {
    let mut world = World::of_things().await;
    let mut stream = world.asked("stream").await.stream().await;
    stream.bytes(recorded("watch/streaming-list-unsupported").body().as_bytes()).await;
    stream.end().await;
    world.asked("list 500 since 0").await.json(200, &page(&[thing("a", 5)], 10, "")).await;
    world.tells(&["+n/a@5 low"]).await;
    world.asked("watch since 10").await;
}

#[tokio::test]
async fn a_streaming_list_that_never_ends_is_given_up_for_a_list() {
    let timing = Timing { streaming_silence: Duration::from_millis(200), ..unhurried() };
    let mut world = World::<Thing>::start(vec![None], timing, |_| {}).await;
    let mut stream = world.asked("stream").await.stream().await;
    stream.line(&added(&thing("ghost", 5))).await;
    let list = world.asked("list 500 since 0").await;
    assert!(world.store.is_empty(), "half a state is none");
    list.json(200, &page(&[thing("a", 6)], 10, "")).await;
    world.tells(&["+n/a@6 low"]).await;
    let mut watch = world.asked("watch since 10").await.stream().await;
    watch.line(&error(410, &json!({}))).await;
    world.asked("stream since 10").await;
    stream.hung_up().await;
}

#[tokio::test]
async fn pages_are_put_together_and_take_effect_at_once() {
    let mut world = without_streams().await;
    world.asked("list 500 since 0").await.json(200, &page(&[thing("a", 5)], 10, "two")).await;
    world.asked("list 500 page two").await.json(200, &page(&[thing("b", 6)], 10, "three/+=")).await;
    let last = world.asked("list 500 page three/+=").await;
    assert!(world.store.is_empty() && world.has_told_nothing_more());
    last.json(200, &page(&[thing("c", 7)], 10, "")).await;
    world.tells(&["+n/a@5 low", "+n/b@6 low", "+n/c@7 low"]).await;
    world.asked("watch since 10").await;
}

#[tokio::test]
async fn a_list_that_expires_between_its_pages_is_read_whole_and_once() {
    let mut world = without_streams().await;
    world.asked("list 500 since 0").await.json(200, &page(&[thing("ghost", 5)], 10, "two")).await;
    let expired = recorded("mcpservers/list-continue-expired").response;
    world.asked("list 500 page two").await.json(expired.status, &expired.body).await;
    world.asked("list 0 since 0").await.json(200, &page(&[thing("a", 21), thing("b", 22)], 30, "")).await;
    world.tells(&["+n/a@21 low", "+n/b@22 low"]).await;
    world.asked("watch since 30").await;
}

#[tokio::test]
async fn a_list_that_breaks_off_is_read_again_and_nothing_of_it_is_believed() {
    let mut world = without_streams().await;
    let mut half = world.asked("list 500 since 0").await.stream().await;
    half.bytes(page(&[thing("ghost", 5), thing("b", 6)], 10, "").to_string().split_at(200).0.as_bytes()).await;
    half.cut();
    let again = world.asked("list 500 since 0").await;
    assert!(world.store.is_empty());
    let relists = |count| {
        format!(r#"smooth_operator_informer_relists_total{{resource="things",reason="streaming-refused"}} {count}"#)
    };
    assert!(world.counts(&relists(0)), "what was begun is not counted");
    again.json(200, &page(&[thing("b", 6)], 10, "")).await;
    world.tells(&["+n/b@6 low"]).await;
    assert!(world.counts(&relists(1)));
}

#[tokio::test]
async fn a_version_of_the_future_asks_for_the_newest_state() {
    let mut world = without_streams().await;
    let too_large = recorded("watch/list-rv-too-large").response;
    world.asked("list 500 since 0").await.json(too_large.status, &too_large.body).await;
    world.asked("list 500").await.json(200, &page(&[thing("a", 5)], 10, "")).await;
    world.tells(&["+n/a@5 low"]).await;
}

#[tokio::test]
async fn a_missing_crd_is_said_once_with_the_remedy_and_its_coming_is_noticed() {
    let mut world = World::of_things().await;
    let missing = recorded("mcpservers/list-before-crd");
    for _ in 0..2 {
        world.asked("stream").await.answer(404, &[("content-type", "text/plain")], &missing.body()).await;
    }
    let mut stream = world.asked("stream").await.stream().await;
    let said = lines_with("does not serve things.test.dev");
    assert!(said.len() == 1 && said[0].contains("WARN") && said[0].contains("make install"), "{said:?}");
    stream.line(&added(&thing("a", 5))).await;
    stream.line(&initial_end(10)).await;
    world.tells(&["+n/a@5 low"]).await;
    assert_eq!(lines_with("answers again").len(), 1);
}

#[tokio::test]
async fn a_missing_permission_names_the_rule() {
    let mut world = World::of_things().await;
    let forbidden = recorded("auth/forbidden-list").response;
    world.asked("stream").await.json(403, &forbidden.body).await;
    until("it is said", || !lines_with("WARN").is_empty()).await;
    let rule =
        r#"add to the operator's ClusterRole: {apiGroups: ["test.dev"], resources: ["things"], verbs: ["watch"]}"#;
    assert_eq!(lines_with(rule).len(), 1, "{:?}", lines_with("WARN"));
    assert!(!world.synced.now(), "what may not be read is not known to be empty");
}

#[tokio::test]
async fn an_object_that_can_not_be_read_is_kept_as_such_and_the_others_go_on() {
    let mut world = World::of_things().await;
    let mut stream = world.asked("stream").await.stream().await;
    stream.line(&added(&bad_thing("bad", 5))).await;
    stream.line(&added(&thing("good", 6))).await;
    stream.line(&initial_end(10)).await;
    world.tells(&["+n/bad@5 invalid low", "+n/good@6 low"]).await;
    world.synced.wait().await;
    stream.line(&modified(&bad_thing("good", 11))).await;
    stream.line(&modified(&with(thing("bad", 12), "/size", json!(7)))).await;
    stream.line(&deleted(&bad_thing("good", 13))).await;
    world.tells(&["~n/good@11 invalid", "~n/bad@12", "-n/good@11 invalid"]).await;
    assert_eq!((world.invalid(), world.store.get(&key("bad")).unwrap().valid().unwrap().size), (0, 7));
    assert!(world.counts(r#"smooth_operator_informer_undecodable_total{resource="things"} 2"#));
    let said = lines_with("can't be read; the others are not affected");
    assert!(said.len() == 2 && said[0].contains(r#"invalid type: string "large", expected u8"#), "{said:?}");
}

#[tokio::test]
async fn an_unreadable_item_of_a_list_is_kept_as_such_too() {
    let mut world = without_streams().await;
    world.asked("list 500 since 0").await.json(200, &page(&[bad_thing("bad", 5), thing("good", 6)], 10, "")).await;
    world.tells(&["+n/bad@5 invalid low", "+n/good@6 low"]).await;
    assert_eq!(world.invalid(), 1);
}

/// A stream has no place for it: something may have been lost. In a list it is one item of many.
#[tokio::test]
async fn what_has_no_identity_makes_a_list_of_a_stream_and_is_passed_over_there() {
    let mut world = World::of_things().await;
    let mut stream = world.asked("stream").await.stream().await;
    let nameless = json!({"metadata": {"namespace": "n"}, "size": 1});
    stream.line(&added(&nameless)).await;
    world.asked("list 500 since 0").await.json(200, &page(&[nameless, thing("a", 5)], 10, "")).await;
    world.tells(&["+n/a@5 low"]).await;
    assert_eq!(lines_with("skipping an item of the list that has no identity").len(), 1);
    stream.hung_up().await;
}

#[tokio::test]
async fn the_periodic_resync_tells_of_everything_again_and_asks_nothing() {
    let mut world = World::start(vec![None], unhurried(), |informer: &mut Informer<Thing>| {
        informer.resync_every(Duration::from_millis(300));
    })
    .await;
    let _stream = world.settled().await;
    world.tells(&["~n/a@5 low", "~n/b@6 low", "~n/a@5 low", "~n/b@6 low"]).await;
    assert!(world.server.was_asked_nothing_more());
}

/// A period of nothing was a loop without a pause.
#[tokio::test]
async fn a_resync_period_of_zero_means_never() {
    let never = |informer: &mut Informer<Thing>| informer.resync_every(Duration::ZERO);
    let world = World::start(vec![None], unhurried(), never).await;
    assert_eq!(world.tasks(), 1, "the reflector alone");
}
