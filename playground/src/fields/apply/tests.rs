use serde_json::{Value, json};

use super::*;
use crate::fields::Updater;
use crate::fields::whole::{apply, track_update};

const EARLY: &str = "2026-01-01T00:00:00Z";
const LATE: &str = "2026-01-02T00:00:00Z";

fn by<'a>(manager: &'a str, now: &'a str) -> Applier<'a> {
    Applier { manager, force: false, api_version: "v1", subresource: None, now }
}

fn pod(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
}

fn applied(live: Option<&Value>, spec: &Value, manager: &str) -> Value {
    apply(live, &pod(spec), by(manager, EARLY), &Schema::builtin("Pod")).unwrap()
}

fn updated(live: &Value, spec: &Value, manager: &str) -> Value {
    let mut new = live.clone();
    new["spec"] = spec.clone();
    let by = Updater { manager, api_version: "v1", subresource: None, now: EARLY };
    track_update(Some(live), new, by, &Schema::builtin("Pod"))
}

/// What each manager owns, by name and operation.
fn owners(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries
        .map(|entry| {
            let name = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            (format!("{} {}", name("manager"), name("operation")), entry["fieldsV1"].clone())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn a_field_that_two_applied_stays_until_both_drop_it() {
    let live = applied(None, &json!({"x": 1, "y": 1}), "a");
    let live = applied(Some(&live), &json!({"x": 1}), "b");
    let live = applied(Some(&live), &json!({"y": 1}), "a");
    assert_eq!(live["spec"], json!({"x": 1, "y": 1}));
    assert_eq!(owners(&live), json!({"a Apply": {"f:spec": {"f:y": {}}}, "b Apply": {"f:spec": {"f:x": {}}}}));
    let live = applied(Some(&live), &json!({}), "b");
    assert_eq!(live["spec"], json!({"y": 1}));
}

#[test]
fn a_field_that_an_update_also_owns_is_not_removed() {
    let live = applied(None, &json!({"x": 1, "y": 1}), "a");
    let live = updated(&live, &json!({"x": 2, "y": 1}), "b");
    let live = applied(Some(&live), &json!({"y": 1}), "a");
    assert_eq!(live["spec"], json!({"x": 2, "y": 1}));
}

#[test]
fn an_item_that_is_dropped_goes_with_its_defaults_unless_somebody_is_in_it() {
    let container = |extra: &Value| json!({"containers": [extra]});
    let live = applied(None, &json!({"containers": [{"name": "a", "image": "1"}], "x": 1}), "a");
    // The server's own default belongs to nobody.
    let mut defaulted = live.clone();
    defaulted["spec"]["containers"][0]["policy"] = json!("Always");
    let gone = applied(Some(&defaulted), &json!({"x": 1}), "a");
    assert_eq!(gone["spec"], json!({"x": 1}));

    let live = applied(Some(&defaulted), &container(&json!({"name": "a", "args": ["b"]})), "b");
    let left = applied(Some(&live), &json!({"x": 1}), "a");
    let wanted = json!({"containers": [{"name": "a", "args": ["b"], "policy": "Always"}], "x": 1});
    assert_eq!(left["spec"], wanted);
}

#[test]
fn a_strangers_item_survives_between_the_appliers_own() {
    let names = |object: &Value| {
        let items = object["spec"]["containers"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let live = applied(None, &json!({"containers": [{"name": "a"}, {"name": "c"}]}), "a");
    let injected = json!({"containers": [{"name": "a"}, {"name": "sidecar"}, {"name": "c"}]});
    let live = updated(&live, &injected, "injector");
    let live = applied(Some(&live), &json!({"containers": [{"name": "a"}, {"name": "d"}]}), "a");
    assert_eq!(names(&live), ["a", "sidecar", "d"]);
}

#[test]
fn conflicts_name_every_owner_and_field_and_force_takes_them() {
    let live = applied(None, &json!({"x": 1, "c": {"d": 1}}), "a");
    let live = updated(&live, &json!({"x": 1, "c": {"d": 1}, "e": 1}), "b");
    let config = pod(&json!({"x": 2, "c": {"d": 2}, "e": 2}));
    let schema = Schema::builtin("Pod");
    let error = apply(Some(&live), &config, by("z", LATE), &schema).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 3 conflicts: conflicts with \"a\":\n- .spec.x\n- .spec.c.d\nconflicts with \"b\" using \
         v1:\n- .spec.e"
    );
    let live = apply(Some(&live), &config, Applier { force: true, ..by("z", LATE) }, &schema).unwrap();
    let wanted = json!({"z Apply": {"f:spec": {"f:x": {}, "f:c": {"f:d": {}}, "f:e": {}}}});
    assert_eq!(owners(&live), wanted);
}

#[test]
fn wanting_what_is_there_is_no_conflict_and_shares_the_field() {
    let live = applied(None, &json!({"x": 1}), "a");
    let live = applied(Some(&live), &json!({"x": 1}), "b");
    assert_eq!(owners(&live), json!({"a Apply": {"f:spec": {"f:x": {}}}, "b Apply": {"f:spec": {"f:x": {}}}}));
}

#[test]
fn an_object_from_before_any_tracking_gets_an_entry_of_its_own() {
    let live = pod(&json!({"x": 1, "y": 1}));
    let mut config = pod(&json!({"x": 2}));
    let schema = Schema::builtin("Pod");
    let error = apply(Some(&live), &config, by("a", EARLY), &schema).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .spec.x"
    );
    config["spec"] = json!({"x": 1});
    let live = apply(Some(&live), &config, by("a", EARLY), &schema).unwrap();
    let wanted = json!({
        "a Apply": {"f:spec": {"f:x": {}}},
        "before-first-apply Update": {"f:spec": {"f:x": {}, "f:y": {}}},
    });
    assert_eq!(owners(&live), wanted);
}

#[test]
fn a_changed_value_moves_the_time_and_the_same_again_does_not() {
    let schema = Schema::builtin("Pod");
    let time = |object: &Value| object["metadata"]["managedFields"][0]["time"].clone();
    let live = applied(None, &json!({"x": 1}), "a");
    let again = apply(Some(&live), &pod(&json!({"x": 1})), by("a", LATE), &schema).unwrap();
    assert_eq!((&again, time(&again)), (&live, json!(EARLY)));
    let changed = apply(Some(&live), &pod(&json!({"x": 2})), by("a", LATE), &schema).unwrap();
    assert_eq!(time(&changed), LATE);
}

#[test]
fn the_status_endpoint_owns_the_status_and_the_main_one_the_rest() {
    let schema = Schema::from_openapi(&json!({"type": "object"})).with_status();
    let config = json!({
        "apiVersion": "x/v1",
        "kind": "X",
        "metadata": {"name": "x", "labels": {"a": "b"}},
        "spec": {"y": 1},
        "status": {"z": 1},
    });
    let main = apply(None, &config, by("a", EARLY), &schema).unwrap();
    // The labels are declared by ObjectMeta; the spec, which the schema does not declare, is a map's entry.
    let wanted = json!({"a Apply": {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {".": {}, "f:y": {}},
    }});
    assert_eq!(owners(&main), wanted);
    let status = Applier { subresource: Some("status"), ..by("a", EARLY) };
    let status = apply(None, &config, status, &schema).unwrap();
    assert_eq!(owners(&status), json!({"a Apply": {"f:status": {".": {}, "f:z": {}}}}));
    assert_eq!(status["metadata"]["managedFields"][0]["subresource"], "status");
}

#[test]
fn what_the_endpoint_cannot_change_is_no_conflict() {
    let schema = Schema::builtin("Pod");
    let kubelet = Applier { subresource: Some("status"), ..by("kubelet", EARLY) };
    let mut config = pod(&json!({}));
    config["status"] = json!({"phase": "Running"});
    let live = apply(None, &config, kubelet, &schema).unwrap();
    config["status"] = json!({"phase": "Failed"});
    let object = apply(Some(&live), &config, by("a", EARLY), &schema).unwrap();
    assert_eq!(owners(&object)["kubelet Apply"], json!({"f:status": {"f:phase": {}}}));
}

#[test]
fn a_request_may_not_carry_managed_fields_or_the_same_item_twice() {
    let schema = Schema::builtin("Pod");
    let mut config = pod(&json!({}));
    config["metadata"]["managedFields"] = json!([]);
    assert_eq!(apply(None, &config, by("a", EARLY), &schema), Err(ApplyError::ManagedFields));
    let config = pod(&json!({"containers": [{"name": "a"}, {"name": "a"}]}));
    let error = apply(None, &config, by("a", EARLY), &schema).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to create typed patch object: .spec.containers: duplicate entries for key [name=\"a\"]"
    );
}

#[test]
fn a_conflict_through_a_subresource_says_so() {
    let conflict = Conflict {
        manager: "hpa".to_owned(),
        operation: Operation::Update,
        api_version: "apps/v1".to_owned(),
        subresource: "scale".to_owned(),
        field: ".spec.replicas".to_owned(),
    };
    assert_eq!(conflict.to_string(), "conflict with \"hpa\" with subresource \"scale\" using apps/v1: .spec.replicas");
}
