use serde_json::{Value, json};

use super::*;
use crate::fields::whole::track_update;

fn by(manager: &str) -> Updater<'_> {
    Updater { manager, api_version: "v1", subresource: None, now: "2026-01-01T00:00:00Z" }
}

fn pod(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
}

fn tracked(old: Option<&Value>, spec: &Value, manager: &str) -> Value {
    let mut new = old.cloned().unwrap_or_else(|| pod(&json!({})));
    new["spec"] = spec.clone();
    track_update(old, new, by(manager), &Schema::builtin("Pod"))
}

fn owners(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let pairs = entries.map(|entry| (entry["manager"].as_str().unwrap().to_owned(), entry["fieldsV1"].clone()));
    pairs.collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn who_changes_a_field_owns_it_alone() {
    let object = tracked(None, &json!({"x": 1, "y": 1}), "a");
    let object = tracked(Some(&object), &json!({"x": 2, "y": 1, "z": 1}), "b");
    assert_eq!(owners(&object), json!({"a": {"f:spec": {"f:y": {}}}, "b": {"f:spec": {"f:x": {}, "f:z": {}}}}));
}

#[test]
fn a_field_that_goes_is_nobodys() {
    let object = tracked(None, &json!({"x": 1, "c": {"d": 1}}), "a");
    let object = tracked(Some(&object), &json!({"x": 1}), "b");
    assert_eq!(owners(&object), json!({"a": {"f:spec": {"f:x": {}}}}));
}

#[test]
fn writing_the_same_changes_nothing() {
    let object = tracked(None, &json!({"x": 1}), "a");
    let mut again = object.clone();
    again["metadata"]["resourceVersion"] = json!("7");
    let got = track_update(Some(&object), again.clone(), by("b"), &Schema::builtin("Pod"));
    assert_eq!(got, again);
}

#[test]
fn an_empty_list_of_managed_fields_forgets_them() {
    let object = tracked(None, &json!({"x": 1}), "a");
    for reset in [json!([]), json!([{}])] {
        let mut new = object.clone();
        new["metadata"]["managedFields"] = reset;
        new["spec"]["x"] = json!(2);
        let got = track_update(Some(&object), new, by("b"), &Schema::builtin("Pod"));
        assert_eq!(got["metadata"].get("managedFields"), None);
        // Nothing is tracked from there on.
        let later = tracked(Some(&got), &json!({"x": 3}), "c");
        assert_eq!(later["metadata"].get("managedFields"), None);
    }
}

#[test]
fn managed_fields_that_a_client_edited_count_but_broken_ones_do_not() {
    let object = tracked(None, &json!({"x": 1, "y": 1}), "a");
    let mut edited = object.clone();
    edited["metadata"]["managedFields"][0]["manager"] = json!("renamed");
    let got = track_update(Some(&object), edited, by("b"), &Schema::builtin("Pod"));
    assert_eq!(owners(&got), json!({"renamed": {"f:spec": {"f:x": {}, "f:y": {}}}}));
    let mut broken = object.clone();
    broken["metadata"]["managedFields"][0]["operation"] = json!("Guess");
    let got = track_update(Some(&object), broken, by("b"), &Schema::builtin("Pod"));
    assert_eq!(owners(&got), owners(&object));
}

#[test]
fn through_a_subresource_the_live_managed_fields_count() {
    let object = tracked(None, &json!({"x": 1}), "a");
    let mut new = object.clone();
    new["metadata"]["managedFields"] = json!([]);
    new["status"] = json!({"phase": "Running"});
    let status = Updater { subresource: Some("status"), ..by("kubelet") };
    let got = track_update(Some(&object), new, status, &Schema::builtin("Pod"));
    assert_eq!(owners(&got), json!({"a": {"f:spec": {"f:x": {}}}, "kubelet": {"f:status": {"f:phase": {}}}}));
}

#[test]
fn the_half_that_the_endpoint_cannot_change_is_not_tracked() {
    let object = tracked(None, &json!({"x": 1}), "a");
    let mut both = object.clone();
    both["spec"]["x"] = json!(2);
    both["status"] = json!({"phase": "Running"});
    let main = track_update(Some(&object), both.clone(), by("b"), &Schema::builtin("Pod"));
    assert_eq!(owners(&main), json!({"b": {"f:spec": {"f:x": {}}}}));
    let status = Updater { subresource: Some("status"), ..by("b") };
    let status = track_update(Some(&object), both, status, &Schema::builtin("Pod"));
    assert_eq!(owners(&status), json!({"a": {"f:spec": {"f:x": {}}}, "b": {"f:status": {"f:phase": {}}}}));
}

#[test]
fn a_write_that_moved_only_times_is_none() {
    let mut entries = tracked(None, &json!({"x": 1}), "a")["metadata"]["managedFields"].take();
    let old = Bytes::from(entries.to_string());
    entries[0]["time"] = json!("2030-01-01T00:00:00Z");
    assert_eq!(keep_times(&old, entries.to_string().into()), old);
    entries[0]["manager"] = json!("b");
    let other = Bytes::from(entries.to_string());
    assert_eq!(keep_times(&old, other.clone()), other);
}
