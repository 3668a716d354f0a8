//! The managed fields held against what a real API server recorded.
//!
//! The two watches tell each state of an object in turn; the exchanges say which request led to some of
//! them, and the rest are status updates of the controllers.

use std::path::Path;

use serde_json::{Value, json};

use super::whole::{apply, track_scale, track_update};
use super::*;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/kubernetes-1.36");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn exchange(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap()
}

fn answer(path: &str) -> Value {
    exchange(path)["response"]["body"].clone()
}

/// The states of one object, in the order in which a watch saw them.
fn states(path: &str, name: &str) -> Vec<Value> {
    let events = read(path);
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let seen = events.filter(|event| event["type"] == "ADDED" || event["type"] == "MODIFIED");
    let objects = seen.map(|event| event["object"].clone());
    objects.filter(|object| object["metadata"]["name"] == name).collect()
}

/// Without what the storage adds after the fields are settled.
fn settled(object: &Value) -> Value {
    let mut object = object.clone();
    for stamp in ["resourceVersion", "generation", "uid", "creationTimestamp"] {
        object["metadata"].as_object_mut().unwrap().remove(stamp);
    }
    object
}

fn entries(object: &Value) -> &Value {
    &object["metadata"]["managedFields"]
}

fn manager_of(path: &str) -> &str {
    let query = path.split_once("fieldManager=").map_or("unknown", |(_, query)| query);
    query.split('&').next().unwrap()
}

/// The latest time of any entry: that of the write that led to the state.
fn time_of(object: &Value) -> &str {
    let times = entries(object).as_array().unwrap().iter().filter_map(|e| e["time"].as_str());
    times.max().unwrap()
}

/// What the request of the exchange makes of the live object.
fn replay(exchange: &Value, live: Option<&Value>, now: &str, schema: &Schema) -> Result<Value, ApplyError> {
    let request = &exchange["request"];
    let path = request["path"].as_str().unwrap();
    let subresource = path.split('?').next().unwrap().ends_with("/status").then_some("status");
    let (manager, force) = (manager_of(path), path.contains("force=true"));
    if request["headers"]["Content-Type"] == "application/apply-patch+yaml" {
        let config: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
        let api_version = config["apiVersion"].as_str().unwrap();
        return apply(live, &config, Applier { manager, force, api_version, subresource, now }, schema);
    }
    let mut new = live.unwrap().clone();
    if request["headers"]["Content-Type"] == "application/strategic-merge-patch+json" {
        new = crate::patch::strategic(&new, &request["body"], schema).unwrap();
    } else {
        crate::patch::merge(&mut new, &request["body"]);
    }
    let api_version = new["apiVersion"].as_str().unwrap().to_owned();
    let by = Updater { manager, api_version: &api_version, subresource, now };
    Ok(track_update(live, new, by, schema))
}

#[test]
fn the_recorded_life_of_a_deployment_is_told_again() {
    let schema = Schema::builtin("Deployment");
    let requests = [
        ("490", "apply-scale"),
        ("512", "stranger-annotation"),
        ("584", "stranger-replicas"),
        ("618", "apply-takes-back"),
        ("642", "apply-bad-image"),
        ("666", "apply-good-image"),
    ];
    let states = states("rollout/deployments.jsonl", "example-server");
    let mut told = 0;
    for pair in states.windows(2) {
        let [before, after] = pair else { unreachable!() };
        let version = after["metadata"]["resourceVersion"].as_str().unwrap();
        if version == "760" {
            continue; // A field was dropped: its own test, below.
        }
        let request = requests.iter().find(|(at, _)| *at == version);
        let now = time_of(after);
        let got = if let Some((_, name)) = request {
            told += 1;
            replay(&exchange(&format!("deployments/{name}.json")), Some(before), now, &schema).unwrap()
        } else {
            let by = Updater {
                manager: "kube-controller-manager",
                api_version: "apps/v1",
                subresource: Some("status"),
                now,
            };
            track_update(Some(before), after.clone(), by, &schema)
        };
        assert_eq!(settled(&got), settled(after), "{version}");
    }
    assert_eq!(told, requests.len());
}

#[test]
fn an_object_that_is_made_by_apply_belongs_to_its_applier() {
    for (kind, path) in [
        ("Deployment", "deployments/apply-create.json"),
        ("Service", "services/apply-create.json"),
        ("Deployment", "deployments/apply-rv-absent.json"),
    ] {
        let wanted = answer(path);
        let got = replay(&exchange(path), None, time_of(&wanted), &Schema::builtin(kind)).unwrap();
        assert_eq!(entries(&got), entries(&wanted), "{path}");
    }
}

#[test]
fn applying_the_same_again_changes_nothing() {
    for (kind, path) in [
        ("Deployment", "deployments/apply-noop.json"),
        ("Deployment", "deployments/apply-keeps-stranger.json"),
        ("Service", "services/apply-noop.json"),
    ] {
        let live = answer(path);
        let got = replay(&exchange(path), Some(&live), "2030-01-01T00:00:00Z", &Schema::builtin(kind)).unwrap();
        assert_eq!(got, live, "{path}");
    }
}

