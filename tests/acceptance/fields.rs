//! All fields of the spec: where they go, that nothing is left of them, and what of them is refused.

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
}

type Mistake = (Value, &'static str, &'static str);

/// Mistakes in the first fields; the field that the refusal names, and the rule.
fn mistakes_of_the_server_and_its_environment() -> Vec<Mistake> {
    let long = "x".repeat(1025);
    vec![
        (json!({"image": null}), "spec.image", "Required value"),
        (json!({"image": ""}), "spec.image", "at least 1 chars"),
        (json!({"image": long}), "spec.image", "may not be more than 1024"),
        (json!({"image": "a b"}), "spec.image", "should match"),
        (json!({"image": 7}), "spec.image", "must be of type string"),
        (json!({"replicas": -1}), "spec.replicas", "greater than or equal to 0"),
        (json!({"replicas": "two"}), "spec.replicas", "must be of type integer"),
        (json!({"port": 0}), "spec.port", "greater than or equal to 1"),
        (json!({"port": 70_000}), "spec.port", "less than or equal to 65535"),
        (json!({"secretName": "My_Secret"}), "spec.secretName", "should match"),
        (json!({"secretName": ""}), "spec.secretName", "at least 1 chars"),
        (json!({"command": "run"}), "spec.command", "must be of type array"),
        (json!({"args": [1]}), "spec.args[0]", "must be of type string"),
        (json!({"env": [{"value": "x"}]}), "spec.env[0].name", "Required value"),
        (json!({"env": [{"name": "A=B"}]}), "spec.env[0].name", "should match"),
        (json!({"env": [{"name": "A"}, {"name": "A"}]}), "spec.env[1]", "Duplicate value"),
        (
            json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            "spec.env[0]",
            "either value or valueFrom",
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {
                "fieldRef": {"fieldPath": "metadata.name"}, "secretKeyRef": {"name": "a", "key": "b"},
            }}]}),
            "spec.env[0].valueFrom",
            "at most 1 item",
        ),
        (json!({"imagePullPolicy": "Sometimes"}), "spec.imagePullPolicy", "supported values"),
        (json!({"imagePullSecrets": ["a"]}), "spec.imagePullSecrets[0]", "must be of type object"),
    ]
}

/// Mistakes in resources, probes, Service, security; the field that the refusal names, and the rule.
fn mistakes_of_the_container_and_the_service() -> Vec<Mistake> {
    vec![
        (json!({"resources": {"requests": {"cpu": "lots"}}}), "spec.resources.requests.cpu", "should match"),
        (
            json!({"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "500m"}}}),
            "spec.resources",
            "requests must not be greater than limits",
        ),
        (
            json!({"probes": {"liveness": {"disabled": true, "httpGet": {"port": 1}}}}),
            "spec.probes.liveness",
            "either set or disabled",
        ),
        (
            json!({"probes": {"readiness": {"tcpSocket": {"port": 1}, "httpGet": {"port": 1}}}}),
            "spec.probes.readiness",
            "one of exec, grpc, httpGet and tcpSocket",
        ),
        (
            json!({"probes": {"liveness": {"disabled": true, "periodSeconds": 3}}}),
            "spec.probes.liveness",
            "either set or disabled",
        ),
        (json!({"probes": {"startup": {"httpGet": {"port": 70_000}}}}), "spec.probes.startup", "from 1 to 65535"),
        (
            json!({"probes": {"startup": {"httpGet": {"port": "http"}}}}),
            "spec.probes.startup",
            "the name of the container's only port",
        ),
        (
            json!({"probes": {"liveness": {"periodSeconds": -1}}}),
            "spec.probes.liveness.periodSeconds",
            "greater than or equal to 0",
        ),
        (json!({"service": {"type": "ExternalName"}}), "spec.service.type", "supported values"),
        (json!({"service": {"port": 65_536}}), "spec.service.port", "less than or equal to 65535"),
        (json!({"service": {"sessionAffinity": "Sticky"}}), "spec.service.sessionAffinity", "supported values"),
        (json!({"serviceAccountName": "A B"}), "spec.serviceAccountName", "should match"),
        (
            json!({"podSecurityContext": {"runAsNonRoot": "true"}}),
            "spec.podSecurityContext.runAsNonRoot",
            "must be of type boolean",
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "None"}}}),
            "spec.securityContext.seccompProfile.type",
            "supported values",
        ),
    ]
}

