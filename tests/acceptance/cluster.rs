//! What those who run a cluster do to everybody in it: quotas, Pod Security, namespaces that go.

use serde_json::{Value, json};

use crate::harness::objects::{
    CONFIG_MAPS, DEPLOYMENTS, Kind, NAMESPACES, PODS, SECRETS, SERVERS, SERVICES, condition, says, secret,
};
use crate::harness::{World, eventually};

const QUOTAS: Kind = Kind::namespaced("v1", "resourcequotas");

async fn quota(world: &World, hard: Value) {
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}});
    world.create(QUOTAS, &quota).await;
    world.until("the quota is counted", QUOTAS, "q", |quota| quota["status"]["hard"].is_object()).await;
}

/// A quota of pods refuses nothing of the operator's: the ReplicaSet fails, and only the Deployment's status says so.
#[tokio::test]
async fn a_quota_of_pods_is_quoted_and_more_room_heals() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    quota(&world, json!({"count/pods": "0"})).await;
    world.create_server("x", json!({})).await;
    let quoted = |server: &Value| {
        let message = condition(server, "Available")["message"].as_str().unwrap_or_default();
        says(server, "Available") == "False MinimumReplicasUnavailable" && message.contains("exceeded quota: q")
    };
    let server = world.until("the quota is quoted", SERVERS, "x", quoted).await;
    assert_eq!(says(&server, "Ready"), "False MinimumReplicasUnavailable");
    assert_eq!(condition(&server, "Ready")["message"], condition(&server, "Available")["message"]);
    assert_eq!(server["status"]["url"], Value::Null);
    assert_eq!(world.list_of(PODS, "x").await.len(), 0);
    world.delete(QUOTAS, "q").await;
    // The ReplicaSet's controller has its own backoff; a change wakes it.
    world.merge(SERVERS, "x", &json!({"spec": {"podAnnotations": {"example.com/try": "again"}}})).await;
    world.until_ready("x").await;
}

/// And one of Deployments refuses the operator's own write; with the real admission, not with a fault.
#[tokio::test]
async fn a_quota_of_deployments_is_quoted_and_more_room_heals() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    quota(&world, json!({"count/deployments.apps": "1", "count/services": "9"})).await;
    world.create_server("first", json!({})).await;
    world.until_ready("first").await;
    world.create_server("second", json!({})).await;
    let quoted = |server: &Value| {
        let message = condition(server, "Ready")["message"].as_str().unwrap_or_default();
        says(server, "Ready") == "False DeploymentMissing"
            && message.contains("deployments.apps \"second\" is forbidden: exceeded quota: q")
    };
    world.until("the quota is quoted", SERVERS, "second", quoted).await;
    world.delete(SERVERS, "first").await;
    world.until_gone(DEPLOYMENTS, "first").await;
    world.until_ready("second").await;
}

/// The profile "restricted" of the Pod Security Standards, for Linux: what of a pod it refuses.
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>
fn violations(pod: &Value) -> Vec<String> {
    const VOLUMES: [&str; 8] =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    let mut found = Vec::new();
    let mut must = |holds: bool, what: &str| found.extend((!holds).then(|| what.to_owned()));
    let spec = &pod["spec"];
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        must(spec[host] != true, host);
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        for kind in kinds {
            must(VOLUMES.contains(&kind.as_str()), &format!("volume type {kind}"));
        }
    }
    let of_pod = &spec["securityContext"];
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec[list].as_array().into_iter().flatten() {
            let own = &container["securityContext"];
            let either = |field: &str| if own[field].is_null() { of_pod[field].clone() } else { own[field].clone() };
            must(own["privileged"] != true, "privileged");
            must(own["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation != false");
            must(own["capabilities"]["drop"].as_array().is_some_and(|all| all.contains(&json!("ALL"))), "capabilities");
            let added = own["capabilities"]["add"].as_array().cloned().unwrap_or_default();
            must(added.iter().all(|one| one == "NET_BIND_SERVICE"), "more capabilities");
            must(either("runAsNonRoot") == true, "runAsNonRoot != true");
            must(either("runAsUser") != 0, "runAsUser=0");
            let seccomp = either("seccompProfile")["type"].clone();
            must(seccomp == "RuntimeDefault" || seccomp == "Localhost", "seccompProfile");
            let ports = container["ports"].as_array().into_iter().flatten();
            must(ports.into_iter().all(|port| port["hostPort"].is_null() || port["hostPort"] == 0), "hostPort");
        }
    }
    found
}

