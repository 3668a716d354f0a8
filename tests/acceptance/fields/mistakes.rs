//! Specs that are refused: each with the field that the refusal names, and the rule.
//!
//! For each rule of the schema that is more than a type there is a mistake here that nothing else refuses.

use serde_json::{Value, json};

pub(super) type Mistake = (Value, &'static str, &'static str);

/// All of them.
pub(super) fn all() -> Vec<Mistake> {
    [
        mistakes_of_the_server_and_its_environment(),
        mistakes_of_the_container_and_the_service(),
        mistakes_of_probes(),
        mistakes_of_security(),
        mistakes_of_volumes(),
        mistakes_of_scheduling(),
        mistakes_of_affinity_and_spread(),
        mistakes_of_networks(),
        mistakes_of_autoscaling(),
        mistakes_of_the_pod_and_the_rest(),
        mistakes_of_size(),
        mistakes_of_quantities(),
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
        (json!({"imagePullSecrets": many(65, &json!({"name": "a"}))}), "spec.imagePullSecrets", "at most 64 items"),
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

fn mistakes_of_probes() -> Vec<Mistake> {
    let of = |probe: &str, fields: Value| json!({"probes": {probe: fields}});
    let grpc = |port: i32| of("startup", json!({"grpc": {"port": port}}));
    let header = json!({"httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": "c"}]}});
    vec![
        (of("liveness", json!({"successThreshold": 2})), "spec.probes", "liveness.successThreshold must be 1"),
        (of("startup", json!({"successThreshold": 2})), "spec.probes", "startup.successThreshold must be 1"),
        (of("readiness", json!({"terminationGracePeriodSeconds": 5})), "spec.probes", "can't be set"),
        (
            of("liveness", json!({"terminationGracePeriodSeconds": 0})),
            "spec.probes.liveness.terminationGracePeriodSeconds",
            "greater than or equal to 1",
        ),
        (of("liveness", json!({"timeoutSeconds": -1})), "spec.probes.liveness.timeoutSeconds", "or equal to 0"),
        (of("liveness", json!({"successThreshold": -1})), "spec.probes.liveness.successThreshold", "or equal to 0"),
        (of("liveness", json!({"failureThreshold": -1})), "spec.probes.liveness.failureThreshold", "or equal to 0"),
        (
            of("liveness", json!({"initialDelaySeconds": -1})),
            "spec.probes.liveness.initialDelaySeconds",
            "or equal to 0",
        ),
        (of("startup", json!({"exec": {}})), "spec.probes.startup.exec.command", "Required value"),
        (of("startup", json!({"exec": {"command": []}})), "spec.probes.startup.exec.command", "at least 1 item"),
        (grpc(0), "spec.probes.startup.grpc.port", "greater than or equal to 1"),
        (grpc(70_000), "spec.probes.startup.grpc.port", "less than or equal to 65535"),
        (of("startup", json!({"tcpSocket": {"port": 0}})), "spec.probes.startup", "tcpSocket.port must be a number"),
        (of("startup", json!({"httpGet": {"port": 1, "scheme": "FTP"}})), "httpGet.scheme", "supported values"),
        (of("startup", header), "spec.probes.startup.httpGet.httpHeaders[0].name", "should match"),
    ]
}

