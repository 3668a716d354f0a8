//! Objects that have a server's name and are not its own: refused, waited for, or adopted.

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::objects::{
    CONFIG_MAPS, DEPLOYMENTS, Kind, PODS, SERVERS, SERVICES, condition, foreign_deployment, foreign_service,
    rolled_out, says, uid,
};

/// Case 8.
#[tokio::test]
async fn a_deployment_of_somebody_elses_is_refused_untouched_and_its_going_heals() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create(DEPLOYMENTS, &foreign_deployment("x")).await;
    let before = world.until("it runs", DEPLOYMENTS, "x", rolled_out).await;
    refused_then_healed(&world, DEPLOYMENTS, &before, "Deployment x exists and was not created by this operator").await;
}

#[tokio::test]
async fn a_service_of_somebody_elses_is_refused_untouched_and_its_going_heals() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    let before = world.create(SERVICES, &foreign_service("x")).await;
    refused_then_healed(&world, SERVICES, &before, "Service x exists and was not created by this operator").await;
}

/// Our labels alone don't make it ours where somebody else controls it.
#[tokio::test]
async fn a_deployment_with_another_controller_is_refused_whatever_its_labels_say() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    let owner = world.create(CONFIG_MAPS, &config).await;
    let mut deployment = foreign_deployment("x");
    deployment["metadata"]["labels"] = json!({
        "app.kubernetes.io/name": "mcpserver", "app.kubernetes.io/instance": "x",
        "app.kubernetes.io/managed-by": "smooth-operator",
    });
    let reference = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid(&owner), "controller": true,
    });
    deployment["metadata"]["ownerReferences"] = json!([reference]);
    world.create(DEPLOYMENTS, &deployment).await;
    let before = world.until("it runs", DEPLOYMENTS, "x", rolled_out).await;
    refused_then_healed(&world, DEPLOYMENTS, &before, "Deployment x is controlled by ConfigMap owner").await;
}

async fn refused_then_healed(world: &World, kind: Kind, before: &Value, why: &str) {
    world.create_server("x", json!({})).await;
    let conflict = |server: &Value| says(server, "Accepted") == "False NameConflict";
    let server = world.until("the name is refused", SERVERS, "x", conflict).await;
    let message = condition(&server, "Accepted")["message"].as_str().unwrap();
    assert!(message.starts_with(why), "{message}");
    assert_eq!(says(&server, "Ready"), "False NameConflict");
    assert_eq!(server["status"]["phase"], "Failed");
    assert_eq!(server["status"]["url"], Value::Null);
    world.told("NameConflict", "x").await;

    world.stays_quiet().await;
    assert_eq!(world.get(kind, "x").await, *before, "it was touched");
    let other = if kind.collection("") == SERVICES.collection("") { DEPLOYMENTS } else { SERVICES };
    assert!(world.find(other, "x").await.is_none(), "half a server was made");
    let writes = world.writes();
    assert!(writes.iter().all(|write| write.subresource == "status"), "{writes:#?}");
    assert_eq!(world.events("NameConflict", "x").await, 1, "it was told again and again");

    world.delete(kind, "x").await;
    world.until_ready("x").await;
    assert_ne!(uid(&world.get(kind, "x").await), uid(before));
}

/// Case 9.
#[tokio::test]
async fn an_orphan_of_ours_is_adopted_and_its_pods_are_not_restarted() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({"replicas": 2})).await;
    world.until_ready("x").await;
    world.settle().await;
    let (deployment, service) = (world.get(DEPLOYMENTS, "x").await, world.get(SERVICES, "x").await);
    let pods = pods(&world).await;

    world.delete_with(SERVERS, "x", &json!({"propagationPolicy": "Orphan"})).await;
    world.until_gone(SERVERS, "x").await;
    let orphaned = |child: &Value| child["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty);
    for kind in [DEPLOYMENTS, SERVICES] {
        world.until("it has lost its owner", kind, "x", orphaned).await;
    }
    let again = world.create_server("x", json!({"replicas": 2})).await;
    let adopted = |child: &Value| child["metadata"]["ownerReferences"][0]["uid"] == uid(&again);
    assert_eq!(uid(&world.until("it is adopted", DEPLOYMENTS, "x", adopted).await), uid(&deployment));
    assert_eq!(uid(&world.until("it is adopted", SERVICES, "x", adopted).await), uid(&service));
    world.told("Adopted", "x").await;
    world.until_ready("x").await;
    world.stays_quiet().await;
    assert_eq!(self::pods(&world).await, pods);
    assert_eq!(world.events("NameConflict", "x").await, 0);
}

/// The uid and the start of each pod.
async fn pods(world: &World) -> Vec<(String, Value)> {
    let pods = world.list_of(PODS, "x").await;
    pods.iter().map(|pod| (uid(pod).to_owned(), pod["status"]["startTime"].clone())).collect()
}
