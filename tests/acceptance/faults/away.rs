//! Case 23: the API server is away, and comes back: as it was, or as an old backup has it.

use std::time::Duration;

use playground::cluster::DeleteOptions;
use playground::faults::{Fault, Rule, Verb};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{a_good_day, follows_everything, from_now_on};
use crate::harness::haste::{Haste, pass};
use crate::harness::objects::{DEPLOYMENTS, SERVERS, SERVICES, server, uid};

/// The longest wait between two attempts: 30 s, and up to as much again by jitter.
const CAP: Duration = Duration::from_secs(60);
/// What the rest may take, pods and all, on a busy machine.
const THE_REST: Duration = Duration::from_secs(25);
const FIVE_MINUTES: Duration = Duration::from_secs(300);

#[tokio::test]
async fn after_five_minutes_without_an_api_server_all_that_was_missed_is_made_good_within_one_backoff() {
    let Some((world, _operator)) = a_good_day().await else { return };
    for name in ["stays", "goes", "bare"] {
        world.create_server(name, json!({})).await;
        world.until_ready(name).await;
    }
    let before = world.get(DEPLOYMENTS, "bare").await;
    world.go_away().await;
    let levers = world.levers();
    let delete = |resource: &str, name: &str| {
        levers.delete(resource, &world.namespace, name, &DeleteOptions::default()).unwrap();
    };
    delete("mcpservers.mcp.mcp.dev", "goes");
    delete("deployments.apps", "bare");
    levers.create("mcpservers.mcp.mcp.dev", &world.namespace, server("new", json!({})), "stranger").unwrap();
    let scaled = json!({"spec": {"replicas": 2}});
    levers.patch_merge("mcpservers.mcp.mcp.dev", &world.namespace, "stays", None, &scaled, "stranger").unwrap();
    pass(FIVE_MINUTES).await;
    assert!(levers.get("deployments.apps", &world.namespace, "new").is_none(), "nobody can have told the operator");

    world.come_back().await;
    let back = Instant::now();
    pass(CAP).await;
    follows_everything(&world).await;
    world.until("the spec is followed", DEPLOYMENTS, "stays", |it| it["spec"]["replicas"] == 2).await;
    world.until("the Deployment is made again", DEPLOYMENTS, "bare", |it| uid(it) != uid(&before)).await;
    for name in ["stays", "bare", "new"] {
        world.until_ready(name).await;
    }
    for kind in [DEPLOYMENTS, SERVICES] {
        world.until_gone(kind, "goes").await;
    }
    assert!(back.elapsed() < CAP + THE_REST, "it took {:?}", back.elapsed());
    world.stays_quiet().await;
}

/// That nobody answered is not held against the server that a write was about: it was, and its backoff had grown to minutes.
#[tokio::test]
async fn a_write_that_failed_for_five_minutes_is_done_as_soon_as_the_watches_are_back() {
    let Some((world, _operator)) = a_good_day().await else { return };
    from_now_on(world.levers(), [Rule::new(Fault::LoseRequest).verb(Verb::Apply).resource("deployments.apps").next(3)]);
    world.create_server("x", json!({})).await;
    crate::harness::eventually("the write has failed", async || {
        if world.levers().faults().strikes().contains_key("lose-request") { Ok(()) } else { Err(String::new()) }
    })
    .await;
    world.go_away().await;
    pass(FIVE_MINUTES).await;
    world.come_back().await;
    let back = Instant::now();
    pass(CAP).await;
    world.until_ready("x").await;
    assert!(back.elapsed() < CAP + THE_REST, "it took {:?}", back.elapsed());
    world.stays_quiet().await;
}

/// State and versions go back: what the operator holds to be newer has never happened.
#[tokio::test]
async fn after_a_restore_from_a_backup_the_older_state_is_the_one_that_counts() {
    let Some((world, _operator)) = a_good_day().await else { return };
    world.create_server("kept", json!({})).await;
    world.until_ready("kept").await;
    world.settle().await;
    let backup = world.levers().revision();
    world.create_server("lost", json!({})).await;
    world.until_ready("lost").await;
    world.merge(SERVERS, "kept/scale", &json!({"spec": {"replicas": 4}})).await;
    world.until_ready("kept").await;
    world.levers().restore(backup).unwrap();

    let _haste = Haste::times(20);
    follows_everything(&world).await;
    world.merge(SERVERS, "kept", &json!({"spec": {"replicas": 2}})).await;
    let two = |it: &Value| it["spec"]["replicas"] == 2;
    world.until("what is wished for now is done", DEPLOYMENTS, "kept", two).await;
    world.until_ready("kept").await;
    world.create_server("lost", json!({"port": 3000})).await;
    let port = |it: &Value| it["spec"]["ports"][0]["port"] == 3000;
    world.until("a name of the lost time is as good as new", SERVICES, "lost", port).await;
    world.until_ready("lost").await;
    world.stays_quiet().await;
}