fn mistakes_of_security() -> Vec<Mistake> {
    let profile = |fields: Value| json!({"securityContext": {"seccompProfile": fields}});
    let mut mistakes = vec![
        (profile(json!({"type": "Localhost"})), "spec.securityContext.seccompProfile", "belongs to the type Localhost"),
        (
            profile(json!({"type": "RuntimeDefault", "localhostProfile": "a.json"})),
            "spec.securityContext.seccompProfile",
            "belongs to the type Localhost",
        ),
        (
            json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}}),
            "spec.securityContext",
            "a privileged container",
        ),
        (
            json!({"podSecurityContext": {"fsGroupChangePolicy": "Never"}}),
            "spec.podSecurityContext.fsGroupChangePolicy",
            "supported values",
        ),
        (json!({"podSecurityContext": {"fsGroup": -1}}), "spec.podSecurityContext.fsGroup", "or equal to 0"),
        (json!({"podSecurityContext": {"fsGroup": 1_i64 << 31}}), "spec.podSecurityContext.fsGroup", "less than"),
    ];
    for (context, field) in
        [("securityContext", "spec.securityContext.runAs"), ("podSecurityContext", "spec.podSecurityContext.runAs")]
    {
        for id in ["runAsUser", "runAsGroup"] {
            mistakes.push((json!({context: {id: -1}}), field, "greater than or equal to 0"));
            mistakes.push((json!({context: {id: 1_i64 << 31}}), field, "less than or equal to 2147483647"));
        }
    }
    mistakes
}

fn mistakes_of_volumes() -> Vec<Mistake> {
    let volume = |source: Value| json!({"volumes": [{"name": "a", "emptyDir": null}, source]});
    let of = |kind: &str, source: Value| volume(json!({"name": "b", kind: source}));
    let mount = |fields: Value| {
        let mut mount = json!({"name": "a", "mountPath": "/a"});
        mount.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"volumes": [{"name": "a"}], "volumeMounts": [mount]})
    };
    let file = |mode: i32| json!({"items": [{"path": "a", "mode": mode, "fieldRef": {"fieldPath": "metadata.name"}}]});
    let key = json!({"name": "a", "items": [{"key": "a", "path": "a", "mode": 512}]});
    vec![
        (mount(json!({"mountPath": ""})), "spec.volumeMounts[0].mountPath", "at least 1 chars"),
        (mount(json!({"mountPath": "/".repeat(4097)})), "spec.volumeMounts[0].mountPath", "may not be more than 4096"),
        (mount(json!({"mountPath": "/a:ro"})), "spec.volumeMounts[0].mountPath", "should match"),
        (mount(json!({"mountPropagation": "Both"})), "spec.volumeMounts[0].mountPropagation", "supported values"),
        (mount(json!({"recursiveReadOnly": "Yes"})), "spec.volumeMounts[0].recursiveReadOnly", "supported values"),
        (mount(json!({"subPath": "/a"})), "spec.volumeMounts[0].subPath", "a path below the volume"),
        (mount(json!({"subPath": "a/../.."})), "spec.volumeMounts[0].subPath", "a path below the volume"),
        (mount(json!({"subPath": "a".repeat(4097)})), "spec.volumeMounts[0].subPath", "may not be more than 4096"),
        (mount(json!({"subPath": "a", "subPathExpr": "b"})), "spec.volumeMounts[0]", "either subPath or subPathExpr"),
        (
            json!({"volumes": [{"name": "a"}], "volumeMounts": many(2, &json!({"name": "a", "mountPath": "/a"}))}),
            "spec.volumeMounts[1]",
            "Duplicate value",
        ),
        (json!({"volumes": many(2, &json!({"name": "a"}))}), "spec.volumes[1]", "Duplicate value"),
        (of("emptyDir", json!({"medium": "Disk"})), "spec.volumes[1].emptyDir.medium", "should match"),
        (of("emptyDir", json!({"sizeLimit": -1})), "spec.volumes[1].emptyDir.sizeLimit", "or equal to 0"),
        (of("emptyDir", json!({"sizeLimit": "-1Mi"})), "spec.volumes[1].emptyDir.sizeLimit", "should match"),
        (of("hostPath", json!({"path": "/a", "type": "Pipe"})), "spec.volumes[1].hostPath.type", "should match"),
        (
            of("configMap", json!({"name": "a", "defaultMode": 512})),
            "configMap.defaultMode",
            "less than or equal to 511",
        ),
        (of("configMap", key), "configMap.items[0].mode", "less than or equal to 511"),
        (of("secret", json!({"secretName": "a", "defaultMode": -1})), "secret.defaultMode", "or equal to 0"),
        (of("downwardAPI", json!({"defaultMode": 512})), "downwardAPI.defaultMode", "less than or equal to 511"),
        (of("downwardAPI", file(-1)), "downwardAPI.items[0].mode", "greater than or equal to 0"),
        (of("downwardAPI", file(512)), "downwardAPI.items[0].mode", "less than or equal to 511"),
        (of("projected", json!({"defaultMode": 512})), "projected.defaultMode", "less than or equal to 511"),
    ]
}

