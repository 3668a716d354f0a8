//! How a watch is read, and what becomes of it when it ends, breaks or falls silent.

use std::time::Duration;

use serde_json::json;
use smooth_operator::client::Client;
use smooth_operator::informer::Timing;
use tokio::time::Instant;

use crate::fixture::recorded;
use crate::logs::lines_with;
use crate::thing::{Thing, added, bookmark, deleted, error, initial_end, key, modified, thing, with};
use crate::world::{World, unhurried, until};

#[tokio::test]
async fn where_the_chunks_are_cut_changes_nothing() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    let text = format!(
        "{}\r\n\r\n\n{}\n",
        modified(&with(thing("a", 11), "/metadata/uid", json!("uid of ä🦀"))),
        deleted(&thing("b", 12))
    );
    for byte in text.as_bytes() {
        stream.bytes(&[*byte]).await;
    }
    world.tells(&["-n/a@5 or later", "+n/a@11", "-n/b@12"]).await;
    stream.bytes(format!("{}\n{}\n{{\"type\":", added(&thing("c", 13)), added(&thing("d", 14))).as_bytes()).await;
    world.tells(&["+n/c@13", "+n/d@14"]).await;
    stream.bytes(format!("\"ADDED\",\"object\":{}}}\n", thing("e", 15)).as_bytes()).await;
    world.tells(&["+n/e@15"]).await;
}

