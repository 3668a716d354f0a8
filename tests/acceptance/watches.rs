//! Case 22: what happens while nobody is listening.

use playground::Cluster as Levers;
use playground::cluster::DeleteOptions;
use serde_json::{Value, json};

use crate::harness::objects::{DEPLOYMENTS, SECRETS, SERVERS, SERVICES, says, secret, uid};
use crate::harness::operator::Operator;
use crate::harness::{World, eventually};

const WHAT_FOR: &str = "cut watches and forget history";

/// Does something in the dark: all watches are cut, it is done, and the history that would tell of it is gone.
fn in_a_gap(world: &World, act: impl FnOnce(&Levers)) {
    let levers = world.levers();
    levers.cut_watches();
    act(levers);
    levers.compact();
}

fn delete(levers: &Levers, resource: &str, world: &World, name: &str) {
    levers.delete(resource, &world.namespace, name, &DeleteOptions::default()).unwrap();
}

/// The difference must have come from a relist, or the test has shown nothing.
async fn has_relisted(operator: &Operator, resource: &str) {
    eventually(&format!("{resource} are listed again"), async || {
        let labels = [format!("resource=\"{resource}\""), "reason=\"expired\"".to_owned()];
        let metrics = operator.metrics().await;
        let series = |line: &&str| {
            line.starts_with("smooth_operator_informer_relists_total")
                && labels.iter().all(|label| line.contains(label.as_str()))
                && !line.ends_with(" 0")
        };
        if metrics.lines().any(|line| series(&line)) {
            return Ok(());
        }
        Err(metrics.lines().filter(|line| line.contains("relists_total")).collect::<Vec<_>>().join("\n"))
    })
    .await;
}

#[tokio::test]
async fn a_child_that_was_deleted_in_a_gap_is_made_again() {
    let Some(world) = World::with_levers(WHAT_FOR).await else { return };
    let operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let (deployment, service) = (world.get(DEPLOYMENTS, "x").await, world.get(SERVICES, "x").await);
    in_a_gap(&world, |levers| {
        delete(levers, "deployments.apps", &world, "x");
        delete(levers, "services", &world, "x");
    });
    world.until("the Deployment is made again", DEPLOYMENTS, "x", |now| uid(now) != uid(&deployment)).await;
    world.until("the Service is made again", SERVICES, "x", |now| uid(now) != uid(&service)).await;
    has_relisted(&operator, "deployments").await;
    world.until_ready("x").await;
    world.stays_quiet().await;
}

#[tokio::test]
async fn a_server_that_was_deleted_in_a_gap_is_forgotten() {
    let Some(world) = World::with_levers(WHAT_FOR).await else { return };
    let operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.create_server("stays", json!({})).await;
    world.until_ready("x").await;
    world.until_ready("stays").await;
    in_a_gap(&world, |levers| delete(levers, "mcpservers.mcp.mcp.dev", &world, "x"));
    has_relisted(&operator, "mcpservers").await;
    eventually("its series are gone", async || {
        if operator.metrics().await.contains("\"x\"") { Err("they are there".to_owned()) } else { Ok(()) }
    })
    .await;
    for kind in [DEPLOYMENTS, SERVICES] {
        world.until_gone(kind, "x").await;
    }
    world.stays_quiet().await;
    assert!(world.find(DEPLOYMENTS, "x").await.is_none());
    assert!(operator.metrics().await.contains("\"stays\""));
}

/// The same name, another object: a Delete and an Add in one gap.
#[tokio::test]
async fn a_server_that_was_made_anew_in_a_gap_is_another_one() {
    let Some(world) = World::with_levers(WHAT_FOR).await else { return };
    let operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let before = world.get(DEPLOYMENTS, "x").await;
    in_a_gap(&world, |levers| {
        delete(levers, "mcpservers.mcp.mcp.dev", &world, "x");
        let again = crate::harness::objects::server("x", json!({"replicas": 2}));
        levers.create("mcpservers.mcp.mcp.dev", &world.namespace, again, "stranger").unwrap();
    });
    has_relisted(&operator, "mcpservers").await;
    let server = world.until_ready("x").await;
    let after = world.get(DEPLOYMENTS, "x").await;
    assert_ne!(uid(&after), uid(&before));
    assert_eq!(after["metadata"]["ownerReferences"][0]["uid"], uid(&server));
    assert_eq!(after["spec"]["replicas"], 2);
}

#[tokio::test]
async fn a_secret_that_was_deleted_in_a_gap_is_missed() {
    let Some(world) = World::with_levers(WHAT_FOR).await else { return };
    let operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("x", json!({"secretName": "token"})).await;
    world.until_ready("x").await;
    in_a_gap(&world, |levers| delete(levers, "secrets", &world, "token"));
    has_relisted(&operator, "secrets").await;
    let missing = |server: &Value| says(server, "SecretResolved") == "False SecretNotFound";
    world.until("the Secret is missed", SERVERS, "x", missing).await;
}

/// A cut alone is nothing: the watch goes on from where it was, and what happened meanwhile comes in order.
#[tokio::test]
async fn after_a_cut_the_watch_goes_on_without_a_relist_or_a_write() {
    let Some(world) = World::with_levers(WHAT_FOR).await else { return };
    let operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    let settled = world.settle().await;
    let relists = operator.metric("smooth_operator_informer_relists_total", "").await;
    for _ in 0..3 {
        let watches = open_watches(&world);
        world.levers().cut_watches();
        eventually("all four watches are back", async || {
            let now = open_watches(&world);
            if now >= watches + 4 { Ok(()) } else { Err(format!("{now}, {watches} before")) }
        })
        .await;
    }
    world.stays(&settled).await;
    assert!((operator.metric("smooth_operator_informer_relists_total", "").await - relists).abs() < 0.5);

    let before = world.get(DEPLOYMENTS, "x").await;
    world.levers().cut_watches();
    delete(world.levers(), "deployments.apps", &world, "x");
    world.until("the Deployment is made again", DEPLOYMENTS, "x", |now| uid(now) != uid(&before)).await;
    world.until_ready("x").await;
}

/// Watches that an operator has opened so far.
fn open_watches(world: &World) -> usize {
    let watch = |request: &playground::cluster::RequestRecord| {
        request.user_agent.starts_with("smooth-operator/") && request.verb == "watch" && request.status == 200
    };
    world.levers().requests().iter().filter(|request| watch(request)).count()
}
