//! Strangers: what they may change, and what is put back.

use serde_json::{Value, json};

use crate::harness::objects::{DEPLOYMENTS, PODS, SERVERS, SERVICES, container, generation, rolled_out, uid};
use crate::harness::{World, eventually, image};

/// Case 3.
#[tokio::test]
async fn a_strangers_annotation_on_the_pod_template_stays() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let template = json!({"metadata": {"annotations": {"example.com/by": "a stranger"}}});
    world.merge(DEPLOYMENTS, "x", &json!({"spec": {"template": template}})).await;
    world.stays_quiet().await;
    // Also when the operator has a reason to write.
    world.merge(SERVERS, "x", &json!({"spec": {"replicas": 2}})).await;
    let scaled = |deployment: &Value| deployment["spec"]["replicas"] == 2;
    let deployment = world.until("the Deployment follows", DEPLOYMENTS, "x", scaled).await;
    assert_eq!(deployment["spec"]["template"]["metadata"]["annotations"]["example.com/by"], "a stranger");
    assert_eq!(world.events("DriftCorrected", "x").await, 0);
}

/// A sidecar injector's container, and a setting of the Deployment that the operator says nothing about.
#[tokio::test]
async fn a_strangers_container_and_strategy_stay() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let sidecar = json!([{"name": "sidecar", "image": image()}]);
    let patch = json!({"minReadySeconds": 1, "template": {"spec": {"containers": sidecar}}});
    world.edit(DEPLOYMENTS, "x", &json!({"spec": patch})).await;
    world.until("the sidecar runs", DEPLOYMENTS, "x", rolled_out).await;
    world.merge(SERVERS, "x", &json!({"spec": {"port": 9090}})).await;
    let moved = |deployment: &Value| {
        let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        containers.iter().any(|container| container["ports"][0]["containerPort"] == 9090)
    };
    let deployment = world.until("the Deployment follows", DEPLOYMENTS, "x", moved).await;
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 2);
    assert_eq!(deployment["spec"]["minReadySeconds"], 1);
    assert_eq!(world.events("DriftCorrected", "x").await, 0);
}

/// Case 4.
#[tokio::test]
async fn a_rollout_restart_completes_and_is_not_reverted() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({"replicas": 2})).await;
    world.until_ready("x").await;
    world.settle().await;
    let (before, writes) = (uids(&world).await, deployment_writes(&world));

    let annotations = json!({"kubectl.kubernetes.io/restartedAt": "2026-11-22T20:00:00Z"});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    world.edit(DEPLOYMENTS, "x", &patch).await;
    eventually("all pods are new", async || {
        let (now, deployment) = (uids(&world).await, world.get(DEPLOYMENTS, "x").await);
        if now.iter().any(|uid| before.contains(uid)) || !rolled_out(&deployment) {
            return Err(format!("{now:?}, before {before:?}: {:#}", deployment["status"]));
        }
        Ok(())
    })
    .await;
    world.until_ready("x").await;
    world.stays_quiet().await;
    let deployment = world.get(DEPLOYMENTS, "x").await;
    assert_eq!(deployment["spec"]["template"]["metadata"]["annotations"], annotations);
    assert_eq!(deployment_writes(&world), writes, "{:#?}", world.writes());
}

/// Case 5, the first half.
#[tokio::test]
async fn scaling_the_server_scales_its_pods() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    world.merge(SERVERS, "x/scale", &json!({"spec": {"replicas": 3}})).await;
    let server = world.until_ready("x").await;
    assert_eq!(server["status"]["replicas"], 3);
    assert_eq!(world.list_of(PODS, "x").await.len(), 3);
    assert_eq!(world.client.get(&SERVERS.path(&world.namespace, "x/scale")).await.unwrap()["status"]["replicas"], 3);
}

