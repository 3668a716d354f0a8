//! The resync, on paused time. The tests of an informer with a server are in `tests/wire`.

use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, timeout};

use super::testing::Thing;
use super::*;

const PERIOD: Duration = Duration::from_secs(36_000);

/// The pauses before the resyncs within a hundred periods.
async fn pauses(seed: u64) -> Vec<Duration> {
    let store = Arc::new(Store::new(vec![]));
    let thing = Thing::decode(r#"{"namespace":"n","name":"a","uid":"u","resourceVersion":"1"}"#).unwrap();
    store.upsert(&None, Entry::Valid(Arc::new(thing)));
    let (tell, mut told) = unbounded_channel();
    let handler: Handler<Thing> = Box::new(move |change| tell.send((change.origin, Instant::now())).unwrap());
    let mut last = Instant::now();
    timeout(PERIOD * 100, resync_forever(PERIOD, seed, store, Arc::new([handler]))).await.unwrap_err();
    let mut pauses = Vec::new();
    while let Some((Origin::Resync, at)) = told.recv().await {
        pauses.push(at.duration_since(last));
        last = at;
    }
    pauses
}

/// Otherwise operators that were started together would resync together, for ever.
#[tokio::test(start_paused = true)]
async fn a_resync_comes_within_half_a_period_and_at_another_moment_each_time() {
    let (one, other) = (pauses(1).await, pauses(2).await);
    assert!(one.len() >= 66, "{} in a hundred periods", one.len());
    for pause in one.iter().chain(&other) {
        assert!((PERIOD..=PERIOD.mul_f64(1.5)).contains(pause), "{pause:?}");
    }
    assert!(one[0] != other[0] && one[0] != one[1]);
    assert_eq!(one, pauses(1).await, "chance comes from the seed alone");
}

/// One namespace that may not be read stopped all the others.
#[test]
fn a_namespace_is_covered_once_its_own_state_is_complete_whatever_the_others_do() {
    let scope = |namespace: &str| Some(Arc::from(namespace));
    let informer = Informer::<Thing>::new(vec![scope("a"), scope("b")], vec![], Timing::default());
    let synced = informer.synced();
    assert!(!synced.covers("a"));
    informer.waiting.send_modify(|waiting| _ = waiting.remove(&scope("a")));
    assert_eq!((synced.covers("a"), synced.covers("b"), synced.now()), (true, false, false));
    assert_eq!(synced.waiting(), [scope("b")].into());

    let everywhere = Informer::<Thing>::new(vec![None], vec![], Timing::default());
    let synced = everywhere.synced();
    assert!(!synced.covers("a"));
    everywhere.waiting.send_modify(|waiting| _ = waiting.remove(&None));
    assert!(synced.covers("a") && synced.now());
}
