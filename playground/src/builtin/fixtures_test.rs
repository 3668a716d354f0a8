//! Held against what a real API server answered.

use std::path::Path;
use std::sync::Mutex;

use serde_json::Value;

use super::{Refusal, prepare};

fn fixture(name: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../fixtures/kubernetes-1.36").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The object sent, whether as JSON or as a string of it.
fn sent(exchange: &Value) -> Value {
    match &exchange["request"]["body"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        body => body.clone(),
    }
}

/// The object answered, without what the storage adds.
fn answered(exchange: &Value) -> Value {
    let mut body = exchange["response"]["body"].clone();
    strip(&mut body);
    body
}

fn strip(object: &mut Value) {
    let meta = object["metadata"].as_object_mut().unwrap();
    for key in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "namespace"] {
        meta.remove(key);
    }
}

#[track_caller]
fn assert_stored_as_recorded(resource: &str, name: &str) {
    let exchange = fixture(name);
    let mut object = sent(&exchange);
    prepare(resource, &mut object, None, &Mutex::default()).unwrap();
    strip(&mut object);
    let mut expected = answered(&exchange);
    if resource == "services" {
        // The recording's range is another one.
        expected["spec"]["clusterIP"] = "10.96.0.2".into();
        expected["spec"]["clusterIPs"] = serde_json::json!(["10.96.0.2"]);
    }
    assert_eq!(object, expected);
}

#[track_caller]
fn assert_refused_as_recorded(resource: &str, name: &str, object: &Value, old: Option<&Value>) {
    let exchange = fixture(name);
    let mut object = object.clone();
    let refusal = prepare(resource, &mut object, old, &Mutex::default()).unwrap_err();
    let Refusal::Invalid(causes) = refusal else {
        panic!("{refusal:?}");
    };
    let found: Vec<Value> = causes
        .into_iter()
        .map(|c| serde_json::json!({"reason": c.reason, "message": c.message, "field": c.field}))
        .collect();
    let expected = &exchange["response"]["body"]["details"]["causes"];
    assert_eq!(&Value::from(found), expected);
}

#[test]
fn objects_are_stored_as_kubernetes_stores_them() {
    for (resource, name) in [
        ("deployments.apps", "deployments/apply-create.json"),
        ("services", "services/apply-create.json"),
        ("secrets", "secrets/create.json"),
        ("leases.coordination.k8s.io", "leases/create.json"),
        ("events.events.k8s.io", "events/create.json"),
        ("horizontalpodautoscalers.autoscaling", "hpa/create.json"),
    ] {
        assert_stored_as_recorded(resource, name);
    }
}

#[test]
fn a_service_keeps_its_address_through_an_update() {
    let created = fixture("services/apply-create.json")["response"]["body"].clone();
    let exchange = fixture("services/apply-port.json");
    let mut object = sent(&exchange);
    let ips = Mutex::default();
    prepare("services", &mut object, Some(&created), &ips).unwrap();
    strip(&mut object);
    assert_eq!(object, answered(&exchange));
}

#[test]
fn a_stored_object_comes_through_unchanged() {
    for (resource, name) in [
        ("deployments.apps", "deployments/get-available.json"),
        ("deployments.apps", "deployments/get-waiting-for-secret.json"),
        ("events.events.k8s.io", "events/patch-series.json"),
        ("leases.coordination.k8s.io", "leases/release.json"),
    ] {
        let stored = fixture(name)["response"]["body"].clone();
        let mut again = stored.clone();
        prepare(resource, &mut again, Some(&stored), &Mutex::default()).unwrap();
        assert_eq!(again, stored, "{name}");
    }
}

#[test]
fn pods_come_through_unchanged_in_every_state() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../fixtures/kubernetes-1.36/rollout/pods.jsonl");
    let stream = std::fs::read_to_string(path).unwrap();
    for line in stream.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let mut pod = event["object"].clone();
        let ips = Mutex::default();
        prepare("pods", &mut pod, Some(&event["object"]), &ips).unwrap();
        assert_eq!(pod, event["object"]);
    }
}

#[test]
fn a_selector_can_neither_change_nor_miss_its_template() {
    let name = "deployments/apply-invalid.json";
    let object = sent(&fixture(name));
    let old = fixture("deployments/apply-create.json")["response"]["body"].clone();
    assert_refused_as_recorded("deployments.apps", name, &object, Some(&old));
}