#[tokio::test]
async fn a_clean_end_watches_again_at_once_from_the_last_version_and_lists_nothing() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    stream.line(&modified(&thing("a", 11))).await;
    stream.end().await;
    let mut watch = world.asked("watch since 11").await.stream().await;
    watch.line(&bookmark(40)).await;
    watch.end().await;
    let mut watch = world.asked("watch since 40").await.stream().await;
    watch.line(&deleted(&thing("b", 41))).await;
    watch.end().await;
    world.asked("watch since 41").await;
    world.tells(&["~n/a@11", "-n/b@41"]).await;
    assert!(world.counts(r#"smooth_operator_informer_relists_total{resource="things",reason="expired"} 0"#));
    assert!(world.counts(r#"smooth_operator_informer_relists_total{resource="things",reason="initial"} 1"#));
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again_and_the_watch_goes_on_where_it_was() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    stream.line(&modified(&thing("a", 11))).await;
    world.tells(&["~n/a@11"]).await;
    stream.reset();
    let mut watch = world.asked("watch since 11").await.stream().await;
    watch.line(&modified(&thing("a", 12))).await;
    watch.cut();
    world.asked("watch since 12").await;
    world.tells(&["~n/a@12"]).await;
}

/// Three refused connections in a row cost a relist of every kind, in the very moment in which the API server had come back.
#[tokio::test]
async fn an_api_server_that_was_away_is_asked_for_what_was_missed_and_not_for_everything() {
    let mut world = World::of_things().await;
    world.settled().await.cut();
    for _ in 0..3 {
        drop(world.asked("watch since 10").await);
    }
    let mut watch = world.asked("watch since 10").await.stream().await;
    watch.line(&modified(&thing("a", 11))).await;
    world.tells(&["~n/a@11"]).await;
    assert!(world.has_told_nothing_more());
    assert!(world.counts(r#"smooth_operator_informer_relists_total{resource="things",reason="trouble"} 0"#));
}

#[tokio::test]
async fn half_a_line_is_no_event_and_its_whole_comes_with_the_next_watch() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    stream.line(&modified(&thing("a", 11))).await;
    let next = format!("{}\n", modified(&thing("b", 12)));
    stream.bytes(next.split_at(60).0.as_bytes()).await;
    stream.end().await;
    let mut watch = world.asked("watch since 11").await.stream().await;
    watch.bytes(next.as_bytes()).await;
    world.tells(&["~n/a@11", "~n/b@12"]).await;
}

/// For how long each of three watches in a row is to last.
async fn lifetimes(seed: u64) -> [u64; 3] {
    let mut world = World::<Thing>::with_seed(seed, vec![None], unhurried(), |_| {}).await;
    let mut lifetimes = [0; 3];
    for (index, asked) in ["stream", "watch since 10", "watch since 11"].into_iter().enumerate() {
        let asked = world.asked(asked).await;
        lifetimes[index] = asked.timeout_seconds();
        let mut stream = asked.stream().await;
        stream.line(&added(&thing("a", 10 + index as u64))).await;
        stream.line(&initial_end(10 + index as u64)).await;
        stream.end().await;
    }
    lifetimes
}

/// Thousands of watches that are opened together must not all end together.
#[tokio::test]
async fn each_watch_is_to_last_for_another_time_between_five_and_ten_minutes() {
    let (one, other, again) = tokio::join!(lifetimes(1), lifetimes(2), lifetimes(1));
    assert!(one.iter().chain(&other).all(|seconds| (300..=600).contains(seconds)), "{one:?} {other:?}");
    assert!(one[0] != one[1] && one[1] != one[2] && one != other, "{one:?} {other:?}");
    assert_eq!(one, again, "chance comes from the seed alone");
}

#[tokio::test]
async fn a_bookmark_moves_the_version_and_nothing_else() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    assert!(!world.store.has_seen(&key("a"), &"99".into()));
    stream.line(&bookmark(99)).await;
    until("it has come that far", || world.store.has_seen(&key("a"), &"99".into())).await;
    assert_eq!(world.holds(), ["n/a@5", "n/b@6"]);
    assert!(world.has_told_nothing_more());
}

#[tokio::test]
async fn the_deletion_of_what_was_never_seen_is_not_told() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    stream.line(&deleted(&thing("never", 11))).await;
    stream.line(&deleted(&thing("a", 12))).await;
    world.tells(&["-n/a@12"]).await;
}

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_says() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    let said = Instant::now();
    stream.line(&error(429, &json!({"retryAfterSeconds": 1}))).await;
    world.asked("watch since 10").await;
    assert!(said.elapsed() >= Duration::from_secs(1), "{:?}", said.elapsed());
}

#[tokio::test]
async fn an_overloaded_server_that_speaks_plain_text_is_understood_too() {
    let mut world = World::of_things().await;
    world.settled().await.cut();
    let busy = recorded("errors/too-many-requests");
    let asked = world.asked("watch since 10").await;
    let said = Instant::now();
    asked.answer(429, &[("retry-after", "1")], &busy.body()).await;
    world.asked("watch since 10").await;
    assert!(said.elapsed() >= Duration::from_secs(1), "{:?}", said.elapsed());
    assert_eq!(lines_with("429: Too many requests, please try again later.").len(), 1);
}

/// An accepted watch is no sign of health: each of these is accepted, and each is ended again with the same words.
#[tokio::test]
async fn trouble_on_the_stream_backs_off_says_so_once_and_watches_again_from_where_it_was() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    let said = Instant::now();
    stream.line(&error(500, &json!({}))).await;
    let mut stream = world.asked("watch since 10").await.stream().await;
    assert!(said.elapsed() >= Duration::from_millis(800), "{:?}", said.elapsed());
    stream.line(&error(500, &json!({}))).await;
    let mut stream = world.asked("watch since 10").await.stream().await;
    assert_eq!(world.holds(), ["n/a@5", "n/b@6"]);
    assert_eq!(lines_with("the API server ended the watch: 500: no; trying again").len(), 1);
    assert!(lines_with("answers again").is_empty());
    stream.line(&modified(&thing("a", 11))).await;
    world.tells(&["~n/a@11"]).await;
    assert_eq!(lines_with("answers again").len(), 1);
}

