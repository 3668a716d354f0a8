//! What goes wrong with single requests.

use std::time::Duration;

use playground::faults::{Age, Answer, Break, Fault, Rule, Verb};
use serde_json::json;

use super::{a_good_day, follows_everything, from_now_on, have_struck, its_own, live};
use crate::harness::eventually;
use crate::harness::haste::Haste;
use crate::harness::objects::{DEPLOYMENTS, SERVERS};

/// A whole life under these rules, and quiet behind it.
async fn lives_under(rules: impl IntoIterator<Item = Rule>, struck: &[&str]) {
    let Some((world, _operator)) = a_good_day().await else { return };
    let haste = Haste::times(10);
    from_now_on(world.levers(), rules);
    live(&world).await;
    have_struck(world.levers(), struck);
    // In a settled world nothing is asked that could go wrong, but for what is on its way still.
    world.levers().faults().clear();
    drop(haste);
    world.stays_quiet().await;
}

fn chance(fault: Fault) -> Rule {
    Rule::new(fault).chance(0.3)
}

#[tokio::test]
async fn with_requests_that_take_long() {
    let delay = Fault::Delay { least: Duration::from_millis(50), most: Duration::from_secs(2) };
    lives_under([Rule::new(delay)], &["delay"]).await;
}

#[tokio::test]
async fn with_requests_that_are_lost() {
    lives_under([chance(Fault::LoseRequest)], &["lose-request"]).await;
}

/// The write is done and nobody says so: what is repeated must not be done twice.
#[tokio::test]
async fn with_answers_that_are_lost() {
    lives_under([chance(Fault::LoseAnswer)], &["lose-answer"]).await;
}

#[tokio::test]
async fn with_conflicts_and_a_busy_server() {
    let busy = Fault::Answer(Answer::TooManyRequests { retry_after: 1 });
    lives_under([chance(Fault::Answer(Answer::Conflict)), chance(busy)], &["error-409", "error-429"]).await;
}

#[tokio::test]
async fn with_a_server_that_fails() {
    let rules = [chance(Fault::Answer(Answer::Internal)), chance(Fault::Answer(Answer::Unavailable))];
    lives_under(rules, &["error-500", "error-503"]).await;
}

/// Each write is done, and each answer to it lost, until somebody looks: one Deployment, and one Event of its making.
#[tokio::test]
async fn a_create_whose_answer_is_lost_is_not_done_twice() {
    let Some((world, _operator)) = a_good_day().await else { return };
    from_now_on(world.levers(), [Rule::new(Fault::LoseAnswer).verb(Verb::Create).resource("deployments.apps").next(1)]);
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    have_struck(world.levers(), &["lose-answer"]);
    assert_eq!(world.list(DEPLOYMENTS).await.len(), 1);
    world.stays_quiet().await;
}

/// An API server that lags behind shows a server that is gone, and none of the new ones: it must not come back to life,
/// and what the stale list does not know must not be taken for deleted for good.
#[tokio::test]
async fn a_list_from_the_past_does_no_harm_that_lasts() {
    let Some((world, _operator)) = a_good_day().await else { return };
    world.create_server("old", json!({})).await;
    world.until_ready("old").await;
    let then = world.levers().revision();
    world.delete(SERVERS, "old").await;
    world.until_gone(DEPLOYMENTS, "old").await;
    world.create_server("new", json!({})).await;
    world.until_ready("new").await;
    let _haste = Haste::times(10);
    // Without streaming lists all that is learned anew is listed.
    from_now_on(
        world.levers(),
        [
            Rule::answer(Answer::Internal).verb(Verb::WatchList),
            Rule::new(Fault::Stale(Age::At(then))),
            Rule::answer(Answer::Gone).verb(Verb::Watch).next(4),
        ],
    );
    world.levers().faults().strike_watches(&its_own(), Break::Cut);
    eventually("the watches were refused", async || {
        let strikes = world.levers().faults().strikes();
        if strikes.get("error-410") >= Some(&4) { Ok(()) } else { Err(format!("{strikes:?}")) }
    })
    .await;
    follows_everything(&world).await;
    world.merge(SERVERS, "new", &json!({"spec": {"replicas": 2}})).await;
    world.until("the newest is known again", DEPLOYMENTS, "new", |it| it["spec"]["replicas"] == 2).await;
    world.until_ready("new").await;
    assert!(world.find(DEPLOYMENTS, "old").await.is_none(), "what is gone stays so");
    world.stays_quiet().await;
}
