//! Case 20: namespaces are worlds of their own.

use serde_json::json;

use crate::harness::World;
use crate::harness::objects::{DEPLOYMENTS, SECRETS, SERVERS, SERVICES, says, secret, version};

#[tokio::test]
async fn servers_of_the_same_name_in_two_namespaces_don_t_know_each_other() {
    let world = World::start().await;
    let other = world.another_namespace().await;
    let _operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("x", json!({"secretName": "token"})).await;
    other.create_server("x", json!({"secretName": "token", "replicas": 2})).await;
    world.until_ready("x").await;
    let missing = |server: &serde_json::Value| says(server, "SecretResolved") == "False SecretNotFound";
    other.until("a Secret elsewhere does not count", SERVERS, "x", missing).await;

    other.create(SECRETS, &secret("token", "1")).await;
    assert_eq!(other.until_ready("x").await["status"]["replicas"], 2);
    world.settle().await;
    let before = version(&world.get(DEPLOYMENTS, "x").await).to_owned();
    other.merge(SECRETS, "token", &json!({"stringData": {"TOKEN": "2"}})).await;
    other.until("the pods roll", DEPLOYMENTS, "x", |deployment| deployment["metadata"]["generation"] == 2).await;
    other.delete(SERVERS, "x").await;
    for kind in [DEPLOYMENTS, SERVICES] {
        other.until_gone(kind, "x").await;
    }
    world.stays_quiet().await;
    assert_eq!(version(&world.get(DEPLOYMENTS, "x").await), before);
}

#[tokio::test]
async fn what_an_operator_does_not_serve_it_neither_touches_nor_asks_for() {
    let Some(world) = World::with_levers("tell what it was asked").await else { return };
    let other = world.another_namespace().await;
    let served = world.namespace.clone();
    let _operator = world.operator(|settings| settings.namespaces = vec![served]).await;
    other.create(SECRETS, &secret("token", "1")).await;
    other.create_server("x", json!({"secretName": "token"})).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    other.merge(SERVERS, "x", &json!({"spec": {"replicas": 2}})).await;
    world.merge(SERVERS, "x", &json!({"spec": {"replicas": 2}})).await;
    world.until_ready("x").await;
    assert!(other.get(SERVERS, "x").await["status"].is_null());
    assert!(other.find(DEPLOYMENTS, "x").await.is_none());

    let mut asked = world.levers().requests();
    asked.retain(|request| request.user_agent.starts_with("smooth-operator/"));
    assert!(asked.iter().any(|request| request.resource == "secrets"));
    asked.retain(|request| request.namespace != world.namespace);
    assert!(asked.is_empty(), "{asked:#?}");
}

#[tokio::test]
async fn several_namespaces_can_be_served_together() {
    let Some(world) = World::with_levers("have more than the test's namespaces").await else { return };
    let (second, third) = (world.another_namespace().await, world.another_namespace().await);
    let served = vec![world.namespace.clone(), second.namespace.clone()];
    let _operator = world.operator(|settings| settings.namespaces = served).await;
    for place in [&*world, &second, &third] {
        place.create_server("x", json!({})).await;
    }
    world.until_ready("x").await;
    second.until_ready("x").await;
    assert!(third.find(DEPLOYMENTS, "x").await.is_none());
}