fn mistakes_of_scheduling() -> Vec<Mistake> {
    let tolerated = |fields: Value| json!({"tolerations": [fields]});
    vec![
        (json!({"nodeSelector": {"a b": "c"}}), "spec.nodeSelector", "must be the name of a label"),
        (json!({"nodeSelector": {long_prefix(): "c"}}), "spec.nodeSelector", "must be the name of a label"),
        (json!({"nodeSelector": {"a": "x".repeat(64)}}), "spec.nodeSelector.a", "may not be more than 63"),
        (tolerated(json!({"key": "a b"})), "spec.tolerations[0].key", "should match"),
        (tolerated(json!({"key": "a".repeat(318), "operator": "Exists"})), "spec.tolerations[0].key", "more than 317"),
        (tolerated(json!({"effect": "NoSchedule"})), "spec.tolerations[0]", "the operator must be Exists"),
        (tolerated(json!({"key": "a", "operator": "Exists", "value": "b"})), "spec.tolerations[0]", "no value"),
        (tolerated(json!({"key": "a", "tolerationSeconds": 1})), "spec.tolerations[0]", "the effect NoExecute"),
        (json!({"tolerations": many(65, &json!({"key": "a"}))}), "spec.tolerations", "at most 64 items"),
    ]
}

fn mistakes_of_affinity_and_spread() -> Vec<Mistake> {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let node = |terms: Value| json!({"affinity": {"nodeAffinity": {required: {"nodeSelectorTerms": terms}}}});
    let nodes =
        |weight: i32| json!({"affinity": {"nodeAffinity": {preferred: [{"weight": weight, "preference": {}}]}}});
    let pods = |weight: i32| {
        let term = json!({"topologyKey": "zone"});
        json!({"affinity": {"podAffinity": {preferred: [{"weight": weight, "podAffinityTerm": term}]}}})
    };
    let pod = |term: Value| json!({"affinity": {"podAntiAffinity": {required: [term]}}});
    let like =
        json!({"topologyKey": "zone", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}});
    let spread = |fields: Value| {
        let mut spread = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
        spread.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"topologySpreadConstraints": [spread]})
    };
    vec![
        (node(json!([])), "nodeSelectorTerms", "at least 1 item"),
        (
            node(json!([{"matchFields": [{"key": "a", "operator": "Like"}]}])),
            "matchFields[0].operator",
            "supported values",
        ),
        (nodes(0), "weight", "greater than or equal to 1"),
        (nodes(101), "weight", "less than or equal to 100"),
        (pods(0), "weight", "greater than or equal to 1"),
        (pods(101), "weight", "less than or equal to 100"),
        (pod(json!({"topologyKey": ""})), "topologyKey", "at least 1 chars"),
        (pod(like), "matchExpressions[0].operator", "supported values"),
        (spread(json!({"topologyKey": ""})), "spec.topologySpreadConstraints[0].topologyKey", "at least 1 chars"),
        (spread(json!({"whenUnsatisfiable": "Wait"})), "whenUnsatisfiable", "supported values"),
        (spread(json!({"minDomains": 0})), "minDomains", "greater than or equal to 1"),
        (spread(json!({"nodeAffinityPolicy": "Maybe"})), "nodeAffinityPolicy", "supported values"),
        (spread(json!({"nodeTaintsPolicy": "Maybe"})), "nodeTaintsPolicy", "supported values"),
    ]
}

