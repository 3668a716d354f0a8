//! All fields of the spec: where they go, that nothing is left of them, and what of them is refused.

mod mistakes;

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::objects::{DEPLOYMENTS, SECRETS, SERVERS, SERVICES, container, secret};

/// A spec with every field, in forms that the API server does not keep as they are: quantities that it rewrites, values
/// that it drops, lists in which it fills in defaults.
pub(crate) fn every_field() -> Value {
    json!({
        "image": crate::harness::image(),
        "replicas": 2,
        "port": 8080,
        "secretName": "token",
        "command": ["/docker-entrypoint.sh"],
        "args": ["nginx", "-g", "daemon off;"],
        "env": [
            {"name": "PLAIN", "value": "1"},
            {"name": "EMPTY", "value": ""},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        ],
        "imagePullPolicy": "IfNotPresent",
        "imagePullSecrets": [{"name": "registry"}],
        "resources": {"requests": {"cpu": "0.05", "memory": "65536Ki"}, "limits": {"cpu": 1, "memory": "1024Mi"}},
        "probes": {
            "liveness": {"disabled": true},
            "readiness": {"tcpSocket": {"port": "mcp"}, "periodSeconds": 5, "initialDelaySeconds": 0},
            "startup": {"failureThreshold": 10},
        },
        "service": {
            "type": "NodePort", "port": 80, "annotations": {"example.com/a": "b"}, "sessionAffinity": "ClientIP",
        },
        "serviceAccountName": "default",
        "podSecurityContext": {"fsGroup": 1000, "runAsUser": 101},
        "securityContext": {"readOnlyRootFilesystem": false, "runAsUser": 101},
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "0.5Gi"}},
            {"name": "empty", "emptyDir": {}},
            {"name": "about", "projected": {"sources": [
                {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            ]}},
        ],
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp", "readOnly": false},
            {"name": "about", "mountPath": "/about", "readOnly": true},
        ],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "example.com/a", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 1,
            "podAffinityTerm": {
                "topologyKey": "kubernetes.io/hostname",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "mcpserver"}},
            },
        }]}},
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "mcpserver"}},
        }],
        "terminationGracePeriodSeconds": 5,
        "podLabels": {"example.com/team": "a", "app.kubernetes.io/name": "ours-wins"},
        "podAnnotations": {"example.com/note": "x y"},
        "mcp": {"path": "/x", "verify": "Off", "interval": "30s"},
    })
}

/// A spec in which every field that can be is there and says nothing: what is empty is dropped by one API server, filled in by
/// the next, and kept by a third.
pub(crate) fn every_nothing() -> Value {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let selector = json!({"matchLabels": {}, "matchExpressions": []});
    json!({
        "image": crate::harness::image(),
        "command": [],
        "args": [],
        "env": [],
        "imagePullSecrets": [],
        "resources": {"limits": {}, "requests": {}, "claims": []},
        "probes": {"liveness": {}, "readiness": {"initialDelaySeconds": 0, "disabled": false}, "startup": {}},
        "service": {"annotations": {}},
        "podSecurityContext": {"supplementalGroups": [], "sysctls": []},
        "securityContext": {"capabilities": {"add": [], "drop": []}, "privileged": false},
        "volumes": [{"name": "a"}, {"name": "b", "configMap": {"name": "b", "items": [], "optional": true}}],
        "volumeMounts": [{"name": "a", "mountPath": "/a", "subPath": "", "readOnly": false}],
        "nodeSelector": {},
        "tolerations": [],
        "affinity": {"nodeAffinity": {}, "podAffinity": {required: []}, "podAntiAffinity": {
            required: [{"topologyKey": "example.com/none", "labelSelector": selector, "namespaces": []}],
        }},
        "topologySpreadConstraints": [],
        "terminationGracePeriodSeconds": 0,
        "podLabels": {},
        "podAnnotations": {},
        "mcp": {"verify": "Off"},
        "networkPolicy": {"from": [], "egress": [{}, {"to": [], "ports": []}]},
        "autoscaling": {"maxReplicas": 1, "metrics": [], "behavior": {"scaleUp": {}}},
    })
}

