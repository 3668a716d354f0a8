//! Rule by rule: an object that is fine, one thing put into it that is not, and what is said of that.
//!
//! A row is where, what, and how a complaint begins. Each of them fails once its rule is gone.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::{Refusal, prepare};

type Row<'a> = (&'a str, Value, &'a str);

/// Puts a value into an object, making the objects on the way.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        at = match part.parse::<usize>() {
            Ok(index) if at.is_array() => &mut at[index],
            _ => &mut at[part],
        };
    }
    *at = value;
}

fn faults(resource: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
    match prepare(resource, &mut object.clone(), old, &Mutex::default()) {
        Ok(()) => Vec::new(),
        Err(Refusal::Invalid(causes)) => causes.iter().map(ToString::to_string).collect(),
        Err(malformed @ Refusal::Malformed(_)) => panic!("{malformed:?}"),
    }
}

#[track_caller]
fn each_breaks_a_rule(resource: &str, fine: &Value, rows: &[Row<'_>]) {
    assert_eq!(faults(resource, fine, None), [""; 0]);
    let missed = rows.iter().filter_map(|(pointer, value, complaint)| {
        let mut object = fine.clone();
        put(&mut object, pointer, value.clone());
        let found = faults(resource, &object, None);
        let told = found.iter().any(|fault| fault.starts_with(complaint));
        (!told).then(|| format!("{pointer} = {value}\n  wanted {complaint}\n  found {found:#?}"))
    });
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

fn pod() -> Value {
    let container = json!({"name": "c", "image": "i:1", "ports": [{"name": "web", "containerPort": 80}],
        "env": [{"name": "A", "value": "b"}], "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "livenessProbe": {"tcpSocket": {"port": 80}}, "readinessProbe": {"httpGet": {"port": "web"}}});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [container], "volumes": [{"name": "v", "emptyDir": {}}]}})
}

#[test]
fn rules_of_containers() {
    let other = json!({"name": "c", "image": "i:1"});
    let rows: &[(&str, Value, &str)] = &[
        ("/spec/containers", json!([]), "spec.containers: Required value"),
        ("/spec/containers", json!([other, other]), "spec.containers[1].name: Duplicate value: \"c\""),
        ("/spec/initContainers", json!([other]), "spec.initContainers[0].name: Duplicate value: \"c\""),
        (
            "/spec/initContainers",
            json!([{"name": "i", "image": "i:1", "livenessProbe": {"tcpSocket": {"port": 1}}}]),
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy",
        ),
        ("/name", json!(""), "spec.containers[0].name: Required value"),
        ("/name", json!("C"), "spec.containers[0].name: Invalid value: \"C\": a lowercase RFC 1123 label"),
        ("/image", json!(""), "spec.containers[0].image: Required value"),
        ("/image", json!(" i"), "spec.containers[0].image: Invalid value: \" i\""),
        ("/imagePullPolicy", json!("Ever"), "spec.containers[0].imagePullPolicy: Unsupported value: \"Ever\""),
        (
            "/ports/0/name",
            json!("80"),
            "spec.containers[0].ports[0].name: Invalid value: \"80\": must contain at least",
        ),
        ("/ports/0/containerPort", json!(0), "spec.containers[0].ports[0].containerPort: Required value"),
        ("/ports/0/containerPort", json!(65536), "spec.containers[0].ports[0].containerPort: Invalid value: 65536"),
        ("/ports/0/hostPort", json!(65536), "spec.containers[0].ports[0].hostPort: Invalid value: 65536"),
        (
            "/ports",
            json!([{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]),
            "spec.containers[0].ports[1].name: Duplicate value: \"a\"",
        ),
        (
            "/ports",
            json!([{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]),
            "spec.containers[0].ports[1].hostPort: Duplicate value",
        ),
        ("/volumeMounts/0/name", json!("w"), "spec.containers[0].volumeMounts[0].name: Not found: \"w\""),
        ("/volumeMounts/0/name", json!(""), "spec.containers[0].volumeMounts[0].name: Required value"),
        ("/volumeMounts/0/mountPath", json!(""), "spec.containers[0].volumeMounts[0].mountPath: Required value"),
        (
            "/volumeMounts",
            json!([{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/v"}]),
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/v\": must be unique",
        ),
        (
            "/volumeMounts/0/subPath",
            json!("/a"),
            "spec.containers[0].volumeMounts.subPath: Invalid value: \"/a\": must be a relative path",
        ),
        (
            "/volumeMounts/0/subPath",
            json!("a/.."),
            "spec.containers[0].volumeMounts.subPath: Invalid value: \"a/..\": must not contain '..'",
        ),
        (
            "/volumeMounts/0",
            json!({"name": "v", "mountPath": "/v", "subPath": "a", "subPathExpr": "b"}),
            "spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: \"b\": subPathExpr and subPath are mutually",
        ),
        (
            "/volumeMounts/0/mountPropagation",
            json!("Some"),
            "spec.containers[0].volumeMounts.mountPropagation: Unsupported",
        ),
        (
            "/volumeMounts/0/mountPropagation",
            json!("Bidirectional"),
            "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation",
        ),
        (
            "/resources",
            json!({"limits": {"cpu": "-1"}}),
            "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater",
        ),
        (
            "/resources",
            json!({"limits": {"a.b/gpu": "500m"}}),
            "spec.containers[0].resources.limits[a.b/gpu]: Invalid value: \"500m\": must be an integer",
        ),
        (
            "/resources",
            json!({"limits": {"requests.a/gpu": "1"}}),
            "spec.containers[0].resources.limits[requests.a/gpu]: Invalid value: \"requests.a/gpu\": doesn't follow",
        ),
        (
            "/resources",
            json!({"limits": {"hugepages-2Mi": "2Mi"}}),
            "spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
        ),
        (
            "/resources",
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
    ];
    each_breaks_a_rule_of_a_container(rows);
}

/// The same, in the first container of a pod wherever a row does not begin with the spec.
#[track_caller]
fn each_breaks_a_rule_of_a_container(rows: &[Row<'_>]) {
    let c = "/spec/containers/0";
    let rows: Vec<_> = rows
        .iter()
        .map(|(at, value, why)| {
            let of_container = !at.starts_with("/spec");
            (if of_container { format!("{c}{at}") } else { (*at).to_owned() }, value.clone(), *why)
        })
        .collect();
    let rows: Vec<Row<'_>> = rows.iter().map(|(at, value, why)| (at.as_str(), value.clone(), *why)).collect();
    each_breaks_a_rule("pods", &pod(), &rows);
}

#[test]
fn rules_of_environments() {
    let env = "/spec/containers/0/env/0";
    let from = |source: Value| json!({"name": "A", "valueFrom": source});
    let e = "spec.containers[0].env[0]";
    let (all, f) = ("spec.containers[0].envFrom", "spec.containers[0].envFrom[0]");
    let rows = [
        (json!({"name": ""}), format!("{e}.name: Required value")),
        (json!({"name": "a=b"}), format!("{e}.name: Invalid value: \"a=b\"")),
        (from(json!({})), format!("{e}.valueFrom: Invalid value: \"\"")),
        (
            json!({"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
            format!("{e}.valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"),
        ),
        (
            from(json!({"secretKeyRef": {"name": "s", "key": "k"}, "fieldRef": {"fieldPath": "metadata.name"}})),
            format!("{e}.valueFrom: Invalid value: \"\": may not have more than one field specified at a time"),
        ),
        (from(json!({"secretKeyRef": {"name": "s"}})), format!("{e}.valueFrom.secretKeyRef.key: Required value")),
        (
            from(json!({"secretKeyRef": {"name": "s", "key": "a b"}})),
            format!("{e}.valueFrom.secretKeyRef.key: Invalid value"),
        ),
        (
            from(json!({"secretKeyRef": {"name": "S", "key": "k"}})),
            format!("{e}.valueFrom.secretKeyRef.name: Invalid value: \"S\""),
        ),
        (from(json!({"fieldRef": {"fieldPath": ""}})), format!("{e}.valueFrom.fieldRef.fieldPath: Required value")),
        (
            from(json!({"fieldRef": {"fieldPath": "spec.x"}})),
            format!("{e}.valueFrom.fieldRef.fieldPath: Invalid value: \"spec.x\""),
        ),
        (from(json!({"resourceFieldRef": {}})), format!("{e}.valueFrom.resourceFieldRef.resource: Required value")),
        (
            from(json!({"resourceFieldRef": {"resource": "limits.x"}})),
            format!("{e}.valueFrom.resourceFieldRef.resource: Unsupported value: \"limits.x\""),
        ),
    ];
    let rows: Vec<Row<'_>> = rows.iter().map(|(value, why)| (env, value.clone(), why.as_str())).collect();
    each_breaks_a_rule("pods", &pod(), &rows);
    let rows = [
        (json!({}), format!("{all}: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`")),
        (
            json!({"secretRef": {"name": "s"}, "configMapRef": {"name": "s"}}),
            format!("{all}: Invalid value: \"\": may not have more than one field specified at a time"),
        ),
        (json!({"secretRef": {"name": ""}}), format!("{f}.secretRef.name: Required value")),
        (json!({"secretRef": {"name": "S"}}), format!("{f}.secretRef.name: Invalid value: \"S\"")),
        (json!({"prefix": "=", "secretRef": {"name": "s"}}), format!("{f}.prefix: Invalid value: \"=\"")),
    ];
    let rows: Vec<_> = rows.iter().map(|(value, why)| (json!([value]), why.as_str())).collect();
    let rows: Vec<Row<'_>> = rows.into_iter().map(|(value, why)| ("/spec/containers/0/envFrom", value, why)).collect();
    each_breaks_a_rule("pods", &pod(), &rows);
}

#[test]
fn rules_of_probes_and_hooks() {
    let live = "spec.containers[0].livenessProbe";
    let rows = [
        (json!({"tcpSocket": {"port": 1}, "periodSeconds": -1}), format!("{live}.periodSeconds: Invalid value: -1")),
        (
            json!({"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 0}),
            format!("{live}.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0"),
        ),
        (
            json!({"tcpSocket": {"port": 1}, "successThreshold": 2}),
            format!("{live}.successThreshold: Invalid value: 2: must be 1"),
        ),
        (json!({}), format!("{live}: Required value: must specify a handler type")),
        (
            json!({"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
            format!("{live}.tcpSocket: Forbidden: may not specify more than 1 handler type"),
        ),
        (json!({"exec": {}}), format!("{live}.exec.command: Required value")),
        (
            json!({"httpGet": {"port": 1, "scheme": "FTP"}}),
            format!("{live}.httpGet.scheme: Unsupported value: \"FTP\""),
        ),
        (
            json!({"httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": ""}]}}),
            format!("{live}.httpGet.httpHeaders: Invalid value: \"a b\""),
        ),
        (json!({"tcpSocket": {"port": "80"}}), format!("{live}.tcpSocket.port: Invalid value: \"80\"")),
        (json!({"tcpSocket": {"port": 0}}), format!("{live}.tcpSocket.port: Invalid value: 0")),
    ];
    let rows: Vec<Row<'_>> =
        rows.iter().map(|(value, why)| ("/spec/containers/0/livenessProbe", value.clone(), why.as_str())).collect();
    each_breaks_a_rule("pods", &pod(), &rows);
    each_breaks_a_rule(
        "pods",
        &pod(),
        &[
            (
                "/spec/containers/0/readinessProbe",
                json!({"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 1}),
                "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readiness",
            ),
            (
                "/spec/containers/0/lifecycle",
                json!({"preStop": {"sleep": {"seconds": 31}}}),
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than",
            ),
        ],
    );
}

#[test]
fn rules_of_volumes() {
    let v = "spec.volumes[0]";
    let of = |source: Value| {
        let mut volume = json!({"name": "v"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        volume
    };
    let rows = [
        (json!({"name": "", "emptyDir": {}}), format!("{v}.name: Required value")),
        (json!({"name": "V", "emptyDir": {}}), format!("{v}.name: Invalid value: \"V\"")),
        (
            of(json!({"emptyDir": {}, "secret": {"secretName": "s"}})),
            format!("{v}.secret: Forbidden: may not specify more than 1"),
        ),
        (of(json!({"secret": {}})), format!("{v}.secret.secretName: Required value")),
        (of(json!({"configMap": {}})), format!("{v}.configMap.name: Required value")),
        (of(json!({"persistentVolumeClaim": {}})), format!("{v}.persistentVolumeClaim.claimName: Required value")),
        (of(json!({"emptyDir": {"sizeLimit": "-1"}})), format!("{v}.emptyDir.sizeLimit: Forbidden: SizeLimit")),
        (
            of(json!({"hostPath": {"path": "/a", "type": "Odd"}})),
            format!("{v}.hostPath.type: Unsupported value: \"Odd\""),
        ),
        (
            of(json!({"secret": {"secretName": "s", "defaultMode": 512}})),
            format!("{v}.secret.defaultMode: Invalid value: 512"),
        ),
        (
            of(json!({"secret": {"secretName": "s", "items": [{"path": "p"}]}})),
            format!("{v}.secret.items[0].key: Required"),
        ),
        (
            of(json!({"secret": {"secretName": "s", "items": [{"key": "k"}]}})),
            format!("{v}.secret.items[0].path: Required"),
        ),
        (
            of(json!({"secret": {"secretName": "s", "items": [{"key": "k", "path": "..a"}]}})),
            format!("{v}.secret.items[0].path: Invalid value: \"..a\": must not start with '..'"),
        ),
        (of(json!({"downwardAPI": {"items": [{"path": "p"}]}})), format!("{v}.downwardAPI")),
    ];
    let rows: Vec<Row<'_>> = rows.iter().map(|(value, why)| ("/spec/volumes/0", value.clone(), why.as_str())).collect();
    each_breaks_a_rule("pods", &pod(), &rows);
    let twice = json!([{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]);
    each_breaks_a_rule("pods", &pod(), &[("/spec/volumes", twice, "spec.volumes[1].name: Duplicate value: \"v\"")]);
}

#[test]
fn rules_of_placement() {
    let spread = |more: Value| {
        let mut one = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([one])
    };
    let s = "spec.topologySpreadConstraints[0]";
    let t = "spec.tolerations[0]";
    let (skew, key) = (format!("{s}.maxSkew: Invalid value: 0"), format!("{s}.topologyKey: Required value"));
    let (when, few) =
        (format!("{s}.whenUnsatisfiable: Unsupported value: \"Wait\""), format!("{s}.minDomains: Invalid value: 0"));
    let (only, policy) =
        (format!("{s}.minDomains: Invalid value: 1: can only use"), format!("{s}.nodeTaintsPolicy: Unsupported value"));
    let spreads = "/spec/topologySpreadConstraints";
    each_breaks_a_rule(
        "pods",
        &pod(),
        &[
            (spreads, spread(json!({"maxSkew": 0})), &skew),
            (spreads, spread(json!({"topologyKey": ""})), &key),
            (spreads, spread(json!({"whenUnsatisfiable": "Wait"})), &when),
            (spreads, spread(json!({"minDomains": 0})), &few),
            (spreads, spread(json!({"minDomains": 1})), &only),
            (spreads, spread(json!({"nodeTaintsPolicy": "Odd"})), &policy),
        ],
    );
    let rows = [
        (json!({"key": "a b", "operator": "Exists"}), format!("{t}.key: Invalid value: \"a b\"")),
        (json!({"operator": "Equal"}), format!("{t}.operator: Invalid value: \"Equal\": operator must be Exists when")),
        (
            json!({"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 1}),
            format!("{t}.effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute'"),
        ),
        (json!({"key": "a", "value": "b c"}), format!("{t}.operator: Invalid value: \"b c\"")),
        (json!({"key": "a", "operator": "Exists", "value": "b"}), format!("{t}.operator: Invalid value: {{")),
        (json!({"key": "a", "operator": "Is"}), format!("{t}.operator: Unsupported value: \"Is\"")),
        (json!({"key": "a", "effect": "Odd"}), format!("{t}.effect: Unsupported value: \"Odd\"")),
    ];
    let rows: Vec<_> = rows.iter().map(|(one, why)| (json!([one]), why.as_str())).collect();
    let rows: Vec<Row<'_>> = rows.into_iter().map(|(value, why)| ("/spec/tolerations", value, why)).collect();
    each_breaks_a_rule("pods", &pod(), &rows);
    let gates = json!([{"name": "a"}, {"name": "a"}]);
    each_breaks_a_rule(
        "pods",
        &pod(),
        &[
            ("/spec/schedulingGates", gates, "spec.schedulingGates[1]: Duplicate value: \"a\""),
            ("/spec/schedulingGates", json!([{"name": ""}]), "spec.schedulingGates[0]: Invalid value: \"\""),
            (
                "/spec/readinessGates",
                json!([{"conditionType": "a b"}]),
                "spec.readinessGates[0].conditionType: Invalid value",
            ),
        ],
    );
}

#[test]
fn rules_of_whole_pods() {
    each_breaks_a_rule(
        "pods",
        &pod(),
        &[
            ("/spec/priorityClassName", json!("P"), "spec.priorityClassName: Invalid value: \"P\""),
            ("/spec/serviceAccountName", json!("S"), "spec.serviceAccountName: Invalid value: \"S\""),
            ("/spec/hostname", json!("a.b"), "spec.hostname: Invalid value: \"a.b\""),
            (
                "/spec/activeDeadlineSeconds",
                json!(0),
                "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1",
            ),
            ("/spec/dnsPolicy", json!("None"), "spec.dnsConfig: Required value: must provide `dnsConfig`"),
            ("/spec/dnsPolicy", json!("Some"), "spec.dnsPolicy: Unsupported value: \"Some\""),
            ("/spec/dnsConfig", json!({"nameservers": ["x"]}), "spec.dnsConfig.nameservers[0]: Invalid value: \"x\""),
            ("/spec/hostAliases", json!([{"ip": "x"}]), "spec.hostAliases[0].ip: Invalid value: \"x\""),
            (
                "/spec/hostAliases",
                json!([{"ip": "1.2.3.4", "hostnames": ["A"]}]),
                "spec.hostAliases[0].hostnames[0]: Invalid",
            ),
            ("/spec/hostNetwork", json!(true), "spec.containers[0].ports[0].hostPort: Invalid value: 0: must match"),
            ("/spec/nodeSelector", json!({"a b": "c"}), "spec.nodeSelector: Invalid value: \"a b\""),
            (
                "/spec/ephemeralContainers",
                json!([{"name": "e", "image": "i"}]),
                "spec.ephemeralContainers: Forbidden: cannot be set on create",
            ),
            ("/spec/securityContext", json!({"runAsUser": -1}), "spec.securityContext.runAsUser: Invalid value: -1"),
            (
                "/spec/securityContext",
                json!({"sysctls": [{"name": ""}]}),
                "spec.securityContext.sysctls[0].name: Required",
            ),
            (
                "/spec/securityContext",
                json!({"sysctls": [{"name": "A"}]}),
                "spec.securityContext.sysctls[0].name: Invalid",
            ),
            (
                "/spec/securityContext",
                json!({"fsGroupChangePolicy": "Odd"}),
                "spec.securityContext.fsGroupChangePolicy: Unsupp",
            ),
            (
                "/spec/securityContext",
                json!({"seccompProfile": {"type": "Odd"}}),
                "spec.securityContext.seccompProfile.type: Unsupp",
            ),
            (
                "/spec/securityContext",
                json!({"seccompProfile": {"type": "Localhost"}}),
                "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type",
            ),
            (
                "/spec/securityContext",
                json!({"seccompProfile": {"type": "Unconfined", "localhostProfile": "a"}}),
                "spec.securityContext.seccompProfile.localhostProfile: Invalid value",
            ),
            (
                "/spec/securityContext",
                json!({"appArmorProfile": {"type": "Odd"}}),
                "spec.securityContext.appArmorProfile.type: Unsupp",
            ),
            (
                "/spec/containers/0/securityContext",
                json!({"allowPrivilegeEscalation": false, "privileged": true}),
                "spec.containers[0].securityContext: Invalid value: ",
            ),
            (
                "/spec/containers/0/securityContext",
                json!({"procMount": "Odd"}),
                "spec.containers[0].securityContext.procMount: Unsupp",
            ),
        ],
    );
    let old = pod();
    let changed = |pointer: &str, value: Value| {
        let mut stored = old.clone();
        prepare("pods", &mut stored, None, &Mutex::default()).unwrap();
        let mut next = stored.clone();
        put(&mut next, pointer, value);
        faults("pods", &next, Some(&stored))
    };
    assert!(changed("/spec/containers/0/image", json!("i:2")).is_empty());
    assert!(changed("/spec/hostname", json!("h"))[0].starts_with("spec: Forbidden: pod updates may not change fields"));
    let more = json!([{"name": "i", "image": "i:1"}]);
    let why = "spec.initContainers: Forbidden: pod updates may not add or remove containers";
    assert_eq!(changed("/spec/initContainers", more).last().map(String::as_str), Some(why));
}

#[test]
fn rules_of_deployments() {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": pod()["spec"]});
    let fine = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    each_breaks_a_rule(
        "deployments.apps",
        &fine,
        &[
            ("/spec/replicas", json!(-1), "spec.replicas: Invalid value: -1"),
            ("/spec/minReadySeconds", json!(-1), "spec.minReadySeconds: Invalid value: -1"),
            (
                "/spec/progressDeadlineSeconds",
                json!(-1),
                "spec.progressDeadlineSeconds: Invalid value: -1: must be greater than or",
            ),
            (
                "/spec/progressDeadlineSeconds",
                json!(0),
                "spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minR",
            ),
            ("/spec/selector", json!(null), "spec.selector: Required value"),
            ("/spec/selector", json!({}), "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
            (
                "/spec/selector",
                json!({"matchLabels": {"a b": ""}}),
                "spec.selector.matchLabels: Invalid value: \"a b\"",
            ),
            ("/spec/selector", json!({"matchLabels": {"a b": ""}}), "spec.selector: Invalid value: {"),
            (
                "/spec/selector",
                json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
                "spec.selector.matchExpressions[0].values: Forbidden",
            ),
            (
                "/spec/selector",
                json!({"matchExpressions": [{"key": "", "operator": "In", "values": ["b c"]}]}),
                "spec.selector.matchExpressions[0].key: Invalid value: \"\"",
            ),
            (
                "/spec/selector",
                json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}]}),
                "spec.selector.matchExpressions[0].values[0]: Invalid value: \"b c\"",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("Never"),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\"",
            ),
            (
                "/spec/template/spec/activeDeadlineSeconds",
                json!(1),
                "spec.template.spec.activeDeadlineSeconds: Forbidden",
            ),
            (
                "/spec/template/spec/ephemeralContainers",
                json!([{"name": "e", "image": "i"}]),
                "spec.template.spec.ephemeralContainers: Forbidden",
            ),
            ("/spec/strategy", json!({"type": "Odd"}), "spec.strategy.type: Unsupported value: \"Odd\""),
            (
                "/spec/strategy",
                json!({"type": "Recreate", "rollingUpdate": {}}),
                "spec.strategy.rollingUpdate: Forbidden",
            ),
            (
                "/spec/strategy",
                json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            ),
            (
                "/spec/strategy",
                json!({"rollingUpdate": {"maxSurge": "x"}}),
                "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x\"",
            ),
            (
                "/spec/strategy",
                json!({"rollingUpdate": {"maxSurge": -1}}),
                "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1",
            ),
            (
                "/spec/strategy",
                json!({"rollingUpdate": {"maxUnavailable": "101%"}}),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ),
        ],
    );
}

#[test]
fn rules_of_services() {
    let fine = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"name": "web", "port": 80}]}});
    let two = |a: Value, b: Value| json!([a, b]);
    each_breaks_a_rule(
        "services",
        &fine,
        &[
            ("/metadata/name", json!("1a"), "metadata.name: Invalid value: \"1a\": a DNS-1035 label"),
            ("/spec/ports", json!([]), "spec.ports: Required value"),
            (
                "/spec/ports",
                two(json!({"port": 1}), json!({"port": 2, "name": "b"})),
                "spec.ports[0].name: Required value",
            ),
            (
                "/spec/ports",
                two(json!({"port": 1, "name": "b"}), json!({"port": 2, "name": "b"})),
                "spec.ports[1].name: Duplicate value: \"b\"",
            ),
            (
                "/spec/ports",
                two(json!({"port": 1, "name": "a"}), json!({"port": 1, "name": "b"})),
                "spec.ports[1]: Duplicate value",
            ),
            ("/spec/ports/0/name", json!("A"), "spec.ports[0].name: Invalid value: \"A\""),
            ("/spec/ports/0/port", json!(65536), "spec.ports[0].port: Invalid value: 65536"),
            ("/spec/ports/0/targetPort", json!("80"), "spec.ports[0].targetPort: Invalid value: \"80\""),
            ("/spec/ports/0/targetPort", json!(65536), "spec.ports[0].targetPort: Invalid value: 65536"),
            ("/spec/ports/0/appProtocol", json!("a b"), "spec.ports[0].appProtocol: Invalid value: \"a b\""),
            ("/spec", json!({"type": "ExternalName"}), "spec.externalName: Required value"),
            ("/spec", json!({"type": "ExternalName", "externalName": "A"}), "spec.externalName: Invalid value: \"A\""),
            ("/spec/ipFamilies", json!(["IPv5"]), "spec.ipFamilies[0]: Unsupported value: \"IPv5\""),
            (
                "/spec/ipFamilyPolicy",
                json!("RequireDualStack"),
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\"",
            ),
            ("/spec/ipFamilyPolicy", json!("Odd"), "spec.ipFamilyPolicy: Unsupported value: \"Odd\""),
            (
                "/spec/externalIPs",
                json!(["x"]),
                "spec.externalIPs[0]: Invalid value: \"x\": must be a valid IP address",
            ),
            (
                "/spec/externalIPs",
                json!(["127.0.0.1"]),
                "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the",
            ),
            ("/spec/loadBalancerSourceRanges", json!(["10.0.0.0/8"]), "spec.LoadBalancerSourceRanges: Forbidden"),
            ("/spec/loadBalancerSourceRanges", json!(["x"]), "spec.LoadBalancerSourceRanges[0]: Invalid value: \"x\""),
            ("/spec/trafficDistribution", json!("Odd"), "spec.trafficDistribution: Unsupported value: \"Odd\""),
            ("/spec/ports/0/nodePort", json!(30000), "spec.ports[0].nodePort: Forbidden"),
        ],
    );
}

#[test]
fn rules_of_secrets_and_bindings() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "YQ=="}});
    each_breaks_a_rule(
        "secrets",
        &secret,
        &[
            ("/data", json!({"a b": "YQ=="}), "data[a b]: Invalid value: \"a b\""),
            ("/type", json!("kubernetes.io/tls"), "data[tls.crt]: Required value"),
            (
                "/type",
                json!("kubernetes.io/service-account-token"),
                "metadata.annotations[kubernetes.io/service-account.name]: Req",
            ),
        ],
    );
    let of_type = |kind: &str| {
        let mut object = secret.clone();
        object["type"] = kind.into();
        object
    };
    let changed = faults("secrets", &of_type("a"), Some(&of_type("b")));
    assert_eq!(changed, ["type: Invalid value: \"a\": field is immutable"]);
    let mut frozen = of_type("Opaque");
    frozen["immutable"] = true.into();
    let thawed = faults("secrets", &of_type("Opaque"), Some(&frozen));
    assert!(thawed[0].starts_with("immutable: Forbidden: field is immutable when"), "{thawed:?}");
    let mut other = frozen.clone();
    other["data"] = json!({"b": "YQ=="});
    assert!(faults("secrets", &other, Some(&frozen))[0].starts_with("data: Forbidden: field is immutable when"));

    let group = "rbac.authorization.k8s.io";
    let binding = json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "n"}]});
    each_breaks_a_rule(
        "rolebindings.rbac.authorization.k8s.io",
        &binding,
        &[
            ("/metadata/name", json!("a%"), "metadata.name: Invalid value: \"a%\": may not contain '%'"),
            ("/roleRef/apiGroup", json!("x"), "roleRef.apiGroup: Unsupported value: \"x\""),
            ("/roleRef/kind", json!("Rule"), "roleRef.kind: Unsupported value: \"Rule\""),
            ("/roleRef/name", json!(""), "roleRef.name: Required value"),
            ("/roleRef/name", json!("a%"), "roleRef.name: Invalid value: \"a%\""),
            ("/subjects/0/name", json!(""), "subjects[0].name: Required value"),
            ("/subjects/0/name", json!("A"), "subjects[0].name: Invalid value: \"A\""),
            ("/subjects/0/apiGroup", json!(group), "subjects[0].apiGroup: Unsupported value"),
            (
                "/subjects/0",
                json!({"kind": "User", "apiGroup": "x", "name": "u"}),
                "subjects[0].apiGroup: Unsupported value: \"x\"",
            ),
        ],
    );
}
