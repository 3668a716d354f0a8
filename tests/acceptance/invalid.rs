//! What the schema admits and the API server refuses when it becomes a Deployment: told where the author looks, and in the
//! API server's own words.
//!
//! No schema says all that Kubernetes' code checks. The author has seen `created`, so only the status can tell.

use playground::faults::{Fault, Policy, Rule};
use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::objects::{
    AUTOSCALERS, BUDGETS, DEPLOYMENTS, POLICIES, SERVERS, SERVICES, condition, container, generation, says,
};

/// A least number of zones, where it would not be enforced.
fn late() -> Value {
    json!({
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2,
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "mcpserver"}},
    })
}

/// A selector by a label that there can't be.
fn near_a_b() -> Value {
    let selector = json!({"matchExpressions": [{"key": "a b", "operator": "Exists"}]});
    let term = json!({"topologyKey": "zone", "labelSelector": selector});
    json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
}

/// The status quotes the refusal of this field.
fn is_refused(field: &'static str) -> impl Fn(&Value) -> bool {
    move |server: &Value| {
        let accepted = condition(server, "Accepted");
        says(server, "Accepted") == "False InvalidSpec"
            && accepted["message"].as_str().is_some_and(|message| message.contains(field))
            && accepted["observedGeneration"] == server["metadata"]["generation"]
    }
}

#[tokio::test]
async fn what_the_api_server_refuses_of_a_new_server_is_quoted_and_a_corrected_spec_heals() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    for (name, spec, field) in [
        (
            "late",
            json!({"topologySpreadConstraints": [late()]}),
            "spec.template.spec.topologySpreadConstraints[0].minDomains",
        ),
        ("near", json!({"affinity": near_a_b()}), "matchExpressions[0].key: Invalid value: \"a b\""),
    ] {
        world.create_server(name, spec).await;
        let server = world.until("it is told why", SERVERS, name, is_refused(field)).await;
        let message = condition(&server, "Accepted")["message"].clone();
        assert!(
            message.as_str().unwrap().starts_with(&format!("Deployment.apps \"{name}\" is invalid: ")),
            "{message}"
        );
        assert_eq!(
            (says(&server, "Ready"), &condition(&server, "Ready")["message"]),
            ("False InvalidSpec".into(), &message)
        );
        assert_eq!(says(&server, "Available"), "False DeploymentMissing");
        assert_eq!((&server["status"]["phase"], &server["status"]["url"]), (&json!("Failed"), &Value::Null));
        world.told("InvalidSpec", name).await;
    }
    world.stays_quiet().await;
    for name in ["late", "near"] {
        assert!(world.find(DEPLOYMENTS, name).await.is_none());
        let spec = json!({"topologySpreadConstraints": null, "affinity": null});
        world.merge(SERVERS, name, &json!({"spec": spec})).await;
        world.until_ready(name).await;
        assert_eq!(world.events("InvalidSpec", name).await, 1);
    }
}

/// The pods go on as they are, and so does all that leads to them.
#[tokio::test]
async fn what_the_api_server_refuses_of_a_running_server_changes_nothing_of_what_runs() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    let url = world.until_ready("x").await["status"]["url"].clone();
    let (deployment, service) = (world.get(DEPLOYMENTS, "x").await, world.get(SERVICES, "x").await);
    let spec = json!({"port": 9090, "topologySpreadConstraints": [late()]});
    world.merge(SERVERS, "x", &json!({"spec": spec})).await;
    let refused = is_refused("spec.template.spec.topologySpreadConstraints");
    let server = world.until("it is told why", SERVERS, "x", refused).await;
    world.stays_quiet().await;
    assert_eq!((says(&server, "Ready").as_str(), &server["status"]["phase"]), ("False InvalidSpec", &json!("Failed")));
    assert_eq!(says(&server, "Available"), "True MinimumReplicasAvailable", "its pods serve");
    assert_eq!(server["status"]["url"], url, "and there they are");
    let progress = condition(&server, "Progressing")["message"].as_str().unwrap();
    assert_eq!(progress, "all pods run the spec that was applied last; the current spec has not been applied");
    assert_eq!(generation(&world.get(DEPLOYMENTS, "x").await), generation(&deployment));
    assert_eq!(world.get(SERVICES, "x").await["spec"], service["spec"]);

    world.merge(SERVERS, "x", &json!({"spec": {"topologySpreadConstraints": null}})).await;
    world.until_ready("x").await;
    assert_eq!(container(&world.get(DEPLOYMENTS, "x").await)["ports"][0]["containerPort"], 9090);
}

/// A policy of the cluster against budgets: the server runs, its network is guarded, it scales; and one is told what is not.
#[tokio::test]
async fn a_refused_extra_is_told_and_in_the_way_of_nothing_else() {
    let Some(world) = World::with_levers("refuse by a policy").await else { return };
    let _operator = world.operator(|_| {}).await;
    let policy = Policy { name: "p".into(), binding: "b".into(), message: "no budgets here".into() };
    let rule = Rule::new(Fault::Policy(policy)).resource("poddisruptionbudgets.policy").namespace(&world.namespace);
    let rule = world.levers().faults().add(rule);
    world.create_server("x", crate::policies::every_block()).await;
    let server = world.until("it is told why", SERVERS, "x", is_refused("no budgets here")).await;
    assert!(condition(&server, "Accepted")["message"].as_str().unwrap().ends_with("; all else goes on"), "{server:#}");
    for kind in [POLICIES, AUTOSCALERS] {
        world.until("it is made", kind, "x", |_| true).await;
    }
    let degraded = |server: &Value| {
        server["status"]["phase"] == "Degraded" && says(server, "Available") == "True MinimumReplicasAvailable"
    };
    let server = world.until("it serves all the same", SERVERS, "x", degraded).await;
    assert!(server["status"]["url"].is_string());
    assert_eq!(says(&server, "Progressing"), "True Complete");
    world.stays_quiet().await;
    assert!(world.find(BUDGETS, "x").await.is_none());

    world.levers().faults().remove(rule);
    world.merge(SERVERS, "x", &json!({"spec": {"disruptionBudget": {"minAvailable": 1}}})).await;
    world.until_ready("x").await;
    assert_eq!(world.get(BUDGETS, "x").await["spec"]["minAvailable"], 1);
}
