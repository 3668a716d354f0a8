//! Objects that are older than the schema, and objects that are newer than the operator.
//!
//! A schema that becomes stricter refuses nobody's stored object; it refuses the next change of what is wrong in it. The
//! operator's own change is that of the status, and it has to get through.

use serde_json::{Value, json};

use crate::harness::objects::{
    DEPLOYMENTS, PODS, SERVERS, SERVICES, condition, container, generation, says, server, uid,
};
use crate::harness::{World, eventually};

const WHAT_FOR: &str = "change its CRD under everybody's feet";

/// A world in which these servers were made before there were rules.
async fn with_servers_of_before(servers: &[(&str, Value)]) -> Option<World> {
    let world = World::with_levers_but_no_definition(WHAT_FOR).await?;
    world.install_lax_definition().await;
    for (name, spec) in servers {
        world.create(SERVERS, &server(name, spec.clone())).await;
    }
    world.install_definition().await;
    for (name, spec) in servers {
        let again = server(&format!("{name}-again"), spec.clone());
        let refused = world.client.create(&SERVERS.collection(&world.namespace), &again).await;
        assert_eq!(refused.err().map(|refused| refused.code), Some(422), "{name}: the rules are in force");
    }
    Some(world)
}

/// The rules that have come may be stricter than what Kubernetes asks for: then all is well.
#[tokio::test]
async fn what_only_the_schema_refuses_today_is_run_as_it_always_was() {
    let servers = [
        ("often", json!({"mcp": {"path": "/mcp", "interval": "1s"}})),
        ("anywhere", json!({"tolerations": vec![json!({"key": "a", "operator": "Exists"}); 65]})),
    ];
    let Some(world) = with_servers_of_before(&servers).await else { return };
    let operator = world.operator(|_| {}).await;
    for (name, _) in &servers {
        world.until_ready(name).await;
        world.merge(SERVERS, &format!("{name}/scale"), &json!({"spec": {"replicas": 2}})).await;
        let scaled = |it: &Value| it["status"]["availableReplicas"] == 2 && says(it, "Ready") == "True Available";
        world.until("it is scaled", SERVERS, name, scaled).await;
    }
    world.stays_quiet().await;
    operator.stop().await;
}

/// And where Kubernetes refuses it too, the status says so: its schema, and that of the name, are in nobody's way.
#[tokio::test]
async fn what_kubernetes_refuses_of_an_old_server_is_told_in_its_status() {
    let servers = [
        ("port", json!({"port": 70_000}), "spec.template.spec.containers[0].ports[0].containerPort"),
        (
            "selector",
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
                "topologyKey": "zone",
                "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
            }]}}}),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
        ("mount", json!({"volumeMounts": [{"name": "gone", "mountPath": "/a"}]}), "volumeMounts[0].name: Not found"),
    ];
    let Some(world) = with_servers_of_before(&servers.clone().map(|(name, spec, _)| (name, spec))).await else {
        return;
    };
    let operator = world.operator(|_| {}).await;
    for (name, _, field) in &servers {
        let told = |server: &Value| {
            let message = condition(server, "Accepted")["message"].as_str().unwrap_or_default();
            says(server, "Accepted") == "False InvalidSpec" && message.contains(field)
        };
        let server = world.until("it is told why", SERVERS, name, told).await;
        assert_eq!(
            (says(&server, "Ready").as_str(), &server["status"]["phase"]),
            ("False InvalidSpec", &json!("Failed"))
        );
    }
    world.stays_quiet().await;
    for (name, _, _) in &servers {
        world.delete(SERVERS, name).await;
        world.until_gone(SERVERS, name).await;
    }
    operator.stop().await;
}

