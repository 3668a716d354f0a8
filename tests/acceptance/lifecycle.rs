//! From the first `kubectl apply` to `kubectl delete`.

use serde_json::{Value, json};

use crate::harness::objects::{
    CONFIG_MAPS, DEPLOYMENTS, PODS, SECRETS, SERVERS, SERVICES, container, foreign_service, generation, name,
    rolled_out, says, secret, uid,
};
use crate::harness::{World, eventually, image};

/// Case 1.
#[tokio::test]
async fn a_minimal_server_gets_a_deployment_and_a_service_of_its_own_and_a_status() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    let made = world.create_server("minimal", json!({})).await;

    let server = world.until_ready("minimal").await;
    let owner = json!([{
        "apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer", "name": "minimal", "uid": uid(&made),
        "controller": true, "blockOwnerDeletion": true,
    }]);
    let (deployment, service) = (world.get(DEPLOYMENTS, "minimal").await, world.get(SERVICES, "minimal").await);
    assert_eq!(deployment["metadata"]["ownerReferences"], owner);
    assert_eq!(service["metadata"]["ownerReferences"], owner);
    assert_eq!(container(&deployment)["image"], image());
    assert_eq!(service["spec"]["ports"][0]["port"], 8080);
    assert_eq!(service["spec"]["selector"], deployment["spec"]["selector"]["matchLabels"]);

    let status = &server["status"];
    assert_eq!(status["observedGeneration"], made["metadata"]["generation"]);
    assert_eq!(status["phase"], "Running");
    for count in ["replicas", "readyReplicas", "availableReplicas", "updatedReplicas"] {
        assert_eq!(status[count], 1, "{count}: {status:#}");
    }
    assert_eq!(status["url"], format!("http://minimal.{}.svc:8080/mcp", world.namespace));
    assert_eq!(says(&server, "Ready"), "True Available");
    assert_eq!(says(&server, "Accepted"), "True Accepted");
    assert_eq!(says(&server, "SecretResolved"), "True NotRequired");
    assert_eq!(says(&server, "Available"), "True MinimumReplicasAvailable");
    assert_eq!(says(&server, "Progressing"), "True Complete");
    world.told("DeploymentCreated", "minimal").await;
    world.told("ServiceCreated", "minimal").await;
    world.told("Available", "minimal").await;
}

/// The selector in the status is what `kubectl get hpa` finds the pods by.
#[tokio::test]
async fn the_selector_in_the_status_selects_the_pods() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("a", json!({"replicas": 2})).await;
    world.create_server("b", json!({})).await;
    let selector = world.until_ready("a").await["status"]["selector"].as_str().unwrap().replace('=', "%3D");
    let path = format!("{}?labelSelector={selector}", PODS.collection(&world.namespace));
    let pods = world.client.get(&path).await.unwrap();
    assert_eq!(pods["items"].as_array().unwrap().len(), 2);
}

/// Case 15.
#[tokio::test]
async fn a_server_scaled_to_zero_is_ready_and_has_no_url() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({"replicas": 0})).await;
    let server = world.until_ready("x").await;
    assert_eq!(server["status"]["phase"], "ScaledToZero");
    assert_eq!(says(&server, "Available"), "True ScaledToZero");
    assert_eq!(server["status"]["url"], Value::Null);
    assert_eq!(world.list_of(PODS, "x").await.len(), 0);

    world.merge(SERVERS, "x", &json!({"spec": {"replicas": 1}})).await;
    assert_eq!(world.until_ready("x").await["status"]["phase"], "Running");
    world.merge(SERVERS, "x", &json!({"spec": {"replicas": 0}})).await;
    assert_eq!(world.until_ready("x").await["status"]["phase"], "ScaledToZero");
    eventually("the pod is gone", async || match world.list_of(PODS, "x").await.len() {
        0 => Ok(()),
        pods => Err(format!("{pods} are there")),
    })
    .await;
}

/// Case 16. A Deployment may miss a quarter of its pods: of four, one. The pod that can't start is one that lost a
/// ConfigMap which a stranger gave it, as a sidecar injector might.
#[tokio::test]
async fn with_one_pod_of_four_missing_a_server_is_available_and_degraded() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({"replicas": 4})).await;
    world.until_ready("x").await;
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "injected"}, "data": {"a": "b"}});
    world.create(CONFIG_MAPS, &config).await;
    let from = json!([{"configMapRef": {"name": "injected"}}]);
    let containers = json!([{"name": container(&world.get(DEPLOYMENTS, "x").await)["name"], "envFrom": from}]);
    world.edit(DEPLOYMENTS, "x", &json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
    world.until("the injected pods run", DEPLOYMENTS, "x", rolled_out).await;
    world.until_ready("x").await;

    world.delete(CONFIG_MAPS, "injected").await;
    let pods = world.list_of(PODS, "x").await;
    world.delete(PODS, name(&pods[0])).await;
    let degraded = |server: &Value| server["status"]["phase"] == "Degraded";
    let server = world.until("one pod is missed", SERVERS, "x", degraded).await;
    assert_eq!(says(&server, "Available"), "True MinimumReplicasAvailable");
    assert_eq!(server["status"]["availableReplicas"], 3);
    assert!(server["status"]["url"].is_string());
    world.stays_quiet().await;

    world.create(CONFIG_MAPS, &config).await;
    let running = |server: &Value| server["status"]["phase"] == "Running" && server["status"]["availableReplicas"] == 4;
    world.until("all pods are back", SERVERS, "x", running).await;
}

