//! The operator of `config/namespaced`: Roles in some namespaces, and nothing in the cluster.
//!
//! A namespace without its Role, or one that does not exist yet, is where such an operator differs: with a ClusterRole an
//! API server lists what is in no namespace as nothing, with Roles it refuses.

use serde_json::{Value, json};

use crate::harness::client::Place;
use crate::harness::objects::{DEPLOYMENTS, Kind, NAMESPACES, SECRETS, SERVERS, says, secret};
use crate::harness::operator::{free_port, get};
use crate::harness::process::QUICK_ELECTION;
use crate::harness::{World, eventually};

const ROLES: Kind = Kind::namespaced("rbac.authorization.k8s.io/v1", "roles");

/// A world in which the operator may do nothing but hold its Lease.
async fn without_cluster_role() -> Option<World> {
    let powerless = |object: &mut Value| {
        if object["kind"] == "ClusterRole" && object["metadata"]["name"] == "smooth-operator-manager" {
            object["rules"] = json!([]);
        }
    };
    World::with_roles(powerless).await
}

/// What `/readyz` answers: its code and its text.
async fn ready(address: &str) -> (bool, String) {
    let (head, body) = get(address, "/readyz").await.unwrap_or_default();
    (head.contains(" 200 "), body)
}

async fn lives(place: &Place) {
    place.create_server("x", json!({"secretName": "token"})).await;
    place.until("the Secret is missed", SERVERS, "x", |it| says(it, "SecretResolved") == "False SecretNotFound").await;
    place.create(SECRETS, &secret("token", "1")).await;
    place.until_ready("x").await;
}

#[tokio::test]
async fn with_a_role_in_each_namespace_it_serves_them_and_asks_nothing_of_the_cluster() {
    let Some(world) = without_cluster_role().await else { return };
    let (a, b) = (world.create_namespace("team-a").await, world.create_namespace("team-b").await);
    for place in [&a, &b] {
        world.grant_in(place).await;
    }
    let health = format!("127.0.0.1:{}", free_port());
    let flags = [&QUICK_ELECTION[..], &["--namespaces", "team-a,team-b"]].concat();
    let operator = world.process_with_roles_and_health(&health, &flags);
    operator.says(": leading ").await;
    lives(&a).await;
    lives(&b).await;
    assert_eq!(ready(&health).await, (true, "ok".to_owned()));
    operator.signal("TERM").await;
    assert!(operator.ends().await.status.success());

    let asked = world.asked_by_the_operator();
    assert!(asked.iter().any(|request| request.namespace == "team-b"), "the log tells namespaces");
    let elsewhere: Vec<_> = asked
        .iter()
        .filter(|request| !matches!(request.namespace.as_str(), "team-a" | "team-b" | "smooth-operator-system"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    let refused: Vec<_> = asked.iter().filter(|request| matches!(request.status, 401 | 403)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

/// All waited for the one, for ever.
#[tokio::test]
async fn a_namespace_that_comes_later_stops_nobody_and_is_served_once_its_role_is_there() {
    let Some(world) = without_cluster_role().await else { return };
    let a = world.create_namespace("team-a").await;
    world.grant_in(&a).await;
    let health = format!("127.0.0.1:{}", free_port());
    let operator = world.process_with_roles_and_health(&health, &["--namespaces", "team-a,team-late"]);
    lives(&a).await;
    let (is_ready, told) = ready(&health).await;
    assert!(is_ready && told.contains("[!]namespaces not served: team-late (waiting for mcpservers, "), "{told}");
    operator.says("namespace team-late is not served, the others are: ").await;
    operator.says("config/namespaced").await;

    let late = world.create_namespace("team-late").await;
    late.create_server("early", json!({})).await;
    world.grant_in(&late).await;
    late.until_ready("early").await;
    lives(&late).await;
    assert_eq!(ready(&health).await, (true, "ok".to_owned()));
    let output = operator.output();
    assert_eq!(output.lines().filter(|line| line.contains("is not served, the others are")).count(), 1, "{output}");
    operator.signal("TERM").await;
    assert!(operator.ends().await.status.success());
}

#[tokio::test]
async fn a_namespace_that_is_deleted_stops_nobody_and_is_served_again_when_it_comes_back() {
    let Some(world) = without_cluster_role().await else { return };
    let (a, b) = (world.create_namespace("team-a").await, world.create_namespace("team-b").await);
    for place in [&a, &b] {
        world.grant_in(place).await;
    }
    let mut operator = world.process_with_roles(&["--namespaces", "team-a,team-b"]);
    a.create_server("x", json!({})).await;
    b.create_server("x", json!({})).await;
    a.until_ready("x").await;
    b.until_ready("x").await;

    world.client.delete(&NAMESPACES.path("", "team-b"), &json!({})).await.unwrap();
    eventually("the namespace is gone", async || match world.client.get(&NAMESPACES.path("", "team-b")).await {
        Err(refused) if refused.code == 404 => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
    // Whoever watches is not told that the Role went, until it watches again.
    world.levers().cut_watches();
    a.merge(SERVERS, "x", &json!({"spec": {"replicas": 2}})).await;
    a.until("the other namespace is served", DEPLOYMENTS, "x", |it| it["spec"]["replicas"] == 2).await;
    assert!(operator.runs(), "{}", operator.output());

    let b = world.create_namespace("team-b").await;
    world.grant_in(&b).await;
    assert!(b.find(ROLES, "smooth-operator-manager").await.is_some());
    b.create_server("y", json!({})).await;
    b.until_ready("y").await;
    operator.signal("TERM").await;
    assert!(operator.ends().await.status.success());
}
