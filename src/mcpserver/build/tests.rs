use serde_json::{Value, json};

use super::super::children::SECRET_HASH;
use super::super::testing::{observed, secret, wanted};
use super::*;

fn children(spec: &Value) -> Children {
    let world = observed(spec);
    build(&world.server, &wanted(&world)).unwrap()
}

fn both(mut children: Children) -> [Desired; 2] {
    assert_eq!(children.len(), 2, "{:?}", children.keys());
    [ChildKind::Deployment, ChildKind::Service].map(|kind| children.remove(&kind).unwrap())
}

#[test]
fn the_children_of_the_smallest_server_are_these() {
    let [deployment, service] = both(children(&json!({"image": "my-mcp-server:1"})));
    let built = json!({"deployment": deployment.object, "service": service.object});
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/minimal.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, format!("{built:#}\n")).unwrap();
    }
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(built, golden, "if this is meant: UPDATE_GOLDEN=1 cargo test");
}

#[test]
fn every_field_of_the_spec_finds_its_place() {
    let mut world = observed(&json!({
        "image": "i", "replicas": 5, "port": 3001, "secretName": "s",
        "service": {"type": "NodePort", "port": 80, "annotations": {"a": "b"}, "sessionAffinity": "ClientIP"},
    }));
    world.secret = secret("eA==");
    let [deployment, service] = both(build(&world.server, &wanted(&world)).unwrap());
    let pod = &deployment.object["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    assert_eq!(deployment.object["spec"]["replicas"], 5);
    assert_eq!((&container["image"], &container["ports"][0]["containerPort"]), (&json!("i"), &json!(3001)));
    assert_eq!(container["envFrom"], json!([{"secretRef": {"name": "s"}}]));
    assert_eq!(pod["metadata"]["annotations"][SECRET_HASH].as_str().map(str::len), Some(64));
    let spec = &service.object["spec"];
    assert_eq!((&spec["type"], &spec["sessionAffinity"]), (&json!("NodePort"), &json!("ClientIP")));
    assert_eq!((&spec["ports"][0]["port"], &spec["ports"][0]["targetPort"]), (&json!(80), &json!("mcp")));
    assert_eq!(service.object["metadata"]["annotations"]["a"], "b");
}

#[test]
fn the_same_wish_has_the_same_digest_and_another_one_another() {
    assert_eq!(children(&json!({"image": "x"})), children(&json!({"image": "x", "replicas": 1, "port": 8080})));
    let (one, two) = (children(&json!({"image": "x"})), children(&json!({"image": "x", "replicas": 2})));
    assert_ne!(one[&ChildKind::Deployment].hash, two[&ChildKind::Deployment].hash);
    assert_eq!(one[&ChildKind::Service].hash, two[&ChildKind::Service].hash);
}

#[test]
fn nothing_is_claimed_empty_for_that_would_claim_what_others_put_in() {
    fn no_empty(path: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                assert!(!members.is_empty(), "{path} is empty");
                for (name, member) in members {
                    no_empty(&format!("{path}.{name}"), member);
                }
            }
            Value::Array(items) => {
                assert!(!items.is_empty(), "{path} is empty");
                for item in items {
                    no_empty(&format!("{path}[]"), item);
                }
            }
            Value::Null => panic!("{path} is null"),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let [deployment, service] = both(children(&json!({"image": "x"})));
    no_empty("deployment", &deployment.object);
    no_empty("service", &service.object);
}

/// Found by a test of every field: with `env: []`, or another list whose items have owners, each look at a server ended with
/// another apply, since nobody is the manager of such a list while it is empty. What means something when it is empty stays.
#[test]
fn lists_without_items_are_not_claimed_in_a_pod_and_empty_objects_are() {
    let [deployment, _] = both(children(&json!({
        "image": "x", "env": [], "imagePullSecrets": [], "volumes": [{"name": "a", "emptyDir": {}}], "volumeMounts": [],
        "resources": {"claims": [], "limits": {}}, "tolerations": [],
        "topologySpreadConstraints": [{"labelSelector": {"matchExpressions": []}}],
    })));
    let pod = &deployment.object["spec"]["template"]["spec"];
    let lists = pod.as_object().unwrap().keys().chain(pod["containers"][0].as_object().unwrap().keys());
    let empty = ["env", "imagePullSecrets", "volumeMounts", "tolerations"];
    assert_eq!(lists.filter(|field| empty.contains(&field.as_str())).count(), 0, "{pod:#}");
    assert_eq!(pod["containers"][0]["resources"], json!({"limits": {}}));
    assert_eq!(pod["volumes"], json!([{"name": "a", "emptyDir": {}}]));
    assert_eq!(pod["topologySpreadConstraints"], json!([{"labelSelector": {}}]));
}

#[test]
fn the_selector_names_nothing_that_can_change() {
    let selector = |spec| children(spec)[&ChildKind::Deployment].object["spec"]["selector"].clone();
    assert_eq!(
        selector(&json!({"image": "x"})),
        selector(&json!({"image": "y", "replicas": 4, "port": 1, "suspend": false}))
    );
}

#[test]
fn a_capability_more_is_no_reason_to_keep_all_the_others() {
    let security = |security: Value| {
        let children = children(&json!({"image": "x", "securityContext": security}));
        children[&ChildKind::Deployment].object["spec"]["template"]["spec"]["containers"][0]["securityContext"].clone()
    };
    let restricted = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(security(json!({})), restricted);
    let one_more = security(json!({"capabilities": {"add": ["NET_BIND_SERVICE"]}}));
    assert_eq!(one_more["capabilities"], json!({"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}));
    assert_eq!(security(json!({"capabilities": {"drop": ["KILL"]}}))["capabilities"], json!({"drop": ["KILL"]}));
    for all in [
        json!({"privileged": true}),
        json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}}),
        json!({"capabilities": {"add": ["SYS_ADMIN"]}}),
    ] {
        assert_eq!(security(all.clone())["allowPrivilegeEscalation"], Value::Null, "{all} excludes it");
    }
}

#[test]
fn what_a_probe_does_not_say_is_as_in_the_default() {
    let probe = |probes: Value| {
        let children = children(&json!({"image": "x", "probes": probes}));
        children[&ChildKind::Deployment].object["spec"]["template"]["spec"]["containers"][0]["startupProbe"].clone()
    };
    let default = json!({"tcpSocket": {"port": "mcp"}, "periodSeconds": 2, "failureThreshold": 150});
    assert_eq!(probe(json!({})), default);
    assert_eq!(probe(json!({"startup": {"disabled": false}})), default);
    assert_eq!(probe(json!({"startup": {"disabled": true}})), Value::Null);
    assert_eq!(
        probe(json!({"startup": {"httpGet": {"port": 80}, "periodSeconds": 9}})),
        json!({"httpGet": {"port": 80}, "periodSeconds": 9, "failureThreshold": 150})
    );
}

#[test]
fn each_block_of_the_spec_is_an_object_of_its_own_and_none_without_it() {
    let children = children(&json!({
        "image": "x",
        "disruptionBudget": {"maxUnavailable": "50%"},
        "networkPolicy": {},
        "autoscaling": {"maxReplicas": 5, "targetMemoryUtilizationPercentage": 70},
    }));
    assert!(ChildKind::ALL.iter().eq(children.keys()), "{:?}", children.keys());
    let spec = |kind| &children[&kind].object["spec"];
    assert_eq!(spec(ChildKind::Deployment)["replicas"], Value::Null, "the autoscaler writes it");
    assert_eq!(spec(ChildKind::DisruptionBudget)["maxUnavailable"], "50%");
    let selector = &spec(ChildKind::Deployment)["selector"];
    assert_eq!(&spec(ChildKind::DisruptionBudget)["selector"], selector);
    let policy = spec(ChildKind::NetworkPolicy);
    assert_eq!((&policy["podSelector"], &policy["policyTypes"]), (selector, &json!(["Ingress"])));
    assert_eq!(policy["ingress"][0]["from"], json!([{"podSelector": {}}]), "the namespace");
    let autoscaler = spec(ChildKind::Autoscaler);
    assert_eq!((&autoscaler["minReplicas"], &autoscaler["maxReplicas"]), (&json!(1), &json!(5)));
    assert_eq!(autoscaler["scaleTargetRef"], json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}));
    assert_eq!(autoscaler["metrics"].as_array().unwrap().len(), 1);
    assert_eq!(autoscaler["metrics"][0]["resource"]["name"], "memory");
}

#[test]
fn an_autoscaler_without_an_aim_aims_at_the_cpu() {
    let children = children(&json!({"image": "x", "autoscaling": {"maxReplicas": 5}}));
    let metric = &children[&ChildKind::Autoscaler].object["spec"]["metrics"][0]["resource"];
    assert_eq!((&metric["name"], &metric["target"]["averageUtilization"]), (&json!("cpu"), &json!(80)));
}

#[test]
fn an_empty_list_of_egress_rules_is_a_rule_and_none_is_not() {
    let policy = |policy: Value| {
        let children = children(&json!({"image": "x", "networkPolicy": policy}));
        children[&ChildKind::NetworkPolicy].object["spec"].clone()
    };
    let closed = policy(json!({"egress": [], "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}));
    assert_eq!((&closed["policyTypes"], &closed["egress"]), (&json!(["Ingress", "Egress"]), &json!([])));
    assert_eq!(closed["ingress"][0]["from"], json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]));
    assert_eq!(policy(json!({}))["egress"], Value::Null);
    assert_eq!(policy(json!({"from": []}))["ingress"], json!([]), "a rule without peers would admit everybody");
}
