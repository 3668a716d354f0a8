//! Specs that are refused: each with the field that the refusal names, and the rule.
//!
//! For each rule of the schema that is more than a type there is a mistake here that nothing else refuses.

mod pod;
mod policy;
mod selector;

use serde_json::{Value, json};

pub(super) type Mistake = (Value, &'static str, &'static str);

/// All of them.
pub(super) fn all() -> Vec<Mistake> {
    [
        mistakes_of_the_server_and_its_environment(),
        mistakes_of_the_container_and_the_service(),
        pod::of_probes(),
        pod::of_security(),
        pod::of_volumes(),
        pod::of_scheduling(),
        pod::of_affinity_and_spread(),
        selector::of_labels(),
        selector::of_nodes(),
        policy::of_networks(),
        policy::of_autoscaling(),
        mistakes_of_the_pod_and_the_rest(),
        mistakes_of_size(),
        policy::of_quantities(),
    ]
    .concat()
}

fn many(count: usize, item: &Value) -> Value {
    vec![item.clone(); count].into()
}

/// The name of a label or annotation whose prefix is too long by one.
fn long_prefix() -> String {
    format!("{}a.io/x", "abc.".repeat(63).split_off(2))
}

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
        (json!({"imagePullSecrets": [{}]}), "spec.imagePullSecrets[0].name", "Required value"),
        (json!({"imagePullSecrets": many(65, &json!({"name": "a"}))}), "spec.imagePullSecrets", "at most 64 items"),
        (json!({"imagePullSecrets": many(2, &json!({"name": "a"}))}), "spec.imagePullSecrets[1]", "Duplicate value"),
        (
            json!({"resources": {"claims": many(2, &json!({"name": "a"}))}}),
            "spec.resources.claims[1]",
            "Duplicate value",
        ),
        (json!({"env": [{"name": ""}]}), "spec.env[0].name", "at least 1 chars"),
        (json!({"env": [{"name": long}]}), "spec.env[0].name", "may not be more than 1024"),
        (json!({"env": [{"name": "A", "valueFrom": {}}]}), "spec.env[0].valueFrom", "at least 1 "),
        (json!({"secretName": "x".repeat(254)}), "spec.secretName", "may not be more than 253"),
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
        (json!({"service": {"annotations": {"a b": "c"}}}), "spec.service.annotations", "the name of an annotation"),
        (
            json!({"service": {"annotations": {long_prefix(): "c"}}}),
            "spec.service.annotations",
            "the name of an annotation",
        ),
        (json!({"resources": {"limits": {"cpus": 1}}}), "spec.resources", "each of limits must be cpu"),
        (json!({"resources": {"requests": {"cpus": 1}}}), "spec.resources", "each of requests must be cpu"),
        (json!({"resources": {"requests": {"cpu": -1}}}), "spec.resources.requests.cpu", "or equal to 0"),
        (json!({"resources": {"requests": {"cpu": "-1"}}}), "spec.resources.requests.cpu", "should match"),
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
        (json!({"tolerations": [{"key": "a", "effect": "Maybe"}]}), "spec.tolerations[0].effect", "supported values"),
        (
            json!({"tolerations": [{"key": "a", "operator": "Perhaps"}]}),
            "spec.tolerations[0].operator",
            "supported values",
        ),
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
        (json!({"podLabels": {long_prefix(): "c"}}), "spec.podLabels", "must be the name of a label"),
        (json!({"podAnnotations": {long_prefix(): "c"}}), "spec.podAnnotations", "must be the name of an annotation"),
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

/// Too much, too long, or nothing at all.
fn mistakes_of_size() -> Vec<Mistake> {
    let names: Value = (0..513).map(|number| json!({"name": number.to_string()})).collect();
    let amounts: serde_json::Map<String, Value> =
        (0..33).map(|number| (format!("example.com/{number}"), json!(1))).collect();
    let spread = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
    let mut mistakes = vec![
        (json!({"env": names}), "spec.env", "at most 512 items"),
        (json!({"topologySpreadConstraints": many(65, &spread)}), "spec.topologySpreadConstraints", "at most 64 items"),
        (json!({"resources": {"limits": amounts}}), "spec.resources.limits", "at most 32 items"),
        (json!({"podLabels": {"a": "x".repeat(64)}}), "spec.podLabels.a", "may not be more than 63"),
        (json!({"mcp": {"path": ""}}), "spec.mcp.path", "at least 1 chars"),
        (json!({"mcp": {"path": format!("/{}", "x".repeat(1024))}}), "spec.mcp.path", "may not be more than 1024"),
        (json!({"mcp": {"interval": ""}}), "spec.mcp.interval", "at least 2 chars"),
        (json!({"mcp": {"interval": "000000000000000060s"}}), "spec.mcp.interval", "may not be more than 16"),
        (
            json!({"disruptionBudget": {"minAvailable": "000000050%"}}),
            "spec.disruptionBudget.minAvailable",
            "may not be more than 8",
        ),
        (
            json!({"disruptionBudget": {"maxUnavailable": "000000050%"}}),
            "spec.disruptionBudget.maxUnavailable",
            "may not be more than 8",
        ),
        (json!({"autoscaling": {"minReplicas": 0, "maxReplicas": 0}}), "spec.autoscaling.maxReplicas", "or equal to 1"),
    ];
    for (field, path) in
        [("priorityClassName", "spec.priorityClassName"), ("serviceAccountName", "spec.serviceAccountName")]
    {
        mistakes.push((json!({field: ""}), path, "at least 1 chars"));
        mistakes.push((json!({field: "x".repeat(254)}), path, "may not be more than 253"));
    }
    mistakes
}