/// A namespace with `pod-security.kubernetes.io/enforce: restricted` admits the pods of the smallest server, and of one that
/// uses every field for what it is for.
#[tokio::test]
async fn the_pods_are_those_that_a_restricted_namespace_admits() {
    let world = World::start().await;
    let restricted = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    world.merge_at(&NAMESPACES.path("", &world.namespace), &restricted).await.unwrap();
    let _operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("smallest", json!({})).await;
    world.create_server("full", crate::fields::every_field()).await;
    for name in ["smallest", "full"] {
        world.until_ready(name).await;
        for pod in world.list_of(PODS, name).await {
            assert_eq!(violations(&pod), [""; 0], "{name}");
        }
    }
    let mut root = world.list_of(PODS, "smallest").await.remove(0);
    root["spec"]["securityContext"] = json!({"runAsUser": 0});
    root["spec"]["containers"][0]["securityContext"] = json!({"allowPrivilegeEscalation": true});
    assert_eq!(
        violations(&root),
        ["allowPrivilegeEscalation != false", "capabilities", "runAsNonRoot != true", "runAsUser=0", "seccompProfile"],
        "the test can tell"
    );
}

/// It takes everything along, in any order, and for a while it takes nothing new.
#[tokio::test]
async fn a_namespace_that_is_deleted_with_its_servers_is_no_trouble() {
    let world = World::start().await;
    let doomed = world.another_namespace().await;
    let operator = world.operator(|_| {}).await;
    // Something holds it up, so that it is terminating for long enough to get everything wrong.
    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "finalizers": ["example.com/hold"]},
    });
    doomed.create(CONFIG_MAPS, &held).await;
    doomed.create(SECRETS, &secret("token", "1")).await;
    doomed.create_server("x", json!({"secretName": "token"})).await;
    let mut server = crate::harness::objects::server("held", crate::policies::every_block());
    server["metadata"]["finalizers"] = json!(["example.com/hold"]);
    doomed.create(SERVERS, &server).await;
    world.create_server("stays", json!({})).await;
    for name in ["x", "held"] {
        doomed.until_ready(name).await;
    }
    world.until_ready("stays").await;
    let errors = operator.metric("controller_runtime_reconcile_errors_total", "").await;

    let path = NAMESPACES.path("", &doomed.namespace);
    world.client.delete(&path, &json!({})).await.unwrap();
    for kind in [DEPLOYMENTS, SERVICES, SECRETS] {
        for name in ["x", "held", "token"] {
            doomed.until_gone(kind, name).await;
        }
    }
    let terminating = |server: &Value| server["status"]["phase"] == "Terminating";
    doomed.until("it says that it is terminating", SERVERS, "held", terminating).await;
    world.stays_quiet().await;
    world.merge(SERVERS, "stays", &json!({"spec": {"replicas": 2}})).await;
    world.until_ready("stays").await;

    let free = json!({"metadata": {"finalizers": null}});
    doomed.merge(SERVERS, "held", &free).await;
    doomed.merge(CONFIG_MAPS, "held", &free).await;
    eventually("the namespace is gone", async || match world.client.get(&path).await {
        Err(refused) if refused.code == 404 => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
    world.stays_quiet().await;
    let after = operator.metric("controller_runtime_reconcile_errors_total", "").await;
    assert!((after - errors).abs() < 0.5, "{errors} errors before, {after} now");
    eventually("its series are gone", async || {
        let metrics = operator.metrics().await;
        if metrics.contains(&doomed.namespace) { Err(metrics) } else { Ok(()) }
    })
    .await;
}

/// Somebody who writes into the status, as a script might, or another controller that thinks it knows better.
#[tokio::test]
async fn what_others_write_into_the_status_is_put_right_and_their_own_conditions_stay() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({})).await;
    let before = world.until_ready("x").await;
    let mut conditions = before["status"]["conditions"].as_array().unwrap().clone();
    let own = json!({
        "type": "example.com/Scanned", "status": "True", "reason": "Clean", "message": "",
        "lastTransitionTime": "2026-11-22T20:00:00Z",
    });
    conditions.iter_mut().find(|it| it["type"] == "Ready").unwrap()["status"] = "False".into();
    conditions.push(own.clone());
    let status = json!({"phase": "Failed", "availableReplicas": 7, "url": "http://evil", "conditions": conditions});
    world.merge(SERVERS, "x/status", &json!({"status": status})).await;
    let right = |server: &Value| {
        let [now, then] = [server, &before].map(|it| (it["status"]["phase"].clone(), it["status"]["url"].clone()));
        now == then && says(server, "Ready") == "True Available" && server["status"]["availableReplicas"] == 1
    };
    let server = world.until("it is put right", SERVERS, "x", right).await;
    assert_eq!(*condition(&server, "example.com/Scanned"), own);
    world.stays_quiet().await;
    assert_eq!(*condition(&world.get(SERVERS, "x").await, "example.com/Scanned"), own);
}