fn mistakes_of_networks() -> Vec<Mistake> {
    let from = |peer: Value| json!({"networkPolicy": {"from": [peer]}});
    let block = |cidr: &str, except: &[&str]| from(json!({"ipBlock": {"cidr": cidr, "except": except}}));
    let to = |rule: Value| json!({"networkPolicy": {"egress": [rule]}});
    let port = |port: Value| to(json!({"ports": [port]}));
    let (place, outside) = ("spec.networkPolicy.from[0].ipBlock", "a smaller range within cidr");
    let (egress, range) = ("spec.networkPolicy.egress[0]", "cidr must be a range of addresses");
    let everybody = json!({"podSelector": {}});
    vec![
        (from(json!({})), "spec.networkPolicy.from[0]", "a peer is either"),
        (
            from(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
            "spec.networkPolicy.from[0]",
            "a peer is either",
        ),
        (to(json!({"to": [{}]})), "spec.networkPolicy.egress[0].to[0]", "a peer is either"),
        (block("10.0.0.0", &[]), place, range),
        (block("10.0.0.0/33", &[]), place, range),
        (block("everywhere", &[]), place, range),
        (block("10.0.0.1/8", &[]), place, range),
        (block("fd00::1/8", &[]), place, range),
        (block(&"1".repeat(44), &[]), "spec.networkPolicy.from[0].ipBlock.cidr", "may not be more than 43"),
        (block("10.0.0.0/8", &["11.0.0.0/16"]), place, outside),
        (block("10.0.0.0/8", &["10.0.0.0/8"]), place, outside),
        (block("10.0.0.0/8", &["somewhere"]), place, outside),
        (block("10.0.0.0/8", &["10.0.0.0/9"; 17]), "spec.networkPolicy.from[0].ipBlock.except", "at most 16 items"),
        (block("10.0.0.0/8", &[&"1".repeat(44)]), "spec.networkPolicy.from[0].ipBlock.except[0]", "more than 43"),
        (port(json!({"protocol": "ICMP"})), "egress[0].ports[0].protocol", "supported values"),
        (port(json!({"port": 0})), "egress[0].ports[0]", "port must be a number"),
        (port(json!({"port": 65_536})), "egress[0].ports[0]", "port must be a number"),
        (port(json!({"port": "HTTP"})), "egress[0].ports[0]", "port must be a number"),
        (port(json!({"port": "1-2"})), "egress[0].ports[0]", "port must be a number"),
        (port(json!({"port": "sixteen-letters-"})), "egress[0].ports[0].port", "may not be more than 15"),
        (port(json!({"endPort": 5})), "egress[0].ports[0]", "endPort must be a number"),
        (port(json!({"port": 5, "endPort": 4})), "egress[0].ports[0]", "endPort must be a number"),
        (port(json!({"port": 5, "endPort": 65_536})), "egress[0].ports[0]", "endPort must be a number"),
        (port(json!({"port": "http", "endPort": 5})), "egress[0].ports[0]", "endPort must be a number"),
        (to(json!({"to": many(65, &everybody)})), egress, "at most 64 items"),
        (to(json!({"ports": many(65, &json!({"port": 1}))})), egress, "at most 64 items"),
        (json!({"networkPolicy": {"from": many(257, &everybody)}}), "spec.networkPolicy.from", "at most 256 items"),
        (json!({"networkPolicy": {"egress": many(65, &json!({}))}}), "spec.networkPolicy.egress", "at most 64 items"),
    ]
}

fn mistakes_of_autoscaling() -> Vec<Mistake> {
    let of = |field: &str, value: Value| json!({"autoscaling": {"maxReplicas": 9, field: value}});
    let metric = |metric: Value| of("metrics", json!([metric]));
    let cpu = |target: Value| metric(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
    let down = |field: &str, value: Value| of("behavior", json!({"scaleDown": {field: value}}));
    let policy = |fields: Value| {
        let mut policy = json!({"type": "Pods", "value": 1, "periodSeconds": 60});
        policy.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        down("policies", json!([policy]))
    };
    let window = |seconds: i32| down("stabilizationWindowSeconds", seconds.into());
    let utilization = json!({"type": "Utilization", "averageUtilization": 50});
    vec![
        (metric(json!({"type": "Weather"})), "spec.autoscaling.metrics[0].type", "supported values"),
        (metric(json!({"type": "Resource"})), "spec.autoscaling.metrics[0]", "the field that its type names"),
        (
            metric(json!({"type": "Pods", "resource": {"name": "cpu", "target": utilization}})),
            "spec.autoscaling.metrics[0]",
            "the field that its type names",
        ),
        (cpu(json!({"type": "Sum", "averageUtilization": 50})), "resource.target.type", "supported values"),
        (cpu(json!({"type": "Utilization"})), "resource.target", "a target has a value"),
        (cpu(json!({"type": "Utilization", "averageUtilization": 0})), "averageUtilization", "or equal to 1"),
        (of("metrics", many(17, &json!({"type": "Pods"}))), "spec.autoscaling.metrics", "at most 16 items"),
        (down("policies", json!([])), "scaleDown.policies", "at least 1 item"),
        (down("selectPolicy", json!("Mean")), "scaleDown.selectPolicy", "supported values"),
        (window(-1), "stabilizationWindowSeconds", "greater than or equal to 0"),
        (window(3601), "stabilizationWindowSeconds", "less than or equal to 3600"),
        (policy(json!({"type": "Nodes"})), "policies[0].type", "supported values"),
        (policy(json!({"value": 0})), "policies[0].value", "greater than or equal to 1"),
        (policy(json!({"periodSeconds": 0})), "policies[0].periodSeconds", "greater than or equal to 1"),
        (policy(json!({"periodSeconds": 1801})), "policies[0].periodSeconds", "less than or equal to 1800"),
        (
            of("targetCPUUtilizationPercentage", json!(0)),
            "spec.autoscaling.targetCPUUtilizationPercentage",
            "or equal to 1",
        ),
        (
            of("targetMemoryUtilizationPercentage", json!(0)),
            "spec.autoscaling.targetMemoryUtilizationPercentage",
            "or equal to 1",
        ),
        (of("minReplicas", json!(10)), "spec.autoscaling", "must not be greater than maxReplicas"),
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

/// In each place where there is a quantity.
fn mistakes_of_quantities() -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (wrong, rule) in [
        (json!(-1), "greater than or equal to 0"),
        (json!("0".repeat(65)), "may not be more than 64"),
        (json!("1 MB"), "should match"),
    ] {
        let divisor = json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": wrong}});
        let metric = |target: Value| {
            let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
            json!({"autoscaling": {"maxReplicas": 2, "metrics": [metric]}})
        };
        let tolerance = json!({"scaleUp": {"tolerance": wrong}});
        mistakes.extend([
            (json!({"resources": {"limits": {"cpu": wrong}}}), "spec.resources.limits.cpu", rule),
            (json!({"env": [{"name": "A", "valueFrom": divisor}]}), "resourceFieldRef.divisor", rule),
            (json!({"volumes": [{"name": "a", "emptyDir": {"sizeLimit": wrong}}]}), "emptyDir.sizeLimit", rule),
            (metric(json!({"type": "Value", "value": wrong})), "resource.target.value", rule),
            (metric(json!({"type": "AverageValue", "averageValue": wrong})), "resource.target.averageValue", rule),
            (json!({"autoscaling": {"maxReplicas": 2, "behavior": tolerance}}), "scaleUp.tolerance", rule),
        ]);
    }
    mistakes
}
