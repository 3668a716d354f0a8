//! What goes wrong with watches: case 21, and 22 where something happens meanwhile.

use std::time::Duration;

use playground::cluster::DeleteOptions;
use playground::faults::{Answer, Break, Matcher, Moment, Rule, Verb};
use serde_json::json;

use super::{WATCHED, a_good_day, follows_everything, from_now_on, have_struck, its_own, live};
use crate::harness::World;
use crate::harness::haste::{Haste, pass};
use crate::harness::objects::{DEPLOYMENTS, SERVICES, uid};

/// A whole life with watches that break like this again and again, and quiet behind it.
async fn lives_with(how: Break) {
    let Some((world, _operator)) = a_good_day().await else { return };
    let haste = Haste::times(20);
    from_now_on(world.levers(), [Rule::watch(how, Moment::Lines(3)).chance(0.7)]);
    world.levers().faults().strike_watches(&its_own(), how);
    live(&world).await;
    have_struck(world.levers(), &[how.class()]);
    world.levers().faults().clear();
    world.levers().faults().strike_watches(&its_own(), Break::End);
    follows_everything(&world).await;
    drop(haste);
    world.stays_quiet().await;
}

#[tokio::test]
async fn with_watches_that_are_cut() {
    lives_with(Break::Cut).await;
}

#[tokio::test]
async fn with_watches_that_end() {
    lives_with(Break::End).await;
}

#[tokio::test]
async fn with_watches_that_send_half_a_line() {
    lives_with(Break::HalfLine).await;
}

#[tokio::test]
async fn with_watches_that_send_garbage() {
    lives_with(Break::Garbage).await;
}

#[tokio::test]
async fn with_watches_whose_history_is_gone() {
    lives_with(Break::Error(Answer::Gone)).await;
}

#[tokio::test]
async fn with_watches_that_are_told_to_wait() {
    lives_with(Break::Error(Answer::TooManyRequests { retry_after: 1 })).await;
}

#[tokio::test]
async fn with_watches_that_fail() {
    lives_with(Break::Error(Answer::Internal)).await;
}

/// A dead line says nothing: only the silence itself can tell.
#[tokio::test]
async fn with_watches_that_fall_silent() {
    let Some((world, _operator)) = a_good_day().await else { return };
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let before = world.get(DEPLOYMENTS, "x").await;
    assert!(world.levers().faults().strike_watches(&its_own(), Break::Stall) >= WATCHED.len());
    delete(&world, "deployments.apps", "x");
    pass(Duration::from_secs(95)).await;
    world.until("the Deployment is made again", DEPLOYMENTS, "x", |now| uid(now) != uid(&before)).await;
    world.until_ready("x").await;
    world.stays_quiet().await;
}

fn delete(world: &World, resource: &str, name: &str) {
    world.levers().delete(resource, &world.namespace, name, &DeleteOptions::default()).unwrap();
}

/// Case 22 for every way in which a watch can end: what is deleted in the gap is noticed.
#[tokio::test]
async fn a_delete_in_the_gap_is_noticed_however_the_gap_came_about() {
    let Some((world, _operator)) = a_good_day().await else { return };
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let _haste = Haste::times(30);
    for how in [
        Break::Cut,
        Break::End,
        Break::HalfLine,
        Break::Garbage,
        Break::Error(Answer::Gone),
        Break::Error(Answer::TooManyRequests { retry_after: 1 }),
        Break::Error(Answer::Internal),
    ] {
        for forgotten in [false, true] {
            follows_everything(&world).await;
            let (deployment, service) = (world.get(DEPLOYMENTS, "x").await, world.get(SERVICES, "x").await);
            world.levers().faults().strike_watches(&its_own(), how);
            delete(&world, "deployments.apps", "x");
            delete(&world, "services", "x");
            if forgotten {
                world.levers().compact();
            }
            let case = format!("after {how:?}, history forgotten: {forgotten}");
            world.until(&case, DEPLOYMENTS, "x", |now| uid(now) != uid(&deployment)).await;
            world.until(&case, SERVICES, "x", |now| uid(now) != uid(&service)).await;
            world.until_ready("x").await;
        }
    }
}

/// How often the operator asked for a watch of this resource.
fn asked(world: &World, resource: &str) -> usize {
    let requests = world.levers().requests();
    let its = |verb: &str| matches!(verb, "watch" | "list");
    requests.iter().filter(|request| request.resource == resource && its(&request.verb)).count()
}

/// In a minute with 0.8 s doubling to 30 s there is room for about seven attempts; a busy loop makes thousands.
#[tokio::test]
async fn a_watch_that_never_works_is_not_asked_for_in_a_loop() {
    for rule in [
        Rule::answer(Answer::Internal).verb(Verb::Watch),
        Rule::answer(Answer::Unavailable).verb(Verb::Watch),
        Rule::answer(Answer::TooManyRequests { retry_after: 1 }).verb(Verb::Watch),
        Rule::answer(Answer::Gone),
        Rule::watch(Break::End, Moment::Lines(0)),
        Rule::watch(Break::Cut, Moment::Lines(0)),
        Rule::watch(Break::HalfLine, Moment::Lines(0)),
        Rule::watch(Break::Garbage, Moment::Lines(0)),
    ] {
        let Some((world, _operator)) = a_good_day().await else { return };
        from_now_on(world.levers(), [rule.clone()]);
        world.levers().clear_requests();
        world.levers().faults().strike_watches(&Matcher::default(), Break::Cut);
        pass(Duration::from_secs(60)).await;
        for resource in WATCHED {
            let asked = asked(&world, resource);
            assert!((1..=25).contains(&asked), "{asked} times a minute {resource} under {rule:?}");
        }
        world.levers().faults().clear();
        let _haste = Haste::times(10);
        world.create_server("x", json!({})).await;
        world.until_ready("x").await;
    }
}