#[tokio::test]
async fn every_field_finds_its_place() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("x", every_field()).await;
    let server = world.until_ready("x").await;
    assert_eq!(server["status"]["url"], format!("http://x.{}.svc:80/x", world.namespace));
    let deployment = world.get(DEPLOYMENTS, "x").await;
    let (template, container) = (&deployment["spec"]["template"], container(&deployment));
    let pod = &template["spec"];
    assert_eq!(template["metadata"]["labels"]["example.com/team"], "a");
    assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/name"], "mcpserver", "ours wins");
    assert_eq!(template["metadata"]["annotations"]["example.com/note"], "x y");
    assert_eq!((&pod["serviceAccountName"], &pod["automountServiceAccountToken"]), (&json!("default"), &Value::Null));
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    let security = &pod["securityContext"];
    assert_eq!((&security["runAsNonRoot"], &security["runAsUser"]), (&json!(true), &json!(101)), "the default stays");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], false);
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(container["resources"]["requests"], json!({"cpu": "50m", "memory": "64Mi"}));
    assert_eq!(container["envFrom"], json!([{"secretRef": {"name": "token"}}]));
    let names: Vec<&Value> = container["env"].as_array().unwrap().iter().map(|variable| &variable["name"]).collect();
    assert_eq!(names, ["PLAIN", "EMPTY", "POD", "CPU"]);
    assert_eq!(container["livenessProbe"], Value::Null, "disabled");
    assert_eq!(container["readinessProbe"]["periodSeconds"], 5);
    let startup = &container["startupProbe"];
    assert_eq!((&startup["failureThreshold"], &startup["periodSeconds"]), (&json!(10), &json!(2)), "the default stays");
    assert_eq!(startup["tcpSocket"]["port"], "mcp");
    assert_eq!(container["volumeMounts"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&pod["terminationGracePeriodSeconds"], &pod["tolerations"][0]["effect"]),
        (&json!(5), &json!("NoSchedule"))
    );
    assert_eq!(pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["weight"], 1);
    assert_eq!(world.get(SERVICES, "x").await["spec"]["type"], "NodePort");
}

/// Case 18, with every field.
#[tokio::test]
async fn of_fields_that_are_removed_nothing_is_left() {
    let world = World::start().await;
    let _operator = world.operator(|_| {}).await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("smallest", json!({})).await;
    world.create_server("x", every_field()).await;
    world.until_ready("x").await;
    world.until_ready("smallest").await;

    let mut nothing = every_field();
    nothing.as_object_mut().unwrap().values_mut().for_each(|field| *field = Value::Null);
    nothing["image"] = crate::harness::image().into();
    world.merge(SERVERS, "x", &json!({"spec": nothing})).await;
    let wanted = world.get(DEPLOYMENTS, "smallest").await["spec"]["template"]["spec"].clone();
    world
        .until("the pod is that of the smallest server", DEPLOYMENTS, "x", |deployment| {
            deployment["spec"]["template"]["spec"] == wanted
        })
        .await;
    let deployment = world.get(DEPLOYMENTS, "x").await;
    let metadata = &deployment["spec"]["template"]["metadata"];
    assert_eq!((&metadata["annotations"], &metadata["labels"]["example.com/team"]), (&Value::Null, &Value::Null));
    let plain = |service: &Value| {
        let (spec, port) = (&service["spec"], &service["spec"]["ports"][0]);
        spec["type"] == "ClusterIP"
            && spec["sessionAffinity"] == "None"
            && (&port["port"], &port["nodePort"]) == (&json!(8080), &Value::Null)
            && service["metadata"]["annotations"]["example.com/a"].is_null()
    };
    world.until("and so is the Service", SERVICES, "x", plain).await;
    let url = format!("http://x.{}.svc:8080/mcp", world.namespace);
    let done = |server: &Value| server["status"]["url"] == url && server["status"]["replicas"] == 1;
    world.until("its status, too", SERVERS, "x", done).await;
    world.until_ready("x").await;
}

/// Case 28: a mistake is refused where it is made, with the field and the rule.
#[tokio::test]
async fn every_field_that_can_be_wrong_is_refused_with_its_name_and_rule() {
    let world = World::start().await;
    for (spec, field, rule) in mistakes::all() {
        let mut server = crate::harness::objects::server("x", json!({}));
        for (name, value) in spec.as_object().unwrap() {
            match value {
                Value::Null => drop(server["spec"].as_object_mut().unwrap().remove(name)),
                value => server["spec"][name] = value.clone(),
            }
        }
        let refused = world.client.create(&SERVERS.collection(&world.namespace), &server).await;
        let refused = refused.err().unwrap_or_else(|| panic!("{spec} was admitted"));
        assert_eq!(refused.code, 422, "{spec}: {refused}");
        assert!(refused.body.contains(field) && refused.body.contains(rule), "{spec}: {refused}");
    }
}