/// Case 5, the second half.
#[tokio::test]
async fn scaling_the_deployment_is_put_back() {
    let world = World::start().await;
    let operator = world.operator(|_| {}).await;
    world.create_server("x", json!({"replicas": 3})).await;
    world.until_ready("x").await;
    let before = world.get(DEPLOYMENTS, "x").await;
    world.merge(DEPLOYMENTS, "x/scale", &json!({"spec": {"replicas": 7}})).await;
    let back = |deployment: &Value| {
        deployment["spec"]["replicas"] == 3 && generation(deployment) == generation(&before) + 2 && rolled_out(deployment)
    };
    world.until("it is back at the spec's number", DEPLOYMENTS, "x", back).await;
    world.told("DriftCorrected", "x").await;
    assert!((operator.metric("smooth_operator_drift_corrected_total", "kind=\"Deployment\"").await - 1.0).abs() < 0.1);
    world.stays_quiet().await;
    assert_eq!(world.get(DEPLOYMENTS, "x").await["spec"]["replicas"], 3);
}

/// Case 6.
#[tokio::test]
async fn deleted_children_are_made_again() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    for kind in [DEPLOYMENTS, SERVICES] {
        let before = world.get(kind, "x").await;
        world.delete(kind, "x").await;
        let again = |child: &Value| uid(child) != uid(&before) && child["metadata"]["deletionTimestamp"].is_null();
        world.until("it is made again", kind, "x", again).await;
        world.until_ready("x").await;
    }
    // With the Deployment's pods still there, too.
    let before = world.get(DEPLOYMENTS, "x").await;
    world.delete_with(DEPLOYMENTS, "x", &json!({"propagationPolicy": "Foreground"})).await;
    world.until("it is made again", DEPLOYMENTS, "x", |child| uid(child) != uid(&before)).await;
    world.until_ready("x").await;
    world.stays_quiet().await;
}

/// Case 7.
#[tokio::test]
async fn fields_of_ours_that_were_edited_by_hand_are_put_back() {
    let world = World::start().await;
    let operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let before = world.get(DEPLOYMENTS, "x").await;
    let containers = json!([{"name": container(&before)["name"], "image": "example.com/evil:1"}]);
    world.edit(DEPLOYMENTS, "x", &json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
    let back = |deployment: &Value| {
        container(deployment)["image"] == image() && generation(deployment) == generation(&before) + 2
    };
    world.until("the image is back", DEPLOYMENTS, "x", back).await;

    let changed = world.merge(SERVICES, "x", &json!({"spec": {"ports": [{"name": "mcp", "port": 81}]}})).await;
    assert_eq!(changed["spec"]["ports"][0]["port"], 81);
    let expected = json!({"name": "mcp", "port": 8080, "targetPort": "mcp", "protocol": "TCP", "appProtocol": "http"});
    let back = |service: &Value| service["spec"]["ports"] == json!([expected]);
    world.until("the port is back", SERVICES, "x", back).await;

    let changed = world.merge(DEPLOYMENTS, "x", &json!({"metadata": {"labels": {"app.kubernetes.io/instance": null}}})).await;
    assert!(changed["metadata"]["labels"]["app.kubernetes.io/instance"].is_null());
    let back = |deployment: &Value| deployment["metadata"]["labels"]["app.kubernetes.io/instance"] == "x";
    world.until("the label is back", DEPLOYMENTS, "x", back).await;

    world.told("DriftCorrected", "x").await;
    world.until_ready("x").await;
    world.stays_quiet().await;
    for kind in ["Deployment", "Service"] {
        let corrected = operator.metric("smooth_operator_drift_corrected_total", &format!("kind=\"{kind}\"")).await;
        assert!(corrected >= 1.0, "{kind}");
    }
}

async fn uids(world: &World) -> Vec<String> {
    world.list_of(PODS, "x").await.iter().map(|pod| uid(pod).to_owned()).collect()
}

fn deployment_writes(world: &World) -> usize {
    world.writes().iter().filter(|write| write.resource == "deployments.apps").count()
}
