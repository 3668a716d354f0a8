//! What pods say stands in the status: why the server is not available, in words that lead to the mend.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::haste::pass;
use crate::harness::objects::{PODS, SERVERS, condition, name, says};

/// Creates a server with this image and waits for its `Available` to be `False` with this reason.
async fn fails_with(world: &World, image: &str, reason: &str) -> String {
    world.create_server("x", json!({"image": image})).await;
    let told = |server: &Value| says(server, "Available") == format!("False {reason}");
    let server = world.until(reason, SERVERS, "x", told).await;
    assert_eq!(says(&server, "Ready"), format!("False {reason}"));
    let message = condition(&server, "Available")["message"].as_str().unwrap().to_owned();
    let pods = world.list_of(PODS, "x").await;
    assert!(pods.iter().any(|pod| message.contains(name(pod))), "no pod is named: {message}");
    assert_eq!(condition(&server, "Ready")["message"], message.as_str());
    message
}

async fn heals(world: &World) {
    let spec = json!({"image": crate::harness::image(), "resources": null});
    world.merge(SERVERS, "x", &json!({"spec": spec})).await;
    world.until_ready("x").await;
}

/// Case 13.
#[tokio::test]
async fn an_image_that_can_not_be_pulled_is_told_and_a_corrected_one_heals() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    let message = fails_with(&world, "registry.invalid/does-not-exist:1", "ImagePullBackOff").await;
    assert!(message.contains("registry.invalid/does-not-exist:1"), "{message}");
    heals(&world).await;
}

/// Case 14.
#[tokio::test]
async fn a_crash_loop_is_told_with_exit_code_and_restarts() {
    let Some(world) = World::with_levers("crash a container").await else { return };
    let _operator = world.operator(|_| {}).await;
    let message = fails_with(&world, "example.com/crash:1", "CrashLoopBackOff").await;
    assert!(message.contains("exited with code 1"), "{message}");
    let restarted = |server: &Value| {
        condition(server, "Available")["message"].as_str().is_some_and(|message| message.contains("was restarted"))
    };
    world.until("the restarts are counted", SERVERS, "x", restarted).await;
    heals(&world).await;
}

#[tokio::test]
async fn being_killed_for_its_memory_is_told() {
    let Some(world) = World::with_levers("exhaust a container's memory").await else { return };
    let _operator = world.operator(|_| {}).await;
    let message = fails_with(&world, "example.com/oom:1", "OOMKilled").await;
    assert!(message.contains("more memory than its limit"), "{message}");
    heals(&world).await;
}

#[tokio::test]
async fn an_image_that_runs_as_root_is_told_with_the_field_that_decides_it() {
    let Some(world) = World::with_levers("run an image of root's").await else { return };
    let _operator = world.operator(|_| {}).await;
    let message = fails_with(&world, "example.com/root-image:1", "CreateContainerConfigError").await;
    assert!(message.contains("spec.podSecurityContext"), "{message}");
    world.merge(SERVERS, "x", &json!({"spec": {"podSecurityContext": {"runAsUser": 1000}}})).await;
    world.until_ready("x").await;
}

#[tokio::test]
async fn a_pod_that_no_node_takes_is_told() {
    let Some(world) = World::with_levers("have no room").await else { return };
    let _operator = world.operator(|_| {}).await;
    fails_with(&world, "example.com/unschedulable:1", "Unschedulable").await;
    heals(&world).await;
}

/// The old pods serve on, so the server is available; what holds up the new ones stands in another place.
#[tokio::test]
async fn a_rollout_that_does_not_come_about_says_why_while_the_old_pods_serve() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({"replicas": 2})).await;
    world.until_ready("x").await;
    world.merge(SERVERS, "x", &json!({"spec": {"image": "registry.invalid/does-not-exist:2"}})).await;
    let told = |server: &Value| {
        condition(server, "Progressing")["message"].as_str().is_some_and(|it| it.contains("does-not-exist:2"))
    };
    let server = world.until("what holds it up is told", SERVERS, "x", told).await;
    assert_eq!(says(&server, "Available"), "True MinimumReplicasAvailable");
    assert_eq!(server["status"]["phase"], "Progressing");
    heals(&world).await;
}

/// The Deployment's own deadline is ten minutes. Where nothing serves, the server has failed; where the old pods do, it is
/// degraded.
#[tokio::test]
async fn a_rollout_past_its_deadline_is_stuck_and_says_on_what() {
    let Some(world) = World::with_levers("let ten minutes pass").await else { return };
    let _operator = world.operator(|_| {}).await;
    world.create_server("served", json!({})).await;
    world.until_ready("served").await;
    world.merge(SERVERS, "served", &json!({"spec": {"image": "registry.invalid/does-not-exist:2"}})).await;
    world.create_server("new", json!({"image": "registry.invalid/does-not-exist:1"})).await;
    for name in ["served", "new"] {
        let held_up = |server: &Value| {
            condition(server, "Progressing")["message"].as_str().is_some_and(|it| it.contains("does-not-exist:"))
        };
        world.until("it is held up", SERVERS, name, held_up).await;
        assert_eq!(world.events("RolloutStuck", name).await, 0);
    }
    pass(Duration::from_secs(11 * 60)).await;
    for (name, phase, available) in
        [("served", "Degraded", "True MinimumReplicasAvailable"), ("new", "Failed", "False ImagePullBackOff")]
    {
        let stuck = |server: &Value| says(server, "Progressing") == "False ProgressDeadlineExceeded";
        let server = world.until("it is stuck", SERVERS, name, stuck).await;
        let message = condition(&server, "Progressing")["message"].as_str().unwrap();
        assert!(
            message.contains("has timed out progressing") && message.contains("registry.invalid/does-not-exist:"),
            "{message}"
        );
        assert_eq!((&server["status"]["phase"], says(&server, "Available").as_str()), (&json!(phase), available));
        assert!(says(&server, "Ready").starts_with("False"), "{server:#}");
        world.told("RolloutStuck", name).await;
    }
    for name in ["served", "new"] {
        world.merge(SERVERS, name, &json!({"spec": {"image": crate::harness::image()}})).await;
        world.until_ready(name).await;
    }
}