/// Of two pods a Deployment may miss none, by its own rule.
#[tokio::test]
async fn with_one_pod_of_two_missing_a_server_is_not_available() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("x", json!({"replicas": 2, "secretName": "token"})).await;
    world.until_ready("x").await;
    world.delete(SECRETS, "token").await;
    let pods = world.list_of(PODS, "x").await;
    world.delete(PODS, name(&pods[0])).await;
    let degraded =
        |server: &Value| server["status"]["phase"] == "Degraded" && server["status"]["availableReplicas"] == 1;
    let server = world.until("one pod is missed", SERVERS, "x", degraded).await;
    assert_eq!(says(&server, "Available"), "False MinimumReplicasUnavailable");
    assert_eq!(server["status"]["url"], Value::Null);
}

/// Case 17.
#[tokio::test]
async fn a_new_port_reaches_deployment_service_and_url() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    // On a real cluster nothing listens there, so this waits for the objects and not for Ready.
    world.merge(SERVERS, "x", &json!({"spec": {"port": 9090}})).await;
    let moved = |deployment: &Value| container(deployment)["ports"][0]["containerPort"] == 9090;
    world.until("the Deployment follows", DEPLOYMENTS, "x", moved).await;
    world.until("the Service follows", SERVICES, "x", |service| service["spec"]["ports"][0]["port"] == 9090).await;
    let url = format!("http://x.{}.svc:9090/mcp", world.namespace);
    world.until("the url follows", SERVERS, "x", |server| server["status"]["url"] == url).await;
    let ports = world.get(DEPLOYMENTS, "x").await;
    assert_eq!(container(&ports)["ports"].as_array().unwrap().len(), 1, "the old port is gone");
    let ports = world.get(SERVICES, "x").await;
    assert_eq!(ports["spec"]["ports"].as_array().unwrap().len(), 1, "the old port is gone");
    world.told("DeploymentUpdated", "x").await;
    world.told("ServiceUpdated", "x").await;
    assert_eq!(world.events("DriftCorrected", "x").await, 0, "a changed spec is not drift");
}

/// Case 18.
#[tokio::test]
async fn what_is_removed_from_the_spec_is_removed_from_the_children() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    let annotations = json!({"example.com/gone": "1", "example.com/stays": "1"});
    world.create_server("x", json!({"secretName": "token", "service": {"annotations": annotations}})).await;
    world.until_ready("x").await;
    let deployment = world.get(DEPLOYMENTS, "x").await;
    assert_eq!(container(&deployment)["envFrom"][0]["secretRef"]["name"], "token");

    let patch = json!({"secretName": null, "service": {"annotations": {"example.com/gone": null}}});
    world.merge(SERVERS, "x", &json!({"spec": patch})).await;
    let without = |deployment: &Value| container(deployment)["envFrom"].is_null();
    let deployment = world.until("the pods lose the Secret", DEPLOYMENTS, "x", without).await;
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["mcp.mcp.dev/secret-hash"], Value::Null);
    let without = |service: &Value| service["metadata"]["annotations"]["example.com/gone"].is_null();
    let service = world.until("the Service loses its annotation", SERVICES, "x", without).await;
    assert_eq!(service["metadata"]["annotations"]["example.com/stays"], "1");
    assert_eq!(says(&world.until_ready("x").await, "SecretResolved"), "True NotRequired");
}

/// Case 19.
#[tokio::test]
async fn a_deleted_server_takes_its_children_and_its_metrics_along_and_nothing_comes_back() {
    let world = World::start().await;
    let operator = world.operator(|_| {}).await;
    world.create_server("goes", json!({"replicas": 2})).await;
    world.create_server("stays", json!({})).await;
    world.until_ready("goes").await;
    world.until_ready("stays").await;
    assert!(operator.metrics().await.contains("name=\"goes\""));

    world.delete(SERVERS, "goes").await;
    for kind in [SERVERS, DEPLOYMENTS, SERVICES] {
        world.until_gone(kind, "goes").await;
    }
    eventually("its pods are gone", async || match world.list_of(PODS, "goes").await.len() {
        0 => Ok(()),
        pods => Err(format!("{pods} are there")),
    })
    .await;
    eventually("its series are gone", async || {
        let metrics = operator.metrics().await;
        let series: Vec<String> = metrics.lines().filter(|line| line.contains("\"goes\"")).map(str::to_owned).collect();
        if series.is_empty() { Ok(()) } else { Err(format!("{series:#?}")) }
    })
    .await;
    assert!(operator.metrics().await.contains("name=\"stays\""));
    world.stays_quiet().await;
    assert!(world.find(DEPLOYMENTS, "goes").await.is_none());
}

