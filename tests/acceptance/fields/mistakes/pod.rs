//! Mistakes in what becomes the pod.

use serde_json::{Value, json};

use super::{Mistake, long_prefix, many};

pub(super) fn of_probes() -> Vec<Mistake> {
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

pub(super) fn of_security() -> Vec<Mistake> {
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

pub(super) fn of_volumes() -> Vec<Mistake> {
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

pub(super) fn of_scheduling() -> Vec<Mistake> {
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

pub(super) fn of_affinity_and_spread() -> Vec<Mistake> {
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
        (
            json!({"topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
                {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
            ]}),
            "spec.topologySpreadConstraints[1]",
            "Duplicate value",
        ),
        (spread(json!({"topologyKey": ""})), "spec.topologySpreadConstraints[0].topologyKey", "at least 1 chars"),
        (spread(json!({"whenUnsatisfiable": "Wait"})), "whenUnsatisfiable", "supported values"),
        (spread(json!({"minDomains": 0})), "minDomains", "greater than or equal to 1"),
        (spread(json!({"nodeAffinityPolicy": "Maybe"})), "nodeAffinityPolicy", "supported values"),
        (spread(json!({"nodeTaintsPolicy": "Maybe"})), "nodeTaintsPolicy", "supported values"),
    ]
}