#[test]
fn a_lease_must_last() {
    let name = "leases/invalid.json";
    let old = fixture("leases/create.json")["response"]["body"].clone();
    let object = sent(&fixture(name));
    assert_refused_as_recorded("leases.coordination.k8s.io", name, &object, Some(&old));
}

#[test]
fn an_event_says_who_reports_it() {
    let name = "events/create-invalid.json";
    let object = sent(&fixture(name));
    assert_refused_as_recorded("events.events.k8s.io", name, &object, None);
}

#[test]
fn a_time_that_is_none_is_a_bad_request() {
    let exchange = fixture("leases/bad-time.json");
    let mut object = sent(&exchange);
    let ips = Mutex::default();
    let refusal = prepare("leases.coordination.k8s.io", &mut object, None, &ips).unwrap_err();
    let Refusal::Malformed(message) = refusal else {
        panic!("{refusal:?}");
    };
    let whole = format!("Lease in version \"v1\" cannot be handled as a Lease: {message}");
    assert_eq!(exchange["response"]["body"]["message"], whole);
}

#[test]
fn nonsense_is_refused_and_never_panics() {
    use serde_json::json;
    let kinds = ["deployments.apps", "replicasets.apps", "pods", "services", "secrets", "namespaces"];
    let odd = [json!(null), json!(1), json!("x"), json!([1]), json!({}), json!({"a": [1]})];
    let places = [
        "/metadata",
        "/spec",
        "/spec/selector",
        "/spec/strategy",
        "/spec/template",
        "/spec/template/metadata",
        "/spec/template/spec",
        "/spec/template/spec/containers",
        "/spec/template/spec/containers/0",
        "/spec/template/spec/containers/0/resources",
        "/spec/template/spec/containers/0/ports",
        "/spec/template/spec/containers/0/ports/0",
        "/spec/template/spec/containers/0/readinessProbe",
        "/spec/template/spec/securityContext",
    ];
    let whole = fixture("deployments/apply-create.json")["response"]["body"].clone();
    for resource in kinds {
        for place in places {
            for value in &odd {
                let mut object = whole.clone();
                *object.pointer_mut(place).unwrap() = value.clone();
                object["data"] = value.clone();
                object["stringData"] = value.clone();
                object["spec"].as_object_mut().map(|spec| spec.insert("ports".into(), value.clone()));
                // Only that it returns matters.
                let _ = prepare(resource, &mut object, Some(&whole), &Mutex::default());
                let _ = prepare(resource, &mut object, None, &Mutex::default());
            }
        }
    }
}

#[test]
fn every_kind_with_rules_is_held_to_them_when_made_and_when_changed() {
    use serde_json::json;
    let kinds = [
        (
            "networkpolicies.networking.k8s.io",
            json!({"spec": {"ingress": [{"from": [{}]}]}}),
            "spec.ingress[0].from[0]",
        ),
        ("horizontalpodautoscalers.autoscaling", json!({"spec": {"maxReplicas": -1}}), "spec.maxReplicas"),
        ("endpointslices.discovery.k8s.io", json!({"addressType": "IP"}), "addressType"),
        ("resourcequotas", json!({"spec": {"hard": {"gold": "1"}}}), "spec.hard[gold]"),
        ("limitranges", json!({"spec": {"limits": [{"type": "Box"}]}}), "spec.limits[0].type"),
        ("poddisruptionbudgets.policy", json!({"spec": {"minAvailable": -1}}), "spec.minAvailable"),
    ];
    for (resource, object, field) in kinds {
        for old in [None, Some(&object)] {
            let refusal = prepare(resource, &mut object.clone(), old, &Mutex::default()).unwrap_err();
            let Refusal::Invalid(causes) = refusal else { panic!("{refusal:?}") };
            assert_eq!(causes[0].field, field, "{resource}");
        }
    }
    let slice = |kind: &str| json!({"addressType": kind});
    let kind = "endpointslices.discovery.k8s.io";
    assert!(prepare(kind, &mut slice("IPv4"), Some(&slice("IPv6")), &Mutex::default()).is_err());
    let quota = |scope: &str| json!({"spec": {"scopes": [scope]}});
    assert!(
        prepare("resourcequotas", &mut quota("BestEffort"), Some(&quota("Terminating")), &Mutex::default()).is_err()
    );
}