/// While the garbage collector still works through its children, the server is there, and terminating.
#[tokio::test]
async fn a_server_that_is_being_deleted_gets_no_children_any_more() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    let mut server = crate::harness::objects::server("x", json!({}));
    server["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.create(SERVERS, &server).await;
    world.until_ready("x").await;
    world.delete(SERVERS, "x").await;
    let terminating = |server: &Value| server["status"]["phase"] == "Terminating";
    world.until("it says that it is terminating", SERVERS, "x", terminating).await;
    world.delete(DEPLOYMENTS, "x").await;
    world.until_gone(DEPLOYMENTS, "x").await;
    world.stays_quiet().await;
    assert!(world.find(DEPLOYMENTS, "x").await.is_none(), "it was made again");
    world.merge(SERVERS, "x", &json!({"metadata": {"finalizers": null}})).await;
    world.until_gone(SERVERS, "x").await;
}

/// A server made again under its name is another one; its children are its own, not its predecessor's.
#[tokio::test]
async fn a_server_made_again_at_once_gets_children_of_its_own() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let before = world.get(DEPLOYMENTS, "x").await;
    world.delete(SERVERS, "x").await;
    let again = world.create_server("x", json!({"replicas": 2})).await;
    world.until_ready("x").await;
    let after = world.get(DEPLOYMENTS, "x").await;
    assert_ne!(uid(&before), uid(&after));
    assert_eq!(after["metadata"]["ownerReferences"][0]["uid"], uid(&again));
    assert_eq!(world.get(SERVICES, "x").await["metadata"]["ownerReferences"][0]["uid"], uid(&again));
    assert_eq!(generation(&after), 1);
}

/// While a server is suspended its pods serve on, whatever happens to its spec and its children.
#[tokio::test]
async fn a_suspended_server_is_left_alone_and_followed_when_it_is_resumed() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("never", json!({"suspend": true})).await;
    let never = world.until("it says so", SERVERS, "never", |server| server["status"]["phase"] == "Suspended").await;
    assert_eq!((says(&never, "Ready").as_str(), &never["status"]["url"]), ("False DeploymentMissing", &json!(null)));

    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let change = json!({"spec": {"suspend": true, "replicas": 3, "port": 9090}});
    world.merge(SERVERS, "x", &change).await;
    world.merge(DEPLOYMENTS, "x", &json!({"spec": {"replicas": 2}})).await;
    let suspended = |server: &Value| server["status"]["phase"] == "Suspended" && server["status"]["readyReplicas"] == 2;
    let server = world.until("it is told how it is", SERVERS, "x", suspended).await;
    assert_eq!(says(&server, "Available"), "True MinimumReplicasAvailable");
    assert_eq!(says(&server, "Ready"), "Unknown Unknown", "nobody has followed this spec");
    assert_eq!(server["status"]["url"], format!("http://x.{}.svc:8080/mcp", world.namespace));
    world.stays_quiet().await;
    assert_eq!(world.get(DEPLOYMENTS, "x").await["spec"]["replicas"], 2, "a stranger's change stays");
    assert!(world.find(DEPLOYMENTS, "never").await.is_none() && world.find(SERVICES, "never").await.is_none());

    for name in ["x", "never"] {
        world.merge(SERVERS, name, &json!({"spec": {"suspend": false}})).await;
    }
    world.until_ready("never").await;
    let followed = |server: &Value| says(server, "Ready") == "True Available" && server["status"]["readyReplicas"] == 3;
    let server = world.until("it is followed", SERVERS, "x", followed).await;
    assert_eq!(server["status"]["url"], format!("http://x.{}.svc:9090/mcp", world.namespace));
}

/// The name of a server is held by its CRD; a Service that stands in its way is another matter, see `ownership`.
#[tokio::test]
async fn a_name_that_no_service_can_have_is_refused() {
    let world = World::start().await;
    assert!(world.client.create(&SERVICES.collection(&world.namespace), &foreign_service("1x")).await.is_err());
    let server = crate::harness::objects::server("1x", json!({}));
    let refused = world.client.create(&SERVERS.collection(&world.namespace), &server).await.unwrap_err();
    assert_eq!(refused.code, 422);
    assert!(refused.body.contains("becomes the name of a Service"), "{refused}");
}