/// The rule of the name is one of the whole object, of which the status is a part.
#[tokio::test]
async fn a_server_whose_name_no_service_can_have_is_told_so() {
    let Some(world) = World::with_levers_but_no_definition(WHAT_FOR).await else { return };
    let mut definition = smooth_operator::api::crd::definition();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        .as_object_mut()
        .unwrap()
        .remove("x-kubernetes-validations");
    world.install_this_definition(definition).await;
    world.create_server("1x", json!({})).await;
    world.install_definition().await;
    let refused =
        world.client.create(&SERVERS.collection(&world.namespace), &server("2x", json!({}))).await.unwrap_err();
    assert!(refused.body.contains("metadata.name becomes the name of a Service"), "{refused}");

    let operator = world.operator(|_| {}).await;
    let told = |server: &Value| {
        let message = condition(server, "Accepted")["message"].as_str().unwrap_or_default();
        says(server, "Accepted") == "False InvalidSpec" && message.contains("Service \"1x\" is invalid: metadata.name")
    };
    world.until("it is told why", SERVERS, "1x", told).await;
    world.stays_quiet().await;
    world.merge(SERVERS, "1x", &json!({"spec": {"replicas": 0}})).await;
    world.delete(SERVERS, "1x").await;
    world.until_gone(DEPLOYMENTS, "1x").await;
    operator.stop().await;
}

/// A word of a newer CRD in a server that runs: nobody knows what is wanted, so nothing is changed, and its pods serve on.
#[tokio::test]
async fn a_server_that_runs_goes_on_when_its_spec_has_a_word_of_the_future() {
    let Some(world) = World::with_levers_but_no_definition(WHAT_FOR).await else { return };
    world.install_lax_definition().await;
    let operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let (deployment, service) = (world.get(DEPLOYMENTS, "x").await, world.get(SERVICES, "x").await);
    for future in [
        json!({"mcp": {"verify": "Enforce"}}),
        json!({"imagePullPolicy": "WhenTheMoonIsFull"}),
        json!({"service": {"sessionAffinity": "Cookie"}}),
    ] {
        world.merge(SERVERS, "x", &json!({"spec": future})).await;
        world.merge(SERVERS, "x", &json!({"spec": {"replicas": 3}})).await;
        let told = |server: &Value| {
            says(server, "Accepted") == "False UndecodableObject"
                && server["status"]["observedGeneration"] == server["metadata"]["generation"]
        };
        let server = world.until("it is told so", SERVERS, "x", told).await;
        assert_eq!(says(&server, "Available"), "True MinimumReplicasAvailable");
        let unknown = future.as_object().unwrap().values().next().unwrap();
        let unknown = unknown.as_str().or(unknown.as_object().and_then(|it| it.values().next()?.as_str())).unwrap();
        assert!(condition(&server, "Accepted")["message"].as_str().unwrap().contains(unknown), "{server:#}");
        world.stays_quiet().await;
        assert_eq!(generation(&world.get(DEPLOYMENTS, "x").await), generation(&deployment));
        assert_eq!(uid(&world.get(SERVICES, "x").await), uid(&service));
        let known = json!({"mcp": {"verify": "Off"}, "imagePullPolicy": null, "service": null, "replicas": 1});
        world.merge(SERVERS, "x", &json!({"spec": known})).await;
        world.until_ready("x").await;
    }
    // A field of the future is none of our business, and one in the status neither.
    world.merge(SERVERS, "x", &json!({"spec": {"levitation": {"height": 3}, "port": 9090}})).await;
    world.until("it is followed", DEPLOYMENTS, "x", |it| container(it)["ports"][0]["containerPort"] == 9090).await;
    world.until_ready("x").await;
    eventually("there is one pod, the new one", async || match world.list_of(PODS, "x").await.len() {
        1 => Ok(()),
        pods => Err(format!("{pods} pods")),
    })
    .await;
    operator.stop().await;
}

/// A status that a newer operator has written, before it was replaced by this one.
#[tokio::test]
async fn a_status_of_the_future_is_replaced_by_one_of_today() {
    let Some(world) = World::with_levers_but_no_definition(WHAT_FOR).await else { return };
    let mut definition = smooth_operator::api::crd::definition();
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"] = anything;
    world.install_this_definition(definition).await;
    world.create_server("x", json!({})).await;
    let status = json!({"phase": "Levitating", "server": {"sessionMode": "Entangled"}, "observedGeneration": "many"});
    world.merge(SERVERS, "x/status", &json!({"status": status})).await;
    let operator = world.operator(|_| {}).await;
    let server = world.until_ready("x").await;
    assert_eq!((&server["status"]["phase"], &server["status"]["observedGeneration"]), (&json!("Running"), &json!(1)));
    world.stays_quiet().await;
    operator.stop().await;
}
