//! Secrets: waited for, hashed, and never more than that.

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::objects::{
    DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS, SECRETS, SERVERS, SERVICES, condition, container, generation, rolled_out, says, secret,
    uid, version,
};

/// Case 10.
#[tokio::test]
async fn a_missing_secret_is_named_and_its_coming_heals_without_a_touch_of_the_server() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    let made = world.create_server("x", json!({"secretName": "token"})).await;
    let missing = |server: &Value| says(server, "SecretResolved") == "False SecretNotFound";
    let server = world.until("the Secret is missed", SERVERS, "x", missing).await;
    let message = condition(&server, "SecretResolved")["message"].as_str().unwrap();
    assert!(message.contains("token"), "{message}");
    assert_eq!(says(&server, "Ready"), "False SecretNotFound");
    world.told("SecretNotFound", "x").await;
    world.stays_quiet().await;
    assert!(world.find(DEPLOYMENTS, "x").await.is_none(), "its pods could not start");

    world.create(SECRETS, &secret("token", "1")).await;
    let server = world.until_ready("x").await;
    assert_eq!(generation(&server), generation(&made));
    assert_eq!(says(&server, "SecretResolved"), "True Resolved");
}

/// A server that runs goes on without its Secret, and other changes still reach it.
#[tokio::test]
async fn a_secret_that_is_deleted_and_made_again_restarts_nothing() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("x", json!({"secretName": "token"})).await;
    world.until_ready("x").await;
    let before = world.get(DEPLOYMENTS, "x").await;
    world.delete(SECRETS, "token").await;
    let missing = |server: &Value| says(server, "SecretResolved") == "False SecretNotFound";
    world.until("the Secret is missed", SERVERS, "x", missing).await;
    world.stays_quiet().await;
    assert_eq!(generation(&world.get(DEPLOYMENTS, "x").await), generation(&before));

    let service = json!({"service": {"port": 81}});
    world.merge(SERVERS, "x", &json!({"spec": service})).await;
    world.until("the Service follows", SERVICES, "x", |service| service["spec"]["ports"][0]["port"] == 81).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.until_ready("x").await;
    world.stays_quiet().await;
    let after = world.get(DEPLOYMENTS, "x").await;
    assert_eq!((uid(&after), generation(&after)), (uid(&before), generation(&before)));
}

/// Case 11, the data.
#[tokio::test]
async fn new_data_in_a_secret_rolls_the_pods_exactly_once() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("x", json!({"replicas": 2, "secretName": "token"})).await;
    world.until_ready("x").await;
    world.settle().await;
    let before = world.get(DEPLOYMENTS, "x").await;
    world.merge(SECRETS, "token", &json!({"stringData": {"TOKEN": "2"}})).await;
    rolled_once(&world, "x", &before).await;
    world.told("SecretRotated", "x").await;
    assert_eq!(world.events("DriftCorrected", "x").await, 0, "a changed Secret is no drift");
    let annotation = |deployment: &Value| {
        deployment["spec"]["template"]["metadata"]["annotations"]["mcp.mcp.dev/secret-hash"].clone()
    };
    let after = world.get(DEPLOYMENTS, "x").await;
    assert_ne!(annotation(&before), annotation(&after));
    assert_eq!(annotation(&after).as_str().unwrap().len(), 64);
}

/// Case 11, the rest of a Secret.
#[tokio::test]
async fn new_labels_on_a_secret_roll_nothing() {
    let world = World::start().await;
    let operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("x", json!({"secretName": "token"})).await;
    world.until_ready("x").await;
    let settled = world.settle().await;
    let done = operator.reconciles().await;
    world.merge(SECRETS, "token", &json!({"metadata": {"labels": {"a": "b"}}})).await;
    operator.has_reconciled(done + 1.0).await;
    world.stays(&settled).await;
}

/// Case 11, what happened meanwhile.
#[tokio::test]
async fn a_secret_that_changed_while_no_operator_ran_rolls_the_pods_exactly_once() {
    let world = World::start().await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("x", json!({"secretName": "token"})).await;
    world.create_server("other", json!({})).await;
    let first = world.operator(|_| {}).await;
    world.until_ready("x").await;
    world.settle().await;
    let (before, other) = (world.get(DEPLOYMENTS, "x").await, world.get(DEPLOYMENTS, "other").await);
    first.stop().await;
    world.merge(SECRETS, "token", &json!({"stringData": {"TOKEN": "2"}})).await;
    let second = world.operator(|_| {}).await;
    rolled_once(&world, "x", &before).await;
    second.stop().await;
    let third = world.operator(|_| {}).await;
    third.has_reconciled(2.0).await;
    rolled_once(&world, "x", &before).await;
    assert_eq!(version(&world.get(DEPLOYMENTS, "other").await), version(&other));
}

/// Case 12.
#[tokio::test]
async fn a_shared_secret_rolls_exactly_those_who_share_it() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    for name in ["shared", "private"] {
        world.create(SECRETS, &secret(name, "1")).await;
    }
    let secrets = [("one", json!("shared")), ("two", json!("shared")), ("three", json!("private")), ("four", Value::Null)];
    for (name, secret) in &secrets {
        world.create_server(name, json!({"secretName": secret})).await;
    }
    for (name, _) in &secrets {
        world.until_ready(name).await;
    }
    world.settle().await;
    let mut before = Vec::new();
    for (name, _) in &secrets {
        before.push(world.get(DEPLOYMENTS, name).await);
    }
    world.merge(SECRETS, "shared", &json!({"stringData": {"TOKEN": "2"}})).await;
    rolled_once(&world, "one", &before[0]).await;
    rolled_once(&world, "two", &before[1]).await;
    assert_eq!(version(&world.get(DEPLOYMENTS, "three").await), version(&before[2]));
    assert_eq!(version(&world.get(DEPLOYMENTS, "four").await), version(&before[3]));
}

/// What a Secret holds goes from the API server into the pods, and nowhere else.
#[tokio::test]
async fn no_value_of_a_secret_shows_in_status_events_or_metrics() {
    let world = World::start().await;
    let operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "hunter2hunter2")).await;
    world.create_server("x", json!({"secretName": "token"})).await;
    world.until_ready("x").await;
    let mut shown = operator.metrics().await;
    for kind in [SERVERS, DEPLOYMENTS, PODS, EVENTS] {
        shown.push_str(&json!(world.list(kind).await).to_string());
    }
    // As it is, and in base64.
    assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyM"), "{shown}");
}

/// Waits until one more rollout is over, and sees that no second one follows.
async fn rolled_once(world: &World, name: &str, before: &Value) {
    let rolled = |deployment: &Value| generation(deployment) > generation(before) && rolled_out(deployment);
    world.until("the pods roll", DEPLOYMENTS, name, rolled).await;
    world.until_ready(name).await;
    world.stays_quiet().await;
    let after = world.get(DEPLOYMENTS, name).await;
    assert_eq!(generation(&after), generation(before) + 1, "one change is one rollout");
    assert_eq!(world.list_of(REPLICA_SETS, name).await.len(), 2, "the old one and the new one");
    assert_eq!(container(&after), container(before));
}