/// Mistakes in volumes, scheduling, and what stands beside the pod; the field that the refusal names, and the rule.
fn mistakes_of_the_pod_and_the_rest() -> Vec<Mistake> {
    vec![
        (json!({"volumes": [{"emptyDir": {}}]}), "spec.volumes[0].name", "Required value"),
        (json!({"volumes": [{"name": "A", "emptyDir": {}}]}), "spec.volumes[0].name", "should match"),
        (
            json!({"volumes": [{"name": "a", "emptyDir": {}, "configMap": {"name": "b"}}]}),
            "spec.volumes[0]",
            "at most 2 items",
        ),
        (json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}]}), "spec", "must name one of volumes"),
        (json!({"nodeSelector": {"a": "b c"}}), "spec.nodeSelector.a", "should match"),
        (json!({"tolerations": [{"effect": "Maybe"}]}), "spec.tolerations[0].effect", "supported values"),
        (json!({"tolerations": [{"operator": "Perhaps"}]}), "spec.tolerations[0].operator", "supported values"),
        (json!({"affinity": []}), "spec.affinity", "must be of type object"),
        (
            json!({"topologySpreadConstraints": [
                {"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
            ]}),
            "spec.topologySpreadConstraints[0].maxSkew",
            "greater than or equal to 1",
        ),
        (json!({"priorityClassName": "High!"}), "spec.priorityClassName", "should match"),
        (
            json!({"terminationGracePeriodSeconds": -1}),
            "spec.terminationGracePeriodSeconds",
            "greater than or equal to 0",
        ),
        (json!({"podLabels": {"a b": "c"}}), "spec.podLabels", "must be the name of a label"),
        (json!({"podLabels": {"a": "-c"}}), "spec.podLabels.a", "should match"),
        (json!({"podAnnotations": {"a b": "c"}}), "spec.podAnnotations", "must be the name of an annotation"),
        (json!({"mcp": {"path": "mcp"}}), "spec.mcp.path", "should match"),
        (json!({"mcp": {"path": "/mcp?x=y"}}), "spec.mcp.path", "should match"),
        (json!({"mcp": {"verify": "Enforce"}}), "spec.mcp.verify", "supported values"),
        (json!({"mcp": {"interval": "soon"}}), "spec.mcp.interval", "should match"),
        (json!({"mcp": {"interval": "30s1m"}}), "spec.mcp.interval", "should match"),
        (json!({"mcp": {"interval": "1s"}}), "spec.mcp.interval", "must be between 5s and 24h"),
        (json!({"disruptionBudget": {}}), "spec.disruptionBudget", "either minAvailable or maxUnavailable"),
        (
            json!({"disruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}),
            "spec.disruptionBudget",
            "either minAvailable or maxUnavailable",
        ),
        (
            json!({"disruptionBudget": {"minAvailable": "half"}}),
            "spec.disruptionBudget.minAvailable",
            "a percentage such as 50%",
        ),
        (json!({"networkPolicy": {"from": "all"}}), "spec.networkPolicy.from", "must be of type array"),
        (json!({"autoscaling": {"minReplicas": 1}}), "spec.autoscaling.maxReplicas", "Required value"),
        (
            json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}),
            "spec.autoscaling",
            "minReplicas must not be greater than maxReplicas",
        ),
        (
            json!({"autoscaling": {"minReplicas": 0, "maxReplicas": 2}}),
            "spec.autoscaling.minReplicas",
            "greater than or equal to 1",
        ),
        (json!({"suspend": "yes"}), "spec.suspend", "must be of type boolean"),
    ]
}

/// Case 28: a mistake is refused where it is made, with the field and the rule.
#[tokio::test]
async fn every_field_that_can_be_wrong_is_refused_with_its_name_and_rule() {
    let world = World::start().await;
    for (spec, field, rule) in [
        mistakes_of_the_server_and_its_environment(),
        mistakes_of_the_container_and_the_service(),
        mistakes_of_the_pod_and_the_rest(),
    ]
    .concat()
    {
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
