//! The objects that a spec may call for beside the Deployment and the Service.

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::objects::{AUTOSCALERS, BUDGETS, DEPLOYMENTS, POLICIES, SERVERS, condition, generation, says, uid};

/// A spec with every block that is an object of its own.
pub(crate) fn every_block() -> Value {
    json!({
        "replicas": 2,
        "disruptionBudget": {"minAvailable": "50%"},
        "networkPolicy": {"from": [{"namespaceSelector": {}}], "egress": []},
        "autoscaling": {
            "minReplicas": 1,
            "maxReplicas": 5,
            "targetCPUUtilizationPercentage": 70,
            "metrics": [{"type": "Pods", "pods": {
                "metric": {"name": "calls"}, "target": {"type": "AverageValue", "averageValue": "0.5"},
            }}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        },
    })
}

#[tokio::test]
async fn each_block_is_an_object_of_the_server_and_goes_with_its_block() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    let server = world.create_server("x", every_block()).await;
    world.until_ready("x").await;
    for kind in [BUDGETS, POLICIES, AUTOSCALERS] {
        let object = world.until("it is made", kind, "x", |_| true).await;
        let owner = &object["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["uid"], &owner["controller"]), (&server["metadata"]["uid"], &json!(true)));
    }
    assert_eq!(world.get(BUDGETS, "x").await["spec"]["minAvailable"], "50%");
    world.told("PodDisruptionBudgetCreated", "x").await;

    world.merge(SERVERS, "x", &json!({"spec": {"disruptionBudget": {"minAvailable": 1}}})).await;
    world.until("it follows its block", BUDGETS, "x", |budget| budget["spec"]["minAvailable"] == 1).await;
    world.delete(POLICIES, "x").await;
    world.until("it is made again", POLICIES, "x", |_| true).await;

    let none = json!({"disruptionBudget": null, "networkPolicy": null, "autoscaling": null});
    world.merge(SERVERS, "x", &json!({"spec": none})).await;
    for kind in [BUDGETS, POLICIES, AUTOSCALERS] {
        world.until_gone(kind, "x").await;
    }
    world.told("NetworkPolicyDeleted", "x").await;
    world.stays_quiet().await;
    world.until_ready("x").await;
}

/// Somebody opens the network of a server that is to reach nobody, lets all of its pods be drained, and lets it scale to a
/// hundred.
#[tokio::test]
async fn what_others_change_in_these_objects_is_put_back() {
    let world = World::start().await;
    let operator = world.operator(|_| {}).await;
    world.create_server("x", every_block()).await;
    world.create_server("closed", json!({"networkPolicy": {"from": [], "egress": []}})).await;
    for name in ["x", "closed"] {
        world.until_ready(name).await;
    }
    world.settle().await;
    let anywhere = json!({"ingress": [{}], "egress": [{}]});
    for (kind, name, change) in [
        (POLICIES, "x", anywhere.clone()),
        (POLICIES, "closed", anywhere),
        (BUDGETS, "x", json!({"minAvailable": 0})),
        (AUTOSCALERS, "x", json!({"maxReplicas": 100})),
    ] {
        let before = world.get(kind, name).await;
        let changed = world.merge(kind, name, &json!({"spec": change})).await;
        assert_ne!(changed["spec"], before["spec"]);
        world.until("it is put back", kind, name, |now| now["spec"] == before["spec"]).await;
    }
    for (kind, times) in [("NetworkPolicy", 2.0), ("PodDisruptionBudget", 1.0), ("HorizontalPodAutoscaler", 1.0)] {
        let labels = format!("kind=\"{kind}\"");
        let corrected = operator.metric("smooth_operator_drift_corrected_total", &labels).await;
        assert!((corrected - times).abs() < 0.1, "{kind}: {corrected}");
    }
    world.told("DriftCorrected", "closed").await;
    world.stays_quiet().await;
}

#[tokio::test]
async fn an_object_of_somebody_else_is_neither_changed_nor_deleted_and_stands_in_nobodys_way() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    let foreign = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "x"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}},
    });
    let foreign = world.create(BUDGETS, &foreign).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;

    let spec = json!({"disruptionBudget": {"minAvailable": 1}, "networkPolicy": {}, "port": 9090});
    world.merge(SERVERS, "x", &json!({"spec": spec})).await;
    let conflict = |server: &Value| {
        let url = server["status"]["url"].as_str().unwrap_or_default();
        says(server, "Accepted") == "False NameConflict"
            && url.contains(":9090")
            && says(server, "Progressing") == "True Complete"
    };
    let server = world.until("the conflict is told, and the rest is applied", SERVERS, "x", conflict).await;
    let message = condition(&server, "Accepted")["message"].as_str().unwrap();
    assert!(message.contains("PodDisruptionBudget x"), "{message}");
    assert_eq!(
        (&server["status"]["phase"], says(&server, "Ready").as_str()),
        (&json!("Degraded"), "False NameConflict")
    );
    world.until("nobody is in its way", POLICIES, "x", |_| true).await;
    world.stays_quiet().await;
    assert_eq!(world.events("NameConflict", "x").await, 1, "it was told again and again");
    let foreign_too = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "z"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}},
    });
    world.create(BUDGETS, &foreign_too).await;
    world.create_server("z", json!({"disruptionBudget": {"minAvailable": 1}})).await;
    world.until("it serves from the first day", SERVERS, "z", |it| says(it, "Available").starts_with("True")).await;
    world.delete(BUDGETS, "z").await;
    world.until_ready("z").await;
    world.merge(SERVERS, "x", &json!({"spec": {"disruptionBudget": null}})).await;
    world.until_ready("x").await;
    let still = world.get(BUDGETS, "x").await;
    assert_eq!((uid(&still), &still["spec"]), (uid(&foreign), &foreign["spec"]));
}