#[tokio::test]
async fn a_silent_watch_is_opened_again_from_the_same_version_and_at_last_the_state_is_learned_anew() {
    let timing = Timing { silence: Duration::from_millis(1_100), ..unhurried() };
    let mut world = World::<Thing>::start(vec![None], timing, |_| {}).await;
    let first = world.settled().await;
    // The first of them had lines before it fell silent. Those that say nothing at all may wait for a version that never comes.
    for _ in 0..3 {
        world.asked("watch since 10").await.stream().await.hung_up().await;
    }
    world.asked("stream").await;
    first.hung_up().await;
    assert_eq!(world.holds(), ["n/a@5", "n/b@6"], "what is known stays known");
}

#[tokio::test]
async fn a_server_that_ends_every_watch_at_once_is_not_asked_in_a_hot_loop() {
    let mut world = World::of_things().await;
    world.settled().await.end().await;
    let asked = world.asked("watch since 10").await;
    let ended = Instant::now();
    asked.stream().await.end().await;
    world.asked("watch since 10").await;
    assert!(ended.elapsed() >= Duration::from_millis(800), "{:?}", ended.elapsed());
}

/// It looked like a lively watch: a line had come. But a bookmark that says what is known already is no news, and the loop
/// went round as fast as the server could answer.
#[tokio::test]
async fn a_server_that_ends_every_watch_with_a_stale_bookmark_is_not_asked_in_a_hot_loop() {
    let mut world = World::of_things().await;
    world.settled().await.end().await;
    let mut watch = world.asked("watch since 10").await.stream().await;
    let ended = Instant::now();
    watch.line(&bookmark(10)).await;
    watch.end().await;
    world.asked("watch since 10").await;
    assert!(ended.elapsed() >= Duration::from_millis(800), "{:?}", ended.elapsed());
}

#[tokio::test]
async fn a_line_that_makes_no_sense_lists_again_and_moves_nothing() {
    let no_identity = "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n";
    tokio::join!(makes_no_sense("<html>Bad Gateway</html>\n"), makes_no_sense(no_identity), makes_no_sense("\u{0}\n"));
}

async fn makes_no_sense(line: &str) {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    stream.line(&modified(&thing("a", 11))).await;
    stream.bytes(line.as_bytes()).await;
    stream.line(&modified(&thing("a", 12))).await;
    let mut again = world.asked("stream since 11").await.stream().await;
    world.tells(&["~n/a@11"]).await;
    assert_eq!(world.holds(), ["n/a@11", "n/b@6"]);
    again.line(&added(&thing("a", 12))).await;
    again.line(&initial_end(13)).await;
    world.tells(&["-n/b@6 or later", "~n/a@12"]).await;
    assert!(world.counts(r#"smooth_operator_informer_relists_total{resource="things",reason="unreadable"} 1"#));
}

/// serde quotes what it can't read. A proxy that breaks lines in two makes a Secret's value the whole of a line.
#[tokio::test]
async fn nothing_of_a_line_that_can_not_be_read_is_logged() {
    async fn is_not_logged(line: &str) {
        let mut world = World::of_things().await;
        let mut stream = world.settled().await;
        stream.bytes(format!("{line}\n").as_bytes()).await;
        world.asked("stream since 10").await;
    }
    tokio::join!(
        is_not_logged("\"c2VjcmV0\""),
        is_not_logged("{\"type\":\"c2VjcmV0\",\"object\":{}}"),
        is_not_logged("{\"type\":\"ADDED\",\"object\":\"c2VjcmV0\"}")
    );
    let said = lines_with("an event can't be read: it is not an event");
    assert_eq!((said.len(), lines_with("c2VjcmV0").len()), (3, 0), "{said:?}");
}

#[tokio::test]
async fn a_line_without_end_is_refused_and_not_collected() {
    let mut world = World::of_things().await;
    let mut stream = world.settled().await;
    stream.bytes(&vec![b'x'; Client::MAX_OBJECT]).await;
    stream.bytes(b"xx").await;
    world.asked("stream since 10").await;
    stream.hung_up().await;
    assert_eq!(lines_with("longer than 16777216 bytes").len(), 1);
}