#[test]
fn a_field_that_is_no_longer_applied_goes_for_the_server_to_default() {
    let states = states("rollout/deployments.jsonl", "example-server");
    let at = states.iter().position(|state| state["metadata"]["resourceVersion"] == "760").unwrap();
    let (before, after) = (&states[at - 1], &states[at]);
    let exchange = exchange("deployments/apply-drop-field.json");
    let mut got = replay(&exchange, Some(before), time_of(after), &Schema::builtin("Deployment")).unwrap();
    let dropped = after["spec"]["template"]["spec"]["containers"][0].clone();
    for (name, value) in dropped.as_object().unwrap() {
        let container = &mut got["spec"]["template"]["spec"]["containers"][0];
        if container[name].is_null() {
            container[name] = value.clone();
        }
    }
    assert_eq!(settled(&got), settled(after));
}

#[test]
fn another_port_of_a_service_replaces_the_old_one() {
    let (live, wanted) = (answer("services/apply-noop.json"), answer("services/apply-port.json"));
    let exchange = exchange("services/apply-port.json");
    let mut got = replay(&exchange, Some(&live), time_of(&wanted), &Schema::builtin("Service")).unwrap();
    got["spec"]["ports"][0]["protocol"] = json!("TCP");
    assert_eq!(settled(&got), settled(&wanted));
}

#[test]
fn a_conflict_is_printed_as_the_server_prints_it() {
    let live = answer("deployments/apply-noop.json");
    let exchange = exchange("deployments/apply-conflict.json");
    let error = replay(&exchange, Some(&live), "now", &Schema::builtin("Deployment")).unwrap_err();
    let ApplyError::Conflicts(conflicts) = &error else { panic!("{error:?}") };
    let causes: Vec<_> = conflicts
        .iter()
        .map(|c| json!({"reason": "FieldManagerConflict", "message": c.cause(), "field": c.field}))
        .collect();
    let wanted = &exchange["response"]["body"];
    assert_eq!(json!(causes), wanted["details"]["causes"]);
    assert_eq!(json!(error.to_string()), wanted["message"]);
}

#[test]
fn the_recorded_life_of_a_custom_resource_is_told_again() {
    let crd = answer("crd/create.json");
    let schema = Schema::from_openapi(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]).with_status();
    let states = states("watch/mcpservers-lifecycle.jsonl", "example-server");
    let requests = ["patch-spec-merge", "patch-labels", "status-apply", "status-merge-patch"];
    assert_eq!(states.len(), requests.len() + 2);
    for (pair, name) in states.windows(2).zip(requests) {
        let [before, after] = pair else { unreachable!() };
        let exchange = exchange(&format!("mcpservers/{name}.json"));
        let got = replay(&exchange, Some(before), time_of(after), &schema).unwrap();
        assert_eq!(settled(&got), settled(after), "{name}");
    }
    let [.., before, after] = states.as_slice() else { unreachable!() };
    let mut scaled = before.clone();
    scaled["spec"]["replicas"] = json!(4);
    let by = Updater {
        manager: "unknown",
        api_version: "mcp.mcp.dev/v1alpha1",
        subresource: Some("scale"),
        now: "2030-01-01T00:00:00Z",
    };
    let got = track_scale(before, scaled, &["spec", "replicas"], by);
    assert_eq!(settled(&got), settled(after));
}

#[test]
fn what_is_created_belongs_to_who_created_it() {
    let crd = answer("crd/create.json");
    let custom = Schema::from_openapi(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]).with_status();
    let cases = [
        (custom.clone(), "mcpservers/create-minimal.json"),
        (custom, "mcpservers/create-full.json"),
        (Schema::builtin("Secret"), "secrets/create.json"),
        (Schema::builtin("Lease"), "leases/create.json"),
        (Schema::builtin("HorizontalPodAutoscaler"), "hpa/create.json"),
        (Schema::builtin("Event"), "events/create.json"),
        (Schema::builtin("CustomResourceDefinition"), "crd/create.json"),
    ];
    for (schema, path) in cases {
        let wanted = answer(path);
        let mut new = wanted.clone();
        new["metadata"].as_object_mut().unwrap().remove("managedFields");
        let api_version = wanted["apiVersion"].as_str().unwrap();
        let by = Updater { manager: "unknown", api_version, subresource: None, now: time_of(&wanted) };
        let got = track_update(None, new, by, &schema);
        assert_eq!(got, wanted, "{path}");
    }
}

#[test]
fn what_is_updated_belongs_to_who_updated_it() {
    let unset = |path: &str| {
        let mut object = answer(path);
        object["metadata"].as_object_mut().unwrap().remove("managedFields");
        object
    };
    let cases = [
        ("Secret", "secrets/patch-data.json", "secrets/patch-label.json", "unknown", None),
        ("Event", "events/create.json", "events/patch-series.json", "unknown", None),
        ("Lease", "leases/renew.json", "leases/take-over.json", "unknown", None),
        ("HorizontalPodAutoscaler", "hpa/create.json", "hpa/get.json", "kube-controller-manager", Some("status")),
    ];
    for (kind, before, after, manager, subresource) in cases {
        let wanted = answer(after);
        let by = Updater {
            manager,
            api_version: wanted["apiVersion"].as_str().unwrap(),
            subresource,
            now: time_of(&wanted),
        };
        let got = track_update(Some(&answer(before)), unset(after), by, &Schema::builtin(kind));
        assert_eq!(got, wanted, "{after}");
    }
}