/// Found by the simulation: an autoscaler does nothing for a Deployment of no pods, and nobody else did.
#[tokio::test]
async fn a_server_that_was_stopped_begins_with_its_autoscalers_least() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({"replicas": 0})).await;
    world.until("it is made", DEPLOYMENTS, "x", |deployment| deployment["spec"]["replicas"] == 0).await;
    world.merge(SERVERS, "x", &json!({"spec": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}}})).await;
    world.until("it is started", DEPLOYMENTS, "x", |deployment| deployment["spec"]["replicas"] == 2).await;
    world.until_ready("x").await;
}

/// When the operator stops managing the number of replicas, the number must not fall back to its default; and while the
/// autoscaler manages it, whatever it writes is right.
#[tokio::test]
async fn with_autoscaling_the_number_of_pods_is_the_autoscalers() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({"replicas": 3})).await;
    world.until_ready("x").await;
    world.merge(SERVERS, "x", &json!({"spec": {"autoscaling": {"maxReplicas": 9}}})).await;
    world.until("the autoscaler is made", AUTOSCALERS, "x", |_| true).await;
    world.stays_quiet().await;
    assert_eq!(world.get(DEPLOYMENTS, "x").await["spec"]["replicas"], 3, "as many as before");

    let scale = json!({"spec": {"replicas": 5}});
    world.merge(DEPLOYMENTS, "x/scale", &scale).await;
    let scaled =
        |server: &Value| server["status"]["availableReplicas"] == 5 && says(server, "Ready") == "True Available";
    world.until("the status follows", SERVERS, "x", scaled).await;
    world.stays_quiet().await;
    let deployment = world.get(DEPLOYMENTS, "x").await;
    assert_eq!(deployment["spec"]["replicas"], 5, "as the autoscaler wants it");
    // Another change of the spec leaves it alone, too.
    world.merge(SERVERS, "x", &json!({"spec": {"port": 9090}})).await;
    let followed = |it: &Value| generation(it) > generation(&deployment);
    let deployment = world.until("the Deployment follows", DEPLOYMENTS, "x", followed).await;
    assert_eq!(deployment["spec"]["replicas"], 5);
    assert_eq!(world.events("DriftCorrected", "x").await, 0);

    world.merge(SERVERS, "x", &json!({"spec": {"autoscaling": null}})).await;
    world.until("the spec decides again", DEPLOYMENTS, "x", |it| it["spec"]["replicas"] == 3).await;
    world.until_gone(AUTOSCALERS, "x").await;
    world.merge(DEPLOYMENTS, "x/scale", &scale).await;
    world.until("it is scaled back", DEPLOYMENTS, "x", |it| it["spec"]["replicas"] == 3).await;
}
