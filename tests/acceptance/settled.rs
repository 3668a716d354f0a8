//! Case 2: where nothing differs, nothing is written.

use std::time::Duration;

use serde_json::json;

use crate::harness::World;
use crate::harness::objects::{SECRETS, SERVERS, secret};

/// Servers of every kind: plain, with a Secret, with a Service of another type, stopped, waiting, several pods.
async fn a_settled_world() -> World {
    let world = World::start().await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("plain", json!({})).await;
    world.create_server("full", crate::fields::every_field()).await;
    world.create_server("nothing", crate::fields::every_nothing()).await;
    world.create_server("many", json!({"replicas": 3, "port": 3000})).await;
    world.create_server("guarded", crate::policies::every_block()).await;
    world.create_server("secret", json!({"secretName": "token"})).await;
    let service = json!({"type": "NodePort", "port": 80, "annotations": {"a": "b"}, "sessionAffinity": "ClientIP"});
    world.create_server("service", json!({"service": service})).await;
    world.create_server("stopped", json!({"replicas": 0})).await;
    world.create_server("waiting", json!({"secretName": "missing"})).await;
    world.create_server("suspended", json!({"suspend": true})).await;
    world
}

const SERVERS_IN_IT: f64 = 10.0;

#[tokio::test]
async fn in_a_settled_world_nothing_is_written_however_often_it_is_looked_at() {
    let world = a_settled_world().await;
    let operator = world.operator(|settings| settings.resync = Duration::from_millis(100)).await;
    let settled = world.settle().await;
    let before = operator.reconciles().await;
    world.stays(&settled).await;
    let after = operator.reconciles().await;
    assert!(after >= before + SERVERS_IN_IT, "the resync looked at nothing: {before} before, {after} after");
}

#[tokio::test]
async fn an_operator_that_starts_in_a_settled_world_writes_nothing() {
    let world = a_settled_world().await;
    let first = world.operator(|_| {}).await;
    let settled = world.settle().await;
    first.stop().await;
    let second = world.operator(|settings| settings.seed = 2).await;
    second.has_reconciled(SERVERS_IN_IT).await;
    world.stays(&settled).await;
    second.stop().await;
    world.stays(&settled).await;
}

#[tokio::test]
async fn a_change_that_means_nothing_to_the_operator_makes_it_write_nothing() {
    let world = a_settled_world().await;
    let operator = world.operator(|_| {}).await;
    world.settle().await;
    let (writes, done) = (world.writes(), operator.reconciles().await);
    world.merge(SERVERS, "plain", &json!({"metadata": {"annotations": {"example.com/note": "x"}}})).await;
    operator.has_reconciled(done + 1.0).await;
    world.stays_quiet().await;
    assert_eq!(world.writes(), writes);
}
